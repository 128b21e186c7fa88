/* A share group (KIP-932) and its members, as rows of the cell: doc/formats/share.md.
 *
 * Unlike other groups it is in no memory: each request reads it.  A member that goes on writes its
 * row only when its time is a third over.  All functions but the loading ones are for the inside of
 * a transaction. */
#ifndef STREAMS_COORDINATOR_SHARE_GROUP_H
#define STREAMS_COORDINATOR_SHARE_GROUP_H

#include "base/arena.h"
#include "cells/cell.h"
#include "streams/coordinator/group_store.h"
#include "streams/coordinator/partition_set.h"

enum {
	SHARE_GROUP_MEMBERS_MAX = 200, /* Kafka's group.share.max.size */
	SHARE_GROUP_TOPICS_MAX = 1000, /* that the members subscribe to, together */
};

struct share_member {
	int64_t id; /* row; 0: new */
	struct slice member_id;
	int32_t epoch, previous_epoch;
	struct slice rack_id; /* null: not said */
	struct slice client_id, client_host;
	struct slice topics;	       /* a list of words: names it subscribed to, sorted */
	int64_t deadline_ms;	       /* silent until then, it is gone */
	struct partition_set assigned; /* after share_group_assign() */
};

struct share_group {
	struct arena *arena;
	int64_t id; /* row */
	struct slice name;
	int32_t epoch;
	uint64_t topics_hash;
	struct share_member *members; /* room for one more */
	size_t member_count;
};

/* Those whose time is over are not among the members, nor taken out of the cell.
 * ERR_NOT_FOUND: there is no group of this name; ERR_EXISTS: it is another kind of group. */
MUST_CHECK enum err share_group_load(struct arena *a, struct cell *cell, struct slice name,
				     int64_t now_ms, struct share_group *ret);

/* Frees the members' partitions. */
void share_group_done(struct share_group *g);

/* A group without members; ERR_FULL: there are too many. */
MUST_CHECK enum err share_group_create(struct arena *a, struct cell *cell, struct slice name,
				       int64_t now_ms, struct share_group *ret);

struct share_member *share_group_find(const struct share_group *g, struct slice member_id);

/* Members whose time is over go; a new epoch if there were some. */
MUST_CHECK enum err share_group_expire(struct cell *cell, struct share_group *g, int64_t now_ms);

/* Write what the group is now: its epoch, the hash of its topics, whether it has members. */
MUST_CHECK enum err share_group_write(struct cell *cell, const struct share_group *g,
				      int64_t now_ms);
MUST_CHECK enum err share_group_write_member(struct cell *cell, const struct share_group *g,
					     const struct share_member *m);
MUST_CHECK enum err share_group_remove(struct cell *cell, struct share_group *g,
				       struct share_member *m);

/* Of the topics that members subscribe to and that there are: changes when one comes, goes or
 * grows. */
uint64_t share_group_hash_topics(const struct share_group *g, struct cell *cell);

/* Fill `assigned` of all members. */
void share_group_assign(const struct share_group *g, struct cell *cell);

/* A step of the sweep: the members of one group whose time is over.  False: there are none. */
MUST_CHECK enum err share_group_sweep(struct cell *cell, int64_t now_ms, bool *ret_is_more);

#endif
