#include "base/histogram.h"

const struct histogram_scale histogram_times = {
	.unit = 1e-6,
	.count = 17,
	.limits = { 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
		    1000000, 2500000, 5000000, 10000000, 30000000 },
};

const struct histogram_scale histogram_bytes = {
	.unit = 1,
	.count = 9,
	.limits = { 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20,
		    64 << 20 },
};

const struct histogram_scale histogram_counts = {
	.unit = 1,
	.count = 13,
	.limits = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096 },
};

void histogram_add(struct histogram *h, const struct histogram_scale *scale, uint64_t value)
{
	size_t i = 0;

	while (i < scale->count && value > scale->limits[i])
		i++;
	h->counts[i]++;
	h->sum += value;
}

uint64_t histogram_count(const struct histogram *h)
{
	uint64_t count = 0;

	for (size_t i = 0; i <= HISTOGRAM_LIMITS_MAX; i++)
		count += h->counts[i];
	return count;
}
