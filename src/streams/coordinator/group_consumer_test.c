/* The consumer protocol, step by step.  K5 to K10: the cases of groups that must be tested. */
#include "streams/coordinator/group_consumer_testing.h"

struct room {
	struct lab lab;
	struct shelf shelf;
};

static void room_open_with(struct room *r, size_t members_max)
{
	shelf_open(&r->shelf);
	shelf_put(&r->shelf, "t", 4);
	lab_open_with(&r->lab, 0, members_max);
	r->lab.group.config.topics = &r->shelf.topics;
}

static void room_open(struct room *r)
{
	room_open_with(r, 10);
}

static void room_close(struct room *r)
{
	lab_close(&r->lab);
}

static void expect_group(const struct room *r, const char *state, int32_t epoch,
			 int32_t assignment_epoch)
{
	assert_string_equal(group_consumer_state_name(&r->lab.group), state);
	assert_int_equal(r->lab.group.generation, epoch);
	assert_int_equal(r->lab.group.assignment_epoch, assignment_epoch);
}

/* What a member says it owns: "t2t3". */
static const struct partition_set *owns(const struct room *r, const char *text)
{
	static struct partition_set sets[4];
	static size_t next;
	struct partition_set *s = &sets[next++ % 4];
	struct group_topic topic;

	partition_set_done(s);
	for (; *text; text += 2) {
		struct slice name = { (const uint8_t *)text, 1 };
		assert_true(shelf_by_name((struct group_topics *)(uintptr_t)&r->shelf.topics, NULL,
					  name, &topic));
		partition_set_add(s, &(struct topic_partition) { topic.topic_id, text[1] - '0' });
	}
	partition_set_sort(s);
	return s;
}

#define JOIN(id, names) ((struct beat) { .member_id = (id), .topics = (names) })
#define BEAT(id, its_epoch) ((struct beat) { .member_id = (id), .epoch = (its_epoch) })
#define OWNS(id, its_epoch, text)                                                                  \
	((struct beat) { .member_id = (id), .epoch = (its_epoch), .owned = owns(&r, text) })
#define STATIC(id, instance, its_epoch, names)                                                     \
	((struct beat) { .member_id = (id),                                                        \
			 .instance_id = (instance),                                                \
			 .epoch = (its_epoch),                                                     \
			 .topics = (names) })

static int16_t beat_error(struct room *r, struct beat b)
{
	return lab_consumer_beat(&r->lab, b, NULL, NULL, NULL);
}

/* --- joining and sharing -----------------------------------------------------------------------
 */

static void test_who_is_alone_gets_everything_at_once(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab, JOIN("a", "t"), "1: t0 t1 t2 t3");
	expect_group(&r, "Stable", 1, 1);
	expect_beat(&r.lab, BEAT("a", 1), "1: -");
	expect_beat(&r.lab, OWNS("a", 1, "t0t1t2t3"), "1: -");
	room_close(&r);
}

static void test_partitions_are_given_back_before_they_are_given_on(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab, JOIN("a", "t"), "1: t0 t1 t2 t3");
	expect_beat(&r.lab, JOIN("b", "t"), "2: ");
	expect_group(&r, "Reconciling", 2, 2);
	expect_beat(&r.lab, BEAT("b", 2), "2: -");
	expect_beat(&r.lab, BEAT("a", 1), "1: t0 t1"); /* it is to give back the others */
	expect_beat(&r.lab, BEAT("b", 2), "2: -");
	expect_beat(&r.lab, OWNS("a", 1, "t0t1t2t3"), "1: -"); /* it still has them */
	expect_beat(&r.lab, BEAT("b", 2), "2: -");
	expect_beat(&r.lab, OWNS("a", 1, "t0t1"), "2: -");
	expect_beat(&r.lab, BEAT("b", 2), "2: t2 t3");
	expect_group(&r, "Stable", 2, 2);
	room_close(&r);
}

static void test_who_leaves_frees_its_partitions(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab, JOIN("a", "t"), "1: t0 t1 t2 t3");
	expect_beat(&r.lab, JOIN("b", "t"), "2: ");
	expect_beat(&r.lab, BEAT("a", GROUP_EPOCH_LEAVE), "-1: -");
	expect_group(&r, "Assigning", 3, 2);
	expect_beat(&r.lab, BEAT("b", 2), "3: t0 t1 t2 t3");
	expect_beat(&r.lab, BEAT("b", GROUP_EPOCH_LEAVE), "-1: -");
	expect_group(&r, "Empty", 4, 3);
	assert_true(group_is_idle(&r.lab.group));
	assert_int_equal(beat_error(&r, BEAT("b", 3)), KAFKA_UNKNOWN_MEMBER_ID);
	expect_beat(&r.lab, JOIN("c", "t"), "5: t0 t1 t2 t3");
	room_close(&r);
}

