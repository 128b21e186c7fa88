/* How often each duration was seen, within 1 % of the duration: 128 buckets for each power of two,
 * so that the slowest one in a million costs no more to keep than the median. */
#ifndef BENCH_LOAD_HISTOGRAM_H
#define BENCH_LOAD_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum {
	HISTOGRAM_BITS = 7,
	HISTOGRAM_POWERS = 32, /* durations up to 2^39 us, which is six days */
	HISTOGRAM_BUCKETS = (HISTOGRAM_POWERS + 1) << HISTOGRAM_BITS,
};

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t count, max_us;
};

void histogram_add(struct histogram *h, uint64_t us);

/* What `share` (0 to 1) of all are not longer than; 0 when there are none. */
uint64_t histogram_at(const struct histogram *h, double share);

/* A JSON object: count, and p50_ms to max_ms. */
void histogram_print(const struct histogram *h, FILE *out);

#endif
