/* A leader in bad times: each bucket operation fails once, the node dies at each of them, others
 * take over while it is paused.  After each of it a fresh node recovers from the buckets alone, and
 * what clients were told must agree with what is there (check_world). */
#include "base/memory.h"
#include "cells/leader_testing.h"

enum {
	GROUPS = 6,	     /* of commands given together */
	GROUP_COMMANDS = 2,  /* each */
	OPERATIONS_MIN = 12, /* a term has more */
	OPERATIONS_MAX = 1000,
	STUCK_MS = 40, /* nothing happens for so long: give up on this node */
	SEEDS = 120,
};

static void use_small_snapshots(struct node *n)
{
	n->config.snapshot_bytes = 300;
	n->config.record_grace_ms = 1;
	n->config.fence_grace_ms = 3600 * 1000;
}

static void campaign_and_wait(struct node *n, uint64_t patience_ms)
{
	node_campaign(n);
	wait_for(n->world, &n->is_decided, patience_ms);
}

static bool was_struck(const struct node *n)
{
	for (int k = 0; k < n->world->bucket_count; k++)
		if (fault_strike_count(n->buckets[k]) > 0)
			return true;
	return false;
}

/* Some commands, as far as they get; true when all of them ended. */
static bool work(struct node *n)
{
	struct command *last = NULL;

	for (int i = 0; i < GROUPS; i++) {
		for (int k = 0; k < GROUP_COMMANDS; k++)
			last = give(n, k == 0 && i == 3 ? COMMAND_FAIL : COMMAND_PUT);
		if (!wait_for(n->world, &last->is_done, STUCK_MS))
			return false;
	}
	wait_for(n->world, &(bool) { false }, 2); /* a snapshot may be under way */
	return true;
}

/* A node without faults finds everything in order. */
static void recover_and_check(struct world *w)
{
	struct node b;

	finish_all(w);
	node_lead(&b, w, "recovered");
	check_world(w, &b);
	assert_int_equal(put_one(&b), OK);
	check_world(w, &b);
	node_stop(&b);
}

/* --- each operation fails once -------------------------------------------------------------- */

/* False when the node did its work untouched: there is no n-th operation. */
static bool fail_nth(int bucket_count, const char *class, uint64_t n, enum fault_effect effect)
{
	struct world w;
	struct node a;
	bool is_untouched;

	world_open(&w, bucket_count, class, n);
	node_open(&a, &w, "a");
	use_small_snapshots(&a);
	fault_add_nth(a.buckets[0], n, effect, OK);
	campaign_and_wait(&a, STUCK_MS);
	is_untouched = a.is_leading && work(&a) && !was_struck(&a);
	node_crash(&a);
	recover_and_check(&w);
	world_close(&w);
	return !is_untouched;
}

static const char *const classes[] = { "raw", "cas" };

static void fail_each(int bucket_count, enum fault_effect effect)
{
	for (int i = 0; i < 2; i++) {
		uint64_t n = 1;

		while (fail_nth(bucket_count, classes[i], n, effect) && n < OPERATIONS_MAX)
			n++;
		assert_in_range(n, OPERATIONS_MIN, OPERATIONS_MAX - 1);
	}
}

static void test_each_operation_may_fail_before_its_effect(void **state)
{
	(void)state;
	fail_each(1, FAULT_BEFORE);
	fail_each(3, FAULT_BEFORE);
}

static void test_each_operation_may_fail_after_its_effect(void **state)
{
	(void)state;
	fail_each(1, FAULT_AFTER);
	fail_each(3, FAULT_AFTER);
}

/* --- the node dies at each operation -------------------------------------------------------- */

/* All buckets are out of reach after n operations on each. */
static void die_after(struct node *n, uint64_t operations, enum fault_effect last)
{
	for (int k = 0; k < n->world->bucket_count; k++) {
		fault_add(n->buckets[k],
			  &(struct fault) { .effect = last, .skip = operations, .count = 1 });
		fault_add(n->buckets[k],
			  &(struct fault) { .effect = FAULT_BEFORE, .skip = operations });
	}
}

