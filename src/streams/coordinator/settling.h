/* Settling: what became of announced files whose agent does not say it.
 *
 * Control cannot see the bucket, so it asks an agent, any one: are these objects there?  Of those
 * that are not the agent burns the name, so that they never will be.  What is there is committed,
 * in the order of announcement as far as files share something; what is burnt becomes a dead file.
 *
 * A term that begins settles every file before any command that could change what a commit gives
 * (leader_set_settling()): only so may a leader answer before its commits are durable (decision
 * 0046).  Later those are settled whose agent has had no session for SETTLING_LEFT_MS, or another
 * life. */
#ifndef STREAMS_COORDINATOR_SETTLING_H
#define STREAMS_COORDINATOR_SETTLING_H

#include "peer_messages.h"
#include "streams/coordinator/announced.h"

enum {
	SETTLING_RETRY_MS = 2000, /* from asking one agent to asking the next one */
	SETTLING_LEFT_MS = 2000,  /* for an agent to come back and say it itself */
	SETTLING_LOG_MS = 5000,
	SETTLING_LOOK_MS = 50, /* while there is something to settle */
	SETTLING_IDLE_MS = 1000,
};

struct coordinator;

/* This node leads: does it have to settle first?  coordinator_begin_work() follows in any case,
 * from here or when all is settled. */
void settling_start(struct coordinator *c);
void settling_cancel(struct coordinator *c);

/* An agent is here that can be asked, or a file was left. */
void settling_wake(struct coordinator *c);

/* What an agent found.  ERR_TOO_BIG. */
MUST_CHECK enum err settling_take(struct coordinator *c, const struct peer_settle_request *request);

#endif
