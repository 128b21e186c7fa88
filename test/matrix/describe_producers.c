/* DescribeProducers. */
#include "transactions.h"

static const struct kafka_describe_producers_response_partition *ask(struct test *t,
								     const struct topic *topic,
								     int32_t partition)
{
	struct kafka_describe_producers_request_topic one = { topic->name, &partition, 1 };
	const struct kafka_describe_producers_request request = { &one, 1 };
	const struct kafka_describe_producers_response *response =
		test_call(t, KAFKA_API_DESCRIBE_PRODUCERS, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->topics_count, 1);
	CHECK_SLICE(t, response->topics[0].name, topic->name);
	CHECK_INT(t, response->topics[0].partitions_count, 1);
	CHECK_INT(t, response->topics[0].partitions[0].partition_index, partition);
	return &response->topics[0].partitions[0];
}

static void describes(struct test *t)
{
	const struct kafka_describe_producers_response_partition *p;
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w");

	CHECK_INT(t, topic_append(t, &topic, 0, batch_make(t, 2)), 0);
	p = ask(t, &topic, 0);
	CHECK_ERROR(t, p->error_code, KAFKA_NONE);
	CHECK_INT(t, p->active_producers_count, 0);
	CHECK_INT(t, writer_write(t, &w, &topic, 3), 2);
	p = ask(t, &topic, 0);
	CHECK_INT(t, p->active_producers_count, 1);
	CHECK_INT(t, p->active_producers[0].producer_id, w.producer_id);
	CHECK_INT(t, p->active_producers[0].producer_epoch, w.epoch);
	CHECK_INT(t, p->active_producers[0].last_sequence, 2);
	CHECK(t, p->active_producers[0].last_timestamp > BATCH_TIME_MS);
	CHECK_INT(t, p->active_producers[0].current_txn_start_offset, 2);
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_NONE);
	CHECK_INT(t, ask(t, &topic, 0)->active_producers[0].current_txn_start_offset, -1);
}

static void unknown(struct test *t)
{
	struct topic topic = topic_make(t, 1), missing = topic_missing(t);

	CHECK_ERROR(t, ask(t, &topic, 1)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_ERROR(t, ask(t, &missing, 0)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 0, "who writes, and where its transaction began", describes },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 0, 0,
	  "an unknown partition gives UNKNOWN_TOPIC_OR_PARTITION", unknown },
};

static const int16_t documented[] = {
	KAFKA_TOPIC_AUTHORIZATION_FAILED,
	KAFKA_NOT_LEADER_OR_FOLLOWER,
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_NOT_LEADER_OR_FOLLOWER, ALL_VERSIONS, ANY_AGENT_LEADS, NULL },
};

const struct matrix_api matrix_describe_producers = MATRIX_API(KAFKA_API_DESCRIBE_PRODUCERS, 0, 0);
