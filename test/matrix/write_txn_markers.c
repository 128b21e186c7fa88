/* WriteTxnMarkers: an administrator ends a transaction whose producer hangs. */
#include "transactions.h"

static int16_t ask(struct test *t, const struct writer *w, const struct topic *topic, bool commits)
{
	int32_t zero = 0;
	struct kafka_write_txn_markers_request_topic one = { topic->name, &zero, 1 };
	struct kafka_write_txn_markers_request_marker marker = {
		.producer_id = w->producer_id,
		.producer_epoch = w->epoch,
		.transaction_result = commits,
		.topics = &one,
		.topics_count = 1,
	};
	const struct kafka_write_txn_markers_request request = { &marker, 1 };
	const struct kafka_write_txn_markers_response *response =
		test_call(t, KAFKA_API_WRITE_TXN_MARKERS, t->version, &request);

	CHECK_INT(t, response->markers_count, 1);
	CHECK_INT(t, response->markers[0].producer_id, w->producer_id);
	CHECK_SLICE(t, response->markers[0].topics[0].name, topic->name);
	return response->markers[0].topics[0].partitions[0].error_code;
}

static void aborts(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w");

	CHECK_INT(t, writer_write(t, &w, &topic, 3), 0);
	for (int i = 0; i < 2; i++)
		CHECK_ERROR(t, ask(t, &w, &topic, false), KAFKA_NONE);
	CHECK_INT(t, topic_append(t, &topic, 0, batch_make(t, 1)), 4);
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_PRODUCER_FENCED);
}

static void unknown_topic(struct test *t)
{
	struct writer w = writer_make(t, "w");
	struct topic missing = topic_missing(t);

	CHECK_ERROR(t, ask(t, &w, &missing, false), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void older_epoch(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w"), next = writer_again(t, &w);

	CHECK_INT(t, writer_write(t, &next, &topic, 3), 0);
	CHECK_ERROR(t, ask(t, &w, &topic, false), KAFKA_INVALID_PRODUCER_EPOCH);
	CHECK_ERROR(t, writer_end(t, &next, true), KAFKA_NONE);
}

static void commits(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w");

	CHECK_INT(t, writer_write(t, &w, &topic, 3), 0);
	CHECK_ERROR(t, ask(t, &w, &topic, true), KAFKA_INVALID_TXN_STATE);
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_NONE);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 1, 2, "an abort ends the transaction and fences its producer", aborts },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 1, 2,
	  "an unknown topic gives UNKNOWN_TOPIC_OR_PARTITION", unknown_topic },
	{ KAFKA_INVALID_PRODUCER_EPOCH, 1, 2, "an older epoch gives INVALID_PRODUCER_EPOCH",
	  older_epoch },
	{ KAFKA_INVALID_TXN_STATE, 1, 2, "a commit gives INVALID_TXN_STATE: only producers commit",
	  commits },
};

static const int16_t documented[] = {
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	KAFKA_INVALID_PRODUCER_EPOCH,
	KAFKA_INVALID_TXN_STATE,
	KAFKA_TRANSACTION_COORDINATOR_FENCED,
	KAFKA_CLUSTER_AUTHORIZATION_FAILED,
	KAFKA_NOT_LEADER_OR_FOLLOWER,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_TRANSACTION_COORDINATOR_FENCED, ALL_VERSIONS, "there is one coordinator", NULL },
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_NOT_LEADER_OR_FOLLOWER, ALL_VERSIONS, ANY_AGENT_LEADS, NULL },
};

const struct matrix_api matrix_write_txn_markers = MATRIX_API(KAFKA_API_WRITE_TXN_MARKERS, 1, 2);
