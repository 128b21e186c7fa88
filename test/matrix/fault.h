/* What clients are told while something is broken.
 *
 * A fault is brought about from outside, by what anybody could do to a node: directories of its
 * bucket go away, processes are stopped or killed.  So these tests need the node's process and
 * bucket, and are skipped by name where kafka_matrix was not told them.
 *
 * It takes seconds until a fault is told, so all versions of an API ask during the same one: the
 * first test of a row brings it about, the others look at what their version was answered. */
#ifndef MATRIX_FAULT_H
#define MATRIX_FAULT_H

#include "fixture.h"

enum { FAULT_VERSIONS_MAX = 20, FAULT_RECORDS = 50 };

enum fault_kind {
	FAULT_JOURNAL_BLOCKED, /* nothing becomes durable, and control waits for something */
	FAULT_DATA_REFUSED,    /* no data file can be written */
	FAULT_DATA_MISSING,    /* nor read, and none is in memory */
	FAULT_DATA_DAMAGED,    /* the newest data file, which is not in memory */
};

/* One row. */
struct fault_round {
	enum fault_kind kind;
	/* The request of t->version, in the arena, about a topic with one partition and
	 * FAULT_RECORDS records in it. */
	const void *(*ask)(struct test *t, const struct topic *topic);

	struct topic topic;
	bool is_done;
	struct slice answers[FAULT_VERSIONS_MAX]; /* by version, as they came */
	int32_t correlation_ids[FAULT_VERSIONS_MAX];
};

/* Set once by main; 0 and NULL: not told. */
extern int fault_node_pid;	 /* of the supervisor */
extern const char *fault_bucket; /* its directory */

/* The answer of t->version in the arena, during the fault of the round. */
const void *fault_answer(struct test *t, struct fault_round *round);

/* A row: control stands still and the request of t->key waits, control dies and the connection
 * ends. */
#define FAULT_CONTROL_DIES "a request waits for control; if control dies, the connection ends"
void fault_control_dies(struct test *t);

/* Put everything back as it was.  Called after every test, also one that failed. */
void fault_heal(void);

#endif
