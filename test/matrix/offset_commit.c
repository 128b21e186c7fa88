/* OffsetCommit. */
#include <string.h>

#include "fault.h"
#include "fixture.h"
#include "matrix.h"

enum {
	IDS_FIRST = 10,
	EPOCH_FIRST = 6,
	MISSING_GROUP_FIRST = 9,
	FETCH_VERSION = 9,
	METADATA_BYTES_MAX = 4096,
	GROUP_NAME_BYTES_MAX = 255,
};

/* Somebody who commits without being a member. */
static struct member outsider(struct slice group)
{
	return (struct member) { .group = group, .member_id = SLICE(""), .generation = -1 };
}

static const struct kafka_offset_commit_response *commit(
	struct test *t, const struct member *m, struct kafka_offset_commit_request_topic *topics,
	size_t count)
{
	const struct kafka_offset_commit_request request = {
		.group_id = m->group,
		.generation_id_or_member_epoch = m->generation,
		.member_id = m->member_id,
		.group_instance_id = m->instance_id,
		.retention_time_ms = -1,
		.topics = topics,
		.topics_count = count,
	};
	const struct kafka_offset_commit_response *response =
		test_call(t, KAFKA_API_OFFSET_COMMIT, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->topics_count, (int64_t)count);
	return response;
}

static void check_topic(struct test *t, const struct kafka_offset_commit_response_topic *answer,
			const struct topic *topic)
{
	if (t->version >= IDS_FIRST)
		CHECK_UUID(t, answer->topic_id, topic->id);
	else
		CHECK_SLICE(t, answer->name, topic->name);
}

static void commit_one(struct test *t, const struct member *m, const struct topic *topic,
		       struct kafka_offset_commit_request_partition partition, int16_t error)
{
	struct kafka_offset_commit_request_topic asked = { topic->name, topic->id, &partition, 1 };
	const struct kafka_offset_commit_response *response = commit(t, m, &asked, 1);

	check_topic(t, &response->topics[0], topic);
	CHECK_INT(t, response->topics[0].partitions_count, 1);
	CHECK_INT(t, response->topics[0].partitions[0].partition_index, partition.partition_index);
	CHECK_ERROR(t, response->topics[0].partitions[0].error_code, error);
}

/* What OffsetFetch says of one partition. */
static void check_committed(struct test *t, struct slice group, const struct topic *topic,
			    int32_t partition, int64_t offset, int32_t epoch, struct slice metadata)
{
	struct kafka_offset_fetch_request_group_topic asked = { topic->name, topic->id, &partition,
								1 };
	struct kafka_offset_fetch_request_group one = {
		.group_id = group, .member_epoch = -1, .topics = &asked, .topics_count = 1
	};
	const struct kafka_offset_fetch_request request = { .groups = &one, .groups_count = 1 };
	const struct kafka_offset_fetch_response *response =
		test_call(t, KAFKA_API_OFFSET_FETCH, FETCH_VERSION, &request);

	CHECK_INT(t, response->groups_count, 1);
	CHECK_ERROR(t, response->groups[0].error_code, KAFKA_NONE);
	const struct kafka_offset_fetch_response_group_partition *found =
		&response->groups[0].topics[0].partitions[0];
	CHECK_ERROR(t, found->error_code, KAFKA_NONE);
	CHECK_INT(t, found->committed_offset, offset);
	CHECK_INT(t, found->committed_leader_epoch, epoch);
	CHECK_SLICE(t, found->metadata, metadata);
}

/* --- success -----------------------------------------------------------------------------------
 */

