#include "buckets/s3_pace.h"

enum { US_PER_MS = 1000, US_PER_SECOND = 1000 * 1000, SECOND_MS = 1000 };

static void count(struct s3_pace *p, uint64_t now_ms)
{
	if (now_ms >= p->second_at_ms + SECOND_MS) {
		p->sent_before = now_ms < p->second_at_ms + 2 * SECOND_MS ? p->sent : 0;
		p->sent = 0;
		p->second_at_ms = now_ms;
	}
	p->sent++;
}

static void grow(struct s3_pace *p, uint64_t now_ms)
{
	while (p->limit && now_ms >= p->grown_at_ms + S3_PACE_GROWTH_MS) {
		p->grown_at_ms += S3_PACE_GROWTH_MS;
		p->limit += p->limit / 8 + S3_PACE_FIRST_MIN;
		if (p->limit > p->free_above)
			p->limit = 0;
	}
}

uint64_t s3_pace_take_ms(struct s3_pace *p, uint64_t now_ms)
{
	uint64_t now_us = now_ms * US_PER_MS, turn_us;

	count(p, now_ms);
	grow(p, now_ms);
	if (!p->limit)
		return 0;
	turn_us = p->turn_at_us > now_us ? p->turn_at_us : now_us;
	p->turn_at_us = turn_us + US_PER_SECOND / p->limit;
	return (turn_us - now_us) / US_PER_MS;
}

bool s3_pace_slow_down(struct s3_pace *p, uint64_t now_ms)
{
	uint64_t rate = p->limit;

	if (p->slowed_at_ms && now_ms < p->slowed_at_ms + S3_PACE_MOMENT_MS)
		return false;
	if (!rate)
		rate = p->sent > p->sent_before ? p->sent : p->sent_before;
	p->free_above = 2 * rate > S3_PACE_FIRST_MIN ? 2 * rate : S3_PACE_FIRST_MIN;
	if (!p->limit && rate < 2 * S3_PACE_FIRST_MIN)
		rate = 2 * S3_PACE_FIRST_MIN;
	p->limit = rate / 2 > S3_PACE_MIN ? rate / 2 : S3_PACE_MIN;
	if (p->free_above < p->limit)
		p->free_above = p->limit;
	p->slowed_at_ms = p->grown_at_ms = now_ms;
	p->turn_at_us = now_ms * US_PER_MS + US_PER_SECOND / p->limit;
	return true;
}
