/* The vectors of RFC 5769 ("Test Vectors for STUN"), and what must not be believed. */
#include "wire/stun/stun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"

static const uint8_t id[STUN_ID_BYTES] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

static struct slice from_hex(const char *hex, uint8_t *room)
{
	size_t size = strlen(hex) / 2;

	assert_int_equal(hex_decode(slice_from(hex), room, size), OK);
	return (struct slice) { room, size };
}

/* RFC 5769, 2.2 and 2.3, without MESSAGE-INTEGRITY (which would need a password): the attributes
 * SOFTWARE and XOR-MAPPED-ADDRESS as they stand there. */
static const char answer_ipv4[] = "0101001c2112a442b7e7a701bc34d686fa87dfae"
				  "8022000b7465737420766563746f7220"
				  "002000080001a147e112a643";
static const char answer_ipv6[] = "010100282112a442b7e7a701bc34d686fa87dfae"
				  "8022000b7465737420766563746f7220"
				  "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9";

static void test_the_answers_of_the_rfc_are_read(void **state)
{
	static const uint8_t ipv4[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1 };
	static const uint8_t ipv6[16] = { 0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78,
					  0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77 };
	uint8_t room[256], found[STUN_ID_BYTES];
	struct endpoint seen;

	(void)state;
	assert_int_equal(stun_read_answer(from_hex(answer_ipv4, room), found, &seen), OK);
	assert_memory_equal(seen.ip, ipv4, 16);
	assert_int_equal(seen.port, 32853);
	assert_memory_equal(found, room + 8, STUN_ID_BYTES);
	assert_int_equal(stun_read_answer(from_hex(answer_ipv6, room), found, &seen), OK);
	assert_memory_equal(seen.ip, ipv6, 16);
	assert_int_equal(seen.port, 32853);
}

static void test_ipv4_is_said_as_ipv4_however_it_arrived(void **state)
{
	struct endpoint seen = { .ip = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 }, .port = 32853 };
	uint8_t room[256], answer[STUN_ANSWER_BYTES_MAX], found[STUN_ID_BYTES];
	struct slice wanted = from_hex(answer_ipv4, room);
	struct endpoint back;

	(void)state;
	size_t size = stun_make_answer(room + 8, &seen, answer);
	assert_int_equal(size, 32);
	assert_memory_equal(answer + 20, wanted.data + wanted.size - 12, 12);
	assert_int_equal(stun_read_answer((struct slice) { answer, size }, found, &back), OK);
	assert_memory_equal(&back, &seen, sizeof(seen));

	seen.ip[0] = 0x20;
	size = stun_make_answer(id, &seen, answer);
	assert_int_equal(size, STUN_ANSWER_BYTES_MAX);
	assert_int_equal(stun_read_answer((struct slice) { answer, size }, found, &back), OK);
	assert_memory_equal(&back, &seen, sizeof(seen));
}

static void test_our_request_is_the_official_clients(void **state)
{
	uint8_t request[STUN_REQUEST_BYTES], found[STUN_ID_BYTES];
	struct slice packet = { request, sizeof(request) };

	(void)state;
	stun_make_request(id, request);
	assert_memory_equal(request + 20, "\x80\x22\x00\x08tailnode\x80\x28\x00\x04", 16);
	assert_true(stun_is_message(packet));
	assert_int_equal(stun_read_request(packet, found), OK);
	assert_memory_equal(found, id, STUN_ID_BYTES);
	for (size_t i = 0; i < sizeof(request); i++) {
		if (i == 32 || i == 33) /* without its type it is no FINGERPRINT, and need not be */
			continue;
		request[i] ^= 0x10;
		assert_int_not_equal(stun_read_request(packet, found), OK);
		request[i] ^= 0x10;
	}
}

static void test_a_bare_request_of_any_program_is_read(void **state)
{
	uint8_t room[64], found[STUN_ID_BYTES];
	struct slice bare = from_hex("000100002112a442000102030405060708090a0b", room);

	(void)state;
	assert_int_equal(stun_read_request(bare, found), OK);
	assert_int_equal(found[11], 11);
	/* One attribute that must be understood (CHANGE-REQUEST of old). */
	struct slice odd = from_hex("000100082112a442000102030405060708090a0b"
				    "0003000400000006",
				    room);
	assert_int_equal(stun_read_request(odd, found), ERR_UNSUPPORTED);
}

static void test_what_is_cut_off_or_lies_about_its_size_is_refused(void **state)
{
	uint8_t room[256], found[STUN_ID_BYTES];
	struct slice whole = from_hex(answer_ipv6, room);
	struct endpoint seen;

	(void)state;
	for (size_t i = 0; i < whole.size; i++)
		assert_int_equal(stun_read_answer(slice_part(whole, 0, i), found, &seen),
				 ERR_INVALID);
	room[whole.size - 23] = 0x15; /* one byte longer than there is */
	assert_int_equal(stun_read_answer(whole, found, &seen), ERR_INVALID);
	assert_int_equal(stun_read_request(whole, found), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_answers_of_the_rfc_are_read),
		cmocka_unit_test(test_ipv4_is_said_as_ipv4_however_it_arrived),
		cmocka_unit_test(test_our_request_is_the_official_clients),
		cmocka_unit_test(test_a_bare_request_of_any_program_is_read),
		cmocka_unit_test(test_what_is_cut_off_or_lies_about_its_size_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
