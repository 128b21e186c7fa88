/* OffsetForLeaderEpoch: where an epoch ended.  The epoch of a partition is constant here, so the
 * only epoch there is ends at the high watermark, and of any later one nothing is known. */
#include "kafka_messages.h"
#include "streams/agent/operations.h"
#include "streams/catalog/catalog.h"
#include "wire/kafka/errors.h"

enum { EPOCH_PARTITIONS_MAX = 10000 };

static int16_t find_partition(struct request *r, struct slice name,
			      const struct kafka_offset_for_leader_epoch_request_partition *asked,
			      struct catalog_partition *ret)
{
	struct cell *cell = replica_cell(r->agent->replica);
	struct catalog_topic topic;
	enum err err = catalog_topic_by_name(&r->arena, cell, name, &topic);

	if (!err)
		err = catalog_partition_find(cell, topic.id, asked->partition, ret);
	if (err == ERR_NOT_FOUND)
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	if (err)
		return KAFKA_UNKNOWN_SERVER_ERROR;
	if (asked->current_leader_epoch >= 0 && asked->current_leader_epoch < ret->leader_epoch)
		return KAFKA_FENCED_LEADER_EPOCH;
	if (asked->current_leader_epoch > ret->leader_epoch)
		return KAFKA_UNKNOWN_LEADER_EPOCH;
	return KAFKA_NONE;
}

static void fill_partition(struct request *r, struct slice name,
			   const struct kafka_offset_for_leader_epoch_request_partition *asked,
			   struct kafka_offset_for_leader_epoch_response_partition *ret)
{
	struct catalog_partition found;

	ret->partition = asked->partition;
	ret->leader_epoch = -1;
	ret->end_offset = -1;
	ret->error_code = find_partition(r, name, asked, &found);
	if (ret->error_code || asked->leader_epoch > found.leader_epoch)
		return;
	if (asked->leader_epoch == found.leader_epoch) {
		ret->leader_epoch = found.leader_epoch;
		ret->end_offset = found.high_watermark;
	} else if (asked->leader_epoch >= 0) { /* before the log begins */
		ret->leader_epoch = asked->leader_epoch;
		ret->end_offset = found.log_start_offset;
	}
}

static enum step offset_for_leader_epoch_step(struct request *r)
{
	const struct kafka_offset_for_leader_epoch_request *request = request_decode(r);
	struct kafka_offset_for_leader_epoch_response response;
	size_t partition_count = 0;

	if (!request)
		return request_refuse(r, "OffsetForLeaderEpoch cannot be decoded");
	schema_defaults(r->api->response, &response);
	response.topics_count = request->topics_count;
	response.topics =
		arena_take_array(&r->arena, request->topics_count, sizeof(*response.topics));
	for (size_t i = 0; i < request->topics_count; i++) {
		size_t count = request->topics[i].partitions_count;
		partition_count += count;
		if (partition_count > EPOCH_PARTITIONS_MAX)
			return request_refuse(r,
					      "OffsetForLeaderEpoch asks for more than %d"
					      " partitions",
					      EPOCH_PARTITIONS_MAX);
		response.topics[i].topic = request->topics[i].topic;
		response.topics[i].partitions_count = count;
		response.topics[i].partitions =
			arena_take_array(&r->arena, count, sizeof(*response.topics[i].partitions));
		for (size_t k = 0; k < count; k++)
			fill_partition(r, request->topics[i].topic,
				       &request->topics[i].partitions[k],
				       &response.topics[i].partitions[k]);
	}
	return request_answer(r, &response);
}

const struct operation offset_for_leader_epoch_operation = {
	.api_key = KAFKA_API_OFFSET_FOR_LEADER_EPOCH,
	.may_overlap = true,
	.step = offset_for_leader_epoch_step,
};
