/* Rows of runs, and the count of them that each file has. */
#ifndef STREAMS_COORDINATOR_RUNS_H
#define STREAMS_COORDINATOR_RUNS_H

#include "cells/cell.h"

struct runs_new {
	int64_t partition; /* row */
	int64_t base_offset, last_offset;
	int64_t file; /* row, whose run_count the caller keeps */
	int64_t position, size;
	int64_t max_timestamp;
	int level;
};
MUST_CHECK enum err runs_insert(struct cell *cell, const struct runs_new *run);

/* The file (row) of the run has one less; with none it is dead. */
MUST_CHECK enum err runs_delete(struct cell *cell, int64_t run, int64_t file, int64_t now_ms);

/* The newest record of `run`, which takes the place of runs that are there (none of them ends
 * behind `until`), is not newer than that of those whose offsets it has; and where `is_whole`, no
 * record being left out, not older than that of those it has all offsets of.  Retention and lookups
 * by time believe it: what run->max_timestamp says of it comes from an agent, and is brought within
 * that. */
int64_t runs_bound_timestamp(struct cell *cell, const struct runs_new *run, int64_t until,
			     bool is_whole);

#endif
