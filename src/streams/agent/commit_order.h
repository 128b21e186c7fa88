/* Which data files must be committed in their order: those with batches of the same connection or
 * of the same producer id.  Others need not wait for each other's slow puts.
 *
 * A commit names one file that control must have committed before (after_sequence): the nearest
 * earlier one that matters.  What matters farther back is covered when it had to be committed
 * before that one, or before one that is covered; if not, the commit waits until it is decided.
 * Pure. */
#ifndef STREAMS_AGENT_COMMIT_ORDER_H
#define STREAMS_AGENT_COMMIT_ORDER_H

#include <stdbool.h>
#include <stdint.h>

enum { COMMIT_ORDER_WORDS = 4 };

/* Who has batches in a file, as a set of hashes: two that share one are kept in order for nothing.
 * Zero it first. */
struct commit_order {
	uint64_t bits[COMMIT_ORDER_WORDS];
};

void commit_order_add_connection(struct commit_order *o, uint64_t connection_id);
void commit_order_add_producer(struct commit_order *o, int64_t producer_id); /* -1: none */

struct commit_chain {
	struct commit_order mine, covered;
	bool has_nearest;
};

enum commit_need {
	COMMIT_FREE,	/* does not matter, or is covered */
	COMMIT_NEAREST, /* is to be named, and must be on its way */
	COMMIT_DECIDED, /* must be decided first */
};

/* Look at the earlier files that are not decided, the nearest first. */
void commit_chain_begin(struct commit_chain *c, const struct commit_order *mine);
enum commit_need commit_chain_look(struct commit_chain *c, const struct commit_order *earlier);

#endif
