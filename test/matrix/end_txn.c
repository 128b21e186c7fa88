/* EndTxn. */
#include "transactions.h"

enum { NEXT_EPOCH_FIRST = 5, FENCED_FIRST = 2 };

static const struct kafka_end_txn_response *ask(struct test *t, const struct writer *w,
						bool commits)
{
	const struct kafka_end_txn_request request = {
		.transactional_id = w->name,
		.producer_id = w->producer_id,
		.producer_epoch = w->epoch,
		.committed = commits,
	};
	const struct kafka_end_txn_response *response =
		test_call(t, KAFKA_API_END_TXN, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	return response;
}

static void check_ended(struct test *t, const struct writer *w,
			const struct kafka_end_txn_response *response)
{
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_SINCE(t, NEXT_EPOCH_FIRST, response->producer_id, w->producer_id, -1);
	CHECK_SINCE(t, NEXT_EPOCH_FIRST, response->producer_epoch, w->epoch + 1, -1);
}

static void check_end(struct test *t, bool commits)
{
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w");

	CHECK_INT(t, writer_write(t, &w, &topic, 3), 0);
	check_ended(t, &w, ask(t, &w, commits));
	check_ended(t, &w, ask(t, &w, commits)); /* the same again */
	CHECK_ERROR(t, ask(t, &w, !commits)->error_code, KAFKA_INVALID_TXN_STATE);
	CHECK_INT(t, topic_append(t, &topic, 0, batch_make(t, 1)), 4); /* behind the marker */
}

static void commits(struct test *t)
{
	check_end(t, true);
}

static void aborts(struct test *t)
{
	check_end(t, false);
}

static void nothing_began(struct test *t)
{
	struct writer w = writer_make(t, "w");

	CHECK_ERROR(t, ask(t, &w, true)->error_code, KAFKA_INVALID_TXN_STATE);
}

static void unknown_id(struct test *t)
{
	struct writer w = { .name = test_name(t, "missing"), .producer_id = 5 };

	CHECK_ERROR(t, ask(t, &w, true)->error_code, KAFKA_INVALID_PRODUCER_ID_MAPPING);
	w = writer_make(t, "w");
	w.producer_id++;
	CHECK_ERROR(t, ask(t, &w, true)->error_code, KAFKA_INVALID_PRODUCER_ID_MAPPING);
}

static void zombie(struct test *t)
{
	struct writer w = writer_make(t, "w");

	(void)writer_again(t, &w);
	CHECK_ERROR(t, ask(t, &w, true)->error_code,
		    t->version >= FENCED_FIRST ? KAFKA_PRODUCER_FENCED
					       : KAFKA_INVALID_PRODUCER_EPOCH);
}

static void no_id(struct test *t)
{
	struct writer w = { .name = SLICE("") };

	CHECK_ERROR(t, ask(t, &w, true)->error_code, KAFKA_INVALID_REQUEST);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 5, "a commit ends the transaction, also a second time", commits },
	{ OUTCOME_SUCCESS, 0, 5, "an abort ends the transaction, also a second time", aborts },
	{ KAFKA_INVALID_TXN_STATE, 0, 5, "a commit of nothing gives INVALID_TXN_STATE",
	  nothing_began },
	{ KAFKA_INVALID_PRODUCER_ID_MAPPING, 0, 5,
	  "another producer id gives INVALID_PRODUCER_ID_MAPPING", unknown_id },
	{ KAFKA_INVALID_PRODUCER_EPOCH, 0, 1, "a zombie gets INVALID_PRODUCER_EPOCH", zombie },
	{ KAFKA_PRODUCER_FENCED, 2, 5, "a zombie gets PRODUCER_FENCED", zombie },
	{ KAFKA_INVALID_REQUEST, 0, 5, "an empty transactional id gives INVALID_REQUEST", no_id },
};

static const int16_t documented[] = {
	KAFKA_NOT_COORDINATOR,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_INVALID_TXN_STATE,
	KAFKA_INVALID_PRODUCER_ID_MAPPING,
	KAFKA_INVALID_PRODUCER_EPOCH,
	KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
	KAFKA_INVALID_REQUEST,
	KAFKA_CONCURRENT_TRANSACTIONS,
	KAFKA_PRODUCER_FENCED,
	KAFKA_TRANSACTION_ABORTABLE,
};

static const struct matrix_absent absent[] = {
	TRANSACTIONS_ABSENT,
	{ KAFKA_INVALID_PRODUCER_EPOCH, 2, 5, SAID_BY_FENCED, NULL },
	{ KAFKA_PRODUCER_FENCED, 0, 1, "old clients get INVALID_PRODUCER_EPOCH instead", NULL },
	{ KAFKA_TRANSACTION_ABORTABLE, ALL_VERSIONS,
	  "who ends a transaction either may or is told why not", NULL },
};

const struct matrix_api matrix_end_txn = MATRIX_API(KAFKA_API_END_TXN, 0, 5);
