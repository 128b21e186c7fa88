/* OffsetFetch.  Up to version 7 a request is about one group, later about several; the tests ask
 * in both forms at once, the encoder takes the one that the version has, and answers are read into
 * the later form. */
#include <string.h>

#include "fault.h"
#include "fixture.h"
#include "transactions.h"

enum {
	GROUPS_FIRST = 8,
	IDS_FIRST = 10,
	EPOCH_FIRST = 5,
	ERROR_FIRST = 2,
	TOPICS_MAX = 4,
	GROUP_NAME_BYTES_MAX = 255,
};

/* `count` SIZE_MAX: all topics. */
static const struct kafka_offset_fetch_response *ask(
	struct test *t, struct slice group, struct kafka_offset_fetch_request_group_topic *topics,
	size_t count)
{
	struct kafka_offset_fetch_request_topic old[TOPICS_MAX] = { 0 };
	bool wants_all = count == SIZE_MAX;
	size_t old_count = wants_all ? 0 : count;

	for (size_t i = 0; i < old_count; i++) {
		old[i].name = topics[i].name;
		old[i].partition_indexes = topics[i].partition_indexes;
		old[i].partition_indexes_count = topics[i].partition_indexes_count;
	}
	struct kafka_offset_fetch_request_group one = {
		.group_id = group,
		.member_epoch = -1,
		.topics = wants_all ? NULL : topics,
		.topics_count = old_count,
	};
	const struct kafka_offset_fetch_request request = {
		.group_id = group,
		.topics = wants_all ? NULL : old,
		.topics_count = old_count,
		.groups = &one,
		.groups_count = 1,
	};
	const struct kafka_offset_fetch_response *response =
		test_call(t, KAFKA_API_OFFSET_FETCH, t->version, &request);
	CHECK_INT(t, response->throttle_time_ms, 0);
	return response;
}

/* The one topic of an old answer as one of a new answer. */
static void read_old_topic(struct test *t, const struct kafka_offset_fetch_response_topic *old,
			   struct kafka_offset_fetch_response_group_topic *ret)
{
	ret->name = old->name;
	ret->partitions_count = old->partitions_count;
	ret->partitions =
		arena_take_array(&t->arena, old->partitions_count, sizeof(*ret->partitions));
	for (size_t i = 0; i < old->partitions_count; i++)
		ret->partitions[i] = (struct kafka_offset_fetch_response_group_partition) {
			.partition_index = old->partitions[i].partition_index,
			.committed_offset = old->partitions[i].committed_offset,
			.committed_leader_epoch = old->partitions[i].committed_leader_epoch,
			.metadata = old->partitions[i].metadata,
			.error_code = old->partitions[i].error_code,
		};
}

static const struct kafka_offset_fetch_response_group *answer_of(
	struct test *t, struct slice group, const struct kafka_offset_fetch_response *response)
{
	if (t->version >= GROUPS_FIRST) {
		CHECK_INT(t, response->groups_count, 1);
		CHECK_SLICE(t, response->groups[0].group_id, group);
		return &response->groups[0];
	}
	struct kafka_offset_fetch_response_group *ret = arena_take(&t->arena, sizeof(*ret));
	ret->group_id = group;
	ret->error_code = response->error_code;
	ret->topics_count = response->topics_count;
	ret->topics = arena_take_array(&t->arena, response->topics_count, sizeof(*ret->topics));
	for (size_t i = 0; i < response->topics_count; i++)
		read_old_topic(t, &response->topics[i], &ret->topics[i]);
	return ret;
}

static void check_topic(struct test *t, const struct kafka_offset_fetch_response_group_topic *found,
			const struct topic *topic, size_t partitions)
{
	if (t->version >= IDS_FIRST)
		CHECK_UUID(t, found->topic_id, topic->id);
	else
		CHECK_SLICE(t, found->name, topic->name);
	CHECK_INT(t, found->partitions_count, (int64_t)partitions);
}

static void check_partition(struct test *t,
			    const struct kafka_offset_fetch_response_group_partition *found,
			    int32_t partition, int64_t offset, int32_t epoch, const char *metadata)
{
	CHECK_INT(t, found->partition_index, partition);
	CHECK_ERROR(t, found->error_code, KAFKA_NONE);
	CHECK_INT(t, found->committed_offset, offset);
	CHECK_SINCE(t, EPOCH_FIRST, found->committed_leader_epoch, epoch, -1);
	CHECK_TEXT(t, found->metadata, metadata);
}

