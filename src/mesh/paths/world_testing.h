/* For tests: an internet in memory, with a clock of its own, two STUN servers, a relay, and hosts
 * behind simulated routers.  Everything follows from one seed.
 *
 * A router is a table of flows, as in Linux: (inside, remote) has a port outside.  Kinds differ in
 * how a new flow gets its port, and in what else is let in. */
#ifndef MESH_PATHS_WORLD_TESTING_H
#define MESH_PATHS_WORLD_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "mesh/paths/private.h"
#include "wire/crypto/x25519.h"

enum nat_kind { NAT_OPEN, NAT_FW, NAT_EIF, NAT_ADF, NAT_APDF, NAT_ADM, NAT_SYM, NAT_SYMPM, NATS };

__attribute__((unused)) static const char *const nat_names[NATS] = {
	"open", "fw", "eif", "adf", "apdf", "adm", "sym", "sympm",
};

enum {
	HOSTS = 2,
	FLOWS_MAX = 8192,
	MESH_PORT = 41641,
	STUN_SERVERS = 2,
	WORLD_REGION = 900,
	DATA_BYTES = 32,
};

struct flow {
	uint16_t inside, outside;
	struct endpoint remote; /* as it looks inside */
	struct endpoint real;
};

struct host {
	struct world *world;
	enum nat_kind nat;
	struct endpoint own, public; /* port 0 */
	struct flow *flows;
	size_t flow_count;
	uint16_t ports[PATHS_SOCKETS_MAX]; /* 0: closed */
	struct mesh_key node, disco_secret;
	struct paths *paths;
	struct paths_peer *other;
	bool is_udp_blocked;
	bool is_away;	 /* nothing comes out of it */
	bool drops_data; /* of WireGuard, by UDP, in both directions */
	int heard_udp, heard_relay, heard_via, pings_lost, changes, endpoint_changes;
	int relayed_disco, opened, closed;
	struct paths_effect ping_answer;
};

/* A datagram on its way to a host, through its router or by the relay. */
struct packet {
	struct heap_node node;
	struct host *to;
	bool by_relay;
	struct endpoint source, target;
	struct mesh_key sender;
	size_t size;
	uint8_t data[];
};

struct world {
	uint64_t now_us;
	uint64_t delay_us;
	struct prng prng;
	struct heap packets;
	struct host hosts[HOSTS];
	struct endpoint stun[STUN_SERVERS];
	int stun_count;
	uint64_t loss_percent; /* of what does not go by the relay */
	/* Other machines, for tests that have some: what is sent to none of the hosts. */
	void (*on_stray)(struct world *w, const struct endpoint *source, const struct endpoint *to,
			 struct slice bytes);
	void (*on_stray_relayed)(struct world *w, struct host *from, const struct mesh_key *node,
				 struct slice bytes);
	void *context;
};

/* --- routers --- */

static inline bool is_eim(enum nat_kind nat)
{
	return nat == NAT_EIF || nat == NAT_ADF || nat == NAT_APDF;
}

static inline bool is_public(enum nat_kind nat)
{
	return nat == NAT_OPEN || nat == NAT_FW;
}

static inline bool is_outside_taken(const struct host *h, uint16_t port)
{
	for (size_t i = 0; i < h->flow_count; i++)
		if (h->flows[i].outside == port)
			return true;
	return false;
}

static inline uint16_t choose_outside(struct host *h, uint16_t inside,
				      const struct endpoint *remote)
{
	if (is_public(h->nat))
		return inside;
	for (size_t i = 0; i < h->flow_count; i++) {
		const struct flow *f = &h->flows[i];

		if (f->inside != inside)
			continue;
		if (is_eim(h->nat) || (h->nat == NAT_ADM && endpoint_same_ip(&f->remote, remote)))
			return f->outside;
	}
	if (is_eim(h->nat) && !is_outside_taken(h, inside))
		return inside;
	for (;;) {
		uint16_t port = (uint16_t)(1024 + prng_below(&h->world->prng, 64512));

		if (!is_outside_taken(h, port))
			return port;
	}
}

static inline struct flow *flow_to(struct host *h, uint16_t inside, const struct endpoint *remote,
				   uint16_t outside)
{
	for (size_t i = 0; i < h->flow_count; i++)
		if (h->flows[i].inside == inside && endpoint_equal(&h->flows[i].remote, remote))
			return &h->flows[i];
	assert_true(h->flow_count < FLOWS_MAX);
	if (!outside)
		outside = choose_outside(h, inside, remote);
	h->flows[h->flow_count] = (struct flow) { inside, outside, *remote, *remote };
	return &h->flows[h->flow_count++];
}

