#include "buckets/fault.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "buckets/kinds.h"
#include "loop/timer.h"

enum { VERBS = BUCKET_DELETE + 1 };
_Static_assert(FAULT_VERBS_ALL == (1 << VERBS) - 1, "every verb has its bit");

struct rule {
	struct fault fault;
	char *prefix;
	uint64_t matched;
	uint64_t slow_down_until_ms;
};

/* A name that was put, which a stale list does not show yet; or one where nothing was found. */
struct recent {
	char key[BUCKET_KEY_BYTES_MAX];
	size_t key_bytes;
	uint64_t at_ms;
};

struct fault_bucket {
	struct bucket bucket;
	struct bucket *inner;
	struct prng prng;
	struct prng clock; /* latencies: rules strike the same with and without them */
	struct fault_store store;
	struct rule rules[FAULT_RULES_MAX];
	size_t rule_count;
	struct list held; /* struct fault_op.link */
	struct list late; /* struct late_op.link: not released yet */
	size_t held_count;
	struct recent *recent; /* NULL until a rule wants it */
	size_t recent_count;   /* ever */
	struct recent *absent; /* the same */
	size_t absent_count;
	struct blob *got; /* by the last get that was swapped */
	uint64_t started[VERBS];
	uint64_t bytes[VERBS]; /* of bodies */
	uint64_t strikes;
	char *report; /* a file's name, or NULL */
};