static void outsider_commits(struct test *t)
{
	struct topic topic = topic_make(t, 2);
	struct member m = outsider(test_name(t, "group"));
	int32_t epoch = t->version >= EPOCH_FIRST ? 5 : -1;

	commit_one(t, &m, &topic,
		   (struct kafka_offset_commit_request_partition) { 1, 7, 5, SLICE("note") },
		   KAFKA_NONE);
	check_committed(t, m.group, &topic, 1, 7, epoch, SLICE("note"));
	check_committed(t, m.group, &topic, 0, -1, -1, SLICE(""));
	commit_one(t, &m, &topic,
		   (struct kafka_offset_commit_request_partition) { 1, 3, -1, { 0 } }, KAFKA_NONE);
	check_committed(t, m.group, &topic, 1, 3, -1, SLICE(""));
}

static void member_commits(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });

	commit_one(t, &m, &topic,
		   (struct kafka_offset_commit_request_partition) { 0, 1, -1, SLICE("") },
		   KAFKA_NONE);
	check_committed(t, m.group, &topic, 0, 1, -1, SLICE(""));
}

static void instance_commits(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct member m = member_stable(t, test_name(t, "group"), SLICE("desk 7"));

	commit_one(t, &m, &topic,
		   (struct kafka_offset_commit_request_partition) { 0, 1, -1, SLICE("") },
		   KAFKA_NONE);
	check_committed(t, m.group, &topic, 0, 1, -1, SLICE(""));
}

static void commits_many(struct test *t)
{
	struct topic topics[] = { topic_make(t, 2), topic_make(t, 1) };
	struct member m = outsider(test_name(t, "group"));
	struct kafka_offset_commit_request_partition first[] = { { 1, 11, -1, SLICE("") },
								 { 5, 12, -1, SLICE("") },
								 { 0, 13, -1, SLICE("") } };
	struct kafka_offset_commit_request_partition second[] = { { 0, 14, -1, SLICE("") } };
	struct kafka_offset_commit_request_topic asked[] = {
		{ topics[1].name, topics[1].id, second, 1 },
		{ topics[0].name, topics[0].id, first, 3 },
	};
	const struct kafka_offset_commit_response *response = commit(t, &m, asked, 2);

	check_topic(t, &response->topics[0], &topics[1]);
	check_topic(t, &response->topics[1], &topics[0]);
	CHECK_INT(t, response->topics[1].partitions_count, 3);
	for (size_t i = 0; i < 3; i++) {
		CHECK_INT(t, response->topics[1].partitions[i].partition_index,
			  first[i].partition_index);
		CHECK_ERROR(t, response->topics[1].partitions[i].error_code,
			    i == 1 ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_NONE);
	}
	check_committed(t, m.group, &topics[0], 0, 13, -1, SLICE(""));
	check_committed(t, m.group, &topics[0], 1, 11, -1, SLICE(""));
	check_committed(t, m.group, &topics[1], 0, 14, -1, SLICE(""));
}

/* --- errors ------------------------------------------------------------------------------------
 */

static const struct kafka_offset_commit_request_partition any = { 0, 1, -1, SLICE("") };

static void refuse(struct test *t, const struct member *m, int16_t error)
{
	struct topic topic = topic_make(t, 1);

	commit_one(t, m, &topic, any, error);
	if (error != KAFKA_INVALID_GROUP_ID)
		check_committed(t, m->group, &topic, 0, -1, -1, SLICE(""));
}

