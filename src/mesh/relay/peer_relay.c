/* Sessions of two ends each, found by their number and by the pair of keys.
 *
 *	end:	UNBOUND --bind, challenge--> its generation waits --answer--> BOUND at an address
 *
 * An end that moved binds again, with another generation; until it has answered, its packets go
 * where it was.  A session ends when it is not bound in time, or when one end is silent for long:
 * ends that still want it ping each other through it. */
#include "mesh/relay/peer_relay.h"

#include <assert.h>

#include "base/endian.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/random.h"
#include "wire/crypto/blake2s.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"

#define SECOND UINT64_C(1000000)
#define NANOSECONDS UINT64_C(1000000000)

enum {
	/* Those of the handshake; none of the others is opened here. */
	HANDSHAKE_BYTES_MAX = 512,
	SECRETS = 2,
};

struct end {
	struct mesh_key disco;
	uint8_t shared[BOX_KEY_BYTES];
	uint32_t generation; /* of a bind whose answer is awaited; 0: none */
	struct endpoint address;
	bool is_bound;
	uint64_t heard_us;
};

struct session {
	struct heap_node timer; /* may be early: it is looked up again then */
	uint8_t vni_key[4], pair[2 * MESH_KEY_BYTES];
	uint32_t vni;
	uint64_t lamport, allocated_us;
	struct mesh_key asker;
	struct end ends[2]; /* sorted by key */
};

struct peer_relay {
	struct peer_relay_config config;
	struct mesh_key disco_public;
	struct map by_vni, by_pair;
	struct heap timers;
	uint64_t lamport;
	uint8_t secrets[SECRETS][BLAKE2S_BYTES]; /* the newest first */
	uint64_t secret_us[SECRETS];		 /* when it was made; 0: never */
	struct buf answer;
	struct peer_relay_counts counts;
};

/* --- begin and end --- */

struct peer_relay *peer_relay_new(const struct peer_relay_config *config)
{
	struct peer_relay *r = NEW(struct peer_relay);

	r->config = *config;
	x25519_public(config->disco_secret.bytes, r->disco_public.bytes);
	map_init(&r->by_vni);
	map_init(&r->by_pair);
	heap_init(&r->timers);
	buf_init(&r->answer);
	return r;
}

static void session_free(struct peer_relay *r, struct session *s)
{
	map_remove(&r->by_vni, (struct slice) { s->vni_key, sizeof(s->vni_key) });
	map_remove(&r->by_pair, (struct slice) { s->pair, sizeof(s->pair) });
	heap_remove(&r->timers, &s->timer);
	crypto_wipe(s, sizeof(*s));
	memory_free(s);
}

void peer_relay_free(struct peer_relay *r)
{
	struct session *s;
	size_t cursor = 0;

	if (!r)
		return;
	while ((s = map_next(&r->by_vni, &cursor)))
		session_free(r, s);
	map_done(&r->by_vni);
	map_done(&r->by_pair);
	heap_done(&r->timers);
	buf_done(&r->answer);
	crypto_wipe(r, sizeof(*r));
	memory_free(r);
}

static void take_random(struct peer_relay *r, void *ret, size_t size)
{
	if (r->config.random)
		r->config.random(r->config.random_context, ret, size);
	else
		random_bytes(ret, size);
}

/* --- sessions --- */

static struct session *find_vni(const struct peer_relay *r, uint32_t vni)
{
	uint8_t key[4];

	put_u32(key, vni);
	return map_get(&r->by_vni, (struct slice) { key, sizeof(key) });
}

/* Not one after the other: who is no end of a session shall not know its number. */
static uint32_t choose_vni(struct peer_relay *r)
{
	uint32_t vni;

	_Static_assert((int)PEER_RELAY_SESSIONS_MAX < (int)GENEVE_VNI_MAX / 2,
		       "a free one is soon found");
	do {
		take_random(r, &vni, sizeof(vni));
		vni &= GENEVE_VNI_MAX;
	} while (vni == 0 || find_vni(r, vni));
	return vni;
}

static uint64_t session_end_us(const struct session *s)
{
	uint64_t heard_us = s->ends[0].heard_us;

	if (!s->ends[0].is_bound || !s->ends[1].is_bound)
		return s->allocated_us + PEER_RELAY_BIND_S * SECOND;
	if (s->ends[1].heard_us < heard_us)
		heard_us = s->ends[1].heard_us;
	return heard_us + PEER_RELAY_STEADY_S * SECOND;
}

static size_t count_of_asker(const struct peer_relay *r, const struct mesh_key *asker)
{
	const struct session *s;
	size_t cursor = 0, count = 0;

	while ((s = map_next(&r->by_vni, &cursor)))
		count += mesh_key_equal(&s->asker, asker);
	return count;
}

static void describe(const struct peer_relay *r, const struct session *s, struct disco_relay *ret)
{
	*ret = (struct disco_relay) {
		.server = r->disco_public,
		.clients = { s->ends[0].disco, s->ends[1].disco },
		.lamport = s->lamport,
		.vni = s->vni,
		.bind_ns = PEER_RELAY_BIND_S * NANOSECONDS,
		.steady_ns = PEER_RELAY_STEADY_S * NANOSECONDS,
	};
}

