/* A partition as a list of batches, with transactions, against a model: whoever reads it from its
 * beginning and remembers the last value of each key must come to the same end, whatever passes
 * were made, also passes that ended in the middle. */
#include "streams/agent/key_pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/random.h"
#include "wire/kafka/record_batch_build.h"

enum {
	KEYS = 40,
	BATCH_RECORDS_MAX = 6,
	PARTITION_BATCHES_MAX = 400,
	ABORTED_MAX = 100,
	RETENTION_MS = 50,
	SMALL_MAP_BYTES = 16 * KEY_MAP_SLOT_BYTES, /* 12 keys */
};

struct partition {
	struct buf batches[PARTITION_BATCHES_MAX]; /* empty: gone */
	size_t batch_count;
	struct catalog_marker aborted[ABORTED_MAX];
	size_t aborted_count;
	int64_t end; /* next offset */
	int64_t clean, now_ms;
	int64_t last[KEYS]; /* committed value by key, its offset; -1: none */
	int64_t records, passes_full;
	struct prng prng;
};

static void partition_init(struct partition *p, uint64_t seed)
{
	*p = (struct partition) { .prng = { seed }, .now_ms = 1000 };
	for (size_t i = 0; i < KEYS; i++)
		p->last[i] = -1;
}

static void partition_done(struct partition *p)
{
	for (size_t i = 0; i < p->batch_count; i++)
		buf_done(&p->batches[i]);
}

static struct record_batch batch_at(const struct partition *p, size_t i)
{
	struct slice in = buf_slice(&p->batches[i]);
	struct record_batch b;

	assert_int_equal(record_batch_next(&in, &b), OK);
	assert_int_equal(in.size, 0);
	assert_true(record_batch_crc_matches(&b));
	return b;
}

/* Records whose value is their offset; `counts`: they will be committed. */
static void append(struct partition *p, int64_t producer_id, bool is_transactional, bool counts)
{
	static int64_t values[BATCH_RECORDS_MAX];
	static uint8_t letters[KEYS];
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct record records[BATCH_RECORDS_MAX];
	size_t count = 1 + prng_below(&p->prng, BATCH_RECORDS_MAX);

	plan.base_offset = p->end;
	plan.codec = (enum compression)prng_below(&p->prng, COMPRESSION_COUNT);
	plan.producer_id = producer_id;
	plan.producer_epoch = 0;
	plan.base_sequence = 0;
	plan.flags = is_transactional ? RECORD_BATCH_TRANSACTIONAL : 0;
	for (size_t i = 0; i < count; i++) {
		size_t key = prng_below(&p->prng, KEYS);
		bool is_tombstone = prng_below(&p->prng, 5) == 0;
		letters[key] = (uint8_t)key;
		values[i] = p->end;
		records[i] =
			(struct record) { .timestamp_ms = p->now_ms, .key = { &letters[key], 1 } };
		if (!is_tombstone)
			records[i].value = (struct slice) { (uint8_t *)&values[i], 8 };
		if (counts)
			p->last[key] = is_tombstone ? -1 : p->end;
		p->end++;
		p->records++;
	}
	assert_true(p->batch_count < PARTITION_BATCHES_MAX);
	buf_init(&p->batches[p->batch_count]);
	record_batch_build(&p->batches[p->batch_count++], &plan, records, count);
}

static void append_transaction(struct partition *p, bool is_commit)
{
	int64_t producer_id = 1 + (int64_t)prng_below(&p->prng, 3), first = p->end;

	append(p, producer_id, true, is_commit);
	if (prng_below(&p->prng, 2))
		append(p, -1, false, true); /* another producer's, among them */
	append(p, producer_id, true, is_commit);
	if (!is_commit) {
		assert_true(p->aborted_count < ABORTED_MAX);
		p->aborted[p->aborted_count++] = (struct catalog_marker) {
			.offset = p->end, .producer_id = producer_id, .first_offset = first
		};
	}
	p->end++; /* the marker, which is in no batch */
}

/* What a reader of committed records knows in the end; returns how many it read. */
static int64_t read_all(const struct partition *p, int64_t last[KEYS])
{
	int64_t count = 0, previous = -1;

	for (size_t i = 0; i < KEYS; i++)
		last[i] = -1;
	for (size_t i = 0; i < p->batch_count; i++) {
		struct records place;
		struct record record;
		struct arena a;
		if (p->batches[i].size == 0)
			continue;
		struct record_batch b = batch_at(p, i);
		bool is_skipped = false;
		for (size_t k = 0; k < p->aborted_count; k++)
			is_skipped |= b.attributes & RECORD_BATCH_TRANSACTIONAL &&
				      p->aborted[k].producer_id == b.producer_id &&
				      p->aborted[k].first_offset <= b.base_offset &&
				      b.base_offset < p->aborted[k].offset;
		arena_init(&a);
		assert_int_equal(records_init(&a, &b, &place), OK);
		while (records_next(&place, &record) == OK) {
			int64_t offset = b.base_offset + record.offset_delta;
			assert_true(offset > previous);
			previous = offset;
			count++;
			if (record.value.data)
				assert_memory_equal(record.value.data, &offset, 8);
			if (!is_skipped)
				last[record.key.data[0]] = record.value.data ? offset : -1;
		}
		arena_done(&a);
	}
	return count;
}

