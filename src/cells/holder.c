#include "cells/holder.h"

#include <stdio.h>
#include <stdlib.h>

#include "cells/journal_format.h"

enum { HOLDER_LIST, HOLDER_LISTED, HOLDER_GOT };

static void remember_marks(struct holder_find *f)
{
	for (size_t i = 0; i < f->op.ret_count; i++) {
		struct journal_name name;
		if (journal_key_parse(f->op.ret_names[i], f->journal, &name) &&
		    name.kind == JOURNAL_OBJECT_MARK)
			f->newest[f->mark_count++ % HOLDER_STARTS_MAX] = name.epoch;
	}
}

static enum step list_more(struct holder_find *f, struct slice after)
{
	bucket_list(&f->op, &f->task, f->bucket, &f->arena, slice_from(f->prefix), after);
	return task_wait(&f->task, HOLDER_LISTED);
}

static enum step finish(struct holder_find *f, enum err err)
{
	arena_done(&f->arena);
	return task_done(&f->task, err);
}

/* The start record of the newest epoch not yet looked at. */
static enum step look_at_next(struct holder_find *f)
{
	size_t there = f->mark_count < HOLDER_STARTS_MAX ? f->mark_count : HOLDER_STARTS_MAX;

	if (f->looked_at == there)
		return finish(f, OK);
	f->looked_at++;
	f->epoch = f->newest[(f->mark_count - f->looked_at) % HOLDER_STARTS_MAX];
	journal_key_start(f->key, f->journal, f->epoch);
	bucket_get(&f->op, &f->task, f->bucket, slice_from(f->key), 0, JOURNAL_OBJECT_BYTES_MAX);
	return task_wait(&f->task, HOLDER_GOT);
}

static enum err read_start(struct holder_find *f)
{
	struct journal_object start;
	enum err err =
		journal_object_decode(blob_slice(f->op.ret_body), JOURNAL_OBJECT_START, &start);

	if (!err) {
		snprintf(f->address, sizeof(f->address), "%.*s", SLICE_ARG(start.address));
		snprintf(f->node, sizeof(f->node), "%.*s", SLICE_ARG(start.node));
	}
	blob_unref(&f->op.ret_body);
	return err;
}

static enum step holder_step(struct task *t)
{
	struct holder_find *f = CONTAINER(t, struct holder_find, task);

	if (task_is_canceled(t)) {
		if (t->at == HOLDER_GOT && !f->op.task.err)
			blob_unref(&f->op.ret_body);
		return finish(f, t->err);
	}
	switch (t->at) {
	case HOLDER_LIST:
		return list_more(f, SLICE(""));
	case HOLDER_LISTED:
		if (f->op.task.err)
			return finish(f, f->op.task.err);
		remember_marks(f);
		if (f->op.ret_more && f->op.ret_count > 0)
			return list_more(f, f->op.ret_names[f->op.ret_count - 1]);
		return look_at_next(f);
	case HOLDER_GOT:
		if (f->op.task.err == ERR_NOT_FOUND)
			return look_at_next(f);
		if (f->op.task.err)
			return finish(f, f->op.task.err);
		return finish(f, read_start(f));
	}
	abort();
}

static const char *const holder_places[] = { "list", "listed", "got" };
static const struct task_kind holder_kind = {
	.name = "holder_find",
	.places = holder_places,
	.place_count = 3,
	.step = holder_step,
};

void holder_find(struct holder_find *f, struct task *parent, struct bucket *bucket,
		 const char *journal)
{
	*f = (struct holder_find) { .bucket = bucket, .journal = journal };
	arena_init(&f->arena);
	journal_key_marks(f->prefix, journal);
	task_start(&f->task, &holder_kind, parent);
}
