/* hanse machine ...: the machines of a mesh, asked of control at realm.sock. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/duration.h"
#include "cli/mesh.h"
#include "cli/output.h"

enum { TARGET_BYTES = 256, ANSWER_BYTES = 80 };

/* --- looking -----------------------------------------------------------------------------------
 */

/* Tags, or whose it is. */
static struct slice owner_of(struct arena *a, const json_t *machine)
{
	const json_t *tags = json_object_get(machine, "tags"), *tag;
	struct buf text;
	size_t i;

	if (json_array_size(tags) == 0)
		return mesh_text(a, machine, "user");
	buf_init(&text);
	json_array_foreach(tags, i, tag)
		buf_add_format(&text, "%s%s", i ? "," : "", json_string_value(tag));
	struct slice ret = output_printable(a, buf_slice(&text));
	buf_done(&text);
	return ret;
}

static struct slice ago(struct arena *a, const json_t *machine)
{
	int64_t seen_s = json_integer_value(json_object_get(machine, "last_seen_s"));
	int64_t age_s = clock_wall_ms() / 1000 - seen_s;
	char text[DURATION_TEXT_BYTES];

	if (seen_s == 0)
		return (struct slice) { 0 };
	duration_text(age_s > 0 ? age_s : 0, text);
	return slice_from(arena_format(a, "%s ago", text));
}

static void print_machines(struct arena *a, const json_t *machines)
{
	static const char *const headings[] = { "NAME", "ADDRESS", "STATE", "WHOSE",
						"OS",	"SEEN",	   "ID",    NULL };
	const json_t *it;
	struct table t;
	size_t i;

	table_init(&t, a, headings);
	json_array_foreach(machines, i, it)
	{
		struct slice approval = mesh_text(a, it, "approval");

		table_add_text(&t, mesh_label(a, it));
		table_add_text(&t, mesh_address(a, it));
		table_add_text(&t, mesh_text(a, it, "state"));
		table_add_text(&t, owner_of(a, it));
		table_add_text(&t, mesh_text(a, it, "os"));
		table_add_text(&t, ago(a, it));
		table_add_text(&t, approval.size ? approval : mesh_text(a, it, "id"));
	}
	table_print(&t, stdout);
	table_done(&t);
}

static enum command_status get_machines(const struct command_line *l, json_t **ret)
{
	return local_request(l, "realm.sock", "GET", "/v1/machines", NULL, 0, ret);
}

enum command_status machine_list_run(const struct command_line *l)
{
	struct arena a;
	json_t *answer;

	enum command_status status = get_machines(l, &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	const json_t *machines = json_object_get(answer, "machines");
	arena_init(&a);
	if (json_array_size(machines) == 0)
		say("there are no machines yet: `hanse key create` makes a key for the first");
	else
		print_machines(&a, machines);
	arena_done(&a);
	json_decref(answer);
	return COMMAND_DONE;
}

static bool is_called(const json_t *machine, const char *word)
{
	static const char *const members[] = { "name", "id", "approval", "dns_name" };
	const json_t *address;
	size_t i;

	for (size_t k = 0; k < sizeof(members) / sizeof(members[0]); k++) {
		const char *text = json_string_value(json_object_get(machine, members[k]));

		if (text && text[0] && strcmp(text, word) == 0)
			return true;
	}
	json_array_foreach(json_object_get(machine, "addresses"), i,
			   address) if (strcmp(json_string_value(address), word) == 0) return true;
	return false;
}

static struct slice joined(struct arena *a, const json_t *array)
{
	const json_t *it;
	struct buf text;
	size_t i;

	buf_init(&text);
	json_array_foreach(array, i, it)
		buf_add_format(&text, "%s%s", i ? ", " : "", json_string_value(it));
	struct slice ret = text.size ? output_printable(a, buf_slice(&text)) : (struct slice) { 0 };
	buf_done(&text);
	return ret;
}

static struct slice expiry_text(struct arena *a, const json_t *machine)
{
	int64_t expiry_s = json_integer_value(json_object_get(machine, "key_expiry_s"));
	int64_t left_s = expiry_s - clock_wall_ms() / 1000;
	char text[DURATION_TEXT_BYTES];

	if (expiry_s == 0)
		return SLICE("never");
	duration_text(left_s < 0 ? -left_s : left_s, text);
	return slice_from(arena_format(a, left_s < 0 ? "%s ago" : "in %s", text));
}

static void print_machine(struct arena *a, const json_t *m)
{
	static const char *const nothing[] = { NULL };
	const struct {
		const char *name;
		struct slice value;
	} rows[] = {
		{ "name", mesh_text(a, m, "dns_name") },
		{ "id", mesh_text(a, m, "id") },
		{ "addresses", joined(a, json_object_get(m, "addresses")) },
		{ "state", mesh_text(a, m, "state") },
		{ "whose", owner_of(a, m) },
		{ "seen", ago(a, m) },
		{ "key ends", expiry_text(a, m) },
		{ "client", mesh_text(a, m, "client") },
		{ "os", mesh_text(a, m, "os") },
		{ "host name", mesh_text(a, m, "hostname") },
		{ "endpoints", joined(a, json_object_get(m, "endpoints")) },
		{ "offers routes", joined(a, json_object_get(m, "routes")) },
		{ "approved", joined(a, json_object_get(m, "approved_routes")) },
		{ "carries", joined(a, json_object_get(m, "primary_routes")) },
		{ "approval", mesh_text(a, m, "approval") },
	};
	struct table t;

	table_init(&t, a, nothing);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].value.size == 0)
			continue;
		table_add_text(&t, slice_from(rows[i].name));
		table_add_text(&t, rows[i].value);
	}
	table_print(&t, stdout);
	table_done(&t);
}