/* A flow that began outside.  When there is one from inside with the same ends, Linux gives the
 * remote end another port, as it looks inside. */
static inline struct flow *flow_from(struct host *h, uint16_t inside, const struct endpoint *remote,
				     uint16_t outside)
{
	struct endpoint seen = *remote;
	struct flow *f = flow_to(h, inside, &seen, outside);

	while (f->outside != outside) {
		seen.port = (uint16_t)(1024 + prng_below(&h->world->prng, 64512));
		f = flow_to(h, inside, &seen, outside);
	}
	f->real = *remote;
	return f;
}

/* The flow of a datagram from `remote` to `outside`; NULL: it is dropped. */
static inline const struct flow *let_in(struct host *h, uint16_t outside,
					const struct endpoint *remote)
{
	uint16_t inside = 0;

	for (size_t i = 0; i < h->flow_count; i++) {
		const struct flow *f = &h->flows[i];

		if (f->outside != outside)
			continue;
		if (endpoint_equal(&f->real, remote))
			return f;
		if (h->nat == NAT_EIF || (h->nat == NAT_ADF && endpoint_same_ip(&f->real, remote)))
			inside = f->inside;
	}
	if (h->nat == NAT_OPEN)
		inside = outside;
	if (h->nat == NAT_SYMPM && outside == MESH_PORT)
		inside = MESH_PORT;
	return inside ? flow_from(h, inside, remote, outside) : NULL;
}

/* --- on the way --- */

static inline void post(struct world *w, struct host *to, bool by_relay,
			const struct endpoint *source, const struct endpoint *target,
			const struct mesh_key *sender, struct slice data)
{
	uint64_t jitter_us = prng_below(&w->prng, 1000);
	struct packet *packet;

	if (!by_relay && prng_below(&w->prng, 100) < w->loss_percent)
		return;
	packet = memory_take(sizeof(*packet) + data.size);
	packet->to = to;
	packet->by_relay = by_relay;
	if (source)
		packet->source = *source;
	if (target)
		packet->target = *target;
	if (sender)
		packet->sender = *sender;
	packet->size = data.size;
	memcpy(packet->data, data.data, data.size);
	heap_add(&w->packets, &packet->node,
		 w->now_us + w->delay_us * (by_relay ? 2 : 1) + jitter_us);
}

static inline bool is_data(struct slice bytes)
{
	return bytes.size == DATA_BYTES && bytes.data[0] == 4;
}

static inline void answer_stun(struct world *w, struct host *h, const struct endpoint *server,
			       const struct endpoint *source, struct slice request)
{
	uint8_t answer[STUN_ANSWER_BYTES_MAX], id[STUN_ID_BYTES];

	assert_int_equal(stun_read_request(request, id), OK);
	post(w, h, false, server, source, NULL,
	     (struct slice) { answer, stun_make_answer(id, source, answer) });
}

/* `ttl` not 0: it opens the router and goes no further. */
static inline void send_udp(struct host *h, uint16_t socket, const struct endpoint *to, uint8_t ttl,
			    struct slice bytes)
{
	struct world *w = h->world;
	struct endpoint source = h->public;
	const struct flow *flow;

	if (h->is_udp_blocked || !h->ports[socket] || (h->drops_data && is_data(bytes)))
		return;
	flow = flow_to(h, h->ports[socket], to, 0);
	source.port = flow->outside;
	to = &flow->real;
	if (ttl)
		return;
	for (int i = 0; i < STUN_SERVERS; i++)
		if (endpoint_equal(to, &w->stun[i]))
			answer_stun(w, h, to, &source, bytes);
	for (int i = 0; i < HOSTS; i++)
		if (endpoint_same_ip(to, &w->hosts[i].public) && &w->hosts[i] != h)
			post(w, &w->hosts[i], false, &source, to, NULL, bytes);
	if (w->on_stray && prng_below(&w->prng, 100) >= w->loss_percent)
		w->on_stray(w, &source, to, bytes);
}

static inline void send_relay(struct host *h, const struct mesh_key *node, struct slice bytes)
{
	h->relayed_disco += disco_is_packet(bytes);
	for (int i = 0; i < HOSTS; i++)
		if (mesh_key_equal(node, &h->world->hosts[i].node))
			post(h->world, &h->world->hosts[i], true, NULL, NULL, &h->node, bytes);
	if (h->world->on_stray_relayed)
		h->world->on_stray_relayed(h->world, h, node, bytes);
}