/* W11 */
static void test_members_choose_an_assignor_by_majority(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab, (struct beat) { .member_id = "a", .topics = "t", .assignor = "range" },
		    "1: t0 t1 t2 t3");
	assert_true(slice_equal(group_consumer_assignor(&r.lab.group), SLICE("range")));
	expect_beat(&r.lab, (struct beat) { .member_id = "b", .topics = "t", .assignor = "range" },
		    "2: ");
	expect_beat(&r.lab, BEAT("a", 1), "1: t0 t1");
	expect_beat(&r.lab, OWNS("a", 1, "t0t1"), "2: -");
	expect_beat(&r.lab, BEAT("b", 2), "2: t2 t3");
	room_close(&r);
}

static void test_a_member_changes_what_it_reads(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	shelf_put(&r.shelf, "u", 2);
	expect_beat(&r.lab, JOIN("a", ""), "1: ");
	expect_beat(&r.lab, (struct beat) { .member_id = "a", .epoch = 1, .topics = "u" },
		    "2: u0 u1");
	expect_beat(&r.lab, (struct beat) { .member_id = "a", .epoch = 2, .topics = "tx" }, "2: ");
	expect_beat(&r.lab, OWNS("a", 2, ""), "3: t0 t1 t2 t3");
	room_close(&r);
}

static void test_a_full_group_takes_nobody_else(void **state)
{
	struct room r;

	(void)state;
	room_open_with(&r, 1);
	expect_beat(&r.lab, JOIN("a", "t"), "1: t0 t1 t2 t3");
	assert_int_equal(beat_error(&r, JOIN("b", "t")), KAFKA_GROUP_MAX_SIZE_REACHED);
	expect_beat(&r.lab, JOIN("a", "t"), "1: t0 t1 t2 t3");
	expect_group(&r, "Stable", 1, 1);
	room_close(&r);
}

/* --- topics ------------------------------------------------------------------------------------
 */

static void test_topics_come_grow_and_go(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab, JOIN("a", "tu"), "1: t0 t1 t2 t3");
	shelf_put(&r.shelf, "x", 9); /* nobody's */
	expect_beat(&r.lab, BEAT("a", 1), "1: -");
	shelf_put(&r.shelf, "u", 1);
	expect_beat(&r.lab, BEAT("a", 1), "2: t0 t1 t2 t3 u0");
	shelf_put(&r.shelf, "u", 2);
	expect_beat(&r.lab, BEAT("a", 2), "3: t0 t1 t2 t3 u0 u1");
	shelf_drop(&r.shelf, "t");
	expect_beat(&r.lab, BEAT("a", 3), "3: u0 u1");
	expect_beat(&r.lab, OWNS("a", 3, "u0u1"), "4: -");
	shelf_put(&r.shelf, "t", 1); /* another one of the same name */
	expect_beat(&r.lab, BEAT("a", 4), "5: t0 u0 u1");
	room_close(&r);
}

static void test_a_pattern_follows_topics_as_they_come(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab, (struct beat) { .member_id = "a", .topics = "", .pattern = "[tu]" },
		    "1: t0 t1 t2 t3");
	assert_true(group_subscribes(&r.lab.group, SLICE("u")));
	assert_false(group_subscribes(&r.lab.group, SLICE("tu")));
	shelf_put(&r.shelf, "u", 1);
	shelf_put(&r.shelf, "v", 1);
	expect_beat(&r.lab, BEAT("a", 1), "2: t0 t1 t2 t3 u0");
	expect_beat(&r.lab, (struct beat) { .member_id = "a", .epoch = 2, .pattern = "v" }, "2: ");
	expect_beat(&r.lab, OWNS("a", 2, ""), "3: v0");
	expect_beat(&r.lab, (struct beat) { .member_id = "a", .epoch = 3, .pattern = "" }, "3: ");
	expect_beat(&r.lab, OWNS("a", 3, ""), "4: -");
	room_close(&r);
}

static void test_a_pattern_beside_topics_counts_from_the_next_heartbeat(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	shelf_put(&r.shelf, "u", 1);
	expect_beat(&r.lab, (struct beat) { .member_id = "a", .topics = "u", .pattern = "t" },
		    "1: u0");
	expect_beat(&r.lab, OWNS("a", 1, "u0"), "2: t0 t1 t2 t3 u0");
	room_close(&r);
}

