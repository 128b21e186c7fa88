/* What a rebuild reads from a bucket: files as they are, as they are after damage, and from a
 * bucket that fails now and then. */
#include "server/rebuild_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/random.h"
#include "buckets/bucket_ask.h"
#include "buckets/fault.h"
#include "buckets/memory.h"
#include "wire/kafka/record_batch_build.h"
#include "wire/streams/tombstone.h"

enum {
	RECORDS = 3, /* of a batch */
	INCARNATION = 5,
	LARGE = 1500, /* batches whose footer is larger than REBUILD_END_BYTES */
	NOW_MS = 1800000000,
	PATIENCE_S = 300, /* of the whole program: one that reads for ever would not end */
	DAMAGES = 400,
};

static const struct uuid cluster_id = { { 7, 7, 7, 7 } };
static const uint8_t topic_id[16] = { 1, 2, 3, 4 };

struct rig {
	struct task task; /* root */
	struct loop *loop;
	struct bucket *bucket; /* of faults, around one in memory */
	struct plan *plan;
	struct rebuild_files files;
	struct plan_report report;
	struct arena arena;
	bool is_deep;
	enum err err;
};

static void rig_open(struct rig *r)
{
	char why[TASK_WHY_BYTES];
	struct bucket *inner;

	memset(r, 0, sizeof(*r));
	arena_init(&r->arena);
	r->loop = loop_new(0);
	assert_int_equal(bucket_open("memory:", &inner, why), OK);
	r->bucket = fault_bucket_new(inner, 1);
}

static void rig_close(struct rig *r)
{
	bucket_close(r->bucket);
	loop_free(r->loop);
	arena_done(&r->arena);
}

static enum step rig_step(struct task *t)
{
	struct rig *r = CONTAINER(t, struct rig, task);

	if (t->at == 0) {
		rebuild_files(&r->files, t, r->bucket, r->plan, cluster_id, r->is_deep, NULL, NULL);
		return task_wait(t, 1);
	}
	r->err = r->files.task.err;
	loop_stop(r->loop);
	return task_done(t, OK);
}

static const struct task_kind rig_kind = { .name = "rig", .step = rig_step };

/* Reads the bucket, and puts in order what it has. */
static void read_all(struct rig *r, bool is_deep)
{
	r->is_deep = is_deep;
	r->plan = plan_new();
	assert_non_null(r->plan);
	task_start_root(&r->task, &rig_kind, r->loop);
	loop_run(r->loop);
	if (!r->err) {
		assert_int_equal(plan_place(r->plan, PLAN_UNDECIDED_COMMIT, NOW_MS), OK);
		assert_int_equal(plan_report(&r->arena, r->plan, &r->report), OK);
	}
	plan_free(r->plan);
}

static int64_t records(const struct rig *r)
{
	int64_t n = 0;

	for (size_t i = 0; i < r->report.topic_count; i++)
		n += r->report.topics[i].records[PLACE_CERTAIN] +
		     r->report.topics[i].records[PLACE_LIKELY];
	return n;
}

/* --- files -------------------------------------------------------------------------------------
 */

static void add_batches(struct data_file_writer *w, struct blob *holder)
{
	struct slice rest = blob_slice(holder);
	struct record_batch batch;

	for (uint32_t i = 0; rest.size > 0; i++) {
		assert_int_equal(record_batch_next(&rest, &batch), OK);
		assert_int_equal(data_file_writer_add(w, topic_id, i / 4, &batch, holder), OK);
	}
}

/* `batches` of them, four to a partition; one more ends a transaction if `has_end`. */
static void make_file(struct buf *ret, uint64_t sequence, int batches, bool has_end)
{
	struct record values[RECORDS] = { 0 };
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct data_file_writer w;
	struct buf bytes;

	buf_init(&bytes);
	for (int i = 0; i < batches; i++) {
		char text[32];
		snprintf(text, sizeof(text), "%d of %d", i, (int)sequence);
		for (int k = 0; k < RECORDS; k++)
			values[k] =
				(struct record) { .value = slice_from(text), .timestamp_ms = k };
		plan.producer_id = i % 2 ? (int64_t)sequence * 10000 + i : -1;
		plan.producer_epoch = i % 2 ? 0 : -1;
		plan.base_sequence = i % 2 ? 0 : -1;
		record_batch_build(&bytes, &plan, values, RECORDS);
	}
	if (has_end)
		record_batch_build_end_marker(&bytes, 1, 0, true, 0, 5);
	struct blob *holder = blob_from(buf_slice(&bytes));
	data_file_writer_init(&w);
	add_batches(&w, holder);
	data_file_writer_arrange(&w);
	struct data_file_topic topic = { .partition_count = 1000, .name = SLICE("orders") };
	memcpy(topic.topic_id, topic_id, sizeof(topic_id));
	assert_int_equal(data_file_writer_name(&w, &topic), OK);
	struct data_file_header header = {
		.incarnation = INCARNATION,
		.sequence = sequence,
		.created_ms = sequence == 1 ? NOW_MS - 2 * PLAN_PRODUCER_MS : NOW_MS,
	};
	memcpy(header.cluster_id, cluster_id.bytes, sizeof(header.cluster_id));
	data_file_writer_finish(&w, &header);
	buf_clear(ret);
	for (size_t i = 0; i < w.slice_count; i++)
		buf_add_slice(ret, w.slices[i]);
	data_file_writer_done(&w);
	blob_unref(&holder);
	buf_done(&bytes);
}

