#include "cli/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static FILE *file;

/* A file with this in it, at its begin. */
static void put(const char *text, size_t size)
{
	file = tmpfile();
	assert_non_null(file);
	assert_int_equal(write(fileno(file), text, size), size);
	assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
}

static void test_a_password_is_a_line_without_its_end(void **state)
{
	char password[PASSWORD_BYTES_MAX + 2];

	(void)state;
	put("one two\r\nthree", 14);
	assert_true(password_read_line(file, password));
	assert_string_equal(password, "one two");
	assert_true(password_read_line(file, password));
	assert_string_equal(password, "three");
	assert_false(password_read_line(file, password));
	fclose(file);
}

/* What is read ahead stays in memory, and is missed by who reads on. */
static void test_nothing_behind_the_line_is_read(void **state)
{
	char password[PASSWORD_BYTES_MAX + 2];

	(void)state;
	put("secret\nanother secret\n", 22);
	assert_true(password_read_line(file, password));
	assert_int_equal(lseek(fileno(file), 0, SEEK_CUR), strlen("secret\n"));
	fclose(file);
}

static void test_a_password_that_is_too_long_is_none(void **state)
{
	char password[PASSWORD_BYTES_MAX + 2], text[PASSWORD_BYTES_MAX + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	put(text, PASSWORD_BYTES_MAX);
	assert_true(password_read_line(file, password));
	assert_int_equal(strlen(password), PASSWORD_BYTES_MAX);
	fclose(file);
	put(text, PASSWORD_BYTES_MAX + 1);
	assert_false(password_read_line(file, password));
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_password_is_a_line_without_its_end),
		cmocka_unit_test(test_nothing_behind_the_line_is_read),
		cmocka_unit_test(test_a_password_that_is_too_long_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
