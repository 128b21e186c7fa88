/* ConsumerGroupDescribe: groups of the consumer protocol, member by member. */
#include "streams/coordinator/group_call.h"
#include "streams/coordinator/group_store.h"

enum { MEMBER_TYPE_CLASSIC = 0, MEMBER_TYPE_CONSUMER = 1 };

static void describe_name(struct group_call *call)
{
	const struct kafka_consumer_group_describe_request *request = call->request;

	call->names = request->group_ids;
	call->name_count = request->group_ids_count;
}

/* --- members -----------------------------------------------------------------------------------
 */

/* A topic that was deleted a moment ago has no name any more. */
static struct slice topic_name(struct group_call *call, const struct uuid *id)
{
	struct group_topics *topics = &call->kafka->coordinator->groups->topics;
	struct group_topic found;

	return topics->by_id(topics, call->kafka->arena, id, &found) ? found.name : SLICE("");
}

static struct kafka_consumer_group_describe_response_assigned *list_places(
	struct group_call *call, const struct partition_set *s, size_t *ret_count)
{
	struct arena *a = call->kafka->arena;
	struct kafka_consumer_group_describe_response_assigned *topics =
		arena_take_array(a, s->count, sizeof(*topics));
	size_t count = 0;

	for (size_t at = 0, end; at < s->count; at = end) {
		struct kafka_consumer_group_describe_response_assigned *topic = &topics[count];
		struct slice name = topic_name(call, &s->items[at].topic_id);
		end = partition_set_topic_end(s, at);
		if (name.size == 0)
			continue;
		topic->topic_id = s->items[at].topic_id;
		topic->topic_name = name;
		topic->partitions = arena_take_array(a, end - at, sizeof(*topic->partitions));
		for (size_t i = at; i < end; i++)
			topic->partitions[topic->partitions_count++] = s->items[i].partition;
		count++;
	}
	*ret_count = count;
	return topics;
}

static void list_targets(struct group_call *call, const struct partition_set *s,
			 struct kafka_consumer_group_describe_response_target *ret)
{
	size_t count;
	struct kafka_consumer_group_describe_response_assigned *places =
		list_places(call, s, &count);

	ret->topic_partitions =
		arena_take_array(call->kafka->arena, count, sizeof(*ret->topic_partitions));
	for (size_t i = 0; i < count; i++)
		ret->topic_partitions[ret->topic_partitions_count++] =
			(struct kafka_consumer_group_describe_response_wanted) {
				.topic_id = places[i].topic_id,
				.topic_name = places[i].topic_name,
				.partitions = places[i].partitions,
				.partitions_count = places[i].partitions_count,
			};
}

static void list_names(struct arena *a, struct slice words,
		       struct kafka_consumer_group_describe_response_member *ret)
{
	struct slice rest = arena_copy(a, words), counted = rest, word;
	size_t count = 0;

	while (group_word_next(&counted, &word))
		count++;
	ret->subscribed_topic_names =
		arena_take_array(a, count, sizeof(*ret->subscribed_topic_names));
	while (group_word_next(&rest, &word))
		ret->subscribed_topic_names[ret->subscribed_topic_names_count++] = word;
}

static void describe_member(struct group_call *call, const struct group_member *m,
			    struct kafka_consumer_group_describe_response_member *ret)
{
	struct arena *a = call->kafka->arena;

	*ret = (struct kafka_consumer_group_describe_response_member) {
		.member_id = arena_copy(a, m->member_id),
		.member_epoch = m->member_epoch,
		.client_id = arena_copy(a, m->client_id),
		.client_host = arena_copy(a, m->client_host),
		.member_type =
			group_member_is_classic(m) ? MEMBER_TYPE_CLASSIC : MEMBER_TYPE_CONSUMER,
	};
	if (m->instance_id.data)
		ret->instance_id = arena_copy(a, m->instance_id);
	if (m->rack_id.data)
		ret->rack_id = arena_copy(a, m->rack_id);
	if (m->pattern.size > 0)
		ret->subscribed_topic_regex = arena_copy(a, m->pattern);
	list_names(a, m->topics, ret);
	ret->assignment.topic_partitions =
		list_places(call, &m->assigned, &ret->assignment.topic_partitions_count);
	list_targets(call, &m->target, &ret->target_assignment);
}

/* --- groups ------------------------------------------------------------------------------------
 */

static void describe_entry(struct group_call *call, const struct group *g,
			   struct kafka_consumer_group_describe_response_group *ret)
{
	struct arena *a = call->kafka->arena;

	ret->group_state = slice_from(group_consumer_state_name(g));
	ret->group_epoch = g->generation;
	ret->assignment_epoch = g->assignment_epoch;
	ret->assignor_name = arena_copy(a, group_consumer_assignor(g));
	ret->members = arena_take_array(a, g->member_count, sizeof(*ret->members));
	LIST_EACH (&g->members, struct group_member, link, m)
		describe_member(call, m, &ret->members[ret->members_count++]);
}

