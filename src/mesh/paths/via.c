/* Other machines that forward: peer relays.
 *
 * While a peer is looked for in vain, each peer relay is asked, by DERP, for a session between us
 * and the peer.  What it gives is handed on to the peer, and both ends bind at the addresses of the
 * relay:
 *
 *	bind ->  <- challenge  answer ->	until something comes through
 *	ping ->  <- pong			then it is a candidate like others, with a VNI
 *
 * Messages of the handshake are sealed with the key of the relay, the others with the peer's.  A
 * way through a peer relay is used only until there is a direct one, which is looked for all the
 * time. */
#include <assert.h>

#include "base/endian.h"
#include "base/memory.h"
#include "mesh/paths/private.h"
#include "wire/crypto/wipe.h"

enum { ADDRESSES_BYTES = VIA_ADDRESSES_MAX * ENDPOINT_WIRE_BYTES };

/* --- sessions --- */

struct via *via_find(const struct paths_peer *peer, uint32_t vni)
{
	LIST_EACH (&peer->vias, struct via, node, it)
		if (it->vni == vni)
			return it;
	return NULL;
}

static struct slice via_key(uint32_t vni, const struct mesh_key *server,
			    uint8_t room[VIA_KEY_BYTES])
{
	put_u32(room, vni);
	memcpy(room + 4, server->bytes, MESH_KEY_BYTES);
	return (struct slice) { room, VIA_KEY_BYTES };
}

static void via_free(struct via *v)
{
	struct paths_peer *peer = v->peer;

	map_remove(&peer->paths->vias, (struct slice) { v->key, sizeof(v->key) });
	list_remove(&v->node);
	peer->via_count--;
	LIST_EACH (&peer->candidates, struct candidate, node, it) {
		if (it->vni != v->vni)
			continue;
		it->from = FROM_PING; /* so that losing it does not free it */
		candidate_free(it);
	}
	crypto_wipe(v, sizeof(*v));
	memory_free(v);
}

void vias_end(struct paths_peer *peer)
{
	LIST_EACH (&peer->vias, struct via, node, it)
		via_free(it);
}

void via_heard(struct paths_peer *peer, uint32_t vni, uint64_t now_us)
{
	struct via *v = vni ? via_find(peer, vni) : NULL;

	if (!v)
		return;
	v->heard_us = now_us;
	v->bind_us = NEVER;
}

/* The one of which least was heard, without that which is used. */
static void drop_one(struct paths_peer *peer)
{
	struct via *oldest = NULL;

	LIST_EACH (&peer->vias, struct via, node, it)
		if ((!peer->best || peer->best->vni != it->vni) &&
		    (!oldest || it->heard_us < oldest->heard_us))
			oldest = it;
	if (oldest)
		via_free(oldest);
}

/* --- the handshake --- */

static void send_control(struct via *v, const struct endpoint *to, enum disco_type type,
			 const uint8_t *challenge)
{
	struct paths *p = v->peer->paths;
	struct disco_message m = {
		.type = type, .vni = v->vni, .generation = v->generation, .other = v->peer->disco
	};
	uint8_t header[GENEVE_BYTES], nonce[BOX_NONCE_BYTES];
	struct paths_effect *effect = paths_push(p, PATHS_SEND);
	struct buf packet;

	if (challenge)
		memcpy(m.challenge, challenge, sizeof(m.challenge));
	geneve_put(header, &(struct geneve) { GENEVE_DISCO, v->vni, true });
	paths_random(p, nonce, sizeof(nonce));
	buf_init(&packet);
	buf_add(&packet, header, sizeof(header));
	disco_seal(&packet, v->shared, &p->disco_public, nonce, &m);
	effect->address = *to;
	paths_push_bytes(p, effect, buf_slice(&packet));
	buf_done(&packet);
}

static void bind_all(struct via *v, uint64_t now_us)
{
	v->binds++;
	v->bind_us = now_us + VIA_BIND_US;
	for (int i = 0; i < v->address_count; i++)
		send_control(v, &v->addresses[i], DISCO_BIND, NULL);
}

static uint32_t next_generation(struct paths *p)
{
	p->generation += p->generation == UINT32_MAX ? 2 : 1; /* never 0 */
	return p->generation;
}

