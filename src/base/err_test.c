#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_every_word_has_its_own_name(void **state)
{
	(void)state;
	for (int i = 0; i < ERR_COUNT; i++) {
		assert_non_null(err_name((enum err)i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(err_name((enum err)i), err_name((enum err)j));
	}
	assert_string_equal(err_name(ERR_COUNT), "unknown error");
}

static void test_codes_of_the_kernel_are_translated(void **state)
{
	(void)state;
	assert_int_equal(err_from_errno(0), OK);
	assert_int_equal(err_from_errno(ENOENT), ERR_NOT_FOUND);
	assert_int_equal(err_from_errno(EEXIST), ERR_EXISTS);
	assert_int_equal(err_from_errno(EROFS), ERR_DENIED);
	assert_int_equal(err_from_errno(ENOSPC), ERR_FULL);
	assert_int_equal(err_from_errno(EDQUOT), ERR_FULL);
	assert_int_equal(err_from_errno(ECONNREFUSED), ERR_UNAVAILABLE);
	assert_int_equal(err_from_errno(EIO), ERR_IO);
}

static void test_no_code_but_zero_becomes_ok(void **state)
{
	(void)state;
	for (int code = 1; code < 200; code++)
		assert_int_not_equal(err_from_errno(code), OK);
	assert_int_not_equal(err_from_errno(-1), OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_word_has_its_own_name),
		cmocka_unit_test(test_codes_of_the_kernel_are_translated),
		cmocka_unit_test(test_no_code_but_zero_becomes_ok),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
