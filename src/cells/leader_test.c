/* A leader in good and in ordinary times; leader_fault_test.c has the bad ones. */
#include "cells/leader_testing.h"

#include <unistd.h>

#include "base/endian.h"
#include "base/memory.h"
#include "buckets/bucket_ask.h"

static void each_world(void (*test)(struct world *w))
{
	static const int counts[] = { 1, 3, 1, 3 };
	static const char *const classes[] = { "raw", "raw", "cas", "cas" };

	for (uint64_t i = 0; i < 4; i++) {
		struct world w;

		world_open(&w, counts[i], classes[i], i);
		test(&w);
		world_close(&w);
	}
}

/* --- commands and recovery ------------------------------------------------------------------ */

static void commands_survive_a_crash(struct world *w)
{
	struct node a, b;

	node_lead(&a, w, "a");
	for (int i = 0; i < 20; i++)
		assert_int_equal(put_one(&a), OK);
	check_world(w, &a);
	struct hash128 hash = cell_hash(leader_cell(a.leader));
	node_crash(&a);

	node_lead(&b, w, "b");
	check_world(w, &b);
	assert_true(hash128_equal(hash, cell_hash(leader_cell(b.leader))));
	assert_int_equal(put_one(&b), OK);
	check_world(w, &b);
	node_stop(&b);
}

static void test_commands_survive_a_crash(void **state)
{
	(void)state;
	each_world(commands_survive_a_crash);
}

static void test_commands_survive_a_crash_on_disk(void **state)
{
	char command[100];

	(void)state;
	for (int count = 1; count <= 3; count += 2) {
		struct world w;

		world_open(&w, count, "raw", 0);
		snprintf(w.directory, sizeof(w.directory), "/tmp/hanse-leader-%d-%d", getpid(),
			 count);
		commands_survive_a_crash(&w);
		snprintf(command, sizeof(command), "rm -rf %s-*", w.directory);
		world_close(&w);
		assert_int_equal(system(command), 0);
	}
}

static void a_stop_commits_what_there_is(struct world *w)
{
	struct node a, b;
	struct command *m[5];

	node_lead(&a, w, "a");
	m[0] = give(&a, COMMAND_PUT);
	assert_int_equal(finish(m[0]), OK);
	for (int i = 1; i < 5; i++)
		m[i] = give(&a, COMMAND_PUT);
	assert_int_equal(finish(give(&a, COMMAND_READ)), OK); /* the others have run by then */
	node_stop(&a);
	for (int i = 0; i < 5; i++)
		assert_int_equal(finish(m[i]), OK);
	node_lead(&b, w, "b");
	check_world(w, &b);
	node_stop(&b);
}

static void test_a_stop_commits_what_there_is(void **state)
{
	(void)state;
	each_world(a_stop_commits_what_there_is);
}

static void a_stopped_leader_refuses_and_may_campaign_again(struct world *w)
{
	struct node a;

	node_lead(&a, w, "a");
	assert_int_equal(put_one(&a), OK);
	task_start_root(&a.stopper, &stopper_kind, w->loop);
	assert_true(wait_for(w, &a.has_stopped, TESTING_PATIENCE_MS));
	assert_int_equal(put_one(&a), ERR_UNAVAILABLE);
	assert_int_equal(finish(give(&a, COMMAND_FENCE)), ERR_UNAVAILABLE);
	assert_int_equal(finish(give(&a, COMMAND_IMAGE)), ERR_UNAVAILABLE);
	assert_false(a.is_lost); /* nobody is told of what he asked for */

	a.is_leading = a.has_stopped = false;
	leader_campaign(a.leader);
	assert_true(wait_for(w, &a.is_leading, TESTING_PATIENCE_MS));
	check_world(w, &a);
	node_stop(&a);
}

static void test_a_stopped_leader_refuses_and_may_campaign_again(void **state)
{
	(void)state;
	each_world(a_stopped_leader_refuses_and_may_campaign_again);
}

