#include "buckets/s3_pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { START_MS = 10 * 1000 };

/* So many requests within a second, evenly. */
static void send(struct s3_pace *p, uint64_t from_ms, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		s3_pace_take_ms(p, from_ms + i * 1000 / count);
}

static void test_without_complaints_nobody_waits(void **state)
{
	struct s3_pace p = { 0 };

	(void)state;
	for (int i = 0; i < 10000; i++)
		assert_int_equal(s3_pace_take_ms(&p, START_MS), 0);
}

static void test_a_complaint_halves_what_was_sent_in_a_second(void **state)
{
	struct s3_pace p = { 0 };

	(void)state;
	send(&p, START_MS, 200);
	assert_true(s3_pace_slow_down(&p, START_MS + 999));
	assert_int_equal(p.limit, 100);
	uint64_t last_ms = 0;
	for (int i = 0; i < 100; i++) {
		uint64_t wait_ms = s3_pace_take_ms(&p, START_MS + 1000);

		assert_true(wait_ms >= last_ms && wait_ms <= last_ms + 10);
		last_ms = wait_ms;
	}
	assert_in_range(last_ms, 980, 1010);
}

static void test_complaints_of_one_moment_are_one(void **state)
{
	struct s3_pace p = { 0 };

	(void)state;
	send(&p, START_MS, 200);
	assert_true(s3_pace_slow_down(&p, START_MS + 999));
	for (uint64_t i = 0; i < 100; i++)
		assert_false(s3_pace_slow_down(&p, START_MS + 999 + i));
	assert_int_equal(p.limit, 100);
	assert_true(s3_pace_slow_down(&p, START_MS + 999 + S3_PACE_MOMENT_MS));
	assert_int_equal(p.limit, 50);
	for (uint64_t i = 2; i < 20; i++)
		s3_pace_slow_down(&p, START_MS + 999 + i * S3_PACE_MOMENT_MS);
	assert_int_equal(p.limit, S3_PACE_MIN);
}

static void test_it_grows_back_and_is_gone_above_twice_of_what_was_too_much(void **state)
{
	struct s3_pace p = { 0 };
	uint64_t before = 100, seconds = 0;

	(void)state;
	send(&p, START_MS, 200);
	assert_true(s3_pace_slow_down(&p, START_MS + 999));
	while (p.limit) {
		s3_pace_take_ms(&p, START_MS + 1000 + 1000 * ++seconds);
		assert_true(p.limit == 0 || (p.limit > before && p.limit <= 400));
		before = p.limit;
		assert_true(seconds < 60);
	}
	assert_in_range(seconds, 6, 14); /* four times as much */
	assert_int_equal(s3_pace_take_ms(&p, START_MS + 1000 * seconds), 0);
}

static void test_who_asked_little_is_not_starved(void **state)
{
	struct s3_pace p = { 0 };

	(void)state;
	s3_pace_take_ms(&p, START_MS);
	assert_true(s3_pace_slow_down(&p, START_MS + 20));
	assert_in_range(s3_pace_take_ms(&p, START_MS + 20), 1, 1000 / S3_PACE_FIRST_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_complaints_nobody_waits),
		cmocka_unit_test(test_a_complaint_halves_what_was_sent_in_a_second),
		cmocka_unit_test(test_complaints_of_one_moment_are_one),
		cmocka_unit_test(test_it_grows_back_and_is_gone_above_twice_of_what_was_too_much),
		cmocka_unit_test(test_who_asked_little_is_not_starved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
