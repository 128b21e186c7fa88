/* Objects that nobody needs, and who deletes them: dead files, refused files, orphans.  Names begin
 * with the case of doc/cases.md that they are. */
#include "streams/agent/agent_numbers.h"
#include "streams/agent/janitor.h"
#include "streams/agent/orphan_scan.h"
#include "streams/testing_world.h"
#include "wire/streams/data_file.h"

static struct testing_world w;
static struct testing_client c;

static void set_up(void)
{
	setenv("HANSE_TEST_ORPHANS_MS", "5", 1);
	setenv("HANSE_TEST_DATA_GRACE_MS", "5", 1);
	testing_world_open(&w, 0);
	testing_client_open(&c, &w);
}

static void tear_down(void)
{
	testing_client_close(&c);
	testing_world_close(&w);
}

/* --- the bucket, looked at from outside ----------------------------------------------------------
 */

struct asking {
	struct task task;
	struct bucket_op op;
	struct arena arena;
	char key[DATA_FILE_KEY_BYTES + 20];
	enum bucket_verb verb;
};

static enum step ask_step(struct task *t)
{
	struct asking *a = CONTAINER(t, struct asking, task);
	struct bucket *b = fault_inner(w.bucket);

	if (t->at == 1)
		return task_done(t, a->op.task.err);
	if (a->verb == BUCKET_PUT)
		bucket_put(&a->op, t, b, slice_from(a->key), SLICE("an orphan"));
	else
		bucket_list(&a->op, t, b, &a->arena, SLICE("v1/d/"), SLICE(""));
	return task_wait(t, 1);
}

static void ask(struct asking *a)
{
	static const struct task_kind kind = { .name = "ask", .step = ask_step };

	task_start_root(&a->task, &kind, w.loop);
	WAIT_FOR(&w, !task_is_running(&a->task));
	assert_int_equal(a->task.err, OK);
}

static void put_file(uint64_t incarnation, uint64_t sequence)
{
	struct asking a = { .verb = BUCKET_PUT };

	data_file_key(a.key, incarnation, sequence);
	ask(&a);
}

static void put_foreign(int number)
{
	struct asking a = { .verb = BUCKET_PUT };

	snprintf(a.key, sizeof(a.key), "v1/d/00/foreign-%d", number);
	ask(&a);
}

static size_t object_count(void)
{
	struct asking a = { .verb = BUCKET_LIST };

	arena_init(&a.arena);
	ask(&a);
	arena_done(&a.arena);
	return a.op.ret_count;
}

static int64_t number(const char *sql)
{
	sqlite3_stmt *st = cell_statement(w.control.cell, sql);

	assert_true(cell_next(w.control.cell, st));
	int64_t n = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return n;
}

static void produce(int64_t base_offset)
{
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "x", 0, 1), base_offset);
}

/* What is produced here, as if nobody could read it any more. */
static void kill_files(void)
{
	testing_control_sql(&w.control, "DELETE FROM run");
	testing_control_sql(&w.control, "UPDATE file SET run_count = 0, dead_ms = 1");
}

/* --- the scan ------------------------------------------------------------------------------------
 */

/* F4; more of them than one page of the list has. */
static void test_f4_orphans_are_found_and_deleted_and_nothing_else(void **state)
{
	(void)state;
	set_up();
	testing_restart_agent(&w, &c); /* incarnation 1 is over */
	produce(0);
	produce(1);
	put_file(2, 1000); /* may be committed yet */
	put_file(77, 1);   /* nobody has heard of it */
	for (uint64_t i = 1; i <= BUCKET_LIST_NAMES_MAX; i++)
		put_file(1, 100 + i);
	w.control.lists_orphans = true;
	WAIT_FOR(&w, object_count() == 4);
	WAIT_FOR(&w, number("SELECT count(*) FROM file") == 2);
	assert_true(w.control.orphan_pages >= 2);
	int pages = w.control.orphan_pages;
	WAIT_FOR(&w, w.control.orphan_pages > pages + 4);
	assert_int_equal(object_count(), 4);
	tear_down();
}

static uint64_t deletions(void)
{
	return fault_op_count(w.bucket, FAULT_VERB(BUCKET_DELETE));
}

