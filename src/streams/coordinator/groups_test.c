/* Consumer groups through their Kafka requests: durable answers, offsets, administration, and a
 * coordinator that stops and starts again. */
#include "streams/coordinator/coordinator_testing.h"

/* --- requests ----------------------------------------------------------------------------------
 */

struct join {
	const char *group; /* NULL: "g" */
	struct slice member_id;
	const char *instance_id;
	int16_t version; /* 0: 3, which joins in one step */
	int32_t session_ms;
};

static struct ask *join_begin(struct town *town, struct join j)
{
	struct kafka_join_group_request_protocol protocol = { SLICE("range"), SLICE("topics") };
	struct kafka_join_group_request request = {
		.group_id = slice_from(j.group ? j.group : "g"),
		.session_timeout_ms = j.session_ms ? j.session_ms : 10000,
		.rebalance_timeout_ms = 60000,
		.member_id = j.member_id.data ? j.member_id : SLICE(""),
		.protocol_type = SLICE("consumer"),
		.protocols = &protocol,
		.protocols_count = 1,
	};

	if (j.instance_id)
		request.group_instance_id = slice_from(j.instance_id);
	return ask_begin(town, KAFKA_API_JOIN_GROUP, j.version ? j.version : 3, &request);
}

static const struct kafka_join_group_response *join_end(struct ask *ask)
{
	return ask_end(ask);
}

static struct ask *sync_begin(struct town *town, struct slice member_id, int32_t generation,
			      struct kafka_sync_group_request_assignment *assignments, size_t count)
{
	return ask_begin(town, KAFKA_API_SYNC_GROUP, 2,
			 &(struct kafka_sync_group_request) {
				 .group_id = SLICE("g"),
				 .generation_id = generation,
				 .member_id = member_id,
				 .assignments = assignments,
				 .assignments_count = count,
			 });
}

static void expect_assignment(struct ask *ask, const char *assignment)
{
	const struct kafka_sync_group_response *response = ask_end(ask);

	assert_int_equal(response->error_code, KAFKA_NONE);
	assert_true(slice_equal(response->assignment, slice_from(assignment)));
}

static int16_t beat(struct town *town, struct slice member_id, int32_t generation)
{
	const struct kafka_heartbeat_response *response = ask(town, KAFKA_API_HEARTBEAT, 3,
							      &(struct kafka_heartbeat_request) {
								      .group_id = SLICE("g"),
								      .generation_id = generation,
								      .member_id = member_id,
							      });

	return response->error_code;
}

static int16_t leave(struct town *town, struct slice member_id)
{
	const struct kafka_leave_group_response *response =
		ask(town, KAFKA_API_LEAVE_GROUP, 2,
		    &(struct kafka_leave_group_request) {
			    .group_id = SLICE("g"),
			    .member_id = member_id,
		    });

	return response->error_code;
}

struct commit {
	const char *group; /* NULL: "g" */
	const char *topic; /* NULL: by id */
	struct uuid topic_id;
	int32_t partition;
	int64_t offset;
	int32_t epoch;
	const char *metadata;
	struct slice member_id;
	int32_t generation; /* 0: -1 */
	int16_t version;    /* 0: 9 */
};

static int16_t commit(struct town *town, struct commit m)
{
	struct kafka_offset_commit_request_partition partition = {
		.partition_index = m.partition,
		.committed_offset = m.offset,
		.committed_leader_epoch = m.epoch,
	};
	struct kafka_offset_commit_request_topic topic = {
		.name = slice_from(m.topic ? m.topic : ""),
		.topic_id = m.topic_id,
		.partitions = &partition,
		.partitions_count = 1,
	};

	if (m.metadata)
		partition.committed_metadata = slice_from(m.metadata);
	const struct kafka_offset_commit_response *response =
		ask(town, KAFKA_API_OFFSET_COMMIT, m.version ? m.version : 9,
		    &(struct kafka_offset_commit_request) {
			    .group_id = slice_from(m.group ? m.group : "g"),
			    .generation_id_or_member_epoch = m.generation ? m.generation : -1,
			    .member_id = m.member_id.data ? m.member_id : SLICE(""),
			    .topics = &topic,
			    .topics_count = 1,
		    });
	assert_int_equal(response->topics_count, 1);
	assert_int_equal(response->topics[0].partitions_count, 1);
	assert_int_equal(response->topics[0].partitions[0].partition_index, m.partition);
	return response->topics[0].partitions[0].error_code;
}

