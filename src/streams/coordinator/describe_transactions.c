/* DescribeTransactions: what a transactional id is doing. */
#include "kafka_messages.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/transaction.h"
#include "wire/kafka/errors.h"

/* The rows come in order of topics; a new name begins a new topic. */
static void describe_partitions(struct cell *cell, struct operation_call *call,
				const struct transaction *t,
				struct kafka_describe_transactions_response_transaction *ret)
{
	size_t count = (size_t)t->partition_count, taken = 0;
	int32_t *partitions = arena_take_array(call->arena, count, sizeof(*partitions));
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT topic.name, partition.number FROM transaction_partition"
		      " JOIN partition ON partition.id = transaction_partition.partition"
		      " JOIN topic ON topic.id = partition.topic"
		      " WHERE transaction_partition.transactional = ?1 AND topic.deleted_ms IS NULL"
		      " ORDER BY topic.name, partition.number");

	ret->topics = arena_take_array(call->arena, count, sizeof(*ret->topics));
	cell_bind_int(st, 1, t->id);
	while (taken < count && cell_next(cell, st)) {
		struct slice name = cell_column_text(st, 0);
		if (!operation_sees(call, GRANT_DESCRIBE, GRANT_TOPIC, name))
			continue;
		if (ret->topics_count == 0 ||
		    !slice_equal(ret->topics[ret->topics_count - 1].topic, name))
			ret->topics[ret->topics_count++] =
				(struct kafka_describe_transactions_response_topic) {
					.topic = arena_copy(call->arena, name),
					.partitions = &partitions[taken],
				};
		partitions[taken++] = sqlite3_column_int(st, 1);
		ret->topics[ret->topics_count - 1].partitions_count++;
	}
	sqlite3_reset(st);
}

static enum err describe(struct cell *cell, struct operation_call *call, struct slice name,
			 struct kafka_describe_transactions_response_transaction *ret)
{
	struct transaction t;
	enum err err = ERR_NOT_FOUND;

	ret->transactional_id = name;
	ret->transaction_state = SLICE("");
	ret->error_code = KAFKA_TRANSACTIONAL_ID_NOT_FOUND;
	if (name.size == 0)
		ret->error_code = KAFKA_INVALID_REQUEST;
	else if (!operation_may(call, GRANT_DESCRIBE, GRANT_TRANSACTIONAL_ID, name))
		ret->error_code = KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	else
		err = transaction_find(call->arena, cell, name, &t);
	if (err)
		return err == ERR_NOT_FOUND ? OK : err;
	ret->error_code = KAFKA_NONE;
	ret->transaction_state = slice_from(transaction_state_name(t.state));
	ret->transaction_timeout_ms = t.timeout_ms;
	ret->transaction_start_time_ms = t.state == TRANSACTION_ONGOING ? t.started_ms : -1;
	ret->producer_id = t.producer_id;
	ret->producer_epoch = t.epoch;
	describe_partitions(cell, call, &t, ret);
	return OK;
}

static enum err describe_transactions(struct cell *cell, struct operation_call *call)
{
	const struct kafka_describe_transactions_request *request = call->request;
	struct kafka_describe_transactions_response *response = call->response;
	size_t count = request->transactional_ids_count;
	enum err err = OK;

	if (count > OPERATION_ITEMS_MAX)
		return ERR_INVALID;
	response->transaction_states_count = count;
	response->transaction_states =
		arena_take_array(call->arena, count, sizeof(*response->transaction_states));
	for (size_t i = 0; i < count && !err; i++)
		err = describe(cell, call, request->transactional_ids[i],
			       &response->transaction_states[i]);
	return err;
}

static void describe_transactions_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_describe_transactions_request *request = call->request;
	struct kafka_describe_transactions_response *response = call->response;
	size_t count = request->transactional_ids_count;

	response->transaction_states_count = count;
	response->transaction_states =
		arena_take_array(call->arena, count, sizeof(*response->transaction_states));
	for (size_t i = 0; i < count; i++) {
		response->transaction_states[i].transactional_id = request->transactional_ids[i];
		response->transaction_states[i].transaction_state = SLICE("");
		response->transaction_states[i].error_code = error;
	}
}

const struct coordinator_operation describe_transactions_operation = {
	.api_key = KAFKA_API_DESCRIBE_TRANSACTIONS,
	.needs_fence = true,
	.run = describe_transactions,
	.fail = describe_transactions_fail,
};
