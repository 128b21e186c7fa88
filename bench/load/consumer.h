/* One consumer: a connection that always has a Fetch in flight, for its share of the partitions,
 * in a fetch session, as stock clients have. */
#ifndef BENCH_LOAD_CONSUMER_H
#define BENCH_LOAD_CONSUMER_H

#include "load.h"

struct consumed_partition {
	int64_t offset, high_watermark;
	bool is_told; /* to the session, with this offset */
};

struct consumer {
	struct peer peer;
	struct load *load;
	size_t number, stride; /* it has the partitions number, number + stride... */
	struct consumed_partition *partitions;
	size_t partition_count;
	int32_t session_id, session_epoch;
};

/* Finds where its partitions begin or end, and waits for those that have no leader yet. */
void consumer_open(struct consumer *c, struct load *l, size_t number, size_t stride);
void consumer_close(struct consumer *c);
void consumer_begin(struct consumer *c);

#endif
