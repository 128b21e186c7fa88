#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_numbers_are_read_up_to_their_limit(void **state)
{
	uint64_t number = 77;

	(void)state;
	assert_int_equal(text_to_u64(SLICE("0"), 10, &number), OK);
	assert_int_equal(number, 0);
	assert_int_equal(text_to_u64(SLICE("18446744073709551615"), UINT64_MAX, &number), OK);
	assert_true(number == UINT64_MAX);
	number = 77;
	assert_int_equal(text_to_u64(SLICE("18446744073709551616"), UINT64_MAX, &number),
			 ERR_TOO_BIG);
	assert_int_equal(text_to_u64(SLICE("11"), 10, &number), ERR_TOO_BIG);
	assert_int_equal(number, 77);
}

static void test_what_is_not_a_number_is_refused(void **state)
{
	static const char *const bad[] = { "", " 1", "1 ", "-1", "+1", "1x", "0x1", "1.0" };
	uint64_t number = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_to_u64(slice_from(bad[i]), 1000, &number), ERR_INVALID);
	assert_int_equal(number, 77);
}

static void test_hexadecimal_goes_there_and_back(void **state)
{
	static const uint8_t bytes[] = { 0x00, 0x0f, 0xa5, 0xff };
	char hex[9];
	uint8_t back[4] = { 0 };

	(void)state;
	hex_encode(hex, (struct slice) { bytes, sizeof(bytes) });
	assert_string_equal(hex, "000fa5ff");
	assert_int_equal(hex_decode(slice_from(hex), back, sizeof(back)), OK);
	assert_memory_equal(back, bytes, sizeof(bytes));
}

static void test_bad_hexadecimal_leaves_the_output_alone(void **state)
{
	uint8_t back[2] = { 1, 2 };

	(void)state;
	assert_int_equal(hex_decode(SLICE("00fg"), back, 2), ERR_INVALID);
	assert_int_equal(hex_decode(SLICE("00FF"), back, 2), ERR_INVALID);
	assert_int_equal(hex_decode(SLICE("00f"), back, 2), ERR_INVALID);
	assert_int_equal(hex_decode(SLICE("00ffff"), back, 2), ERR_INVALID);
	assert_int_equal(back[0], 1);
	assert_int_equal(back[1], 2);
}

static void test_a_mistyped_word_finds_the_nearest(void **state)
{
	static const char *const words[] = { "--bucket", "--kafka", "--peer", "--site", NULL };
	char longest[200];

	(void)state;
	assert_string_equal(text_nearest("--buckt", words), "--bucket");
	assert_string_equal(text_nearest("--kakfa", words), "--kafka");
	assert_string_equal(text_nearest("--site", words), "--site");
	assert_null(text_nearest("--something-else", words));
	assert_null(text_nearest("", words));
	memset(longest, 'x', sizeof(longest));
	longest[199] = '\0';
	assert_null(text_nearest(longest, words));
}

static void test_host_and_port_are_taken_apart(void **state)
{
	char host[16];
	uint16_t port;

	(void)state;
	assert_int_equal(text_host_port("127.0.0.1:9092", host, sizeof(host), &port), OK);
	assert_string_equal(host, "127.0.0.1");
	assert_int_equal(port, 9092);
	assert_int_equal(text_host_port("[::1]:65535", host, sizeof(host), &port), OK);
	assert_string_equal(host, "::1");
	assert_int_equal(port, 65535);
	assert_int_equal(text_host_port("exactly15bytes.:1", host, sizeof(host), &port), OK);
	assert_string_equal(host, "exactly15bytes.");
}

static void test_a_bad_host_or_port_is_refused(void **state)
{
	static const char *const bad[] = { "",	   "host",  ":1",   "host:", "host:x",	"::1:80",
					   "[]:1", "[::1]", "[a:1", "a]:1",  "[[a]]:1", "host:-1" };
	char host[16] = "before";
	uint16_t port = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_host_port(bad[i], host, sizeof(host), &port), ERR_INVALID);
	assert_int_equal(text_host_port("host:65536", host, sizeof(host), &port), ERR_TOO_BIG);
	assert_int_equal(text_host_port("just16bytes.long:1", host, sizeof(host), &port),
			 ERR_TOO_BIG);
	assert_string_equal(host, "before");
	assert_int_equal(port, 7);
}

static void test_an_id_is_printed_as_kafka_prints_it(void **state)
{
	static const uint8_t one[16] = { [15] = 1 };
	static const uint8_t all[16] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	char text[23];

	(void)state;
	uuid_text(text, one); /* Kafka's name for the metadata topic */
	assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAQ");
	uuid_text(text, all);
	assert_string_equal(text, "_____________________w");
}

static void test_characters_of_utf8_are_known(void **state)
{
	(void)state;
	assert_int_equal(utf8_size(SLICE("a")), 1);
	assert_int_equal(utf8_size(SLICE("\xc3\xbc")), 2);
	assert_int_equal(utf8_size(SLICE("\xe2\x82\xac.")), 3);
	assert_int_equal(utf8_size(SLICE("\xf0\x9f\x98\x80")), 4);
	assert_int_equal(utf8_size(SLICE("\xff")), 0);
	assert_int_equal(utf8_size(SLICE("\xbc")), 0);		   /* begins nothing */
	assert_int_equal(utf8_size(SLICE("\xc3")), 0);		   /* cut off */
	assert_int_equal(utf8_size(SLICE("\xc3.")), 0);		   /* goes on otherwise */
	assert_int_equal(utf8_size(SLICE("\xc0\x80")), 0);	   /* overlong */
	assert_int_equal(utf8_size(SLICE("\xe0\x9f\xbf")), 0);	   /* overlong */
	assert_int_equal(utf8_size(SLICE("\xf0\x8f\xbf\xbf")), 0); /* overlong */
	assert_int_equal(utf8_size(SLICE("\xed\xa0\x80")), 0);	   /* a surrogate */
	assert_int_equal(utf8_size(SLICE("\xf4\x90\x80\x80")), 0); /* beyond U+10FFFF */
	assert_int_equal(utf8_size(SLICE("\xf5\x80\x80\x80")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_characters_of_utf8_are_known),
		cmocka_unit_test(test_numbers_are_read_up_to_their_limit),
		cmocka_unit_test(test_what_is_not_a_number_is_refused),
		cmocka_unit_test(test_hexadecimal_goes_there_and_back),
		cmocka_unit_test(test_bad_hexadecimal_leaves_the_output_alone),
		cmocka_unit_test(test_a_mistyped_word_finds_the_nearest),
		cmocka_unit_test(test_host_and_port_are_taken_apart),
		cmocka_unit_test(test_a_bad_host_or_port_is_refused),
		cmocka_unit_test(test_an_id_is_printed_as_kafka_prints_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
