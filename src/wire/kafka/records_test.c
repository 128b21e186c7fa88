#include "wire/kafka/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/endian.h"
#include "base/random.h"
#include "wire/corpus_test.h"
#include "wire/kafka/record_batch_build.h"

static struct record_batch parse(struct slice bytes)
{
	struct record_batch b;

	assert_int_equal(record_batch_next(&bytes, &b), OK);
	assert_int_equal(bytes.size, 0);
	return b;
}

/* Everything there is, or the error that ended it. */
static enum err read_all(struct arena *a, const struct record_batch *b, struct record *ret,
			 size_t capacity, size_t *ret_count)
{
	struct records records;
	enum err err = records_init(a, b, &records);

	*ret_count = 0;
	while (err == OK && *ret_count < capacity) {
		err = records_next(&records, &ret[*ret_count]);
		if (err == OK)
			(*ret_count)++;
	}
	return err;
}

static void test_all_codecs_of_java_hold_the_same_fifty_records(void **state)
{
	static const char *const names[] = { "kafka/batch_java_none.hex",
					     "kafka/batch_java_gzip.hex",
					     "kafka/batch_java_snappy.hex",
					     "kafka/batch_java_lz4.hex",
					     "kafka/batch_java_zstd.hex" };

	(void)state;
	for (size_t n = 0; n < 5; n++) {
		struct buf bytes = corpus_read(names[n]);
		struct record_batch b = parse(buf_slice(&bytes));
		struct record records[51];
		struct arena a;
		size_t count;

		arena_init(&a);
		assert_int_equal(record_batch_codec(&b), n);
		assert_int_equal(read_all(&a, &b, records, 51, &count), ERR_NOT_FOUND);
		assert_int_equal(count, 50);
		for (size_t i = 0; i < count; i++) {
			struct record *r = &records[i];
			char *key = arena_format(&a, "key-%zu", i);
			char *value =
				arena_format(&a, "value %zu of a text that repeats itself", i);
			assert_int_equal(r->offset_delta, i);
			assert_int_equal(r->timestamp_ms, 1700000000000 + (int64_t)(i * 37) % 50);
			if (i % 7 == 0)
				assert_null(r->key.data);
			else
				assert_true(slice_equal(r->key, slice_from(key)));
			if (i % 11 == 0)
				assert_null(r->value.data);
			else
				assert_true(slice_equal(r->value, slice_from(value)));
			assert_int_equal(r->header_count, i % 5 == 0 ? 3 : 0);
		}
		struct slice headers = records[5].headers;
		struct record_header h;
		assert_int_equal(record_header_next(&headers, &h), OK);
		assert_true(slice_equal(h.key, SLICE("source")));
		assert_true(slice_equal(h.value, SLICE("java")));
		assert_int_equal(record_header_next(&headers, &h), OK);
		assert_true(slice_equal(h.key, SLICE("nothing")));
		assert_null(h.value.data);
		assert_int_equal(record_header_next(&headers, &h), OK);
		assert_int_equal(h.key.size, 0);
		assert_non_null(h.value.data);
		assert_int_equal(h.value.size, 0);
		assert_int_equal(record_header_next(&headers, &h), ERR_NOT_FOUND);
		arena_done(&a);
		buf_done(&bytes);
	}
}

static void test_every_golden_batch_can_be_read_to_its_end(void **state)
{
	(void)state;
	for (const char *const *name = corpus_producer_batches; *name; name++) {
		struct buf bytes = corpus_read(*name);
		struct record_batch b = parse(buf_slice(&bytes));
		struct record records[64];
		struct arena a;
		size_t count;

		arena_init(&a);
		assert_int_equal(read_all(&a, &b, records, 64, &count), ERR_NOT_FOUND);
		assert_int_equal(count, b.record_count);
		arena_done(&a);
		buf_done(&bytes);
	}
}

static void test_an_uncompressed_java_batch_is_built_byte_for_byte(void **state)
{
	struct buf golden = corpus_read("kafka/batch_java_none.hex");
	struct record_batch b = parse(buf_slice(&golden));
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct record records[51];
	struct arena a;
	struct buf built;
	size_t count;

	(void)state;
	arena_init(&a);
	buf_init(&built);
	assert_int_equal(read_all(&a, &b, records, 51, &count), ERR_NOT_FOUND);
	record_batch_build(&built, &plan, records, count);
	assert_int_equal(built.size, golden.size);
	assert_memory_equal(built.data, golden.data, golden.size);
	buf_done(&built);
	arena_done(&a);
	buf_done(&golden);
}

