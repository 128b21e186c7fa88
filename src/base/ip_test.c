#include "base/ip.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct ip ip_of(const char *text)
{
	struct ip ip = { 0 };

	assert_int_equal(ip_parse(slice_from(text), &ip), OK);
	return ip;
}

static struct ip_prefix prefix_of(const char *text)
{
	struct ip_prefix p = { { 0 }, 0 };

	assert_int_equal(ip_prefix_parse(slice_from(text), &p), OK);
	return p;
}

static void test_addresses_are_read_and_written_the_same(void **state)
{
	static const char *const texts[] = { "100.64.0.1", "0.0.0.0",		"255.255.255.255",
					     "::",	   "fd7a:115c:a1e0::1", "::ffff:10.0.0.1" };
	char text[IP_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ip_text(ip_of(texts[i]), text);
		assert_string_equal(text, texts[i]);
	}
	ip_text((struct ip) { 0 }, text);
	assert_string_equal(text, "");
	assert_true(ip_equal(ip_v4(0x64400001), ip_of("100.64.0.1")));
	assert_int_equal(ip_v4_number(ip_of("100.64.0.1")), 0x64400001);
}

static void test_what_is_no_address_is_refused(void **state)
{
	static const char *const texts[] = { "",	  "1.2.3", "1.2.3.4 ",
					     "1.2.3.256", "x",	   "fe80::1%eth0",
					     "1.2.3.4:5", ":",	   "[::1]" };
	struct ip ip = { .family = 9 };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(ip_parse(slice_from(texts[i]), &ip), ERR_INVALID);
	assert_int_equal(ip_parse(SLICE("1.2.3.4\0"), &ip), ERR_INVALID);
	assert_int_equal(ip.family, 9);
}

static void test_ports_need_brackets_around_version_6(void **state)
{
	struct ip_port p;
	char text[IP_PORT_TEXT_BYTES];

	(void)state;
	assert_int_equal(ip_port_parse(SLICE("192.0.2.1:41641"), &p), OK);
	assert_int_equal(p.port, 41641);
	ip_port_text(p, text);
	assert_string_equal(text, "192.0.2.1:41641");
	assert_int_equal(ip_port_parse(SLICE("[2001:db8::1]:65535"), &p), OK);
	ip_port_text(p, text);
	assert_string_equal(text, "[2001:db8::1]:65535");
	static const char *const wrong[] = { "192.0.2.1",
					     "192.0.2.1:",
					     "192.0.2.1:65536",
					     ":1",
					     "2001:db8::1:1",
					     "[1.2.3.4]:1",
					     "[]:1",
					     "" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(ip_port_parse(slice_from(wrong[i]), &p), ERR_INVALID);
}

static void test_a_prefix_is_masked_or_refused(void **state)
{
	static const char *const wrong[] = { "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "/8",
					     "::1/64",	   "::/129",	  "::/0000",   "::/-1" };
	struct ip_prefix p;
	char text[IP_PREFIX_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(ip_prefix_parse(slice_from(wrong[i]), &p), ERR_INVALID);
	ip_prefix_text(prefix_of("10.0.0.0/8"), text);
	assert_string_equal(text, "10.0.0.0/8");
	ip_prefix_text(prefix_of("10.1.2.3"), text);
	assert_string_equal(text, "10.1.2.3/32");
	assert_int_equal(prefix_of("::/0").bits, 0);
}

static void test_a_prefix_knows_what_is_in_it(void **state)
{
	char text[IP_TEXT_BYTES];

	(void)state;
	assert_true(ip_prefix_has(prefix_of("100.64.0.0/10"), ip_of("100.127.255.255")));
	assert_false(ip_prefix_has(prefix_of("100.64.0.0/10"), ip_of("100.128.0.0")));
	assert_false(ip_prefix_has(prefix_of("0.0.0.0/0"), ip_of("::1")));
	assert_true(ip_prefix_has(prefix_of("0.0.0.0/0"), ip_of("1.2.3.4")));
	assert_true(ip_prefix_covers(prefix_of("10.0.0.0/8"), prefix_of("10.1.0.0/16")));
	assert_false(ip_prefix_covers(prefix_of("10.1.0.0/16"), prefix_of("10.0.0.0/8")));
	ip_text(ip_prefix_last(prefix_of("10.1.0.0/20")), text);
	assert_string_equal(text, "10.1.15.255");
	ip_text(ip_prefix_last(prefix_of("fd00::/126")), text);
	assert_string_equal(text, "fd00::3");
	assert_true(ip_equal(ip_unmapped(ip_of("::ffff:10.0.0.1")), ip_of("10.0.0.1")));
	assert_true(ip_compare(ip_of("255.0.0.0"), ip_of("::")) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_are_read_and_written_the_same),
		cmocka_unit_test(test_what_is_no_address_is_refused),
		cmocka_unit_test(test_ports_need_brackets_around_version_6),
		cmocka_unit_test(test_a_prefix_is_masked_or_refused),
		cmocka_unit_test(test_a_prefix_knows_what_is_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
