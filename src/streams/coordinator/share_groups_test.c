/* Share groups as clients see them: heartbeats, descriptions, offsets, deletion. */
#include "streams/coordinator/share_records.h"

#include "streams/coordinator/groups_testing.h"
#include "streams/coordinator/share_group.h"

static struct town town;

static enum err run_text(struct cell *cell, void *sql)
{
	return cell_execute(cell, cell_statement(cell, sql));
}

static void town_sql(const char *sql)
{
	assert_int_equal(town_run(&town, run_text, (void *)(uintptr_t)sql), OK);
}

/* --- requests ----------------------------------------------------------------------------------
 */

static const struct kafka_share_group_heartbeat_response *share_beat(const char *member,
								     int32_t epoch,
								     const char *topic)
{
	struct slice name = slice_from(topic ? topic : "");

	return ask(&town, KAFKA_API_SHARE_GROUP_HEARTBEAT, 1,
		   &(struct kafka_share_group_heartbeat_request) {
			   .group_id = SLICE("s"),
			   .member_id = slice_from(member),
			   .member_epoch = epoch,
			   .subscribed_topic_names = topic ? &name : NULL,
			   .subscribed_topic_names_count = topic ? 1 : 0,
		   });
}

static void expect_error(const struct kafka_share_group_heartbeat_response *r, int16_t error)
{
	assert_int_equal(r->error_code, error);
	assert_true(r->error_message.size > 0);
}

/* Its epoch. */
static int32_t expect_places(const struct kafka_share_group_heartbeat_response *r, size_t count,
			     int32_t first)
{
	assert_int_equal(r->error_code, KAFKA_NONE);
	assert_non_null(r->assignment);
	if (count == 0) {
		assert_int_equal(r->assignment->topic_partitions_count, 0);
		return r->member_epoch;
	}
	assert_int_equal(r->assignment->topic_partitions_count, 1);
	assert_int_equal(r->assignment->topic_partitions[0].partitions_count, count);
	assert_int_equal(r->assignment->topic_partitions[0].partitions[0], first);
	return r->member_epoch;
}

static struct kafka_describe_share_group_offsets_response_partition told_offset(int32_t partition)
{
	struct kafka_describe_share_group_offsets_request_topic topic = {
		.topic_name = SLICE("t"),
		.partitions = &partition,
		.partitions_count = 1,
	};
	struct kafka_describe_share_group_offsets_request_group group = {
		.group_id = SLICE("s"),
		.topics = &topic,
		.topics_count = 1,
	};
	const struct kafka_describe_share_group_offsets_response *response =
		ask(&town, KAFKA_API_DESCRIBE_SHARE_GROUP_OFFSETS, 1,
		    &(struct kafka_describe_share_group_offsets_request) { .groups = &group,
									   .groups_count = 1 });

	assert_int_equal(response->groups_count, 1);
	assert_int_equal(response->groups[0].error_code, KAFKA_NONE);
	assert_int_equal(response->groups[0].topics_count, 1);
	assert_int_equal(response->groups[0].topics[0].partitions_count, 1);
	return response->groups[0].topics[0].partitions[0];
}

/* The error of the group, or else of the partition. */
static int16_t alter_offset(int32_t partition, int64_t offset)
{
	struct kafka_alter_share_group_offsets_request_partition place = { partition, offset };
	struct kafka_alter_share_group_offsets_request_topic topic = { SLICE("t"), &place, 1 };
	const struct kafka_alter_share_group_offsets_response *response =
		ask(&town, KAFKA_API_ALTER_SHARE_GROUP_OFFSETS, 0,
		    &(struct kafka_alter_share_group_offsets_request) {
			    .group_id = SLICE("s"), .topics = &topic, .topics_count = 1 });

	return response->error_code ? response->error_code
				    : response->responses[0].partitions[0].error_code;
}

static int16_t delete_offsets(const char *name)
{
	struct kafka_delete_share_group_offsets_request_topic topic = { slice_from(name) };
	const struct kafka_delete_share_group_offsets_response *response =
		ask(&town, KAFKA_API_DELETE_SHARE_GROUP_OFFSETS, 0,
		    &(struct kafka_delete_share_group_offsets_request) {
			    .group_id = SLICE("s"), .topics = &topic, .topics_count = 1 });

	return response->error_code ? response->error_code : response->responses[0].error_code;
}

