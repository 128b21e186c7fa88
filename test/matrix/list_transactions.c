/* ListTransactions. */
#include "transactions.h"

enum { DURATION_FIRST = 1 };

static bool is_listed(const struct kafka_list_transactions_response *response,
		      const struct writer *w)
{
	for (size_t i = 0; i < response->transaction_states_count; i++)
		if (slice_equal(response->transaction_states[i].transactional_id, w->name))
			return response->transaction_states[i].producer_id == w->producer_id;
	return false;
}

static const struct kafka_list_transactions_response *ask(
	struct test *t, const struct kafka_list_transactions_request *request)
{
	const struct kafka_list_transactions_response *response =
		test_call(t, KAFKA_API_LIST_TRANSACTIONS, t->version, request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	return response;
}

static void lists(struct test *t)
{
	struct kafka_list_transactions_request all = { .duration_filter = -1 };
	struct kafka_list_transactions_request long_ones = { .duration_filter = 3600000 };
	struct kafka_list_transactions_request one = { .duration_filter = -1 };
	struct topic topic = topic_make(t, 1);
	struct writer v = writer_make(t, "v"), w = writer_make(t, "w");

	CHECK_INT(t, writer_write(t, &w, &topic, 1), 0);
	CHECK(t, is_listed(ask(t, &all), &v));
	CHECK(t, is_listed(ask(t, &all), &w));
	CHECK(t, is_listed(ask(t, &long_ones), &w) == (t->version < DURATION_FIRST));
	one.producer_id_filters = &v.producer_id;
	one.producer_id_filters_count = 1;
	CHECK_INT(t, ask(t, &one)->transaction_states_count, 1);
	CHECK(t, is_listed(ask(t, &one), &v));
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_NONE);
}

static void filters_states(struct test *t)
{
	struct slice states[] = { SLICE("Ongoing"), SLICE("Dreaming") };
	struct kafka_list_transactions_request request = { .state_filters = states,
							   .state_filters_count = 2,
							   .duration_filter = -1 };
	struct topic topic = topic_make(t, 1);
	struct writer v = writer_make(t, "v"), w = writer_make(t, "w");

	CHECK_INT(t, writer_write(t, &w, &topic, 1), 0);
	const struct kafka_list_transactions_response *response = ask(t, &request);
	CHECK(t, !is_listed(response, &v));
	CHECK(t, is_listed(response, &w));
	CHECK_INT(t, response->unknown_state_filters_count, 1);
	CHECK_TEXT(t, response->unknown_state_filters[0], "Dreaming");
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_NONE);
}

static void filters_names(struct test *t)
{
	struct kafka_list_transactions_request request = { .duration_filter = -1 };
	struct writer v = writer_make(t, "v"), w = writer_make(t, "w");

	request.transactional_id_pattern = test_format(t, "%.*s|nothing", SLICE_ARG(w.name));
	const struct kafka_list_transactions_response *response = ask(t, &request);
	CHECK(t, !is_listed(response, &v));
	CHECK(t, is_listed(response, &w));
}

static void bad_pattern(struct test *t)
{
	struct kafka_list_transactions_request request = {
		.duration_filter = -1,
		.transactional_id_pattern = SLICE("(never closed"),
	};
	const struct kafka_list_transactions_response *response =
		test_call(t, KAFKA_API_LIST_TRANSACTIONS, t->version, &request);

	CHECK_ERROR(t, response->error_code, KAFKA_INVALID_REGULAR_EXPRESSION);
	CHECK_INT(t, response->transaction_states_count, 0);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 2, 2, "those whose id a pattern matches as a whole", filters_names },
	{ KAFKA_INVALID_REGULAR_EXPRESSION, 2, 2,
	  "what is no pattern gives INVALID_REGULAR_EXPRESSION", bad_pattern },
	{ OUTCOME_SUCCESS, 0, 2, "transactional ids, also those that do nothing", lists },
	{ OUTCOME_SUCCESS, 0, 2, "those in certain states; what is no state is told",
	  filters_states },
};

static const int16_t documented[] = {
	KAFKA_INVALID_REGULAR_EXPRESSION,
	KAFKA_NOT_COORDINATOR,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_INVALID_REGULAR_EXPRESSION, 0, 1, "the request has no pattern", NULL },
	{ KAFKA_NOT_COORDINATOR, ALL_VERSIONS, ANY_AGENT_COORDINATES, NULL },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, NOT_LED },
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, "nothing is loaded", NULL },
};

const struct matrix_api matrix_list_transactions = MATRIX_API(KAFKA_API_LIST_TRANSACTIONS, 0, 2);
