/* OffsetDelete: committed offsets of topics that nobody in the group reads any more. */
#include "streams/catalog/catalog.h"
#include "streams/coordinator/group_call.h"
#include "streams/coordinator/group_store.h"

static void offset_delete_name(struct group_call *call)
{
	const struct kafka_offset_delete_request *request = call->request;

	call->names = &request->group_id;
	call->name_count = 1;
}

static enum err delete_offset(struct cell *cell, int64_t group, int64_t topic, int32_t partition)
{
	sqlite3_stmt *st = cell_statement(cell, "DELETE FROM group_offset WHERE consumer_group = ?1"
						" AND topic = ?2 AND partition = ?3");

	cell_bind_int(st, 1, group);
	cell_bind_int(st, 2, topic);
	cell_bind_int(st, 3, partition);
	return cell_execute(cell, st);
}

static enum err delete_of_topic(struct cell *cell, struct group_call *call, int64_t group,
				const struct kafka_offset_delete_request_topic *topic,
				struct kafka_offset_delete_response_topic *ret)
{
	struct arena *a = call->kafka->arena;
	struct group_entry *entry = groups_find(call->kafka->coordinator->groups, call->names[0]);
	bool is_read = entry && group_subscribes(&entry->group, topic->name);
	bool may_read = group_call_may(call, GRANT_READ, GRANT_TOPIC, topic->name);
	struct catalog_topic found = { 0 };
	enum err err = catalog_topic_by_name(a, cell, topic->name, &found);

	if (err == ERR_NOT_FOUND)
		err = OK; /* it has no partition then */
	ret->name = topic->name;
	ret->partitions_count = topic->partitions_count;
	ret->partitions = arena_take_array(a, topic->partitions_count, sizeof(*ret->partitions));
	for (size_t i = 0; i < topic->partitions_count && !err; i++) {
		int32_t partition = topic->partitions[i].partition_index;
		ret->partitions[i].partition_index = partition;
		if (may_read && (partition < 0 || partition >= found.partition_count))
			ret->partitions[i].error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		else if (!may_read)
			ret->partitions[i].error_code = KAFKA_TOPIC_AUTHORIZATION_FAILED;
		else if (is_read)
			ret->partitions[i].error_code = KAFKA_GROUP_SUBSCRIBED_TO_TOPIC;
		else
			err = delete_offset(cell, group, found.id, partition);
	}
	return err;
}

/* Who reads what is known only of consumers. */
static bool is_of_others(const struct group_entry *entry)
{
	const struct group *g = &entry->group;

	return g->type == GROUP_CLASSIC && g->state != GROUP_EMPTY &&
	       !slice_equal(g->protocol_type, SLICE("consumer"));
}

static enum err offset_delete(struct cell *cell, struct group_call *call)
{
	const struct kafka_offset_delete_request *request = call->request;
	struct kafka_offset_delete_response *response = call->response;
	struct group_entry *entry = groups_find(call->kafka->coordinator->groups, call->names[0]);
	struct arena *a = call->kafka->arena;
	struct group_row row;

	if (!group_call_may(call, GRANT_DELETE, GRANT_GROUP, request->group_id)) {
		response->error_code = KAFKA_GROUP_AUTHORIZATION_FAILED;
		return OK;
	}
	if (!group_name_is_valid(request->group_id)) {
		response->error_code = KAFKA_INVALID_GROUP_ID;
		return OK;
	}
	enum err err = group_row_find(a, cell, request->group_id, &row);
	if (err == ERR_NOT_FOUND) {
		response->error_code = KAFKA_GROUP_ID_NOT_FOUND;
		return OK;
	}
	if (!err && entry && is_of_others(entry)) {
		response->error_code = KAFKA_NON_EMPTY_GROUP;
		return OK;
	}
	response->topics_count = request->topics_count;
	response->topics = arena_take_array(a, request->topics_count, sizeof(*response->topics));
	for (size_t i = 0; i < request->topics_count && !err; i++)
		err = delete_of_topic(cell, call, row.id, &request->topics[i],
				      &response->topics[i]);
	return err;
}

static void offset_delete_fail(struct group_call *call, int16_t error)
{
	struct kafka_offset_delete_response *response = call->response;

	response->error_code = error;
}

const struct group_api offset_delete_api = {
	.key = KAFKA_API_OFFSET_DELETE,
	.settles_first = true,
	.name = offset_delete_name,
	.run = offset_delete,
	.fail = offset_delete_fail,
};
