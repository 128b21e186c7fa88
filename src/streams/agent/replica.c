#include "streams/agent/replica.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/memory.h"
#include "cells/follower.h"

enum { REPLICA_WATCH_LISTS = 1024 };

struct replica {
	struct cell *cell; /* NULL until the first image is whole */
	struct cell_watch watch;
	int64_t index;
	struct list watches[REPLICA_WATCH_LISTS]; /* struct replica_watch, by partition */
	struct list waits;			  /* struct replica_wait */
	struct buf image;			  /* gathering; its first bytes */
	int64_t image_index;			  /* 0: none is gathering */
};

struct replica *replica_new(void)
{
	struct replica *r = NEW(struct replica);

	for (size_t i = 0; i < REPLICA_WATCH_LISTS; i++)
		list_init(&r->watches[i]);
	list_init(&r->waits);
	buf_init(&r->image);
	return r;
}

static void drop_cell(struct replica *r)
{
	if (!r->cell)
		return;
	cell_watch_remove(r->cell, &r->watch);
	cell_free(r->cell);
	r->cell = NULL;
}

void replica_free(struct replica *r)
{
	assert(list_is_empty(&r->waits));
	for (size_t i = 0; i < REPLICA_WATCH_LISTS; i++)
		assert(list_is_empty(&r->watches[i]));
	drop_cell(r);
	buf_done(&r->image);
	memory_free(r);
}

struct cell *replica_cell(struct replica *r)
{
	return r->cell;
}

int64_t replica_index(const struct replica *r)
{
	return r->index;
}

static struct list *watches_of(struct replica *r, int64_t partition)
{
	return &r->watches[(uint64_t)partition % REPLICA_WATCH_LISTS];
}

static void wake_watches(struct replica *r, int64_t partition)
{
	LIST_EACH (watches_of(r, partition), struct replica_watch, link, watch)
		if (watch->partition == partition)
			task_wake(watch->task);
}

static void wake_all_watches(struct replica *r)
{
	for (size_t i = 0; i < REPLICA_WATCH_LISTS; i++)
		LIST_EACH (&r->watches[i], struct replica_watch, link, watch)
			task_wake(watch->task);
}

static void wake_waits(struct replica *r)
{
	LIST_EACH (&r->waits, struct replica_wait, link, wait)
		if (r->index >= wait->index)
			task_wake(&wait->task);
}

static void on_change(struct cell_watch *watch, const struct cell_change *change)
{
	struct replica *r = CONTAINER(watch, struct replica, watch);

	if (slice_equal(change->table, SLICE("partition")))
		wake_watches(r, change->old_rowid);
	else if (slice_equal(change->table, SLICE("topic")) && change->kind == CELL_UPDATE)
		wake_all_watches(r); /* it may be deleted; its partitions go later */
}

static enum err load_image(struct replica *r, char why[TASK_WHY_BYTES])
{
	struct cell *cell = cell_new("streams");
	enum err err = follower_image_load(cell, buf_slice(&r->image), why);

	if (err) {
		cell_free(cell);
		return err;
	}
	drop_cell(r);
	r->cell = cell;
	r->watch = (struct cell_watch) { .on_change = on_change };
	cell_watch_add(cell, &r->watch);
	r->index = r->image_index;
	wake_all_watches(r);
	wake_waits(r);
	return OK;
}

enum err replica_add_snapshot(struct replica *r, int64_t index, int64_t total_bytes, int64_t offset,
			      struct slice bytes, char why[TASK_WHY_BYTES])
{
	if (offset == 0) {
		buf_clear(&r->image);
		r->image_index = index;
	}
	if (index != r->image_index || offset != (int64_t)r->image.size || total_bytes <= 0 ||
	    total_bytes > CELL_IMAGE_BYTES_MAX || (int64_t)bytes.size > total_bytes - offset) {
		snprintf(why, TASK_WHY_BYTES, "image of record %lld is out of order",
			 (long long)index);
		return ERR_CORRUPT;
	}
	buf_add_slice(&r->image, bytes);
	if ((int64_t)r->image.size < total_bytes)
		return OK;

	enum err err = load_image(r, why);
	buf_done(&r->image);
	r->image_index = 0;
	return err;
}

enum err replica_apply(struct replica *r, int64_t index, struct slice record,
		       char why[TASK_WHY_BYTES])
{
	if (!r->cell || index != r->index + 1) {
		snprintf(why, TASK_WHY_BYTES, "record %lld came after %lld", (long long)index,
			 (long long)r->index);
		return ERR_CORRUPT;
	}
	enum err err = cell_apply(r->cell, record, why);
	if (err)
		return err;
	r->index = index;
	wake_waits(r);
	return OK;
}

void replica_watch_add(struct replica *r, struct replica_watch *w, int64_t partition,
		       struct task *task)
{
	w->partition = partition;
	w->task = task;
	list_add(watches_of(r, partition), &w->link);
}

void replica_wake_all(struct replica *r)
{
	wake_all_watches(r);
}

void replica_watch_remove(struct replica_watch *w)
{
	list_remove(&w->link);
}

/* --- waiting for an index ----------------------------------------------------------------------
 */

enum { WAIT_START, WAIT_REACHED };

static enum step wait_step(struct task *t)
{
	struct replica_wait *w = CONTAINER(t, struct replica_wait, task);

	if (!task_is_canceled(t) && w->replica->index < w->index)
		return task_wait(t, WAIT_REACHED);
	list_remove(&w->link);
	return task_done(t, task_is_canceled(t) ? t->err : OK);
}

static const char *const wait_places[] = { "start", "reached" };
static const struct task_kind wait_kind = {
	.name = "replica_wait",
	.places = wait_places,
	.place_count = 2,
	.step = wait_step,
};

void replica_wait(struct replica_wait *w, struct task *parent, struct replica *r, int64_t index)
{
	*w = (struct replica_wait) { .replica = r, .index = index };
	list_add(&r->waits, &w->link);
	task_start(&w->task, &wait_kind, parent);
}