static bool crash_at(int bucket_count, const char *class, uint64_t n, enum fault_effect last)
{
	struct world w;
	struct node a, b;
	bool is_untouched;

	world_open(&w, bucket_count, class, n);
	node_open(&a, &w, "a");
	use_small_snapshots(&a);
	die_after(&a, n, last);
	campaign_and_wait(&a, STUCK_MS);
	is_untouched = a.is_leading && work(&a) && !was_struck(&a);
	node_crash(&a);
	finish_all(&w);

	node_open(&b, &w, "b"); /* and the next one dies while it recovers */
	use_small_snapshots(&b);
	die_after(&b, n % 23, last);
	campaign_and_wait(&b, STUCK_MS);
	node_crash(&b);
	recover_and_check(&w);
	world_close(&w);
	return !is_untouched;
}

/* C5 */
static void test_a_crash_at_any_operation_loses_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		uint64_t n = 0;

		while (crash_at(i < 2 ? 1 : 3, classes[i % 2], n,
				n % 2 ? FAULT_AFTER : FAULT_BEFORE) &&
		       n < OPERATIONS_MAX)
			n++;
		assert_in_range(n, OPERATIONS_MIN, OPERATIONS_MAX - 1);
	}
}

/* --- somebody else takes over --------------------------------------------------------------- */

/* What the old leader is paused in: everything, or only one kind of operation. */
static const unsigned paused_verbs[] = { FAULT_VERBS_ALL, FAULT_VERB(BUCKET_PUT),
					 FAULT_VERB(BUCKET_GET), FAULT_WRITES };

static void pause_node(struct node *n, unsigned verbs)
{
	for (int k = 0; k < n->world->bucket_count; k++)
		fault_add(n->buckets[k], &(struct fault) { .effect = FAULT_HOLD, .verbs = verbs });
}

static void unpause_node(struct node *n)
{
	for (int k = 0; k < n->world->bucket_count; k++) {
		fault_clear(n->buckets[k]);
		fault_release(n->buckets[k], "");
	}
}

static void assert_ended_in_doubt(const struct command *m)
{
	assert_true(m->is_done);
	assert_true(m->err == ERR_UNKNOWN || m->err == ERR_UNAVAILABLE);
}

static void take_over(uint64_t seed)
{
	struct world w;
	struct node a, b;
	struct command *doubtful[10], *fences[2];

	world_open(&w, seed % 2 ? 1 : 3, seed % 4 < 2 ? "raw" : "cas", seed);
	node_open(&a, &w, "a");
	use_small_snapshots(&a);
	campaign_and_wait(&a, TESTING_PATIENCE_MS);
	work(&a);
	pause_node(&a, paused_verbs[seed / 4 % 4]);
	for (int i = 0; i < 4; i++)
		doubtful[i] = give(&a, COMMAND_PUT);
	fences[0] = give(&a, COMMAND_FENCE);
	wait_for(&w, &(bool) { false }, 1);

	node_lead(&b, &w, "b");
	assert_int_equal(put_one(&b), OK);
	fences[1] = give(&a, COMMAND_FENCE);
	for (int i = 4; i < 10; i++)
		doubtful[i] = give(&a, i % 2 ? COMMAND_PUT : COMMAND_IMAGE);
	unpause_node(&a);
	assert_true(wait_for(&w, &a.is_lost, TESTING_PATIENCE_MS));
	finish_all(&w);
	assert_ended_in_doubt(fences[1]);
	for (int i = 4; i < 10; i++)
		if (doubtful[i]->kind == COMMAND_PUT)
			assert_ended_in_doubt(doubtful[i]);
	assert_int_equal(put_one(&b), OK);
	check_world(&w, &b);
	node_crash(&a);
	node_crash(&b);
	recover_and_check(&w);
	world_close(&w);
}

