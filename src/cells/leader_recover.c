/* From an adopted journal to a cell that leads:
 *
 *	ADOPTED  -> load the snapshot (manifest, chunks, cell_load), or begin with an empty cell
 *	RECORD*  -> gather while that runs, then apply in order; each carries the hash after it
 *	LEADS    -> missing schema steps as the first record; when it is durable: on_leading
 *
 * Nothing is ever skipped: what cannot be read or applied ends the term with a message that names
 * the object or the record, and a person is needed. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/endian.h"
#include "base/log.h"
#include "cells/leader_private.h"

/* --- loading a snapshot --------------------------------------------------------------------- */

enum { LOAD_BEGIN, LOAD_MANIFEST, LOAD_CHUNKS };

static const char *const load_places[] = { "begin", "manifest", "chunks" };

static enum step get_manifest(struct leader_load *load)
{
	struct leader *l = load->leader;

	bucket_get(&load->op, &load->task, l->config.buckets[load->bucket], slice_from(load->key),
		   0, load->manifest_bytes);
	return task_wait(&load->task, LOAD_MANIFEST);
}

static enum step begin_load(struct leader_load *load)
{
	struct snapshot_id id;

	if (task_is_canceled(&load->task))
		return task_done(&load->task, ERR_CANCELED);
	enum err err =
		leader_pointer_decode(&load->pointer, &id, &load->manifest_bytes, &load->hash);
	if (err)
		return task_fail(&load->task, err,
				 "the pointer to the snapshot at record %" PRIu64
				 " is not understood",
				 load->pointer.index);
	leader_manifest_key(load->leader, load->pointer.index, &id, load->key);
	return get_manifest(load);
}

/* An object that no bucket could give: gone or damaged is worse than not to be reached now. */
static enum step fail_read(struct leader_load *load, enum err err, const char *key)
{
	bool may_come = err != ERR_NOT_FOUND && err != ERR_CORRUPT;

	return task_fail(&load->task, may_come ? ERR_UNAVAILABLE : ERR_CORRUPT,
			 "snapshot: no bucket gives %s whole: %s", key, err_name(err));
}

/* Keep an error that may pass rather than one that does not. */
static void note_error(struct leader_load *load, enum err err)
{
	if (!load->read_err || load->read_err == ERR_NOT_FOUND || load->read_err == ERR_CORRUPT)
		load->read_err = err;
}

static enum err check_manifest(struct leader_load *load, struct slice bytes)
{
	struct leader_manifest *m = &load->manifest;
	char why[CELL_WHY_BYTES];
	struct hash128 hash = hash_content(bytes);

	if (!hash128_equal(hash, load->hash))
		return ERR_CORRUPT;
	arena_init(&m->arena);
	m->is_known = true;
	enum err err = snapshot_decode(&m->arena, arena_copy(&m->arena, bytes), &m->manifest, why);
	if (!err && m->manifest.journal_index != load->pointer.index)
		err = ERR_CORRUPT;
	if (!err && m->manifest.image_bytes > CELL_IMAGE_BYTES_MAX)
		err = ERR_TOO_BIG;
	if (err) {
		leader_manifest_clear(m);
		log_error("journal %s: %s: %s", load->leader->config.journal, load->key, why);
	}
	return err;
}

static void start_transfer(struct leader_load *load, struct leader_transfer *x)
{
	struct leader *l = load->leader;
	const struct snapshot_chunk *chunk = &load->manifest.manifest.chunks[x->chunk];

	snapshot_chunk_name(l->config.journal, chunk, x->key);
	x->is_active = true;
	bucket_get(&x->op, &load->task, l->config.buckets[x->bucket], slice_from(x->key), 0,
		   SNAPSHOT_CHUNK_BYTES);
	task_set_deadline(&x->op.task, loop_now_ms(l->loop) + LEADER_TRANSFER_MS);
}

static enum err take_chunk(struct leader_load *load, struct leader_transfer *x)
{
	char why[CELL_WHY_BYTES];
	enum err err = x->op.task.err;

	if (!err)
		err = snapshot_place(&load->manifest.manifest, x->chunk, blob_slice(x->op.ret_body),
				     load->image, why);
	blob_unref(&x->op.ret_body);
	x->is_active = false;
	return err;
}

