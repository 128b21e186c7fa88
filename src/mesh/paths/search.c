/* When a peer is looked for, and where its packets go.
 *
 * A peer is active for 45 s after the last packet to it.  While it is, the best address is pinged
 * every 3 s; while there is none that can be trusted, every address it may have is pinged every 5 s
 * and the relay carries a call, on which the peer pings us.  Nothing is done for the others.
 *
 * Some routers give our packets another port for a while when the peer's come first.  So the first
 * pings of a search only open our router: they do not get as far as the peer's.  The call follows,
 * and then the peer's pings find the door open; ours come after them. */
#include <assert.h>

#include "base/memory.h"
#include "mesh/paths/private.h"

/* --- looking --- */

static bool has_family_of(const struct paths *p, const struct endpoint *address)
{
	if (!p->has_local)
		return true;
	for (int i = 0; i < p->local.count; i++)
		if (endpoint_is_ip4(&p->local.addresses[i]) == endpoint_is_ip4(address))
			return true;
	return false;
}

void peer_ping_all(struct paths_peer *peer, bool is_now, uint64_t now_us)
{
	LIST_EACH (&peer->candidates, struct candidate, node, it) {
		if (!is_now && it->pinged_us && now_us < it->pinged_us + PING_INTERVAL_US)
			continue;
		if (!has_family_of(peer->paths, &it->address))
			continue;
		candidate_ping(it, now_us);
	}
}

static void call(struct paths_peer *peer, uint64_t now_us)
{
	const struct paths *p = peer->paths;
	uint8_t bytes[PATHS_ENDPOINTS_MAX * ENDPOINT_WIRE_BYTES];
	struct disco_message m = { .type = DISCO_CALL_ME_MAYBE, .endpoints = { bytes, 0 } };

	for (int i = 0; i < p->endpoint_count; i++) {
		endpoint_put(bytes + m.endpoints.size, &p->endpoints[i].address);
		m.endpoints.size += ENDPOINT_WIRE_BYTES;
	}
	if (!m.endpoints.size)
		return;
	peer->called_us = now_us;
	if (peer->opened_us != NEVER)
		peer->opened_us = now_us + OPENING_US;
	message_to_region(peer, peer_region(peer, now_us), &m);
}

void peer_no_call(struct paths_peer *peer)
{
	peer->paths->call_count -= peer->wants_call;
	peer->wants_call = false;
}

/* Addresses that a router has forgotten meanwhile would make the peer ping nobody. */
static void call_when_fresh(struct paths_peer *peer, uint64_t now_us)
{
	struct paths *p = peer->paths;

	if (measure_is_fresh(p, now_us)) {
		call(peer, now_us);
		return;
	}
	p->call_count += !peer->wants_call;
	peer->wants_call = true;
	measure_start(p, false, now_us);
}

void peers_call(struct paths *p, uint64_t now_us)
{
	struct paths_peer *peer;
	size_t cursor = 0;

	while (p->call_count && (peer = map_next(&p->by_node, &cursor))) {
		if (!peer->wants_call)
			continue;
		peer_no_call(peer);
		call(peer, now_us);
	}
}

/* Those beyond our router. */
static bool needs_opener(const struct endpoint *address)
{
	return endpoint_is_ip4(address) && !endpoint_is_private(address) &&
	       !endpoint_is_link_local(address) && !endpoint_is_loopback(address);
}

static void ping_openers(struct paths_peer *peer, uint64_t now_us)
{
	LIST_EACH (&peer->candidates, struct candidate, node, it) {
		if (it->pinged_us || !needs_opener(&it->address) || it->socket || it->vni)
			continue;
		it->pinged_us = now_us; /* peer_ping_all() leaves it out */
		it->is_only_opened = true;
		ping_opener(peer, &it->address, now_us);
	}
	peer->opened_us = now_us + OPENING_US + MEASURE_ENOUGH_US;
}

static void ping_opened(struct paths_peer *peer, uint64_t now_us)
{
	if (now_us < peer->opened_us)
		return;
	peer->opened_us = NEVER;
	LIST_EACH (&peer->candidates, struct candidate, node, it)
		if (it->is_only_opened)
			it->pinged_us = 0;
	peer_ping_all(peer, false, now_us);
}

/* A call by a relay that was not connected, or no more, has reached nobody. */
void peers_call_again(struct paths *p, uint32_t region, uint64_t now_us)
{
	struct paths_peer *peer;
	size_t cursor = 0;

	while (paths_is_active(p, now_us) && (peer = map_next(&p->by_node, &cursor)))
		if (peer->searching_us && peer_is_active(peer, now_us) &&
		    peer_region(peer, now_us) == region)
			call_when_fresh(peer, now_us);
}

