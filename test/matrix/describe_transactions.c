/* DescribeTransactions. */
#include "transactions.h"

static const struct kafka_describe_transactions_response_transaction *ask(struct test *t,
									  struct slice name)
{
	const struct kafka_describe_transactions_request request = { &name, 1 };
	const struct kafka_describe_transactions_response *response =
		test_call(t, KAFKA_API_DESCRIBE_TRANSACTIONS, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->transaction_states_count, 1);
	CHECK_SLICE(t, response->transaction_states[0].transactional_id, name);
	return &response->transaction_states[0];
}

static void describes(struct test *t)
{
	const struct kafka_describe_transactions_response_transaction *d;
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w");

	d = ask(t, w.name);
	CHECK_ERROR(t, d->error_code, KAFKA_NONE);
	CHECK_TEXT(t, d->transaction_state, "Empty");
	CHECK_INT(t, d->transaction_start_time_ms, -1);
	CHECK_INT(t, d->topics_count, 0);
	CHECK_INT(t, writer_write(t, &w, &topic, 1), 0);
	d = ask(t, w.name);
	CHECK_TEXT(t, d->transaction_state, "Ongoing");
	CHECK(t, d->transaction_start_time_ms > BATCH_TIME_MS);
	CHECK_INT(t, d->transaction_timeout_ms, 60000);
	CHECK_INT(t, d->producer_id, w.producer_id);
	CHECK_INT(t, d->producer_epoch, w.epoch);
	CHECK_INT(t, d->topics_count, 1);
	CHECK_SLICE(t, d->topics[0].topic, topic.name);
	CHECK_INT(t, d->topics[0].partitions_count, 1);
	CHECK_INT(t, d->topics[0].partitions[0], 0);
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_NONE);
	CHECK_TEXT(t, ask(t, w.name)->transaction_state, "CompleteCommit");
}

static void unknown(struct test *t)
{
	CHECK_ERROR(t, ask(t, test_name(t, "missing"))->error_code,
		    KAFKA_TRANSACTIONAL_ID_NOT_FOUND);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 0, "what a transaction is doing", describes },
	{ KAFKA_TRANSACTIONAL_ID_NOT_FOUND, 0, 0, "an unknown id gives TRANSACTIONAL_ID_NOT_FOUND",
	  unknown },
};

static const int16_t documented[] = {
	KAFKA_TRANSACTIONAL_ID_NOT_FOUND,
	KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
	KAFKA_NOT_COORDINATOR,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_NOT_COORDINATOR, ALL_VERSIONS, ANY_AGENT_COORDINATES, NULL },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, NOT_LED },
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, "nothing is loaded", NULL },
};

const struct matrix_api matrix_describe_transactions =
	MATRIX_API(KAFKA_API_DESCRIBE_TRANSACTIONS, 0, 0);
