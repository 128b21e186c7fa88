/* The records of one partition from an offset on, for an answer: planned with the catalog, held in
 * blocks, gathered into one blob in which only offsets and epochs differ from the data files. */
#ifndef STREAMS_AGENT_PARTITION_READ_H
#define STREAMS_AGENT_PARTITION_READ_H

#include "streams/agent/agent.h"
#include "streams/agent/block_cache.h"
#include "streams/catalog/transactions.h"

struct partition_run;

struct partition_read {
	enum block_use use;
	int64_t offset; /* begin with the batch that holds it */
	int64_t end;	/* the first one that may not be told */
	size_t limit;	/* bytes; more only where gathering may exceed it */
	int32_t leader_epoch;
	struct agent *agent;
	int64_t partition; /* row */
	struct partition_run *runs;
	size_t run_count;
	struct catalog_marker *markers; /* between the runs and behind them */
	size_t marker_count, markers_told;
	uint64_t row_bytes;   /* that were read in a row before the offset */
	bool is_cold;	      /* some of it comes from the bucket */
	size_t held_bytes;    /* of blocks, until it is gathered */
	size_t planned_bytes; /* about what there will be, at most `limit` */
	struct blob *records; /* gathered; whole batches; may be NULL */
	int64_t hole_end;     /* without records: compaction left nothing before it; 0: not known */
	/* For the log: the data file that could not be read, and what the bucket said of it. */
	char key[64], why[TASK_WHY_BYTES];
};

/* Find the runs and hold their blocks, of the first one from the place on where another read ended;
 * what is not in memory is read by children of `parent`. Nothing is planned for an offset at or
 * behind `end`: the high watermark, or the last stable offset.  Where a transaction ended there is
 * a control batch, made of the catalog's marker.  Who goes on reading old records gets more and
 * more of what follows read ahead. */
MUST_CHECK enum err partition_read_plan(struct partition_read *p, struct arena *a,
					struct task *parent, struct agent *agent,
					const struct catalog_partition *partition, int64_t offset,
					int64_t end, size_t limit);

/* The same for who reads the whole partition once: see enum block_use. */
MUST_CHECK enum err partition_read_plan_passing(struct partition_read *p, struct arena *a,
						struct task *parent, struct agent *agent,
						const struct catalog_partition *partition,
						int64_t offset, int64_t end, size_t limit);

/* After the children have ended: the size of the first batch if not all of it is held, else 0. */
size_t partition_read_short_bytes(const struct partition_read *p);

/* After the children have ended, where the first batch comes whatever its size: hold all of it.
 * True: it is read by a child of `parent`, which is to be waited for.  Batches above
 * AGENT_BATCH_BYTES_USUAL need it. */
bool partition_read_extend(struct partition_read *p, struct task *parent);

/* After the children have ended: fill `records` and let go of the blocks.  `may_exceed`: the first
 * batch comes along even if it is larger than the limit.  An error only if there is nothing before
 * what is broken: ERR_CORRUPT, ERR_NOT_FOUND (no such file), or what the bucket says.
 * ERR_UNSUPPORTED: the first batch is compressed with zstd and `no_zstd` is set. */
MUST_CHECK enum err partition_read_gather(struct partition_read *p, bool may_exceed, bool no_zstd);

/* Zeroed ones are harmless. */
void partition_read_done(struct partition_read *p);

enum {
	PARTITION_MARKER_BYTES = 78,	      /* of such a control batch */
	PARTITION_AHEAD_BYTES_MAX = 16 << 20, /* are read ahead for one reader */
};

/* About how many bytes a read of `runs` from `offset` on would give. */
int64_t partition_runs_bytes(const struct catalog_run *runs, size_t count, int64_t offset);

#endif
