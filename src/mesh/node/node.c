#include "mesh/node/node.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "mesh/node/private.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"

struct tunnel_now node_now(void)
{
	return (struct tunnel_now) { .ms = clock_now_ms(), .wall_ms = clock_wall_ms() };
}

/* --- what control is told --------------------------------------------------------------------- */
void node_tell_member(struct node *n)
{
	struct paths_endpoint found[PATHS_ENDPOINTS_MAX];
	struct endpoint endpoints[PATHS_ENDPOINTS_MAX];
	uint8_t kinds[PATHS_ENDPOINTS_MAX];
	struct control_service services[NODE_SERVICES_MAX];
	struct slice tags[CONTROL_TAGS_MAX];
	int count = paths_endpoints(n->paths, found);

	if (!n->member)
		return;
	for (int i = 0; i < count; i++) {
		endpoints[i] = found[i].address;
		kinds[i] = (uint8_t)found[i].kind;
	}
	for (size_t i = 0; i < n->service_count; i++)
		services[i] = (struct control_service) { .proto = slice_from(n->services[i].proto),
							 .port = n->services[i].port };
	for (size_t i = 0; i < n->tag_count; i++)
		tags[i] = slice_from(n->tags[i]);
	member_update(n->member, &(struct member_about) {
					 .disco_key = *paths_disco_public(n->paths),
					 .endpoints = endpoints,
					 .endpoint_kinds = kinds,
					 .endpoint_count = (size_t)count,
					 .hostinfo = { .hostname = slice_from(n->name),
						       .os = SLICE("linux"),
						       .version = slice_from(n->version),
						       .routes = n->offered,
						       .route_count = n->offered_count,
						       .request_tags = tags,
						       .request_tag_count = n->tag_count,
						       .services = services,
						       .service_count = n->service_count,
						       .home_relay = n->home_region },
				 });
}

void node_set_services(struct node *n, const struct node_service *services, size_t count)
{
	n->service_count = count < NODE_SERVICES_MAX ? count : NODE_SERVICES_MAX;
	memcpy(n->services, services, n->service_count * sizeof(*services));
	node_configure_filter(n);
	node_tell_member(n);
	n->sequence++;
	if (n->on_change)
		n->on_change(n->context, NODE_SEEN);
}

size_t node_services(const struct node *n, const struct node_service **ret)
{
	*ret = n->services;
	return n->service_count;
}

/* --- what control says ------------------------------------------------------------------------ */
static void on_state(void *context, const struct member_state *state)
{
	struct node *n = context;

	if (n->on_state)
		n->on_state(n->context, state);
}

static unsigned what_changed(const struct netmap_change *change)
{
	const unsigned seen = NETMAP_PEER_ADDED | NETMAP_PEER_REMOVED | NETMAP_PEER_KEY |
			      NETMAP_PEER_ADDRESSES | NETMAP_PEER_OTHER;
	unsigned ret = 0;

	if (change->what & (NETMAP_SELF | NETMAP_RELAYS | NETMAP_DNS | NETMAP_FILTERS |
			    NETMAP_USERS | NETMAP_DOMAIN))
		ret |= NODE_SEEN | NODE_KEEP;
	for (size_t i = 0; i < change->peer_count; i++) {
		unsigned what = change->peers[i].what;

		if (what & (seen | NETMAP_PEER_ONLINE))
			ret |= NODE_SEEN;
		if (what & (seen | NETMAP_PEER_RELAY | NETMAP_PEER_DISCO))
			ret |= NODE_KEEP;
		if (what & NETMAP_PEER_ENDPOINTS)
			ret |= NODE_MOVED;
	}
	return ret;
}

static void on_change(void *context, const struct netmap *m, const struct netmap_change *change)
{
	struct node *n = context;
	unsigned what = what_changed(change);

	if (!m->self)
		return;
	node_apply(n, m, change);
	if (what & NODE_SEEN)
		n->sequence++;
	if (what && n->on_change)
		n->on_change(n->context, what);
}

/* Everything that has the node key in it begins anew. */
static void on_node_secret(void *context, const struct mesh_key *secret)
{
	struct node *n = context;

	if (n->on_node_secret)
		n->on_node_secret(n->context, secret);
	node_drop_peers(n);
	derp_client_free(n->relays);
	n->node_secret = *secret;
	tunnel_set_secret(n->tunnel, secret->bytes);
	node_open_relays(n);
	node_open_paths(n);
	node_apply_all(n);
	node_tell_member(n);
}

