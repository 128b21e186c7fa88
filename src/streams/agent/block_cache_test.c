#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "buckets/bucket_ask.h"
#include "buckets/fault.h"
#include "loop/timer.h"
#include "streams/agent/block_cache.h"
#include "wire/streams/data_file.h"

enum { FILE_BYTES = 5 * BLOCK_CACHE_BLOCK_BYTES / 2, READERS = 8 };

struct stage {
	struct loop *loop;
	struct bucket *bucket;
	struct block_cache *cache;
	uint8_t *file;
	struct task task; /* reads */
	struct block_read reads[READERS];
	size_t reader_count;
	int64_t sequence, position;
	size_t size;
	bool gives_up;
	enum block_use use;
};

static void set_up(struct stage *s, uint64_t seed, size_t cache_bytes)
{
	char why[TASK_WHY_BYTES];
	char key[DATA_FILE_KEY_BYTES + 1];
	struct bucket *memory;
	struct prng prng = { seed };

	*s = (struct stage) { .sequence = 1, .size = FILE_BYTES };
	s->loop = loop_new(seed);
	assert_int_equal(bucket_open("memory:", &memory, why), OK);
	s->bucket = fault_bucket_new(memory, seed);
	s->cache = block_cache_new(s->loop, s->bucket, cache_bytes);
	s->file = memory_take(FILE_BYTES);
	for (size_t i = 0; i < FILE_BYTES; i++)
		s->file[i] = (uint8_t)prng_next(&prng);
	data_file_key(key, 7, 1);
	assert_int_equal(bucket_ask_put(s->loop, memory, slice_from(key),
					(struct slice) { s->file, FILE_BYTES }),
			 OK);
}

static void tear_down(struct stage *s)
{
	while (block_cache_is_busy(s->cache))
		loop_turn(s->loop);
	block_cache_free(s->cache);
	bucket_close(s->bucket);
	loop_run(s->loop);
	loop_free(s->loop);
	memory_free(s->file);
}

static enum step reads_step(struct task *t)
{
	struct stage *s = CONTAINER(t, struct stage, task);

	if (t->at == 0) {
		for (size_t i = 0; i < s->reader_count; i++)
			block_read(&s->reads[i], t, s->cache, 7, s->sequence, s->position, s->size,
				   s->use);
		if (s->gives_up)
			task_cancel(&s->reads[0].task);
		return task_wait(t, 1);
	}
	return t->children ? task_wait(t, 1) : task_done(t, OK);
}

static void run_reads(struct stage *s, size_t count)
{
	static const struct task_kind kind = { .name = "reads", .step = reads_step };

	s->reader_count = count;
	task_start_root(&s->task, &kind, s->loop);
	while (task_is_running(&s->task))
		loop_turn(s->loop);
}

static uint64_t get_count(const struct stage *s)
{
	return fault_op_count(s->bucket, FAULT_VERB(BUCKET_GET));
}

static void check_range(const struct stage *s, struct block_range *range)
{
	uint8_t *copy = memory_take(range->size);

	assert_int_equal(range->position, s->position);
	assert_int_equal(range->size, s->size);
	block_range_copy(range, range->position, range->size, copy);
	assert_memory_equal(copy, s->file + s->position, s->size);
	memory_free(copy);
	block_range_done(range);
}

static void test_what_the_writer_left_needs_no_bucket(void **state)
{
	struct stage s;
	struct block_range range;

	(void)state;
	set_up(&s, 0, 64 << 20);
	struct slice pieces[3] = {
		{ s.file, 10 },
		{ s.file + 10, 2 * BLOCK_CACHE_BLOCK_BYTES - 5 },
		{ s.file + 2 * BLOCK_CACHE_BLOCK_BYTES + 5,
		  FILE_BYTES - 2 * BLOCK_CACHE_BLOCK_BYTES - 5 },
	};
	block_cache_add_file(s.cache, 7, 1, pieces, 3);
	assert_true(block_cache_peek(s.cache, 7, 1, 0, FILE_BYTES, BLOCK_USED, &range));
	assert_false(range.is_cold);
	check_range(&s, &range);
	s.position = BLOCK_CACHE_BLOCK_BYTES - 3;
	s.size = 6;
	assert_true(block_cache_peek(s.cache, 7, 1, s.position, s.size, BLOCK_USED, &range));
	assert_int_equal(range.block_count, 2);
	check_range(&s, &range);
	assert_false(block_cache_peek(s.cache, 7, 1, 0, FILE_BYTES + 1, BLOCK_USED, &range));
	assert_false(block_cache_peek(s.cache, 7, 2, 0, 1, BLOCK_USED, &range));
	assert_int_equal(get_count(&s), 0);
	tear_down(&s);
}

