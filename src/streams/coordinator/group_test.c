/* Traces: what a group answers to whom is the test. */
#include "streams/coordinator/group_testing.h"

/* Members a (the leader) and b in generation 2, stable, with assignments A and B. */
static void begin_pair(struct lab *lab)
{
	lab_open(lab);
	lab_join(lab, (struct joiner) { .call = "a1", .new_id = "a" });
	lab_join(lab, (struct joiner) { .call = "b1", .new_id = "b" });
	lab_join(lab, (struct joiner) { .call = "a2", .member_id = "a" });
	lab_sync(lab, "b2", "b", 2, NULL);
	lab_sync(lab, "a3", "a", 2, "a=A,b=B");
	buf_clear(&lab->trace);
	expect_state(lab, GROUP_STABLE, 2, 2);
}

/* --- joining -----------------------------------------------------------------------------------
 */

static void test_one_member_gets_what_it_assigns_to_itself(void **state)
{
	struct lab lab;

	(void)state;
	lab_open(&lab);
	lab_join(&lab, (struct joiner) { .call = "a1", .new_id = "a" });
	expect(&lab, "a1: a joins 1 range led by a members a(t)\n");
	expect_state(&lab, GROUP_COMPLETING, 1, 1);
	lab_sync(&lab, "a2", "a", 1, "a=01");
	expect(&lab, "a2: a has 1 '01'\n");
	expect_state(&lab, GROUP_STABLE, 1, 1);
	assert_int_equal(lab_beat(&lab, "a", 1), KAFKA_NONE);
	lab_close(&lab);
}

static void test_a_second_member_waits_for_the_first_to_join_again(void **state)
{
	struct lab lab;

	(void)state;
	lab_open(&lab);
	lab_join(&lab, (struct joiner) { .call = "a1", .new_id = "a" });
	lab_sync(&lab, "a2", "a", 1, "a=A");
	buf_clear(&lab.trace);

	lab_join(&lab, (struct joiner) { .call = "b1", .new_id = "b" });
	expect(&lab, "");
	assert_int_equal(lab_beat(&lab, "a", 1), KAFKA_REBALANCE_IN_PROGRESS);
	lab_join(&lab, (struct joiner) { .call = "a3", .member_id = "a" });
	expect(&lab, "a3: a joins 2 range led by a members a(t) b(t)\n"
		     "b1: b joins 2 range led by a\n");
	lab_sync(&lab, "b2", "b", 2, NULL);
	expect(&lab, "");
	lab_sync(&lab, "a4", "a", 2, "a=X,b=Y");
	expect(&lab, "a4: a has 2 'X'\nb2: b has 2 'Y'\n");
	lab_close(&lab);
}

static void test_a_third_member_joins_a_stable_pair(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "c1", .new_id = "c" });
	assert_int_equal(lab_beat(&lab, "a", 2), KAFKA_REBALANCE_IN_PROGRESS);
	assert_int_equal(lab_beat(&lab, "b", 2), KAFKA_REBALANCE_IN_PROGRESS);
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	expect(&lab, "");
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	expect(&lab, "a4: a joins 3 range led by a members a(t) b(t) c(t)\n"
		     "b3: b joins 3 range led by a\n"
		     "c1: c joins 3 range led by a\n");
	lab_close(&lab);
}

static void test_who_does_not_come_back_in_time_is_out(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "c1", .new_id = "c" });
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	for (int i = 0; i < 11; i++) { /* a is alive, but does not join */
		lab_wait(&lab, 5000);
		assert_int_equal(lab_beat(&lab, "a", 2), KAFKA_REBALANCE_IN_PROGRESS);
	}
	expect(&lab, "");
	lab_wait(&lab, 5000);
	expect(&lab, "b3: b joins 3 range led by b members b(t) c(t)\n"
		     "c1: c joins 3 range led by b\n");
	assert_int_equal(lab_beat(&lab, "a", 3), KAFKA_UNKNOWN_MEMBER_ID);
	lab_close(&lab);
}

/* W11 */
static void test_a_new_member_first_gets_an_id(void **state)
{
	struct lab lab;

	(void)state;
	lab_open(&lab);
	lab_join(&lab, (struct joiner) { .call = "a1", .new_id = "a", .version = 4 });
	expect(&lab, "a1: join MEMBER_ID_REQUIRED for a\n");
	assert_false(group_is_idle(&lab.group));
	assert_int_equal(lab_beat(&lab, "a", 0), KAFKA_UNKNOWN_MEMBER_ID);
	lab_join(&lab, (struct joiner) { .call = "a2", .member_id = "a", .version = 4 });
	expect(&lab, "a2: a joins 1 range led by a members a(t)\n");
	lab_close(&lab);
}

