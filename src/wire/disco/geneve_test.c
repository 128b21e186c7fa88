#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wire/disco/geneve.h"

static void test_the_header_has_the_bytes_of_the_protocol(void **state)
{
	static const uint8_t control[] = { 0, 0x80, 0x7a, 0x11, 0x01, 0x02, 0x03, 0 },
			     data[] = { 0, 0, 0x7a, 0x12, 0xff, 0xff, 0xff, 0 };
	uint8_t bytes[GENEVE_BYTES];

	(void)state;
	geneve_put(bytes, &(struct geneve) { GENEVE_DISCO, 0x10203, true });
	assert_memory_equal(bytes, control, sizeof(bytes));
	geneve_put(bytes, &(struct geneve) { GENEVE_WIREGUARD, GENEVE_VNI_MAX, false });
	assert_memory_equal(bytes, data, sizeof(bytes));
}

static void test_what_was_put_is_read_again(void **state)
{
	uint8_t bytes[GENEVE_BYTES + 1];
	struct geneve g;

	(void)state;
	geneve_put(bytes, &(struct geneve) { GENEVE_DISCO, 77, true });
	assert_int_equal(geneve_get((struct slice) { bytes, sizeof(bytes) }, &g), OK);
	assert_int_equal(g.protocol, GENEVE_DISCO);
	assert_int_equal(g.vni, 77);
	assert_true(g.is_control);
}

static void test_other_versions_options_and_cut_headers_are_refused(void **state)
{
	uint8_t bytes[GENEVE_BYTES];
	struct geneve g;

	(void)state;
	geneve_put(bytes, &(struct geneve) { GENEVE_DISCO, 77, false });
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(geneve_get((struct slice) { bytes, i }, &g), ERR_INVALID);
	for (int bit = 0; bit < 8; bit++) {
		bytes[0] = (uint8_t)(1 << bit);
		assert_int_equal(geneve_get((struct slice) { bytes, sizeof(bytes) }, &g),
				 ERR_INVALID);
	}
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(geneve_get((struct slice) { bytes, sizeof(bytes) }, &g), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_header_has_the_bytes_of_the_protocol),
		cmocka_unit_test(test_what_was_put_is_read_again),
		cmocka_unit_test(test_other_versions_options_and_cut_headers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
