/* AddPartitionsToTxn: the partitions a transaction of the first protocol is going to write to.
 * Versions 4 and 5 are what brokers ask each other, about several transactions, to add or merely to
 * verify; up to version 3 a request is turned into that form, and its answer back. */
#include "kafka_messages.h"
#include "streams/catalog/catalog.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/transaction_speaker.h"
#include "wire/kafka/errors.h"

enum { ONE_TRANSACTION_VERSION_LAST = 3, REQUEST_TRANSACTIONS_MAX = 1000 };

/* --- one transaction ---------------------------------------------------------------------------
 */

/* The answer, with `error` for every partition. */
static void begin_answer(struct arena *a,
			 const struct kafka_add_partitions_to_txn_request_transaction *asked,
			 struct kafka_add_partitions_to_txn_response_transaction *ret,
			 int16_t error)
{
	ret->transactional_id = asked->transactional_id;
	ret->topic_results_count = asked->topics_count;
	ret->topic_results = arena_take_array(a, asked->topics_count, sizeof(*ret->topic_results));
	for (size_t i = 0; i < asked->topics_count; i++) {
		const struct kafka_add_partitions_to_txn_request_topic *topic = &asked->topics[i];
		struct kafka_add_partitions_to_txn_response_topic *told = &ret->topic_results[i];
		told->name = topic->name;
		told->results_by_partition_count = topic->partitions_count;
		told->results_by_partition = arena_take_array(a, topic->partitions_count,
							      sizeof(*told->results_by_partition));
		for (size_t k = 0; k < topic->partitions_count; k++) {
			told->results_by_partition[k].partition_index = topic->partitions[k];
			told->results_by_partition[k].partition_error_code = error;
		}
	}
}

static enum err find_partition(struct operation_call *call, struct cell *cell, struct slice name,
			       int32_t number, int64_t *ret_row)
{
	struct catalog_topic topic;
	struct catalog_partition partition;
	enum err err = catalog_topic_by_name(call->arena, cell, name, &topic);

	if (!err)
		err = catalog_partition_find(cell, topic.id, number, &partition);
	if (!err)
		*ret_row = partition.id;
	return err;
}

/* Those that exist may not be added when another one does not. */
static enum err check_partitions(
	struct operation_call *call, struct cell *cell,
	const struct kafka_add_partitions_to_txn_request_transaction *asked,
	struct kafka_add_partitions_to_txn_response_transaction *ret, bool *ret_exist)
{
	*ret_exist = true;
	for (size_t i = 0; i < asked->topics_count; i++) {
		bool may = operation_may(call, GRANT_WRITE, GRANT_TOPIC, asked->topics[i].name);
		for (size_t k = 0; k < asked->topics[i].partitions_count; k++) {
			int16_t *error =
				&ret->topic_results[i].results_by_partition[k].partition_error_code;
			int64_t row;
			enum err err = find_partition(call, cell, asked->topics[i].name,
						      asked->topics[i].partitions[k], &row);
			if (err && err != ERR_NOT_FOUND)
				return err;
			*ret_exist &= !err && may;
			*error = KAFKA_OPERATION_NOT_ATTEMPTED;
			if (!may)
				*error = KAFKA_TOPIC_AUTHORIZATION_FAILED;
			else if (err)
				*error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		}
	}
	return OK;
}

static enum err take_partition(struct cell *cell, struct transaction *t, int64_t row,
			       bool verify_only, int16_t *ret_error)
{
	*ret_error = KAFKA_NONE;
	if (!verify_only)
		return transaction_add_partition(cell, t, row);
	if (t->state != TRANSACTION_ONGOING || !transaction_has_partition(cell, t, row))
		*ret_error = KAFKA_TRANSACTION_ABORTABLE;
	return OK;
}

static enum err take_partitions(struct operation_call *call, struct cell *cell,
				const struct kafka_add_partitions_to_txn_request_transaction *asked,
				struct transaction *t,
				struct kafka_add_partitions_to_txn_response_transaction *ret)
{
	enum err err = OK;

	for (size_t i = 0; i < asked->topics_count && !err; i++) {
		for (size_t k = 0; k < asked->topics[i].partitions_count && !err; k++) {
			int64_t row;
			err = find_partition(call, cell, asked->topics[i].name,
					     asked->topics[i].partitions[k], &row);
			if (!err)
				err = take_partition(cell, t, row, asked->verify_only,
						     &ret->topic_results[i]
							      .results_by_partition[k]
							      .partition_error_code);
		}
	}
	return err;
}

static enum err run_one(struct operation_call *call, struct cell *cell,
			const struct kafka_add_partitions_to_txn_request_transaction *asked,
			struct kafka_add_partitions_to_txn_response_transaction *ret)
{
	struct transaction_speaker speaker = { asked->transactional_id, asked->producer_id,
					       asked->producer_epoch };
	struct transaction t;
	bool exist;
	int16_t error;

