/* Committed offsets: OffsetCommit and OffsetFetch. */
#include "streams/coordinator/groups_testing.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets_come_back_as_they_were_committed),
		cmocka_unit_test(test_offsets_that_cannot_be_committed),
		cmocka_unit_test(test_only_members_commit_to_a_group_that_has_some),
		cmocka_unit_test(test_old_clients_fetch_the_offsets_of_one_group),
		cmocka_unit_test(test_all_offsets_of_a_group_are_those_of_topics_that_exist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
