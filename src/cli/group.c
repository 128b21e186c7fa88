#include "cli/group.h"

#include <stdlib.h>

#include "cli/offsets.h"
#include "cli/output.h"
#include "wire/kafka/errors.h"

/* Later versions name topics by id only. */
enum { OFFSET_FETCH_VERSION_MAX = 9 };

int64_t group_partition_lag(const struct group_partition *p)
{
	if (p->has_told_lag)
		return p->told_lag;
	if (p->committed < 0 || p->next < 0)
		return -1;
	return p->next > p->committed ? p->next - p->committed : 0;
}

int64_t group_lag(const struct group *g)
{
	int64_t sum = -1;

	for (size_t i = 0; i < g->partitions_count; i++) {
		int64_t lag = group_partition_lag(&g->partitions[i]);
		if (lag < 0)
			continue;
		if (__builtin_add_overflow(sum < 0 ? 0 : sum, lag, &sum))
			return INT64_MAX;
	}
	return sum;
}

/* --- members -----------------------------------------------------------------------------------
 */

/* DescribeGroups does not know share groups, nor those of the consumer protocol. */
static bool is_of_others(const struct kafka_describe_groups_response_group *group)
{
	return group->error_code == KAFKA_GROUP_ID_NOT_FOUND ||
	       slice_equal(group->group_state, SLICE("Dead"));
}

static bool may_be_of_consumers(struct broker *b,
				const struct kafka_describe_groups_response_group *group)
{
	return is_of_others(group) &&
	       kafka_client_version(&b->client, KAFKA_API_CONSUMER_GROUP_DESCRIBE, INT16_MAX) >= 0;
}

static enum command_status describe(struct broker *b, const char *what, const char *name,
				    struct group *g)
{
	struct kafka_describe_groups_response_group *ret = &g->described;
	struct slice text = slice_from(name);
	struct kafka_describe_groups_request request = { .groups = &text, .groups_count = 1 };
	struct kafka_describe_groups_response response;

	enum command_status status =
		broker_ask(b, KAFKA_API_DESCRIBE_GROUPS, INT16_MAX, &request, &response);
	if (status)
		return status;
	if (response.groups_count != 1)
		return broker_refused(what, KAFKA_UNKNOWN_SERVER_ERROR,
				      SLICE("the answer is about something else"));
	*ret = response.groups[0];
	if (is_of_others(ret)) {
		status = group_ask_shares(b, name, g);
		if (status || g->is_share)
			return status;
	}
	if (may_be_of_consumers(b, ret))
		return group_ask_consumers(b, what, name, g);
	if (ret->error_code)
		return broker_refused(what, ret->error_code, ret->error_message);
	if (slice_equal(ret->group_state, SLICE("Dead"))) /* how old versions say it */
		return broker_refused(what, KAFKA_GROUP_ID_NOT_FOUND, (struct slice) { 0 });
	return COMMAND_DONE;
}

/* What is not of the consumer protocol is no concern of ours: no topics. */
static void decode_assignments(struct arena *a, struct group *g)
{
	if (g->assignments) /* of the consumer protocol */
		return;
	g->assignments = arena_take_array(a, g->described.members_count, sizeof(*g->assignments));
	if (!slice_equal(g->described.protocol_type, SLICE("consumer")))
		return;
	for (size_t i = 0; i < g->described.members_count; i++) {
		struct slice bytes = g->described.members[i].member_assignment;
		if (assignment_decode(a, bytes, &g->assignments[i]))
			say("the assignment of member %.*s cannot be read",
			    SLICE_ARG(g->described.members[i].member_id));
	}
}

/* --- offsets -----------------------------------------------------------------------------------
 */

struct offsets {
	struct group_partition *partitions;
	size_t count;
};

static struct offsets offsets_of_groups(struct arena *a,
					const struct kafka_offset_fetch_response_group *group)
{
	struct offsets offsets = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < group->topics_count; i++)
		count += group->topics[i].partitions_count;
	offsets.partitions = arena_take_array(a, count, sizeof(*offsets.partitions));
	for (size_t i = 0; i < group->topics_count; i++) {
		for (size_t j = 0; j < group->topics[i].partitions_count; j++) {
			offsets.partitions[offsets.count++] = (struct group_partition) {
				.topic = group->topics[i].name,
				.partition = group->topics[i].partitions[j].partition_index,
				.committed = group->topics[i].partitions[j].committed_offset,
			};
		}
	}
	return offsets;
}

/* The same in the form of versions before 8. */
static struct offsets offsets_of_topics(struct arena *a,
					const struct kafka_offset_fetch_response *response)
{
	struct offsets offsets = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < response->topics_count; i++)
		count += response->topics[i].partitions_count;
	offsets.partitions = arena_take_array(a, count, sizeof(*offsets.partitions));
	for (size_t i = 0; i < response->topics_count; i++) {
		for (size_t j = 0; j < response->topics[i].partitions_count; j++) {
			offsets.partitions[offsets.count++] = (struct group_partition) {
				.topic = response->topics[i].name,
				.partition = response->topics[i].partitions[j].partition_index,
				.committed = response->topics[i].partitions[j].committed_offset,
			};
		}
	}
	return offsets;
}

