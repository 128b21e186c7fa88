#include "wire/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct endpoint parsed(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(slice_from(text), &e), OK);
	return e;
}

static void test_what_is_written_is_read_again(void **state)
{
	static const char *const texts[] = { "192.0.2.1:41641", "[2001:db8::1]:1", "[::1]:65535",
					     "0.0.0.0:0", "[fe80::1:2:3:4]:80" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct endpoint e = parsed(texts[i]);
		uint8_t wire[ENDPOINT_WIRE_BYTES];
		char text[ENDPOINT_TEXT_BYTES];

		endpoint_text(&e, text);
		assert_string_equal(text, texts[i]);
		endpoint_put(wire, &e);
		struct endpoint again = endpoint_get(wire);
		assert_true(endpoint_equal(&e, &again));
	}
}

static void test_a_mapped_address_is_the_ipv4_address(void **state)
{
	struct endpoint a = parsed("[::ffff:192.0.2.1]:9");
	struct endpoint b = endpoint_ip4(192, 0, 2, 1, 9);

	(void)state;
	assert_true(endpoint_equal(&a, &b));
	assert_true(endpoint_is_ip4(&a));
}

static void test_what_is_no_endpoint_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		":",
		"192.0.2.1",
		"192.0.2.1:",
		"192.0.2.1:65536",
		"name:1",
		"[::1]",
		"[::1:1",
		"::1:1",
		"[]:1",
		"[:1",
		"1.2.3:4",
		"1.2.3.4:+1",
		"[1.2.3.4",
		"192.0.2.1:-1",
		"256.0.0.1:1",
		"[::1%lo]:1",
	};
	struct endpoint e = endpoint_ip4(1, 2, 3, 4, 5), before = e;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(endpoint_parse(slice_from(texts[i]), &e), ERR_INVALID);
	assert_true(endpoint_equal(&e, &before));
}

static void test_kinds_of_addresses_are_told_apart(void **state)
{
	struct endpoint e;

	(void)state;
	e = parsed("169.254.1.1:1");
	assert_true(endpoint_is_link_local(&e));
	e = parsed("[fe80::1]:1");
	assert_true(endpoint_is_link_local(&e));
	e = parsed("127.0.0.1:1");
	assert_true(endpoint_is_loopback(&e));
	e = parsed("[::1]:1");
	assert_true(endpoint_is_loopback(&e) && !endpoint_is_private(&e));
	e = parsed("172.31.0.1:1");
	assert_true(endpoint_is_private(&e));
	e = parsed("172.32.0.1:1");
	assert_false(endpoint_is_private(&e));
	e = parsed("[fd00::1]:1");
	assert_true(endpoint_is_private(&e));
	e = parsed("100.127.0.1:1");
	assert_true(endpoint_is_shared(&e) && !endpoint_is_private(&e));
	e = parsed("100.128.0.1:1");
	assert_false(endpoint_is_shared(&e));
}

static void test_no_datagram_goes_to_groups_or_nowhere(void **state)
{
	static const char *const no[] = { "192.0.2.1:0", "0.0.0.0:5",	"224.0.0.1:5",
					  "[::]:5",	 "[ff02::1]:5", "255.255.255.255:5" };
	static const char *const yes[] = { "192.0.2.1:1", "223.255.255.255:5", "[2001:db8::]:5" };
	struct endpoint e;

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		e = parsed(no[i]);
		assert_false(endpoint_is_unicast(&e));
	}
	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		e = parsed(yes[i]);
		assert_true(endpoint_is_unicast(&e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read_again),
		cmocka_unit_test(test_a_mapped_address_is_the_ipv4_address),
		cmocka_unit_test(test_what_is_no_endpoint_is_refused),
		cmocka_unit_test(test_kinds_of_addresses_are_told_apart),
		cmocka_unit_test(test_no_datagram_goes_to_groups_or_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
