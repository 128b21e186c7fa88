/* hanse topic partitions: CreatePartitions. */
#include "base/text.h"
#include "cli/output.h"
#include "cli/topic.h"
#include "wire/kafka/errors.h"

static enum command_status add(struct broker *b, const char *name, int32_t count)
{
	struct kafka_create_partitions_request_topic topic = { .name = slice_from(name),
							       .count = count };
	struct kafka_create_partitions_request request = {
		.topics = &topic,
		.topics_count = 1,
		.timeout_ms = BROKER_REQUEST_TIMEOUT_MS,
	};
	struct kafka_create_partitions_response response;
	const char *what =
		arena_format(&b->arena, "topic %s has as many partitions as before", name);

	enum command_status status =
		broker_ask(b, KAFKA_API_CREATE_PARTITIONS, INT16_MAX, &request, &response);
	if (status == COMMAND_UNREACHABLE)
		say_more("It may have been done nevertheless: `hanse topic describe %s` shows it.",
			 name);
	if (status)
		return status;
	if (response.results_count != 1)
		return broker_refused(what, KAFKA_UNKNOWN_SERVER_ERROR,
				      SLICE("the answer is about something else"));
	if (response.results[0].error_code)
		return broker_refused(what, response.results[0].error_code,
				      response.results[0].error_message);
	say("topic %s has %d partitions; new records with the keys of old ones may go elsewhere",
	    name, (int)count);
	return COMMAND_DONE;
}

enum command_status topic_partitions_run(const struct command_line *l)
{
	struct broker b;
	uint64_t count;

	if (text_to_u64(slice_from(l->arguments[1]), INT32_MAX, &count) || count == 0) {
		say("%s is not a number of partitions", l->arguments[1]);
		return COMMAND_MISUSED;
	}
	enum command_status status = broker_open(&b, l);
	if (!status)
		status = add(&b, l->arguments[0], (int32_t)count);
	broker_close(&b);
	return status;
}