static void test_many_readers_share_one_get(void **state)
{
	struct stage s;

	(void)state;
	for (uint64_t seed = 0; seed < 8; seed++) {
		set_up(&s, seed, 64 << 20);
		fault_add(s.bucket, &(struct fault) { .delay_ms_max = 3 });
		run_reads(&s, READERS);
		for (size_t i = 0; i < READERS; i++) {
			assert_int_equal(s.reads[i].task.err, OK);
			assert_true(s.reads[i].ret.is_cold);
			check_range(&s, &s.reads[i].ret);
		}
		assert_int_equal(get_count(&s), 3);
		tear_down(&s);
	}
}

/* The cache holds less than one file: blocks go as soon as nobody holds them. */
static void test_a_small_cache_still_reads_large_ranges(void **state)
{
	struct stage s;

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(&s, seed, 1);
		for (int round = 0; round < 2; round++) {
			run_reads(&s, 2);
			for (size_t i = 0; i < 2; i++) {
				assert_int_equal(s.reads[i].task.err, OK);
				check_range(&s, &s.reads[i].ret);
			}
		}
		assert_in_range(get_count(&s), 4, 12);
		tear_down(&s);
	}
}

/* S4: Somebody reads old records while everybody reads the newest ones. */
static void test_cold_blocks_do_not_drive_out_what_was_just_written(void **state)
{
	struct stage s;
	struct block_range range;

	(void)state;
	set_up(&s, 0, 7 * BLOCK_CACHE_BLOCK_BYTES);
	struct slice file = { s.file, FILE_BYTES };
	block_cache_add_file(s.cache, 7, 9, &file, 1);
	block_cache_add_file(s.cache, 7, 10, &file, 1);
	for (int round = 0; round < 3; round++) {
		run_reads(&s, 1);
		check_range(&s, &s.reads[0].ret);
	}
	for (int64_t sequence = 9; sequence <= 10; sequence++) {
		assert_true(
			block_cache_peek(s.cache, 7, sequence, 0, FILE_BYTES, BLOCK_USED, &range));
		block_range_done(&range);
	}
	tear_down(&s);
}

/* A pass over old records, among those who read others of them. */
static void test_who_passes_by_drives_out_nothing(void **state)
{
	struct stage s;
	struct block_range range;

	(void)state;
	set_up(&s, 0, 12 * BLOCK_CACHE_BLOCK_BYTES);
	run_reads(&s, 1); /* file 1, which a consumer reads */
	check_range(&s, &s.reads[0].ret);
	char key[DATA_FILE_KEY_BYTES + 1];
	s.use = BLOCK_PASSED;
	for (s.sequence = 2; s.sequence < 12; s.sequence++) {
		data_file_key(key, 7, (uint64_t)s.sequence);
		assert_int_equal(bucket_ask_put(s.loop, fault_inner(s.bucket), slice_from(key),
						(struct slice) { s.file, FILE_BYTES }),
				 OK);
		run_reads(&s, 1);
		check_range(&s, &s.reads[0].ret);
		struct block_cache_status status;
		block_cache_get_status(s.cache, &status);
		assert_in_range(status.cold_bytes, 0,
				BLOCK_CACHE_PASSING_BYTES + 4 * BLOCK_CACHE_BLOCK_BYTES);
	}
	assert_true(block_cache_peek(s.cache, 7, 1, 0, FILE_BYTES, BLOCK_PASSED, &range));
	block_range_done(&range);
	/* what it has just read is there once more, for a read that begins in the same block, and
	 * belongs to whoever else wants it */
	assert_true(block_cache_peek(s.cache, 7, 11, 0, FILE_BYTES, BLOCK_USED, &range));
	block_range_done(&range);
	for (s.sequence = 2; s.sequence < 10; s.sequence++) {
		run_reads(&s, 1);
		check_range(&s, &s.reads[0].ret);
	}
	assert_true(block_cache_peek(s.cache, 7, 11, 0, FILE_BYTES, BLOCK_PASSED, &range));
	block_range_done(&range);
	tear_down(&s);
}

/* --- reading ahead --------------------------------------------------------------------------- */