/* --- epochs ------------------------------------------------------------------------------------
 */

/* W11 */
static void test_another_epoch_is_fenced(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab, JOIN("a", "t"), "1: t0 t1 t2 t3");
	assert_int_equal(beat_error(&r, BEAT("a", 2)), KAFKA_FENCED_MEMBER_EPOCH);
	assert_int_equal(beat_error(&r, BEAT("z", 1)), KAFKA_UNKNOWN_MEMBER_ID);
	expect_beat(&r.lab, (struct beat) { .member_id = "a", .epoch = 1, .topics = "tu" }, "2: -");
	assert_int_equal(beat_error(&r, BEAT("a", 1)), KAFKA_FENCED_MEMBER_EPOCH);
	/* the answer may have been lost: then it says what it has */
	expect_beat(&r.lab, OWNS("a", 1, "t0t1"), "2: -");
	expect_beat(&r.lab, JOIN("a", "tu"), "2: t0 t1 t2 t3");
	room_close(&r);
}

static void test_who_takes_too_long_to_revoke_is_out(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab,
		    (struct beat) { .member_id = "a", .topics = "t", .rebalance_ms = 10000 },
		    "1: t0 t1 t2 t3");
	expect_beat(&r.lab, JOIN("b", "t"), "2: ");
	expect_beat(&r.lab, BEAT("a", 1), "1: t0 t1");
	lab_wait(&r.lab, 9000);
	expect_beat(&r.lab, BEAT("a", 1), "1: -");
	lab_wait(&r.lab, 1000);
	assert_int_equal(beat_error(&r, BEAT("a", 1)), KAFKA_UNKNOWN_MEMBER_ID);
	expect_beat(&r.lab, BEAT("b", 2), "3: t0 t1 t2 t3");
	room_close(&r);
}

static void test_who_is_silent_is_out_after_its_session(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab, JOIN("a", "t"), "1: t0 t1 t2 t3");
	lab_wait(&r.lab, 44000);
	expect_beat(&r.lab, BEAT("a", 1), "1: -");
	lab_wait(&r.lab, 44000);
	expect_group(&r, "Stable", 1, 1);
	lab_wait(&r.lab, 1000);
	expect_group(&r, "Empty", 2, 1);
	room_close(&r);
}

/* --- static members ----------------------------------------------------------------------------
 */

static void test_k5_an_instance_that_comes_back_has_what_it_had(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab, STATIC("a1", "desk", 0, "t"), "1: t0 t1 t2 t3");
	assert_int_equal(beat_error(&r, STATIC("a2", "desk", 0, "t")),
			 KAFKA_UNRELEASED_INSTANCE_ID);
	assert_int_equal(beat_error(&r, STATIC("a2", "desk", 1, NULL)), KAFKA_FENCED_INSTANCE_ID);
	assert_int_equal(beat_error(&r, STATIC("a1", "chair", 1, NULL)), KAFKA_UNKNOWN_MEMBER_ID);
	expect_beat(&r.lab, STATIC("a1", "desk", GROUP_EPOCH_LEAVE_STATIC, NULL), "-2: -");
	expect_beat(&r.lab, JOIN("b", "t"), "2: "); /* they stay with the desk */
	expect_beat(&r.lab, STATIC("a2", "desk", 0, "t"), "2: t0 t1");
	assert_int_equal(beat_error(&r, STATIC("a1", "desk", 1, NULL)), KAFKA_FENCED_INSTANCE_ID);
	room_close(&r);
}

static void test_k5_an_instance_that_stays_away_loses_everything(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab, STATIC("a1", "desk", 0, "t"), "1: t0 t1 t2 t3");
	expect_beat(&r.lab, STATIC("a1", "desk", GROUP_EPOCH_LEAVE_STATIC, NULL), "-2: -");
	assert_int_equal(r.lab.group.generation, 1);
	lab_wait(&r.lab, 45000);
	expect_group(&r, "Empty", 2, 1);
	room_close(&r);
}

/* --- offsets -----------------------------------------------------------------------------------
 */

static int16_t may_commit(struct room *r, const char *member_id, int32_t epoch, bool is_old)
{
	struct group_event event = {
		.kind = GROUP_COMMIT,
		.member_id = slice_from(member_id),
		.generation = epoch,
		.commit = { .is_old = is_old },
	};

	return lab_step(&r->lab, &event);
}

