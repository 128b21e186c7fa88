#include <assert.h>

#include "base/memory.h"
#include "base/random.h"
#include "mesh/paths/private.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"

/* --- begin and end --- */

struct paths *paths_new(const struct paths_config *config, uint64_t now_us)
{
	struct paths *p = NEW(struct paths);

	(void)now_us;
	p->config = *config;
	x25519_public(config->disco_secret.bytes, p->disco_public.bytes);
	map_init(&p->by_node);
	map_init(&p->by_disco);
	map_init(&p->by_address);
	map_init(&p->vias);
	list_init(&p->peer_relays);
	map_init(&p->pings_by_transaction);
	heap_init(&p->timers);
	list_init(&p->pings);
	buf_init(&p->bytes);
	p->regions = memory_take_array(PATHS_REGIONS_MAX, sizeof(*p->regions));
	p->measure.probes = memory_take_array(PROBES_MAX, sizeof(*p->measure.probes));
	p->measure.next_us = NEVER;
	p->mapping.next_us = NEVER;
	p->socket_users[0] = 1;
	return p;
}

void paths_free(struct paths *p)
{
	struct paths_peer *peer;
	size_t cursor = 0;

	if (!p)
		return;
	while ((peer = map_next(&p->by_node, &cursor)))
		peer_free(peer);
	assert(list_is_empty(&p->pings));
	map_done(&p->by_node);
	map_done(&p->by_disco);
	map_done(&p->by_address);
	map_done(&p->vias);
	map_done(&p->pings_by_transaction);
	heap_done(&p->timers);
	buf_done(&p->bytes);
	memory_free(p->effects);
	memory_free(p->regions);
	memory_free(p->measure.probes);
	crypto_wipe(&p->config.disco_secret, sizeof(p->config.disco_secret));
	memory_free(p);
}

const struct mesh_key *paths_disco_public(const struct paths *p)
{
	return &p->disco_public;
}

void paths_random(struct paths *p, void *ret, size_t size)
{
	if (p->config.random)
		p->config.random(p->config.random_context, ret, size);
	else
		random_bytes(ret, size);
}

uint64_t paths_random_below(struct paths *p, uint64_t bound)
{
	struct prng prng;

	paths_random(p, &prng.state, sizeof(prng.state));
	return prng_below(&prng, bound);
}

bool paths_is_active(const struct paths *p, uint64_t now_us)
{
	return p->active_us && now_us < p->active_us + ACTIVE_US;
}

/* --- effects --- */

struct paths_effect *paths_push(struct paths *p, enum paths_effect_kind kind)
{
	struct queued *it;

	if (p->effect_next == p->effect_count) {
		p->effect_next = p->effect_count = 0;
		buf_clear(&p->bytes);
	}
	if (p->effect_count == p->effect_capacity) {
		p->effect_capacity = p->effect_capacity ? 2 * p->effect_capacity : 16;
		p->effects = memory_grow(p->effects, p->effect_capacity * sizeof(struct queued));
	}
	it = &p->effects[p->effect_count++];
	*it = (struct queued) { .effect.kind = kind };
	return &it->effect;
}

void paths_push_bytes(struct paths *p, struct paths_effect *effect, struct slice bytes)
{
	CONTAINER(effect, struct queued, effect)->offset = p->bytes.size;
	effect->bytes.size = bytes.size;
	buf_add_slice(&p->bytes, bytes);
}

static bool is_about_peer(enum paths_effect_kind kind)
{
	return kind == PATHS_PEER_CHANGED || kind == PATHS_PING_ANSWERED ||
	       kind == PATHS_PING_LOST || kind == PATHS_ALLOCATE;
}

bool paths_next(struct paths *p, struct paths_effect *ret)
{
	struct queued *it;

	do {
		if (p->effect_next == p->effect_count)
			return false;
		it = &p->effects[p->effect_next++];
	} while (is_about_peer(it->effect.kind) && !it->effect.peer); /* it was removed since */
	*ret = it->effect;
	if (it->effect.bytes.size)
		ret->bytes.data = p->bytes.data + it->offset;
	return true;
}