/* ERR_* when a chunk could not be had from any bucket; its key is x->key. */
static enum err advance_transfer(struct leader_load *load, struct leader_transfer *x)
{
	const struct snapshot_manifest *m = &load->manifest.manifest;
	unsigned n = leader_bucket_count(load->leader);

	if (x->is_active) {
		enum err err = take_chunk(load, x);

		if (err) {
			note_error(load, err);
			x->bucket = (x->bucket + 1) % n;
			if (++x->tries >= n)
				return load->read_err;
			start_transfer(load, x);
			return OK;
		}
	}
	if (load->next_chunk < m->chunk_count) {
		x->chunk = load->next_chunk++;
		x->bucket = (unsigned)(x->chunk % n);
		x->tries = 0;
		start_transfer(load, x);
	}
	return OK;
}

static void cancel_transfers(struct leader_load *load)
{
	for (size_t i = 0; i < LEADER_TRANSFERS_PARALLEL; i++)
		if (load->transfers[i].is_active)
			task_cancel(&load->transfers[i].op.task);
}

static enum step load_chunks(struct leader_load *load)
{
	struct task *t = &load->task;
	char why[CELL_WHY_BYTES];

	for (size_t i = 0; i < LEADER_TRANSFERS_PARALLEL; i++) {
		struct leader_transfer *x = &load->transfers[i];

		if (load->failed_key || (x->is_active && task_is_running(&x->op.task)))
			continue;
		if (advance_transfer(load, x)) {
			load->failed_key = x->key;
			cancel_transfers(load);
		}
	}
	if (t->children > 0)
		return task_wait(t, LOAD_CHUNKS);
	if (load->failed_key)
		return fail_read(load, load->read_err, load->failed_key);

	struct slice image = { load->image, load->manifest.manifest.image_bytes };
	load->cell = cell_new(load->leader->config.cell_name);
	enum err err = snapshot_load(&load->manifest.manifest, image, load->cell, why);
	if (err)
		return task_fail(t, err, "snapshot %s: %.60s", load->key, why);
	return task_done(t, OK);
}

static enum step read_manifest(struct leader_load *load)
{
	unsigned n = leader_bucket_count(load->leader);
	enum err err = load->op.task.err;

	if (!err)
		err = check_manifest(load, blob_slice(load->op.ret_body));
	blob_unref(&load->op.ret_body);
	if (err) {
		note_error(load, err);
		if (++load->bucket < n)
			return get_manifest(load);
		return fail_read(load, load->read_err, load->key);
	}
	load->read_err = OK;
	load->image = memory_take((size_t)load->manifest.manifest.image_bytes + 1);
	return load_chunks(load);
}

static enum step load_step(struct task *t)
{
	struct leader_load *load = CONTAINER(t, struct leader_load, task);

	if (task_is_canceled(t) && t->children == 0)
		return task_done(t, ERR_CANCELED);
	switch (t->at) {
	case LOAD_BEGIN:
		return begin_load(load);

	case LOAD_MANIFEST:
		return t->children > 0 ? task_wait(t, LOAD_MANIFEST) : read_manifest(load);

	case LOAD_CHUNKS:
		return load_chunks(load);
	}
	abort();
}

static const struct task_kind load_kind = {
	.name = "snapshot load",
	.places = load_places,
	.place_count = 3,
	.step = load_step,
};

static void load_done(struct leader_load *load)
{
	for (size_t i = 0; i < LEADER_TRANSFERS_PARALLEL; i++)
		blob_unref(&load->transfers[i].op.ret_body);
	blob_unref(&load->op.ret_body);
	memory_free(load->image);
	leader_manifest_clear(&load->manifest);
	cell_free(load->cell);
	*load = (struct leader_load) { 0 };
}

static void collect_load(struct leader *l)
{
	struct leader_load *load = &l->load;
	enum err err = load->task.err;

	if (!load->is_active || task_is_running(&load->task))
		return;
	if (l->is_adopted && err) {
		leader_give_up(l, err, "%s", load->task.why);
	} else if (l->is_adopted) {
		l->cell = load->cell;
		load->cell = NULL;
		l->manifest = load->manifest;
		load->manifest = (struct leader_manifest) { 0 };
		l->image_bytes = l->manifest.manifest.image_bytes;
		l->is_loaded = true;
	}
	load_done(load);
}

/* --- what the engine says ------------------------------------------------------------------- */

