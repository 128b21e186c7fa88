/* The roll: which agents clients are told of (is_live in the catalog).
 *
 * An agent is live while it has a session and serves.  Sick ones, whose buckets fail, are not, but
 * where all are sick they all are: a broker that may be of use is better than none.  A new leader
 * keeps what the one before it wrote until the agents had time to come back. */
#ifndef STREAMS_COORDINATOR_ROLL_H
#define STREAMS_COORDINATOR_ROLL_H

#include "base/slice.h"
#include "cells/cell.h"
#include "wire/peer/condition.h"

struct roll_entry {
	int64_t incarnation;
	enum agent_condition condition;
};

struct roll {
	const struct roll_entry *entries; /* one for each session; of two with one incarnation the
					   * later counts */
	size_t count;
	bool keeps_others; /* agents without a session stay as they are, */
	int64_t gone;	   /* but for this incarnation */
};

/* Write what is not so yet. */
MUST_CHECK enum err roll_write(struct cell *cell, const struct roll *roll);

/* How many agents are live besides the one of this incarnation. */
MUST_CHECK enum err roll_count_others(struct cell *cell, int64_t incarnation, int32_t *ret);

/* Clients ask every live agent for groups and add the answers up, so each agent lists its share. */
struct roll_share {
	uint64_t count; /* live agents; 0: this one is not live, and lists everything */
	uint64_t index; /* of this one among them */
};

/* The share of the agent of this incarnation. */
void roll_find_share(struct cell *cell, int64_t incarnation, struct roll_share *ret);
bool roll_share_has(const struct roll_share *share, struct slice name);

#endif
