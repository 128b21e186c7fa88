/* AddOffsetsToTxn. */
#include "transactions.h"

enum { FENCED_FIRST = 2 };

static int16_t ask(struct test *t, const struct writer *w, struct slice group)
{
	const struct kafka_add_offsets_to_txn_request request = {
		.transactional_id = w->name,
		.producer_id = w->producer_id,
		.producer_epoch = w->epoch,
		.group_id = group,
	};
	const struct kafka_add_offsets_to_txn_response *response =
		test_call(t, KAFKA_API_ADD_OFFSETS_TO_TXN, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	return response->error_code;
}

static void adds(struct test *t)
{
	struct writer w = writer_make(t, "w");

	for (int i = 0; i < 2; i++)
		CHECK_ERROR(t, ask(t, &w, test_name(t, "group")), KAFKA_NONE);
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_NONE);
}

static void other_producer(struct test *t)
{
	struct writer w = writer_make(t, "w");

	w.producer_id++;
	CHECK_ERROR(t, ask(t, &w, SLICE("group")), KAFKA_INVALID_PRODUCER_ID_MAPPING);
}

static void zombie(struct test *t)
{
	struct writer w = writer_make(t, "w");

	(void)writer_again(t, &w);
	CHECK_ERROR(t, ask(t, &w, SLICE("group")),
		    t->version >= FENCED_FIRST ? KAFKA_PRODUCER_FENCED
					       : KAFKA_INVALID_PRODUCER_EPOCH);
}

static void no_group(struct test *t)
{
	struct writer w = writer_make(t, "w");

	CHECK_ERROR(t, ask(t, &w, SLICE("")), KAFKA_INVALID_GROUP_ID);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 4, "a group is added, also a second time", adds },
	{ KAFKA_INVALID_PRODUCER_ID_MAPPING, 0, 4,
	  "another producer id gives INVALID_PRODUCER_ID_MAPPING", other_producer },
	{ KAFKA_INVALID_PRODUCER_EPOCH, 0, 1, "a zombie gets INVALID_PRODUCER_EPOCH", zombie },
	{ KAFKA_PRODUCER_FENCED, 2, 4, "a zombie gets PRODUCER_FENCED", zombie },
	{ KAFKA_INVALID_GROUP_ID, 0, 4, "a group without a name gives INVALID_GROUP_ID", no_group },
};

static const int16_t documented[] = {
	KAFKA_NOT_COORDINATOR,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_INVALID_PRODUCER_ID_MAPPING,
	KAFKA_INVALID_PRODUCER_EPOCH,
	KAFKA_INVALID_TXN_STATE,
	KAFKA_GROUP_AUTHORIZATION_FAILED,
	KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
	KAFKA_INVALID_GROUP_ID,
	KAFKA_CONCURRENT_TRANSACTIONS,
	KAFKA_PRODUCER_FENCED,
	KAFKA_TRANSACTION_ABORTABLE,
};

static const struct matrix_absent absent[] = {
	TRANSACTIONS_ABSENT,
	{ KAFKA_INVALID_TXN_STATE, ALL_VERSIONS, NOTHING_PASSES, NULL },
	{ KAFKA_GROUP_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_INVALID_PRODUCER_EPOCH, 2, 4, SAID_BY_FENCED, NULL },
	{ KAFKA_PRODUCER_FENCED, 0, 1, "old clients get INVALID_PRODUCER_EPOCH instead", NULL },
	{ KAFKA_TRANSACTION_ABORTABLE, ALL_VERSIONS, NOTHING_PASSES, NULL },
};

const struct matrix_api matrix_add_offsets_to_txn = MATRIX_API(KAFKA_API_ADD_OFFSETS_TO_TXN, 0, 4);
