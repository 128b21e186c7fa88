#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

static void test_memory_is_zeroed_aligned_and_apart(void **state)
{
	struct arena a;
	uint8_t *taken[200];

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < 200; i++) {
		taken[i] = arena_take(&a, i);
		assert_int_equal((uintptr_t)taken[i] % 16, 0);
		assert_true(is_zero(taken[i], i));
		memset(taken[i], (int)i, i);
	}
	for (size_t i = 1; i < 200; i++) {
		assert_int_equal(taken[i][0], i);
		assert_int_equal(taken[i][i - 1], i);
	}
	arena_done(&a);
}

static void test_a_big_piece_leaves_the_current_chunk_in_use(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	uint8_t *before = arena_take(&a, 16);
	uint8_t *big = arena_take(&a, 100000);
	uint8_t *after = arena_take(&a, 16);
	assert_ptr_equal(after, before + 16);
	big[99999] = 1;
	assert_int_equal(a.used, 100032);
	arena_done(&a);
}

static void test_memory_after_a_reset_is_zero_again(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 300; i++) {
			uint8_t *bytes = arena_take(&a, 64);
			assert_true(is_zero(bytes, 64));
			memset(bytes, 0xff, 64);
		}
		arena_reset(&a);
		assert_int_equal(a.used, 0);
	}
	arena_take(&a, 100000); /* the only chunk, and not one to keep */
	arena_reset(&a);
	assert_true(is_zero(arena_take(&a, 64), 64));
	arena_done(&a);
}

static void test_copies_are_equal_and_texts_end(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	struct slice copy = arena_copy(&a, SLICE("hanse"));
	assert_true(slice_equal(copy, SLICE("hanse")));
	assert_int_equal(arena_copy(&a, (struct slice) { NULL, 0 }).size, 0);
	assert_string_equal(arena_text(&a, SLICE("city")), "city");
	assert_string_equal(arena_text(&a, (struct slice) { NULL, 0 }), "");
	assert_string_equal(arena_format(&a, "%d of %s", 7, "nine"), "7 of nine");
	uint32_t *numbers = arena_take_array(&a, 5, sizeof(*numbers));
	numbers[4] = 4;
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_zeroed_aligned_and_apart),
		cmocka_unit_test(test_a_big_piece_leaves_the_current_chunk_in_use),
		cmocka_unit_test(test_memory_after_a_reset_is_zero_again),
		cmocka_unit_test(test_copies_are_equal_and_texts_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