static void test_an_id_that_nobody_uses_expires(void **state)
{
	struct lab lab;

	(void)state;
	lab_open(&lab);
	lab_join(&lab, (struct joiner) { .call = "a1", .new_id = "a", .version = 4 });
	lab_wait(&lab, 9999);
	assert_false(group_is_idle(&lab.group));
	lab_wait(&lab, 1);
	assert_true(group_is_idle(&lab.group));
	buf_clear(&lab.trace);
	lab_join(&lab, (struct joiner) { .call = "a2", .member_id = "a", .version = 4 });
	expect(&lab, "a2: join UNKNOWN_MEMBER_ID for a\n");
	lab_close(&lab);
}

static void test_a_rebalance_waits_for_ids_that_were_given(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "c1", .new_id = "c", .version = 4 });
	expect(&lab, "c1: join MEMBER_ID_REQUIRED for c\n");
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	expect(&lab, "");
	lab_wait(&lab, 10000); /* c never comes */
	expect(&lab, "a4: a joins 3 range led by a members a(t) b(t)\n"
		     "b3: b joins 3 range led by a\n");
	lab_close(&lab);
}

static void test_an_id_that_was_given_can_leave(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "c1", .new_id = "c", .version = 4 });
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	buf_clear(&lab.trace);
	assert_int_equal(lab_leave(&lab, "c", NULL), KAFKA_NONE);
	expect(&lab, "a4: a joins 3 range led by a members a(t) b(t)\n"
		     "b3: b joins 3 range led by a\n");
	lab_close(&lab);
}

static void test_an_unknown_member_cannot_join(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "x", .member_id = "stranger" });
	expect(&lab, "x: join UNKNOWN_MEMBER_ID for stranger\n");
	lab_close(&lab);
}

static void test_protocols_must_have_one_in_common(void **state)
{
	struct lab lab;

	(void)state;
	lab_open(&lab);
	lab_join(&lab, (struct joiner) { .call = "x1", .new_id = "x", .type = "" });
	lab_join(&lab, (struct joiner) { .call = "x2", .new_id = "x", .protocols = "" });
	expect(&lab,
	       "x1: join INCONSISTENT_GROUP_PROTOCOL\nx2: join INCONSISTENT_GROUP_PROTOCOL\n");
	lab_join(&lab,
		 (struct joiner) { .call = "a1", .new_id = "a", .protocols = "range=,sticky=" });
	lab_join(&lab, (struct joiner) { .call = "b1", .new_id = "b", .protocols = "robin=" });
	lab_join(&lab, (struct joiner) { .call = "c1", .new_id = "c", .type = "connect" });
	expect(&lab, "a1: a joins 1 range led by a members a()\n"
		     "b1: join INCONSISTENT_GROUP_PROTOCOL\n"
		     "c1: join INCONSISTENT_GROUP_PROTOCOL\n");
	lab_close(&lab);
}

static void test_the_protocol_most_members_prefer_wins(void **state)
{
	struct lab lab;

	(void)state;
	lab_open_with(&lab, 100, 10);
	lab_join(&lab,
		 (struct joiner) { .call = "a", .new_id = "a", .protocols = "range=,sticky=" });
	lab_join(&lab,
		 (struct joiner) { .call = "b", .new_id = "b", .protocols = "sticky=,range=" });
	lab_join(&lab, (struct joiner) {
			       .call = "c", .new_id = "c", .protocols = "robin=,sticky=,range=" });
	lab_wait(&lab, 1000);
	assert_true(slice_equal(lab.group.protocol, SLICE("sticky")));
	lab_close(&lab);
}

static void test_an_empty_group_waits_for_more_members(void **state)
{
	struct lab lab;

	(void)state;
	lab_open_with(&lab, 3000, 10);
	lab_join(&lab, (struct joiner) { .call = "a1", .new_id = "a" });
	lab_wait(&lab, 2999);
	expect(&lab, "");
	lab_join(&lab, (struct joiner) { .call = "b1", .new_id = "b" });
	lab_wait(&lab, 3000); /* once more, because somebody came */
	expect(&lab, "");
	lab_wait(&lab, 1);
	expect(&lab, "a1: a joins 1 range led by a members a(t) b(t)\n"
		     "b1: b joins 1 range led by a\n");
	lab_close(&lab);
}

