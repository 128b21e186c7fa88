/* DescribeShareGroupOffsets, AlterShareGroupOffsets, DeleteShareGroupOffsets: where a share group
 * is in each partition; and, without members, another place or none. */
#include "kafka_messages.h"
#include "streams/catalog/share.h"
#include "streams/coordinator/group_call.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/share_group.h"
#include "streams/coordinator/share_records.h"

enum {
	UNKNOWN_OFFSET = -1,
	PARTITIONS_ASKED_MAX = 100000, /* of one request */
};

/* KAFKA_NONE, or what is to be said of the whole group. */
static enum err find_group(struct cell *cell, struct operation_call *call,
			   enum grant_operation operation, struct slice name,
			   struct share_group *ret, int16_t *ret_error)
{
	*ret_error = KAFKA_NONE;
	if (!operation_may(call, operation, GRANT_GROUP, name)) {
		*ret_error = KAFKA_GROUP_AUTHORIZATION_FAILED;
		return OK;
	}
	*ret_error = group_name_error(name);
	if (*ret_error)
		return OK;
	enum err err = share_group_load(call->arena, cell, name, call->now_ms, ret);
	if (err == ERR_NOT_FOUND || err == ERR_EXISTS)
		*ret_error = KAFKA_GROUP_ID_NOT_FOUND;
	return *ret_error ? OK : err;
}

static enum err find_empty_group(struct cell *cell, struct operation_call *call,
				 enum grant_operation operation, struct slice name,
				 struct share_group *ret, int16_t *ret_error)
{
	enum err err = find_group(cell, call, operation, name, ret, ret_error);

	if (!err && !*ret_error && ret->member_count > 0)
		*ret_error = KAFKA_NON_EMPTY_GROUP;
	return err;
}

static enum err find_topic(struct cell *cell, struct operation_call *call,
			   enum grant_operation operation, struct slice name,
			   struct catalog_topic *ret, int16_t *ret_error)
{
	*ret = (struct catalog_topic) { .name = name };
	*ret_error = KAFKA_NONE;
	if (!operation_may(call, operation, GRANT_TOPIC, name)) {
		*ret_error = KAFKA_TOPIC_AUTHORIZATION_FAILED;
		return OK;
	}
	enum err err = catalog_topic_by_name(call->arena, cell, name, ret);
	if (err == ERR_NOT_FOUND)
		*ret_error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	return err == ERR_NOT_FOUND ? OK : err;
}

/* --- DescribeShareGroupOffsets -----------------------------------------------------------------
 */

static enum err describe_partition(
	struct cell *cell, struct arena *a, const struct share_group *g,
	const struct catalog_topic *topic, int32_t number,
	struct kafka_describe_share_group_offsets_response_partition *ret)
{
	struct catalog_partition partition;
	struct share_partition state;

	*ret = (struct kafka_describe_share_group_offsets_response_partition) {
		.partition_index = number,
		.start_offset = UNKNOWN_OFFSET,
		.lag = UNKNOWN_OFFSET,
	};
	enum err err = catalog_partition_find(cell, topic->id, number, &partition);
	if (err == ERR_NOT_FOUND) {
		ret->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		return OK;
	}
	if (!err)
		err = catalog_share_partition(a, cell, g->id, topic->id, number, &state);
	if (err)
		return err == ERR_NOT_FOUND ? OK : err;
	(void)share_partition_move_start(&state, partition.log_start_offset);
	ret->start_offset = state.start;
	ret->leader_epoch = partition.leader_epoch;
	ret->lag = partition.high_watermark - state.start - share_partition_done_count(&state);
	if (ret->lag < 0) /* it was set to what is not written yet */
		ret->lag = 0;
	return OK;
}

static enum err describe_topic(struct cell *cell, struct operation_call *call,
			       const struct share_group *g,
			       const struct kafka_describe_share_group_offsets_request_topic *asked,
			       struct kafka_describe_share_group_offsets_response_topic *ret)
{
	struct arena scratch; /* of one partition */
	struct catalog_topic topic;
	int16_t error;
	enum err err = find_topic(cell, call, GRANT_DESCRIBE, asked->topic_name, &topic, &error);

	ret->topic_name = asked->topic_name;
	ret->topic_id = topic.topic_id;
	ret->partitions = arena_take_array(call->arena, asked->partitions_count + 1,
					   sizeof(*ret->partitions));
	ret->partitions_count = asked->partitions_count;
	arena_init(&scratch);
	for (size_t i = 0; i < asked->partitions_count && !err; i++) {
		ret->partitions[i] =
			(struct kafka_describe_share_group_offsets_response_partition) {
				.partition_index = asked->partitions[i],
				.start_offset = UNKNOWN_OFFSET,
				.lag = UNKNOWN_OFFSET,
				.error_code = error,
			};
		if (!error)
			err = describe_partition(cell, &scratch, g, &topic, asked->partitions[i],
						 &ret->partitions[i]);
		arena_reset(&scratch);
	}
	arena_done(&scratch);
	return err;
}

