/* Transactional producers, for the rows of the APIs that they use. */
#ifndef MATRIX_TRANSACTIONS_H
#define MATRIX_TRANSACTIONS_H

#include "fixture.h"
#include "matrix.h"

/* What no transactional producer meets here. */
#define NOTHING_PASSES "a transaction ends at once: there is nothing between two states"
#define SAID_BY_FENCED "PRODUCER_FENCED says it"
#define TRANSACTIONS_ABSENT                                                                        \
	{ KAFKA_NOT_COORDINATOR, ALL_VERSIONS, ANY_AGENT_COORDINATES, NULL },                      \
		{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, NOT_LED },                        \
		{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, "nothing is loaded", NULL },   \
		{ KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS,      \
		  NULL },                                                                          \
	{                                                                                          \
		KAFKA_CONCURRENT_TRANSACTIONS, ALL_VERSIONS, NOTHING_PASSES, NULL                  \
	}

struct writer {
	struct slice name; /* the transactional id */
	int64_t producer_id;
	int16_t epoch;
	int32_t sequence; /* of the next record, in the one partition it writes to */
};

/* InitProducerId; of a new transactional id, or of one that there is. */
struct writer writer_make(struct test *t, const char *name);
struct writer writer_again(struct test *t, const struct writer *w);

/* AddPartitionsToTxn 3 for partition 0; its error. */
int16_t writer_add(struct test *t, const struct writer *w, const struct topic *topic);

/* A Produce request with one batch of the transaction, for partition 0. */
struct kafka_produce_request *writer_produce(struct test *t, const struct writer *w,
					     const struct topic *topic, int count);

/* Add partition 0 and write to it with Produce 11, which any transaction may; its base offset. */
int64_t writer_write(struct test *t, struct writer *w, const struct topic *topic, int count);

/* EndTxn 4. */
int16_t writer_end(struct test *t, const struct writer *w, bool commits);

/* TxnOffsetCommit 4 of partition 0 after AddOffsetsToTxn. */
int16_t writer_commit_offset(struct test *t, const struct writer *w, struct slice group,
			     const struct topic *topic, int64_t offset);

#endif
