/* The buckets of a journal, as a role opens them. */
#ifndef SERVER_JOURNAL_BUCKETS_H
#define SERVER_JOURNAL_BUCKETS_H

#include "buckets/bucket.h"
#include "cells/journal.h"
#include "wire/keys/keyring.h"

/* Begins zeroed. */
struct journal_buckets {
	struct bucket *list[JOURNAL_BUCKETS_MAX];
	int count;
};

/* `urls`: URL[,URL...], at most JOURNAL_BUCKETS_MAX (checked with the options); `keys`: NULL where
 * nothing is sealed.  What was opened before a failure stays in `b`. */
MUST_CHECK enum err journal_buckets_open(struct journal_buckets *b, const char *urls,
					 const struct keyring *keys, char why[TASK_WHY_BYTES]);

/* Before and after loop_free(). */
void journal_buckets_finish(struct journal_buckets *b, struct loop *loop);
void journal_buckets_close(struct journal_buckets *b);

#endif
