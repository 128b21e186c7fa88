/* The admin API of control of the mesh, HTTP and JSON on RUNDIR/realm.sock:
 *
 *	GET    /v1/status
 *	GET    /v1/machines
 *	POST   /v1/machines/NAME/rename|tag|expire|approve|routes
 *	DELETE /v1/machines/NAME
 *	GET    /v1/keys		POST /v1/keys		DELETE /v1/keys/ID
 *	POST   /verify			a relay of this machine asks whom to let in
 *	GET    /v1/relays	PUT /v1/relays/NAME	DELETE /v1/relays/NAME
 *	POST   /v1/relays/NAME		one that was removed
 *	...    /v1/policy	realm_policy.c
 *
 *	PUT    /v1/servers/ADDRESS	DELETE /v1/servers/ADDRESS
 *
 * A mistake is {"error": sentence} with status 400, 404 or 409; 503 while nobody leads.  A node
 * that stands by passes everything but its status on to the leader. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "server/realm_admin.h"
#include "wire/crypto/wipe.h"
#include "wire/join_key.h"

static const char content_type[] = "application/json";

/* --- answers -----------------------------------------------------------------------------------
 */

static int add_text(const char *text, size_t size, void *context)
{
	buf_add(context, text, size);
	return 0;
}

/* Takes `page` over. */
void realm_admin_answer(struct http_exchange *e, int status, json_t *page)
{
	struct buf text;

	buf_init(&text);
	if (page && !json_dump_callback(page, add_text, &text, JSON_INDENT(2))) {
		buf_add_text(&text, "\n");
		http_answer(e, status, content_type, buf_slice(&text));
	} else {
		http_answer(e, 500, content_type, SLICE("{\"error\":\"not text\"}\n"));
	}
	json_decref(page);
	if (text.size)
		crypto_wipe(text.data, text.size);
	buf_done(&text);
}

void realm_admin_error(struct http_exchange *e, int status, const char *why)
{
	realm_admin_answer(e, status, json_pack("{s:s}", "error", why));
}

int realm_admin_status(enum err err)
{
	switch ((int)err) {
	case ERR_NOT_FOUND:
		return 404;
	case ERR_EXISTS:
		return 409;
	case ERR_DENIED:
		return 403;
	case ERR_INVALID:
	case ERR_TOO_BIG:
	case ERR_FULL:
		return 400;
	default:
		return 503;
	}
}

static json_t *text_json(struct slice text)
{
	return json_stringn(text.size ? (const char *)text.data : "", text.size);
}

static json_t *lines_json(struct arena *a, struct slice text)
{
	size_t count;
	struct slice *lines = store_lines(a, text, &count);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, text_json(lines[i]));
	return list;
}

/* --- looking -----------------------------------------------------------------------------------
 */

