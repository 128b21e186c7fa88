/* The catalog of streams: the tables of the cell and the queries both halves may use.
 *
 * The coordinator (in the control process) changes these tables; the agent (in the streams
 * process) reads the same tables in its replica.  Neither knows the other's code; this is what
 * they share.  All functions read only.  Results live in the arena given.
 * Errors: ERR_NOT_FOUND, ERR_CORRUPT (the database says something impossible). */
#ifndef STREAMS_CATALOG_CATALOG_H
#define STREAMS_CATALOG_CATALOG_H

#include "base/arena.h"
#include "base/uuid.h"
#include "cells/cell.h"

enum {
	CATALOG_TOPIC_NAME_BYTES_MAX = 249, /* Kafka's limit */
	CATALOG_PARTITIONS_MAX = 10000,	    /* per topic */
	CATALOG_RUNS_PER_READ_MAX = 256,
	CATALOG_GRACE_MS = 10 * 60 * 1000, /* from when a data file is dead to its deletion */
	CATALOG_BLOCK_AGENTS_MAX = 64,	   /* of one site; more are not asked */
	CATALOG_BLOCKS_VERSION = 14,	   /* of the schema, which has agent.blocks */
};

/* Every step of the history of the tables, for cell_upgrade_schema(). */
extern const struct cell_schema catalog_schema[];
extern const size_t catalog_schema_count;

struct catalog_topic {
	int64_t id; /* row */
	struct uuid topic_id;
	struct slice name;
	int32_t partition_count;
	int64_t created_ms;
};

struct catalog_partition {
	int64_t id; /* row */
	int64_t topic;
	int32_t partition;
	int64_t log_start_offset;
	int64_t high_watermark; /* next offset to be given */
	int32_t leader_epoch;
	int64_t bytes;
};

/* A byte-contiguous stretch of batches of one partition in one data file.  Of a compacted run the
 * batches carry their offsets, which may leave holes, and end markers are among them. */
struct catalog_run {
	int64_t base_offset, last_offset;
	int64_t incarnation, sequence; /* name the data file: data_file_key() */
	int64_t position, size;	       /* bytes in the file */
	int64_t file_size;
	int64_t max_timestamp;
	bool is_compacted;
};

/* Several agents of one node are called as its first one, with their number after this: they stand
 * in for one broker (brokers.h). */
#define CATALOG_AGENT_NUMBER "#"
enum { CATALOG_AGENT_NUMBER_MAX = 16 };

struct catalog_agent {
	int32_t node_id;
	struct slice node; /* HOST:PORT, perhaps with its number */
	struct slice host;
	int32_t port;
	struct slice site;
	bool is_live;
	int64_t incarnation;
};

MUST_CHECK enum err catalog_topic_by_name(struct arena *a, struct cell *c, struct slice name,
					  struct catalog_topic *ret);
MUST_CHECK enum err catalog_topic_by_id(struct arena *a, struct cell *c, const struct uuid *id,
					struct catalog_topic *ret);
MUST_CHECK enum err catalog_topic_by_row(struct arena *a, struct cell *c, int64_t row,
					 struct catalog_topic *ret);

/* All topics that are not being deleted, by name. */
MUST_CHECK enum err catalog_topics(struct arena *a, struct cell *c, struct catalog_topic **ret,
				   size_t *ret_count);

MUST_CHECK enum err catalog_partition_find(struct cell *c, int64_t topic, int32_t partition,
					   struct catalog_partition *ret);
MUST_CHECK enum err catalog_partition_by_row(struct cell *c, int64_t row,
					     struct catalog_partition *ret);

/* The runs that hold `offset` and what follows, in order, until they sum up to `size_max` bytes
 * (at least one if there is one). */
MUST_CHECK enum err catalog_runs(struct arena *a, struct cell *c, int64_t partition, int64_t offset,
				 int64_t size_max, struct catalog_run **ret, size_t *ret_count);

/* The first run with max_timestamp >= timestamp; ERR_NOT_FOUND when there is none. */
MUST_CHECK enum err catalog_run_by_timestamp(struct cell *c, int64_t partition, int64_t timestamp,
					     int64_t from_offset, struct catalog_run *ret);

/* The run with the greatest max_timestamp (the first of those). */
MUST_CHECK enum err catalog_run_of_max_timestamp(struct cell *c, int64_t partition,
						 struct catalog_run *ret);

MUST_CHECK enum err catalog_agents(struct arena *a, struct cell *c, struct catalog_agent **ret,
				   size_t *ret_count);

/* The live agents of `site` that may be asked for blocks, by node id; none where control is of a
 * release before that. */
struct catalog_block_agent {
	int32_t node_id;
	int64_t incarnation;
	struct slice blocks; /* HOST:PORT */
};
MUST_CHECK enum err catalog_block_agents(struct arena *a, struct cell *c, struct slice site,
					 struct catalog_block_agent **ret, size_t *ret_count);

/* Does the catalog know this data file, live or dead? */
bool catalog_has_file(struct cell *c, int64_t incarnation, int64_t sequence);

/* Data files without runs since before `dead_before_ms`, the longest dead first; those that come
 * after the one that is dead since `after_ms` and has row `after_row` (0, 0: all). */
struct catalog_file {
	int64_t row;
	int64_t incarnation, sequence;
	int64_t dead_ms;
};
MUST_CHECK enum err catalog_dead_files(struct arena *a, struct cell *c, int64_t after_ms,
				       int64_t after_row, int64_t dead_before_ms, size_t count_max,
				       struct catalog_file **ret, size_t *ret_count);

/* CATALOG_GRACE_MS, or less: HANSE_TEST_DATA_GRACE_MS, for tests. */
int64_t catalog_grace_ms(void);

/* Does any data file have something that can be read? */
bool catalog_has_files(struct cell *c);

/* Kafka's rules for topic names: 1 to 249 of [a-zA-Z0-9._-], not "." or "..". */
bool catalog_topic_name_is_valid(struct slice name);

#endif
