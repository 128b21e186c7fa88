/* Groups of the consumer protocol through their Kafka requests: ConsumerGroupHeartbeat and
 * -Describe, what the other requests about groups say of them, OffsetDelete, and a coordinator that
 * stops and starts again. */
#include "streams/coordinator/groups_testing.h"

struct pulse {
	const char *group; /* NULL: "g" */
	const char *member_id;
	const char *instance_id, *assignor, *pattern;
	int32_t epoch;
	const char *topic;    /* NULL: as before, or of who joins "t"; "": none */
	int32_t rebalance_ms; /* 0: 60000 of who joins */
	bool has_owned;
	struct kafka_consumer_group_heartbeat_request_topic owned;
	bool is_old;
};

static struct slice maybe(const char *text)
{
	return text ? slice_from(text) : (struct slice) { 0 };
}

static const struct kafka_consumer_group_heartbeat_response *pulse(struct town *town,
								   struct pulse p)
{
	struct slice name = slice_from(p.topic ? p.topic : "t");
	bool joins = p.epoch == 0;
	struct kafka_consumer_group_heartbeat_request request = {
		.group_id = slice_from(p.group ? p.group : "g"),
		.member_id = slice_from(p.member_id),
		.member_epoch = p.epoch,
		.instance_id = maybe(p.instance_id),
		.rebalance_timeout_ms = p.rebalance_ms ? p.rebalance_ms
					: joins	       ? 60000
						       : -1,
		.subscribed_topic_regex = maybe(p.pattern),
		.server_assignor = maybe(p.assignor),
	};

	if (joins || p.topic) {
		request.subscribed_topic_names = &name;
		request.subscribed_topic_names_count = name.size > 0;
	}
	if (joins || p.has_owned) {
		request.topic_partitions = &p.owned;
		request.topic_partitions_count = p.has_owned;
	}
	return ask(town, KAFKA_API_CONSUMER_GROUP_HEARTBEAT, p.is_old ? 0 : 1, &request);
}

/* A heartbeat that goes well: the epoch, and how many partitions of one topic, or -1. */
static void expect_pulse(struct town *town, struct pulse p, int32_t epoch, int count)
{
	const struct kafka_consumer_group_heartbeat_response *response = pulse(town, p);
	int got = -1;

	assert_int_equal(response->error_code, KAFKA_NONE);
	assert_int_equal(response->member_epoch, epoch);
	assert_int_equal(response->heartbeat_interval_ms, 5000);
	if (response->assignment) {
		got = 0;
		for (size_t i = 0; i < response->assignment->topic_partitions_count; i++)
			got += (int)response->assignment->topic_partitions[i].partitions_count;
	}
	assert_int_equal(got, count);
}

static void expect_error(struct town *town, struct pulse p, int16_t error)
{
	const struct kafka_consumer_group_heartbeat_response *response = pulse(town, p);

	assert_string_equal(kafka_error_name(response->error_code), kafka_error_name(error));
	assert_true(response->error_message.size > 0);
}

static const struct kafka_consumer_group_describe_response_group *describe(struct town *town,
									   const char *name)
{
	struct slice group = slice_from(name);
	const struct kafka_consumer_group_describe_response *response =
		ask(town, KAFKA_API_CONSUMER_GROUP_DESCRIBE, 1,
		    &(struct kafka_consumer_group_describe_request) {
			    .group_ids = &group,
			    .group_ids_count = 1,
			    .include_authorized_operations = true });

	assert_int_equal(response->groups_count, 1);
	assert_true(slice_equal(response->groups[0].group_id, group));
	return &response->groups[0];
}

/* --- heartbeats --------------------------------------------------------------------------------
 */

static void test_a_member_joins_goes_on_and_leaves(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 1);
	town_topic(&town, "t", 3);
	expect_pulse(&town, (struct pulse) { .member_id = "a" }, 1, 3);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .epoch = 1 }, 1, -1);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM consumer_member"), 1);
	expect_pulse(&town, (struct pulse) { .member_id = "b" }, 2, 0);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .epoch = -1 }, -1, -1);
	expect_pulse(&town, (struct pulse) { .member_id = "b", .epoch = 2 }, 3, 3);
	expect_pulse(&town, (struct pulse) { .member_id = "b", .epoch = -1 }, -1, -1);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM consumer_member"), 0);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM consumer_protocol"), 1);
	assert_int_equal(groups_count(town.coordinator->groups), 0); /* the cell knows it all */
	expect_pulse(&town, (struct pulse) { .member_id = "c" }, 5, 3);
	town_close(&town);
}

