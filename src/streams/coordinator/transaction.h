/* Transactions (KIP-98, KIP-890): a transactional id, its producer id and epoch, and what the
 * transaction under way has touched.  Plain functions inside a transaction of the cell.
 *
 * Everything about the end of a transaction happens in one transaction of the cell: a marker in
 * each partition it wrote to, the last stable offsets move, its offsets are committed.  So there is
 * no state between, and nobody sees half of it.
 *
 * What is late is told by the epoch.  Clients of the first protocol (before EndTxn 5 and Produce
 * 12) keep their epoch from one transaction to the next; of them it is told by the connection a
 * request came on, too (transaction_session.h). */
#ifndef STREAMS_COORDINATOR_TRANSACTION_H
#define STREAMS_COORDINATOR_TRANSACTION_H

#include "base/arena.h"
#include "cells/cell.h"

enum {
	TRANSACTIONAL_ID_BYTES_MAX = 32767, /* what old versions can say */
	TRANSACTIONAL_IDS_MAX = 100000,
	TRANSACTION_TIMEOUT_MS_MAX = 900000, /* transaction.max.timeout.ms, if it is not set */
	/* What one transaction may touch: its end is one transaction of the cell. */
	TRANSACTION_PARTITIONS_MAX = 4000,
	TRANSACTION_GROUPS_MAX = 1000,
	TRANSACTION_OFFSET_BYTES_MAX = 1 << 20,
	TRANSACTION_OFFSET_BYTES = 128, /* of one offset, besides its metadata and its group */
	/* The last epoch a producer may have; the one after it is for fencing it. */
	TRANSACTION_EPOCH_LAST = INT16_MAX - 1,
};

enum transaction_state { /* column `state` */
			 TRANSACTION_EMPTY = 0,
			 TRANSACTION_ONGOING = 1,
			 TRANSACTION_COMMITTED = 2,
			 TRANSACTION_ABORTED = 3,
			 TRANSACTION_STATES = 4,
};

struct transaction {
	int64_t id; /* row of `transactional`; 0: not there yet */
	struct slice name;
	int64_t producer_id;
	int16_t epoch;
	/* The same client may have had these a moment ago, and says so when it asks again; -1: no.
	 */
	int64_t previous_producer_id;
	int16_t previous_epoch;
	enum transaction_state state;
	int32_t timeout_ms;
	int64_t started_ms; /* of the transaction under way, or the last one; 0: none */
	int64_t updated_ms;
	int64_t partition_count;
	int64_t offset_bytes;
	struct slice sessions;	      /* transaction_session.h */
	struct slice offset_sessions; /* the same for TxnOffsetCommit, which goes elsewhere */
};

/* ERR_NOT_FOUND; the slices live in the arena. */
MUST_CHECK enum err transaction_find(struct arena *a, struct cell *cell, struct slice name,
				     struct transaction *ret);
MUST_CHECK enum err transaction_find_producer(struct arena *a, struct cell *cell,
					      int64_t producer_id, struct transaction *ret);

/* Store it as it is; a new one gets its row.  ERR_FULL: TRANSACTIONAL_IDS_MAX are there. */
MUST_CHECK enum err transaction_save(struct cell *cell, struct transaction *t);

/* Does this producer speak for the transactional id?  KAFKA_NONE, KAFKA_INVALID_PRODUCER_ID_MAPPING
 * or KAFKA_PRODUCER_FENCED. */
int16_t transaction_check_producer(const struct transaction *t, int64_t producer_id, int16_t epoch);

/* A transaction is under way from now on; to be saved. */
void transaction_begin(struct transaction *t, int64_t now_ms);

/* Touch a partition, by its row; not saved: the count changes.  ERR_FULL: too many. */
MUST_CHECK enum err transaction_add_partition(struct cell *cell, struct transaction *t,
					      int64_t partition);
bool transaction_has_partition(struct cell *cell, const struct transaction *t, int64_t partition);

/* The same for the offsets of a group. */
MUST_CHECK enum err transaction_add_group(struct cell *cell, const struct transaction *t,
					  struct slice group);
bool transaction_has_group(struct cell *cell, const struct transaction *t, struct slice group);

/* An offset that the end commits.  ERR_FULL: too many bytes of them. */
struct transaction_offset {
	struct slice group;
	int64_t topic; /* row */
	int32_t partition;
	int64_t committed_offset;
	int32_t leader_epoch;
	struct slice metadata;
};
MUST_CHECK enum err transaction_add_offset(struct cell *cell, struct transaction *t,
					   const struct transaction_offset *offset);

/* Does a transaction that has not ended want to commit an offset here? */
bool transaction_has_offset(struct cell *cell, struct slice group, int64_t topic,
			    int32_t partition);

/* The producer wrote its first records of the transaction into this partition, at `offset`, unless
 * it has done so before. */
MUST_CHECK enum err transaction_open(struct cell *cell, int64_t partition, int64_t producer_id,
				     int64_t offset);
bool transaction_is_open(struct cell *cell, int64_t partition, int64_t producer_id);
/* Is an offset the producer wrote to in the transaction that is open there? */
bool transaction_wrote(struct cell *cell, int64_t partition, int64_t producer_id, int64_t offset);

/* The epoch after this one, or a new producer id and epoch 0 when there is none; remembers what was
 * before if `keeps_previous`. To be saved. */
MUST_CHECK enum err transaction_bump(struct cell *cell, struct transaction *t, bool keeps_previous);

/* The end of an ongoing transaction, with everything that belongs to it; saved.  `marker_epoch`
 * goes into the markers. */
MUST_CHECK enum err transaction_end(struct arena *a, struct cell *cell, struct transaction *t,
				    bool is_commit, int16_t marker_epoch, int64_t now_ms);

/* Abort an ongoing transaction and fence its producer, which may ask to go on when `may_go_on`:
 * the coordinator's own decision. */
MUST_CHECK enum err transaction_fence(struct arena *a, struct cell *cell, struct transaction *t,
				      bool may_go_on, int64_t now_ms);

/* A marker in one partition, if the producer has written there; what transaction_end() does for
 * each. */
MUST_CHECK enum err transaction_mark(struct cell *cell, int64_t partition, int64_t producer_id,
				     int16_t marker_epoch, bool is_commit, int64_t now_ms);

/* The protocol's word for a state: "Ongoing". */
const char *transaction_state_name(enum transaction_state state);

#endif