static json_t *prefixes_json(const struct ip_prefix *prefixes, size_t count)
{
	char text[IP_PREFIX_TEXT_BYTES];
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		ip_prefix_text(prefixes[i], text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *addresses_json(const struct control_node *n)
{
	char text[IP_TEXT_BYTES];
	json_t *list = json_array();

	for (size_t i = 0; i < n->address_count; i++) {
		ip_text(n->addresses[i].ip, text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *endpoints_json(const struct control_node *n)
{
	char text[ENDPOINT_TEXT_BYTES];
	json_t *list = json_array();

	for (size_t i = 0; i < n->endpoint_count; i++) {
		endpoint_text(&n->endpoints[i], text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static const char *state_of(const struct realm_machine *m)
{
	if (m->is_waiting)
		return "waiting";
	if (m->node->is_expired)
		return "expired";
	if (!m->node->is_authorized)
		return "unapproved";
	return m->is_online ? "online" : "offline";
}

static json_t *machine_json_of(const struct realm_machine *m)
{
	const struct control_node *n = m->node;
	char key[MESH_KEY_TEXT_BYTES], machine[MESH_KEY_TEXT_BYTES];
	json_t *tags = json_array();

	mesh_key_text(MESH_KEY_NODE, &n->key, key);
	mesh_key_text(MESH_KEY_MACHINE, &n->machine, machine);
	for (size_t i = 0; i < n->tag_count; i++)
		json_array_append_new(tags, text_json(n->tags[i]));
	json_t *ret =
		json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:I, s:I, s:I, s:b, s:b, s:o, s:o}",
			  "id", text_json(n->stable_id), "name", text_json(control_node_label(n)),
			  "dns_name", text_json(n->name), "addresses", addresses_json(n), "state",
			  state_of(m), "user", text_json(m->user), "tags", tags, "created_s",
			  (json_int_t)n->created_s, "key_expiry_s", (json_int_t)n->key_expiry_s,
			  "last_seen_s", (json_int_t)n->last_seen_s, "ephemeral", m->is_ephemeral,
			  "renamed", m->is_named, "routes",
			  prefixes_json(n->hostinfo.routes, n->hostinfo.route_count),
			  "approved_routes", prefixes_json(m->approved, m->approved_count));
	json_object_set_new(ret, "primary_routes",
			    prefixes_json(n->primary_routes, n->primary_route_count));
	json_object_set_new(ret, "endpoints", endpoints_json(n));
	json_object_set_new(ret, "home_relay", json_integer(n->home_relay));
	json_object_set_new(ret, "hostname", text_json(n->hostinfo.hostname));
	json_object_set_new(ret, "os", text_json(n->hostinfo.os));
	json_object_set_new(ret, "client", text_json(n->hostinfo.version));
	json_object_set_new(ret, "capability_version", json_integer(n->version));
	json_object_set_new(ret, "node_key", json_string(key));
	json_object_set_new(ret, "machine_key", json_string(machine));
	if (m->is_waiting)
		json_object_set_new(ret, "approval", text_json(m->id));
	return ret;
}

static void get_machines(struct realm_role *role, struct http_exchange *e)
{
	struct realm_machine *list;
	size_t count;
	struct arena a;
	json_t *machines = json_array();

	arena_init(&a);
	realm_machines(&a, role->realm, &list, &count);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(machines, machine_json_of(&list[i]));
	arena_done(&a);
	realm_admin_answer(e, 200,
			   json_pack("{s:s, s:o}", "domain", realm_domain(role->realm), "machines",
				     machines));
}

static json_t *key_json(struct arena *a, const struct key_row *k)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:b, s:b}", "id",
			 (json_int_t)k->id, "hint", text_json(k->hint), "description",
			 text_json(k->description), "tags", lines_json(a, k->tags), "uses",
			 (json_int_t)k->uses, "uses_max", (json_int_t)k->uses_max, "created_s",
			 (json_int_t)k->created_s, "expiry_s", (json_int_t)k->expiry_s, "revoked",
			 k->revoked_s != 0, "ephemeral", k->is_ephemeral, "preapproved",
			 k->is_preapproved);
}

static void get_keys(struct realm_role *role, struct http_exchange *e)
{
	struct key_row *keys;
	size_t count;
	struct arena a;
	json_t *list = json_array();

	arena_init(&a);
	realm_keys(&a, role->realm, &keys, &count);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, key_json(&a, &keys[i]));
	arena_done(&a);
	realm_admin_answer(e, 200, json_pack("{s:o}", "keys", list));
}

static void get_relays(struct realm_role *role, struct http_exchange *e)
{
	const struct control_relay_map *map = realm_relays(role->realm);
	json_t *list = json_array();

	for (size_t i = 0; i < map->region_count; i++) {
		const struct control_region *region = &map->regions[i];

		for (size_t k = 0; k < region->relay_count && !region->is_avoided; k++) {
			const struct control_relay *relay = &region->relays[k];

			json_array_append_new(
				list,
				json_pack("{s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:o, s:b}",
					  "name", text_json(relay->name), "region", region->id,
					  "code", text_json(region->code), "title",
					  text_json(region->title), "host", text_json(relay->host),
					  "ipv4", text_json(relay->ipv4), "ipv6",
					  text_json(relay->ipv6), "relay_port", relay->relay_port,
					  "stun_port", relay->stun_port, "cert_name",
					  text_json(relay->cert_name), "insecure",
					  relay->is_insecure));
		}
	}
	realm_admin_answer(e, 200, json_pack("{s:o}", "relays", list));
}

static void get_status(struct realm_role *role, struct http_exchange *e)
{
	struct mesh_key key = realm_public_key(role->realm);
	char text[MESH_KEY_TEXT_BYTES], hash[33];
	struct realm_status status;
	struct leader_status leader;
	size_t url_count;
	const char *const *urls = realm_urls(role->realm, &url_count);
	json_t *list = json_array();
	bool is_leading = leadership_is_leading(&role->leadership);

	mesh_key_text(MESH_KEY_MACHINE, &key, text);
	realm_get_status(role->realm, &status);
	leader_get_status(role->leadership.leader, &leader);
	snprintf(hash, sizeof(hash), "%016llx%016llx", (unsigned long long)leader.content_hash.high,
		 (unsigned long long)leader.content_hash.low);
	for (size_t i = 0; i < url_count; i++)
		json_array_append_new(list, json_string(urls[i]));
	realm_admin_answer(
		e, 200,
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:{s:I, s:I, s:s}, s:I, s:I, s:I, "
			  "s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:I}",
			  "state",
			  realm_is_serving(role->realm) ? "serving"
			  : is_leading			? "starting"
							: "standby",
			  "address", role->address, "url", role->url, "leader",
			  is_leading ? role->address : role->leader, "domain",
			  realm_domain(role->realm), "urls", list, "server_key", text, "journal",
			  "epoch", (json_int_t)leader.epoch.counter, "committed_index",
			  (json_int_t)leader.committed_index, "content_hash", hash, "machines",
			  (json_int_t)status.machines, "online", (json_int_t)status.online,
			  "sessions", (json_int_t)status.sessions, "waiting",
			  (json_int_t)status.pending, "fanout", "rounds",
			  (json_int_t)status.fanouts, "longest_us", (json_int_t)status.fanout_us,
			  "whole_us", (json_int_t)status.whole_us, "messages",
			  (json_int_t)status.messages, "bytes", (json_int_t)status.message_bytes,
			  "pipes", (json_int_t)role->pipes.count));
}

/* --- changing ----------------------------------------------------------------------------------
 */

/* What bodies may have: a wrong type must not read as "nothing". */
static const struct {
	const char *name;
	json_type type; /* JSON_TRUE: a boolean; an array is one of texts */
} members[] = {
	{ "name", JSON_STRING },
	{ "user", JSON_STRING },
	{ "description", JSON_STRING },
	{ "url", JSON_STRING },
	{ "code", JSON_STRING },
	{ "title", JSON_STRING },
	{ "host", JSON_STRING },
	{ "ipv4", JSON_STRING },
	{ "ipv6", JSON_STRING },
	{ "cert_name", JSON_STRING },
	{ "tags", JSON_ARRAY },
	{ "routes", JSON_ARRAY },
	{ "in_s", JSON_INTEGER },
	{ "expiry_s", JSON_INTEGER },
	{ "uses", JSON_INTEGER },
	{ "region", JSON_INTEGER },
	{ "relay_port", JSON_INTEGER },
	{ "stun_port", JSON_INTEGER },
	{ "second_stun_port", JSON_INTEGER },
	{ "ephemeral", JSON_TRUE },
	{ "needs_approval", JSON_TRUE },
	{ "insecure", JSON_TRUE },
	{ "is_shared", JSON_TRUE },
	{ "is_said", JSON_TRUE },
};

/* Texts that can stand in one line each. */
static bool are_lines(const json_t *array)
{
	const json_t *value;
	size_t i;

	json_array_foreach(array, i, value)
	{
		const char *text = json_string_value(value);

		if (!text || !text[0] || strchr(text, '\n'))
			return false;
	}
	return true;
}

static bool has_type(const json_t *value, json_type type)
{
	if (!value)
		return true;
	if (type == JSON_TRUE)
		return json_is_boolean(value);
	if (json_typeof(value) != type)
		return false;
	if (type == JSON_INTEGER)
		return json_integer_value(value) >= INT32_MIN &&
		       json_integer_value(value) <= INT32_MAX;
	return type != JSON_ARRAY || are_lines(value);
}

/* The body as an object, the caller's to release; NULL: it was answered.  `needed` is a member that
 * must be there, or NULL. */
static json_t *read_body(struct http_exchange *e, const char *needed)
{
	char why[80];
	json_t *body = e->body.size ? json_loadb((const char *)e->body.data, e->body.size, 0, NULL)
				    : json_object();

	if (!json_is_object(body)) {
		json_decref(body);
		realm_admin_error(e, 400, "the body is not a JSON object");
		return NULL;
	}
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const json_t *value = json_object_get(body, members[i].name);
		bool is_missing = !value && needed && strcmp(needed, members[i].name) == 0;

		if (!is_missing && has_type(value, members[i].type))
			continue;
		snprintf(why, sizeof(why), "\"%s\" %s", members[i].name,
			 is_missing ? "is missing" : "has the wrong type, or is too large");
		json_decref(body);
		realm_admin_error(e, 400, why);
		return NULL;
	}
	return body;
}

