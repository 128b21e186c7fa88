/* Retention: the oldest records of a partition go when they are older than retention.ms, or while
 * the partition is larger than retention.bytes without them.
 *
 * As in Kafka, with runs where it has segments: whole runs go, the oldest first, and the first
 * one that may not go keeps all behind it, so one record with a time far ahead keeps what came
 * after it until its time is over (message.timestamp.after.max.ms bounds how far that is).  A run
 * is as old as its newest record; without times, as its data file.  Nothing goes at or behind the
 * last stable offset, the high watermark never moves, and of topics that are only compacted
 * nothing goes.  A run stays for log.retention.check.interval.ms after its commit, whatever its
 * records' times say: in Kafka nobody looks before.
 *
 * What goes is what DeleteRecords does: the log start moves, and sweep.h removes rows and files.
 */
#ifndef STREAMS_COORDINATOR_RETENTION_H
#define STREAMS_COORDINATOR_RETENTION_H

#include "cells/cell.h"

enum {
	RETENTION_ROWS_MAX = 500,	  /* looked at in one transaction */
	RETENTION_BLOCKED_MS = 60 * 1000, /* until a partition is looked at again whose transaction
					   * is open */
};

/* When something of a partition may go, as things are. */
struct retention_due {
	int64_t due_ms;	    /* by age, and 0: at once; INT64_MAX: never */
	int64_t room_bytes; /* that come before something goes by size; INT64_MAX: any */
	bool is_empty;	    /* there is nothing in it that could go */
};

/* Of a partition (row).  ERR_NOT_FOUND: it is not there, or its topic is deleted.  Reads only. */
MUST_CHECK enum err retention_look(struct cell *cell, int64_t partition, int64_t now_ms,
				   struct retention_due *ret);

/* In a transaction: moves the log start over what may go now.  `rows` is how many rows may be
 * looked at, counted down.  Harmless when nothing may go, or the partition is not there. */
MUST_CHECK enum err retention_apply(struct cell *cell, int64_t partition, int64_t now_ms,
				    int *rows);

/* The log start of a partition (row) is now `offset`: what lies before goes, see sweep.h. */
MUST_CHECK enum err retention_move_log_start(struct cell *cell, int64_t partition, int64_t offset);

#endif