static void test_the_initial_delay_ends_with_the_rebalance_timeout(void **state)
{
	struct lab lab;
	static char names[5][2] = { "a", "b", "c", "d", "e" };

	(void)state;
	lab_open_with(&lab, 3000, 10);
	for (int i = 0; i < 5; i++) {
		lab_join(&lab, (struct joiner) { .call = names[i],
						 .new_id = names[i],
						 .rebalance_ms = 10000 });
		if (i < 4) {
			expect(&lab, "");
			lab_wait(&lab, 2500);
		}
	}
	assert_int_equal(lab.group.generation, 1); /* at 10 s, before e came */
	expect_state(&lab, GROUP_PREPARING, 5, 1);
	lab_close(&lab);
}

static void test_a_full_group_turns_members_away(void **state)
{
	struct lab lab;

	(void)state;
	lab_open_with(&lab, 0, 2);
	lab_join(&lab, (struct joiner) { .call = "a1", .new_id = "a" });
	lab_join(&lab, (struct joiner) { .call = "b1", .new_id = "b" });
	lab_join(&lab, (struct joiner) { .call = "a2", .member_id = "a" });
	buf_clear(&lab.trace);
	lab_join(&lab, (struct joiner) { .call = "c1", .new_id = "c" });
	expect(&lab, "c1: join GROUP_MAX_SIZE_REACHED\n");
	expect_state(&lab, GROUP_COMPLETING, 2, 2);
	lab_close(&lab);
}

/* --- joining again -----------------------------------------------------------------------------
 */

static void test_a_follower_that_joins_again_gets_the_same_generation(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	expect(&lab, "b3: b joins 2 range led by a\n");
	expect_state(&lab, GROUP_STABLE, 2, 2);
	lab_sync(&lab, "b4", "b", 2, NULL);
	expect(&lab, "b4: b has 2 'B'\n");
	lab_close(&lab);
}

static void test_a_leader_that_joins_again_begins_a_rebalance(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	expect(&lab, "");
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	expect(&lab, "a4: a joins 3 range led by a members a(t) b(t)\n"
		     "b3: b joins 3 range led by a\n");
	lab_close(&lab);
}

/* Cooperative: after it gave partitions up a member joins again with other metadata. */
static void test_other_metadata_begins_a_rebalance(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b", .protocols = "range=u" });
	assert_int_equal(lab_beat(&lab, "a", 2), KAFKA_REBALANCE_IN_PROGRESS);
	assert_int_equal(lab_commit(&lab, "a", NULL, 2), KAFKA_NONE); /* still its partitions */
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	expect(&lab, "a4: a joins 3 range led by a members a(t) b(u)\n"
		     "b3: b joins 3 range led by a\n");
	lab_close(&lab);
}

static void test_a_lost_answer_to_a_join_is_given_again(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	buf_clear(&lab.trace);
	lab_join(&lab, (struct joiner) { .call = "a5", .member_id = "a" });
	lab_join(&lab, (struct joiner) { .call = "b4", .member_id = "b" });
	expect(&lab, "a5: a joins 3 range led by a members a(t) b(t)\n"
		     "b4: b joins 3 range led by a\n");
	expect_state(&lab, GROUP_COMPLETING, 2, 3);
	lab_close(&lab);
}

static void test_a_repeated_join_replaces_the_one_that_waits(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	lab_join(&lab, (struct joiner) { .call = "a5", .member_id = "a" });
	expect(&lab, "a4: join REBALANCE_IN_PROGRESS for a\n");
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	expect(&lab, "a5: a joins 3 range led by a members a(t) b(t)\n"
		     "b3: b joins 3 range led by a\n");
	lab_close(&lab);
}

static void test_a_forgotten_join_has_to_come_again(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	lab_forget(&lab, "a4");
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	expect(&lab, "");
	lab_wait(&lab, 9000);
	lab_join(&lab, (struct joiner) { .call = "a5", .member_id = "a" });
	expect(&lab, "a5: a joins 3 range led by a members a(t) b(t)\n"
		     "b3: b joins 3 range led by a\n");
	lab_close(&lab);
}

/* --- syncing -----------------------------------------------------------------------------------
 */

