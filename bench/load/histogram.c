#include "histogram.h"

#include <stddef.h>

enum { LINEAR = 1 << HISTOGRAM_BITS };

/* Below LINEAR a bucket is a microsecond; then each power of two has LINEAR buckets. */
static size_t bucket_of(uint64_t us)
{
	if (us < LINEAR)
		return (size_t)us;
	int power = 63 - __builtin_clzll(us) - HISTOGRAM_BITS;
	size_t bucket = ((size_t)power << HISTOGRAM_BITS) + (size_t)(us >> power);
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The longest duration that falls into it. */
static uint64_t end_of(size_t bucket)
{
	if (bucket < LINEAR)
		return bucket;
	size_t power = (bucket >> HISTOGRAM_BITS) - 1;
	return ((uint64_t)(bucket - (power << HISTOGRAM_BITS) + 1) << power) - 1;
}

void histogram_add(struct histogram *h, uint64_t us)
{
	h->counts[bucket_of(us)]++;
	h->count++;
	if (us > h->max_us)
		h->max_us = us;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)h->count), seen = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->counts[i];
		if (seen > wanted || (seen == h->count && seen > 0))
			return end_of(i) < h->max_us ? end_of(i) : h->max_us;
	}
	return 0;
}

void histogram_print(const struct histogram *h, FILE *out)
{
	fprintf(out,
		"{\"count\": %llu, \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, "
		"\"p999_ms\": %.3f, \"max_ms\": %.3f}",
		(unsigned long long)h->count, (double)histogram_at(h, 0.5) / 1e3,
		(double)histogram_at(h, 0.9) / 1e3, (double)histogram_at(h, 0.99) / 1e3,
		(double)histogram_at(h, 0.999) / 1e3, (double)h->max_us / 1e3);
}
