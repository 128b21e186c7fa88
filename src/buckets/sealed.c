/*	put	seal (on a worker if large) -> inner put of the sealed bytes
 *	get	inner get of the chunks that cover the range -> open them (on a worker if large);
 *		a range behind the end: inner get of the last chunk, to know that this is the end
 *	head	inner head -> the size without fronts and tags
 *	list, delete	as they are */
#include "buckets/sealed.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "buckets/kinds.h"

_Static_assert((int)SEALED_WHY_BYTES == (int)TASK_WHY_BYTES, "a sentence fits");

struct sealed_bucket {
	struct bucket bucket;
	struct sealed_key key;
};

struct sealed_op {
	struct bucket_op *op;
	struct bucket_op inner;
	struct slice piece;    /* put: the sealed bytes */
	struct blob *sealed;   /* put: behind `piece` */
	struct blob *opened;   /* get */
	uint64_t first, count; /* get: chunks that were asked for */
	char why[TASK_WHY_BYTES];
};

static const struct bucket_kind sealed_kind;

static struct sealed_bucket *sealed_of(const struct bucket *b)
{
	return CONTAINER((uintptr_t)b, struct sealed_bucket, bucket);
}

/* --- on a worker, or at once ----------------------------------------------------------------- */
static struct sealed_op *op_of_job(struct worker_job *job)
{
	return CONTAINER(job, struct bucket_op, job)->private;
}

static enum err seal_work(struct worker_job *job)
{
	struct sealed_op *o = op_of_job(job);
	struct sealed_bucket *b = sealed_of(o->op->bucket);

	sealed_seal(&b->key, o->op->key, o->op->pieces, o->op->piece_count, o->sealed->data);
	return OK;
}

static enum err open_work(struct worker_job *job)
{
	struct sealed_op *o = op_of_job(job);
	struct sealed_bucket *b = sealed_of(o->op->bucket);

	return sealed_open(&b->key, o->op->key, blob_slice(o->inner.ret_body), o->first,
			   o->inner.ret_size, o->opened->data, o->why);
}

/* --- operations ------------------------------------------------------------------------------ */
enum { SEALED_START, SEALED_READY, SEALED_WORKED, SEALED_OPENED, SEALED_END_READ };
static const char *const sealed_places[] = { "start", "sealed", "worked", "opened", "end read" };

static enum step end(struct sealed_op *o, enum err err)
{
	struct task *t = &o->op->task;

	blob_unref(&o->sealed);
	blob_unref(&o->inner.ret_body);
	blob_unref(&o->opened);
	if (err)
		memcpy(t->why, o->why, sizeof(t->why));
	o->op->private = NULL;
	memory_free(o);
	return task_done(t, err);
}

/* The sentence names the object, whose name may be longer than all of it. */
static enum step end_corrupt(struct sealed_op *o, const char *what)
{
	struct slice key = o->op->key;
	char why[TASK_WHY_BYTES];
	int room = (int)(sizeof(why) - 2 - strlen(what));
	int shown = (int)key.size < room ? (int)key.size : room;

	snprintf(why, sizeof(why), "%.*s %s", shown < 0 ? 0 : shown, (const char *)key.data, what);
	memcpy(o->why, why, sizeof(why));
	return end(o, ERR_CORRUPT);
}

static enum step start_inner(struct sealed_op *o)
{
	struct bucket_op like = *o->op;

	if (o->sealed) {
		o->piece = blob_slice(o->sealed);
		like.pieces = &o->piece;
		like.piece_count = 1;
	}
	bucket_start_like(&o->inner, &o->op->task, o->op->bucket->inner, &like);
	return task_wait(&o->op->task, SEALED_WORKED);
}

static enum step begin_put(struct sealed_op *o)
{
	struct bucket_op *op = o->op;
	uint64_t size = 0;

	for (size_t i = 0; i < op->piece_count; i++)
		size += op->pieces[i].size;
	o->sealed = blob_new(sealed_size(size));
	o->sealed->size = o->sealed->capacity;
	if (size > SEALED_INLINE_BYTES_MAX) {
		worker_start(&op->job, &op->task, seal_work);
		return task_wait(&op->task, SEALED_READY);
	}
	(void)seal_work(&op->job);
	return start_inner(o);
}

