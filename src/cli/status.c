/* hanse status: GET /v1/status of the local node.
 *
 * For people the document is shown as names and values, whatever is in it, so that a newer node is
 * shown in full too. */
#include <inttypes.h>
#include <string.h>

#include "cli/admin_client.h"
#include "cli/mesh.h"
#include "cli/output.h"
#include "cli/table.h"
#include "server/options.h"

enum { HTTP_OK = 200 };

static enum command_status unreachable(enum err err, const char *path, const char *why)
{
	if (err == ERR_NOT_FOUND) {
		say("no node runs here: there is no %s", path);
		say_more("`hanse serve` starts one, and `hanse up` makes this machine one of a"
			 " mesh; where root runs them: `sudo`.  --kafka HOST:PORT and --run-dir "
			 "DIR name the"
			 " one that was started with them.  One without the control role has no"
			 " status: ask where control runs.");
	} else if (err == ERR_UNAVAILABLE) {
		say("the control process of this node is not running: %s: %s", path, why);
		say_more("If `hanse serve` runs, it starts it again, and its messages say why it"
			 " ended.  If none runs here any more, it was killed: remove that file.");
	} else {
		say("the node did not answer: %s: %s", path, why);
	}
	return COMMAND_UNREACHABLE;
}

/* --- for people --------------------------------------------------------------------------------
 */

static void add_value(struct table *t, const char *name, const json_t *value);

/* "journal" and "committed_index" make "journal committed index". */
static char *join_names(struct arena *a, const char *before, const char *name)
{
	char *joined =
		before[0] ? arena_format(a, "%s %s", before, name) : arena_format(a, "%s", name);

	for (char *p = joined; *p; p++)
		if (*p == '_')
			*p = ' ';
	return joined;
}

static void add_members(struct table *t, const char *before, const json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, name, value)
		add_value(t, join_names(t->arena, before, name), value);
}

static void add_elements(struct table *t, const char *before, const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++)
		add_value(t, arena_format(t->arena, "%s %zu", before, i), json_array_get(array, i));
}

static void add_value(struct table *t, const char *name, const json_t *value)
{
	struct slice text = { 0 };

	if (json_is_null(value)) /* does not apply to this node */
		return;
	if (json_is_object(value)) {
		add_members(t, name, value);
		return;
	}
	if (json_is_array(value)) {
		add_elements(t, name, value);
		return;
	}
	if (json_is_string(value) && json_string_length(value) > 0)
		text = slice_from(json_string_value(value));
	else if (json_is_integer(value))
		text = slice_from(
			arena_format(t->arena, "%" PRId64, (int64_t)json_integer_value(value)));
	else if (json_is_real(value))
		text = slice_from(arena_format(t->arena, "%g", json_real_value(value)));
	else if (json_is_boolean(value))
		text = json_is_true(value) ? SLICE("yes") : SLICE("no");
	table_add_text(t, slice_from(name));
	table_add_text(t, text);
}

static enum command_status print_text(struct arena *a, const json_t *status, const json_t *mesh)
{
	struct table t;

	table_init(&t, a, NULL);
	add_members(&t, "", status);
	table_print(&t, stdout);
	table_done(&t);
	if (mesh) {
		puts("");
		mesh_print_status(a, mesh);
	}
	return COMMAND_DONE;
}

/* --- the command -------------------------------------------------------------------------------
 */

static enum command_status print(struct arena *a, const struct command_line *l, unsigned code,
				 struct slice body, json_t *mesh)
{
	if (code != HTTP_OK) {
		say("the node answered with HTTP status %u: %.*s", code, SLICE_ARG(body));
		return COMMAND_UNREACHABLE;
	}
	json_t *status = json_loadb((const char *)body.data, body.size, 0, NULL);
	if (!json_is_object(status)) {
		json_decref(status);
		say("the node's answer is not the JSON that was expected");
		return COMMAND_UNREACHABLE;
	}
	if (command_line_has(l, FLAG_JSON)) {
		if (mesh)
			json_object_set(status, "mesh", mesh);
		return output_json(status);
	}
	enum command_status result = print_text(a, status, mesh);
	json_decref(status);
	return result;
}

/* A machine of a mesh that runs no `hanse serve`. */
static enum command_status print_mesh(struct arena *a, const struct command_line *l,
				      const json_t *mesh)
{
	if (command_line_has(l, FLAG_JSON))
		return output_json(json_pack("{s:O}", "mesh", mesh));
	mesh_print_status(a, mesh);
	return COMMAND_DONE;
}

enum command_status status_run(const struct command_line *l)
{
	char path[OPTION_VALUE_BYTES_MAX + 32], run_dir[OPTION_VALUE_BYTES_MAX];
	char why[COMMAND_WHY_BYTES], reason[SOCKET_WHY_BYTES];
	struct kafka_address address;
	struct slice body = { 0 };
	struct arena a;
	unsigned code = 0;

	if (command_line_kafka(l, &address, why)) {
		say("%s", why);
		return COMMAND_MISUSED;
	}
	options_run_dir(run_dir);
	options_admin_path(command_line_value(l, FLAG_RUN_DIR, run_dir), address.port, path);
	arena_init(&a);
	enum err err = admin_get(&a, path, "/v1/status", 0, &code, &body, reason);
	json_t *mesh = mesh_status(l);
	enum command_status status;
	if (!err)
		status = print(&a, l, code, body, mesh);
	else if (!mesh)
		status = unreachable(err, path, reason);
	else
		status = print_mesh(&a, l, mesh);
	if (mesh && err && err != ERR_NOT_FOUND && !status) /* one was killed, or does not answer */
		status = unreachable(err, path, reason);
	json_decref(mesh);
	arena_done(&a);
	return status;
}