static int16_t may_commit_in_transaction(struct room *r, const char *member_id, int32_t epoch)
{
	struct group_event event = {
		.kind = GROUP_COMMIT,
		.member_id = slice_from(member_id),
		.generation = epoch,
		.commit = { .is_transaction = true },
	};

	return lab_step(&r->lab, &event);
}

static void test_k6_only_the_epoch_of_the_member_may_commit_and_read(void **state)
{
	const struct group *g;
	struct room r;

	(void)state;
	room_open(&r);
	g = &r.lab.group;
	assert_int_equal(group_check_fetch(g, (struct slice) { 0 }, -1), KAFKA_NONE);
	expect_beat(&r.lab, JOIN("a", "t"), "1: t0 t1 t2 t3");
	expect_beat(&r.lab, (struct beat) { .member_id = "a", .epoch = 1, .topics = "tu" }, "2: -");
	assert_int_equal(may_commit(&r, "a", 2, false), KAFKA_NONE);
	assert_int_equal(may_commit(&r, "a", 1, false), KAFKA_STALE_MEMBER_EPOCH);
	assert_int_equal(may_commit(&r, "a", 3, false), KAFKA_STALE_MEMBER_EPOCH);
	assert_int_equal(may_commit(&r, "a", 2, true), KAFKA_UNSUPPORTED_VERSION);
	assert_int_equal(may_commit(&r, "z", 2, false), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(may_commit_in_transaction(&r, "a", 2), KAFKA_NONE);
	assert_int_equal(may_commit_in_transaction(&r, "a", 1), KAFKA_ILLEGAL_GENERATION);
	assert_int_equal(may_commit_in_transaction(&r, "z", 2), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(may_commit_in_transaction(&r, "", -1), KAFKA_NONE);
	assert_int_equal(may_commit(&r, "", -1, false), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(group_check_fetch(g, SLICE("a"), 2), KAFKA_NONE);
	assert_int_equal(group_check_fetch(g, SLICE("a"), 1), KAFKA_STALE_MEMBER_EPOCH);
	assert_int_equal(group_check_fetch(g, SLICE("z"), 2), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(group_check_fetch(g, (struct slice) { 0 }, -1), KAFKA_NONE);
	expect_beat(&r.lab, BEAT("a", GROUP_EPOCH_LEAVE), "-1: -");
	assert_int_equal(may_commit(&r, "", -1, false), KAFKA_NONE);
	room_close(&r);
}

/* --- members of the classic protocol -----------------------------------------------------------
 */

static void join_classic(struct room *r, const char *call, const char *member_id,
			 const char *new_id, const char *topics, const char *owned)
{
	struct buf protocols, subscription;

	buf_init(&protocols);
	buf_init(&subscription);
	encode_subscription(&r->shelf, topics, owns(r, owned), &subscription);
	group_protocol_add(&protocols, SLICE("range"), buf_slice(&subscription));
	struct group_event event = {
		.kind = GROUP_JOIN,
		.call = (void *)(uintptr_t)call,
		.member_id = slice_from(member_id),
		.join = {
			.new_member_id = slice_from(new_id),
			.client_id = SLICE("client"),
			.client_host = SLICE("/127.0.0.1"),
			.session_timeout_ms = 10000,
			.rebalance_timeout_ms = 20000,
			.protocol_type = SLICE("consumer"),
			.protocols = buf_slice(&protocols),
		},
	};
	lab_step(&r->lab, &event);
	buf_done(&protocols);
	buf_done(&subscription);
}

struct synced {
	struct group_effects effects;
	struct room *room;
	int16_t error;
	char places[256];
};

static void on_synced(struct group_effects *effects, const struct group *g,
		      const struct group_answer *answer)
{
	struct synced *s = CONTAINER(effects, struct synced, effects);
	struct partition_set places = { 0 };

	(void)g;
	s->error = answer->error;
	decode_places(&s->room->shelf, answer->assignment, &places);
	set_text(&places, s->places);
	partition_set_done(&places);
}

/* `gives`: for a leader of a group that is all classic, "t2t3" for itself. */
static void expect_sync(struct room *r, const char *member_id, int32_t generation,
			const char *gives, const char *want)
{
	struct synced synced = { .effects = { .answer = on_synced }, .room = r };
	int32_t partitions[16];
	struct consumer_topic topic = { SLICE("t"), partitions, 0 };
	struct consumer_assignment assignment = { &topic, 1 };
	struct buf bytes;

	buf_init(&bytes);
	for (; gives && *gives; gives += 2)
		partitions[topic.partition_count++] = gives[1] - '0';
	consumer_assignment_encode(1, &assignment, &bytes);
	struct group_assignment list = { slice_from(member_id), buf_slice(&bytes) };
	struct group_event event = {
		.kind = GROUP_SYNC,
		.call = (void *)"sync",
		.member_id = slice_from(member_id),
		.generation = generation,
		.sync = { .assignments = &list, .assignment_count = gives ? 1 : 0 },
		.now_ms = r->lab.now_ms,
	};
	group_step(&r->lab.group, &event, &synced.effects);
	buf_done(&bytes);
	assert_string_equal(synced.error ? kafka_error_name(synced.error) : synced.places, want);
}

/* A classic group with "old", which has t0 to t3. */
static void begin_classic(struct room *r)
{
	room_open(r);
	join_classic(r, "j", "", "old", "t", "");
	buf_clear(&r->lab.trace);
	expect_sync(r, "old", 1, "t0t1t2t3", "t0 t1 t2 t3");
	assert_int_equal(r->lab.group.state, GROUP_STABLE);
}

static void test_k7_a_classic_group_is_converted_while_its_members_go_on(void **state)
{
	struct room r;

	(void)state;
	begin_classic(&r);
	expect_beat(&r.lab, JOIN("new", "t"), "2: ");
	assert_int_equal(r.lab.group.type, GROUP_CONSUMER);
	assert_true(slice_equal(r.lab.group.protocol_type, SLICE("consumer")));
	/* the old one may commit until it joins again, in its generation */
	assert_int_equal(may_commit(&r, "old", 1, true), KAFKA_NONE);
	assert_int_equal(may_commit(&r, "old", 2, true), KAFKA_ILLEGAL_GENERATION);
	assert_int_equal(lab_beat(&r.lab, "old", 1), KAFKA_REBALANCE_IN_PROGRESS);
	expect_sync(&r, "old", 1, NULL, "REBALANCE_IN_PROGRESS");
	join_classic(&r, "j", "old", "never", "t", ""); /* eager: it gave all back */
	expect(&r.lab, "j: old joins 2 range led by \n");
	expect_sync(&r, "old", 2, NULL, "t0 t1");
	assert_int_equal(lab_beat(&r.lab, "old", 2), KAFKA_NONE);
	expect_beat(&r.lab, BEAT("new", 2), "2: t2 t3");
	expect_group(&r, "Stable", 2, 2);
	room_close(&r);
}

static void test_k7_a_cooperative_member_revokes_first(void **state)
{
	struct room r;

	(void)state;
	begin_classic(&r);
	expect_beat(&r.lab, JOIN("new", "t"), "2: ");
	join_classic(&r, "j", "old", "never", "t", "t0t1t2t3");
	expect(&r.lab, "j: old joins 1 range led by \n");
	expect_sync(&r, "old", 1, NULL, "t0 t1");
	expect_beat(&r.lab, BEAT("new", 2), "2: -");
	assert_int_equal(lab_beat(&r.lab, "old", 1), KAFKA_REBALANCE_IN_PROGRESS);
	join_classic(&r, "j", "old", "never", "t", "t0t1");
	expect(&r.lab, "j: old joins 2 range led by \n");
	expect_sync(&r, "old", 2, NULL, "t0 t1");
	expect_beat(&r.lab, BEAT("new", 2), "2: t2 t3");
	room_close(&r);
}

static void test_k7_the_last_consumer_leaves_a_classic_group_behind(void **state)
{
	struct room r;

	(void)state;
	begin_classic(&r);
	expect_beat(&r.lab, JOIN("new", "t"), "2: ");
	join_classic(&r, "j", "old", "never", "t", "");
	expect_sync(&r, "old", 2, NULL, "t0 t1");
	expect_beat(&r.lab, BEAT("new", 2), "2: t2 t3");
	buf_clear(&r.lab.trace);
	expect_beat(&r.lab, BEAT("new", GROUP_EPOCH_LEAVE), "-1: -");
	assert_int_equal(r.lab.group.type, GROUP_CLASSIC);
	assert_string_equal(group_state_name(r.lab.group.state), "PreparingRebalance");
	assert_int_equal(lab_beat(&r.lab, "old", 3), KAFKA_REBALANCE_IN_PROGRESS);
	join_classic(&r, "j", "old", "never", "t", "");
	buf_clear(&r.lab.trace);
	expect_sync(&r, "old", 4, "t0t1t2t3", "t0 t1 t2 t3");
	room_close(&r);
}

static void test_k7_other_groups_are_not_converted(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	lab_join(&r.lab, (struct joiner) { .call = "j", .new_id = "w", .type = "connect" });
	buf_clear(&r.lab.trace);
	assert_int_equal(beat_error(&r, JOIN("new", "t")), KAFKA_GROUP_ID_NOT_FOUND);
	assert_int_equal(beat_error(&r, BEAT("new", GROUP_EPOCH_LEAVE)), KAFKA_GROUP_ID_NOT_FOUND);
	assert_int_equal(r.lab.group.type, GROUP_CLASSIC);
	room_close(&r);

	room_open(&r); /* and who is none of the protocol does not come in */
	expect_beat(&r.lab, JOIN("new", "t"), "1: t0 t1 t2 t3");
	lab_join(&r.lab, (struct joiner) { .call = "j", .new_id = "w", .type = "connect" });
	expect(&r.lab, "j: join INCONSISTENT_GROUP_PROTOCOL\n");
	lab_join(&r.lab, (struct joiner) { .call = "j", .new_id = "w", .protocols = "range=?" });
	expect(&r.lab, "j: join INCONSISTENT_GROUP_PROTOCOL\n");
	room_close(&r);
}

static void test_k7_calls_that_wait_are_ended_by_the_conversion(void **state)
{
	struct room r;

	(void)state;
	begin_classic(&r);
	join_classic(&r, "k", "", "newer", "t", "");
	expect(&r.lab, "");
	expect_beat(&r.lab, JOIN("new", "t"), "2: ");
	expect(&r.lab, "k: join REBALANCE_IN_PROGRESS for newer\n");
	join_classic(&r, "k", "newer", "never", "t", ""); /* its client comes again */
	expect(&r.lab, "k: newer joins 3 range led by \n");
	assert_int_equal(r.lab.group.member_count, 3);
	room_close(&r);
}

static void test_k10_time_in_which_we_stood_still_is_given_back(void **state)
{
	struct room r;

	(void)state;
	room_open(&r);
	expect_beat(&r.lab, JOIN("a", "t"), "1: t0 t1 t2 t3");
	expect_beat(&r.lab, JOIN("b", "t"), "2: ");
	expect_beat(&r.lab, BEAT("a", 1), "1: t0 t1");
	r.lab.now_ms += 3600 * 1000;
	group_postpone(&r.lab.group, 3600 * 1000);
	lab_wait(&r.lab, 0);
	assert_int_equal(r.lab.group.member_count, 2);
	expect_beat(&r.lab, OWNS("a", 1, "t0t1"), "2: -");
	expect_beat(&r.lab, BEAT("b", 2), "2: t2 t3");
	room_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_is_alone_gets_everything_at_once),
		cmocka_unit_test(test_partitions_are_given_back_before_they_are_given_on),
		cmocka_unit_test(test_who_leaves_frees_its_partitions),
		cmocka_unit_test(test_members_choose_an_assignor_by_majority),
		cmocka_unit_test(test_a_member_changes_what_it_reads),
		cmocka_unit_test(test_a_full_group_takes_nobody_else),
		cmocka_unit_test(test_topics_come_grow_and_go),
		cmocka_unit_test(test_a_pattern_follows_topics_as_they_come),
		cmocka_unit_test(test_a_pattern_beside_topics_counts_from_the_next_heartbeat),
		cmocka_unit_test(test_another_epoch_is_fenced),
		cmocka_unit_test(test_who_takes_too_long_to_revoke_is_out),
		cmocka_unit_test(test_who_is_silent_is_out_after_its_session),
		cmocka_unit_test(test_k5_an_instance_that_comes_back_has_what_it_had),
		cmocka_unit_test(test_k5_an_instance_that_stays_away_loses_everything),
		cmocka_unit_test(test_k6_only_the_epoch_of_the_member_may_commit_and_read),
		cmocka_unit_test(test_k7_a_classic_group_is_converted_while_its_members_go_on),
		cmocka_unit_test(test_k7_a_cooperative_member_revokes_first),
		cmocka_unit_test(test_k7_the_last_consumer_leaves_a_classic_group_behind),
		cmocka_unit_test(test_k7_other_groups_are_not_converted),
		cmocka_unit_test(test_k7_calls_that_wait_are_ended_by_the_conversion),
		cmocka_unit_test(test_k10_time_in_which_we_stood_still_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
