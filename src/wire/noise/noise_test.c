/* The golden vectors are a conversation between the two ends of the official client's own
 * implementation, with its randomness replaced by known bytes. */
#include "wire/noise/noise.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/text.h"
#include "wire/crypto/x25519.h"

enum { VERSION = 142 };

static const char client_secret[] =
	"10171e252c333a41484f565d646b727980878e959ca3aab1b8bfc6cdd4dbe269";
static const char server_secret[] =
	"20272e353c434a51585f666d747b828990979ea5acb3bac1c8cfd6dde4ebf279";
static const char client_ephemeral[] =
	"30373e454c535a61686f767d848b9299a0a7aeb5bcc3cad1d8dfe6edf4fb0209";
static const char server_ephemeral[] =
	"40474e555c636a71787f868d949ba2a9b0b7bec5ccd3dae1e8eff6fd040b1219";
static const char golden_initiation[] =
	"008e010060b90e3d77c78f09ac761970ac862699c9d58c632aea0a8b3d2e7bdd790df132532b7e41283e260983"
	"2c949451cc6ac0a62834d224b50329e431715833591ee5a85b4195651e21b743a41ef48a7d653924455c66ebea"
	"30256d1559774561228db3";
static const char golden_response[] =
	"020030e7a0ed1ad488a5ff884c273c2a17b3d2cee3195f22308326f3845f70a85b5a2b34edc2b2ce80060b6030"
	"5fa4f8f0f83b";
static const char golden_client_records[] =
	"0400256cb1dc0c424c4a9973064f5fb4395fbd80550ba2bf4b7d283f0892a4f2b2e2708387dc7b35"
	"04001592717e69e0d0d369678e84bd75f51871470f0ef8ed";
static const char golden_server_record[] =
	"0400256f6fd8ad0f21d03a59774f23b6e59b6795f828603fb27f58fe8064b5385111284440515fc5";

static struct mesh_key key_of(const char *hex)
{
	struct mesh_key key;

	assert_int_equal(hex_decode(slice_from(hex), key.bytes, sizeof(key.bytes)), OK);
	return key;
}

static struct mesh_key public_of(const char *hex)
{
	struct mesh_key secret = key_of(hex), public;

	x25519_public(secret.bytes, public.bytes);
	return public;
}

static void add_hex(struct buf *b, const char *hex)
{
	size_t size = strlen(hex) / 2;

	assert_int_equal(hex_decode(slice_from(hex), buf_reserve(b, size), size), OK);
	b->size += size;
}

static void assert_bytes(struct slice got, const char *hex)
{
	struct buf wanted;

	buf_init(&wanted);
	add_hex(&wanted, hex);
	assert_int_equal(got.size, wanted.size);
	assert_memory_equal(got.data, wanted.data, wanted.size);
	buf_done(&wanted);
}

static struct slice initiate(struct noise_handshake *h, uint8_t ret[NOISE_INITIATION_BYTES])
{
	struct mesh_key secret = key_of(client_secret), server = public_of(server_secret),
			ephemeral = key_of(client_ephemeral);

	assert_int_equal(noise_initiate(h, VERSION, &secret, &server, &ephemeral, ret), OK);
	return (struct slice) { ret, NOISE_INITIATION_BYTES };
}

static enum err answer(struct slice initiation, struct noise_peer *peer,
		       uint8_t response[NOISE_RESPONSE_BYTES], struct noise_channel *channel)
{
	struct mesh_key secret = key_of(server_secret), ephemeral = key_of(server_ephemeral);

	return noise_answer(&secret, initiation, &ephemeral, peer, response, channel);
}

/* Both ends of a finished handshake. */
static void shake(struct noise_channel *client, struct noise_channel *server)
{
	struct noise_handshake h;
	struct noise_peer peer;
	uint8_t initiation[NOISE_INITIATION_BYTES], response[NOISE_RESPONSE_BYTES];

	assert_int_equal(answer(initiate(&h, initiation), &peer, response, server), OK);
	assert_int_equal(noise_finish(&h, (struct slice) { response, sizeof(response) }, client),
			 OK);
}

/* Everything in `bytes` as records; how the first that does not open ends. */
static enum err open_all(struct noise_channel *c, struct slice bytes, struct buf *ret)
{
	struct noise_frame frame;
	enum err err = OK;

	while (!err && bytes.size > 0) {
		assert_int_equal(noise_frame_read(bytes, &frame), OK);
		assert_int_equal(frame.kind, NOISE_RECORD);
		err = noise_open(c, frame.body, ret);
		bytes = slice_part(bytes, frame.size, bytes.size);
	}
	return err;
}

