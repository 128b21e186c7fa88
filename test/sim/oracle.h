/* The oracle: sees every outcome that any engine announces, and knows what must hold.
 *
 *   - an index is never committed with two values
 *   - a committed record is on a majority of the buckets (unless a snapshot covers it by now)
 *   - what a leader recovered begins with everything that lower epochs ever commit.  (Not with
 *     everything committed so far: a zombie may be told late that it leads, when there is a newer
 *     leader; it can neither commit nor answer a CHECK.)
 *   - records are handed out in order and without gaps
 *   - when a CHECK is answered, the leader had everything that was committed when it was given */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "store.h"

enum { ORACLE_NODES_MAX = 8, ORACLE_INDEX_MAX = 1 << 14 };

/* One engine and the application above it: its log is a list of 64-bit values. */
struct oracle_node {
	struct journal *journal;
	uint64_t *log; /* by index; log[0] is not used */
	uint64_t log_count, adopted_to, base;
	uint64_t committed;
	struct epoch newest; /* the record handed out last */
	uint64_t newest_sequence;
	bool leads;
	uint64_t token, token_told;
	uint64_t *tokens; /* committed_count of the oracle when CHECK `token` was given */
};

struct oracle {
	struct store *stores;
	unsigned bucket_count;
	const char *journal;
	struct oracle_node nodes[ORACLE_NODES_MAX];
	uint64_t *committed;  /* by index */
	struct epoch *epochs; /* by index: who committed it */
	uint64_t committed_count;
	uint64_t snapshot_index;				/* newest given to any engine */
	uint64_t leads, commits, checks, lost, failed, corrupt; /* statistics */
	char why[256];						/* the first violation; "" none */
};

void oracle_init(struct oracle *o, struct store *stores, unsigned bucket_count);
void oracle_done(struct oracle *o);

/* The application's calls.  APPEND of a value; false: refused. */
bool oracle_append(struct oracle *o, unsigned node, uint64_t value, uint64_t now_ms,
		   struct journal_effects *fx);
bool oracle_check(struct oracle *o, unsigned node, uint64_t now_ms, struct journal_effects *fx);

/* Snapshots are perfect here: the pointer is the index, the content what was committed. */
bool oracle_snapshot(struct oracle *o, unsigned node, uint64_t now_ms, struct journal_effects *fx);

/* An outcome of `node`'s engine; I/O effects are ignored. */
void oracle_outcome(struct oracle *o, unsigned node, const struct journal_effect *e);

/* The node's engine was freed: it starts with nothing. */
void oracle_crashed(struct oracle *o, unsigned node);

#endif