static int16_t delete_group(void)
{
	struct slice name = SLICE("s");
	const struct kafka_delete_groups_response *response =
		ask(&town, KAFKA_API_DELETE_GROUPS, 2,
		    &(struct kafka_delete_groups_request) { .groups_names = &name,
							    .groups_names_count = 1 });

	return response->results[0].error_code;
}

static const struct kafka_share_group_describe_response_group *describe_group(void)
{
	struct slice name = SLICE("s");
	const struct kafka_share_group_describe_response *response =
		ask(&town, KAFKA_API_SHARE_GROUP_DESCRIBE, 1,
		    &(struct kafka_share_group_describe_request) { .group_ids = &name,
								   .group_ids_count = 1 });

	assert_int_equal(response->groups_count, 1);
	return &response->groups[0];
}

static int open_town(void **state)
{
	(void)state;
	town_open(&town, 7);
	town_topic(&town, "t", 4);
	return 0;
}

static int close_town(void **state)
{
	(void)state;
	town_close(&town);
	return 0;
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_members_share_the_partitions(void **state)
{
	(void)state;
	int32_t a = expect_places(share_beat("a", 0, "t"), 4, 0);
	int32_t b = expect_places(share_beat("b", 0, "t"), 2, 1);
	assert_int_equal(b, a + 1);
	assert_int_equal(expect_places(share_beat("a", a, NULL), 2, 0), b);
	assert_null(share_beat("a", b, NULL)->assignment);		    /* nothing new */
	assert_int_equal(expect_places(share_beat("a", a, NULL), 2, 0), b); /* it was lost */
	assert_int_equal(share_beat("b", -1, NULL)->member_epoch, -1);
	a = expect_places(share_beat("a", b, NULL), 4, 0);
	assert_int_equal(a, b + 1);
	town_restart(&town);
	assert_int_equal(share_beat("a", a, NULL)->member_epoch, a);
}

static void test_more_members_than_partitions_have_them_together(void **state)
{
	char name[16];

	(void)state;
	for (int i = 0; i < 9; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		assert_int_equal(share_beat(name, 0, "t")->error_code, KAFKA_NONE);
	}
	const struct kafka_share_group_describe_response_group *g = describe_group();
	int readers[4] = { 0 };
	assert_int_equal(g->members_count, 9);
	for (size_t i = 0; i < 9; i++) {
		assert_int_equal(g->members[i].assignment.topic_partitions_count, 1);
		assert_int_equal(g->members[i].assignment.topic_partitions[0].partitions_count, 1);
		readers[g->members[i].assignment.topic_partitions[0].partitions[0]]++;
	}
	for (size_t i = 0; i < 4; i++)
		assert_in_range(readers[i], 2, 3);
}

static void test_a_topic_that_comes_later_is_shared_too(void **state)
{
	(void)state;
	int32_t a = expect_places(share_beat("a", 0, "u"), 0, 0);
	town_topic(&town, "u", 1);
	assert_int_equal(expect_places(share_beat("a", a, NULL), 1, 0), a + 1);
}

static void test_requests_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	expect_error(share_beat("a", 1, NULL), KAFKA_GROUP_ID_NOT_FOUND);
	expect_error(share_beat("a", 0, NULL), KAFKA_INVALID_REQUEST);
	expect_error(share_beat("", 0, "t"), KAFKA_INVALID_REQUEST);
	expect_error(share_beat("a", -2, "t"), KAFKA_INVALID_REQUEST);
	int32_t a = share_beat("a", 0, "t")->member_epoch;
	expect_error(share_beat("b", 1, NULL), KAFKA_UNKNOWN_MEMBER_ID);
	expect_error(share_beat("b", -1, NULL), KAFKA_UNKNOWN_MEMBER_ID);
	expect_error(share_beat("a", a + 5, NULL), KAFKA_FENCED_MEMBER_EPOCH);
}

