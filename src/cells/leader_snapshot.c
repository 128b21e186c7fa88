/* Taking a snapshot while commands go on:
 *
 *	room -> seal, image -> hashes, plan -> wait until what it holds is durable -> LIST what the
 *	buckets have -> PUT missing chunks -> PUT manifest -> fence check -> the engine learns of it
 *
 * Room and hashes are made on another thread, so that the loop only stands still while the pages
 * are copied (doc/decisions/0007).
 *
 * A bucket counts when it holds every chunk and the manifest; a majority must.  What it holds is
 * looked up, not remembered, so a bucket that was away or replaced gets the old chunks too.
 *
 * The fence check is for leader_clean.c: what the LISTs saw, and neither this manifest nor the one
 * before it names, was not written by a later leader, and nobody will name it again.
 *
 * A failure ends this attempt and nothing else; the next one comes after a pause. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "cells/leader_private.h"

enum { ROOM, TAKE, PLAN, COMMIT, LIST_NAMES, PUT_CHUNKS, PUT_MANIFEST, FENCE };

static const char *const snapshot_places[] = { "begin",	  "room",	"hashes",   "durable",
					       "listing", "put chunks", "manifest", "fence check" };

/* --- names and pointers (doc/formats/leader.md) --------------------------------------------- */

void leader_manifest_key(const struct leader *l, uint64_t index, const struct snapshot_id *id,
			 char ret[JOURNAL_KEY_BYTES])
{
	snapshot_manifest_name(l->config.journal, index, id, ret);
}

void leader_pointer_encode(const struct snapshot_manifest *m, struct slice manifest,
			   struct journal_snapshot *ret)
{
	struct hash128 hash = hash_content(manifest);

	_Static_assert((int)LEADER_POINTER_BYTES <= (int)JOURNAL_SNAPSHOT_BYTES_MAX,
		       "a pointer fits");
	*ret = (struct journal_snapshot) {
		.index = m->journal_index,
		.size = LEADER_POINTER_BYTES,
	};
	ret->bytes[0] = LEADER_POINTER_FORMAT;
	memcpy(ret->bytes + 1, m->id.bytes, sizeof(m->id.bytes));
	put_u32(ret->bytes + 17, (uint32_t)manifest.size);
	put_u64(ret->bytes + 21, hash.high);
	put_u64(ret->bytes + 29, hash.low);
}

enum err leader_pointer_decode(const struct journal_snapshot *pointer, struct snapshot_id *id,
			       uint32_t *manifest_bytes, struct hash128 *hash)
{
	if (pointer->size < 1)
		return ERR_CORRUPT;
	if (pointer->bytes[0] > LEADER_POINTER_FORMAT)
		return ERR_UNSUPPORTED;
	if (pointer->bytes[0] != LEADER_POINTER_FORMAT || pointer->size != LEADER_POINTER_BYTES)
		return ERR_CORRUPT;
	memcpy(id->bytes, pointer->bytes + 1, sizeof(id->bytes));
	*manifest_bytes = get_u32(pointer->bytes + 17);
	hash->high = get_u64(pointer->bytes + 21);
	hash->low = get_u64(pointer->bytes + 29);
	return OK;
}

void leader_manifest_clear(struct leader_manifest *m)
{
	if (m->is_known)
		arena_done(&m->arena);
	*m = (struct leader_manifest) { 0 };
}

/* --- what the buckets have ------------------------------------------------------------------ */

static unsigned good_buckets(const struct leader_snapshot *s)
{
	return ((1U << leader_bucket_count(s->leader)) - 1) & ~s->failed;
}

static void start_listing(struct leader_snapshot *s, struct leader_listing *list, unsigned bucket)
{
	struct leader *l = s->leader;
	struct slice after = { NULL, 0 };

	if (list->count > 0)
		after = list->names[list->count - 1];
	list->is_active = true;
	bucket_list(&list->op, &s->task, l->config.buckets[bucket], &list->arena,
		    slice_from(list->prefix), after);
	task_set_deadline(&list->op.task, loop_now_ms(l->loop) + LEADER_TRANSFER_MS);
}

static void begin_listing(struct leader_snapshot *s, struct leader_listing *list, unsigned bucket,
			  const char *kind)
{
	snprintf(list->prefix, sizeof(list->prefix), "v1/j/%s/%s/", s->leader->config.journal,
		 kind);
	arena_init(&list->arena);
	start_listing(s, list, bucket);
}

