/* Compaction through a whole agent: testing_world.h has the stage. */
#include "buckets/bucket_ask.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/compactor.h"
#include "streams/coordinator/compaction.h"
#include "streams/testing_stage.h"
#include "wire/streams/data_file.h"

enum { BATCHES = 60 };

static struct arena batches_arena;
static struct slice batches[4][BATCHES];
static const char *const topics[] = { "alpha", "alpha", "alpha", "beta" };

#define FETCH(...) testing_fetch(&c, (struct testing_fetch) { __VA_ARGS__ })

static int64_t number(const char *sql)
{
	sqlite3_stmt *st = cell_statement(w.control.cell, sql);

	assert_true(cell_next(w.control.cell, st));
	int64_t value = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return value;
}

/* Batch i of place k has two records and base offset 2 * i; none is compacted yet. */
static void produce_all(int from, int to)
{
	for (int i = from; i < to; i++)
		for (int k = 0; k < 4; k++) {
			batches[k][i] = testing_batch(&batches_arena, "record", 2 * i, 2);
			testing_produce(&c, topics[k], k % 3, batches[k][i], 2 * i);
		}
}

static void check_all(int count)
{
	for (int k = 0; k < 4; k++) {
		for (int i = 0; i < count;) {
			struct kafka_fetch_response_partition *got =
				FETCH(.topic = topics[k], .partition = k % 3, .offset = 2 * i + 1);
			struct slice records = got->records;
			assert_int_equal(got->error_code, KAFKA_NONE);
			assert_true(records.size > 0);
			for (; records.size > 0; i++)
				testing_same_batch(&records, batches[k][i], 2 * i);
		}
		assert_int_equal(FETCH(.topic = topics[k], .partition = k % 3, .offset = 2 * count)
					 ->records.size,
				 0);
	}
}

static void begin(void)
{
	set_up(0);
	arena_init(&batches_arena);
}

static void end(void)
{
	tear_down();
	if (w.control.compaction)
		compaction_free(w.control.compaction);
	w.control.compaction = NULL;
	arena_done(&batches_arena);
}

#define FRESH "SELECT count(*) FROM file WHERE level = 0 AND dead_ms IS NULL"

static void compact(void)
{
	if (!w.control.compaction)
		w.control.compaction = compaction_new();
	WAIT_FOR(&w, number(FRESH) < COMPACTION_FILES_MIN);
}

static void test_many_small_runs_become_few_and_the_records_stay(void **state)
{
	(void)state;
	begin();
	produce_all(0, 20);
	check_all(20);
	int64_t before = number("SELECT count(*) FROM run");
	int64_t bytes = number("SELECT sum(bytes) FROM partition");
	compact();
	const struct work_numbers *work = &w.agent->numbers->work;
	WAIT_FOR(&w, work->compactions[NUMBERS_MERGE].jobs > 0);
	assert_true(work->compactions[NUMBERS_MERGE].read_bytes > 0);
	assert_true(work->compactions[NUMBERS_MERGE].written_bytes >
		    work->compactions[NUMBERS_MERGE].read_bytes); /* an index, too */
	assert_true(number("SELECT count(*) FROM run") < before / 3);
	assert_int_equal(number("SELECT sum(bytes) FROM partition"), bytes);
	assert_int_equal(number("SELECT count(*) FROM run WHERE max_timestamp < 1700000000"), 0);
	check_all(20);
	testing_restart_agent(&w, &c);
	check_all(20);
	produce_all(20, 40);
	compact();
	check_all(40);
	testing_restart_agent(&w, &c);
	check_all(40);
	assert_int_equal(w.control.denied_count, 0);
	end();
}

/* The objects of dead files, as the janitor would delete them. */
static void delete_dead(void)
{
	char key[DATA_FILE_KEY_BYTES + 1];
	sqlite3_stmt *st = cell_statement(w.control.cell, "SELECT incarnation, sequence FROM file"
							  " WHERE dead_ms IS NOT NULL");

	while (cell_next(w.control.cell, st)) {
		data_file_key(key, (uint64_t)sqlite3_column_int64(st, 0),
			      (uint64_t)sqlite3_column_int64(st, 1));
		assert_int_equal(bucket_ask_delete(w.loop, fault_inner(w.bucket), slice_from(key)),
				 OK);
	}
	sqlite3_reset(st);
}

/* G1 */
static void test_a_fetch_whose_file_has_gone_plans_again(void **state)
{
	(void)state;
	begin();
	produce_all(0, 20);
	testing_restart_agent(&w, &c); /* nothing is in memory */
	testing_hold_records(&w.control, true);
	compact();
	delete_dead();
	testing_send_fetch(&c, (struct testing_fetch) { .topic = "beta", .offset = 7 });
	testing_run_ms(&w, 50);
	assert_false(testing_has_answer(&c));
	testing_hold_records(&w.control, false);
	struct kafka_fetch_response_partition *got = testing_receive_fetch(&c);
	struct slice records = got->records;
	assert_int_equal(got->error_code, KAFKA_NONE);
	testing_same_batch(&records, batches[3][3], 6);
	check_all(20);
	end();
}

