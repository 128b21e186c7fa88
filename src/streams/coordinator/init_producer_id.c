/* InitProducerId: a new id for an idempotent producer (KIP-98).  Transactions are not served yet.
 */
#include "kafka_messages.h"
#include "streams/coordinator/counter.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/private.h"
#include "wire/kafka/errors.h"

enum { PRODUCER_ID_FIRST = 1000 };

/* Whoever may write anything may do it with idempotence. */
static bool may_write(const struct operation_call *call)
{
	return operation_may(call, GRANT_IDEMPOTENT_WRITE, GRANT_CLUSTER, GRANT_CLUSTER_NAME) ||
	       guard_may_any(coordinator_guard(call->coordinator), &call->caller, GRANT_WRITE,
			     GRANT_TOPIC);
}

static enum err init_producer_id(struct cell *cell, struct operation_call *call)
{
	const struct kafka_init_producer_id_request *request = call->request;
	struct kafka_init_producer_id_response *response = call->response;

	response->producer_id = -1;
	response->producer_epoch = -1;
	if (!request->transactional_id.data && !may_write(call)) {
		response->error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
		return OK;
	}
	if (request->transactional_id.data) {
		/* a word that every client takes as final */
		response->error_code = request->transactional_id.size
					       ? KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
					       : KAFKA_INVALID_REQUEST;
		return OK;
	}
	if ((request->producer_id == -1) != (request->producer_epoch == -1)) {
		response->error_code = KAFKA_INVALID_REQUEST;
		return OK;
	}
	response->producer_epoch = 0;
	return counter_next(cell, "producer_id", PRODUCER_ID_FIRST, &response->producer_id);
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