static void test_the_client_says_what_the_official_one_says(void **state)
{
	struct noise_handshake h;
	struct noise_channel channel;
	uint8_t message[NOISE_INITIATION_BYTES];
	struct buf response, sent, plain;

	(void)state;
	assert_bytes(initiate(&h, message), golden_initiation);
	buf_init(&response);
	buf_init(&sent);
	buf_init(&plain);
	add_hex(&response, golden_response);
	assert_int_equal(noise_finish(&h, buf_slice(&response), &channel), OK);
	noise_seal(&channel, SLICE("hello from the client"), &sent);
	noise_seal(&channel, SLICE("again"), &sent);
	assert_bytes(buf_slice(&sent), golden_client_records);
	buf_clear(&sent);
	add_hex(&sent, golden_server_record);
	assert_int_equal(open_all(&channel, buf_slice(&sent), &plain), OK);
	assert_true(slice_equal(buf_slice(&plain), SLICE("hello from the server")));
	buf_done(&response);
	buf_done(&sent);
	buf_done(&plain);
}

static void test_the_server_says_what_the_official_one_says(void **state)
{
	struct noise_channel channel;
	struct noise_peer peer;
	uint8_t response[NOISE_RESPONSE_BYTES];
	struct buf initiation, records, plain;
	struct mesh_key machine = public_of(client_secret);

	(void)state;
	buf_init(&initiation);
	buf_init(&records);
	buf_init(&plain);
	add_hex(&initiation, golden_initiation);
	assert_int_equal(answer(buf_slice(&initiation), &peer, response, &channel), OK);
	assert_int_equal(peer.version, VERSION);
	assert_true(mesh_key_equal(&peer.machine, &machine));
	assert_bytes((struct slice) { response, sizeof(response) }, golden_response);
	add_hex(&records, golden_client_records);
	assert_int_equal(open_all(&channel, buf_slice(&records), &plain), OK);
	assert_true(slice_equal(buf_slice(&plain), SLICE("hello from the clientagain")));
	buf_clear(&records);
	noise_seal(&channel, SLICE("hello from the server"), &records);
	assert_bytes(buf_slice(&records), golden_server_record);
	buf_done(&initiation);
	buf_done(&records);
	buf_done(&plain);
}

static void test_a_handshake_with_any_bit_changed_is_refused(void **state)
{
	struct noise_handshake h;
	struct noise_channel channel;
	struct noise_peer peer;
	uint8_t message[NOISE_INITIATION_BYTES], response[NOISE_RESPONSE_BYTES];
	struct slice initiation = initiate(&h, message);

	(void)state;
	for (size_t bit = 0; bit < sizeof(message) * 8; bit++) {
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
		enum err err = answer(initiation, &peer, response, &channel);
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
		/* X25519 ignores the highest bit of a key, the hash of the handshake does not */
		assert_true(err == ERR_DENIED || err == ERR_INVALID);
	}
	assert_int_equal(answer(initiation, &peer, response, &channel), OK);
	for (size_t bit = 0; bit < sizeof(response) * 8; bit++) {
		struct noise_handshake again = h;
		response[bit / 8] ^= (uint8_t)(1 << bit % 8);
		enum err err = noise_finish(&again, (struct slice) { response, sizeof(response) },
					    &channel);
		response[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(err == ERR_DENIED || err == ERR_INVALID);
	}
}

static void test_a_key_of_small_order_is_refused(void **state)
{
	struct noise_handshake h;
	struct noise_channel channel;
	struct noise_peer peer;
	uint8_t message[NOISE_INITIATION_BYTES], response[NOISE_RESPONSE_BYTES];
	struct mesh_key secret = key_of(client_secret), zero = { 0 };

	(void)state;
	assert_int_equal(noise_initiate(&h, VERSION, &secret, &zero, &secret, message),
			 ERR_INVALID);
	struct slice initiation = initiate(&h, message);
	memset(message + 5, 0, 32);
	assert_int_equal(answer(initiation, &peer, response, &channel), ERR_DENIED);
}

static void test_long_messages_are_split_and_joined(void **state)
{
	static uint8_t plain[3 * NOISE_PLAIN_BYTES_MAX + 100];
	struct noise_channel client, server;
	struct buf records, back;
	struct noise_frame frame;

	(void)state;
	shake(&client, &server);
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 31 >> 3);
	buf_init(&records);
	buf_init(&back);
	noise_seal(&server, (struct slice) { plain, sizeof(plain) }, &records);
	assert_int_equal(noise_frame_read(buf_slice(&records), &frame), OK);
	assert_int_equal(frame.size, NOISE_FRAME_BYTES_MAX);
	assert_int_equal(server.sent, 4);
	assert_int_equal(open_all(&client, buf_slice(&records), &back), OK);
	assert_int_equal(back.size, sizeof(plain));
	assert_memory_equal(back.data, plain, sizeof(plain));
	buf_done(&records);
	buf_done(&back);
}

