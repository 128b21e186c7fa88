/* Moments as the control protocol writes them: RFC 3339, and year 1 for "none". */
#ifndef WIRE_CONTROL_TIME_TEXT_H
#define WIRE_CONTROL_TIME_TEXT_H

#include "base/err.h"
#include "base/slice.h"

enum { TIME_TEXT_BYTES = 32 };

/* "2026-11-21T10:00:00Z"; 0 is "0001-01-01T00:00:00Z".  What has no such year is taken as the
 * nearest that has. */
void time_text(int64_t time_s, char ret[TIME_TEXT_BYTES]);

/* Fractions are cut off, offsets are applied.  0 for the year 1; what else is not after 1970 is 1,
 * so that it stays in the past and is not "none". */
MUST_CHECK enum err time_parse(struct slice text, int64_t *ret_s);

#endif
