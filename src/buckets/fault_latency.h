/* How long a store takes, drawn from a seed: lognormal, given by its median and its 99th
 * percentile, as published measurements of stores are.  Pure. */
#ifndef BUCKETS_FAULT_LATENCY_H
#define BUCKETS_FAULT_LATENCY_H

#include "base/err.h"
#include "base/random.h"
#include "base/slice.h"

enum { FAULT_LATENCY_MS_MAX = 60 * 1000 };

/* {0, 0}: no time at all.  Otherwise 0 < p50_ms <= p99_ms. */
struct fault_latency {
	uint64_t p50_ms, p99_ms;
};

/* Microseconds; never more than ten times FAULT_LATENCY_MS_MAX. */
uint64_t fault_latency_draw_us(const struct fault_latency *l, struct prng *p);

/* "100-195": median and 99th percentile in ms; a single number is both. */
MUST_CHECK enum err fault_latency_parse(struct slice text, struct fault_latency *ret);

#endif