static struct kafka_offset_fetch_response_group_partition fetch(struct town *town,
								const char *group,
								const char *topic_name,
								int32_t partition)
{
	struct kafka_offset_fetch_request_group_topic topic = {
		.name = slice_from(topic_name),
		.partition_indexes = &partition,
		.partition_indexes_count = 1,
	};
	struct kafka_offset_fetch_request_group one = {
		.group_id = slice_from(group),
		.member_epoch = -1,
		.topics = &topic,
		.topics_count = 1,
	};
	const struct kafka_offset_fetch_response *response =
		ask(town, KAFKA_API_OFFSET_FETCH, 9,
		    &(struct kafka_offset_fetch_request) { .groups = &one, .groups_count = 1 });

	assert_int_equal(response->groups_count, 1);
	assert_int_equal(response->groups[0].error_code, KAFKA_NONE);
	assert_int_equal(response->groups[0].topics_count, 1);
	assert_int_equal(response->groups[0].topics[0].partitions_count, 1);
	return response->groups[0].topics[0].partitions[0];
}

/* --- a group to begin with ---------------------------------------------------------------------
 */

struct pair {
	struct slice a, b; /* member ids; a leads */
	int32_t generation;
	uint8_t bytes[2][64];
};

static struct slice keep(uint8_t bytes[64], struct slice s)
{
	assert_in_range(s.size, 1, 64);
	memcpy(bytes, s.data, s.size);
	return (struct slice) { bytes, s.size };
}

/* Two members, stable, with the assignments "A" and "B". */
static void begin_pair(struct town *town, struct pair *pair)
{
	const struct kafka_join_group_response *a = join_end(join_begin(town, (struct join) { 0 }));

	assert_int_equal(a->error_code, KAFKA_NONE);
	pair->a = keep(pair->bytes[0], a->member_id);
	struct ask *b_joins = join_begin(town, (struct join) { 0 });
	assert_true(ask_waits(b_joins));
	a = join_end(join_begin(town, (struct join) { .member_id = pair->a }));
	const struct kafka_join_group_response *b = join_end(b_joins);
	pair->b = keep(pair->bytes[1], b->member_id);
	pair->generation = a->generation_id;
	assert_int_equal(b->generation_id, a->generation_id);
	assert_int_equal(a->members_count, 2);
	assert_int_equal(b->members_count, 0);
	assert_true(slice_equal(b->leader, pair->a));

	struct kafka_sync_group_request_assignment assignments[] = {
		{ pair->a, SLICE("A") },
		{ pair->b, SLICE("B") },
	};
	struct ask *b_syncs = sync_begin(town, pair->b, pair->generation, NULL, 0);
	assert_true(ask_waits(b_syncs));
	expect_assignment(sync_begin(town, pair->a, pair->generation, assignments, 2), "A");
	expect_assignment(b_syncs, "B");
}

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

/* --- offsets -----------------------------------------------------------------------------------
 */

