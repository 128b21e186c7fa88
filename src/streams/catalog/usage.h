/* What the buckets of a cluster were asked, month by month, as the catalog has it.
 *
 * A row of the table is one bucket, what it is used for, and one month of UTC.  The coordinator
 * adds to it (coordinator/usage.h); this is for reading. */
#ifndef STREAMS_CATALOG_USAGE_H
#define STREAMS_CATALOG_USAGE_H

#include "buckets/meter.h"
#include "streams/catalog/catalog.h"

#define USAGE_RECORDS "records" /* what agents do with data files */
#define USAGE_JOURNAL "journal" /* what control does */

enum { USAGE_ROWS_PER_MONTH_MAX = 100 };
#define USAGE_NUMBER_MAX (INT64_C(1) << 53) /* of any number in a row: it stays there */

/* Bytes of Kafka clients and of the protocol between agents and control; only with records. */
struct usage_traffic {
	uint64_t produced_bytes, fetched_bytes, control_bytes;
};

struct usage_sum {
	struct slice bucket, purpose;
	int64_t since_ms, updated_ms; /* what is counted was between these */
	struct meter meter;
	struct usage_traffic traffic;
};

/* 202611 of a Unix time. */
int64_t usage_month(int64_t wall_ms);

/* One for each bucket and purpose, by name: of this month, or of all when it is 0. */
void usage_sums(struct arena *a, struct cell *c, int64_t month, struct usage_sum **ret,
		size_t *ret_count);

/* The objects of data files that are in the bucket: all that were committed and not yet deleted.
 * Reads every row of the table of files: 0.1 s for a million. */
struct usage_stored {
	int64_t files, bytes;
	int64_t partitions; /* of topics */
};
void usage_stored(struct cell *c, struct usage_stored *ret);

#endif
