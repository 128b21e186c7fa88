#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_order_is_that_of_unsigned_bytes(void **state)
{
	static const char *const ordered[] = { "", "a", "a/", "aa", "b", "\x7f", "\x80", "\xff" };
	const int count = sizeof(ordered) / sizeof(ordered[0]);

	(void)state;
	for (int i = 0; i < count; i++)
		for (int j = 0; j < count; j++) {
			int order = slice_compare(slice_from(ordered[i]), slice_from(ordered[j]));
			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
}

static void test_a_part_is_cut_at_the_end(void **state)
{
	struct slice s = SLICE("hanse"), nothing = { NULL, 0 };

	(void)state;
	assert_true(slice_equal(slice_part(s, 1, 3), SLICE("ans")));
	assert_true(slice_equal(slice_part(s, 3, 100), SLICE("se")));
	assert_int_equal(slice_part(s, 5, 1).size, 0);
	assert_int_equal(slice_part(s, SIZE_MAX, SIZE_MAX).size, 0);
	assert_int_equal(slice_part(nothing, 0, 10).size, 0);
	assert_int_equal(slice_part(nothing, 10, 10).size, 0);
}

static void test_a_beginning_is_recognised(void **state)
{
	(void)state;
	assert_true(slice_starts_with(SLICE("v1/cluster"), SLICE("v1/")));
	assert_true(slice_starts_with(SLICE("v1/"), SLICE("v1/")));
	assert_true(slice_starts_with(SLICE(""), SLICE("")));
	assert_false(slice_starts_with(SLICE("v1"), SLICE("v1/")));
	assert_false(slice_starts_with(SLICE("v2/x"), SLICE("v1/")));
}

static void test_cut_takes_what_stands_before_a_separator(void **state)
{
	struct slice rest = SLICE("a=b=");

	(void)state;
	assert_true(slice_equal(slice_cut(&rest, '='), SLICE("a")));
	assert_true(slice_equal(slice_cut(&rest, '='), SLICE("b")));
	assert_int_equal(rest.size, 0);
	assert_int_equal(slice_cut(&rest, '=').size, 0);
	rest = SLICE("whole");
	assert_true(slice_equal(slice_cut(&rest, '='), SLICE("whole")));
	assert_int_equal(rest.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_is_that_of_unsigned_bytes),
		cmocka_unit_test(test_a_part_is_cut_at_the_end),
		cmocka_unit_test(test_a_beginning_is_recognised),
		cmocka_unit_test(test_cut_takes_what_stands_before_a_separator),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
