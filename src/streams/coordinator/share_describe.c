/* ShareGroupDescribe: share groups, member by member. */
#include "kafka_messages.h"
#include "streams/catalog/catalog.h"
#include "streams/coordinator/group_call.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/share_assignor.h"
#include "streams/coordinator/share_group.h"
#include "wire/kafka/authorized.h"

static void list_names(struct arena *a, struct slice words,
		       struct kafka_share_group_describe_response_member *ret)
{
	struct slice rest = words, word;
	size_t count = 0;

	while (group_word_next(&rest, &word))
		count++;
	ret->subscribed_topic_names =
		arena_take_array(a, count + 1, sizeof(*ret->subscribed_topic_names));
	while (group_word_next(&words, &word))
		ret->subscribed_topic_names[ret->subscribed_topic_names_count++] = word;
}

static void list_places(struct arena *a, struct cell *cell, const struct partition_set *s,
			struct kafka_share_group_describe_response_assignment *ret)
{
	struct catalog_topic found;

	ret->topic_partitions = arena_take_array(a, s->count + 1, sizeof(*ret->topic_partitions));
	for (size_t at = 0, end; at < s->count; at = end) {
		struct kafka_share_group_describe_response_assigned *topic =
			&ret->topic_partitions[ret->topic_partitions_count];
		end = partition_set_topic_end(s, at);
		if (catalog_topic_by_id(a, cell, &s->items[at].topic_id, &found))
			continue;
		topic->topic_id = s->items[at].topic_id;
		topic->topic_name = found.name;
		topic->partitions = arena_take_array(a, end - at, sizeof(*topic->partitions));
		for (size_t i = at; i < end; i++)
			topic->partitions[topic->partitions_count++] = s->items[i].partition;
		ret->topic_partitions_count++;
	}
}

static void describe_members(struct cell *cell, const struct share_group *g,
			     struct kafka_share_group_describe_response_group *ret)
{
	struct arena *a = g->arena;

	share_group_assign(g, cell);
	ret->members = arena_take_array(a, g->member_count + 1, sizeof(*ret->members));
	ret->members_count = g->member_count;
	for (size_t i = 0; i < g->member_count; i++) {
		const struct share_member *m = &g->members[i];
		ret->members[i] = (struct kafka_share_group_describe_response_member) {
			.member_id = m->member_id,
			.rack_id = m->rack_id,
			.member_epoch = m->epoch,
			.client_id = m->client_id,
			.client_host = m->client_host,
		};
		list_names(a, m->topics, &ret->members[i]);
		list_places(a, cell, &m->assigned, &ret->members[i].assignment);
	}
}

/* Who may not know of a topic is told nothing of the group's members. */
static bool may_see_topics(const struct operation_call *call, const struct share_group *g)
{
	struct slice name;

	for (size_t i = 0; i < g->member_count; i++) {
		struct slice rest = g->members[i].topics;
		while (group_word_next(&rest, &name))
			if (!operation_may(call, GRANT_DESCRIBE, GRANT_TOPIC, name))
				return false;
	}
	return true;
}

static int32_t allowed(const struct operation_call *call, struct slice name)
{
	return (int32_t)guard_operations(coordinator_guard(call->coordinator), &call->caller,
					 KAFKA_MAY_WITH_GROUP, GRANT_GROUP, name);
}

static enum err describe_one(struct cell *cell, struct operation_call *call, struct slice name,
			     struct kafka_share_group_describe_response_group *ret)
{
	const struct kafka_share_group_describe_request *request = call->request;
	struct share_group g = { 0 };

	if (!operation_may(call, GRANT_DESCRIBE, GRANT_GROUP, name)) {
		ret->error_code = KAFKA_GROUP_AUTHORIZATION_FAILED;
		return OK;
	}
	if (group_name_error(name)) {
		ret->error_code = KAFKA_INVALID_GROUP_ID;
		return OK;
	}
	enum err err = share_group_load(call->arena, cell, name, call->now_ms, &g);
	if (err == ERR_NOT_FOUND || err == ERR_EXISTS) {
		ret->error_code = KAFKA_GROUP_ID_NOT_FOUND;
		ret->error_message = slice_from(
			arena_format(call->arena, "Group %.*s %s.", SLICE_ARG(name),
				     err == ERR_EXISTS ? "is not a share group" : "not found"));
		return OK;
	}
	if (err)
		return err;
	if (!may_see_topics(call, &g)) {
		ret->error_code = KAFKA_TOPIC_AUTHORIZATION_FAILED;
		return OK;
	}
	ret->group_state =
		slice_from(group_state_name(g.member_count > 0 ? GROUP_STABLE : GROUP_EMPTY));
	ret->group_epoch = ret->assignment_epoch = g.epoch;
	ret->assignor_name = SLICE(SHARE_ASSIGNOR_NAME);
	describe_members(cell, &g, ret);
	if (request->include_authorized_operations)
		ret->authorized_operations = allowed(call, name);
	share_group_done(&g);
	return OK;
}

static struct kafka_share_group_describe_response_group *begin(struct operation_call *call)
{
	const struct kafka_share_group_describe_request *request = call->request;
	struct kafka_share_group_describe_response *response = call->response;

	response->groups_count = request->group_ids_count;
	response->groups = arena_take_array(call->arena, request->group_ids_count + 1,
					    sizeof(*response->groups));
	for (size_t i = 0; i < request->group_ids_count; i++) {
		response->groups[i].group_id = request->group_ids[i];
		response->groups[i].authorized_operations = INT32_MIN; /* not asked for */
	}
	return response->groups;
}

static enum err describe(struct cell *cell, struct operation_call *call)
{
	const struct kafka_share_group_describe_request *request = call->request;
	enum err err = request->group_ids_count > GROUPS_PER_CALL_MAX ? ERR_INVALID : OK;
	struct kafka_share_group_describe_response_group *groups = begin(call);

	for (size_t i = 0; i < request->group_ids_count && !err; i++) {
		err = describe_one(cell, call, request->group_ids[i], &groups[i]);
		if (!err && call->arena->used > GROUP_CALL_BYTES_MAX)
			err = ERR_INVALID;
	}
	return err;
}

static void describe_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_share_group_describe_request *request = call->request;
	struct kafka_share_group_describe_response_group *groups = begin(call);

	for (size_t i = 0; i < request->group_ids_count; i++)
		groups[i].error_code = error;
}

const struct coordinator_operation share_group_describe_operation = {
	.api_key = KAFKA_API_SHARE_GROUP_DESCRIBE,
	.needs_fence = true,
	.run = describe,
	.fail = describe_fail,
};