static inline void drain(struct host *h)
{
	struct paths_effect e;

	while (paths_next(h->paths, &e)) {
		if (h->is_away && (e.kind == PATHS_SEND || e.kind == PATHS_SEND_RELAY))
			continue;
		if (e.kind == PATHS_SEND)
			send_udp(h, e.socket, &e.address, e.ttl, e.bytes);
		if (e.kind == PATHS_SEND_RELAY && e.region == WORLD_REGION)
			send_relay(h, &e.node, e.bytes);
		if (e.kind == PATHS_OPEN_SOCKET) {
			assert_int_equal(h->ports[e.socket], 0);
			h->ports[e.socket] = (uint16_t)(10000 + h->opened++ % 20000);
		}
		if (e.kind == PATHS_CLOSE_SOCKET) {
			assert_int_not_equal(h->ports[e.socket], 0);
			h->ports[e.socket] = 0;
			h->closed++;
		}
		if (e.kind == PATHS_PING_ANSWERED)
			h->ping_answer = e;
		h->pings_lost += e.kind == PATHS_PING_LOST;
		h->changes += e.kind == PATHS_PEER_CHANGED;
		h->endpoint_changes += e.kind == PATHS_ENDPOINTS_CHANGED;
	}
}

/* What a tunnel would send, without the tunnel. */
static inline void send_data(struct host *h)
{
	uint8_t bytes[DATA_BYTES] = { 4 };
	struct slice data = { bytes, sizeof(bytes) };
	struct paths_route route;

	paths_route(h->paths, h->other, h->world->now_us, &route);
	if (h->is_away)
		route.has_udp = route.has_relay = false;
	if (route.has_udp && route.vni) {
		uint8_t wrapped[PATHS_GENEVE_BYTES + DATA_BYTES];

		paths_geneve(route.vni, wrapped);
		memcpy(wrapped + PATHS_GENEVE_BYTES, bytes, sizeof(bytes));
		send_udp(h, route.socket, &route.address, 0,
			 (struct slice) { wrapped, sizeof(wrapped) });
	} else if (route.has_udp) {
		send_udp(h, route.socket, &route.address, 0, data);
	}
	if (route.has_relay)
		send_relay(h, paths_peer_node(h->other), data);
	drain(h);
}

static inline void deliver(struct packet *packet)
{
	struct host *h = packet->to;
	struct slice bytes = { packet->data, packet->size };
	struct paths_peer *peer = NULL;
	struct paths_from from;
	enum paths_verdict verdict;
	const struct flow *flow;
	uint16_t socket = 0;

	if (packet->by_relay) {
		verdict = paths_relay_received(h->paths, WORLD_REGION, &packet->sender, bytes,
					       h->world->now_us, &from, &peer);
	} else {
		flow = let_in(h, packet->target.port, &packet->source);
		while (flow && socket < PATHS_SOCKETS_MAX && h->ports[socket] != flow->inside)
			socket++;
		if (h->is_udp_blocked || !flow || socket == PATHS_SOCKETS_MAX ||
		    (h->drops_data && is_data(bytes)))
			return;
		verdict = paths_received(h->paths, socket, &flow->remote, &bytes, h->world->now_us,
					 &from, &peer);
	}
	if (verdict == PATHS_WIREGUARD) {
		*(from.region ? &h->heard_relay : from.vni ? &h->heard_via : &h->heard_udp) += 1;
		paths_authenticated(h->paths, h->other, &from, h->world->now_us);
	}
	drain(h);
}

/* --- time --- */

static inline uint64_t next_event(struct world *w)
{
	struct heap_node *first = heap_first(&w->packets);
	uint64_t at = first ? first->key : UINT64_MAX;

	for (int i = 0; i < HOSTS; i++) {
		uint64_t deadline = paths_deadline_us(w->hosts[i].paths);

		at = deadline < at ? deadline : at;
	}
	return at;
}

static inline void run_until(struct world *w, uint64_t end_us)
{
	uint64_t at;

	while ((at = next_event(w)) <= end_us) {
		struct heap_node *first = heap_first(&w->packets);

		w->now_us = at > w->now_us ? at : w->now_us;
		if (first && first->key <= w->now_us) {
			struct packet *packet = CONTAINER(first, struct packet, node);

			heap_remove(&w->packets, first);
			deliver(packet);
			memory_free(packet);
			continue;
		}
		for (int i = 0; i < HOSTS; i++) {
			if (paths_deadline_us(w->hosts[i].paths) > w->now_us)
				continue;
			paths_tick(w->hosts[i].paths, w->now_us);
			assert_true(paths_deadline_us(w->hosts[i].paths) > w->now_us);
			drain(&w->hosts[i]);
		}
	}
	w->now_us = end_us;
}

