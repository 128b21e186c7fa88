#include "base/map.h"

#include <assert.h>

#include "base/hash.h"
#include "base/memory.h"

enum { MAP_CAPACITY_MIN = 16 };

struct map_slot {
	struct slice key;
	void *value; /* NULL: free or removed */
	uint64_t hash;
	bool removed;
};

void map_init(struct map *m)
{
	*m = (struct map) { 0 };
}

void map_done(struct map *m)
{
	memory_free(m->slots);
	*m = (struct map) { 0 };
}

static struct map_slot *find_slot(const struct map *m, struct slice key, uint64_t hash)
{
	struct map_slot *reuse = NULL;

	for (size_t i = hash & (m->capacity - 1);; i = (i + 1) & (m->capacity - 1)) {
		struct map_slot *slot = &m->slots[i];
		if (slot->value) {
			if (slot->hash == hash && slice_equal(slot->key, key))
				return slot;
		} else if (!slot->removed) {
			return reuse ? reuse : slot;
		} else if (!reuse) {
			reuse = slot;
		}
	}
}

static void map_rebuild(struct map *m)
{
	struct map old = *m;

	m->capacity = MAP_CAPACITY_MIN;
	while (m->capacity < old.count * 3)
		m->capacity *= 2;
	m->slots = memory_take_array(m->capacity, sizeof(struct map_slot));
	m->used = old.count;
	for (size_t i = 0; i < old.capacity; i++)
		if (old.slots[i].value)
			*find_slot(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
	memory_free(old.slots);
}

void *map_get(const struct map *m, struct slice key)
{
	if (m->count == 0)
		return NULL;
	return find_slot(m, key, hash_bytes(key))->value;
}

void *map_put(struct map *m, struct slice key, void *value)
{
	assert(value);
	if ((m->used + 1) * 4 > m->capacity * 3)
		map_rebuild(m);

	uint64_t hash = hash_bytes(key);
	struct map_slot *slot = find_slot(m, key, hash);
	void *before = slot->value;
	if (!before) {
		m->count++;
		if (!slot->removed)
			m->used++;
	}
	*slot = (struct map_slot) { .key = key, .value = value, .hash = hash };
	return before;
}

void *map_remove(struct map *m, struct slice key)
{
	if (m->count == 0)
		return NULL;

	struct map_slot *slot = find_slot(m, key, hash_bytes(key));
	void *value = slot->value;
	if (value) {
		*slot = (struct map_slot) { .removed = true };
		m->count--;
	}
	return value;
}

void *map_next(const struct map *m, size_t *cursor)
{
	while (*cursor < m->capacity) {
		void *value = m->slots[(*cursor)++].value;
		if (value)
			return value;
	}
	return NULL;
}
