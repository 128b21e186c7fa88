/* hanse topic deleted, undelete and purge: deleted topics that are still there.  Kafka has no
 * requests for them: they ask control on this machine. */
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "cli/control_client.h"
#include "cli/output.h"
#include "cli/table.h"

enum { TIME_TEXT_BYTES = 32 };

static enum command_status ask(const struct command_line *l, const char *method, json_t *body,
			       json_t **ret)
{
	return control_request(l, method, "/v1/topics/deleted", body, ret);
}

/* --- what there is ----------------------------------------------------------------------------
 */

static bool is_named(const json_t *topic, const struct command_line *l)
{
	if (l->argument_count == 0)
		return true;
	const char *name = json_string_value(json_object_get(topic, "name"));
	const char *id = json_string_value(json_object_get(topic, "id"));
	return (name && strcmp(name, l->arguments[0]) == 0) ||
	       (id && strcmp(id, l->arguments[0]) == 0);
}

static void add_time(struct table *t, const json_t *topic, const char *name)
{
	time_t seconds = (time_t)(json_integer_value(json_object_get(topic, name)) / 1000);
	char text[TIME_TEXT_BYTES] = "";
	struct tm tm;

	/* for ever, as far as anybody can tell */
	if (gmtime_r(&seconds, &tm) && tm.tm_year < 9999 - 1900)
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	table_add_text(t, text[0] ? slice_from(text) : (struct slice) { 0 });
}

static void add_row(struct arena *a, struct table *t, const json_t *topic)
{
	const char *name = json_string_value(json_object_get(topic, "name"));
	const char *id = json_string_value(json_object_get(topic, "id"));

	table_add_text(t, output_printable(a, slice_from(name ? name : "")));
	table_add_text(t, output_printable(a, slice_from(id ? id : "")));
	table_add_number(t, json_integer_value(json_object_get(topic, "partitions")));
	table_add_number(t, json_integer_value(json_object_get(topic, "bytes")));
	add_time(t, topic, "deleted_ms");
	add_time(t, topic, "until_ms");
}

static void print(const struct command_line *l, const json_t *topics)
{
	static const char *const headings[] = { "NAME",	   "ID",    "PARTITIONS", "BYTES",
						"DELETED", "UNTIL", NULL };
	struct table t;
	struct arena a;

	arena_init(&a);
	table_init(&t, &a, headings);
	for (size_t i = 0; i < json_array_size(topics); i++)
		if (is_named(json_array_get(topics, i), l))
			add_row(&a, &t, json_array_get(topics, i));
	table_print(&t, stdout);
	table_done(&t);
	arena_done(&a);
}

static enum command_status list(const struct command_line *l, json_t **ret)
{
	enum command_status status = ask(l, "GET", NULL, ret);

	if (!status && !json_is_array(json_object_get(*ret, "topics"))) {
		say("this node knows nothing yet: who leads has not been heard");
		json_decref(*ret);
		return COMMAND_UNREACHABLE;
	}
	return status;
}

enum command_status topic_deleted_run(const struct command_line *l)
{
	json_t *answer = NULL;

	enum command_status status = list(l, &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	control_say_who_answered(answer);
	print(l, json_object_get(answer, "topics"));
	json_decref(answer);
	return COMMAND_DONE;
}

/* --- back, or gone ----------------------------------------------------------------------------
 */

enum command_status topic_undelete_run(const struct command_line *l)
{
	const char *topic = l->arguments[0];
	const char *name = l->argument_count > 1 ? l->arguments[1] : NULL;
	json_t *answer = NULL;

	if (l->argument_count > 2) {
		say("one topic at a time: undelete NAME|ID [NEW]");
		return COMMAND_MISUSED;
	}
	json_t *body =
		json_pack("{s:s, s:s, s:s*}", "do", "undelete", "topic", topic, "name", name);
	if (!body) {
		say("the name is not UTF-8");
		return COMMAND_MISUSED;
	}
	enum command_status status = ask(l, "POST", body, &answer);
	json_decref(answer);
	if (!status)
		say("topic %s is back%s%s", topic, name ? " as " : "", name ? name : "");
	return status;
}

static enum command_status purge(const struct command_line *l)
{
	const char *topic = l->argument_count > 0 ? l->arguments[0] : NULL;
	enum command_status status;
	json_int_t count, total = 0;

	do {
		json_t *answer = NULL;
		json_t *body = json_pack("{s:s, s:s*}", "do", "purge", "topic", topic);
		if (!body) {
			say("the name is not UTF-8");
			return COMMAND_MISUSED;
		}
		status = ask(l, "POST", body, &answer);
		count = json_integer_value(json_object_get(answer, "count"));
		total += count;
		json_decref(answer);
	} while (!status && !topic && count > 0);
	if (!status)
		say("%lld deleted topics are gone for good", (long long)total);
	return status;
}

enum command_status topic_purge_run(const struct command_line *l)
{
	json_t *answer = NULL;

	if (l->argument_count > 1) {
		say("one topic at a time, or all of them: purge [NAME|ID]");
		return COMMAND_MISUSED;
	}
	if (command_line_has(l, FLAG_EXECUTE))
		return purge(l);
	enum command_status status = list(l, &answer);
	if (status)
		return status;
	print(l, json_object_get(answer, "topics"));
	json_decref(answer);
	say("nothing was done: with --execute these cannot be brought back any more");
	return COMMAND_DONE;
}
