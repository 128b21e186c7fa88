/* A token bucket: so much a second, and so much at once after a pause. */
#ifndef MESH_RELAY_RATE_H
#define MESH_RELAY_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
	uint64_t per_second; /* 0: no limit */
	uint64_t burst;
	int64_t tokens_milli; /* thousandths; below 0: taken in advance */
	uint64_t at_ms;
};

static inline void rate_init(struct rate *r, uint64_t per_second, uint64_t burst, uint64_t now_ms)
{
	*r = (struct rate) { per_second, burst, (int64_t)burst * 1000, now_ms };
}

static inline void rate_fill(struct rate *r, uint64_t now_ms)
{
	uint64_t passed = now_ms > r->at_ms ? now_ms - r->at_ms : 0;
	const int64_t full = (int64_t)r->burst * 1000;

	r->at_ms = now_ms;
	if (passed > (uint64_t)(full - r->tokens_milli) / r->per_second)
		r->tokens_milli = full;
	else
		r->tokens_milli += (int64_t)(passed * r->per_second);
}

/* Take `amount` if it is there. */
static inline bool rate_allows(struct rate *r, uint64_t amount, uint64_t now_ms)
{
	if (!r->per_second)
		return true;
	rate_fill(r, now_ms);
	if (r->tokens_milli < (int64_t)amount * 1000)
		return false;
	r->tokens_milli -= (int64_t)amount * 1000;
	return true;
}

/* Take `amount` in any case; returns for how many milliseconds nothing more should be taken. */
static inline uint64_t rate_charge(struct rate *r, uint64_t amount, uint64_t now_ms)
{
	if (!r->per_second)
		return 0;
	rate_fill(r, now_ms);
	r->tokens_milli -= (int64_t)amount * 1000;
	if (r->tokens_milli >= 0)
		return 0;
	return (uint64_t)-r->tokens_milli / r->per_second + 1;
}

#endif
