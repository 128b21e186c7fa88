#include "buckets/fault_latency.h"

#include <math.h>

#include "base/text.h"

#define US_PER_MS 1000.0
#define Z_OF_P99 2.3263478740408408 /* so many standard deviations above the median */

/* In (0, 1]. */
static double draw_unit(struct prng *p)
{
	return ((double)(prng_next(p) >> 11) + 1) / (double)(UINT64_C(1) << 53);
}

/* Box and Muller: two uniform numbers make a normal one. */
static double draw_normal(struct prng *p)
{
	double radius = sqrt(-2 * log(draw_unit(p)));

	return radius * cos(2 * M_PI * draw_unit(p));
}

uint64_t fault_latency_draw_us(const struct fault_latency *l, struct prng *p)
{
	if (l->p50_ms == 0)
		return 0;
	double spread = log((double)l->p99_ms / (double)l->p50_ms) / Z_OF_P99;
	double us = (double)l->p50_ms * US_PER_MS * exp(spread * draw_normal(p));
	double us_max = 10 * US_PER_MS * FAULT_LATENCY_MS_MAX;

	return (uint64_t)(us < us_max ? us : us_max);
}

enum err fault_latency_parse(struct slice text, struct fault_latency *ret)
{
	struct slice rest = text, first = slice_cut(&rest, '-');
	struct fault_latency l;
	enum err err = text_to_u64(first, FAULT_LATENCY_MS_MAX, &l.p50_ms);

	if (err)
		return err;
	l.p99_ms = l.p50_ms;
	if (first.size < text.size)
		err = text_to_u64(rest, FAULT_LATENCY_MS_MAX, &l.p99_ms);
	if (!err && (l.p50_ms == 0 || l.p99_ms < l.p50_ms))
		err = ERR_INVALID;
	if (!err)
		*ret = l;
	return err;
}
