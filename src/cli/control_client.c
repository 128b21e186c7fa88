#include "cli/control_client.h"

#include "base/buf.h"
#include "cli/admin_client.h"
#include "cli/output.h"
#include "server/options.h"

enum { HTTP_OK = 200, HTTP_NOT_FOUND = 404, HTTP_UNAVAILABLE = 503 };

static enum command_status answered(unsigned code, struct slice body, json_t **ret)
{
	json_t *answer = json_loadb((const char *)body.data, body.size, 0, NULL);
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (code == HTTP_OK && answer) {
		*ret = answer;
		return COMMAND_DONE;
	}
	if (error)
		say("%s", error);
	else
		say("the node answered with HTTP status %u", code);
	json_decref(answer);
	return code == HTTP_NOT_FOUND	  ? COMMAND_NOT_FOUND
	       : code == HTTP_UNAVAILABLE ? COMMAND_UNREACHABLE
					  : COMMAND_REFUSED;
}

static int add_text(const char *text, size_t size, void *context)
{
	buf_add(context, text, size);
	return 0;
}

enum command_status control_request(const struct command_line *l, const char *method,
				    const char *name, json_t *body, json_t **ret)
{
	char path[OPTION_VALUE_BYTES_MAX + 32], run_dir[OPTION_VALUE_BYTES_MAX];
	char why[COMMAND_WHY_BYTES], reason[SOCKET_WHY_BYTES];
	struct kafka_address address;
	enum command_status status;
	struct slice answer = { 0 };
	unsigned code = 0;
	struct arena a;
	struct buf text;

	if (command_line_kafka(l, &address, why)) {
		say("%s", why);
		json_decref(body);
		return COMMAND_MISUSED;
	}
	options_run_dir(run_dir);
	options_admin_path(command_line_value(l, FLAG_RUN_DIR, run_dir), address.port, path);
	arena_init(&a);
	buf_init(&text);
	if (body && json_dump_callback(body, add_text, &text, JSON_COMPACT))
		buf_clear(&text);
	json_decref(body);
	enum err err =
		admin_request(&a, path, method, name, buf_slice(&text), 0, &code, &answer, reason);
	if (err == ERR_NOT_FOUND) {
		say("control does not run here: there is no %s", path);
		say_more("Run this on a machine with `hanse serve`, as its user; --kafka HOST:PORT"
			 " and --run-dir DIR name the one that was started with them.");
		status = COMMAND_UNREACHABLE;
	} else if (err) {
		say("control did not answer: %s: %s", path, reason);
		status = COMMAND_UNREACHABLE;
	} else {
		status = answered(code, answer, ret);
	}
	buf_done(&text);
	arena_done(&a);
	return status;
}

void control_say_who_answered(const json_t *answer)
{
	if (json_is_false(json_object_get(answer, "leads")))
		say("this node stands by: that is what it has heard so far");
}
