/* The pages of several processes as one page: what they call the same stands together, once with
 * its help and kind, as the formats ask for.  Pages are exposition.h's, without an end. */
#ifndef WIRE_METRICS_MERGE_H
#define WIRE_METRICS_MERGE_H

#include "wire/metrics/exposition.h"

enum {
	MERGE_PAGES_MAX = 32,
	MERGE_PAGE_BYTES_MAX = 16 << 20,
	MERGE_FAMILIES_MAX = 1000, /* of a page */
};

/* Is it whole lines of families, each with HELP, TYPE and samples of its own name?  ERR_CORRUPT,
 * ERR_TOO_BIG. */
MUST_CHECK enum err metrics_check(struct slice page);

/* Adds all of them to `out`; each has passed metrics_check(). */
void metrics_merge(const struct slice *pages, size_t count, struct buf *out);

#endif