static struct session *session_new(struct peer_relay *r, const struct mesh_key *asker,
				   const struct mesh_key *const keys[2], uint64_t now_us)
{
	struct session *s = NEW(struct session);

	for (int i = 0; i < 2; i++) {
		s->ends[i].disco = *keys[i];
		if (!box_shared(r->config.disco_secret.bytes, keys[i]->bytes, s->ends[i].shared)) {
			crypto_wipe(s, sizeof(*s));
			memory_free(s);
			return NULL;
		}
		memcpy(s->pair + i * MESH_KEY_BYTES, keys[i]->bytes, MESH_KEY_BYTES);
	}
	s->asker = *asker;
	s->vni = choose_vni(r);
	s->lamport = ++r->lamport;
	s->allocated_us = now_us;
	put_u32(s->vni_key, s->vni);
	map_put(&r->by_vni, (struct slice) { s->vni_key, sizeof(s->vni_key) }, s);
	map_put(&r->by_pair, (struct slice) { s->pair, sizeof(s->pair) }, s);
	heap_add(&r->timers, &s->timer, session_end_us(s));
	return s;
}

enum err peer_relay_allocate(struct peer_relay *r, const struct mesh_key *asker,
			     const struct mesh_key clients[2], uint64_t now_us,
			     struct disco_relay *ret)
{
	int order = memcmp(clients[0].bytes, clients[1].bytes, MESH_KEY_BYTES);
	const struct mesh_key *keys[] = { &clients[order > 0], &clients[order < 0] };
	uint8_t pair[2 * MESH_KEY_BYTES];
	struct session *s;

	if (order == 0)
		return ERR_INVALID;
	peer_relay_tick(r, now_us);
	for (int i = 0; i < 2; i++) {
		if (mesh_key_is_zero(keys[i]) || mesh_key_equal(keys[i], &r->disco_public))
			return ERR_INVALID;
		memcpy(pair + i * MESH_KEY_BYTES, keys[i]->bytes, MESH_KEY_BYTES);
	}
	s = map_get(&r->by_pair, (struct slice) { pair, sizeof(pair) });
	if (!s && (peer_relay_sessions(r) >= PEER_RELAY_SESSIONS_MAX ||
		   count_of_asker(r, asker) >= PEER_RELAY_SESSIONS_OF_ONE_MAX))
		return ERR_BUSY;
	if (!s)
		s = session_new(r, asker, keys, now_us);
	if (!s)
		return ERR_INVALID;
	describe(r, s, ret);
	return OK;
}

void peer_relay_forget(struct peer_relay *r, const struct mesh_key *disco)
{
	struct session *s;
	size_t cursor = 0;

	while ((s = map_next(&r->by_vni, &cursor)))
		if (mesh_key_equal(&s->asker, disco) || mesh_key_equal(&s->ends[0].disco, disco) ||
		    mesh_key_equal(&s->ends[1].disco, disco))
			session_free(r, s);
}

size_t peer_relay_sessions(const struct peer_relay *r)
{
	return r->by_vni.count;
}

struct peer_relay_counts peer_relay_count(const struct peer_relay *r)
{
	return r->counts;
}

/* --- the handshake --- */

static void renew_secrets(struct peer_relay *r, uint64_t now_us)
{
	if (r->secret_us[0] && now_us < r->secret_us[0] + PEER_RELAY_SECRET_S * SECOND)
		return;
	memcpy(r->secrets[1], r->secrets[0], sizeof(r->secrets[1]));
	r->secret_us[1] = r->secret_us[0];
	take_random(r, r->secrets[0], sizeof(r->secrets[0]));
	r->secret_us[0] = now_us;
}

static bool secret_is_good(const struct peer_relay *r, int i, uint64_t now_us)
{
	return r->secret_us[i] && now_us < r->secret_us[i] + 2 * PEER_RELAY_SECRET_S * SECOND;
}

static void make_challenge(const uint8_t secret[BLAKE2S_BYTES], const struct endpoint *from,
			   const struct disco_message *m, uint8_t ret[DISCO_CHALLENGE_BYTES])
{
	uint8_t address[ENDPOINT_WIRE_BYTES], numbers[8];
	struct blake2s h;

	_Static_assert((int)DISCO_CHALLENGE_BYTES == (int)BLAKE2S_BYTES, "the whole hash");
	endpoint_put(address, from);
	put_u32(numbers, m->vni);
	put_u32(numbers + 4, m->generation);
	blake2s_init(&h, BLAKE2S_BYTES, (struct slice) { secret, BLAKE2S_BYTES });
	blake2s_update(&h, (struct slice) { address, sizeof(address) });
	blake2s_update(&h, (struct slice) { numbers, sizeof(numbers) });
	blake2s_update(&h, (struct slice) { m->other.bytes, sizeof(m->other.bytes) });
	blake2s_final(&h, ret);
}