static void test_offsets_come_back_as_they_were_committed(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 5);
	struct uuid id = town_topic(&town, "t", 2);
	assert_int_equal(commit(&town, (struct commit) { .topic = "t",
							 .partition = 1,
							 .offset = 42,
							 .epoch = 7,
							 .metadata = "note" }),
			 KAFKA_NONE);
	struct kafka_offset_fetch_response_group_partition p = fetch(&town, "g", "t", 1);
	assert_int_equal(p.committed_offset, 42);
	assert_int_equal(p.committed_leader_epoch, 7);
	assert_true(slice_equal(p.metadata, SLICE("note")));
	p = fetch(&town, "g", "t", 0);
	assert_int_equal(p.committed_offset, -1);
	assert_int_equal(p.error_code, KAFKA_NONE);
	assert_int_equal(fetch(&town, "other", "t", 1).committed_offset, -1);
	assert_int_equal(fetch(&town, "g", "nothing", 1).committed_offset, -1);

	assert_int_equal(commit(&town,
				(struct commit) { .topic_id = id, .offset = 3, .version = 10 }),
			 KAFKA_NONE);
	assert_int_equal(fetch(&town, "g", "t", 0).committed_offset, 3);
	town_restart(&town);
	assert_int_equal(fetch(&town, "g", "t", 1).committed_offset, 42);
	town_close(&town);
}

