/* UDP and relays: what paths chose is done here. */
#include "base/clock.h"
#include "base/log.h"
#include "mesh/node/private.h"

enum { WRAPPED_BYTES_MAX = 64000 /* with headers below what UDP carries at once */ };

/* --- UDP -------------------------------------------------------------------------------------- */
static enum err open_socket(struct node *n, uint16_t number, uint16_t port)
{
	struct node_socket *s = NEW(struct node_socket);

	*s = (struct node_socket) { .node = n, .number = number };
	enum err err = datagram_open(n->loop,
				     &(struct datagram_options) {
					     .port = port,
					     .mark = NODE_MARK,
					     .is_v4_only = number != 0,
					     .on_runs = node_on_runs,
					     .context = s,
				     },
				     &s->datagram);
	if (err)
		memory_free(s);
	else
		n->sockets[number] = s;
	return err;
}

static void close_socket(struct node *n, uint16_t number)
{
	struct node_socket *s = n->sockets[number];

	if (!s)
		return;
	datagram_close(s->datagram);
	memory_free(s);
	n->sockets[number] = NULL;
}

enum err node_open_sockets(struct node *n, uint16_t port, char why[NODE_WHY_BYTES])
{
	enum err err = open_socket(n, 0, port);

	if (err == ERR_BUSY && port != 0) {
		log_warn("UDP port %u is taken: another one is used", port);
		err = open_socket(n, 0, 0);
	}
	if (err) {
		snprintf(why, NODE_WHY_BYTES, "no UDP socket can be opened: %s", err_name(err));
		return err;
	}
	n->port = datagram_port(n->sockets[0]->datagram);
	return OK;
}

void node_close_sockets(struct node *n)
{
	for (uint16_t i = 0; i < PATHS_SOCKETS_MAX; i++)
		close_socket(n, i);
}

static void send_udp(struct node *n, uint16_t socket, const struct endpoint *to, uint8_t ttl,
		     struct slice bytes)
{
	if (socket >= PATHS_SOCKETS_MAX || !n->sockets[socket])
		return;
	if (ttl)
		(void)datagram_send_near(n->sockets[socket]->datagram, to, bytes, ttl);
	else
		(void)datagram_send_one(n->sockets[socket]->datagram, to, bytes);
}

/* What a full socket does not take is lost, as on any network. */
static void send_run(struct node *n, uint16_t socket, struct datagram_run *run)
{
	if (run->segment_size > run->size)
		run->segment_size = run->size;
	if (run->size > 0)
		(void)datagram_send(n->sockets[socket]->datagram, run, 1);
}

/* Through a peer relay each datagram gets a header; the run stays one as far as there is room. */
static void send_by_peer_relay(struct node *n, const struct paths_route *route,
			       const struct tunnel_run *run)
{
	uint8_t bytes[WRAPPED_BYTES_MAX];
	struct slice all = { run->data, run->size };
	struct datagram_run out = { .peer = route->address, .data = bytes };

	for (size_t at = 0; at < run->size; at += run->segment_size) {
		struct slice part = slice_part(all, at, run->segment_size);

		if (part.size + PATHS_GENEVE_BYTES > sizeof(bytes))
			return;
		if (out.size + part.size + PATHS_GENEVE_BYTES > sizeof(bytes)) {
			send_run(n, route->socket, &out);
			out = (struct datagram_run) { .peer = route->address, .data = bytes };
		}
		out.segment_size = run->segment_size + PATHS_GENEVE_BYTES;
		paths_geneve(route->vni, bytes + out.size);
		memcpy(bytes + out.size + PATHS_GENEVE_BYTES, part.data, part.size);
		out.size += PATHS_GENEVE_BYTES + part.size;
	}
	send_run(n, route->socket, &out);
}