/* Whole pages of what somebody else put there are listed past, and nothing of it is touched. */
static void test_f4_objects_of_others_do_not_end_the_scan(void **state)
{
	const size_t foreign = BUCKET_LIST_NAMES_MAX + 5;

	(void)state;
	set_up();
	testing_restart_agent(&w, &c);
	for (size_t i = 0; i < foreign; i++)
		put_foreign((int)i);
	put_file(1, 100);
	w.control.lists_orphans = true;
	WAIT_FOR(&w, deletions() == 1 && number("SELECT count(*) FROM file") == 0);
	WAIT_FOR(&w, orphan_scan_foreign(w.agent->orphan_scan) == foreign);
	int pages = w.control.orphan_pages;
	WAIT_FOR(&w, w.control.orphan_pages > pages + 4);
	assert_int_equal(deletions(), 1);
	tear_down();
}

static const struct bucket_kind *storage_kind;
static int looks;
static size_t left;

static enum step storage_step(struct task *t)
{
	struct bucket_op *op = CONTAINER(t, struct bucket_op, task);

	if (op->verb != BUCKET_ABORT_UPLOADS)
		return storage_kind->op->step(t);
	assert_true(slice_equal(op->key, SLICE("v1/")));
	assert_int_equal(op->age_ms, ORPHAN_UPLOAD_AGE_MS);
	looks++;
	op->ret_count = left < 100 ? left : 100;
	left -= op->ret_count;
	op->ret_more = left > 0;
	return looks == 1 ? task_fail(t, ERR_DENIED, "not allowed") : task_done(t, OK);
}

/* F5: what large puts left, before each pass, in whatever the bucket is wrapped; if it is not
 * possible, objects are listed all the same. */
static void test_f5_a_pass_begins_with_uploads_that_never_ended(void **state)
{
	static struct task_kind step;
	static struct bucket_kind kind;

	(void)state;
	set_up();
	storage_kind = fault_inner(w.bucket)->kind;
	step = *storage_kind->op;
	step.step = storage_step;
	kind = *storage_kind;
	kind.op = &step;
	kind.has_uploads = true;
	fault_inner(w.bucket)->kind = &kind;
	left = 250;
	w.control.lists_orphans = true;
	WAIT_FOR(&w, w.control.orphan_pages >= 3);
	assert_int_equal(left, 0);
	assert_true(looks >= 4);
	fault_inner(w.bucket)->kind = storage_kind;
	tear_down();
}

/* F7 */
static void test_f7_a_list_that_fails_or_is_stale_does_no_harm(void **state)
{
	(void)state;
	set_up();
	testing_restart_agent(&w, &c);
	produce(0);
	put_file(1, 100);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_BEFORE,
					      .verbs = FAULT_VERB(BUCKET_LIST),
					      .prefix = "v1/d/",
					      .count = 3 });
	w.control.lists_orphans = true;
	WAIT_FOR(&w, object_count() == 1);
	assert_true(fault_strike_count(w.bucket) >= 3);
	fault_clear(w.bucket);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_STALE,
					      .verbs = FAULT_VERB(BUCKET_LIST),
					      .prefix = "v1/d/",
					      .for_ms = FAULT_FOR_MS_MAX });
	produce(1);
	int pages = w.control.orphan_pages;
	WAIT_FOR(&w, w.control.orphan_pages > pages + 3);
	assert_int_equal(object_count(), 2);
	tear_down();
}

static void test_nobody_lists_whose_turn_it_is_not(void **state)
{
	(void)state;
	set_up();
	int asked = w.control.orphans_count;
	uint64_t before = fault_op_count(w.bucket, FAULT_VERB(BUCKET_LIST));
	WAIT_FOR(&w, w.control.orphans_count > asked + 3);
	assert_int_equal(fault_op_count(w.bucket, FAULT_VERB(BUCKET_LIST)), before);
	tear_down();
}

/* --- dead files ----------------------------------------------------------------------------------
 */

