#include "wire/kafka/record_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/endian.h"
#include "base/random.h"
#include "wire/corpus_test.h"
#include "wire/kafka/record_batch_build.h"

enum { NOW_MS = 100000, RETENTION_MS = 600, BASE_OFFSET = 1000 };

static struct record_batch parse(struct slice bytes)
{
	struct record_batch b;

	assert_int_equal(record_batch_next(&bytes, &b), OK);
	assert_int_equal(bytes.size, 0);
	assert_true(record_batch_crc_matches(&b));
	return b;
}

/* Keeps the offsets whose bits are set, from BASE_OFFSET on. */
static bool keeps_bits(void *context, int64_t offset, const struct record *record)
{
	const uint64_t *bits = context;

	assert_int_equal(offset, BASE_OFFSET + record->offset_delta);
	return *bits >> record->offset_delta & 1;
}

static enum err filter(struct slice in, uint64_t bits, int64_t now_ms, struct buf *out,
		       struct record_filter_result *ret)
{
	struct record_filter f = { keeps_bits, &bits, now_ms, RETENTION_MS };
	struct record_batch b;

	assert_int_equal(record_batch_next(&in, &b), OK);
	b.base_offset = BASE_OFFSET;
	return record_filter_batch(&f, &b, out, ret);
}

static void assert_is_golden(const char *kind, const char *which, struct slice got)
{
	char name[64];

	snprintf(name, sizeof(name), "kafka/filter_java_%s%s.hex", kind, which);
	struct buf golden = corpus_read(name);
	assert_int_equal(golden.size, got.size);
	assert_memory_equal(golden.data, got.data, got.size);
	buf_done(&golden);
}

static void test_a_batch_becomes_what_kafka_makes_of_it_byte_for_byte(void **state)
{
	static const char *const kinds[] = { "", "append_" };
	static const struct {
		uint64_t bits;
		const char *which;
	} cases[] = { { 1 << 2 | 1 << 5 | 1 << 8, "values" }, { 15 << 6, "tombstone" } };
	struct record_filter_result result;

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		char name[64];
		snprintf(name, sizeof(name), "kafka/filter_java_%swhole.hex", kinds[k]);
		struct buf whole = corpus_read(name), out, later;
		for (size_t i = 0; i < 2; i++) {
			buf_init(&out);
			assert_int_equal(filter(buf_slice(&whole), cases[i].bits,
						1800000060000 - RETENTION_MS, &out, &result),
					 OK);
			assert_is_golden(kinds[k], cases[i].which, buf_slice(&out));
			if (i == 0)
				buf_done(&out);
		}
		buf_init(&later);
		assert_int_equal(filter(buf_slice(&out), 1 << 6 | 1 << 7 | 1 << 9, 1800000000001,
					&later, &result),
				 OK);
		assert_is_golden(kinds[k], "later", buf_slice(&later));
		buf_done(&later);
		buf_init(&later);
		struct record_batch b = parse(buf_slice(&whole));
		record_filter_empty(&b, &later);
		assert_is_golden(kinds[k], "empty", buf_slice(&later));
		buf_done(&later);
		buf_done(&out);
		buf_done(&whole);
	}
}

static void test_a_tombstone_stays_until_its_horizon_and_then_goes(void **state)
{
	struct buf whole = corpus_read("kafka/filter_java_whole.hex"), out, later;
	struct record_filter_result result;

	(void)state;
	buf_init(&out);
	assert_int_equal(filter(buf_slice(&whole), 1 << 6 | 1 << 7, NOW_MS, &out, &result), OK);
	assert_int_equal(result.kept, 2);
	assert_int_equal(result.dropped, 8);
	assert_int_equal(result.tombstones, 1);
	assert_int_equal(result.delete_horizon_ms, NOW_MS + RETENTION_MS);
	for (int64_t ms = -1; ms <= 0; ms++) {
		buf_init(&later);
		assert_int_equal(filter(buf_slice(&out), UINT64_MAX, NOW_MS + RETENTION_MS + ms,
					&later, &result),
				 OK);
		assert_int_equal(result.kept, ms < 0 ? 2 : 1);
		assert_int_equal(result.tombstones, ms < 0);
		assert_int_equal(result.delete_horizon_ms, NOW_MS + RETENTION_MS);
		struct record_batch b = parse(buf_slice(&later));
		assert_int_equal(b.last_offset_delta, 9);
		assert_int_equal(b.record_count, result.kept);
		buf_done(&later);
	}
	/* the time of its batch is not set anew by a later pass, nor is a time too far away */
	buf_clear(&out);
	struct record_filter f = { keeps_bits, &(uint64_t) { 1 << 7 }, NOW_MS, INT64_MAX };
	struct record_batch b = parse(buf_slice(&whole));
	b.base_offset = BASE_OFFSET;
	assert_int_equal(record_filter_batch(&f, &b, &out, &result), OK);
	assert_int_equal(result.delete_horizon_ms, INT64_MAX);
	buf_done(&out);
	buf_done(&whole);
}

