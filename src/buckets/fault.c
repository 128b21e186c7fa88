#include "buckets/fault.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "buckets/kinds.h"
#include "loop/timer.h"

enum { FAULT_DELAY_MS_MAX = 3600 * 1000, VERBS = BUCKET_DELETE + 1 };
_Static_assert(FAULT_VERBS_ALL == (1 << VERBS) - 1, "every verb has its bit");

struct rule {
	struct fault fault;
	char *prefix;
	uint64_t matched;
};

struct fault_bucket {
	struct bucket bucket;
	struct bucket *inner;
	struct prng prng;
	struct rule rules[FAULT_RULES_MAX];
	size_t rule_count;
	struct list held; /* struct fault_op.link */
	struct list late; /* struct late_op.link: not released yet */
	size_t held_count;
	uint64_t started[VERBS];
	uint64_t strikes;
};

struct fault_op {
	struct bucket_op *op;
	struct bucket_op inner;
	struct sleep sleep;
	struct list link;
	enum fault_effect effect;
	enum err err;
};

/* A request that outlives its sender, with copies of what that one lent. */
struct late_op {
	struct task task; /* root */
	struct bucket_op like, op;
	struct fault_bucket *bucket;
	struct loop *loop;
	struct list link;
	struct slice body;
	uint8_t bytes[];
};

static struct fault_bucket *fault_of(const struct bucket *b)
{
	return CONTAINER((uintptr_t)b, struct fault_bucket, bucket);
}

/* --- rules ----------------------------------------------------------------------------------- */
static bool rule_strikes(struct fault_bucket *b, struct rule *r, const struct bucket_op *op)
{
	const struct fault *f = &r->fault;

	if (f->verbs && !(f->verbs & FAULT_VERB(op->verb)))
		return false;
	if (!slice_starts_with(op->key, slice_from(r->prefix)))
		return false;
	if (f->ppm && prng_below(&b->prng, FAULT_PPM_ALWAYS) >= f->ppm)
		return false;
	r->matched++;
	return r->matched > f->skip && (!f->count || r->matched - f->skip <= f->count);
}

static enum err default_err(enum fault_effect effect)
{
	return effect == FAULT_AFTER || effect == FAULT_LATE ? ERR_UNKNOWN : ERR_UNAVAILABLE;
}

/* Decide what becomes of an operation; returns how long it has to wait first. */
static uint64_t decide(struct fault_bucket *b, struct fault_op *o)
{
	for (size_t i = 0; i < b->rule_count; i++) {
		const struct fault *f = &b->rules[i].fault;

		if (!rule_strikes(b, &b->rules[i], o->op))
			continue;
		b->strikes++;
		o->effect = f->effect;
		o->err = f->err ? f->err : default_err(f->effect);
		return f->delay_ms_max ? prng_below(&b->prng, f->delay_ms_max + 1) : 0;
	}
	o->effect = FAULT_NONE;
	return 0;
}

static void damage(struct fault_bucket *b, struct fault_op *o)
{
	struct blob *body = o->inner.ret_body;

	if (!body || body->size == 0)
		return;
	if (o->effect == FAULT_CORRUPT)
		body->data[prng_below(&b->prng, body->size)] ^=
			(uint8_t)(1 + prng_below(&b->prng, 255));
	else if (o->effect == FAULT_TRUNCATE)
		body->size = prng_below(&b->prng, body->size);
}

/* --- late operations ------------------------------------------------------------------------- */
enum { LATE_START, LATE_DONE };

static enum step late_step(struct task *t)
{
	struct late_op *l = CONTAINER(t, struct late_op, task);

	switch (t->at) {
	case LATE_START:
		bucket_start_like(&l->op, t, l->bucket->inner, &l->like);
		return task_wait(t, LATE_DONE);

	case LATE_DONE:
		return t->children > 0 ? task_wait(t, LATE_DONE) : task_done(t, l->op.task.err);
	}
	abort();
}

static void late_end(struct task *t)
{
	struct late_op *l = CONTAINER(t, struct late_op, task);

	l->bucket->held_count--;
	memory_free(l);
}

static const struct task_kind late_kind = {
	.name = "late bucket operation",
	.step = late_step,
	.on_end = late_end,
};

