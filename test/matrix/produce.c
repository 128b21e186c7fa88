/* Produce: what is stored. */
#include "produce.h"
#include "base/endian.h"
#include "fault.h"
#include "fixture.h"
#include "transactions.h"

enum { FAULT_TIMEOUT_MS = 1000 };

static void stores(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	const struct kafka_produce_request *request = produce_one(t, &topic, 0, batch_make(t, 5));
	const struct kafka_produce_response *response =
		test_call(t, KAFKA_API_PRODUCE, t->version, request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->node_endpoints_count, 0);
	produce_check(t, produce_answer_of(t, response, &topic), KAFKA_NONE, 0);
	response = test_call(t, KAFKA_API_PRODUCE, t->version, request);
	produce_check(t, produce_answer_of(t, response, &topic), KAFKA_NONE, 5);
	check_log(t, &topic, 0, 10);
}

static void stores_many(struct test *t)
{
	struct topic topics[] = { topic_make(t, 2), topic_make(t, 1) };
	struct kafka_produce_request_partition first[] = {
		{ 1, batch_make(t, 2) },
		{ 0, batch_make(t, 3) },
	};
	struct kafka_produce_request_partition second[] = { { 0, batch_make(t, 1) } };
	struct kafka_produce_request_topic asked[] = {
		{ topics[1].name, topics[1].id, second, 1 },
		{ topics[0].name, topics[0].id, first, 2 },
	};
	const struct kafka_produce_request request = {
		.acks = -1,
		.timeout_ms = TEST_PATIENCE_MS,
		.topic_data = asked,
		.topic_data_count = 2,
	};
	const struct kafka_produce_response *response =
		test_call(t, KAFKA_API_PRODUCE, t->version, &request);

	CHECK_INT(t, response->responses_count, 2);
	CHECK_INT(t, response->responses[0].partition_responses_count, 1);
	CHECK_INT(t, response->responses[1].partition_responses_count, 2);
	CHECK_INT(t, response->responses[1].partition_responses[0].index, 1);
	CHECK_INT(t, response->responses[1].partition_responses[1].index, 0);
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < response->responses[i].partition_responses_count; k++)
			produce_check(t, &response->responses[i].partition_responses[k], KAFKA_NONE,
				      0);
	check_log(t, &topics[0], 0, 3);
	check_log(t, &topics[0], 1, 2);
	check_log(t, &topics[1], 0, 1);
}

static void stores_with_one_ack(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_produce_request *request = produce_one(t, &topic, 0, batch_make(t, 1));

	request->acks = 1;
	produce_check(t, produce_send(t, &topic, request), KAFKA_NONE, 0);
}

/* Without acks there is no answer; the next request has the first one. */
static void stores_without_acks(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_produce_request *request = produce_one(t, &topic, 0, batch_make(t, 2));
	struct client *c = client_open(t);

	request->acks = 0;
	client_send(t, c, KAFKA_API_PRODUCE, t->version, request);
	request = produce_one(t, &topic, 0, batch_make(t, 1));
	const struct kafka_produce_response *response =
		client_call(t, c, KAFKA_API_PRODUCE, t->version, request);
	produce_check(t, produce_answer_of(t, response, &topic), KAFKA_NONE, 2);
}

static void answers_in_order(struct test *t)
{
	enum { COUNT = 8 };
	struct topic topic = topic_make(t, 1);
	struct client *c = client_open(t);
	int32_t ids[COUNT];

	for (int i = 0; i < COUNT; i++)
		ids[i] = client_send(t, c, KAFKA_API_PRODUCE, t->version,
				     produce_one(t, &topic, 0, batch_make(t, 1 + i % 2)));
	for (int i = 0, offset = 0; i < COUNT; offset += 1 + i % 2, i++) {
		const struct kafka_produce_response *response =
			client_receive(t, c, KAFKA_API_PRODUCE, t->version, ids[i]);
		produce_check(t, produce_answer_of(t, response, &topic), KAFKA_NONE, offset);
	}
}

static void stores_compressed(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	int64_t offset = 0;

	for (enum compression codec = COMPRESSION_GZIP; codec < COMPRESSION_COUNT; codec++) {
		struct record_batch_plan plan = RECORD_BATCH_PLAIN;
		if (codec == COMPRESSION_ZSTD && t->version < ZSTD_FIRST)
			continue;
		plan.codec = codec;
		struct slice batch = batch_plan(t, &plan, 10);
		produce_check(t, produce_send(t, &topic, produce_one(t, &topic, 0, batch)),
			      KAFKA_NONE, offset);
		check_stored(t, &topic, offset, batch);
		offset += 10;
	}
}