/* --- asking ----------------------------------------------------------------------------------- */
struct member *node_member(struct node *n)
{
	return n->member;
}

const struct netmap *node_netmap(const struct node *n)
{
	return member_netmap(n->member);
}

struct paths *node_paths(struct node *n)
{
	return n->paths;
}

uint64_t node_sequence(const struct node *n)
{
	return n->sequence;
}

uint16_t node_port(const struct node *n)
{
	return n->port;
}

bool node_relay_is_connected(const struct node *n, uint32_t region)
{
	return derp_client_is_connected(n->relays, (int)region);
}

static bool has_address(const struct control_node *c, struct ip address)
{
	for (size_t i = 0; i < c->address_count; i++)
		if (ip_equal(c->addresses[i].ip, address))
			return true;
	return false;
}

const struct control_node *node_whois(const struct node *n, struct ip address)
{
	const struct netmap *m = node_netmap(n);

	if (m->self && has_address(m->self, address))
		return m->self;
	for (size_t i = 0; i < m->peer_count; i++)
		if (has_address(m->peers[i], address))
			return m->peers[i];
	return NULL;
}

static bool is_called(const struct control_node *c, struct slice name)
{
	struct slice full = c->name;

	if (full.size > 0 && full.data[full.size - 1] == '.')
		full.size--;
	return slice_equal(full, name) || slice_equal(c->name, name) ||
	       slice_equal(control_node_label(c), name) || slice_equal(c->stable_id, name);
}

const struct control_node *node_find(const struct node *n, struct slice name)
{
	const struct netmap *m = node_netmap(n);
	const struct control_node *found = NULL;
	struct ip address;

	if (name.size == 0)
		return NULL;
	if (ip_parse(name, &address) == OK)
		return node_whois(n, address);
	if (m->self && is_called(m->self, name))
		return m->self;
	for (size_t i = 0; i < m->peer_count; i++) {
		if (!is_called(m->peers[i], name))
			continue;
		if (found)
			return NULL;
		found = m->peers[i];
	}
	return found;
}

struct paths_peer *node_paths_peer(struct node *n, const struct control_node *peer)
{
	struct node_peer *p = node_peer_by_id(n, peer->id);

	return p ? p->paths : NULL;
}

enum err node_ping(struct node *n, const struct control_node *peer,
		   void (*on_pong)(void *context, const struct node_pong *pong), void *context)
{
	struct node_peer *p = node_peer_by_id(n, peer->id);

	if (!p)
		return ERR_NOT_FOUND;
	for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
		struct node_ping *ping = &n->pings[i];
		if (ping->on_pong)
			continue;
		*ping = (struct node_ping) { .peer = p->paths,
					     .on_pong = on_pong,
					     .context = context };
		paths_ping(n->paths, p->paths, clock_now_us());
		if (paths_is_lost(p->paths, clock_now_us()))
			tunnel_greet(n->tunnel, node_now(), p->tunnel);
		node_run_effects(n);
		return OK;
	}
	return ERR_BUSY;
}

struct node_traffic node_traffic(struct node *n, const struct control_node *peer)
{
	struct node_peer *p = node_peer_by_id(n, peer->id);

	if (!p)
		return (struct node_traffic) { .received_bytes = 0 };
	struct tunnel_peer_state state = tunnel_peer_state(p->tunnel, node_now());
	return (struct node_traffic) { state.received_bytes, state.sent_bytes,
				       state.handshake_wall_ms };
}

/* --- life ------------------------------------------------------------------------------------- */
void node_open_paths(struct node *n)
{
	struct paths_config config = { .disco_secret = n->disco_secret };
	struct paths_local none;

	memcpy(config.node_public.bytes, tunnel_public(n->tunnel),
	       sizeof(config.node_public.bytes));
	if (n->paths)
		paths_free(n->paths);
	n->paths = paths_new(&config, clock_now_us());
	n->home_region = 0;
	memset(&none, 0, sizeof(none));
	n->local = none;
	node_look_at_network(n);
}

