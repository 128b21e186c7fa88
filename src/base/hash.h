/* Non-cryptographic hashes (XXH3 of libxxhash).
 * hash_bytes is seeded at start, so that a peer cannot prepare collisions: for tables in memory.
 * hash_content never changes: it is persisted. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

struct hash128 {
	uint64_t high, low;
};

uint64_t hash_bytes(struct slice s);

/* For what must replay from a seed: call it while no map has anything in it. */
void hash_set_seed(uint64_t fixed);

struct hash128 hash_content(struct slice s);

static inline bool hash128_equal(struct hash128 a, struct hash128 b)
{
	return a.high == b.high && a.low == b.low;
}

#endif
