/* Deleting chunks and manifests that no snapshot needs any more, slowly.
 *
 * Condemned is what a bucket listed before a snapshot was stored and what neither that snapshot nor
 * the one before it names: chunks of older snapshots, and leftovers of attempts that failed.  It is
 * deleted after the grace for records, so a slow starter that still reads an older snapshot ends
 * first.  The list lives in memory: after a restart the next snapshot finds the same again. */
#include <assert.h>
#include <string.h>

#include "cells/leader_private.h"

enum { CLEAN_DELETING };

static const char *const clean_places[] = { "deleting" };

static void free_condemned(struct leader *l, struct leader_condemned *c)
{
	map_remove(&l->condemned_keys, (struct slice) { (uint8_t *)c->key, c->key_bytes });
	list_remove(&c->link);
	memory_free(c);
}

static void condemn_name(struct leader *l, struct slice name, unsigned bucket)
{
	struct leader_condemned *c = map_get(&l->condemned_keys, name);

	if (c) {
		c->buckets |= 1U << bucket;
		return;
	}
	if (l->condemned_keys.count >= LEADER_CONDEMNED_MAX)
		return; /* found again later */
	c = memory_take(sizeof(*c) + name.size + 1);
	c->due_ms = loop_now_ms(l->loop) + l->config.record_grace_ms;
	c->buckets = 1U << bucket;
	c->key_bytes = name.size;
	memcpy(c->key, name.data, name.size);
	list_add(&l->condemned, &c->link);
	map_put(&l->condemned_keys, (struct slice) { (uint8_t *)c->key, c->key_bytes }, c);
}

static void add_needed(struct leader *l, struct arena *a, struct map *needed,
		       const struct snapshot_manifest *m)
{
	char *key = arena_take(a, JOURNAL_KEY_BYTES);

	leader_manifest_key(l, m->journal_index, &m->id, key);
	map_put(needed, slice_from(key), key);
	for (size_t i = 0; i < m->chunk_count; i++) {
		key = arena_take(a, SNAPSHOT_CHUNK_NAME_BYTES);
		snapshot_chunk_name(l->config.journal, &m->chunks[i], key);
		map_put(needed, slice_from(key), key);
	}
}

static void condemn_listed(struct leader *l, const struct leader_listing *list, unsigned bucket,
			   const struct map *needed)
{
	for (size_t i = 0; i < list->count; i++)
		if (!map_get(needed, list->names[i]))
			condemn_name(l, list->names[i], bucket);
}

void leader_condemn(struct leader *l, const struct leader_snapshot *s)
{
	struct arena arena;
	struct map needed;

	arena_init(&arena);
	map_init(&needed);
	add_needed(l, &arena, &needed, &s->manifest.manifest);
	if (l->manifest.is_known)
		add_needed(l, &arena, &needed, &l->manifest.manifest);
	for (unsigned k = 0; k < leader_bucket_count(l); k++) {
		condemn_listed(l, &s->chunks[k], k, &needed);
		condemn_listed(l, &s->manifests[k], k, &needed);
	}
	map_done(&needed);
	arena_done(&arena);
}

static struct leader_condemned *first_due(const struct leader *l)
{
	struct leader_condemned *c;

	if (list_is_empty(&l->condemned))
		return NULL;
	c = CONTAINER(l->condemned.next, struct leader_condemned, link);
	return c->due_ms <= loop_now_ms(l->loop) ? c : NULL;
}

/* One object in one bucket after the other.  A delete that fails is not repeated: the next snapshot
 * lists the object again. */
static void advance_delete(struct leader_clean *clean, size_t i)
{
	struct leader *l = clean->leader;
	struct leader_condemned *c = clean->of[i];

	if (c && task_is_running(&clean->ops[i].task))
		return;
	if (c && !c->buckets) {
		free_condemned(l, c);
		c = clean->of[i] = NULL;
	}
	if (!c) {
		c = clean->of[i] = first_due(l);
		if (!c)
			return;
		list_remove(&c->link);
	}
	unsigned bucket = (unsigned)__builtin_ctz(c->buckets);
	c->buckets &= c->buckets - 1;
	bucket_delete(&clean->ops[i], &clean->task, l->config.buckets[bucket],
		      (struct slice) { (uint8_t *)c->key, c->key_bytes });
	task_set_deadline(&clean->ops[i].task, loop_now_ms(l->loop) + LEADER_TRANSFER_MS);
}

static enum step clean_step(struct task *t)
{
	struct leader_clean *clean = CONTAINER(t, struct leader_clean, task);

	if (task_is_canceled(t))
		return task_done(t, ERR_CANCELED);
	for (size_t i = 0; i < LEADER_DELETES_PARALLEL; i++)
		advance_delete(clean, i);
	return t->children > 0 ? task_wait(t, CLEAN_DELETING) : task_done(t, OK);
}

static const struct task_kind clean_kind = {
	.name = "snapshot clean",
	.places = clean_places,
	.place_count = 1,
	.step = clean_step,
};

void leader_clean_start(struct leader *l)
{
	if (l->clean.is_active || !first_due(l))
		return;
	l->clean = (struct leader_clean) { .leader = l, .is_active = true };
	task_start(&l->clean.task, &clean_kind, &l->root);
}

void leader_clean_collect(struct leader *l)
{
	for (size_t i = 0; i < LEADER_DELETES_PARALLEL; i++)
		if (l->clean.of[i])
			free_condemned(l, l->clean.of[i]);
	l->clean = (struct leader_clean) { 0 };
	if (l->state != LEADER_LEADING)
		leader_clean_drop(l);
}

void leader_clean_drop(struct leader *l)
{
	LIST_EACH (&l->condemned, struct leader_condemned, link, c)
		free_condemned(l, c);
}
