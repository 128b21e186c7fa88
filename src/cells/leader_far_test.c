/* A leader whose buckets are far: records are under way side by side, so often and so many at most,
 * and what is acknowledged of them survives. */
#include "base/random.h"
#include "cells/leader_testing.h"

enum { SEEDS = 24, COMMANDS = 40, PATIENCE_MS = 20000 };

static const struct fault_store far_away = {
	.put = { .p50_ms = 6, .p99_ms = 20 },
	.get = { .p50_ms = 2, .p99_ms = 4 },
	.other = { .p50_ms = 2, .p99_ms = 4 },
};

static void far_node(struct node *n, struct world *w, const char *name, int appends_per_s)
{
	node_open(n, w, name);
	for (int k = 0; k < w->bucket_count; k++)
		fault_set_store(n->buckets[k], &far_away);
	n->config.appends_per_s = appends_per_s;
	node_campaign(n);
	assert_true(wait_for(w, &n->is_leading, TESTING_PATIENCE_MS));
}

static uint64_t in_flight(struct node *n)
{
	struct leader_status status;

	leader_get_status(n->leader, &status);
	return status.in_flight;
}

static void wait_ms(struct world *w, uint64_t ms)
{
	bool never = false;

	wait_for(w, &never, ms);
}

/* Commands one after the other, for as long as there are not so many records under way. */
static void give_until(struct node *n, uint64_t wanted)
{
	uint64_t end_ms = clock_now_ms() + PATIENCE_MS;

	while (in_flight(n) < wanted) {
		assert_true(clock_now_ms() < end_ms);
		give(n, COMMAND_PUT);
		wait_ms(n->world, 1);
	}
}

static void let_go(struct world *w, struct node *n)
{
	fault_clear(n->buckets[0]);
	fault_release(n->buckets[0], "");
	finish_all(w);
	check_world(w, n);
	node_stop(n);
	world_close(w);
}

static void test_far_away_records_are_under_way_side_by_side(void **state)
{
	struct world w;
	struct node a;

	(void)state;
	world_open(&w, 1, "cas", 0);
	far_node(&a, &w, "a", 1000);
	fault_add(a.buckets[0], &(struct fault) { .effect = FAULT_HOLD });
	give_until(&a, LEADER_AHEAD_MAX);
	for (int i = 0; i < 20; i++) {
		give(&a, COMMAND_PUT);
		wait_ms(&w, 2);
	}
	assert_int_equal(in_flight(&a), LEADER_AHEAD_MAX); /* what comes then waits in one record */
	let_go(&w, &a);
}

static void test_they_are_sealed_only_so_often(void **state)
{
	struct world w;
	struct node a;

	(void)state;
	world_open(&w, 1, "cas", 0);
	far_node(&a, &w, "a", 2);
	wait_ms(&w, 20); /* the first record of the term is durable */
	fault_add(a.buckets[0], &(struct fault) { .effect = FAULT_HOLD });
	uint64_t before_ms = clock_now_ms();
	give_until(&a, LEADER_APPENDS_SAVED + 2); /* two more than what was saved since */
	assert_in_range(clock_now_ms() - before_ms, 900, PATIENCE_MS);
	let_go(&w, &a);
}

static void test_what_was_answered_early_waits_for_company(void **state)
{
	struct world w;
	struct node a;

	(void)state;
	world_open(&w, 1, "cas", 0);
	far_node(&a, &w, "a", 1000);
	finish_all(&w);
	fault_add(a.buckets[0], &(struct fault) { .effect = FAULT_HOLD });

	uint64_t before_ms = clock_now_ms();
	assert_int_equal(finish(give(&a, COMMAND_REPEATABLE)), OK);
	assert_int_equal(in_flight(&a), 0);
	while (in_flight(&a) == 0) { /* nobody else comes */
		assert_true(clock_now_ms() < before_ms + PATIENCE_MS);
		wait_ms(&w, 1);
	}
	assert_in_range(clock_now_ms() - before_ms, LEADER_COMPANY_MS - 5, PATIENCE_MS);

	uint64_t late = 0;
	for (int i = 0; i < 3; i++) { /* who waits does not wait for company */
		uint64_t count = in_flight(&a);
		assert_int_equal(finish(give(&a, COMMAND_REPEATABLE)), OK);
		give(&a, COMMAND_NEUTRAL);
		wait_ms(&w, LEADER_COMPANY_MS / 4);
		late += in_flight(&a) != count + 1;
	}
	assert_true(late < 3); /* each may be, on a machine with others on it */
	let_go(&w, &a);
}

static void test_nearby_small_changes_wait_for_the_record_before(void **state)
{
	struct world w;
	struct node a;

	(void)state;
	world_open(&w, 1, "cas", 0);
	node_open(&a, &w, "a");
	a.config.appends_per_s = 1000;
	node_campaign(&a);
	assert_true(wait_for(&w, &a.is_leading, TESTING_PATIENCE_MS));
	fault_add(a.buckets[0], &(struct fault) { .effect = FAULT_HOLD });
	for (int i = 0; i < 20; i++) {
		give(&a, COMMAND_PUT);
		wait_ms(&w, 2);
	}
	assert_int_equal(in_flight(&a), 1);
	let_go(&w, &a);
}

/* Puts that were sent side by side land in any order, and some never. */
static void crash_with_records_under_way(uint64_t seed, uint64_t *ret_most)
{
	struct world w;
	struct node a, b;

	world_open(&w, seed % 4 < 2 ? 1 : 3, seed % 2 ? "cas" : "raw", seed);
	far_node(&a, &w, "a", 1000);
	for (uint64_t i = 0; i < COMMANDS / 2 + seed % (COMMANDS / 2); i++) {
		give(&a, COMMAND_PUT);
		wait_ms(&w, 1);
	}
	if (*ret_most < in_flight(&a))
		*ret_most = in_flight(&a);
	node_crash(&a);
	finish_all(&w);
	node_lead(&b, &w, "b");
	check_world(&w, &b);
	assert_int_equal(put_one(&b), OK);
	check_world(&w, &b);
	node_stop(&b);
	world_close(&w);
}

static void test_a_crash_with_records_under_way_loses_nothing(void **state)
{
	uint64_t most = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++)
		crash_with_records_under_way(seed, &most);
	assert_true(most > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_far_away_records_are_under_way_side_by_side),
		cmocka_unit_test(test_they_are_sealed_only_so_often),
		cmocka_unit_test(test_what_was_answered_early_waits_for_company),
		cmocka_unit_test(test_nearby_small_changes_wait_for_the_record_before),
		cmocka_unit_test(test_a_crash_with_records_under_way_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
