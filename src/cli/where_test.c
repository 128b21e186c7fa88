#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/where.h"

#define NOW_MS UINT64_C(1795356000000) /* 2026-11-22T14:00:00Z */

static void assert_where(const char *text, enum where_kind kind, int64_t number)
{
	struct where where;

	assert_int_equal(where_parse(text, NOW_MS, &where), OK);
	assert_int_equal(where.kind, kind);
	assert_int_equal(where.number, number);
}

static void assert_none(const char *text)
{
	struct where where;

	assert_int_equal(where_parse(text, NOW_MS, &where), ERR_INVALID);
}

static void test_every_form_is_read(void **state)
{
	(void)state;
	assert_where("earliest", WHERE_EARLIEST, 0);
	assert_where("latest", WHERE_LATEST, 0);
	assert_where("0", WHERE_OFFSET, 0);
	assert_where("9223372036854775807", WHERE_OFFSET, INT64_MAX);
	assert_where("-100", WHERE_RELATIVE, -100);
	assert_where("+7", WHERE_RELATIVE, 7);
	assert_where("30m", WHERE_TIME, (int64_t)NOW_MS - 1800 * 1000);
	assert_where("2026-11-22T14:00:00Z", WHERE_TIME, (int64_t)NOW_MS);
	assert_where("2026-11-22T14:00:00.7Z", WHERE_TIME, (int64_t)NOW_MS + 700);
	assert_where("2026-11-22T14:00:00.0239", WHERE_TIME, (int64_t)NOW_MS + 23);
	assert_where("2026-11-22T14:00", WHERE_TIME, (int64_t)NOW_MS);
	assert_where("2026-11-22", WHERE_TIME, (int64_t)NOW_MS - 14 * 3600 * 1000);
}

static void test_what_is_no_place_is_refused(void **state)
{
	(void)state;
	assert_none("");
	assert_none("-");
	assert_none("--1");
	assert_none("first");
	assert_none("9223372036854775808");
	assert_none("12x");
	assert_none("2026-02-30");
	assert_none("2026-11-22T25:00");
	assert_none("2026-11-22T14:00:00.Z");
	assert_none("2026-11-22T14:00.5Z");
	assert_none("2026-11-22.5");
	assert_none("2026-11-22T14:00+01:00");
	assert_none("1969-12-31");
}

static void test_times_are_written_as_they_are_read(void **state)
{
	char text[WHERE_TIME_TEXT_BYTES];

	(void)state;
	where_time_text((int64_t)NOW_MS + 23, text);
	assert_string_equal(text, "2026-11-22T14:00:00.023Z");
	assert_where(text, WHERE_TIME, (int64_t)NOW_MS + 23);
	where_time_text(-1, text);
	assert_string_equal(text, "-");
	where_time_text(INT64_MAX, text);
	assert_string_equal(text, "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_form_is_read),
		cmocka_unit_test(test_what_is_no_place_is_refused),
		cmocka_unit_test(test_times_are_written_as_they_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
