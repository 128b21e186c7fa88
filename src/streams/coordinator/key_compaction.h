/* Which partitions are worth a pass of compaction by key, and how far passes came.
 *
 * In a topic with compact in its cleanup.policy the records of a partition are clean up to where
 * the last pass ended (table key_clean) and dirty from there on.  A pass is due as in Kafka: when
 * more than min.cleanable.dirty.ratio of the bytes are dirty, or the oldest dirty ones are older
 * than max.compaction.lag.ms.  It ends before the last stable offset, and before what is younger
 * than min.compaction.lag.ms; runs are not divided. */
#ifndef STREAMS_COORDINATOR_KEY_COMPACTION_H
#define STREAMS_COORDINATOR_KEY_COMPACTION_H

#include "streams/catalog/catalog.h"

enum {
	KEY_COMPACTION_RUNS_MAX = 10000, /* dirty ones of a pass */
	KEY_COMPACTION_TOPICS_MAX = 20,	 /* looked at in one call */
	KEY_COMPACTION_ROWS_MAX = 50000, /* looked at in one call, and those of a partition */
	KEY_COMPACTION_LOOK_ROWS = 20,	 /* what a partition costs besides its runs */
};

/* Offsets of a pass: `start` to `clean` was clean before, `clean` to `end` is dirty. */
struct key_compaction {
	int64_t partition; /* row */
	int64_t start, clean, end;
	int64_t dirty_bytes, clean_bytes;
	int64_t delete_retention_ms;
};

/* Where the next look begins; zeroed at first, and again after the last topic. */
struct key_compaction_place {
	int64_t topic;	   /* row: those up to it were looked at */
	int32_t partition; /* of the next one; the first that was not */
};

/* The next partition for which a pass is due by `now_ms`.  ERR_NOT_FOUND: none among the topics
 * that were looked at; when `place` is zeroed those were the last ones.  For leader_cell() or a
 * transaction; reads only. */
MUST_CHECK enum err key_compaction_find(struct cell *cell, int64_t now_ms,
					struct key_compaction_place *place,
					struct key_compaction *ret);

/* Is one due for this partition? ERR_NOT_FOUND: no. */
MUST_CHECK enum err key_compaction_check(struct cell *cell, int64_t partition, int64_t now_ms,
					 struct key_compaction *ret);

/* In a transaction: a pass up to `clean` has ended. */
MUST_CHECK enum err key_compaction_finish(struct cell *cell, int64_t partition, int64_t clean);

#endif
