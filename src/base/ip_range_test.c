#include "base/ip_range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_goes_round(const char *text, const char *expected)
{
	char printed[IP_RANGE_TEXT_BYTES];
	struct ip_range r, again;

	assert_int_equal(ip_range_parse(slice_from(text), &r), OK);
	ip_range_text(&r, printed);
	assert_string_equal(printed, expected);
	assert_int_equal(ip_range_parse(slice_from(printed), &again), OK);
	assert_memory_equal(&r, &again, sizeof(r));
}

static void test_ranges_are_read_and_printed(void **state)
{
	(void)state;
	assert_goes_round("100.64.0.1", "100.64.0.1");
	assert_goes_round("100.64.0.1/32", "100.64.0.1");
	assert_goes_round("100.64.0.0/10", "100.64.0.0/10");
	assert_goes_round("0.0.0.0/0", "0.0.0.0/0");
	assert_goes_round("10.0.0.3-10.0.0.9", "10.0.0.3-10.0.0.9");
	assert_goes_round("10.0.0.0-10.0.0.255", "10.0.0.0/24");
	assert_goes_round("::/0", "::/0");
	assert_goes_round("FD7A:115c:a1e0::1", "fd7a:115c:a1e0::1");
	assert_goes_round("fd7a:115c:a1e0::/48", "fd7a:115c:a1e0::/48");
}

static void test_what_is_not_a_range_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"*",
		"1.2.3",
		"1.2.3.4/33",
		"1.2.3.4/24",
		"1.2.3.4/",
		"1.2.3.4/-1",
		"::/129",
		"::1/64",
		"::ffff:1.2.3.4",
		"1.2.3.4-::",
		"2.0.0.0-1.0.0.0",
		"fe80::1%eth0",
		"1.2.3.4-1.2.3.5-1.2.3.6",
		"host",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ip_range r = { .first = { 7, { 7 } } };

		assert_int_equal(ip_range_parse(slice_from(bad[i]), &r), ERR_INVALID);
		assert_int_equal(r.first.bytes[0], 7);
	}
}

static void test_neighbours_stay_in_their_family(void **state)
{
	struct ip a, b;
	char text[IP_TEXT_BYTES];

	(void)state;
	assert_int_equal(ip_parse(SLICE("10.0.0.255"), &a), OK);
	assert_true(ip_next(a, &b));
	ip_text(b, text);
	assert_string_equal(text, "10.0.1.0");
	assert_true(ip_previous(b, &b));
	assert_true(ip_equal(a, b));
	assert_int_equal(ip_parse(SLICE("255.255.255.255"), &a), OK);
	assert_false(ip_next(a, &b));
	assert_int_equal(ip_parse(SLICE("0.0.0.0"), &a), OK);
	assert_false(ip_previous(a, &b));
	assert_int_equal(ip_parse(SLICE("::"), &a), OK);
	assert_false(ip_previous(a, &b));
}

static void test_all_of_ipv6_holds_no_ipv4(void **state)
{
	struct ip_range all_6 = ip_range_all(IP_V6), all_4 = ip_range_all(IP_V4);
	struct ip a;

	(void)state;
	assert_int_equal(ip_parse(SLICE("192.0.2.1"), &a), OK);
	assert_true(ip_range_contains(&all_4, a));
	assert_false(ip_range_contains(&all_6, a));
	assert_false(ip_range_covers(&all_6, &all_4));
	assert_false(ip_range_overlaps(&all_6, &all_4));
	assert_int_equal(ip_parse(SLICE("2001:db8::1"), &a), OK);
	assert_true(ip_range_contains(&all_6, a));
	assert_false(ip_range_contains(&all_4, a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_are_read_and_printed),
		cmocka_unit_test(test_what_is_not_a_range_is_refused),
		cmocka_unit_test(test_neighbours_stay_in_their_family),
		cmocka_unit_test(test_all_of_ipv6_holds_no_ipv4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
