/* ListTransactions: which transactional ids there are, filtered.  Each agent lists its share, since
 * clients add up what all of them say. */
#include "kafka_messages.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/roll.h"
#include "streams/coordinator/topic_pattern.h"
#include "streams/coordinator/transaction.h"
#include "wire/kafka/errors.h"

enum { FILTERS_MAX = 10000 };

/* States that Kafka has and that no transaction is in here: nothing is between two states. */
static const char *const passing_states[] = { "PrepareCommit", "PrepareAbort", "Dead",
					      "PrepareEpochFence" };

static bool is_state(struct slice word)
{
	for (int i = 0; i < TRANSACTION_STATES; i++)
		if (slice_equal(word,
				slice_from(transaction_state_name((enum transaction_state)i))))
			return true;
	for (size_t i = 0; i < sizeof(passing_states) / sizeof(passing_states[0]); i++)
		if (slice_equal(word, slice_from(passing_states[i])))
			return true;
	return false;
}

static bool is_wanted_state(const struct kafka_list_transactions_request *request,
			    struct slice name)
{
	if (request->state_filters_count == 0)
		return true;
	for (size_t i = 0; i < request->state_filters_count; i++)
		if (slice_equal(request->state_filters[i], name))
			return true;
	return false;
}

static bool is_wanted_producer(const struct kafka_list_transactions_request *request,
			       int64_t producer_id)
{
	if (request->producer_id_filters_count == 0)
		return true;
	for (size_t i = 0; i < request->producer_id_filters_count; i++)
		if (request->producer_id_filters[i] == producer_id)
			return true;
	return false;
}

/* Those that run for longer than the filter says. */
static bool is_wanted_duration(const struct operation_call *call, bool is_ongoing,
			       int64_t started_ms)
{
	const struct kafka_list_transactions_request *request = call->request;

	return request->duration_filter < 0 ||
	       (is_ongoing && call->now_ms - started_ms > request->duration_filter);
}

static void tell_unknown_states(struct operation_call *call)
{
	const struct kafka_list_transactions_request *request = call->request;
	struct kafka_list_transactions_response *response = call->response;

	response->unknown_state_filters =
		arena_take_array(call->arena, request->state_filters_count,
				 sizeof(*response->unknown_state_filters));
	for (size_t i = 0; i < request->state_filters_count; i++)
		if (!is_state(request->state_filters[i]))
			response->unknown_state_filters[response->unknown_state_filters_count++] =
				request->state_filters[i];
}

struct listing {
	struct operation_call *call;
	struct roll_share share;
	struct topic_pattern *pattern; /* of transactional ids; NULL: any */
};

static bool is_wanted_name(const struct listing *l, struct slice name)
{
	return roll_share_has(&l->share, name) &&
	       (!l->pattern || topic_pattern_matches(l->pattern, name)) &&
	       operation_sees(l->call, GRANT_DESCRIBE, GRANT_TRANSACTIONAL_ID, name);
}

static void list_one(const struct listing *l, sqlite3_stmt *st)
{
	struct operation_call *call = l->call;
	struct kafka_list_transactions_response *response = call->response;
	int state = sqlite3_column_int(st, 2);
	struct slice name = cell_column_text(st, 0);

	if (state < 0 || state >= TRANSACTION_STATES || !is_wanted_name(l, name))
		return;
	struct slice state_name = slice_from(transaction_state_name((enum transaction_state)state));
	if (!is_wanted_state(call->request, state_name) ||
	    !is_wanted_producer(call->request, sqlite3_column_int64(st, 1)) ||
	    !is_wanted_duration(call, state == TRANSACTION_ONGOING, sqlite3_column_int64(st, 3)))
		return;
	response->transaction_states[response->transaction_states_count++] =
		(struct kafka_list_transactions_response_transaction) {
			.transactional_id = arena_copy(call->arena, name),
			.producer_id = sqlite3_column_int64(st, 1),
			.transaction_state = state_name,
		};
}

static void list_all(struct cell *cell, const struct listing *l)
{
	struct kafka_list_transactions_response *response = l->call->response;
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT name, producer_id, state, started_ms FROM transactional"
			       " ORDER BY name");

	response->transaction_states = arena_take_array(l->call->arena, TRANSACTIONAL_IDS_MAX,
							sizeof(*response->transaction_states));
	while (response->transaction_states_count < TRANSACTIONAL_IDS_MAX && cell_next(cell, st))
		list_one(l, st);
	sqlite3_reset(st);
}

static enum err list_transactions(struct cell *cell, struct operation_call *call)
{
	struct listing l = { .call = call };
	const struct kafka_list_transactions_request *request = call->request;
	struct kafka_list_transactions_response *response = call->response;

	if (request->state_filters_count > FILTERS_MAX ||
	    request->producer_id_filters_count > FILTERS_MAX)
		return ERR_INVALID;
	tell_unknown_states(call);
	if (request->transactional_id_pattern.size > 0 &&
	    topic_pattern_new(request->transactional_id_pattern, &l.pattern)) {
		response->error_code = KAFKA_INVALID_REGULAR_EXPRESSION;
		return OK;
	}
	roll_find_share(cell, call->session.incarnation, &l.share);
	list_all(cell, &l);
	topic_pattern_free(l.pattern);
	return OK;
}

static void list_transactions_fail(struct operation_call *call, int16_t error)
{
	struct kafka_list_transactions_response *response = call->response;

	response->error_code = error;
}

const struct coordinator_operation list_transactions_operation = {
	.api_key = KAFKA_API_LIST_TRANSACTIONS,
	.needs_fence = true,
	.run = list_transactions,
	.fail = list_transactions_fail,
};
