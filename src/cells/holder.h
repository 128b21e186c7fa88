/* Who holds a journal, without disturbing it: reads the newest start record of every bucket.
 * What is found may be out of date at once; it only says where to send heartbeats. */
#ifndef CELLS_HOLDER_H
#define CELLS_HOLDER_H

#include "base/arena.h"
#include "buckets/bucket.h"
#include "cells/journal.h"

enum {
	HOLDER_STARTS_MAX = 16, /* newest epochs looked at: the others never led */
	HOLDER_MS = 5000,	/* what is waited for a bucket */
	HOLDER_REST_MS = 250,	/* for the others once most have answered, leaders being in most */
};

/* What one bucket says. */
struct holder_look {
	struct task task;
	struct bucket *bucket;
	const char *journal;
	char address[JOURNAL_ADDRESS_BYTES_MAX + 1];
	char node[JOURNAL_NODE_BYTES_MAX + 1];
	struct epoch epoch;

	struct bucket_op op;
	struct arena arena;
	char prefix[JOURNAL_KEY_BYTES];
	char key[JOURNAL_KEY_BYTES];
	struct epoch newest[HOLDER_STARTS_MAX]; /* a ring while listing */
	size_t mark_count;
	size_t looked_at;
};

/* A child task.  OK with the highest epoch of all buckets that could be read, and with {0, 0}
 * when nobody ever led; ERR_UNAVAILABLE and the like when none could. */
struct holder_find {
	struct task task;
	char address[JOURNAL_ADDRESS_BYTES_MAX + 1]; /* out; "" also of one that has given it up */
	char node[JOURNAL_NODE_BYTES_MAX + 1];	     /* out */
	struct epoch epoch;			     /* out */
	int read_count;				     /* out: buckets that were read */

	struct holder_look looks[JOURNAL_BUCKETS_MAX];
	int bucket_count;
	bool is_hurried;
};

void holder_find(struct holder_find *f, struct task *parent, struct bucket *const *buckets,
		 int bucket_count, const char *journal);

#endif
