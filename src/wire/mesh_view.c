#include "wire/mesh_view.h"

#include <ctype.h>
#include <jansson.h>
#include <strings.h>

enum { PORT_MAX = 65535 };

#define CAPABILITY_FILE_SEND "https://tailscale.com/cap/file-send"

/* --- reading ---------------------------------------------------------------------------------- */

static struct slice text_of(struct arena *a, const json_t *value)
{
	struct slice s = { 0 };

	if (json_is_string(value))
		s = arena_copy(a, (struct slice) { (const uint8_t *)json_string_value(value),
						   json_string_length(value) });
	return s;
}

/* Lower case, and without a full stop at its end. */
static struct slice name_of(struct arena *a, const json_t *value)
{
	struct slice s = text_of(a, value);
	uint8_t *p = (uint8_t *)(uintptr_t)s.data;

	for (size_t i = 0; i < s.size; i++)
		p[i] = (uint8_t)tolower(p[i]);
	if (s.size > 0 && p[s.size - 1] == '.')
		s.size--;
	return s;
}

static bool ip_of(const json_t *value, struct ip *ret)
{
	struct slice s = { (const uint8_t *)json_string_value(value), json_string_length(value) };

	return json_is_string(value) && ip_parse(slice_cut(&s, '/'), ret) == OK;
}

static size_t ips_of(const json_t *array, struct ip *ret, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < json_array_size(array) && count < max; i++)
		if (ip_of(json_array_get(array, i), &ret[count]))
			count++;
	return count;
}

static bool has_word(const json_t *array, const char *word)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *text = json_string_value(json_array_get(array, i));
		if (text && strcmp(text, word) == 0)
			return true;
	}
	return false;
}

static uint16_t port_of(const json_t *services, const char *proto)
{
	for (size_t i = 0; i < json_array_size(services); i++) {
		const json_t *service = json_array_get(services, i);
		const char *text = json_string_value(json_object_get(service, "proto"));
		json_int_t port = json_integer_value(json_object_get(service, "port"));

		if (text && strcmp(text, proto) == 0 && port > 0 && port <= PORT_MAX)
			return (uint16_t)port;
	}
	return 0;
}

/* False: it has no name or no address. */
static bool machine_of(struct arena *a, const json_t *o, struct mesh_view_machine *ret)
{
	const json_t *services = json_object_get(o, "services");
	struct slice name = name_of(a, json_object_get(o, "name"));

	*ret = (struct mesh_view_machine) {
		.id = text_of(a, json_object_get(o, "id")),
		.name = slice_cut(&name, '.'),
		.user = text_of(a, json_object_get(o, "user")),
		.os = text_of(a, json_object_get(o, "os")),
		.is_online = json_is_true(json_object_get(o, "online")),
		.is_tagged = json_array_size(json_object_get(o, "tags")) > 0,
		.may_send_files =
			has_word(json_object_get(o, "capabilities"), CAPABILITY_FILE_SEND),
		.peerapi4 = port_of(services, "peerapi4"),
		.peerapi6 = port_of(services, "peerapi6"),
		.has_hanse_inbox = port_of(services, "http") == 80,
	};
	ret->address_count =
		ips_of(json_object_get(o, "addresses"), ret->addresses, MESH_VIEW_ADDRESSES_MAX);
	return ret->name.size > 0 && ret->address_count > 0;
}

static void read_machines(struct arena *a, const json_t *o, struct mesh_view *view)
{
	const json_t *self = json_object_get(o, "self"), *peers = json_object_get(o, "peers");

	view->machines = arena_take_array(a, json_array_size(peers) + 1, sizeof(view->machines[0]));
	if (machine_of(a, self, &view->machines[0])) {
		view->has_self = true;
		view->machine_count = 1;
	}
	for (size_t i = 0; i < json_array_size(peers); i++)
		if (machine_of(a, json_array_get(peers, i), &view->machines[view->machine_count]))
			view->machine_count++;
}

