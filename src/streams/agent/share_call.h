/* What members of share groups said and what they are to get, asked of control as one command. */
#ifndef STREAMS_AGENT_SHARE_CALL_H
#define STREAMS_AGENT_SHARE_CALL_H

#include "loop/timer.h"
#include "peer_messages.h"
#include "streams/agent/agent.h"

enum {
	SHARE_CALL_RETRY_MS = 20,
	SHARE_CALL_PATIENCE_MS = 10000,
	/* What a client may say at once: control takes as much with all of a session beside it,
	 * and as a message to control it is up to four times as large. */
	SHARE_CALL_PARTITIONS_MAX = 8000,
	SHARE_CALL_BODY_BYTES_MAX = 1 << 20,
	SHARE_CALL_RENEWS_FIRST = 2, /* version of ShareFetch and ShareAcknowledge: KIP-1222 */
};

/* Does the client say something that this version of its request does not have? */
bool share_call_is_ahead(int16_t version, const int8_t *said, size_t count);

struct share_call {
	struct task task;
	struct agent *agent;
	struct arena *arena;
	const struct peer_share_request *request;
	struct control_call call;
	struct sleep sleep;
	uint64_t give_up_ms;
	struct peer_share_response ret; /* on OK; lives until share_call_done() */
};

/* A child task; `request` and the arena live until it has ended.  While control is away it is sent
 * again.  ERR_UNAVAILABLE: never sent; ERR_UNKNOWN: sent, no answer; or what control says. */
void share_call_start(struct share_call *c, struct task *parent, struct agent *agent,
		      struct arena *a, const struct peer_share_request *request);
void share_call_done(struct share_call *c);

#endif
