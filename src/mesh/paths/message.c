/* Disco messages out and in.  What comes is believed only when it was sealed with the disco key of
 * a peer of the netmap; others cost one look into a table. */
#include <assert.h>

#include "base/memory.h"
#include "mesh/paths/private.h"

/* --- out --- */

static void seal(struct paths_peer *peer, struct paths_effect *effect, uint32_t vni,
		 const struct disco_message *m)
{
	struct paths *p = peer->paths;
	uint8_t nonce[BOX_NONCE_BYTES], header[GENEVE_BYTES];
	struct buf packet;

	buf_init(&packet);
	paths_random(p, nonce, sizeof(nonce));
	if (vni) {
		geneve_put(header, &(struct geneve) { GENEVE_DISCO, vni, false });
		buf_add(&packet, header, sizeof(header));
	}
	disco_seal(&packet, peer->shared, &p->disco_public, nonce, m);
	paths_push_bytes(p, effect, buf_slice(&packet));
	buf_done(&packet);
}

void message_to_address(struct paths_peer *peer, uint16_t socket, uint32_t vni,
			const struct endpoint *address, uint8_t ttl, const struct disco_message *m)
{
	struct paths_effect *effect;

	if (!peer_shared(peer))
		return;
	effect = paths_push(peer->paths, PATHS_SEND);
	effect->socket = socket;
	effect->address = *address;
	effect->ttl = ttl;
	seal(peer, effect, vni, m);
}

void message_to_region(struct paths_peer *peer, uint32_t region, const struct disco_message *m)
{
	struct paths_effect *effect;

	if (!region || !peer_shared(peer))
		return;
	effect = paths_push(peer->paths, PATHS_SEND_RELAY);
	effect->region = region;
	effect->node = peer->node;
	seal(peer, effect, 0, m);
}

/* --- pings --- */

static struct slice transaction_slice(const struct ping *ping)
{
	return (struct slice) { ping->transaction, sizeof(ping->transaction) };
}

static struct ping *ping_new(struct paths_peer *peer, bool is_user, uint64_t now_us)
{
	struct paths *p = peer->paths;
	struct ping *ping = NEW(struct ping);

	if (p->ping_count >= PINGS_MAX)
		ping_free(p, CONTAINER(p->pings.next, struct ping, node));
	paths_random(p, ping->transaction, sizeof(ping->transaction));
	ping->peer = peer;
	ping->is_user = is_user;
	ping->sent_us = now_us;
	peer->user_pings += is_user;
	list_add(&p->pings, &ping->node);
	map_put(&p->pings_by_transaction, transaction_slice(ping), ping);
	p->ping_count++;
	return ping;
}

void ping_free(struct paths *p, struct ping *ping)
{
	struct paths_peer *peer = ping->peer;

	list_remove(&ping->node);
	map_remove(&p->pings_by_transaction, transaction_slice(ping));
	p->ping_count--;
	peer->user_pings -= ping->is_user;
	if (ping->is_user && !peer->user_pings && peer->is_user_waiting) {
		peer->is_user_waiting = false;
		paths_push(p, PATHS_PING_LOST)->peer = peer;
	}
	memory_free(ping);
}

void pings_expire(struct paths *p, uint64_t now_us)
{
	while (!list_is_empty(&p->pings)) {
		struct ping *oldest = CONTAINER(p->pings.next, struct ping, node);

		if (now_us < oldest->sent_us + PING_TIMEOUT_US)
			break;
		ping_free(p, oldest);
	}
}

void pings_forget_peer(struct paths_peer *peer)
{
	LIST_EACH (&peer->paths->pings, struct ping, node, it)
		if (it->peer == peer)
			ping_free(peer->paths, it);
}

static struct disco_message ping_message(const struct paths *p, const struct ping *ping)
{
	struct disco_message m = { .type = DISCO_PING, .node = p->config.node_public };

	memcpy(m.transaction, ping->transaction, sizeof(m.transaction));
	return m;
}