static int64_t assert_tells_the_same(const struct partition *p)
{
	int64_t last[KEYS];
	int64_t count = read_all(p, last);

	assert_memory_equal(last, p->last, sizeof(last));
	return count;
}

/* A pass that filters `batches_max` batches at most; what it saw is clean if it came to its end. */
static void make_pass(struct partition *p, size_t keys_bytes, size_t batches_max)
{
	struct key_pass pass;

	key_pass_init(&pass, keys_bytes, p->clean, p->now_ms, RETENTION_MS);
	pass.aborted = p->aborted;
	pass.aborted_count = p->aborted_count;
	for (size_t i = 0; i < p->batch_count; i++) {
		if (p->batches[i].size == 0)
			continue;
		struct record_batch b = batch_at(p, i);
		key_pass_note(&pass, &b);
	}
	if (!pass.is_full) /* readers see markers as control batches, here they are none */
		pass.end = p->end;
	p->passes_full += pass.is_full;
	for (size_t i = 0; i < p->batch_count && batches_max > 0; i++, batches_max--) {
		struct buf out;
		if (p->batches[i].size == 0)
			continue;
		struct record_batch b = batch_at(p, i);
		buf_init(&out);
		bool is_last = i + 1 == p->batch_count || prng_below(&p->prng, 20) == 0;
		bool is_changed = key_pass_filter(&pass, &b, is_last, &out);
		assert_int_equal(!is_changed, slice_equal(buf_slice(&out), b.bytes));
		if (is_last)
			assert_true(out.size > 0);
		buf_done(&p->batches[i]);
		p->batches[i] = out;
	}
	if (batches_max > 0)
		p->clean = pass.end;
	assert_int_equal(pass.unreadable, 0);
	key_pass_done(&pass);
}

/* L1, L2, L3, L4: random partitions, tombstones, transactions and passes that end early. */
static void test_readers_come_to_the_same_end_whatever_passes_were_made(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		static struct partition p;
		partition_init(&p, seed);
		for (size_t i = 0; i < 60; i++) {
			uint64_t kind = prng_below(&p.prng, 10);
			p.now_ms += (int64_t)prng_below(&p.prng, RETENTION_MS);
			if (kind < 4)
				append(&p, -1, false, true);
			else if (kind < 7)
				append_transaction(&p, kind < 6);
			else
				make_pass(&p,
					  kind < 9 ? (size_t)SMALL_MAP_BYTES : 64 * SMALL_MAP_BYTES,
					  prng_below(&p.prng, 3) ? SIZE_MAX
								 : prng_below(&p.prng, 40));
			assert_tells_the_same(&p);
		}
		make_pass(&p, 64 * SMALL_MAP_BYTES, SIZE_MAX); /* gives tombstones their time */
		assert_int_equal(p.clean, p.end);
		p.now_ms += RETENTION_MS;
		append(&p, -1, false, true);
		make_pass(&p, 64 * SMALL_MAP_BYTES, SIZE_MAX);
		int64_t count = assert_tells_the_same(&p), live = 0;
		for (size_t i = 0; i < KEYS; i++)
			live += p.last[i] >= 0;
		assert_true(count >= live && count <= live + BATCH_RECORDS_MAX);
		assert_true(p.passes_full > 0);
		partition_done(&p);
	}
}

static void test_a_small_map_gets_there_in_several_passes(void **state)
{
	static struct partition p;
	size_t passes = 0;

	(void)state;
	partition_init(&p, 99);
	for (size_t i = 0; i < 50; i++)
		append(&p, -1, false, true);
	for (; p.clean < p.end; passes++) {
		int64_t before = p.clean;
		make_pass(&p, SMALL_MAP_BYTES, SIZE_MAX);
		assert_true(p.clean > before);
		assert_tells_the_same(&p);
	}
	assert_true(passes > 3);
	assert_true(assert_tells_the_same(&p) <= KEYS);
	partition_done(&p);
}

