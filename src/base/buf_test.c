#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_what_is_appended_comes_out_in_order(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_add_text(&b, "ab");
	buf_add_slice(&b, SLICE("cd"));
	buf_add(&b, "ef", 2);
	buf_add(&b, NULL, 0);
	buf_add_format(&b, "%d%s", 12, "x");
	assert_true(slice_equal(buf_slice(&b), SLICE("abcdef12x")));
	buf_done(&b);
}

static void test_integers_are_big_endian(void **state)
{
	static const uint8_t expected[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_add_u8(&b, 0x01);
	buf_add_u16(&b, 0x0203);
	buf_add_u32(&b, 0x04050607);
	buf_add_u64(&b, 0x08090a0b0c0d0e0f);
	assert_int_equal(b.size, sizeof(expected));
	assert_memory_equal(b.data, expected, sizeof(expected));
	buf_done(&b);
}

static void test_it_grows_to_any_size_and_keeps_its_bytes(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	for (uint32_t i = 0; i < 100000; i++)
		buf_add_u32(&b, i);
	assert_int_equal(b.size, 400000);
	for (uint32_t i = 0; i < 100000; i += 997)
		assert_int_equal(__builtin_bswap32(*(uint32_t *)(void *)(b.data + 4 * i)), i);
	buf_done(&b);
}

static void test_zero_bytes_are_zero_where_old_bytes_were(void **state)
{
	static const uint8_t zeros[40];
	struct buf b;

	(void)state;
	buf_init(&b);
	memset(buf_reserve(&b, 64), 0xff, 64);
	assert_int_equal(b.size, 0);
	uint8_t *start = buf_add_zero(&b, 40);
	assert_ptr_equal(start, b.data);
	assert_memory_equal(b.data, zeros, 40);
	buf_clear(&b);
	assert_int_equal(b.size, 0);
	buf_done(&b);
}

static void test_the_front_can_be_dropped_even_from_nothing(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_drop_front(&b, 0); /* no memory yet: once undefined behaviour */
	buf_add_text(&b, "hanseatic");
	buf_drop_front(&b, 5);
	assert_true(slice_equal(buf_slice(&b), SLICE("atic")));
	buf_drop_front(&b, 4);
	assert_int_equal(b.size, 0);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_appended_comes_out_in_order),
		cmocka_unit_test(test_integers_are_big_endian),
		cmocka_unit_test(test_it_grows_to_any_size_and_keeps_its_bytes),
		cmocka_unit_test(test_zero_bytes_are_zero_where_old_bytes_were),
		cmocka_unit_test(test_the_front_can_be_dropped_even_from_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