void ping_address(struct paths_peer *peer, uint16_t socket, uint32_t vni,
		  const struct endpoint *address, bool is_user, uint64_t now_us)
{
	struct disco_message m;
	struct ping *ping;

	if (!peer_shared(peer))
		return;
	ping = ping_new(peer, is_user, now_us);
	ping->socket = socket;
	ping->vni = vni;
	ping->address = *address;
	m = ping_message(peer->paths, ping);
	message_to_address(peer, socket, vni, address, 0, &m);
}

void candidate_ping(struct candidate *c, uint64_t now_us)
{
	c->pinged_us = now_us;
	c->is_only_opened = false;
	ping_address(c->peer, c->socket, c->vni, &c->address, false, now_us);
}

void ping_opener(struct paths_peer *peer, const struct endpoint *address, uint64_t now_us)
{
	struct disco_message m;
	struct ping *ping;

	if (!peer_shared(peer))
		return;
	ping = ping_new(peer, false, now_us);
	ping->address = *address;
	m = ping_message(peer->paths, ping);
	message_to_address(peer, 0, 0, address, OPENING_TTL, &m);
}

void ping_region(struct paths_peer *peer, uint32_t region, bool is_user, uint64_t now_us)
{
	struct disco_message m;
	struct ping *ping;

	if (!region || !peer_shared(peer))
		return;
	ping = ping_new(peer, is_user, now_us);
	ping->region = region;
	m = ping_message(peer->paths, ping);
	message_to_region(peer, region, &m);
}

/* --- in --- */

/* A ping shows that the peer reaches us from there; whether we reach it is for ours to find out,
 * while somebody wants to know. */
static void on_ping_by_address(struct paths_peer *peer, const struct paths_from *from,
			       const struct disco_message *m, uint64_t now_us)
{
	struct disco_message pong = { .type = DISCO_PONG, .seen = from->address };
	struct candidate *c =
		candidate_put(peer, from->socket, from->vni, &from->address, FROM_PING);

	memcpy(pong.transaction, m->transaction, sizeof(pong.transaction));
	message_to_address(peer, from->socket, from->vni, &from->address, 0, &pong);
	if (!c)
		return;
	c->heard_us = now_us;
	if (candidate_is_trusted(c, now_us) ||
	    (c->pinged_us && !c->is_only_opened && now_us < c->pinged_us + PING_INTERVAL_US))
		return;
	if (peer_is_active(peer, now_us) || !c->pinged_us)
		candidate_ping(c, now_us);
}

static void on_ping(struct paths_peer *peer, const struct paths_from *from,
		    const struct disco_message *m, uint64_t now_us)
{
	struct disco_message pong = { .type = DISCO_PONG };

	if (!mesh_key_is_zero(&m->node) && !mesh_key_equal(&m->node, &peer->node))
		return;
	if (!from->region) {
		on_ping_by_address(peer, from, m, now_us);
		return;
	}
	/* What an address of a relay looks like to the official client. */
	pong.seen = endpoint_ip4(127, 3, 3, 40, (uint16_t)from->region);
	memcpy(pong.transaction, m->transaction, sizeof(pong.transaction));
	message_to_region(peer, from->region, &pong);
}

static void answer_user(struct paths_peer *peer, const struct ping *ping, uint64_t latency_us)
{
	struct paths_effect *effect;

	if (!ping->is_user || !peer->is_user_waiting)
		return;
	peer->is_user_waiting = false;
	effect = paths_push(peer->paths, PATHS_PING_ANSWERED);
	effect->peer = peer;
	effect->latency_us = latency_us;
	effect->region = ping->region;
	effect->address = ping->address;
	effect->socket = ping->socket;
	effect->vni = ping->vni;
}

static void on_pong(struct paths_peer *peer, const struct paths_from *from,
		    const struct disco_message *m, uint64_t now_us)
{
	struct paths *p = peer->paths;
	struct slice key = { m->transaction, sizeof(m->transaction) };
	struct ping *ping = map_get(&p->pings_by_transaction, key);
	struct candidate *c = NULL;
	uint64_t latency_us;

	if (!ping || ping->peer != peer || ping->socket != from->socket || ping->vni != from->vni ||
	    !ping->region != !from->region)
		return;
	latency_us = now_us > ping->sent_us ? now_us - ping->sent_us : 1;
	answer_user(peer, ping, latency_us);
	if (ping->region)
		peer->relay_latency_us = latency_us;
	else
		c = candidate_put(peer, ping->socket, ping->vni, &ping->address, FROM_PING);
	ping_free(p, ping);
	if (!c)
		return;
	c->seen = m->seen;
	via_heard(peer, c->vni, now_us);
	if (c->socket == 0 && c->vni == 0)
		measure_seen(p, &c->address, &m->seen);
	c->heard_us = now_us;
	candidate_pong(c, latency_us, now_us);
	if (peer->best == c && c->vni == 0)
		punch_answered(peer, c, now_us);
	peer_tell(peer, now_us);
	peer_schedule(peer, now_us);
}

