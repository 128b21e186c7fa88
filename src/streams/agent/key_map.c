#include "streams/agent/key_map.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "wire/crypto/blake2s.h"

enum { KEY_MAP_SLOTS_FIRST = 1024, DIGEST_BYTES = 16 };

/* Empty where `next_offset` is 0. */
struct key_slot {
	uint8_t digest[DIGEST_BYTES];
	int64_t next_offset; /* one more than that of the record */
};

struct key_map {
	uint8_t secret[BLAKE2S_BYTES];
	struct key_slot *slots;
	size_t slot_count, slot_count_max; /* powers of two */
	size_t count;
};

struct key_map *key_map_new(size_t bytes_max)
{
	struct key_map *m = NEW(struct key_map);

	static_assert(sizeof(struct key_slot) == KEY_MAP_SLOT_BYTES, "what the header says");
	random_bytes(m->secret, sizeof(m->secret));
	m->slot_count_max = 4;
	while (m->slot_count_max * 2 <= bytes_max / sizeof(struct key_slot))
		m->slot_count_max *= 2;
	m->slot_count = m->slot_count_max < KEY_MAP_SLOTS_FIRST ? m->slot_count_max
								: (size_t)KEY_MAP_SLOTS_FIRST;
	m->slots = memory_take_array(m->slot_count, sizeof(*m->slots));
	return m;
}

void key_map_free(struct key_map *m)
{
	if (!m)
		return;
	memory_free(m->slots);
	memory_free(m);
}

/* Where this digest is, or where it would be put. */
static struct key_slot *find_slot(const struct key_map *m, const uint8_t *digest)
{
	size_t at;

	memcpy(&at, digest, sizeof(at));
	for (;; at++) {
		struct key_slot *slot = &m->slots[at & (m->slot_count - 1)];
		if (slot->next_offset == 0 || memcmp(slot->digest, digest, DIGEST_BYTES) == 0)
			return slot;
	}
}

static void grow(struct key_map *m)
{
	struct key_slot *old = m->slots;
	size_t old_count = m->slot_count;

	m->slot_count *= 2;
	m->slots = memory_take_array(m->slot_count, sizeof(*m->slots));
	for (size_t i = 0; i < old_count; i++)
		if (old[i].next_offset)
			*find_slot(m, old[i].digest) = old[i];
	memory_free(old);
}

static void digest_of(const struct key_map *m, struct slice key, uint8_t ret[DIGEST_BYTES])
{
	static_assert((int)DIGEST_BYTES == (int)BLAKE2S_MAC_BYTES, "one digest");
	blake2s_mac((struct slice) { m->secret, sizeof(m->secret) }, key, ret);
}

bool key_map_put(struct key_map *m, struct slice key, int64_t offset)
{
	uint8_t digest[DIGEST_BYTES];

	assert(offset >= 0 && offset < INT64_MAX);
	digest_of(m, key, digest);
	struct key_slot *slot = find_slot(m, digest);
	if (slot->next_offset == 0) {
		if (m->count + 1 > m->slot_count / 4 * 3) {
			if (m->slot_count == m->slot_count_max)
				return false;
			grow(m);
			slot = find_slot(m, digest);
		}
		memcpy(slot->digest, digest, DIGEST_BYTES);
		m->count++;
	}
	if (slot->next_offset <= offset)
		slot->next_offset = offset + 1;
	return true;
}

int64_t key_map_find(const struct key_map *m, struct slice key)
{
	uint8_t digest[DIGEST_BYTES];

	digest_of(m, key, digest);
	return find_slot(m, digest)->next_offset - 1;
}

size_t key_map_count(const struct key_map *m)
{
	return m->count;
}
