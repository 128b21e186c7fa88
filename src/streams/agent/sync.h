/* The beginning of a linearizable read: when it ends with OK, everything that was committed before
 * it began is in the replica. */
#ifndef STREAMS_AGENT_SYNC_H
#define STREAMS_AGENT_SYNC_H

#include "loop/timer.h"
#include "streams/agent/agent.h"

enum {
	SYNC_PATIENCE_MS = 5000,
	SYNC_RETRY_MS = 20,
	SYNC_FRESH_MS = 1000,	       /* control that was heard since is not doubted */
	SYNC_DOUBT_PATIENCE_MS = 1500, /* to find out whether control still leads */
};

struct sync {
	struct task task;
	struct agent *agent;
	struct control_call call;
	struct replica_wait wait;
	struct sleep sleep;
};

/* A child task.  While control is away it is asked again; ERR_TIMEOUT after SYNC_PATIENCE_MS. */
void sync_start(struct sync *s, struct task *parent, struct agent *agent);

/* Before clients are told to stay with this agent: does control still lead?  If it was not heard
 * for a while, starts `s`, whose end tells, and returns true: wait for it. */
bool sync_in_doubt(struct sync *s, struct task *parent, struct agent *agent);

#endif