static void test_a_batch_of_which_all_stays_keeps_its_bytes(void **state)
{
	(void)state;
	for (const char *const *name = corpus_producer_batches; *name; name++) {
		struct buf bytes = corpus_read(*name), out;
		struct record_filter_result result;
		struct record_batch b = parse(buf_slice(&bytes));
		struct records_match match;

		buf_init(&out);
		enum err err = filter(buf_slice(&bytes), UINT64_MAX, NOW_MS, &out, &result);
		assert_int_equal(err, OK);
		assert_int_equal(result.kept, b.record_count);
		if (result.tombstones == 0) {
			record_batch_patch(bytes.data, BASE_OFFSET, b.leader_epoch);
			assert_int_equal(out.size, bytes.size);
			assert_memory_equal(out.data, bytes.data, out.size);
			assert_int_equal(records_find_max_timestamp(&b, 0, &match), OK);
			assert_int_equal(result.max_timestamp, match.timestamp_ms);
		} else {
			struct record_batch got = parse(buf_slice(&out));
			assert_true(got.attributes & RECORD_BATCH_DELETE_HORIZON);
		}
		buf_clear(&out);
		assert_int_equal(filter(buf_slice(&bytes), 0, NOW_MS, &out, &result), OK);
		assert_int_equal(result.kept, 0);
		assert_int_equal(result.dropped, b.record_count);
		assert_int_equal(out.size, 0);
		buf_done(&out);
		buf_done(&bytes);
	}
}

/* --- batches at random against a model ----------------------------------------------------------
 */

enum { LOG_BATCHES = 24, BATCH_RECORDS_MAX = 12, KEYS = 7, LOG_RECORDS = 512 };

/* What a record was, by its offset. */
struct model_record {
	bool is_there, is_tombstone;
	int key;
	int64_t timestamp_ms;
	uint32_t value;
};

struct model {
	struct model_record records[LOG_RECORDS];
	int64_t last[KEYS]; /* offset by key */
	int64_t end;
};

static int key_of(const struct record *record)
{
	return record->key.data[0] - 'a';
}

static bool keeps_last(void *context, int64_t offset, const struct record *record)
{
	const struct model *m = context;

	return m->last[key_of(record)] == offset;
}

static void build_random(struct model *m, struct prng *prng, enum compression codec,
			 struct buf *out)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct record records[BATCH_RECORDS_MAX];
	static uint32_t values[BATCH_RECORDS_MAX];
	static const char letters[KEYS] = "abcdefg";
	size_t count = 1 + prng_next(prng) % BATCH_RECORDS_MAX;

	plan.codec = codec;
	plan.base_offset = m->end;
	plan.producer_id = 9;
	plan.producer_epoch = 1;
	plan.base_sequence = (int32_t)m->end;
	for (size_t i = 0; i < count; i++) {
		struct model_record *r = &m->records[m->end];
		r->is_there = true;
		r->key = (int)(prng_next(prng) % KEYS);
		r->is_tombstone = prng_next(prng) % 6 == 0;
		r->timestamp_ms = (int64_t)(prng_next(prng) % 1000);
		r->value = values[i] = (uint32_t)prng_next(prng);
		records[i] = (struct record) { .timestamp_ms = r->timestamp_ms,
					       .key = { (const uint8_t *)&letters[r->key], 1 } };
		if (!r->is_tombstone)
			records[i].value = (struct slice) { (const uint8_t *)&values[i], 4 };
		m->last[r->key] = m->end++;
	}
	record_batch_build(out, &plan, records, count);
}

