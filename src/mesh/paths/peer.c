#include <assert.h>

#include "base/memory.h"
#include "mesh/paths/private.h"
#include "wire/crypto/wipe.h"

static struct slice key_slice(const struct mesh_key *key)
{
	return (struct slice) { key->bytes, sizeof(key->bytes) };
}

/* --- facts --- */

/* One of those that claim it stays to be found by it. */
static void leave_disco(struct paths_peer *peer)
{
	struct paths *p = peer->paths;
	struct paths_peer *other;
	size_t cursor = 0;

	if (map_get(&p->by_disco, key_slice(&peer->disco)) != peer)
		return;
	map_remove(&p->by_disco, key_slice(&peer->disco));
	while (p->has_disco_twins && (other = map_next(&p->by_node, &cursor))) {
		if (other == peer || !mesh_key_equal(&other->disco, &peer->disco))
			continue;
		map_put(&p->by_disco, key_slice(&other->disco), other);
		return;
	}
}

/* Disco keys are public, so a peer can claim that of another: messages say whose they are. */
static void set_disco(struct paths_peer *peer, const struct mesh_key *disco)
{
	struct paths *p = peer->paths;

	if (mesh_key_equal(&peer->disco, disco))
		return;
	vias_end(peer); /* they are between its old key and ours */
	leave_disco(peer);
	peer->disco = *disco;
	peer->has_shared = peer->is_shared_bad = false;
	crypto_wipe(peer->shared, sizeof(peer->shared));
	if (!mesh_key_is_zero(disco) && map_put(&p->by_disco, key_slice(&peer->disco), peer))
		p->has_disco_twins = true;
}

static struct paths_peer *peer_new(struct paths *p, const struct mesh_key *node)
{
	struct paths_peer *peer = NEW(struct paths_peer);

	peer->paths = p;
	peer->node = *node;
	peer->heartbeat_us = peer->volley_at = peer->opened_us = NEVER;
	peer->calls_left = CALL_BURST;
	list_init(&peer->candidates);
	list_init(&peer->vias);
	list_init(&peer->relay_node);
	map_put(&p->by_node, key_slice(&peer->node), peer);
	return peer;
}

static void set_endpoints(struct paths_peer *peer, const struct endpoint *endpoints, int count)
{
	LIST_EACH (&peer->candidates, struct candidate, node, it)
		it->from |= FROM_NETMAP << 4; /* a mark, until it is named again */
	for (int i = 0; i < count && i < PATHS_PEER_ENDPOINTS_MAX; i++) {
		struct candidate *c = candidate_put(peer, 0, 0, &endpoints[i], FROM_NETMAP);

		if (c)
			c->from &= 0xf;
	}
	LIST_EACH (&peer->candidates, struct candidate, node, it) {
		bool is_old = it->from & FROM_NETMAP << 4;

		it->from &= 0xf;
		if (!is_old || !(it->from & FROM_NETMAP))
			continue;
		it->from &= (uint8_t)~FROM_NETMAP;
		if (!it->from && it != peer->best)
			candidate_free(it);
	}
}

struct paths_peer *paths_put_peer(struct paths *p, const struct paths_peer_facts *facts,
				  uint64_t now_us)
{
	struct paths_peer *peer = paths_find_peer(p, &facts->node);
	bool is_new_disco, is_elsewhere;

	if (!peer && p->by_node.count >= PATHS_PEERS_MAX)
		return NULL;
	if (!peer)
		peer = peer_new(p, &facts->node);
	is_new_disco = !mesh_key_equal(&peer->disco, &facts->disco);
	set_disco(peer, &facts->disco);
	set_endpoints(peer, facts->endpoints, facts->endpoint_count);
	is_elsewhere = peer->home != facts->home;
	peer->home = facts->home;
	peer->context = facts->context;
	peer->is_relay_client = facts->is_relay_client;
	if (!facts->is_peer_relay)
		list_remove(&peer->relay_node);
	else if (!list_is_linked(&peer->relay_node))
		list_add(&p->peer_relays, &peer->relay_node);
	peer->is_put = true;
	/* It was started again: its sockets are others, and what it heard of us is lost. */
	if (is_new_disco) {
		peer_lose_best(peer);
		peer->search_us = peer->called_us = 0;
	}
	peer_tell(peer, now_us);
	if (peer_is_active(peer, now_us) && !peer_is_direct(peer, now_us)) {
		if (is_new_disco || is_elsewhere)
			peer_search(peer, now_us);
		else
			peer_ping_all(peer, false, now_us);
	}
	peer_schedule(peer, now_us);
	return peer;
}