static void test_offsets_that_cannot_be_committed(void **state)
{
	static char long_note[4098], long_name[257];
	struct town town;

	(void)state;
	memset(long_note, 'n', sizeof(long_note) - 1);
	memset(long_name, 'g', sizeof(long_name) - 1);
	town_open(&town, 6);
	town_topic(&town, "t", 2);
	assert_int_equal(commit(&town, (struct commit) { .topic = "no", .offset = 1 }),
			 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(commit(&town, (struct commit) { .topic = "t", .partition = 2 }),
			 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(commit(&town, (struct commit) { .topic_id = { { 1 } }, .version = 10 }),
			 KAFKA_UNKNOWN_TOPIC_ID);
	assert_int_equal(commit(&town, (struct commit) { .topic = "t", .metadata = long_note }),
			 KAFKA_OFFSET_METADATA_TOO_LARGE);
	long_note[4096] = 0;
	assert_int_equal(commit(&town, (struct commit) { .topic = "t", .metadata = long_note }),
			 KAFKA_NONE);
	assert_int_equal(commit(&town, (struct commit) { .topic = "t", .group = long_name }),
			 KAFKA_INVALID_GROUP_ID);
	assert_int_equal(commit(&town, (struct commit) { .topic = "t", .group = "" }), KAFKA_NONE);
	assert_int_equal(commit(&town, (struct commit) { .topic = "t",
							 .group = "new",
							 .member_id = SLICE("m"),
							 .generation = 1,
							 .version = 8 }),
			 KAFKA_ILLEGAL_GENERATION);
	assert_int_equal(commit(&town, (struct commit) { .topic = "t",
							 .group = "new",
							 .member_id = SLICE("m"),
							 .generation = 1 }),
			 KAFKA_GROUP_ID_NOT_FOUND);
	assert_int_equal(commit(&town, (struct commit) { .topic = "t",
							 .member_id = SLICE("m"),
							 .generation = 1 }),
			 KAFKA_UNKNOWN_MEMBER_ID); /* the group is there by now */
	town_close(&town);
}

static void test_only_members_commit_to_a_group_that_has_some(void **state)
{
	struct town town;
	struct pair pair;

	(void)state;
	town_open(&town, 7);
	town_topic(&town, "t", 1);
	begin_pair(&town, &pair);
	struct commit m = { .topic = "t", .offset = 1 };
	assert_int_equal(commit(&town, m), KAFKA_UNKNOWN_MEMBER_ID);
	m.member_id = pair.b;
	m.generation = pair.generation;
	assert_int_equal(commit(&town, m), KAFKA_NONE);
	m.generation = pair.generation - 1;
	assert_int_equal(commit(&town, m), KAFKA_ILLEGAL_GENERATION);
	struct ask *joins = join_begin(&town, (struct join) { .member_id = pair.a });
	assert_true(ask_waits(joins));
	(void)join_end(join_begin(&town, (struct join) { .member_id = pair.b }));
	(void)join_end(joins);
	m.generation = pair.generation + 1;
	assert_int_equal(commit(&town, m), KAFKA_REBALANCE_IN_PROGRESS);
	town_close(&town);
}

static void test_old_clients_fetch_the_offsets_of_one_group(void **state)
{
	int32_t partitions[] = { 0, 1 };
	struct kafka_offset_fetch_request_topic topic = { .name = SLICE("t"),
							  .partition_indexes = partitions,
							  .partition_indexes_count = 2 };
	struct town town;

	(void)state;
	town_open(&town, 8);
	town_topic(&town, "t", 2);
	commit(&town, (struct commit) { .topic = "t", .offset = 9, .epoch = 4, .version = 6 });
	for (int16_t version = 1; version <= 7; version++) {
		const struct kafka_offset_fetch_response *response =
			ask(&town, KAFKA_API_OFFSET_FETCH, version,
			    &(struct kafka_offset_fetch_request) {
				    .group_id = SLICE("g"), .topics = &topic, .topics_count = 1 });
		assert_int_equal(response->error_code, KAFKA_NONE);
		assert_int_equal(response->topics_count, 1);
		assert_int_equal(response->topics[0].partitions_count, 2);
		assert_int_equal(response->topics[0].partitions[0].committed_offset, 9);
		assert_int_equal(response->topics[0].partitions[0].committed_leader_epoch,
				 version >= 5 ? 4 : -1);
		assert_int_equal(response->topics[0].partitions[1].committed_offset, -1);
	}
	town_close(&town);
}

static void test_all_offsets_of_a_group_are_those_of_topics_that_exist(void **state)
{
	struct kafka_offset_fetch_request_group group = { .group_id = SLICE("g"),
							  .member_epoch = -1 };
	struct kafka_delete_topics_request_topic gone = { .name = SLICE("gone") };
	struct town town;

	(void)state;
	town_open(&town, 9);
	town_topic(&town, "t", 2);
	town_topic(&town, "gone", 1);
	commit(&town, (struct commit) { .topic = "t", .offset = 1 });
	commit(&town, (struct commit) { .topic = "t", .partition = 1, .offset = 2 });
	commit(&town, (struct commit) { .topic = "gone", .offset = 3 });
	(void)ask(&town, KAFKA_API_DELETE_TOPICS, 6,
		  &(struct kafka_delete_topics_request) { .topics = &gone, .topics_count = 1 });
	const struct kafka_offset_fetch_response *response =
		ask(&town, KAFKA_API_OFFSET_FETCH, 10,
		    &(struct kafka_offset_fetch_request) { .groups = &group, .groups_count = 1 });
	assert_int_equal(response->groups[0].topics_count, 1);
	assert_int_equal(response->groups[0].topics[0].partitions_count, 2);
	assert_int_equal(response->groups[0].topics[0].partitions[1].committed_offset, 2);
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
		cmocka_unit_test(test_offsets_come_back_as_they_were_committed),
		cmocka_unit_test(test_offsets_that_cannot_be_committed),
		cmocka_unit_test(test_only_members_commit_to_a_group_that_has_some),
		cmocka_unit_test(test_old_clients_fetch_the_offsets_of_one_group),
		cmocka_unit_test(test_all_offsets_of_a_group_are_those_of_topics_that_exist),
		cmocka_unit_test(test_a_new_client_joins_in_two_steps),
		cmocka_unit_test(test_joins_that_are_refused),
		cmocka_unit_test(test_requests_to_a_group_that_is_not_there),
		cmocka_unit_test(test_a_static_member_keeps_its_place_over_a_restart),
		cmocka_unit_test(test_groups_are_listed_by_state_and_type),
		cmocka_unit_test(test_a_group_is_described),
		cmocka_unit_test(test_an_empty_group_can_be_deleted_with_its_offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