static void copy_config(struct node *n, const struct node_config *c)
{
	snprintf(n->name, sizeof(n->name), "%s", c->name);
	snprintf(n->version, sizeof(n->version), "%s", c->version);
	snprintf(n->exit_node, sizeof(n->exit_node), "%s", c->exit_node);
	for (size_t i = 0; i < c->tag_count && i < CONTROL_TAGS_MAX; i++)
		n->tags[n->tag_count++] = memory_copy_text(c->tags[i]);
	n->offered_count = c->route_count < NODE_ROUTES_MAX ? c->route_count : NODE_ROUTES_MAX;
	memcpy(n->offered, c->routes, n->offered_count * sizeof(*n->offered));
	n->accepts_routes = c->accepts_routes;
	n->context = c->context;
	n->on_state = c->on_state;
	n->on_change = c->on_change;
	n->on_node_secret = c->on_node_secret;
	n->on_gone = c->on_gone;
	n->node_secret = c->node_secret;
}

static void open_member(struct node *n, const struct node_config *c)
{
	n->member = member_new(n->loop, &(struct member_config) {
						.urls = c->urls,
						.url_count = c->url_count,
						.server_key = c->server_key,
						.machine_secret = c->machine_secret,
						.node_secret = c->node_secret,
						.join_key = c->join_key,
						.context = n,
						.on_state = on_state,
						.on_change = on_change,
						.on_node_secret = on_node_secret,
					});
}

enum err node_new(struct loop *loop, const struct node_config *config, struct node **ret,
		  char why[NODE_WHY_BYTES])
{
	struct node *n = NEW(struct node);

	n->loop = loop;
	n->timer_at_ms = UINT64_MAX;
	n->sequence = (uint64_t)clock_wall_ms(); /* no earlier life had it */
	map_init(&n->peers);
	copy_config(n, config);
	random_bytes(n->disco_secret.bytes, sizeof(n->disco_secret.bytes));
	x25519_clamp(n->disco_secret.bytes);
	n->tunnel = tunnel_new(&(struct tunnel_options) { .mtu = NODE_MTU, .has_control = true });
	tunnel_set_secret(n->tunnel, config->node_secret.bytes);
	node_open_lanes(n);
	n->filter = filter_new(clock_now_ms());
	enum err err = node_open_system(n, config->tun, why);
	if (!err)
		err = node_open_sockets(n, config->port, why);
	if (!err && config->peer_relay)
		err = node_open_peer_relay(n, config->peer_relay, why);
	if (err) {
		node_free(n);
		return err;
	}
	open_member(n, config);
	node_open_relays(n);
	node_open_paths(n);
	node_tell_member(n);
	*ret = n;
	return OK;
}

/* The port that a router keeps for us; nothing else is sent any more. */
static void give_back(struct node *n)
{
	struct paths_effect e;

	paths_give_back(n->paths);
	while (paths_next(n->paths, &e))
		if (e.kind == PATHS_SEND || e.kind == PATHS_UNMAP_PORT)
			node_take_path_effect(n, &e);
}

void node_free(struct node *n)
{
	timer_clear(&n->timer);
	timer_clear(&n->hello_timer);
	for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
		struct node_ping *ping = &n->pings[i];
		deferred_clear(&ping->told);
		if (ping->on_pong)
			ping->on_pong(ping->context, &(struct node_pong) { .is_lost = true });
	}
	node_end_port_mapper(n);
	if (n->paths) {
		give_back(n);
		node_drop_peers(n);
	}
	node_close_peer_relay(n);
	if (n->relays)
		derp_client_free(n->relays);
	if (n->member)
		member_free(n->member);
	node_close_system(n);
	node_close_sockets(n);
	if (n->paths)
		paths_free(n->paths);
	lanes_free(n->lanes);
	tunnel_free(n->tunnel);
	filter_free(n->filter);
	map_done(&n->peers);
	for (size_t i = 0; i < n->tag_count; i++)
		memory_free(n->tags[i]);
	crypto_wipe(&n->node_secret, sizeof(n->node_secret));
	crypto_wipe(&n->disco_secret, sizeof(n->disco_secret));
	memory_free(n);
}

enum err node_load(struct node *n, struct slice json)
{
	enum err err = member_load(n->member, json);

	if (err)
		return err;
	node_apply_all(n);
	/* Until it is measured: where others look for us. */
	const struct control_node *self = node_netmap(n)->self;
	if (n->home_region == 0 && self && self->home_relay > 0) {
		n->home_region = self->home_relay;
		derp_client_set_home(n->relays, n->home_region);
		node_tell_member(n);
	}
	return OK;
}

void node_start(struct node *n)
{
	member_start(n->member);
}

void node_save(struct node *n, struct buf *ret)
{
	struct control_map_response response;
	struct arena a;

	arena_init(&a);
	netmap_response(&a, node_netmap(n), &response);
	control_map_response_encode(ret, &response);
	arena_done(&a);
}