static void put(struct rig *r, uint64_t sequence, const struct buf *file)
{
	char key[DATA_FILE_KEY_BYTES + 1];

	data_file_key(key, INCARNATION, sequence);
	assert_int_equal(bucket_ask_put(r->loop, r->bucket, slice_from(key), buf_slice(file)), OK);
}

static void put_file(struct rig *r, uint64_t sequence, int batches, bool has_end)
{
	struct buf file;

	buf_init(&file);
	make_file(&file, sequence, batches, has_end);
	put(r, sequence, &file);
	buf_done(&file);
}

/* A small file, one with the end of a transaction, and one whose footer needs a second read. */
static void put_three(struct rig *r)
{
	put_file(r, 1, 4, false);
	put_file(r, 2, 5, true);
	put_file(r, 3, LARGE, false);
}

enum { THREE = (4 + 5 + LARGE) * RECORDS };

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_files_of_all_sizes_are_read(void **state)
{
	struct rig r;

	(void)state;
	for (int is_deep = 0; is_deep < 2; is_deep++) {
		rig_open(&r);
		put_three(&r);
		read_all(&r, is_deep);
		assert_int_equal(r.err, OK);
		assert_int_equal(r.report.bad_count, 0);
		assert_int_equal(records(&r), THREE);
		/* the header of the first is old, and all records are */
		assert_int_equal(r.report.producer_count, 2 + LARGE / 2);
		rig_close(&r);
	}
}

/* Whichever request it is that fails: it is asked again, and the file is no worse for it. */
static void test_a_bucket_that_fails_once_loses_nothing(void **state)
{
	const enum fault_effect effects[] = { FAULT_BEFORE, FAULT_TRUNCATE };
	struct rig r;

	(void)state;
	for (int i = 0; i < 28; i++) {
		rig_open(&r);
		put_three(&r);
		fault_add(r.bucket, &(struct fault) { .effect = effects[i % 2],
						      .verbs = FAULT_VERB(BUCKET_GET),
						      .skip = (uint64_t)i / 4,
						      .count = REBUILD_TRIES_MAX - 1 });
		read_all(&r, i / 2 % 2);
		assert_int_equal(r.err, OK);
		assert_int_equal(r.report.bad_count, 0);
		assert_int_equal(records(&r), THREE);
		rig_close(&r);
	}
}

static void test_a_bucket_that_goes_on_failing_ends_it(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	put_three(&r);
	fault_add(r.bucket,
		  &(struct fault) { .effect = FAULT_BEFORE, .verbs = FAULT_VERB(BUCKET_GET) });
	read_all(&r, false);
	assert_int_equal(r.err, ERR_UNAVAILABLE);
	rig_close(&r);
}

/* The number of batches is judged before any checksum: what it says may be anything. */
static void test_a_flipped_bit_in_a_trailer_costs_one_file(void **state)
{
	struct rig r;
	struct buf file;

	(void)state;
	buf_init(&file);
	for (size_t bit = 0; bit < DATA_FILE_TRAILER_BYTES * 8; bit++) {
		rig_open(&r);
		make_file(&file, 1, 4, false);
		file.data[file.size - DATA_FILE_TRAILER_BYTES + bit / 8] ^= (uint8_t)(1 << bit % 8);
		put(&r, 1, &file);
		put_file(&r, 2, 2, false);
		read_all(&r, false);
		assert_int_equal(r.err, OK);
		assert_int_equal(r.report.bad_count, 1);
		assert_int_equal(r.report.bad_files[0].sequence, 1);
		assert_int_equal(records(&r), 2 * RECORDS);
		rig_close(&r);
	}
	buf_done(&file);
}

static void test_an_object_under_the_name_of_another_is_left_out(void **state)
{
	const int sizes[] = { 4, LARGE };
	struct rig r;
	struct buf file;

	(void)state;
	buf_init(&file);
	for (int i = 0; i < 4; i++) {
		rig_open(&r);
		make_file(&file, 1, sizes[i / 2], false);
		put(&r, 9, &file);
		read_all(&r, i % 2);
		assert_int_equal(r.err, OK);
		assert_int_equal(r.report.bad_count, 1);
		assert_int_equal(r.report.used_count, 0);
		rig_close(&r);
	}
	buf_done(&file);
}

