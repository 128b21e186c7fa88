/* WriteTxnMarkers: how an administrator ends a transaction whose producer is gone.
 *
 * Kafka's brokers send it to each other, and it concerns one partition.  Here a transaction ends as
 * a whole or not at all: aborting it in one partition aborts all of it, and its producer takes the
 * next epoch.  Only the producer commits. */
#include "kafka_messages.h"
#include "streams/catalog/catalog.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/transaction.h"
#include "wire/kafka/errors.h"

enum { MARKERS_MAX = 1000 };

static enum err end_transaction(struct cell *cell, struct operation_call *call,
				const struct kafka_write_txn_markers_request_marker *marker,
				int64_t partition, int16_t *ret_error)
{
	struct transaction t;

	*ret_error = KAFKA_NONE;
	if (!transaction_is_open(cell, partition, marker->producer_id))
		return OK;
	enum err err = transaction_find_producer(call->arena, cell, marker->producer_id, &t);
	if (err)
		return err;
	if (marker->producer_epoch < t.epoch)
		*ret_error = KAFKA_INVALID_PRODUCER_EPOCH;
	else if (marker->transaction_result)
		*ret_error = KAFKA_INVALID_TXN_STATE;
	return *ret_error ? OK : transaction_fence(call->arena, cell, &t, true, call->now_ms);
}

static enum err end_in_topic(struct cell *cell, struct operation_call *call,
			     const struct kafka_write_txn_markers_request_marker *marker,
			     const struct kafka_write_txn_markers_request_topic *asked,
			     struct kafka_write_txn_markers_response_topic *ret)
{
	struct catalog_topic topic;
	enum err err = catalog_topic_by_name(call->arena, cell, asked->name, &topic);
	bool is_known = !err;

	if (err && err != ERR_NOT_FOUND)
		return err;
	ret->name = asked->name;
	ret->partitions_count = asked->partition_indexes_count;
	ret->partitions =
		arena_take_array(call->arena, ret->partitions_count, sizeof(*ret->partitions));
	err = OK;
	for (size_t i = 0; i < ret->partitions_count && !err; i++) {
		struct catalog_partition partition;
		ret->partitions[i].partition_index = asked->partition_indexes[i];
		ret->partitions[i].error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		if (!is_known)
			continue;
		err = catalog_partition_find(cell, topic.id, asked->partition_indexes[i],
					     &partition);
		if (!err)
			err = end_transaction(cell, call, marker, partition.id,
					      &ret->partitions[i].error_code);
		else if (err == ERR_NOT_FOUND)
			err = OK;
	}
	return err;
}

static void write_txn_markers_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_write_txn_markers_request *request = call->request;
	struct kafka_write_txn_markers_response *response = call->response;
	struct arena *a = call->arena;

	response->markers_count = request->markers_count;
	response->markers = arena_take_array(a, request->markers_count, sizeof(*response->markers));
	for (size_t i = 0; i < request->markers_count; i++) {
		const struct kafka_write_txn_markers_request_marker *marker = &request->markers[i];
		struct kafka_write_txn_markers_response_marker *ret = &response->markers[i];
		ret->producer_id = marker->producer_id;
		ret->topics_count = marker->topics_count;
		ret->topics = arena_take_array(a, marker->topics_count, sizeof(*ret->topics));
		for (size_t k = 0; k < marker->topics_count; k++) {
			struct kafka_write_txn_markers_response_topic *topic = &ret->topics[k];
			topic->name = marker->topics[k].name;
			topic->partitions_count = marker->topics[k].partition_indexes_count;
			topic->partitions = arena_take_array(a, topic->partitions_count,
							     sizeof(*topic->partitions));
			for (size_t n = 0; n < topic->partitions_count; n++) {
				topic->partitions[n].partition_index =
					marker->topics[k].partition_indexes[n];
				topic->partitions[n].error_code = error;
			}
		}
	}
}

static enum err write_txn_markers(struct cell *cell, struct operation_call *call)
{
	const struct kafka_write_txn_markers_request *request = call->request;
	struct kafka_write_txn_markers_response *response = call->response;
	enum err err = OK;

	if (request->markers_count > MARKERS_MAX)
		return ERR_INVALID;
	if (!operation_may(call, GRANT_CLUSTER_ACTION, GRANT_CLUSTER, GRANT_CLUSTER_NAME)) {
		write_txn_markers_fail(call, KAFKA_CLUSTER_AUTHORIZATION_FAILED);
		return OK;
	}
	response->markers_count = request->markers_count;
	response->markers =
		arena_take_array(call->arena, request->markers_count, sizeof(*response->markers));
	for (size_t i = 0; i < request->markers_count && !err; i++) {
		const struct kafka_write_txn_markers_request_marker *marker = &request->markers[i];
		struct kafka_write_txn_markers_response_marker *ret = &response->markers[i];
		ret->producer_id = marker->producer_id;
		ret->topics_count = marker->topics_count;
		ret->topics =
			arena_take_array(call->arena, marker->topics_count, sizeof(*ret->topics));
		for (size_t k = 0; k < marker->topics_count && !err; k++)
			err = end_in_topic(cell, call, marker, &marker->topics[k], &ret->topics[k]);
	}
	return err;
}

const struct coordinator_operation write_txn_markers_operation = {
	.api_key = KAFKA_API_WRITE_TXN_MARKERS,
	.run = write_txn_markers,
	.fail = write_txn_markers_fail,
};
