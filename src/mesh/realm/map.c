/* POST /machine/map: what a machine says of itself, and the stream of what it is told. */
#include "base/log.h"
#include "base/memory.h"
#include "mesh/realm/policy.h"
#include "mesh/realm/private.h"
#include "mesh/realm/view.h"

/* --- hostinfo ----------------------------------------------------------------------------------
 */

/* Where the object of this name begins and ends in a compact JSON object, with the comma before or
 * behind it.  Braces in texts count for nothing, nor do names that only end like it. */
static bool find_member(struct slice json, struct slice name, size_t *ret_start, size_t *ret_end)
{
	bool is_text = false, is_found = false;
	size_t i = 0;
	int depth = 0;

	for (; i < json.size; i++) {
		uint8_t c = json.data[i];

		if (!is_text && !is_found && c == '"' && depth == 1 &&
		    slice_equal(slice_part(json, i, name.size), name)) {
			is_found = true;
			*ret_start = i;
		}
		if (is_text && c == '\\')
			i++;
		else if (c == '"')
			is_text = !is_text;
		else if (!is_text && c == '{')
			depth++;
		else if (!is_text && c == '}' && --depth == 1 && is_found)
			break;
	}
	if (i >= json.size)
		return false;
	*ret_end = i + 1;
	if (*ret_end < json.size && json.data[*ret_end] == ',')
		(*ret_end)++;
	else if (*ret_start > 0 && json.data[*ret_start - 1] == ',')
		(*ret_start)--;
	return true;
}

void hostinfo_keep(struct buf *b, struct slice json)
{
	size_t start = 0, end = 0;

	if (!find_member(json, SLICE("\"NetInfo\":{"), &start, &end)) {
		buf_add_slice(b, json.size ? json : SLICE("{}"));
		return;
	}
	buf_add_slice(b, slice_part(json, 0, start));
	buf_add_slice(b, slice_part(json, end, json.size));
}

/* --- what is in memory -------------------------------------------------------------------------
 */

static bool same_endpoints(const struct control_node *n, const struct control_map_request *q)
{
	if (n->endpoint_count != q->endpoint_count)
		return false;
	for (size_t i = 0; i < q->endpoint_count; i++)
		if (!endpoint_equal(&n->endpoints[i], &q->endpoints[i]))
			return false;
	return true;
}

static void take_place(struct realm *r, struct machine *m, const struct control_map_request *q)
{
	struct control_node n = *m->node;
	unsigned dirty = 0;

	if (!mesh_key_is_zero(&q->disco_key) && !mesh_key_equal(&n.disco, &q->disco_key)) {
		n.disco = q->disco_key;
		dirty |= DIRTY_DISCO;
	}
	if (!same_endpoints(&n, q)) {
		n.endpoints = q->endpoints;
		n.endpoint_count = q->endpoint_count;
		dirty |= DIRTY_ENDPOINTS;
	}
	if (q->has_hostinfo && q->hostinfo.home_relay != n.home_relay) {
		n.home_relay = q->hostinfo.home_relay;
		dirty |= DIRTY_HOME;
	}
	if (!dirty)
		return;
	machine_set(r, m, &n);
	machine_touch(r, m, dirty);
	if (dirty & DIRTY_HOME) /* the client believes its own node about it */
		LIST_EACH (&m->sessions, struct map_stream, machine_link, s)
			s->needs_self = true;
}

/* --- what goes into the cell -------------------------------------------------------------------
 */

struct update {
	struct operation operation;
	struct request_owner owner;
	int64_t id;
	struct slice hostinfo;
	struct slice hostname;
	const struct ip_prefix *routes; /* it offers */
	size_t route_count;
	uint32_t version;
	bool is_whole; /* then one response, or a stream */
	bool is_stream;
};

static enum err update_run(struct cell *cell, struct operation *o)
{
	struct update *u = CONTAINER(o, struct update, operation);
	struct machine_row row;

	enum err err = store_machine(&o->arena, cell, u->id, &row);
	if (err)
		return err;
	row.hostinfo = u->hostinfo;
	row.version = u->version;
	row.routes = realm_policy_approve(&o->arena, o->realm, realm_user(o->realm, row.user).login,
					  row.tags, row.routes, u->routes, u->route_count);
	if (!row.is_named) {
		err = store_machine_name(&o->arena, cell, u->hostname, row.id, &row.name);
		if (err)
			return err;
	}
	err = store_machine_put(cell, &row);
	if (!err)
		operation_changed(o, &row);
	return err;
}

