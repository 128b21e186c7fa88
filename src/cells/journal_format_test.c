#include "cells/journal_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct epoch five = { 5, 0xabc };

static struct journal_object a_record(void)
{
	struct journal_object o = {
		.kind = JOURNAL_OBJECT_RECORD,
		.epoch = five,
		.time_ms = 1700000000000,
		.previous_checksum = 77,
		.snapshot = { .index = 3, .size = 2, .bytes = { 1, 2 } },
		.sequence = 4,
		.index = 9,
		.committed = 7,
		.payload = SLICE("payload"),
	};
	return o;
}

static struct journal_object a_start(void)
{
	struct journal_object o = {
		.kind = JOURNAL_OBJECT_START,
		.epoch = five,
		.time_ms = 12,
		.previous_epoch = { 4, 1 },
		.previous_sequence = 8,
		.base_index = 20,
		.bucket_count = 3,
		.classes = { JOURNAL_RAW, JOURNAL_CAS, JOURNAL_RAW },
		.address = SLICE("host:9"),
		.node = SLICE("node"),
	};
	return o;
}

static void test_a_record_comes_back_as_it_was_written(void **state)
{
	struct journal_object o = a_record(), back;
	struct blob *bytes = journal_object_encode(&o);

	(void)state;
	assert_int_equal(journal_object_decode(blob_slice(bytes), JOURNAL_OBJECT_RECORD, &back),
			 OK);
	assert_int_equal(epoch_compare(back.epoch, five), 0);
	assert_int_equal(back.sequence, 4);
	assert_int_equal(back.index, 9);
	assert_int_equal(back.committed, 7);
	assert_int_equal(back.previous_checksum, 77);
	assert_int_equal(back.snapshot.index, 3);
	assert_int_equal(back.snapshot.size, 2);
	assert_true(slice_equal(back.payload, SLICE("payload")));
	assert_int_equal(back.checksum, journal_object_checksum(bytes));
	assert_int_equal(journal_object_decode(blob_slice(bytes), JOURNAL_OBJECT_START, &back),
			 ERR_CORRUPT);
	blob_unref(&bytes);
}

static void test_a_start_record_comes_back_as_it_was_written(void **state)
{
	struct journal_object o = a_start(), back;
	struct blob *bytes = journal_object_encode(&o);

	(void)state;
	assert_int_equal(journal_object_decode(blob_slice(bytes), JOURNAL_OBJECT_START, &back), OK);
	assert_int_equal(back.previous_epoch.counter, 4);
	assert_int_equal(back.previous_sequence, 8);
	assert_int_equal(back.base_index, 20);
	assert_int_equal(back.bucket_count, 3);
	assert_int_equal(back.classes[1], JOURNAL_CAS);
	assert_true(slice_equal(back.address, SLICE("host:9")));
	assert_true(slice_equal(back.node, SLICE("node")));
	blob_unref(&bytes);
}

/* The bytes of doc/formats/journal.md. */
static void test_the_bytes_are_those_of_the_document(void **state)
{
	struct journal_object fence = { .kind = JOURNAL_OBJECT_FENCE, .epoch = { 1, 2 } };
	struct blob *bytes = journal_object_encode(&fence);
	static const uint8_t expected[40] = {
		'H', 'J', 'r', 'n', 0, 1, 4, 0, 0, 0, 0, 40, 0x1f, 0xdc, 0xa4, 0x62,
		0,   0,	  0,   0,   0, 0, 0, 1, 0, 0, 0, 0,  0,	   0,	 0,    2,
	};

	(void)state;
	assert_int_equal(bytes->size, sizeof(expected));
	assert_memory_equal(bytes->data, expected, sizeof(expected));
	blob_unref(&bytes);
}

static void test_every_flipped_bit_and_every_cut_is_noticed(void **state)
{
	struct journal_object all[] = { a_record(), a_start() };
	struct journal_object back;

	(void)state;
	for (size_t n = 0; n < 2; n++) {
		struct blob *bytes = journal_object_encode(&all[n]);
		for (size_t i = 0; i < 8 * bytes->size; i++) {
			bytes->data[i / 8] ^= (uint8_t)(1 << i % 8);
			assert_int_not_equal(journal_object_decode(blob_slice(bytes), all[n].kind,
								   &back),
					     OK);
			bytes->data[i / 8] ^= (uint8_t)(1 << i % 8);
		}
		for (size_t size = 0; size < bytes->size; size++)
			assert_int_equal(journal_object_decode((struct slice) { bytes->data, size },
							       all[n].kind, &back),
					 ERR_CORRUPT);
		blob_unref(&bytes);
	}
}

static void test_a_seal_is_told_apart_from_the_record_whose_name_it_has(void **state)
{
	struct journal_object o = { .kind = JOURNAL_OBJECT_SEAL, .epoch = five, .sequence = 9 };
	struct journal_object back;
	struct blob *bytes = journal_object_encode(&o);

	(void)state;
	assert_int_equal(bytes->size, JOURNAL_HEADER_BYTES + 8);
	assert_int_equal(bytes->data[6], 6);
	assert_int_equal(journal_object_decode(blob_slice(bytes), JOURNAL_OBJECT_RECORD, &back),
			 ERR_CORRUPT);
	assert_int_equal(journal_object_decode(blob_slice(bytes), JOURNAL_OBJECT_SEAL, &back), OK);
	assert_int_equal(back.sequence, 9);
	assert_int_equal(epoch_compare(back.epoch, five), 0);
	blob_unref(&bytes);
}