/* Both talk, once a second. */
static inline void talk(struct world *w, int seconds)
{
	for (int i = 0; i < seconds; i++) {
		send_data(&w->hosts[0]);
		send_data(&w->hosts[1]);
		run_until(w, w->now_us + SECOND);
	}
}

/* --- begin and end --- */

static inline void world_random(void *context, void *ret, size_t size)
{
	uint8_t *p = ret;

	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)prng_next(context);
}

static inline void host_join(struct host *h)
{
	struct paths_region region = { .id = WORLD_REGION };
	struct paths_local local = { .addresses = { h->own }, .count = 1 };

	local.addresses[0].port = MESH_PORT;
	region.stun_count = h->world->stun_count;
	memcpy(region.stun, h->world->stun, sizeof(h->world->stun));
	paths_set_regions(h->paths, &region, 1, h->world->now_us);
	paths_network_changed(h->paths, &local, h->world->now_us);
	drain(h);
}

/* Each learns of the other's keys and endpoints, as control would tell. */
static inline void introduce(struct host *h, struct host *other)
{
	struct paths_endpoint ours[PATHS_ENDPOINTS_MAX];
	struct endpoint endpoints[PATHS_ENDPOINTS_MAX];
	struct paths_peer_facts facts = {
		.node = other->node,
		.disco = *paths_disco_public(other->paths),
		.endpoints = endpoints,
		.endpoint_count = paths_endpoints(other->paths, ours),
		.home = WORLD_REGION,
		.context = other,
	};

	for (int i = 0; i < facts.endpoint_count; i++)
		endpoints[i] = ours[i].address;
	h->other = paths_put_peer(h->paths, &facts, h->world->now_us);
	drain(h);
}

static inline void host_init(struct world *w, int i, enum nat_kind nat,
			     const struct paths_config *options)
{
	struct host *h = &w->hosts[i];
	struct paths_config config = *options;

	*h = (struct host) { .world = w, .nat = nat };
	h->flows = memory_take_array(FLOWS_MAX, sizeof(*h->flows));
	h->public = endpoint_ip4(203, 0, 113, (uint8_t)(10 + i), 0);
	h->own = is_public(nat) ? h->public : endpoint_ip4(192, 168, (uint8_t)(1 + i), 2, 0);
	h->ports[0] = MESH_PORT;
	world_random(&w->prng, h->node.bytes, sizeof(h->node.bytes));
	world_random(&w->prng, h->disco_secret.bytes, sizeof(h->disco_secret.bytes));
	x25519_clamp(h->disco_secret.bytes);
	config.node_public = h->node;
	config.disco_secret = h->disco_secret;
	config.random = world_random;
	config.random_context = &w->prng;
	h->paths = paths_new(&config, w->now_us);
	host_join(h);
}

/* Both hosts have measured their networks and know each other. */
static inline struct world *world_new_with_stun(int stun_count, uint64_t seed, enum nat_kind first,
						enum nat_kind second,
						const struct paths_config *options)
{
	struct world *w = NEW(struct world);

	w->prng.state = seed;
	w->now_us = 1000 * SECOND;
	w->delay_us = 10 * MS;
	heap_init(&w->packets);
	w->stun[0] = endpoint_ip4(203, 0, 113, 2, 3478);
	w->stun[1] = endpoint_ip4(203, 0, 113, 3, 3478);
	w->stun_count = stun_count;
	host_init(w, 0, first, options);
	host_init(w, 1, second, options);
	run_until(w, w->now_us + 3 * SECOND);
	introduce(&w->hosts[0], &w->hosts[1]);
	introduce(&w->hosts[1], &w->hosts[0]);
	return w;
}

static inline struct world *world_new(uint64_t seed, enum nat_kind first, enum nat_kind second,
				      const struct paths_config *options)
{
	return world_new_with_stun(STUN_SERVERS, seed, first, second, options);
}

static inline void world_free(struct world *w)
{
	struct heap_node *first;

	for (int i = 0; i < HOSTS; i++) {
		paths_free(w->hosts[i].paths);
		memory_free(w->hosts[i].flows);
	}
	while ((first = heap_first(&w->packets))) {
		heap_remove(&w->packets, first);
		memory_free(CONTAINER(first, struct packet, node));
	}
	heap_done(&w->packets);
	memory_free(w);
}

static inline enum paths_kind kind_of(const struct host *h)
{
	struct paths_peer_state state;

	paths_peer_state(h->paths, h->other, h->world->now_us, &state);
	return state.kind;
}

#endif
