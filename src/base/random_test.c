#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_two_draws_differ(void **state)
{
	uint8_t first[1000] = { 0 }, second[1000] = { 0 };

	(void)state;
	random_bytes(first, sizeof(first));
	random_bytes(second, sizeof(second));
	assert_memory_not_equal(first, second, sizeof(first));
	assert_true(random_u64() != random_u64());
	random_bytes(first, 0);
}

static void test_every_part_of_a_big_draw_is_filled(void **state)
{
	uint8_t bytes[1000] = { 0 };

	(void)state;
	for (int round = 0; round < 8; round++) {
		uint8_t draw[1000];
		random_bytes(draw, sizeof(draw));
		for (size_t i = 0; i < sizeof(draw); i++)
			bytes[i] |= draw[i];
	}
	assert_null(memchr(bytes, 0, sizeof(bytes))); /* else once in 10^16 runs */
}

static void test_a_seed_replays(void **state)
{
	struct prng a = { 1 }, b = { 1 }, other = { 2 };

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_true(prng_next(&a) == prng_next(&b));
	assert_true(prng_next(&a) != prng_next(&other));
}

static void test_the_seeded_generator_is_splitmix64(void **state)
{
	struct prng prng = { 1234567 }; /* the published first values for this seed */

	(void)state;
	assert_true(prng_next(&prng) == 6457827717110365317u);
	assert_true(prng_next(&prng) == 3203168211198807973u);
}

static void test_a_bound_is_never_reached_and_all_below_it_are(void **state)
{
	struct prng prng = { 9 };
	int seen[7] = { 0 };

	(void)state;
	for (int i = 0; i < 7000; i++) {
		uint64_t value = prng_below(&prng, 7);
		assert_true(value < 7);
		seen[value]++;
	}
	for (int i = 0; i < 7; i++)
		assert_in_range((uintmax_t)seen[i], 800, 1200);
	assert_int_equal(prng_below(&prng, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_draws_differ),
		cmocka_unit_test(test_every_part_of_a_big_draw_is_filled),
		cmocka_unit_test(test_a_seed_replays),
		cmocka_unit_test(test_the_seeded_generator_is_splitmix64),
		cmocka_unit_test(test_a_bound_is_never_reached_and_all_below_it_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
