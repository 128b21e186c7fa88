/* hanse topic delete: DeleteTopics, after asking the person at the terminal. */
#include <string.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/topic.h"
#include "wire/kafka/errors.h"

enum { ANSWER_BYTES_MAX = COMMAND_NAME_BYTES_MAX + 2 };

/* A script cannot be asked, and has already said what it means. */
static bool must_ask(const struct command_line *l)
{
	return !command_line_has(l, FLAG_FORCE) && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

static enum command_status confirm(struct broker *b, const char *name)
{
	struct kafka_metadata_response_topic topic;
	char answer[ANSWER_BYTES_MAX];

	enum command_status status = topic_ask(b, name, &topic);
	if (status)
		return status;
	say("this deletes topic %s and all its records", name);
	fprintf(stderr, "Type its name to go on: ");
	if (fgets(answer, sizeof(answer), stdin)) {
		answer[strcspn(answer, "\n")] = '\0';
		if (strcmp(answer, name) == 0)
			return COMMAND_DONE;
	}
	say("nothing was deleted");
	return COMMAND_REFUSED;
}

static enum command_status delete(struct broker *b, const char *name)
{
	struct slice text = slice_from(name);
	struct kafka_delete_topics_request_topic topic = { .name = text };
	struct kafka_delete_topics_request request = {
		.topics = &topic,
		.topics_count = 1,
		.topic_names = &text,
		.topic_names_count = 1,
		.timeout_ms = BROKER_REQUEST_TIMEOUT_MS,
	};
	struct kafka_delete_topics_response response;
	const char *what = arena_format(&b->arena, "topic %s was not deleted", name);

	enum command_status status =
		broker_ask(b, KAFKA_API_DELETE_TOPICS, INT16_MAX, &request, &response);
	if (status == COMMAND_UNREACHABLE)
		say_more("It may have been deleted nevertheless: `hanse topic list` shows it.");
	if (status)
		return status;
	if (response.responses_count != 1)
		return broker_refused(what, KAFKA_UNKNOWN_SERVER_ERROR,
				      SLICE("the answer is about something else"));
	if (response.responses[0].error_code)
		return broker_refused(what, response.responses[0].error_code,
				      response.responses[0].error_message);
	say("topic %s was deleted", name);
	say_more("`hanse topic list` shows what is left.");
	return COMMAND_DONE;
}

enum command_status topic_delete_run(const struct command_line *l)
{
	struct broker b;

	enum command_status status = broker_open(&b, l);
	if (!status && must_ask(l))
		status = confirm(&b, l->arguments[0]);
	if (!status)
		status = delete (&b, l->arguments[0]);
	broker_close(&b);
	return status;
}