/* --- success -----------------------------------------------------------------------------------
 */

static void finds_offsets(struct test *t)
{
	struct topic topic = topic_make(t, 3);
	struct slice group = test_name(t, "group");
	int32_t partitions[] = { 2, 0, 1, 7 };
	struct kafka_offset_fetch_request_group_topic asked = { topic.name, topic.id, partitions,
								4 };

	offset_store(t, group, &topic, 0, 10, 3, SLICE("note"));
	offset_store(t, group, &topic, 2, INT64_MAX, -1, SLICE(""));
	const struct kafka_offset_fetch_response_group *answer =
		answer_of(t, group, ask(t, group, &asked, 1));
	CHECK_ERROR(t, answer->error_code, KAFKA_NONE);
	CHECK_INT(t, answer->topics_count, 1);
	check_topic(t, &answer->topics[0], &topic, 4);
	check_partition(t, &answer->topics[0].partitions[0], 2, INT64_MAX, -1, "");
	check_partition(t, &answer->topics[0].partitions[1], 0, 10, 3, "note");
	check_partition(t, &answer->topics[0].partitions[2], 1, -1, -1, "");
	check_partition(t, &answer->topics[0].partitions[3], 7, -1, -1, "");
}

static void unknown_group_has_none(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct slice group = test_name(t, "missing");
	int32_t partition = 0;
	struct kafka_offset_fetch_request_group_topic asked = { topic.name, topic.id, &partition,
								1 };
	const struct kafka_offset_fetch_response_group *answer =
		answer_of(t, group, ask(t, group, &asked, 1));

	CHECK_ERROR(t, answer->error_code, KAFKA_NONE);
	CHECK_INT(t, answer->topics_count, 1);
	check_topic(t, &answer->topics[0], &topic, 1);
	check_partition(t, &answer->topics[0].partitions[0], 0, -1, -1, "");
}

/* A topic that is not known has no offsets; before ids that is no error. */
static void unknown_topic_has_none(struct test *t)
{
	struct topic topic = topic_missing(t);
	struct slice group = test_name(t, "group");
	int32_t partition = 0;
	struct kafka_offset_fetch_request_group_topic asked = { topic.name, topic.id, &partition,
								1 };
	const struct kafka_offset_fetch_response_group *answer =
		answer_of(t, group, ask(t, group, &asked, 1));

	check_topic(t, &answer->topics[0], &topic, 1);
	check_partition(t, &answer->topics[0].partitions[0], 0, -1, -1, "");
}

static void finds_all(struct test *t)
{
	struct topic topics[] = { topic_make(t, 2), topic_make(t, 1) };
	struct slice group = test_name(t, "group");

	offset_store(t, group, &topics[0], 1, 5, -1, SLICE(""));
	offset_store(t, group, &topics[1], 0, 6, -1, SLICE(""));
	const struct kafka_offset_fetch_response_group *answer =
		answer_of(t, group, ask(t, group, NULL, SIZE_MAX));
	CHECK_ERROR(t, answer->error_code, KAFKA_NONE);
	CHECK_INT(t, answer->topics_count, 2);
	for (size_t i = 0; i < 2; i++) {
		CHECK_INT(t, answer->topics[i].partitions_count, 1);
		bool is_first = answer->topics[i].partitions[0].committed_offset == 5;
		check_topic(t, &answer->topics[i], is_first ? &topics[0] : &topics[1], 1);
		check_partition(t, &answer->topics[i].partitions[0], is_first ? 1 : 0,
				is_first ? 5 : 6, -1, "");
	}
}

