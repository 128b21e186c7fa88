#include "buckets/hedge_delay.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_too_few_requests_say_nothing(void **state)
{
	struct hedge_delay d = { 0 };

	(void)state;
	for (int i = 0; i < HEDGE_SAMPLES_MIN - 1; i++)
		hedge_delay_add(&d, 100);
	assert_int_equal(hedge_delay_ms(&d), HEDGE_DELAY_MS_MAX);
	hedge_delay_add(&d, 100);
	assert_int_equal(hedge_delay_ms(&d), 100);
}

static void test_it_is_the_95th_percentile_of_the_last_ones(void **state)
{
	struct hedge_delay d = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		hedge_delay_add(&d, 100 + i * 7 % 100); /* each of 100 to 199 as often */
	assert_in_range(hedge_delay_ms(&d), 188, 199);
	for (int i = 0; i < HEDGE_SAMPLES; i++)
		hedge_delay_add(&d, 50);
	assert_int_equal(hedge_delay_ms(&d), 50);
}

static void test_it_has_a_floor_and_a_ceiling(void **state)
{
	struct hedge_delay quick = { 0 }, slow = { 0 };

	(void)state;
	for (int i = 0; i < HEDGE_SAMPLES; i++) {
		hedge_delay_add(&quick, 0);
		hedge_delay_add(&slow, UINT64_MAX);
	}
	assert_int_equal(hedge_delay_ms(&quick), HEDGE_DELAY_MS_MIN);
	assert_int_equal(hedge_delay_ms(&slow), HEDGE_DELAY_MS_MAX);
}

static void test_one_straggler_in_a_hundred_does_not_move_it(void **state)
{
	struct hedge_delay d = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		hedge_delay_add(&d, i % 100 ? 100 : 5000);
		if (i > HEDGE_SAMPLES)
			assert_int_equal(hedge_delay_ms(&d), 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_few_requests_say_nothing),
		cmocka_unit_test(test_it_is_the_95th_percentile_of_the_last_ones),
		cmocka_unit_test(test_it_has_a_floor_and_a_ceiling),
		cmocka_unit_test(test_one_straggler_in_a_hundred_does_not_move_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
