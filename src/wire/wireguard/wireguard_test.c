/* The golden vectors come from another implementation, made of Python's cryptography and hashlib:
 * the static secrets are 0x00.., 0x40.., the ephemeral ones 0x80.., 0xc0.., the preshared key
 * 0x20...  That real peers agree is the wireguard scenario's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "wire/corpus_test.h"
#include "wire/crypto/aead.h"
#include "wire/wireguard/handshake.h"

enum { INITIATOR_INDEX = 0x11223344, RESPONDER_INDEX = 0x55667788, MADE_AT_SECONDS = 0x6743b300 };

static const char seal_key[] = "b81bd5a7983261edddeb690212c7081a9952f52e1f4777a2b9e5ddbb1193d4ee";
static const char open_key[] = "d3496a11ece06926791e88745a41a96aecad2f2caf84eadc74102c0ae9c03d78";

static uint8_t cookie[WIREGUARD_MAC_BYTES];

static void count_up(uint8_t *ret, size_t size, uint8_t from)
{
	for (size_t i = 0; i < size; i++)
		ret[i] = (uint8_t)(from + i);
}

struct side {
	struct wireguard_identity own;
	struct wireguard_remote other;
	uint8_t ephemeral[WIREGUARD_KEY_BYTES];
	struct wireguard_handshake handshake;
	uint8_t seal[WIREGUARD_KEY_BYTES], open[WIREGUARD_KEY_BYTES];
};

static struct side initiator, responder;

static void make_side(struct side *s, uint8_t secret_from, uint8_t ephemeral_from)
{
	uint8_t secret[WIREGUARD_KEY_BYTES];

	memset(s, 0, sizeof(*s));
	count_up(secret, sizeof(secret), secret_from);
	wireguard_identity_init(&s->own, secret);
	count_up(s->ephemeral, sizeof(s->ephemeral), ephemeral_from);
	count_up(s->other.preshared, sizeof(s->other.preshared), 0x20);
}

static int set_up(void **state)
{
	(void)state;
	count_up(cookie, sizeof(cookie), 100);
	make_side(&initiator, 0x00, 0x80);
	make_side(&responder, 0x40, 0xc0);
	assert_true(wireguard_remote_init(&initiator.other, &initiator.own, responder.own.public));
	assert_true(wireguard_remote_init(&responder.other, &responder.own, initiator.own.public));
	return 0;
}

static void golden(const char *name, uint8_t *ret, size_t size)
{
	struct buf b = corpus_read(name);

	assert_int_equal(b.size, size);
	memcpy(ret, b.data, size);
	buf_done(&b);
}

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
	char text[256];

	hex_encode(text, (struct slice) { bytes, size });
	assert_string_equal(text, expected);
}

static void initiate(uint8_t message[WIREGUARD_INITIATION_BYTES], const uint8_t *with_cookie,
		     uint8_t mac1[WIREGUARD_MAC_BYTES])
{
	uint8_t timestamp[WIREGUARD_TIMESTAMP_BYTES];

	wireguard_timestamp((int64_t)MADE_AT_SECONDS * 1000 + 371, timestamp);
	assert_true(wireguard_initiate(&initiator.own, &initiator.other, initiator.ephemeral,
				       timestamp, INITIATOR_INDEX, &initiator.handshake, message));
	wireguard_put_macs(message, WIREGUARD_INITIATION_BYTES, initiator.other.mac_key,
			   with_cookie, mac1);
}

static void test_both_messages_are_the_golden_ones_and_give_the_golden_keys(void **state)
{
	(void)state;
	uint8_t message[WIREGUARD_INITIATION_BYTES], wanted[WIREGUARD_INITIATION_BYTES];
	uint8_t public[WIREGUARD_KEY_BYTES], mac1[WIREGUARD_MAC_BYTES];
	uint8_t timestamp[WIREGUARD_TIMESTAMP_BYTES];

	initiate(message, NULL, mac1);
	golden("wireguard/initiation.hex", wanted, sizeof(wanted));
	assert_memory_equal(message, wanted, sizeof(message));

	assert_true(wireguard_open_static(&responder.own, message, &responder.handshake, public));
	assert_memory_equal(public, initiator.own.public, sizeof(public));
	assert_true(wireguard_open_timestamp(&responder.other, message, &responder.handshake,
					     timestamp));
	assert_hex(timestamp, sizeof(timestamp), "400000006743b30a16000000");

	assert_true(wireguard_respond(&responder.other, responder.ephemeral, RESPONDER_INDEX,
				      &responder.handshake, message));
	wireguard_put_macs(message, WIREGUARD_RESPONSE_BYTES, responder.other.mac_key, NULL, mac1);
	golden("wireguard/response.hex", wanted, WIREGUARD_RESPONSE_BYTES);
	assert_memory_equal(message, wanted, WIREGUARD_RESPONSE_BYTES);

	assert_true(wireguard_open_response(&initiator.own, &initiator.other, message,
					    &initiator.handshake));
	assert_int_equal(initiator.handshake.remote_index, RESPONDER_INDEX);
	assert_int_equal(responder.handshake.remote_index, INITIATOR_INDEX);
	wireguard_take_keys(&initiator.handshake, true, initiator.seal, initiator.open);
	wireguard_take_keys(&responder.handshake, false, responder.seal, responder.open);
	assert_hex(initiator.seal, sizeof(initiator.seal), seal_key);
	assert_hex(initiator.open, sizeof(initiator.open), open_key);
	assert_memory_equal(initiator.seal, responder.open, WIREGUARD_KEY_BYTES);
	assert_memory_equal(initiator.open, responder.seal, WIREGUARD_KEY_BYTES);
}

static void test_a_transport_message_is_the_golden_one(void **state)
{
	(void)state;
	uint8_t message[48], wanted[48], key[WIREGUARD_KEY_BYTES];

	assert_int_equal(hex_decode(slice_from(seal_key), key, sizeof(key)), OK);
	golden("wireguard/transport.hex", wanted, sizeof(wanted));
	struct aead_bulk *b = aead_bulk_new();
	wireguard_put_transport(message, RESPONDER_INDEX, 7);
	memcpy(message + WIREGUARD_TRANSPORT_HEAD_BYTES, "sixteen bytes ..", 16);
	aead_bulk_seal(b, key, 7, message + WIREGUARD_TRANSPORT_HEAD_BYTES, 16);
	assert_memory_equal(message, wanted, sizeof(message));
	assert_int_equal(wireguard_kind((struct slice) { message, sizeof(message) }),
			 WIREGUARD_TRANSPORT);
	assert_int_equal(wireguard_receiver(WIREGUARD_TRANSPORT, message), RESPONDER_INDEX);
	assert_int_equal(wireguard_counter(message), 7);

	uint8_t *sealed = message + WIREGUARD_TRANSPORT_HEAD_BYTES;
	assert_false(aead_bulk_open(b, key, 8, wanted + WIREGUARD_TRANSPORT_HEAD_BYTES, 32));
	assert_true(aead_bulk_open(b, key, 7, sealed, 32));
	assert_memory_equal(sealed, "sixteen bytes ..", 16);
	assert_false(aead_bulk_open(b, key, 7, sealed, 15));
	aead_bulk_free(b);
}

static void test_every_flipped_bit_of_a_handshake_is_found(void **state)
{
	(void)state;
	uint8_t good[WIREGUARD_INITIATION_BYTES], mac1[WIREGUARD_MAC_BYTES];
	uint8_t timestamp[WIREGUARD_TIMESTAMP_BYTES], public[WIREGUARD_KEY_BYTES];

	initiate(good, NULL, mac1);
	for (size_t bit = 8 * 8; bit < 8 * (WIREGUARD_INITIATION_BYTES - WIREGUARD_MAC_BYTES);
	     bit++) {
		uint8_t bad[WIREGUARD_INITIATION_BYTES];
		struct wireguard_handshake h;

		memcpy(bad, good, sizeof(bad));
		bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(wireguard_has_mac1((struct slice) { bad, sizeof(bad) },
						responder.own.mac_key));
		if (bit < 8 * 116 && bit != 8 * 40 - 1) /* X25519 ignores the highest bit */
			assert_false(
				wireguard_open_static(&responder.own, bad, &h, public) &&
				wireguard_open_timestamp(&responder.other, bad, &h, timestamp));
	}
}