/* Ask for the chunks that cover offset and size; at least one, whatever was asked for. */
static enum step begin_get(struct sealed_op *o)
{
	struct bucket_op *op = o->op;
	uint64_t size =
		op->size_max < BUCKET_OBJECT_BYTES_MAX ? op->size_max : BUCKET_OBJECT_BYTES_MAX;
	uint64_t offset =
		op->offset < BUCKET_OBJECT_BYTES_MAX ? op->offset : BUCKET_OBJECT_BYTES_MAX;
	uint64_t past = offset + (size > 0 ? size : 1);

	o->first = offset / SEALED_CHUNK_BYTES;
	o->count = (past - 1) / SEALED_CHUNK_BYTES - o->first + 1;
	bucket_get(&o->inner, &op->task, op->bucket->inner, op->key, o->first * SEALED_STORED_BYTES,
		   o->count * SEALED_STORED_BYTES);
	return task_wait(&op->task, SEALED_WORKED);
}

static enum step begin(struct bucket_op *op)
{
	struct sealed_op *o;

	if (task_is_canceled(&op->task))
		return task_done(&op->task, ERR_CANCELED);
	op->private = o = NEW(struct sealed_op);
	o->op = op;
	switch (op->verb) {
	case BUCKET_PUT:
	case BUCKET_PUT_NEW:
		return begin_put(o);
	case BUCKET_GET:
		return begin_get(o);
	case BUCKET_HEAD:
	case BUCKET_LIST:
	case BUCKET_DELETE:
		return start_inner(o);
	case BUCKET_ABORT_UPLOADS:
		break;
	}
	abort();
}

/* --- what came of a get ---------------------------------------------------------------------- */
/* The part of the opened chunks that was asked for. */
static enum step give_body(struct sealed_op *o)
{
	struct bucket_op *op = o->op;
	uint64_t from = o->first * SEALED_CHUNK_BYTES;
	uint64_t skipped = op->offset > from ? op->offset - from : 0;
	struct blob *body = o->opened;

	if (op->offset < op->ret_size && op->size_max > 0 && skipped >= body->size)
		return end_corrupt(o, "changed its length while it was read");
	if (skipped > body->size)
		skipped = body->size;
	if (skipped > 0)
		memmove(body->data, body->data + skipped, body->size - skipped);
	body->size -= skipped;
	if (body->size > op->size_max)
		body->size = op->size_max;
	op->ret_body = body;
	o->opened = NULL;
	return end(o, OK);
}

static enum step opened(struct sealed_op *o)
{
	enum err err = o->op->job.result;
	char what[TASK_WHY_BYTES];

	if (task_is_canceled(&o->op->task))
		return end(o, ERR_CANCELED);
	if (!err)
		return give_body(o);
	memcpy(what, o->why, sizeof(what));
	return end_corrupt(o, what); /* also what claims to be newer: it cannot be believed */
}

static enum step open_body(struct sealed_op *o)
{
	struct bucket_op *op = o->op;
	struct blob *body = o->inner.ret_body;
	uint64_t chunks = body->size / SEALED_STORED_BYTES;
	uint64_t rest = body->size % SEALED_STORED_BYTES;

	if (rest > 0 && rest < SEALED_EXTRA_BYTES)
		return end_corrupt(o, "was cut off");
	o->opened = blob_new(body->size - SEALED_EXTRA_BYTES * (chunks + (rest > 0)));
	o->opened->size = o->opened->capacity;
	if (o->opened->size > SEALED_INLINE_BYTES_MAX) {
		worker_start(&op->job, &op->task, open_work);
		return task_wait(&op->task, SEALED_OPENED);
	}
	op->job.result = open_work(&op->job);
	return opened(o);
}

/* Nothing of the object is that far: true only if its last chunk says that it is the last. */
static enum step read_end(struct sealed_op *o, uint64_t stored)
{
	struct bucket_op *op = o->op;

	o->first = (stored - 1) / SEALED_STORED_BYTES;
	o->count = 1;
	bucket_get(&o->inner, &op->task, op->bucket->inner, op->key, o->first * SEALED_STORED_BYTES,
		   SEALED_STORED_BYTES);
	return task_wait(&op->task, SEALED_END_READ);
}

