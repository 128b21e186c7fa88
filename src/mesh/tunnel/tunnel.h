/* The WireGuard engine: peers, handshakes, key pairs, timers, allowed addresses.  It does no I/O
 * and has no clock: packets, datagrams and the time go in, the same and effects come out.
 *
 *     host                                          engine
 *     packets of one peer, for the other side
 *       tunnel_seal(peer, packets) ------------->   sealed in place, or kept until there is a key
 *     datagrams from anywhere
 *       tunnel_open(datagrams) ----------------->   opened in place, a verdict beside each
 *     at tunnel_deadline()
 *       tunnel_tick() -------------------------->
 *     after each of them, until it returns false
 *       tunnel_next() <-------------------------    TUNNEL_SEND    a datagram for a peer
 *                                                   TUNNEL_ANSWER  a cookie, to where one came from
 *                                                   TUNNEL_READY   there is a new session
 *                                                   TUNNEL_SILENT  a handshake was given up (90 s)
 *
 * Where a peer is, is the host's business.  A datagram whose verdict names a peer has proved to
 * come from it: a plain WireGuard host takes its source as the peer's endpoint from then on
 * (roaming), BEFORE it looks at the effects, which may be the answer.  In a node of a mesh the peer
 * is the endpoint: paths.h decides by which addresses or relay a TUNNEL_SEND goes, and a datagram
 * through a relay is opened like any other; its `from` then only has to name the sender (16 bytes
 * made of its key), for limits under load.
 *
 * A node of a mesh
 *   - makes it with has_control, and adds a peer for each machine of the netmap, its own struct as
 *     context, with the addresses of the netmap as allowed ones;
 *   - packets from the TUN: filter, then tunnel_route() or its own table, tunnel_seal() in batches
 *     of one peer, tunnel_next_run(), and each run is a datagram_run once paths said whither;
 *   - TUNNEL_PACKET: filter, then to the TUN.  TUNNEL_CONTROL: TSMP, swallowed.  TUNNEL_READY: send
 *     a TSMP packet with the own disco key, by tunnel_seal() like any other packet;
 *   - a peer whose node key changed is another peer. */
#ifndef MESH_TUNNEL_TUNNEL_H
#define MESH_TUNNEL_TUNNEL_H

#include "base/err.h"
#include "base/ip.h"
#include "base/slice.h"
#include "wire/endpoint.h"

enum {
	TUNNEL_KEY_BYTES = 32,
	TUNNEL_HEAD_BYTES = 16,	 /* of room before a packet that is to be sealed */
	TUNNEL_TAIL_BYTES = 31,	 /* and behind it: 15 of padding and the tag */
	TUNNEL_ALIGN_BYTES = 16, /* packets are padded to a multiple of this */
	TUNNEL_TAG_BYTES = 16,
	TUNNEL_MTU_MIN = 576,
	TUNNEL_MTU_MAX = 65440, /* sealed it still fits into a datagram */
	TUNNEL_PEERS_MAX = 16384,
	TUNNEL_ALLOWED_MAX = 65536,	   /* prefixes, of all peers */
	TUNNEL_QUEUED_PACKETS_MAX = 64,	   /* of a peer, while there is no key; the oldest go */
	TUNNEL_QUEUED_BYTES_MAX = 4 << 20, /* of all peers; then the newest go */
};

struct aead_bulk; /* of wire/crypto/aead.h */
struct keypair;	  /* the engine's own */
struct tunnel;
struct tunnel_peer;

/* Monotonic, and Unix time, which goes into handshakes: a clock that was set back keeps peers from
 * listening until it has caught up. */
struct tunnel_now {
	uint64_t ms;
	int64_t wall_ms;
};

struct tunnel_options {
	uint32_t mtu;	  /* packets are not padded beyond it */
	bool has_control; /* IP protocol 99 inside is TUNNEL_CONTROL and no TUNNEL_PACKET */
	void (*random)(void *context, void *ret, size_t size); /* NULL: the kernel's */
	void *context;
};

struct tunnel *tunnel_new(const struct tunnel_options *o);
void tunnel_free(struct tunnel *t); /* all keys are wiped */

/* Sessions end, and handshakes begin anew when there is something to send.  Clamped here; zeros: no
 * key, and nothing is sent or opened.  Until it is called there is none.  Peers for which the new
 * key is none to speak with, such as one that has it, are removed. */
void tunnel_set_secret(struct tunnel *t, const uint8_t secret[TUNNEL_KEY_BYTES]);
bool tunnel_has_secret(const struct tunnel *t);
const uint8_t *tunnel_secret(const struct tunnel *t);
const uint8_t *tunnel_public(const struct tunnel *t);
/* Of a secret that need not be clamped yet. */
void tunnel_public_of(const uint8_t secret[TUNNEL_KEY_BYTES], uint8_t ret[TUNNEL_KEY_BYTES]);
void tunnel_set_mtu(struct tunnel *t, uint32_t mtu);