static void test_a_silent_member_is_gone(void **state)
{
	(void)state;
	int32_t a = share_beat("a", 0, "t")->member_epoch;
	int32_t b = share_beat("b", 0, "t")->member_epoch;
	assert_int_equal(town_number(&town, "SELECT count(*) FROM share_member"), 2);
	town_sql("UPDATE share_member SET deadline_ms = 1 WHERE member_id = 'a'");
	assert_int_equal(expect_places(share_beat("b", b, NULL), 4, 0), b + 1);
	expect_error(share_beat("a", a, NULL), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(describe_group()->members_count, 1);
	town_sql("UPDATE share_member SET deadline_ms = 1");
	for (int i = 0; i < 1000 && town_number(&town, "SELECT count(*) FROM share_member"); i++)
		(void)town_wait_ms(&town, &town.has_stopped, 20); /* the sweep */
	assert_int_equal(town_number(&town, "SELECT count(*) FROM share_member"), 0);
	assert_int_equal(town_number(&town, "SELECT state FROM consumer_group"), 0);
}

static void test_a_group_is_of_one_kind(void **state)
{
	(void)state;
	assert_int_equal(share_beat("a", 0, "t")->error_code, KAFKA_NONE);
	const struct kafka_join_group_response *join =
		join_end(join_begin(&town, (struct join) { .group = "s" }));
	assert_int_equal(join->error_code, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
	const struct kafka_consumer_group_heartbeat_response *consumer =
		ask(&town, KAFKA_API_CONSUMER_GROUP_HEARTBEAT, 1,
		    &(struct kafka_consumer_group_heartbeat_request) {
			    .group_id = SLICE("s"),
			    .member_id = SLICE("c"),
			    .rebalance_timeout_ms = 1000,
			    .subscribed_topic_names = (struct slice[]) { SLICE("t") },
			    .subscribed_topic_names_count = 1,
			    .topic_partitions =
				    (struct kafka_consumer_group_heartbeat_request_topic[1]) {
					    { .partitions_count = 0 } },
		    });
	assert_int_equal(consumer->error_code, KAFKA_GROUP_ID_NOT_FOUND);
	assert_int_equal(commit(&town, (struct commit) { .group = "s", .topic = "t", .offset = 1 }),
			 KAFKA_GROUP_ID_NOT_FOUND);
	(void)share_beat("a", -1, NULL);
	assert_int_equal(delete_group(), KAFKA_NONE);
	assert_int_equal(commit(&town,
				(struct commit) {
					.group = "s", .topic = "t", .offset = 1, .version = 8 }),
			 KAFKA_NONE);
	expect_error(share_beat("a", 0, "t"), KAFKA_GROUP_ID_NOT_FOUND);
	assert_int_equal(describe_group()->error_code, KAFKA_GROUP_ID_NOT_FOUND);
}

static void test_groups_are_listed_and_described(void **state)
{
	(void)state;
	(void)share_beat("a", 0, "t");
	const struct kafka_list_groups_response *list =
		ask(&town, KAFKA_API_LIST_GROUPS, 5, &(struct kafka_list_groups_request) { 0 });
	assert_int_equal(list->groups_count, 1);
	assert_true(slice_equal(list->groups[0].group_type, SLICE("share")));
	assert_true(slice_equal(list->groups[0].protocol_type, SLICE("share")));
	assert_true(slice_equal(list->groups[0].group_state, SLICE("Stable")));
	const struct kafka_share_group_describe_response_group *g = describe_group();
	assert_true(slice_equal(g->group_state, SLICE("Stable")));
	assert_true(slice_equal(g->assignor_name, SLICE("simple")));
	assert_true(slice_equal(g->members[0].subscribed_topic_names[0], SLICE("t")));
	assert_true(
		slice_equal(g->members[0].assignment.topic_partitions[0].topic_name, SLICE("t")));
	(void)share_beat("a", -1, NULL);
	assert_true(slice_equal(describe_group()->group_state, SLICE("Empty")));
}

static void test_offsets_are_told_altered_and_deleted(void **state)
{
	(void)state;
	assert_int_equal(alter_offset(0, 0), KAFKA_GROUP_ID_NOT_FOUND);
	(void)share_beat("a", 0, "t");
	assert_int_equal(told_offset(0).start_offset, -1);
	assert_int_equal(told_offset(9).error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(alter_offset(0, 3), KAFKA_NON_EMPTY_GROUP);
	assert_int_equal(delete_offsets("t"), KAFKA_NON_EMPTY_GROUP);
	(void)share_beat("a", -1, NULL);
	town_sql("UPDATE partition SET high_watermark = 10");
	assert_int_equal(alter_offset(0, 3), KAFKA_NONE);
	assert_int_equal(alter_offset(9, 3), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(alter_offset(0, -1), KAFKA_INVALID_REQUEST);
	assert_int_equal(told_offset(0).start_offset, 3);
	assert_int_equal(told_offset(0).lag, 7);
	assert_int_equal(delete_offsets("u"), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(delete_offsets("t"), KAFKA_NONE);
	assert_int_equal(told_offset(0).start_offset, -1);
	assert_int_equal(delete_offsets("t"), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void test_a_group_with_members_is_not_deleted(void **state)
{
	(void)state;
	(void)share_beat("a", 0, "t");
	assert_int_equal(delete_group(), KAFKA_NON_EMPTY_GROUP);
	(void)share_beat("a", -1, NULL);
	assert_int_equal(alter_offset(0, 3), KAFKA_NONE);
	assert_int_equal(delete_group(), KAFKA_NONE);
	assert_int_equal(delete_group(), KAFKA_GROUP_ID_NOT_FOUND);
	for (int i = 0; i < 1000 && town_number(&town, "SELECT count(*) FROM consumer_group"); i++)
		(void)town_wait_ms(&town, &town.has_stopped, 20);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM share_partition"), 0);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM share_group"), 0);
}

/* --- the command on records ----------------------------------------------------------------------
 */

static struct arena arena;

static struct peer_share_response share(const char *member, struct peer_share_request_partition p)
{
	struct peer_share_response response;
	struct peer_share_request request = {
		.group = SLICE("s"),
		.member_id = slice_from(member),
		.wanted = 100,
		.partitions = &p,
		.partitions_count = 1,
	};
	struct share_records run = {
		.arena = &arena, .request = &request, .now_ms = 1000, .response = &response
	};

	struct catalog_topic topic;
	assert_int_equal(catalog_topic_by_name(&arena, leader_cell(town.leader), SLICE("t"),
					       &topic),
			 OK);
	p.topic_id = topic.topic_id;
	assert_int_equal(town_run(&town, share_records_run, &run), OK);
	return response;
}

static struct peer_share_response read_batch(const char *member, int64_t first, int64_t last)
{
	struct peer_share_request_batch batch = { .first = first, .last = last };

	return share(member, (struct peer_share_request_partition) { .batches = &batch,
								     .batches_count = 1 });
}

static struct peer_share_response say(const char *member, int64_t first, int64_t last, int8_t said)
{
	struct peer_share_request_answer answer = { first, last, &said, 1 };

	return share(member, (struct peer_share_request_partition) { .answers = &answer,
								     .answers_count = 1 });
}

/* Ten records, of which the group is to read all. */
static void begin_at_the_beginning(void)
{
	(void)share_beat("a", 0, "t");
	town_sql("INSERT INTO config (kind, resource, name, value)"
		 " VALUES (32, 's', 'share.auto.offset.reset', 'earliest')");
	town_sql("UPDATE partition SET high_watermark = 10");
}

static void test_records_are_acquired_and_accepted(void **state)
{
	(void)state;
	arena_init(&arena);
	assert_int_equal(read_batch("a", 0, 4).partitions[0].error, KAFKA_GROUP_ID_NOT_FOUND);
	begin_at_the_beginning();
	struct peer_share_response got = read_batch("a", 0, 4);
	assert_int_equal(got.lock_ms, 30000);
	assert_int_equal(got.partitions[0].acquired_count, 1);
	assert_int_equal(got.partitions[0].acquired[0].last, 4);
	assert_int_equal(got.partitions[0].acquired[0].deliveries, 1);
	assert_int_equal(read_batch("b", 0, 4).partitions[0].acquired_count, 0);
	assert_int_equal(say("b", 0, 4, SHARE_ACCEPT).partitions[0].answer_error,
			 KAFKA_INVALID_RECORD_STATE);
	town_restart(&town); /* it is in the cell */
	assert_int_equal(say("a", 1, 2, SHARE_ACCEPT).partitions[0].answer_error, KAFKA_NONE);
	assert_int_equal(told_offset(0).start_offset, 0);
	assert_int_equal(told_offset(0).lag, 8);
	assert_int_equal(say("a", 0, 0, SHARE_ACCEPT).partitions[0].answer_error, KAFKA_NONE);
	assert_int_equal(told_offset(0).start_offset, 3);
	(void)share("a", (struct peer_share_request_partition) { .releases = true });
	got = read_batch("b", 0, 4);
	assert_int_equal(got.partitions[0].acquired_count, 1);
	assert_int_equal(got.partitions[0].acquired[0].first, 3);
	assert_int_equal(got.partitions[0].acquired[0].deliveries, 1);
	arena_done(&arena);
}

static void test_answers_are_taken_together_or_not_at_all(void **state)
{
	int8_t accepts = SHARE_ACCEPT;
	struct peer_share_request_answer answers[] = { { 0, 1, &accepts, 1 },
						       { 7, 8, &accepts, 1 } };

	(void)state;
	arena_init(&arena);
	begin_at_the_beginning();
	assert_int_equal(read_batch("a", 0, 4).partitions[0].acquired_count, 1);
	struct peer_share_response got =
		share("a", (struct peer_share_request_partition) { .answers = answers,
								   .answers_count = 2 });
	assert_int_not_equal(got.partitions[0].answer_error, KAFKA_NONE);
	assert_int_equal(told_offset(0).start_offset, 0);
	assert_int_equal(say("a", 0, 1, SHARE_ACCEPT).partitions[0].answer_error, KAFKA_NONE);
	assert_int_equal(told_offset(0).start_offset, 2);
	arena_done(&arena);
}

static void test_only_what_is_there_is_given_and_who_gives_back_begins_nothing(void **state)
{
	(void)state;
	arena_init(&arena);
	begin_at_the_beginning();
	town_sql("DELETE FROM share_partition");
	(void)share("a", (struct peer_share_request_partition) { .releases = true });
	(void)say("a", 0, 1, SHARE_ACCEPT);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM share_partition"), 0);
	struct peer_share_response got = read_batch("a", 0, INT64_MAX);
	assert_int_equal(got.partitions[0].acquired_count, 1);
	assert_int_equal(got.partitions[0].acquired[0].last, 9);
	assert_int_equal(read_batch("a", -5, 20).partitions[0].acquired_count, 0);
	assert_int_equal(read_batch("a", 20, 30).partitions[0].acquired_count, 0);
	arena_done(&arena);
}

static void test_a_group_begins_with_what_comes_next(void **state)
{
	(void)state;
	arena_init(&arena);
	(void)share_beat("a", 0, "t");
	town_sql("UPDATE partition SET high_watermark = 10");
	assert_int_equal(read_batch("a", 0, 4).partitions[0].acquired_count, 0);
	assert_int_equal(told_offset(0).start_offset, 10);
	arena_done(&arena);
}

static int64_t begin_by_age(bool has_begin, int64_t begin)
{
	struct peer_share_response got =
		share("a", (struct peer_share_request_partition) { .has_begin = has_begin,
								   .begin = begin });

	return got.partitions[0].error ? -got.partitions[0].error : told_offset(0).start_offset;
}

static void test_a_group_begins_by_age_where_an_agent_has_looked(void **state)
{
	(void)state;
	arena_init(&arena);
	(void)share_beat("a", 0, "t");
	town_sql("INSERT INTO config (kind, resource, name, value)"
		 " VALUES (32, 's', 'share.auto.offset.reset', 'by_duration:PT1H')");
	town_sql("UPDATE partition SET high_watermark = 10, log_start_offset = 2");
	assert_int_equal(begin_by_age(false, 0), -KAFKA_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(read_batch("a", 2, 4).partitions[0].error, KAFKA_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM share_partition"), 0);
	assert_int_equal(begin_by_age(true, 5), 5);
	assert_int_equal(begin_by_age(true, 6), 5); /* it has begun */
	town_sql("DELETE FROM share_partition");
	assert_int_equal(begin_by_age(true, INT64_MIN), 2);
	town_sql("DELETE FROM share_partition");
	assert_int_equal(begin_by_age(true, INT64_MAX), 10);
	arena_done(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_town, close_town)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_members_share_the_partitions),
		TEST(test_more_members_than_partitions_have_them_together),
		TEST(test_a_topic_that_comes_later_is_shared_too),
		TEST(test_requests_that_make_no_sense_are_refused),
		TEST(test_a_silent_member_is_gone),
		TEST(test_a_group_is_of_one_kind),
		TEST(test_groups_are_listed_and_described),
		TEST(test_offsets_are_told_altered_and_deleted),
		TEST(test_a_group_with_members_is_not_deleted),
		TEST(test_records_are_acquired_and_accepted),
		TEST(test_answers_are_taken_together_or_not_at_all),
		TEST(test_only_what_is_there_is_given_and_who_gives_back_begins_nothing),
		TEST(test_a_group_begins_with_what_comes_next),
		TEST(test_a_group_begins_by_age_where_an_agent_has_looked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
