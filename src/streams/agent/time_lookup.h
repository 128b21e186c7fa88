/* Which record of a partition is the first that is not older than a time: the catalog names the
 * run, the run's batches say how late they go, and the records of one batch decide. */
#ifndef STREAMS_AGENT_TIME_LOOKUP_H
#define STREAMS_AGENT_TIME_LOOKUP_H

#include "streams/agent/agent.h"
#include "streams/agent/block_cache.h"
#include "streams/agent/sync.h"
#include "streams/catalog/catalog.h"

enum {
	TIME_LOOKUP_MAX_TIMESTAMP = -3, /* in place of a time: the latest record of all */
	TIME_LOOKUP_REPLANS_MAX = 3,	/* after files that have gone */
};

struct time_lookup {
	struct task task;
	struct agent *agent;
	struct catalog_partition found; /* as the lookup saw it last */
	int64_t timestamp, end, from;
	int64_t ret_offset, ret_timestamp; /* -1: there is no such record below the end */
	struct sync sync;
	struct catalog_run run;
	struct block_read read;
	struct block_range range;
	int replans;
	struct room_wait wait; /* for room, which the blocks of large runs are counted in */
	size_t room_bytes;
};

/* A child task.  ERR_NOT_FOUND: the partition has gone meanwhile; ERR_UNAVAILABLE: control could
 * not be asked for the place of a file that has gone; else what reading ended with. */
void time_lookup_start(struct time_lookup *l, struct task *parent, struct agent *agent,
		       const struct catalog_partition *partition, int64_t timestamp, int64_t end);

#endif
