/* Engines of which each knows the others, a clock, and a network in between that can lose, keep and
 * repeat datagrams; what happens is written down, one line each:
 *
 *     1.250 a>b initiation      sent at 1.25 s
 *     1.250 b handshake         b's verdict of it
 *     1.250 a ready             an effect
 */
#ifndef MESH_TUNNEL_TESTING_H
#define MESH_TUNNEL_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/memory.h"
#include "base/random.h"
#include "mesh/tunnel/tunnel.h"
#include "wire/wireguard/message.h"

enum { SIDES = 2, KEPT_MAX = 64, WIRE_BYTES_MAX = 2048, TEST_MTU = 1420 };

struct side {
	struct tunnel *tunnel;
	struct tunnel_peer *peer; /* the other one */
	struct prng prng;
	struct endpoint at;
	uint8_t last[WIRE_BYTES_MAX]; /* the last packet that was delivered */
	size_t last_size;
};

struct kept {
	uint8_t data[WIRE_BYTES_MAX];
	size_t size;
	int from;
};

struct world {
	struct side sides[SIDES];
	struct tunnel_now now;
	bool loses;		    /* what is sent is lost */
	bool is_quiet;		    /* nothing is written down */
	struct kept kept[KEPT_MAX]; /* everything that was sent, the newest last */
	size_t kept_count;
	struct buf trace;
};

static struct world world;

static void test_random(void *context, void *ret, size_t size)
{
	uint8_t *bytes = ret;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)prng_next(context);
}

static inline void world_say(const char *format, ...) PRINTF_LIKE(1, 2);

static inline void world_say(const char *format, ...)
{
	char line[128];
	va_list arguments;

	if (world.is_quiet)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	buf_add_format(&world.trace, "%llu.%03llu %s\n", (unsigned long long)world.now.ms / 1000,
		       (unsigned long long)world.now.ms % 1000, line);
}

static inline char world_name(int side)
{
	return (char)('a' + side);
}

static inline void world_set_secret(int side, uint8_t seed)
{
	uint8_t secret[TUNNEL_KEY_BYTES];

	memset(secret, seed, sizeof(secret));
	tunnel_set_secret(world.sides[side].tunnel, secret);
}

static inline struct ip_prefix world_prefix(const char *text)
{
	struct ip_prefix prefix;

	assert_int_equal(ip_prefix_parse(slice_from(text), &prefix), OK);
	return prefix;
}

static inline int world_set_up(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	buf_init(&world.trace);
	world.now = (struct tunnel_now) { 1000, 1700000000000 };
	for (int i = 0; i < SIDES; i++) {
		struct side *s = &world.sides[i];
		struct tunnel_options o = { .mtu = TEST_MTU,
					    .random = test_random,
					    .context = &s->prng };
		s->prng.state = (uint64_t)i + 7;
		s->at = endpoint_ip4(192, 0, 2, (uint8_t)(i + 1), 41641);
		s->tunnel = tunnel_new(&o);
		world_set_secret(i, (uint8_t)(0x51 + i));
	}
	for (int i = 0; i < SIDES; i++) {
		struct side *s = &world.sides[i], *other = &world.sides[1 - i];
		assert_int_equal(tunnel_add_peer(s->tunnel, tunnel_public(other->tunnel), other,
						 &s->peer),
				 OK);
		assert_int_equal(tunnel_allow(s->tunnel, s->peer,
					      world_prefix(i ? "10.0.0.1/32" : "10.0.0.2/32")),
				 OK);
		assert_int_equal(tunnel_allow(s->tunnel, s->peer,
					      world_prefix(i ? "fd00::1/128" : "fd00::2/128")),
				 OK);
	}
	return 0;
}

static inline int world_tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < SIDES; i++)
		tunnel_free(world.sides[i].tunnel);
	buf_done(&world.trace);
	return 0;
}

static inline const char *world_kind(struct slice datagram)
{
	switch (wireguard_kind(datagram)) {
	case WIREGUARD_INITIATION:
		return "initiation";
	case WIREGUARD_RESPONSE:
		return "response";
	case WIREGUARD_COOKIE:
		return "cookie";
	case WIREGUARD_TRANSPORT:
		return datagram.size == WIREGUARD_TRANSPORT_BYTES_MIN ? "keepalive" : "data";
	case WIREGUARD_NONE:
		break;
	}
	return "garbage";
}

static inline void world_drain(int side);

