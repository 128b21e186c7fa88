/* The beginning of a linearizable read: when it ends with OK, everything that was committed before
 * it began is in the replica. */
#ifndef STREAMS_AGENT_SYNC_H
#define STREAMS_AGENT_SYNC_H

#include "loop/timer.h"
#include "streams/agent/agent.h"

enum { SYNC_PATIENCE_MS = 5000, SYNC_RETRY_MS = 20 };

struct sync {
	struct task task;
	struct agent *agent;
	struct control_call call;
	struct replica_wait wait;
	struct sleep sleep;
};

/* A child task.  While control is away it is asked again; ERR_TIMEOUT after SYNC_PATIENCE_MS. */
void sync_start(struct sync *s, struct task *parent, struct agent *agent);

#endif
