#include "base/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs one call with standard error going to a file, and returns what it wrote. */
#define WRITTEN(call)                                                                              \
	({                                                                                         \
		FILE *file = capture_start();                                                      \
		call;                                                                              \
		capture_end(file);                                                                 \
	})

static int saved_stderr;
static char text[8192];

static FILE *capture_start(void)
{
	FILE *file = tmpfile();

	assert_non_null(file);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	return file;
}

static const char *capture_end(FILE *file)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	rewind(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

static void test_a_line_has_time_level_role_and_text(void **state)
{
	(void)state;
	log_set_role("streams");
	const char *line = WRITTEN(log_warn("disk %d is slow", 3));
	assert_int_equal(line[10], 'T');
	assert_string_equal(line + strlen("2000-01-01T00:00:00.000Z "),
			    "warn  streams: disk 3 is slow\n");
}

static void test_a_peer_cannot_forge_a_line(void **state)
{
	(void)state;
	const char *line = WRITTEN(log_error("client '%s'", "a\nb\x1b[2J"));
	assert_non_null(strstr(line, "client 'a?b?[2J'\n"));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void test_a_long_text_is_cut_and_still_one_line(void **state)
{
	char longest[4000];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	const char *line = WRITTEN(log_error("%s", longest));
	assert_int_equal(strlen(line), 2047);
	assert_int_equal(line[2045], 'x');
	assert_int_equal(line[2046], '\n');
}

static void test_levels_above_the_chosen_one_are_silent(void **state)
{
	enum log_level level;

	(void)state;
	assert_string_equal(WRITTEN(log_debug("x")), "");
	assert_true(log_level_from_name("debug", &level));
	log_set_level(level);
	assert_string_not_equal(WRITTEN(log_debug("x")), "");
	assert_true(log_level_from_name("error", &level));
	log_set_level(level);
	assert_string_equal(WRITTEN(log_warn("x")), "");
	assert_false(log_level_from_name("loud", &level));
	log_set_level(LOG_INFO);
}

static void test_logging_leaves_errno_alone(void **state)
{
	(void)state;
	errno = EXDEV;
	WRITTEN({
		errno = ENOSPC;
		log_info("x");
		assert_int_equal(errno, ENOSPC);
	});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_has_time_level_role_and_text),
		cmocka_unit_test(test_a_peer_cannot_forge_a_line),
		cmocka_unit_test(test_a_long_text_is_cut_and_still_one_line),
		cmocka_unit_test(test_levels_above_the_chosen_one_are_silent),
		cmocka_unit_test(test_logging_leaves_errno_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