void node_send_run(struct node *n, struct node_peer *peer, const struct tunnel_run *run)
{
	struct paths_route route;
	struct slice all = { run->data, run->size };
	size_t step = run->segment_size;

	paths_route(n->paths, peer->paths, clock_now_us(), &route);
	if (node_is_hello(run)) {
		node_keep_hello(n, peer, run->data);
		paths_hello(n->paths, peer->paths, all, clock_now_us());
		if (!route.has_udp && !route.has_relay)
			node_lost_hello(n, peer);
	}
	if (route.has_relay)
		for (size_t at = 0; at < run->size; at += step)
			(void)derp_client_send(n->relays, (int)route.region, &peer->key,
					       slice_part(all, at, step));
	if (!route.has_udp || !n->sockets[route.socket])
		return;
	if (route.vni == 0) {
		struct datagram_run out = { .peer = route.address,
					    .data = run->data,
					    .size = run->size,
					    .segment_size = run->segment_size };
		send_run(n, route.socket, &out);
	} else {
		send_by_peer_relay(n, &route, run);
	}
}

/* --- relays ----------------------------------------------------------------------------------- */
static void on_peer_gone(void *context, int region, const struct mesh_key *peer, uint8_t reason)
{
	struct node *n = context;
	struct paths_peer *p = paths_find_peer(n->paths, peer);

	(void)reason;
	paths_relay_peer_gone(n->paths, (uint32_t)region, peer);
	if (p)
		node_lost_hello(n, paths_peer_context(p));
	node_run_effects(n);
}

static void on_connected(void *context, int region)
{
	struct node *n = context;

	log_info("connected to relay %d", region);
	paths_relay_up(n->paths, (uint32_t)region, 0, clock_now_us());
	node_run_effects(n);
}

static void on_disconnected(void *context, int region, const char *why)
{
	struct node *n = context;

	if (why[0])
		log_info("relay %d is lost: %s", region, why);
	paths_relay_down(n->paths, (uint32_t)region, clock_now_us());
	node_run_effects(n);
}

static void on_health(void *context, int region, const char *text)
{
	(void)context;
	if (text[0])
		log_warn("relay %d says: %s", region, text);
}

static void on_latency(void *context, int region, uint64_t latency_us)
{
	struct node *n = context;

	if (latency_us > 0)
		paths_relay_up(n->paths, (uint32_t)region, latency_us, clock_now_us());
	node_run_effects(n);
}

void node_open_relays(struct node *n)
{
	struct mesh_key own;

	memcpy(own.bytes, tunnel_public(n->tunnel), sizeof(own.bytes));
	n->relays = derp_client_new(n->loop, &(struct derp_client_config) {
						     .secret = n->node_secret,
						     .own = own,
						     .context = n,
						     .on_packet = node_on_relay_packet,
						     .on_peer_gone = on_peer_gone,
						     .on_connected = on_connected,
						     .on_disconnected = on_disconnected,
						     .on_latency = on_latency,
						     .on_health = on_health,
					     });
}

static void copy_text(char *ret, size_t size, struct slice text)
{
	snprintf(ret, size, "%.*s", SLICE_ARG(text));
}

static void convert_relay(const struct control_relay *from, struct derp_node *ret)
{
	copy_text(ret->name, sizeof(ret->name), from->name);
	copy_text(ret->host, sizeof(ret->host), from->host);
	copy_text(ret->certificate, sizeof(ret->certificate), from->cert_name);
	copy_text(ret->ipv4, sizeof(ret->ipv4), from->ipv4);
	copy_text(ret->ipv6, sizeof(ret->ipv6), from->ipv6);
	ret->derp_port = (uint16_t)from->relay_port;
	ret->stun_port = from->stun_port;
	ret->is_stun_only = from->is_stun_only;
	ret->is_insecure_for_tests = from->is_insecure;
	ret->can_port_80 = from->can_port80;
}

static void add_stun(struct paths_region *region, struct slice ip, int32_t port)
{
	struct endpoint e;

	if (region->stun_count == PATHS_STUN_SERVERS_MAX || port < 0 || port > UINT16_MAX ||
	    endpoint_parse_ip(ip, port ? (uint16_t)port : 3478, &e))
		return;
	for (int i = 0; i < region->stun_count; i++)
		if (endpoint_equal(&region->stun[i], &e))
			return;
	region->stun[region->stun_count++] = e;
}

/* Relays that have only a name in the map are not asked by STUN; their client finds the relay
 * itself. */
