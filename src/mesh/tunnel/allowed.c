#include "mesh/tunnel/allowed.h"

#include <assert.h>

#include "base/memory.h"

_Static_assert(sizeof(struct ip_prefix) == 18, "a prefix is a key, so it has no padding");

static struct slice key_of(const struct ip_prefix *prefix)
{
	return (struct slice) { (const uint8_t *)prefix, sizeof(*prefix) };
}

static int family_of(struct ip ip)
{
	return ip.family == IP_V6;
}

/* --- which lengths there are ----------------------------------------------------------------- */
static void list_lengths(struct allowed_table *t, int family)
{
	t->length_count[family] = 0;
	for (int bits = ALLOWED_BITS - 1; bits >= 0; bits--)
		if (t->counts[family][bits] > 0)
			t->lengths[family][t->length_count[family]++] = (uint8_t)bits;
}

static void count(struct allowed_table *t, const struct ip_prefix *prefix, int change)
{
	int family = family_of(prefix->ip);
	uint32_t *n = &t->counts[family][prefix->bits];
	uint32_t before = *n;

	*n += (uint32_t)change;
	if ((before == 0) != (*n == 0))
		list_lengths(t, family);
}

/* --- the table ------------------------------------------------------------------------------- */
void allowed_init(struct allowed_table *t)
{
	*t = (struct allowed_table) { 0 };
	map_init(&t->map);
}

void allowed_done(struct allowed_table *t)
{
	struct allowed *a;
	size_t cursor = 0;

	while ((a = map_next(&t->map, &cursor)))
		memory_free(a);
	map_done(&t->map);
}

struct allowed *allowed_find(const struct allowed_table *t, struct ip_prefix prefix)
{
	prefix = ip_prefix_masked(prefix);
	return map_get(&t->map, key_of(&prefix));
}

enum err allowed_add(struct allowed_table *t, struct ip_prefix prefix, void *owner,
		     struct list *list, size_t max)
{
	assert(prefix.bits <= ip_bits(prefix.ip) && ip_bits(prefix.ip) > 0);
	struct allowed *a = allowed_find(t, prefix);

	if (!a) {
		if (t->map.count >= max)
			return ERR_FULL;
		a = NEW(struct allowed);
		a->prefix = ip_prefix_masked(prefix);
		map_put(&t->map, key_of(&a->prefix), a);
		count(t, &a->prefix, 1);
	}
	a->owner = owner;
	list_remove(&a->link);
	list_add(list, &a->link);
	t->last.family = IP_NONE;
	return OK;
}

void allowed_remove(struct allowed_table *t, struct allowed *a)
{
	map_remove(&t->map, key_of(&a->prefix));
	count(t, &a->prefix, -1);
	list_remove(&a->link);
	t->last.family = IP_NONE;
	memory_free(a);
}

void *allowed_owner(struct allowed_table *t, struct ip address)
{
	int family = family_of(address);
	void *owner = NULL;

	if (address.family == IP_NONE)
		return NULL;
	if (ip_equal(address, t->last))
		return t->last_owner;
	for (int i = 0; !owner && i < t->length_count[family]; i++) {
		struct ip_prefix prefix = { address, t->lengths[family][i] };
		const struct allowed *a = allowed_find(t, prefix);
		if (a)
			owner = a->owner;
	}
	t->last = address;
	t->last_owner = owner;
	return owner;
}