void peer_search(struct paths_peer *peer, uint64_t now_us)
{
	uint32_t region = peer_region(peer, now_us);
	bool is_first = !peer->search_us;

	peer->search_us = now_us;
	if (mesh_key_is_zero(&peer->disco))
		return;
	if (is_first && region)
		ping_openers(peer, now_us);
	peer_ping_all(peer, false, now_us);
	if (region)
		call_when_fresh(peer, now_us);
	peer_schedule(peer, now_us);
}

static bool is_search_due(const struct paths_peer *peer, uint64_t now_us)
{
	uint64_t pause = PING_INTERVAL_US;

	if (!peer->search_us)
		return true;
	if (peer_is_direct(peer, now_us)) {
		if (peer->best->latency_us <= GOOD_LATENCY_US)
			return false;
		pause = UPGRADE_US;
	} else if (peer->searching_us && now_us > peer->searching_us + SEARCH_SLOWER_US) {
		pause = SLOW_SEARCH_US;
	}
	return now_us >= peer->search_us + pause;
}

/* Does what is due for a peer that is talked to. */
static void look_after(struct paths_peer *peer, uint64_t now_us)
{
	if (!peer_is_direct(peer, now_us) && !peer->searching_us)
		peer->searching_us = now_us;
	if (is_search_due(peer, now_us))
		peer_search(peer, now_us);
	punch_consider(peer, now_us);
	vias_consider(peer, now_us);
}

/* --- being called --- */

void peer_called(struct paths_peer *peer, const struct disco_message *m, uint64_t now_us)
{
	size_t count = disco_endpoint_count(m);

	if (count > PATHS_PEER_ENDPOINTS_MAX && volley_start(peer, m, now_us))
		return;
	if (count > PATHS_PEER_ENDPOINTS_MAX)
		count = PATHS_PEER_ENDPOINTS_MAX;
	LIST_EACH (&peer->candidates, struct candidate, node, it)
		it->from &= (uint8_t)~FROM_CALL;
	for (size_t i = 0; i < count; i++) {
		struct endpoint address = disco_endpoint(m, i);

		candidate_put(peer, 0, 0, &address, FROM_CALL);
	}
	candidates_forget(peer, 0);
	peer_ping_all(peer, true, now_us);
	/* Who calls has no direct path to us.  Ours may lead to where it was before. */
	if (peer_is_direct(peer, now_us) && peer->trust_us > now_us + DOUBT_US) {
		peer->trust_us = now_us + DOUBT_US;
		peer_schedule(peer, now_us);
	}
	/* It pings what it knows of us; when that is old, it needs to hear better. */
	if (!measure_is_fresh(peer->paths, now_us) && !peer_is_direct(peer, now_us))
		call_when_fresh(peer, now_us);
}

/* --- packets --- */

static void become_active(struct paths_peer *peer, uint64_t now_us)
{
	bool was_active = peer_is_active(peer, now_us);

	peer->sent_us = now_us;
	peer->paths->active_us = now_us;
	if (was_active && peer->heartbeat_us != NEVER)
		return;
	peer->heartbeat_us = now_us + HEARTBEAT_US;
	measure_wanted(peer->paths, now_us);
	mapping_wanted(peer->paths, now_us);
	peer_schedule(peer, now_us);
}

/* Pongs say that an address is reached, not that the tunnel's packets get through.  Nothing at all
 * from the tunnel for so long while packets go out means that they may not. */
static void watch_silence(struct paths_peer *peer, uint64_t now_us)
{
	struct candidate *best = peer->best;

	if (!peer->unanswered_us || now_us > peer->sent_us + SENDING_GAP_US)
		peer->unanswered_us = now_us;
	if (now_us < peer->unanswered_us + SILENCE_US || !candidate_is_trusted(best, now_us))
		return;
	best->is_distrusted = true;
	peer->search_us = 0;
	peer_tell(peer, now_us);
}

static uint64_t proven_us(const struct candidate *c)
{
	return c->pong_us > c->tunnel_us ? c->pong_us : c->tunnel_us;
}

/* Where to answer a peer that no relay carries, and whose disco key may be another one by now: from
 * where the tunnel heard it last.  Pings do not count, since anybody can send an old one again. */