static void convert_region(const struct control_region *from, struct derp_region *derp,
			   struct paths_region *paths)
{
	derp->id = from->id;
	copy_text(derp->code, sizeof(derp->code), from->code);
	copy_text(derp->name, sizeof(derp->name), from->title);
	derp->is_avoided = from->is_avoided;
	*paths = (struct paths_region) { .id = (uint32_t)from->id,
					 .is_never_home = from->is_never_home || from->is_avoided };
	for (size_t i = 0; i < from->relay_count; i++) {
		const struct control_relay *relay = &from->relays[i];

		if (derp->node_count < DERP_NODES_MAX)
			convert_relay(relay, &derp->nodes[derp->node_count++]);
		add_stun(paths, relay->stun_test_ip, relay->stun_port);
		add_stun(paths, relay->ipv4, relay->stun_port);
		add_stun(paths, relay->ipv6, relay->stun_port);
		add_stun(paths, relay->host, relay->stun_port);
	}
}

void node_set_relay_map(struct node *n, const struct control_relay_map *map)
{
	size_t count = 0;
	struct derp_region *derp = memory_take_array(DERP_REGIONS_MAX, sizeof(*derp));
	struct paths_region *paths = memory_take_array(DERP_REGIONS_MAX, sizeof(*paths));

	for (size_t i = 0; map && i < map->region_count && count < DERP_REGIONS_MAX; i++) {
		const struct control_region *region = &map->regions[i];

		if (region->id <= 0 || region->id > DERP_REGION_ID_MAX || region->relay_count == 0)
			continue;
		convert_region(region, &derp[count], &paths[count]);
		count++;
	}
	derp_client_set_map(n->relays, &(struct derp_map) { count, derp });
	paths_set_regions(n->paths, paths, (int)count, clock_now_us());
	memory_free(derp);
	memory_free(paths);
}

/* --- effects of paths ------------------------------------------------------------------------- */
static void on_told(struct deferred *d)
{
	struct node_ping *ping = CONTAINER(d, struct node_ping, told);
	void (*on_pong)(void *context, const struct node_pong *pong) = ping->on_pong;
	struct node_pong pong = ping->pong;

	ping->on_pong = NULL;
	on_pong(ping->context, &pong);
}

static void end_ping(struct node *n, const struct paths_effect *e)
{
	for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
		struct node_ping *ping = &n->pings[i];
		if (!ping->on_pong || ping->peer != e->peer || ping->is_over)
			continue;
		ping->is_over = true;
		ping->pong = (struct node_pong) { .is_lost = e->kind == PATHS_PING_LOST,
						  .latency_us = e->latency_us,
						  .region = e->region,
						  .is_by_peer_relay = e->vni != 0,
						  .address = e->address };
		deferred_set(&ping->told, n->loop, on_told);
	}
}

static void change_home(struct node *n, uint32_t region)
{
	log_info("the nearest relay is %u", region);
	n->home_region = (int32_t)region;
	derp_client_set_home(n->relays, (int)region);
	node_tell_member(n);
}

void node_take_path_effect(struct node *n, const struct paths_effect *e)
{
	switch (e->kind) {
	case PATHS_SEND:
		send_udp(n, e->socket, &e->address, e->ttl, e->bytes);
		return;
	case PATHS_SEND_RELAY:
		(void)derp_client_send(n->relays, (int)e->region, &e->node, e->bytes);
		return;
	case PATHS_OPEN_SOCKET:
		if (open_socket(n, e->socket, 0))
			log_debug("no more UDP sockets");
		return;
	case PATHS_CLOSE_SOCKET:
		close_socket(n, e->socket);
		return;
	case PATHS_HOME_CHANGED:
		change_home(n, e->region);
		return;
	case PATHS_ENDPOINTS_CHANGED:
	case PATHS_NETINFO_CHANGED:
		node_tell_member(n);
		return;
	case PATHS_PEER_CHANGED: {
		char why[PATHS_WHY_BYTES];
		paths_peer_why(n->paths, e->peer, clock_now_us(), why);
		log_debug("peer %lld: %s",
			  (long long)((struct node_peer *)paths_peer_context(e->peer))->id, why);
		return;
	}
	case PATHS_ALLOCATE:
		node_allocate(n, e);
		return;
	case PATHS_MAP_PORT:
	case PATHS_UNMAP_PORT:
		node_map_port(n, e);
		return;
	case PATHS_PING_ANSWERED:
	case PATHS_PING_LOST:
		end_ping(n, e);
		return;
	}
}
