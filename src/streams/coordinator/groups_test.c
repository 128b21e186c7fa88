/* Consumer groups through their Kafka requests: members, durable answers, administration, and a
 * coordinator that stops and starts again. */
#include <unistd.h>

#include "streams/coordinator/groups_testing.h"

/* --- members -----------------------------------------------------------------------------------
 */

static void test_two_members_share_a_group(void **state)
{
	struct town town;
	struct pair pair;

	(void)state;
	town_open(&town, 1);
	begin_pair(&town, &pair);
	assert_int_equal(beat(&town, pair.a, pair.generation), KAFKA_NONE);
	assert_int_equal(beat(&town, pair.b, pair.generation), KAFKA_NONE);
	assert_int_equal(beat(&town, pair.b, pair.generation + 1), KAFKA_ILLEGAL_GENERATION);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM member"), 2);
	assert_int_equal(leave(&town, pair.a), KAFKA_NONE);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM member"), 1);
	assert_int_equal(beat(&town, pair.b, pair.generation), KAFKA_REBALANCE_IN_PROGRESS);
	assert_int_equal(leave(&town, pair.b), KAFKA_NONE);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM member"), 0);
	assert_int_equal(groups_count(town.coordinator->groups), 0); /* the cell knows it all */
	town_close(&town);
}

/* K8 */
static void test_members_go_on_after_a_restart(void **state)
{
	struct town town;
	struct pair pair;

	(void)state;
	town_open(&town, 2);
	town_topic(&town, "t", 1);
	begin_pair(&town, &pair);
	assert_int_equal(commit(&town, (struct commit) { .topic = "t",
							 .offset = 5,
							 .member_id = pair.a,
							 .generation = pair.generation }),
			 KAFKA_NONE);
	town_restart(&town);
	assert_int_equal(beat(&town, pair.a, pair.generation), KAFKA_NONE);
	assert_int_equal(beat(&town, pair.b, pair.generation), KAFKA_NONE);
	expect_assignment(sync_begin(&town, pair.b, pair.generation, NULL, 0), "B");
	assert_int_equal(commit(&town, (struct commit) { .topic = "t",
							 .offset = 6,
							 .member_id = pair.b,
							 .generation = pair.generation }),
			 KAFKA_NONE);
	assert_int_equal(fetch(&town, "g", "t", 0).committed_offset, 6);
	town_close(&town);
}

static void test_who_waits_when_leading_ends_hears_that_it_is_unavailable(void **state)
{
	struct town town;
	struct pair pair;

	(void)state;
	town_open(&town, 3);
	begin_pair(&town, &pair);
	struct ask *joins = join_begin(&town, (struct join) { .member_id = pair.a });
	assert_true(ask_waits(joins));
	coordinator_on_lost(town.coordinator, "test");
	town_wait(&town, &joins->is_done, "the join");
	assert_int_equal(joins->err, ERR_UNAVAILABLE);
	struct ask *beats = ask_begin(&town, KAFKA_API_HEARTBEAT, 3,
				      &(struct kafka_heartbeat_request) { .group_id = SLICE("g") });
	town_wait(&town, &beats->is_done, "the heartbeat");
	assert_int_equal(beats->err, ERR_UNAVAILABLE);
	coordinator_on_leading(town.coordinator);
	assert_int_equal(beat(&town, pair.a, pair.generation), KAFKA_NONE);
	town_close(&town);
}

static void test_a_canceled_call_leaves_its_member(void **state)
{
	struct town town;
	struct pair pair;

	(void)state;
	town_open(&town, 4);
	begin_pair(&town, &pair);
	struct ask *joins = join_begin(&town, (struct join) { .member_id = pair.a });
	assert_true(ask_waits(joins));
	task_cancel(&joins->task);
	town_wait(&town, &joins->is_done, "the join");
	assert_int_equal(joins->err, ERR_CANCELED);
	assert_int_equal(beat(&town, pair.a, pair.generation), KAFKA_REBALANCE_IN_PROGRESS);
	struct ask *b_joins = join_begin(&town, (struct join) { .member_id = pair.b });
	assert_true(ask_waits(b_joins));
	const struct kafka_join_group_response *a =
		join_end(join_begin(&town, (struct join) { .member_id = pair.a }));
	assert_int_equal(a->generation_id, pair.generation + 1);
	assert_int_equal(join_end(b_joins)->generation_id, pair.generation + 1);
	town_close(&town);
}

/* --- joining -----------------------------------------------------------------------------------
 */