static void test_records_count_from_zero_in_each_direction(void **state)
{
	struct noise_channel client, server;
	struct buf first, second, plain;

	(void)state;
	shake(&client, &server);
	buf_init(&first);
	buf_init(&second);
	buf_init(&plain);
	noise_seal(&client, SLICE("one"), &first);
	noise_seal(&client, SLICE("two"), &second);
	assert_int_equal(open_all(&server, buf_slice(&second), &plain), ERR_CORRUPT);
	assert_int_equal(open_all(&server, buf_slice(&first), &plain), OK);
	assert_int_equal(open_all(&server, buf_slice(&first), &plain), ERR_CORRUPT);
	assert_int_equal(open_all(&server, buf_slice(&second), &plain), OK);
	assert_true(slice_equal(buf_slice(&plain), SLICE("onetwo")));
	/* what we sent ourselves is none of the other's */
	assert_int_equal(open_all(&client, buf_slice(&first), &plain), ERR_CORRUPT);
	buf_done(&first);
	buf_done(&second);
	buf_done(&plain);
}

static void test_an_empty_record_is_skipped(void **state)
{
	static const char empty_record[] = "040010";
	struct noise_channel client, server;
	struct noise_frame frame;
	struct buf record, plain;

	(void)state;
	shake(&client, &server);
	buf_init(&record);
	buf_init(&plain);
	noise_seal(&client, (struct slice) { 0 }, &record);
	assert_int_equal(record.size, 0);
	add_hex(&record, empty_record);
	buf_add_zero(&record, 15);
	assert_int_equal(noise_frame_read(buf_slice(&record), &frame), ERR_BUSY);
	buf_add_zero(&record, 1);
	assert_int_equal(noise_frame_read(buf_slice(&record), &frame), OK);
	assert_int_equal(noise_open(&server, frame.body, &plain), ERR_CORRUPT);
	assert_int_equal(noise_open(&server, slice_part(frame.body, 0, 15), &plain), ERR_CORRUPT);
	assert_int_equal(plain.size, 0);
	buf_done(&record);
	buf_done(&plain);
}

static void test_frames_beyond_the_limit_or_of_no_kind_are_refused(void **state)
{
	static const uint8_t too_long[] = { NOISE_RECORD, 0x0f, 0xfe };
	static const uint8_t long_enough[] = { NOISE_RECORD, 0x0f, 0xfd };
	static const uint8_t no_kind[] = { 1, 0, 0 };
	struct noise_frame frame;
	struct buf b;

	(void)state;
	assert_int_equal(noise_frame_read((struct slice) { too_long, 3 }, &frame), ERR_INVALID);
	assert_int_equal(noise_frame_read((struct slice) { long_enough, 3 }, &frame), ERR_BUSY);
	assert_int_equal(noise_frame_read((struct slice) { no_kind, 3 }, &frame), ERR_INVALID);
	assert_int_equal(noise_frame_read((struct slice) { no_kind, 2 }, &frame), ERR_BUSY);
	buf_init(&b);
	noise_add_error(SLICE("too old"), &b);
	assert_int_equal(noise_frame_read(buf_slice(&b), &frame), OK);
	assert_int_equal(frame.kind, NOISE_ERROR);
	assert_true(slice_equal(frame.body, SLICE("too old")));
	buf_done(&b);
}

static void test_the_initiation_travels_as_text(void **state)
{
	struct noise_handshake h;
	uint8_t message[NOISE_INITIATION_BYTES], back[NOISE_INITIATION_BYTES];
	char text[NOISE_INITIATION_TEXT_BYTES + 2] = "";

	(void)state;
	initiate(&h, message);
	noise_initiation_text(message, text);
	assert_int_equal(strlen(text), NOISE_INITIATION_TEXT_BYTES);
	assert_int_equal(noise_initiation_parse(slice_from(text), back), OK);
	assert_memory_equal(message, back, sizeof(message));
	text[NOISE_INITIATION_TEXT_BYTES] = '=';
	assert_int_equal(noise_initiation_parse(slice_from(text), back), ERR_INVALID);
	text[NOISE_INITIATION_TEXT_BYTES] = 0;
	text[NOISE_INITIATION_TEXT_BYTES - 2] = '=';
	assert_int_equal(noise_initiation_parse(slice_from(text), back), ERR_INVALID);
	text[NOISE_INITIATION_TEXT_BYTES - 2] = 'A';
	text[3] = '!';
	assert_int_equal(noise_initiation_parse(slice_from(text), back), ERR_INVALID);
	assert_int_equal(noise_initiation_parse((struct slice) { 0 }, back), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_client_says_what_the_official_one_says),
		cmocka_unit_test(test_the_server_says_what_the_official_one_says),
		cmocka_unit_test(test_a_handshake_with_any_bit_changed_is_refused),
		cmocka_unit_test(test_a_key_of_small_order_is_refused),
		cmocka_unit_test(test_long_messages_are_split_and_joined),
		cmocka_unit_test(test_records_count_from_zero_in_each_direction),
		cmocka_unit_test(test_an_empty_record_is_skipped),
		cmocka_unit_test(test_the_initiation_travels_as_text),
		cmocka_unit_test(test_frames_beyond_the_limit_or_of_no_kind_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