static void test_a_tombstone_is_no_damaged_file(void **state)
{
	struct tombstone tombstone = { .incarnation = INCARNATION, .sequence = 2 };
	struct rig r;
	struct buf file;

	(void)state;
	memcpy(tombstone.cluster_id, cluster_id.bytes, sizeof(tombstone.cluster_id));
	buf_init(&file);
	for (int is_deep = 0; is_deep < 2; is_deep++) {
		rig_open(&r);
		make_file(&file, 1, 4, false);
		put(&r, 1, &file);
		buf_clear(&file);
		tombstone_encode(&tombstone, buf_add_zero(&file, TOMBSTONE_BYTES));
		put(&r, 2, &file);
		read_all(&r, is_deep);
		assert_int_equal(r.err, OK);
		assert_int_equal(r.report.bad_count, 0);
		assert_int_equal(r.report.used_count, 1);
		assert_int_equal(records(&r), 4 * RECORDS);
		rig_close(&r);
	}
	buf_done(&file);
}

static void test_a_damaged_header_costs_no_record(void **state)
{
	const int sizes[] = { 4, LARGE };
	struct rig r;
	struct buf file;

	(void)state;
	buf_init(&file);
	for (int i = 0; i < 4; i++) {
		rig_open(&r);
		make_file(&file, 1, sizes[i / 2], false);
		file.data[20] ^= 1;
		put(&r, 1, &file);
		read_all(&r, i % 2);
		assert_int_equal(records(&r), sizes[i / 2] * RECORDS);
		rig_close(&r);
	}
	buf_done(&file);
}

/* Whoever can write into the bucket makes checksums that are right. */
static void seal(struct buf *file)
{
	if (file->size < DATA_FILE_HEADER_BYTES + DATA_FILE_TRAILER_BYTES)
		return;
	uint8_t *trailer = file->data + file->size - DATA_FILE_TRAILER_BYTES;
	uint64_t footer_at = get_u64(trailer);
	if (footer_at > file->size - DATA_FILE_TRAILER_BYTES)
		return;
	put_u32(trailer + 20,
		crc32c((struct slice) { file->data + footer_at, file->size - footer_at - 12 }));
}

static void damage(struct prng *random, struct buf *file)
{
	size_t footer = 6 * DATA_FILE_ENTRY_BYTES + 40 + DATA_FILE_TRAILER_BYTES;
	size_t from = prng_below(random, 4) ? file->size - footer : 0;

	for (uint64_t n = 1 + prng_below(random, 3); n > 0; n--) {
		size_t at = from + (size_t)prng_below(random, file->size - from);
		const uint8_t bytes[] = { 0, 0x7f, 0x80, 0xff, (uint8_t)prng_next(random) };
		for (uint64_t k = prng_below(random, 8); k > 0 && at < file->size; k--)
			file->data[at++] = bytes[prng_below(random, 5)];
	}
	if (prng_below(random, 8) == 0)
		file->size = (size_t)prng_below(random, file->size);
	if (prng_below(random, 4) > 0)
		seal(file);
}

/* It ends, and what it makes of the others does not change. */
static void test_any_damage_ends(void **state)
{
	struct prng random = { .state = 1 };
	int whole = 0, bad = 0;
	struct buf file;
	struct rig r;

	(void)state;
	buf_init(&file);
	for (int i = 0; i < DAMAGES; i++) {
		rig_open(&r);
		for (uint64_t k = 1; k <= 3; k++) {
			make_file(&file, k, 5, true);
			if (k != 2)
				damage(&random, &file);
			put(&r, k, &file);
		}
		read_all(&r, i % 2);
		assert_int_equal(r.err, OK);
		assert_int_equal(r.report.file_count, 3);
		whole += r.report.bad_count == 0;
		bad += r.report.bad_count == 2;
		rig_close(&r);
	}
	assert_true(whole > 0 && bad > 0);
	buf_done(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_of_all_sizes_are_read),
		cmocka_unit_test(test_a_bucket_that_fails_once_loses_nothing),
		cmocka_unit_test(test_a_bucket_that_goes_on_failing_ends_it),
		cmocka_unit_test(test_a_flipped_bit_in_a_trailer_costs_one_file),
		cmocka_unit_test(test_an_object_under_the_name_of_another_is_left_out),
		cmocka_unit_test(test_a_tombstone_is_no_damaged_file),
		cmocka_unit_test(test_a_damaged_header_costs_no_record),
		cmocka_unit_test(test_any_damage_ends),
	};

	alarm(PATIENCE_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