/* F8: one answer is lost, one file is not to be deleted for now. */
static void test_f8_what_the_bucket_did_not_confirm_is_not_forgotten(void **state)
{
	char key[DATA_FILE_KEY_BYTES + 1];

	(void)state;
	set_up();
	for (int i = 0; i < 5; i++)
		produce(i);
	data_file_key(key, 1, 1);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_BEFORE,
					      .verbs = FAULT_VERB(BUCKET_DELETE),
					      .prefix = key });
	data_file_key(key, 1, 2);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_AFTER,
					      .verbs = FAULT_VERB(BUCKET_DELETE),
					      .prefix = key,
					      .count = 3 });
	kill_files();
	WAIT_FOR(&w, number("SELECT count(*) FROM file") == 1);
	assert_int_equal(number("SELECT sequence FROM file"), 1);
	assert_int_equal(object_count(), 1);
	fault_clear(w.bucket);
	WAIT_FOR(&w, number("SELECT count(*) FROM file") == 0);
	assert_int_equal(object_count(), 0);
	assert_int_equal(w.agent->numbers->work.files_deleted, 5);
	assert_true(w.agent->numbers->work.deletes_failed >= 2);
	tear_down();
}

/* More than a round takes, and the first ones cannot be deleted: the others go all the same. */
static void test_f8_files_that_stay_hold_up_no_others(void **state)
{
	(void)state;
	set_up();
	for (int i = 0; i < 30; i++)
		produce(i);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_BEFORE,
					      .verbs = FAULT_VERB(BUCKET_DELETE),
					      .count = 25 });
	kill_files();
	WAIT_FOR(&w, number("SELECT count(*) FROM file") == 0);
	assert_int_equal(object_count(), 0);
	tear_down();
}

/* F8: of several that are under way the answers come in no order, and the agent goes in between. */
static void test_f8_files_are_deleted_side_by_side(void **state)
{
	char key[DATA_FILE_KEY_BYTES + 1];

	(void)state;
	set_up();
	for (int i = 0; i < 10; i++)
		produce(i);
	data_file_key(key, 1, 1);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
					      .verbs = FAULT_VERB(BUCKET_DELETE),
					      .prefix = key });
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
					      .verbs = FAULT_VERB(BUCKET_DELETE),
					      .skip = 6 });
	kill_files();
	WAIT_FOR(&w, fault_held_count(w.bucket) == JANITOR_DELETIONS_NEAR_MAX);
	assert_int_equal(object_count(), 4);
	/* what is not confirmed is in the catalog, and so is what waits for the others */
	assert_int_equal(number("SELECT count(*) FROM file"), 10);
	testing_restart_agent(&w, &c);
	assert_int_equal(number("SELECT count(*) FROM file"), 10);
	fault_clear(w.bucket);
	WAIT_FOR(&w, number("SELECT count(*) FROM file") == 0);
	assert_int_equal(object_count(), 0);
	tear_down();
}

/* Files as if they were put long ago by incarnation 1, dead. */
static void add_dead_files(int count)
{
	char sql[400];

	snprintf(sql, sizeof(sql),
		 "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
		 " INSERT INTO file (incarnation, sequence, size, run_count, committed_ms, dead_ms)"
		 " SELECT 1, i, 9, 0, 1, 1 FROM n",
		 100 + count - 1);
	testing_control_sql(&w.control, sql);
}

/* The journal says that it is earlier than this machine believes; it stands still here. */
static void test_a_date_that_is_ahead_deletes_nothing_early(void **state)
{
	char sql[200];

	(void)state;
	set_up();
	for (int i = 0; i < 3; i++)
		produce(i);
	w.control.behind_ms = 3600 * 1000;
	testing_run_ms(&w, 1600);
	setenv("HANSE_TEST_DATA_GRACE_MS", "1500", 1);
	testing_restart_agent(&w, &c);
	snprintf(sql, sizeof(sql), "UPDATE file SET run_count = 0, dead_ms = %llu",
		 (unsigned long long)cell_state(w.control.cell).now_ms);
	uint64_t dead_ms = clock_now_ms();
	testing_control_sql(&w.control, "DELETE FROM run");
	testing_control_sql(&w.control, sql);
	WAIT_FOR(&w, object_count() < 3);
	assert_true(clock_now_ms() - dead_ms >= 1400);
	WAIT_FOR(&w, number("SELECT count(*) FROM file") == 0);
	assert_int_equal(w.control.forgotten_early, 0);
	tear_down();
}