static void begin(struct via *v, const struct disco_message *m, uint64_t now_us)
{
	size_t count = disco_endpoint_count(m);

	v->address_count = 0;
	for (size_t i = 0; i < count && v->address_count < VIA_ADDRESSES_MAX; i++) {
		struct endpoint address = disco_endpoint(m, i);

		if (endpoint_is_unicast(&address))
			v->addresses[v->address_count++] = address;
	}
	v->lamport = m->relay.lamport;
	v->generation = next_generation(v->peer->paths);
	v->binds = 0;
	bind_all(v, now_us);
	peer_schedule(v->peer, now_us);
}

static struct via *via_new(struct paths_peer *peer, const struct disco_relay *session)
{
	struct paths *p = peer->paths;
	struct via *v;
	uint8_t key[VIA_KEY_BYTES];

	/* Another peer's: it cannot be ours too. */
	if (map_get(&p->vias, via_key(session->vni, &session->server, key)) ||
	    via_find(peer, session->vni))
		return NULL;
	if (peer->via_count >= VIAS_MAX)
		drop_one(peer);
	v = NEW(struct via);
	v->peer = peer;
	v->server = session->server;
	v->vni = session->vni;
	if (!box_shared(p->config.disco_secret.bytes, v->server.bytes, v->shared)) {
		memory_free(v);
		return NULL;
	}
	map_put(&p->vias, via_key(v->vni, &v->server, v->key), v);
	list_add(&peer->vias, &v->node);
	peer->via_count++;
	return v;
}

/* Both ends may have asked, and hear of one session twice.  The relay counts its sessions. */
static bool is_news(const struct via *v, const struct disco_relay *session, uint64_t now_us)
{
	const struct candidate *best = v->peer->best;

	if (session->lamport != v->lamport || session->vni != v->vni)
		return session->lamport > v->lamport;
	return v->bind_us == NEVER && !(candidate_is_trusted(best, now_us) && best->vni == v->vni);
}

static bool is_between_us(const struct paths_peer *peer, const struct mesh_key clients[2])
{
	const struct mesh_key *ours = &peer->paths->disco_public;

	return (mesh_key_equal(&clients[0], ours) && mesh_key_equal(&clients[1], &peer->disco)) ||
	       (mesh_key_equal(&clients[1], ours) && mesh_key_equal(&clients[0], &peer->disco));
}

/* Returns whether it is a session for this peer, new or not. */
static bool take_session(struct paths_peer *peer, const struct disco_message *m, uint64_t now_us)
{
	const struct disco_relay *session = &m->relay;
	struct via *v = NULL;

	if (!is_between_us(peer, session->clients) || session->vni == 0 ||
	    session->vni > GENEVE_VNI_MAX || !disco_endpoint_count(m))
		return false;
	LIST_EACH (&peer->vias, struct via, node, it)
		if (mesh_key_equal(&it->server, &session->server))
			v = it;
	if (v && !is_news(v, session, now_us))
		return true;
	if (v && v->vni != session->vni) {
		via_free(v);
		v = NULL;
	}
	if (!v)
		v = via_new(peer, session);
	if (!v)
		return false;
	begin(v, m, now_us);
	return true;
}

void via_control(struct paths *p, const struct paths_from *from, struct slice packet,
		 uint64_t now_us)
{
	struct mesh_key server = disco_sender(packet);
	uint8_t key[VIA_KEY_BYTES], room[512];
	struct via *v = map_get(&p->vias, via_key(from->vni, &server, key));
	struct disco_message m;

	if (!v || packet.size > sizeof(room) || disco_open(v->shared, packet, room, &m) ||
	    m.type != DISCO_BIND_CHALLENGE || m.vni != v->vni || m.generation != v->generation ||
	    !mesh_key_equal(&m.other, &v->peer->disco) || v->bind_us == NEVER)
		return;
	send_control(v, &from->address, DISCO_BIND_ANSWER, m.challenge);
	ping_address(v->peer, 0, v->vni, &from->address, false, now_us);
}

/* --- asking --- */

