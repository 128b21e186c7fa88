#include "wire/kafka/record_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/endian.h"
#include "base/memory.h"
#include "wire/corpus_test.h"
#include "wire/kafka/errors.h"
#include "wire/kafka/record_batch_build.h"

static const struct record_batch_rules plain_rules = { .size_max = 1 << 20 };

static struct record_batch parse(struct slice bytes)
{
	struct record_batch b;

	assert_int_equal(record_batch_next(&bytes, &b), OK);
	assert_int_equal(bytes.size, 0);
	return b;
}

static void build_three(struct buf *out, const struct record_batch_plan *plan)
{
	struct record records[3] = {
		{ .timestamp_ms = 1000, .key = SLICE("a"), .value = SLICE("first") },
		{ .timestamp_ms = 3000, .key = SLICE("b"), .value = SLICE("second") },
		{ .timestamp_ms = 2000, .value = SLICE("third") },
	};

	record_batch_build(out, plan, records, 3);
}

/* Change one field of a fresh batch, put the checksum right, and ask for the verdict. */
static int16_t check_after(size_t at, size_t size, uint64_t value,
			   const struct record_batch_rules *rules)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct buf out;

	buf_init(&out);
	build_three(&out, &plan);
	for (size_t i = 0; i < size; i++)
		out.data[at + i] = (uint8_t)(value >> (8 * (size - 1 - i)));
	record_batch_set_crc(out.data, out.size);
	struct record_batch b = parse(buf_slice(&out));
	int16_t code = record_batch_check(&b, rules);
	buf_done(&out);
	return code;
}

static void test_every_golden_batch_of_a_producer_passes_the_check(void **state)
{
	struct record_batch_rules rules = plain_rules;

	(void)state;
	rules.transactional_allowed = true;
	for (const char *const *name = corpus_producer_batches; *name; name++) {
		struct buf bytes = corpus_read(*name);
		struct record_batch b;
		assert_int_equal(record_batch_from_produce(buf_slice(&bytes), &rules, &b),
				 KAFKA_NONE);
		assert_int_equal(b.bytes.size, bytes.size);
		buf_done(&bytes);
	}
}

static void test_the_fields_of_a_java_batch_are_read(void **state)
{
	struct buf bytes = corpus_read("kafka/batch_java_idempotent.hex");
	struct record_batch b = parse(buf_slice(&bytes));

	(void)state;
	assert_int_equal(b.base_offset, 0);
	assert_int_equal(b.leader_epoch, -1);
	assert_int_equal(b.magic, 2);
	assert_int_equal(b.attributes, 0);
	assert_int_equal(b.last_offset_delta, 1);
	assert_int_equal(b.record_count, 2);
	assert_int_equal(b.base_timestamp, 1700000000037);
	assert_int_equal(b.max_timestamp, 1700000000037);
	assert_int_equal(b.producer_id, 77);
	assert_int_equal(b.producer_epoch, 5);
	assert_int_equal(b.base_sequence, 123);
	assert_true(record_batch_crc_matches(&b));
	buf_done(&bytes);
}

static void test_batches_are_taken_one_after_the_other(void **state)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct buf out;
	struct record_batch first, second;

	(void)state;
	buf_init(&out);
	build_three(&out, &plan);
	size_t size = out.size;
	plan.base_offset = 3;
	build_three(&out, &plan);
	struct slice in = buf_slice(&out);
	assert_int_equal(record_batch_next(&in, &first), OK);
	assert_int_equal(in.size, size);
	assert_int_equal(record_batch_next(&in, &second), OK);
	assert_int_equal(in.size, 0);
	assert_int_equal(first.base_offset, 0);
	assert_int_equal(second.base_offset, 3);
	assert_ptr_equal(second.bytes.data, out.data + size);
	assert_int_equal(record_batch_from_produce(buf_slice(&out), &plain_rules, &first),
			 KAFKA_INVALID_RECORD);
	buf_done(&out);
}

