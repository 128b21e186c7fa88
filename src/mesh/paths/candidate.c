/* Addresses a peer may have.  One of them is the best: it answered a ping not long ago and none of
 * the others was better by enough to change. */
#include <assert.h>

#include "base/endian.h"
#include "base/memory.h"
#include "mesh/paths/private.h"

enum { POINTS_LOOPBACK = 50, POINTS_LINK_LOCAL = 30, POINTS_PRIVATE = 20, POINTS_IPV6 = 10 };

void candidate_key(const struct endpoint *address, uint32_t vni, uint8_t ret[CANDIDATE_KEY_BYTES])
{
	endpoint_put(ret, address);
	put_u32(ret + ENDPOINT_WIRE_BYTES, vni);
}

struct candidate *candidate_find(struct paths_peer *peer, uint16_t socket, uint32_t vni,
				 const struct endpoint *address)
{
	LIST_EACH (&peer->candidates, struct candidate, node, it)
		if (it->socket == socket && it->vni == vni && endpoint_equal(&it->address, address))
			return it;
	return NULL;
}

static bool is_in_mesh(const struct endpoint *address)
{
	static const uint8_t prefix[6] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 };

	return memcmp(address->ip, prefix, sizeof(prefix)) == 0;
}

/* Addresses of one machine count only where there are no others. */
static bool may_be_candidate(const struct paths *p, const struct endpoint *address)
{
	if (!endpoint_is_unicast(address) || is_in_mesh(address))
		return false;
	if (endpoint_is_link_local(address) && !endpoint_is_ip4(address))
		return false;
	if (endpoint_is_loopback(address))
		return p->local.count > 0 && endpoint_is_loopback(&p->local.addresses[0]);
	return true;
}

/* The one that has been silent for longest, of those that only a ping told of. */
static void drop_one_learned(struct paths_peer *peer)
{
	struct candidate *oldest = NULL;
	int count = 0;

	LIST_EACH (&peer->candidates, struct candidate, node, it) {
		if (it->from & ~(FROM_PING | FROM_TUNNEL))
			continue;
		count++;
		if (it != peer->best && (!oldest || it->pong_us < oldest->pong_us))
			oldest = it;
	}
	if (count >= LEARNED_MAX && oldest)
		candidate_free(oldest);
}

struct candidate *candidate_put(struct paths_peer *peer, uint16_t socket, uint32_t vni,
				const struct endpoint *address, uint8_t from)
{
	struct candidate *c = candidate_find(peer, socket, vni, address);

	if (c) {
		c->from |= from;
		return c;
	}
	if (!may_be_candidate(peer->paths, address) || !socket_is_open(peer->paths, socket))
		return NULL;
	if (vni && (socket || !via_find(peer, vni)))
		return NULL;
	if (from & (FROM_PING | FROM_TUNNEL))
		drop_one_learned(peer);
	if (peer->candidate_count >= 2 * PATHS_PEER_ENDPOINTS_MAX + LEARNED_MAX)
		return NULL;
	c = NEW(struct candidate);
	c->peer = peer;
	c->address = *address;
	c->socket = socket;
	c->vni = vni;
	c->from = from;
	candidate_key(address, vni, c->key);
	socket_hold(peer->paths, socket);
	list_add(&peer->candidates, &c->node);
	peer->candidate_count++;
	return c;
}

static struct slice address_slice(const struct candidate *c)
{
	return (struct slice) { c->key, sizeof(c->key) };
}

void candidate_free(struct candidate *c)
{
	struct paths_peer *peer = c->peer;

	if (peer->best == c)
		peer_lose_best(peer);
	if (c->is_known_here && map_get(&peer->paths->by_address, address_slice(c)) == c)
		map_remove(&peer->paths->by_address, address_slice(c));
	socket_release(peer->paths, c->socket);
	list_remove(&c->node);
	peer->candidate_count--;
	memory_free(c);
}

void candidates_forget(struct paths_peer *peer, uint8_t from)
{
	LIST_EACH (&peer->candidates, struct candidate, node, it) {
		it->from &= (uint8_t)~from;
		if (!it->from && it != peer->best)
			candidate_free(it);
	}
}

void candidate_heard(struct candidate *c)
{
	struct map *by_address = &c->peer->paths->by_address;

	if (c->is_known_here && map_get(by_address, address_slice(c)) == c)
		return;
	c->is_known_here = true;
	map_put(by_address, address_slice(c), c);
}

