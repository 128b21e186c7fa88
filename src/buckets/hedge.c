/*	start --> racing --+--> an answer, or both failed --> end; the loser is canceled
 *	  |         ^  |   |
 *	  |         |  '---'  late: a second request
 *	  |         |
 *	  |         '-- put_new, asked twice, EXISTS --> comparing --> end
 *	  '--> passed (not hedged) --> end
 *
 * A race holds what its requests need, and lives until the operation and both of them are over. */
#include "buckets/hedge.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "buckets/hedge_delay.h"
#include "loop/timer.h"

enum { REQUESTS_MAX = 2, THOUSAND = 1000 };

enum verb_group { GROUP_PUT, GROUP_GET, GROUP_HEAD, GROUPS };

/* Latencies depend on the size, and each size has its own. */
static const uint64_t class_bytes_max[] = { 64 << 10, 1 << 20, 4 << 20, UINT64_MAX };
enum { SIZE_CLASSES = sizeof(class_bytes_max) / sizeof(*class_bytes_max) };

struct hedge_bucket {
	struct bucket bucket;
	struct hedge_delay delays[GROUPS][SIZE_CLASSES];
	uint64_t thousandths; /* of a second request that may be sent */
	struct list races;
	struct hedge_counts counts;
	bool is_finishing;
};

struct request {
	struct task task; /* root */
	struct bucket_op op;
	struct race *race;
	uint64_t start_ms;
	bool is_over;
};

struct race {
	struct hedge_bucket *bucket;
	struct list link;
	struct bucket_op *op; /* NULL: over */
	struct bucket_op like;
	struct slice piece;
	struct hedge_delay *delay;
	struct request requests[REQUESTS_MAX];
	int request_count, running;
	struct timer late;
	int late_count; /* delays that passed */
	bool is_late;
	bool is_canceled;	/* and has told its requests */
	struct bucket_op inner; /* a request that passes through, or the object to compare with */
	size_t copied_bytes;
	uint8_t copied[]; /* key, body */
};

static struct hedge_bucket *hedge_of(const struct bucket *b)
{
	return CONTAINER((uintptr_t)b, struct hedge_bucket, bucket);
}

/* --- what is asked --------------------------------------------------------------------------- */
static bool is_put(const struct bucket_op *op)
{
	return op->verb == BUCKET_PUT || op->verb == BUCKET_PUT_NEW;
}

static uint64_t body_bytes(const struct bucket_op *op)
{
	uint64_t size = 0;

	for (size_t i = 0; i < op->piece_count; i++)
		size += op->pieces[i].size;
	return size;
}

static struct hedge_delay *delay_of(struct hedge_bucket *b, const struct bucket_op *op)
{
	enum verb_group group = is_put(op)		 ? GROUP_PUT
				: op->verb == BUCKET_GET ? GROUP_GET
							 : GROUP_HEAD;
	uint64_t size = is_put(op) ? body_bytes(op) : op->verb == BUCKET_GET ? op->size_max : 0;
	size_t class = 0;

	while (size > class_bytes_max[class])
		class ++;
	return &b->delays[group][class];
}

static bool may_be_hedged(const struct hedge_bucket *b, const struct bucket_op *op)
{
	if (op->verb == BUCKET_LIST || op->verb == BUCKET_DELETE)
		return false;
	return !is_put(op) || body_bytes(op) <= HEDGE_COPIED_BYTES_MAX - b->counts.copied_bytes;
}

/* --- a race ---------------------------------------------------------------------------------- */
static struct race *race_new(struct hedge_bucket *b, struct bucket_op *op)
{
	size_t body_size = is_put(op) ? (size_t)body_bytes(op) : 0;
	struct race *r = memory_take(sizeof(*r) + op->key.size + body_size);
	uint8_t *to = r->copied + op->key.size;

