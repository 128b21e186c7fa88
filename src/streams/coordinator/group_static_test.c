/* Traces of static members: instances that come back under a new id. */
#include "streams/coordinator/group_testing.h"

/* Members a (the leader) and b in generation 2, stable; b with the instance id "i". */
static void begin_static_pair(struct lab *lab, const char *leader_instance)
{
	lab_open(lab);
	lab_join(lab,
		 (struct joiner) { .call = "a1", .new_id = "a", .instance_id = leader_instance });
	lab_join(lab,
		 (struct joiner) { .call = "b1", .new_id = "b", .instance_id = "i", .version = 5 });
	lab_join(lab, (struct joiner) {
			      .call = "a2", .member_id = "a", .instance_id = leader_instance });
	lab_sync_as(lab, "b2", "b", "i", 2, NULL);
	lab_sync_as(lab, "a3", "a", leader_instance, 2, "a=A,b=B");
	buf_clear(&lab->trace);
	expect_state(lab, GROUP_STABLE, 2, 2);
}

static void test_a_static_member_that_restarts_disturbs_nobody(void **state)
{
	struct lab lab;

	(void)state;
	begin_static_pair(&lab, NULL);
	uint64_t version = lab.group.version;
	lab_join(&lab, (struct joiner) {
			       .call = "b3", .instance_id = "i", .new_id = "b'", .version = 5 });
	expect(&lab, "b3: b' joins 2 range led by a\n");
	expect_state(&lab, GROUP_STABLE, 2, 2);
	assert_true(lab.group.version > version); /* its new id is to be stored */
	lab_sync_as(&lab, "b4", "b'", "i", 2, NULL);
	expect(&lab, "b4: b' has 2 'B'\n");
	assert_int_equal(lab_beat(&lab, "a", 2), KAFKA_NONE);
	lab_close(&lab);
}

/* K5 */
static void test_the_former_self_of_a_static_member_is_fenced(void **state)
{
	struct lab lab;

	(void)state;
	begin_static_pair(&lab, NULL);
	lab_join(&lab, (struct joiner) {
			       .call = "b3", .instance_id = "i", .new_id = "b'", .version = 5 });
	buf_clear(&lab.trace);
	assert_int_equal(lab_beat_as(&lab, "b", "i", 2), KAFKA_FENCED_INSTANCE_ID);
	assert_int_equal(lab_beat(&lab, "b", 2), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(lab_commit(&lab, "b", "i", 2), KAFKA_FENCED_INSTANCE_ID);
	assert_int_equal(lab_leave(&lab, "b", "i"), KAFKA_FENCED_INSTANCE_ID);
	lab_sync_as(&lab, "s", "b", "i", 2, NULL);
	lab_join(&lab, (struct joiner) { .call = "j", .member_id = "b", .instance_id = "i" });
	expect(&lab, "s: sync FENCED_INSTANCE_ID\nj: join FENCED_INSTANCE_ID for b\n");
	lab_close(&lab);
}

/* W11 */
static void test_a_static_leader_that_restarts_skips_the_assignment(void **state)
{
	struct lab lab;

	(void)state;
	begin_static_pair(&lab, "l");
	lab_join(&lab, (struct joiner) {
			       .call = "a4", .instance_id = "l", .new_id = "a'", .version = 9 });
	expect(&lab, "a4: a' joins 2 range led by a' members a'(t) b(t) skips\n");
	lab_join(&lab, (struct joiner) {
			       .call = "a5", .instance_id = "l", .new_id = "a''", .version = 5 });
	expect(&lab, "a5: a'' joins 2 range led by a'\n"); /* not by itself: it must not assign */
	lab_close(&lab);
}

static void test_a_static_member_that_restarts_while_the_leader_assigns(void **state)
{
	struct lab lab;

	(void)state;
	begin_static_pair(&lab, NULL);
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a" });
	lab_join(&lab, (struct joiner) { .call = "b3", .member_id = "b", .instance_id = "i" });
	lab_sync_as(&lab, "b4", "b", "i", 3, NULL);
	buf_clear(&lab.trace);
	lab_join(&lab, (struct joiner) {
			       .call = "b5", .instance_id = "i", .new_id = "b'", .version = 5 });
	expect(&lab, "b4: sync FENCED_INSTANCE_ID\n");
	expect_state(&lab, GROUP_PREPARING, 2, 3);
	lab_join(&lab, (struct joiner) { .call = "a5", .member_id = "a" });
	expect(&lab, "a5: a joins 4 range led by a members a(t) b'(t)\n"
		     "b5: b' joins 4 range led by a\n");
	lab_close(&lab);
}

static void test_a_static_member_may_be_away_for_its_session(void **state)
{
	struct lab lab;

	(void)state;
	begin_static_pair(&lab, NULL);
	lab_join(&lab, (struct joiner) { .call = "a4", .member_id = "a", .rebalance_ms = 5000 });
	lab.group.join_deadline_ms = lab.now_ms + 5000; /* b's timeout would be longer */
	lab_wait(&lab, 5000);
	expect(&lab, "a4: a joins 3 range led by a members a(t) b(t)\n");
	lab_sync(&lab, "a5", "a", 3, "a=A,b=B");
	expect(&lab, "a5: a has 3 'A'\n");
	lab_join(&lab, (struct joiner) {
			       .call = "b3", .instance_id = "i", .new_id = "b'", .version = 5 });
	lab_sync_as(&lab, "b4", "b'", "i", 3, NULL);
	expect(&lab, "b3: b' joins 3 range led by a\nb4: b' has 3 'B'\n");
	lab_close(&lab);
}

static void test_an_administrator_removes_a_static_member(void **state)
{
	struct lab lab;

	(void)state;
	begin_static_pair(&lab, NULL);
	assert_int_equal(lab_leave(&lab, "", "i"), KAFKA_NONE);
	expect_state(&lab, GROUP_PREPARING, 1, 2);
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_static_member_that_restarts_disturbs_nobody),
		cmocka_unit_test(test_the_former_self_of_a_static_member_is_fenced),
		cmocka_unit_test(test_a_static_leader_that_restarts_skips_the_assignment),
		cmocka_unit_test(test_a_static_member_that_restarts_while_the_leader_assigns),
		cmocka_unit_test(test_a_static_member_may_be_away_for_its_session),
		cmocka_unit_test(test_an_administrator_removes_a_static_member),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