static void late_add(struct fault_bucket *b, const struct bucket_op *op)
{
	size_t size = 0;
	struct late_op *l;
	uint8_t *to;

	for (size_t i = 0; i < op->piece_count; i++)
		size += op->pieces[i].size;
	l = memory_take(sizeof(*l) + op->key.size + size);
	to = l->bytes;
	memcpy(to, op->key.data, op->key.size);
	to += op->key.size;
	l->body = (struct slice) { to, size };
	for (size_t i = 0; i < op->piece_count; i++) {
		if (op->pieces[i].size)
			memcpy(to, op->pieces[i].data, op->pieces[i].size);
		to += op->pieces[i].size;
	}
	l->like = (struct bucket_op) {
		.verb = op->verb,
		.key = { l->bytes, op->key.size },
		.pieces = &l->body,
		.piece_count = 1,
	};
	l->bucket = b;
	l->loop = op->task.loop;
	list_add(&b->late, &l->link);
	b->held_count++;
}

/* --- operations ------------------------------------------------------------------------------ */
enum { FAULT_START, FAULT_DELAYED, FAULT_HELD, FAULT_WORKED };
static const char *const fault_places[] = { "start", "delayed", "held", "worked" };

static enum step end(struct fault_op *o, enum err err, const char *why)
{
	struct task *t = &o->op->task;

	if (err)
		snprintf(t->why, sizeof(t->why), "%s", why);
	o->op->private = NULL;
	list_remove(&o->link);
	memory_free(o);
	return task_done(t, err);
}

/* Nothing of the operation is left: the answer is the inner bucket's, or a lie. */
static enum step answer(struct fault_bucket *b, struct fault_op *o)
{
	enum err err = o->inner.task.err;
	char why[TASK_WHY_BYTES];

	damage(b, o);
	if (o->effect == FAULT_AFTER) {
		if (!err)
			blob_unref(&o->inner.ret_body);
		return end(o, o->err, "a fault was ordered, after the effect");
	}
	if (task_is_canceled(&o->op->task) && !(FAULT_VERB(o->op->verb) & FAULT_WRITES)) {
		if (!err)
			blob_unref(&o->inner.ret_body); /* nobody waits for it */
		err = ERR_CANCELED;
	}
	if (!err) {
		o->op->ret_body = o->inner.ret_body;
		o->op->ret_size = o->inner.ret_size;
		o->op->ret_names = o->inner.ret_names;
		o->op->ret_count = o->inner.ret_count;
		o->op->ret_more = o->inner.ret_more;
	}
	memcpy(why, o->inner.task.why, sizeof(why));
	return end(o, err, why);
}

static enum step go_on(struct fault_bucket *b, struct fault_op *o)
{
	struct task *t = &o->op->task;

	if (task_is_canceled(t))
		return end(o, ERR_CANCELED, "");
	if (o->effect == FAULT_BEFORE)
		return end(o, o->err, "a fault was ordered, before any effect");
	if (o->effect == FAULT_LATE && FAULT_VERB(o->op->verb) & FAULT_WRITES) {
		late_add(b, o->op);
		return end(o, o->err, "a fault was ordered, the effect will come late");
	}
	if (o->effect == FAULT_HOLD) {
		o->effect = FAULT_NONE;
		list_add(&b->held, &o->link);
		b->held_count++;
		return task_wait(t, FAULT_HELD);
	}
	bucket_start_like(&o->inner, t, b->inner, o->op);
	return task_wait(t, FAULT_WORKED);
}

static enum step begin(struct fault_bucket *b, struct bucket_op *op)
{
	struct task *t = &op->task;
	struct fault_op *o;
	uint64_t delay_ms;

	b->started[op->verb]++;
	if (task_is_canceled(t))
		return task_done(t, ERR_CANCELED);
	op->private = o = NEW(struct fault_op);
	o->op = op;
	delay_ms = decide(b, o);
	if (delay_ms == 0)
		return go_on(b, o);
	sleep_start(&o->sleep, t, loop_now_ms(t->loop) + delay_ms);
	return task_wait(t, FAULT_DELAYED);
}

static enum step fault_step(struct task *t)
{
	struct bucket_op *op = CONTAINER(t, struct bucket_op, task);
	struct fault_bucket *b = fault_of(op->bucket);
	struct fault_op *o = op->private;

