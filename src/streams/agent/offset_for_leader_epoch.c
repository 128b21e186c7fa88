/* OffsetForLeaderEpoch: where an epoch ended.  The epoch of a partition is constant here, so the
 * only epoch there is ends at the high watermark, and of any later one nothing is known.  Only a
 * rebuild begins another one, behind what it found of all before.
 * Linearizable: to a consumer an old end means that records behind it were lost, and it goes back
 * there. */
#include "kafka_messages.h"
#include "streams/agent/early_runs.h"
#include "streams/agent/operations.h"
#include "streams/agent/sync.h"
#include "streams/catalog/catalog.h"
#include "streams/catalog/epoch.h"
#include "wire/kafka/errors.h"

enum { EPOCH_PARTITIONS_MAX = 10000 };

struct epochs {
	const struct kafka_offset_for_leader_epoch_request *request;
	struct kafka_offset_for_leader_epoch_response response;
	struct sync sync;
};

static int16_t find_partition(struct request *r, struct slice name,
			      const struct kafka_offset_for_leader_epoch_request_partition *asked,
			      struct catalog_partition *ret)
{
	struct cell *cell = replica_cell(r->agent->replica);
	struct catalog_topic topic;

	if (!request_may(r, GRANT_DESCRIBE, GRANT_TOPIC, name))
		return KAFKA_TOPIC_AUTHORIZATION_FAILED;
	enum err err = catalog_topic_by_name(&r->arena, cell, name, &topic);
	if (!err)
		err = catalog_partition_find(cell, topic.id, asked->partition, ret);
	if (err == ERR_NOT_FOUND)
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	if (err)
		return KAFKA_UNKNOWN_SERVER_ERROR;
	early_runs_extend(r->agent->early, ret);
	if (asked->current_leader_epoch >= 0 && asked->current_leader_epoch < ret->leader_epoch)
		return KAFKA_FENCED_LEADER_EPOCH;
	if (asked->current_leader_epoch > ret->leader_epoch)
		return KAFKA_UNKNOWN_LEADER_EPOCH;
	return KAFKA_NONE;
}

static void fill_partition(struct request *r, struct epochs *e, size_t topic, size_t partition)
{
	const struct kafka_offset_for_leader_epoch_request_partition *asked =
		&e->request->topics[topic].partitions[partition];
	struct kafka_offset_for_leader_epoch_response_partition *ret =
		&e->response.topics[topic].partitions[partition];
	struct catalog_partition found;

	ret->partition = asked->partition;
	ret->leader_epoch = -1;
	ret->end_offset = -1;
	ret->error_code = find_partition(r, e->request->topics[topic].topic, asked, &found);
	if (!ret->error_code && e->sync.task.err)
		ret->error_code = KAFKA_NOT_LEADER_OR_FOLLOWER;
	if (ret->error_code || asked->leader_epoch > found.leader_epoch)
		return;
	if (asked->leader_epoch == found.leader_epoch) {
		ret->leader_epoch = found.leader_epoch;
		ret->end_offset = found.high_watermark;
	} else if (asked->leader_epoch >= 0) {
		int64_t end = catalog_epoch_offset(replica_cell(r->agent->replica), found.id);
		ret->leader_epoch = asked->leader_epoch;
		ret->end_offset = end > found.log_start_offset ? end : found.log_start_offset;
	}
}

/* Places for everything that was asked for; false: that is too much. */
static bool prepare(struct request *r, struct epochs *e)
{
	size_t partition_count = 0;

	schema_defaults(r->api->response, &e->response);
	e->response.topics_count = e->request->topics_count;
	e->response.topics =
		arena_take_array(&r->arena, e->request->topics_count, sizeof(*e->response.topics));
	for (size_t i = 0; i < e->request->topics_count; i++) {
		struct kafka_offset_for_leader_epoch_response_topic *topic = &e->response.topics[i];
		partition_count += e->request->topics[i].partitions_count;
		if (partition_count > EPOCH_PARTITIONS_MAX)
			return false;
		topic->topic = e->request->topics[i].topic;
		topic->partitions_count = e->request->topics[i].partitions_count;
		topic->partitions = arena_take_array(&r->arena, topic->partitions_count,
						     sizeof(*topic->partitions));
	}
	return true;
}

enum { EPOCHS_START, EPOCHS_SYNCED };

static enum step offset_for_leader_epoch_step(struct request *r)
{
	struct epochs *e = r->state;

	if (r->task.at == EPOCHS_START) {
		e->request = request_decode(r);
		if (!e->request)
			return request_refuse(r, "OffsetForLeaderEpoch cannot be decoded");
		if (!prepare(r, e))
			return request_refuse(r,
					      "OffsetForLeaderEpoch asks for more than %d"
					      " partitions",
					      EPOCH_PARTITIONS_MAX);
		sync_start(&e->sync, &r->task, r->agent);
		return task_wait(&r->task, EPOCHS_SYNCED);
	}
	if (r->task.children > 0)
		return task_wait(&r->task, EPOCHS_SYNCED);
	for (size_t i = 0; i < e->request->topics_count; i++)
		for (size_t k = 0; k < e->request->topics[i].partitions_count; k++)
			fill_partition(r, e, i, k);
	return request_answer(r, &e->response);
}

static const char *const epochs_places[] = { "start", "synced" };
const struct operation offset_for_leader_epoch_operation = {
	.api_key = KAFKA_API_OFFSET_FOR_LEADER_EPOCH,
	.may_overlap = true,
	.state_bytes = sizeof(struct epochs),
	.places = epochs_places,
	.place_count = 2,
	.step = offset_for_leader_epoch_step,
};