static void challenge(struct peer_relay *r, struct end *end, const struct endpoint *from,
		      const struct disco_message *bind)
{
	struct geneve header = { GENEVE_DISCO, bind->vni, true };
	struct disco_message m = { .type = DISCO_BIND_CHALLENGE,
				   .vni = bind->vni,
				   .generation = bind->generation,
				   .other = bind->other };
	uint8_t nonce[BOX_NONCE_BYTES], bytes[GENEVE_BYTES];

	end->generation = bind->generation;
	make_challenge(r->secrets[0], from, &m, m.challenge);
	take_random(r, nonce, sizeof(nonce));
	geneve_put(bytes, &header);
	buf_clear(&r->answer);
	buf_add(&r->answer, bytes, sizeof(bytes));
	disco_seal(&r->answer, end->shared, &r->disco_public, nonce, &m);
	r->counts.challenges++;
}

static bool is_answered(const struct peer_relay *r, const struct endpoint *from,
			const struct disco_message *m, uint64_t now_us)
{
	uint8_t expected[DISCO_CHALLENGE_BYTES];

	for (int i = 0; i < SECRETS; i++) {
		if (!secret_is_good(r, i, now_us))
			continue;
		make_challenge(r->secrets[i], from, m, expected);
		if (crypto_equal(expected, m->challenge, sizeof(expected)))
			return true;
	}
	return false;
}

/* Returns whether r->answer goes back. */
static bool on_message(struct peer_relay *r, struct session *s, int which,
		       const struct endpoint *from, const struct disco_message *m, uint64_t now_us)
{
	struct end *end = &s->ends[which];
	bool is_for_session = m->vni == s->vni && m->generation != 0 &&
			      mesh_key_equal(&m->other, &s->ends[!which].disco);

	if (m->type == DISCO_BIND && is_for_session) {
		challenge(r, end, from, m);
		return true;
	}
	if (m->type != DISCO_BIND_ANSWER || !is_for_session || m->generation != end->generation ||
	    !is_answered(r, from, m, now_us)) {
		r->counts.dropped++;
		return false;
	}
	end->generation = 0;
	end->address = *from;
	end->is_bound = true;
	end->heard_us = now_us;
	r->counts.bound++;
	return false;
}

/* From an end to us. */
static bool on_control(struct peer_relay *r, struct session *s, const struct endpoint *from,
		       struct slice packet, uint64_t now_us)
{
	uint8_t room[HANDSHAKE_BYTES_MAX];
	struct disco_message m;
	struct mesh_key sender;
	int which;

	if (packet.size > sizeof(room) || !disco_is_packet(packet)) {
		r->counts.dropped++;
		return false;
	}
	sender = disco_sender(packet);
	which = mesh_key_equal(&sender, &s->ends[1].disco);
	if (!mesh_key_equal(&sender, &s->ends[which].disco) ||
	    disco_open(s->ends[which].shared, packet, room, &m)) {
		r->counts.dropped++;
		return false;
	}
	renew_secrets(r, now_us);
	return on_message(r, s, which, from, &m, now_us);
}

/* --- packets --- */

/* NULL: not both are bound, or it is from neither. */
static struct end *other_end(struct session *s, const struct endpoint *from, uint64_t now_us)
{
	if (!s->ends[0].is_bound || !s->ends[1].is_bound)
		return NULL;
	for (int i = 0; i < 2; i++) {
		if (!endpoint_equal(from, &s->ends[i].address))
			continue;
		s->ends[i].heard_us = now_us;
		return &s->ends[!i];
	}
	return NULL;
}

bool peer_relay_received(struct peer_relay *r, const struct endpoint *from, struct slice packet,
			 uint64_t now_us, struct endpoint *ret_to, struct slice *ret)
{
	struct geneve header;
	struct session *s;
	struct end *to;

	s = geneve_get(packet, &header) ? NULL : find_vni(r, header.vni);
	if (!s || now_us >= session_end_us(s)) {
		r->counts.dropped++;
		return false;
	}
	if (header.is_control) {
		struct slice rest = slice_part(packet, GENEVE_BYTES, packet.size);

		if (header.protocol != GENEVE_DISCO || !on_control(r, s, from, rest, now_us))
			return false;
		*ret_to = *from;
		*ret = buf_slice(&r->answer);
		return true;
	}
	to = other_end(s, from, now_us);
	if (!to) {
		r->counts.dropped++;
		return false;
	}
	r->counts.forwarded_packets++;
	r->counts.forwarded_bytes += packet.size;
	*ret_to = to->address;
	*ret = packet;
	return true;
}

/* --- time --- */

uint64_t peer_relay_deadline_us(const struct peer_relay *r)
{
	struct heap_node *first = heap_first(&r->timers);

	return first ? first->key : UINT64_MAX;
}

/* Packets do not move the timer of their session; it is moved when it has come. */
void peer_relay_tick(struct peer_relay *r, uint64_t now_us)
{
	struct heap_node *first;

	while ((first = heap_first(&r->timers)) && first->key <= now_us) {
		struct session *s = CONTAINER(first, struct session, timer);
		uint64_t end_us = session_end_us(s);

		if (end_us <= now_us) {
			session_free(r, s);
			continue;
		}
		heap_remove(&r->timers, first);
		heap_add(&r->timers, first, end_us);
	}
}