/* All that the group has ever begun, as if it had been asked for. */
static enum err list_all(struct cell *cell, struct operation_call *call,
			 const struct share_group *g,
			 struct kafka_describe_share_group_offsets_request_group *ret)
{
	struct share_begun *places;
	struct catalog_topic topic;
	size_t count = 0;
	enum err err = share_places(call->arena, cell, g->id, &places, &count);

	ret->topics = arena_take_array(call->arena, count + 1, sizeof(*ret->topics));
	for (size_t at = 0, end; at < count && !err; at = end) {
		struct kafka_describe_share_group_offsets_request_topic *it =
			&ret->topics[ret->topics_count];
		it->partitions = arena_take_array(call->arena, count, sizeof(*it->partitions));
		for (end = at; end < count && places[end].topic == places[at].topic; end++)
			it->partitions[it->partitions_count++] = places[end].partition;
		err = catalog_topic_by_row(call->arena, cell, places[at].topic, &topic);
		if (err == ERR_NOT_FOUND) { /* it is being deleted */
			*it = (struct kafka_describe_share_group_offsets_request_topic) { 0 };
			err = OK;
			continue;
		}
		it->topic_name = topic.name;
		if (operation_may(call, GRANT_DESCRIBE, GRANT_TOPIC, topic.name))
			ret->topics_count++;
		else
			*it = (struct kafka_describe_share_group_offsets_request_topic) { 0 };
	}
	return err;
}

static enum err describe_group(
	struct cell *cell, struct operation_call *call,
	const struct kafka_describe_share_group_offsets_request_group *request,
	struct kafka_describe_share_group_offsets_response_group *ret)
{
	struct kafka_describe_share_group_offsets_request_group asked = *request;
	struct share_group g;
	enum err err = find_group(cell, call, GRANT_DESCRIBE, asked.group_id, &g, &ret->error_code);

	ret->group_id = asked.group_id;
	if (err || ret->error_code)
		return err;
	if (!asked.topics)
		err = list_all(cell, call, &g, &asked);
	ret->topics = arena_take_array(call->arena, asked.topics_count + 1, sizeof(*ret->topics));
	ret->topics_count = asked.topics_count;
	for (size_t i = 0; i < asked.topics_count && !err; i++) {
		err = describe_topic(cell, call, &g, &asked.topics[i], &ret->topics[i]);
		if (!err && call->arena->used > GROUP_CALL_BYTES_MAX)
			err = ERR_INVALID;
	}
	return err;
}

static struct kafka_describe_share_group_offsets_response_group *begin_groups(
	struct operation_call *call)
{
	const struct kafka_describe_share_group_offsets_request *request = call->request;
	struct kafka_describe_share_group_offsets_response *response = call->response;

	response->groups_count = request->groups_count;
	response->groups =
		arena_take_array(call->arena, request->groups_count + 1, sizeof(*response->groups));
	for (size_t i = 0; i < request->groups_count; i++)
		response->groups[i].group_id = request->groups[i].group_id;
	return response->groups;
}

static bool is_too_much(const struct kafka_describe_share_group_offsets_request *q)
{
	size_t count = 0;

	for (size_t i = 0; i < q->groups_count; i++)
		for (size_t k = 0; k < q->groups[i].topics_count; k++)
			count += q->groups[i].topics[k].partitions_count;
	return q->groups_count > GROUPS_PER_CALL_MAX || count > PARTITIONS_ASKED_MAX;
}

static enum err describe(struct cell *cell, struct operation_call *call)
{
	const struct kafka_describe_share_group_offsets_request *request = call->request;
	enum err err = is_too_much(request) ? ERR_INVALID : OK;
	struct kafka_describe_share_group_offsets_response_group *groups = begin_groups(call);

	for (size_t i = 0; i < request->groups_count && !err; i++)
		err = describe_group(cell, call, &request->groups[i], &groups[i]);
	return err;
}

static void describe_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_describe_share_group_offsets_request *request = call->request;
	struct kafka_describe_share_group_offsets_response_group *groups = begin_groups(call);

	for (size_t i = 0; i < request->groups_count; i++)
		groups[i].error_code = error;
}

const struct coordinator_operation describe_share_offsets_operation = {
	.api_key = KAFKA_API_DESCRIBE_SHARE_GROUP_OFFSETS,
	.needs_fence = true,
	.run = describe,
	.fail = describe_fail,
};

/* --- AlterShareGroupOffsets --------------------------------------------------------------------
 */

static enum err alter_partition(
	struct cell *cell, struct arena *a, const struct share_group *g,
	const struct catalog_topic *topic,
	const struct kafka_alter_share_group_offsets_request_partition *asked, int16_t *ret_error)
{
	struct catalog_partition partition;
	struct share_partition state;
	enum err err = catalog_partition_find(cell, topic->id, asked->partition_index, &partition);

	if (err == ERR_NOT_FOUND || asked->start_offset < 0) {
		*ret_error = err ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_INVALID_REQUEST;
		return OK;
	}
	if (err)
		return err;
	share_partition_init(&state, a, asked->start_offset);
	return share_write(cell, g->id, topic->id, asked->partition_index, &state);
}