/* --- datagrams --- */

void paths_geneve(uint32_t vni, uint8_t ret[PATHS_GENEVE_BYTES])
{
	geneve_put(ret, &(struct geneve) { GENEVE_WIREGUARD, vni, false });
}

/* Whose packet it probably is: only what has proven itself is in the table. */
static struct paths_peer *peer_at(struct paths *p, const struct paths_from *from)
{
	uint8_t key[CANDIDATE_KEY_BYTES];
	struct candidate *c;

	candidate_key(&from->address, from->vni, key);
	c = map_get(&p->by_address, (struct slice) { key, sizeof(key) });
	return c ? c->peer : NULL;
}

static enum paths_verdict from_peer_relay(struct paths *p, struct paths_from *way,
					  const struct geneve *header, struct slice *packet,
					  uint64_t now_us, struct paths_from *ret_from,
					  struct paths_peer **ret_peer)
{
	struct slice rest = slice_part(*packet, GENEVE_BYTES, packet->size);

	way->vni = header->vni;
	if (header->protocol == GENEVE_WIREGUARD && !header->is_control) {
		*packet = rest;
		*ret_from = *way;
		*ret_peer = peer_at(p, way);
		return PATHS_WIREGUARD;
	}
	if (header->protocol != GENEVE_DISCO || !disco_is_packet(rest))
		return PATHS_CONSUMED;
	if (header->is_control)
		via_control(p, way, rest, now_us);
	else
		message_received(p, way, NULL, rest, now_us);
	return PATHS_CONSUMED;
}

enum paths_verdict paths_received(struct paths *p, uint16_t socket, const struct endpoint *from,
				  struct slice *packet, uint64_t now_us,
				  struct paths_from *ret_from, struct paths_peer **ret_peer)
{
	struct paths_from way = { .socket = socket, .address = *from };
	struct geneve header;

	assert(socket < PATHS_SOCKETS_MAX);
	if (stun_is_message(*packet)) {
		if (socket == 0)
			measure_received(p, from, *packet, now_us);
		return PATHS_CONSUMED;
	}
	if (disco_is_packet(*packet)) {
		message_received(p, &way, NULL, *packet, now_us);
		return PATHS_CONSUMED;
	}
	if (socket == 0 && mapping_is_answer(p, from, *packet)) {
		mapping_received(p, from, *packet, now_us);
		return PATHS_CONSUMED;
	}
	if (socket == 0 && !geneve_get(*packet, &header))
		return from_peer_relay(p, &way, &header, packet, now_us, ret_from, ret_peer);
	*ret_from = way;
	*ret_peer = peer_at(p, &way);
	return PATHS_WIREGUARD;
}

enum paths_verdict paths_relay_received(struct paths *p, uint32_t region,
					const struct mesh_key *node, struct slice packet,
					uint64_t now_us, struct paths_from *ret_from,
					struct paths_peer **ret_peer)
{
	struct paths_from way = { .region = region };
	struct region *r = region_find(p, region);

	if (r)
		r->relay_heard_us = now_us;
	if (disco_is_packet(packet)) {
		message_received(p, &way, node, packet, now_us);
		return PATHS_CONSUMED;
	}
	*ret_from = way;
	*ret_peer = paths_find_peer(p, node);
	return PATHS_WIREGUARD;
}

/* --- time --- */

uint64_t paths_deadline_us(const struct paths *p)
{
	struct heap_node *first = heap_first(&p->timers);
	uint64_t at = measure_deadline_us(p);

	if (first && first->key < at)
		at = first->key;
	if (!list_is_empty(&p->pings)) {
		struct ping *oldest = CONTAINER(p->pings.next, struct ping, node);

		if (oldest->sent_us + PING_TIMEOUT_US < at)
			at = oldest->sent_us + PING_TIMEOUT_US;
	}
	if (p->mapping.next_us < at)
		at = p->mapping.next_us;
	if (p->punch.state != PUNCH_NONE && p->punch.next_us < at)
		at = p->punch.next_us;
	return at;
}