static void test_a_response_to_another_initiation_changes_nothing(void **state)
{
	(void)state;
	uint8_t initiation[WIREGUARD_INITIATION_BYTES], response[WIREGUARD_RESPONSE_BYTES];
	uint8_t mac1[WIREGUARD_MAC_BYTES], public[WIREGUARD_KEY_BYTES];
	uint8_t timestamp[WIREGUARD_TIMESTAMP_BYTES];

	initiate(initiation, NULL, mac1);
	assert_true(
		wireguard_open_static(&responder.own, initiation, &responder.handshake, public));
	assert_true(wireguard_open_timestamp(&responder.other, initiation, &responder.handshake,
					     timestamp));
	assert_true(wireguard_respond(&responder.other, responder.ephemeral, RESPONDER_INDEX,
				      &responder.handshake, response));
	initiator.ephemeral[5] ^= 1;
	initiate(initiation, NULL, mac1);
	struct wireguard_handshake before = initiator.handshake;
	assert_false(wireguard_open_response(&initiator.own, &initiator.other, response,
					     &initiator.handshake));
	assert_memory_equal(&before, &initiator.handshake, sizeof(before));
}

static void test_a_cookie_is_the_golden_one_and_makes_mac2(void **state)
{
	(void)state;
	uint8_t message[WIREGUARD_INITIATION_BYTES], wanted[WIREGUARD_INITIATION_BYTES];
	uint8_t reply[WIREGUARD_COOKIE_BYTES], nonce[WIREGUARD_COOKIE_NONCE_BYTES];
	uint8_t mac1[WIREGUARD_MAC_BYTES], opened[WIREGUARD_MAC_BYTES];
	struct slice whole = { message, sizeof(message) };

	initiate(message, NULL, mac1);
	assert_true(wireguard_has_mac1(whole, responder.own.mac_key));
	assert_false(wireguard_has_mac2(whole, cookie));
	count_up(nonce, sizeof(nonce), 0);
	wireguard_put_cookie(reply, whole, responder.own.cookie_key, nonce, cookie);
	golden("wireguard/cookie.hex", wanted, sizeof(reply));
	assert_memory_equal(reply, wanted, sizeof(reply));

	assert_true(wireguard_open_cookie(reply, initiator.other.cookie_key, mac1, opened));
	assert_memory_equal(opened, cookie, sizeof(cookie));
	initiate(message, opened, mac1);
	golden("wireguard/initiation_cookie.hex", wanted, sizeof(wanted));
	assert_memory_equal(message, wanted, sizeof(message));
	assert_true(wireguard_has_mac2(whole, cookie));

	mac1[0] ^= 1; /* a reply to something else */
	assert_false(wireguard_open_cookie(reply, initiator.other.cookie_key, mac1, opened));
}

