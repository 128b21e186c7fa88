#include "streams/coordinator/sweep.h"

#include "streams/coordinator/books_testing.h"
#include "streams/coordinator/forget_files.h"

static bool sweep(struct books *b)
{
	struct sweep_step step = {
		.now_ms = b->now_ms,
		.idle_since_ms = b->now_ms - SWEEP_GROUP_IDLE_MS,
	};

	assert_int_equal(cell_run(b->cell, sweep_run, &step), OK);
	return step.is_more;
}

static void test_nothing_to_sweep_changes_nothing(void **state)
{
	struct books b;

	(void)state;
	books_open(&b);
	books_hello(&b);
	struct batch batch = { books_topic(&b, "t", 2), 0, .records = 1 };
	(void)books_batch(&b, batch);
	int64_t changes = sqlite3_total_changes64(cell_database(b.cell));
	assert_false(sweep(&b));
	assert_int_equal(sqlite3_total_changes64(cell_database(b.cell)), changes);
	books_close(&b);
}

/* 1200 files of both topics and 100 of the one that goes. */
static void fill(struct books *b, struct uuid stays, struct uuid goes)
{
	for (int i = 0; i < 1300; i++) {
		struct batch batches[] = {
			{ goes, i % 3, .records = 1, .producer_id = 1 + i, .sequence = 0 },
			{ stays, 0, .records = 1 },
		};
		(void)books_file(b, batches, i < 1200 ? 2 : 1);
		arena_reset(&b->arena);
	}
}

static void test_a_deleted_topic_goes_in_bounded_steps(void **state)
{
	struct books b;
	int steps = 0;

	(void)state;
	books_open(&b);
	books_hello(&b);
	struct uuid stays = books_topic(&b, "stays", 1), goes = books_topic(&b, "goes", 3);
	fill(&b, stays, goes);
	books_do(&b, "INSERT INTO group_offset (consumer_group, topic, partition,"
		     " committed_offset, leader_epoch, metadata, commit_ms)"
		     " SELECT 1, topic, number, 5, 0, '', 1 FROM partition");
	books_do(&b, "UPDATE topic SET deleted_ms = 1 WHERE name = 'goes'");
	b.now_ms = 5000;
	sqlite3 *database = cell_database(b.cell);
	for (int64_t before = sqlite3_total_changes64(database); sweep(&b); steps++) {
		int64_t changes = sqlite3_total_changes64(database) - before;
		assert_in_range(changes, 1, 2 * SWEEP_ROWS_MAX);
		before += changes;
	}
	assert_in_range(steps, 1300 / SWEEP_ROWS_MAX, 30);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM topic"), 1);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM partition"), 1);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM producer"), 0);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM group_offset"), 1);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run"), 1200);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file WHERE run_count = 1 AND"
					  " dead_ms IS NULL"),
			 1200);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file WHERE run_count = 0 AND"
					  " dead_ms = 5000"),
			 100);
	books_close(&b);
}

static void test_runs_before_the_log_start_go_in_bounded_steps(void **state)
{
	struct books b;
	int steps = 0;

	(void)state;
	books_open(&b);
	books_hello(&b);
	struct uuid t = books_topic(&b, "t", 1);
	for (int i = 0; i < 1200; i++) {
		(void)books_batch(&b, (struct batch) { t, 0, .records = 2 });
		arena_reset(&b.arena);
	}
	int64_t bytes = books_number(&b, "SELECT bytes FROM partition");
	books_do(&b, "UPDATE partition SET log_start_offset = 2001");
	books_do(&b, "INSERT INTO trim (id) SELECT id FROM partition");
	books_do(&b, "INSERT INTO trim (id) VALUES (99)"); /* of a topic that is no more */
	b.now_ms = 5000;
	while (sweep(&b))
		steps++;
	assert_int_equal(steps, 4);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM trim"), 0);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run"), 200);
	assert_int_equal(books_number(&b, "SELECT min(base_offset) FROM run"), 2000);
	assert_int_equal(books_number(&b, "SELECT bytes FROM partition"), bytes / 6);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file WHERE dead_ms = 5000"), 1000);
	books_close(&b);
}

static void test_the_name_of_a_topic_being_deleted_is_free(void **state)
{
	struct books b;

	(void)state;
	books_open(&b);
	books_hello(&b);
	struct uuid id = books_topic(&b, "t", 1);
	(void)books_batch(&b, (struct batch) { id, 0, .records = 3 });
	books_do(&b, "UPDATE topic SET deleted_ms = 1, topic_id = x'00' || substr(topic_id, 2)");
	struct uuid again = books_topic(&b, "t", 1);
	while (sweep(&b))
		continue;
	assert_int_equal(books_batch(&b, (struct batch) { again, 0, .records = 1 }).base_offset, 0);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run"), 1);
	books_close(&b);
}

static void test_a_deleted_group_goes_with_its_offsets(void **state)
{
	struct books b;
	int steps = 0;

	(void)state;
	books_open(&b);
	(void)books_topic(&b, "t", 1200);
	books_do(&b, "INSERT INTO consumer_group (id, name, state, generation, protocol_type,"
		     " updated_ms, deleted_ms) VALUES (1, 'g', 0, 0, '', 1, 2),"
		     " (2, 'g', 0, 0, '', 1, NULL)");
	books_do(&b, "INSERT INTO group_offset (consumer_group, topic, partition,"
		     " committed_offset, leader_epoch, metadata, commit_ms)"
		     " SELECT 1 + number % 2, topic, number, 5, 0, '', 1 FROM partition");
	while (sweep(&b))
		steps++;
	assert_in_range(steps, 3, 5);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM consumer_group"), 1);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM group_offset"), 600);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM group_offset"
					  " WHERE consumer_group = 2"),
			 600);
	books_close(&b);
}