/* A bucket of files with sequences 1 to `count`, which takes a moment to answer. */
static void set_up_far(struct stage *s, uint64_t seed, int64_t count)
{
	char key[DATA_FILE_KEY_BYTES + 1];

	set_up(s, seed, 64 << 20);
	for (int64_t i = 2; i <= count; i++) {
		data_file_key(key, 7, (uint64_t)i);
		assert_int_equal(bucket_ask_put(s->loop, fault_inner(s->bucket), slice_from(key),
						(struct slice) { s->file, FILE_BYTES }),
				 OK);
	}
	fault_set_store(s->bucket, &(struct fault_store) { .get = { 5, 9 } });
	block_cache_free(s->cache);
	s->cache = block_cache_new(s->loop, s->bucket, 64 << 20);
}

static bool is_in_memory(struct stage *s, int64_t sequence)
{
	struct block_range range = { 0 };
	bool is_here = block_cache_peek(s->cache, 7, sequence, 0, FILE_BYTES, BLOCK_PASSED, &range);

	block_range_done(&range);
	return is_here;
}

static void settle(struct stage *s)
{
	while (block_cache_is_busy(s->cache))
		loop_turn(s->loop);
}

static void on_passed(struct timer *t)
{
	loop_stop(t->loop);
}

static void pass_ms(struct stage *s, uint64_t ms)
{
	struct timer timer = { 0 };

	timer_set(&timer, s->loop, loop_now_ms(s->loop) + ms, on_passed);
	loop_run(s->loop);
}

static void test_what_was_read_ahead_needs_no_second_get(void **state)
{
	struct stage s;

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up_far(&s, seed, 2);
		assert_true(block_cache_ahead(s.cache, 7, 1, 0, FILE_BYTES));
		assert_true(block_cache_ahead(s.cache, 7, 2, 0, FILE_BYTES));
		assert_true(block_cache_ahead(s.cache, 7, 2, 0, FILE_BYTES));
		if (seed % 2)
			settle(&s); /* else readers come while it is under way */
		run_reads(&s, READERS);
		for (size_t i = 0; i < READERS; i++)
			check_range(&s, &s.reads[i].ret);
		s.sequence = 2;
		run_reads(&s, 1);
		check_range(&s, &s.reads[0].ret);
		assert_int_equal(get_count(&s), 6);
		struct block_cache_status status;
		block_cache_get_status(s.cache, &status);
		assert_int_equal(status.aheads, 6);
		assert_int_equal(status.aheads_unused, 0);
		assert_int_equal(status.ahead_bytes, 0);
		tear_down(&s);
	}
}

/* Who waits comes before who has not come, also to a block that was to be read for the latter. */
static void test_readers_do_not_wait_for_what_is_read_ahead(void **state)
{
	struct stage s;

	(void)state;
	set_up_far(&s, 0, 6);
	for (int64_t i = 1; i < 6; i++)
		(void)block_cache_ahead(s.cache, 7, i, 0, FILE_BYTES);
	for (s.sequence = 6; s.sequence >= 5; s.sequence--) {
		run_reads(&s, 1);
		assert_int_equal(s.reads[0].task.err, OK);
		check_range(&s, &s.reads[0].ret);
	}
	settle(&s);
	assert_in_range(get_count(&s), 13, 18);
	tear_down(&s);
}

/* A reader that stopped: what was read for it stays for a while, and then makes room. */
static void test_what_nobody_comes_for_has_a_limit_and_goes(void **state)
{
	struct stage s;
	struct block_cache_status status;
	int64_t sequence = 1;

	(void)state;
	set_up_far(&s, 0, 12);
	while (block_cache_ahead(s.cache, 7, sequence, 0, FILE_BYTES))
		sequence++;
	assert_in_range(sequence, 3, 6);
	settle(&s);
	assert_true(is_in_memory(&s, 1));
	block_cache_get_status(s.cache, &status);
	assert_in_range(status.ahead_bytes, 8 << 20, (64 << 20) / BLOCK_CACHE_AHEAD_SHARE);
	assert_false(block_cache_ahead(s.cache, 7, 9, 0, FILE_BYTES));
	pass_ms(&s, BLOCK_CACHE_AHEAD_MS + 50);
	assert_true(block_cache_ahead(s.cache, 7, 9, 0, FILE_BYTES));
	settle(&s);
	assert_true(is_in_memory(&s, 9));
	block_cache_get_status(s.cache, &status);
	assert_in_range(status.aheads_unused, 1, 3);
	tear_down(&s);
}