static void test_a_new_client_joins_in_two_steps(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 10);
	const struct kafka_join_group_response *first =
		join_end(join_begin(&town, (struct join) { .version = 9 }));
	assert_int_equal(first->error_code, KAFKA_MEMBER_ID_REQUIRED);
	assert_true(slice_starts_with(first->member_id, SLICE("client-")));
	assert_int_equal(first->member_id.size, strlen("client-") + 36);
	assert_int_equal(groups_count(town.coordinator->groups), 1);
	const struct kafka_join_group_response *second = join_end(
		join_begin(&town, (struct join) { .version = 9, .member_id = first->member_id }));
	assert_int_equal(second->error_code, KAFKA_NONE);
	assert_true(slice_equal(second->leader, first->member_id));
	assert_true(slice_equal(second->protocol_name, SLICE("range")));
	assert_true(slice_equal(second->protocol_type, SLICE("consumer")));
	assert_false(second->skip_assignment);
	town_close(&town);
}

static void test_without_a_rebalance_timeout_the_session_timeout_is_taken(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 21);
	const struct kafka_join_group_response *joined =
		join_end(join_begin(&town, (struct join) { .has_no_rebalance_timeout = true,
							   .session_ms = 30000 }));
	assert_int_equal(joined->error_code, KAFKA_NONE);
	const struct group *g = &groups_find(town.coordinator->groups, SLICE("g"))->group;
	assert_int_equal(g->sync_deadline_ms - g->now_ms, 30000);
	town_close(&town);
}

static void test_joins_that_are_refused(void **state)
{
	static char long_name[257];
	struct town town;

	(void)state;
	memset(long_name, 'g', sizeof(long_name) - 1);
	town_open(&town, 11);
	struct join joins[] = {
		{ .group = "" },
		{ .group = long_name },
		{ .session_ms = 5999 },
		{ .session_ms = 1800001 },
		{ .member_id = SLICE("stranger") },
		{ .instance_id = "", .version = 5 },
		{ .instance_id = long_name, .version = 5 },
	};
	int16_t errors[] = {
		KAFKA_INVALID_GROUP_ID,	       KAFKA_INVALID_GROUP_ID,
		KAFKA_INVALID_SESSION_TIMEOUT, KAFKA_INVALID_SESSION_TIMEOUT,
		KAFKA_UNKNOWN_MEMBER_ID,       KAFKA_INVALID_REQUEST,
		KAFKA_INVALID_REQUEST,
	};
	for (size_t i = 0; i < sizeof(joins) / sizeof(joins[0]); i++) {
		const struct kafka_join_group_response *response =
			join_end(join_begin(&town, joins[i]));
		assert_int_equal(response->error_code, errors[i]);
		assert_int_equal(response->generation_id, -1);
	}
	assert_int_equal(groups_count(town.coordinator->groups), 0);
	town_close(&town);
}

static void test_requests_to_a_group_that_is_not_there(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 12);
	assert_int_equal(beat(&town, SLICE("m"), 1), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(leave(&town, SLICE("m")), KAFKA_UNKNOWN_MEMBER_ID);
	const struct kafka_sync_group_response *response =
		ask_end(sync_begin(&town, SLICE("m"), 1, NULL, 0));
	assert_int_equal(response->error_code, KAFKA_UNKNOWN_MEMBER_ID);
	town_close(&town);
}

static void test_a_static_member_keeps_its_place_over_a_restart(void **state)
{
	struct join j = { .instance_id = "i", .version = 5 };
	struct kafka_sync_group_request_assignment mine = { .assignment = SLICE("all") };
	uint8_t bytes[2][64];
	struct town town;

	(void)state;
	town_open(&town, 13);
	struct slice first = keep(bytes[0], join_end(join_begin(&town, j))->member_id);
	mine.member_id = first;
	expect_assignment(sync_begin(&town, first, 1, &mine, 1), "all");
	town_restart(&town);
	const struct kafka_join_group_response *again = join_end(join_begin(&town, j));
	assert_int_equal(again->error_code, KAFKA_NONE);
	assert_int_equal(again->generation_id, 1);
	struct slice second = keep(bytes[1], again->member_id);
	assert_false(slice_equal(first, second));
	town_restart(&town);
	expect_assignment(sync_begin(&town, second, 1, NULL, 0), "all");
	assert_int_equal(beat(&town, first, 1), KAFKA_UNKNOWN_MEMBER_ID);
	town_close(&town);
}

/* --- durability --------------------------------------------------------------------------------
 */