/* A text member of a body, in the arena; "" when it is not there. */
static struct slice body_text(struct arena *a, const json_t *body, const char *name)
{
	const json_t *value = json_object_get(body, name);

	return json_is_string(value) ? arena_copy(a, slice_from(json_string_value(value)))
				     : (struct slice) { 0 };
}

static int64_t body_int(const json_t *body, const char *name)
{
	return json_integer_value(json_object_get(body, name));
}

/* An array of texts as lines. */
static struct slice body_lines(struct arena *a, const json_t *body, const char *name)
{
	const json_t *array = json_object_get(body, name), *value;
	struct slice *lines = arena_take_array(a, json_array_size(array) + 1, sizeof(*lines));
	size_t i, count = 0;

	json_array_foreach(array, i, value)
	{
		const char *text = json_string_value(value);

		if (text && text[0] && !strchr(text, '\n'))
			lines[count++] = slice_from(text);
	}
	return store_join(a, lines, count);
}

static void machine_edited(struct operation *o, enum err err)
{
	struct machine_edit *m = CONTAINER(o, struct machine_edit, operation);
	struct http_exchange *e = o->context;

	if (err) {
		realm_admin_error(e, realm_admin_status(err), o->why);
		return;
	}
	char id[32];
	snprintf(id, sizeof(id), "n%lld", (long long)m->row.id);
	realm_admin_answer(e, 200,
			   json_pack("{s:s, s:o}", "id", id, "name", text_json(m->row.name)));
}

