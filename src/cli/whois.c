/* hanse whois: whose machine an address of the mesh is; hanse netcheck: the network below it. */
#include <string.h>

#include "cli/mesh.h"
#include "cli/output.h"

static struct slice join(struct arena *a, const json_t *texts)
{
	const char *ret = "";

	for (size_t i = 0; i < json_array_size(texts); i++) {
		const char *text = json_string_value(json_array_get(texts, i));
		ret = arena_format(a, "%s%s%s", ret, i ? " " : "", text ? text : "?");
	}
	return ret[0] ? output_printable(a, slice_from(ret)) : (struct slice) { 0 };
}

static void add_row(struct table *t, const char *name, struct slice value)
{
	table_add_text(t, slice_from(name));
	table_add_text(t, value);
}

static void print_machine(const json_t *machine)
{
	struct table t;
	struct arena a;

	arena_init(&a);
	table_init(&t, &a, NULL);
	add_row(&t, "machine", mesh_text(&a, machine, "name"));
	add_row(&t, "id", mesh_text(&a, machine, "id"));
	add_row(&t, "addresses", join(&a, json_object_get(machine, "addresses")));
	add_row(&t, "user", mesh_text(&a, machine, "user"));
	add_row(&t, "tags", join(&a, json_object_get(machine, "tags")));
	add_row(&t, "os", mesh_text(&a, machine, "os"));
	table_print(&t, stdout);
	table_done(&t);
	arena_done(&a);
}

/* Only what an address may hold goes into the request. */
enum command_status whois_run(const struct command_line *l)
{
	const char *address = l->arguments[0];
	char path[128];
	json_t *answer = NULL;

	if (strspn(address, "0123456789abcdefABCDEF.:[]") != strlen(address) ||
	    strlen(address) > 60) {
		say("\"%.60s\" is no address, as in 100.64.0.2 or 100.64.0.2:9092", address);
		return COMMAND_MISUSED;
	}
	snprintf(path, sizeof(path), "/v1/whois?address=%s", address);
	enum command_status status = local_request(l, "mesh.sock", "GET", path, NULL, 0, &answer);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	print_machine(json_object_get(answer, "machine"));
	json_decref(answer);
	return COMMAND_DONE;
}

/* --- netcheck --------------------------------------------------------------------------------- */
static struct slice yes_no(const json_t *value, struct slice yes, struct slice no)
{
	return json_is_true(value) ? yes : json_is_false(value) ? no : SLICE("not known yet");
}

static void print_relays(struct arena *a, const json_t *relays)
{
	static const char *const headings[] = { "RELAY", "NAME", "MS", "CONNECTED", NULL };
	struct table t;

	table_init(&t, a, headings);
	for (size_t i = 0; i < json_array_size(relays); i++) {
		const json_t *relay = json_array_get(relays, i);
		const json_t *ms = json_object_get(relay, "ms");

		table_add_number(&t, json_integer_value(json_object_get(relay, "region")));
		table_add_text(&t, mesh_text(a, relay, "name"));
		table_add_text(&t,
			       json_is_number(ms)
				       ? slice_from(arena_format(a, "%.1f", json_number_value(ms)))
				       : (struct slice) { 0 });
		table_add_text(&t, yes_no(json_object_get(relay, "connected"), SLICE("yes"),
					  SLICE("no")));
	}
	table_print(&t, stdout);
	table_done(&t);
}

static void print_check(const json_t *check)
{
	struct table t;
	struct arena a;

	arena_init(&a);
	table_init(&t, &a, NULL);
	add_row(&t, "UDP",
		yes_no(json_object_get(check, "udp"), SLICE("passes"), SLICE("is blocked")));
	add_row(&t, "IPv6", yes_no(json_object_get(check, "ipv6"), SLICE("yes"), SLICE("no")));
	add_row(&t, "seen from outside as", mesh_text(&a, check, "public4"));
	add_row(&t, "and by IPv6 as", mesh_text(&a, check, "public6"));
	add_row(&t, "NAT",
		yes_no(json_object_get(check, "mapping_varies"),
		       SLICE("hard: another port for every destination"),
		       SLICE("none, or an easy one")));
	add_row(&t, "port mapping",
		yes_no(json_object_get(check, "port_mapping"), SLICE("yes"), SLICE("no")));
	add_row(&t, "reachable at", join(&a, json_object_get(check, "endpoints")));
	add_row(&t, "nearest relay",
		slice_from(arena_format(&a, "%d",
					(int)json_integer_value(json_object_get(check, "relay")))));
	table_print(&t, stdout);
	table_done(&t);
	puts("");
	print_relays(&a, json_object_get(check, "relays"));
	arena_done(&a);
}

enum command_status netcheck_run(const struct command_line *l)
{
	json_t *answer = NULL;
	enum command_status status =
		local_request(l, "mesh.sock", "GET", "/v1/netcheck", NULL, 0, &answer);

	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return output_json(answer);
	print_check(answer);
	json_decref(answer);
	return COMMAND_DONE;
}
