/* When a request is late: the 95th percentile of the last ones of its kind.  Pure. */
#ifndef BUCKETS_HEDGE_DELAY_H
#define BUCKETS_HEDGE_DELAY_H

#include <stddef.h>
#include <stdint.h>

enum {
	HEDGE_SAMPLES = 64,
	HEDGE_SAMPLES_MIN = 20, /* fewer say nothing: HEDGE_DELAY_MS_MAX */
	HEDGE_PERCENTILE = 95,
	HEDGE_DELAY_MS_MIN = 20, /* before that nothing is won by asking twice */
	HEDGE_DELAY_MS_MAX = 1000,
};

/* Zero it first. */
struct hedge_delay {
	uint32_t samples_ms[HEDGE_SAMPLES];
	size_t count; /* ever */
	uint64_t delay_ms;
};

/* A request took so long, or was given up after so long. */
void hedge_delay_add(struct hedge_delay *d, uint64_t took_ms);

uint64_t hedge_delay_ms(const struct hedge_delay *d);

#endif
