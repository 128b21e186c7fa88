/* Committed offsets of topics that nobody in a group reads any more go when they are old, while the
 * group goes on: Kafka's offsets.retention.minutes.  Of a group without members that never had any,
 * each offset goes by its own age; any other empty group goes as a whole (sweep.h). */
#ifndef STREAMS_COORDINATOR_EXPIRE_OFFSETS_H
#define STREAMS_COORDINATOR_EXPIRE_OFFSETS_H

#include "cells/cell.h"

struct groups;

enum { EXPIRE_OFFSETS_ROWS_MAX = 500, EXPIRE_OFFSETS_GROUPS_MAX = 50 }; /* of one step */

/* Zero it, and begin; as it is, go on with the next groups. */
struct offset_expiry {
	const struct groups *groups; /* those in memory: who reads what */
	int64_t since_ms;	     /* what was committed before then is old */
	int64_t group;		     /* row of the last one that was looked at */
	bool is_more;		     /* out: not all groups were looked at */
};

/* One step inside a transaction.  Offsets that a transaction is about to commit stay, and so does
 * all of a group that is not settled or whose members do not say what they read. */
MUST_CHECK enum err expire_offsets(struct cell *cell, struct offset_expiry *e);

#endif
