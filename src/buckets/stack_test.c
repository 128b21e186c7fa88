/* The wrappers as roles stack them: sealed over hedged over a store that fails in all its ways,
 * with callers that give up at any moment.  What was answered is true, and nothing is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "buckets/bucket_ask.h"
#include "buckets/fault.h"
#include "buckets/hedge.h"
#include "buckets/hedge_delay.h"
#include "buckets/sealed.h"

enum { OBJECTS = 60, SEEDS = 12, BODY_BYTES_MAX = 3 * SEALED_CHUNK_BYTES, PATIENCE_MS = 40 };

static const uint8_t secret[SEALED_KEY_BYTES] = { 7 };

struct stack {
	struct loop *loop;
	struct prng prng;
	struct bucket *fault, *hedge, *top;
	struct task crowd;
	struct object *objects;
};

/* Put by its one owner, read by it while it is put and after. */
struct object {
	struct bucket_op put, get;
	char key[32];
	struct blob *body;
	uint64_t offset, size_max;
	bool is_new, was_read;
};

static void open_stack(struct stack *s, uint64_t seed)
{
	char why[TASK_WHY_BYTES];
	struct bucket *memory;

	*s = (struct stack) { .loop = loop_new(seed), .prng = { seed } };
	assert_int_equal(bucket_open("memory:", &memory, why), OK);
	s->fault = fault_bucket_new(memory, seed);
	s->hedge = hedge_bucket_new(s->fault);
	s->top = sealed_bucket_new(s->hedge, secret);
	s->objects = memory_take_array(OBJECTS, sizeof(*s->objects));
	for (int i = 0; i < OBJECTS; i++) {
		struct object *o = &s->objects[i];
		uint64_t size = prng_below(&s->prng, 4) ? prng_below(&s->prng, 300)
							: prng_below(&s->prng, BODY_BYTES_MAX);

		snprintf(o->key, sizeof(o->key), "o/%d", i);
		o->body = blob_new(size);
		o->body->size = size;
		for (size_t k = 0; k < size; k++)
			o->body->data[k] = (uint8_t)((uint64_t)i * 31 + k * 7 + k / 256);
		o->is_new = prng_below(&s->prng, 2);
		o->offset = prng_below(&s->prng, size + 2);
		o->size_max = prng_below(&s->prng, size + 2);
	}
}

/* How long requests take in peace: without it none is late. */
static void learn(struct stack *s)
{
	struct blob *found;
	char key[32];

	for (int i = 0; i < HEDGE_SAMPLES_MIN; i++) {
		snprintf(key, sizeof(key), "learn/%d", i);
		assert_int_equal(bucket_ask_put(s->loop, s->top, slice_from(key), SLICE("x")), OK);
		assert_int_equal(bucket_ask_get(s->loop, s->top, slice_from(key), &found), OK);
		blob_unref(&found);
	}
}

static void make_trouble(struct stack *s)
{
	static const enum fault_effect effects[] = { FAULT_BEFORE, FAULT_AFTER, FAULT_LATE,
						     FAULT_LOST };

	fault_set_store(s->fault, &(struct fault_store) { .put = { 1, 5 },
							  .get = { 1, 3 },
							  .slow_ppm = 200000,
							  .slow_ms = 60 });
	for (size_t i = 0; i < sizeof(effects) / sizeof(*effects); i++)
		fault_add(s->fault, &(struct fault) { .effect = effects[i],
						      .ppm = 60000,
						      .for_ms = PATIENCE_MS });
}

static void start_one(struct stack *s, struct object *o)
{
	struct slice key = slice_from(o->key), body = blob_slice(o->body);
	uint64_t now_ms = loop_now_ms(s->loop);

	if (o->is_new)
		bucket_put_new(&o->put, &s->crowd, s->top, key, body);
	else
		bucket_put(&o->put, &s->crowd, s->top, key, body);
	bucket_get(&o->get, &s->crowd, s->top, key, o->offset, o->size_max);
	if (prng_below(&s->prng, 3) == 0)
		task_set_deadline(&o->put.task, now_ms + 1 + prng_below(&s->prng, PATIENCE_MS));
	if (prng_below(&s->prng, 3) == 0)
		task_set_deadline(&o->get.task, now_ms + 1 + prng_below(&s->prng, PATIENCE_MS));
}

static enum step crowd_step(struct task *t)
{
	struct stack *s = CONTAINER(t, struct stack, crowd);

	if (t->at == 0)
		for (int i = 0; i < OBJECTS; i++)
			start_one(s, &s->objects[i]);
	return t->children > 0 || t->at == 0 ? task_wait(t, 1) : task_done(t, OK);
}

static const struct task_kind crowd_kind = { .name = "crowd", .step = crowd_step };

/* What a get gave is a part of the body, or it says why not. */
static void check_get(struct object *o)
{
	struct slice wanted = slice_part(blob_slice(o->body), (size_t)o->offset, o->body->size);

	if (o->get.task.err) {
		assert_int_not_equal(o->get.task.err, ERR_CORRUPT);
		return;
	}
	if (wanted.size > o->size_max)
		wanted.size = (size_t)o->size_max;
	assert_int_equal(o->get.ret_size, o->body->size);
	assert_true(slice_equal(blob_slice(o->get.ret_body), wanted));
	blob_unref(&o->get.ret_body);
	o->was_read = true;
}

/* Once it is quiet: what is stored is whole, and what was said of it is so. */
static void check_put(struct stack *s, struct object *o)
{
	struct blob *found = NULL;
	enum err err = bucket_ask_get(s->loop, s->top, slice_from(o->key), &found);

	assert_true(err == OK || err == ERR_NOT_FOUND);
	if (err == OK)
		assert_true(slice_equal(blob_slice(found), blob_slice(o->body)));
	blob_unref(&found);
	if (o->put.task.err == OK || o->was_read)
		assert_int_equal(err, OK);
	assert_true(o->put.task.err != ERR_EXISTS && o->put.task.err != ERR_CONFLICT);
	if (o->put.task.err)
		assert_true(o->put.task.err == ERR_CANCELED || o->put.task.err == ERR_TIMEOUT ||
			    o->put.task.why[0]);
}

static void close_stack(struct stack *s)
{
	for (int i = 0; i < OBJECTS; i++)
		blob_unref(&s->objects[i].body);
	memory_free(s->objects);
	hedge_finish(s->top, s->loop);
	bucket_close(s->top);
	loop_free(s->loop);
}

static void test_whatever_fails_and_whoever_gives_up_answers_are_true(void **state)
{
	uint64_t second = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct stack s;

		open_stack(&s, seed);
		learn(&s);
		make_trouble(&s);
		task_start_root(&s.crowd, &crowd_kind, s.loop);
		loop_run(s.loop);
		fault_clear(s.fault);
		fault_set_store(s.fault, &(struct fault_store) { .put = { 0 } });
		while (fault_release(s.fault, "") || fault_held_count(s.fault))
			loop_run(s.loop);
		for (int i = 0; i < OBJECTS; i++)
			check_get(&s.objects[i]);
		for (int i = 0; i < OBJECTS; i++)
			check_put(&s, &s.objects[i]);
		second += hedge_get_counts(s.hedge).second;
		assert_int_equal(hedge_get_counts(s.hedge).copied_bytes, 0);
		close_stack(&s);
	}
	assert_true(second > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whatever_fails_and_whoever_gives_up_answers_are_true),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
