#include "base/hash.h"

#include <xxhash.h>

#include "base/random.h"

uint64_t hash_bytes(struct slice s)
{
	static uint64_t seed;

	while (seed == 0)
		random_bytes(&seed, sizeof(seed));
	return XXH3_64bits_withSeed(s.data, s.size, seed);
}

struct hash128 hash_content(struct slice s)
{
	XXH128_hash_t hash = XXH3_128bits(s.data, s.size);

	return (struct hash128) { hash.high64, hash.low64 };
}
