#include <stdlib.h>

#include "base/memory.h"
#include "mesh/realm/addresses.h"
#include "mesh/realm/policy.h"
#include "mesh/realm/private.h"

enum { SHORT_SERVICES_MAX = 16 }; /* what is kept of a machine that says too much */

/* --- finding -----------------------------------------------------------------------------------
 */

static size_t place_of(const struct realm *r, int64_t id)
{
	size_t low = 0, high = r->machine_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->machines[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct machine *machine_find(const struct realm *r, int64_t id)
{
	size_t place = place_of(r, id);

	return place < r->machine_count && r->machines[place]->id == id ? r->machines[place] : NULL;
}

static struct slice node_key(const struct mesh_key *key)
{
	return (struct slice) { key->bytes, sizeof(key->bytes) };
}

struct machine *machine_find_node(const struct realm *r, const struct mesh_key *node)
{
	return map_get(&r->by_node, node_key(node));
}

/* --- changing ----------------------------------------------------------------------------------
 */

static void forget_json(struct realm *r, struct machine *m)
{
	buf_clear(&m->json);
	m->generation = ++r->generation;
}

void machine_touch(struct realm *r, struct machine *m, unsigned dirty)
{
	forget_json(r, m);
	if (!m->is_shown)
		return;
	if (dirty & DIRTY_ALL)
		realm_policy_stale(r);
	m->dirty |= dirty;
	if (!list_is_linked(&m->dirty_link))
		list_add(&r->dirty, &m->dirty_link);
	fanout_set(r);
}

void machine_set(struct realm *r, struct machine *m, const struct control_node *node)
{
	struct control_node *old = m->node;

	if (old)
		(void)map_remove(&r->by_node, node_key(&old->key));
	m->node = control_node_copy(node);
	(void)map_put(&r->by_node, node_key(&m->node->key), m);
	memory_free(old);
	forget_json(r, m);
}

bool machine_is_expired(const struct realm *r, const struct machine *m)
{
	return m->node->key_expiry_s && m->node->key_expiry_s <= realm_now_s(r);
}

static void note_removed(struct realm *r, int64_t id)
{
	if (r->removed_count == r->removed_capacity) {
		r->removed_capacity = r->removed_capacity * 2 + 16;
		r->removed = memory_grow(r->removed, r->removed_capacity * sizeof(*r->removed));
	}
	r->removed[r->removed_count++] = id;
	realm_policy_stale(r);
	fanout_set(r);
}

void machine_check_shown(struct realm *r, struct machine *m)
{
	bool is_expired = machine_is_expired(r, m);
	bool is_shown = m->node->is_authorized && !is_expired;

	m->node->is_expired = is_expired;
	if (is_shown == m->is_shown)
		return;
	LIST_EACH (&m->sessions, struct map_stream, machine_link, s)
		s->needs_self = s->needs_whole = true;
	if (is_shown) {
		m->is_shown = true;
		machine_touch(r, m, DIRTY_ALL);
		return;
	}
	m->is_shown = false;
	m->dirty = 0;
	list_remove(&m->dirty_link);
	note_removed(r, m->id);
}

void machine_set_online(struct realm *r, struct machine *m, bool is_online)
{
	enum control_maybe online = is_online ? CONTROL_YES : CONTROL_NO;

	if (m->node->online == online)
		return;
	m->has_unsaved_seen = true;
	m->node->online = online;
	m->node->last_seen_s = is_online ? 0 : realm_now_s(r);
	machine_touch(r, m, DIRTY_ONLINE);
	if (m->approved_count)
		routes_update(r);
}

/* A machine may say much of itself, and all others would have to hear it. */
static void encode_short(struct machine *m)
{
	struct control_service services[SHORT_SERVICES_MAX];
	struct control_node n = *m->node;
	const struct control_hostinfo *from = &m->node->hostinfo;
	struct control_hostinfo to = { .services = services };

	for (size_t i = 0; i < from->service_count && i < SHORT_SERVICES_MAX; i++)
		services[to.service_count++] =
			(struct control_service) { .proto = from->services[i].proto,
						   .port = from->services[i].port };
	to.hostname = slice_part(from->hostname, 0,
				 from->hostname.size > CONTROL_NAME_BYTES_MAX ? 0 : SIZE_MAX);
	n.hostinfo = to;
	buf_clear(&m->json);
	control_node_encode(&m->json, &n);
}

struct slice machine_json(struct machine *m)
{
	if (m->json.size > 0)
		return buf_slice(&m->json);
	control_node_encode(&m->json, m->node);
	if (m->json.size > REALM_MACHINE_JSON_BYTES_MAX)
		encode_short(m);
	return buf_slice(&m->json);
}

/* --- from rows ---------------------------------------------------------------------------------
 */

static void load_approved(struct arena *a, struct machine *m, struct slice routes)
{
	size_t count, used = 0;
	struct slice *lines = store_lines(a, routes, &count);
	struct ip_prefix *prefixes = memory_take_array(count + 1, sizeof(*prefixes));

	for (size_t i = 0; i < count; i++)
		if (!ip_prefix_parse(lines[i], &prefixes[used]))
			used++;
	memory_free(m->approved);
	m->approved = prefixes;
	m->approved_count = used;
}

static struct machine *add_machine(struct realm *r, int64_t id)
{
	struct machine *m = NEW(struct machine);
	size_t place = place_of(r, id);

	m->id = id;
	buf_init(&m->json);
	list_init(&m->sessions);
	m->gone_ms = loop_now_ms(r->loop);
	rate_init(&m->wholes, REALM_WHOLES_PER_S, REALM_WHOLES_BURST, m->gone_ms);
	rate_init(&m->updates, REALM_UPDATES_PER_MINUTE, REALM_UPDATES_BURST * REALM_UPDATE_COST,
		  m->gone_ms);
	if (r->machine_count == r->machine_capacity) {
		r->machine_capacity = r->machine_capacity * 2 + 16;
		r->machines = memory_grow(r->machines, r->machine_capacity * sizeof(*r->machines));
	}
	memmove(r->machines + place + 1, r->machines + place,
		(r->machine_count - place) * sizeof(*r->machines));
	r->machines[place] = m;
	r->machine_count++;
	return m;
}

/* The node of a row, with the places of `before`. */
static void make_node(struct arena *a, struct realm *r, const struct machine_row *row,
		      const struct control_node *before, struct control_node *n)
{
	struct ip_prefix *addresses = arena_take_array(a, 2, sizeof(*addresses));

	addresses[0] = ip_prefix_of(ip_v4(row->v4));
	addresses[1] = ip_prefix_of(address_v6(row->v4));
	*n = (struct control_node) {
		.id = row->id,
		.stable_id = slice_from(arena_format(a, "n%lld", (long long)row->id)),
		.name = slice_from(arena_format(a, "%.*s.%s.", SLICE_ARG(row->name), r->domain)),
		.user = row->user,
		.key = row->node,
		.machine = row->machine,
		.key_expiry_s = row->expiry_s,
		.created_s = row->created_s,
		.last_seen_s = row->seen_s,
		.addresses = addresses,
		.address_count = 2,
		.allowed = addresses,
		.allowed_count = 2,
		.online = CONTROL_NO,
		.version = row->version,
		.is_authorized = row->is_authorized,
	};
	n->tags = store_lines(a, row->tags, &n->tag_count);
	if (control_hostinfo_decode(a, row->hostinfo, &n->hostinfo))
		n->hostinfo = (struct control_hostinfo) { 0 };
	n->home_relay = n->hostinfo.home_relay;
	if (!before)
		return;
	n->disco = before->disco;
	n->endpoints = before->endpoints;
	n->endpoint_count = before->endpoint_count;
	n->home_relay = before->home_relay;
	n->online = before->online;
	n->last_seen_s = before->last_seen_s;
	n->allowed = before->allowed;
	n->allowed_count = before->allowed_count;
	n->primary_routes = before->primary_routes;
	n->primary_route_count = before->primary_route_count;
}

void machine_load(struct realm *r, const struct machine_row *row)
{
	struct machine *m = machine_find(r, row->id);
	bool is_new = !m;
	struct control_node n;
	struct arena a;

	arena_init(&a);
	if (is_new)
		m = add_machine(r, row->id);
	make_node(&a, r, row, m->node, &n);
	machine_set(r, m, &n);
	m->is_named = row->is_named;
	m->is_ephemeral = row->is_ephemeral;
	load_approved(&a, m, row->routes);
	arena_done(&a);
	machine_check_shown(r, m);
	machine_touch(r, m, DIRTY_ALL);
	LIST_EACH (&m->sessions, struct map_stream, machine_link, s)
		s->needs_self = true;
	fanout_set(r);
}

static void free_machine(struct realm *r, struct machine *m)
{
	(void)map_remove(&r->by_node, node_key(&m->node->key));
	list_remove(&m->dirty_link);
	memory_free(m->node);
	memory_free(m->approved);
	buf_done(&m->json);
	memory_free(m);
}

/* Its sessions are told that its key is over, which makes its client ask for a new one. */
void machine_unload(struct realm *r, int64_t id)
{
	size_t place = place_of(r, id);
	struct machine *m = machine_find(r, id);

	if (!m)
		return;
	m->node->key_expiry_s = 1;
	m->node->is_expired = true;
	LIST_EACH (&m->sessions, struct map_stream, machine_link, s) {
		struct buf json;
		struct control_map_response last = { .node = m->node };

		buf_init(&json);
		control_map_response_encode(&json, &last);
		struct buf frame;
		buf_init(&frame);
		control_frame_encode(&frame, buf_slice(&json));
		door_write(s->owner.request, blob_from(buf_slice(&frame)));
		buf_done(&frame);
		buf_done(&json);
		door_end(s->owner.request);
		s->owner.request = NULL;
		map_stream_end(s);
	}
	if (m->is_shown)
		note_removed(r, id);
	memmove(r->machines + place, r->machines + place + 1,
		(r->machine_count - place - 1) * sizeof(*r->machines));
	r->machine_count--;
	free_machine(r, m);
	routes_update(r);
}

void machines_unload_all(struct realm *r)
{
	for (size_t i = 0; i < r->machine_count; i++)
		free_machine(r, r->machines[i]);
	memory_free(r->machines);
	r->machines = NULL;
	r->machine_count = r->machine_capacity = 0;
	map_done(&r->by_node);
	map_init(&r->by_node);
	memory_free(r->removed);
	r->removed = NULL;
	r->removed_count = r->removed_capacity = 0;
	list_init(&r->dirty);
	peer_blocks_done(r);
}

/* --- routes ------------------------------------------------------------------------------------
 */

static bool has_prefix(const struct ip_prefix *list, size_t count, struct ip_prefix p)
{
	for (size_t i = 0; i < count; i++)
		if (ip_prefix_equal(list[i], p))
			return true;
	return false;
}

/* Approved, and offered by the machine itself. */
static bool carries(const struct machine *m, struct ip_prefix p)
{
	return m->is_shown && has_prefix(m->approved, m->approved_count, p) &&
	       has_prefix(m->node->hostinfo.routes, m->node->hostinfo.route_count, p);
}

/* Who is there comes before who is not, then who has it now, then the oldest. */
static struct machine *primary_of(const struct realm *r, struct ip_prefix p)
{
	struct machine *best = NULL;
	int best_rank = -1;

	for (size_t i = 0; i < r->machine_count; i++) {
		struct machine *m = r->machines[i];

		if (m->approved_count == 0 || !carries(m, p))
			continue;
		int rank = (m->node->online == CONTROL_YES ? 2 : 0) +
			   has_prefix(m->node->primary_routes, m->node->primary_route_count, p);
		if (rank > best_rank) {
			best = m;
			best_rank = rank;
		}
	}
	return best;
}

/* The prefixes `m` carries, each if it is the primary of it; an exit node needs not be the only
 * one. */
static void routes_of(struct arena *a, const struct realm *r, const struct machine *m,
		      struct control_node *n)
{
	size_t max = n->address_count + m->approved_count;
	struct ip_prefix *allowed = arena_take_array(a, max, sizeof(*allowed));
	struct ip_prefix *primary = arena_take_array(a, max, sizeof(*primary));
	size_t allowed_count = n->address_count, primary_count = 0;

	for (size_t i = 0; i < n->address_count; i++)
		allowed[i] = n->addresses[i];
	for (size_t i = 0; i < m->approved_count; i++) {
		struct ip_prefix p = m->approved[i];

		if (!carries(m, p) || (p.bits && primary_of(r, p) != m))
			continue;
		allowed[allowed_count++] = p;
		if (p.bits)
			primary[primary_count++] = p;
	}
	n->allowed = allowed;
	n->allowed_count = allowed_count;
	n->primary_routes = primary;
	n->primary_route_count = primary_count;
}

void routes_update(struct realm *r)
{
	struct control_node *nodes;
	struct arena a;

	arena_init(&a);
	nodes = arena_take_array(&a, r->machine_count + 1, sizeof(*nodes));
	for (size_t i = 0; i < r->machine_count; i++) { /* all decide by what was before */
		nodes[i] = *r->machines[i]->node;
		if (r->machines[i]->approved_count || nodes[i].allowed_count > 2)
			routes_of(&a, r, r->machines[i], &nodes[i]);
	}
	for (size_t i = 0; i < r->machine_count; i++) {
		struct machine *m = r->machines[i];

		if (ip_prefixes_equal(nodes[i].allowed, nodes[i].allowed_count, m->node->allowed,
				      m->node->allowed_count))
			continue;
		machine_set(r, m, &nodes[i]);
		machine_touch(r, m, DIRTY_ALL);
		LIST_EACH (&m->sessions, struct map_stream, machine_link, s)
			s->needs_self = true;
	}
	arena_done(&a);
}
