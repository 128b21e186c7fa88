/* OffsetForLeaderEpoch. */
#include "fault.h"
#include "fixture.h"
#include "matrix.h"

static const struct kafka_offset_for_leader_epoch_response_partition *ask(struct test *t,
									  const struct topic *topic,
									  int32_t partition,
									  int32_t current,
									  int32_t epoch)
{
	struct kafka_offset_for_leader_epoch_request_partition one = { partition, current, epoch };
	struct kafka_offset_for_leader_epoch_request_topic asked = { topic->name, &one, 1 };
	const struct kafka_offset_for_leader_epoch_request request = { -1, &asked, 1 };
	const struct kafka_offset_for_leader_epoch_response *response =
		test_call(t, KAFKA_API_OFFSET_FOR_LEADER_EPOCH, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->topics_count, 1);
	CHECK_SLICE(t, response->topics[0].topic, topic->name);
	CHECK_INT(t, response->topics[0].partitions_count, 1);
	CHECK_INT(t, response->topics[0].partitions[0].partition, partition);
	return &response->topics[0].partitions[0];
}

static void check_end(struct test *t,
		      const struct kafka_offset_for_leader_epoch_response_partition *answer,
		      int16_t error, int32_t epoch, int64_t end_offset)
{
	CHECK_ERROR(t, answer->error_code, error);
	CHECK_INT(t, answer->leader_epoch, epoch);
	CHECK_INT(t, answer->end_offset, end_offset);
}

static void finds_the_end(struct test *t)
{
	struct topic topic = topic_make(t, 2);

	(void)topic_append(t, &topic, 1, batch_make(t, 4));
	check_end(t, ask(t, &topic, 1, -1, 0), KAFKA_NONE, 0, 4);
	check_end(t, ask(t, &topic, 1, 0, 0), KAFKA_NONE, 0, 4);
	check_end(t, ask(t, &topic, 0, -1, 0), KAFKA_NONE, 0, 0);
}

/* Never the current epoch: a client would believe that its log was cut. */
static void knows_nothing_of_the_future(struct test *t)
{
	struct topic topic = topic_make(t, 1);

	(void)topic_append(t, &topic, 0, batch_make(t, 4));
	check_end(t, ask(t, &topic, 0, -1, 1), KAFKA_NONE, -1, -1);
	check_end(t, ask(t, &topic, 0, -1, INT32_MAX), KAFKA_NONE, -1, -1);
}

static void unknown_topic(struct test *t)
{
	struct topic missing = topic_missing(t), topic = topic_make(t, 1);

	check_end(t, ask(t, &missing, 0, -1, 0), KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
	check_end(t, ask(t, &topic, 1, -1, 0), KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
	check_end(t, ask(t, &topic, -1, -1, 0), KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
}

static void newer_epoch(struct test *t)
{
	struct topic topic = topic_make(t, 1);

	check_end(t, ask(t, &topic, 0, 3, 0), KAFKA_UNKNOWN_LEADER_EPOCH, -1, -1);
}

static const void *ask_for_end(struct test *t, const struct topic *topic)
{
	struct kafka_offset_for_leader_epoch_request *request =
		arena_take(&t->arena, sizeof(*request));
	struct kafka_offset_for_leader_epoch_request_topic *asked =
		arena_take(&t->arena, sizeof(*asked));
	struct kafka_offset_for_leader_epoch_request_partition *partition =
		arena_take(&t->arena, sizeof(*partition));

	*partition = (struct kafka_offset_for_leader_epoch_request_partition) { 0, -1, 0 };
	*asked = (struct kafka_offset_for_leader_epoch_request_topic) { topic->name, partition, 1 };
	*request = (struct kafka_offset_for_leader_epoch_request) { -1, asked, 1 };
	return request;
}

static void tells_no_end(struct test *t)
{
	static struct fault_round round = { .kind = FAULT_JOURNAL_BLOCKED, .ask = ask_for_end };
	const struct kafka_offset_for_leader_epoch_response *response = fault_answer(t, &round);

	CHECK_INT(t, response->topics_count, 1);
	CHECK_SLICE(t, response->topics[0].topic, round.topic.name);
	CHECK_INT(t, response->topics[0].partitions_count, 1);
	check_end(t, &response->topics[0].partitions[0], KAFKA_NOT_LEADER_OR_FOLLOWER, -1, -1);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 2, 4, "the only epoch ends where the partition does", finds_the_end },
	/* W8 */
	{ OUTCOME_SUCCESS, 2, 4, "of a later epoch nothing is known", knows_nothing_of_the_future },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 2, 4,
	  "an unknown topic or partition gives UNKNOWN_TOPIC_OR_PARTITION", unknown_topic },
	{ KAFKA_UNKNOWN_LEADER_EPOCH, 2, 4,
	  "a newer current leader epoch gives UNKNOWN_LEADER_EPOCH", newer_epoch },
	{ KAFKA_NOT_LEADER_OR_FOLLOWER, 2, 4,
	  "while nothing becomes durable, nobody tells where an epoch ends", tells_no_end },
};

static const int16_t documented[] = {
	KAFKA_TOPIC_AUTHORIZATION_FAILED, KAFKA_REPLICA_NOT_AVAILABLE,
	KAFKA_NOT_LEADER_OR_FOLLOWER,	  KAFKA_FENCED_LEADER_EPOCH,
	KAFKA_UNKNOWN_LEADER_EPOCH,	  KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	KAFKA_KAFKA_STORAGE_ERROR,	  KAFKA_UNKNOWN_SERVER_ERROR,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_REPLICA_NOT_AVAILABLE, ALL_VERSIONS, ANY_AGENT_LEADS, NULL },
	{ KAFKA_FENCED_LEADER_EPOCH, ALL_VERSIONS, FIRST_EPOCH_ONLY, NULL },
	{ KAFKA_KAFKA_STORAGE_ERROR, ALL_VERSIONS, "no data file is looked at", NULL },
	{ KAFKA_UNKNOWN_SERVER_ERROR, ALL_VERSIONS, "only a bug leads to it", NULL },
};

const struct matrix_api matrix_offset_for_leader_epoch =
	MATRIX_API(KAFKA_API_OFFSET_FOR_LEADER_EPOCH, 2, 4);
