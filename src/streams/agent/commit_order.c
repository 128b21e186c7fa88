#include "streams/agent/commit_order.h"

enum { WORD_BITS = 64, ORDER_BITS = COMMIT_ORDER_WORDS * WORD_BITS };

/* Neighbouring numbers get different bits; connections and producers are mixed differently. */
static void add(struct commit_order *o, uint64_t who, uint64_t factor)
{
	uint64_t bit = (who * factor) >> (WORD_BITS - 8);

	_Static_assert(ORDER_BITS == 1 << 8, "eight bits of the product choose one");
	o->bits[bit / WORD_BITS] |= UINT64_C(1) << (bit % WORD_BITS);
}

void commit_order_add_connection(struct commit_order *o, uint64_t connection_id)
{
	add(o, connection_id, 0x9e3779b97f4a7c15u);
}

void commit_order_add_producer(struct commit_order *o, int64_t producer_id)
{
	if (producer_id >= 0)
		add(o, (uint64_t)producer_id, 0xbf58476d1ce4e5b9u);
}

static bool meet(const struct commit_order *a, const struct commit_order *b)
{
	for (int i = 0; i < COMMIT_ORDER_WORDS; i++)
		if (a->bits[i] & b->bits[i])
			return true;
	return false;
}

static void cover(struct commit_chain *c, const struct commit_order *earlier)
{
	for (int i = 0; i < COMMIT_ORDER_WORDS; i++)
		c->covered.bits[i] |= earlier->bits[i];
}

void commit_chain_begin(struct commit_chain *c, const struct commit_order *mine)
{
	*c = (struct commit_chain) { .mine = *mine };
}

enum commit_need commit_chain_look(struct commit_chain *c, const struct commit_order *earlier)
{
	bool matters = meet(&c->mine, earlier);

	if (c->has_nearest && meet(&c->covered, earlier)) {
		cover(c, earlier);
		return COMMIT_FREE;
	}
	if (!matters)
		return COMMIT_FREE;
	if (c->has_nearest)
		return COMMIT_DECIDED;
	c->has_nearest = true;
	cover(c, earlier);
	return COMMIT_NEAREST;
}
