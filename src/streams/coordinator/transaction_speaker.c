#include "streams/coordinator/transaction_speaker.h"

#include "wire/kafka/errors.h"

enum err transaction_find_for(struct arena *a, struct cell *cell,
			      const struct transaction_speaker *speaker, struct transaction *ret,
			      int16_t *ret_error)
{
	if (speaker->name.size == 0 || speaker->name.size > TRANSACTIONAL_ID_BYTES_MAX) {
		*ret_error = KAFKA_INVALID_REQUEST;
		return OK;
	}
	enum err err = transaction_find(a, cell, speaker->name, ret);
	if (err && err != ERR_NOT_FOUND)
		return err;
	*ret_error = err ? (int16_t)KAFKA_INVALID_PRODUCER_ID_MAPPING
			 : transaction_check_producer(ret, speaker->producer_id, speaker->epoch);
	return OK;
}

enum err transaction_find_as(struct operation_call *call, struct cell *cell,
			     const struct transaction_speaker *speaker, struct transaction *ret,
			     int16_t *ret_error)
{
	if (!operation_may(call, GRANT_WRITE, GRANT_TRANSACTIONAL_ID, speaker->name)) {
		*ret_error = KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
		return OK;
	}
	return transaction_find_for(call->arena, cell, speaker, ret, ret_error);
}

/* May the connection of this call speak?  It is noted if it is a newer one; false: the client
 * speaks on a newer one already, and the call is marked so. */
static enum err hear(struct operation_call *call, struct cell *cell, struct transaction *t,
		     bool *ret_may)
{
	enum err err = OK;

	switch (transaction_session_look(t->sessions, call->session)) {
	case TRANSACTION_SESSION_SAME:
		break;
	case TRANSACTION_SESSION_NEWER:
		t->sessions = transaction_session_note(call->arena, t->sessions, call->session);
		err = transaction_save(cell, t);
		break;
	case TRANSACTION_SESSION_OLDER:
		call->is_outdated = true;
		*ret_may = false;
		return OK;
	}
	*ret_may = true;
	return err;
}

enum err transaction_admit(struct operation_call *call, struct cell *cell,
			   const struct transaction_speaker *speaker, struct transaction *ret,
			   int16_t *ret_error)
{
	bool may = true;
	enum err err = transaction_find_as(call, cell, speaker, ret, ret_error);

	if (!err && !*ret_error)
		err = hear(call, cell, ret, &may);
	if (!may)
		*ret_error = KAFKA_INVALID_PRODUCER_EPOCH;
	return err;
}

int16_t transaction_error_for(int16_t error, int16_t version, int16_t fenced_first)
{
	return error == KAFKA_PRODUCER_FENCED && version < fenced_first
		       ? (int16_t)KAFKA_INVALID_PRODUCER_EPOCH
		       : error;
}
