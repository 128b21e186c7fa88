/* A share group (KIP-932), which requests of its own describe, in the same form as one of the
 * classic protocol: what is committed is where it begins in a partition. */
#include "cli/group.h"
#include "wire/kafka/errors.h"

static void take_places(struct arena *a,
			const struct kafka_share_group_describe_response_assignment *assignment,
			struct assignment *ret)
{
	ret->topics =
		arena_take_array(a, assignment->topic_partitions_count + 1, sizeof(*ret->topics));
	for (size_t i = 0; i < assignment->topic_partitions_count; i++) {
		const struct kafka_share_group_describe_response_assigned *topic =
			&assignment->topic_partitions[i];
		ret->topics[ret->topics_count++] = (struct assignment_topic) {
			.name = topic->topic_name,
			.partitions = topic->partitions,
			.partitions_count = topic->partitions_count,
		};
		ret->partitions_count += topic->partitions_count;
	}
}

static void take_group(struct arena *a,
		       const struct kafka_share_group_describe_response_group *group,
		       struct group *ret)
{
	ret->is_share = true;
	ret->described = (struct kafka_describe_groups_response_group) {
		.group_id = group->group_id,
		.group_state = group->group_state,
		.protocol_type = SLICE("share"),
		.protocol_data = group->assignor_name,
		.members = arena_take_array(a, group->members_count + 1,
					    sizeof(*ret->described.members)),
		.members_count = group->members_count,
	};
	ret->assignments = arena_take_array(a, group->members_count + 1, sizeof(*ret->assignments));
	for (size_t i = 0; i < group->members_count; i++) {
		const struct kafka_share_group_describe_response_member *member =
			&group->members[i];
		ret->described.members[i] = (struct kafka_describe_groups_response_member) {
			.member_id = member->member_id,
			.client_id = member->client_id,
			.client_host = member->client_host,
		};
		take_places(a, &member->assignment, &ret->assignments[i]);
	}
}

enum command_status group_ask_shares(struct broker *b, const char *name, struct group *ret)
{
	struct slice text = slice_from(name);
	struct kafka_share_group_describe_request request = { .group_ids = &text,
							      .group_ids_count = 1 };
	struct kafka_share_group_describe_response response;

	if (kafka_client_version(&b->client, KAFKA_API_SHARE_GROUP_DESCRIBE, INT16_MAX) < 0)
		return COMMAND_DONE;
	enum command_status status =
		broker_ask(b, KAFKA_API_SHARE_GROUP_DESCRIBE, INT16_MAX, &request, &response);
	if (!status && response.groups_count == 1 && !response.groups[0].error_code)
		take_group(&b->arena, &response.groups[0], ret);
	return status;
}

enum command_status group_ask_share_offsets(struct broker *b, const char *what, const char *name,
					    struct group_partition **ret, size_t *ret_count)
{
	struct kafka_describe_share_group_offsets_request_group group = { .group_id = slice_from(
										  name) };
	struct kafka_describe_share_group_offsets_request request = { .groups = &group,
								      .groups_count = 1 };
	struct kafka_describe_share_group_offsets_response response;
	size_t count = 0;

	enum command_status status = broker_ask(b, KAFKA_API_DESCRIBE_SHARE_GROUP_OFFSETS,
						INT16_MAX, &request, &response);
	if (status)
		return status;
	if (response.groups_count != 1)
		return broker_refused(what, KAFKA_UNKNOWN_SERVER_ERROR,
				      SLICE("the answer is about something else"));
	const struct kafka_describe_share_group_offsets_response_group *told = &response.groups[0];
	if (told->error_code)
		return broker_refused(what, told->error_code, told->error_message);
	for (size_t i = 0; i < told->topics_count; i++)
		count += told->topics[i].partitions_count;
	*ret = arena_take_array(&b->arena, count + 1, sizeof(**ret));
	*ret_count = 0;
	for (size_t i = 0; i < told->topics_count; i++)
		for (size_t k = 0; k < told->topics[i].partitions_count; k++)
			(*ret)[(*ret_count)++] = (struct group_partition) {
				.topic = told->topics[i].topic_name,
				.partition = told->topics[i].partitions[k].partition_index,
				.committed = told->topics[i].partitions[k].start_offset,
				.told_lag = told->topics[i].partitions[k].lag,
				.has_told_lag = told->topics[i].partitions[k].lag >= 0,
			};
	return COMMAND_DONE;
}
