/* All that the catalog says, at once: for a restore, which tells people what came back and compares
 * the bucket with it.  Reads only; results live in the arena given.  Topics that are being deleted
 * do not count. */
#ifndef STREAMS_CATALOG_SURVEY_H
#define STREAMS_CATALOG_SURVEY_H

#include "streams/catalog/catalog.h"

struct survey_topic {
	struct slice name;
	int32_t partition_count;
	int64_t record_count; /* by offsets */
	int64_t bytes;
};

struct survey_offset {
	struct slice topic;
	int32_t partition;
	int64_t committed_offset;
	int64_t next_offset; /* of the partition */
};

struct survey_group {
	struct slice name;
	struct survey_offset *offsets;
	size_t offset_count;
};

/* Offsets that no run holds: the catalog is not whole. */
struct survey_gap {
	struct slice topic;
	int32_t partition;
	int64_t first_offset, last_offset;
};

/* A data file that somebody may want to read. */
struct survey_file {
	int64_t row;
	int64_t incarnation, sequence;
	int64_t size;
};

struct survey {
	struct survey_topic *topics; /* by name */
	size_t topic_count;
	struct survey_group *groups; /* by name */
	size_t group_count;
	struct survey_file *files;
	size_t file_count;
	struct survey_gap *gaps;
	size_t gap_count;
	int64_t partition_count;
	int64_t record_count;
	int64_t file_bytes;
	int64_t next_incarnation; /* every agent that ever wrote has a lower one */
};

/* ERR_NOT_FOUND: nobody has made the tables yet; ERR_UNSUPPORTED: a newer program has. */
MUST_CHECK enum err survey_take(struct arena *a, struct cell *c, struct survey *ret);

/* What of one file is wanted, by place in the file. */
struct survey_run {
	struct slice topic;
	struct uuid topic_id;
	int32_t partition;
	int64_t base_offset, last_offset;
	int64_t position, size;
};
MUST_CHECK enum err survey_runs(struct arena *a, struct cell *c, int64_t file_row,
				struct survey_run **ret, size_t *ret_count);

#endif