/* --- peers ----------------------------------------------------------------------------------- */
/* ERR_EXISTS, with that peer in *ret; ERR_FULL; ERR_INVALID: no key one can have, or our own. */
MUST_CHECK enum err tunnel_add_peer(struct tunnel *t, const uint8_t public[TUNNEL_KEY_BYTES],
				    void *context, struct tunnel_peer **ret);
void tunnel_remove_peer(struct tunnel *t, struct tunnel_peer *p); /* its effects too */
struct tunnel_peer *tunnel_find_peer(const struct tunnel *t,
				     const uint8_t public[TUNNEL_KEY_BYTES]);
/* Iterate, in the order they were added: NULL gives the first. */
struct tunnel_peer *tunnel_next_peer(const struct tunnel *t, const struct tunnel_peer *p);
size_t tunnel_peer_count(const struct tunnel *t);
void *tunnel_peer_context(const struct tunnel_peer *p);
const uint8_t *tunnel_peer_public(const struct tunnel_peer *p);

void tunnel_set_preshared(struct tunnel_peer *p, const uint8_t key[TUNNEL_KEY_BYTES]);
const uint8_t *tunnel_preshared(const struct tunnel_peer *p);

/* 0: none.  One is sent at once when it is turned on. */
void tunnel_set_keepalive(struct tunnel *t, struct tunnel_now now, struct tunnel_peer *p,
			  uint16_t seconds);
uint16_t tunnel_keepalive(const struct tunnel_peer *p);

/* A prefix belongs to one peer: it moves here from another one.  ERR_FULL. */
MUST_CHECK enum err tunnel_allow(struct tunnel *t, struct tunnel_peer *p, struct ip_prefix prefix);
/* Harmless when it is not this peer's. */
void tunnel_disallow(struct tunnel *t, struct tunnel_peer *p, struct ip_prefix prefix);
void tunnel_disallow_all(struct tunnel *t, struct tunnel_peer *p);
/* Iterate: start with *cursor = NULL; false at the end. */
bool tunnel_next_allowed(const struct tunnel_peer *p, const void **cursor, struct ip_prefix *ret);

/* Whose address that is, by the longest prefix; NULL: nobody's. */
struct tunnel_peer *tunnel_route(const struct tunnel *t, struct ip address);
/* By the destination of an IP packet; NULL also when it is none. */
struct tunnel_peer *tunnel_route_packet(const struct tunnel *t, struct slice packet);

struct tunnel_peer_state {
	int64_t handshake_wall_ms;	     /* the last one that ended; 0: none yet */
	uint64_t heard_ms;		     /* the last authentic datagram, monotonic; 0: none */
	uint64_t received_bytes, sent_bytes; /* of datagrams, heads and tags too */
	bool has_session;		     /* there is a key to send with */
};

struct tunnel_peer_state tunnel_peer_state(const struct tunnel_peer *p, struct tunnel_now now);

/* --- packets --------------------------------------------------------------------------------- */
/* A packet, with TUNNEL_HEAD_BYTES before `data` and TUNNEL_TAIL_BYTES behind `data + size` that
 * may be written; then the datagram made of it. */
struct tunnel_packet {
	uint8_t *data;
	size_t size; /* at most TUNNEL_MTU_MAX */
};

/* Seal packets for one peer, which the host or tunnel_route() chose, in their order.  True: all of
 * them are datagrams now.  False: there is no key; copies wait for the handshake, which is an
 * effect, and come as TUNNEL_SEND when it ends.  A packet of no bytes is a keepalive. */
MUST_CHECK bool tunnel_seal(struct tunnel *t, struct tunnel_now now, struct tunnel_peer *p,
			    struct tunnel_packet *packets, size_t count);

/* How long a packet of `size` bytes is when it is sealed: where the next one of a batch begins. */
size_t tunnel_sealed_bytes(const struct tunnel *t, size_t size);

/* Datagrams one behind the other in memory, of one size but for the last, which may be smaller: the
 * next such run from *at on; false at the end.  Packets that were laid out with TUNNEL_HEAD_BYTES
 * before each, and padding (to TUNNEL_ALIGN_BYTES, not beyond the MTU) and TUNNEL_TAG_BYTES behind
 * it, become few runs. */
struct tunnel_run {
	uint8_t *data;
	size_t size, segment_size;
	size_t count;
};

bool tunnel_next_run(const struct tunnel_packet *datagrams, size_t count, size_t *at,
		     struct tunnel_run *ret);

