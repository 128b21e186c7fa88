/* Standbys that follow a leader, and what becomes of their cells at a takeover: never anything but
 * what a cold start gives. */
#include "cells/standby.h"

#include "buckets/bucket_ask.h"
#include "cells/journal_format.h"
#include "cells/leader_testing.h"

/* A node that follows before it leads. */
struct follower {
	struct node node;
	struct standby *standby;
	struct task stopper;
	struct standby_stop stop;
	bool has_stopped;
};

static bool never;

static void turn(struct world *w)
{
	wait_for(w, &never, 1);
}

static void follower_open(struct follower *f, struct world *w, const char *name)
{
	*f = (struct follower) { 0 };
	node_open(&f->node, w, name);
	f->standby = standby_new(w->loop, &(struct standby_config) {
						  .buckets = f->node.buckets,
						  .bucket_count = w->bucket_count,
						  .journal = "main",
						  .cell_name = "test",
						  .retry_ms = 20,
					  });
}

static enum step end_standby_step(struct task *t)
{
	struct follower *f = CONTAINER(t, struct follower, stopper);

	if (t->at == 0) {
		standby_stop(&f->stop, t, f->standby);
		return task_wait(t, 1);
	}
	f->has_stopped = true;
	world_changed(f->node.world);
	return task_done(t, OK);
}

static const struct task_kind end_standby_kind = { .name = "end standby",
						   .step = end_standby_step };

static void end_standby(struct follower *f)
{
	task_start_root(&f->stopper, &end_standby_kind, f->node.world->loop);
	assert_true(wait_for(f->node.world, &f->has_stopped, TESTING_PATIENCE_MS));
	standby_free(f->standby);
	f->standby = NULL;
}

static struct leader_status status_of(const struct node *n)
{
	struct leader_status status;

	leader_get_status(n->leader, &status);
	return status;
}

static struct standby_status standing(const struct follower *f)
{
	struct standby_status status;

	standby_get_status(f->standby, &status);
	return status;
}

static void aim_at(struct follower *f, const struct node *leader)
{
	struct leader_status status = status_of(leader);

	standby_aim(f->standby, status.epoch, status.committed_index);
}

/* Until it has what the leader has committed. */
static void catch_up(struct follower *f, const struct node *leader)
{
	struct world *w = f->node.world;
	uint64_t wanted = status_of(leader).committed_index;
	uint64_t until_ms = clock_now_ms() + TESTING_PATIENCE_MS;

	aim_at(f, leader);
	while (standing(f).index < wanted && clock_now_ms() < until_ms)
		turn(w);
	assert_int_equal(standing(f).index, wanted);
}

static void check_same(const struct follower *f, const struct node *leader)
{
	struct standby_status own = standing(f);
	struct leader_status status = status_of(leader);

	assert_int_equal(own.index, status.committed_index);
	assert_true(hash128_equal(own.content_hash, status.content_hash));
}

static void put_many(struct node *n, int count)
{
	for (int i = 0; i < count; i++)
		assert_int_equal(put_one(n), OK);
}

/* Records, until there is a snapshot of more than `index` and a record that names it. */
static void put_until_snapshot(struct node *n, uint64_t index)
{
	for (int i = 0; i < 400 && status_of(n).snapshot_index <= index; i++) {
		put_many(n, 1);
		for (int k = 0; k < 3; k++)
			turn(n->world);
	}
	assert_true(status_of(n).snapshot_index > index);
	put_many(n, 2);
}

static void use_small_snapshots(struct node *n)
{
	n->config.snapshot_bytes = 300;
	n->config.record_grace_ms = 1;
	n->config.fence_grace_ms = 3600 * 1000;
}

static void lead(struct node *n)
{
	node_campaign(n);
	if (!wait_for(n->world, &n->is_decided, TESTING_PATIENCE_MS) || !n->is_leading)
		fail_msg("does not lead: %s", n->why);
}

