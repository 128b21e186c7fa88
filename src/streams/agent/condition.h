/* Tells control whether clients should be told of this agent: it serves, opens, is sick or leaves.
 *
 * Each hello says it (control_link.h), and a change is told at once while the link stands. */
#ifndef STREAMS_AGENT_CONDITION_H
#define STREAMS_AGENT_CONDITION_H

#include "loop/timer.h"
#include "streams/agent/agent.h"
#include "wire/peer/condition.h"

enum { CONDITION_RETRY_MS = 100 };

struct condition {
	struct task task;
	struct agent *agent;
	struct control_call call;
	struct sleep sleep;
	enum agent_condition told; /* control has it */
	enum agent_condition telling;
	int32_t others; /* agents that were live besides this one when it was told */
};

/* It may have changed. */
void condition_update(struct agent *agent);

/* Control has taken this one with the hello. */
void condition_on_hello(struct agent *agent, enum agent_condition told);

/* Control has it, durably, that this agent leaves. */
bool condition_has_left(const struct agent *agent);

bool condition_is_busy(const struct agent *agent);

/* Ends soon and wakes agent->stop. */
void condition_stop(struct agent *agent);

#endif
