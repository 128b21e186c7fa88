#include "mesh/filter/flows.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

enum { FLOWS_BUCKETS_MIN = 32 };

/* The tags stand together, so that a look at one cache line finds the way. */
struct bucket {
	uint16_t tags[FLOWS_WAYS]; /* of the hash; 0: free */
	struct flow flows[FLOWS_WAYS];
};

struct flows {
	struct bucket *buckets;
	size_t bucket_count; /* a power of two */
	size_t buckets_max;
	size_t count, evicted;
};

struct flows *flows_new(size_t flows_max)
{
	struct flows *f = NEW(struct flows);

	f->bucket_count = FLOWS_BUCKETS_MIN;
	f->buckets_max = FLOWS_BUCKETS_MIN;
	while (f->buckets_max * FLOWS_WAYS < flows_max)
		f->buckets_max *= 2;
	f->buckets = memory_take_array(f->bucket_count, sizeof(*f->buckets));
	return f;
}

void flows_free(struct flows *f)
{
	memory_free(f->buckets);
	memory_free(f);
}

static uint64_t hash_key(const struct flow_key *key)
{
	return hash_bytes((struct slice) { (const uint8_t *)key, sizeof(*key) });
}

static uint16_t tag_of(uint64_t hash)
{
	return (uint16_t)(hash >> 48 | 1);
}

static struct bucket *bucket_of(struct flows *f, uint64_t hash)
{
	return &f->buckets[hash & (f->bucket_count - 1)];
}

struct flow *flows_find(struct flows *f, const struct flow_key *key, uint32_t now_s)
{
	uint64_t hash = hash_key(key);
	struct bucket *b = bucket_of(f, hash);
	uint16_t tag = tag_of(hash);

	for (int i = 0; i < FLOWS_WAYS; i++)
		if (b->tags[i] == tag && memcmp(&b->flows[i].key, key, sizeof(*key)) == 0) {
			if (b->flows[i].expires_s >= now_s)
				return &b->flows[i];
			flows_remove(f, &b->flows[i]);
			return NULL;
		}
	return NULL;
}

static int free_way(struct flows *f, struct bucket *b, uint32_t now_s)
{
	for (int i = 0; i < FLOWS_WAYS; i++)
		if (!b->tags[i])
			return i;
	for (int i = 0; i < FLOWS_WAYS; i++)
		if (b->flows[i].expires_s < now_s) {
			flows_remove(f, &b->flows[i]);
			return i;
		}
	return -1;
}

/* -1: what is there goes before a flow of this kind. */
static int stalest_way(const struct bucket *b, bool is_ours)
{
	int victim = -1;

	for (int i = 0; i < FLOWS_WAYS; i++) {
		const struct flow *it = &b->flows[i], *old = &b->flows[victim < 0 ? 0 : victim];

		if (it->is_ours && !is_ours)
			continue;
		if (victim < 0 || (old->is_ours && !it->is_ours) ||
		    (old->is_ours == it->is_ours && it->expires_s < old->expires_s))
			victim = i;
	}
	return victim;
}

static void grow(struct flows *f, uint32_t now_s)
{
	struct bucket *old = f->buckets;
	size_t old_count = f->bucket_count;

	f->bucket_count *= 2;
	f->buckets = memory_take_array(f->bucket_count, sizeof(*f->buckets));
	f->count = 0;
	for (size_t i = 0; i < old_count * FLOWS_WAYS; i++) {
		const struct bucket *from = &old[i / FLOWS_WAYS];
		const struct flow *it = &from->flows[i % FLOWS_WAYS];
		uint64_t hash;
		struct bucket *b;

		if (!from->tags[i % FLOWS_WAYS] || it->expires_s < now_s)
			continue;
		hash = hash_key(&it->key);
		b = bucket_of(f, hash);
		for (int way = 0; way < FLOWS_WAYS; way++)
			if (!b->tags[way]) {
				b->tags[way] = tag_of(hash);
				b->flows[way] = *it;
				f->count++;
				break;
			}
	}
	memory_free(old);
}

struct flow *flows_add(struct flows *f, const struct flow_key *key, bool is_ours, uint32_t now_s)
{
	uint64_t hash = hash_key(key);
	struct bucket *b = bucket_of(f, hash);
	int way = free_way(f, b, now_s);

	while (way < 0 && f->bucket_count < f->buckets_max) {
		grow(f, now_s);
		b = bucket_of(f, hash);
		way = free_way(f, b, now_s);
	}
	if (way < 0) {
		way = stalest_way(b, is_ours);
		if (way < 0)
			return NULL;
		flows_remove(f, &b->flows[way]);
		f->evicted++;
	}
	b->tags[way] = tag_of(hash);
	b->flows[way] = (struct flow) { .key = *key, .is_ours = is_ours };
	f->count++;
	return &b->flows[way];
}

void flows_remove(struct flows *f, struct flow *flow)
{
	size_t bucket = (size_t)((char *)flow - (char *)f->buckets) / sizeof(*f->buckets);
	size_t way = (size_t)(flow - f->buckets[bucket].flows);

	assert(f->buckets[bucket].tags[way] && f->count > 0);
	f->buckets[bucket].tags[way] = 0;
	f->count--;
}

struct flow *flows_next(struct flows *f, size_t *cursor)
{
	while (*cursor < f->bucket_count * FLOWS_WAYS) {
		size_t i = (*cursor)++;
		struct bucket *b = &f->buckets[i / FLOWS_WAYS];

		if (b->tags[i % FLOWS_WAYS])
			return &b->flows[i % FLOWS_WAYS];
	}
	return NULL;
}

size_t flows_count(const struct flows *f)
{
	return f->count;
}

size_t flows_evicted(const struct flows *f)
{
	return f->evicted;
}