	switch (t->at) {
	case FAULT_START:
		return begin(b, op);

	case FAULT_DELAYED:
		return t->children > 0 ? task_wait(t, FAULT_DELAYED) : go_on(b, o);

	case FAULT_HELD:
		if (list_is_linked(&o->link) && !task_is_canceled(t))
			return task_wait(t, FAULT_HELD);
		if (list_is_linked(&o->link))
			b->held_count--;
		return go_on(b, o);

	case FAULT_WORKED:
		return t->children > 0 ? task_wait(t, FAULT_WORKED) : answer(b, o);
	}
	abort();
}

static const struct task_kind fault_op = {
	.name = "faulty bucket operation",
	.places = fault_places,
	.place_count = 4,
	.step = fault_step,
};

/* --- the bucket ------------------------------------------------------------------------------ */
static void fault_close(struct bucket *base)
{
	struct fault_bucket *b = fault_of(base);
	struct list *link;

	assert(list_is_empty(&b->held));
	while ((link = list_pop(&b->late))) {
		memory_free(CONTAINER(link, struct late_op, link));
		b->held_count--;
	}
	assert(b->held_count == 0);
	bucket_close(b->inner);
	fault_clear(base);
	memory_free(b);
}

static const struct bucket_kind fault_kind = {
	.name = "fault",
	.op = &fault_op,
	.close = fault_close,
};

struct bucket *fault_bucket_new(struct bucket *inner, uint64_t seed)
{
	struct fault_bucket *b = NEW(struct fault_bucket);

	b->bucket.kind = &fault_kind;
	b->bucket.class = inner->class;
	snprintf(b->bucket.url, sizeof(b->bucket.url), "%s", inner->url);
	b->bucket.inner = b->inner = inner;
	b->prng.state = seed;
	list_init(&b->held);
	list_init(&b->late);
	return &b->bucket;
}

struct bucket *fault_inner(struct bucket *b)
{
	return fault_of(b)->inner;
}

void fault_add(struct bucket *base, const struct fault *f)
{
	struct fault_bucket *b = fault_of(base);

	assert(b->bucket.kind == &fault_kind);
	assert(b->rule_count < FAULT_RULES_MAX);
	b->rules[b->rule_count++] = (struct rule) {
		.fault = *f,
		.prefix = memory_copy_text(f->prefix ? f->prefix : ""),
	};
}

void fault_add_nth(struct bucket *b, uint64_t n, enum fault_effect effect, enum err err)
{
	assert(n > 0);
	fault_add(b, &(struct fault) { .effect = effect, .err = err, .skip = n - 1, .count = 1 });
}

void fault_clear(struct bucket *base)
{
	struct fault_bucket *b = fault_of(base);

	while (b->rule_count > 0)
		memory_free(b->rules[--b->rule_count].prefix);
}

size_t fault_release(struct bucket *base, const char *prefix)
{
	struct fault_bucket *b = fault_of(base);
	size_t count = 0;

	LIST_EACH (&b->held, struct fault_op, link, o) {
		if (!slice_starts_with(o->op->key, slice_from(prefix)))
			continue;
		list_remove(&o->link);
		b->held_count--;
		count++;
		task_wake(&o->op->task);
	}
	LIST_EACH (&b->late, struct late_op, link, l) {
		if (!slice_starts_with(l->like.key, slice_from(prefix)))
			continue;
		list_remove(&l->link);
		count++;
		task_start_root(&l->task, &late_kind, l->loop);
	}
	return count;
}

size_t fault_held_count(const struct bucket *b)
{
	return fault_of(b)->held_count;
}

uint64_t fault_op_count(const struct bucket *b, unsigned verbs)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < VERBS; i++)
		if (verbs & FAULT_VERB(i))
			count += fault_of(b)->started[i];
	return count;
}

uint64_t fault_strike_count(const struct bucket *b)
{
	return fault_of(b)->strikes;
}

/* --- opening --------------------------------------------------------------------------------- */
#define FAULT_PARAMETER "fault_"