/* --- takeovers ------------------------------------------------------------------------------- */

static void campaign_warm(struct follower *f)
{
	struct node *n = &f->node;
	struct leader_warm warm;

	standby_take(f->standby, &warm);
	n->leader = leader_new(n->world->loop, &n->config);
	leader_campaign_warm(n->leader, &warm);
}

static void take_over(struct follower *f)
{
	struct node *n = &f->node;

	campaign_warm(f);
	if (!wait_for(n->world, &n->is_decided, TESTING_PATIENCE_MS) || !n->is_leading)
		fail_msg("does not lead: %s", n->why);
}

/* Somebody without a warm cell finds the same contents; whoever leads is gone then. */
static void check_against_cold(struct follower *f)
{
	struct world *w = f->node.world;
	struct leader_status warm = status_of(&f->node);
	struct node cold;

	check_world(w, &f->node);
	end_standby(f);
	node_crash(&f->node);
	node_lead(&cold, w, "cold");
	struct leader_status status = status_of(&cold);
	assert_int_equal(status.committed_index, warm.committed_index);
	assert_int_equal(status.warm_index, 0);
	assert_true(hash128_equal(status.content_hash, warm.content_hash));
	check_world(w, &cold);
	assert_int_equal(put_one(&cold), OK);
	node_stop(&cold);
}

static void each_world(void (*run)(struct world *w))
{
	for (int count = 1; count <= 3; count += 2) {
		struct world w;

		world_open(&w, count, "raw", (uint64_t)count);
		run(&w);
		world_close(&w);
	}
}

/* --- following ------------------------------------------------------------------------------- */

static void follows_without_listing(struct world *w)
{
	struct node a;
	struct follower f;

	node_lead(&a, w, "a");
	follower_open(&f, w, "b");
	for (int i = 0; i < 30; i++) {
		put_many(&a, i % 3);
		catch_up(&f, &a);
		check_same(&f, &a);
	}
	put_many(&a, 50); /* more than a window */
	catch_up(&f, &a);
	check_same(&f, &a);
	assert_int_equal(standing(&f).load_count, 1);

	uint64_t operations = 0;
	for (int k = 0; k < w->bucket_count; k++) {
		assert_int_equal(fault_op_count(f.node.buckets[k],
						FAULT_VERBS_ALL & ~FAULT_VERB(BUCKET_GET)),
				 0);
		operations += fault_op_count(f.node.buckets[k], FAULT_VERBS_ALL);
	}
	for (int i = 0; i < 20; i++) { /* nothing is read while nothing happens */
		aim_at(&f, &a);
		turn(w);
	}
	for (int k = 0; k < w->bucket_count; k++)
		operations -= fault_op_count(f.node.buckets[k], FAULT_VERBS_ALL);
	assert_int_equal(operations, 0);
	node_crash(&a);
	take_over(&f);
	assert_int_equal(status_of(&f.node).warm_index, status_of(&f.node).committed_index);
	check_against_cold(&f);
}

static void test_a_standby_follows_without_listing_and_rests_when_nothing_happens(void **state)
{
	(void)state;
	each_world(follows_without_listing);
}

static void begins_with_the_newest_snapshot(struct world *w)
{
	struct node a;
	struct follower f;

	node_open(&a, w, "a");
	use_small_snapshots(&a);
	lead(&a);
	put_until_snapshot(&a, 10);
	follower_open(&f, w, "b");
	catch_up(&f, &a);
	check_same(&f, &a);
	put_many(&a, 3);
	catch_up(&f, &a);
	check_same(&f, &a);
	assert_int_equal(standing(&f).load_count, 1);
	node_crash(&a);
	take_over(&f);
	check_against_cold(&f);
}

static void test_a_standby_begins_with_the_newest_snapshot(void **state)
{
	(void)state;
	each_world(begins_with_the_newest_snapshot);
}