static enum err alter_topic(struct cell *cell, struct operation_call *call,
			    const struct share_group *g,
			    const struct kafka_alter_share_group_offsets_request_topic *asked,
			    struct kafka_alter_share_group_offsets_response_topic *ret)
{
	struct arena scratch; /* of one partition */
	struct catalog_topic topic;
	int16_t error;
	enum err err = find_topic(cell, call, GRANT_READ, asked->topic_name, &topic, &error);

	ret->topic_name = asked->topic_name;
	ret->topic_id = topic.topic_id;
	ret->partitions_count = asked->partitions_count;
	ret->partitions = arena_take_array(call->arena, asked->partitions_count + 1,
					   sizeof(*ret->partitions));
	arena_init(&scratch);
	for (size_t i = 0; i < asked->partitions_count && !err; i++) {
		ret->partitions[i].partition_index = asked->partitions[i].partition_index;
		ret->partitions[i].error_code = error;
		if (!error)
			err = alter_partition(cell, &scratch, g, &topic, &asked->partitions[i],
					      &ret->partitions[i].error_code);
		arena_reset(&scratch);
	}
	arena_done(&scratch);
	return err;
}

static enum err alter(struct cell *cell, struct operation_call *call)
{
	const struct kafka_alter_share_group_offsets_request *request = call->request;
	struct kafka_alter_share_group_offsets_response *response = call->response;
	struct share_group g;
	size_t count = 0;
	enum err err = find_empty_group(cell, call, GRANT_READ, request->group_id, &g,
					&response->error_code);

	if (err || response->error_code)
		return err;
	for (size_t i = 0; i < request->topics_count; i++)
		count += request->topics[i].partitions_count;
	if (request->topics_count > OPERATION_ITEMS_MAX || count > PARTITIONS_ASKED_MAX)
		return ERR_TOO_BIG;
	response->responses_count = request->topics_count;
	response->responses = arena_take_array(call->arena, request->topics_count + 1,
					       sizeof(*response->responses));
	for (size_t i = 0; i < request->topics_count && !err; i++)
		err = alter_topic(cell, call, &g, &request->topics[i], &response->responses[i]);
	return err;
}

static void alter_fail(struct operation_call *call, int16_t error)
{
	struct kafka_alter_share_group_offsets_response *response = call->response;

	response->error_code = error;
}

const struct coordinator_operation alter_share_offsets_operation = {
	.api_key = KAFKA_API_ALTER_SHARE_GROUP_OFFSETS,
	.run = alter,
	.fail = alter_fail,
};

/* --- DeleteShareGroupOffsets -------------------------------------------------------------------
 */

static enum err delete_topic(struct cell *cell, struct operation_call *call,
			     const struct share_group *g, struct slice name,
			     struct kafka_delete_share_group_offsets_response_topic *ret)
{
	struct catalog_topic topic;
	enum err err = find_topic(cell, call, GRANT_READ, name, &topic, &ret->error_code);

	ret->topic_name = name;
	ret->topic_id = topic.topic_id;
	if (err || ret->error_code)
		return err;
	err = cell_execute_sql(cell,
			       "DELETE FROM share_partition WHERE consumer_group = ?1"
			       " AND topic = ?2",
			       g->id, topic.id);
	if (!err && sqlite3_changes(cell_database(cell)) == 0) {
		ret->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		ret->error_message = SLICE("There is no offset information to delete.");
	}
	return err;
}

static enum err delete_offsets(struct cell *cell, struct operation_call *call)
{
	const struct kafka_delete_share_group_offsets_request *request = call->request;
	struct kafka_delete_share_group_offsets_response *response = call->response;
	struct share_group g;
	enum err err = find_empty_group(cell, call, GRANT_DELETE, request->group_id, &g,
					&response->error_code);

	if (err || response->error_code)
		return err;
	if (request->topics_count > OPERATION_ITEMS_MAX)
		return ERR_TOO_BIG;
	response->responses_count = request->topics_count;
	response->responses = arena_take_array(call->arena, request->topics_count + 1,
					       sizeof(*response->responses));
	for (size_t i = 0; i < request->topics_count && !err; i++)
		err = delete_topic(cell, call, &g, request->topics[i].topic_name,
				   &response->responses[i]);
	return err;
}

static void delete_fail(struct operation_call *call, int16_t error)
{
	struct kafka_delete_share_group_offsets_response *response = call->response;

	response->error_code = error;
}

const struct coordinator_operation delete_share_offsets_operation = {
	.api_key = KAFKA_API_DELETE_SHARE_GROUP_OFFSETS,
	.run = delete_offsets,
	.fail = delete_fail,
};
