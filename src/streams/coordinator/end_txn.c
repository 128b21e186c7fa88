/* EndTxn: commit or abort, everything at once.
 *
 * Up to version 4 the epoch stays what it is: asking again gets the same answer, asking for the
 * opposite INVALID_TXN_STATE.  From version 5 on (KIP-890) each end takes the next epoch, which the
 * answer tells; asking again is then told by the epoch before. */
#include "kafka_messages.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/transaction_speaker.h"
#include "wire/kafka/errors.h"

enum { NEXT_EPOCH_VERSION_FIRST = 5 };

static enum transaction_state wanted_state(const struct kafka_end_txn_request *request)
{
	return request->committed ? TRANSACTION_COMMITTED : TRANSACTION_ABORTED;
}

/* --- the first protocol ------------------------------------------------------------------------
 */

static enum err end_first(struct cell *cell, struct operation_call *call,
			  const struct transaction_speaker *speaker, int16_t *ret_error)
{
	const struct kafka_end_txn_request *request = call->request;
	struct transaction t;
	enum err err = transaction_admit(call, cell, speaker, &t, ret_error);

	if (err || *ret_error)
		return err;
	if (t.state == TRANSACTION_ONGOING)
		return transaction_end(call->arena, cell, &t, request->committed, t.epoch,
				       call->now_ms);
	if (t.state != wanted_state(request))
		*ret_error = KAFKA_INVALID_TXN_STATE;
	return OK;
}

/* --- the second protocol -----------------------------------------------------------------------
 */

static void tell_epoch(struct operation_call *call, const struct transaction *t)
{
	struct kafka_end_txn_response *response = call->response;

	response->producer_id = t->producer_id;
	response->producer_epoch = t->epoch;
}

/* The answer to the first one was lost. */
static bool is_repeated(const struct transaction_speaker *speaker, const struct transaction *t)
{
	return t->previous_producer_id == speaker->producer_id &&
	       t->previous_epoch == speaker->epoch;
}

static enum err end_ongoing(struct cell *cell, struct operation_call *call, struct transaction *t)
{
	const struct kafka_end_txn_request *request = call->request;
	int16_t marker_epoch = (int16_t)(t->epoch + 1);
	enum err err = transaction_end(call->arena, cell, t, request->committed, marker_epoch,
				       call->now_ms);

	return err ? err : transaction_bump(cell, t, true);
}

/* Nothing was added to it: there is nothing to end, but who aborts wants the next epoch. */
static enum err end_nothing(struct cell *cell, struct operation_call *call, struct transaction *t,
			    int16_t *ret_error)
{
	const struct kafka_end_txn_request *request = call->request;

	if (request->committed) {
		*ret_error = KAFKA_INVALID_TXN_STATE;
		return OK;
	}
	t->state = TRANSACTION_ABORTED;
	t->updated_ms = call->now_ms;
	return transaction_bump(cell, t, true);
}

static enum err end_second(struct cell *cell, struct operation_call *call,
			   const struct transaction_speaker *speaker, int16_t *ret_error)
{
	const struct kafka_end_txn_request *request = call->request;
	struct transaction t;
	enum err err = transaction_find_as(call, cell, speaker, &t, ret_error);

	if (err || *ret_error == KAFKA_INVALID_REQUEST ||
	    *ret_error == KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
		return err;
	if (*ret_error) {
		bool is_known = transaction_find(call->arena, cell, speaker->name, &t) == OK;
		if (!is_known || !is_repeated(speaker, &t) || t.state == TRANSACTION_ONGOING)
			return OK;
		*ret_error =
			t.state == wanted_state(request) ? KAFKA_NONE : KAFKA_INVALID_TXN_STATE;
		if (!*ret_error)
			tell_epoch(call, &t);
		return OK;
	}
	err = t.state == TRANSACTION_ONGOING ? end_ongoing(cell, call, &t)
					     : end_nothing(cell, call, &t, ret_error);
	if (err || *ret_error)
		return err;
	tell_epoch(call, &t);
	return transaction_save(cell, &t);
}

/* --- the operation -----------------------------------------------------------------------------
 */

static enum err end_txn(struct cell *cell, struct operation_call *call)
{
	const struct kafka_end_txn_request *request = call->request;
	struct kafka_end_txn_response *response = call->response;
	struct transaction_speaker speaker = { request->transactional_id, request->producer_id,
					       request->producer_epoch };
	int16_t error = KAFKA_NONE;
	enum err err = call->version >= NEXT_EPOCH_VERSION_FIRST
			       ? end_second(cell, call, &speaker, &error)
			       : end_first(cell, call, &speaker, &error);

	response->error_code =
		transaction_error_for(error, call->version, TRANSACTION_FENCED_FIRST);
	return err;
}

static void end_txn_fail(struct operation_call *call, int16_t error)
{
	struct kafka_end_txn_response *response = call->response;

	response->error_code = error;
}

const struct coordinator_operation end_txn_operation = {
	.api_key = KAFKA_API_END_TXN,
	.run = end_txn,
	.fail = end_txn_fail,
};
