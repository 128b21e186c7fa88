/* The packets in test/corpus/disco were made by the official client's own packages (v1.102.3), from
 * keys, nonce and fields that count up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "wire/corpus_test.h"
#include "wire/crypto/x25519.h"
#include "wire/disco/disco.h"

static void count_up(uint8_t *ret, size_t size, uint8_t from)
{
	for (size_t i = 0; i < size; i++)
		ret[i] = (uint8_t)(from + i);
}

static struct mesh_key key_from(uint8_t from)
{
	struct mesh_key key;

	count_up(key.bytes, sizeof(key.bytes), from);
	return key;
}

struct ends {
	struct mesh_key a, b, a_public, b_public;
	uint8_t a_shared[BOX_KEY_BYTES], b_shared[BOX_KEY_BYTES], nonce[BOX_NONCE_BYTES];
};

static struct ends ends_make(void)
{
	struct ends e = { .a = key_from(0), .b = key_from(100) };

	count_up(e.nonce, sizeof(e.nonce), 50);
	x25519_public(e.a.bytes, e.a_public.bytes);
	x25519_public(e.b.bytes, e.b_public.bytes);
	assert_true(box_shared(e.a.bytes, e.b_public.bytes, e.a_shared));
	assert_true(box_shared(e.b.bytes, e.a_public.bytes, e.b_shared));
	return e;
}

static const struct endpoint four = {
	.ip = { [10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1 },
	.port = 41641,
};
static const struct endpoint six = {
	.ip = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 },
	.port = 5,
};

/* The messages of the corpus. */
static struct disco_message expected(enum disco_type type, uint8_t *endpoints)
{
	struct disco_message m = { .type = type };

	count_up(m.transaction, sizeof(m.transaction), 7);
	count_up(m.challenge, sizeof(m.challenge), 9);
	m.node = key_from(200);
	m.padding = 5;
	m.seen = four;
	endpoint_put(endpoints, &four);
	endpoint_put(endpoints + ENDPOINT_WIRE_BYTES, &six);
	m.endpoints = (struct slice) { endpoints, (size_t)2 * ENDPOINT_WIRE_BYTES };
	m.vni = 0x010203;
	m.generation = type >= DISCO_ALLOCATE ? 8 : 7;
	m.other = key_from(30);
	m.clients[0] = key_from(32);
	m.clients[1] = key_from(33);
	m.relay = (struct disco_relay) {
		.server = key_from(31),
		.clients = { key_from(32), key_from(33) },
		.lamport = 9,
		.vni = 5,
		.bind_ns = 30000000000u,
		.steady_ns = 300000000000u,
	};
	return m;
}

static const char *const names[] = {
	[DISCO_PING] = "disco/ping.hex",
	[DISCO_PONG] = "disco/pong.hex",
	[DISCO_CALL_ME_MAYBE] = "disco/call_me_maybe.hex",
	[DISCO_BIND] = "disco/bind.hex",
	[DISCO_BIND_CHALLENGE] = "disco/bind_challenge.hex",
	[DISCO_BIND_ANSWER] = "disco/bind_answer.hex",
	[DISCO_CALL_ME_MAYBE_VIA] = "disco/call_me_maybe_via.hex",
	[DISCO_ALLOCATE] = "disco/allocate.hex",
	[DISCO_ALLOCATED] = "disco/allocated.hex",
};

static void test_packets_are_made_as_the_official_client_makes_them(void **state)
{
	struct ends e = ends_make();
	uint8_t endpoints[2 * ENDPOINT_WIRE_BYTES];

	(void)state;
	for (int type = DISCO_PING; type <= DISCO_ALLOCATED; type++) {
		struct disco_message m = expected((enum disco_type)type, endpoints);
		struct buf official = corpus_read(names[type]), ours;

		buf_init(&ours);
		disco_seal(&ours, e.a_shared, &e.a_public, e.nonce, &m);
		assert_int_equal(ours.size, official.size);
		assert_memory_equal(ours.data, official.data, ours.size);
		buf_done(&ours);
		buf_done(&official);
	}
}