struct fault_op {
	struct bucket_op *op;
	struct bucket_op inner;
	struct sleep sleep;
	struct list link;
	enum fault_effect effect;
	enum err err;
	uint64_t stale_ms;
	uint64_t for_ms;
	uint64_t answer_at_ms; /* not before; 0: at once */
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
static bool rule_aims_at(const struct rule *r, const struct bucket_op *op)
{
	if (r->fault.verbs && !(r->fault.verbs & FAULT_VERB(op->verb)))
		return false;
	return slice_starts_with(op->key, slice_from(r->prefix));
}

static bool rule_strikes(struct fault_bucket *b, struct rule *r, const struct bucket_op *op)
{
	const struct fault *f = &r->fault;

	if (!rule_aims_at(r, op))
		return false;
	if (f->ppm && prng_below(&b->prng, FAULT_PPM_ALWAYS) >= f->ppm)
		return false;
	r->matched++;
	return r->matched > f->skip && (!f->count || r->matched - f->skip <= f->count);
}

static enum err default_err(enum fault_effect effect)
{
	return effect == FAULT_AFTER || effect == FAULT_LATE || effect == FAULT_LOST
		       ? ERR_UNKNOWN
		       : ERR_UNAVAILABLE;
}

/* A store that asked to be left alone goes on asking. */
static bool rule_goes_on(const struct rule *r, const struct bucket_op *op)
{
	return loop_now_ms(op->task.loop) < r->slow_down_until_ms && rule_aims_at(r, op);
}

/* Decide what becomes of an operation; returns how long it has to wait first. */
static uint64_t decide(struct fault_bucket *b, struct fault_op *o)
{
	uint64_t now_ms = loop_now_ms(o->op->task.loop);

	for (size_t i = 0; i < b->rule_count; i++) {
		const struct fault *f = &b->rules[i].fault;

		if (!rule_goes_on(&b->rules[i], o->op)) {
			if (!rule_strikes(b, &b->rules[i], o->op))
				continue;
			if (f->effect == FAULT_SLOW_DOWN)
				b->rules[i].slow_down_until_ms = now_ms + f->for_ms;
		}
		b->strikes++;
		o->effect = f->effect;
		o->err = f->err ? f->err : default_err(f->effect);
		o->for_ms = f->for_ms;
		if (f->effect == FAULT_LOST)
			o->answer_at_ms = now_ms + f->for_ms;
		if (f->effect == FAULT_STALE)
			o->stale_ms = f->for_ms;
		return f->delay_ms_max ? prng_below(&b->prng, f->delay_ms_max + 1) : 0;
	}
	o->effect = FAULT_NONE;
	return 0;
}

/* A store that mixes names up: the first one is right, there was none before it. */
static void swap(struct fault_bucket *b, struct fault_op *o)
{
	struct blob *got = o->inner.ret_body;

	if (b->got) {
		o->inner.ret_body = b->got;
		o->inner.ret_size = b->got->size;
		b->got = got;
	} else {
		b->got = blob_ref(got);
	}
}

static void damage(struct fault_bucket *b, struct fault_op *o)
{
	struct blob *body = o->inner.ret_body;

	if (!body || body->size == 0)
		return;
	if (o->effect == FAULT_SWAP && body->size == o->inner.ret_size)
		swap(b, o);
	if (o->effect == FAULT_CORRUPT)
		body->data[prng_below(&b->prng, body->size)] ^=
			(uint8_t)(1 + prng_below(&b->prng, 255));
	else if (o->effect == FAULT_TRUNCATE)
		body->size = prng_below(&b->prng, body->size);
}

/* --- a store far away ------------------------------------------------------------------------- */
static uint64_t body_bytes(const struct bucket_op *op)
{
	uint64_t size = op->ret_body ? op->ret_body->size : 0;

	for (size_t i = 0; i < op->piece_count; i++)
		size += op->pieces[i].size;
	return size;
}

static uint64_t body_ms(const struct fault_bucket *b, uint64_t bytes)
{
	enum { BYTES_PER_MS = 1000 }; /* at one MB/s */

	return b->store.megabytes_per_s ? bytes / (b->store.megabytes_per_s * BYTES_PER_MS) : 0;
}

static const struct fault_latency *latency_of(const struct fault_store *s, enum bucket_verb verb)
{
	if (verb == BUCKET_PUT || verb == BUCKET_PUT_NEW)
		return &s->put;
	return verb == BUCKET_GET ? &s->get : &s->other;
}

/* How long this one takes. */
static uint64_t draw_ms(struct fault_bucket *b, const struct bucket_op *op)
{
	enum { US_PER_MS = 1000 };
	uint64_t us = fault_latency_draw_us(latency_of(&b->store, op->verb), &b->clock);

	if (b->store.slow_ppm && prng_below(&b->clock, FAULT_PPM_ALWAYS) < b->store.slow_ppm)
		return b->store.slow_ms;
	return (us + US_PER_MS / 2) / US_PER_MS + body_ms(b, body_bytes(op));
}

/* --- stale lists ------------------------------------------------------------------------------ */
static void remember(struct recent *all, size_t *count, const struct bucket_op *op)
{
	struct recent *r;

	if (!all)
		return;
	r = &all[(*count)++ % FAULT_RECENT_MAX];
	memcpy(r->key, op->key.data, op->key.size);
	r->key_bytes = op->key.size;
	r->at_ms = loop_now_ms(op->task.loop);
}

static bool is_recent(const struct recent *all, size_t count, struct slice key, uint64_t since_ms)
{
	for (size_t i = 0; i < count && i < FAULT_RECENT_MAX; i++) {
		const struct recent *r = &all[i];

		if (r->at_ms > since_ms &&
		    slice_equal(key, (struct slice) { (const uint8_t *)r->key, r->key_bytes }))
			return true;
	}
	return false;
}

static uint64_t before(const struct fault_op *o, uint64_t ms)
{
	uint64_t now_ms = loop_now_ms(o->op->task.loop);

	return now_ms > ms ? now_ms - ms : 0;
}

static void leave_out(const struct fault_bucket *b, struct fault_op *o)
{
	uint64_t since_ms = before(o, o->stale_ms);
	size_t kept = 0;

	for (size_t i = 0; i < o->inner.ret_count; i++) {
		if (is_recent(b->recent, b->recent_count, o->inner.ret_names[i], since_ms))
			continue;
		if (o->inner.ret_sizes)
			o->inner.ret_sizes[kept] = o->inner.ret_sizes[i];
		o->inner.ret_names[kept++] = o->inner.ret_names[i];
	}
	o->inner.ret_count = kept;
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
enum {
	FAULT_START,
	FAULT_DELAYED,
	FAULT_HELD,
	FAULT_LOOKED,
	FAULT_SLEPT,
	FAULT_CLEARED,
	FAULT_WORKED,
	FAULT_ANSWERED
};
static const char *const fault_places[] = { "start", "delayed", "held",	  "looked",
					    "slept", "cleared", "worked", "answered" };

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
	if (!err && o->op->verb == BUCKET_LIST && o->stale_ms)
		leave_out(b, o);
	if (o->effect == FAULT_AFTER || o->effect == FAULT_LOST) {
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
		o->op->ret_sizes = o->inner.ret_sizes;
		o->op->ret_count = o->inner.ret_count;
		o->op->ret_more = o->inner.ret_more;
	}
	memcpy(why, o->inner.task.why, sizeof(why));
	return end(o, err, why);
}

/* --- put_new without its condition ------------------------------------------------------------ */
static enum step clear(struct fault_bucket *b, struct fault_op *o)
{
	bucket_delete(&o->inner, &o->op->task, b->inner, o->op->key);
	return task_wait(&o->op->task, FAULT_CLEARED);
}

static enum step looked(struct fault_bucket *b, struct fault_op *o)
{
	struct task *t = &o->op->task;