static void read_records(struct arena *a, const json_t *array, struct mesh_view *view)
{
	view->records = arena_take_array(a, json_array_size(array) + 1, sizeof(view->records[0]));
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *o = json_array_get(array, i);
		struct mesh_view_record record = {
			.name = name_of(a, json_object_get(o, "name")),
			.type = text_of(a, json_object_get(o, "type")),
			.value = text_of(a, json_object_get(o, "value")),
		};
		if (record.name.size > 0 && record.value.size > 0)
			view->records[view->record_count++] = record;
	}
}

static void add_route(struct arena *a, struct mesh_view *view, const json_t *suffix,
		      const json_t *resolvers)
{
	struct mesh_view_route *route = &view->routes[view->route_count++];

	route->suffix = name_of(a, suffix);
	route->resolver_count = ips_of(resolvers, route->resolvers, MESH_VIEW_RESOLVERS_MAX);
}

static void read_routes(struct arena *a, json_t *o, struct mesh_view *view)
{
	json_t *routes = json_object_get(o, "routes"), *value;
	const json_t *resolvers = json_object_get(o, "resolvers");
	const char *suffix;

	view->routes = arena_take_array(a, json_object_size(routes) + 1, sizeof(view->routes[0]));
	json_object_foreach(routes, suffix, value)
	{
		json_t *name = json_string(suffix);
		add_route(a, view, name, value);
		json_decref(name);
	}
	if (json_array_size(resolvers) > 0)
		add_route(a, view, NULL, resolvers);
}

enum err mesh_view_parse(struct arena *a, struct slice json, struct mesh_view *ret)
{
	struct mesh_view view = { .sequence = 0 };
	json_t *o = json_loadb((const char *)json.data, json.size, 0, NULL);
	enum err err = OK;

	if (!json_is_object(o) || !json_is_integer(json_object_get(o, "sequence")))
		err = ERR_INVALID;
	else if (json_array_size(json_object_get(o, "peers")) >= MESH_VIEW_MACHINES_MAX ||
		 json_array_size(json_object_get(o, "records")) > MESH_VIEW_RECORDS_MAX ||
		 json_object_size(json_object_get(o, "routes")) > MESH_VIEW_ROUTES_MAX)
		err = ERR_TOO_BIG;
	if (!err) {
		view.sequence = (uint64_t)json_integer_value(json_object_get(o, "sequence"));
		view.domain = name_of(a, json_object_get(o, "domain"));
		read_machines(a, o, &view);
		read_records(a, json_object_get(o, "records"), &view);
		read_routes(a, o, &view);
		*ret = view;
	}
	json_decref(o);
	return err;
}

enum err mesh_view_parse_whois(struct arena *a, struct slice json, struct mesh_view_machine *ret)
{
	struct mesh_view_machine m;
	json_t *o = json_loadb((const char *)json.data, json.size, 0, NULL);
	bool is_found = machine_of(a, json_object_get(o, "machine"), &m);

	json_decref(o);
	if (!is_found)
		return ERR_INVALID;
	*ret = m;
	return OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int add_text(const char *text, size_t size, void *context)
{
	buf_add(context, text, size);
	return 0;
}

/* Releases `o`. */
static bool dump(json_t *o, struct buf *ret)
{
	bool is_done = o && json_dump_callback(o, add_text, ret, JSON_COMPACT) == 0;

	json_decref(o);
	buf_add_text(ret, "\n");
	return is_done;
}

static json_t *json_of(struct slice s)
{
	return json_stringn(s.size ? (const char *)s.data : "", s.size);
}

static json_t *ips_json(const struct ip *ips, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		char text[IP_TEXT_BYTES];
		ip_text(ips[i], text);
		json_array_append_new(array, json_string(text));
	}
	return array;
}

static void add_service(json_t *services, const char *proto, uint16_t port)
{
	if (port)
		json_array_append_new(services,
				      json_pack("{s:s, s:i}", "proto", proto, "port", port));
}

