#include "base/hash.h"

#include <xxhash.h>

#include "base/random.h"

static uint64_t seed;

/* Before main, so that no two threads race for it. */
__attribute__((constructor)) static void hash_prepare(void)
{
	random_bytes(&seed, sizeof(seed));
}

void hash_set_seed(uint64_t fixed)
{
	seed = fixed;
}

uint64_t hash_bytes(struct slice s)
{
	return XXH3_64bits_withSeed(s.data, s.size, seed);
}

struct hash128 hash_content(struct slice s)
{
	XXH128_hash_t hash = XXH3_128bits(s.data, s.size);

	return (struct hash128) { hash.high64, hash.low64 };
}