static void edit_machine(struct realm_role *role, struct http_exchange *e,
			 enum machine_edit_kind kind, struct slice name)
{
	static const char *const needed[] = {
		[MACHINE_RENAME] = "name", [MACHINE_TAG] = "tags",   [MACHINE_ROUTES] = "routes",
		[MACHINE_EXPIRE] = "in_s", [MACHINE_APPROVE] = NULL, [MACHINE_REMOVE] = NULL
	};
	json_t *body = read_body(e, needed[kind]);

	if (!body)
		return;
	struct machine_edit *m = NEW(struct machine_edit);
	struct arena *a = &m->operation.arena;
	operation_init(&m->operation, role->realm);
	m->kind = kind;
	m->machine = arena_copy(a, name);
	if (kind == MACHINE_RENAME)
		m->text = body_text(a, body, "name");
	else if (kind == MACHINE_TAG)
		m->text = body_lines(a, body, "tags");
	else if (kind == MACHINE_ROUTES)
		m->text = body_lines(a, body, "routes");
	else if (kind == MACHINE_EXPIRE)
		m->number = body_int(body, "in_s");
	json_decref(body);
	machine_edit_start(m, machine_edited, e);
}

static void key_created(struct operation *o, enum err err)
{
	struct key_create *k = CONTAINER(o, struct key_create, operation);
	struct http_exchange *e = o->context;
	char text[JOIN_KEY_TEXT_BYTES];

	if (!err && !realm_role_join_key(e->handler_state, k->secret, text, sizeof(text)))
		err = ERR_UNAVAILABLE;
	if (err) {
		realm_admin_error(e, realm_admin_status(err), o->why);
		return;
	}
	json_t *page = key_json(&o->arena, &k->key);
	json_object_set_new(page, "key", json_string(text));
	json_object_set_new(page, "secret", json_string(k->secret));
	realm_admin_answer(e, 200, page);
	crypto_wipe(text, sizeof(text));
	crypto_wipe(k->secret, sizeof(k->secret));
}

