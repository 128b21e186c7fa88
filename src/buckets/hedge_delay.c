#include "buckets/hedge_delay.h"

#include <stdlib.h>
#include <string.h>

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint64_t percentile(const struct hedge_delay *d)
{
	uint32_t sorted[HEDGE_SAMPLES];
	size_t count = d->count < HEDGE_SAMPLES ? d->count : HEDGE_SAMPLES;

	memcpy(sorted, d->samples_ms, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_u32);
	return sorted[count * HEDGE_PERCENTILE / 100];
}

void hedge_delay_add(struct hedge_delay *d, uint64_t took_ms)
{
	d->samples_ms[d->count++ % HEDGE_SAMPLES] =
		took_ms < UINT32_MAX ? (uint32_t)took_ms : UINT32_MAX;
	if (d->count < HEDGE_SAMPLES_MIN)
		return;
	d->delay_ms = percentile(d);
	if (d->delay_ms < HEDGE_DELAY_MS_MIN)
		d->delay_ms = HEDGE_DELAY_MS_MIN;
	if (d->delay_ms > HEDGE_DELAY_MS_MAX)
		d->delay_ms = HEDGE_DELAY_MS_MAX;
}

uint64_t hedge_delay_ms(const struct hedge_delay *d)
{
	return d->count < HEDGE_SAMPLES_MIN ? HEDGE_DELAY_MS_MAX : d->delay_ms;
}
