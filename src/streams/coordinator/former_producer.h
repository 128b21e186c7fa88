/* What the producers of a deleted topic wrote last: with it they go on in a topic that is made
 * again under its name.  Their sequences go on too, and a broker that knows nothing of a producer
 * cannot tell its next batch from one whose predecessor failed.  Kafka takes any first sequence
 * then; here it is only the one after the last of the old topic (why: producer_check()).
 *
 * Until the topic is swept its own rows say so, later those of `former_producer`. */
#ifndef STREAMS_COORDINATOR_FORMER_PRODUCER_H
#define STREAMS_COORDINATOR_FORMER_PRODUCER_H

#include "cells/cell.h"

enum {
	FORMER_PRODUCERS_MAX = 10000, /* of all topics; those of the topics deleted first go */
	FORMER_PRODUCER_ROWS_MAX = 250,
};
#define FORMER_PRODUCER_MS (24 * 3600 * INT64_C(1000)) /* from the deletion of the topic */

/* Moves up to FORMER_PRODUCER_ROWS_MAX producers of a partition (row) whose topic is deleted.
 * Unless `is_kept` they are only deleted, for which a full catalog has room. */
MUST_CHECK enum err former_producer_move(struct cell *cell, int64_t partition, bool is_kept,
					 int *ret_count);

/* Forgets some of those that are older than FORMER_PRODUCER_MS. */
MUST_CHECK enum err former_producer_forget(struct cell *cell, int64_t now_ms, int *ret_count);

/* Does `base_sequence` come right after what this producer wrote last, with the same epoch, to the
 * partition that had this one's (row) topic name and number before? */
bool former_producer_continues(struct cell *cell, int64_t partition, int64_t producer_id,
			       int16_t epoch, int32_t base_sequence);

#endif
