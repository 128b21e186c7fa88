/* Compaction, control's half: which runs become one, who does it, and the swap.
 *
 * An agent takes a job: groups of neighbouring runs, each of one partition, all decided (before the
 * last stable offset), and an incarnation of its own that names the file it will write.  The job
 * is a lease in this process's memory, gone when another control leads.  The agent finishes with
 * one command, the swap: each group whose inputs are all exactly as they were given is replaced by
 * its outputs; a group of which anything has changed meanwhile stays as it is.
 *
 * Levels: 0 is a producer's run.  A job of level 0 takes whole files, the oldest first; one of
 * level n takes COMPACTION_FAN_IN or more neighbouring runs of level n.  Outputs are one level
 * higher, or COMPACTION_LEVEL_LAST at once when they are large; so a byte is written at most
 * COMPACTION_LEVEL_LAST times after its producer's file. */
#ifndef STREAMS_COORDINATOR_COMPACTION_H
#define STREAMS_COORDINATOR_COMPACTION_H

#include "cells/cell.h"
#include "wire/peer/compaction.h"

enum {
	COMPACTION_LEVEL_LAST = 4,
	COMPACTION_RUN_BYTES_LARGE = 2 << 20, /* is not compacted again */
	COMPACTION_JOB_FILES_MAX = 256,	      /* of level 0 */
	COMPACTION_FILES_MIN = 16,	      /* of level 0, unless they fill a job */
	COMPACTION_FAN_IN = 8,		      /* runs of a partition, of levels above */
	COMPACTION_RUNS_MIN = 64,	      /* of all partitions together, of levels above */
	COMPACTION_LOOK_MAX = 1000,	      /* files or partitions looked at for one job */
	COMPACTION_LOOK_RUNS_MAX = 16384,     /* of level 0 */
	COMPACTION_AGE_MS = 30 * 1000,	      /* a file is not touched before */
	COMPACTION_RESCAN_MS = 60 * 1000,     /* before files that were passed over are looked at */
};

#endif
