#include "streams/agent/replica.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/memory.h"
#include "cells/follower.h"
#include "loop/timer.h"
#include "streams/catalog/guard.h"

enum { REPLICA_WATCH_LISTS = 16384 }; /* 256 KiB; sessions of fetches watch 100,000 partitions */

/* A record that came after the image and before it was loaded. */
struct gathered_record {
	struct list link;
	int64_t index;
	struct blob *bytes;
};

/* Image whole -> another thread makes a cell of it -> records that came meanwhile -> in place. */
struct replica_load {
	struct task task;
	struct worker_job job;
	struct sleep turn; /* between two steps of catching up */
	struct buf image;  /* the thread's until the job is done */
	struct cell *cell; /* the same */
	int64_t index;	   /* in `cell` */
	bool is_outdated;  /* another image began */
	char why[TASK_WHY_BYTES];
};

struct replica {
	struct loop *loop;
	struct replica_owner owner;
	struct task *idle;
	struct cell *cell; /* NULL until the first image is loaded */
	struct cell_watch watch;
	int64_t index;
	bool access_changed;			  /* by the record being applied */
	struct list watches[REPLICA_WATCH_LISTS]; /* struct replica_watch, by partition */
	struct list waits;			  /* struct replica_wait */
	struct buf image;			  /* gathering; its first bytes */
	int64_t image_index;			  /* 0: none is gathering */
	bool image_is_whole;			  /* it waits for the load before it */
	struct list gathered;			  /* struct gathered_record, for the newest image */
	size_t gathered_bytes;
	int64_t gathered_index; /* of the last record of the newest image, or gathered after it */
	struct replica_load load;
};

struct replica *replica_new(struct loop *loop, const struct replica_owner *owner)
{
	struct replica *r = NEW(struct replica);

	r->loop = loop;
	r->owner = *owner;

