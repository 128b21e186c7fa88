/* InitProducerId, for idempotent producers. */
#include "fixture.h"
#include "matrix.h"

static const struct kafka_init_producer_id_response *ask(struct test *t,
							 struct slice transactional_id,
							 int64_t producer_id, int16_t epoch)
{
	const struct kafka_init_producer_id_request request = {
		.transactional_id = transactional_id,
		.transaction_timeout_ms = 60000,
		.producer_id = producer_id,
		.producer_epoch = epoch,
	};
	const struct kafka_init_producer_id_response *response =
		test_call(t, KAFKA_API_INIT_PRODUCER_ID, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	return response;
}

static int64_t check_new(struct test *t, const struct kafka_init_producer_id_response *response)
{
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK(t, response->producer_id >= 0);
	CHECK_INT(t, response->producer_epoch, 0);
	return response->producer_id;
}

static void gives_a_new_id(struct test *t)
{
	int64_t first = check_new(t, ask(t, (struct slice) { 0 }, -1, -1));
	int64_t second = check_new(t, ask(t, (struct slice) { 0 }, -1, -1));

	CHECK(t, first != second);
}

static void gives_an_id_that_can_write(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct record_batch_plan plan = { .leader_epoch = -1 };

	plan.producer_id = check_new(t, ask(t, (struct slice) { 0 }, -1, -1));
	CHECK_INT(t, topic_append(t, &topic, 0, batch_plan(t, &plan, 2)), 0);
	CHECK_INT(t, topic_append(t, &topic, 0, batch_plan(t, &plan, 2)), 0);
}

/* A producer that had a fatal error asks to go on; without a transaction it gets a new id. */
static void gives_another_id_for_an_old_one(struct test *t)
{
	int64_t first = check_new(t, ask(t, (struct slice) { 0 }, -1, -1));

	CHECK(t, check_new(t, ask(t, (struct slice) { 0 }, first, 0)) != first);
}

static void check_refused(struct test *t, const struct kafka_init_producer_id_response *response,
			  int16_t error)
{
	CHECK_ERROR(t, response->error_code, error);
	CHECK_INT(t, response->producer_id, -1);
	CHECK_INT(t, response->producer_epoch, -1);
}

static void empty_transactional_id(struct test *t)
{
	check_refused(t, ask(t, SLICE(""), -1, -1), KAFKA_INVALID_REQUEST);
}

static void half_a_producer(struct test *t)
{
	check_refused(t, ask(t, (struct slice) { 0 }, 5, -1), KAFKA_INVALID_REQUEST);
	check_refused(t, ask(t, (struct slice) { 0 }, -1, 5), KAFKA_INVALID_REQUEST);
}

/* Fatal for every client, with a word that its user understands. */
static void transaction(struct test *t)
{
	check_refused(t, ask(t, SLICE("some transaction"), -1, -1),
		      KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 5, "every producer gets an id of its own, in epoch 0",
	  gives_a_new_id },
	{ OUTCOME_SUCCESS, 0, 5, "the id makes repeats harmless", gives_an_id_that_can_write },
	{ OUTCOME_SUCCESS, 3, 5, "a producer that begins anew gets another id",
	  gives_another_id_for_an_old_one },
	{ KAFKA_INVALID_REQUEST, 0, 5, "an empty transactional id gives INVALID_REQUEST",
	  empty_transactional_id },
	{ KAFKA_INVALID_REQUEST, 3, 5, "an id without an epoch gives INVALID_REQUEST",
	  half_a_producer },
	{ KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 0, 5,
	  "a transaction gives TRANSACTIONAL_ID_AUTHORIZATION_FAILED", transaction },
};

static const int16_t documented[] = {
	KAFKA_NOT_COORDINATOR,
	KAFKA_REQUEST_TIMED_OUT,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
	KAFKA_CLUSTER_AUTHORIZATION_FAILED,
	KAFKA_INVALID_REQUEST,
	KAFKA_INVALID_TRANSACTION_TIMEOUT,
	KAFKA_CONCURRENT_TRANSACTIONS,
	KAFKA_INVALID_PRODUCER_EPOCH,
	KAFKA_PRODUCER_FENCED,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_NOT_COORDINATOR, ALL_VERSIONS, ANY_AGENT_COORDINATES, NULL },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, NOT_LED },
	{ KAFKA_REQUEST_TIMED_OUT, ALL_VERSIONS, OUTCOME_LOST },
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, "nothing is loaded", NULL },
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_INVALID_TRANSACTION_TIMEOUT, ALL_VERSIONS, NO_TRANSACTIONS, NULL },
	{ KAFKA_CONCURRENT_TRANSACTIONS, ALL_VERSIONS, NO_TRANSACTIONS, NULL },
	{ KAFKA_INVALID_PRODUCER_EPOCH, ALL_VERSIONS, NO_TRANSACTIONS, NULL },
	{ KAFKA_PRODUCER_FENCED, ALL_VERSIONS, NO_TRANSACTIONS, NULL },
};

const struct matrix_api matrix_init_producer_id = MATRIX_API(KAFKA_API_INIT_PRODUCER_ID, 0, 5);
