/* Groups as rows: consumer_group and member (doc/formats/group.md). */
#ifndef STREAMS_COORDINATOR_GROUP_STORE_H
#define STREAMS_COORDINATOR_GROUP_STORE_H

#include "base/arena.h"
#include "cells/cell.h"
#include "streams/coordinator/group.h"

struct group_row {
	int64_t id;
	struct slice name;
	enum group_type type;
	enum group_state state;
	int32_t generation;
	int32_t assignment_epoch; /* of the consumer protocol */
	uint64_t topics_hash;	  /* of both kinds whose members are assigned by us */
	struct slice protocol_type;
	struct slice protocol; /* null: none */
	struct slice leader;   /* null: none */
};

/* ERR_NOT_FOUND; a group that was deleted is not found. */
MUST_CHECK enum err group_row_find(struct arena *a, struct cell *cell, struct slice name,
				   struct group_row *ret);

/* All groups, or those that have members, by name. */
MUST_CHECK enum err group_rows(struct arena *a, struct cell *cell, bool with_members_only,
			       struct group_row **ret, size_t *ret_count);

/* The members of a row into a group that has just got its init. */
MUST_CHECK enum err group_row_load(struct cell *cell, const struct group_row *row, uint64_t now_ms,
				   struct group *g);

/* Inside a transaction: an empty group of this name.  ERR_FULL: there are too many. */
MUST_CHECK enum err group_row_insert(struct cell *cell, struct slice name, int64_t now_ms,
				     int64_t *ret_id);

/* Inside a transaction: what has changed since `stored_version`. */
MUST_CHECK enum err group_row_write(struct cell *cell, const struct group *g,
				    uint64_t stored_version, int64_t now_ms);

/* Inside a transaction: the committed offset of a partition. */
struct group_offset {
	int64_t topic; /* row */
	int32_t partition;
	int64_t committed_offset;
	int32_t leader_epoch;
	struct slice metadata;
	int64_t commit_ms;
};
MUST_CHECK enum err group_row_write_offset(struct cell *cell, int64_t id,
					   const struct group_offset *offset);

/* Inside a transaction: the group is gone at once, its offsets go in bounded steps (sweep.h). */
MUST_CHECK enum err group_row_delete(struct cell *cell, int64_t id, int64_t now_ms);

#endif
