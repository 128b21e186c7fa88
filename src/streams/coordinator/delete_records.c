/* DeleteRecords: the log start of a partition moves up; what lies before it is not read again.
 * Runs that end before it go in bounded steps (sweep.h), and their files when nothing is left in
 * them. */
#include "kafka_messages.h"
#include "streams/catalog/config.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/retention.h"
#include "wire/kafka/errors.h"

enum { DELETE_RECORDS_PARTITIONS_MAX = 10000, OFFSET_OF_THE_END = -1 };

static enum err delete_partition(struct cell *cell, const struct catalog_topic *topic,
				 const struct kafka_delete_records_request_partition *asked,
				 struct kafka_delete_records_response_partition *ret)
{
	struct catalog_partition partition;
	int64_t offset = asked->offset;
	enum err err = catalog_partition_find(cell, topic->id, asked->partition_index, &partition);

	if (err == ERR_NOT_FOUND) {
		ret->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		return OK;
	}
	if (err)
		return err;
	if (offset == OFFSET_OF_THE_END)
		offset = partition.high_watermark;
	if (offset < 0 || offset > partition.high_watermark) {
		ret->error_code = KAFKA_OFFSET_OUT_OF_RANGE;
		return OK;
	}
	ret->low_watermark = partition.log_start_offset;
	if (offset <= partition.log_start_offset)
		return OK;
	ret->low_watermark = offset;
	return retention_move_log_start(cell, partition.id, offset);
}

static void begin_partitions(struct arena *a,
			     const struct kafka_delete_records_request_topic *asked, int16_t error,
			     struct kafka_delete_records_response_topic *ret)
{
	ret->name = asked->name;
	ret->partitions_count = asked->partitions_count;
	ret->partitions = arena_take_array(a, asked->partitions_count, sizeof(*ret->partitions));
	for (size_t i = 0; i < asked->partitions_count; i++)
		ret->partitions[i] = (struct kafka_delete_records_response_partition) {
			.partition_index = asked->partitions[i].partition_index,
			.low_watermark = -1,
			.error_code = error,
		};
}

static enum err delete_topic_records(struct cell *cell, struct operation_call *call,
				     const struct kafka_delete_records_request_topic *asked,
				     struct kafka_delete_records_response_topic *ret)
{
	struct config_topic_rules rules;
	struct catalog_topic topic;
	int16_t error = KAFKA_NONE;
	enum err err = catalog_topic_by_name(call->arena, cell, asked->name, &topic);

	if (err && err != ERR_NOT_FOUND)
		return err;
	if (!operation_may(call, GRANT_DELETE, GRANT_TOPIC, asked->name)) {
		error = KAFKA_TOPIC_AUTHORIZATION_FAILED;
	} else if (err) {
		error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	} else {
		config_topic_rules(cell, topic.name, &rules);
		if (!rules.is_deleted)
			error = KAFKA_POLICY_VIOLATION;
	}
	begin_partitions(call->arena, asked, error, ret);
	err = OK;
	for (size_t i = 0; i < asked->partitions_count && !error && !err; i++)
		err = delete_partition(cell, &topic, &asked->partitions[i], &ret->partitions[i]);
	return err;
}

static enum err delete_records(struct cell *cell, struct operation_call *call)
{
	const struct kafka_delete_records_request *request = call->request;
	struct kafka_delete_records_response *response = call->response;
	size_t partition_count = 0;
	enum err err = OK;

	for (size_t i = 0; i < request->topics_count; i++)
		partition_count += request->topics[i].partitions_count;
	if (request->topics_count > OPERATION_ITEMS_MAX ||
	    partition_count > DELETE_RECORDS_PARTITIONS_MAX)
		return ERR_TOO_BIG;
	response->topics_count = request->topics_count;
	response->topics =
		arena_take_array(call->arena, request->topics_count, sizeof(*response->topics));
	for (size_t i = 0; i < request->topics_count && !err; i++)
		err = delete_topic_records(cell, call, &request->topics[i], &response->topics[i]);
	return err;
}

/* Clients ask partitions' leaders for this. */
static void delete_records_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_delete_records_request *request = call->request;
	struct kafka_delete_records_response *response = call->response;

	if (error == KAFKA_COORDINATOR_NOT_AVAILABLE)
		error = KAFKA_NOT_LEADER_OR_FOLLOWER;
	response->topics_count = request->topics_count;
	response->topics =
		arena_take_array(call->arena, request->topics_count, sizeof(*response->topics));
	for (size_t i = 0; i < request->topics_count; i++)
		begin_partitions(call->arena, &request->topics[i], error, &response->topics[i]);
}

const struct coordinator_operation delete_records_operation = {
	.api_key = 21,
	.run = delete_records,
	.fail = delete_records_fail,
};
