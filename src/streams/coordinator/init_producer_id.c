/* InitProducerId: a new id for an idempotent producer (KIP-98), or the next epoch for a
 * transactional one, which fences whoever had the one before (KIP-360, KIP-588). */
#include "kafka_messages.h"
#include "streams/catalog/config.h"
#include "streams/coordinator/counter.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/private.h"
#include "streams/coordinator/transaction_speaker.h"
#include "wire/kafka/errors.h"

/* Whoever may write anything may do it with idempotence. */
static bool may_write(const struct operation_call *call)
{
	return guard_may_any(coordinator_guard(call->coordinator), &call->caller, GRANT_WRITE,
			     GRANT_TOPIC) ||
	       operation_may(call, GRANT_IDEMPOTENT_WRITE, GRANT_CLUSTER, GRANT_CLUSTER_NAME);
}

static bool names_producer(const struct kafka_init_producer_id_request *request)
{
	return request->producer_id != -1;
}

/* A client that names its producer goes on with it: it may be the current one, or the one before,
 * if its answer was lost or the coordinator ended its transaction. */
static int16_t check_named(const struct kafka_init_producer_id_request *request,
			   const struct transaction *t, bool *ret_repeats)
{
	*ret_repeats = false;
	if (t->producer_id == request->producer_id && t->epoch == request->producer_epoch)
		return KAFKA_NONE;
	if (t->previous_producer_id == request->producer_id &&
	    t->previous_epoch == request->producer_epoch && t->state != TRANSACTION_ONGOING) {
		*ret_repeats = true;
		return KAFKA_NONE;
	}
	return KAFKA_PRODUCER_FENCED;
}

/* It is served on any connection, as in Kafka: Admin.fenceProducers may come on one that is older
 * than that of the producer it fences.  With the next epoch this is the connection that speaks:
 * what is late on others has an epoch before.  The same epoch once more makes none older. */
static void note_session(struct operation_call *call, struct transaction *t, bool repeats)
{
	enum transaction_session_age age = transaction_session_look(t->sessions, call->session);

	if (age == TRANSACTION_SESSION_NEWER || (age == TRANSACTION_SESSION_OLDER && !repeats))
		t->sessions = transaction_session_note(call->arena, t->sessions, call->session);
}

static enum err take_next(struct cell *cell, struct operation_call *call, struct transaction *t)
{
	const struct kafka_init_producer_id_request *request = call->request;
	struct kafka_init_producer_id_response *response = call->response;
	bool repeats = false;
	enum err err = OK;

	if (names_producer(request))
		response->error_code =
			transaction_error_for(check_named(request, t, &repeats), call->version,
					      TRANSACTION_FENCED_FIRST_INIT);
	if (response->error_code)
		return OK;
	if (t->state == TRANSACTION_ONGOING)
		err = transaction_fence(call->arena, cell, t, names_producer(request),
					call->now_ms);
	else if (!repeats)
		err = transaction_bump(cell, t, names_producer(request));
	if (err)
		return err;
	note_session(call, t, repeats);
	t->state = TRANSACTION_EMPTY;
	t->timeout_ms = request->transaction_timeout_ms;
	t->updated_ms = call->now_ms;
	response->producer_id = t->producer_id;
	response->producer_epoch = t->epoch;
	return transaction_save(cell, t);
}

static enum err begin(struct cell *cell, struct operation_call *call)
{
	const struct kafka_init_producer_id_request *request = call->request;
	struct kafka_init_producer_id_response *response = call->response;
	struct transaction t = {
		.name = request->transactional_id,
		.previous_producer_id = -1,
		.previous_epoch = -1,
		.timeout_ms = request->transaction_timeout_ms,
		.updated_ms = call->now_ms,
	};

	enum err err = counter_next_producer_id(cell, &t.producer_id);
	if (err)
		return err;
	if (call->session.incarnation)
		t.sessions = transaction_session_note(call->arena, t.sessions, call->session);
	response->producer_id = t.producer_id;
	response->producer_epoch = 0;
	return transaction_save(cell, &t);
}

static enum err init_transactional(struct cell *cell, struct operation_call *call)
{
	const struct kafka_init_producer_id_request *request = call->request;
	struct kafka_init_producer_id_response *response = call->response;
	struct transaction t;

	if (request->transactional_id.size == 0 ||
	    request->transactional_id.size > TRANSACTIONAL_ID_BYTES_MAX) {
		response->error_code = KAFKA_INVALID_REQUEST;
		return OK;
	}
	if (!operation_may(call, GRANT_WRITE, GRANT_TRANSACTIONAL_ID, request->transactional_id)) {
		response->error_code = KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
		return OK;
	}
	if (request->transaction_timeout_ms <= 0 ||
	    request->transaction_timeout_ms > config_broker_number(cell,
								   "transaction.max.timeout.ms",
								   TRANSACTION_TIMEOUT_MS_MAX)) {
		response->error_code = KAFKA_INVALID_TRANSACTION_TIMEOUT;
		return OK;
	}
	enum err err = transaction_find(call->arena, cell, request->transactional_id, &t);
	if (err == ERR_NOT_FOUND)
		return begin(cell, call);
	return err ? err : take_next(cell, call, &t);
}

static enum err init_producer_id(struct cell *cell, struct operation_call *call)
{
	const struct kafka_init_producer_id_request *request = call->request;
	struct kafka_init_producer_id_response *response = call->response;

	response->error_code = KAFKA_NONE;
	response->producer_id = -1;
	response->producer_epoch = -1;
	if (!request->transactional_id.data && !may_write(call)) {
		response->error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
		return OK;
	}
	if ((request->producer_id == -1) != (request->producer_epoch == -1)) {
		response->error_code = KAFKA_INVALID_REQUEST;
		return OK;
	}
	if (request->transactional_id.data)
		return init_transactional(cell, call);
	response->producer_epoch = 0;
	return counter_next_producer_id(cell, &response->producer_id);
}

static void init_producer_id_fail(struct operation_call *call, int16_t error)
{
	struct kafka_init_producer_id_response *response = call->response;

	response->error_code = error;
	response->producer_id = -1;
	response->producer_epoch = -1;
}

const struct coordinator_operation init_producer_id_operation = {
	.api_key = 22,
	.run = init_producer_id,
	.fail = init_producer_id_fail,
};