	*r = (struct race) { .bucket = b, .op = op, .copied_bytes = body_size };
	memcpy(r->copied, op->key.data, op->key.size);
	r->piece = (struct slice) { to, body_size };
	for (size_t i = 0; i < op->piece_count; i++) {
		if (op->pieces[i].size)
			memcpy(to, op->pieces[i].data, op->pieces[i].size);
		to += op->pieces[i].size;
	}
	r->like = (struct bucket_op) {
		.verb = op->verb,
		.key = { r->copied, op->key.size },
		.pieces = &r->piece,
		.piece_count = is_put(op) ? 1 : 0,
		.offset = op->offset,
		.size_max = op->size_max,
	};
	r->delay = delay_of(b, op);
	list_add(&b->races, &r->link);
	b->counts.racing++;
	b->counts.copied_bytes += body_size;
	return r;
}

static void race_free_if_over(struct race *r, struct loop *loop)
{
	struct hedge_bucket *b = r->bucket;

	if (r->op || r->running > 0)
		return;
	for (int i = 0; i < r->request_count; i++)
		blob_unref(&r->requests[i].op.ret_body); /* nobody took it */
	list_remove(&r->link);
	b->counts.racing--;
	b->counts.copied_bytes -= r->copied_bytes;
	memory_free(r);
	if (b->is_finishing && b->counts.racing == 0)
		loop_stop(loop);
}

enum { REQUEST_START, REQUEST_ANSWERED };

static enum step request_step(struct task *t)
{
	struct request *q = CONTAINER(t, struct request, task);

	switch (t->at) {
	case REQUEST_START:
		bucket_start_like(&q->op, t, q->race->bucket->bucket.inner, &q->race->like);
		return task_wait(t, REQUEST_ANSWERED);

	case REQUEST_ANSWERED:
		return t->children > 0 ? task_wait(t, REQUEST_ANSWERED)
				       : task_done(t, q->op.task.err);
	}
	abort();
}

static bool is_answer(const struct bucket_op *op)
{
	return op->task.err == OK || (op->task.err == ERR_NOT_FOUND && !is_put(op));
}

static void request_on_end(struct task *t)
{
	struct request *q = CONTAINER(t, struct request, task);
	struct race *r = q->race;

	q->is_over = true;
	r->running--;
	if (is_answer(&q->op) && q == &r->requests[0] && r->op)
		hedge_delay_add(r->delay, loop_now_ms(t->loop) - q->start_ms);
	if (r->op)
		task_wake(&r->op->task);
	else
		race_free_if_over(r, t->loop);
}

static const char *const request_places[] = { "start", "answered" };
static const struct task_kind request_kind = {
	.name = "one of two bucket requests",
	.places = request_places,
	.place_count = 2,
	.step = request_step,
	.on_end = request_on_end,
};

static void start_request(struct race *r)
{
	struct request *q = &r->requests[r->request_count++];
	struct loop *loop = r->op->task.loop;

	q->race = r;
	q->start_ms = loop_now_ms(loop);
	r->running++;
	task_start_root(&q->task, &request_kind, loop);
}

static void cancel_requests(struct race *r)
{
	for (int i = 0; i < r->request_count; i++)
		if (!r->requests[i].is_over)
			task_cancel(&r->requests[i].task);
}

/* --- being late ------------------------------------------------------------------------------ */
static void on_late(struct timer *t)
{
	struct race *r = CONTAINER(t, struct race, late);

	r->is_late = true;
	r->late_count++;
	task_wake(&r->op->task);
}

static void wait_until_late(struct race *r)
{
	struct loop *loop = r->op->task.loop;

	r->is_late = false;
	timer_set(&r->late, loop, loop_now_ms(loop) + hedge_delay_ms(r->delay), on_late);
}

/* A part of the budget is for those that are later than late: they wait as long again, and are then
 * served before the many that are a little late. */
static void ask_again(struct race *r)
{
	struct hedge_bucket *b = r->bucket;
	uint64_t kept = r->late_count > 1 ? 0 : HEDGE_RESERVE * THOUSAND;

	if (b->thousandths < kept + THOUSAND) {
		wait_until_late(r);
		return;
	}
	b->thousandths -= THOUSAND;
	b->counts.second++;
	start_request(r);
}

