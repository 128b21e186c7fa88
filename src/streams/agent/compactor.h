/* Makes few large runs of many small ones: a task in the agent that asks control for jobs
 * (coordinator/compaction.h), one at a time.
 *
 *	rest -> take a job -> read inputs, copy batches (yielding) -> put the file -> finish -> take
 *
 * Inputs are read from the bucket past the block cache, a part of one file at a time; what is to be
 * written is held until it is put.  Whatever fails ends the job: nothing has changed then, and its
 * file, if it was put, is an orphan.  The agent never deletes it itself: the answer that it was
 * refused may come from a control that does not lead any more. */
#ifndef STREAMS_AGENT_COMPACTOR_H
#define STREAMS_AGENT_COMPACTOR_H

#include <stdint.h>

enum {
	COMPACTOR_IDLE_MS = 5000,	/* between questions while there is nothing to do */
	COMPACTOR_QUIET_MS = 60000,	/* between log lines about failed jobs */
	COMPACTOR_FAILED_MS = 5000,	/* after a job that failed */
	COMPACTOR_STEP_BYTES = 1 << 20, /* of batches checked and copied in one turn of the loop */
};

struct agent;
struct compactor;

/* Works until compactor_stop().  HANSE_TEST_COMPACTION_IDLE_MS shortens its pauses. */
struct compactor *compactor_start(struct agent *agent);

/* Ends soon, frees itself, sets agent->compactor to NULL and wakes agent->stop. */
void compactor_stop(struct compactor *c);

#endif
