/* The engine's I/O effects, executed against the buckets.
 *
 *	effect -> queue -> child task of the root -> io_finished -> DONE
 *
 * Reads and writes have a queue of their own with LEADER_IO_PARALLEL places, deletes another with
 * few: trimming must never be in the way of a commit. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cells/leader_private.h"

enum { IO_START, IO_DONE };

static const char *const io_places[] = { "start", "bucket" };

static bool is_write(enum journal_effect_kind kind)
{
	return kind == JOURNAL_IO_PUT || kind == JOURNAL_IO_PUT_NEW || kind == JOURNAL_IO_DELETE;
}

static void start_operation(struct leader_io *io)
{
	struct bucket *b = io->leader->config.buckets[io->bucket];
	struct slice key = slice_from(io->key);
	struct task *t = &io->task;

	switch (io->kind) {
	case JOURNAL_IO_PUT:
		bucket_put(&io->op, t, b, key, blob_slice(io->body));
		return;
	case JOURNAL_IO_PUT_NEW:
		bucket_put_new(&io->op, t, b, key, blob_slice(io->body));
		return;
	case JOURNAL_IO_GET:
		bucket_get(&io->op, t, b, key, 0, JOURNAL_OBJECT_BYTES_MAX);
		return;
	case JOURNAL_IO_LIST:
		bucket_list(&io->op, t, b, &io->arena, key, slice_from(io->after));
		return;
	case JOURNAL_IO_DELETE:
		bucket_delete(&io->op, t, b, key);
		return;
	case JOURNAL_ADOPTED:
	case JOURNAL_RECORD:
	case JOURNAL_LEADS:
	case JOURNAL_COMMITTED:
	case JOURNAL_CHECKED:
	case JOURNAL_LOST:
	case JOURNAL_FAILED:
		break;
	}
	abort();
}

static bool is_trouble(enum err err)
{
	return err == ERR_FULL || err == ERR_DENIED || err == ERR_IO || err == ERR_UNAVAILABLE ||
	       err == ERR_TIMEOUT || err == ERR_UNKNOWN;
}

/* The engine tries again for ever; people have to hear what it is waiting for. */
static void tell_trouble(struct leader_io *io)
{
	struct leader *l = io->leader;
	bool writes = is_write(io->kind);
	struct leader_trouble *trouble = &l->trouble[io->bucket][writes];
	uint64_t now_ms = loop_now_ms(l->loop);
	enum err err = io->op.task.err;
	const char *url = l->config.buckets[io->bucket]->url;

	if (!err && trouble->is_known) {
		trouble->is_known = false;
		log_info("journal %s: %s can be %s again", l->config.journal, url,
			 writes ? "written" : "read");
	} else if (is_trouble(err) && !trouble->is_known && now_ms >= trouble->again_ms) {
		*trouble = (struct leader_trouble) { true, now_ms + LEADER_TROUBLE_PAUSE_MS };
		log_error("journal %s: %s cannot be %s, trying again: %s (%s)", l->config.journal,
			  url, writes ? "written" : "read", err_name(err), io->op.task.why);
	} else if (err == ERR_CORRUPT) { /* of a sealed bucket, which knows what was done to it */
		log_error("journal %s: in %s %s", l->config.journal, url, io->op.task.why);
	}
}

static enum step finish(struct leader_io *io, enum err err)
{
	if (!err && io->kind == JOURNAL_IO_GET && io->op.ret_size > JOURNAL_OBJECT_BYTES_MAX) {
		blob_unref(&io->op.ret_body);
		err = ERR_TOO_BIG;
	}
	io->err = err;
	list_add(&io->leader->io_finished, &io->link);
	return task_done(&io->task, OK);
}

static enum step io_step(struct task *t)
{
	struct leader_io *io = CONTAINER(t, struct leader_io, task);