/* A call costs many pings, so a peer may not call as often as it likes. */
static bool may_call(struct paths_peer *peer, uint64_t now_us)
{
	uint64_t seconds = (now_us - peer->calls_us) / SECOND;

	if (seconds > 0) {
		peer->calls_us = now_us;
		peer->calls_left = seconds >= (uint64_t)(CALL_BURST - peer->calls_left)
					   ? CALL_BURST
					   : peer->calls_left + (int)seconds;
	}
	if (!peer->calls_left)
		return false;
	peer->calls_left--;
	return true;
}

/* What may come only with the word of a relay for who sent it. */
static void on_relayed(struct paths_peer *peer, const struct disco_message *m, uint64_t now_us)
{
	if (m->type == DISCO_ALLOCATED)
		via_allocated(peer, m, now_us);
	else if (!may_call(peer, now_us))
		return;
	else if (m->type == DISCO_CALL_ME_MAYBE)
		peer_called(peer, m, now_us);
	else if (m->type == DISCO_CALL_ME_MAYBE_VIA)
		via_called(peer, m, now_us);
	else if (m->type == DISCO_ALLOCATE)
		via_asked(peer, m);
}

/* By UDP the sender says who it is only inside; a relay vouches for the node key. */
static struct paths_peer *find_sender(struct paths *p, const struct mesh_key *node,
				      const struct mesh_key *disco)
{
	struct paths_peer *peer =
		node ? paths_find_peer(p, node)
		     : map_get(&p->by_disco, (struct slice) { disco->bytes, MESH_KEY_BYTES });

	return peer && mesh_key_equal(&peer->disco, disco) ? peer : NULL;
}

/* Of the peers that claim the disco key it was sealed with, whose shared secrets are the same. */
static struct paths_peer *find_author(struct paths *p, struct paths_peer *peer,
				      const struct disco_message *m)
{
	struct slice key = { m->transaction, sizeof(m->transaction) };
	struct paths_peer *author = peer;

	if (m->type == DISCO_PING && !mesh_key_is_zero(&m->node))
		author = paths_find_peer(p, &m->node);
	if (m->type == DISCO_PONG) {
		struct ping *ping = map_get(&p->pings_by_transaction, key);
		author = ping ? ping->peer : NULL;
	}
	return author && mesh_key_equal(&author->disco, &peer->disco) ? author : NULL;
}

void message_received(struct paths *p, const struct paths_from *from, const struct mesh_key *node,
		      struct slice packet, uint64_t now_us)
{
	struct mesh_key disco = disco_sender(packet);
	struct paths_peer *peer = find_sender(p, node, &disco);
	struct disco_message m;
	uint8_t *room;
	enum err err;

	if (!peer || !peer_shared(peer)) {
		p->dropped_strangers++;
		return;
	}
	room = memory_take(packet.size);
	err = disco_open(peer->shared, packet, room, &m);
	if (!err && !node)
		peer = find_author(p, peer, &m);
	if (!err && !peer)
		err = ERR_NOT_FOUND;
	if (!err && from->region) {
		peer->reverse = from->region;
		peer->reverse_us = now_us;
	}
	if (!err && from->vni && !via_find(peer, from->vni))
		err = ERR_NOT_FOUND;
	if (!err && m.type == DISCO_PING)
		on_ping(peer, from, &m, now_us);
	else if (!err && m.type == DISCO_PONG)
		on_pong(peer, from, &m, now_us);
	else if (!err && from->region)
		on_relayed(peer, &m, now_us);
	memory_free(room);
}
