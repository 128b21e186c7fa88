/* How long, as people write it: 90d, 12h, 30m, 45s. */
#ifndef CLI_DURATION_H
#define CLI_DURATION_H

#include "base/err.h"
#include "base/slice.h"

enum { DURATION_DAYS_MAX = 3650, DURATION_TEXT_BYTES = 24 };

/* A number and a unit, more than nothing, at most DURATION_DAYS_MAX days; or ERR_INVALID. */
MUST_CHECK enum err duration_parse(struct slice text, int64_t *ret_s);

/* The largest unit that is full: "3 d", "12 h"; for tables. */
void duration_text(int64_t seconds, char ret[DURATION_TEXT_BYTES]);

#endif
