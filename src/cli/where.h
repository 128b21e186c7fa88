/* A place in a partition, as people write it:
 *
 *     earliest                   the first record there is
 *     latest                     after the last one
 *     1234                       an offset
 *     -100  +100                 so many before or after a place the command names
 *     2026-11-22T14:00:00.123Z   the first record of that time or later (UTC; the fraction, the
 *                                seconds, the time of day and the Z may be left out)
 *     30m  12h  7d               that long ago
 */
#ifndef CLI_WHERE_H
#define CLI_WHERE_H

#include "base/err.h"
#include "base/slice.h"

enum { WHERE_TIME_TEXT_BYTES = 32 };

enum where_kind {
	WHERE_EARLIEST,
	WHERE_LATEST,
	WHERE_OFFSET,	/* number: it */
	WHERE_RELATIVE, /* number: how many after; negative: before */
	WHERE_TIME,	/* number: milliseconds since 1970 */
};

struct where {
	enum where_kind kind;
	int64_t number;
};

/* ERR_INVALID: none of these forms, or a number that is too large. */
MUST_CHECK enum err where_parse(const char *text, uint64_t now_ms, struct where *ret);

/* "2026-11-22T14:00:00.123Z"; "-" for a time before 1970 or after the year 9999. */
void where_time_text(int64_t time_ms, char ret[WHERE_TIME_TEXT_BYTES]);

#endif
