#include "streams/agent/key_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

enum { KEYS = 20000, PUTS = 60000 };

static struct slice key_of(const uint32_t *number)
{
	return (struct slice) { (const uint8_t *)number, sizeof(*number) };
}

static void test_random_keys_have_the_offset_of_their_last_record(void **state)
{
	static int64_t last[KEYS];
	struct key_map *m = key_map_new(KEY_MAP_BYTES_MAX);
	struct prng prng = { 5 };
	size_t count = 0;

	(void)state;
	for (uint32_t i = 0; i < KEYS; i++)
		last[i] = -1;
	for (int64_t i = 0; i < PUTS; i++) {
		uint32_t key = (uint32_t)prng_below(&prng, KEYS);
		int64_t offset = (int64_t)prng_below(&prng, 1000000); /* in no order */
		count += last[key] < 0;
		if (offset > last[key])
			last[key] = offset;
		assert_true(key_map_put(m, key_of(&key), offset));
	}
	assert_int_equal(key_map_count(m), count);
	for (uint32_t i = 0; i < KEYS; i++)
		assert_int_equal(key_map_find(m, key_of(&i)), last[i]);
	assert_int_equal(key_map_find(m, SLICE("")), -1);
	assert_true(key_map_put(m, SLICE(""), 0)); /* an empty key is one */
	assert_int_equal(key_map_find(m, SLICE("")), 0);
	key_map_free(m);
}

static void test_a_full_map_takes_known_keys_only(void **state)
{
	struct key_map *m = key_map_new(4096 * KEY_MAP_SLOT_BYTES + 5);
	uint32_t key = 0;

	(void)state;
	while (key_map_put(m, key_of(&key), key))
		key++;
	assert_int_equal(key, 3072);
	assert_int_equal(key_map_count(m), key);
	for (uint32_t i = 0; i < key; i++)
		assert_true(key_map_put(m, key_of(&i), 100000 + i));
	for (uint32_t i = 0; i < key; i++)
		assert_int_equal(key_map_find(m, key_of(&i)), 100000 + i);
	assert_int_equal(key_map_find(m, key_of(&key)), -1);
	key_map_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_keys_have_the_offset_of_their_last_record),
		cmocka_unit_test(test_a_full_map_takes_known_keys_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
