/* Draws the document of `hanse top`: a line for each part of a node, cut at the width of the
 * screen. */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct top_screen {
	unsigned columns, lines; /* 0: no limit */
	bool is_live;		 /* over what was drawn before */
	bool has_color;
	bool shows_help;
	bool has_nobody; /* no node answers now */
};

void top_screen_print(FILE *out, const json_t *all, const struct top_screen *screen);

/* "12.3 MB", "4.5 ms", "17": what the unit at the end of the name says. */
void top_value_text(const char *name, const json_t *value, char *ret, size_t size);

#endif