	switch (t->at) {
	case IO_START:
		if (task_is_canceled(t))
			return finish(io, ERR_CANCELED);
		start_operation(io);
		return task_wait(t, IO_DONE);

	case IO_DONE:
		if (t->children > 0)
			return task_wait(t, IO_DONE);
		tell_trouble(io);
		/* A write that was hurried may have happened all the same. */
		if (is_write(io->kind) &&
		    (io->op.task.err == ERR_CANCELED || io->op.task.err == ERR_TIMEOUT))
			return finish(io, ERR_UNKNOWN);
		return finish(io, io->op.task.err);
	}
	abort();
}

static const struct task_kind io_kind = {
	.name = "journal operation",
	.places = io_places,
	.place_count = 2,
	.step = io_step,
};

static void start_queued(struct leader *l, struct list *queue, int *running, int running_max)
{
	while (*running < running_max && !list_is_empty(queue)) {
		struct leader_io *io = CONTAINER(list_pop(queue), struct leader_io, link);

		(*running)++;
		io->is_counted = true;
		task_start(&io->task, &io_kind, &l->root);
		task_set_deadline(&io->task, loop_now_ms(l->loop) + LEADER_IO_MS);
	}
}

static void start_all(struct leader *l)
{
	start_queued(l, &l->io_queue, &l->io_running, LEADER_IO_PARALLEL);
	start_queued(l, &l->delete_queue, &l->deletes_running, LEADER_DELETES_PARALLEL);
}

void leader_io_start(struct leader *l, const struct journal_effect *effect)
{
	struct leader_io *io = NEW(struct leader_io);

	assert(effect->bucket < leader_bucket_count(l));
	io->leader = l;
	io->kind = effect->kind;
	io->bucket = effect->bucket;
	io->number = effect->op;
	io->body = effect->body ? blob_ref(effect->body) : NULL;
	memcpy(io->key, effect->key, sizeof(io->key));
	memcpy(io->after, effect->after, sizeof(io->after));
	arena_init(&io->arena);
	list_add(io->kind == JOURNAL_IO_DELETE ? &l->delete_queue : &l->io_queue, &io->link);
	start_all(l);
}

static void tell_engine(struct leader *l, struct leader_io *io)
{
	struct journal_event event = { .kind = JOURNAL_DONE };

	event.done.op = io->number;
	event.done.err = io->err;
	if (!io->err && io->kind == JOURNAL_IO_GET)
		event.done.body = io->op.ret_body;
	if (!io->err && io->kind == JOURNAL_IO_LIST) {
		event.done.names = io->op.ret_names;
		event.done.name_count = io->op.ret_count;
		event.done.more = io->op.ret_more;
	}
	enum err err = leader_feed(l, &event);
	assert(err == OK); /* the engine knows the op */
	(void)err;
}

void leader_io_collect(struct leader *l)
{
	struct list *node;

	while ((node = list_pop(&l->io_finished)) != NULL) {
		struct leader_io *io = CONTAINER(node, struct leader_io, link);

		assert(!task_is_running(&io->task));
		if (io->is_counted && io->kind == JOURNAL_IO_DELETE)
			l->deletes_running--;
		else if (io->is_counted)
			l->io_running--;
		tell_engine(l, io);
		blob_unref(&io->op.ret_body);
		blob_unref(&io->body);
		arena_done(&io->arena);
		memory_free(io);
	}
	start_all(l);
}

static void drop(struct leader *l, struct list *queue)
{
	struct list *node;

	while ((node = list_pop(queue)) != NULL) {
		CONTAINER(node, struct leader_io, link)->err = ERR_CANCELED;
		list_add(&l->io_finished, node);
	}
}

void leader_io_drop_queue(struct leader *l)
{
	drop(l, &l->io_queue);
	drop(l, &l->delete_queue);
	leader_wake(l);
}

bool leader_io_is_idle(const struct leader *l)
{
	return list_is_empty(&l->io_queue) && list_is_empty(&l->delete_queue) &&
	       list_is_empty(&l->io_finished);
}
