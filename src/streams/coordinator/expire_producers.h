/* producer.id.expiration.ms: what a partition remembers of a producer that has written nothing to
 * it for so long is forgotten, as in Kafka.  Not while it has a transaction open there, and not
 * of the producer that a transactional id has now: with the first protocol of transactions its
 * sequences go on from one to the next, and Kafka would take them.
 *
 * All rows are looked at in bounded steps every EXPIRE_PRODUCERS_MS, as in Kafka. A producer that
 * comes back later begins a new epoch (UNKNOWN_PRODUCER_ID), which clients do by themselves; see
 * producer_check(). */
#ifndef STREAMS_COORDINATOR_EXPIRE_PRODUCERS_H
#define STREAMS_COORDINATOR_EXPIRE_PRODUCERS_H

#include "cells/cell.h"

enum {
	EXPIRE_PRODUCERS_LOOK_MAX = 2000,
	EXPIRE_PRODUCERS_ROWS_MAX = 500,
	EXPIRE_PRODUCERS_MS = 10 * 60 * 1000, /* or half of the setting, if that is less */
};
#define EXPIRE_PRODUCERS_IDLE_MS (24 * 3600 * INT64_C(1000)) /* producer.id.expiration.ms */

struct producer_expiry {
	int64_t rows[EXPIRE_PRODUCERS_ROWS_MAX]; /* found, to be deleted */
	int count;
	int64_t after;	/* the row looked at last */
	int64_t due_ms; /* of the next look at all */
};

/* One bounded look; true: there is more to look at.  Reads only. */
bool expire_producers_look(struct producer_expiry *e, struct cell *cell, int64_t now_ms);

/* In a transaction: those that were found go, if nothing has changed. */
MUST_CHECK enum err expire_producers(struct cell *cell, const struct producer_expiry *e,
				     int64_t now_ms);

#endif