void vias_consider(struct paths_peer *peer, uint64_t now_us)
{
	struct paths *p = peer->paths;
	struct disco_message m = { .type = DISCO_ALLOCATE };
	int order, count = 0;

	if (list_is_empty(&p->peer_relays) || mesh_key_is_zero(&peer->disco) ||
	    candidate_is_trusted(peer->best, now_us))
		return;
	if (!peer->searching_us || now_us < peer->searching_us + VIA_AFTER_US ||
	    (peer->asked_us && now_us < peer->asked_us + VIA_AGAIN_US))
		return;
	peer->asked_us = now_us;
	peer->asked_generation = m.generation = next_generation(p);
	order = memcmp(p->disco_public.bytes, peer->disco.bytes, MESH_KEY_BYTES);
	m.clients[order > 0] = p->disco_public;
	m.clients[order <= 0] = peer->disco;
	LIST_EACH (&p->peer_relays, struct paths_peer, relay_node, it) {
		if (it == peer)
			continue;
		message_to_region(it, peer_region(it, now_us), &m);
		if (++count == VIAS_MAX)
			break;
	}
}

void via_allocated(struct paths_peer *server, const struct disco_message *m, uint64_t now_us)
{
	struct paths *p = server->paths;
	const struct mesh_key *clients = m->relay.clients;
	const struct mesh_key *other = &clients[mesh_key_equal(&clients[0], &p->disco_public)];
	struct paths_peer *peer =
		map_get(&p->by_disco, (struct slice) { other->bytes, MESH_KEY_BYTES });
	struct disco_message call = { .type = DISCO_CALL_ME_MAYBE_VIA,
				      .relay = m->relay,
				      .endpoints = slice_part(m->endpoints, 0, ADDRESSES_BYTES) };

	if (!list_is_linked(&server->relay_node) || !peer || !peer->asked_us ||
	    m->generation != peer->asked_generation)
		return;
	if (take_session(peer, m, now_us))
		message_to_region(peer, peer_region(peer, now_us), &call);
}

void via_called(struct paths_peer *peer, const struct disco_message *m, uint64_t now_us)
{
	(void)take_session(peer, m, now_us);
}

/* --- time --- */

uint64_t vias_deadline_us(const struct paths_peer *peer)
{
	uint64_t at = NEVER;

	LIST_EACH (&peer->vias, struct via, node, it)
		if (it->bind_us < at)
			at = it->bind_us;
	return at;
}

/* A way that was never heard, or not for so long that the relay has given it up, goes. */
void vias_tick(struct paths_peer *peer, uint64_t now_us)
{
	LIST_EACH (&peer->vias, struct via, node, it) {
		bool is_over = it->bind_us == NEVER ? now_us > it->heard_us + VIA_IDLE_US
						    : it->binds == VIA_BINDS;

		if (it->bind_us != NEVER && now_us < it->bind_us)
			continue;
		if (is_over)
			via_free(it);
		else if (it->bind_us != NEVER)
			bind_all(it, now_us);
	}
}

/* --- being one --- */

void via_asked(struct paths_peer *peer, const struct disco_message *m)
{
	struct paths_effect *effect;

	if (!peer->is_relay_client || m->generation == 0 ||
	    (!mesh_key_equal(&m->clients[0], &peer->disco) &&
	     !mesh_key_equal(&m->clients[1], &peer->disco)))
		return;
	effect = paths_push(peer->paths, PATHS_ALLOCATE);
	effect->peer = peer;
	effect->generation = m->generation;
	memcpy(effect->clients, m->clients, sizeof(effect->clients));
}

void paths_allocated(struct paths *p, struct paths_peer *peer, uint32_t generation,
		     const struct disco_relay *session, const struct endpoint *endpoints,
		     size_t count, uint64_t now_us)
{
	struct disco_message m = { .type = DISCO_ALLOCATED,
				   .generation = generation,
				   .relay = *session };
	uint8_t bytes[PATHS_ENDPOINTS_MAX * ENDPOINT_WIRE_BYTES];

	assert(peer->paths == p && count <= PATHS_ENDPOINTS_MAX);
	for (size_t i = 0; i < count; i++)
		endpoint_put(bytes + i * ENDPOINT_WIRE_BYTES, &endpoints[i]);
	m.endpoints = (struct slice) { bytes, count * ENDPOINT_WIRE_BYTES };
	message_to_region(peer, peer_region(peer, now_us), &m);
}
