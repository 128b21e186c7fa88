/* Idempotent producers, as a partition remembers them, and the sequences of their records. */
#ifndef STREAMS_CATALOG_PRODUCER_H
#define STREAMS_CATALOG_PRODUCER_H

#include "cells/cell.h"

struct catalog_producer {
	int16_t epoch;
	int32_t last_sequence;
};

/* ERR_NOT_FOUND: the partition (row) does not know it. */
MUST_CHECK enum err catalog_producer_find(struct cell *c, int64_t partition, int64_t producer_id,
					  struct catalog_producer *ret);

/* The sequence `count` after `sequence`; they wrap from 2147483647 to 0. */
int32_t producer_sequence_add(int32_t sequence, int32_t count);

/* Is `sequence` behind `last` or equal to it, the way around that is shorter? */
bool producer_sequence_is_behind(int32_t sequence, int32_t last);

#endif