static void finds_several_groups(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct slice names[] = { test_name(t, "b"), test_name(t, "a") };
	int32_t partition = 0;
	struct kafka_offset_fetch_request_group_topic asked = { topic.name, topic.id, &partition,
								1 };
	struct kafka_offset_fetch_request_group groups[] = {
		{ .group_id = names[0], .member_epoch = -1, .topics = &asked, .topics_count = 1 },
		{ .group_id = names[1], .member_epoch = -1, .topics = &asked, .topics_count = 1 },
	};
	const struct kafka_offset_fetch_request request = { .groups = groups, .groups_count = 2 };

	offset_store(t, names[0], &topic, 0, 5, -1, SLICE(""));
	offset_store(t, names[1], &topic, 0, 6, -1, SLICE(""));
	const struct kafka_offset_fetch_response *response =
		test_call(t, KAFKA_API_OFFSET_FETCH, t->version, &request);
	CHECK_INT(t, response->groups_count, 2);
	for (size_t i = 0; i < 2; i++) {
		CHECK_SLICE(t, response->groups[i].group_id, names[i]);
		CHECK_ERROR(t, response->groups[i].error_code, KAFKA_NONE);
		check_partition(t, &response->groups[i].topics[0].partitions[0], 0, i == 0 ? 5 : 6,
				-1, "");
	}
}

static void stable_offsets(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct slice group = test_name(t, "group");
	int32_t partition = 0;
	struct kafka_offset_fetch_request_group_topic asked = { topic.name, topic.id, &partition,
								1 };
	struct kafka_offset_fetch_request_topic old = { topic.name, &partition, 1 };
	struct kafka_offset_fetch_request_group one = {
		.group_id = group, .member_epoch = -1, .topics = &asked, .topics_count = 1
	};
	const struct kafka_offset_fetch_request request = {
		.group_id = group,
		.topics = &old,
		.topics_count = 1,
		.groups = &one,
		.groups_count = 1,
		.require_stable = true,
	};

	offset_store(t, group, &topic, 0, 5, -1, SLICE(""));
	const struct kafka_offset_fetch_response_group *answer =
		answer_of(t, group, test_call(t, KAFKA_API_OFFSET_FETCH, t->version, &request));
	check_partition(t, &answer->topics[0].partitions[0], 0, 5, -1, "");
}

static void unstable(struct test *t)
{
	struct slice group = test_name(t, "group");
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w");
	int32_t partition = 0;
	struct kafka_offset_fetch_request_group_topic asked = { topic.name, topic.id, &partition,
								1 };
	struct kafka_offset_fetch_request_topic old = { topic.name, &partition, 1 };
	struct kafka_offset_fetch_request_group one = {
		.group_id = group, .member_epoch = -1, .topics = &asked, .topics_count = 1
	};
	const struct kafka_offset_fetch_request request = {
		.group_id = group,
		.topics = &old,
		.topics_count = 1,
		.groups = &one,
		.groups_count = 1,
		.require_stable = true,
	};

	offset_store(t, group, &topic, 0, 5, -1, SLICE(""));
	CHECK_ERROR(t, writer_commit_offset(t, &w, group, &topic, 9), KAFKA_NONE);
	const struct kafka_offset_fetch_response_group *answer =
		answer_of(t, group, test_call(t, KAFKA_API_OFFSET_FETCH, t->version, &request));
	CHECK_ERROR(t, answer->topics[0].partitions[0].error_code, KAFKA_UNSTABLE_OFFSET_COMMIT);
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_NONE);
	answer = answer_of(t, group, test_call(t, KAFKA_API_OFFSET_FETCH, t->version, &request));
	check_partition(t, &answer->topics[0].partitions[0], 0, 9, -1, "");
}

/* --- errors ------------------------------------------------------------------------------------
 */

static void unknown_id(struct test *t)
{
	struct topic missing = topic_missing(t), deleted = topic_make(t, 1);
	struct slice group = test_name(t, "group");
	int32_t partition = 0;
	struct kafka_offset_fetch_request_group_topic asked[] = {
		{ missing.name, missing.id, &partition, 1 },
		{ deleted.name, deleted.id, &partition, 1 },
	};

	offset_store(t, group, &deleted, 0, 5, -1, SLICE(""));
	topic_delete(t, &deleted);
	const struct kafka_offset_fetch_response_group *answer =
		answer_of(t, group, ask(t, group, asked, 2));
	CHECK_ERROR(t, answer->error_code, KAFKA_NONE);
	CHECK_INT(t, answer->topics_count, 2);
	for (size_t i = 0; i < 2; i++) {
		CHECK_UUID(t, answer->topics[i].topic_id, asked[i].topic_id);
		CHECK_INT(t, answer->topics[i].partitions_count, 1);
		CHECK_ERROR(t, answer->topics[i].partitions[0].error_code, KAFKA_UNKNOWN_TOPIC_ID);
		CHECK_INT(t, answer->topics[i].partitions[0].committed_offset, -1);
	}
}