/* F6: it copies no wrong byte either. */
static void test_a_bucket_that_fails_only_delays_it(void **state)
{
	static const struct fault faults[] = {
		{ .verbs = FAULT_VERB(BUCKET_GET),
		  .err = ERR_IO,
		  .effect = FAULT_BEFORE,
		  .count = 9 },
		{ .verbs = FAULT_VERB(BUCKET_GET), .effect = FAULT_CORRUPT, .count = 5 },
		{ .verbs = FAULT_VERB(BUCKET_GET), .effect = FAULT_TRUNCATE, .count = 5 },
		{ .verbs = FAULT_VERB(BUCKET_PUT), .effect = FAULT_BEFORE, .count = 4 },
		{ .verbs = FAULT_VERB(BUCKET_PUT), .effect = FAULT_AFTER, .count = 4 },
		{ .verbs = FAULT_VERB(BUCKET_PUT),
		  .err = ERR_FULL,
		  .effect = FAULT_BEFORE,
		  .count = 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		begin();
		produce_all(0, 10);
		fault_add(w.bucket, &faults[i]);
		compact();
		fault_clear(w.bucket);
		check_all(10);
		testing_restart_agent(&w, &c);
		check_all(10);
		end();
	}
}

static void test_the_swap_is_asked_for_until_there_is_an_answer(void **state)
{
	(void)state;
	begin();
	produce_all(0, 10);
	w.control.lose_finish_before = w.control.lose_finish_after = 1;
	compact();
	WAIT_FOR(&w, w.control.finish_count >= 2);
	assert_int_equal(w.control.swapped_count, 4); /* once */
	check_all(10);
	end();
}

/* Z3: its job was given to somebody else, or control was taken over, while the agent stood still.
 */
static void test_a_job_that_was_given_away_changes_nothing(void **state)
{
	(void)state;
	begin();
	produce_all(0, 10);
	fault_add(w.bucket,
		  &(struct fault) { .effect = FAULT_HOLD, .verbs = FAULT_VERB(BUCKET_PUT) });
	w.control.compaction = compaction_new();
	WAIT_FOR(&w, fault_held_count(w.bucket) == 1);
	compaction_free(w.control.compaction); /* leases are nowhere else */
	w.control.compaction = NULL;
	fault_clear(w.bucket);
	fault_release(w.bucket, "");
	WAIT_FOR(&w, w.control.denied_count > 0);
	assert_int_equal(number("SELECT count(*) FROM run WHERE level > 0"), 0);
	check_all(10);
	compact();
	check_all(10);
	end();
}

static void test_an_agent_that_stops_in_a_job_leaves_everything_as_it_was(void **state)
{
	static const unsigned verbs[] = { FAULT_VERB(BUCKET_GET), FAULT_VERB(BUCKET_PUT) };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin();
		produce_all(0, 10);
		fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD, .verbs = verbs[i] });
		w.control.compaction = compaction_new();
		WAIT_FOR(&w, fault_held_count(w.bucket) > 0);
		testing_client_close(&c);
		testing_close_agent(&w);
		fault_clear(w.bucket);
		fault_release(w.bucket, "");
		testing_open_agent(&w);
		testing_client_open(&c, &w);
		check_all(10);
		compaction_free(w.control.compaction);
		w.control.compaction = NULL;
		compact();
		check_all(10);
		end();
	}
}

static void test_two_agents_never_swap_the_same_runs(void **state)
{
	struct testing_world other;

	(void)state;
	begin();
	testing_join_world(&other, &w, 9093, "here");
	produce_all(0, BATCHES);
	compact();
	assert_int_equal(w.control.denied_count, 0);
	check_all(BATCHES);
	testing_close_agent(&other);
	testing_restart_agent(&w, &c);
	check_all(BATCHES);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_small_runs_become_few_and_the_records_stay),
		cmocka_unit_test(test_a_fetch_whose_file_has_gone_plans_again),
		cmocka_unit_test(test_a_bucket_that_fails_only_delays_it),
		cmocka_unit_test(test_the_swap_is_asked_for_until_there_is_an_answer),
		cmocka_unit_test(test_a_job_that_was_given_away_changes_nothing),
		cmocka_unit_test(test_an_agent_that_stops_in_a_job_leaves_everything_as_it_was),
		cmocka_unit_test(test_two_agents_never_swap_the_same_runs),
	};

	setenv("HANSE_TEST_COMPACTION_AGE_MS", "0", 1);
	setenv("HANSE_TEST_COMPACTION_IDLE_MS", "5", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
