#include "cli/mesh.h"

#include <string.h>

#include "cli/admin_client.h"
#include "cli/output.h"
#include "server/up_options.h"

enum { HTTP_OK = 200, STATUS_MS = 3000 };

struct slice mesh_text(struct arena *a, const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text && text[0] ? output_printable(a, slice_from(text)) : (struct slice) { 0 };
}

struct slice mesh_label(struct arena *a, const json_t *machine)
{
	struct slice name = mesh_text(a, machine, "name");

	return name.size ? slice_cut(&name, '.') : mesh_text(a, machine, "id");
}

struct slice mesh_address(struct arena *a, const json_t *machine)
{
	const char *text =
		json_string_value(json_array_get(json_object_get(machine, "addresses"), 0));

	return text ? output_printable(a, slice_from(text)) : (struct slice) { 0 };
}

json_t *mesh_status(const struct command_line *l)
{
	char run_dir[OPTION_VALUE_BYTES_MAX], why[SOCKET_WHY_BYTES];
	struct slice body = { 0 };
	unsigned code = 0;
	json_t *ret = NULL;
	struct arena a;

	up_options_find_run_dir("mesh.sock", run_dir);
	arena_init(&a);
	const char *path =
		arena_format(&a, "%s/mesh.sock", command_line_value(l, FLAG_RUN_DIR, run_dir));
	if (admin_get(&a, path, "/v1/status", STATUS_MS, &code, &body, why) == OK &&
	    code == HTTP_OK)
		ret = json_loadb((const char *)body.data, body.size, 0, NULL);
	arena_done(&a);
	return ret;
}

static struct slice seen(const json_t *machine)
{
	const json_t *online = json_object_get(machine, "online");

	return !online ? SLICE("-") : json_is_true(online) ? SLICE("yes") : SLICE("no");
}

static void add_machine(struct table *t, struct arena *a, const json_t *machine, bool is_self)
{
	table_add_text(t, mesh_label(a, machine));
	table_add_text(t, mesh_address(a, machine));
	table_add_text(t, mesh_text(a, machine, "user"));
	table_add_text(t, mesh_text(a, machine, "os"));
	table_add_text(t, is_self ? SLICE("yes") : seen(machine));
	table_add_text(t, is_self ? SLICE("this machine") : mesh_text(a, machine, "why"));
}

/* The one others find this machine at. */
static struct slice relay_text(struct arena *a, const json_t *status)
{
	int relay = (int)json_integer_value(json_object_get(status, "relay"));
	bool is_connected = json_is_true(json_object_get(status, "relay_connected"));

	if (relay == 0)
		return SLICE("none yet");
	return slice_from(arena_format(a, "%d, %sconnected", relay, is_connected ? "" : "not "));
}

void mesh_print_status(struct arena *a, const json_t *status)
{
	static const char *const headings[] = { "MACHINE", "ADDRESS", "USER", "OS",
						"ONLINE",  "PATH",    NULL };
	const json_t *self = json_object_get(status, "self");
	const json_t *peers = json_object_get(status, "peers");
	struct slice why = mesh_text(a, status, "why"), link = mesh_text(a, status, "link");
	struct table t;

	table_init(&t, a, NULL);
	table_add_text(&t, SLICE("mesh"));
	table_add_text(&t, mesh_text(a, status, "domain"));
	table_add_text(&t, SLICE("control"));
	table_add_text(&t, slice_from(arena_format(a, "%.*s at %.*s%s%.*s",
						   SLICE_ARG(mesh_text(a, status, "state")),
						   SLICE_ARG(mesh_text(a, status, "control")),
						   why.size ? ": " : "", SLICE_ARG(why))));
	if (link.size) {
		table_add_text(&t, SLICE("approve at"));
		table_add_text(&t, link);
	}
	table_add_text(&t, SLICE("relay"));
	table_add_text(&t, relay_text(a, status));
	table_print(&t, stdout);
	table_done(&t);
	puts("");
	table_init(&t, a, headings);
	if (self)
		add_machine(&t, a, self, true);
	for (size_t i = 0; i < json_array_size(peers); i++)
		add_machine(&t, a, json_array_get(peers, i), false);
	table_print(&t, stdout);
	table_done(&t);
}