static struct record_batch_plan idempotent_plan(struct test *t)
{
	const struct kafka_init_producer_id_request request = {
		.transaction_timeout_ms = 60000,
		.producer_id = -1,
		.producer_epoch = -1,
	};
	const struct kafka_init_producer_id_response *response =
		test_call(t, KAFKA_API_INIT_PRODUCER_ID, 4, &request);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	return (struct record_batch_plan) {
		.leader_epoch = -1,
		.producer_id = response->producer_id,
		.producer_epoch = response->producer_epoch,
	};
}

static void append_sequence(struct test *t, const struct topic *topic,
			    struct record_batch_plan plan, int32_t sequence, int16_t error,
			    int64_t offset)
{
	plan.base_sequence = sequence;
	produce_check(t, produce_send(t, topic, produce_one(t, topic, 0, batch_plan(t, &plan, 2))),
		      error, offset);
}

static void repeats_are_stored_once(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct record_batch_plan plan = idempotent_plan(t);

	for (int i = 0; i < 6; i++)
		append_sequence(t, &topic, plan, 2 * i, KAFKA_NONE, 2 * i);
	for (int i = 1; i < 6; i++)
		append_sequence(t, &topic, plan, 2 * i, KAFKA_NONE, 2 * i);
	check_log(t, &topic, 0, 12);
}

static void unknown_producer(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct record_batch_plan plan = idempotent_plan(t);

	append_sequence(t, &topic, plan, 2, KAFKA_UNKNOWN_PRODUCER_ID, -1);
	append_sequence(t, &topic, plan, 0, KAFKA_NONE, 0);
	append_sequence(t, &topic, plan, 2, KAFKA_NONE, 2);
	check_log(t, &topic, 0, 4);
}

static void newer_epoch_begins_anew(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct record_batch_plan plan = idempotent_plan(t);

	append_sequence(t, &topic, plan, 0, KAFKA_NONE, 0);
	plan.producer_epoch++;
	append_sequence(t, &topic, plan, 0, KAFKA_NONE, 2);
}

