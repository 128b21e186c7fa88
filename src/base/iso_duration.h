/* ISO 8601 durations of days and less, as java.time.Duration reads them: "P2DT3H4M", "PT1.5S",
 * "PT-6H+3M".  A day has 24 hours. */
#ifndef BASE_ISO_DURATION_H
#define BASE_ISO_DURATION_H

#include "base/err.h"
#include "base/slice.h"

/* In milliseconds, cut off below; INT64_MAX when there are too many.  ERR_INVALID: it is none, or
 * less than nothing. */
MUST_CHECK enum err iso_duration_parse(struct slice s, int64_t *ret_ms);

#endif
