/* A standby: a cell that follows somebody else's journal, so that a takeover begins warm.
 *
 * Its owner says which epoch leads and up to which index its records are committed; heartbeats
 * bring both.  The names of those records follow from the start records of the epochs, so nothing
 * is ever listed, and nothing is read while nothing is committed:
 *
 *	aim -> start records back to what the cell has -> [the newest snapshot] -> records, in order
 *
 * Whatever does not fit (a record that is gone, damaged, of another chain, that cannot be applied)
 * makes it throw the cell away and begin with the newest snapshot, after a pause.
 *
 * Nothing acknowledged ever depends on it: the leader that gets the cell proves it against the log
 * it adopted (leader_recover.c).  One cell, and STANDBY_WINDOW records, are all it holds. */
#ifndef CELLS_STANDBY_H
#define CELLS_STANDBY_H

#include "cells/leader.h"

enum {
	STANDBY_WINDOW = 8,	       /* records being read at once */
	STANDBY_SEGMENTS_MAX = 1024,   /* epochs between the cell and the one that leads */
	STANDBY_IO_MS = 15000,	       /* deadline of one read */
	STANDBY_APPLY_BYTES = 1 << 20, /* in one turn of the loop */
	STANDBY_RETRY_MS_MIN = 1000,   /* after a failure; doubles up to the next */
	STANDBY_RETRY_MS_MAX = 60000,
};

struct standby;

struct standby_config {
	struct bucket *const *buckets; /* outlive it */
	int bucket_count;
	const char *journal;
	const char *cell_name;
	uint64_t retry_ms; /* 0: STANDBY_RETRY_MS_MIN */
};

struct standby *standby_new(struct loop *loop, const struct standby_config *config);

/* After standby_stop(). */
void standby_free(struct standby *s);

/* The leader of `epoch` says that everything up to `committed` is.  A lower epoch than before, or
 * less, is no news. */
void standby_aim(struct standby *s, struct epoch epoch, uint64_t committed);

/* Stop following and hand over the cell; no cell when there is none yet.  At once: reads that are
 * under way end later by themselves. */
void standby_take(struct standby *s, struct leader_warm *ret);

struct standby_status {
	struct epoch epoch; /* that is followed */
	uint64_t index;	    /* last record in the cell; 0: no cell */
	uint64_t committed; /* last record the leader told of */
	struct hash128 content_hash;
	uint64_t load_count; /* times it began anew */
	uint64_t failure_count;
	const char *why; /* of the last failure; "" */
};
/* The cell that follows, for reading within this turn of the loop; NULL: there is none. */
struct cell *standby_cell(struct standby *s);

void standby_get_status(const struct standby *s, struct standby_status *ret);

/* A child task: ends when nothing is under way any more.  Then standby_free(). */
struct standby_stop {
	struct task task;
	struct standby *standby;
};
void standby_stop(struct standby_stop *stop, struct task *parent, struct standby *s);

#endif
