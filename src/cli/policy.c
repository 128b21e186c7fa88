/* hanse policy: who may reach what in the mesh. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "access/hujson.h"
#include "base/scope.h"
#include "base/text.h"
#include "cli/control_client.h"
#include "cli/local_client.h"
#include "cli/output.h"

enum { POLICY_MS = 30 * 1000 };

static enum command_status ask(const struct command_line *l, const char *method, const char *path,
			       json_t *body, json_t **ret)
{
	return local_request(l, "realm.sock", method, path, body, POLICY_MS, ret);
}

/* Sentences with what others named in them. */
static void print_text(const json_t *answer, const char *name)
{
	const char *text = json_string_value(json_object_get(answer, name));

	for (; text && *text; text++)
		putchar((unsigned char)*text < ' ' && *text != '\n' ? '?' : *text);
}

/* "-" is standard input. */
static enum command_status read_file(const char *name, json_t **ret)
{
	AUTO_FILE file = strcmp(name, "-") == 0 ? NULL : fopen(name, "r");
	FILE *from = file ? file : stdin;
	char part[4096];
	struct buf text;
	size_t size;

	if (!file && strcmp(name, "-") != 0) {
		say("%s: %s", name, strerror(errno));
		return COMMAND_REFUSED;
	}
	buf_init(&text);
	while (text.size <= HUJSON_BYTES_MAX && (size = fread(part, 1, sizeof(part), from)) > 0)
		buf_add(&text, part, size);
	*ret = json_stringn(text.size ? (const char *)text.data : "", text.size);
	bool is_good = *ret && !ferror(from) && text.size <= HUJSON_BYTES_MAX;
	buf_done(&text);
	if (is_good)
		return COMMAND_DONE;
	json_decref(*ret);
	say("%s cannot be read as UTF-8 text of at most %d bytes", name, HUJSON_BYTES_MAX);
	return COMMAND_REFUSED;
}

static enum command_status ask_about_file(const struct command_line *l, const char *method,
					  const char *path, json_t **ret)
{
	json_t *text = NULL;
	enum command_status status = read_file(l->arguments[0], &text);

	if (status)
		return status;
	return ask(l, method, path, json_pack("{s:o}", "text", text), ret);
}

/* A version as an argument; false after saying that it is none. */
static bool read_version(const char *text, uint64_t *ret)
{
	if (!text_to_u64(slice_from(text), INT32_MAX, ret))
		return true;
	say("\"%.40s\" is no version: `hanse policy history` shows them", text);
	return false;
}

enum command_status policy_get_run(const struct command_line *l)
{
	json_t *answer = NULL;
	uint64_t version;

	enum command_status status = ask(l, "GET", "/v1/policy", NULL, &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	version = (uint64_t)json_integer_value(json_object_get(answer, "version"));
	const char *text = json_string_value(json_object_get(answer, "text"));
	if (text && text[0])
		fputs(text, stdout);
	else if (version)
		say("there is no policy now: everybody reaches everything");
	else
		say("there is no policy yet: everybody reaches everything");
	json_decref(answer);
	return COMMAND_DONE;
}

enum command_status policy_set_run(const struct command_line *l)
{
	json_t *answer = NULL;

	enum command_status status = ask_about_file(l, "PUT", "/v1/policy", &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	print_text(answer, "problems");
	printf("policy %lld is in force\n",
	       (long long)json_integer_value(json_object_get(answer, "version")));
	json_decref(answer);
	return COMMAND_DONE;
}

/* What is refused is told by the exit status too. */
static enum command_status output_verdict(json_t *answer, bool is_good)
{
	enum command_status status = output_json(answer);

	return status ? status : is_good ? COMMAND_DONE : COMMAND_REFUSED;
}

enum command_status policy_check_run(const struct command_line *l)
{
	json_t *answer = NULL;

	enum command_status status = ask_about_file(l, "POST", "/v1/policy/check", &answer);
	if (status)
		return status;
	bool is_ok = json_is_true(json_object_get(answer, "ok"));
	if (command_line_has(l, FLAG_JSON))
		return output_verdict(answer, is_ok);
	print_text(answer, "problems");
	puts(is_ok ? "it can be used" : "it cannot be used");
	json_decref(answer);
	return is_ok ? COMMAND_DONE : COMMAND_REFUSED;
}

/* "db:53/udp" is "db:53" and "udp". */
static void add_target(json_t *body, const char *text)
{
	const char *slash = strrchr(text, '/');

	json_object_set_new(body, "to",
			    json_stringn(text, slash ? (size_t)(slash - text) : strlen(text)));
	if (slash)
		json_object_set_new(body, "protocol", json_string(slash + 1));
}

/* --- what is done with Kafka ------------------------------------------------------------------
 */

/* "topic:orders" is a resource and a name; "cluster" has one name, which is not said. */
static bool read_resource(const char *text, json_t *body)
{
	const char *colon = strchr(text, ':');
	size_t size = colon ? (size_t)(colon - text) : strlen(text);
	bool is_cluster = size == strlen("cluster") && strncasecmp(text, "cluster", size) == 0;

	if (is_cluster ? colon != NULL : (!colon || size == 0 || colon[1] == '\0'))
		return false;
	json_object_set_new(body, "resource", json_stringn(text, size));
	json_object_set_new(body, "name", json_string(is_cluster ? "kafka-cluster" : colon + 1));
	return true;
}

static json_t *principal_of(const char *name)
{
	return strncmp(name, "User:", 5) == 0 ? json_string(name) : json_sprintf("User:%s", name);
}

static enum command_status explain_kafka(const struct command_line *l)
{
	json_t *body = json_pack("{s:o, s:s, s:s}", "principal", principal_of(l->arguments[0]),
				 "operation", command_line_value(l, FLAG_OPERATION, ""), "host",
				 command_line_value(l, FLAG_HOST, "127.0.0.1"));
	json_t *answer = NULL;