static void test_a_sync_must_fit_the_generation(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_sync(&lab, "s1", "a", 1, NULL);
	lab_sync(&lab, "s2", "x", 2, NULL);
	expect(&lab, "s1: sync ILLEGAL_GENERATION\ns2: sync UNKNOWN_MEMBER_ID\n");
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	lab_sync(&lab, "s3", "b", 2, NULL);
	expect(&lab, "s3: sync REBALANCE_IN_PROGRESS\n");
	lab_close(&lab);
}

static void test_a_sync_must_name_the_groups_protocol(void **state)
{
	struct lab lab;
	struct group_event event = { .kind = GROUP_SYNC, .member_id = SLICE("b"), .generation = 2 };

	(void)state;
	begin_pair(&lab);
	event.call = (void *)(uintptr_t) "s1";
	event.sync.protocol = SLICE("sticky");
	lab_step(&lab, &event);
	event.call = (void *)(uintptr_t) "s2";
	event.sync.protocol = SLICE("range");
	event.sync.protocol_type = SLICE("connect");
	lab_step(&lab, &event);
	event.call = (void *)(uintptr_t) "s3";
	event.sync.protocol_type = SLICE("consumer");
	lab_step(&lab, &event);
	expect(&lab, "s1: sync INCONSISTENT_GROUP_PROTOCOL\n"
		     "s2: sync INCONSISTENT_GROUP_PROTOCOL\n"
		     "s3: b has 2 'B'\n");
	lab_close(&lab);
}

static void test_members_the_leader_does_not_name_get_nothing(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	buf_clear(&lab.trace);
	lab_sync(&lab, "b4", "b", 3, "b=everything"); /* b is not the leader */
	lab_sync(&lab, "a5", "a", 3, "a=A,z=Z");
	expect(&lab, "a5: a has 3 'A'\nb4: b has 3 ''\n");
	lab_close(&lab);
}

static void test_a_rebalance_ends_the_syncs_that_wait(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	lab_sync(&lab, "b4", "b", 3, NULL);
	buf_clear(&lab.trace);
	lab_join(&lab, (struct joiner) { .call = "c1", .new_id = "c" });
	expect(&lab, "b4: sync REBALANCE_IN_PROGRESS\n");
	lab_close(&lab);
}

static void test_a_leader_that_never_syncs_is_removed(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	lab_sync(&lab, "b4", "b", 3, NULL);
	buf_clear(&lab.trace);
	for (int i = 0; i < 13; i++) {
		assert_int_equal(lab_beat(&lab, "a", 3),
				 i < 12 ? KAFKA_NONE : KAFKA_UNKNOWN_MEMBER_ID);
		lab_wait(&lab, 5000);
	}
	expect(&lab, "b4: sync REBALANCE_IN_PROGRESS\n");
	lab_join(&lab, (struct joiner) { .call = "b5", .member_id = "b" });
	expect(&lab, "b5: b joins 4 range led by b members b(t)\n");
	lab_close(&lab);
}

/* --- sessions ----------------------------------------------------------------------------------
 */

static void test_a_dead_leader_is_replaced(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_wait(&lab, 6000);
	assert_int_equal(lab_beat(&lab, "b", 2), KAFKA_NONE);
	lab_wait(&lab, 4000); /* a is silent for 10 s */
	assert_int_equal(lab_beat(&lab, "b", 2), KAFKA_REBALANCE_IN_PROGRESS);
	expect_state(&lab, GROUP_PREPARING, 1, 2);
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	expect(&lab, "b3: b joins 3 range led by b members b(t)\n");
	lab_close(&lab);
}

static void test_when_all_are_gone_the_group_is_empty(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_wait(&lab, 10000);
	expect_state(&lab, GROUP_EMPTY, 0, 3);
	assert_true(group_is_idle(&lab.group));
	assert_true(slice_equal(lab.group.protocol_type, SLICE("consumer")));
	assert_int_equal(group_deadline_ms(&lab.group), UINT64_MAX);
	lab_join(&lab, (struct joiner) { .call = "c", .new_id = "c", .type = "connect" });
	expect(&lab, "c: c joins 4 range led by c members c(t)\n");
	lab_close(&lab);
}

static void test_who_waits_for_the_group_does_not_expire(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b", .protocols = "range=u" });
	for (int i = 0; i < 6; i++) {
		lab_wait(&lab, 9000);
		assert_int_equal(lab_beat(&lab, "a", 2), KAFKA_REBALANCE_IN_PROGRESS);
	}
	expect_state(&lab, GROUP_PREPARING, 2, 2);
	lab_close(&lab);
}

