#include "buckets/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "buckets/kinds.h"
#include "loop/timer.h"

enum { LATENCY_MS_MAX = 60 * 1000, STORES_MAX = 1024 };

struct object {
	struct slice key; /* allocated */
	struct blob *body;
};

/* What is stored, sorted by key. */
struct store {
	char *name; /* "" for a private one */
	int handles;
	struct object *objects;
	size_t count, capacity;
};

struct memory_bucket {
	struct bucket bucket;
	struct store *store;
	uint64_t latency_ms;
};

static struct store *stores[STORES_MAX]; /* the named ones */

/* --- the store ------------------------------------------------------------------------------- */
/* The first object whose key is not less than `key`. */
static size_t store_position(const struct store *s, struct slice key)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slice_compare(s->objects[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct object *store_find(const struct store *s, struct slice key)
{
	size_t at = store_position(s, key);

	return at < s->count && slice_equal(s->objects[at].key, key) ? &s->objects[at] : NULL;
}

static void object_done(struct object *o)
{
	blob_unref(&o->body);
	memory_free((void *)(uintptr_t)o->key.data);
}

static void store_free(struct store *s)
{
	for (size_t i = 0; i < s->count; i++)
		object_done(&s->objects[i]);
	memory_free(s->objects);
	memory_free(s->name);
	memory_free(s);
}

/* A directory bucket cannot hold both "a" and "a/b", so neither can this one. */
static bool store_has_conflict(const struct store *s, struct slice key)
{
	char inside[BUCKET_KEY_BYTES_MAX + 2];
	size_t at;

	for (size_t i = 0; i < key.size; i++)
		if (key.data[i] == '/' && store_find(s, slice_part(key, 0, i)))
			return true;
	memcpy(inside, key.data, key.size);
	inside[key.size] = '/';
	struct slice prefix = { (const uint8_t *)inside, key.size + 1 };
	at = store_position(s, prefix);
	return at < s->count && slice_starts_with(s->objects[at].key, prefix);
}

static void store_add(struct store *s, struct slice key, struct blob *body)
{
	size_t at = store_position(s, key);
	uint8_t *copy = memory_take(key.size);

	if (s->count == s->capacity) {
		s->capacity = s->capacity ? 2 * s->capacity : 64;
		s->objects = memory_grow(s->objects, s->capacity * sizeof(*s->objects));
	}
	memmove(&s->objects[at + 1], &s->objects[at], (s->count - at) * sizeof(*s->objects));
	memcpy(copy, key.data, key.size);
	s->objects[at] = (struct object) { { copy, key.size }, body };
	s->count++;
}

static void store_remove(struct store *s, struct slice key)
{
	struct object *o = store_find(s, key);
	size_t after;

	if (!o)
		return;
	object_done(o);
	after = s->count - (size_t)(o - s->objects) - 1;
	memmove(o, o + 1, after * sizeof(*o));
	s->count--;
}

/* --- operations ------------------------------------------------------------------------------ */
static struct blob *body_of(const struct bucket_op *op)
{
	size_t size = 0;
	struct blob *body;

	for (size_t i = 0; i < op->piece_count; i++)
		size += op->pieces[i].size;
	body = blob_new(size);
	for (size_t i = 0; i < op->piece_count; i++) {
		if (op->pieces[i].size)
			memcpy(body->data + body->size, op->pieces[i].data, op->pieces[i].size);
		body->size += op->pieces[i].size;
	}
	return body;
}

static enum step put(struct bucket_op *op, struct store *s)
{
	struct object *found = store_find(s, op->key);
	struct blob *body;
	bool is_equal;

	if (found && op->verb == BUCKET_PUT_NEW)
		return task_done(&op->task, ERR_EXISTS);
	if (store_has_conflict(s, op->key))
		return task_fail(&op->task, ERR_CONFLICT, "a key is the directory of another: %.*s",
				 SLICE_ARG(op->key));
	body = body_of(op);
	if (!found) {
		store_add(s, op->key, body);
		return task_done(&op->task, OK);
	}
	is_equal = slice_equal(blob_slice(found->body), blob_slice(body));
	blob_unref(&body);
	if (!is_equal)
		return task_fail(&op->task, ERR_CONFLICT, "other contents are stored under %.*s",
				 SLICE_ARG(op->key));
	return task_done(&op->task, OK);
}

static enum step get(struct bucket_op *op, struct store *s)
{
	struct object *found = store_find(s, op->key);

	if (!found)
		return task_fail(&op->task, ERR_NOT_FOUND, "there is no %.*s", SLICE_ARG(op->key));
	op->ret_size = found->body->size;
	if (op->verb == BUCKET_GET)
		op->ret_body =
			blob_from(slice_part(blob_slice(found->body), op->offset, op->size_max));
	return task_done(&op->task, OK);
}

static enum step list(struct bucket_op *op, struct store *s)
{
	size_t from = store_position(s, op->key);
	size_t after = store_position(s, op->after);
	size_t end;

	if (after < s->count && slice_equal(s->objects[after].key, op->after))
		after++;
	if (after > from)
		from = after;
	for (end = from; end < s->count && end - from < BUCKET_LIST_NAMES_MAX; end++)
		if (!slice_starts_with(s->objects[end].key, op->key))
			break;
	op->ret_more = end < s->count && slice_starts_with(s->objects[end].key, op->key);
	op->ret_names = arena_take_array(op->arena, end - from, sizeof(*op->ret_names));
	op->ret_sizes = arena_take_array(op->arena, end - from, sizeof(*op->ret_sizes));
	for (; from < end; from++) {
		op->ret_sizes[op->ret_count] = s->objects[from].body->size;
		op->ret_names[op->ret_count++] = arena_copy(op->arena, s->objects[from].key);
	}
	return task_done(&op->task, OK);
}

static enum step answer(struct bucket_op *op, struct store *s)
{
	switch (op->verb) {
	case BUCKET_PUT:
	case BUCKET_PUT_NEW:
		return put(op, s);
	case BUCKET_GET:
	case BUCKET_HEAD:
		return get(op, s);
	case BUCKET_LIST:
		return list(op, s);
	case BUCKET_DELETE:
		store_remove(s, op->key);
		return task_done(&op->task, OK);
	case BUCKET_ABORT_UPLOADS:
		break;
	}
	abort();
}

static enum step run(struct bucket_op *op, struct store *s)
{
	enum step step = answer(op, s);

	meter_add_op(&op->bucket->meter, op, op->task.err);
	meter_times_add_op(&op->bucket->times, op, op->since_us, op->task.err);
	return step;
}

enum { MEMORY_START, MEMORY_DELAYED };
static const char *const memory_places[] = { "start", "delayed" };

static enum step memory_step(struct task *t)
{
	struct bucket_op *op = CONTAINER(t, struct bucket_op, task);
	struct memory_bucket *m = CONTAINER(op->bucket, struct memory_bucket, bucket);
	struct sleep *sleep = op->private;

	switch (t->at) {
	case MEMORY_START:
		if (task_is_canceled(t))
			return task_done(t, ERR_CANCELED);
		if (m->latency_ms == 0)
			return run(op, m->store);
		op->private = sleep = NEW(struct sleep);
		sleep_start(sleep, t, loop_now_ms(t->loop) + m->latency_ms);
		return task_wait(t, MEMORY_DELAYED);

	case MEMORY_DELAYED:
		if (t->children > 0)
			return task_wait(t, MEMORY_DELAYED);
		memory_free(sleep);
		op->private = NULL;
		return task_is_canceled(t) ? task_done(t, ERR_CANCELED) : run(op, m->store);
	}
	abort();
}

static const struct task_kind memory_op = {
	.name = "memory bucket operation",
	.places = memory_places,
	.place_count = 2,
	.step = memory_step,
};

/* --- opening --------------------------------------------------------------------------------- */
static struct store **named_store(struct slice name)
{
	for (size_t i = 0; i < STORES_MAX; i++)
		if (stores[i] && slice_equal(slice_from(stores[i]->name), name))
			return &stores[i];
	return NULL;
}

static struct store *store_new(struct slice name)
{
	struct store *s = NEW(struct store);

	s->name = memory_take(name.size + 1);
	if (name.size)
		memcpy(s->name, name.data, name.size);
	return s;
}

static struct store *store_open(struct slice name)
{
	struct store **found = name.size ? named_store(name) : NULL;

	if (found)
		return *found;
	for (size_t i = 0; i < STORES_MAX && name.size; i++)
		if (!stores[i])
			return stores[i] = store_new(name);
	return name.size ? NULL : store_new(name);
}

static void memory_close(struct bucket *b)
{
	struct memory_bucket *m = CONTAINER(b, struct memory_bucket, bucket);

	m->store->handles--;
	if (!m->store->name[0])
		store_free(m->store);
	memory_free(m);
}

void memory_bucket_forget(const char *name)
{
	struct store **found = named_store(slice_from(name));

	if (!found)
		return;
	assert((*found)->handles == 0);
	store_free(*found);
	*found = NULL;
}

static const struct bucket_kind memory_kind = {
	.name = "memory",
	.op = &memory_op,
	.close = memory_close,
};

enum err memory_bucket_open(struct bucket_url *u, struct bucket **ret, char why[TASK_WHY_BYTES])
{
	static const char *const parameters[] = { "class", "latency_ms", NULL };
	enum bucket_class class = BUCKET_CAS;
	uint64_t latency_ms = 0;
	struct memory_bucket *m;
	struct store *store;
	enum err err = bucket_url_take_class(u, &class, why);

	if (!err)
		err = bucket_url_take_u64(u, "latency_ms", LATENCY_MS_MAX, &latency_ms, why);
	if (!err)
		err = bucket_url_finish(u, parameters, why);
	if (err)
		return err;
	store = store_open(u->path);
	if (!store) {
		snprintf(why, TASK_WHY_BYTES, "more than %d buckets in memory", STORES_MAX);
		return ERR_TOO_BIG;
	}
	store->handles++;
	m = NEW(struct memory_bucket);
	m->bucket.kind = &memory_kind;
	m->bucket.class = class;
	m->store = store;
	m->latency_ms = latency_ms;
	*ret = &m->bucket;
	return OK;
}
