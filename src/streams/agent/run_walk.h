/* The batches of a run, one after another.  A producer's file says nothing of offsets, and the
 * catalog where the first batch begins; in a compacted one each batch has its own. */
#ifndef STREAMS_AGENT_RUN_WALK_H
#define STREAMS_AGENT_RUN_WALK_H

#include "streams/agent/block_cache.h"
#include "streams/catalog/catalog.h"

struct run_batch {
	int64_t base_offset, last_offset;
	int64_t position; /* in the file */
	size_t size;
	int64_t max_timestamp;
	bool is_control;
};

struct run_walk {
	const struct catalog_run *run;
	const struct block_range *range; /* of its file, from the start of the walk on */
	int64_t position;
	int64_t offset; /* of the next batch, or less: there may be holes in a compacted run */
};

/* Begin with the batch at `position`, whose first offset is `offset`; the run's own for the first
 * one. */
void run_walk_start(struct run_walk *w, const struct catalog_run *run,
		    const struct block_range *range, int64_t position, int64_t offset);

/* ERR_NOT_FOUND after the last one.  ERR_CORRUPT: the bytes are not what the catalog says, or end
 * before the run does. */
MUST_CHECK enum err run_walk_next(struct run_walk *w, struct run_batch *ret);

#endif