static void unknown_topic(struct test *t)
{
	struct topic missing = topic_missing(t), deleted = topic_make(t, 1);
	struct member m = outsider(test_name(t, "group"));

	commit_one(t, &m, &missing, any, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	topic_delete(t, &deleted);
	commit_one(t, &m, &deleted, any, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void unknown_partition(struct test *t)
{
	struct kafka_offset_commit_request_partition partition = any;
	struct topic topic = topic_make(t, 1);
	struct member m = outsider(test_name(t, "group"));

	partition.partition_index = 1;
	commit_one(t, &m, &topic, partition, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	partition.partition_index = -1;
	commit_one(t, &m, &topic, partition, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void unknown_id(struct test *t)
{
	struct topic missing = topic_missing(t), deleted = topic_make(t, 1);
	struct member m = outsider(test_name(t, "group"));

	commit_one(t, &m, &missing, any, KAFKA_UNKNOWN_TOPIC_ID);
	topic_delete(t, &deleted);
	commit_one(t, &m, &deleted, any, KAFKA_UNKNOWN_TOPIC_ID);
}

static void long_metadata(struct test *t)
{
	struct kafka_offset_commit_request_partition partition = any;
	uint8_t *text = arena_take(&t->arena, METADATA_BYTES_MAX + 1);
	struct topic topic = topic_make(t, 1);
	struct member m = outsider(test_name(t, "group"));

	memset(text, 'x', METADATA_BYTES_MAX + 1);
	partition.committed_metadata = (struct slice) { text, METADATA_BYTES_MAX + 1 };
	commit_one(t, &m, &topic, partition, KAFKA_OFFSET_METADATA_TOO_LARGE);
	check_committed(t, m.group, &topic, 0, -1, -1, SLICE(""));
	partition.committed_metadata.size--;
	commit_one(t, &m, &topic, partition, KAFKA_NONE);
	check_committed(t, m.group, &topic, 0, 1, -1, partition.committed_metadata);
}

static void other_generation(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });

	m.generation++;
	refuse(t, &m, KAFKA_ILLEGAL_GENERATION);
	m.generation -= 2;
	refuse(t, &m, KAFKA_ILLEGAL_GENERATION);
}

static void member_of_no_group(struct test *t)
{
	struct member m = { .group = test_name(t, "empty"), .member_id = SLICE("somebody") };

	m.generation = 1;
	refuse(t, &m,
	       t->version >= MISSING_GROUP_FIRST ? KAFKA_GROUP_ID_NOT_FOUND
						 : KAFKA_ILLEGAL_GENERATION);
}

static void unknown_member(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });
	struct member nobody = outsider(m.group);

	m.member_id = SLICE("nobody");
	refuse(t, &m, KAFKA_UNKNOWN_MEMBER_ID);
	refuse(t, &nobody, KAFKA_UNKNOWN_MEMBER_ID);
}

static void rebalance_in_progress(struct test *t)
{
	struct member m = member_join(t, test_name(t, "group"), (struct slice) { 0 });

	refuse(t, &m, KAFKA_REBALANCE_IN_PROGRESS);
}

static void fenced_instance(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), SLICE("desk 7"));

	m.member_id = SLICE("an older id");
	refuse(t, &m, KAFKA_FENCED_INSTANCE_ID);
}

static void invalid_group(struct test *t)
{
	uint8_t *name = arena_take(&t->arena, GROUP_NAME_BYTES_MAX + 1);

	memset(name, 'x', GROUP_NAME_BYTES_MAX + 1);
	struct member m = outsider((struct slice) { name, GROUP_NAME_BYTES_MAX + 1 });
	refuse(t, &m, KAFKA_INVALID_GROUP_ID);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 2, 10, "offset, epoch and note are kept, also of who is no member",
	  outsider_commits },
	{ OUTCOME_SUCCESS, 2, 10, "a member of a stable group commits", member_commits },
	{ OUTCOME_SUCCESS, 7, 10, "a static member commits", instance_commits },
	{ OUTCOME_SUCCESS, 2, 10, "topics and partitions are answered in the order of the request",
	  commits_many },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 2, 9,
	  "an unknown or deleted topic gives UNKNOWN_TOPIC_OR_PARTITION", unknown_topic },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 2, 10,
	  "an unknown partition gives UNKNOWN_TOPIC_OR_PARTITION", unknown_partition },
	{ KAFKA_UNKNOWN_TOPIC_ID, 10, 10, "an unknown or deleted id gives UNKNOWN_TOPIC_ID",
	  unknown_id },
	{ KAFKA_OFFSET_METADATA_TOO_LARGE, 2, 10,
	  "a note over 4096 bytes gives OFFSET_METADATA_TOO_LARGE", long_metadata },
	{ KAFKA_ILLEGAL_GENERATION, 2, 10, "another generation gives ILLEGAL_GENERATION",
	  other_generation },
	{ KAFKA_ILLEGAL_GENERATION, 2, 8,
	  "a member of a group that does not exist gets ILLEGAL_GENERATION", member_of_no_group },
	{ KAFKA_GROUP_ID_NOT_FOUND, 9, 10,
	  "a member of a group that does not exist gets GROUP_ID_NOT_FOUND", member_of_no_group },
	{ KAFKA_UNKNOWN_MEMBER_ID, 2, 10,
	  "who is no member of a group that has some gets UNKNOWN_MEMBER_ID", unknown_member },
	{ KAFKA_REBALANCE_IN_PROGRESS, 2, 10,
	  "a member without an assignment gets REBALANCE_IN_PROGRESS", rebalance_in_progress },
	{ KAFKA_FENCED_INSTANCE_ID, 7, 10,
	  "another id of the same instance gives FENCED_INSTANCE_ID", fenced_instance },
	{ KAFKA_INVALID_GROUP_ID, 2, 10, "a name over 255 bytes gives INVALID_GROUP_ID",
	  invalid_group },
	{ OUTCOME_CLOSED, 2, 10, FAULT_CONTROL_DIES, fault_control_dies },
};

