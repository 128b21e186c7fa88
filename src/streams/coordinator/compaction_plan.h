/* Which runs become one: looks into the cell, changes nothing. */
#ifndef STREAMS_COORDINATOR_COMPACTION_PLAN_H
#define STREAMS_COORDINATOR_COMPACTION_PLAN_H

#include "base/arena.h"
#include "base/uuid.h"
#include "cells/cell.h"
#include "peer_messages.h"
#include "streams/catalog/transactions.h"

/* A run as it was when it was given out.  Rows may be used again; the name of the file and the
 * place in it are not. */
struct compaction_input {
	int64_t row, file; /* rows of run and file */
	int64_t partition; /* row */
	int64_t incarnation, sequence;
	int64_t base_offset, last_offset;
	int64_t position, size;
	bool is_compacted;
};

/* Neighbouring runs of one partition, and the markers between and behind them: all offsets from
 * base_offset to last_offset. */
struct compaction_group {
	int64_t partition; /* row */
	struct uuid topic_id;
	int32_t number;
	int32_t leader_epoch;
	int64_t base_offset, last_offset;
	const struct compaction_input *inputs;
	size_t input_count;
	const struct catalog_marker *markers;
	size_t marker_count;
};

struct compaction_plan {
	int level; /* of the inputs; outputs are one higher */
	struct compaction_group *groups;
	size_t group_count;
	size_t input_count;
	int64_t bytes;
};

/* What other jobs have: files of level 0, partitions of levels above. */
struct compaction_taken {
	bool (*has_file)(const void *context, int64_t file);
	bool (*has_partition)(const void *context, int level, int64_t partition);
	const void *context;
	int64_t bytes_max; /* of inputs, where two files do not have more; 0: as many as may be */
};

/* Files of level 0 after `*cursor` that were committed before `until_ms`.  Not even a file is
 * worth it: ERR_NOT_FOUND.  *cursor moves past files that need none of it now. */
MUST_CHECK enum err compaction_plan_files(struct arena *a, struct cell *cell, int64_t until_ms,
					  const struct compaction_taken *taken, int64_t *cursor,
					  struct compaction_plan *ret);

/* Runs of `level`, 1 or more, of partitions (rows) after *cursor, which moves; 0 when the last one
 * was looked at. */
MUST_CHECK enum err compaction_plan_runs(struct arena *a, struct cell *cell, int level,
					 const struct compaction_taken *taken, int64_t *cursor,
					 struct compaction_plan *ret);

/* What the agent is told of it: level and groups. */
void compaction_plan_tell(struct arena *a, const struct compaction_plan *plan,
			  struct peer_job_take_response *ret);

#endif
