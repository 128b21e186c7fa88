#include "cli/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_durations_are_a_number_and_a_unit(void **state)
{
	static const char *const wrong[] = { "",    "5",   "d",	    "0d",	    "-1d", "1w",
					     "1 d", "1dd", "3651d", "99999999999h", "d1",  "1D" };
	int64_t seconds = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(duration_parse(slice_from(wrong[i]), &seconds), ERR_INVALID);
	assert_int_equal(seconds, 7);
	assert_int_equal(duration_parse(SLICE("90d"), &seconds), OK);
	assert_int_equal(seconds, 90 * 86400);
	assert_int_equal(duration_parse(SLICE("3650d"), &seconds), OK);
	assert_int_equal(duration_parse(SLICE("45s"), &seconds), OK);
	assert_int_equal(seconds, 45);
}

static void test_tables_show_the_largest_unit(void **state)
{
	char text[DURATION_TEXT_BYTES];

	(void)state;
	duration_text(0, text);
	assert_string_equal(text, "0 s");
	duration_text(3599, text);
	assert_string_equal(text, "59 m");
	duration_text(200000, text);
	assert_string_equal(text, "2 d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations_are_a_number_and_a_unit),
		cmocka_unit_test(test_tables_show_the_largest_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