static void test_nothing_is_read_ahead_of_a_near_bucket(void **state)
{
	struct stage s;

	(void)state;
	set_up(&s, 0, 64 << 20);
	assert_false(block_cache_ahead(s.cache, 7, 1, 0, FILE_BYTES));
	settle(&s);
	assert_int_equal(get_count(&s), 0);
	tear_down(&s);
}

static void test_a_failure_ahead_is_nobodys(void **state)
{
	struct stage s;

	(void)state;
	set_up_far(&s, 0, 1);
	fault_add(s.bucket, &(struct fault) { .effect = FAULT_BEFORE, .err = ERR_DENIED });
	assert_true(block_cache_ahead(s.cache, 7, 1, 0, FILE_BYTES));
	settle(&s);
	fault_clear(s.bucket);
	run_reads(&s, 1);
	assert_int_equal(s.reads[0].task.err, OK);
	check_range(&s, &s.reads[0].ret);
	tear_down(&s);
}

static void test_a_reader_may_give_up(void **state)
{
	struct stage s;

	(void)state;
	for (uint64_t seed = 0; seed < 8; seed++) {
		set_up(&s, seed, 64 << 20);
		s.gives_up = true;
		run_reads(&s, 3);
		assert_int_equal(s.reads[0].task.err, ERR_CANCELED);
		assert_null(s.reads[0].ret.blocks);
		for (size_t i = 1; i < 3; i++)
			check_range(&s, &s.reads[i].ret);
		tear_down(&s);
	}
}

static void test_failures_are_told_and_not_remembered(void **state)
{
	struct stage s;

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(&s, seed, 64 << 20);
		fault_add(s.bucket, &(struct fault) { .effect = FAULT_BEFORE, .err = ERR_DENIED });
		run_reads(&s, 2);
		assert_int_equal(s.reads[0].task.err, ERR_DENIED);
		assert_int_equal(s.reads[1].task.err, ERR_DENIED);
		fault_clear(s.bucket);
		fault_add(s.bucket, &(struct fault) { .effect = FAULT_BEFORE, .count = 2 });
		run_reads(&s, 1); /* tries again by itself */
		assert_int_equal(s.reads[0].task.err, OK);
		check_range(&s, &s.reads[0].ret);
		s.sequence = 2;
		run_reads(&s, 1);
		assert_int_equal(s.reads[0].task.err, ERR_NOT_FOUND);
		tear_down(&s);
	}
}

static void test_a_file_that_is_too_short_is_corrupt(void **state)
{
	struct stage s;

	(void)state;
	set_up(&s, 0, 64 << 20);
	s.size = FILE_BYTES + 1;
	run_reads(&s, 1);
	assert_int_equal(s.reads[0].task.err, ERR_CORRUPT);
	tear_down(&s);
}

static void test_what_is_forgotten_is_asked_for_again(void **state)
{
	struct stage s;
	struct block_range range;

	(void)state;
	set_up(&s, 0, 64 << 20);
	run_reads(&s, 1);
	check_range(&s, &s.reads[0].ret);
	block_cache_forget(s.cache, 7, s.sequence, s.position, s.size);
	assert_false(
		block_cache_peek(s.cache, 7, s.sequence, s.position, s.size, BLOCK_USED, &range));
	uint64_t before = get_count(&s);
	run_reads(&s, 1);
	check_range(&s, &s.reads[0].ret);
	assert_true(get_count(&s) > before);
	tear_down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_writer_left_needs_no_bucket),
		cmocka_unit_test(test_many_readers_share_one_get),
		cmocka_unit_test(test_a_small_cache_still_reads_large_ranges),
		cmocka_unit_test(test_cold_blocks_do_not_drive_out_what_was_just_written),
		cmocka_unit_test(test_who_passes_by_drives_out_nothing),
		cmocka_unit_test(test_what_was_read_ahead_needs_no_second_get),
		cmocka_unit_test(test_readers_do_not_wait_for_what_is_read_ahead),
		cmocka_unit_test(test_what_nobody_comes_for_has_a_limit_and_goes),
		cmocka_unit_test(test_nothing_is_read_ahead_of_a_near_bucket),
		cmocka_unit_test(test_a_failure_ahead_is_nobodys),
		cmocka_unit_test(test_a_reader_may_give_up),
		cmocka_unit_test(test_failures_are_told_and_not_remembered),
		cmocka_unit_test(test_a_file_that_is_too_short_is_corrupt),
		cmocka_unit_test(test_what_is_forgotten_is_asked_for_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
