#include "buckets/fault_latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"

enum { DRAWS = 20000 };

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t *draw_sorted(const struct fault_latency *l, uint64_t seed)
{
	uint64_t *us = memory_take_array(DRAWS, sizeof(*us));
	struct prng p = { seed };

	for (int i = 0; i < DRAWS; i++)
		us[i] = fault_latency_draw_us(l, &p);
	qsort(us, DRAWS, sizeof(*us), compare_u64);
	return us;
}

static void test_the_median_and_the_99th_percentile_are_the_wished_ones(void **state)
{
	static const struct fault_latency wishes[] = { { 100, 195 }, { 63, 78 }, { 5, 500 } };

	(void)state;
	for (size_t i = 0; i < sizeof(wishes) / sizeof(*wishes); i++) {
		for (uint64_t seed = 1; seed <= 5; seed++) {
			uint64_t *us = draw_sorted(&wishes[i], seed);
			uint64_t p50_us = wishes[i].p50_ms * 1000, p99_us = wishes[i].p99_ms * 1000;

			assert_in_range(us[DRAWS / 2], p50_us * 93 / 100, p50_us * 107 / 100);
			assert_in_range(us[DRAWS * 99 / 100], p99_us * 85 / 100,
					p99_us * 115 / 100);
			assert_true(us[0] < p50_us && us[DRAWS - 1] > p99_us);
			memory_free(us);
		}
	}
}

static void test_draws_follow_the_seed(void **state)
{
	const struct fault_latency l = { 100, 195 };
	struct prng a = { 7 }, b = { 7 }, c = { 8 };
	int different = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		uint64_t us = fault_latency_draw_us(&l, &a);

		assert_int_equal(us, fault_latency_draw_us(&l, &b));
		different += us != fault_latency_draw_us(&l, &c);
	}
	assert_true(different > 90);
}

static void test_without_spread_each_draw_is_the_median(void **state)
{
	const struct fault_latency none = { 0, 0 }, exact = { 20, 20 };
	struct prng p = { 1 };

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(fault_latency_draw_us(&none, &p), 0);
		assert_int_equal(fault_latency_draw_us(&exact, &p), 20000);
	}
}

static void test_only_ordered_percentiles_are_parsed(void **state)
{
	static const char *const wrong[] = { "",	"-",	 "0",	"100-",	     "-195",
					     "195-100", "1-2-3", "a-b", "100-60001", "1.5" };
	struct fault_latency l = { 1, 2 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_int_not_equal(fault_latency_parse(slice_from(wrong[i]), &l), OK);
		assert_int_equal(l.p50_ms, 1);
		assert_int_equal(l.p99_ms, 2);
	}
	assert_int_equal(fault_latency_parse(SLICE("100-195"), &l), OK);
	assert_int_equal(l.p50_ms, 100);
	assert_int_equal(l.p99_ms, 195);
	assert_int_equal(fault_latency_parse(SLICE("63"), &l), OK);
	assert_int_equal(l.p50_ms, 63);
	assert_int_equal(l.p99_ms, 63);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_median_and_the_99th_percentile_are_the_wished_ones),
		cmocka_unit_test(test_draws_follow_the_seed),
		cmocka_unit_test(test_without_spread_each_draw_is_the_median),
		cmocka_unit_test(test_only_ordered_percentiles_are_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