static enum step check_body(struct sealed_op *o)
{
	uint64_t stored = o->inner.ret_size, from = o->first * SEALED_STORED_BYTES;
	uint64_t expected = stored > from ? stored - from : 0;

	if (stored > BUCKET_OBJECT_BYTES_MAX || !sealed_plain_size(stored, &o->op->ret_size))
		return end_corrupt(o, "has a length that no sealed object has: cut off?");
	if (expected > o->count * SEALED_STORED_BYTES)
		expected = o->count * SEALED_STORED_BYTES;
	if (o->inner.ret_body->size != expected)
		return end_corrupt(o, "came shorter or longer than the store said");
	if (expected > 0)
		return open_body(o);
	blob_unref(&o->inner.ret_body);
	return read_end(o, stored);
}

/* --- the ends -------------------------------------------------------------------------------- */
static bool is_write(enum bucket_verb verb)
{
	return verb == BUCKET_PUT || verb == BUCKET_PUT_NEW || verb == BUCKET_DELETE;
}

/* In place.  What is no sealed object has a size that is none of ours: head says more. */
static uint64_t *plain_sizes(const struct bucket_op *list)
{
	for (size_t i = 0; list->ret_sizes && i < list->ret_count; i++)
		if (list->ret_sizes[i] != BUCKET_SIZE_UNKNOWN &&
		    !sealed_plain_size(list->ret_sizes[i], &list->ret_sizes[i]))
			list->ret_sizes[i] = BUCKET_SIZE_UNKNOWN;
	return list->ret_sizes;
}

static enum step worked(struct sealed_op *o)
{
	struct bucket_op *op = o->op;
	enum err err = o->inner.task.err;

	if (task_is_canceled(&op->task) && !is_write(op->verb))
		return end(o, ERR_CANCELED); /* nobody waits for it */
	memcpy(o->why, o->inner.task.why, sizeof(o->why));
	if (err)
		return end(o, err);
	op->ret_size = o->inner.ret_size;
	op->ret_names = o->inner.ret_names;
	op->ret_sizes = plain_sizes(&o->inner);
	op->ret_count = o->inner.ret_count;
	op->ret_more = o->inner.ret_more;
	if (op->verb == BUCKET_GET)
		return check_body(o);
	if (op->verb == BUCKET_HEAD && !sealed_plain_size(o->inner.ret_size, &op->ret_size))
		return end_corrupt(o, "has a length that no sealed object has: cut off?");
	return end(o, OK);
}

static enum step sealed_step(struct task *t)
{
	struct bucket_op *op = CONTAINER(t, struct bucket_op, task);
	struct sealed_op *o = op->private;

	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case SEALED_START:
		return begin(op);
	case SEALED_READY:
		return task_is_canceled(t) ? end(o, ERR_CANCELED) : start_inner(o);
	case SEALED_WORKED:
	case SEALED_END_READ: /* the same checks; the range cuts all of it away */
		return worked(o);
	case SEALED_OPENED:
		return opened(o);
	}
	abort();
}

static const struct task_kind sealed_op = {
	.name = "sealed bucket operation",
	.places = sealed_places,
	.place_count = 5,
	.step = sealed_step,
};

/* --- the bucket ------------------------------------------------------------------------------ */
static void sealed_close(struct bucket *base)
{
	struct sealed_bucket *b = sealed_of(base);

	bucket_close(base->inner);
	sealed_key_done(&b->key);
	memory_free(b);
}

static const struct bucket_kind sealed_kind = {
	.name = "sealed",
	.op = &sealed_op,
	.close = sealed_close,
};

struct bucket *sealed_bucket_new(struct bucket *inner, const uint8_t key[SEALED_KEY_BYTES])
{
	struct sealed_bucket *b = NEW(struct sealed_bucket);

	b->bucket.kind = &sealed_kind;
	b->bucket.class = inner->class;
	snprintf(b->bucket.url, sizeof(b->bucket.url), "%s", inner->url);
	b->bucket.inner = inner;
	sealed_key_init(&b->key, key);
	return &b->bucket;
}

bool bucket_is_sealed(const struct bucket *b)
{
	return b->kind == &sealed_kind;
}

struct bucket *sealed_inner(struct bucket *b)
{
	return bucket_is_sealed(b) ? b->inner : b;
}