static void test_what_is_built_with_any_codec_is_read_back(void **state)
{
	static uint8_t noise[70000];
	struct prng prng = { 11 };

	(void)state;
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)prng_next(&prng);
	for (int codec = 0; codec < COMPRESSION_COUNT; codec++) {
		struct record_batch_plan plan = RECORD_BATCH_PLAIN;
		struct record_header headers[2] = { { SLICE("h"), SLICE("v") },
						    { SLICE(""), { 0 } } };
		struct arena a;
		struct buf built;
		struct record got[4];
		size_t count;

		arena_init(&a);
		buf_init(&built);
		struct record records[3] = {
			{ .timestamp_ms = -1, .key = { noise, sizeof(noise) } },
			{ .timestamp_ms = INT64_MAX - 1, .value = SLICE("") },
			{ .timestamp_ms = 0,
			  .header_count = 2,
			  .headers = record_headers_encode(&a, headers, 2) },
		};
		plan.codec = (enum compression)codec;
		record_batch_build(&built, &plan, records, 3);
		struct record_batch b = parse(buf_slice(&built));
		assert_int_equal(b.max_timestamp, INT64_MAX - 1);
		assert_int_equal(read_all(&a, &b, got, 4, &count), ERR_NOT_FOUND);
		assert_int_equal(count, 3);
		for (size_t i = 0; i < 3; i++) {
			assert_int_equal(got[i].offset_delta, i);
			assert_int_equal(got[i].timestamp_ms, records[i].timestamp_ms);
			assert_true(slice_equal(got[i].key, records[i].key));
			assert_true(slice_equal(got[i].value, records[i].value));
			assert_true(slice_equal(got[i].headers, records[i].headers));
			assert_int_equal(!got[i].value.data, !records[i].value.data);
		}
		buf_done(&built);
		arena_done(&a);
	}
}

static void test_a_time_finds_the_first_record_not_older(void **state)
{
	struct buf bytes = corpus_read("kafka/batch_java_lz4.hex"); /* times 0 37 24 11 48 35 ... */
	struct record_batch b = parse(buf_slice(&bytes));
	int64_t base = b.base_timestamp;
	struct records_match m;

	(void)state;
	assert_int_equal(records_find_timestamp(&b, 0, 0, &m), OK);
	assert_int_equal(m.offset_delta, 0);
	assert_int_equal(records_find_timestamp(&b, 0, base + 1, &m), OK);
	assert_int_equal(m.offset_delta, 1);
	assert_int_equal(m.timestamp_ms, base + 37);
	assert_int_equal(records_find_timestamp(&b, 0, base + 38, &m), OK);
	assert_int_equal(m.offset_delta, 4);
	assert_int_equal(records_find_timestamp(&b, 0, base + 50, &m), ERR_NOT_FOUND);
	assert_int_equal(records_find_max_timestamp(&b, 0, &m), OK);
	assert_int_equal(m.offset_delta, 27);
	assert_int_equal(m.timestamp_ms, base + 49);
	assert_int_equal(b.max_timestamp, base + 49);
	buf_done(&bytes);
}

static void test_the_time_of_the_log_counts_for_all_records(void **state)
{
	struct buf bytes = corpus_read("kafka/batch_java_log_append_time.hex");
	struct record_batch b = parse(buf_slice(&bytes));
	struct records_match m;

	(void)state;
	assert_int_equal(records_find_timestamp(&b, 0, b.max_timestamp, &m), OK);
	assert_int_equal(m.offset_delta, 0);
	assert_int_equal(m.timestamp_ms, 1700000000999);
	assert_int_equal(records_find_timestamp(&b, 0, b.max_timestamp + 1, &m), ERR_NOT_FOUND);
	buf_done(&bytes);
}

static void test_a_missing_max_timestamp_is_repaired(void **state)
{
	struct buf bytes = corpus_read("kafka/batch_java_zstd.hex");
	struct buf damaged = corpus_read("kafka/batch_java_zstd.hex");

	(void)state;
	record_batch_set_max_timestamp(damaged.data, damaged.size, -1);
	struct record_batch b = parse(buf_slice(&damaged));
	assert_true(records_max_timestamp_is_missing(&b));
	assert_int_equal(records_repair_max_timestamp(damaged.data, damaged.size), OK);
	assert_true(slice_equal(buf_slice(&damaged), buf_slice(&bytes)));
	buf_done(&damaged);
	buf_done(&bytes);
}

/* The records field of a batch with one record, whose bytes are given as they are. */
static enum err read_raw(const char *records_bytes, size_t size, int32_t count, int32_t last)
{
	struct record_batch b = { .magic = 2, .record_count = count, .last_offset_delta = last };
	struct record records[8];
	struct arena a;
	struct buf bytes;
	size_t got;

