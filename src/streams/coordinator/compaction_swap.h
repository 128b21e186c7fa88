/* The one command of compaction: runs take the place of others. */
#ifndef STREAMS_COORDINATOR_COMPACTION_SWAP_H
#define STREAMS_COORDINATOR_COMPACTION_SWAP_H

#include "peer_messages.h"
#include "streams/coordinator/compaction_plan.h"

/* `argument` of the command.  The file of the job gets its row; a group whose runs and markers are
 * all exactly as in the plan is replaced by what the request says, any other stays as it is, and
 * so does one the request does not name.  With no group replaced the file is dead at once.  A file
 * that has its row already was swapped: OK, and nothing changes.  Without `plan` there is no job:
 * then all others are ERR_DENIED.  ERR_INVALID: the request is not about these groups. */
struct compaction_swap {
	const struct compaction_plan *plan; /* NULL: no such job */
	const struct peer_job_finish_request *request;
	int64_t now_ms;
	int32_t swapped; /* out */
};
MUST_CHECK enum err compaction_swap_run(struct cell *cell, void *argument);

#endif