/* Checks that were begun behind one that hangs end as well, and none is left behind. */
static void test_a_fence_check_that_hangs_ends_by_its_deadline(void **state)
{
	struct command *fences[4];

	(void)state;
	for (uint64_t seed = 0; seed < 2; seed++) {
		struct world w;
		struct node a;

		world_open(&w, seed ? 3 : 1, "raw", seed);
		node_open(&a, &w, "a");
		a.config.check_ms = 300;
		campaign_and_wait(&a, TESTING_PATIENCE_MS);
		pause_node(&a, FAULT_VERB(BUCKET_GET));
		uint64_t begin_ms = clock_now_ms();
		for (int i = 0; i < 4; i++)
			fences[i] = give(&a, COMMAND_FENCE);
		task_cancel(&fences[3]->task);
		for (int i = 0; i < 4; i++)
			assert_int_equal(finish(fences[i]), i < 3 ? ERR_TIMEOUT : ERR_CANCELED);
		assert_in_range(clock_now_ms() - begin_ms, 300, 3000);

		unpause_node(&a);
		assert_int_equal(finish(give(&a, COMMAND_FENCE)), OK);
		assert_int_equal(put_one(&a), OK);
		node_stop(&a);
		world_close(&w);
	}
}

/* C6 */
static void test_a_paused_leader_is_fenced_and_its_answers_are_true(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		take_over(seed);
}

/* Two nodes campaign whenever they lose, both with clients. */
static void duel(uint64_t seed)
{
	struct world w;
	struct node nodes[2];

	world_open(&w, seed % 2 ? 3 : 1, classes[seed / 2 % 2], seed);
	for (int i = 0; i < 2; i++) {
		node_open(&nodes[i], &w, i ? "b" : "a");
		use_small_snapshots(&nodes[i]);
		nodes[i].campaigns_again = true;
		node_campaign(&nodes[i]);
	}
	for (int i = 0; i < 40; i++) {
		if (nodes[i % 2].is_leading)
			give(&nodes[i % 2], COMMAND_PUT);
		if (i % 10 == 9 && !nodes[0].is_leading != !nodes[1].is_leading) {
			struct node *idle = &nodes[nodes[0].is_leading];

			if (leader_state(idle->leader) == LEADER_IDLE)
				leader_campaign(idle->leader);
		}
		wait_for(&w, &(bool) { false }, 1);
	}
	nodes[0].campaigns_again = nodes[1].campaigns_again = false;
	node_crash(&nodes[0]);
	node_stop(&nodes[1]);
	recover_and_check(&w);
	world_close(&w);
}

static void test_two_that_both_want_to_lead_do_no_harm(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++)
		duel(seed);
}

/* --- damage --------------------------------------------------------------------------------- */

/* A snapshot takes a while, and is used once a record after it is durable. */
static void put_until_a_record_names_a_snapshot(struct node *n)
{
	struct leader_status status;
	int count = 0;

	do {
		assert_true(count++ < 1000);
		assert_int_equal(put_one(n), OK);
		leader_get_status(n->leader, &status);
	} while (status.snapshot_index == 0);
	assert_int_equal(put_one(n), OK);
}

static void make_history(struct world *w, bool with_snapshot)
{
	struct node a;

	node_open(&a, w, "a");
	if (with_snapshot)
		use_small_snapshots(&a);
	campaign_and_wait(&a, TESTING_PATIENCE_MS);
	for (int i = 0; i < 40; i++)
		assert_int_equal(put_one(&a), OK);
	if (with_snapshot)
		put_until_a_record_names_a_snapshot(&a);
	wait_for(w, &(bool) { false }, 20);
	node_stop(&a);
}

