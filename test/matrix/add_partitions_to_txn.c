/* AddPartitionsToTxn: up to version 3 of clients, from version 4 on of brokers. */
#include "transactions.h"

enum { SEVERAL_FIRST = 4, FENCED_FIRST = 2 };

/* Partitions `first` and 0 of the topic; the errors of both. */
static void ask(struct test *t, const struct writer *w, const struct topic *topic, int32_t first,
		bool verify_only, int16_t ret[2])
{
	int32_t partitions[] = { first, 0 };
	struct kafka_add_partitions_to_txn_request_topic new_topic = { topic->name, partitions, 2 };
	struct kafka_add_partitions_to_txn_request_old_topic old_topic = { topic->name, partitions,
									   2 };
	struct kafka_add_partitions_to_txn_request_transaction one = {
		.transactional_id = w->name,
		.producer_id = w->producer_id,
		.producer_epoch = w->epoch,
		.verify_only = verify_only,
		.topics = &new_topic,
		.topics_count = 1,
	};
	const struct kafka_add_partitions_to_txn_request request = {
		.transactions = &one,
		.transactions_count = 1,
		.v3_and_below_transactional_id = w->name,
		.v3_and_below_producer_id = w->producer_id,
		.v3_and_below_producer_epoch = w->epoch,
		.v3_and_below_topics = &old_topic,
		.v3_and_below_topics_count = 1,
	};
	const struct kafka_add_partitions_to_txn_response *response =
		test_call(t, KAFKA_API_ADD_PARTITIONS_TO_TXN, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	for (int i = 0; i < 2; i++) {
		if (t->version >= SEVERAL_FIRST) {
			CHECK_INT(t, response->results_by_transaction_count, 1);
			CHECK_SLICE(t, response->results_by_transaction[0].transactional_id,
				    w->name);
			CHECK_INT(t, response->results_by_transaction[0].topic_results_count, 1);
			ret[i] = response->results_by_transaction[0]
					 .topic_results[0]
					 .results_by_partition[i]
					 .partition_error_code;
		} else {
			CHECK_INT(t, response->results_by_topic_v3_and_below_count, 1);
			CHECK_SLICE(t, response->results_by_topic_v3_and_below[0].name,
				    topic->name);
			ret[i] = response->results_by_topic_v3_and_below[0]
					 .results_by_partition[i]
					 .partition_error_code;
		}
	}
}

static void check(struct test *t, const struct writer *w, const struct topic *topic,
		  int32_t partition, int16_t error, int16_t error_of_0)
{
	int16_t got[2];

	ask(t, w, topic, partition, false, got);
	CHECK_ERROR(t, got[0], error);
	CHECK_ERROR(t, got[1], error_of_0);
}

static void adds(struct test *t)
{
	struct topic topic = topic_make(t, 2);
	struct writer w = writer_make(t, "w");

	for (int i = 0; i < 2; i++)
		check(t, &w, &topic, 1, KAFKA_NONE, KAFKA_NONE);
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_NONE);
}

static void unknown_partition(struct test *t)
{
	struct topic topic = topic_make(t, 1), missing = topic_missing(t);
	struct writer w = writer_make(t, "w");

	check(t, &w, &topic, 1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, KAFKA_OPERATION_NOT_ATTEMPTED);
	check(t, &w, &missing, 1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	      KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_INVALID_TXN_STATE);
}

static void other_producer(struct test *t)
{
	struct topic topic = topic_make(t, 2);
	struct writer w = writer_make(t, "w");

	w.producer_id++;
	check(t, &w, &topic, 1, KAFKA_INVALID_PRODUCER_ID_MAPPING,
	      KAFKA_INVALID_PRODUCER_ID_MAPPING);
}

static void zombie(struct test *t)
{
	int16_t error =
		t->version >= FENCED_FIRST ? KAFKA_PRODUCER_FENCED : KAFKA_INVALID_PRODUCER_EPOCH;
	struct topic topic = topic_make(t, 2);
	struct writer w = writer_make(t, "w");

	(void)writer_again(t, &w);
	check(t, &w, &topic, 1, error, error);
}

static void verifies(struct test *t)
{
	struct topic topic = topic_make(t, 2);
	struct writer w = writer_make(t, "w");
	int16_t got[2];

	CHECK_ERROR(t, writer_add(t, &w, &topic), KAFKA_NONE);
	ask(t, &w, &topic, 1, true, got);
	CHECK_ERROR(t, got[0], KAFKA_TRANSACTION_ABORTABLE);
	CHECK_ERROR(t, got[1], KAFKA_NONE);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 5, "partitions are added, also a second time", adds },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 0, 5,
	  "an unknown partition gives UNKNOWN_TOPIC_OR_PARTITION", unknown_partition },
	{ KAFKA_OPERATION_NOT_ATTEMPTED, 0, 5,
	  "beside an unknown partition others give OPERATION_NOT_ATTEMPTED", unknown_partition },
	{ KAFKA_INVALID_PRODUCER_ID_MAPPING, 0, 5,
	  "another producer id gives INVALID_PRODUCER_ID_MAPPING", other_producer },
	{ KAFKA_INVALID_PRODUCER_EPOCH, 0, 1, "a zombie gets INVALID_PRODUCER_EPOCH", zombie },
	{ KAFKA_PRODUCER_FENCED, 2, 5, "a zombie gets PRODUCER_FENCED", zombie },
	{ KAFKA_TRANSACTION_ABORTABLE, 4, 5, "what is not added is verified as such", verifies },
};

static const int16_t documented[] = {
	KAFKA_NOT_COORDINATOR,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_INVALID_TXN_STATE,
	KAFKA_INVALID_PRODUCER_ID_MAPPING,
	KAFKA_INVALID_PRODUCER_EPOCH,
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	KAFKA_TOPIC_AUTHORIZATION_FAILED,
	KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
	KAFKA_OPERATION_NOT_ATTEMPTED,
	KAFKA_CONCURRENT_TRANSACTIONS,
	KAFKA_PRODUCER_FENCED,
	KAFKA_TRANSACTION_ABORTABLE,
};

static const struct matrix_absent absent[] = {
	TRANSACTIONS_ABSENT,
	{ KAFKA_INVALID_TXN_STATE, ALL_VERSIONS, NOTHING_PASSES, NULL },
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_INVALID_PRODUCER_EPOCH, 2, 5, SAID_BY_FENCED, NULL },
	{ KAFKA_PRODUCER_FENCED, 0, 1, "old clients get INVALID_PRODUCER_EPOCH instead", NULL },
	{ KAFKA_TRANSACTION_ABORTABLE, 0, 3, "clients add, they do not verify", NULL },
};

const struct matrix_api matrix_add_partitions_to_txn =
	MATRIX_API(KAFKA_API_ADD_PARTITIONS_TO_TXN, 0, 5);