static void test_a_new_member_does_not_wait_for_ever(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "c1", .new_id = "c", .rebalance_ms = 1000000 });
	lab_wait(&lab, 9000);
	assert_int_equal(lab_beat(&lab, "a", 2), KAFKA_REBALANCE_IN_PROGRESS);
	for (int i = 0; i < 32; i++) {
		lab_wait(&lab, 9000);
		(void)lab_beat(&lab, "a", 2);
	}
	expect(&lab, "");
	lab_wait(&lab, 3000);
	expect(&lab, "c1: join UNKNOWN_MEMBER_ID\n");
	lab_close(&lab);
}

/* K10 */
static void test_time_that_we_lost_is_given_back(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "c1", .new_id = "c", .version = 4 });
	lab.now_ms += 300000; /* stopped for five minutes */
	group_postpone(&lab.group, 300000);
	lab_wait(&lab, 9999);
	expect_state(&lab, GROUP_STABLE, 2, 2);
	assert_int_equal(lab.group.pending.count, 1);
	lab_wait(&lab, 1);
	expect_state(&lab, GROUP_EMPTY, 0, 3);
	lab_close(&lab);
}

static void test_a_heartbeat_must_fit(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	assert_int_equal(lab_beat(&lab, "b", 2), KAFKA_NONE);
	assert_int_equal(lab_beat(&lab, "b", 1), KAFKA_ILLEGAL_GENERATION);
	assert_int_equal(lab_beat(&lab, "x", 2), KAFKA_UNKNOWN_MEMBER_ID);
	lab_close(&lab);
}

/* --- leaving -----------------------------------------------------------------------------------
 */

static void test_a_member_that_leaves_begins_a_rebalance(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	assert_int_equal(lab_leave(&lab, "x", NULL), KAFKA_UNKNOWN_MEMBER_ID);
	expect_state(&lab, GROUP_STABLE, 2, 2);
	assert_int_equal(lab_leave(&lab, "a", NULL), KAFKA_NONE);
	assert_int_equal(lab_beat(&lab, "b", 2), KAFKA_REBALANCE_IN_PROGRESS);
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	expect(&lab, "b3: b joins 3 range led by b members b(t)\n");
	assert_int_equal(lab_leave(&lab, "b", NULL), KAFKA_NONE);
	expect_state(&lab, GROUP_EMPTY, 0, 4);
	lab_close(&lab);
}

static void test_calls_of_a_member_that_leaves_are_answered(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b", .protocols = "range=u" });
	assert_int_equal(lab_leave(&lab, "b", NULL), KAFKA_NONE);
	expect(&lab, "b3: join UNKNOWN_MEMBER_ID\n");
	lab_join(&lab, (struct joiner) { .call = "c1", .new_id = "c" });
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	lab_sync(&lab, "c2", "c", 3, NULL);
	buf_clear(&lab.trace);
	assert_int_equal(lab_leave(&lab, "c", NULL), KAFKA_NONE);
	expect(&lab, "c2: sync UNKNOWN_MEMBER_ID\n");
	lab_close(&lab);
}

