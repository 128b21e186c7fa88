#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/random.h"

static void test_the_check_value_of_the_standard_comes_out(void **state)
{
	(void)state;
	assert_int_equal(crc32c(SLICE("123456789")), 0xe3069283u);
	assert_int_equal(crc32c(SLICE("")), 0);
}

static void test_hardware_and_table_agree_at_every_size_and_split(void **state)
{
	static uint8_t bytes[9000];
	struct prng prng = { 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)prng_next(&prng);
	for (size_t size = 0; size < sizeof(bytes); size += size < 64 ? 1 : 61) {
		struct slice s = { bytes, size };
		uint32_t expected = crc32c_add_portable(0, s);
		assert_int_equal(crc32c(s), expected);
		size_t cut = size ? (size_t)prng_below(&prng, size) : 0;
		uint32_t first = crc32c(slice_part(s, 0, cut));
		assert_int_equal(crc32c_add(first, slice_part(s, cut, size)), expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_check_value_of_the_standard_comes_out),
		cmocka_unit_test(test_hardware_and_table_agree_at_every_size_and_split),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
