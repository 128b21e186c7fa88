/* ListOffsets. */
#include "fault.h"
#include "fixture.h"
#include "matrix.h"

enum {
	LATEST = -1,
	EARLIEST = -2,
	MAX_TIMESTAMP = -3,
	EARLIEST_LOCAL = -4,
	LATEST_TIERED = -5,
	EARLIEST_PENDING_UPLOAD = -6,
	EPOCHS_FIRST = 4,
};

static const struct kafka_list_offsets_response_partition *ask(
	struct test *t, const struct topic *topic,
	const struct kafka_list_offsets_request_partition *partition, int8_t isolation)
{
	struct kafka_list_offsets_request_partition one = *partition;
	struct kafka_list_offsets_request_topic asked = { topic->name, &one, 1 };
	const struct kafka_list_offsets_request request = {
		.replica_id = -1,
		.isolation_level = isolation,
		.topics = &asked,
		.topics_count = 1,
		.timeout_ms = TEST_PATIENCE_MS,
	};
	const struct kafka_list_offsets_response *response =
		test_call(t, KAFKA_API_LIST_OFFSETS, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->topics_count, 1);
	CHECK_SLICE(t, response->topics[0].name, topic->name);
	CHECK_INT(t, response->topics[0].partitions_count, 1);
	CHECK_INT(t, response->topics[0].partitions[0].partition_index, partition->partition_index);
	return &response->topics[0].partitions[0];
}

static void check_at(struct test *t, const struct topic *topic, int64_t timestamp, int64_t offset,
		     int64_t offset_time)
{
	const struct kafka_list_offsets_request_partition asked = { 0, -1, timestamp };
	const struct kafka_list_offsets_response_partition *answer = ask(t, topic, &asked, 0);

	CHECK_ERROR(t, answer->error_code, KAFKA_NONE);
	CHECK_INT(t, answer->offset, offset);
	CHECK_INT(t, answer->timestamp, offset_time);
	CHECK_SINCE(t, EPOCHS_FIRST, answer->leader_epoch, offset < 0 ? -1 : 0, -1);
}

static void check_error_at(struct test *t, const struct topic *topic,
			   const struct kafka_list_offsets_request_partition *asked, int16_t error)
{
	const struct kafka_list_offsets_response_partition *answer = ask(t, topic, asked, 0);

	CHECK_ERROR(t, answer->error_code, error);
	CHECK_INT(t, answer->offset, -1);
	CHECK_INT(t, answer->timestamp, -1);
	CHECK_INT(t, answer->leader_epoch, -1);
}

/* Five records with the times BATCH_TIME_MS + 0, 1, 2, 0, 1. */
static struct topic filled(struct test *t)
{
	struct topic topic = topic_make(t, 1);

	(void)topic_append(t, &topic, 0, batch_make(t, 3));
	(void)topic_append(t, &topic, 0, batch_make(t, 2));
	return topic;
}

/* --- success -----------------------------------------------------------------------------------
 */

static void finds_the_ends(struct test *t)
{
	struct topic topic = filled(t), empty = topic_make(t, 1);

	check_at(t, &topic, LATEST, 5, -1);
	check_at(t, &topic, EARLIEST, 0, -1);
	check_at(t, &empty, LATEST, 0, -1);
	check_at(t, &empty, EARLIEST, 0, -1);
}

static void finds_the_committed_end(struct test *t)
{
	const struct kafka_list_offsets_request_partition latest = { 0, -1, LATEST };
	struct topic topic = filled(t);
	const struct kafka_list_offsets_response_partition *answer = ask(t, &topic, &latest, 1);

	CHECK_ERROR(t, answer->error_code, KAFKA_NONE);
	CHECK_INT(t, answer->offset, 5);
}

static void finds_by_time(struct test *t)
{
	struct topic topic = filled(t), empty = topic_make(t, 1);

	check_at(t, &topic, 0, 0, BATCH_TIME_MS);
	check_at(t, &topic, BATCH_TIME_MS, 0, BATCH_TIME_MS);
	check_at(t, &topic, BATCH_TIME_MS + 1, 1, BATCH_TIME_MS + 1);
	check_at(t, &topic, BATCH_TIME_MS + 2, 2, BATCH_TIME_MS + 2);
	check_at(t, &topic, BATCH_TIME_MS + 3, -1, -1);
	check_at(t, &empty, BATCH_TIME_MS, -1, -1);
}