static void create_key(struct realm_role *role, struct http_exchange *e)
{
	json_t *body = read_body(e, NULL);

	if (!body)
		return;
	struct key_create *k = NEW(struct key_create);
	struct arena *a = &k->operation.arena;
	operation_init(&k->operation, role->realm);
	e->handler_state = role;
	k->user = body_text(a, body, "user");
	k->description = body_text(a, body, "description");
	k->tags = body_lines(a, body, "tags");
	k->lifetime_s = body_int(body, "expiry_s");
	k->uses_max = body_int(body, "uses");
	k->is_ephemeral = json_is_true(json_object_get(body, "ephemeral"));
	k->needs_approval = json_is_true(json_object_get(body, "needs_approval"));
	bool is_good = k->lifetime_s >= 0 && k->lifetime_s < INT32_MAX && k->uses_max >= 0;
	json_decref(body);
	if (!is_good) {
		arena_done(a);
		memory_free(k);
		realm_admin_error(e, 400, "expiry_s and uses are not negative");
		return;
	}
	key_create_start(k, key_created, e);
}

static void done(struct operation *o, enum err err)
{
	struct http_exchange *e = o->context;

	if (err)
		realm_admin_error(e, realm_admin_status(err), o->why);
	else
		realm_admin_answer(e, 200, json_object());
}

static void revoke_key(struct realm_role *role, struct http_exchange *e, struct slice id)
{
	uint64_t number;

	if (text_to_u64(id, INT64_MAX, &number)) {
		realm_admin_error(e, 404, "a join key has a number: `hanse key list` shows it");
		return;
	}
	struct key_revoke *k = NEW(struct key_revoke);
	operation_init(&k->operation, role->realm);
	k->id = (int64_t)number;
	key_revoke_start(k, done, e);
}

static void edit_relay(struct realm_role *role, struct http_exchange *e, struct slice name,
		       bool is_removed)
{
	json_t *body = read_body(e, is_removed ? NULL : "host");

	if (!body)
		return;
	struct relay_edit *r = NEW(struct relay_edit);
	struct arena *a = &r->operation.arena;
	operation_init(&r->operation, role->realm);
	r->is_removed = is_removed;
	r->relay = (struct relay_row) {
		.name = arena_copy(a, name),
		.region = (int32_t)body_int(body, "region"),
		.code = body_text(a, body, "code"),
		.title = body_text(a, body, "title"),
		.host = body_text(a, body, "host"),
		.ipv4 = body_text(a, body, "ipv4"),
		.ipv6 = body_text(a, body, "ipv6"),
		.cert_name = body_text(a, body, "cert_name"),
		.relay_port = (int32_t)body_int(body, "relay_port"),
		.stun_port = (int32_t)body_int(body, "stun_port"),
		.second_stun_port = (int32_t)body_int(body, "second_stun_port"),
		.is_insecure = json_is_true(json_object_get(body, "insecure")),
	};
	r->is_shared = json_is_true(json_object_get(body, "is_shared"));
	r->is_said = json_is_true(json_object_get(body, "is_said"));
	json_decref(body);
	relay_edit_start(r, done, e);
}

static void bring_relay_back(struct realm_role *role, struct http_exchange *e, struct slice name)
{
	struct relay_edit *r = NEW(struct relay_edit);

	operation_init(&r->operation, role->realm);
	r->relay.name = arena_copy(&r->operation.arena, name);
	r->is_back = true;
	relay_edit_start(r, done, e);
}

static void edit_server(struct realm_role *role, struct http_exchange *e, struct slice address,
			bool is_removed)
{
	json_t *body = read_body(e, is_removed ? NULL : "url");

	if (!body)
		return;
	struct server_edit *edit = NEW(struct server_edit);
	struct arena *a = &edit->operation.arena;
	operation_init(&edit->operation, role->realm);
	edit->is_removed = is_removed;
	edit->server.address = arena_copy(a, address);
	edit->server.url = body_text(a, body, "url");
	json_decref(body);
	server_edit_start(edit, done, e);
}