static void save_budget(struct hedge_bucket *b)
{
	b->counts.first++;
	b->thousandths += HEDGE_PER_THOUSAND;
	if (b->thousandths > HEDGE_BURST * THOUSAND)
		b->thousandths = HEDGE_BURST * THOUSAND;
}

/* --- the operation ---------------------------------------------------------------------------- */
enum { HEDGE_START, HEDGE_PASSED, HEDGE_RACING, HEDGE_COMPARING };
static const char *const hedge_places[] = { "start", "passed", "racing", "comparing" };

static enum step end(struct race *r, enum err err, const char *why)
{
	struct task *t = &r->op->task;
	struct loop *loop = t->loop;

	if (err)
		snprintf(t->why, sizeof(t->why), "%s", why);
	timer_clear(&r->late);
	cancel_requests(r);
	r->op->private = NULL;
	r->op = NULL;
	race_free_if_over(r, loop);
	return task_done(t, err);
}

static void give(struct bucket_op *from, struct bucket_op *to)
{
	to->ret_body = from->ret_body;
	to->ret_size = from->ret_size;
	to->ret_names = from->ret_names;
	to->ret_sizes = from->ret_sizes;
	to->ret_count = from->ret_count;
	to->ret_more = from->ret_more;
	from->ret_body = NULL;
}

static enum step win(struct race *r, struct request *q)
{
	struct request *first = &r->requests[0];
	enum err err = q->op.task.err;
	char why[TASK_WHY_BYTES];

	if (!first->is_over) /* at least so long; otherwise only quick ones would count */
		hedge_delay_add(r->delay, loop_now_ms(first->task.loop) - first->start_ms);
	r->bucket->counts.won += q != first;
	if (!err)
		give(&q->op, r->op);
	memcpy(why, q->op.task.why, sizeof(why));
	return end(r, err, why);
}

/* Both failed: what a caller has to know most.  A change whose outcome one of them does not know
 * is not known. */
static enum step lose(struct race *r)
{
	static const enum err worst_first[] = { ERR_CONFLICT, ERR_UNKNOWN, ERR_IO };
	const struct bucket_op *worst = &r->requests[0].op;
	char why[TASK_WHY_BYTES];

	for (size_t k = sizeof(worst_first) / sizeof(*worst_first); k-- > 0;)
		for (int i = 0; i < r->request_count; i++)
			if (r->requests[i].op.task.err == worst_first[k])
				worst = &r->requests[i].op;
	memcpy(why, worst->task.why, sizeof(why));
	return end(r, worst->task.err, why);
}

static enum step compare(struct race *r)
{
	struct task *t = &r->op->task;

	timer_clear(&r->late);
	bucket_get(&r->inner, t, r->bucket->bucket.inner, r->like.key, 0, r->piece.size + 1);
	return task_wait(t, HEDGE_COMPARING);
}

static enum step race(struct race *r)
{
	struct task *t = &r->op->task;
	bool is_taken = false;

	for (int i = 0; i < r->request_count; i++) {
		struct request *q = &r->requests[i];

		if (q->is_over && is_answer(&q->op))
			return win(r, q);
		is_taken |= q->is_over && q->op.task.err == ERR_EXISTS;
	}
	if (is_taken && r->request_count > 1 && !task_is_canceled(t))
		return compare(r);
	if (task_is_canceled(t) && !r->is_canceled) {
		r->is_canceled = true;
		timer_clear(&r->late);
		if (!is_put(r->op))
			return end(r, ERR_CANCELED, "");
		cancel_requests(r); /* they tell how they ended */
	}
	if (r->running == 0)
		return is_taken && r->request_count > 1
			       ? end(r, ERR_UNKNOWN, "canceled before it was known who created it")
			       : lose(r);
	if (r->is_late && r->request_count < REQUESTS_MAX && !r->is_canceled)
		ask_again(r);
	return task_wait(t, HEDGE_RACING);
}