void leader_on_adopted(struct leader *l, const struct journal_effect *effect)
{
	assert(!l->cell && !l->load.is_active && !l->is_adopted);
	l->is_adopted = true;
	l->adopted_ms = clock_now_ms();
	l->replayed = effect->snapshot.index;
	l->record_bytes = l->record_count = 0;
	if (effect->snapshot.index == 0) {
		l->cell = cell_new(l->config.cell_name);
		l->is_loaded = true;
		return;
	}
	l->load = (struct leader_load) { .leader = l, .pointer = effect->snapshot };
	l->load.is_active = true;
	task_start(&l->load.task, &load_kind, &l->root);
}

void leader_on_record(struct leader *l, const struct journal_effect *effect)
{
	struct leader_record *record = NEW(struct leader_record);

	record->index = effect->index;
	record->body = blob_ref(effect->body);
	record->payload = effect->payload;
	list_add(&l->adopted, &record->link);
	leader_wake(l);
}

void leader_recover_drop(struct leader *l)
{
	struct list *node;

	while ((node = list_pop(&l->adopted)) != NULL)
		leader_record_free(CONTAINER(node, struct leader_record, link));
	l->is_adopted = l->is_loaded = l->is_elected = false;
	l->opening_index = 0;
}

/* --- replay and opening --------------------------------------------------------------------- */

static bool apply(struct leader *l, const struct leader_record *record)
{
	char why[CELL_WHY_BYTES] = "";

	if (record->index != l->replayed + 1) {
		leader_give_up(l, ERR_CORRUPT, "record %" PRIu64 " follows record %" PRIu64,
			       record->index, l->replayed);
		return false;
	}
	enum err err = cell_apply(l->cell, record->payload, why);
	if (err) {
		leader_give_up(l, err, "record %" PRIu64 " cannot be applied: %s", record->index,
			       why[0] ? why : err_name(err));
		return false;
	}
	l->replayed++;
	l->record_bytes += record->payload.size;
	l->record_count++;
	return true;
}

/* Some at a time: heartbeats are answered between.  True when nothing is left. */
static bool replay(struct leader *l)
{
	size_t bytes = 0;

	while (!list_is_empty(&l->adopted)) {
		struct leader_record *record =
			CONTAINER(l->adopted.next, struct leader_record, link);

		if (bytes > LEADER_REPLAY_BYTES) {
			leader_wake(l);
			return false;
		}
		bytes += record->payload.size;
		if (!apply(l, record))
			return false;
		list_remove(&record->link);
		leader_record_free(record);
	}
	return true;
}

/* True when the schema is as this program wants it, durably. */
static bool open_schema(struct leader *l)
{
	const struct leader_config *c = &l->config;
	char why[CELL_WHY_BYTES] = "";

	if (l->opening_index)
		return l->committed_index >= l->opening_index;
	if (!c->schema)
		return true;
	enum err err =
		cell_upgrade_schema(l->cell, c->schema, c->schema_count ? c->schema_count : 1, why);
	if (err) {
		leader_give_up(l, err, "schema: %s", why);
		return false;
	}
	if (!cell_has_changes(l->cell))
		return true;
	l->opening_index = l->last_index + 1;
	leader_append(l);
	return false;
}

void leader_recover(struct leader *l)
{
	collect_load(l);
	if (l->state != LEADER_CAMPAIGNING || !l->is_loaded || l->wants_resign)
		return;
	if (!replay(l) || !l->is_elected)
		return;
	if (!l->opening_index && l->replayed != l->last_index) {
		leader_give_up(l, ERR_CORRUPT,
			       "the journal ends at record %" PRIu64 ", its records at %" PRIu64,
			       l->last_index, l->replayed);
		return;
	}
	if (!open_schema(l) || l->state != LEADER_CAMPAIGNING)
		return;

	char epoch[EPOCH_TEXT_BYTES];
	epoch_text(epoch, journal_epoch(l->journal));
	log_info("journal %s: leading at record %" PRIu64 ", %" PRIu64
		 " ms after adoption, epoch %s",
		 l->config.journal, l->last_index, clock_now_ms() - l->adopted_ms, epoch);
	l->state = LEADER_LEADING;
	l->leading_since_ms = l->trimmed_ms = loop_now_ms(l->loop);
	if (l->config.watcher)
		l->config.watcher->on_leading(l->config.context);
}