static void hold_writes(struct town *town)
{
	fault_add(town->bucket, &(struct fault) { .effect = FAULT_HOLD, .verbs = FAULT_WRITES });
}

static void let_writes_go(struct town *town)
{
	fault_clear(town->bucket);
	fault_release(town->bucket, "");
}

static void test_an_answer_waits_for_its_group_to_be_durable(void **state)
{
	struct kafka_heartbeat_request request = { .group_id = SLICE("g") };
	struct town town;
	struct pair pair;

	(void)state;
	town_open(&town, 17);
	begin_pair(&town, &pair);
	hold_writes(&town);
	struct ask *joins = join_begin(&town, (struct join) { .group = "other" });
	assert_true(ask_waits(joins));
	assert_int_equal(beat(&town, pair.a, pair.generation), KAFKA_NONE); /* another group */
	struct ask *leaves = ask_begin(&town, KAFKA_API_LEAVE_GROUP, 2,
				       &(struct kafka_leave_group_request) { .group_id = SLICE("g"),
									     .member_id = pair.b });
	assert_true(ask_waits(leaves));
	/* also a "no" that depends on it */
	request.member_id = pair.b;
	request.generation_id = pair.generation;
	struct ask *beats = ask_begin(&town, KAFKA_API_HEARTBEAT, 3, &request);
	assert_true(ask_waits(beats));
	let_writes_go(&town);
	assert_int_equal(join_end(joins)->generation_id, 1);
	const struct kafka_leave_group_response *left = ask_end(leaves);
	assert_int_equal(left->error_code, KAFKA_NONE);
	const struct kafka_heartbeat_response *beaten = ask_end(beats);
	assert_int_equal(beaten->error_code, KAFKA_UNKNOWN_MEMBER_ID);
	town_close(&town);
}

/* C5 */
static void test_what_was_not_durable_was_not_answered(void **state)
{
	struct kafka_offset_commit_request_partition partition = { .committed_offset = 5 };
	struct kafka_offset_commit_request_topic topic = { .name = SLICE("t"),
							   .partitions = &partition,
							   .partitions_count = 1 };
	struct town town, other;
	struct pair pair;

	(void)state;
	town_open(&town, 18);
	town_topic(&town, "t", 1);
	begin_pair(&town, &pair);
	hold_writes(&town);
	struct ask *leaves = ask_begin(&town, KAFKA_API_LEAVE_GROUP, 2,
				       &(struct kafka_leave_group_request) { .group_id = SLICE("g"),
									     .member_id = pair.b });
	struct ask *commits = ask_begin(&town, KAFKA_API_OFFSET_COMMIT, 9,
					&(struct kafka_offset_commit_request) {
						.group_id = SLICE("simple"),
						.generation_id_or_member_epoch = -1,
						.member_id = SLICE(""),
						.topics = &topic,
						.topics_count = 1 });
	assert_true(ask_waits(leaves));
	assert_true(ask_waits(commits));
	/* another node takes over while these writes are under way */
	town_open_beside(&other, &town);
	assert_int_equal(beat(&other, pair.a, pair.generation), KAFKA_NONE);
	let_writes_go(&town);
	town_wait(&town, &leaves->is_done, "leaving");
	assert_int_equal(leaves->err, ERR_UNAVAILABLE);
	const struct kafka_offset_commit_response *response = ask_end(commits);
	assert_int_equal(response->topics[0].partitions[0].error_code,
			 KAFKA_COORDINATOR_NOT_AVAILABLE);
	assert_false(town.is_leading);
	town_close_beside(&other);
	town_close(&town);
}

/* A node that was stopped does not blame its members. */
static void test_time_this_process_lost_is_given_back(void **state)
{
	struct town town;
	struct pair pair;
	bool never = false;

	(void)state;
	town_open(&town, 19);
	begin_pair(&town, &pair);
	const struct group *g = &groups_find(town.coordinator->groups, SLICE("g"))->group;
	uint64_t before_ms = group_deadline_ms(g);
	usleep((GROUPS_TICK_MS + GROUPS_LATE_MS + 200) * 1000);
	town_wait_ms(&town, &never, 20);
	assert_in_range(group_deadline_ms(g) - before_ms, GROUPS_LATE_MS, 10000);
	town_close(&town);
}

/* --- administration ----------------------------------------------------------------------------
 */

