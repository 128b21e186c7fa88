/* Which partitions have something that retention (retention.h) may take, found without looking at
 * those that have nothing.
 *
 * In memory, for the leader: an entry for each partition that has records, in a heap by when its
 * oldest run is old enough.  The rows of runs since the last look, by their ids, say which
 * partitions have got records; a partition that has an entry only becomes due earlier by its size.
 * So a second in which nothing happens costs a look at the heap and one at the newest row.
 *
 * All partitions are looked at, a few at a time, when the leader is new, when settings change, and
 * every RETENTION_WATCH_ALL_MS, for good measure.
 *
 * Reads the leader's cell outside of transactions; what is due is looked at again in one. */
#ifndef STREAMS_COORDINATOR_RETENTION_WATCH_H
#define STREAMS_COORDINATOR_RETENTION_WATCH_H

#include "base/heap.h"
#include "base/map.h"
#include "cells/cell.h"

enum {
	RETENTION_WATCH_RUNS_MAX = 2000,      /* rows of one look */
	RETENTION_WATCH_PARTITIONS_MAX = 250, /* the same */
	RETENTION_WATCH_ALL_MS = 60 * 60 * 1000,
};

struct retention_watch {
	struct heap due;
	struct map entries;
	int64_t last_run;	/* id */
	int64_t last_partition; /* of the look at all of them; INT64_MAX: it is over */
	uint32_t pass;
	uint64_t all_due_ms; /* when it begins again, of the loop's clock */
};

void retention_watch_init(struct retention_watch *w);
void retention_watch_done(struct retention_watch *w);

/* Look at all partitions again, from now on. */
void retention_watch_again(struct retention_watch *w);

/* In a transaction that has deleted runs, right after it did: their ids may be used again. */
void retention_watch_runs_deleted(struct retention_watch *w, struct cell *cell);

/* One bounded look; true: there is more to look at. */
bool retention_watch_look(struct retention_watch *w, struct cell *cell, int64_t now_ms,
			  uint64_t loop_ms);

/* The partition (row) that has been due for the longest time, 0: none is. */
int64_t retention_watch_due(const struct retention_watch *w, int64_t now_ms);

/* It was dealt with: look at it again. */
void retention_watch_note(struct retention_watch *w, struct cell *cell, int64_t partition,
			  int64_t now_ms);

#endif
