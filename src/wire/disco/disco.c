#include "wire/disco/disco.h"

#include <assert.h>

#include "base/endian.h"

static const uint8_t magic[DISCO_MAGIC_BYTES] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };

/* --- packets --- */

bool disco_is_packet(struct slice packet)
{
	return packet.size >= DISCO_PACKET_BYTES_MIN && packet.size <= DISCO_PACKET_BYTES_MAX &&
	       memcmp(packet.data, magic, sizeof(magic)) == 0;
}

struct mesh_key disco_sender(struct slice packet)
{
	struct mesh_key key;

	assert(packet.size >= DISCO_HEADER_BYTES);
	memcpy(key.bytes, packet.data + DISCO_MAGIC_BYTES, sizeof(key.bytes));
	return key;
}

enum err disco_open(const uint8_t shared[BOX_KEY_BYTES], struct slice packet, uint8_t *room,
		    struct disco_message *ret)
{
	struct slice sealed = slice_part(packet, DISCO_HEADER_BYTES, packet.size);

	if (!disco_is_packet(packet))
		return ERR_INVALID;
	if (!box_open(shared, packet.data + DISCO_MAGIC_BYTES + MESH_KEY_BYTES, sealed, room))
		return ERR_DENIED;
	return disco_get((struct slice) { room, sealed.size - BOX_TAG_BYTES }, ret);
}

void disco_seal(struct buf *b, const uint8_t shared[BOX_KEY_BYTES], const struct mesh_key *sender,
		const uint8_t nonce[BOX_NONCE_BYTES], const struct disco_message *m)
{
	struct buf plain;

	buf_init(&plain);
	disco_put(&plain, m);
	buf_add(b, magic, sizeof(magic));
	buf_add(b, sender->bytes, sizeof(sender->bytes));
	buf_add(b, nonce, BOX_NONCE_BYTES);
	box_seal(shared, nonce, buf_slice(&plain), buf_reserve(b, plain.size + BOX_TAG_BYTES));
	b->size += plain.size + BOX_TAG_BYTES;
	buf_done(&plain);
}

/* --- putting --- */

static void put_key(struct buf *b, const struct mesh_key *key)
{
	buf_add(b, key->bytes, sizeof(key->bytes));
}

static void put_ping(struct buf *b, const struct disco_message *m)
{
	assert(m->padding <= DISCO_PADDING_BYTES_MAX);
	buf_add(b, m->transaction, sizeof(m->transaction));
	put_key(b, &m->node);
	buf_add_zero(b, m->padding);
}

static void put_pong(struct buf *b, const struct disco_message *m)
{
	buf_add(b, m->transaction, sizeof(m->transaction));
	endpoint_put(buf_add_zero(b, ENDPOINT_WIRE_BYTES), &m->seen);
}

static void put_endpoints(struct buf *b, const struct disco_message *m)
{
	assert(disco_endpoint_count(m) <= DISCO_ENDPOINTS_MAX);
	buf_add_slice(b, m->endpoints);
}

static void put_bind(struct buf *b, const struct disco_message *m)
{
	buf_add_u32(b, m->vni);
	buf_add_u32(b, m->generation);
	put_key(b, &m->other);
	buf_add(b, m->challenge, sizeof(m->challenge));
}

static void put_relay(struct buf *b, const struct disco_message *m)
{
	put_key(b, &m->relay.server);
	put_key(b, &m->relay.clients[0]);
	put_key(b, &m->relay.clients[1]);
	buf_add_u64(b, m->relay.lamport);
	buf_add_u32(b, m->relay.vni);
	buf_add_u64(b, m->relay.bind_ns);
	buf_add_u64(b, m->relay.steady_ns);
	put_endpoints(b, m);
}