static enum command_status ask_offsets(struct broker *b, const char *what, const char *name,
				       struct offsets *ret)
{
	struct kafka_offset_fetch_request_group group = {
		.group_id = slice_from(name),
		.member_epoch = -1,
	};
	struct kafka_offset_fetch_request request = {
		.group_id = slice_from(name),
		.groups = &group,
		.groups_count = 1,
	};
	struct kafka_offset_fetch_response response;

	enum command_status status = broker_ask(b, KAFKA_API_OFFSET_FETCH, OFFSET_FETCH_VERSION_MAX,
						&request, &response);
	if (status)
		return status;
	bool has_groups = response.groups_count == 1;
	int16_t error_code = has_groups ? response.groups[0].error_code : response.error_code;
	if (error_code)
		return broker_refused(what, error_code, (struct slice) { 0 });
	*ret = has_groups ? offsets_of_groups(&b->arena, &response.groups[0])
			  : offsets_of_topics(&b->arena, &response);
	return COMMAND_DONE;
}

/* --- both --------------------------------------------------------------------------------------
 */

static int by_partition(const void *a, const void *b)
{
	const struct group_partition *left = a, *right = b;
	int order = slice_compare(left->topic, right->topic);

	if (order)
		return order;
	return (left->partition > right->partition) - (left->partition < right->partition);
}

size_t group_merge(struct group_partition *partitions, size_t count)
{
	size_t kept = 0;

	if (count > 1)
		qsort(partitions, count, sizeof(*partitions), by_partition);
	for (size_t i = 0; i < count; i++) {
		struct group_partition *last = kept ? &partitions[kept - 1] : NULL;
		if (!last || by_partition(last, &partitions[i]) != 0) {
			partitions[kept++] = partitions[i];
			continue;
		}
		if (partitions[i].committed >= 0)
			last->committed = partitions[i].committed;
		if (partitions[i].has_told_lag) {
			last->has_told_lag = true;
			last->told_lag = partitions[i].told_lag;
		}
		if (partitions[i].member_id.data)
			last->member_id = partitions[i].member_id;
	}
	return kept;
}

static void join(struct arena *a, struct group *g, const struct offsets *offsets)
{
	size_t count = offsets->count;

	for (size_t i = 0; i < g->described.members_count; i++)
		count += g->assignments[i].partitions_count;
	g->partitions = arena_take_array(a, count, sizeof(*g->partitions));
	g->partitions_count = 0;
	for (size_t i = 0; i < offsets->count; i++)
		g->partitions[g->partitions_count++] = offsets->partitions[i];
	for (size_t i = 0; i < g->described.members_count; i++) {
		const struct assignment *assignment = &g->assignments[i];
		for (size_t j = 0; j < assignment->topics_count; j++) {
			const struct assignment_topic *topic = &assignment->topics[j];
			for (size_t k = 0; k < topic->partitions_count; k++)
				g->partitions[g->partitions_count++] = (struct group_partition) {
					.topic = topic->name,
					.partition = topic->partitions[k],
					.committed = -1,
					.member_id = g->described.members[i].member_id,
				};
		}
	}
	g->partitions_count = group_merge(g->partitions, g->partitions_count);
}

static enum command_status ask_next(struct broker *b, struct group *g)
{
	struct offset_question *questions =
		arena_take_array(&b->arena, g->partitions_count, sizeof(*questions));

	for (size_t i = 0; i < g->partitions_count; i++) {
		questions[i].topic = g->partitions[i].topic;
		questions[i].partition = g->partitions[i].partition;
	}
	enum command_status status =
		offsets_ask(b, OFFSETS_NEXT, false, questions, g->partitions_count);
	for (size_t i = 0; !status && i < g->partitions_count; i++)
		g->partitions[i].next = questions[i].offset;
	return status;
}

enum command_status group_ask(struct broker *b, const char *name, struct group *ret)
{
	const char *what = arena_format(&b->arena, "group %s", name);
	struct group group = { 0 };
	struct offsets offsets = { 0 };

	enum command_status status = describe(b, what, name, &group);
	if (status)
		return status;
	decode_assignments(&b->arena, &group);
	status = group.is_share ? group_ask_share_offsets(b, what, name, &offsets.partitions,
							  &offsets.count)
				: ask_offsets(b, what, name, &offsets);
	if (status)
		return status;
	join(&b->arena, &group, &offsets);
	status = ask_next(b, &group);
	if (!status)
		*ret = group;
	return status;
}