static void test_where_requests_cost_deletions_have_a_budget(void **state)
{
	const uint64_t per_s = (uint64_t)FLUSH_PUTS_PER_S * JANITOR_DELETES_PER_PUT;

	(void)state;
	set_up();
	fault_set_store(w.bucket, &(struct fault_store) { .other = { 1, 1 } });
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
					      .verbs = FAULT_VERB(BUCKET_DELETE),
					      .count = JANITOR_DELETIONS_FAR_MAX });
	uint64_t since_ms = clock_now_ms();
	add_dead_files(60);
	WAIT_FOR(&w, fault_held_count(w.bucket) == JANITOR_DELETIONS_FAR_MAX);
	fault_release(w.bucket, "");
	while (number("SELECT count(*) FROM file") > 0) {
		uint64_t sent = fault_op_count(w.bucket, FAULT_VERB(BUCKET_DELETE));
		uint64_t now_ms = clock_now_ms();
		assert_true(sent <= FLUSH_PUTS_BURST + 1 + (now_ms - since_ms) * per_s / 1000);
		assert_true(now_ms < since_ms + TESTING_PATIENCE_MS);
		testing_turn(&w);
	}
	assert_int_equal(fault_op_count(w.bucket, FAULT_VERB(BUCKET_DELETE)), 60);
	assert_true(clock_now_ms() - since_ms >= (60 - FLUSH_PUTS_BURST) * 1000 / per_s);
	tear_down();
}

static void test_a_dead_file_has_one_agent_that_deletes_it(void **state)
{
	struct testing_world other;

	(void)state;
	set_up();
	testing_join_world(&other, &w, 9093, "there");
	WAIT_FOR(&w, number("SELECT count(*) FROM agent WHERE is_live = 1") == 2);
	for (int i = 0; i < 20; i++)
		produce(i);
	uint64_t before = fault_op_count(w.bucket, FAULT_VERB(BUCKET_DELETE));
	/* not so long ago that it is anybody's */
	char sql[200];
	snprintf(sql, sizeof(sql), "UPDATE file SET run_count = 0, dead_ms = %lld",
		 (long long)clock_wall_ms() - 1000);
	testing_control_sql(&w.control, "DELETE FROM run");
	testing_control_sql(&w.control, sql);
	WAIT_FOR(&w, number("SELECT count(*) FROM file") == 0);
	assert_int_equal(object_count(), 0);
	assert_int_equal(fault_op_count(w.bucket, FAULT_VERB(BUCKET_DELETE)) - before, 20);
	testing_close_agent(&other);
	tear_down();
}

/* --- refused files -------------------------------------------------------------------------------
 */

static void test_a_refused_file_is_deleted_at_once(void **state)
{
	(void)state;
	set_up();
	w.control.commit_error = ERR_TOO_BIG;
	testing_send_produce(&c, "alpha", 0, testing_batch(&c.arena, "x", 0, 1), -1);
	assert_int_not_equal(testing_receive_produce(&c)->error_code, KAFKA_NONE);
	WAIT_FOR(&w, object_count() == 0);
	tear_down();
}

/* Its first commit may have been run, and nobody was told. */
static void test_c2_a_file_whose_outcome_is_not_known_stays(void **state)
{
	(void)state;
	set_up();
	w.control.lose_before = 1;
	testing_send_produce(&c, "alpha", 0, testing_batch(&c.arena, "x", 0, 1), -1);
	WAIT_FOR(&w, w.control.lose_before == 0);
	w.control.commit_error = ERR_TOO_BIG;
	assert_int_not_equal(testing_receive_produce(&c)->error_code, KAFKA_NONE);
	produce(0);
	assert_int_equal(object_count(), 2);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_f4_orphans_are_found_and_deleted_and_nothing_else),
		cmocka_unit_test(test_f4_objects_of_others_do_not_end_the_scan),
		cmocka_unit_test(test_f5_a_pass_begins_with_uploads_that_never_ended),
		cmocka_unit_test(test_f7_a_list_that_fails_or_is_stale_does_no_harm),
		cmocka_unit_test(test_nobody_lists_whose_turn_it_is_not),
		cmocka_unit_test(test_f8_what_the_bucket_did_not_confirm_is_not_forgotten),
		cmocka_unit_test(test_f8_files_that_stay_hold_up_no_others),
		cmocka_unit_test(test_f8_files_are_deleted_side_by_side),
		cmocka_unit_test(test_a_date_that_is_ahead_deletes_nothing_early),
		cmocka_unit_test(test_where_requests_cost_deletions_have_a_budget),
		cmocka_unit_test(test_a_dead_file_has_one_agent_that_deletes_it),
		cmocka_unit_test(test_a_refused_file_is_deleted_at_once),
		cmocka_unit_test(test_c2_a_file_whose_outcome_is_not_known_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
