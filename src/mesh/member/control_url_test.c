#include "mesh/member/control_url.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check(const char *text, bool is_tls, const char *host, uint16_t port,
		  const char *authority)
{
	char got[CONTROL_URL_AUTHORITY_BYTES];
	struct control_url u;

	assert_int_equal(control_url_parse(slice_from(text), &u), OK);
	assert_int_equal(u.is_tls, is_tls);
	assert_string_equal(u.host, host);
	assert_int_equal(u.port, port);
	assert_string_equal(u.text, text);
	control_url_authority(&u, got);
	assert_string_equal(got, authority);
}

static void test_urls_of_control_are_read(void **state)
{
	(void)state;
	check("http://192.0.2.1:8641", false, "192.0.2.1", 8641, "192.0.2.1:8641");
	check("http://control.example", false, "control.example", 80, "control.example");
	check("https://control.example/", true, "control.example", 443, "control.example");
	check("https://control.example:80", true, "control.example", 80, "control.example:80");
	check("http://[2001:db8::1]:8641/", false, "2001:db8::1", 8641, "[2001:db8::1]:8641");
	check("https://[2001:db8::1]", true, "2001:db8::1", 443, "[2001:db8::1]");
}

static void test_what_is_no_url_of_control_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"http://",
		"http:///",
		"ftp://a",
		"a.example:80",
		"http://a:0",
		"http://a:65536",
		"http://a:8x",
		"http://a:",
		"http://a/path",
		"http://user@a",
		"http://[::1",
		"http://[::1]x",
		"http://[]",
		"http://a b",
		"http://a\nHost: b",
	};
	char longest[CONTROL_URL_BYTES_MAX + 2];
	struct control_url u;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (control_url_parse(slice_from(bad[i]), &u) != ERR_INVALID)
			fail_msg("%s was taken", bad[i]);
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "http://", 7);
	assert_int_equal(control_url_parse((struct slice) { (uint8_t *)longest, sizeof(longest) },
					   &u),
			 ERR_TOO_BIG);
	assert_int_equal(control_url_parse((struct slice) { (uint8_t *)longest, 7 + 254 }, &u),
			 ERR_INVALID);
}

static void test_the_path_of_a_url_is_found(void **state)
{
	(void)state;
	assert_true(slice_equal(control_url_path(SLICE("https://unused/c2n/abc?x=1")),
				SLICE("/c2n/abc?x=1")));
	assert_true(slice_equal(control_url_path(SLICE("http://a")), SLICE("/")));
	assert_int_equal(control_url_path(SLICE("nonsense")).size, 0);
	assert_int_equal(control_url_path(SLICE("http://a/b c")).size, 0);
	assert_int_equal(control_url_path(SLICE("http://a/b\r\nX: y")).size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls_of_control_are_read),
		cmocka_unit_test(test_what_is_no_url_of_control_is_refused),
		cmocka_unit_test(test_the_path_of_a_url_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
