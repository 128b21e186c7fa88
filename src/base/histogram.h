/* How often something took how long, or was how large: counters between fixed limits, as people who
 * measure servers expect them.  Plain numbers of one process, written by its loop alone: adding one
 * costs a short search and two additions. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_LIMITS_MAX = 18 };

struct histogram_scale {
	double unit; /* what 1 is in the base unit: 1e-6 where seconds are counted in microseconds
		      */
	size_t count;
	uint64_t limits[HISTOGRAM_LIMITS_MAX]; /* rising; each counts what is at most that */
};

extern const struct histogram_scale histogram_times;  /* microseconds, 100 us to 30 s */
extern const struct histogram_scale histogram_bytes;  /* 1 KiB to 64 MiB */
extern const struct histogram_scale histogram_counts; /* 1 to 4096 */

/* Zeroed, it is empty. */
struct histogram {
	uint64_t counts[HISTOGRAM_LIMITS_MAX + 1]; /* the one after the last limit: what is above */
	uint64_t sum;
};

void histogram_add(struct histogram *h, const struct histogram_scale *scale, uint64_t value);

/* How many were added. */
uint64_t histogram_count(const struct histogram *h);

#endif
