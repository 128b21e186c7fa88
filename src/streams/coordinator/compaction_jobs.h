/* Jobs of compaction that agents have: leases in the memory of whoever leads, never journaled.
 *
 * A job has an incarnation of its own, from the counter of agents' incarnations, which names its
 * file and is never given again.  Once the lease has ended (finished, too late, or another control
 * leads) nothing of that incarnation can be committed any more, so a file of it that has no row is
 * an orphan for good. */
#ifndef STREAMS_COORDINATOR_COMPACTION_JOBS_H
#define STREAMS_COORDINATOR_COMPACTION_JOBS_H

#include "streams/coordinator/compaction_swap.h"

struct compaction;

/* While this process leads.  HANSE_TEST_COMPACTION_AGE_MS shortens COMPACTION_AGE_MS. */
struct compaction *compaction_new(void);
void compaction_free(struct compaction *c);

/* Look for a job for the agent of this incarnation, which has given up any it had; its number, 0:
 * there is nothing to do.  It has no incarnation yet.  now_ms: of the journal; loop_ms: of the
 * loop, which leases go by. */
uint64_t compaction_find_job(struct compaction *c, struct cell *cell, int64_t agent, int64_t now_ms,
			     uint64_t loop_ms);

/* The command that gives the job its incarnation was durable (or not: `incarnation` 0, and the job
 * is for others).  NULL: the job is gone.  The plan lives as long as the job. */
const struct compaction_plan *compaction_give_job(struct compaction *c, uint64_t number,
						  int64_t incarnation);

/* The job of this incarnation that this agent has; `extends` it.  NULL: there is none (any more).
 */
const struct compaction_plan *compaction_job(struct compaction *c, int64_t incarnation,
					     int64_t agent, uint64_t loop_ms, bool extends);

/* It was swapped. */
void compaction_end_job(struct compaction *c, int64_t incarnation);

/* Does an agent have this job now?  `loop_ms`: the loop's. */
bool compaction_has_job(const struct compaction *c, int64_t incarnation, uint64_t loop_ms);

/* Jobs that agents have now. */
size_t compaction_job_count(const struct compaction *c, uint64_t loop_ms);

#endif