/* Recover while `damaged` buckets give wrong bytes for objects of this prefix. */
static void recover_damaged(int damaged, const char *prefix, bool with_snapshot, bool can_lead)
{
	struct world w;
	struct node b;

	world_open(&w, 3, "raw", 0);
	make_history(&w, with_snapshot);
	node_open(&b, &w, "b");
	for (int k = 0; k < damaged; k++)
		fault_add(b.buckets[k], &(struct fault) { .effect = FAULT_CORRUPT,
							  .verbs = FAULT_VERB(BUCKET_GET),
							  .prefix = prefix });
	campaign_and_wait(&b, TESTING_PATIENCE_MS);
	assert_int_equal(b.is_leading, can_lead);
	if (can_lead)
		check_world(&w, &b);
	else
		assert_non_null(strstr(b.why, "v1/j/main/"));
	node_stop(&b);
	world_close(&w);
}

static void test_damage_in_one_bucket_is_read_around(void **state)
{
	(void)state;
	recover_damaged(1, "v1/j/main/chunk/", true, true);
	recover_damaged(2, "v1/j/main/snap/", true, true);
}

static void test_damage_in_all_buckets_is_refused_and_named(void **state)
{
	(void)state;
	recover_damaged(3, "v1/j/main/chunk/", true, false);
	recover_damaged(3, "v1/j/main/snap/", true, false);
	recover_damaged(3, "v1/j/main/e/", false, false);
}

/* A record of the journal that is whole but not what the cell says comes next. */
static void test_a_record_that_does_not_fit_is_refused(void **state)
{
	struct world w;
	struct node b;

	(void)state;
	world_open(&w, 1, "raw", 0);
	make_history(&w, false);
	node_open(&b, &w, "b");
	b.config.cell_name = "other";
	campaign_and_wait(&b, TESTING_PATIENCE_MS);
	assert_true(b.is_lost);
	assert_non_null(strstr(b.why, "record 1 "));
	node_stop(&b);
	world_close(&w);
}

/* --- absent buckets ------------------------------------------------------------------------- */

static void test_one_of_three_buckets_may_be_away(void **state)
{
	struct world w;
	struct node a;

	(void)state;
	world_open(&w, 3, "raw", 0);
	node_open(&a, &w, "a");
	use_small_snapshots(&a);
	fault_add(a.buckets[1], &(struct fault) { .effect = FAULT_BEFORE });
	campaign_and_wait(&a, TESTING_PATIENCE_MS);
	for (int i = 0; i < 50; i++)
		assert_int_equal(put_one(&a), OK);
	node_crash(&a);
	recover_and_check(&w);
	world_close(&w);
}

static void test_a_call_waits_for_a_bucket_that_comes_back(void **state)
{
	struct world w;
	struct node a;
	struct command *m;

	(void)state;
	world_open(&w, 1, "raw", 0);
	node_lead(&a, &w, "a");
	fault_add(a.buckets[0], &(struct fault) { .effect = FAULT_BEFORE });
	m = give(&a, COMMAND_PUT);
	assert_false(wait_for(&w, &m->is_done, 50));
	fault_clear(a.buckets[0]);
	assert_int_equal(finish(m), OK);
	check_world(&w, &a);
	node_stop(&a);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_operation_may_fail_before_its_effect),
		cmocka_unit_test(test_each_operation_may_fail_after_its_effect),
		cmocka_unit_test(test_a_crash_at_any_operation_loses_nothing),
		cmocka_unit_test(test_a_fence_check_that_hangs_ends_by_its_deadline),
		cmocka_unit_test(test_a_paused_leader_is_fenced_and_its_answers_are_true),
		cmocka_unit_test(test_two_that_both_want_to_lead_do_no_harm),
		cmocka_unit_test(test_damage_in_one_bucket_is_read_around),
		cmocka_unit_test(test_damage_in_all_buckets_is_refused_and_named),
		cmocka_unit_test(test_a_record_that_does_not_fit_is_refused),
		cmocka_unit_test(test_one_of_three_buckets_may_be_away),
		cmocka_unit_test(test_a_call_waits_for_a_bucket_that_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
