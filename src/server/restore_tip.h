/* How far a journal reaches that nobody leads, without disturbing it: the records of its newest
 * epoch are listed in every bucket.  The last few of them may never have been acknowledged. */
#ifndef SERVER_RESTORE_TIP_H
#define SERVER_RESTORE_TIP_H

#include "base/buf.h"
#include "buckets/bucket.h"
#include "cells/journal_format.h"

enum {
	RESTORE_TIP_SEALS_MAX = 16, /* after the end of an epoch, of candidates that stopped it */
	RESTORE_TIP_RECORDS_MAX = 1 << 24, /* listed; older ones go within hours */
};

/* A child task.  ERR_UNAVAILABLE: not most of the buckets could be read; ERR_CORRUPT: the start
 * record of the epoch is damaged or gone. */
struct restore_tip {
	struct task task;
	uint64_t index; /* out */

	struct bucket *const *buckets; /* the rest is private */
	int bucket_count;
	const char *journal;
	struct epoch epoch;
	int bucket;  /* that is asked now */
	int answers; /* buckets that were listed to their end */
	int seals;
	struct bucket_op op;
	struct arena arena;
	char prefix[JOURNAL_KEY_BYTES];
	char key[JOURNAL_KEY_BYTES];
	char after[BUCKET_KEY_BYTES_MAX + 1];
	uint64_t base_index;
	uint64_t floor;	      /* records up to it are in a snapshot and may be gone */
	struct buf sequences; /* u64, of the records that were listed; in no order */
	uint64_t last;	      /* the last record without a gap before it */
};

void restore_tip(struct restore_tip *r, struct task *parent, struct bucket *const *buckets,
		 int bucket_count, const char *journal, struct epoch epoch);

#endif