	if (!read_resource(l->arguments[1], body)) {
		say("with --operation, \"%.60s\" is to be topic:NAME, group:NAME,"
		    " transactional-id:NAME or cluster",
		    l->arguments[1]);
		json_decref(body);
		return COMMAND_MISUSED;
	}
	enum command_status status =
		control_request(l, "POST", "/v1/access/explain", body, &answer);
	if (status)
		return status;
	bool is_allowed = json_is_true(json_object_get(answer, "allowed"));
	if (command_line_has(l, FLAG_JSON))
		return output_verdict(answer, is_allowed);
	const json_t *reasons = json_object_get(answer, "reasons");
	control_say_who_answered(answer);
	for (size_t i = 0; i < json_array_size(reasons); i++) {
		print_text(json_array_get(reasons, i), "text");
		puts("");
	}
	json_decref(answer);
	return is_allowed ? COMMAND_DONE : COMMAND_REFUSED;
}

enum command_status policy_explain_run(const struct command_line *l)
{
	if (command_line_has(l, FLAG_OPERATION))
		return explain_kafka(l);
	if (command_line_has(l, FLAG_HOST)) {
		say("--host is for --operation: from where a user of Kafka asks");
		return COMMAND_MISUSED;
	}
	json_t *body = json_pack("{s:s}", "from", l->arguments[0]), *answer = NULL;

	add_target(body, l->arguments[1]);
	enum command_status status = ask(l, "POST", "/v1/policy/explain", body, &answer);
	if (status)
		return status;
	bool is_allowed = json_is_true(json_object_get(answer, "allowed"));
	if (command_line_has(l, FLAG_JSON))
		return output_verdict(answer, is_allowed);
	print_text(answer, "text");
	json_decref(answer);
	return is_allowed ? COMMAND_DONE : COMMAND_REFUSED;
}

enum command_status policy_who_can_run(const struct command_line *l)
{
	json_t *body = json_object(), *answer = NULL;

	add_target(body, l->arguments[0]);
	enum command_status status = ask(l, "POST", "/v1/policy/who-can", body, &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	print_text(answer, "text");
	json_decref(answer);
	return COMMAND_DONE;
}

enum command_status policy_diff_run(const struct command_line *l)
{
	uint64_t version;
	json_t *answer = NULL;
	enum command_status status;

	if (text_to_u64(slice_from(l->arguments[0]), INT32_MAX, &version) == OK)
		status = ask(l, "POST", "/v1/policy/diff",
			     json_pack("{s:I}", "version", (json_int_t)version), &answer);
	else
		status = ask_about_file(l, "POST", "/v1/policy/diff", &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	print_text(answer, "text");
	if (json_integer_value(json_object_get(answer, "changes")) == 0)
		say("nobody gains or loses anything");
	json_decref(answer);
	return COMMAND_DONE;
}

enum command_status policy_history_run(const struct command_line *l)
{
	json_t *answer = NULL;

	enum command_status status = ask(l, "GET", "/v1/policy/history", NULL, &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	const json_t *versions = json_object_get(answer, "versions");
	for (size_t i = 0; i < json_array_size(versions); i++) {
		const json_t *it = json_array_get(versions, i);
		time_t created_s = (time_t)json_integer_value(json_object_get(it, "created_s"));
		struct tm tm;
		char when[32];

		gmtime_r(&created_s, &tm);
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%SZ", &tm);
		printf("%4lld  %s  %6lld bytes  ",
		       (long long)json_integer_value(json_object_get(it, "version")), when,
		       (long long)json_integer_value(json_object_get(it, "bytes")));
		print_text(it, "note");
		puts(i == 0 ? "(in force)" : "");
	}
	json_decref(answer);
	return COMMAND_DONE;
}

enum command_status policy_rollback_run(const struct command_line *l)
{
	uint64_t version;
	json_t *answer = NULL;

	if (!read_version(l->arguments[0], &version))
		return COMMAND_MISUSED;
	enum command_status status =
		ask(l, "POST", "/v1/policy/rollback",
		    json_pack("{s:I}", "version", (json_int_t)version), &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	printf("policy %lld is in force, with the text of %llu\n",
	       (long long)json_integer_value(json_object_get(answer, "version")),
	       (unsigned long long)version);
	json_decref(answer);
	return COMMAND_DONE;
}
