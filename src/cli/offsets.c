#include "cli/offsets.h"

#include <stdlib.h>

int offset_question_compare(const void *a, const void *b)
{
	const struct offset_question *left = a, *right = b;
	int order = slice_compare(left->topic, right->topic);

	if (order)
		return order;
	return (left->partition > right->partition) - (left->partition < right->partition);
}

/* One topic of the request for each run of questions about it. */
static void fill_request(struct arena *a, int64_t time_ms, const struct offset_question *questions,
			 size_t count, struct kafka_list_offsets_request *ret)
{
	struct kafka_list_offsets_request_partition *partitions =
		arena_take_array(a, count, sizeof(*partitions));
	struct kafka_list_offsets_request_topic *topic = NULL;

	*ret = (struct kafka_list_offsets_request) {
		.replica_id = -1,
		.topics = arena_take_array(a, count, sizeof(*ret->topics)),
		.timeout_ms = BROKER_REQUEST_TIMEOUT_MS,
	};
	for (size_t i = 0; i < count; i++) {
		if (!topic || !slice_equal(topic->name, questions[i].topic)) {
			topic = &ret->topics[ret->topics_count++];
			topic->name = questions[i].topic;
			topic->partitions = &partitions[i];
		}
		topic->partitions_count++;
		partitions[i] = (struct kafka_list_offsets_request_partition) {
			.partition_index = questions[i].partition,
			.current_leader_epoch = -1,
			.timestamp = time_ms,
		};
	}
}

static void take_answers(const struct kafka_list_offsets_response_topic *topic,
			 struct offset_question *questions, size_t count)
{
	for (size_t i = 0; i < topic->partitions_count; i++) {
		struct offset_question key = {
			.topic = topic->name,
			.partition = topic->partitions[i].partition_index,
		};
		struct offset_question *found =
			bsearch(&key, questions, count, sizeof(key), offset_question_compare);
		if (found && topic->partitions[i].error_code == 0)
			found->offset = topic->partitions[i].offset;
	}
}

enum command_status offsets_ask(struct broker *b, int64_t time_ms, bool is_committed_only,
				struct offset_question *questions, size_t count)
{
	struct kafka_list_offsets_request request;
	struct kafka_list_offsets_response response;

	for (size_t i = 0; i < count; i++)
		questions[i].offset = -1;
	if (count == 0)
		return COMMAND_DONE;
	fill_request(&b->arena, time_ms, questions, count, &request);
	request.isolation_level = is_committed_only;
	enum command_status status =
		broker_ask(b, KAFKA_API_LIST_OFFSETS, INT16_MAX, &request, &response);
	if (status)
		return status;
	for (size_t i = 0; i < response.topics_count; i++)
		take_answers(&response.topics[i], questions, count);
	return COMMAND_DONE;
}