	if (o->inner.task.err == OK)
		return end(o, ERR_EXISTS, "");
	if (o->inner.task.err != ERR_NOT_FOUND || task_is_canceled(t))
		return end(o, o->inner.task.err, o->inner.task.why);
	if (o->for_ms == 0)
		return clear(b, o);
	sleep_start(&o->sleep, t, loop_now_ms(t->loop) + o->for_ms);
	return task_wait(t, FAULT_SLEPT);
}

static enum step cleared(struct fault_bucket *b, struct fault_op *o)
{
	struct bucket_op like = *o->op;

	if (o->inner.task.err)
		return end(o, o->inner.task.err, o->inner.task.why);
	like.verb = BUCKET_PUT;
	bucket_start_like(&o->inner, &o->op->task, b->inner, &like);
	return task_wait(&o->op->task, FAULT_WORKED);
}

/* --- steps ------------------------------------------------------------------------------------ */
static enum step go_on(struct fault_bucket *b, struct fault_op *o)
{
	struct task *t = &o->op->task;

	if (task_is_canceled(t))
		return end(o, ERR_CANCELED, "");
	if (o->effect == FAULT_BEFORE || o->effect == FAULT_SLOW_DOWN)
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
	if (o->op->verb == BUCKET_PUT_NEW && o->effect == FAULT_OVERWRITE)
		return clear(b, o);
	if (o->op->verb == BUCKET_PUT_NEW && o->effect == FAULT_RACY) {
		bucket_head(&o->inner, t, b->inner, o->op->key);
		return task_wait(t, FAULT_LOOKED);
	}
	bool is_look = o->op->verb == BUCKET_GET || o->op->verb == BUCKET_HEAD;
	if (o->effect == FAULT_ABSENT && is_look &&
	    is_recent(b->absent, b->absent_count, o->op->key, before(o, o->for_ms)))
		return end(o, ERR_NOT_FOUND, "nothing was there a moment ago");
	bucket_start_like(&o->inner, t, b->inner, o->op);
	return task_wait(t, FAULT_WORKED);
}

/* The answer is there: it is on its way for a while. */
static enum step worked(struct fault_bucket *b, struct fault_op *o)
{
	struct task *t = &o->op->task;
	bool is_put = o->op->verb == BUCKET_PUT || o->op->verb == BUCKET_PUT_NEW;

