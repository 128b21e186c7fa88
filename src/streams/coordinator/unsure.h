/* Lives of agents of which nobody here knows everything.
 *
 * A journal may have been brought back in an older state, with every node started anew, so that
 * nobody remembers (decision 0013).  Then files whose commit was acknowledged lie in the bucket
 * without a row, and look like orphans: files of agents that were alive in the state that came
 * back, and of incarnations that were granted after it.
 *
 * So a term that begins without anybody's memory (leader_status.is_cold) notes the incarnations of
 * all agents, and passes over INCARNATION_SKIP of those that would be granted next, which are noted
 * too: names of ours are never those of a state that was lost.  So are the INCARNATION_JOBS before,
 * which may be of compaction jobs that were under way in the state that came back.  Until all of
 * this is durable standbys are told of no record: one that had followed would take over and believe
 * to remember.  An agent that comes back with its incarnation tells by what it has seen that
 * nothing is missing, and is sure again.  Objects of incarnations that are noted are no orphans,
 * until an operator says so: unsure_settle(). */
#ifndef STREAMS_COORDINATOR_UNSURE_H
#define STREAMS_COORDINATOR_UNSURE_H

#include "cells/cell.h"

enum {
	INCARNATION_SKIP = 1 << 20, /* lives that a lost state may have had */
	INCARNATION_JOBS = 1 << 10, /* lives before, of which some may be jobs that went on */
	UNSURE_ROWS_MAX = 1000,	    /* of ranges: above, one takes what lies between */
};

/* That will be granted; 0: none ever was. */
int64_t unsure_next_incarnation(struct cell *cell);

/* Inside a transaction, before the first hello of a cold term. */
MUST_CHECK enum err unsure_begin(struct cell *cell, int64_t now_ms);

/* The agent of this incarnation goes on. */
MUST_CHECK enum err unsure_return(struct cell *cell, int64_t incarnation);

bool unsure_has(struct cell *cell, int64_t incarnation);

/* What is noted now is certain from now on; for leader_run(), `argument` is not used. */
MUST_CHECK enum err unsure_settle_run(struct cell *cell, void *argument);

#endif
