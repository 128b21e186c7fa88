/* Deleted topics and groups go away in bounded steps, so that no transaction holds everybody up.
 * So do groups that nobody uses any more: Kafka's offsets.retention.minutes. */
#ifndef STREAMS_COORDINATOR_SWEEP_H
#define STREAMS_COORDINATOR_SWEEP_H

#include "cells/cell.h"

struct coordinator;

enum { SWEEP_ROWS_MAX = 500, SWEEP_PAUSE_MS = 5, SWEEP_IDLE_MS = 1000 };
#define SWEEP_GROUP_IDLE_MS (7 * 24 * 3600 * INT64_C(1000))

/* One step; `argument` is a struct sweep_step. */
struct sweep_step {
	int64_t now_ms;
	bool is_more; /* out: there is more to do */
};
MUST_CHECK enum err sweep_run(struct cell *cell, void *argument);

/* Sweep until canceled; ends by itself soon after sweep_cancel(). */
void sweep_start(struct coordinator *c);
void sweep_cancel(struct coordinator *c);

#endif
