#include "wire/streams/tombstone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/endian.h"
#include "wire/corpus_test.h"
#include "wire/streams/data_file.h"

static const struct tombstone example = {
	.cluster_id = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
	.incarnation = 0x1122334455667788,
	.sequence = 42,
	.created_ms = 1700000000000,
};

static void make(uint8_t ret[TOMBSTONE_BYTES + 1])
{
	tombstone_encode(&example, ret);
	ret[TOMBSTONE_BYTES] = 0;
}

static enum err decode(const uint8_t *bytes, size_t size, struct tombstone *ret)
{
	return tombstone_decode((struct slice) { bytes, size }, ret);
}

/* Written after doc/formats/data-file.md by a program of its own. */
static void test_its_bytes_are_those_of_the_description(void **state)
{
	struct buf golden = corpus_read("streams/tombstone.hex");
	uint8_t bytes[TOMBSTONE_BYTES + 1];

	(void)state;
	make(bytes);
	assert_int_equal(golden.size, TOMBSTONE_BYTES);
	assert_memory_equal(bytes, golden.data, TOMBSTONE_BYTES);
	buf_done(&golden);
}

static void test_it_comes_back_as_it_was(void **state)
{
	uint8_t bytes[TOMBSTONE_BYTES + 1];
	struct tombstone t;

	(void)state;
	make(bytes);
	assert_int_equal(decode(bytes, TOMBSTONE_BYTES, &t), OK);
	assert_memory_equal(&t, &example, sizeof(t));
}

static void test_anything_else_is_none(void **state)
{
	uint8_t bytes[TOMBSTONE_BYTES + 1];
	struct tombstone t;

	(void)state;
	for (size_t i = 0; i < TOMBSTONE_BYTES; i++) {
		make(bytes);
		bytes[i] ^= 0x10;
		assert_true(decode(bytes, TOMBSTONE_BYTES, &t) != OK);
		assert_int_equal(decode(bytes, i, &t), ERR_CORRUPT);
	}
	make(bytes);
	assert_int_equal(decode(bytes, TOMBSTONE_BYTES + 1, &t), ERR_CORRUPT);
	put_u16(bytes + 8, TOMBSTONE_VERSION + 1);
	assert_int_equal(decode(bytes, TOMBSTONE_BYTES, &t), ERR_UNSUPPORTED);
}

static void test_it_is_no_data_file(void **state)
{
	uint8_t bytes[TOMBSTONE_BYTES + 1];
	struct data_file_header header;

	(void)state;
	make(bytes);
	assert_int_equal(data_file_decode_header((struct slice) { bytes, TOMBSTONE_BYTES },
						 &header),
			 ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_its_bytes_are_those_of_the_description),
		cmocka_unit_test(test_it_comes_back_as_it_was),
		cmocka_unit_test(test_anything_else_is_none),
		cmocka_unit_test(test_it_is_no_data_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