enum tunnel_verdict {
	TUNNEL_PACKET,	  /* `packet` is an IP packet from an address that is the peer's */
	TUNNEL_CONTROL,	  /* the same, of protocol 99; only with has_control */
	TUNNEL_KEEPALIVE, /* the peer lives */
	TUNNEL_HANDSHAKE, /* a message of a handshake, of the peer */
	TUNNEL_COOKIE,	  /* of the peer, which is under load */
	TUNNEL_DROPPED,	  /* of the peer, but nothing it may send: no IP, or not its address */
	TUNNEL_UNKNOWN,	  /* of nobody known here, or for a session that is over */
	TUNNEL_FORGED,	  /* a message that does not authenticate, or is no message */
	TUNNEL_REPLAYED,  /* was here before, or is too old to tell */
	TUNNEL_LIMITED,	  /* under load: a cookie is asked for, or too many came from there */
	TUNNEL_VERDICTS
};

/* The verdict's word for logs and traces. */
const char *tunnel_verdict_name(enum tunnel_verdict v);

struct tunnel_datagram {
	uint8_t *data; /* in; opened in place */
	size_t size;
	struct endpoint from;	     /* in: for limits under load only */
	enum tunnel_verdict verdict; /* out */
	struct tunnel_peer *peer;    /* out: who has proved to have sent it now; NULL: nobody */
	struct slice packet;	     /* out, in `data`: of TUNNEL_PACKET and TUNNEL_CONTROL */
	const struct keypair *pair;  /* the engine's */
	bool is_authentic;	     /* the engine's, and of the thread that opens it */
};

void tunnel_open(struct tunnel *t, struct tunnel_now now, struct tunnel_datagram *datagrams,
		 size_t count);

/* The same in steps, of which the one in the middle takes nearly all of the time and may be done on
 * any thread, in parts and in any order, with a struct aead_bulk for each thread:
 *
 *     tunnel_seal_begin()   chooses the key and counts: packets have the sizes and heads of
 *                           datagrams.  False: as of tunnel_seal(), and this was all
 *     tunnel_seal_work()    seals
 *     tunnel_end_batch()    they may be sent
 *
 *     tunnel_open_begin()   finds the keys
 *     tunnel_open_work()    opens
 *     tunnel_open_end()     decides, one datagram after the other: verdicts
 *
 *
 * Between begin and end everything may be called but tunnel_free(): keys stay in memory, also those
 * of a peer that was removed.  Batches are to be sent, or ended, in the order in which they were
 * begun.  tunnel_end_batch() also ends one whose verdicts nobody wants. */
MUST_CHECK bool tunnel_seal_begin(struct tunnel *t, struct tunnel_now now, struct tunnel_peer *p,
				  struct tunnel_packet *packets, size_t count,
				  const struct keypair **ret_pair);
void tunnel_seal_work(const struct keypair *pair, struct aead_bulk *bulk,
		      const struct tunnel_packet *packets, size_t count);

void tunnel_open_begin(struct tunnel *t, struct tunnel_datagram *datagrams, size_t count);
void tunnel_open_work(struct aead_bulk *bulk, struct tunnel_datagram *datagrams, size_t count);
void tunnel_open_end(struct tunnel *t, struct tunnel_now now, struct tunnel_datagram *datagrams,
		     size_t count);
void tunnel_end_batch(struct tunnel *t);

/* How many datagrams had this verdict. */
uint64_t tunnel_count(const struct tunnel *t, enum tunnel_verdict v);

/* --- effects and time ------------------------------------------------------------------------ */
enum tunnel_effect_kind { TUNNEL_SEND, TUNNEL_ANSWER, TUNNEL_READY, TUNNEL_SILENT };

struct tunnel_effect {
	enum tunnel_effect_kind kind;
	struct tunnel_peer *peer; /* NULL of TUNNEL_ANSWER */
	struct endpoint to;	  /* of TUNNEL_ANSWER */
	uint8_t *data;		  /* one datagram, until the next call */
	size_t size;
};

/* In their order.  False: that was all. */
bool tunnel_next(struct tunnel *t, struct tunnel_effect *ret);

/* When tunnel_tick() has something to do; UINT64_MAX: nothing, until something else happens. */
uint64_t tunnel_deadline(const struct tunnel *t);
void tunnel_tick(struct tunnel *t, struct tunnel_now now);

/* Begin a handshake whatever there is, unless one began within the last 5 s. */
void tunnel_greet(struct tunnel *t, struct tunnel_now now, struct tunnel_peer *p);

/* The same whenever the last one began: it is known that the peer has begun another life, and has
 * forgotten its sessions. */
void tunnel_greet_anew(struct tunnel *t, struct tunnel_now now, struct tunnel_peer *p);

#endif
