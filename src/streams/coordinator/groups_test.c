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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_members_share_a_group),
		cmocka_unit_test(test_members_go_on_after_a_restart),
		cmocka_unit_test(test_who_waits_when_leading_ends_hears_that_it_is_unavailable),
		cmocka_unit_test(test_a_canceled_call_leaves_its_member),
		cmocka_unit_test(test_offsets_come_back_as_they_were_committed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