static void sequence_with_gap(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct record_batch_plan plan = idempotent_plan(t);

	append_sequence(t, &topic, plan, 0, KAFKA_NONE, 0);
	append_sequence(t, &topic, plan, 4, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
	append_sequence(t, &topic, plan, 2, KAFKA_NONE, 2);
	plan.producer_epoch++;
	append_sequence(t, &topic, plan, 4, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
	check_log(t, &topic, 0, 4);
}

static void forgotten_repeat(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct record_batch_plan plan = idempotent_plan(t);

	for (int i = 0; i < 6; i++)
		append_sequence(t, &topic, plan, 2 * i, KAFKA_NONE, 2 * i);
	append_sequence(t, &topic, plan, 0, KAFKA_DUPLICATE_SEQUENCE_NUMBER, -1);
	check_log(t, &topic, 0, 12);
}

static void older_epoch(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct record_batch_plan plan = idempotent_plan(t);

	plan.producer_epoch = 3;
	append_sequence(t, &topic, plan, 0, KAFKA_NONE, 0);
	plan.producer_epoch = 2;
	append_sequence(t, &topic, plan, 2, KAFKA_INVALID_PRODUCER_EPOCH, -1);
	check_log(t, &topic, 0, 2);
}

/* --- faults ------------------------------------------------------------------------------------
 */

static const void *ask_to_store(struct test *t, const struct topic *topic)
{
	struct kafka_produce_request *request = produce_one(t, topic, 0, batch_make(t, 1));

	request->timeout_ms = FAULT_TIMEOUT_MS;
	return request;
}

/* What is refused is refused at once, but a busy machine takes its time to say so. */
static const void *ask_patiently(struct test *t, const struct topic *topic)
{
	return produce_one(t, topic, 0, batch_make(t, 1)); /* TEST_PATIENCE_MS */
}

static void check_fault(struct test *t, struct fault_round *round, int16_t error)
{
	const struct kafka_produce_response_partition *answer =
		produce_answer_of(t, fault_answer(t, round), &round->topic);

	CHECK_ERROR(t, answer->error_code, error);
	CHECK_INT(t, answer->base_offset, -1);
}

static void time_runs_out(struct test *t)
{
	static struct fault_round round = { .kind = FAULT_JOURNAL_BLOCKED, .ask = ask_to_store };

	check_fault(t, &round, KAFKA_REQUEST_TIMED_OUT);
}

static void bucket_refuses(struct test *t)
{
	static struct fault_round round = { .kind = FAULT_DATA_REFUSED, .ask = ask_patiently };

	check_fault(t, &round, KAFKA_KAFKA_STORAGE_ERROR);
}

static void in_a_transaction(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w");

	if (t->version < 12)
		CHECK_ERROR(t, writer_add(t, &w, &topic), KAFKA_NONE);
	produce_check(t, produce_send(t, &topic, writer_produce(t, &w, &topic, 2)), KAFKA_NONE, 0);
	w.sequence = 2;
	produce_check(t, produce_send(t, &topic, writer_produce(t, &w, &topic, 2)), KAFKA_NONE, 2);
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_NONE);
	check_log(t, &topic, 0, 5); /* with the marker */
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 3, 13, "batches are stored one after the other", stores },
	{ OUTCOME_SUCCESS, 3, 13, "topics and partitions are answered in the order of the request",
	  stores_many },
	{ OUTCOME_SUCCESS, 3, 13, "one ack is as good as all", stores_with_one_ack },
	{ OUTCOME_SUCCESS, 3, 13, "without acks a batch is stored and not answered",
	  stores_without_acks },
	{ OUTCOME_SUCCESS, 3, 13, "requests sent at once are stored and answered in order",
	  answers_in_order },
	{ OUTCOME_SUCCESS, 3, 13, "compressed batches are kept byte for byte", stores_compressed },
	{ OUTCOME_SUCCESS, 3, 13, "a repeated batch gets its old offset and is stored once",
	  repeats_are_stored_once },
	{ OUTCOME_SUCCESS, 3, 13, "a newer producer epoch begins with sequence 0",
	  newer_epoch_begins_anew },
	{ KAFKA_CORRUPT_MESSAGE, 3, 13, "damaged bytes give CORRUPT_MESSAGE", produce_damaged },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 3, 12,
	  "an unknown topic gives UNKNOWN_TOPIC_OR_PARTITION", produce_unknown_topic },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 3, 13,
	  "an unknown partition gives UNKNOWN_TOPIC_OR_PARTITION", produce_unknown_partition },
	/* W4 */
	{ KAFKA_UNKNOWN_TOPIC_ID, 13, 13, "an unknown or deleted id gives UNKNOWN_TOPIC_ID",
	  produce_unknown_id },
	{ KAFKA_MESSAGE_TOO_LARGE, 3, 13, "a batch over max.message.bytes gives MESSAGE_TOO_LARGE",
	  produce_too_large },
	{ KAFKA_INVALID_REQUIRED_ACKS, 3, 13, "acks of 2 gives INVALID_REQUIRED_ACKS",
	  produce_bad_acks },
	{ KAFKA_INVALID_RECORD, 3, 13, "no batch, two, or one of another kind give INVALID_RECORD",
	  produce_bad_records },
	{ KAFKA_INVALID_TIMESTAMP, 3, 13,
	  "a time that is the broker's to say gives INVALID_TIMESTAMP", produce_bad_timestamp },
	/* W20 */
	{ KAFKA_UNSUPPORTED_COMPRESSION_TYPE, 3, 6,
	  "zstd before version 7 gives UNSUPPORTED_COMPRESSION_TYPE", produce_zstd },
	{ KAFKA_UNSUPPORTED_COMPRESSION_TYPE, 3, 13,
	  "a codec that nobody knows gives UNSUPPORTED_COMPRESSION_TYPE", produce_unknown_codec },
	{ KAFKA_UNKNOWN_PRODUCER_ID, 3, 13,
	  "a producer that is not known and does not begin with 0 gives UNKNOWN_PRODUCER_ID",
	  unknown_producer },
	{ KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, 3, 13,
	  "a gap in the sequence gives OUT_OF_ORDER_SEQUENCE_NUMBER", sequence_with_gap },
	/* P6 */
	{ KAFKA_DUPLICATE_SEQUENCE_NUMBER, 3, 13,
	  "a repeat of an older batch than the last five gives DUPLICATE_SEQUENCE_NUMBER",
	  forgotten_repeat },
	{ KAFKA_INVALID_PRODUCER_EPOCH, 3, 13, "an older epoch gives INVALID_PRODUCER_EPOCH",
	  older_epoch },
	{ OUTCOME_SUCCESS, 3, 13, "batches of a transaction are stored, and end with a marker",
	  in_a_transaction },
	{ KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 3, 13,
	  "a transaction without an id gives TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
	  produce_transaction },
	{ KAFKA_INVALID_TXN_STATE, 3, 10, "a partition that was not added gives INVALID_TXN_STATE",
	  produce_not_added },
	{ KAFKA_TRANSACTION_ABORTABLE, 11, 11,
	  "a partition that was not added gives TRANSACTION_ABORTABLE", produce_not_added },
	{ KAFKA_INVALID_PRODUCER_ID_MAPPING, 3, 13,
	  "another producer's id gives INVALID_PRODUCER_ID_MAPPING", produce_other_producer },
	{ OUTCOME_CLOSED, 3, 13, "an error that no ack can tell ends the connection",
	  produce_silent_error },
	{ KAFKA_REQUEST_TIMED_OUT, 3, 13,
	  "while nothing becomes durable, producers are told REQUEST_TIMED_OUT in time",
	  time_runs_out },
	{ KAFKA_KAFKA_STORAGE_ERROR, 3, 13,
	  "a bucket that takes no data files gives KAFKA_STORAGE_ERROR", bucket_refuses },
};