static void a_failed_command_leaves_nothing(struct world *w)
{
	struct node a;
	struct command *before, *failing, *reader;

	node_lead(&a, w, "a");
	before = give(&a, COMMAND_PUT);
	failing = give(&a, COMMAND_FAIL);
	reader = give(&a, COMMAND_READ);
	assert_int_equal(finish(failing), ERR_DENIED);
	assert_int_equal(finish(before), OK);
	assert_int_equal(finish(reader), OK);
	assert_in_range(reader->seen, 0, 1);
	check_world(w, &a);
	node_stop(&a);
}

/* C7 */
static void test_a_failed_command_leaves_nothing(void **state)
{
	(void)state;
	each_world(a_failed_command_leaves_nothing);
}

/* --- what a commit costs -------------------------------------------------------------------- */

static uint64_t operations(const struct node *n, unsigned verbs)
{
	return fault_op_count(n->buckets[0], verbs);
}

static void test_one_commit_is_one_put_and_one_get(void **state)
{
	struct world w;
	struct node a;

	(void)state;
	world_open(&w, 1, "raw", 0);
	node_lead(&a, &w, "a");
	uint64_t puts = operations(&a, FAULT_VERB(BUCKET_PUT));
	uint64_t all = operations(&a, FAULT_VERBS_ALL);
	for (int i = 0; i < 10; i++)
		assert_int_equal(put_one(&a), OK);
	assert_int_equal(operations(&a, FAULT_VERB(BUCKET_PUT)) - puts, 10);
	assert_int_equal(operations(&a, FAULT_VERBS_ALL) - all, 20);
	node_stop(&a);
	world_close(&w);
}

static void test_commands_of_one_turn_share_a_record(void **state)
{
	struct world w;
	struct node a;

	(void)state;
	world_open(&w, 1, "raw", 0);
	node_lead(&a, &w, "a");
	uint64_t puts = operations(&a, FAULT_VERB(BUCKET_PUT));
	for (int i = 0; i < 100; i++)
		give(&a, COMMAND_PUT);
	finish_all(&w);
	check_world(&w, &a);
	assert_int_equal(operations(&a, FAULT_VERB(BUCKET_PUT)) - puts, 1);
	node_stop(&a);
	world_close(&w);
}

static void test_big_changes_do_not_wait_for_the_record_before(void **state)
{
	struct world w;
	struct node a;
	struct leader_status status;
	bool never = false;

	(void)state;
	world_open(&w, 1, "raw", 0);
	node_lead(&a, &w, "a");
	fault_add(a.buckets[0], &(struct fault) { .effect = FAULT_HOLD });
	for (int i = 0; i < 20; i++)
		give(&a, COMMAND_BIG);
	wait_for(&w, &never, 50);
	leader_get_status(a.leader, &status);
	assert_in_range(status.in_flight, 2, 20);
	fault_clear(a.buckets[0]);
	fault_release(a.buckets[0], "");
	finish_all(&w);
	check_world(&w, &a);
	node_stop(&a);
	world_close(&w);
}

static void test_more_than_fits_waits_or_is_refused(void **state)
{
	struct world w;
	struct node a;
	bool never = false;
	size_t busy = 0;

	(void)state;
	world_open(&w, 1, "raw", 0);
	node_lead(&a, &w, "a");
	fault_add(a.buckets[0], &(struct fault) { .effect = FAULT_HOLD });
	for (int i = 0; i < 400; i++)
		give(&a, COMMAND_BIG);
	wait_for(&w, &never, 100);
	fault_clear(a.buckets[0]);
	fault_release(a.buckets[0], "");
	finish_all(&w);
	for (size_t i = 0; i < w.command_count; i++) {
		assert_true(w.commands[i]->err == OK || w.commands[i]->err == ERR_BUSY);
		busy += w.commands[i]->err == ERR_BUSY;
	}
	assert_true(busy < 400);
	check_world(&w, &a);
	node_stop(&a);
	world_close(&w);
}

/* --- schema --------------------------------------------------------------------------------- */

