/* The time by which things are deleted because of their age: that of the wall clock, as far as it
 * is believed.
 *
 * A machine that starts with a wrong date must not take it for years in which records became old.
 * So this clock goes at most DELETION_CLOCK_SPEED times as fast as the loop's while this process
 * leads, until it has reached the wall clock: a day in which nobody led is caught up with in an
 * hour, a week in seven, and a date that is wrong by a year must be wrong for 15 days to cost a
 * year's records.  It is never later than the wall clock.  How far it came is kept in the catalog
 * (table deletion_clock), so that restarts gain nothing.  A cluster that began with a date far
 * ahead has reached it from the start, and would believe every other one up to it: when the wall
 * clock has been a day and more behind for six hours, this one goes back to it.
 *
 * Elsewhere: expiry.h has the one of the leader; expiry_now_ms(). */
#ifndef STREAMS_COORDINATOR_DELETION_CLOCK_H
#define STREAMS_COORDINATOR_DELETION_CLOCK_H

#include "cells/cell.h"

enum {
	DELETION_CLOCK_SPEED = 24,
	DELETION_CLOCK_AHEAD_MS = 24 * 3600 * 1000, /* so far ahead of the wall clock is wrong, */
	DELETION_CLOCK_HOLD_MS = 6 * 3600 * 1000,   /* if it is so for so long without a break */
};

struct deletion_clock {
	int64_t reached_ms;	 /* Unix time; decreases only as said above */
	uint64_t loop_ms;	 /* when it was looked at */
	uint64_t ahead_since_ms; /* of the loop: since when it is far ahead; 0: it is not */
};

/* `reached_ms` is what the catalog has. */
void deletion_clock_begin(struct deletion_clock *c, int64_t reached_ms, uint64_t loop_ms);

/* The time to delete by. */
int64_t deletion_clock_tick(struct deletion_clock *c, int64_t wall_ms, uint64_t loop_ms);

/* In a transaction. */
MUST_CHECK enum err deletion_clock_write(struct cell *cell, int64_t reached_ms);

/* In a transaction: what the catalog has, and where it has nothing, the time of the newest data
 * file, or `wall_ms` if that is earlier or there is no file.  A catalog with data files but
 * without a clock comes from a release in which nothing was deleted by age: there
 * `log.retention.ms` is set to -1 for all brokers, unless somebody set it, so that this one
 * deletes nothing unasked. */
MUST_CHECK enum err deletion_clock_first(struct cell *cell, int64_t wall_ms, int64_t *ret);

#endif
