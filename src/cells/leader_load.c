/* Loading a snapshot into a new cell:
 *
 *	GET manifest -> GET chunks, several at a time -> cell_load on a worker
 *
 * What one bucket does not give, or gives damaged, the next one is asked for.  cell_load() looks at
 * every row, seconds at the limit, in which the loop has heartbeats to ask and to answer. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cells/leader_private.h"

enum { LOAD_BEGIN, LOAD_MANIFEST, LOAD_CHUNKS, LOAD_CELL };

static const char *const load_places[] = { "begin", "manifest", "chunks", "cell" };

static enum step get_manifest(struct leader_load *load)
{
	bucket_get(&load->op, &load->task, load->config->buckets[load->bucket],
		   slice_from(load->key), 0, load->manifest_bytes);
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
	snapshot_manifest_name(load->config->journal, load->pointer.index, &id, load->key);
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
		log_error("journal %s: %s: %s", load->config->journal, load->key, why);
	}
	return err;
}

static void start_transfer(struct leader_load *load, struct leader_transfer *x)
{
	const struct leader_config *c = load->config;
	const struct snapshot_chunk *chunk = &load->manifest.manifest.chunks[x->chunk];

	snapshot_chunk_name(c->journal, chunk, x->key);
	x->is_active = true;
	bucket_get(&x->op, &load->task, c->buckets[x->bucket], slice_from(x->key), 0,
		   SNAPSHOT_CHUNK_BYTES);
	task_set_deadline(&x->op.task, loop_now_ms(load->task.loop) + LEADER_TRANSFER_MS);
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
	unsigned n = (unsigned)load->config->bucket_count;

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

static enum err cell_work(struct worker_job *job)
{
	struct leader_load *load = CONTAINER(job, struct leader_load, job);
	struct slice image = { load->image, load->manifest.manifest.image_bytes };

	load->cell = cell_new(load->config->cell_name);
	return snapshot_load(&load->manifest.manifest, image, load->cell, load->why);
}

static enum step cell_made(struct leader_load *load)
{
	if (load->job.task.err)
		return task_fail(&load->task, load->job.task.err, "snapshot %s: %.60s", load->key,
				 load->why);
	memory_free(load->image);
	load->image = NULL;
	return task_done(&load->task, OK);
}

static enum step load_chunks(struct leader_load *load)
{
	struct task *t = &load->task;

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

	worker_start(&load->job, t, cell_work);
	return task_wait(t, LOAD_CELL);
}

static enum step read_manifest(struct leader_load *load)
{
	unsigned n = (unsigned)load->config->bucket_count;
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
	if (load->is_manifest_only)
		return task_done(&load->task, OK);
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

	case LOAD_CELL:
		return t->children > 0 ? task_wait(t, LOAD_CELL) : cell_made(load);
	}
	abort();
}

static const struct task_kind load_kind = {
	.name = "snapshot load",
	.places = load_places,
	.place_count = 4,
	.step = load_step,
};

void leader_load_start(struct leader_load *load, struct task *parent,
		       const struct leader_config *config, const struct journal_snapshot *pointer,
		       bool is_manifest_only)
{
	*load = (struct leader_load) {
		.config = config,
		.pointer = *pointer,
		.is_manifest_only = is_manifest_only,
		.is_active = true,
	};
	task_start(&load->task, &load_kind, parent);
}

void leader_load_done(struct leader_load *load)
{
	for (size_t i = 0; i < LEADER_TRANSFERS_PARALLEL; i++)
		blob_unref(&load->transfers[i].op.ret_body);
	blob_unref(&load->op.ret_body);
	memory_free(load->image);
	leader_manifest_clear(&load->manifest);
	cell_free(load->cell);
	*load = (struct leader_load) { 0 };
}
