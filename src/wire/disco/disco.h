/* Disco: the messages by which two machines find a way to each other.
 *
 *	packet:	6  54 53 f0 9f 92 ac
 *		32 disco key of the sender
 *		24 nonce
 *		   crypto_box (16 tag, plain)
 *	plain:	1  type
 *		1  version, 0
 *		   payload; what stands behind it is ignored
 *
 * Integers are big-endian, endpoints 16 + 2 bytes.  The key of the box belongs to both disco keys;
 * it is computed once for a peer (box_shared()). */
#ifndef WIRE_DISCO_DISCO_H
#define WIRE_DISCO_DISCO_H

#include "base/buf.h"
#include "wire/crypto/box.h"
#include "wire/endpoint.h"
#include "wire/mesh_key.h"

enum {
	DISCO_MAGIC_BYTES = 6,
	DISCO_HEADER_BYTES = DISCO_MAGIC_BYTES + MESH_KEY_BYTES + BOX_NONCE_BYTES,
	DISCO_PACKET_BYTES_MIN = DISCO_HEADER_BYTES + BOX_TAG_BYTES + 2,
	DISCO_PACKET_BYTES_MAX = 65535,
	DISCO_TRANSACTION_BYTES = 12,
	DISCO_CHALLENGE_BYTES = 32,
	DISCO_PADDING_BYTES_MAX = 9000,
	/* What one message of ours may list; the packet stays below the 64 KiB of a relay. */
	DISCO_ENDPOINTS_MAX = 2048,
};

enum disco_type {
	DISCO_PING = 1,
	DISCO_PONG = 2,
	DISCO_CALL_ME_MAYBE = 3,
	DISCO_BIND = 4,
	DISCO_BIND_CHALLENGE = 5,
	DISCO_BIND_ANSWER = 6,
	DISCO_CALL_ME_MAYBE_VIA = 7,
	DISCO_ALLOCATE = 8,
	DISCO_ALLOCATED = 9,
};

/* Where a peer relay forwards between two machines. */
struct disco_relay {
	struct mesh_key server;
	struct mesh_key clients[2]; /* sorted */
	uint64_t lamport;
	uint32_t vni;
	uint64_t bind_ns;   /* how long an end may take to answer the challenge */
	uint64_t steady_ns; /* how long it lives without packets */
};

struct disco_message {
	enum disco_type type;
	uint8_t transaction[DISCO_TRANSACTION_BYTES]; /* ping, pong */
	struct mesh_key node;			      /* ping: of the sender; zero: not said */
	size_t padding;				      /* ping: bytes after it */
	struct endpoint seen;			      /* pong: whence the ping came */
	struct slice endpoints; /* call-me-maybe (via), allocated: ENDPOINT_WIRE_BYTES each */
	uint32_t vni;		/* bind, challenge, answer */
	uint32_t generation;	/* and allocate, allocated; not 0 */
	struct mesh_key other;	/* bind, challenge, answer: disco key of the other end */
	uint8_t challenge[DISCO_CHALLENGE_BYTES]; /* challenge, answer */
	struct mesh_key clients[2];		  /* allocate */
	struct disco_relay relay;		  /* call-me-maybe via, allocated */
};

static inline size_t disco_endpoint_count(const struct disco_message *m)
{
	return m->endpoints.size / ENDPOINT_WIRE_BYTES;
}

static inline struct endpoint disco_endpoint(const struct disco_message *m, size_t i)
{
	return endpoint_get(m->endpoints.data + i * ENDPOINT_WIRE_BYTES);
}

/* Could it be one?  Cheap: for telling apart what arrives at one socket. */
bool disco_is_packet(struct slice packet);

/* The key it claims to come from; disco_is_packet() holds. */
struct mesh_key disco_sender(struct slice packet);

/* `room` gets packet.size bytes at most, and `ret` points into it.  ERR_DENIED: not sealed with
 * this key; ERR_UNSUPPORTED: a type of which we know nothing; ERR_INVALID: too short for it. */
MUST_CHECK enum err disco_open(const uint8_t shared[BOX_KEY_BYTES], struct slice packet,
			       uint8_t *room, struct disco_message *ret);

/* Append the packet. */
void disco_seal(struct buf *b, const uint8_t shared[BOX_KEY_BYTES], const struct mesh_key *sender,
		const uint8_t nonce[BOX_NONCE_BYTES], const struct disco_message *m);

/* The plain text alone, for tests and for what is sealed otherwise. */
void disco_put(struct buf *b, const struct disco_message *m);
MUST_CHECK enum err disco_get(struct slice plain, struct disco_message *ret);

#endif