static void test_several_leave_at_once(void **state)
{
	struct lab lab;
	struct group_leaver leavers[] = {
		{ SLICE("a"), { 0 }, -1 },
		{ SLICE("x"), { 0 }, -1 },
		{ SLICE("b"), { 0 }, -1 },
		{ SLICE(""), SLICE("nobody"), -1 },
	};
	struct group_event event = { .kind = GROUP_LEAVE, .leave = { leavers, 4 } };

	(void)state;
	begin_pair(&lab);
	lab_step(&lab, &event);
	assert_int_equal(leavers[0].error, KAFKA_NONE);
	assert_int_equal(leavers[1].error, KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(leavers[2].error, KAFKA_NONE);
	assert_int_equal(leavers[3].error, KAFKA_UNKNOWN_MEMBER_ID);
	expect_state(&lab, GROUP_EMPTY, 0, 3);
	lab_close(&lab);
}

/* --- commits -----------------------------------------------------------------------------------
 */

/* K6 */
static void test_commits_are_for_members_of_this_generation(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	assert_int_equal(lab_commit(&lab, "a", NULL, 2), KAFKA_NONE);
	assert_int_equal(lab_commit(&lab, "a", NULL, 1), KAFKA_ILLEGAL_GENERATION);
	assert_int_equal(lab_commit(&lab, "x", NULL, 2), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(lab_commit(&lab, "", NULL, -1), KAFKA_UNKNOWN_MEMBER_ID);
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	assert_int_equal(lab_commit(&lab, "b", NULL, 2), KAFKA_NONE); /* before it joins again */
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b" });
	assert_int_equal(lab_commit(&lab, "b", NULL, 2), KAFKA_ILLEGAL_GENERATION);
	assert_int_equal(lab_commit(&lab, "b", NULL, 3), KAFKA_REBALANCE_IN_PROGRESS);
	lab_close(&lab);
}

static void test_anybody_may_commit_to_an_empty_group(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_wait(&lab, 10000);
	assert_int_equal(lab_commit(&lab, "", NULL, -1), KAFKA_NONE);
	assert_int_equal(lab_commit(&lab, "a", NULL, 3), KAFKA_UNKNOWN_MEMBER_ID);
	lab_close(&lab);
}

static void test_a_commit_is_a_sign_of_life(void **state)
{
	struct lab lab;

	(void)state;
	begin_pair(&lab);
	lab_wait(&lab, 9000);
	assert_int_equal(lab_commit(&lab, "a", NULL, 2), KAFKA_NONE);
	assert_int_equal(lab_commit(&lab, "b", NULL, 2), KAFKA_NONE);
	lab_wait(&lab, 9000);
	expect_state(&lab, GROUP_STABLE, 2, 2);
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_member_gets_what_it_assigns_to_itself),
		cmocka_unit_test(test_a_second_member_waits_for_the_first_to_join_again),
		cmocka_unit_test(test_a_third_member_joins_a_stable_pair),
		cmocka_unit_test(test_who_does_not_come_back_in_time_is_out),
		cmocka_unit_test(test_a_new_member_first_gets_an_id),
		cmocka_unit_test(test_an_id_that_nobody_uses_expires),
		cmocka_unit_test(test_a_rebalance_waits_for_ids_that_were_given),
		cmocka_unit_test(test_an_id_that_was_given_can_leave),
		cmocka_unit_test(test_an_unknown_member_cannot_join),
		cmocka_unit_test(test_protocols_must_have_one_in_common),
		cmocka_unit_test(test_the_protocol_most_members_prefer_wins),
		cmocka_unit_test(test_an_empty_group_waits_for_more_members),
		cmocka_unit_test(test_the_initial_delay_ends_with_the_rebalance_timeout),
		cmocka_unit_test(test_a_full_group_turns_members_away),
		cmocka_unit_test(test_a_follower_that_joins_again_gets_the_same_generation),
		cmocka_unit_test(test_a_leader_that_joins_again_begins_a_rebalance),
		cmocka_unit_test(test_other_metadata_begins_a_rebalance),
		cmocka_unit_test(test_a_lost_answer_to_a_join_is_given_again),
		cmocka_unit_test(test_a_repeated_join_replaces_the_one_that_waits),
		cmocka_unit_test(test_a_forgotten_join_has_to_come_again),
		cmocka_unit_test(test_a_sync_must_fit_the_generation),
		cmocka_unit_test(test_a_sync_must_name_the_groups_protocol),
		cmocka_unit_test(test_members_the_leader_does_not_name_get_nothing),
		cmocka_unit_test(test_a_rebalance_ends_the_syncs_that_wait),
		cmocka_unit_test(test_a_leader_that_never_syncs_is_removed),
		cmocka_unit_test(test_a_dead_leader_is_replaced),
		cmocka_unit_test(test_when_all_are_gone_the_group_is_empty),
		cmocka_unit_test(test_who_waits_for_the_group_does_not_expire),
		cmocka_unit_test(test_a_new_member_does_not_wait_for_ever),
		cmocka_unit_test(test_time_that_we_lost_is_given_back),
		cmocka_unit_test(test_a_heartbeat_must_fit),
		cmocka_unit_test(test_a_member_that_leaves_begins_a_rebalance),
		cmocka_unit_test(test_calls_of_a_member_that_leaves_are_answered),
		cmocka_unit_test(test_several_leave_at_once),
		cmocka_unit_test(test_commits_are_for_members_of_this_generation),
		cmocka_unit_test(test_anybody_may_commit_to_an_empty_group),
		cmocka_unit_test(test_a_commit_is_a_sign_of_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
