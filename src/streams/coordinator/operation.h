/* Operations on the cell: plain functions that run in one transaction and cannot wait.
 *
 * Most Kafka requests that reach control are one row here: the generic task of operation.c decodes
 * the request, runs it on the cell through leader_run(), and encodes the answer once what it
 * depends on is durable.  Errors that Kafka knows go into the response and `run` returns OK, with
 * nothing changed for that item; an enum err other than OK rolls everything back and is answered
 * with operation->fail. */
#ifndef STREAMS_COORDINATOR_OPERATION_H
#define STREAMS_COORDINATOR_OPERATION_H

#include "base/arena.h"
#include "cells/cell.h"
#include "streams/catalog/denials.h"
#include "streams/coordinator/coordinator.h"
#include "streams/coordinator/transaction_session.h"
#include "wire/kafka/api.h"

enum {
	OPERATION_ITEMS_MAX = 1000,  /* topics of one request */
	OPERATION_FILTERS_MAX = 100, /* each of which looks at everything */
};

struct operation_call {
	struct coordinator *coordinator;
	struct arena *arena; /* for the response */
	int16_t version;
	struct slice client_id;
	struct slice client_host;
	struct guard_caller caller;
	struct denials *denials;
	int64_t now_ms;	      /* of the journal */
	const void *request;  /* struct of the api's request */
	void *response;	      /* struct of the api's response, set to its defaults */
	uint64_t throttle_ms; /* how long the client is to wait, see operation_mutate() */
	struct transaction_session session;
	bool is_outdated; /* out: not served, because the client speaks on a newer connection */
};

struct coordinator_operation {
	int16_t api_key;
	bool needs_fence;    /* a read that must be linearizable */
	bool changes_topics; /* groups look at the topics again */
	bool is_controllers; /* Kafka asks its controller for this, not a coordinator */
	enum err (*run)(struct cell *cell, struct operation_call *call);
	/* Fill the response for a request that failed as a whole with this Kafka error. */
	void (*fail)(struct operation_call *call, int16_t error);
};

const struct coordinator_operation *coordinator_operation_find(int16_t api_key);

/* May the client do that?  Every operation asks, before it tells whether the thing exists; where
 * the answer is no, it answers with the resource's AUTHORIZATION_FAILED, and it is audited. */
bool operation_may(const struct operation_call *call, enum grant_operation operation,
		   enum grant_resource resource, struct slice name);

/* The same where "no" is no denial: it is left out of a list, or something else is asked next. */
bool operation_sees(const struct operation_call *call, enum grant_operation operation,
		    enum grant_resource resource, struct slice name);

/* Count partitions that are created or deleted against the client's quota.  When it is used up and
 * the version of the request knows that (`strict_first` and later), THROTTLING_QUOTA_EXCEEDED, and
 * nothing is to be done. */
int16_t operation_mutate(struct cell *cell, struct operation_call *call, int16_t strict_first,
			 int32_t partitions);

/* The one translation of enum err to Kafka's codes; all of them are retriable unless the input is
 * at fault or the catalog is full. */
int16_t coordinator_error(enum err err);

#endif