/* The inner URL: everything that is not ours, in the order given. */
static void inner_url(const struct bucket_url *u, char ret[BUCKET_KEY_BYTES_MAX])
{
	int size = BUCKET_KEY_BYTES_MAX;
	int used = snprintf(ret, (size_t)size, "%.*s", SLICE_ARG(u->path));
	char separator = '?';

	for (size_t i = 0; i < u->parameter_count; i++) {
		const struct bucket_parameter *p = &u->parameters[i];

		if (slice_starts_with(p->name, SLICE(FAULT_PARAMETER)))
			continue;
		assert(used < size); /* it is a part of a URL that fits */
		used += snprintf(ret + used, (size_t)(size - used), "%c%.*s=%.*s", separator,
				 SLICE_ARG(p->name), SLICE_ARG(p->value));
		separator = '&';
	}
}

struct wishes {
	uint64_t seed, before_ppm, after_ppm, corrupt_ppm, truncate_ppm, delay_ms;
	char prefix[BUCKET_KEY_BYTES_MAX];
};

static enum err take_wishes(struct bucket_url *u, struct wishes *w, char why[TASK_WHY_BYTES])
{
	static const char *const known[] = { "fault_seed",	   "fault_before_ppm",
					     "fault_after_ppm",	   "fault_corrupt_ppm",
					     "fault_truncate_ppm", "fault_delay_ms",
					     "fault_prefix",	   NULL };
	const struct {
		uint64_t max, *ret;
	} numbers[] = {
		{ UINT64_MAX, &w->seed },
		{ FAULT_PPM_ALWAYS, &w->before_ppm },
		{ FAULT_PPM_ALWAYS, &w->after_ppm },
		{ FAULT_PPM_ALWAYS, &w->corrupt_ppm },
		{ FAULT_PPM_ALWAYS, &w->truncate_ppm },
		{ FAULT_DELAY_MS_MAX, &w->delay_ms },
	};
	struct slice prefix = { NULL, 0 };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		enum err err =
			bucket_url_take_u64(u, known[i], numbers[i].max, numbers[i].ret, why);

		if (err)
			return err;
	}
	if (bucket_url_take(u, "fault_prefix", &prefix))
		snprintf(w->prefix, sizeof(w->prefix), "%.*s", SLICE_ARG(prefix));
	for (size_t i = 0; i < u->parameter_count; i++) /* the rest is checked by the inner kind */
		if (!slice_starts_with(u->parameters[i].name, SLICE(FAULT_PARAMETER)))
			u->parameters[i].is_used = true;
	return bucket_url_finish(u, known, why);
}

static void add_wishes(struct bucket *b, const struct wishes *w)
{
	const struct fault faults[] = {
		{ .effect = FAULT_BEFORE, .ppm = w->before_ppm },
		{ .effect = FAULT_AFTER, .ppm = w->after_ppm, .verbs = FAULT_WRITES },
		{ .effect = FAULT_CORRUPT, .ppm = w->corrupt_ppm, .verbs = FAULT_VERB(BUCKET_GET) },
		{ .effect = FAULT_TRUNCATE,
		  .ppm = w->truncate_ppm,
		  .verbs = FAULT_VERB(BUCKET_GET) },
		{ .effect = FAULT_NONE, .ppm = w->delay_ms ? FAULT_PPM_ALWAYS : 0 },
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		struct fault f = faults[i];

		f.prefix = w->prefix;
		f.delay_ms_max = w->delay_ms;
		if (f.ppm)
			fault_add(b, &f);
	}
}

enum err fault_bucket_open(struct bucket_url *u, struct bucket **ret, char why[TASK_WHY_BYTES])
{
	const char *allowed = getenv("HANSE_TEST_FAULTS");
	char url[BUCKET_KEY_BYTES_MAX];
	struct wishes wishes = { 0 };
	struct bucket *inner = NULL;
	enum err err;

	if (!allowed || strcmp(allowed, "1") != 0) {
		snprintf(why, TASK_WHY_BYTES,
			 "fault: buckets lose data on purpose; set HANSE_TEST_FAULTS=1 to test");
		return ERR_DENIED;
	}
	err = take_wishes(u, &wishes, why);
	if (err)
		return err;
	inner_url(u, url);
	err = bucket_open(url, &inner, why);
	if (err)
		return err;
	*ret = fault_bucket_new(inner, wishes.seed);
	add_wishes(*ret, &wishes);
	return OK;
}