static void take_names(struct leader_listing *list)
{
	size_t count = list->count + list->op.ret_count;
	struct slice *names = arena_take_array(&list->arena, count + 1, sizeof(*names));

	if (list->count)
		memcpy(names, list->names, list->count * sizeof(*names));
	if (list->op.ret_count)
		memcpy(names + list->count, list->op.ret_names,
		       list->op.ret_count * sizeof(*names));
	list->names = names;
	list->count = count;
	list->pages++;
}

static void advance_listing(struct leader_snapshot *s, struct leader_listing *list, unsigned bucket)
{
	if (!list->is_active || task_is_running(&list->op.task))
		return;
	list->is_active = false;
	if (list->op.task.err) {
		s->failed |= 1U << bucket;
		return;
	}
	take_names(list);
	if (list->op.ret_more && list->op.ret_count > 0 && list->pages < LEADER_LIST_PAGES_MAX)
		start_listing(s, list, bucket);
}

static int compare_names(const void *a, const void *b)
{
	return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static bool has_name(const struct leader_listing *list, struct slice name)
{
	return list->count > 0 &&
	       bsearch(&name, list->names, list->count, sizeof(name), compare_names);
}

/* --- chunks --------------------------------------------------------------------------------- */

/* The next chunk that some bucket lacks; false when there is none. */
static bool next_put(struct leader_snapshot *s, struct leader_transfer *x)
{
	const struct snapshot_manifest *m = &s->manifest.manifest;
	unsigned n = leader_bucket_count(s->leader);

	while (s->next_chunk < m->chunk_count) {
		x->chunk = s->next_chunk;
		x->bucket = s->next_bucket;
		s->next_bucket = (s->next_bucket + 1) % n;
		if (s->next_bucket == 0)
			s->next_chunk++;
		if (s->failed & 1U << x->bucket)
			continue;
		snapshot_chunk_name(s->leader->config.journal, &m->chunks[x->chunk], x->key);
		if (!has_name(&s->chunks[x->bucket], slice_from(x->key)))
			return true;
	}
	return false;
}

static void advance_put(struct leader_snapshot *s, struct leader_transfer *x)
{
	struct leader *l = s->leader;

	if (x->is_active && task_is_running(&x->op.task))
		return;
	if (x->is_active && x->op.task.err)
		s->failed |= 1U << x->bucket;
	x->is_active = leader_is_quorum(l, good_buckets(s)) && next_put(s, x);
	if (!x->is_active)
		return;
	s->put_count++;
	bucket_put(&x->op, &s->task, l->config.buckets[x->bucket], slice_from(x->key),
		   snapshot_chunk_bytes(s->image.pages, x->chunk));
	task_set_deadline(&x->op.task, loop_now_ms(l->loop) + LEADER_TRANSFER_MS);
}

/* --- the task ------------------------------------------------------------------------------- */

static enum step fail(struct leader_snapshot *s, const char *what)
{
	return task_fail(&s->task, ERR_UNAVAILABLE, "%s on %d of %u buckets", what,
			 __builtin_popcount(s->failed), leader_bucket_count(s->leader));
}

static enum err room_work(struct worker_job *job)
{
	struct leader_snapshot *s = CONTAINER(job, struct leader_snapshot, job);

	cell_room_make(&s->room, s->room.bytes);
	return OK;
}

static enum step make_room(struct leader_snapshot *s)
{
	cell_room_done(&s->room);
	s->room.bytes = cell_room_bytes(s->leader->cell);
	s->rooms++;
	worker_start(&s->job, &s->task, room_work);
	return task_wait(&s->task, TAKE);
}

static enum err hash_work(struct worker_job *job)
{
	struct leader_snapshot *s = CONTAINER(job, struct leader_snapshot, job);

	snapshot_hash(s->image.pages, s->hashes);
	return OK;
}

static enum step take(struct leader_snapshot *s)
{
	struct leader *l = s->leader;

	if (leader_room_is_small(l, &s->room) && s->rooms < LEADER_ROOMS_MAX)
		return make_room(s);
	if (!leader_seal_now(l) || l->state != LEADER_LEADING)
		return task_fail(&s->task, ERR_BUSY, "too much is in flight");
	s->started_ms = clock_now_ms();
	s->index = l->last_index;
	s->record_bytes = l->record_bytes + l->in_flight_bytes;
	s->record_count = l->record_count + journal_in_flight(l->journal);
	s->image = cell_image(l->cell, &s->room);
	s->has_image = true;
	s->hashes =
		memory_take_array(snapshot_chunk_count(s->image.pages.size), sizeof(s->hashes[0]));
	worker_start(&s->job, &s->task, hash_work);
	return task_wait(&s->task, PLAN);
}

static enum step plan(struct leader_snapshot *s)
{
	struct leader *l = s->leader;
	struct snapshot_manifest *m = &s->manifest.manifest;
	struct snapshot_id id;

	random_bytes(id.bytes, sizeof(id.bytes));
	arena_init(&s->manifest.arena);
	s->manifest.is_known = true;
	snapshot_plan(&s->manifest.arena, id, s->index, l->cell, &s->image, s->hashes,
		      l->manifest.is_known ? &l->manifest.manifest : NULL, m);
	m->cell_name = arena_copy(&s->manifest.arena, m->cell_name);
	snapshot_encode(m, &s->body);
	leader_manifest_key(l, m->journal_index, &m->id, s->key);
	task_wake(&s->task);
	return task_wait(&s->task, COMMIT);
}

static enum step list_names(struct leader_snapshot *s)
{
	unsigned n = leader_bucket_count(s->leader);

	for (unsigned k = 0; k < n; k++) {
		begin_listing(s, &s->chunks[k], k, "chunk");
		begin_listing(s, &s->manifests[k], k, "snap");
	}
	return task_wait(&s->task, LIST_NAMES);
}

static enum step put_chunks(struct leader_snapshot *s)
{
	struct leader *l = s->leader;

	for (size_t i = 0; i < LEADER_TRANSFERS_PARALLEL; i++)
		advance_put(s, &s->transfers[i]);
	if (s->task.children > 0)
		return task_wait(&s->task, PUT_CHUNKS);
	if (!leader_is_quorum(l, good_buckets(s)))
		return fail(s, "chunks could not be stored");
	for (unsigned k = 0; k < leader_bucket_count(l); k++)
		if (good_buckets(s) & 1U << k)
			bucket_put(&s->puts[k], &s->task, l->config.buckets[k], slice_from(s->key),
				   buf_slice(&s->body));
	return task_wait(&s->task, PUT_MANIFEST);
}

static enum step manifest_stored(struct leader_snapshot *s)
{
	unsigned good = good_buckets(s);

	for (unsigned k = 0; k < leader_bucket_count(s->leader); k++)
		if (good & 1U << k && s->puts[k].task.err)
			s->failed |= 1U << k;
	if (!leader_is_quorum(s->leader, good_buckets(s)))
		return fail(s, "the manifest could not be stored");
	leader_fence(&s->fence, &s->task, s->leader);
	return task_wait(&s->task, FENCE);
}

static enum step snapshot_step(struct task *t)
{
	struct leader_snapshot *s = CONTAINER(t, struct leader_snapshot, task);
	struct leader *l = s->leader;

	if (task_is_canceled(t))
		return task_done(t, ERR_CANCELED);
	switch (t->at) {
	case ROOM:
		return l->cell ? make_room(s) : task_done(t, ERR_CANCELED);

	case TAKE:
		return t->children > 0 ? task_wait(t, TAKE) : take(s);

	case PLAN:
		return t->children > 0 ? task_wait(t, PLAN) : plan(s);

	case COMMIT:
		if (l->committed_index < s->manifest.manifest.journal_index)
			return task_wait(t, COMMIT);
		return list_names(s);

	case LIST_NAMES:
		for (unsigned k = 0; k < leader_bucket_count(l); k++) {
			advance_listing(s, &s->chunks[k], k);
			advance_listing(s, &s->manifests[k], k);
		}
		if (t->children > 0)
			return task_wait(t, LIST_NAMES);
		if (!leader_is_quorum(l, good_buckets(s)))
			return fail(s, "listing failed");
		return put_chunks(s);

	case PUT_CHUNKS:
		return put_chunks(s);

	case PUT_MANIFEST:
		return t->children > 0 ? task_wait(t, PUT_MANIFEST) : manifest_stored(s);

	case FENCE:
		if (t->children > 0)
			return task_wait(t, FENCE);
		return s->fence.task.err ? task_fail(t, s->fence.task.err, "fence check failed")
					 : task_done(t, OK);
	}
	abort();
}

static const struct task_kind snapshot_kind = {
	.name = "snapshot",
	.places = snapshot_places,
	.place_count = 8,
	.step = snapshot_step,
};

/* Not before a durable record names the one before: else the journal might still begin with a
 * third, whose chunks nobody keeps. */
bool leader_snapshot_is_due(const struct leader *l)
{
	uint64_t limit = l->config.snapshot_bytes;

	if (limit < l->image_bytes / 4)
		limit = l->image_bytes / 4;
	bool is_long = l->record_bytes > limit || l->record_count > LEADER_SNAPSHOT_RECORDS;
	return l->state == LEADER_LEADING && !l->snapshot.is_active && is_long &&
	       l->committed_index > l->announced_index &&
	       loop_now_ms(l->loop) >= l->snapshot_retry_ms;
}

void leader_snapshot_start(struct leader *l)
{
	assert(!l->snapshot.is_active);
	l->snapshot = (struct leader_snapshot) { .leader = l, .is_active = true };
	buf_init(&l->snapshot.body);
	task_start(&l->snapshot.task, &snapshot_kind, &l->root);
}

static void snapshot_done(struct leader_snapshot *s)
{
	for (unsigned k = 0; k < leader_bucket_count(s->leader); k++) {
		if (s->chunks[k].prefix[0])
			arena_done(&s->chunks[k].arena);
		if (s->manifests[k].prefix[0])
			arena_done(&s->manifests[k].arena);
	}
	if (s->has_image)
		cell_image_done(&s->image);
	cell_room_done(&s->room);
	memory_free(s->hashes);
	buf_done(&s->body);
	leader_manifest_clear(&s->manifest);
	*s = (struct leader_snapshot) { 0 };
}

static void retry_later(struct leader *l, enum err err, const char *why)
{
	l->snapshot_wait_ms *= 2;
	if (l->snapshot_wait_ms < LEADER_SNAPSHOT_RETRY_MS)
		l->snapshot_wait_ms = LEADER_SNAPSHOT_RETRY_MS;
	if (l->snapshot_wait_ms > LEADER_SNAPSHOT_RETRY_MS_MAX)
		l->snapshot_wait_ms = LEADER_SNAPSHOT_RETRY_MS_MAX;
	l->snapshot_retry_ms = loop_now_ms(l->loop) + l->snapshot_wait_ms;
	log_warn("journal %s: snapshot not taken: %s (%s); trying again in %" PRIu64 " ms",
		 l->config.journal, why, err_name(err), l->snapshot_wait_ms);
}

static void announce(struct leader *l, struct leader_snapshot *s)
{
	struct journal_event event = { .kind = JOURNAL_SNAPSHOT };

	leader_pointer_encode(&s->manifest.manifest, buf_slice(&s->body), &event.snapshot);
	enum err err = leader_feed(l, &event);
	if (l->state != LEADER_LEADING)
		return;
	if (err) {
		retry_later(l, err, "the journal does not take it");
		return;
	}
	l->announced_index = l->last_index;
	l->record_bytes -= s->record_bytes;
	l->record_count -= s->record_count;
	l->snapshot_wait_ms = 0;
	l->image_bytes = s->manifest.manifest.image_bytes;
	log_info("journal %s: snapshot at record %" PRIu64 ": %" PRIu64
		 " bytes, %zu chunks, %zu put, %" PRIu64 " ms",
		 l->config.journal, s->manifest.manifest.journal_index, l->image_bytes,
		 s->manifest.manifest.chunk_count, s->put_count, clock_now_ms() - s->started_ms);
	leader_condemn(l, s);
	leader_manifest_clear(&l->manifest);
	l->manifest = s->manifest;
	s->manifest = (struct leader_manifest) { 0 };
}

void leader_snapshot_collect(struct leader *l)
{
	struct leader_snapshot *s = &l->snapshot;

	if (l->state == LEADER_LEADING && !s->task.err)
		announce(l, s);
	else if (l->state == LEADER_LEADING)
		retry_later(l, s->task.err, s->task.why);
	snapshot_done(s);
}
