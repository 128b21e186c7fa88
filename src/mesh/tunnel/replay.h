/* Which counters were seen, of the last REPLAY_COUNTERS: a ring of bits (RFC 6479), of which the
 * oldest word is cleared as a whole when the newest moves on. */
#ifndef MESH_TUNNEL_REPLAY_H
#define MESH_TUNNEL_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

enum { REPLAY_WORDS = 128, REPLAY_COUNTERS = (REPLAY_WORDS - 1) * 64 };

struct replay {
	uint64_t last; /* the highest one seen */
	uint64_t words[REPLAY_WORDS];
};

/* True, and it is seen from now on: it is new.  Only for counters that are authentic. */
static inline bool replay_take(struct replay *r, uint64_t counter)
{
	uint64_t word = counter / 64, bit = 1ull << counter % 64;

	if (counter > r->last) {
		uint64_t from = r->last / 64, steps = word - from;
		if (steps > REPLAY_WORDS)
			steps = REPLAY_WORDS;
		for (uint64_t i = 1; i <= steps; i++)
			r->words[(from + i) % REPLAY_WORDS] = 0;
		r->last = counter;
	} else if (r->last - counter >= REPLAY_COUNTERS) {
		return false;
	}
	if (r->words[word % REPLAY_WORDS] & bit)
		return false;
	r->words[word % REPLAY_WORDS] |= bit;
	return true;
}

#endif