static void test_groups_nobody_uses_are_deleted(void **state)
{
	struct books b;

	(void)state;
	books_open(&b);
	(void)books_topic(&b, "t", 1);
	books_do(&b, "INSERT INTO consumer_group (id, name, state, generation, protocol_type,"
		     " updated_ms) VALUES (1, 'unused', 0, 0, '', 10), (2, 'simple', 0, 0, '', 10),"
		     " (3, 'stable', 3, 1, 'consumer', 10), (4, 'new', 0, 0, '', 5000)");
	books_do(&b, "INSERT INTO group_offset (consumer_group, topic, partition,"
		     " committed_offset, leader_epoch, metadata, commit_ms)"
		     " VALUES (1, 1, 0, 5, 0, '', 10), (2, 1, 0, 5, 0, '', 4000)");
	b.now_ms = 10 + SWEEP_GROUP_IDLE_MS;
	assert_false(sweep(&b));
	b.now_ms++;
	while (sweep(&b))
		continue;
	assert_int_equal(books_number(&b, "SELECT count(*) FROM consumer_group"), 3);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM group_offset"), 1);
	assert_int_equal(books_number(&b, "SELECT updated_ms FROM consumer_group WHERE id = 2"),
			 4000);
	b.now_ms = 4001 + SWEEP_GROUP_IDLE_MS;
	while (sweep(&b))
		continue;
	assert_int_equal(books_number(&b, "SELECT count(*) FROM consumer_group"), 2);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM group_offset"), 0);
	books_close(&b);
}

static void test_a_clock_that_jumped_is_not_believed_for_a_while(void **state)
{
	enum { TICK_MS = 1000 };
	const int64_t year_ms = 365 * 24 * 3600 * INT64_C(1000);
	struct sweep_clock clock = { 0 };
	uint64_t loop_ms = 5000;
	int64_t jumps_ms[] = { 0, year_ms, -year_ms, SWEEP_CLOCK_JUMP_MS };
	int64_t wall_ms = year_ms;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		wall_ms += jumps_ms[i];
		uint64_t until_ms = loop_ms + SWEEP_CLOCK_STEADY_MS;
		for (; loop_ms < until_ms; loop_ms += TICK_MS, wall_ms += TICK_MS)
			assert_false(sweep_clock_is_steady(&clock, wall_ms, loop_ms));
		assert_true(sweep_clock_is_steady(&clock, wall_ms, loop_ms));
	}
	/* being put right little by little is no jump */
	for (int i = 0; i < 1000; i++, loop_ms += TICK_MS, wall_ms += 2 * TICK_MS)
		assert_true(sweep_clock_is_steady(&clock, wall_ms, loop_ms));
}

static void test_no_group_is_deleted_while_the_clock_is_not_believed(void **state)
{
	struct sweep_step step = { .now_ms = 1000 * SWEEP_GROUP_IDLE_MS };
	struct books b;

	(void)state;
	books_open(&b);
	books_do(&b, "INSERT INTO consumer_group (id, name, state, generation, protocol_type,"
		     " updated_ms) VALUES (1, 'old', 0, 0, '', 10)");
	assert_int_equal(cell_run(b.cell, sweep_run, &step), OK);
	assert_false(step.is_more);
	books_close(&b);
}

static void test_only_dead_files_are_forgotten(void **state)
{
	struct peer_forget_files_request_file files[] = { { 1, 0 }, { 1, 1 }, { 9, 9 } };
	struct forget_files forget = { .request = { .files = files, .files_count = 3 } };
	struct books b;

	(void)state;
	books_open(&b);
	books_hello(&b);
	assert_int_equal(b.incarnation, 1);
	struct uuid t = books_topic(&b, "t", 1);
	(void)books_batch(&b, (struct batch) { t, 7, .records = 1 }); /* refused: dead at once */
	(void)books_batch(&b, (struct batch) { t, 0, .records = 1 });
	/* not before its time, give or take what clocks differ, whatever an agent says */
	forget.now_ms = b.now_ms + CATALOG_GRACE_MS - CATALOG_GRACE_MS / FORGET_EARLY_SHARE - 1;
	assert_int_equal(cell_run(b.cell, forget_files_run, &forget), OK);
	assert_int_equal(forget.too_early, 1);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file"), 2);
	forget.now_ms++;
	assert_int_equal(cell_run(b.cell, forget_files_run, &forget), OK);
	assert_int_equal(forget.too_early, 0);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file"), 1);
	assert_int_equal(books_number(&b, "SELECT sequence FROM file"), 1);
	forget.request.files_count = FORGET_FILES_MAX + 1;
	assert_int_equal(cell_run(b.cell, forget_files_run, &forget), ERR_TOO_BIG);
	books_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_to_sweep_changes_nothing),
		cmocka_unit_test(test_a_deleted_topic_goes_in_bounded_steps),
		cmocka_unit_test(test_runs_before_the_log_start_go_in_bounded_steps),
		cmocka_unit_test(test_the_name_of_a_topic_being_deleted_is_free),
		cmocka_unit_test(test_a_deleted_group_goes_with_its_offsets),
		cmocka_unit_test(test_groups_nobody_uses_are_deleted),
		cmocka_unit_test(test_a_clock_that_jumped_is_not_believed_for_a_while),
		cmocka_unit_test(test_no_group_is_deleted_while_the_clock_is_not_believed),
		cmocka_unit_test(test_only_dead_files_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