static void test_version_0_gets_a_member_id(void **state)
{
	const struct kafka_consumer_group_heartbeat_response *response;
	struct town town;

	(void)state;
	town_open(&town, 2);
	town_topic(&town, "t", 1);
	response = pulse(&town, (struct pulse) { .member_id = "", .is_old = true });
	assert_int_equal(response->error_code, KAFKA_NONE);
	assert_int_equal(response->member_id.size, 36);
	expect_error(&town, (struct pulse) { .member_id = "" }, KAFKA_INVALID_REQUEST);
	town_close(&town);
}

static void test_what_is_no_request_is_refused(void **state)
{
	char long_name[300];
	struct town town;

	(void)state;
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	town_open(&town, 3);
	town_topic(&town, "t", 1);
	expect_error(&town, (struct pulse) { .member_id = "a", .group = "" },
		     KAFKA_INVALID_REQUEST);
	expect_error(&town, (struct pulse) { .member_id = "a", .group = long_name },
		     KAFKA_INVALID_GROUP_ID);
	expect_error(&town, (struct pulse) { .member_id = "a", .instance_id = "" },
		     KAFKA_INVALID_REQUEST);
	expect_error(&town, (struct pulse) { .member_id = "a", .epoch = -3 },
		     KAFKA_INVALID_REQUEST);
	expect_error(&town, (struct pulse) { .member_id = "a", .epoch = -2 },
		     KAFKA_INVALID_REQUEST);
	expect_error(&town, (struct pulse) { .member_id = "a", .rebalance_ms = -1 },
		     KAFKA_INVALID_REQUEST);
	expect_error(&town, (struct pulse) { .member_id = "a", .has_owned = true },
		     KAFKA_INVALID_REQUEST);
	expect_error(&town, (struct pulse) { .member_id = "a", .assignor = "sticky" },
		     KAFKA_UNSUPPORTED_ASSIGNOR);
	expect_error(&town, (struct pulse) { .member_id = "a", .pattern = "(" },
		     KAFKA_INVALID_REGULAR_EXPRESSION);
	expect_error(&town, (struct pulse) { .member_id = "a", .topic = long_name },
		     KAFKA_INVALID_REQUEST);
	expect_error(&town, (struct pulse) { .member_id = "a", .epoch = 1 },
		     KAFKA_GROUP_ID_NOT_FOUND);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM consumer_group"), 0);
	assert_int_equal(groups_count(town.coordinator->groups), 0);
	expect_pulse(&town, (struct pulse) { .member_id = "a" }, 1, 1);
	expect_error(&town, (struct pulse) { .member_id = "z", .epoch = 1 },
		     KAFKA_UNKNOWN_MEMBER_ID);
	expect_error(&town, (struct pulse) { .member_id = "a", .epoch = 9 },
		     KAFKA_FENCED_MEMBER_EPOCH);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .epoch = -1 }, -1, -1);
	expect_error(&town, (struct pulse) { .member_id = "a", .epoch = 1 },
		     KAFKA_UNKNOWN_MEMBER_ID);
	town_close(&town);
}

static void test_static_members_are_fenced_by_their_instance(void **state)
{
	struct pulse first = { .member_id = "a", .instance_id = "i" }, again = first;
	struct town town;

	(void)state;
	town_open(&town, 4);
	town_topic(&town, "t", 1);
	expect_pulse(&town, first, 1, 1);
	again.member_id = "b";
	expect_error(&town, again, KAFKA_UNRELEASED_INSTANCE_ID);
	again.epoch = 1;
	expect_error(&town, again, KAFKA_FENCED_INSTANCE_ID);
	first.epoch = -2;
	expect_pulse(&town, first, -2, -1);
	again.epoch = 0;
	expect_pulse(&town, again, 1, 1);
	town_close(&town);
}

static void test_topics_that_come_are_given_at_the_next_heartbeat(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 5);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .topic = "", .pattern = "t.*" }, 1,
		     0);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .epoch = 1 }, 1, -1);
	town_topic(&town, "t1", 2);
	town_topic(&town, "x", 2);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .epoch = 1 }, 2, 2);
	town_topic(&town, "t2", 1);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .epoch = 2 }, 3, 3);
	town_close(&town);
}

/* --- a coordinator that goes -------------------------------------------------------------------
 */

