/* One Kafka request that an agent passed on, as a child task of its session.
 *
 * Two kinds serve them: operations (operation.h) and groups (groups.h).  The task ends with OK and
 * an encoded response body, or with an err when there is nothing to answer; the agent then answers
 * for itself.  ERR_DENIED: the request is too late to be served, its connection is to end. */
#ifndef STREAMS_COORDINATOR_KAFKA_CALL_H
#define STREAMS_COORDINATOR_KAFKA_CALL_H

#include "base/arena.h"
#include "base/buf.h"
#include "cells/leader.h"
#include "streams/catalog/denials.h"
#include "wire/kafka/api.h"

struct coordinator;
struct coordinator_operation;
struct operation_call;

struct kafka_call {
	struct task task;
	struct coordinator *coordinator;
	const struct kafka_api *api;
	int16_t version; /* one that the api has */
	struct slice client_id;
	struct slice client_host;
	struct slice principal; /* empty: nobody signed in */
	int64_t incarnation;	/* of the agent that passed it on; 0: it is not known */
	int64_t connection_id;	/* of the client, at that agent */
	struct slice body;	/* borrowed until done */
	struct arena *arena;	/* of the caller; lives until done */
	struct denials denials; /* of what was asked so far, for the audit topic */
	struct buf response;	/* the owner of the struct has buf_init() and buf_done() */

	/* private to the kind that serves it */
	struct leader_call leader;
	const struct coordinator_operation *operation;
	struct operation_call *run;
	struct list waiting;
	void *state;
};

/* Start with everything above filled in; ERR_UNSUPPORTED when nobody serves the api. */
void kafka_call_start(struct kafka_call *call, struct task *parent);

/* The kinds, chosen by kafka_call_start(). */
extern const struct task_kind operation_call_kind;
extern const struct task_kind group_call_kind;
bool groups_serve(int16_t api_key);

#endif