/* Epochs with records, and epochs without. */
static void follows_from_epoch_to_epoch(struct world *w)
{
	struct follower f;

	follower_open(&f, w, "f");
	for (int i = 0; i < 12; i++) {
		struct node a;

		node_lead(&a, w, "a");
		put_many(&a, i % 4 == 1 ? 0 : 5);
		if (i % 3 != 2) { /* else it learns of it later */
			catch_up(&f, &a);
			check_same(&f, &a);
		}
		if (i % 2)
			node_crash(&a);
		else
			node_stop(&a);
	}
	assert_int_equal(standing(&f).load_count, 1);
	take_over(&f);
	assert_true(status_of(&f.node).warm_index > 0);
	check_against_cold(&f);
}

static void test_a_standby_follows_from_epoch_to_epoch(void **state)
{
	(void)state;
	each_world(follows_from_epoch_to_epoch);
}

/* While it did not look, what it needs next went away behind a snapshot. */
static void begins_anew_behind_a_snapshot(struct world *w)
{
	struct node a;
	struct follower f;
	char key[JOURNAL_KEY_BYTES];

	node_open(&a, w, "a");
	use_small_snapshots(&a);
	lead(&a);
	follower_open(&f, w, "f");
	put_many(&a, 5);
	catch_up(&f, &a);
	uint64_t index = standing(&f).index;
	put_until_snapshot(&a, index + 1);
	journal_key_record(key, "main", status_of(&a).epoch, index + 1);
	for (int k = 0; k < w->bucket_count; k++)
		assert_int_equal(bucket_ask_delete(w->loop, a.buckets[k], slice_from(key)), OK);
	catch_up(&f, &a);
	check_same(&f, &a);
	assert_int_equal(standing(&f).load_count, 2);
	node_crash(&a);
	take_over(&f);
	check_against_cold(&f);
}

static void test_a_standby_that_is_behind_a_snapshot_begins_anew(void **state)
{
	(void)state;
	each_world(begins_anew_behind_a_snapshot);
}

/* The name of the record holds a seal, or nothing: a later leader's copy does as well. */
static void reads_copies(struct world *w)
{
	struct node a;
	struct follower f;
	char key[JOURNAL_KEY_BYTES], copy[JOURNAL_KEY_BYTES];
	struct blob *body = NULL;

	node_lead(&a, w, "a");
	put_many(&a, 5);
	follower_open(&f, w, "f");
	catch_up(&f, &a);
	uint64_t index = standing(&f).index;
	put_many(&a, 5);
	journal_key_record(key, "main", status_of(&a).epoch, index + 1);
	journal_key_copy(copy, "main", status_of(&a).epoch, index + 1);
	assert_int_equal(bucket_ask_get(w->loop, a.buckets[0], slice_from(key), &body), OK);
	for (int k = 0; k < w->bucket_count; k++) {
		assert_int_equal(bucket_ask_put(w->loop, a.buckets[k], slice_from(copy),
						blob_slice(body)),
				 OK);
		assert_int_equal(bucket_ask_delete(w->loop, a.buckets[k], slice_from(key)), OK);
	}
	blob_unref(&body);
	catch_up(&f, &a);
	check_same(&f, &a);
	assert_int_equal(standing(&f).load_count, 1);
	node_crash(&a);
	take_over(&f);
	check_against_cold(&f);
}

static void test_a_standby_reads_copies_where_a_record_is_gone(void **state)
{
	(void)state;
	each_world(reads_copies);
}

/* --- proof ----------------------------------------------------------------------------------- */

/* The last records came after the standby looked. */
static void applies_what_it_did_not_see(struct world *w)
{
	struct node a;
	struct follower f;

	node_lead(&a, w, "a");
	put_many(&a, 20);
	follower_open(&f, w, "f");
	catch_up(&f, &a);
	put_many(&a, 20);
	node_crash(&a);
	uint64_t index = standing(&f).index;
	take_over(&f);
	assert_int_equal(status_of(&f.node).warm_index, index);
	assert_true(status_of(&f.node).committed_index >= index + 20);
	check_against_cold(&f);
}

