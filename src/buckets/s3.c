/* The kind of bucket "s3://NAME/PREFIX": objects in any store that speaks the S3 protocol. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "buckets/curl_library.h"
#include "buckets/s3_parts.h"
#include "buckets/s3_uploads.h"

enum {
	PAUSE_MS_FIRST = 50, /* doubled each time, and then drawn between nothing and that */
	PAUSE_MS_MAX = 3000,
	PAUSE_DOUBLINGS_MAX = 6,
	ATTEMPTS_UNTOLD = 4, /* then people hear that it does not work, once */
	CANCELED_MS = 3000,  /* a change under way is given that long to tell how it ended */
	HASH_INLINE_BYTES_MAX = 64 << 10, /* larger bodies are hashed by a worker */
};

enum { S3_START, S3_HASHED, S3_KNOWN, S3_OVER, S3_PAUSED };
static const char *const s3_places[] = { "start", "hashed", "credentials known", "answered",
					 "paused" };

/* --- the body's hashes ------------------------------------------------------------------------ */
static void hash(struct s3_op *o)
{
	uint32_t crc = 0;

	s3_sha256(o->body_sha256, o->op->pieces, o->op->piece_count);
	for (size_t i = 0; i < o->op->piece_count; i++)
		crc = crc32c_add(crc, o->op->pieces[i]);
	s3_crc32c_text(o->body_crc32c, crc);
}

static enum err hash_work(struct worker_job *job)
{
	struct s3_op *o = CONTAINER(job, struct bucket_op, job)->private;

	if (o->parts)
		s3_parts_hash(o);
	else
		hash(o);
	return OK;
}

static bool is_large(const struct bucket_op *op)
{
	size_t size = 0;

	for (size_t i = 0; i < op->piece_count; i++)
		size += op->pieces[i].size;
	return size > HASH_INLINE_BYTES_MAX;
}

/* --- trouble --------------------------------------------------------------------------------- */
/* An operation may go on for long: people hear of it before its end. */
static void tell_trouble(struct s3_op *o)
{
	struct s3_bucket *b = o->bucket;

	if (b->is_troubled || o->attempts < ATTEMPTS_UNTOLD)
		return;
	b->is_troubled = true;
	log_warn("bucket %s: %s; trying again", b->bucket.url, o->why);
}

static void tell_health(struct s3_op *o)
{
	if (o->bucket->is_troubled)
		log_info("bucket %s: works again", o->bucket->bucket.url);
	o->bucket->is_troubled = false;
}

/* --- the operation ---------------------------------------------------------------------------- */
static enum step abort_parts(struct s3_op *o, enum err err);

/* Parts are paid for until somebody aborts them.  Not when the end may have come: it decides. */
static bool has_parts_left(const struct s3_op *o)
{
	return o->parts && o->parts->upload_id[0] && o->question != S3_ABORT_PARTS &&
	       !o->is_unclear;
}

static enum step finish(struct s3_op *o, enum err err)
{
	struct task *t = &o->op->task;

	if (has_parts_left(o))
		return abort_parts(o, err);
	if (o->question == S3_ABORT_PARTS) {
		err = o->parts->err;
		memcpy(o->why, o->parts->why, sizeof(o->why));
	}
	if (err && err != ERR_CONFLICT && o->is_unclear)
		err = ERR_UNKNOWN; /* whatever the last attempt was told */
	if (task_is_canceled(t) && !s3_is_change(o->op)) {
		blob_unref(&o->op->ret_body); /* nobody waits for it */
		err = ERR_CANCELED;
	}
	if (!err)
		tell_health(o);
	memcpy(t->why, o->why, sizeof(t->why));
	s3_exchange_done(&o->exchange);
	s3_user_end(&o->user);
	timer_clear(&o->timer);
	arena_done(&o->arena);
	s3_parts_free(o->parts);
	s3_uploads_free(o->uploads);
	o->op->private = NULL;
	memory_free(o);
	return task_done(t, err);
}

static enum step pause_or_end(struct s3_op *o)
{
	struct task *t = &o->op->task;
	uint64_t now_ms = loop_now_ms(t->loop);
	int doublings =
		o->attempts - 1 < PAUSE_DOUBLINGS_MAX ? o->attempts - 1 : PAUSE_DOUBLINGS_MAX;
	uint64_t pause_ms = (uint64_t)PAUSE_MS_FIRST << doublings;

