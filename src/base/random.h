/* Randomness of the kernel, and a seeded generator for everything that must replay. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *ret, size_t size);
uint64_t random_u64(void);

/* splitmix64: good enough for jitter, shuffling and simulation, never for secrets. */
struct prng {
	uint64_t state;
};

static inline uint64_t prng_next(struct prng *p)
{
	uint64_t z = (p->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Uniform in [0, bound); bound > 0. */
static inline uint64_t prng_below(struct prng *p, uint64_t bound)
{
	return (uint64_t)(((unsigned __int128)prng_next(p) * bound) >> 64);
}

#endif
