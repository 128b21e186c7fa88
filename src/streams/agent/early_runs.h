/* Runs that can be read before the replica has them: their commit was answered early, and whoever
 * leads next makes it again at the same offsets (decisions 0046 and 0047).  Control pushes them,
 * and they lie over the replica, behind the high watermark it has.
 *
 * What is told to readers is what goes on without a gap from that high watermark.  Runs behind a
 * gap wait for the records that fill it: those of a transaction are never pushed, nor what was
 * answered only when it was durable.  Nothing here is of the truth: when the link is lost, or the
 * contents of the replica are replaced, all of it goes, and readers that were ahead hear what they
 * hear of an agent that is behind.
 *
 * Only readers of records look here.  Whoever compacts, counts, or gives records to share groups
 * has the replica, where everything is durable. */
#ifndef STREAMS_AGENT_EARLY_RUNS_H
#define STREAMS_AGENT_EARLY_RUNS_H

#include "base/arena.h"
#include "peer_messages.h"
#include "streams/agent/replica.h"
#include "streams/catalog/catalog.h"

enum {
	EARLY_RUNS_MAX = 20000,	      /* of all partitions: about 2 MB */
	EARLY_RUNS_OF_ONE_MAX = 1000, /* partition, gaps included */
};

struct early_runs;

struct early_runs *early_runs_new(struct replica *replica); /* which outlives them */
void early_runs_free(struct early_runs *e);

/* The contents of the replica are whole, and go on from here with what the link brings. */
void early_runs_open(struct early_runs *e);

/* They do not (any more): everything goes, and nothing is taken. */
void early_runs_close(struct early_runs *e);

/* From the link.  What makes no sense here or finds no room is dropped: its record comes. */
void early_runs_take(struct early_runs *e, const struct peer_early_push *push);

/* After each record that was applied: what the replica has caught up with goes. */
void early_runs_catch_up(struct early_runs *e);

/* Moves the high watermark of what was found in the replica to where readers may read. */
void early_runs_extend(struct early_runs *e, struct catalog_partition *partition);

/* As catalog_runs(), of what lies before `end`, which is not behind that high watermark. */
MUST_CHECK enum err early_runs_find(struct early_runs *e, struct arena *a, int64_t partition,
				    int64_t offset, int64_t end, int64_t size_max,
				    struct catalog_run **ret, size_t *ret_count);

/* For numbers and tests. */
struct early_runs_numbers {
	uint64_t taken, dropped; /* since the beginning */
	size_t count;		 /* now */
};
struct early_runs_numbers early_runs_get_numbers(const struct early_runs *e);

#endif