static void test_records_without_a_key_and_markers_go(void **state)
{
	struct record record = { .timestamp_ms = 5, .value = SLICE("v") };
	struct buf bytes, out;
	struct record_batch b;
	struct key_pass pass;

	(void)state;
	buf_init(&bytes);
	buf_init(&out);
	record_batch_build(&bytes, &RECORD_BATCH_PLAIN, &record, 1);
	record_batch_build_end_marker(&bytes, 7, 0, true, 0, 5);
	struct slice in = buf_slice(&bytes);
	key_pass_init(&pass, SMALL_MAP_BYTES, 0, 1, 1);
	for (int64_t offset = 0; in.size > 0; offset++) {
		assert_int_equal(record_batch_next(&in, &b), OK);
		b.base_offset = offset;
		key_pass_note(&pass, &b);
	}
	assert_int_equal(pass.end, 2);
	assert_int_equal(key_map_count(pass.map), 0);
	in = buf_slice(&bytes);
	assert_int_equal(record_batch_next(&in, &b), OK);
	assert_true(key_pass_filter(&pass, &b, false, &out));
	assert_int_equal(out.size, 0);
	assert_int_equal(record_batch_next(&in, &b), OK);
	b.base_offset = 1;
	assert_true(key_pass_filter(&pass, &b, false, &out));
	assert_int_equal(out.size, 0);
	assert_false(key_pass_filter(&pass, &b, true, &out)); /* it leads to the end */
	assert_int_equal(out.size, b.bytes.size);
	key_pass_done(&pass);
	buf_done(&out);
	buf_done(&bytes);
}

/* L6 */
static void test_what_cannot_be_read_stays_and_is_counted(void **state)
{
	struct record record = { .timestamp_ms = 5, .key = SLICE("k"), .value = SLICE("v") };
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct buf bytes, out;
	struct record_batch b;
	struct key_pass pass;

	(void)state;
	buf_init(&bytes);
	buf_init(&out);
	plan.codec = COMPRESSION_GZIP;
	record_batch_build(&bytes, &plan, &record, 1);
	bytes.data[RECORD_BATCH_HEADER_BYTES + 3] ^= 0xff;
	struct slice in = buf_slice(&bytes);
	assert_int_equal(record_batch_next(&in, &b), OK);
	b.base_offset = 9;
	key_pass_init(&pass, SMALL_MAP_BYTES, 9, 1, 1);
	key_pass_note(&pass, &b);
	assert_int_equal(pass.end, 10);
	assert_false(key_pass_filter(&pass, &b, false, &out));
	assert_int_equal(pass.unreadable, 1);
	assert_int_equal(out.size, bytes.size);
	assert_memory_equal(out.data + 12, bytes.data + 12, bytes.size - 12);
	key_pass_done(&pass);
	buf_done(&out);
	buf_done(&bytes);
}

/* A batch that breaks off behind its first record: that one is in the place of no other.
 * L6 */
static void test_what_cannot_be_read_to_its_end_replaces_nothing(void **state)
{
	static uint8_t key[] = "k", value[] = "v";
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct record record = { .key = { key, 1 }, .value = { value, 1 } };
	struct record_batch batches[2];
	struct buf bytes[2], out;
	struct key_pass pass;

	(void)state;
	key_pass_init(&pass, SMALL_MAP_BYTES, 0, 1000, RETENTION_MS);
	for (int i = 0; i < 2; i++) {
		buf_init(&bytes[i]);
		plan.base_offset = i;
		record_batch_build(&bytes[i], &plan, &record, 1);
		struct slice in = buf_slice(&bytes[i]);
		assert_int_equal(record_batch_next(&in, &batches[i]), OK);
	}
	batches[1].record_count = 2; /* of which there is one */
	for (int i = 0; i < 2; i++)
		key_pass_note(&pass, &batches[i]);
	assert_int_equal(pass.end, 2);
	for (int i = 0; i < 2; i++) {
		buf_init(&out);
		assert_false(key_pass_filter(&pass, &batches[i], i == 1, &out));
		assert_int_equal(out.size, bytes[i].size);
		buf_done(&out);
		buf_done(&bytes[i]);
	}
	assert_int_equal(pass.kept, 1);
	assert_int_equal(pass.dropped, 0);
	assert_int_equal(pass.unreadable, 1);
	key_pass_done(&pass);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_come_to_the_same_end_whatever_passes_were_made),
		cmocka_unit_test(test_a_small_map_gets_there_in_several_passes),
		cmocka_unit_test(test_records_without_a_key_and_markers_go),
		cmocka_unit_test(test_what_cannot_be_read_stays_and_is_counted),
		cmocka_unit_test(test_what_cannot_be_read_to_its_end_replaces_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
