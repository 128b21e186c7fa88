#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/random.h"

enum { WORD_COUNT = 2000 };

static struct word {
	char text[24];
	bool is_there;
} words[WORD_COUNT];

static struct slice key_of(struct word *w)
{
	return slice_from(w->text);
}

static void prepare_words(void)
{
	for (int i = 0; i < WORD_COUNT; i++) {
		snprintf(words[i].text, sizeof(words[i].text), "word-%d", i);
		words[i].is_there = false;
	}
}

static void test_an_empty_map_has_nothing(void **state)
{
	struct map m;
	size_t cursor = 0;

	(void)state;
	map_init(&m);
	assert_null(map_get(&m, SLICE("x")));
	assert_null(map_remove(&m, SLICE("x")));
	assert_null(map_next(&m, &cursor));
	map_done(&m);
}

static void test_put_returns_what_was_there_before(void **state)
{
	struct map m;
	int first, second;

	(void)state;
	map_init(&m);
	assert_null(map_put(&m, SLICE("key"), &first));
	assert_ptr_equal(map_put(&m, SLICE("key"), &second), &first);
	assert_ptr_equal(map_get(&m, SLICE("key")), &second);
	assert_int_equal(m.count, 1);
	assert_ptr_equal(map_remove(&m, SLICE("key")), &second);
	assert_null(map_get(&m, SLICE("key")));
	assert_int_equal(m.count, 0);
	map_done(&m);
}

static void test_the_empty_key_and_binary_keys_are_keys(void **state)
{
	struct map m;
	int empty, zero, zeros;

	(void)state;
	map_init(&m);
	map_put(&m, (struct slice) { NULL, 0 }, &empty);
	map_put(&m, SLICE("\0"), &zero);
	map_put(&m, SLICE("\0\0"), &zeros);
	assert_ptr_equal(map_get(&m, SLICE("")), &empty);
	assert_ptr_equal(map_get(&m, SLICE("\0")), &zero);
	assert_ptr_equal(map_get(&m, SLICE("\0\0")), &zeros);
	map_done(&m);
}

/* The oracle is one flag a word. */
static void test_random_puts_and_removes_agree_with_an_oracle(void **state)
{
	struct prng prng = { 42 };
	struct map m;
	size_t there = 0;

	(void)state;
	prepare_words();
	map_init(&m);
	for (int i = 0; i < 100000; i++) {
		struct word *w = &words[prng_below(&prng, WORD_COUNT)];
		struct word *before = w->is_there ? w : NULL;
		assert_ptr_equal(map_get(&m, key_of(w)), before);
		bool put = prng_below(&prng, 100) < (i < 50000 ? 70 : 30);
		if (put)
			assert_ptr_equal(map_put(&m, key_of(w), w), before);
		else
			assert_ptr_equal(map_remove(&m, key_of(w)), before);
		there = there + (put && !w->is_there) - (!put && w->is_there);
		w->is_there = put;
		assert_int_equal(m.count, there);
		assert_true(m.used < m.capacity);
	}
	map_done(&m);
}

static void test_every_value_is_visited_once_while_it_is_removed(void **state)
{
	struct map m;
	struct word *w;
	size_t cursor = 0, visits = 0;

	(void)state;
	prepare_words();
	map_init(&m);
	for (int i = 0; i < WORD_COUNT; i++)
		map_put(&m, key_of(&words[i]), &words[i]);
	while ((w = map_next(&m, &cursor)) != NULL) {
		assert_false(w->is_there);
		w->is_there = true;
		assert_ptr_equal(map_remove(&m, key_of(w)), w);
		visits++;
	}
	assert_int_equal(visits, WORD_COUNT);
	assert_int_equal(m.count, 0);
	map_done(&m);
}

static void test_removing_gives_the_room_back(void **state)
{
	struct map m;

	(void)state;
	prepare_words();
	map_init(&m);
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < WORD_COUNT; i++)
			map_put(&m, key_of(&words[i]), &words[i]);
		for (int i = 0; i < WORD_COUNT; i++)
			map_remove(&m, key_of(&words[i]));
	}
	assert_true(m.capacity <= 4 * 4096);
	map_done(&m);
}

static void test_the_order_replays_from_a_seed(void **state)
{
	struct word *order[2][100];

	(void)state;
	prepare_words();
	for (int round = 0; round < 2; round++) {
		struct map m;
		size_t cursor = 0;
		hash_set_seed(7);
		map_init(&m);
		for (int i = 0; i < 100; i++)
			map_put(&m, key_of(&words[i]), &words[i]);
		for (int i = 0; i < 100; i++)
			order[round][i] = map_next(&m, &cursor);
		map_done(&m);
	}
	assert_memory_equal(order[0], order[1], sizeof(order[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_map_has_nothing),
		cmocka_unit_test(test_put_returns_what_was_there_before),
		cmocka_unit_test(test_the_empty_key_and_binary_keys_are_keys),
		cmocka_unit_test(test_random_puts_and_removes_agree_with_an_oracle),
		cmocka_unit_test(test_every_value_is_visited_once_while_it_is_removed),
		cmocka_unit_test(test_removing_gives_the_room_back),
		cmocka_unit_test(test_the_order_replays_from_a_seed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
