/* hanse topic create: CreateTopics. */
#include <inttypes.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/topic.h"
#include "wire/kafka/errors.h"

enum { VERSION_DEFAULTS = 4 }; /* from here on -1 means what the broker gives by default */

static enum command_status say_created(const struct command_line *l,
				       const struct kafka_create_topics_response_topic *topic)
{
	const char *name = l->arguments[0];
	char id[TOPIC_ID_BYTES];

	if (command_line_has(l, FLAG_JSON))
		return output_json(
			json_pack("{s:o, s:o, s:o}", "name", output_json_text(slice_from(name)),
				  "id", output_json_text(topic_id_text(id, topic->topic_id)),
				  "partitions", output_json_offset(topic->num_partitions)));
	if (topic->num_partitions > 0)
		say("topic %s was created with %" PRId32 " partition%s", name,
		    topic->num_partitions, topic->num_partitions == 1 ? "" : "s");
	else
		say("topic %s was created", name);
	say_more("`hanse topic describe %s` shows it.", name);
	return COMMAND_DONE;
}

static enum command_status create(struct broker *b, const struct command_line *l,
				  int32_t partitions)
{
	const char *name = l->arguments[0];
	char what[300];
	bool has_defaults = kafka_client_version(&b->client, KAFKA_API_CREATE_TOPICS, INT16_MAX) >=
			    VERSION_DEFAULTS;
	struct kafka_create_topics_request_topic topic = {
		.name = slice_from(name),
		.num_partitions = partitions < 0 && !has_defaults ? 1 : partitions,
		.replication_factor = has_defaults ? -1 : 1,
	};
	struct kafka_create_topics_request request = {
		.topics = &topic,
		.topics_count = 1,
		.timeout_ms = BROKER_REQUEST_TIMEOUT_MS,
	};
	struct kafka_create_topics_response response;

	snprintf(what, sizeof(what), "topic %.249s was not created", name);
	enum command_status status =
		broker_ask(b, KAFKA_API_CREATE_TOPICS, INT16_MAX, &request, &response);
	if (status == COMMAND_UNREACHABLE)
		say_more("It may have been created nevertheless: `hanse topic list` shows it.");
	if (status)
		return status;
	if (response.topics_count != 1)
		return broker_refused(what, KAFKA_UNKNOWN_SERVER_ERROR,
				      SLICE("the answer is about something else"));
	const struct kafka_create_topics_response_topic *result = &response.topics[0];
	if (result->error_code)
		return broker_refused(what, result->error_code, result->error_message);
	return say_created(l, result);
}

enum command_status topic_create_run(const struct command_line *l)
{
	uint64_t partitions = 0;
	struct broker b;

	if (command_line_has(l, FLAG_PARTITIONS) &&
	    (text_to_u64(slice_from(l->values[FLAG_PARTITIONS]), INT32_MAX, &partitions) ||
	     partitions == 0)) {
		say("--partitions %.60s is not a number of partitions, as in 4",
		    l->values[FLAG_PARTITIONS]);
		return COMMAND_MISUSED;
	}
	enum command_status status = broker_open(&b, l);
	if (!status)
		status = create(&b, l, partitions ? (int32_t)partitions : -1);
	broker_close(&b);
	return status;
}