	if (pause_ms > PAUSE_MS_MAX)
		pause_ms = PAUSE_MS_MAX;
	pause_ms = o->is_slowed ? 0 : random_u64() % (pause_ms + 1);
	o->is_slowed = false;
	if (task_is_canceled(t))
		return finish(o, ERR_CANCELED);
	tell_trouble(o);
	if (now_ms + pause_ms >= o->deadline_ms)
		return finish(o, o->err);
	sleep_start(&o->sleep, t, now_ms + pause_ms);
	return task_wait(t, S3_PAUSED);
}

static enum step take_turn(struct s3_op *o);

static enum step ask(struct s3_op *o)
{
	enum err err = s3_user_credentials(&o->user, &o->credentials, o->why);

	if (err == ERR_BUSY)
		return task_wait(&o->op->task, S3_KNOWN);
	if (err == ERR_UNAVAILABLE) {
		o->attempts++;
		o->err = err;
		return pause_or_end(o);
	}
	if (err)
		return finish(o, err);
	if (!o->has_turn)
		return take_turn(o);
	o->has_turn = false;
	s3_ask(o);
	return task_wait(&o->op->task, S3_OVER);
}

/* All requests of the bucket keep one pace while the store asks for it. */
static enum step take_turn(struct s3_op *o)
{
	struct task *t = &o->op->task;
	uint64_t now_ms = loop_now_ms(t->loop);
	uint64_t wait_ms = s3_pace_take_ms(&o->bucket->pace, now_ms);

	o->has_turn = true;
	if (wait_ms == 0)
		return ask(o);
	if (now_ms + wait_ms >= o->deadline_ms) {
		if (!o->err)
			snprintf(o->why, sizeof(o->why),
				 "the store asked to slow down, to %llu requests a second",
				 (unsigned long long)o->bucket->pace.limit);
		return finish(o, o->err ? o->err : ERR_UNAVAILABLE);
	}
	sleep_start(&o->sleep, t, now_ms + wait_ms);
	return task_wait(t, S3_PAUSED);
}

static enum step abort_parts(struct s3_op *o, enum err err)
{
	o->parts->err = err;
	memcpy(o->parts->why, o->why, sizeof(o->why));
	o->question = S3_ABORT_PARTS;
	o->deadline_ms = loop_now_ms(o->op->task.loop) + CANCELED_MS;
	timer_set(&o->timer, o->op->task.loop, o->deadline_ms, o->timer.on_timer);
	return ask(o);
}

static enum step hash_part(struct s3_op *o)
{
	worker_start(&o->op->job, &o->op->task, hash_work);
	return task_wait(&o->op->task, S3_HASHED);
}

/* Woken while the credentials are fetched, or when they are there. */
static enum step wait_for_credentials(struct s3_op *o)
{
	if (task_is_canceled(&o->op->task))
		return finish(o, ERR_CANCELED);
	if (loop_now_ms(o->op->task.loop) < o->deadline_ms)
		return ask(o);
	snprintf(o->why, sizeof(o->why), "no credentials within %llu ms",
		 (unsigned long long)o->bucket->config.timeout_ms);
	return finish(o, ERR_TIMEOUT);
}

/* Woken while the store has not answered: it is late, or nobody wants the answer any more. */
static enum step wait_longer(struct s3_op *o)
{
	struct task *t = &o->op->task;
	uint64_t now_ms = loop_now_ms(t->loop);
	bool is_sent = s3_has_effect(o) && o->exchange.sends > 0;

	if (task_is_canceled(t) && !o->is_canceled && o->question != S3_ABORT_PARTS) {
		o->is_canceled = true;
		if (!is_sent)
			return finish(o, ERR_CANCELED);
		if (now_ms + CANCELED_MS < o->deadline_ms)
			o->deadline_ms = now_ms + CANCELED_MS;
	}
	if (now_ms < o->deadline_ms) {
		if (o->timer.node.index == 0 || o->timer.node.key != o->deadline_ms)
			timer_set(&o->timer, t->loop, o->deadline_ms, o->timer.on_timer);
		return task_wait(t, S3_OVER);
	}
	o->is_unclear |= is_sent;
	snprintf(o->why, sizeof(o->why), "no answer from %.60s within %llu ms",
		 o->bucket->config.host, (unsigned long long)o->bucket->config.timeout_ms);
	return finish(o, task_is_canceled(t) ? ERR_CANCELED : ERR_TIMEOUT);
}

