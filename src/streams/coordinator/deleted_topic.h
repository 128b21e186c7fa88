/* Deleted topics that can be brought back.
 *
 * Deleting a topic frees its name at once and hides it, but for hanse.topic.undelete.ms its rows
 * and with them its files stay: partitions, records, producers, what is known of transactions,
 * settings, offsets of groups.  Then, or when somebody says so, it is left to the sweep
 * (sweep.h).  Bringing it back is one command in the cell: the topic has its old id, and a name
 * that is free.
 *
 * Row of `topic`: deleted_ms is 0 as long as it can be brought back.  Row of `deleted_topic`:
 * when it was deleted.  Its settings have DELETED_TOPIC_CONFIGS as their kind meanwhile, and the
 * row as their resource.  A transaction that was open goes on: its end is marked in deleted
 * topics too.
 *
 * When there are more than DELETED_TOPICS_MAX, or they have more than DELETED_TOPIC_PARTITIONS_MAX
 * partitions, the oldest of whoever deleted most of them go (doc/decisions/0041): nobody pushes out
 * what others deleted as long as these have less than an equal share.  When the catalog is nearly
 * full, all of them go, the oldest first. */
#ifndef STREAMS_COORDINATOR_DELETED_TOPIC_H
#define STREAMS_COORDINATOR_DELETED_TOPIC_H

#include "streams/catalog/catalog.h"

enum {
	DELETED_TOPICS_MAX = 1000,
	DELETED_TOPIC_PARTITIONS_MAX = 10000,
	DELETED_TOPIC_CONFIGS = 255,   /* beside the kinds of config.h */
	DELETED_TOPIC_PURGE_MAX = 100, /* in one transaction */
	DELETED_TOPIC_ID_BYTES = 23,   /* the text of an id, with its NUL */
};
#define DELETED_TOPIC_MS (24 * 3600 * INT64_C(1000)) /* hanse.topic.undelete.ms */

struct deleted_topic {
	int64_t id; /* row */
	struct uuid topic_id;
	struct slice name;
	int32_t partition_count;
	int64_t deleted_ms, until_ms;
	int64_t bytes;
};

/* Those that can be brought back, the newest first; in the arena.  Reads only. */
MUST_CHECK enum err deleted_topics(struct arena *a, struct cell *cell, struct deleted_topic **ret,
				   size_t *ret_count);

/* One of them, by the text of its id, or by its name: the one that was deleted last.
 * ERR_NOT_FOUND. */
MUST_CHECK enum err deleted_topic_find(struct arena *a, struct cell *cell, struct slice name_or_id,
				       struct deleted_topic *ret);

/* The rest changes the cell, in a transaction. */

/* The topic (row) is deleted now, by this principal (no data: nobody said who); it is kept if
 * hanse.topic.undelete.ms says so. */
MUST_CHECK enum err deleted_topic_add(struct cell *cell, int64_t topic, struct slice by,
				      int64_t now_ms);

/* Bring it back as `name`.  ERR_INVALID: no name for a topic; ERR_EXISTS: there is one of this
 * name, or of one that differs only in . and _; ERR_FULL: there are too many topics. */
MUST_CHECK enum err deleted_topic_restore(struct cell *cell, const struct deleted_topic *topic,
					  struct slice name);

/* Leave it (row) to the sweep, for good. */
MUST_CHECK enum err deleted_topic_purge(struct cell *cell, int64_t topic);

/* The same of those whose time is over, and of some while there are too many; at most
 * DELETED_TOPIC_PURGE_MAX. `all`: of any.  `ret_count` is how many. */
MUST_CHECK enum err deleted_topics_expire(struct cell *cell, int64_t now_ms, bool all,
					  int *ret_count);

/* Is there one whose time is over?  Reads only, one row. */
bool deleted_topics_due(struct cell *cell, int64_t now_ms);

#endif