	enum err err = transaction_admit(call, cell, &speaker, &t, &error);
	if (err)
		return err;
	begin_answer(call->arena, asked, ret,
		     transaction_error_for(error, call->version, TRANSACTION_FENCED_FIRST));
	if (error)
		return OK;
	err = check_partitions(call, cell, asked, ret, &exist);
	if (err || !exist)
		return err;
	bool begins = !asked->verify_only && t.state != TRANSACTION_ONGOING;
	int64_t count = t.partition_count;
	if (begins)
		transaction_begin(&t, call->now_ms);
	err = take_partitions(call, cell, asked, &t, ret);
	return err || (!begins && t.partition_count == count) ? err : transaction_save(cell, &t);
}

/* --- the request -------------------------------------------------------------------------------
 */

static struct kafka_add_partitions_to_txn_request_transaction old_request(
	const struct operation_call *call)
{
	const struct kafka_add_partitions_to_txn_request *request = call->request;
	size_t count = request->v3_and_below_topics_count;
	struct kafka_add_partitions_to_txn_request_transaction asked = {
		.transactional_id = request->v3_and_below_transactional_id,
		.producer_id = request->v3_and_below_producer_id,
		.producer_epoch = request->v3_and_below_producer_epoch,
		.topics_count = count,
		.topics = arena_take_array(call->arena, count, sizeof(*asked.topics)),
	};

	for (size_t i = 0; i < count; i++) {
		asked.topics[i].name = request->v3_and_below_topics[i].name;
		asked.topics[i].partitions = request->v3_and_below_topics[i].partitions;
		asked.topics[i].partitions_count = request->v3_and_below_topics[i].partitions_count;
	}
	return asked;
}

static void answer_old(struct operation_call *call,
		       const struct kafka_add_partitions_to_txn_response_transaction *told)
{
	struct kafka_add_partitions_to_txn_response *response = call->response;
	size_t count = told->topic_results_count;

	response->results_by_topic_v3_and_below_count = count;
	response->results_by_topic_v3_and_below =
		arena_take_array(call->arena, count,
				 sizeof(*response->results_by_topic_v3_and_below));
	for (size_t i = 0; i < count; i++) {
		const struct kafka_add_partitions_to_txn_response_topic *from =
			&told->topic_results[i];
		struct kafka_add_partitions_to_txn_response_old_topic *to =
			&response->results_by_topic_v3_and_below[i];
		to->name = from->name;
		to->results_by_partition_count = from->results_by_partition_count;
		to->results_by_partition =
			arena_take_array(call->arena, to->results_by_partition_count,
					 sizeof(*to->results_by_partition));
		for (size_t k = 0; k < to->results_by_partition_count; k++) {
			to->results_by_partition[k].partition_index =
				from->results_by_partition[k].partition_index;
			to->results_by_partition[k].partition_error_code =
				from->results_by_partition[k].partition_error_code;
		}
	}
}

static enum err add_partitions_to_txn(struct cell *cell, struct operation_call *call)
{
	const struct kafka_add_partitions_to_txn_request *request = call->request;
	struct kafka_add_partitions_to_txn_response *response = call->response;
	size_t count = request->transactions_count;
	enum err err = OK;

	if (call->version <= ONE_TRANSACTION_VERSION_LAST) {
		struct kafka_add_partitions_to_txn_request_transaction asked = old_request(call);
		struct kafka_add_partitions_to_txn_response_transaction told = {
			.topic_results_count = 0
		};
		err = run_one(call, cell, &asked, &told);
		answer_old(call, &told);
		return err;
	}
	if (count > REQUEST_TRANSACTIONS_MAX)
		return ERR_INVALID;
	if (!operation_may(call, GRANT_CLUSTER_ACTION, GRANT_CLUSTER, GRANT_CLUSTER_NAME)) {
		response->error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
		return OK;
	}
	response->results_by_transaction_count = count;
	response->results_by_transaction =
		arena_take_array(call->arena, count, sizeof(*response->results_by_transaction));
	for (size_t i = 0; i < count && !err; i++)
		err = run_one(call, cell, &request->transactions[i],
			      &response->results_by_transaction[i]);
	return err;
}

static void add_partitions_to_txn_fail(struct operation_call *call, int16_t error)
{
	struct kafka_add_partitions_to_txn_response *response = call->response;

	response->error_code = error;
	if (call->version > ONE_TRANSACTION_VERSION_LAST)
		return;
	struct kafka_add_partitions_to_txn_request_transaction asked = old_request(call);
	struct kafka_add_partitions_to_txn_response_transaction told = { .topic_results_count = 0 };
	begin_answer(call->arena, &asked, &told, error);
	answer_old(call, &told);
}

const struct coordinator_operation add_partitions_to_txn_operation = {
	.api_key = KAFKA_API_ADD_PARTITIONS_TO_TXN,
	.run = add_partitions_to_txn,
	.fail = add_partitions_to_txn_fail,
};