static void test_k8_members_and_offsets_go_on_after_a_restart(void **state)
{
	struct kafka_consumer_group_heartbeat_request_topic owned = { 0 };
	int32_t two[] = { 0, 1 };
	struct town town;

	(void)state;
	town_open(&town, 6);
	owned.topic_id = town_topic(&town, "t", 4);
	expect_pulse(&town, (struct pulse) { .member_id = "a" }, 1, 4);
	assert_int_equal(commit(&town, (struct commit) { .topic = "t",
							 .offset = 7,
							 .member_id = SLICE("a"),
							 .generation = 1 }),
			 KAFKA_NONE);
	expect_pulse(&town, (struct pulse) { .member_id = "b" }, 2, 0);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .epoch = 1 }, 1, 2);
	town_restart(&town);
	expect_pulse(&town, (struct pulse) { .member_id = "b", .epoch = 2 }, 2, -1);
	owned.partitions = two;
	owned.partitions_count = 2;
	expect_pulse(&town,
		     (struct pulse) {
			     .member_id = "a", .epoch = 1, .has_owned = true, .owned = owned },
		     2, -1);
	town_restart(&town);
	expect_pulse(&town, (struct pulse) { .member_id = "b", .epoch = 2 }, 2, 2);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .epoch = 2 }, 2, -1);
	assert_int_equal(fetch(&town, "g", "t", 0).committed_offset, 7);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM consumer_member"), 2);
	town_close(&town);
}

static void test_k9_a_commit_that_is_repeated_is_as_good_as_once(void **state)
{
	struct commit m = { .topic = "t",
			    .offset = 5,
			    .epoch = 3,
			    .member_id = SLICE("a"),
			    .generation = 1,
			    .metadata = "here" };
	struct town town;

	(void)state;
	town_open(&town, 7);
	town_topic(&town, "t", 1);
	expect_pulse(&town, (struct pulse) { .member_id = "a" }, 1, 1);
	assert_int_equal(commit(&town, m), KAFKA_NONE);
	town_restart(&town); /* its answer may have been lost */
	assert_int_equal(commit(&town, m), KAFKA_NONE);
	assert_int_equal(fetch(&town, "g", "t", 0).committed_offset, 5);
	assert_int_equal(fetch(&town, "g", "t", 0).committed_leader_epoch, 3);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM group_offset"), 1);
	m.generation = 2;
	assert_int_equal(commit(&town, m), KAFKA_STALE_MEMBER_EPOCH);
	m.version = 8;
	assert_int_equal(commit(&town, m), KAFKA_UNSUPPORTED_VERSION);
	town_close(&town);
}

static int16_t fetch_error(struct town *town, const char *member_id, int32_t epoch)
{
	struct kafka_offset_fetch_request_group group = { .group_id = SLICE("g"),
							  .member_id = maybe(member_id),
							  .member_epoch = epoch };
	const struct kafka_offset_fetch_response *response =
		ask(town, KAFKA_API_OFFSET_FETCH, 9,
		    &(struct kafka_offset_fetch_request) { .groups = &group, .groups_count = 1 });

	return response->groups[0].error_code;
}

static void test_offsets_are_read_in_the_epoch_of_the_member(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 8);
	town_topic(&town, "t", 1);
	assert_int_equal(fetch_error(&town, "a", 1), KAFKA_NONE); /* no such group */
	expect_pulse(&town, (struct pulse) { .member_id = "a" }, 1, 1);
	assert_int_equal(fetch_error(&town, "a", 1), KAFKA_NONE);
	assert_int_equal(fetch_error(&town, NULL, -1), KAFKA_NONE);
	assert_int_equal(fetch_error(&town, "a", 2), KAFKA_STALE_MEMBER_EPOCH);
	assert_int_equal(fetch_error(&town, "z", 1), KAFKA_UNKNOWN_MEMBER_ID);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .epoch = -1 }, -1, -1);
	assert_int_equal(fetch_error(&town, "a", 1), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(fetch_error(&town, NULL, -1), KAFKA_NONE);
	town_close(&town);
}

/* --- what administrators see -------------------------------------------------------------------
 */

