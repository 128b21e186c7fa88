#include "cells/holder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cells/journal_format.h"

/* --- one bucket --------------------------------------------------------------------------------
 */

enum { LOOK_LIST, LOOK_LISTED, LOOK_GOT };

static void remember_marks(struct holder_look *l)
{
	for (size_t i = 0; i < l->op.ret_count; i++) {
		struct journal_name name;
		if (journal_key_parse(l->op.ret_names[i], l->journal, &name) &&
		    name.kind == JOURNAL_OBJECT_MARK)
			l->newest[l->mark_count++ % HOLDER_STARTS_MAX] = name.epoch;
	}
}

static enum step list_more(struct holder_look *l, struct slice after)
{
	bucket_list(&l->op, &l->task, l->bucket, &l->arena, slice_from(l->prefix), after);
	return task_wait(&l->task, LOOK_LISTED);
}

static enum step finish(struct holder_look *l, enum err err)
{
	arena_done(&l->arena);
	return task_done(&l->task, err);
}

/* The start record of the newest epoch not yet looked at. */
static enum step look_at_next(struct holder_look *l)
{
	size_t there = l->mark_count < HOLDER_STARTS_MAX ? l->mark_count : HOLDER_STARTS_MAX;

	if (l->looked_at == there) {
		l->epoch = (struct epoch) { 0, 0 }; /* marks only */
		return finish(l, OK);
	}
	l->looked_at++;
	l->epoch = l->newest[(l->mark_count - l->looked_at) % HOLDER_STARTS_MAX];
	journal_key_start(l->key, l->journal, l->epoch);
	bucket_get(&l->op, &l->task, l->bucket, slice_from(l->key), 0, JOURNAL_OBJECT_BYTES_MAX);
	return task_wait(&l->task, LOOK_GOT);
}

static enum err read_start(struct holder_look *l)
{
	struct journal_object start;
	enum err err =
		journal_object_decode(blob_slice(l->op.ret_body), JOURNAL_OBJECT_START, &start);

	if (!err) {
		snprintf(l->address, sizeof(l->address), "%.*s", SLICE_ARG(start.address));
		snprintf(l->node, sizeof(l->node), "%.*s", SLICE_ARG(start.node));
	}
	blob_unref(&l->op.ret_body);
	return err;
}

static enum step look_step(struct task *t)
{
	struct holder_look *l = CONTAINER(t, struct holder_look, task);

	if (task_is_canceled(t)) {
		if (t->at == LOOK_GOT && !l->op.task.err)
			blob_unref(&l->op.ret_body);
		return finish(l, t->err);
	}
	switch (t->at) {
	case LOOK_LIST:
		return list_more(l, SLICE(""));
	case LOOK_LISTED:
		if (l->op.task.err)
			return finish(l, l->op.task.err);
		remember_marks(l);
		if (l->op.ret_more && l->op.ret_count > 0)
			return list_more(l, l->op.ret_names[l->op.ret_count - 1]);
		return look_at_next(l);
	case LOOK_GOT:
		if (l->op.task.err == ERR_NOT_FOUND)
			return look_at_next(l);
		if (l->op.task.err)
			return finish(l, l->op.task.err);
		return finish(l, read_start(l));
	}
	abort();
}

static const char *const look_places[] = { "list", "listed", "got" };
static const struct task_kind look_kind = {
	.name = "holder_look",
	.places = look_places,
	.place_count = 3,
	.step = look_step,
};

static void look(struct holder_find *f, struct holder_look *l, struct bucket *bucket,
		 const char *journal)
{
	l->bucket = bucket;
	l->journal = journal;
	arena_init(&l->arena);
	journal_key_marks(l->prefix, journal);
	task_start(&l->task, &look_kind, &f->task);
	task_set_deadline(&l->task, loop_now_ms(l->task.loop) + HOLDER_MS);
}

/* --- all of them -------------------------------------------------------------------------------
 */

static void take_highest(struct holder_find *f)
{
	for (int k = 0; k < f->bucket_count; k++) {
		const struct holder_look *l = &f->looks[k];

		if (l->task.err || l->epoch.counter == 0 || epoch_compare(l->epoch, f->epoch) < 0)
			continue;
		f->epoch = l->epoch;
		memcpy(f->address, l->address, sizeof(f->address));
		memcpy(f->node, l->node, sizeof(f->node));
	}
}

static void hurry(struct holder_find *f)
{
	f->is_hurried = true;
	for (int k = 0; k < f->bucket_count; k++)
		if (task_is_running(&f->looks[k].task))
			task_set_deadline(&f->looks[k].task,
					  loop_now_ms(f->task.loop) + HOLDER_REST_MS);
}

static enum step find_step(struct task *t)
{
	struct holder_find *f = CONTAINER(t, struct holder_find, task);
	int good = 0;
	enum err err = OK;

	for (int k = 0; k < f->bucket_count; k++) {
		const struct task *look_task = &f->looks[k].task;
		bool has_ended = !task_is_running(look_task);

		good += has_ended && !look_task->err;
		if (has_ended && look_task->err)
			err = look_task->err;
	}
	if (t->children > 0) {
		if (2 * good > f->bucket_count && !f->is_hurried)
			hurry(f);
		return task_wait(t, 0);
	}
	if (task_is_canceled(t))
		return task_done(t, t->err);
	take_highest(f);
	f->read_count = good;
	return task_done(t, good > 0 ? OK : err);
}

static const char *const find_places[] = { "looking" };
static const struct task_kind find_kind = {
	.name = "holder_find",
	.places = find_places,
	.place_count = 1,
	.step = find_step,
};

void holder_find(struct holder_find *f, struct task *parent, struct bucket *const *buckets,
		 int bucket_count, const char *journal)
{
	*f = (struct holder_find) { .bucket_count = bucket_count };
	task_start(&f->task, &find_kind, parent);
	for (int k = 0; k < bucket_count; k++)
		look(f, &f->looks[k], buckets[k], journal);
}
