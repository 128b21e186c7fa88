/* What the checks of a probe share; nobody else includes this. */
#ifndef BUCKETS_PROBE_WORK_H
#define BUCKETS_PROBE_WORK_H

#include "buckets/probe.h"

enum {
	PROBE_OPS = PROBE_CREATORS + 1, /* one to read who has won */
	PROBE_BODY_BYTES = 64,
	PROBE_SLOW_BODY_BYTES = 64 << 10, /* no server takes all of it for a part of the headers */
	PROBE_RANGE_BODY_BYTES = 1000,
	PROBE_PART_BYTES = 5 << 20, /* the least that stores take, but for the last one */
	PROBE_PARTS_BODY_BYTES = PROBE_PART_BYTES + PROBE_RANGE_BODY_BYTES,
	PROBE_MISSING_NAMES = 4,
	PROBE_LIST_NAMES = 12,
};

/* One check at a time. */
struct probe_work {
	struct task task;
	struct probe *probe;
	int round;
	size_t name; /* the first of this check, or of this round */
	struct bucket_op ops[PROBE_OPS];
	char bodies[PROBE_CREATORS][PROBE_BODY_BYTES];
	struct blob *parts;
	uint8_t long_bodies[2][PROBE_SLOW_BODY_BYTES];
	struct arena arena;
};

/* The steps, by check. */
extern const struct task_kind probe_check_kinds[PROBE_CHECKS];

#endif
