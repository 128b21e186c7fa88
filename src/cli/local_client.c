#include "cli/local_client.h"

#include <string.h>

#include "base/buf.h"
#include "cli/admin_client.h"
#include "cli/output.h"
#include "server/up_options.h"

enum { HTTP_OK = 200, HTTP_NOT_FOUND = 404, HTTP_UNAVAILABLE = 503 };

static enum command_status unreachable(enum err err, const char *path, const char *why)
{
	bool is_control = strcmp(strrchr(path, '/'), "/realm.sock") == 0;

	if (err == ERR_NOT_FOUND) {
		say("%s does not run here: there is no %s",
		    is_control ? "control of the mesh" : "`hanse up`", path);
		say_more(is_control ? "Run this on the machine that has it, the first one of the"
				      " mesh.  --run-dir DIR names the one that was started with"
				      " it."
				    : "It makes this machine one of a mesh.  --run-dir DIR names"
				      " the one that was started with it.");
	} else if (err == ERR_DENIED) {
		say("%s is another user's: use `sudo`", path);
		return COMMAND_REFUSED;
	} else if (err == ERR_UNAVAILABLE) {
		say("nobody answers at %s: %s", path, why);
		say_more(
			"If `hanse up` runs, it starts that process again, and its messages say why"
			" it ended.");
	} else {
		say("no answer from %s: %s", path, why);
	}
	return COMMAND_UNREACHABLE;
}

static enum command_status refused(unsigned code, const json_t *answer)
{
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (error)
		say("%s", error);
	else
		say("it was refused with HTTP status %u", code);
	return code == HTTP_NOT_FOUND	  ? COMMAND_NOT_FOUND
	       : code == HTTP_UNAVAILABLE ? COMMAND_UNREACHABLE
					  : COMMAND_REFUSED;
}

static enum command_status request(struct arena *a, const char *path, const char *method,
				   const char *target, struct slice body, uint64_t timeout_ms,
				   json_t **ret)
{
	char why[SOCKET_WHY_BYTES];
	struct slice text = { 0 };
	unsigned code = 0;

	enum err err = admin_request(a, path, method, target, body, timeout_ms, &code, &text, why);
	if (err)
		return unreachable(err, path, why);
	json_t *answer = json_loadb((const char *)text.data, text.size, 0, NULL);
	if (code == HTTP_OK && answer) {
		*ret = answer;
		return COMMAND_DONE;
	}
	enum command_status status = refused(code, answer);
	json_decref(answer);
	return status;
}

static int add_text(const char *text, size_t size, void *context)
{
	buf_add(context, text, size);
	return 0;
}

enum command_status local_request(const struct command_line *l, const char *socket,
				  const char *method, const char *path, json_t *body,
				  uint64_t timeout_ms, json_t **ret)
{
	char run_dir[OPTION_VALUE_BYTES_MAX];
	struct buf text;
	struct arena a;

	up_options_find_run_dir(socket, run_dir);
	arena_init(&a);
	buf_init(&text);
	if (body && json_dump_callback(body, add_text, &text, JSON_COMPACT))
		text.size = 0;
	const char *place =
		arena_format(&a, "%s/%s", command_line_value(l, FLAG_RUN_DIR, run_dir), socket);
	enum command_status status =
		request(&a, place, method, path, buf_slice(&text), timeout_ms, ret);
	arena_done(&a);
	if (text.data)
		explicit_bzero(text.data, text.capacity); /* it may hold a key */
	buf_done(&text);
	json_decref(body);
	return status;
}