static void test_a_group_is_described_member_by_member(void **state)
{
	const struct kafka_consumer_group_describe_response_group *g;
	struct town town;

	(void)state;
	town_open(&town, 9);
	town_topic(&town, "t", 3);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .assignor = "range" }, 1, 3);
	expect_pulse(&town, (struct pulse) { .member_id = "b", .instance_id = "i" }, 2, 0);
	g = describe(&town, "g");
	assert_int_equal(g->error_code, KAFKA_NONE);
	assert_true(slice_equal(g->group_state, SLICE("Reconciling")));
	assert_true(slice_equal(g->assignor_name, SLICE("range")));
	assert_int_equal(g->group_epoch, 2);
	assert_int_equal(g->assignment_epoch, 2);
	assert_int_equal(g->members_count, 2);
	assert_true(g->authorized_operations > 0);
	assert_true(slice_equal(g->members[0].member_id, SLICE("a")));
	assert_int_equal(g->members[0].member_epoch, 1);
	assert_int_equal(g->members[0].member_type, 1);
	assert_true(slice_equal(g->members[0].client_id, SLICE("client")));
	assert_true(slice_equal(g->members[0].subscribed_topic_names[0], SLICE("t")));
	assert_int_equal(g->members[0].assignment.topic_partitions[0].partitions_count, 3);
	assert_true(
		slice_equal(g->members[0].assignment.topic_partitions[0].topic_name, SLICE("t")));
	assert_true(slice_equal(g->members[1].instance_id, SLICE("i")));
	assert_int_equal(g->members[1].assignment.topic_partitions_count, 0);
	assert_int_equal(g->members[1].target_assignment.topic_partitions[0].partitions_count, 1);
	town_close(&town);
}

static void test_groups_are_described_by_what_they_are(void **state)
{
	struct town town;
	struct pair pair;
	struct slice name = SLICE("h");

	(void)state;
	town_open(&town, 10);
	town_topic(&town, "t", 1);
	begin_pair(&town, &pair); /* "g", which is classic */
	assert_int_equal(describe(&town, "g")->error_code, KAFKA_GROUP_ID_NOT_FOUND);
	assert_int_equal(describe(&town, "nobody")->error_code, KAFKA_GROUP_ID_NOT_FOUND);
	expect_pulse(&town, (struct pulse) { .group = "h", .member_id = "a" }, 1, 1);
	const struct kafka_describe_groups_response *classic =
		ask(&town, KAFKA_API_DESCRIBE_GROUPS, 6,
		    &(struct kafka_describe_groups_request) { .groups = &name, .groups_count = 1 });
	assert_int_equal(classic->groups[0].error_code, KAFKA_GROUP_ID_NOT_FOUND);
	classic =
		ask(&town, KAFKA_API_DESCRIBE_GROUPS, 5,
		    &(struct kafka_describe_groups_request) { .groups = &name, .groups_count = 1 });
	assert_int_equal(classic->groups[0].error_code, KAFKA_NONE);
	assert_true(slice_equal(classic->groups[0].group_state, SLICE("Dead")));
	expect_pulse(&town, (struct pulse) { .group = "h", .member_id = "a", .epoch = -1 }, -1, -1);
	assert_true(slice_equal(describe(&town, "h")->group_state, SLICE("Empty")));
	assert_int_equal(describe(&town, "h")->group_epoch, 2);
	town_close(&town);
}

static size_t count_listed(struct town *town, const char *type, const char *group_state)
{
	struct slice type_word = slice_from(type), state_word = slice_from(group_state);
	const struct kafka_list_groups_response *response =
		ask(town, KAFKA_API_LIST_GROUPS, 5,
		    &(struct kafka_list_groups_request) { .types_filter = &type_word,
							  .types_filter_count = 1,
							  .states_filter = &state_word,
							  .states_filter_count = 1 });

	for (size_t i = 0; i < response->groups_count; i++) {
		assert_true(slice_equal(response->groups[i].group_type, type_word));
		assert_true(slice_equal(response->groups[i].group_state, state_word));
		assert_true(slice_equal(response->groups[i].protocol_type, SLICE("consumer")));
	}
	return response->groups_count;
}

static int16_t delete_group(struct town *town, const char *name)
{
	struct slice group = slice_from(name);
	const struct kafka_delete_groups_response *response =
		ask(town, KAFKA_API_DELETE_GROUPS, 2,
		    &(struct kafka_delete_groups_request) { &group, 1 });

	return response->results[0].error_code;
}

static void test_groups_are_listed_and_deleted_by_type(void **state)
{
	struct town town;
	struct pair pair;

	(void)state;
	town_open(&town, 11);
	town_topic(&town, "t", 1);
	begin_pair(&town, &pair);
	expect_pulse(&town, (struct pulse) { .group = "h", .member_id = "a" }, 1, 1);
	expect_pulse(&town, (struct pulse) { .group = "i", .member_id = "a" }, 1, 1);
	expect_pulse(&town, (struct pulse) { .group = "i", .member_id = "a", .epoch = -1 }, -1, -1);
	assert_int_equal(count_listed(&town, "classic", "Stable"), 1);
	assert_int_equal(count_listed(&town, "consumer", "Stable"), 1);
	assert_int_equal(count_listed(&town, "consumer", "Empty"), 1);
	assert_int_equal(delete_group(&town, "h"), KAFKA_NON_EMPTY_GROUP);
	assert_int_equal(delete_group(&town, "i"), KAFKA_NONE);
	assert_int_equal(count_listed(&town, "consumer", "Empty"), 0);
	expect_pulse(&town, (struct pulse) { .group = "i", .member_id = "a" }, 1, 1);
	town_close(&town);
}