	if ((o->effect == FAULT_OVERWRITE || o->effect == FAULT_RACY) && is_put &&
	    o->inner.task.err == ERR_CONFLICT && !task_is_canceled(t))
		return clear(b, o); /* somebody else has put meanwhile */
	b->bytes[o->op->verb] += body_bytes(is_put ? o->op : &o->inner);
	if (is_put && !o->inner.task.err)
		remember(b->recent, &b->recent_count, o->op);
	if (o->effect == FAULT_ABSENT && o->inner.task.err == ERR_NOT_FOUND)
		remember(b->absent, &b->absent_count, o->op);
	if (o->op->verb == BUCKET_GET && o->answer_at_ms)
		o->answer_at_ms += body_ms(b, body_bytes(&o->inner));
	if (task_is_canceled(t) || loop_now_ms(t->loop) >= o->answer_at_ms)
		return answer(b, o);
	sleep_start(&o->sleep, t, o->answer_at_ms);
	return task_wait(t, FAULT_ANSWERED);
}

/* When the answer may come; returns how long the request is on its way. */
static uint64_t take_latency(struct fault_bucket *b, struct fault_op *o, uint64_t delay_ms)
{
	uint64_t latency_ms = draw_ms(b, o->op);
	uint64_t at_ms = loop_now_ms(o->op->task.loop) + delay_ms + latency_ms;

	if (latency_ms == 0)
		return 0;
	if (o->answer_at_ms < at_ms)
		o->answer_at_ms = at_ms;
	return prng_below(&b->clock, latency_ms / 2 + 1);
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
	delay_ms += take_latency(b, o, delay_ms);
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

	case FAULT_LOOKED:
		return t->children > 0 ? task_wait(t, FAULT_LOOKED) : looked(b, o);

	case FAULT_SLEPT:
		if (t->children > 0)
			return task_wait(t, FAULT_SLEPT);
		return task_is_canceled(t) ? end(o, ERR_CANCELED, "") : clear(b, o);

	case FAULT_CLEARED:
		return t->children > 0 ? task_wait(t, FAULT_CLEARED) : cleared(b, o);

	case FAULT_WORKED:
		return t->children > 0 ? task_wait(t, FAULT_WORKED) : worked(b, o);

	case FAULT_ANSWERED:
		return t->children > 0 ? task_wait(t, FAULT_ANSWERED) : answer(b, o);
	}
	abort();
}

static const struct task_kind fault_op = {
	.name = "faulty bucket operation",
	.places = fault_places,
	.place_count = 8,
	.step = fault_step,
};

/* --- the bucket ------------------------------------------------------------------------------ */
/* Best effort: who wanted it finds no file. */
static void write_report(const struct fault_bucket *b)
{
	static const char *const names[VERBS] = {
		"put", "put_new", "get", "head", "list", "delete"
	};
	FILE *out = b->report ? fopen(b->report, "w") : NULL;

	if (!out)
		return;
	for (int i = 0; i < VERBS; i++)
		fprintf(out, "%s %llu %llu\n", names[i], (unsigned long long)b->started[i],
			(unsigned long long)b->bytes[i]);
	fclose(out);
}

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
	write_report(b);
	bucket_close(b->inner);
	fault_clear(base);
	blob_unref(&b->got);
	memory_free(b->recent);
	memory_free(b->absent);
	memory_free(b->report);
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
	b->clock.state = ~seed;
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
	if (f->effect == FAULT_STALE && !b->recent)
		b->recent = memory_take_array(FAULT_RECENT_MAX, sizeof(*b->recent));
	if (f->effect == FAULT_ABSENT && !b->absent)
		b->absent = memory_take_array(FAULT_RECENT_MAX, sizeof(*b->absent));
}

void fault_set_store(struct bucket *base, const struct fault_store *s)
{
	struct fault_bucket *b = fault_of(base);

	assert(b->bucket.kind == &fault_kind);
	b->store = *s;
	b->bucket.is_far = true;
}

void fault_set_report(struct bucket *base, const char *file)
{
	struct fault_bucket *b = fault_of(base);

	memory_free(b->report);
	b->report = memory_copy_text(file);
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