static void a_schema_is_upgraded_and_never_downgraded(struct world *w)
{
	struct node a, b, c;

	node_lead(&a, w, "a");
	assert_int_equal(cell_schema_version(leader_cell(a.leader), "test"), 1);
	assert_int_equal(put_one(&a), OK);
	node_stop(&a);

	node_open(&b, w, "b");
	b.config.schema_count = 2;
	node_campaign(&b);
	assert_true(wait_for(w, &b.is_leading, TESTING_PATIENCE_MS));
	assert_int_equal(cell_schema_version(leader_cell(b.leader), "test"), 2);
	check_world(w, &b);
	node_stop(&b);

	node_open(&c, w, "c");
	node_campaign(&c);
	assert_true(wait_for(w, &c.is_lost, TESTING_PATIENCE_MS));
	assert_non_null(strstr(c.why, "schema"));
	node_stop(&c);
}

static void test_a_schema_is_upgraded_and_never_downgraded(void **state)
{
	(void)state;
	each_world(a_schema_is_upgraded_and_never_downgraded);
}

/* --- followers ------------------------------------------------------------------------------ */

/* What control does: collect from before the image, drop what the image has. */
static void follow(struct node *n, const struct command *image)
{
	struct cell *c = cell_new("test");
	struct slice rest = buf_slice(&n->records);
	uint64_t next = image->image.index + 1;

	testing_load(c, &image->image.image);
	while (rest.size > 0) {
		uint64_t index = get_u64(rest.data);
		size_t size = get_u32(rest.data + 8);

		if (index >= next) {
			assert_int_equal(index, next);
			testing_apply(c, slice_part(rest, 12, size));
			next++;
		}
		rest = slice_part(rest, 12 + size, rest.size);
	}
	assert_true(hash128_equal(cell_hash(c), cell_hash(leader_cell(n->leader))));
	testing_same(cell_database(c), cell_database(leader_cell(n->leader)),
		     "SELECT rowid, * FROM item ORDER BY rowid");
	cell_free(c);
}

static void an_image_and_the_records_after_it_are_the_cell(struct world *w)
{
	struct node a;
	struct command *images[8];

	node_lead(&a, w, "a");
	for (int i = 0; i < 8; i++) {
		give(&a, COMMAND_PUT);
		images[i] = give(&a, COMMAND_IMAGE);
		give(&a, COMMAND_PUT);
		if (i % 3 == 0)
			finish_all(w);
	}
	finish_all(w);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(images[i]->err, OK);
		follow(&a, images[i]);
	}
	node_stop(&a);
}

static void test_an_image_and_the_records_after_it_are_the_cell(void **state)
{
	(void)state;
	each_world(an_image_and_the_records_after_it_are_the_cell);
}

/* --- snapshots ------------------------------------------------------------------------------ */

static size_t count_objects(struct node *n, const char *prefix)
{
	size_t count = 0;
	struct arena a;
	struct slice *names;
	bool more;

	arena_init(&a);
	assert_int_equal(bucket_ask_list(n->world->loop, n->buckets[0], &a, slice_from(prefix),
					 SLICE(""), &names, &count, &more),
			 OK);
	assert_false(more);
	arena_done(&a);
	return count;
}

static void wait_ms(struct world *w, uint64_t ms)
{
	bool never = false;

	wait_for(w, &never, ms);
}

static void open_with_snapshots(struct node *n, struct world *w, const char *name)
{
	node_open(n, w, name);
	n->config.snapshot_bytes = 1000;
	n->config.record_grace_ms = 1;
	n->config.fence_grace_ms = 1;
	node_campaign(n);
	assert_true(wait_for(w, &n->is_leading, TESTING_PATIENCE_MS));
}

static uint64_t wait_for_snapshot(struct node *n)
{
	struct leader_status status = { 0 };

	for (int i = 0; i < 1000 && status.snapshot_index == 0; i++) {
		wait_ms(n->world, 10);
		leader_get_status(n->leader, &status);
	}
	assert_true(status.snapshot_index > 0);
	assert_in_range(status.snapshot_ms, clock_wall_ms() - 60000, clock_wall_ms());
	return status.snapshot_index;
}

