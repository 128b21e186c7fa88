/* Which of many ranges of numbers hold a number: a set of bits, found by binary search.
 *
 *   ranges    1: |--------|        5..12      starts   0    5    8    13   20   30
 *             2:     |---------|   8..19      sets     {}  {1} {1,2} {2}  {3}   {}
 *             3:               |---| 20..29
 *
 * Equal sets are kept once.  All ranges of a table are of one family; ports and protocols are
 * numbers too (interval_number). */
#ifndef MESH_FILTER_INTERVALS_H
#define MESH_FILTER_INTERVALS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/ip_range.h"

enum { INTERVALS_WORDS_MAX = 1 << 20 }; /* of all sets of one table together: 8 MB */

struct intervals {
	const struct ip *starts;
	const uint64_t *const *sets; /* NULL: empty */
	size_t count;
};

struct intervals_builder {
	struct buf edges;
};

void intervals_builder_init(struct intervals_builder *b);
void intervals_builder_done(struct intervals_builder *b);

/* The numbers of `r` have the bits `bit`..`bit + bit_count - 1`; whoever adds a bit again adds the
 * same run of bits. */
void intervals_add(struct intervals_builder *b, const struct ip_range *r, size_t bit,
		   size_t bit_count);

/* Sets of `words` * 64 bits, in the arena.  ERR_TOO_BIG: more than INTERVALS_WORDS_MAX. */
MUST_CHECK enum err intervals_build(struct arena *a, struct intervals_builder *b, size_t words,
				    struct intervals *ret);

/* The set of the number, or NULL when it is empty. */
const uint64_t *intervals_find(const struct intervals *t, const struct ip *number);

static inline struct ip interval_number(uint16_t number)
{
	return (struct ip) { .bytes = { (uint8_t)(number >> 8), (uint8_t)number } };
}

#endif
