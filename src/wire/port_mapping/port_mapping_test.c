#include "wire/port_mapping/port_mapping.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/text.h"

static struct slice bytes(const char *hex, uint8_t *room)
{
	size_t size = strlen(hex) / 2;

	assert_int_equal(hex_decode(slice_from(hex), room, size), OK);
	return (struct slice) { room, size };
}

static void assert_hex(const uint8_t *got, size_t size, const char *expected)
{
	char text[256];

	hex_encode(text, (struct slice) { got, size });
	assert_string_equal(text, expected);
}

/* The bytes are drawn by hand from RFC 6886, 3.2 and 3.3, and RFC 6887, 7.1 and 11.1. */
static void test_requests_are_those_of_the_standards(void **state)
{
	static const uint8_t nonce[PORT_MAPPING_NONCE_BYTES] = { 1, 2, 3, 4,  5,  6,
								 7, 8, 9, 10, 11, 12 };
	struct endpoint ours = endpoint_ip4(192, 168, 1, 2, 41641);
	uint8_t address[NATPMP_ADDRESS_BYTES], natpmp[NATPMP_MAP_BYTES], pcp[PCP_MAP_BYTES];

	(void)state;
	natpmp_ask_address(address);
	assert_hex(address, sizeof(address), "0000");
	natpmp_ask_map(41641, 41641, 7200, natpmp);
	assert_hex(natpmp, sizeof(natpmp), "00010000a2a9a2a900001c20");
	pcp_ask_map(nonce, &ours, 0, 7200, pcp);
	assert_hex(pcp, sizeof(pcp),
		   "0201000000001c2000000000000000000000ffffc0a80102"
		   "0102030405060708090a0b0c11000000a2a90000"
		   "00000000000000000000ffff00000000");
}

static void test_answers_say_what_the_router_keeps(void **state)
{
	struct endpoint outside = endpoint_ip4(203, 0, 113, 9, 0);
	struct port_mapping_answer a;
	uint8_t room[64];

	(void)state;
	assert_int_equal(port_mapping_read(bytes("0080000000000001cb007109", room), &a), OK);
	assert_int_equal(a.kind, NATPMP_ADDRESS);
	assert_true(endpoint_same_ip(&a.outside, &outside));
	assert_int_equal(port_mapping_read(bytes("0081000000000001a2a9a2aa00001c20", room), &a),
			 OK);
	assert_int_equal(a.kind, NATPMP_MAP);
	assert_int_equal(a.port, 41641);
	assert_int_equal(a.outside.port, 41642);
	assert_int_equal(a.seconds, 7200);
	assert_int_equal(port_mapping_read(bytes("0281000000001c2000000001000000000000000000000000"
						 "0102030405060708090a0b0c11000000a2a9a2aa"
						 "00000000000000000000ffffcb007109",
						 room),
					   &a),
			 OK);
	assert_int_equal(a.kind, PCP_MAP);
	assert_int_equal(a.seconds, 7200);
	assert_int_equal(a.outside.port, 41642);
	assert_true(endpoint_same_ip(&a.outside, &outside));
	assert_int_equal(a.nonce[11], 12);
}

static void test_a_refusal_is_an_answer_too(void **state)
{
	struct port_mapping_answer a;
	uint8_t room[64];

	(void)state;
	/* A router with NAT-PMP alone, asked by PCP: unsupported version. */
	assert_int_equal(port_mapping_read(bytes("0081000100000001", room), &a), OK);
	assert_int_equal(a.result, 1);
	assert_int_equal(
		port_mapping_read(bytes("02810002000000000000000100000000000000000000000000000000",
					room),
				  &a),
		OK);
	assert_int_equal(a.kind, PCP_MAP);
	assert_int_equal(a.result, 2);
}

static void test_what_is_no_answer_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"00",
		"0080",
		"0000000000000001cb007109",			    /* a request */
		"0080000000000001cb0071",			    /* short */
		"0081000000000001a2a9a2aa00001c",		    /* short */
		"0180000000000001cb007109",			    /* of a version there is not */
		"0281000000001c2000000001000000000000000000000000", /* a map without one */
	};
	struct port_mapping_answer a = { .seconds = 77 };
	uint8_t room[64];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(port_mapping_read(bytes(texts[i], room), &a), ERR_INVALID);
	assert_int_equal(a.seconds, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_are_those_of_the_standards),
		cmocka_unit_test(test_answers_say_what_the_router_keeps),
		cmocka_unit_test(test_a_refusal_is_an_answer_too),
		cmocka_unit_test(test_what_is_no_answer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