/* `to` gets a datagram from the place of the other side; what it answers is sent at once. */
static inline enum tunnel_verdict world_deliver(int to, const uint8_t *data, size_t size)
{
	uint8_t *copy = memory_take(size ? size : 1); /* of its size, for the sanitizer */
	struct side *s = &world.sides[to];
	struct tunnel_datagram d = { .data = copy, .size = size, .from = world.sides[1 - to].at };

	memcpy(copy, data, size);
	tunnel_open(s->tunnel, world.now, &d, 1);
	world_say("%c %s", world_name(to), tunnel_verdict_name(d.verdict));
	if (d.verdict == TUNNEL_PACKET || d.verdict == TUNNEL_CONTROL) {
		assert_true(d.packet.size <= sizeof(s->last));
		memcpy(s->last, d.packet.data, d.packet.size);
		s->last_size = d.packet.size;
	}
	memory_free(copy);
	world_drain(to);
	return d.verdict;
}

static inline void world_send(int from, const uint8_t *data, size_t size)
{
	struct kept *k = &world.kept[world.kept_count % KEPT_MAX];

	assert_true(size <= sizeof(k->data));
	memcpy(k->data, data, size);
	k->size = size;
	k->from = from;
	world.kept_count++;
	world_say("%c>%c %s%s", world_name(from), world_name(1 - from),
		  world_kind((struct slice) { data, size }), world.loses ? " lost" : "");
	if (!world.loses)
		world_deliver(1 - from, data, size);
}

static inline void world_drain(int side)
{
	struct tunnel_effect e;

	while (tunnel_next(world.sides[side].tunnel, &e)) {
		uint8_t data[WIRE_BYTES_MAX];

		switch (e.kind) {
		case TUNNEL_SEND:
		case TUNNEL_ANSWER:
			memcpy(data, e.data, e.size);
			world_send(side, data, e.size);
			break;
		case TUNNEL_READY:
			world_say("%c ready", world_name(side));
			break;
		case TUNNEL_SILENT:
			world_say("%c silent", world_name(side));
			break;
		}
	}
}

/* An IPv4 packet, of `size` bytes, with its last byte to know it again. */
static inline void world_packet(uint8_t *ret, size_t size, const uint8_t from[4],
				const uint8_t to[4], uint8_t mark)
{
	memset(ret, 0, size);
	ret[0] = 0x45;
	ret[2] = (uint8_t)(size >> 8);
	ret[3] = (uint8_t)size;
	ret[9] = 17;
	memcpy(ret + 12, from, 4);
	memcpy(ret + 16, to, 4);
	ret[size - 1] = mark;
}

/* `from` has a packet for the other one. */
static inline void world_say_to(int from, size_t size, uint8_t mark)
{
	uint8_t room[TUNNEL_HEAD_BYTES + WIRE_BYTES_MAX + TUNNEL_TAIL_BYTES];
	const uint8_t addresses[SIDES][4] = { { 10, 0, 0, 1 }, { 10, 0, 0, 2 } };
	struct side *s = &world.sides[from];
	struct tunnel_packet p = { room + TUNNEL_HEAD_BYTES, size };

	world_packet(p.data, size, addresses[from], addresses[1 - from], mark);
	assert_ptr_equal(tunnel_route_packet(s->tunnel, (struct slice) { p.data, size }), s->peer);
	if (tunnel_seal(s->tunnel, world.now, s->peer, &p, 1)) {
		world_send(from, p.data, p.size);
	} else {
		world_say("%c waits", world_name(from));
	}
	world_drain(from);
}

/* Time passes, and what is due is done when it is due. */
static inline void world_run(uint64_t ms)
{
	uint64_t end = world.now.ms + ms;

	for (;;) {
		uint64_t next = end;
		for (int i = 0; i < SIDES; i++) {
			uint64_t at = tunnel_deadline(world.sides[i].tunnel);
			if (at < next)
				next = at;
		}
		if (next > world.now.ms) {
			world.now.wall_ms += (int64_t)(next - world.now.ms);
			world.now.ms = next;
		}
		for (int i = 0; i < SIDES; i++) {
			tunnel_tick(world.sides[i].tunnel, world.now);
			world_drain(i);
		}
		if (next >= end)
			return;
	}
}

static inline void world_expect(const char *expected)
{
	buf_add_u8(&world.trace, 0);
	assert_string_equal((const char *)world.trace.data, expected);
	buf_clear(&world.trace);
}

/* A session that a began, and nothing of it in the trace. */
static inline void world_connect(void)
{
	world.is_quiet = true;
	world_say_to(0, 40, 1);
	world.is_quiet = false;
	assert_true(tunnel_peer_state(world.sides[0].peer, world.now).has_session);
	assert_true(tunnel_peer_state(world.sides[1].peer, world.now).has_session);
}

/* What was sent `back` datagrams ago; 0 is the last. */
static inline struct kept *world_kept(size_t back)
{
	assert_true(world.kept_count > back && back < KEPT_MAX);
	return &world.kept[(world.kept_count - 1 - back) % KEPT_MAX];
}

#endif