static void finds_the_greatest_time(struct test *t)
{
	struct topic topic = filled(t), empty = topic_make(t, 1);

	check_at(t, &topic, MAX_TIMESTAMP, 2, BATCH_TIME_MS + 2);
	check_at(t, &empty, MAX_TIMESTAMP, -1, -1);
}

static void finds_the_local_end(struct test *t)
{
	struct topic topic = filled(t);

	check_at(t, &topic, EARLIEST_LOCAL, 0, -1);
}

static void finds_nothing_tiered(struct test *t)
{
	struct topic topic = filled(t);

	check_at(t, &topic, LATEST_TIERED, -1, -1);
}

static void finds_nothing_to_upload(struct test *t)
{
	struct topic topic = filled(t);

	check_at(t, &topic, EARLIEST_PENDING_UPLOAD, -1, -1);
}

static void answers_every_partition(struct test *t)
{
	struct topic topics[] = { topic_make(t, 2), filled(t) };
	struct kafka_list_offsets_request_partition first[] = { { 1, -1, LATEST },
								{ 0, -1, EARLIEST } };
	struct kafka_list_offsets_request_partition second[] = { { 0, -1, LATEST } };
	struct kafka_list_offsets_request_topic asked[] = { { topics[1].name, second, 1 },
							    { topics[0].name, first, 2 } };
	const struct kafka_list_offsets_request request = { -1, 0, asked, 2, TEST_PATIENCE_MS };
	const struct kafka_list_offsets_response *response =
		test_call(t, KAFKA_API_LIST_OFFSETS, t->version, &request);

	CHECK_INT(t, response->topics_count, 2);
	CHECK_SLICE(t, response->topics[0].name, topics[1].name);
	CHECK_INT(t, response->topics[0].partitions[0].offset, 5);
	CHECK_INT(t, response->topics[1].partitions_count, 2);
	CHECK_INT(t, response->topics[1].partitions[0].partition_index, 1);
	CHECK_INT(t, response->topics[1].partitions[0].offset, 0);
	CHECK_INT(t, response->topics[1].partitions[1].partition_index, 0);
}

static void sees_what_others_were_told(struct test *t)
{
	struct topic topic = topic_make(t, 1);

	for (int i = 0; i < 5; i++) {
		(void)topic_append(t, &topic, 0, batch_make(t, 1));
		check_at(t, &topic, LATEST, i + 1, -1);
	}
}

/* --- errors ------------------------------------------------------------------------------------
 */