/* Every batch holds exactly what the model says of its offsets. */
static void assert_holds(const struct model *m, struct slice log, enum compression codec)
{
	struct record_batch b;
	struct records place;
	struct record record;
	bool seen[LOG_RECORDS] = { 0 };

	while (log.size > 0) {
		struct arena a;
		int64_t max_timestamp = -1;
		arena_init(&a);
		assert_int_equal(record_batch_next(&log, &b), OK);
		assert_true(record_batch_crc_matches(&b));
		assert_int_equal(record_batch_codec(&b), codec);
		assert_int_equal(b.base_sequence, b.base_offset);
		assert_int_equal(records_init(&a, &b, &place), OK);
		while (records_next(&place, &record) == OK) {
			int64_t offset = b.base_offset + record.offset_delta;
			const struct model_record *r = &m->records[offset];
			assert_true(r->is_there && !seen[offset]);
			seen[offset] = true;
			assert_int_equal(key_of(&record), r->key);
			assert_int_equal(!record.value.data, r->is_tombstone);
			if (!r->is_tombstone)
				assert_memory_equal(record.value.data, &r->value, 4);
			assert_int_equal(record.timestamp_ms, r->timestamp_ms);
			if (record.timestamp_ms > max_timestamp)
				max_timestamp = record.timestamp_ms;
		}
		assert_int_equal(place.left, 0);
		assert_int_equal(b.max_timestamp, max_timestamp);
		arena_done(&a);
	}
	for (int64_t i = 0; i < m->end; i++)
		assert_int_equal(seen[i], m->records[i].is_there);
}

static void forget_in_model(struct model *m, bool with_tombstones)
{
	for (int64_t i = 0; i < m->end; i++) {
		struct model_record *r = &m->records[i];
		if (m->last[r->key] != i || (with_tombstones && r->is_tombstone))
			r->is_there = false;
	}
}

static void filter_log(struct model *m, int64_t now_ms, struct buf *log)
{
	struct record_filter f = { keeps_last, m, now_ms, RETENTION_MS };
	struct slice in = buf_slice(log);
	struct record_filter_result result;
	struct record_batch b;
	struct buf out;

	buf_init(&out);
	while (in.size > 0) {
		assert_int_equal(record_batch_next(&in, &b), OK);
		int32_t last = b.last_offset_delta;
		size_t start = out.size;
		assert_int_equal(record_filter_batch(&f, &b, &out, &result), OK);
		assert_int_equal(result.kept + result.dropped, b.record_count);
		if (out.size > start) {
			struct record_batch got =
				parse(slice_part(buf_slice(&out), start, out.size));
			assert_int_equal(got.base_offset, b.base_offset);
			assert_int_equal(got.last_offset_delta, last);
			assert_int_equal(got.record_count, result.kept);
			assert_int_equal(got.max_timestamp, result.max_timestamp);
		}
	}
	buf_done(log);
	*log = out;
}

static void test_random_logs_of_every_codec_keep_the_last_of_each_key(void **state)
{
	(void)state;
	for (int codec = 0; codec < COMPRESSION_COUNT; codec++) {
		struct prng prng = { 31 + (uint64_t)codec };
		struct model m = { .end = 0 };
		struct buf log;

		buf_init(&log);
		for (size_t i = 0; i < LOG_BATCHES; i++) {
			build_random(&m, &prng, (enum compression)codec, &log);
			if (i % 6 != 5)
				continue;
			forget_in_model(&m, false);
			filter_log(&m, NOW_MS, &log);
			assert_holds(&m, buf_slice(&log), (enum compression)codec);
		}
		forget_in_model(&m, true);
		filter_log(&m, NOW_MS + RETENTION_MS, &log);
		assert_holds(&m, buf_slice(&log), (enum compression)codec);
		buf_done(&log);
	}
}

/* --- what cannot be filtered -------------------------------------------------------------------
 */