static void test_packets_of_the_official_client_say_what_they_mean(void **state)
{
	struct ends e = ends_make();
	uint8_t endpoints[2 * ENDPOINT_WIRE_BYTES], room[512];
	struct mesh_key sender;

	(void)state;
	for (int type = DISCO_PING; type <= DISCO_ALLOCATED; type++) {
		struct disco_message want = expected((enum disco_type)type, endpoints), m;
		struct buf official = corpus_read(names[type]), a, b;

		buf_init(&a);
		buf_init(&b);
		assert_true(disco_is_packet(buf_slice(&official)));
		sender = disco_sender(buf_slice(&official));
		assert_true(mesh_key_equal(&sender, &e.a_public));
		assert_int_equal(disco_open(e.b_shared, buf_slice(&official), room, &m), OK);
		disco_put(&a, &want);
		disco_put(&b, &m);
		assert_true(slice_equal(buf_slice(&a), buf_slice(&b)));
		buf_done(&a);
		buf_done(&b);
		buf_done(&official);
	}
}

static void test_every_field_is_read(void **state)
{
	struct ends e = ends_make();
	struct buf p = corpus_read("disco/call_me_maybe.hex");
	uint8_t room[512];
	struct disco_message m;
	struct endpoint it;

	(void)state;
	assert_int_equal(disco_open(e.b_shared, buf_slice(&p), room, &m), OK);
	assert_int_equal(m.type, DISCO_CALL_ME_MAYBE);
	assert_int_equal(disco_endpoint_count(&m), 2);
	it = disco_endpoint(&m, 0);
	assert_true(endpoint_equal(&it, &four));
	it = disco_endpoint(&m, 1);
	assert_true(endpoint_equal(&it, &six));
	buf_done(&p);
}

static void test_a_changed_packet_and_another_key_are_refused(void **state)
{
	struct ends e = ends_make();
	struct buf p = corpus_read("disco/ping.hex");
	struct disco_message m = { .vni = 77 };
	uint8_t room[512];

	(void)state;
	for (size_t i = DISCO_HEADER_BYTES - BOX_NONCE_BYTES; i < p.size; i++) {
		p.data[i] ^= 1;
		assert_int_equal(disco_open(e.b_shared, buf_slice(&p), room, &m), ERR_DENIED);
		p.data[i] ^= 1;
	}
	e.b_shared[0] ^= 1;
	assert_int_equal(disco_open(e.b_shared, buf_slice(&p), room, &m), ERR_DENIED);
	assert_int_equal(m.vni, 77);
	buf_done(&p);
}

static void test_short_messages_are_refused_and_long_ones_read(void **state)
{
	uint8_t endpoints[2 * ENDPOINT_WIRE_BYTES];
	struct disco_message m, ret;
	struct buf b;

	(void)state;
	buf_init(&b);
	for (int type = DISCO_PING; type <= DISCO_ALLOCATED; type++) {
		m = expected((enum disco_type)type, endpoints);
		m.padding = 0;
		m.endpoints.size = 0;
		buf_clear(&b);
		disco_put(&b, &m);
		/* A ping may end after the transaction, and endpoints may be none. */
		size_t least = type == DISCO_PING ? 2 + DISCO_TRANSACTION_BYTES : b.size;
		for (size_t size = 0; size < least; size++)
			assert_int_not_equal(disco_get((struct slice) { b.data, size }, &ret), OK);
		buf_add(&b, "more", 4);
		assert_int_equal(disco_get(buf_slice(&b), &ret), OK);
		assert_int_equal(disco_endpoint_count(&ret), 0);
	}
	b.data[0] = 10;
	assert_int_equal(disco_get(buf_slice(&b), &ret), ERR_UNSUPPORTED);
	buf_done(&b);
}

static void test_other_packets_are_not_taken_for_disco(void **state)
{
	struct buf p = corpus_read("disco/pong.hex");

	(void)state;
	assert_false(disco_is_packet(slice_part(buf_slice(&p), 0, DISCO_PACKET_BYTES_MIN - 1)));
	assert_true(disco_is_packet(slice_part(buf_slice(&p), 0, DISCO_PACKET_BYTES_MIN)));
	p.data[5] ^= 1;
	assert_false(disco_is_packet(buf_slice(&p)));
	assert_false(disco_is_packet((struct slice) { 0 }));
	buf_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_are_made_as_the_official_client_makes_them),
		cmocka_unit_test(test_packets_of_the_official_client_say_what_they_mean),
		cmocka_unit_test(test_every_field_is_read),
		cmocka_unit_test(test_a_changed_packet_and_another_key_are_refused),
		cmocka_unit_test(test_short_messages_are_refused_and_long_ones_read),
		cmocka_unit_test(test_other_packets_are_not_taken_for_disco),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
