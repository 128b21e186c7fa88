#include "cli/topic.h"

#include <stdlib.h>

#include "base/text.h"
#include "wire/kafka/errors.h"

static int by_name(const void *a, const void *b)
{
	const struct kafka_metadata_response_topic *left = a, *right = b;

	return slice_compare(left->name, right->name);
}

static int by_index(const void *a, const void *b)
{
	const struct kafka_metadata_response_partition *left = a, *right = b;

	return (left->partition_index > right->partition_index) -
	       (left->partition_index < right->partition_index);
}

enum command_status topic_ask_all(struct broker *b, struct kafka_metadata_response *ret)
{
	struct kafka_metadata_request request = { .topics = NULL };

	enum command_status status = broker_ask(b, KAFKA_API_METADATA, INT16_MAX, &request, ret);
	if (status)
		return status;
	if (ret->error_code)
		return broker_refused("the topics are not told", ret->error_code,
				      (struct slice) { 0 });
	if (ret->topics_count > 1)
		qsort(ret->topics, ret->topics_count, sizeof(ret->topics[0]), by_name);
	return COMMAND_DONE;
}

enum command_status topic_ask(struct broker *b, const char *name,
			      struct kafka_metadata_response_topic *ret)
{
	struct kafka_metadata_request_topic topic = { .name = slice_from(name) };
	struct kafka_metadata_request request = {
		.topics = &topic,
		.topics_count = 1,
		.allow_auto_topic_creation = false,
	};
	struct kafka_metadata_response response;
	const char *what = arena_format(&b->arena, "topic %s", name);

	enum command_status status =
		broker_ask(b, KAFKA_API_METADATA, INT16_MAX, &request, &response);
	if (status)
		return status;
	if (response.error_code)
		return broker_refused(what, response.error_code, (struct slice) { 0 });
	if (response.topics_count != 1)
		return broker_refused(what, KAFKA_UNKNOWN_SERVER_ERROR,
				      SLICE("the answer is about something else"));
	*ret = response.topics[0];
	if (ret->error_code)
		return broker_refused(what, ret->error_code, (struct slice) { 0 });
	if (ret->partitions_count > 1)
		qsort(ret->partitions, ret->partitions_count, sizeof(ret->partitions[0]), by_index);
	return COMMAND_DONE;
}

struct slice topic_id_text(char buffer[TOPIC_ID_BYTES], struct uuid id)
{
	if (uuid_is_zero(id))
		return (struct slice) { 0 };
	uuid_text(buffer, id.bytes);
	return slice_from(buffer);
}