/* Version 1 can say it of partitions only. */
static void invalid_group(struct test *t)
{
	uint8_t *name = arena_take(&t->arena, GROUP_NAME_BYTES_MAX + 1);
	struct slice group = { name, GROUP_NAME_BYTES_MAX + 1 };
	struct topic topic = topic_make(t, 1);
	int32_t partition = 0;
	struct kafka_offset_fetch_request_group_topic asked = { topic.name, topic.id, &partition,
								1 };

	memset(name, 'x', GROUP_NAME_BYTES_MAX + 1);
	const struct kafka_offset_fetch_response_group *answer =
		answer_of(t, group, ask(t, group, &asked, 1));
	if (t->version >= ERROR_FIRST) {
		CHECK_ERROR(t, answer->error_code, KAFKA_INVALID_GROUP_ID);
		return;
	}
	CHECK_INT(t, answer->topics_count, 1);
	CHECK_ERROR(t, answer->topics[0].partitions[0].error_code, KAFKA_INVALID_GROUP_ID);
}

static const struct matrix_row rows[] = {
	/* W8 */
	{ OUTCOME_SUCCESS, 1, 10, "offset, epoch and note are found in the order of the request",
	  finds_offsets },
	{ OUTCOME_SUCCESS, 1, 10, "a group that does not exist has no offsets",
	  unknown_group_has_none },
	{ OUTCOME_SUCCESS, 1, 9, "a topic that does not exist has no offsets",
	  unknown_topic_has_none },
	{ OUTCOME_SUCCESS, 2, 10, "null asks for all topics of the group", finds_all },
	{ OUTCOME_SUCCESS, 7, 10, "require_stable changes nothing without transactions",
	  stable_offsets },
	{ OUTCOME_SUCCESS, 8, 10, "several groups are answered in the order of the request",
	  finds_several_groups },
	{ KAFKA_UNKNOWN_TOPIC_ID, 10, 10, "an unknown or deleted id gives UNKNOWN_TOPIC_ID",
	  unknown_id },
	{ KAFKA_INVALID_GROUP_ID, 1, 10, "a name over 255 bytes gives INVALID_GROUP_ID",
	  invalid_group },
	{ OUTCOME_CLOSED, 1, 10, FAULT_CONTROL_DIES, fault_control_dies },
	{ KAFKA_UNSTABLE_OFFSET_COMMIT, 7, 10,
	  "what a transaction is about to commit gives UNSTABLE_OFFSET_COMMIT", unstable },
};

static const int16_t documented[] = {
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	KAFKA_UNKNOWN_TOPIC_ID,
	KAFKA_TOPIC_AUTHORIZATION_FAILED,
	KAFKA_UNSTABLE_OFFSET_COMMIT,
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_NOT_COORDINATOR,
	KAFKA_GROUP_AUTHORIZATION_FAILED,
	KAFKA_INVALID_GROUP_ID,
	KAFKA_GROUP_ID_NOT_FOUND,
	KAFKA_UNKNOWN_MEMBER_ID,
	KAFKA_STALE_MEMBER_EPOCH,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, ALL_VERSIONS,
	  "what does not exist has no offset, which is -1", NULL },
	{ KAFKA_UNKNOWN_TOPIC_ID, 1, 9, "topics are named by name", NULL },
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_UNSTABLE_OFFSET_COMMIT, 1, 6, "the request cannot say require_stable", NULL },
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, NOTHING_LOADS, NULL },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, QUEUE_FULL },
	{ KAFKA_NOT_COORDINATOR, ALL_VERSIONS, NOT_LED },
	{ KAFKA_GROUP_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_GROUP_ID_NOT_FOUND, ALL_VERSIONS, "what does not exist has no offset, which is -1",
	  NULL },
	{ KAFKA_UNKNOWN_MEMBER_ID, 1, 8, "the request has no member", NULL },
	{ KAFKA_STALE_MEMBER_EPOCH, 1, 8, "the request has no member", NULL },
	{ KAFKA_UNKNOWN_MEMBER_ID, 9, 10, MEMBER_EPOCHS },
	{ KAFKA_STALE_MEMBER_EPOCH, 9, 10, MEMBER_EPOCHS },
};

const struct matrix_api matrix_offset_fetch = MATRIX_API(KAFKA_API_OFFSET_FETCH, 1, 10);