static void test_a_warm_cell_that_lags_is_completed(void **state)
{
	(void)state;
	each_world(applies_what_it_did_not_see);
}

/* It ends where the snapshot does, or before it. */
static void meets_a_snapshot(struct world *w, int more)
{
	struct node a;
	struct follower f;

	node_open(&a, w, "a");
	use_small_snapshots(&a);
	lead(&a);
	follower_open(&f, w, "f");
	do {
		put_many(&a, 1);
		catch_up(&f, &a);
		for (int k = 0; k < 30 && status_of(&a).snapshot_index < 10; k++)
			turn(w);
		assert_true(w->command_count < 400);
	} while (status_of(&a).snapshot_index < 10);
	assert_int_equal(status_of(&a).snapshot_index, standing(&f).index);
	put_many(&a, 1 + more); /* the first one names that snapshot */
	node_crash(&a);

	uint64_t index = standing(&f).index;
	take_over(&f);
	struct leader_status status = status_of(&f.node);
	assert_true(status.snapshot_index >= index);
	assert_int_equal(status.warm_index, status.snapshot_index <= index ? index : 0);
	check_against_cold(&f);
}

static void test_a_warm_cell_may_end_where_the_snapshot_does(void **state)
{
	(void)state;
	for (int more = 0; more < 3; more++) {
		struct world w;

		world_open(&w, 1, "raw", 7);
		meets_a_snapshot(&w, more);
		world_close(&w);
	}
}

static void test_a_warm_cell_older_than_the_snapshot_is_thrown_away(void **state)
{
	struct world w;
	struct node a;
	struct follower f;

	(void)state;
	world_open(&w, 3, "raw", 3);
	node_open(&a, &w, "a");
	use_small_snapshots(&a);
	lead(&a);
	put_many(&a, 3);
	follower_open(&f, &w, "f");
	catch_up(&f, &a);
	put_until_snapshot(&a, standing(&f).index);
	node_crash(&a);
	take_over(&f);
	assert_int_equal(status_of(&f.node).warm_index, 0);
	check_against_cold(&f);
	world_close(&w);
}

/* A record that reached one bucket of three and was never committed; somebody tells the standby
 * that it was, and whoever takes over does not see that bucket.  `others` then writes records of
 * its own under the same indexes before the standby takes over. */
static void not_adopted(int others)
{
	struct world w;
	struct node a, b;
	struct follower f;

	world_open(&w, 3, "raw", 1);
	node_lead(&a, &w, "a");
	put_many(&a, 10);
	follower_open(&f, &w, "f");
	catch_up(&f, &a);
	uint64_t committed = standing(&f).index;
	for (int k = 1; k < 3; k++)
		fault_add(a.buckets[k],
			  &(struct fault) { .effect = FAULT_BEFORE, .verbs = FAULT_WRITES });
	struct command *doubtful = give(&a, COMMAND_PUT);
	for (int i = 0; i < 20; i++)
		turn(&w);
	assert_false(doubtful->is_done);
	standby_aim(f.standby, status_of(&a).epoch, committed + 1); /* a lie */
	for (int i = 0; i < 2000 && standing(&f).index == committed; i++)
		turn(&w);
	assert_int_equal(standing(&f).index, committed + 1);
	node_crash(&a);
	finish_all(&w);

	if (others) {
		node_open(&b, &w, "b");
		fault_add(b.buckets[0], &(struct fault) { .effect = FAULT_BEFORE });
		lead(&b);
		assert_int_equal(status_of(&b).committed_index, committed);
		put_many(&b, others);
		if (others > 1) { /* the standby sees it by itself */
			catch_up(&f, &b);
			check_same(&f, &b);
			assert_int_equal(standing(&f).load_count, 2);
		}
		node_crash(&b);
	}
	fault_add(f.node.buckets[0], &(struct fault) { .effect = FAULT_BEFORE });
	take_over(&f);
	struct leader_status status = status_of(&f.node);
	assert_int_equal(status.committed_index, committed + (uint64_t)others);
	assert_int_equal(status.warm_index, others > 1 ? status.committed_index : 0);
	check_against_cold(&f);
	world_close(&w);
}