static enum step compared(struct race *r)
{
	struct blob *body = r->inner.ret_body;
	enum err err = ERR_UNKNOWN;

	for (int i = 0; i < r->request_count; i++)
		if (r->requests[i].is_over && r->requests[i].op.task.err == OK)
			err = OK; /* said meanwhile */
	if (!r->inner.task.err) {
		if (err)
			err = slice_equal(blob_slice(body), r->piece) ? OK : ERR_EXISTS;
		blob_unref(&body);
	}
	return end(r, err, err == ERR_EXISTS ? "" : "asked twice, and not known who created it");
}

static enum step begin(struct hedge_bucket *b, struct bucket_op *op)
{
	struct race *r;

	if (task_is_canceled(&op->task))
		return task_done(&op->task, ERR_CANCELED);
	if (!may_be_hedged(b, op)) {
		struct bucket_op *inner = op->private = NEW(struct bucket_op);

		bucket_start_like(inner, &op->task, b->bucket.inner, op);
		return task_wait(&op->task, HEDGE_PASSED);
	}
	op->private = r = race_new(b, op);
	save_budget(b);
	start_request(r);
	wait_until_late(r);
	return task_wait(&op->task, HEDGE_RACING);
}

static enum step passed(struct bucket_op *op)
{
	struct bucket_op *inner = op->private;
	enum err err = inner->task.err;

	if (!err)
		give(inner, op);
	memcpy(op->task.why, inner->task.why, sizeof(op->task.why));
	op->private = NULL;
	memory_free(inner);
	return task_done(&op->task, err);
}

static enum step hedge_step(struct task *t)
{
	struct bucket_op *op = CONTAINER(t, struct bucket_op, task);

	switch (t->at) {
	case HEDGE_START:
		return begin(hedge_of(op->bucket), op);

	case HEDGE_PASSED:
		return t->children > 0 ? task_wait(t, HEDGE_PASSED) : passed(op);

	case HEDGE_RACING:
		return race(op->private);

	case HEDGE_COMPARING:
		return t->children > 0 ? task_wait(t, HEDGE_COMPARING) : compared(op->private);
	}
	abort();
}

static const struct task_kind hedge_op = {
	.name = "hedged bucket operation",
	.places = hedge_places,
	.place_count = 4,
	.step = hedge_step,
};

/* --- the bucket ------------------------------------------------------------------------------ */
static void hedge_close(struct bucket *base)
{
	struct hedge_bucket *b = hedge_of(base);

	assert(b->counts.racing == 0);
	bucket_close(b->bucket.inner);
	memory_free(b);
}

static const struct bucket_kind hedge_kind = {
	.name = "hedge",
	.op = &hedge_op,
	.close = hedge_close,
};

struct bucket *hedge_bucket_new(struct bucket *inner)
{
	struct hedge_bucket *b = NEW(struct hedge_bucket);

	b->bucket.kind = &hedge_kind;
	b->bucket.class = inner->class;
	snprintf(b->bucket.url, sizeof(b->bucket.url), "%s", inner->url);
	b->bucket.inner = inner;
	b->thousandths = HEDGE_BURST * THOUSAND;
	list_init(&b->races);
	return &b->bucket;
}

struct bucket *hedge_bucket_if_far(struct bucket *b)
{
	return bucket_is_far(b) ? hedge_bucket_new(b) : b;
}

static struct hedge_bucket *find_hedge(struct bucket *b)
{
	for (; b; b = b->inner)
		if (b->kind == &hedge_kind)
			return hedge_of(b);
	return NULL;
}

void hedge_finish(struct bucket *base, struct loop *loop)
{
	struct hedge_bucket *b = find_hedge(base);

	if (!b || b->counts.racing == 0)
		return;
	b->is_finishing = true;
	LIST_EACH (&b->races, struct race, link, r)
		cancel_requests(r);
	loop_run(loop);
	assert(b->counts.racing == 0);
}

struct hedge_counts hedge_get_counts(const struct bucket *base)
{
	assert(base->kind == &hedge_kind);
	return hedge_of(base)->counts;
}
