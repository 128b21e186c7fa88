/* Who speaks for a transactional id: what every request of a transactional producer begins with. */
#ifndef STREAMS_COORDINATOR_TRANSACTION_SPEAKER_H
#define STREAMS_COORDINATOR_TRANSACTION_SPEAKER_H

#include "streams/coordinator/operation.h"
#include "streams/coordinator/transaction.h"

struct transaction_speaker {
	struct slice name; /* the transactional id */
	int64_t producer_id;
	int16_t epoch;
};

/* The transaction the speaker means: *ret_error is KAFKA_NONE, or why there is none:
 * INVALID_REQUEST, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED. */
MUST_CHECK enum err transaction_find_for(struct arena *a, struct cell *cell,
					 const struct transaction_speaker *speaker,
					 struct transaction *ret, int16_t *ret_error);

/* The same for the caller of an operation, who must be allowed to:
 * TRANSACTIONAL_ID_AUTHORIZATION_FAILED. */
MUST_CHECK enum err transaction_find_as(struct operation_call *call, struct cell *cell,
					const struct transaction_speaker *speaker,
					struct transaction *ret, int16_t *ret_error);

/* The same, for requests of the first protocol: where the client speaks on a newer connection
 * already, *ret_error is set and the call is marked as outdated. */
MUST_CHECK enum err transaction_admit(struct operation_call *call, struct cell *cell,
				      const struct transaction_speaker *speaker,
				      struct transaction *ret, int16_t *ret_error);

/* PRODUCER_FENCED came with version 2 of these requests, with version 4 of InitProducerId. */
int16_t transaction_error_for(int16_t error, int16_t version, int16_t fenced_first);

enum { TRANSACTION_FENCED_FIRST = 2, TRANSACTION_FENCED_FIRST_INIT = 4 };

#endif