static void test_a_warm_cell_with_a_record_that_was_not_adopted_is_thrown_away(void **state)
{
	(void)state;
	for (int others = 0; others < 4; others++)
		not_adopted(others);
}

/* The same objects, but not the same rows: nobody knows how, and nobody is told. */
static void test_a_warm_cell_with_other_contents_is_thrown_away(void **state)
{
	(void)state;
	for (int snapshots = 0; snapshots < 2; snapshots++) {
		struct world w;
		struct node a, b;
		struct follower f;
		struct leader_warm warm;
		char why[CELL_WHY_BYTES];
		static const struct cell_schema odd = { "odd", 1, "CREATE TABLE odd(n INTEGER)" };
		struct buf record;

		world_open(&w, 1, "raw", 0);
		node_open(&a, &w, "a");
		if (snapshots)
			use_small_snapshots(&a);
		lead(&a);
		put_many(&a, 30);
		follower_open(&f, &w, "f");
		catch_up(&f, &a);
		node_stop(&a);

		standby_take(f.standby, &warm);
		assert_non_null(warm.cell);
		buf_init(&record);
		assert_int_equal(cell_change_schema(warm.cell, &odd, why), OK);
		cell_seal(warm.cell, 1, &record);
		buf_done(&record);
		node_open(&b, &w, "b");
		b.leader = leader_new(w.loop, &b.config);
		leader_campaign_warm(b.leader, &warm);
		assert_true(wait_for(&w, &b.is_leading, TESTING_PATIENCE_MS));
		assert_int_equal(status_of(&b).warm_index, 0);
		check_world(&w, &b);
		assert_int_equal(cell_schema_version(leader_cell(b.leader), "odd"), 0);
		node_stop(&b);
		end_standby(&f);
		bucket_close(f.node.buckets[0]);
		buf_done(&f.node.records);
		world_close(&w);
	}
}

/* --- faults ---------------------------------------------------------------------------------- */

static void prepare(struct world *w, struct node *a, int bucket_count, uint64_t seed)
{
	world_open(w, bucket_count, "raw", seed);
	node_open(a, w, "a");
	use_small_snapshots(a);
	lead(a);
	put_until_snapshot(a, 0);
	put_many(a, 10);
}

/* False: there was no n-th operation. */
static bool follow_with_a_fault(int bucket_count, uint64_t n, enum fault_effect effect)
{
	struct world w;
	struct node a;
	struct follower f;
	uint64_t strikes = 0;

	prepare(&w, &a, bucket_count, n);
	follower_open(&f, &w, "f");
	for (int k = 0; k < bucket_count; k++)
		fault_add(f.node.buckets[k],
			  &(struct fault) { .effect = effect, .skip = n, .count = 1 });
	for (int i = 0; i < 4; i++) {
		catch_up(&f, &a);
		check_same(&f, &a);
		put_many(&a, 3);
	}
	catch_up(&f, &a);
	check_same(&f, &a);
	for (int k = 0; k < bucket_count; k++) {
		strikes += fault_strike_count(f.node.buckets[k]);
		fault_clear(f.node.buckets[k]);
	}
	node_crash(&a);
	take_over(&f);
	assert_true(status_of(&f.node).warm_index > 0);
	check_against_cold(&f);
	world_close(&w);
	return strikes > 0;
}