/* --- the table ---------------------------------------------------------------------------------
 */

static const struct {
	const char *name;
	enum machine_edit_kind kind;
} edits[] = {
	{ "rename", MACHINE_RENAME },	{ "tag", MACHINE_TAG },	      { "expire", MACHINE_EXPIRE },
	{ "approve", MACHINE_APPROVE }, { "routes", MACHINE_ROUTES },
};

static void not_there(struct http_exchange *e)
{
	realm_admin_error(e, 404, "no such path");
}

static void on_machine(struct realm_role *role, struct http_exchange *e, struct slice rest)
{
	struct slice name = slice_cut(&rest, '/');

	if (strcmp(e->method, "DELETE") == 0 && rest.size == 0) {
		edit_machine(role, e, MACHINE_REMOVE, name);
		return;
	}
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		if (strcmp(e->method, "POST") == 0 &&
		    slice_equal(rest, slice_from(edits[i].name))) {
			edit_machine(role, e, edits[i].kind, name);
			return;
		}
	}
	not_there(e);
}

static void on_things(struct realm_role *role, struct http_exchange *e, struct slice path)
{
	struct slice rest = path;
	struct slice kind = slice_cut(&rest, '/');
	bool is_get = strcmp(e->method, "GET") == 0, is_put = strcmp(e->method, "PUT") == 0;
	bool is_delete = strcmp(e->method, "DELETE") == 0;
	bool is_post = strcmp(e->method, "POST") == 0;

	if (slice_equal(kind, SLICE("machines")) && rest.size)
		on_machine(role, e, rest);
	else if (slice_equal(kind, SLICE("machines")) && is_get)
		get_machines(role, e);
	else if (slice_equal(kind, SLICE("keys")) && rest.size == 0 && is_get)
		get_keys(role, e);
	else if (slice_equal(kind, SLICE("keys")) && rest.size == 0 && is_post)
		create_key(role, e);
	else if (slice_equal(kind, SLICE("keys")) && is_delete)
		revoke_key(role, e, rest);
	else if (slice_equal(kind, SLICE("relays")) && rest.size == 0 && is_get)
		get_relays(role, e);
	else if (slice_equal(kind, SLICE("relays")) && rest.size && (is_put || is_delete))
		edit_relay(role, e, rest, is_delete);
	else if (slice_equal(kind, SLICE("relays")) && rest.size && is_post)
		bring_relay_back(role, e, rest);
	else if (slice_equal(kind, SLICE("servers")) && rest.size && (is_put || is_delete))
		edit_server(role, e, rest, is_delete);
	else if (slice_equal(kind, SLICE("policy")))
		realm_policy_on_request(role, e, rest);
	else
		not_there(e);
}

/* A node that stands by knows nearly all machines, also while nobody leads; of the others it
 * asks. */
static void verify(struct realm_role *role, struct http_exchange *e)
{
	struct cell *cell =
		role->leadership.standby ? standby_cell(role->leadership.standby) : NULL;

	if (realm_is_serving(role->realm))
		realm_verify(role->realm, e);
	else if (!cell || !realm_verify_known(cell, e))
		realm_forward_ask(&role->forwards, e);
}

void realm_admin_on_request(void *context, struct http_exchange *e)
{
	struct realm_role *role = context;
	struct slice prefix = SLICE("/v1/");

	if (slice_equal(e->path, SLICE("/verify")) && role->realm) {
		verify(role, e);
	} else if (!slice_starts_with(e->path, prefix)) {
		not_there(e);
	} else if (!role->realm) {
		realm_admin_error(e, 503, "control is starting or stopping");
	} else if (slice_equal(e->path, SLICE("/v1/status"))) {
		get_status(role, e);
	} else if (!realm_is_serving(role->realm)) {
		realm_forward_ask(&role->forwards, e);
	} else {
		on_things(role, e, slice_part(e->path, prefix.size, e->path.size));
	}
}