static void not_found(struct group_call *call, struct slice name, const char *why,
		      struct kafka_consumer_group_describe_response_group *ret)
{
	ret->error_code = KAFKA_GROUP_ID_NOT_FOUND;
	ret->error_message = slice_from(
		arena_format(call->kafka->arena, "Group %.*s %s.", SLICE_ARG(name), why));
}

/* Who may not know of a topic is told nothing of the group's members. */
static bool may_see_topics(const struct group_call *call,
			   const struct kafka_consumer_group_describe_response_group *group)
{
	for (size_t i = 0; i < group->members_count; i++) {
		const struct kafka_consumer_group_describe_response_member *m = &group->members[i];
		for (size_t k = 0; k < m->subscribed_topic_names_count; k++)
			if (!group_call_may(call, GRANT_DESCRIBE, GRANT_TOPIC,
					    m->subscribed_topic_names[k]))
				return false;
		for (size_t k = 0; k < m->target_assignment.topic_partitions_count; k++)
			if (!group_call_may(call, GRANT_DESCRIBE, GRANT_TOPIC,
					    m->target_assignment.topic_partitions[k].topic_name))
				return false;
		for (size_t k = 0; k < m->assignment.topic_partitions_count; k++)
			if (!group_call_may(call, GRANT_DESCRIBE, GRANT_TOPIC,
					    m->assignment.topic_partitions[k].topic_name))
				return false;
	}
	return true;
}

static enum err describe_one(struct cell *cell, struct group_call *call, struct slice name,
			     struct kafka_consumer_group_describe_response_group *ret)
{
	struct group_entry *entry = groups_find(call->kafka->coordinator->groups, name);
	struct group_row row;

	if (!group_call_may(call, GRANT_DESCRIBE, GRANT_GROUP, name)) {
		ret->error_code = KAFKA_GROUP_AUTHORIZATION_FAILED;
		return OK;
	}
	if (!group_name_is_valid(name)) {
		ret->error_code = KAFKA_INVALID_GROUP_ID;
		return OK;
	}
	if (entry && entry->group.type == GROUP_CONSUMER) {
		describe_entry(call, &entry->group, ret);
		if (!may_see_topics(call, ret)) {
			*ret = (struct kafka_consumer_group_describe_response_group) {
				.group_id = name,
				.error_code = KAFKA_TOPIC_AUTHORIZATION_FAILED,
				.authorized_operations = INT32_MIN,
			};
		}
		return OK;
	}
	enum err err = group_row_find(call->kafka->arena, cell, name, &row);
	if (entry || (!err && row.type != GROUP_CONSUMER)) {
		not_found(call, name, "is not a consumer group", ret);
	} else if (err == ERR_NOT_FOUND) {
		not_found(call, name, "not found", ret);
	} else if (!err) {
		ret->group_state = SLICE("Empty");
		ret->group_epoch = row.generation;
		ret->assignment_epoch = row.assignment_epoch;
		ret->assignor_name = SLICE("uniform");
	}
	return err == ERR_NOT_FOUND ? OK : err;
}

static struct kafka_consumer_group_describe_response_group *begin(struct group_call *call)
{
	struct kafka_consumer_group_describe_response *response = call->response;

	response->groups_count = call->name_count;
	response->groups =
		arena_take_array(call->kafka->arena, call->name_count, sizeof(*response->groups));
	for (size_t i = 0; i < call->name_count; i++) {
		response->groups[i].group_id = call->names[i];
		response->groups[i].authorized_operations = INT32_MIN; /* not asked for */
	}
	return response->groups;
}

static enum err describe(struct cell *cell, struct group_call *call)
{
	const struct kafka_consumer_group_describe_request *request = call->request;
	enum err err = call->name_count > GROUPS_PER_CALL_MAX ? ERR_INVALID : OK;
	struct kafka_consumer_group_describe_response_group *groups = begin(call);

	for (size_t i = 0; i < call->name_count && !err; i++) {
		err = describe_one(cell, call, call->names[i], &groups[i]);
		if (!err && group_call_is_too_large(call))
			err = ERR_INVALID;
		if (request->include_authorized_operations && !groups[i].error_code)
			groups[i].authorized_operations = group_call_allowed(call, call->names[i]);
	}
	return err;
}

static void describe_fail(struct group_call *call, int16_t error)
{
	struct kafka_consumer_group_describe_response_group *groups = begin(call);

	for (size_t i = 0; i < call->name_count; i++)
		groups[i].error_code = error;
}

const struct group_api consumer_group_describe_api = {
	.key = KAFKA_API_CONSUMER_GROUP_DESCRIBE,
	.needs_fence = true,
	.name = describe_name,
	.run = describe,
	.fail = describe_fail,
};