static void test_bytes_that_are_no_records_are_refused_and_nothing_is_written(void **state)
{
	struct buf bytes = corpus_read("kafka/batch_java_zstd.hex"), out;
	struct record_filter_result result = { .kept = 77 };

	(void)state;
	buf_init(&out);
	buf_add_u8(&out, 1);
	for (size_t size = RECORD_BATCH_HEADER_BYTES; size < bytes.size; size += 7) {
		bytes.data[11] = (uint8_t)(size - 12);
		bytes.data[10] = (uint8_t)((size - 12) >> 8);
		assert_int_equal(filter(slice_part(buf_slice(&bytes), 0, size), 5, NOW_MS, &out,
					&result),
				 ERR_INVALID);
		assert_int_equal(out.size, 1);
		assert_int_equal(result.kept, 77);
	}
	buf_done(&out);
	buf_done(&bytes);
}

static void test_times_too_far_apart_are_refused(void **state)
{
	struct record records[2] = { { .timestamp_ms = -1, .key = SLICE("k") },
				     { .timestamp_ms = INT64_MAX - 1, .key = SLICE("k") } };
	struct record_filter_result result;
	struct buf bytes, out;

	(void)state;
	buf_init(&bytes);
	buf_init(&out);
	record_batch_build(&bytes, &RECORD_BATCH_PLAIN, records, 2);
	/* the first record's time becomes the least there is, and nothing before its horizon */
	put_u64(bytes.data + 27, (uint64_t)INT64_MIN);
	assert_int_equal(filter(buf_slice(&bytes), 1, NOW_MS, &out, &result), ERR_INVALID);
	assert_int_equal(out.size, 0);
	buf_done(&out);
	buf_done(&bytes);
}

static bool keeps_none(void *context, int64_t offset, const struct record *record)
{
	(void)context;
	(void)offset;
	(void)record;
	return false;
}

static void test_offsets_beyond_those_of_a_log_are_refused(void **state)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct record record = { .key = SLICE("k") };
	struct record_filter f = { keeps_none, NULL, NOW_MS, 0 };
	struct record_filter_result result;
	struct buf bytes, out;

	(void)state;
	buf_init(&bytes);
	buf_init(&out);
	record_batch_build(&bytes, &plan, &record, 1);
	struct record_batch b = parse(buf_slice(&bytes));
	b.base_offset = INT64_MAX - INT32_MAX;
	assert_int_equal(record_filter_batch(&f, &b, &out, &result), OK);
	b.base_offset++;
	assert_int_equal(record_filter_batch(&f, &b, &out, &result), ERR_INVALID);
	assert_int_equal(out.size, 0);
	buf_done(&out);
	buf_done(&bytes);
}

static void test_a_bomb_is_refused_at_the_limit(void **state)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct record record = { .key = SLICE("k") };
	struct record_filter f = { keeps_none, NULL, NOW_MS, 0 };
	struct record_filter_result result;
	struct buf bytes, zeros, bomb, out;

	(void)state;
	buf_init(&bytes);
	buf_init(&zeros);
	buf_init(&bomb);
	buf_init(&out);
	record_batch_build(&bytes, &plan, &record, 1);
	buf_add_zero(&zeros, RECORDS_BYTES_MAX);
	buf_add(&bomb, bytes.data, RECORD_BATCH_HEADER_BYTES);
	compression_compress(&bomb, COMPRESSION_ZSTD, buf_slice(&zeros)); /* two frames: one text */
	compression_compress(&bomb, COMPRESSION_ZSTD, SLICE("x"));
	struct record_batch b = parse(buf_slice(&bytes));
	b.attributes |= COMPRESSION_ZSTD;
	b.bytes = buf_slice(&bomb);
	assert_true(bomb.size < 65536);
	assert_int_equal(record_filter_batch(&f, &b, &out, &result), ERR_TOO_BIG);
	assert_int_equal(out.size, 0);
	buf_done(&out);
	buf_done(&bomb);
	buf_done(&zeros);
	buf_done(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_batch_becomes_what_kafka_makes_of_it_byte_for_byte),
		cmocka_unit_test(test_a_tombstone_stays_until_its_horizon_and_then_goes),
		cmocka_unit_test(test_a_batch_of_which_all_stays_keeps_its_bytes),
		cmocka_unit_test(test_random_logs_of_every_codec_keep_the_last_of_each_key),
		cmocka_unit_test(test_bytes_that_are_no_records_are_refused_and_nothing_is_written),
		cmocka_unit_test(test_times_too_far_apart_are_refused),
		cmocka_unit_test(test_offsets_beyond_those_of_a_log_are_refused),
		cmocka_unit_test(test_a_bomb_is_refused_at_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