/* --- OffsetDelete ------------------------------------------------------------------------------
 */

static const struct kafka_offset_delete_response *delete_offset(struct town *town,
								const char *group,
								const char *topic_name,
								int32_t partition)
{
	struct kafka_offset_delete_request_partition p = { partition };
	struct kafka_offset_delete_request_topic topic = { slice_from(topic_name), &p, 1 };

	return ask(town, KAFKA_API_OFFSET_DELETE, 0,
		   &(struct kafka_offset_delete_request) { slice_from(group), &topic, 1 });
}

static int16_t partition_error(const struct kafka_offset_delete_response *response)
{
	assert_int_equal(response->error_code, KAFKA_NONE);
	assert_int_equal(response->topics_count, 1);
	return response->topics[0].partitions[0].error_code;
}

static void test_offsets_that_nobody_reads_are_deleted(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 12);
	town_topic(&town, "t", 2);
	town_topic(&town, "u", 1);
	assert_int_equal(delete_offset(&town, "g", "t", 0)->error_code, KAFKA_GROUP_ID_NOT_FOUND);
	assert_int_equal(commit(&town, (struct commit) { .topic = "t", .offset = 5 }), KAFKA_NONE);
	assert_int_equal(commit(&town, (struct commit) { .topic = "u", .offset = 6 }), KAFKA_NONE);
	expect_pulse(&town, (struct pulse) { .member_id = "a" }, 1, 2);
	assert_int_equal(partition_error(delete_offset(&town, "g", "t", 0)),
			 KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
	assert_int_equal(partition_error(delete_offset(&town, "g", "t", 2)),
			 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(partition_error(delete_offset(&town, "g", "x", 0)),
			 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(partition_error(delete_offset(&town, "g", "u", 0)), KAFKA_NONE);
	assert_int_equal(fetch(&town, "g", "u", 0).committed_offset, -1);
	assert_int_equal(fetch(&town, "g", "t", 0).committed_offset, 5);
	expect_pulse(&town, (struct pulse) { .member_id = "a", .epoch = -1 }, -1, -1);
	assert_int_equal(partition_error(delete_offset(&town, "g", "t", 0)), KAFKA_NONE);
	assert_int_equal(fetch(&town, "g", "t", 0).committed_offset, -1);
	town_close(&town);
}

static void test_offsets_of_other_protocols_stay_while_there_are_members(void **state)
{
	struct kafka_join_group_request_protocol protocol = { SLICE("default"), SLICE("x") };
	struct kafka_join_group_request request = {
		.group_id = SLICE("w"),
		.session_timeout_ms = 10000,
		.rebalance_timeout_ms = 60000,
		.member_id = SLICE(""),
		.protocol_type = SLICE("connect"),
		.protocols = &protocol,
		.protocols_count = 1,
	};
	struct town town;

	(void)state;
	town_open(&town, 13);
	town_topic(&town, "t", 1);
	assert_int_equal(commit(&town, (struct commit) { .group = "w", .topic = "t" }), KAFKA_NONE);
	join_end(ask_begin(&town, KAFKA_API_JOIN_GROUP, 3, &request));
	assert_int_equal(delete_offset(&town, "w", "t", 0)->error_code, KAFKA_NON_EMPTY_GROUP);
	assert_int_equal(fetch(&town, "w", "t", 0).committed_offset, 0);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_member_joins_goes_on_and_leaves),
		cmocka_unit_test(test_version_0_gets_a_member_id),
		cmocka_unit_test(test_what_is_no_request_is_refused),
		cmocka_unit_test(test_static_members_are_fenced_by_their_instance),
		cmocka_unit_test(test_topics_that_come_are_given_at_the_next_heartbeat),
		cmocka_unit_test(test_k8_members_and_offsets_go_on_after_a_restart),
		cmocka_unit_test(test_k9_a_commit_that_is_repeated_is_as_good_as_once),
		cmocka_unit_test(test_offsets_are_read_in_the_epoch_of_the_member),
		cmocka_unit_test(test_a_group_is_described_member_by_member),
		cmocka_unit_test(test_groups_are_described_by_what_they_are),
		cmocka_unit_test(test_groups_are_listed_and_deleted_by_type),
		cmocka_unit_test(test_offsets_that_nobody_reads_are_deleted),
		cmocka_unit_test(test_offsets_of_other_protocols_stay_while_there_are_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