enum command_status machine_show_run(const struct command_line *l)
{
	enum command_status status;
	json_t *answer, *it;
	struct arena a;
	size_t i;

	status = get_machines(l, &answer);
	if (status)
		return status;
	status = COMMAND_NOT_FOUND;
	arena_init(&a);
	json_array_foreach(json_object_get(answer, "machines"), i, it)
	{
		if (status != COMMAND_NOT_FOUND || !is_called(it, l->arguments[0]))
			continue;
		status = COMMAND_DONE;
		if (command_line_has(l, FLAG_JSON))
			status = output_json(json_incref(it));
		else
			print_machine(&a, it);
	}
	if (status == COMMAND_NOT_FOUND)
		say("there is no machine %s: `hanse machine list` shows all", l->arguments[0]);
	arena_done(&a);
	json_decref(answer);
	return status;
}

/* --- changing ----------------------------------------------------------------------------------
 */

/* Names and addresses need no escapes; what does is no machine. */
static bool is_word(const char *text)
{
	for (const char *p = text; *p; p++) {
		bool is_letter = (*p | 0x20) >= 'a' && (*p | 0x20) <= 'z';

		if (!is_letter && !(*p >= '0' && *p <= '9') && !strchr("-.:", *p))
			return false;
	}
	return strlen(text) < TARGET_BYTES / 2;
}

/* `body` is released; `what` says what was done, with the name that control answers. */
static enum command_status change(const struct command_line *l, const char *method,
				  const char *edit, json_t *body, const char *what)
{
	char target[TARGET_BYTES];
	json_t *answer;

	if (!is_word(l->arguments[0])) {
		json_decref(body);
		say("there is no machine %s: `hanse machine list` shows all", l->arguments[0]);
		return COMMAND_NOT_FOUND;
	}
	snprintf(target, sizeof(target), "/v1/machines/%s%s%s", l->arguments[0], edit[0] ? "/" : "",
		 edit);
	enum command_status status =
		local_request(l, "realm.sock", method, target, body, 0, &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	say("%s %s", json_string_value(json_object_get(answer, "name")), what);
	json_decref(answer);
	return COMMAND_DONE;
}

enum command_status machine_approve_run(const struct command_line *l)
{
	return change(l, "POST", "approve", NULL, "is let in");
}

enum command_status machine_rename_run(const struct command_line *l)
{
	return change(l, "POST", "rename", json_pack("{s:s}", "name", l->arguments[1]),
		      "is its name from now on");
}

/* "A,B" as an array; "none" is an empty one. */
static json_t *list_of(const char *text)
{
	struct slice rest = slice_from(text);
	json_t *array = json_array();

	while (rest.size && !slice_equal(rest, SLICE("none"))) {
		struct slice item = slice_cut(&rest, ',');

		if (item.size)
			json_array_append_new(array, output_json_text(item));
	}
	return array;
}

enum command_status machine_tag_run(const struct command_line *l)
{
	return change(l, "POST", "tag", json_pack("{s:o}", "tags", list_of(l->arguments[1])),
		      "has these tags from now on");
}

enum command_status machine_routes_run(const struct command_line *l)
{
	return change(l, "POST", "routes", json_pack("{s:o}", "routes", list_of(l->arguments[1])),
		      "may carry these networks, and no others");
}

enum command_status machine_expire_run(const struct command_line *l)
{
	const char *text = command_line_value(l, FLAG_EXPIRES, "");
	int64_t in_s = 0;

	if (strcmp(text, "never") == 0) {
		in_s = -1;
	} else if (text[0] && duration_parse(slice_from(text), &in_s)) {
		say("--expires %.40s: it is never, or a number with d, h, m or s, as in 90d", text);
		return COMMAND_MISUSED;
	}
	return change(l, "POST", "expire", json_pack("{s:I}", "in_s", (json_int_t)in_s),
		      in_s < 0	 ? "keeps its key"
		      : in_s > 0 ? "has to join again when that time is over"
				 : "has to join again");
}

static bool is_sure(const struct command_line *l)
{
	char answer[ANSWER_BYTES];

	if (command_line_has(l, FLAG_FORCE) || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return true;
	say("this removes %s from the mesh for good", l->arguments[0]);
	fprintf(stderr, "Type its name to go on: ");
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	answer[strcspn(answer, "\n")] = '\0';
	return strcmp(answer, l->arguments[0]) == 0;
}

enum command_status machine_remove_run(const struct command_line *l)
{
	if (!is_sure(l)) {
		say("nothing was removed");
		return COMMAND_REFUSED;
	}
	return change(l, "DELETE", "", NULL, "is removed");
}
