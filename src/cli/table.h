/* Aligned columns for people: text to the left, numbers to the right. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"

enum { TABLE_COLUMNS_MAX = 12 };

struct table {
	struct arena *arena;
	struct buf cells; /* of struct table_cell, row by row */
	int column_count;
};

/* `headings` ends with NULL; without any, the columns are a name and a value. */
void table_init(struct table *t, struct arena *a, const char *const *headings);
void table_done(struct table *t);

/* The next cell, row by row.  Null text and negative numbers are shown as "-".  Text is
 * copied. */
void table_add_text(struct table *t, struct slice s);
void table_add_number(struct table *t, int64_t number);

void table_print(const struct table *t, FILE *out);

#endif
