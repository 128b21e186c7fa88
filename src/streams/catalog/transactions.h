/* What readers must know of transactions: how far a partition is decided, and where transactions
 * ended.  Like catalog.h: shared by both halves, reads only, results in the arena. */
#ifndef STREAMS_CATALOG_TRANSACTIONS_H
#define STREAMS_CATALOG_TRANSACTIONS_H

#include "streams/catalog/catalog.h"

enum {
	CATALOG_MARKERS_PER_READ_MAX = 1024,
	CATALOG_ABORTED_PER_READ_MAX = 100000, /* in the part of a partition that one fetch gives */
};

/* The end of a transaction in a partition: a control batch with one record at `offset`. */
struct catalog_marker {
	int64_t offset;
	int64_t producer_id;
	int16_t epoch;
	bool is_commit;
	int64_t first_offset; /* of the transaction in this partition */
	int64_t written_ms;
};

/* The first offset that is not decided: where the oldest open transaction of the partition began,
 * else the high watermark. */
int64_t catalog_last_stable_offset(struct cell *c, const struct catalog_partition *partition);

/* The markers at `offset` and behind it that no run holds, in order, at most `count_max`. */
MUST_CHECK enum err catalog_markers(struct arena *a, struct cell *c, int64_t partition,
				    int64_t offset, size_t count_max, struct catalog_marker **ret,
				    size_t *ret_count);

/* The aborted transactions with records in [offset, end), by the offset of their marker.  ERR_FULL:
 * more than CATALOG_ABORTED_PER_READ_MAX. */
MUST_CHECK enum err catalog_aborted(struct arena *a, struct cell *c, int64_t partition,
				    int64_t offset, int64_t end, struct catalog_marker **ret,
				    size_t *ret_count);

#endif