void paths_peer_disco(struct paths *p, struct paths_peer *peer, const struct mesh_key *disco,
		      uint64_t now_us)
{
	assert(peer->paths == p);
	if (mesh_key_is_zero(disco) || mesh_key_equal(&peer->disco, disco))
		return;
	set_disco(peer, disco);
	peer_lose_best(peer);
	peer->search_us = peer->called_us = 0;
	if (peer->is_user_waiting) /* what was asked before it cannot read */
		peer_ping_for_user(peer, now_us);
	if (peer_is_active(peer, now_us))
		peer_search(peer, now_us);
}

/* --- coming and going --- */

void peer_free(struct paths_peer *peer)
{
	struct paths *p = peer->paths;

	pings_forget_peer(peer);
	volley_end(peer);
	peer_no_call(peer);
	punch_forget_peer(peer);
	vias_end(peer);
	list_remove(&peer->relay_node);
	LIST_EACH (&peer->candidates, struct candidate, node, it)
		candidate_free(it);
	heap_remove(&p->timers, &peer->timer);
	leave_disco(peer);
	map_remove(&p->by_node, key_slice(&peer->node));
	for (size_t i = p->effect_next; i < p->effect_count; i++)
		if (p->effects[i].effect.peer == peer)
			p->effects[i].effect.peer = NULL;
	crypto_wipe(peer->shared, sizeof(peer->shared));
	memory_free(peer);
}

void paths_remove_peer(struct paths *p, const struct mesh_key *node)
{
	struct paths_peer *peer = paths_find_peer(p, node);

	if (peer)
		peer_free(peer);
}

void paths_peers_begin(struct paths *p)
{
	struct paths_peer *peer;
	size_t cursor = 0;

	while ((peer = map_next(&p->by_node, &cursor)))
		peer->is_put = false;
}

void paths_peers_end(struct paths *p)
{
	struct paths_peer *peer;
	size_t cursor = 0;

	while ((peer = map_next(&p->by_node, &cursor)))
		if (!peer->is_put)
			peer_free(peer);
}

struct paths_peer *paths_find_peer(const struct paths *p, const struct mesh_key *node)
{
	return map_get(&p->by_node, key_slice(node));
}

const struct mesh_key *paths_peer_node(const struct paths_peer *peer)
{
	return &peer->node;
}

const struct mesh_key *paths_peer_disco_key(const struct paths_peer *peer)
{
	return &peer->disco;
}

void *paths_peer_context(const struct paths_peer *peer)
{
	return peer->context;
}

/* --- what others here ask --- */

bool peer_shared(struct paths_peer *peer)
{
	if (peer->has_shared)
		return true;
	if (peer->is_shared_bad || mesh_key_is_zero(&peer->disco))
		return false;
	peer->has_shared =
		box_shared(peer->paths->config.disco_secret.bytes, peer->disco.bytes, peer->shared);
	peer->is_shared_bad = !peer->has_shared;
	return peer->has_shared;
}

bool peer_is_active(const struct paths_peer *peer, uint64_t now_us)
{
	return peer->sent_us && now_us < peer->sent_us + ACTIVE_US;
}

uint32_t peer_region(const struct paths_peer *peer, uint64_t now_us)
{
	if (peer->reverse && now_us < peer->reverse_us + REVERSE_US)
		return peer->reverse;
	/* Who has just joined has told nobody where its home is; ours is the best guess. */
	return peer->home ? peer->home : peer->paths->home;
}

/* One failure may be a connection that was idle, or is being made for the first time: what is sent
 * around a relay too early would spoil the openers (search.c). */
bool peer_is_lost(const struct paths_peer *peer, uint64_t now_us)
{
	const struct region *r = region_find(peer->paths, peer_region(peer, now_us));

	return !candidate_is_trusted(peer->best, now_us) &&
	       (!r || (!r->is_relay_up && r->relay_failures >= LOST_FAILURES));
}

/* One timer a peer, at the first thing it waits for; a peer that is not active waits for none. */
void peer_schedule(struct paths_peer *peer, uint64_t now_us)
{
	uint64_t at = peer->heartbeat_us, bind_us = vias_deadline_us(peer);

	if (peer->volley_at < at)
		at = peer->volley_at;
	if (peer->opened_us < at)
		at = peer->opened_us;
	if (bind_us < at)
		at = bind_us;
	if (peer->best && peer->is_told_direct && peer_is_active(peer, now_us) &&
	    peer->trust_us < at && peer->trust_us > now_us)
		at = peer->trust_us;
	heap_remove(&peer->paths->timers, &peer->timer);
	if (at != NEVER)
		heap_add(&peer->paths->timers, &peer->timer, at > now_us ? at : now_us + 1);
}