static size_t list(struct town *town, const char *state, const char *type)
{
	struct slice states = slice_from(state ? state : "");
	struct slice types = slice_from(type ? type : "");
	const struct kafka_list_groups_response *response =
		ask(town, KAFKA_API_LIST_GROUPS, 5,
		    &(struct kafka_list_groups_request) {
			    .states_filter = &states,
			    .states_filter_count = state != NULL,
			    .types_filter = &types,
			    .types_filter_count = type != NULL,
		    });

	assert_int_equal(response->error_code, KAFKA_NONE);
	for (size_t i = 0; i < response->groups_count; i++)
		assert_true(slice_equal(response->groups[i].group_type, SLICE("classic")));
	return response->groups_count;
}

static void test_groups_are_listed_by_state_and_type(void **state)
{
	struct town town;
	struct pair pair;

	(void)state;
	town_open(&town, 14);
	town_topic(&town, "t", 1);
	begin_pair(&town, &pair);
	commit(&town, (struct commit) { .group = "simple", .topic = "t" });
	assert_int_equal(list(&town, NULL, NULL), 2);
	assert_int_equal(list(&town, "stable", NULL), 1);
	assert_int_equal(list(&town, "Empty", "Classic"), 1);
	assert_int_equal(list(&town, "Dead", NULL), 0);
	assert_int_equal(list(&town, NULL, "consumer"), 0);
	town_restart(&town);
	assert_int_equal(list(&town, "Stable", NULL), 1);
	assert_int_equal(list(&town, "Empty", NULL), 1);
	town_close(&town);
}

static const struct kafka_describe_groups_response_group *describe(struct town *town,
								   const char *name,
								   int16_t version)
{
	struct slice group = slice_from(name);
	const struct kafka_describe_groups_response *response =
		ask(town, KAFKA_API_DESCRIBE_GROUPS, version,
		    &(struct kafka_describe_groups_request) { .groups = &group,
							      .groups_count = 1 });

	assert_int_equal(response->groups_count, 1);
	assert_true(slice_equal(response->groups[0].group_id, group));
	return &response->groups[0];
}

static void test_a_group_is_described(void **state)
{
	const struct kafka_describe_groups_response_group *g;
	struct town town;
	struct pair pair;

	(void)state;
	town_open(&town, 15);
	g = describe(&town, "g", 5);
	assert_int_equal(g->error_code, KAFKA_NONE);
	assert_true(slice_equal(g->group_state, SLICE("Dead")));
	g = describe(&town, "g", 6);
	assert_int_equal(g->error_code, KAFKA_GROUP_ID_NOT_FOUND);
	assert_true(slice_equal(g->group_state, SLICE("Dead")));

	begin_pair(&town, &pair);
	g = describe(&town, "g", 6);
	assert_int_equal(g->error_code, KAFKA_NONE);
	assert_true(slice_equal(g->group_state, SLICE("Stable")));
	assert_true(slice_equal(g->protocol_type, SLICE("consumer")));
	assert_true(slice_equal(g->protocol_data, SLICE("range")));
	assert_int_equal(g->authorized_operations, INT32_MIN);
	assert_int_equal(g->members_count, 2);
	assert_true(slice_equal(g->members[0].member_id, pair.a));
	assert_true(slice_equal(g->members[0].client_id, SLICE("client")));
	assert_true(slice_equal(g->members[0].client_host, SLICE("/127.0.0.1")));
	assert_true(slice_equal(g->members[1].member_metadata, SLICE("topics")));
	assert_true(slice_equal(g->members[1].member_assignment, SLICE("B")));

	assert_int_equal(leave(&town, pair.a), KAFKA_NONE);
	g = describe(&town, "g", 6);
	assert_true(slice_equal(g->group_state, SLICE("PreparingRebalance")));
	assert_int_equal(g->members_count, 1);
	assert_int_equal(g->members[0].member_assignment.size, 0);
	assert_int_equal(leave(&town, pair.b), KAFKA_NONE);
	g = describe(&town, "g", 6);
	assert_true(slice_equal(g->group_state, SLICE("Empty")));
	assert_true(slice_equal(g->protocol_type, SLICE("consumer")));
	town_close(&town);
}