static const struct candidate *heard_last(const struct paths_peer *peer)
{
	const struct candidate *last = peer->best;
	uint64_t last_us = last ? proven_us(last) : 0;

	LIST_EACH (&peer->candidates, struct candidate, node, it) {
		if (it->tunnel_us <= last_us)
			continue;
		last = it;
		last_us = it->tunnel_us;
	}
	return last;
}

bool paths_is_lost(const struct paths_peer *peer, uint64_t now_us)
{
	return peer_is_lost(peer, now_us);
}

void paths_hello(struct paths *p, struct paths_peer *peer, struct slice message, uint64_t now_us)
{
	const struct candidate *routed = heard_last(peer);

	if (!peer_is_lost(peer, now_us))
		return;
	LIST_EACH (&peer->candidates, struct candidate, node, it) {
		if (it == routed || it->socket || !has_family_of(p, &it->address))
			continue;
		struct paths_effect *effect = paths_push(p, PATHS_SEND);
		effect->address = it->address;
		paths_push_bytes(p, effect, message);
	}
}

void paths_route(struct paths *p, struct paths_peer *peer, uint64_t now_us, struct paths_route *ret)
{
	const struct candidate *best;
	bool is_trusted;

	assert(peer->paths == p);
	watch_silence(peer, now_us);
	become_active(peer, now_us);
	if (!candidate_is_trusted(peer->best, now_us))
		peer_choose_again(peer, now_us);
	is_trusted = candidate_is_trusted(peer->best, now_us);
	if (!is_trusted || is_search_due(peer, now_us))
		look_after(peer, now_us);
	best = peer_is_lost(peer, now_us) ? heard_last(peer) : peer->best;
	*ret = (struct paths_route) { .region = peer_region(peer, now_us) };
	if (!best && mesh_key_is_zero(&peer->disco) && !list_is_empty(&peer->candidates))
		best = CONTAINER(peer->candidates.next, struct candidate, node);
	if (best) {
		ret->has_udp = true;
		ret->socket = best->socket;
		ret->address = best->address;
		ret->vni = best->vni;
	}
	ret->has_relay = ret->region && !is_trusted;
}

/* Each end of a punch chooses for itself by which of the pairs that met it sends, so those over
 * which something comes stay; routers forget all of them when nobody talks. */
static void close_sockets(struct paths_peer *peer, bool all, uint64_t now_us)
{
	LIST_EACH (&peer->candidates, struct candidate, node, it)
		if (it->socket &&
		    (all || (it != peer->best && now_us > it->heard_us + SOCKET_IDLE_US)))
			candidate_free(it);
}

void peer_tick(struct paths_peer *peer, uint64_t now_us)
{
	volley_tick(peer, now_us);
	ping_opened(peer, now_us);
	vias_tick(peer, now_us);
	if (peer->is_told_direct && !candidate_is_trusted(peer->best, now_us))
		peer_choose_again(peer, now_us);
	peer_tell(peer, now_us);
	if (peer->heartbeat_us <= now_us && peer_is_active(peer, now_us)) {
		peer->heartbeat_us = now_us + HEARTBEAT_US;
		if (peer->best)
			candidate_ping(peer->best, now_us);
		close_sockets(peer, false, now_us);
		look_after(peer, now_us);
	} else if (peer->heartbeat_us <= now_us) {
		peer->heartbeat_us = NEVER;
		peer->searching_us = 0;
		close_sockets(peer, true, now_us);
	}
	peer_schedule(peer, now_us);
}

/* --- hanse ping --- */

void peer_ping_for_user(struct paths_peer *peer, uint64_t now_us)
{
	LIST_EACH (&peer->candidates, struct candidate, node, it)
		if (has_family_of(peer->paths, &it->address))
			ping_address(peer, it->socket, it->vni, &it->address, true, now_us);
}

void paths_ping(struct paths *p, struct paths_peer *peer, uint64_t now_us)
{
	assert(peer->paths == p);
	peer->is_user_waiting = true;
	peer->unanswered_us = 0; /* it is not the tunnel that sends */
	become_active(peer, now_us);
	if (candidate_is_trusted(peer->best, now_us)) {
		ping_address(peer, peer->best->socket, peer->best->vni, &peer->best->address, true,
			     now_us);
	} else {
		peer_ping_for_user(peer, now_us);
		ping_region(peer, peer_region(peer, now_us), true, now_us);
		look_after(peer, now_us);
	}
	if (!peer->user_pings) {
		peer->is_user_waiting = false;
		paths_push(p, PATHS_PING_LOST)->peer = peer;
	}
}
