/* AddOffsetsToTxn: the group whose offsets a transaction of the first protocol is going to commit.
 */
#include "kafka_messages.h"
#include "streams/coordinator/group.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/transaction_speaker.h"
#include "wire/kafka/errors.h"

static enum err add_offsets_to_txn(struct cell *cell, struct operation_call *call)
{
	const struct kafka_add_offsets_to_txn_request *request = call->request;
	struct kafka_add_offsets_to_txn_response *response = call->response;
	struct transaction_speaker speaker = { request->transactional_id, request->producer_id,
					       request->producer_epoch };
	struct transaction t;
	int16_t error = KAFKA_NONE;
	enum err err = OK;

	if (request->group_id.size == 0 || request->group_id.size > GROUP_NAME_BYTES_MAX)
		error = KAFKA_INVALID_GROUP_ID;
	else if (!operation_may(call, GRANT_READ, GRANT_GROUP, request->group_id))
		error = KAFKA_GROUP_AUTHORIZATION_FAILED;
	else
		err = transaction_admit(call, cell, &speaker, &t, &error);
	if (err)
		return err;
	response->error_code =
		transaction_error_for(error, call->version, TRANSACTION_FENCED_FIRST);
	if (error)
		return OK;
	if (t.state != TRANSACTION_ONGOING) {
		transaction_begin(&t, call->now_ms);
		err = transaction_save(cell, &t);
	}
	return err ? err : transaction_add_group(cell, &t, request->group_id);
}

static void add_offsets_to_txn_fail(struct operation_call *call, int16_t error)
{
	struct kafka_add_offsets_to_txn_response *response = call->response;

	response->error_code = error;
}

const struct coordinator_operation add_offsets_to_txn_operation = {
	.api_key = KAFKA_API_ADD_OFFSETS_TO_TXN,
	.run = add_offsets_to_txn,
	.fail = add_offsets_to_txn_fail,
};