static void test_a_batch_cut_off_at_any_byte_is_refused(void **state)
{
	struct buf bytes = corpus_read("kafka/batch_java_zstd.hex");

	(void)state;
	for (size_t size = 0; size < bytes.size; size++) {
		/* a copy of its own, so that reading beyond the end is seen */
		uint8_t *copy = memory_take(size ? size : 1);
		memcpy(copy, bytes.data, size);
		struct slice in = { copy, size };
		struct record_batch b;
		assert_int_equal(record_batch_fault(in), RECORD_BATCH_TRUNCATED);
		assert_int_equal(record_batch_next(&in, &b), ERR_INVALID);
		assert_int_equal(in.size, size);
		assert_int_equal(record_batch_from_produce(in, &plain_rules, &b),
				 size ? KAFKA_CORRUPT_MESSAGE : KAFKA_INVALID_RECORD);
		memory_free(copy);
	}
	buf_done(&bytes);
}

static void test_every_flipped_bit_under_the_checksum_is_found(void **state)
{
	struct buf bytes = corpus_read("kafka/batch_java_gzip.hex");

	(void)state;
	for (size_t at = 17; at < bytes.size; at++) {
		for (int bit = 0; bit < 8; bit++) {
			bytes.data[at] ^= (uint8_t)(1 << bit);
			struct record_batch b = parse(buf_slice(&bytes));
			assert_int_equal(record_batch_check(&b, &plain_rules),
					 KAFKA_CORRUPT_MESSAGE);
			bytes.data[at] ^= (uint8_t)(1 << bit);
		}
	}
	buf_done(&bytes);
}

static void test_impossible_lengths_and_old_formats_have_their_names(void **state)
{
	struct buf bytes = corpus_read("kafka/batch_java_none.hex");
	struct slice in = buf_slice(&bytes);
	struct record_batch b;

	(void)state;
	put_u32(bytes.data + 8, 48);
	assert_int_equal(record_batch_fault(in), RECORD_BATCH_BAD_LENGTH);
	put_u32(bytes.data + 8, 0xffffffff);
	assert_int_equal(record_batch_fault(in), RECORD_BATCH_BAD_LENGTH);
	assert_int_equal(record_batch_from_produce(in, &plain_rules, &b), KAFKA_CORRUPT_MESSAGE);
	put_u32(bytes.data + 8, 0x7fffffff);
	assert_int_equal(record_batch_fault(in), RECORD_BATCH_TOO_BIG);
	assert_int_equal(record_batch_next(&in, &b), ERR_TOO_BIG);
	assert_int_equal(record_batch_from_produce(in, &plain_rules, &b), KAFKA_MESSAGE_TOO_LARGE);
	put_u32(bytes.data + 8, (uint32_t)bytes.size - 12);
	assert_int_equal(record_batch_fault(in), RECORD_BATCH_FINE);
	for (uint8_t magic = 0; magic < 2; magic++) {
		bytes.data[16] = magic;
		assert_int_equal(record_batch_fault(in), RECORD_BATCH_NOT_MAGIC_2);
		assert_int_equal(record_batch_from_produce(in, &plain_rules, &b),
				 KAFKA_INVALID_RECORD);
	}
	buf_done(&bytes);
}

static void test_counts_must_agree_with_each_other_and_with_the_size(void **state)
{
	(void)state;
	assert_int_equal(check_after(57, 4, 3, &plain_rules), KAFKA_NONE);
	assert_int_equal(check_after(57, 4, 4, &plain_rules), KAFKA_INVALID_RECORD);
	assert_int_equal(check_after(57, 4, 0, &plain_rules), KAFKA_INVALID_RECORD);
	assert_int_equal(check_after(57, 4, UINT32_MAX, &plain_rules), KAFKA_INVALID_RECORD);
	assert_int_equal(check_after(23, 4, 1, &plain_rules), KAFKA_INVALID_RECORD);
	assert_int_equal(check_after(23, 4, UINT32_MAX, &plain_rules), KAFKA_INVALID_RECORD);
	/* last offset delta 2^31 - 1 and a count of -2^31 differ by one only in 32 bits */
	assert_int_equal(check_after(23, 4, 0x7fffffff, &plain_rules), KAFKA_INVALID_RECORD);

	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct buf out;
	buf_init(&out);
	build_three(&out, &plan);
	put_u32(out.data + 23, 999);
	put_u32(out.data + 57, 1000); /* agree, but 1000 records do not fit */
	record_batch_set_crc(out.data, out.size);
	struct record_batch b = parse(buf_slice(&out));
	assert_int_equal(record_batch_check(&b, &plain_rules), KAFKA_INVALID_RECORD);
	buf_done(&out);
}

