/* CreatePartitions: the count can only grow. */
#include "kafka_messages.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/topic.h"
#include "wire/kafka/errors.h"

/* The version from which on clients know THROTTLING_QUOTA_EXCEEDED. */
enum { QUOTA_ERROR_FIRST = 3 };

static int16_t refuse(struct kafka_create_partitions_response_topic *result, int16_t error,
		      const char *message)
{
	result->error_code = error;
	result->error_message = slice_from(message);
	return error;
}

/* Null: the broker may choose. */
static const char *assignments_fault(struct cell *cell,
				     const struct kafka_create_partitions_request_topic *asked,
				     size_t added)
{
	const char *fault = NULL;

	if (asked->assignments && asked->assignments_count != added)
		return "there is one assignment for each new partition";
	for (size_t i = 0; i < asked->assignments_count && !fault; i++)
		fault = topic_brokers_fault(cell, asked->assignments[i].broker_ids,
					    asked->assignments[i].broker_ids_count);
	return fault;
}

static int16_t check_topic(struct cell *cell, struct operation_call *call,
			   const struct kafka_create_partitions_request_topic *asked,
			   struct kafka_create_partitions_response_topic *result,
			   struct catalog_topic *ret)
{
	if (!operation_may(call, GRANT_ALTER, GRANT_TOPIC, asked->name))
		return refuse(result, KAFKA_TOPIC_AUTHORIZATION_FAILED, "it needs ALTER");
	if (catalog_topic_by_name(call->arena, cell, asked->name, ret))
		return refuse(result, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic");
	if (asked->count <= ret->partition_count)
		return refuse(result, KAFKA_INVALID_PARTITIONS,
			      "the count must be larger than the topic's");
	if (asked->count > CATALOG_PARTITIONS_MAX)
		return refuse(result, KAFKA_INVALID_PARTITIONS, "a topic has at most 10000");
	const char *fault =
		assignments_fault(cell, asked, (size_t)(asked->count - ret->partition_count));
	return fault ? refuse(result, KAFKA_INVALID_REPLICA_ASSIGNMENT, fault) : KAFKA_NONE;
}

static enum err grow_topic(struct cell *cell, const struct catalog_topic *topic, int32_t count)
{
	sqlite3_stmt *st =
		cell_statement(cell, "UPDATE topic SET partition_count = ?2 WHERE id = ?1");

	cell_bind_int(st, 1, topic->id);
	cell_bind_int(st, 2, count);
	enum err err = cell_execute(cell, st);
	return err ? err : topic_add_partitions(cell, topic->id, topic->partition_count, count);
}

static bool is_repeated(const struct kafka_create_partitions_request *request, size_t i)
{
	for (size_t k = 0; k < request->topics_count; k++)
		if (k != i && slice_equal(request->topics[k].name, request->topics[i].name))
			return true;
	return false;
}

static int16_t check_quota(struct cell *cell, struct operation_call *call, int32_t added,
			   struct kafka_create_partitions_response_topic *result)
{
	int16_t error = operation_mutate(cell, call, QUOTA_ERROR_FIRST, added);

	return error ? refuse(result, error, "the client has changed too many partitions for now")
		     : error;
}

static enum err create_partitions(struct cell *cell, struct operation_call *call)
{
	const struct kafka_create_partitions_request *request = call->request;
	struct kafka_create_partitions_response *response = call->response;
	enum err err = OK;

	if (request->topics_count > OPERATION_ITEMS_MAX)
		return ERR_TOO_BIG;
	response->results_count = request->topics_count;
	response->results =
		arena_take_array(call->arena, request->topics_count, sizeof(*response->results));
	for (size_t i = 0; i < request->topics_count && !err; i++) {
		const struct kafka_create_partitions_request_topic *asked = &request->topics[i];
		struct kafka_create_partitions_response_topic *result = &response->results[i];
		struct catalog_topic topic;
		result->name = asked->name;
		if (is_repeated(request, i))
			refuse(result, KAFKA_INVALID_REQUEST, "the request names this topic twice");
		else if (!check_topic(cell, call, asked, result, &topic) &&
			 !request->validate_only &&
			 !check_quota(cell, call, asked->count - topic.partition_count, result))
			err = grow_topic(cell, &topic, asked->count);
	}
	response->throttle_time_ms = (int32_t)call->throttle_ms;
	return err;
}

static void create_partitions_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_create_partitions_request *request = call->request;
	struct kafka_create_partitions_response *response = call->response;

	response->results_count = request->topics_count;
	response->results =
		arena_take_array(call->arena, request->topics_count, sizeof(*response->results));
	for (size_t i = 0; i < request->topics_count; i++) {
		response->results[i].name = request->topics[i].name;
		response->results[i].error_code = error;
	}
}

const struct coordinator_operation create_partitions_operation = {
	.api_key = 37,
	.changes_topics = true,
	.is_controllers = true,
	.run = create_partitions,
	.fail = create_partitions_fail,
};