static const int16_t documented[] = {
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	KAFKA_UNKNOWN_TOPIC_ID,
	KAFKA_REQUEST_TIMED_OUT,
	KAFKA_OFFSET_METADATA_TOO_LARGE,
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_NOT_COORDINATOR,
	KAFKA_ILLEGAL_GENERATION,
	KAFKA_UNKNOWN_MEMBER_ID,
	KAFKA_REBALANCE_IN_PROGRESS,
	KAFKA_INVALID_COMMIT_OFFSET_SIZE,
	KAFKA_TOPIC_AUTHORIZATION_FAILED,
	KAFKA_GROUP_AUTHORIZATION_FAILED,
	KAFKA_INVALID_GROUP_ID,
	KAFKA_FENCED_INSTANCE_ID,
	KAFKA_INVALID_PRODUCER_ID_MAPPING,
	KAFKA_INVALID_TXN_STATE,
	KAFKA_GROUP_ID_NOT_FOUND,
	KAFKA_STALE_MEMBER_EPOCH,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_UNKNOWN_TOPIC_ID, 2, 9, "topics are named by name", NULL },
	{ KAFKA_REQUEST_TIMED_OUT, ALL_VERSIONS, CONTROL_AWAY, NULL },
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, NOTHING_LOADS, NULL },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, QUEUE_FULL },
	{ KAFKA_NOT_COORDINATOR, ALL_VERSIONS, NOT_LED },
	{ KAFKA_INVALID_COMMIT_OFFSET_SIZE, ALL_VERSIONS, "notes are short enough for any record",
	  NULL },
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_GROUP_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_FENCED_INSTANCE_ID, 2, 6, "the request has no instance id", NULL },
	{ KAFKA_INVALID_PRODUCER_ID_MAPPING, ALL_VERSIONS, "TxnOffsetCommit is for transactions",
	  NULL },
	{ KAFKA_INVALID_TXN_STATE, ALL_VERSIONS, "TxnOffsetCommit is for transactions", NULL },
	{ KAFKA_GROUP_ID_NOT_FOUND, 2, 8, "old clients get ILLEGAL_GENERATION instead", NULL },
	{ KAFKA_STALE_MEMBER_EPOCH, 2, 8, "members with epochs need version 9", NULL },
	{ KAFKA_STALE_MEMBER_EPOCH, 9, 10, "test_k9_a_commit_that_is_repeated_is_as_good_as_once",
	  "src/streams/coordinator/consumer_groups_test.c" },
};

const struct matrix_api matrix_offset_commit = MATRIX_API(KAFKA_API_OFFSET_COMMIT, 2, 10);