	arena_init(&a);
	buf_init(&bytes);
	buf_add_zero(&bytes, RECORD_BATCH_HEADER_BYTES);
	buf_add(&bytes, records_bytes, size);
	b.bytes = buf_slice(&bytes);
	enum err err = read_all(&a, &b, records, 8, &got);
	buf_done(&bytes);
	arena_done(&a);
	return err;
}
#define READ_RAW(literal, count, last) read_raw(literal, sizeof(literal) - 1, count, last)

static void test_records_that_break_the_format_are_refused(void **state)
{
	(void)state;
	assert_int_equal(READ_RAW("\x0c\0\0\0\1\1\0", 1, 0), ERR_NOT_FOUND);
	assert_int_equal(READ_RAW("\x0c\0\0\0\1\1\0", 2, 1), ERR_INVALID);  /* one is missing */
	assert_int_equal(READ_RAW("\x0c\0\0\0\1\1\0x", 1, 0), ERR_INVALID); /* one too many */
	assert_int_equal(READ_RAW("\x0c\0\0\2\1\1\0", 1, 0), ERR_INVALID);  /* offset over last */
	assert_int_equal(READ_RAW("\x0c\0\0\1\1\1\0", 1, 0), ERR_INVALID);  /* offset -1 */
	assert_int_equal(READ_RAW("\x0c\0\0\0\3\1\0", 1, 0), ERR_INVALID);  /* key length -2 */
	assert_int_equal(READ_RAW("\x0c\0\0\0\1\1\1", 1, 0), ERR_INVALID);  /* -1 headers */
	assert_int_equal(READ_RAW("\x0c\0\0\0\1\1\2", 1, 0), ERR_INVALID);  /* header missing */
	assert_int_equal(READ_RAW("\x0e\0\0\0\1\1\0", 1, 0), ERR_INVALID);  /* longer than all */
	assert_int_equal(READ_RAW("\x0a\0\0\0\1\1\0", 1, 0), ERR_INVALID);  /* shorter than all */
	assert_int_equal(READ_RAW("\x01\0\0\0\1\1\0", 1, 0), ERR_INVALID);  /* length null */
	assert_int_equal(READ_RAW("\x10\0\0\0\1\1\2\1\1", 1, 0), ERR_INVALID); /* null header key */
	assert_int_equal(READ_RAW("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1, 0), ERR_INVALID);
	assert_int_equal(READ_RAW("\x18\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 1, 0),
			 ERR_INVALID);
	/* the same offset twice */
	assert_int_equal(READ_RAW("\x0c\0\0\0\1\1\0\x0c\0\0\0\1\1\0", 2, 1), ERR_INVALID);
	assert_int_equal(READ_RAW("\x0c\0\0\0\1\1\0\x0c\0\0\2\1\1\0", 2, 1), ERR_NOT_FOUND);
	/* a gap left by compaction, and all of it gone */
	assert_int_equal(READ_RAW("\x0c\0\0\x08\1\1\0", 1, 9), ERR_NOT_FOUND);
	assert_int_equal(READ_RAW("", 0, 9), ERR_NOT_FOUND);
	assert_int_equal(READ_RAW("", -1, 9), ERR_INVALID);
}

static void test_compressed_records_cut_off_at_any_byte_are_refused(void **state)
{
	static const char *const names[] = { "kafka/batch_java_gzip.hex",
					     "kafka/batch_java_snappy_blocks.hex",
					     "kafka/batch_kcat_snappy.hex",
					     "kafka/batch_java_lz4.hex",
					     "kafka/batch_java_zstd.hex" };

	(void)state;
	for (size_t n = 0; n < 5; n++) {
		struct buf bytes = corpus_read(names[n]);
		for (size_t size = RECORD_BATCH_HEADER_BYTES; size < bytes.size; size++) {
			put_u32(bytes.data + 8, (uint32_t)size - 12);
			struct record_batch b = parse(slice_part(buf_slice(&bytes), 0, size));
			struct records_match m;
			assert_int_equal(records_find_max_timestamp(&b, 0, &m), ERR_INVALID);
		}
		buf_done(&bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_codecs_of_java_hold_the_same_fifty_records),
		cmocka_unit_test(test_every_golden_batch_can_be_read_to_its_end),
		cmocka_unit_test(test_an_uncompressed_java_batch_is_built_byte_for_byte),
		cmocka_unit_test(test_what_is_built_with_any_codec_is_read_back),
		cmocka_unit_test(test_a_time_finds_the_first_record_not_older),
		cmocka_unit_test(test_the_time_of_the_log_counts_for_all_records),
		cmocka_unit_test(test_a_missing_max_timestamp_is_repaired),
		cmocka_unit_test(test_records_that_break_the_format_are_refused),
		cmocka_unit_test(test_compressed_records_cut_off_at_any_byte_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