static json_t *machine_json(const struct mesh_view_machine *m)
{
	json_t *services = json_array(), *capabilities = json_array(), *tags = json_array();

	add_service(services, "peerapi4", m->peerapi4);
	add_service(services, "peerapi6", m->peerapi6);
	add_service(services, "http", m->has_hanse_inbox ? 80 : 0);
	if (m->may_send_files)
		json_array_append_new(capabilities, json_string(CAPABILITY_FILE_SEND));
	if (m->is_tagged)
		json_array_append_new(tags, json_string("tag:tagged"));
	return json_pack("{s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "id", json_of(m->id),
			 "name", json_of(m->name), "addresses",
			 ips_json(m->addresses, m->address_count), "online", m->is_online, "user",
			 json_of(m->user), "tags", tags, "os", json_of(m->os), "services", services,
			 "capabilities", capabilities);
}

static void add_routes(const struct mesh_view *view, json_t *o)
{
	json_t *routes = json_object();

	for (size_t i = 0; i < view->route_count; i++) {
		const struct mesh_view_route *route = &view->routes[i];
		json_t *resolvers = ips_json(route->resolvers, route->resolver_count);
		char name[256];

		snprintf(name, sizeof(name), "%.*s", SLICE_ARG(route->suffix));
		if (route->suffix.size)
			json_object_set_new(routes, name, resolvers);
		else
			json_object_set_new(o, "resolvers", resolvers);
	}
	json_object_set_new(o, "routes", routes);
}

bool mesh_view_encode(const struct mesh_view *view, struct buf *ret)
{
	json_t *peers = json_array(), *records = json_array();
	json_t *o = json_pack("{s:I, s:o, s:o, s:o}", "sequence", (json_int_t)view->sequence,
			      "domain", json_of(view->domain), "peers", peers, "records", records);
	bool is_text = o != NULL;

	for (size_t i = 0; is_text && i < view->machine_count; i++) {
		json_t *m = machine_json(&view->machines[i]);

		is_text = m != NULL;
		if (i == 0 && view->has_self)
			json_object_set_new(o, "self", m);
		else
			json_array_append_new(peers, m);
	}
	for (size_t i = 0; is_text && i < view->record_count; i++) {
		const struct mesh_view_record *r = &view->records[i];
		is_text = json_array_append_new(records, json_pack("{s:o, s:o, s:o}", "name",
								   json_of(r->name), "type",
								   json_of(r->type), "value",
								   json_of(r->value))) == 0;
	}
	if (is_text)
		add_routes(view, o);
	return dump(o, ret) && is_text;
}

bool mesh_view_encode_whois(const struct mesh_view_machine *m, struct buf *ret)
{
	json_t *machine = machine_json(m);

	return dump(machine ? json_pack("{s:o}", "machine", machine) : NULL, ret);
}

void mesh_view_encode_services(const struct mesh_view_service *services, size_t count,
			       struct buf *ret)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		add_service(array, services[i].proto, services[i].port);
	(void)dump(json_pack("{s:o}", "services", array), ret);
}

/* --- finding ---------------------------------------------------------------------------------- */

const struct mesh_view_machine *mesh_view_find_address(const struct mesh_view *view, struct ip ip)
{
	for (size_t i = 0; i < view->machine_count; i++)
		for (size_t j = 0; j < view->machines[i].address_count; j++)
			if (ip_equal(view->machines[i].addresses[j], ip))
				return &view->machines[i];
	return NULL;
}

static bool is_same_name(struct slice a, struct slice b)
{
	return a.size == b.size &&
	       strncasecmp((const char *)a.data, (const char *)b.data, a.size) == 0;
}

const struct mesh_view_machine *mesh_view_find_name(const struct mesh_view *view, struct slice name)
{
	struct ip ip;

	if (ip_parse(name, &ip) == OK)
		return mesh_view_find_address(view, ip);
	if (name.size > 0 && name.data[name.size - 1] == '.')
		name.size--;
	struct slice rest = name, label = slice_cut(&rest, '.');
	if (name.size == 0 || (rest.size > 0 && !is_same_name(rest, view->domain)))
		return NULL;
	for (size_t i = 0; i < view->machine_count; i++)
		if (is_same_name(view->machines[i].name, label))
			return &view->machines[i];
	return NULL;
}