/* --- the best --- */

bool candidate_is_trusted(const struct candidate *c, uint64_t now_us)
{
	return c && c->peer->best == c && now_us < c->peer->trust_us && !c->is_distrusted;
}

bool peer_is_direct(const struct paths_peer *peer, uint64_t now_us)
{
	return candidate_is_trusted(peer->best, now_us) && !peer->best->vni;
}

/* Below a millisecond the network says nothing, and kinds of addresses decide. */
static int points_of_latency(uint64_t ours, uint64_t theirs)
{
	ours = ours > MS ? ours : MS;
	theirs = theirs > MS ? theirs : MS;
	return ours < theirs ? (int)(100 - 100 * ours / theirs) : 0;
}

static int points_of_kind(const struct endpoint *address)
{
	int points = endpoint_is_ip4(address) ? 0 : POINTS_IPV6;

	if (endpoint_is_loopback(address))
		return points + POINTS_LOOPBACK;
	if (endpoint_is_link_local(address))
		return points + POINTS_LINK_LOCAL;
	return endpoint_is_private(address) ? points + POINTS_PRIVATE : points;
}

static bool is_better(const struct candidate *c, const struct candidate *best)
{
	int ours = points_of_kind(&c->address) + points_of_latency(c->latency_us, best->latency_us);
	int theirs =
		points_of_kind(&best->address) + points_of_latency(best->latency_us, c->latency_us);

	if (!c->vni != !best->vni)
		return !c->vni; /* a detour costs somebody else's line */
	return ours > theirs + HYSTERESIS_POINTS;
}

void peer_lose_best(struct paths_peer *peer)
{
	struct candidate *before = peer->best;

	peer->best = NULL;
	peer->trust_us = 0;
	if (before && !before->from)
		candidate_free(before);
}

static void set_best(struct paths_peer *peer, struct candidate *c)
{
	struct candidate *before = peer->best;

	if (before == c)
		return;
	peer->best = c;
	if (before && (!before->from || before->socket))
		candidate_free(before);
}

void candidate_pong(struct candidate *c, uint64_t latency_us, uint64_t now_us)
{
	struct paths_peer *peer = c->peer;

	c->pong_us = now_us;
	c->latency_us = latency_us;
	candidate_heard(c);
	if (c != peer->best && candidate_is_trusted(peer->best, now_us) &&
	    (c->is_distrusted || !is_better(c, peer->best)))
		return;
	if (c != peer->best && c->is_distrusted && peer->best)
		return;
	set_best(peer, c);
	peer->trust_us = now_us + TRUST_US;
	if (!c->is_distrusted && !peer->best->vni)
		peer->searching_us = 0;
}

/* Another one answered not long ago, and was not better by enough then. */
void peer_choose_again(struct paths_peer *peer, uint64_t now_us)
{
	struct candidate *next = NULL;

	LIST_EACH (&peer->candidates, struct candidate, node, it)
		if (it != peer->best && it->pong_us && now_us < it->pong_us + TRUST_US &&
		    !it->is_distrusted && (!next || is_better(it, next)))
			next = it;
	if (!next)
		return;
	set_best(peer, next);
	peer->trust_us = next->pong_us + TRUST_US;
	if (!next->vni)
		peer->searching_us = 0;
	peer_tell(peer, now_us);
}

/* --- the tunnel's word --- */

void paths_authenticated(struct paths *p, struct paths_peer *peer, const struct paths_from *from,
			 uint64_t now_us)
{
	struct candidate *c;

	peer->heard_us = now_us;
	peer->unanswered_us = 0;
	if (from->region) {
		peer->reverse = from->region;
		peer->reverse_us = now_us;
		return;
	}
	c = peer->best;
	if (!c || c->socket != from->socket || c->vni != from->vni ||
	    !endpoint_equal(&c->address, &from->address))
		c = candidate_put(peer, from->socket, from->vni, &from->address, FROM_TUNNEL);
	if (!c)
		return;
	c->heard_us = c->tunnel_us = now_us;
	candidate_heard(c);
	via_heard(peer, c->vni, now_us);
	if (c->is_distrusted) {
		c->is_distrusted = false;
		peer_tell(peer, now_us);
	}
	/* Who speaks no disco is where its packets come from. */
	if (mesh_key_is_zero(&peer->disco) && peer->best != c) {
		peer->best = c;
		peer_tell(peer, now_us);
	}
	assert(c->peer->paths == p);
}