static void snapshots_are_taken_and_used(struct world *w)
{
	struct node a;

	for (int round = 0; round < 4; round++) {
		open_with_snapshots(&a, w, round % 2 ? "a" : "b");
		check_world(w, &a);
		for (int i = 0; i < 60; i++)
			assert_int_equal(finish(give(&a, i % 20 ? COMMAND_PUT : COMMAND_BIG)), OK);
		assert_true(wait_for_snapshot(&a) > 0);
		assert_int_equal(count_objects(&a, "v1/j/main/snap/") > 0, 1);
		if (round % 2)
			node_stop(&a);
		else
			node_crash(&a);
	}
}

static void test_snapshots_are_taken_and_used(void **state)
{
	(void)state;
	each_world(snapshots_are_taken_and_used);
}

static bool is_trimmed(struct node *n)
{
	return count_objects(n, "v1/j/main/snap/") <= 2 &&
	       count_objects(n, "v1/j/main/chunk/") <= 8 && count_objects(n, "v1/j/main/e/") <= 100;
}

static void what_snapshots_cover_is_deleted(struct world *w)
{
	bool is_done = false;
	struct node a;

	open_with_snapshots(&a, w, "a");
	for (int i = 0; i < 300; i++)
		assert_int_equal(put_one(&a), OK);
	/* a tick each second trims; the last snapshot may be of long ago, and the next one is taken
	 * when there are enough records after it */
	for (int i = 0; i < 1000 && !(is_done = is_trimmed(&a)); i++) {
		assert_int_equal(put_one(&a), OK);
		wait_ms(w, 200);
	}
	assert_true(is_done);
	assert_true(count_objects(&a, "v1/j/main/snap/") > 0);
	assert_true(count_objects(&a, "v1/j/main/chunk/") > 0);
	assert_true(count_objects(&a, "v1/j/main/e/") > 0);
	check_world(w, &a);
	node_crash(&a);
	open_with_snapshots(&a, w, "b");
	check_world(w, &a);
	node_stop(&a);
}

static void test_what_snapshots_cover_is_deleted(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, 3, "raw", 0);
	what_snapshots_cover_is_deleted(&w);
	world_close(&w);
}

/* The pointer to the newest snapshot is in no record yet, so the one before it will be loaded. */
static void test_the_snapshot_before_the_newest_can_still_be_loaded(void **state)
{
	struct leader_status status;
	struct world w;
	struct node a;
	uint64_t first;

	(void)state;
	world_open(&w, 1, "raw", 0);
	open_with_snapshots(&a, &w, "a");
	assert_int_equal(finish(give(&a, COMMAND_BIG)), OK);
	first = wait_for_snapshot(&a);
	do {
		assert_int_equal(finish(give(&a, COMMAND_BIG)), OK);
		wait_ms(&w, 10);
		leader_get_status(a.leader, &status);
	} while (status.snapshot_index == first);
	wait_ms(&w, 1300); /* a tick starts the cleaning */
	node_crash(&a);
	open_with_snapshots(&a, &w, "b");
	check_world(&w, &a);
	node_stop(&a);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands_survive_a_crash),
		cmocka_unit_test(test_commands_survive_a_crash_on_disk),
		cmocka_unit_test(test_a_stop_commits_what_there_is),
		cmocka_unit_test(test_a_stopped_leader_refuses_and_may_campaign_again),
		cmocka_unit_test(test_a_failed_command_leaves_nothing),
		cmocka_unit_test(test_one_commit_is_one_put_and_one_get),
		cmocka_unit_test(test_commands_of_one_turn_share_a_record),
		cmocka_unit_test(test_big_changes_do_not_wait_for_the_record_before),
		cmocka_unit_test(test_more_than_fits_waits_or_is_refused),
		cmocka_unit_test(test_a_schema_is_upgraded_and_never_downgraded),
		cmocka_unit_test(test_an_image_and_the_records_after_it_are_the_cell),
		cmocka_unit_test(test_snapshots_are_taken_and_used),
		cmocka_unit_test(test_what_snapshots_cover_is_deleted),
		cmocka_unit_test(test_the_snapshot_before_the_newest_can_still_be_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
