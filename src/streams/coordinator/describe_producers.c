/* DescribeProducers: who writes to a partition with a producer id, and where an open transaction
 * began. */
#include "kafka_messages.h"
#include "streams/catalog/catalog.h"
#include "streams/coordinator/operations.h"
#include "wire/kafka/errors.h"

enum { DESCRIBED_PRODUCERS_MAX = 100000 }; /* in one answer, which fits into a frame */

static int64_t count_producers(struct cell *cell, int64_t partition)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT count(*) FROM producer WHERE partition = ?1");

	cell_bind_int(st, 1, partition);
	int64_t count = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return count;
}

static enum err describe_partition(struct cell *cell, struct operation_call *call,
				   int64_t partition, size_t *left,
				   struct kafka_describe_producers_response_partition *ret)
{
	size_t count = (size_t)count_producers(cell, partition);

	if (count > *left)
		return ERR_TOO_BIG;
	*left -= count;
	ret->active_producers =
		arena_take_array(call->arena, count, sizeof(*ret->active_producers));
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT producer.producer_id, producer.epoch, producer.last_sequence,"
		      " producer.last_ms, coalesce(open_transaction.first_offset, -1) FROM producer"
		      " LEFT JOIN open_transaction ON open_transaction.partition = ?1"
		      " AND open_transaction.producer_id = producer.producer_id"
		      " WHERE producer.partition = ?1 ORDER BY producer.producer_id");
	cell_bind_int(st, 1, partition);
	while (ret->active_producers_count < count && cell_next(cell, st))
		ret->active_producers[ret->active_producers_count++] =
			(struct kafka_describe_producers_response_producer) {
				.producer_id = sqlite3_column_int64(st, 0),
				.producer_epoch = sqlite3_column_int(st, 1),
				.last_sequence = sqlite3_column_int(st, 2),
				.last_timestamp = sqlite3_column_int64(st, 3),
				.current_txn_start_offset = sqlite3_column_int64(st, 4),
			};
	sqlite3_reset(st);
	ret->error_code = KAFKA_NONE;
	return OK;
}

static void begin_topic(struct operation_call *call,
			const struct kafka_describe_producers_request_topic *asked,
			struct kafka_describe_producers_response_topic *ret, int16_t error)
{
	ret->name = asked->name;
	ret->partitions_count = asked->partition_indexes_count;
	ret->partitions =
		arena_take_array(call->arena, ret->partitions_count, sizeof(*ret->partitions));
	for (size_t i = 0; i < ret->partitions_count; i++) {
		ret->partitions[i].partition_index = asked->partition_indexes[i];
		ret->partitions[i].error_code = error;
	}
}

static enum err describe_topic(struct cell *cell, struct operation_call *call,
			       const struct kafka_describe_producers_request_topic *asked,
			       size_t *left, struct kafka_describe_producers_response_topic *ret)
{
	struct catalog_topic topic;

	if (!operation_may(call, GRANT_READ, GRANT_TOPIC, asked->name)) {
		begin_topic(call, asked, ret, KAFKA_TOPIC_AUTHORIZATION_FAILED);
		return OK;
	}
	enum err err = catalog_topic_by_name(call->arena, cell, asked->name, &topic);
	begin_topic(call, asked, ret, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	if (err)
		return err == ERR_NOT_FOUND ? OK : err;
	for (size_t i = 0; i < ret->partitions_count && !err; i++) {
		struct catalog_partition partition;
		err = catalog_partition_find(cell, topic.id, asked->partition_indexes[i],
					     &partition);
		if (!err)
			err = describe_partition(cell, call, partition.id, left,
						 &ret->partitions[i]);
		else if (err == ERR_NOT_FOUND)
			err = OK;
	}
	return err;
}

static struct kafka_describe_producers_response *begin(struct operation_call *call)
{
	const struct kafka_describe_producers_request *request = call->request;
	struct kafka_describe_producers_response *response = call->response;

	response->topics_count = request->topics_count;
	response->topics =
		arena_take_array(call->arena, request->topics_count, sizeof(*response->topics));
	return response;
}

static enum err describe_producers(struct cell *cell, struct operation_call *call)
{
	const struct kafka_describe_producers_request *request = call->request;
	struct kafka_describe_producers_response *response = begin(call);
	size_t left = DESCRIBED_PRODUCERS_MAX;
	enum err err = OK;

	for (size_t i = 0; i < request->topics_count && !err; i++)
		err = describe_topic(cell, call, &request->topics[i], &left, &response->topics[i]);
	return err;
}

static void describe_producers_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_describe_producers_request *request = call->request;
	struct kafka_describe_producers_response *response = begin(call);

	for (size_t i = 0; i < request->topics_count; i++)
		begin_topic(call, &request->topics[i], &response->topics[i], error);
}

const struct coordinator_operation describe_producers_operation = {
	.api_key = KAFKA_API_DESCRIBE_PRODUCERS,
	.needs_fence = true,
	.run = describe_producers,
	.fail = describe_producers_fail,
};
