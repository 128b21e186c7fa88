/* A group of the consumer protocol (KIP-848), which another request describes, in the same form as
 * one of the classic protocol. */
#include "cli/group.h"
#include "wire/kafka/errors.h"

static void take_places(struct arena *a,
			const struct kafka_consumer_group_describe_response_assignment *assignment,
			struct assignment *ret)
{
	ret->topics = arena_take_array(a, assignment->topic_partitions_count, sizeof(*ret->topics));
	for (size_t i = 0; i < assignment->topic_partitions_count; i++) {
		const struct kafka_consumer_group_describe_response_assigned *topic =
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
		       const struct kafka_consumer_group_describe_response_group *group,
		       struct group *ret)
{
	ret->described = (struct kafka_describe_groups_response_group) {
		.group_id = group->group_id,
		.group_state = group->group_state,
		.protocol_type = SLICE("consumer"),
		.protocol_data = group->assignor_name,
		.members =
			arena_take_array(a, group->members_count, sizeof(*ret->described.members)),
		.members_count = group->members_count,
	};
	ret->assignments = arena_take_array(a, group->members_count, sizeof(*ret->assignments));
	for (size_t i = 0; i < group->members_count; i++) {
		const struct kafka_consumer_group_describe_response_member *member =
			&group->members[i];
		ret->described.members[i] = (struct kafka_describe_groups_response_member) {
			.member_id = member->member_id,
			.group_instance_id = member->instance_id,
			.client_id = member->client_id,
			.client_host = member->client_host,
		};
		take_places(a, &member->assignment, &ret->assignments[i]);
	}
}

enum command_status group_ask_consumers(struct broker *b, const char *what, const char *name,
					struct group *ret)
{
	struct slice text = slice_from(name);
	struct kafka_consumer_group_describe_request request = { .group_ids = &text,
								 .group_ids_count = 1 };
	struct kafka_consumer_group_describe_response response;

	enum command_status status =
		broker_ask(b, KAFKA_API_CONSUMER_GROUP_DESCRIBE, INT16_MAX, &request, &response);
	if (status)
		return status;
	if (response.groups_count != 1)
		return broker_refused(what, KAFKA_UNKNOWN_SERVER_ERROR,
				      SLICE("the answer is about something else"));
	if (response.groups[0].error_code)
		return broker_refused(what, response.groups[0].error_code,
				      response.groups[0].error_message);
	take_group(&b->arena, &response.groups[0], ret);
	return COMMAND_DONE;
}