/* What Java's tools do with --all-groups. */
static void expect_of_many(struct town *town, size_t count, int16_t of_group, int16_t of_offsets)
{
	struct arena a;

	arena_init(&a);
	struct slice *names = arena_take_array(&a, count, sizeof(*names));
	struct kafka_offset_fetch_request_group *groups =
		arena_take_array(&a, count, sizeof(*groups));
	for (size_t i = 0; i < count; i++) {
		names[i] = slice_from(arena_format(&a, "many-%zu", i));
		groups[i].group_id = names[i];
	}
	const struct kafka_describe_groups_response *described =
		ask(town, KAFKA_API_DESCRIBE_GROUPS, 6,
		    &(struct kafka_describe_groups_request) { .groups = names,
							      .groups_count = count });
	assert_int_equal(described->groups_count, count);
	assert_int_equal(described->groups[0].error_code, of_group);
	assert_int_equal(described->groups[count - 1].error_code, of_group);
	const struct kafka_consumer_group_describe_response *consumers =
		ask(town, KAFKA_API_CONSUMER_GROUP_DESCRIBE, 1,
		    &(struct kafka_consumer_group_describe_request) { .group_ids = names,
								      .group_ids_count = count });
	assert_int_equal(consumers->groups_count, count);
	assert_int_equal(consumers->groups[count - 1].error_code, of_group);
	const struct kafka_offset_fetch_response *offsets =
		ask(town, KAFKA_API_OFFSET_FETCH, 8,
		    &(struct kafka_offset_fetch_request) { .groups = groups,
							   .groups_count = count });
	assert_int_equal(offsets->groups_count, count);
	assert_int_equal(offsets->groups[count - 1].error_code, of_offsets);
	arena_done(&a);
}

static void test_ten_thousand_groups_are_asked_about_at_once(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 29);
	expect_of_many(&town, 10000, KAFKA_GROUP_ID_NOT_FOUND, KAFKA_NONE);
	expect_of_many(&town, 10001, KAFKA_INVALID_REQUEST, KAFKA_INVALID_REQUEST);
	town_close(&town);
}

static int16_t delete_group(struct town *town, const char *name)
{
	struct slice group = slice_from(name);
	const struct kafka_delete_groups_response *response =
		ask(town, KAFKA_API_DELETE_GROUPS, 2,
		    &(struct kafka_delete_groups_request) { .groups_names = &group,
							    .groups_names_count = 1 });

	assert_int_equal(response->results_count, 1);
	return response->results[0].error_code;
}

static void test_an_empty_group_can_be_deleted_with_its_offsets(void **state)
{
	struct town town;
	struct pair pair;

	(void)state;
	town_open(&town, 16);
	town_topic(&town, "t", 1);
	assert_int_equal(delete_group(&town, "g"), KAFKA_GROUP_ID_NOT_FOUND);
	begin_pair(&town, &pair);
	commit(&town, (struct commit) { .topic = "t",
					.offset = 7,
					.member_id = pair.a,
					.generation = pair.generation });
	assert_int_equal(fetch(&town, "g", "t", 0).committed_offset, 7);
	assert_int_equal(delete_group(&town, "g"), KAFKA_NON_EMPTY_GROUP);
	leave(&town, pair.a);
	leave(&town, pair.b);
	assert_int_equal(delete_group(&town, "g"), KAFKA_NONE);
	assert_int_equal(delete_group(&town, "g"), KAFKA_GROUP_ID_NOT_FOUND);
	assert_int_equal(fetch(&town, "g", "t", 0).committed_offset, -1);
	assert_int_equal(list(&town, NULL, NULL), 0);
	commit(&town, (struct commit) { .topic = "t", .offset = 1 }); /* the name is free */
	assert_int_equal(fetch(&town, "g", "t", 0).committed_offset, 1);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_members_share_a_group),
		cmocka_unit_test(test_members_go_on_after_a_restart),
		cmocka_unit_test(test_who_waits_when_leading_ends_hears_that_it_is_unavailable),
		cmocka_unit_test(test_a_canceled_call_leaves_its_member),
		cmocka_unit_test(test_a_new_client_joins_in_two_steps),
		cmocka_unit_test(test_without_a_rebalance_timeout_the_session_timeout_is_taken),
		cmocka_unit_test(test_joins_that_are_refused),
		cmocka_unit_test(test_requests_to_a_group_that_is_not_there),
		cmocka_unit_test(test_a_static_member_keeps_its_place_over_a_restart),
		cmocka_unit_test(test_an_answer_waits_for_its_group_to_be_durable),
		cmocka_unit_test(test_what_was_not_durable_was_not_answered),
		cmocka_unit_test(test_time_this_process_lost_is_given_back),
		cmocka_unit_test(test_groups_are_listed_by_state_and_type),
		cmocka_unit_test(test_a_group_is_described),
		cmocka_unit_test(test_ten_thousand_groups_are_asked_about_at_once),
		cmocka_unit_test(test_an_empty_group_can_be_deleted_with_its_offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