static enum step go_on(struct s3_op *o)
{
	switch (s3_judge(o)) {
	case S3_END:
		return finish(o, o->err);
	case S3_HASH:
		if (task_is_canceled(&o->op->task))
			return finish(o, ERR_CANCELED);
		return hash_part(o);
	case S3_NEXT:
		if (task_is_canceled(&o->op->task))
			return finish(o, ERR_CANCELED);
		return ask(o);
	case S3_AGAIN:
		return pause_or_end(o);
	}
	abort();
}

static void on_deadline(struct timer *t)
{
	task_wake(&CONTAINER(t, struct s3_op, timer)->op->task);
}

static enum step begin(struct bucket_op *op)
{
	struct s3_op *o = NEW(struct s3_op);
	struct task *t = &op->task;

	op->private = o;
	o->op = op;
	o->bucket = CONTAINER(op->bucket, struct s3_bucket, bucket);
	arena_init(&o->arena);
	s3_user_begin(&o->user, o->bucket->identity, t);
	o->deadline_ms = loop_now_ms(t->loop) + o->bucket->config.timeout_ms;
	timer_set(&o->timer, t->loop, o->deadline_ms, on_deadline);
	if (op->verb == BUCKET_GET && (op->size_max == 0 || op->offset >= BUCKET_OBJECT_BYTES_MAX))
		o->question = S3_ASK_SIZE;
	if (op->verb == BUCKET_ABORT_UPLOADS)
		o->uploads = s3_uploads_new();
	o->parts = s3_parts_new(op, &o->bucket->config);
	if (o->parts) {
		o->question = S3_BEGIN_PARTS;
		return ask(o);
	}
	if (s3_is_put(op) && is_large(op)) {
		worker_start(&op->job, t, hash_work);
		return task_wait(t, S3_HASHED);
	}
	if (s3_is_put(op))
		hash(o);
	return ask(o);
}

static enum step s3_step(struct task *t)
{
	struct bucket_op *op = CONTAINER(t, struct bucket_op, task);
	struct s3_op *o = op->private;

	switch (t->at) {
	case S3_START:
		return task_is_canceled(t) ? task_done(t, ERR_CANCELED) : begin(op);

	case S3_HASHED:
		if (t->children > 0)
			return task_wait(t, S3_HASHED);
		return task_is_canceled(t) ? finish(o, ERR_CANCELED) : ask(o);

	case S3_KNOWN:
		return wait_for_credentials(o);

	case S3_OVER:
		return o->exchange.is_over ? go_on(o) : wait_longer(o);

	case S3_PAUSED:
		if (t->children > 0)
			return task_wait(t, S3_PAUSED);
		return task_is_canceled(t) ? finish(o, ERR_CANCELED) : ask(o);
	}
	abort();
}

static const struct task_kind s3_op_kind = {
	.name = "S3 bucket operation",
	.places = s3_places,
	.place_count = 5,
	.step = s3_step,
};

/* --- opening ---------------------------------------------------------------------------------- */
static void s3_close(struct bucket *base)
{
	struct s3_bucket *b = CONTAINER(base, struct s3_bucket, bucket);

	s3_identity_free(b->identity);
	s3_http_free(b->http);
	memory_free(b);
}

static void s3_look(const struct bucket *base, struct bucket_facts *ret)
{
	const struct s3_bucket *b = CONTAINER((uintptr_t)base, struct s3_bucket, bucket);

	*ret = b->facts;
	ret->can_hold = true;
	ret->sends_checksum = b->config.has_checksums;
}

static const struct bucket_kind s3_kind = {
	.name = "s3",
	.op = &s3_op_kind,
	.has_uploads = true,
	.close = s3_close,
	.look = s3_look,
};

enum err s3_bucket_open(struct bucket_url *u, struct bucket **ret, char why[TASK_WHY_BYTES])
{
	struct s3_config config;
	struct s3_bucket *b;
	enum err err = s3_config_parse(&config, u, why);

	if (!err)
		err = curl_load(why);
	if (err)
		return err;
	b = NEW(struct s3_bucket);
	b->bucket.kind = &s3_kind;
	b->bucket.class = config.class;
	b->bucket.is_far = true;
	b->config = config;
	b->http = s3_http_new(config.authorities, !config.is_here, &b->bucket.meter,
			      &b->bucket.times);
	err = s3_identity_new(config.profile, b->http, &b->identity, why);
	if (err) {
		s3_close(&b->bucket);
		return err;
	}
	*ret = &b->bucket;
	return OK;
}