/* W20 */
static void test_codecs_and_flags_a_client_may_not_use_are_refused(void **state)
{
	struct record_batch_rules rules = plain_rules;

	(void)state;
	for (uint64_t codec = 0; codec <= 4; codec++)
		assert_int_equal(check_after(21, 2, codec, &rules), KAFKA_NONE);
	for (uint64_t codec = 5; codec <= 7; codec++)
		assert_int_equal(check_after(21, 2, codec, &rules),
				 KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
	rules.zstd_refused = true;
	assert_int_equal(check_after(21, 2, COMPRESSION_ZSTD, &rules),
			 KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
	assert_int_equal(check_after(21, 2, COMPRESSION_LZ4, &rules), KAFKA_NONE);

	assert_int_equal(check_after(21, 2, RECORD_BATCH_LOG_APPEND_TIME, &rules),
			 KAFKA_INVALID_TIMESTAMP);
	assert_int_equal(check_after(21, 2, RECORD_BATCH_CONTROL, &rules), KAFKA_INVALID_RECORD);
	assert_int_equal(check_after(21, 2, RECORD_BATCH_DELETE_HORIZON, &rules),
			 KAFKA_INVALID_RECORD);
	assert_int_equal(check_after(21, 2, 0x8000, &rules), KAFKA_INVALID_RECORD);
	assert_int_equal(check_after(21, 2, RECORD_BATCH_TRANSACTIONAL, &rules),
			 KAFKA_INVALID_RECORD);
	rules.transactional_allowed = true; /* but not without a producer id */
	assert_int_equal(check_after(21, 2, RECORD_BATCH_TRANSACTIONAL, &rules),
			 KAFKA_INVALID_RECORD);
}

static void test_producer_fields_must_be_complete(void **state)
{
	struct record_batch_plan plan = { .producer_id = 5, .producer_epoch = 0 };
	static const struct {
		int16_t epoch;
		int32_t sequence;
		int16_t code;
	} cases[] = { { 0, 0, KAFKA_NONE },
		      { 7, INT32_MAX, KAFKA_NONE },
		      { -1, 0, KAFKA_INVALID_RECORD },
		      { 0, -1, KAFKA_INVALID_RECORD } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out;
		buf_init(&out);
		plan.producer_epoch = cases[i].epoch;
		plan.base_sequence = cases[i].sequence;
		build_three(&out, &plan);
		struct record_batch b = parse(buf_slice(&out));
		assert_int_equal(record_batch_check(&b, &plain_rules), cases[i].code);
		buf_done(&out);
	}
}

static void test_timestamps_must_be_sane_and_inside_the_bounds(void **state)
{
	struct record_batch_rules rules = plain_rules;

	(void)state;
	assert_int_equal(check_after(35, 8, (uint64_t)-1, &rules),
			 KAFKA_NONE); /* some leave it so */
	assert_int_equal(check_after(35, 8, (uint64_t)-2, &rules), KAFKA_INVALID_TIMESTAMP);
	assert_int_equal(check_after(27, 8, (uint64_t)INT64_MIN, &rules), KAFKA_INVALID_TIMESTAMP);
	rules.timestamps_bounded = true;
	rules.now_ms = 2000;
	rules.timestamp_before_max_ms = INT64_MAX;
	rules.timestamp_after_max_ms = 1000;
	assert_int_equal(check_after(35, 8, 3000, &rules), KAFKA_NONE);
	assert_int_equal(check_after(35, 8, 3001, &rules), KAFKA_INVALID_TIMESTAMP);
	assert_int_equal(check_after(35, 8, INT64_MAX, &rules), KAFKA_INVALID_TIMESTAMP);
	rules.timestamp_before_max_ms = 1000;
	assert_int_equal(check_after(27, 8, 1000, &rules), KAFKA_NONE);
	assert_int_equal(check_after(27, 8, 999, &rules), KAFKA_INVALID_TIMESTAMP);
}

static void test_a_batch_over_the_topics_limit_is_too_large(void **state)
{
	struct buf bytes = corpus_read("kafka/batch_java_none.hex");
	struct record_batch b = parse(buf_slice(&bytes));
	struct record_batch_rules rules = { .size_max = bytes.size };

	(void)state;
	assert_int_equal(record_batch_check(&b, &rules), KAFKA_NONE);
	rules.size_max--;
	assert_int_equal(record_batch_check(&b, &rules), KAFKA_MESSAGE_TOO_LARGE);
	buf_done(&bytes);
}

/* W20 */
static void test_patching_leaves_the_checksum_right(void **state)
{
	struct buf bytes = corpus_read("kafka/batch_kcat_snappy.hex");

	(void)state;
	record_batch_patch(bytes.data, INT64_MAX - 100, 77);
	struct record_batch b = parse(buf_slice(&bytes));
	assert_int_equal(b.base_offset, INT64_MAX - 100);
	assert_int_equal(b.leader_epoch, 77);
	assert_int_equal(record_batch_check(&b, &plain_rules), KAFKA_NONE);
	buf_done(&bytes);
}

static void test_log_append_time_is_stamped_as_java_stamps_it(void **state)
{
	struct buf bytes = corpus_read("kafka/batch_java_log_append_time.hex");
	struct buf stamped = corpus_read("kafka/batch_java_log_append_time.hex");
	struct record_batch expected = parse(buf_slice(&bytes));

	(void)state;
	assert_true(expected.attributes & RECORD_BATCH_LOG_APPEND_TIME);
	/* take the stamp off, then put it on again */
	put_u16(stamped.data + 21, 0);
	record_batch_set_max_timestamp(stamped.data, stamped.size, expected.base_timestamp);
	assert_false(slice_equal(buf_slice(&stamped), buf_slice(&bytes)));
	record_batch_set_log_append_time(stamped.data, stamped.size, expected.max_timestamp);
	assert_true(slice_equal(buf_slice(&stamped), buf_slice(&bytes)));
	buf_done(&stamped);
	buf_done(&bytes);
}

/* W10 */
static void test_end_markers_are_those_of_java(void **state)
{
	static const struct {
		const char *name;
		bool is_commit;
	} cases[] = { { "kafka/batch_java_commit_marker.hex", true },
		      { "kafka/batch_java_abort_marker.hex", false } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct buf golden = corpus_read(cases[i].name);
		struct buf built;
		buf_init(&built);
		record_batch_build_end_marker(&built, 79, 8, cases[i].is_commit, 11, 1700000000000);
		assert_int_equal(built.size, golden.size);
		assert_memory_equal(built.data, golden.data, golden.size);

		struct record_batch b = parse(buf_slice(&built));
		struct record_batch_rules rules = plain_rules;
		rules.transactional_allowed = true;
		assert_int_equal(record_batch_check(&b, &rules), KAFKA_INVALID_RECORD);
		rules.control_allowed = true;
		assert_int_equal(record_batch_check(&b, &rules), KAFKA_NONE);
		buf_done(&built);
		buf_done(&golden);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_golden_batch_of_a_producer_passes_the_check),
		cmocka_unit_test(test_the_fields_of_a_java_batch_are_read),
		cmocka_unit_test(test_batches_are_taken_one_after_the_other),
		cmocka_unit_test(test_a_batch_cut_off_at_any_byte_is_refused),
		cmocka_unit_test(test_every_flipped_bit_under_the_checksum_is_found),
		cmocka_unit_test(test_impossible_lengths_and_old_formats_have_their_names),
		cmocka_unit_test(test_counts_must_agree_with_each_other_and_with_the_size),
		cmocka_unit_test(test_codecs_and_flags_a_client_may_not_use_are_refused),
		cmocka_unit_test(test_producer_fields_must_be_complete),
		cmocka_unit_test(test_timestamps_must_be_sane_and_inside_the_bounds),
		cmocka_unit_test(test_a_batch_over_the_topics_limit_is_too_large),
		cmocka_unit_test(test_patching_leaves_the_checksum_right),
		cmocka_unit_test(test_log_append_time_is_stamped_as_java_stamps_it),
		cmocka_unit_test(test_end_markers_are_those_of_java),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