static void unknown_topic(struct test *t)
{
	const struct kafka_list_offsets_request_partition latest = { 0, -1, LATEST };
	struct topic missing = topic_missing(t), deleted = topic_make(t, 1);

	check_error_at(t, &missing, &latest, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	topic_delete(t, &deleted);
	check_error_at(t, &deleted, &latest, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void unknown_partition(struct test *t)
{
	static const int32_t bad[] = { 1, -1, INT32_MAX };
	struct topic topic = topic_make(t, 1);

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++) {
		const struct kafka_list_offsets_request_partition asked = { bad[i], -1, LATEST };
		check_error_at(t, &topic, &asked, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	}
}

static void newer_epoch(struct test *t)
{
	const struct kafka_list_offsets_request_partition asked = { 0, 7, LATEST };
	struct topic topic = topic_make(t, 1);

	check_error_at(t, &topic, &asked, KAFKA_UNKNOWN_LEADER_EPOCH);
}

/* Special times have a meaning from a version on; what has none yet must not be taken for a time
 * before 1970. */
static void special_time_too_early(struct test *t)
{
	static const struct {
		int64_t timestamp;
		int16_t first;
	} special[] = { { MAX_TIMESTAMP, 7 },
			{ EARLIEST_LOCAL, 8 },
			{ LATEST_TIERED, 9 },
			{ EARLIEST_PENDING_UPLOAD, 11 },
			{ -7, INT16_MAX } };
	struct topic topic = filled(t);

	for (size_t i = 0; i < MATRIX_COUNT(special); i++) {
		const struct kafka_list_offsets_request_partition asked = { 0, -1,
									    special[i].timestamp };
		if (t->version < special[i].first)
			check_error_at(t, &topic, &asked, KAFKA_UNSUPPORTED_VERSION);
	}
}

static void asked_twice(struct test *t)
{
	struct topic topic = filled(t);
	struct kafka_list_offsets_request_partition twice[] = { { 0, -1, LATEST },
								{ 0, -1, EARLIEST } };
	struct kafka_list_offsets_request_topic asked = { topic.name, twice, 2 };
	const struct kafka_list_offsets_request request = { -1, 0, &asked, 1, TEST_PATIENCE_MS };
	const struct kafka_list_offsets_response *response =
		test_call(t, KAFKA_API_LIST_OFFSETS, t->version, &request);

	CHECK_INT(t, response->topics_count, 1);
	CHECK(t, response->topics[0].partitions_count >= 1);
	for (size_t i = 0; i < response->topics[0].partitions_count; i++)
		CHECK_ERROR(t, response->topics[0].partitions[i].error_code, KAFKA_INVALID_REQUEST);
}

/* --- faults ------------------------------------------------------------------------------------
 */

static const void *ask_at(struct test *t, const struct topic *topic, int64_t timestamp)
{
	struct kafka_list_offsets_request *request = arena_take(&t->arena, sizeof(*request));
	struct kafka_list_offsets_request_topic *asked = arena_take(&t->arena, sizeof(*asked));
	struct kafka_list_offsets_request_partition *partition =
		arena_take(&t->arena, sizeof(*partition));

	*partition = (struct kafka_list_offsets_request_partition) { 0, -1, timestamp };
	*asked = (struct kafka_list_offsets_request_topic) { topic->name, partition, 1 };
	*request = (struct kafka_list_offsets_request) {
		.replica_id = -1,
		.topics = asked,
		.topics_count = 1,
		.timeout_ms = TEST_PATIENCE_MS,
	};
	return request;
}

static const void *ask_for_end(struct test *t, const struct topic *topic)
{
	return ask_at(t, topic, LATEST);
}

static const void *ask_by_time(struct test *t, const struct topic *topic)
{
	return ask_at(t, topic, BATCH_TIME_MS + 1);
}

static void check_fault(struct test *t, struct fault_round *round, int16_t error)
{
	const struct kafka_list_offsets_response *response = fault_answer(t, round);

	CHECK_INT(t, response->topics_count, 1);
	CHECK_SLICE(t, response->topics[0].name, round->topic.name);
	CHECK_INT(t, response->topics[0].partitions_count, 1);
	CHECK_ERROR(t, response->topics[0].partitions[0].error_code, error);
	CHECK_INT(t, response->topics[0].partitions[0].offset, -1);
}

static void tells_no_end(struct test *t)
{
	static struct fault_round round = { .kind = FAULT_JOURNAL_BLOCKED, .ask = ask_for_end };

	check_fault(t, &round, KAFKA_NOT_LEADER_OR_FOLLOWER);
}

static void file_is_gone(struct test *t)
{
	static struct fault_round round = { .kind = FAULT_DATA_MISSING, .ask = ask_by_time };

	check_fault(t, &round, KAFKA_KAFKA_STORAGE_ERROR);
}

static void file_is_damaged(struct test *t)
{
	static struct fault_round round = { .kind = FAULT_DATA_DAMAGED, .ask = ask_by_time };

	check_fault(t, &round, KAFKA_CORRUPT_MESSAGE);
}

static const struct matrix_row rows[] = {
	/* W7 */
	{ OUTCOME_SUCCESS, 1, 11, "both ends of a partition are found", finds_the_ends },
	{ OUTCOME_SUCCESS, 1, 11, "the first record not older than a time is found",
	  finds_by_time },
	{ OUTCOME_SUCCESS, 1, 11, "topics and partitions are answered in the order of the request",
	  answers_every_partition },
	{ OUTCOME_SUCCESS, 1, 11, "the end is after every record that was acknowledged",
	  sees_what_others_were_told },
	/* W7 */
	{ OUTCOME_SUCCESS, 2, 11, "read_committed finds the end", finds_the_committed_end },
	/* W7 */
	{ OUTCOME_SUCCESS, 7, 11, "-3 finds the record with the greatest time",
	  finds_the_greatest_time },
	/* W7 */
	{ OUTCOME_SUCCESS, 8, 11, "-4 finds the beginning", finds_the_local_end },
	{ OUTCOME_SUCCESS, 9, 11, "-5 finds nothing: no tier is further away",
	  finds_nothing_tiered },
	{ OUTCOME_SUCCESS, 11, 11, "-6 finds nothing: no upload is pending",
	  finds_nothing_to_upload },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 1, 11,
	  "an unknown or deleted topic gives UNKNOWN_TOPIC_OR_PARTITION", unknown_topic },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 1, 11,
	  "an unknown partition gives UNKNOWN_TOPIC_OR_PARTITION", unknown_partition },
	{ KAFKA_UNKNOWN_LEADER_EPOCH, 4, 11, "a newer leader epoch gives UNKNOWN_LEADER_EPOCH",
	  newer_epoch },
	{ KAFKA_UNSUPPORTED_VERSION, 1, 11,
	  "a special time that the version does not know gives UNSUPPORTED_VERSION",
	  special_time_too_early },
	{ KAFKA_INVALID_REQUEST, 1, 11, "a partition that is asked for twice gives INVALID_REQUEST",
	  asked_twice },
	{ KAFKA_NOT_LEADER_OR_FOLLOWER, 1, 11,
	  "while nothing becomes durable, nobody tells where a partition ends", tells_no_end },
	{ KAFKA_KAFKA_STORAGE_ERROR, 1, 11,
	  "a lookup in a data file that is gone gives KAFKA_STORAGE_ERROR", file_is_gone },
	{ KAFKA_CORRUPT_MESSAGE, 1, 11, "a lookup in a damaged data file gives CORRUPT_MESSAGE",
	  file_is_damaged },
};

static const int16_t documented[] = {
	KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT,
	KAFKA_TOPIC_AUTHORIZATION_FAILED,
	KAFKA_REPLICA_NOT_AVAILABLE,
	KAFKA_NOT_LEADER_OR_FOLLOWER,
	KAFKA_FENCED_LEADER_EPOCH,
	KAFKA_UNKNOWN_LEADER_EPOCH,
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	KAFKA_KAFKA_STORAGE_ERROR,
	KAFKA_CORRUPT_MESSAGE,
	KAFKA_LEADER_NOT_AVAILABLE,
	KAFKA_OFFSET_NOT_AVAILABLE,
	KAFKA_INVALID_REQUEST,
	KAFKA_UNSUPPORTED_VERSION,
	KAFKA_REQUEST_TIMED_OUT,
	KAFKA_UNKNOWN_SERVER_ERROR,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT, ALL_VERSIONS, "every record has a time", NULL },
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_REPLICA_NOT_AVAILABLE, ALL_VERSIONS, ANY_AGENT_LEADS, NULL },
	{ KAFKA_FENCED_LEADER_EPOCH, ALL_VERSIONS, FIRST_EPOCH_ONLY, NULL },
	{ KAFKA_UNKNOWN_LEADER_EPOCH, 1, 3, "the request has no epoch", NULL },
	{ KAFKA_LEADER_NOT_AVAILABLE, ALL_VERSIONS, NO_ELECTIONS, NULL },
	{ KAFKA_OFFSET_NOT_AVAILABLE, ALL_VERSIONS, NO_ELECTIONS, NULL },
	{ KAFKA_REQUEST_TIMED_OUT, ALL_VERSIONS, "only lookups in a remote tier have a time limit",
	  NULL },
	{ KAFKA_UNKNOWN_SERVER_ERROR, ALL_VERSIONS, "only a bug leads to it", NULL },
};

const struct matrix_api matrix_list_offsets = MATRIX_API(KAFKA_API_LIST_OFFSETS, 1, 11);
