#include "mesh/filter/intervals.h"

#include <assert.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"

struct edge {
	struct ip at; /* the range begins here, or ended just before */
	uint32_t bit, bit_count;
	int32_t change; /* +1, -1 */
};

void intervals_builder_init(struct intervals_builder *b)
{
	buf_init(&b->edges);
}

void intervals_builder_done(struct intervals_builder *b)
{
	buf_done(&b->edges);
}

/* The number behind `a`, in whichever of the 16 bytes it ends; false: there is none. */
static bool number_behind(const struct ip *a, struct ip *ret)
{
	int last = a->family == IP_V6 ? 15 : a->family == IP_V4 ? 3 : 1;

	*ret = *a;
	for (int i = last; i >= 0; i--)
		if (++ret->bytes[i] != 0)
			return true;
	return false;
}

static int compare_numbers(const struct ip *a, const struct ip *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

void intervals_add(struct intervals_builder *b, const struct ip_range *r, size_t bit,
		   size_t bit_count)
{
	struct edge edge = {
		.at = r->first, .bit = (uint32_t)bit, .bit_count = (uint32_t)bit_count, .change = 1
	};

	assert(compare_numbers(&r->first, &r->last) <= 0);
	buf_add(&b->edges, &edge, sizeof(edge));
	if (!number_behind(&r->last, &edge.at))
		return;
	edge.change = -1;
	buf_add(&b->edges, &edge, sizeof(edge));
}

static int compare_edges(const void *a, const void *b)
{
	return compare_numbers(&((const struct edge *)a)->at, &((const struct edge *)b)->at);
}

static void set_bits(uint64_t *set, const struct edge *e, bool value)
{
	for (uint32_t bit = e->bit; bit < e->bit + e->bit_count; bit++) {
		uint64_t mask = (uint64_t)1 << (bit % 64);

		set[bit / 64] = value ? set[bit / 64] | mask : set[bit / 64] & ~mask;
	}
}

/* What a sweep over the edges, from the lowest number to the highest, remembers. */
struct sweep {
	struct arena *a;
	size_t words;
	uint64_t *set;	  /* of the number the sweep has come to */
	uint32_t *depths; /* by first bit: how many ranges are open there */
	size_t set_bits;  /* runs of bits that are set */
	struct map known; /* sets that were seen before */
	size_t words_used;
};

/* The set as it is now, kept once. */
static enum err sweep_keep(struct sweep *s, const uint64_t **ret)
{
	struct slice content = { (const uint8_t *)s->set, s->words * sizeof(*s->set) };
	uint64_t *kept;

	if (s->set_bits == 0) {
		*ret = NULL;
		return OK;
	}
	kept = map_get(&s->known, content);
	if (!kept) {
		s->words_used += s->words;
		if (s->words_used > INTERVALS_WORDS_MAX)
			return ERR_TOO_BIG;
		kept = arena_take_array(s->a, s->words, sizeof(*kept));
		memcpy(kept, content.data, content.size);
		map_put(&s->known, (struct slice) { (const uint8_t *)kept, content.size }, kept);
	}
	*ret = kept;
	return OK;
}

static void sweep_cross(struct sweep *s, const struct edge *e)
{
	uint32_t *depth = &s->depths[e->bit];
	bool was_open = *depth > 0;

	assert(e->change > 0 || was_open);
	*depth = e->change > 0 ? *depth + 1 : *depth - 1;
	if (was_open == (*depth > 0))
		return;
	set_bits(s->set, e, *depth > 0);
	s->set_bits = *depth > 0 ? s->set_bits + 1 : s->set_bits - 1;
}

static enum err sweep_all(struct sweep *s, const struct edge *edges, size_t count,
			  struct intervals *ret)
{
	struct ip *starts = arena_take_array(s->a, count, sizeof(*starts));
	const uint64_t **sets = arena_take_array(s->a, count, sizeof(*sets));
	size_t n = 0;

	for (size_t i = 0; i < count;) {
		struct ip at = edges[i].at;
		const uint64_t *set;
		enum err err;

		for (; i < count && ip_equal(edges[i].at, at); i++)
			sweep_cross(s, &edges[i]);
		err = sweep_keep(s, &set);
		if (err)
			return err;
		if (n > 0 && sets[n - 1] == set)
			continue;
		starts[n] = at;
		sets[n++] = set;
	}
	*ret = (struct intervals) { starts, sets, n };
	return OK;
}

enum err intervals_build(struct arena *a, struct intervals_builder *b, size_t words,
			 struct intervals *ret)
{
	size_t count = b->edges.size / sizeof(struct edge);
	struct sweep s = { .a = a, .words = words };
	enum err err;

	if (count == 0) {
		*ret = (struct intervals) { 0 };
		return OK;
	}
	/* Edges at one number may stand in any order: the end of a range is always behind its own
	 * beginning, so no depth falls below zero on the way. */
	qsort(b->edges.data, count, sizeof(struct edge), compare_edges);
	s.set = memory_take_array(words, sizeof(*s.set));
	s.depths = memory_take_array(words * 64, sizeof(*s.depths));
	map_init(&s.known);
	err = sweep_all(&s, (const struct edge *)(const void *)b->edges.data, count, ret);
	map_done(&s.known);
	memory_free(s.depths);
	memory_free(s.set);
	return err;
}

const uint64_t *intervals_find(const struct intervals *t, const struct ip *number)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (compare_numbers(&t->starts[middle], number) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? t->sets[low - 1] : NULL;
}