static void answer(struct realm *r, struct door_request *request, struct machine *m, bool is_whole,
		   bool is_stream)
{
	if (!is_whole) {
		door_answer(request, 200, "application/json", (struct slice) { 0 });
	} else if (!rate_allows(&m->wholes, 1, loop_now_ms(r->loop))) {
		door_answer_busy(request, 429, SLICE("too many netmaps for one machine\n"));
	} else if (door_is_busy(r->door)) {
		door_answer_busy(request, 503, SLICE("too much waits to be read\n"));
	} else if (is_stream) {
		map_stream_start(r, m, request);
	} else {
		struct view view = { 0 };
		struct blob *message = whole_message(r, m, &view);

		view_done(&view);
		door_answer(request, 200, "application/json", blob_slice(message));
		blob_unref(&message);
	}
}

static void update_done(struct operation *o, enum err err)
{
	struct update *u = CONTAINER(o, struct update, operation);
	struct door_request *request = u->owner.request;
	struct machine *m = machine_find(o->realm, u->id);

	if (!request)
		return;
	if (!m)
		door_answer(request, 404, "text/plain", SLICE("no such node\n"));
	else if (err)
		door_answer(request, 503, "text/plain", SLICE("control cannot write now\n"));
	else
		answer(o->realm, request, m, u->is_whole, u->is_stream);
}

static void on_update_gone(struct request_owner *owner)
{
	owner->request = NULL;
}

static void on_update_void(struct operation *o)
{
	CONTAINER(o, struct update, operation)->owner.request = NULL;
}

static void start_update(struct realm *r, struct machine *m, struct door_request *request,
			 const struct control_map_request *q, struct slice hostinfo)
{
	struct update *u = NEW(struct update);

	operation_init(&u->operation, r);
	u->owner = (struct request_owner) { request, on_update_gone };
	u->operation.on_void = on_update_void;
	u->operation.machine = request->machine;
	request->owner_state = &u->owner;
	u->id = m->id;
	u->hostinfo = arena_copy(&u->operation.arena, hostinfo);
	u->hostname = arena_copy(&u->operation.arena, q->hostinfo.hostname);
	u->route_count = q->hostinfo.route_count;
	if (u->route_count)
		u->routes = (const struct ip_prefix *)(const void *)arena_copy(
				    &u->operation.arena,
				    (struct slice) { (const uint8_t *)q->hostinfo.routes,
						     u->route_count * sizeof(*u->routes) })
				    .data;
	u->version = q->version;
	u->is_whole = !q->omits_peers;
	u->is_stream = q->is_stream;
	operation_start(&u->operation, update_run, update_done, NULL);
}

/* A machine that says something else of itself again and again is told to wait: it says it again,
 * so that nothing is lost. */
static void try_update(struct realm *r, struct machine *m, struct door_request *request,
		       const struct control_map_request *q, struct slice hostinfo)
{
	if (rate_allows(&m->updates, REALM_UPDATE_COST, loop_now_ms(r->loop)))
		start_update(r, m, request, q, hostinfo);
	else
		door_answer_busy(request, 429, SLICE("this machine changes too often\n"));
}

/* --- the request -------------------------------------------------------------------------------
 */

static struct machine *find_machine(struct realm *r, struct door_request *request,
				    const struct control_map_request *q)
{
	struct machine *m = machine_find_node(r, &q->node_key);

	return m && mesh_key_equal(&m->node->machine, &request->machine) ? m : NULL;
}

void map_request(struct realm *r, struct door_request *request)
{
	struct control_map_request q;
	struct buf hostinfo;
	struct arena a;

	arena_init(&a);
	buf_init(&hostinfo);
	enum err err = control_map_request_decode(&a, request->body, &q);
	struct machine *m = err ? NULL : find_machine(r, request, &q);
	if (err) {
		door_answer(request, 400, "text/plain", SLICE("no map request\n"));
	} else if (!m) {
		door_answer(request, 404, "text/plain", SLICE("no such node\n"));
	} else {
		bool is_known = true;

		if (!q.is_read_only)
			take_place(r, m, &q);
		if (q.has_hostinfo && !q.is_read_only) {
			hostinfo_keep(&hostinfo, q.hostinfo.json);
			is_known = slice_equal(buf_slice(&hostinfo), m->node->hostinfo.json) &&
				   m->node->version == q.version;
		}
		if (is_known)
			answer(r, request, m, !q.omits_peers, q.is_stream);
		else if (operation_has_room(r, request, REALM_OPERATIONS_MAX))
			try_update(r, m, request, &q, buf_slice(&hostinfo));
	}
	buf_done(&hostinfo);
	arena_done(&a);
}