static const int16_t documented[] = {
	KAFKA_CORRUPT_MESSAGE,
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	KAFKA_NOT_LEADER_OR_FOLLOWER,
	KAFKA_REQUEST_TIMED_OUT,
	KAFKA_MESSAGE_TOO_LARGE,
	KAFKA_INVALID_TOPIC_EXCEPTION,
	KAFKA_RECORD_LIST_TOO_LARGE,
	KAFKA_NOT_ENOUGH_REPLICAS,
	KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
	KAFKA_INVALID_REQUIRED_ACKS,
	KAFKA_TOPIC_AUTHORIZATION_FAILED,
	KAFKA_CLUSTER_AUTHORIZATION_FAILED,
	KAFKA_INVALID_TIMESTAMP,
	KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT,
	KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER,
	KAFKA_DUPLICATE_SEQUENCE_NUMBER,
	KAFKA_INVALID_PRODUCER_EPOCH,
	KAFKA_INVALID_TXN_STATE,
	KAFKA_INVALID_PRODUCER_ID_MAPPING,
	KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
	KAFKA_POLICY_VIOLATION,
	KAFKA_KAFKA_STORAGE_ERROR,
	KAFKA_UNKNOWN_PRODUCER_ID,
	KAFKA_UNSUPPORTED_COMPRESSION_TYPE,
	KAFKA_INVALID_RECORD,
	KAFKA_UNKNOWN_TOPIC_ID,
	KAFKA_TRANSACTION_ABORTABLE,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_NOT_LEADER_OR_FOLLOWER, ALL_VERSIONS,
	  "test_a_refused_incarnation_is_told_in_every_version", LINK_TEST },
	{ KAFKA_POLICY_VIOLATION, ALL_VERSIONS, "test_a_full_catalog_is_told_in_every_version",
	  "src/streams/agent_produce_test.c" },
	{ KAFKA_INVALID_TOPIC_EXCEPTION, ALL_VERSIONS,
	  "a name that no topic can have is an unknown one", NULL },
	{ KAFKA_RECORD_LIST_TOO_LARGE, ALL_VERSIONS, "there are no segments to fit into", NULL },
	{ KAFKA_NOT_ENOUGH_REPLICAS, ALL_VERSIONS, NO_REPLICAS, NULL },
	{ KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND, ALL_VERSIONS, NO_REPLICAS, NULL },
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT, ALL_VERSIONS,
	  "message format 2 is the only one, and has everything", NULL },
	{ KAFKA_INVALID_TXN_STATE, 11, 11, "TRANSACTION_ABORTABLE says it", NULL },
	{ KAFKA_INVALID_TXN_STATE, 12, 13, "the request itself adds the partition", NULL },
	{ KAFKA_TRANSACTION_ABORTABLE, 3, 10, "old clients get INVALID_TXN_STATE instead", NULL },
	{ KAFKA_TRANSACTION_ABORTABLE, 12, 13, "the request itself adds the partition", NULL },
	{ KAFKA_UNKNOWN_TOPIC_ID, 3, 12, "topics are named by name", NULL },
};

const struct matrix_api matrix_produce = MATRIX_API(KAFKA_API_PRODUCE, 0, 13);