void disco_put(struct buf *b, const struct disco_message *m)
{
	buf_add_u8(b, (uint8_t)m->type);
	buf_add_u8(b, 0);
	switch (m->type) {
	case DISCO_PING:
		put_ping(b, m);
		break;
	case DISCO_PONG:
		put_pong(b, m);
		break;
	case DISCO_CALL_ME_MAYBE:
		put_endpoints(b, m);
		break;
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		put_bind(b, m);
		break;
	case DISCO_CALL_ME_MAYBE_VIA:
		put_relay(b, m);
		break;
	case DISCO_ALLOCATE:
		put_key(b, &m->clients[0]);
		put_key(b, &m->clients[1]);
		buf_add_u32(b, m->generation);
		break;
	case DISCO_ALLOCATED:
		buf_add_u32(b, m->generation);
		put_relay(b, m);
		break;
	}
}

/* --- getting --- */

/* What is left of a payload; a read over the end gives zeros and is remembered. */
struct reader {
	struct slice rest;
	bool is_short;
};

static void take(struct reader *r, void *ret, size_t size)
{
	if (r->rest.size < size) {
		r->is_short = true;
		r->rest.size = 0;
		memset(ret, 0, size);
		return;
	}
	memcpy(ret, r->rest.data, size);
	r->rest = slice_part(r->rest, size, r->rest.size);
}

static uint32_t take_u32(struct reader *r)
{
	uint8_t bytes[4];

	take(r, bytes, sizeof(bytes));
	return get_u32(bytes);
}

static uint64_t take_u64(struct reader *r)
{
	uint8_t bytes[8];

	take(r, bytes, sizeof(bytes));
	return get_u64(bytes);
}

/* Ancient senders do not say their node key. */
static void get_ping(struct reader *r, struct disco_message *m)
{
	take(r, m->transaction, sizeof(m->transaction));
	if (r->rest.size >= sizeof(m->node.bytes))
		take(r, m->node.bytes, sizeof(m->node.bytes));
	m->padding = r->rest.size;
}

static void get_pong(struct reader *r, struct disco_message *m)
{
	uint8_t seen[ENDPOINT_WIRE_BYTES];

	take(r, m->transaction, sizeof(m->transaction));
	take(r, seen, sizeof(seen));
	m->seen = endpoint_get(seen);
}

static void get_endpoints(struct reader *r, struct disco_message *m)
{
	m->endpoints = slice_part(r->rest, 0, r->rest.size - r->rest.size % ENDPOINT_WIRE_BYTES);
}

static void get_bind(struct reader *r, struct disco_message *m)
{
	m->vni = take_u32(r);
	m->generation = take_u32(r);
	take(r, m->other.bytes, sizeof(m->other.bytes));
	take(r, m->challenge, sizeof(m->challenge));
}

static void get_relay(struct reader *r, struct disco_message *m)
{
	take(r, m->relay.server.bytes, MESH_KEY_BYTES);
	take(r, m->relay.clients[0].bytes, MESH_KEY_BYTES);
	take(r, m->relay.clients[1].bytes, MESH_KEY_BYTES);
	m->relay.lamport = take_u64(r);
	m->relay.vni = take_u32(r);
	m->relay.bind_ns = take_u64(r);
	m->relay.steady_ns = take_u64(r);
	get_endpoints(r, m);
}

enum err disco_get(struct slice plain, struct disco_message *ret)
{
	struct reader r = { .rest = slice_part(plain, 2, plain.size) };
	struct disco_message m = { 0 };

	if (plain.size < 2)
		return ERR_INVALID;
	switch (plain.data[0]) {
	case DISCO_PING:
		get_ping(&r, &m);
		break;
	case DISCO_PONG:
		get_pong(&r, &m);
		break;
	case DISCO_CALL_ME_MAYBE:
		get_endpoints(&r, &m);
		break;
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		get_bind(&r, &m);
		break;
	case DISCO_CALL_ME_MAYBE_VIA:
		get_relay(&r, &m);
		break;
	case DISCO_ALLOCATE:
		take(&r, m.clients[0].bytes, MESH_KEY_BYTES);
		take(&r, m.clients[1].bytes, MESH_KEY_BYTES);
		m.generation = take_u32(&r);
		break;
	case DISCO_ALLOCATED:
		m.generation = take_u32(&r);
		get_relay(&r, &m);
		break;
	default:
		return ERR_UNSUPPORTED;
	}
	if (r.is_short)
		return ERR_INVALID;
	m.type = (enum disco_type)plain.data[0];
	*ret = m;
	return OK;
}
