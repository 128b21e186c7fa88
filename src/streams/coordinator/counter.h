/* Numbers that are given once and never again: producer ids, incarnations, node ids. */
#ifndef STREAMS_COORDINATOR_COUNTER_H
#define STREAMS_COORDINATOR_COUNTER_H

#include "cells/cell.h"

/* Inside a transaction; the first number of a name is `first`. */
MUST_CHECK enum err counter_next(struct cell *cell, const char *name, int64_t first, int64_t *ret);

/* Of an agent's life, or of a job. */
enum { INCARNATION_FIRST = 1 };
MUST_CHECK enum err counter_next_incarnation(struct cell *cell, int64_t *ret);

/* The next producer id; they begin with PRODUCER_ID_FIRST. */
enum { PRODUCER_ID_FIRST = 1000 };
MUST_CHECK enum err counter_next_producer_id(struct cell *cell, int64_t *ret);

#endif
