/* The batches of a run, one after another: what a data file says about offsets, which is nothing,
 * and what the catalog says, which is where the first one begins. */
#ifndef STREAMS_AGENT_RUN_WALK_H
#define STREAMS_AGENT_RUN_WALK_H

#include "streams/agent/block_cache.h"
#include "streams/catalog/catalog.h"

struct run_batch {
	int64_t base_offset, last_offset;
	int64_t position; /* in the file */
	size_t size;
	int64_t max_timestamp;
};

struct run_walk {
	const struct catalog_run *run;
	const struct block_range *range; /* covers the run */
	int64_t position;
	int64_t offset;
};

void run_walk_start(struct run_walk *w, const struct catalog_run *run,
		    const struct block_range *range);

/* ERR_NOT_FOUND after the last one.  ERR_CORRUPT: the bytes are not what the catalog says. */
MUST_CHECK enum err run_walk_next(struct run_walk *w, struct run_batch *ret);

#endif
