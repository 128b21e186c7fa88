/* Requests that the coordinator answers, passed on as they came.
 *
 * While the control process is away the request waits; when it was sent and the answer is lost, the
 * connection is closed, which tells the client exactly what is known: nothing. */
#ifndef STREAMS_AGENT_FORWARD_H
#define STREAMS_AGENT_FORWARD_H

#include "loop/timer.h"
#include "peer_messages.h"
#include "streams/agent/request.h"

enum { FORWARD_RETRY_MS = 20, FORWARD_PATIENCE_MS = 10000 };

struct forward {
	struct task task;
	struct request *request;
	struct kafka_api const *api;
	int16_t version;
	struct slice body;
	struct control_call call;
	struct sleep sleep;
	uint64_t give_up_ms;
	struct slice ret_body; /* on OK: the encoded answer; lives until forward_done() */
};

/* A child task: send `body` of `version` of `api` in the name of the request's client.
 * ERR_UNAVAILABLE: never sent.  ERR_UNKNOWN: sent, no answer.  ERR_TOO_BIG: more than a frame. */
void forward_start(struct forward *f, struct task *parent, struct request *r,
		   const struct kafka_api *api, int16_t version, struct slice body);
void forward_done(struct forward *f);

#endif
