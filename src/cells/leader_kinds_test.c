/* Firm, neutral and repeatable commands: who is answered early, and what waits for that. */
#include "cells/leader_testing.h"

struct stage {
	struct world w;
	struct node a;
};

/* Nothing becomes durable from now on. */
static void stage_open(struct stage *s)
{
	world_open(&s->w, 1, "cas", 0);
	node_lead(&s->a, &s->w, "a");
	assert_int_equal(put_one(&s->a), OK);
	fault_add(s->a.buckets[0], &(struct fault) { .effect = FAULT_HOLD });
}

static void let_go(struct stage *s)
{
	fault_clear(s->a.buckets[0]);
	fault_release(s->a.buckets[0], "");
	finish_all(&s->w);
}

static void stage_close(struct stage *s)
{
	let_go(s);
	check_world(&s->w, &s->a);
	node_stop(&s->a);
	world_close(&s->w);
}

static bool is_waiting(struct stage *s, struct command *m)
{
	return !wait_for(&s->w, &m->is_done, 30);
}

static uint64_t early_count(struct stage *s)
{
	return leader_get_numbers(s->a.leader)->early;
}

static void test_a_repeatable_command_is_answered_early(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s);
	struct command *m = give(&s.a, COMMAND_REPEATABLE);
	assert_int_equal(finish(m), OK);
	assert_true(m->call.is_early);
	assert_int_equal(early_count(&s), 1);
	assert_true(is_waiting(&s, give(&s.a, COMMAND_WAITS)));
	assert_true(is_waiting(&s, give(&s.a, COMMAND_READ))); /* what it saw is not durable */
	assert_int_equal(finish(give(&s.a, COMMAND_REPEATABLE)), OK);
	stage_close(&s);
}

static void test_after_a_neutral_command_it_still_is(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s);
	assert_true(is_waiting(&s, give(&s.a, COMMAND_NEUTRAL)));
	assert_true(is_waiting(&s, give(&s.a, COMMAND_FAIL))); /* firm, and it changed nothing */
	assert_int_equal(finish(give(&s.a, COMMAND_REPEATABLE)), OK);
	stage_close(&s);
}

static void test_after_a_firm_command_it_waits_for_that_one(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s);
	struct command *firm = give(&s.a, COMMAND_PUT);
	assert_true(is_waiting(&s, firm));
	struct command *beside = give(&s.a, COMMAND_REPEATABLE); /* in the next record */
	assert_true(is_waiting(&s, beside));
	fault_release(s.a.buckets[0], ""); /* the first record; the next one is held again */
	assert_int_equal(finish(firm), OK);
	assert_int_equal(finish(beside), OK);
	assert_true(is_waiting(&s, give(&s.a, COMMAND_READ)));
	assert_true(beside->call.is_early);
	assert_int_equal(beside->call.due_index, firm->call.index);
	assert_int_equal(beside->call.index, firm->call.index + 1);
	stage_close(&s);
}

static void test_a_fence_check_waits_for_what_was_answered_early(void **state)
{
	struct stage s;

	(void)state;
	world_open(&s.w, 1, "cas", 0);
	node_lead(&s.a, &s.w, "a");
	fault_add(s.a.buckets[0],
		  &(struct fault) { .effect = FAULT_HOLD,
				    .verbs = FAULT_VERB(BUCKET_PUT) | FAULT_VERB(BUCKET_PUT_NEW) });
	assert_int_equal(finish(give(&s.a, COMMAND_FENCE)), OK); /* it needs no PUT */
	struct command *m = give(&s.a, COMMAND_REPEATABLE);
	assert_int_equal(finish(m), OK);
	struct command *fence = give(&s.a, COMMAND_FENCE);
	assert_true(is_waiting(&s, fence));
	let_go(&s);
	assert_int_equal(fence->err, OK);
	assert_true(fence->call.index >= m->call.index);
	stage_close(&s);
}

/* Its record was never sent, and whoever leads next makes the change all the same. */
static void test_what_will_be_remade_is_not_said_to_be_gone(void **state)
{
	struct stage s;

	(void)state;
	stage_open(&s);
	struct command *sent = give(&s.a, COMMAND_PUT);
	assert_true(is_waiting(&s, sent));
	struct command *gone = give(&s.a, COMMAND_PUT);
	struct command *remade = give(&s.a, COMMAND_REPEATABLE);
	assert_true(is_waiting(&s, gone));
	assert_true(is_waiting(&s, remade));
	node_cut_off(&s.a);
	leader_refuse(s.a.leader, "of a test");
	finish_all(&s.w);
	assert_int_equal(sent->err, ERR_UNKNOWN);
	assert_int_equal(gone->err, ERR_UNAVAILABLE);
	assert_int_equal(remade->err, ERR_UNKNOWN);
	node_stop(&s.a);
	world_close(&s.w);
}

static void test_nothing_firm_runs_before_a_term_is_settled(void **state)
{
	struct stage s;

	(void)state;
	world_open(&s.w, 1, "cas", 0);
	node_lead(&s.a, &s.w, "a");
	leader_set_settling(s.a.leader, true);
	assert_int_equal(put_one(&s.a), ERR_UNAVAILABLE);
	assert_int_equal(finish(give(&s.a, COMMAND_READ)), ERR_UNAVAILABLE);
	assert_int_equal(finish(give(&s.a, COMMAND_NEUTRAL)), OK);
	leader_set_settling(s.a.leader, false);
	assert_int_equal(put_one(&s.a), OK);
	stage_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_repeatable_command_is_answered_early),
		cmocka_unit_test(test_after_a_neutral_command_it_still_is),
		cmocka_unit_test(test_after_a_firm_command_it_waits_for_that_one),
		cmocka_unit_test(test_a_fence_check_waits_for_what_was_answered_early),
		cmocka_unit_test(test_what_will_be_remade_is_not_said_to_be_gone),
		cmocka_unit_test(test_nothing_firm_runs_before_a_term_is_settled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