static void test_kinds_are_told_by_type_and_size(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		size_t size;
		enum wireguard_kind kind;
	} rows[] = {
		{ 1, 148, WIREGUARD_INITIATION }, { 1, 147, WIREGUARD_NONE },
		{ 1, 149, WIREGUARD_NONE },	  { 2, 92, WIREGUARD_RESPONSE },
		{ 2, 148, WIREGUARD_NONE },	  { 3, 64, WIREGUARD_COOKIE },
		{ 3, 65, WIREGUARD_NONE },	  { 4, 32, WIREGUARD_TRANSPORT },
		{ 4, 31, WIREGUARD_NONE },	  { 4, 160, WIREGUARD_TRANSPORT },
		{ 0, 148, WIREGUARD_NONE },	  { 5, 148, WIREGUARD_NONE },
		{ 1, 3, WIREGUARD_NONE },	  { 4, 0, WIREGUARD_NONE },
	};
	uint8_t message[160] = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		message[0] = rows[i].type;
		assert_int_equal(wireguard_kind((struct slice) { message, rows[i].size }),
				 rows[i].kind);
	}
	message[0] = 4;
	message[2] = 1; /* reserved */
	assert_int_equal(wireguard_kind((struct slice) { message, 64 }), WIREGUARD_NONE);
}

static void test_timestamps_grow_with_time_in_coarse_steps(void **state)
{
	(void)state;
	uint8_t last[WIREGUARD_TIMESTAMP_BYTES] = { 0 }, next[WIREGUARD_TIMESTAMP_BYTES];
	int steps = 0;

	for (int64_t ms = 1700000000000; ms < 1700000003000; ms++) {
		wireguard_timestamp(ms, next);
		int order = memcmp(last, next, sizeof(next));
		assert_true(order <= 0);
		steps += order != 0;
		memcpy(last, next, sizeof(next));
	}
	assert_in_range(steps, 3 * 59, 3 * 61);
}

static void test_keys_of_small_order_are_refused(void **state)
{
	(void)state;
	static const uint8_t zeros[WIREGUARD_KEY_BYTES], one[WIREGUARD_KEY_BYTES] = { 1 };
	struct wireguard_remote r = { 0 };

	assert_false(wireguard_remote_init(&r, &initiator.own, zeros));
	assert_false(wireguard_remote_init(&r, &initiator.own, one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			test_both_messages_are_the_golden_ones_and_give_the_golden_keys, set_up),
		cmocka_unit_test_setup(test_a_transport_message_is_the_golden_one, set_up),
		cmocka_unit_test_setup(test_every_flipped_bit_of_a_handshake_is_found, set_up),
		cmocka_unit_test_setup(test_a_response_to_another_initiation_changes_nothing,
				       set_up),
		cmocka_unit_test_setup(test_a_cookie_is_the_golden_one_and_makes_mac2, set_up),
		cmocka_unit_test(test_kinds_are_told_by_type_and_size),
		cmocka_unit_test(test_timestamps_grow_with_time_in_coarse_steps),
		cmocka_unit_test_setup(test_keys_of_small_order_are_refused, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
