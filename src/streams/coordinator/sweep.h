/* Deleted topics, groups and records go away in bounded steps, so that no transaction holds
 * everybody up.  So do groups that nobody uses any more: Kafka's offsets.retention.minutes; and
 * transactional ids: transactional.id.expiration.ms. */
#ifndef STREAMS_COORDINATOR_SWEEP_H
#define STREAMS_COORDINATOR_SWEEP_H

#include "cells/cell.h"

struct coordinator;

enum { SWEEP_ROWS_MAX = 500, SWEEP_PAUSE_MS = 5, SWEEP_IDLE_MS = 1000 };
enum { SWEEP_OFFSETS_MS = 10 * 60 * 1000 }; /* Kafka's offsets.retention.check.interval.ms */
#define SWEEP_GROUP_IDLE_MS (7 * 24 * 3600 * INT64_C(1000))
#define SWEEP_TRANSACTIONAL_IDLE_MS (7 * 24 * 3600 * INT64_C(1000))
/* The wall clock is believed when it has not jumped for so long. */
#define SWEEP_CLOCK_STEADY_MS (6 * 3600 * INT64_C(1000))
#define SWEEP_CLOCK_JUMP_MS (60 * INT64_C(1000))

/* Does the wall clock go as evenly as that of the loop?  A machine that begins with a wrong date,
 * or is told the right one late, must not take the difference for a week in which nobody used a
 * group.  Zeroed at first; asked more often than SWEEP_CLOCK_STEADY_MS. */
struct sweep_clock {
	int64_t ahead_ms; /* of the loop's */
	uint64_t steady_since_ms;
	bool is_known;
};
bool sweep_clock_is_steady(struct sweep_clock *c, int64_t wall_ms, uint64_t loop_ms);

/* One step; `argument` is a struct sweep_step. */
struct sweep_step {
	int64_t now_ms;
	int64_t idle_since_ms; /* groups that nobody used since before then are deleted; 0: none */
	int64_t transactional_idle_since_ms; /* the same of transactional ids */
	bool is_more;			     /* out: there is more to do */
	bool is_full; /* a step gave ERR_FULL: what producers wrote last is not kept, so that what
		       * fills the catalog goes; until there is nothing more to do */
};
MUST_CHECK enum err sweep_run(struct cell *cell, void *argument);

/* What became of the step, for the next one. */
void sweep_step_ended(struct sweep_step *step, enum err err);

/* Sweep until canceled; ends by itself soon after sweep_cancel(). */
void sweep_start(struct coordinator *c);
void sweep_cancel(struct coordinator *c);

#endif
