/* InitProducerId, for idempotent producers and for transactional ones. */
#include "transactions.h"

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

static void transactional(struct test *t)
{
	struct slice name = test_name(t, "w");
	int64_t first = check_new(t, ask(t, name, -1, -1));
	const struct kafka_init_producer_id_response *response = ask(t, name, -1, -1);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->producer_id, first);
	CHECK_INT(t, response->producer_epoch, 1);
}

/* What a transactional producer does after an error; its first answer may have been lost. */
static void goes_on(struct test *t)
{
	struct writer w = writer_make(t, "w");

	for (int i = 0; i < 2; i++) {
		const struct kafka_init_producer_id_response *response =
			ask(t, w.name, w.producer_id, w.epoch);
		CHECK_ERROR(t, response->error_code, KAFKA_NONE);
		CHECK_INT(t, response->producer_id, w.producer_id);
		CHECK_INT(t, response->producer_epoch, w.epoch + 1);
	}
}

static void zombie(struct test *t)
{
	struct writer w = writer_make(t, "w");

	(void)writer_again(t, &w);
	check_refused(t, ask(t, w.name, w.producer_id, w.epoch),
		      t->version >= 4 ? KAFKA_PRODUCER_FENCED : KAFKA_INVALID_PRODUCER_EPOCH);
}

static void bad_timeout(struct test *t)
{
	static const int32_t bad[] = { 0, -1, 900001 };

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++) {
		const struct kafka_init_producer_id_request request = {
			.transactional_id = test_name(t, "w"),
			.transaction_timeout_ms = bad[i],
			.producer_id = -1,
			.producer_epoch = -1,
		};
		check_refused(t, test_call(t, KAFKA_API_INIT_PRODUCER_ID, t->version, &request),
			      KAFKA_INVALID_TRANSACTION_TIMEOUT);
	}
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
	{ OUTCOME_SUCCESS, 0, 5, "a transactional id keeps its producer id, in the next epoch",
	  transactional },
	{ OUTCOME_SUCCESS, 3, 5, "a transactional producer goes on, also if it asks twice",
	  goes_on },
	/* W9 */
	{ KAFKA_INVALID_TRANSACTION_TIMEOUT, 0, 5,
	  "a timeout of 0 or over 15 minutes gives INVALID_TRANSACTION_TIMEOUT", bad_timeout },
	{ KAFKA_INVALID_PRODUCER_EPOCH, 3, 3,
	  "a zombie that would go on gets INVALID_PRODUCER_EPOCH", zombie },
	{ KAFKA_PRODUCER_FENCED, 4, 5, "a zombie that would go on gets PRODUCER_FENCED", zombie },
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
	{ KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_CONCURRENT_TRANSACTIONS, ALL_VERSIONS, NOTHING_PASSES, NULL },
	{ KAFKA_INVALID_PRODUCER_EPOCH, 0, 2, "the request names no producer", NULL },
	{ KAFKA_INVALID_PRODUCER_EPOCH, 4, 5, SAID_BY_FENCED, NULL },
	{ KAFKA_PRODUCER_FENCED, 0, 2, "the request names no producer", NULL },
	{ KAFKA_PRODUCER_FENCED, 3, 3, "old clients get INVALID_PRODUCER_EPOCH instead", NULL },
};

const struct matrix_api matrix_init_producer_id = MATRIX_API(KAFKA_API_INIT_PRODUCER_ID, 0, 5);