void paths_tick(struct paths *p, uint64_t now_us)
{
	struct heap_node *first;

	pings_expire(p, now_us);
	measure_tick(p, now_us);
	mapping_tick(p, now_us);
	punch_tick(p, now_us);
	while ((first = heap_first(&p->timers)) && first->key <= now_us) {
		struct paths_peer *peer = CONTAINER(first, struct paths_peer, timer);

		heap_remove(&p->timers, first);
		peer_tick(peer, now_us);
		assert(!peer->timer.index || peer->timer.key > now_us);
	}
}

/* --- the own network --- */

static bool local_is_equal(const struct paths_local *a, const struct paths_local *b)
{
	if (a->count != b->count || !endpoint_same_ip(&a->gateway, &b->gateway) ||
	    !endpoint_same_ip(&a->to_gateway, &b->to_gateway))
		return false;
	for (int i = 0; i < a->count; i++)
		if (!endpoint_equal(&a->addresses[i], &b->addresses[i]))
			return false;
	return true;
}

/* Nothing that worked before has to work now; what is talked to is looked for at once. */
static void restart_peers(struct paths *p, uint64_t now_us)
{
	struct paths_peer *peer;
	size_t cursor = 0;

	while ((peer = map_next(&p->by_node, &cursor))) {
		peer_lose_best(peer);
		vias_end(peer);
		peer->asked_us = 0;
		LIST_EACH (&peer->candidates, struct candidate, node, it) {
			it->pong_us = it->pinged_us = it->tunnel_us = 0;
			it->is_distrusted = false;
			if (it->socket)
				candidate_free(it);
		}
		peer->search_us = peer->called_us = 0;
		peer->punch_after_us = peer->punch_pause_us = 0;
		peer_tell(peer, now_us);
		if (peer_is_active(peer, now_us))
			peer_search(peer, now_us);
	}
}

void paths_network_changed(struct paths *p, const struct paths_local *local, uint64_t now_us)
{
	assert(local->count >= 0 && local->count <= PATHS_LOCAL_MAX);
	if (p->has_local && local_is_equal(&p->local, local))
		return;
	p->local = *local;
	p->has_local = true;
	p->measure.has_udp = p->measure.has_ipv6 = p->measure.varies = PATHS_UNKNOWN;
	p->measure.varies_for_peers = PATHS_UNKNOWN;
	p->measure.public4 = p->measure.public6 = (struct endpoint) { 0 };
	p->measure.done_us = 0;
	p->mapping = (struct mapping) { .next_us = NEVER };
	for (int i = 0; i < p->region_count; i++)
		memset(p->regions[i].samples, 0, sizeof(p->regions[i].samples));
	endpoints_update(p);
	measure_start(p, true, now_us);
	mapping_start(p, now_us);
	restart_peers(p, now_us);
}

void paths_netinfo(const struct paths *p, struct paths_netinfo *ret)
{
	*ret = (struct paths_netinfo) {
		.home = p->home,
		.has_udp = measure_has_udp(p),
		.has_ipv6 = p->measure.has_ipv6,
		.mapping_varies = measure_varies(p),
		.has_mapping = p->mapping.step == MAPPING_HELD	    ? PATHS_YES
			       : p->mapping.step == MAPPING_RESTING ? PATHS_NO
								    : PATHS_UNKNOWN,
		.public4 = p->measure.public4,
		.public6 = p->measure.public6,
	};
	for (int i = 0; i < p->region_count; i++) {
		uint64_t latency_us = region_latency_us(&p->regions[i], p->measure.done_us);

		if (!latency_us)
			continue;
		ret->latencies[ret->latency_count].region = p->regions[i].facts.id;
		ret->latencies[ret->latency_count++].latency_us = latency_us;
	}
}