static void test_a_newer_version_is_named_as_such(void **state)
{
	struct journal_object o = a_record(), back;
	struct blob *bytes = journal_object_encode(&o);

	(void)state;
	bytes->data[5] = 2;
	journal_object_seal(bytes);
	assert_int_equal(journal_object_decode(blob_slice(bytes), JOURNAL_OBJECT_RECORD, &back),
			 ERR_UNSUPPORTED);
	blob_unref(&bytes);
}

static void test_names_are_parsed_back_and_others_are_ignored(void **state)
{
	static const char *const foreign[] = {
		"",
		"v1/j/main/epoch/",
		"v1/j/main/epoch/0000000000000005000000000000ABCD",
		"v1/j/main/epoch/00000000000000050000000000000abc/",
		"v1/j/main/epoch/00000000000000050000000000000abc-raw",
		"v1/j/main/epoch/00000000000000050000000000000abc-cas-",
		"v1/j/main/epoch/-cas",
		"v1/j/main/e/00000000000000050000000000000abc/c/000000000/000",
		"v1/j/main/e/00000000000000050000000000000abc/c/000000000001",
		"v1/j/other/epoch/00000000000000050000000000000abc",
		"v1/j/main/e/00000000000000050000000000000abc",
		"v1/j/main/e/00000000000000050000000000000abc/",
		"v1/j/main/e/00000000000000050000000000000abc/fences",
		"v1/j/main/e/00000000000000050000000000000abc/000000000/000",
		"v1/j/main/e/00000000000000050000000000000abc/000000000001",
		"v1/j/main/e/00000000000000050000000000000abc/at/000000000000",
		"v1/j/main/e/00000000000000050000000000000abc/000000000/0001",
		"v1/j/main/e/00000000000000050000000000000abc_000000000/001",
	};
	char key[JOURNAL_KEY_BYTES];
	struct journal_name name;

	(void)state;
	journal_key_record(key, "main", five, 0x123456789abc);
	assert_string_equal(key, "v1/j/main/e/00000000000000050000000000000abc/123456789/abc");
	assert_true(journal_key_parse(slice_from(key), "main", &name));
	assert_int_equal(name.kind, JOURNAL_OBJECT_RECORD);
	assert_int_equal(name.sequence, 0x123456789abc);
	journal_key_floor(key, "main", five, 0x123456789abc);
	assert_true(journal_key_parse(slice_from(key), "main", &name));
	assert_int_equal(name.kind, JOURNAL_OBJECT_FLOOR);
	assert_int_equal(name.sequence, 0x123456789abc);
	journal_key_fence(key, "main", five);
	assert_true(journal_key_parse(slice_from(key), "main", &name));
	assert_int_equal(name.kind, JOURNAL_OBJECT_FENCE);
	journal_key_start(key, "main", five);
	assert_true(journal_key_parse(slice_from(key), "main", &name));
	assert_int_equal(name.kind, JOURNAL_OBJECT_START);
	journal_key_copy(key, "main", five, 0x123456789abc);
	assert_string_equal(key, "v1/j/main/e/00000000000000050000000000000abc/c/123456789/abc");
	assert_true(journal_key_parse(slice_from(key), "main", &name));
	assert_int_equal(name.kind, JOURNAL_OBJECT_RECORD);
	assert_true(name.is_copy);
	assert_int_equal(name.sequence, 0x123456789abc);
	for (int class = JOURNAL_RAW; class <= JOURNAL_CAS; class ++) {
		journal_key_mark(key, "main", five, (enum journal_class) class);
		assert_true(journal_key_parse(slice_from(key), "main", &name));
		assert_int_equal(name.kind, JOURNAL_OBJECT_MARK);
		assert_int_equal(name.class, class);
		assert_int_equal(epoch_compare(name.epoch, five), 0);
	}
	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
		assert_false(journal_key_parse(slice_from(foreign[i]), "main", &name));
}

static void test_the_longest_names_and_texts_fit(void **state)
{
	char key[JOURNAL_KEY_BYTES], longest[JOURNAL_NAME_BYTES_MAX + 1], text[256];
	struct journal_object o = a_start(), back;

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[JOURNAL_NAME_BYTES_MAX] = '\0';
	journal_key_record(key, longest, five, 1);
	assert_true(strlen(key) + 1 < JOURNAL_KEY_BYTES);
	memset(text, 'y', sizeof(text));
	o.address = (struct slice) { (uint8_t *)text, JOURNAL_ADDRESS_BYTES_MAX };
	o.node = (struct slice) { (uint8_t *)text, JOURNAL_NODE_BYTES_MAX };
	struct blob *bytes = journal_object_encode(&o);
	assert_int_equal(journal_object_decode(blob_slice(bytes), JOURNAL_OBJECT_START, &back), OK);
	assert_int_equal(back.address.size, JOURNAL_ADDRESS_BYTES_MAX);
	blob_unref(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_record_comes_back_as_it_was_written),
		cmocka_unit_test(test_a_start_record_comes_back_as_it_was_written),
		cmocka_unit_test(test_the_bytes_are_those_of_the_document),
		cmocka_unit_test(test_every_flipped_bit_and_every_cut_is_noticed),
		cmocka_unit_test(test_a_seal_is_told_apart_from_the_record_whose_name_it_has),
		cmocka_unit_test(test_a_newer_version_is_named_as_such),
		cmocka_unit_test(test_names_are_parsed_back_and_others_are_ignored),
		cmocka_unit_test(test_the_longest_names_and_texts_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