static void test_each_read_of_a_standby_may_fail(void **state)
{
	static const enum fault_effect effects[] = { FAULT_BEFORE, FAULT_CORRUPT, FAULT_TRUNCATE };

	(void)state;
	for (int count = 1; count <= 3; count += 2)
		for (size_t i = 0; i < 3; i++) {
			uint64_t n = 0;

			while (n < 200 && follow_with_a_fault(count, n, effects[i]))
				n++;
			assert_in_range(n, 5, 199);
		}
}

/* Whatever it is doing when the leader goes. */
static void take_after(int bucket_count, int turns)
{
	struct world w;
	struct node a;
	struct follower f;

	prepare(&w, &a, bucket_count, (uint64_t)turns);
	follower_open(&f, &w, "f");
	for (int k = 0; k < bucket_count; k++)
		fault_add(f.node.buckets[k], &(struct fault) { .delay_ms_max = 3 });
	aim_at(&f, &a);
	for (int i = 0; i < turns; i++) {
		put_many(&a, i % 2);
		aim_at(&f, &a);
		turn(&w);
	}
	node_crash(&a);
	take_over(&f);
	check_against_cold(&f);
	world_close(&w);
}

static void test_a_standby_may_be_taken_at_any_moment(void **state)
{
	(void)state;
	for (int turns = 0; turns < 30; turns++)
		take_after(turns % 2 ? 1 : 3, turns);
}

/* A campaign with a warm cell in which the n-th operation fails; then somebody else finds all. */
static bool campaign_with_a_fault(int bucket_count, uint64_t n, enum fault_effect effect)
{
	struct world w;
	struct node a;
	struct follower f;

	prepare(&w, &a, bucket_count, n);
	follower_open(&f, &w, "f");
	catch_up(&f, &a);
	put_many(&a, 2);
	node_crash(&a);
	uint64_t strikes = fault_strike_count(f.node.buckets[0]);
	fault_add(f.node.buckets[0], &(struct fault) { .effect = effect, .skip = n, .count = 1 });
	campaign_warm(&f);
	assert_true(wait_for(&w, &f.node.is_decided, TESTING_PATIENCE_MS));
	bool was_struck = fault_strike_count(f.node.buckets[0]) > strikes;
	fault_clear(f.node.buckets[0]);
	if (!f.node.is_leading)
		lead(&f.node);
	check_against_cold(&f);
	world_close(&w);
	return was_struck;
}

static void test_each_operation_of_a_warm_takeover_may_fail(void **state)
{
	static const enum fault_effect effects[] = { FAULT_BEFORE, FAULT_AFTER, FAULT_CORRUPT };

	(void)state;
	for (int count = 1; count <= 3; count += 2)
		for (size_t i = 0; i < 3; i++) {
			uint64_t n = 0;

			while (n < 200 && campaign_with_a_fault(count, n, effects[i]))
				n++;
			assert_in_range(n, 5, 199);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_a_standby_follows_without_listing_and_rests_when_nothing_happens),
		cmocka_unit_test(test_a_standby_begins_with_the_newest_snapshot),
		cmocka_unit_test(test_a_standby_follows_from_epoch_to_epoch),
		cmocka_unit_test(test_a_standby_that_is_behind_a_snapshot_begins_anew),
		cmocka_unit_test(test_a_standby_reads_copies_where_a_record_is_gone),
		cmocka_unit_test(test_a_warm_cell_that_lags_is_completed),
		cmocka_unit_test(test_a_warm_cell_may_end_where_the_snapshot_does),
		cmocka_unit_test(test_a_warm_cell_older_than_the_snapshot_is_thrown_away),
		cmocka_unit_test(
			test_a_warm_cell_with_a_record_that_was_not_adopted_is_thrown_away),
		cmocka_unit_test(test_a_warm_cell_with_other_contents_is_thrown_away),
		cmocka_unit_test(test_each_read_of_a_standby_may_fail),
		cmocka_unit_test(test_a_standby_may_be_taken_at_any_moment),
		cmocka_unit_test(test_each_operation_of_a_warm_takeover_may_fail),
	};
	log_set_level(getenv("HANSE_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