	for (size_t i = 0; i < REPLICA_WATCH_LISTS; i++)
		list_init(&r->watches[i]);
	list_init(&r->waits);
	list_init(&r->gathered);
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

static void drop_gathered(struct replica *r)
{
	LIST_EACH (&r->gathered, struct gathered_record, link, record) {
		list_remove(&record->link);
		blob_unref(&record->bytes);
		memory_free(record);
	}
	r->gathered_bytes = 0;
}

bool replica_is_loading(const struct replica *r)
{
	return task_is_running(&r->load.task);
}

void replica_set_idle(struct replica *r, struct task *idle)
{
	r->idle = idle;
}

void replica_free(struct replica *r)
{
	assert(list_is_empty(&r->waits) && !replica_is_loading(r));
	for (size_t i = 0; i < REPLICA_WATCH_LISTS; i++)
		assert(list_is_empty(&r->watches[i]));
	drop_gathered(r);
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

static void tell_watch(struct replica_watch *watch)
{
	if (watch->task)
		task_wake(watch->task);
	else
		watch->note(watch);
}

static void wake_watches(struct replica *r, int64_t partition)
{
	LIST_EACH (watches_of(r, partition), struct replica_watch, link, watch)
		if (watch->partition == partition)
			tell_watch(watch);
}

static void wake_all_watches(struct replica *r)
{
	for (size_t i = 0; i < REPLICA_WATCH_LISTS; i++)
		LIST_EACH (&r->watches[i], struct replica_watch, link, watch)
			tell_watch(watch);
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
	else if (slice_equal(change->table, SLICE("share_partition")))
		wake_watches(r, -change->old_rowid);
	else if (slice_starts_with(change->table, GUARD_TABLE_PREFIX))
		r->access_changed = true;
	else if (slice_equal(change->table, SLICE("topic")) && change->kind == CELL_UPDATE)
		wake_all_watches(r); /* it may be deleted; its partitions go later */
}

static void tell_access(struct replica *r)
{
	r->access_changed = false;
	if (r->owner.on_access)
		r->owner.on_access(r->owner.context);
}

/* --- loading an image --------------------------------------------------------------------------
 */

enum { LOAD_BEGIN, LOAD_MADE, LOAD_CATCH_UP };

static enum err load_work(struct worker_job *job)
{
	struct replica_load *load = CONTAINER(job, struct replica_load, job);

	load->cell = cell_new("streams");
	enum err err = follower_image_load(load->cell, buf_slice(&load->image), load->why);
	buf_done(&load->image);
	return err;
}

static void put_in_place(struct replica *r)
{
	drop_cell(r);
	r->cell = r->load.cell;
	r->load.cell = NULL;
	r->watch = (struct cell_watch) { .on_change = on_change };
	cell_watch_add(r->cell, &r->watch);
	r->index = r->load.index;
	tell_access(r);
	wake_all_watches(r);
	wake_waits(r);
}

/* Some of the records that came while the image was loaded; the rest in another turn. */
static enum err catch_up(struct replica *r)
{
	struct replica_load *load = &r->load;
	size_t bytes = 0;

	LIST_EACH (&r->gathered, struct gathered_record, link, record) {
		if (bytes >= REPLICA_STEP_BYTES)
			return OK;
		struct slice record_bytes = blob_slice(record->bytes);
		enum err err = cell_apply(load->cell, record_bytes, load->why);
		if (err)
			return err;
		bytes += record_bytes.size;
		r->gathered_bytes -= record_bytes.size;
		load->index = record->index;
		list_remove(&record->link);
		blob_unref(&record->bytes);
		memory_free(record);
	}
	return OK;
}

static enum step end_load(struct replica *r, enum err err)
{
	cell_free(r->load.cell);
	r->load.cell = NULL;
	buf_done(&r->load.image);
	return task_done(&r->load.task, err);
}

static enum step load_step(struct task *t)
{
	struct replica_load *load = CONTAINER(t, struct replica_load, task);
	struct replica *r = CONTAINER(load, struct replica, load);

	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case LOAD_BEGIN:
		worker_start(&load->job, t, load_work);
		return task_wait(t, LOAD_MADE);

	case LOAD_MADE:
	case LOAD_CATCH_UP:
		if (load->is_outdated || load->job.task.err)
			return end_load(r, load->job.task.err);
		enum err err = catch_up(r);
		if (err)
			return end_load(r, err);
		if (list_is_empty(&r->gathered)) {
			put_in_place(r);
			return end_load(r, OK);
		}
		sleep_start(&load->turn, t, loop_now_ms(r->loop));
		return task_wait(t, LOAD_CATCH_UP);
	}
	abort();
}

static void start_load(struct replica *r);

static void load_on_end(struct task *t)
{
	struct replica_load *load = CONTAINER(t, struct replica_load, task);
	struct replica *r = CONTAINER(load, struct replica, load);
	char why[TASK_WHY_BYTES];

	snprintf(why, sizeof(why), "%s", load->why);
	if (r->image_is_whole)
		start_load(r);
	else if (!load->is_outdated)
		r->owner.on_loaded(r->owner.context, t->err, why);
	if (r->idle)
		task_wake(r->idle);
}

static const char *const load_places[] = { "begin", "made", "catching up" };
static const struct task_kind load_kind = {
	.name = "replica_load",
	.places = load_places,
	.place_count = 3,
	.step = load_step,
	.on_end = load_on_end,
};

static void start_load(struct replica *r)
{
	r->load = (struct replica_load) {
		.image = r->image,
		.index = r->image_index,
	};
	buf_init(&r->image);
	r->image_index = 0;
	r->image_is_whole = false;
	task_start_root(&r->load.task, &load_kind, r->loop);
}

/* --- from the link -----------------------------------------------------------------------------
 */

static void begin_image(struct replica *r, int64_t index)
{
	buf_clear(&r->image);
	r->image_index = index;
	r->image_is_whole = false;
	drop_gathered(r);
	r->gathered_index = index;
	r->load.is_outdated = true;
}

enum err replica_add_snapshot(struct replica *r, int64_t index, int64_t total_bytes, int64_t offset,
			      struct slice bytes, char why[TASK_WHY_BYTES])
{
	if (offset == 0)
		begin_image(r, index);
	if (index != r->image_index || r->image_is_whole || offset != (int64_t)r->image.size ||
	    total_bytes <= 0 || total_bytes > CELL_IMAGE_BYTES_MAX ||
	    (int64_t)bytes.size > total_bytes - offset) {
		snprintf(why, TASK_WHY_BYTES, "image of record %lld is out of order",
			 (long long)index);
		return ERR_CORRUPT;
	}
	buf_add_slice(&r->image, bytes);
	if ((int64_t)r->image.size < total_bytes)
		return OK;
	r->image_is_whole = true;
	if (!replica_is_loading(r))
		start_load(r);
	return OK;
}

/* The newest image is on its way into its place. */
static bool is_behind_image(const struct replica *r)
{
	return r->image_is_whole || (replica_is_loading(r) && !r->load.is_outdated);
}

static enum err gather(struct replica *r, int64_t index, struct slice bytes,
		       char why[TASK_WHY_BYTES])
{
	if (r->gathered_bytes + bytes.size > REPLICA_GATHERED_BYTES_MAX) {
		snprintf(why, TASK_WHY_BYTES,
			 "more than %d MiB of records came before the image "
			 "of control was loaded",
			 REPLICA_GATHERED_BYTES_MAX >> 20);
		return ERR_TOO_BIG;
	}
	struct gathered_record *record = NEW(struct gathered_record);
	record->index = r->gathered_index = index;
	record->bytes = blob_from(bytes);
	list_add(&r->gathered, &record->link);
	r->gathered_bytes += bytes.size;
	return OK;
}

enum err replica_apply(struct replica *r, int64_t index, struct slice record,
		       char why[TASK_WHY_BYTES])
{
	bool gathers = is_behind_image(r);
	int64_t last = gathers ? r->gathered_index : r->index;

	if ((!gathers && !r->cell) || index != last + 1) {
		snprintf(why, TASK_WHY_BYTES, "record %lld came after %lld", (long long)index,
			 (long long)last);
		return ERR_CORRUPT;
	}
	if (gathers)
		return gather(r, index, record, why);
	enum err err = cell_apply(r->cell, record, why);
	if (err)
		return err;
	r->index = index;
	if (r->access_changed)
		tell_access(r);
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

void replica_watch_add_note(struct replica *r, struct replica_watch *w, int64_t partition,
			    void (*note)(struct replica_watch *w))
{
	w->partition = partition;
	w->task = NULL;
	w->note = note;
	list_add(watches_of(r, partition), &w->link);
}

void replica_wake(struct replica *r, int64_t partition)
{
	wake_watches(r, partition);
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
