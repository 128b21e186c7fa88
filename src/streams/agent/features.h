/* Levels of features, which are those of the program that runs (api_versions.c has the table). */
#ifndef STREAMS_AGENT_FEATURES_H
#define STREAMS_AGENT_FEATURES_H

#include <stdbool.h>

#include "base/slice.h"

struct feature {
	const char *name;
	int16_t first, last; /* that this program knows; the last one is in use */
};

/* False: there is no such feature. */
bool feature_find(struct slice name, struct feature *ret);

#endif
