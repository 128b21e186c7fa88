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
	const struct block_range *range; /* of its file, from the start of the walk on */
	int64_t position;
	int64_t offset;
};

/* Begin with the batch at `position`, whose first offset is `offset`; the run's own for the first
 * one. */
void run_walk_start(struct run_walk *w, const struct catalog_run *run,
		    const struct block_range *range, int64_t position, int64_t offset);

/* ERR_NOT_FOUND after the last one.  ERR_CORRUPT: the bytes are not what the catalog says, or end
 * before the run does. */
MUST_CHECK enum err run_walk_next(struct run_walk *w, struct run_batch *ret);

#endif
