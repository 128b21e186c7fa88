#include "buckets/hedge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "buckets/bucket_ask.h"
#include "buckets/fault.h"
#include "buckets/hedge_delay.h"

enum {
	FOR_EVER_MS = 3600 * 1000,
	LARGE_BYTES = 8 << 20,
	SLOW_MS = 8 * HEDGE_DELAY_MS_MIN, /* the second is under way long before the first ends */
};

#define ALL_PUTS (FAULT_VERB(BUCKET_PUT) | FAULT_VERB(BUCKET_PUT_NEW))

struct place {
	uint64_t seed;
	struct loop *loop;
	struct bucket *fault, *bucket;
};

static struct bucket *memory_new(void)
{
	char why[TASK_WHY_BYTES];
	struct bucket *b;

	assert_int_equal(bucket_open("memory:", &b, why), OK);
	return b;
}

static void open_place(struct place *p, uint64_t seed)
{
	p->seed = seed;
	p->loop = loop_new(seed);
	p->fault = fault_bucket_new(memory_new(), seed);
	p->bucket = hedge_bucket_new(p->fault);
}

static void close_place(struct place *p)
{
	hedge_finish(p->bucket, p->loop);
	bucket_close(p->bucket);
	loop_free(p->loop);
}

static int set_up(void **state)
{
	struct place *p = NEW(struct place);

	open_place(p, 1);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	close_place(*state);
	memory_free(*state);
	return 0;
}

static enum err put(struct place *p, const char *key, const char *body)
{
	return bucket_ask_put(p->loop, p->bucket, slice_from(key), slice_from(body));
}

static enum err put_new(struct place *p, const char *key, const char *body)
{
	return bucket_ask_put_new(p->loop, p->bucket, slice_from(key), slice_from(body));
}

static bool holds(struct place *p, const char *key, const char *body)
{
	struct blob *found = NULL;

	if (bucket_ask_get(p->loop, fault_inner(p->fault), slice_from(key), &found))
		return false;
	bool is_equal = slice_equal(blob_slice(found), slice_from(body));
	blob_unref(&found);
	return is_equal;
}

/* False: the machine stood still meanwhile, and what was learnt is no measure. */
static bool learns(struct place *p)
{
	struct blob *body;
	char key[32];

	for (int i = 0; i < HEDGE_SAMPLES_MIN; i++) {
		uint64_t begin_ms = clock_now_ms();

		snprintf(key, sizeof(key), "learn/%d", i);
		assert_int_equal(put(p, key, "x"), OK);
		assert_int_equal(bucket_ask_get(p->loop, p->bucket, slice_from(key), &body), OK);
		blob_unref(&body);
		if (clock_now_ms() - begin_ms >= HEDGE_DELAY_MS_MIN)
			return false;
	}
	assert_int_equal(hedge_get_counts(p->bucket).second, 0);
	return true;
}

static void learn(struct place *p)
{
	for (int tries = 0; !learns(p); tries++) {
		assert_true(tries < 100);
		close_place(p);
		open_place(p, p->seed);
	}
}

/* The n-th operation from now, 1 the next, and no other. */
static void fault_nth(struct place *p, uint64_t n, enum fault_effect effect, enum err err)
{
	fault_add(p->fault, &(struct fault) { .effect = effect,
					      .err = err,
					      .skip = n - 1,
					      .count = 1,
					      .for_ms = FOR_EVER_MS });
}

static size_t racing(struct place *p)
{
	return hedge_get_counts(p->bucket).racing;
}

/* --- one is late ----------------------------------------------------------------------------- */
static void test_a_put_that_is_late_is_overtaken(void **state)
{
	struct place *p = *state;
	uint64_t before_ms;

	learn(p);
	fault_nth(p, 1, FAULT_HOLD, OK);
	before_ms = clock_now_ms();
	assert_int_equal(put(p, "a", "body"), OK);
	assert_true(clock_now_ms() - before_ms >= HEDGE_DELAY_MS_MIN - 1);
	assert_true(holds(p, "a", "body"));
	assert_int_equal(hedge_get_counts(p->bucket).second, 1);
	assert_int_equal(hedge_get_counts(p->bucket).won, 1);
	loop_run(p->loop); /* the loser was canceled */
	assert_int_equal(racing(p), 0);
	assert_int_equal(fault_held_count(p->fault), 0);
	assert_int_equal(hedge_get_counts(p->bucket).copied_bytes, 0);
}

static void test_a_get_that_is_late_is_overtaken(void **state)
{
	struct place *p = *state;
	struct blob *body = NULL;
	uint64_t size;

	learn(p);
	for (int i = 0; i < HEDGE_SAMPLES_MIN; i++)
		assert_int_equal(bucket_ask_head(p->loop, p->bucket, SLICE("learn/1"), &size), OK);
	fault_nth(p, 1, FAULT_HOLD, OK);
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("learn/1"), &body), OK);
	assert_true(slice_equal(blob_slice(body), SLICE("x")));
	blob_unref(&body);
	fault_nth(p, 1, FAULT_HOLD, OK);
	assert_int_equal(bucket_ask_head(p->loop, p->bucket, SLICE("learn/1"), &size), OK);
	assert_int_equal(size, 1);
	fault_nth(p, 1, FAULT_HOLD, OK);
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("nothing"), &body),
			 ERR_NOT_FOUND);
	assert_int_equal(hedge_get_counts(p->bucket).won, 3);
}

static void test_the_first_may_still_win(void **state)
{
	struct place *p = *state;

	learn(p);
	fault_set_store(p->fault, &(struct fault_store) { .put = { SLOW_MS, SLOW_MS } });
	assert_int_equal(put(p, "a", "body"), OK);
	assert_int_equal(hedge_get_counts(p->bucket).second, 1);
	assert_int_equal(hedge_get_counts(p->bucket).won, 0);
}

static void test_lists_and_deletes_are_asked_once(void **state)
{
	struct place *p = *state;
	struct slice *names;
	struct arena a;
	size_t count;
	bool more;

	learn(p);
	arena_init(&a);
	fault_set_store(p->fault, &(struct fault_store) { .other = { SLOW_MS, SLOW_MS } });
	assert_int_equal(bucket_ask_delete(p->loop, p->bucket, SLICE("learn/1")), OK);
	assert_int_equal(bucket_ask_list(p->loop, p->bucket, &a, SLICE("learn/"), SLICE(""), &names,
					 &count, &more),
			 OK);
	assert_int_equal(count, HEDGE_SAMPLES_MIN - 1);
	assert_int_equal(hedge_get_counts(p->bucket).second, 0);
	arena_done(&a);
}

/* --- failures -------------------------------------------------------------------------------- */
static void test_a_failure_waits_for_the_other(void **state)
{
	struct place *p = *state;

	learn(p);
	fault_set_store(p->fault, &(struct fault_store) { .put = { SLOW_MS, SLOW_MS } });
	fault_nth(p, 1, FAULT_AFTER, ERR_UNKNOWN); /* fails when the second is under way */
	assert_int_equal(put(p, "a", "body"), OK);
	assert_int_equal(hedge_get_counts(p->bucket).won, 1);
	fault_clear(p->fault);
	fault_nth(p, 2, FAULT_BEFORE, ERR_DENIED);
	assert_int_equal(put(p, "b", "body"), OK);
	assert_int_equal(hedge_get_counts(p->bucket).won, 1);
}

static void test_a_failure_that_was_not_late_is_the_callers(void **state)
{
	struct place *p = *state;

	learn(p);
	fault_nth(p, 1, FAULT_BEFORE, ERR_FULL);
	assert_int_equal(put(p, "a", "body"), ERR_FULL);
	fault_nth(p, 1, FAULT_AFTER, ERR_UNKNOWN);
	assert_int_equal(put(p, "b", "body"), ERR_UNKNOWN);
	assert_int_equal(put(p, "learn/1", "other"), ERR_CONFLICT);
	assert_int_equal(put_new(p, "learn/1", "x"), ERR_EXISTS);
	assert_int_equal(hedge_get_counts(p->bucket).second, 0);
}

static void test_when_both_fail_what_is_not_known_is_said(void **state)
{
	static const struct {
		enum err first, second, told;
	} cases[] = {
		{ ERR_FULL, ERR_DENIED, ERR_FULL },
		{ ERR_FULL, ERR_UNKNOWN, ERR_UNKNOWN },
		{ ERR_UNKNOWN, ERR_FULL, ERR_UNKNOWN },
		{ ERR_IO, ERR_UNAVAILABLE, ERR_IO },
	};
	struct place *p = *state;

	learn(p);
	fault_set_store(p->fault, &(struct fault_store) { .put = { SLOW_MS, SLOW_MS } });
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char key[2] = { (char)('a' + i), 0 };

		fault_clear(p->fault);
		fault_nth(p, 1, FAULT_AFTER, cases[i].first);
		fault_nth(p, 1, FAULT_AFTER, cases[i].second);
		assert_int_equal(put(p, key, "body"), cases[i].told);
		assert_int_equal(hedge_get_counts(p->bucket).second, i + 1);
	}
}

/* --- create if absent ------------------------------------------------------------------------ */
static void test_a_create_whose_answer_is_late_is_known_by_its_bytes(void **state)
{
	struct place *p = *state;

	learn(p);
	fault_nth(p, 1, FAULT_LOST, ERR_UNKNOWN); /* it is there, and nobody says so */
	assert_int_equal(put_new(p, "a", "mine"), OK);
	assert_int_equal(hedge_get_counts(p->bucket).second, 1);
}

static void test_a_create_that_others_won_is_told_as_lost(void **state)
{
	struct place *p = *state;

	learn(p);
	assert_int_equal(bucket_ask_put(p->loop, fault_inner(p->fault), SLICE("a"),
					SLICE("theirs")),
			 OK);
	fault_nth(p, 1, FAULT_HOLD, OK);
	assert_int_equal(put_new(p, "a", "mine"), ERR_EXISTS);
	assert_true(holds(p, "a", "theirs"));
	/* a longer object, of which ours is the beginning */
	assert_int_equal(bucket_ask_put(p->loop, fault_inner(p->fault), SLICE("b"), SLICE("mine+")),
			 OK);
	fault_nth(p, 1, FAULT_HOLD, OK);
	assert_int_equal(put_new(p, "b", "mine"), ERR_EXISTS);
}

static void test_a_create_that_cannot_be_looked_at_is_not_known(void **state)
{
	struct place *p = *state;

	learn(p);
	fault_add(p->fault, &(struct fault) { .effect = FAULT_BEFORE,
					      .err = ERR_UNAVAILABLE,
					      .verbs = FAULT_VERB(BUCKET_GET) });
	fault_nth(p, 1, FAULT_LOST, ERR_UNKNOWN);
	assert_int_equal(put_new(p, "a", "mine"), ERR_UNKNOWN);
	assert_true(holds(p, "a", "mine"));
}

/* --- canceling ------------------------------------------------------------------------------- */
struct asker {
	struct task task;
	struct bucket *bucket;
	struct bucket_op op;
	enum bucket_verb verb;
	uint64_t until_ms;
	const char *key;
};

static enum step asker_step(struct task *t)
{
	struct asker *a = CONTAINER(t, struct asker, task);
	struct bucket_op like = { .verb = a->verb, .key = slice_from(a->key), .size_max = 100 };
	struct slice body = SLICE("mine");

	if (t->at == 1)
		return t->children > 0 ? task_wait(t, 1) : task_done(t, a->op.task.err);
	like.pieces = &body;
	like.piece_count = a->verb == BUCKET_PUT || a->verb == BUCKET_PUT_NEW;
	if (like.piece_count) {
		if (a->verb == BUCKET_PUT)
			bucket_put(&a->op, t, a->bucket, slice_from(a->key), SLICE("mine"));
		else
			bucket_put_new(&a->op, t, a->bucket, slice_from(a->key), SLICE("mine"));
	} else {
		bucket_start_like(&a->op, t, a->bucket, &like);
	}
	if (a->until_ms == 0)
		task_cancel(&a->op.task);
	else
		task_set_deadline(&a->op.task, loop_now_ms(t->loop) + a->until_ms);
	return task_wait(t, 1);
}

static const struct task_kind asker_kind = { .name = "asker", .step = asker_step };

static enum err ask_until(struct place *p, enum bucket_verb verb, const char *key, uint64_t ms)
{
	struct asker a = { .bucket = p->bucket, .verb = verb, .until_ms = ms, .key = key };

	task_start_root(&a.task, &asker_kind, p->loop);
	loop_run(p->loop);
	assert_false(task_is_running(&a.task));
	blob_unref(&a.op.ret_body);
	return a.op.task.err;
}

/* Before it begins, with one request, with two, while it compares. */
static void test_it_can_be_canceled_everywhere(void **state)
{
	static const enum bucket_verb verbs[] = { BUCKET_PUT, BUCKET_PUT_NEW, BUCKET_GET };
	struct place *p = *state;
	char key[32];
	int count = 0;

	learn(p);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		for (uint64_t ms = 0; ms <= 4 * HEDGE_DELAY_MS_MIN; ms += HEDGE_DELAY_MS_MIN / 4) {
			fault_clear(p->fault);
			fault_add(p->fault, &(struct fault) { .effect = FAULT_HOLD });
			snprintf(key, sizeof(key), "c/%d", count++);
			enum err err = ask_until(p, verbs[i], key, ms);
			assert_true(err == ERR_CANCELED || err == ERR_TIMEOUT);
			assert_int_equal(racing(p), 0);
			assert_int_equal(fault_held_count(p->fault), 0);
		}
	}
	/* the first was done and is silent, the second finds it, the look never ends */
	fault_clear(p->fault);
	fault_add(p->fault,
		  &(struct fault) { .effect = FAULT_HOLD, .verbs = FAULT_VERB(BUCKET_GET) });
	fault_nth(p, 1, FAULT_LOST, ERR_UNKNOWN);
	assert_int_equal(ask_until(p, BUCKET_PUT_NEW, "compared", 3 * HEDGE_DELAY_MS_MIN),
			 ERR_UNKNOWN);
	assert_true(holds(p, "compared", "mine"));
	assert_int_equal(racing(p), 0);
}

static void test_a_put_that_is_canceled_tells_what_became_of_it(void **state)
{
	struct place *p = *state;

	learn(p);
	fault_set_store(p->fault, &(struct fault_store) { .put = { 100, 100 } });
	for (int i = 0; i < 10; i++) {
		char key[32];

		snprintf(key, sizeof(key), "t/%d", i);
		enum err err = ask_until(p, BUCKET_PUT, key, (uint64_t)(10 * i + 5));
		if (err == OK)
			assert_true(holds(p, key, "mine"));
		else
			assert_true(err == ERR_TIMEOUT && !holds(p, key, "mine"));
	}
}

static void test_losers_are_cut_off_at_the_end(void **state)
{
	struct place *p = *state;

	learn(p);
	fault_nth(p, 1, FAULT_LOST, ERR_UNKNOWN);
	assert_int_equal(put(p, "a", "body"), OK);
	hedge_finish(p->bucket, p->loop);
	assert_int_equal(racing(p), 0);
	hedge_finish(p->bucket, p->loop);
	hedge_finish(p->fault, p->loop); /* hedges nothing */
}

/* --- limits ---------------------------------------------------------------------------------- */
struct crowd {
	struct task task;
	struct bucket *bucket;
	struct bucket_op *ops;
	char (*keys)[32];
	int count;
	struct slice body;
};

static enum step crowd_step(struct task *t)
{
	struct crowd *c = CONTAINER(t, struct crowd, task);

	if (t->at == 1)
		return t->children > 0 ? task_wait(t, 1) : task_done(t, OK);
	for (int i = 0; i < c->count; i++) {
		snprintf(c->keys[i], sizeof(c->keys[i]), "crowd/%d", i);
		bucket_put(&c->ops[i], t, c->bucket, slice_from(c->keys[i]), c->body);
	}
	return task_wait(t, 1);
}

static const struct task_kind crowd_kind = { .name = "crowd", .step = crowd_step };

static void crowd_start(struct crowd *c, struct place *p, int count, struct slice body)
{
	*c = (struct crowd) {
		.bucket = p->bucket,
		.ops = memory_take_array((size_t)count, sizeof(*c->ops)),
		.keys = memory_take_array((size_t)count, sizeof(*c->keys)),
		.count = count,
		.body = body,
	};
	task_start_root(&c->task, &crowd_kind, p->loop);
}

static void crowd_done(struct crowd *c)
{
	assert_false(task_is_running(&c->task));
	memory_free(c->ops);
	memory_free(c->keys);
}

static void test_a_store_that_is_slow_as_a_whole_is_not_asked_twice_as_often(void **state)
{
	enum { COUNT = 200 };
	struct place *p = *state;
	struct crowd c;

	learn(p);
	fault_set_store(p->fault, &(struct fault_store) { .put = { 200, 200 } });
	crowd_start(&c, p, COUNT, SLICE("x"));
	loop_run(p->loop);
	crowd_done(&c);
	uint64_t first = hedge_get_counts(p->bucket).first;
	assert_in_range(hedge_get_counts(p->bucket).second, HEDGE_BURST,
			HEDGE_BURST + first * HEDGE_PER_THOUSAND / 1000);
}

/* Many a little late, then one that is late for good: it still gets its second request. */
static void test_a_part_of_the_budget_is_kept_for_those_that_are_later(void **state)
{
	enum { COUNT = HEDGE_BURST + 2, BIT_LATE_MS = HEDGE_DELAY_MS_MIN * 3 / 2 };
	struct place *p = *state;
	struct crowd c;

	learn(p);
	fault_set_store(p->fault, &(struct fault_store) { .put = { BIT_LATE_MS, BIT_LATE_MS } });
	crowd_start(&c, p, COUNT, SLICE("x"));
	loop_run(p->loop);
	crowd_done(&c);
	assert_true(hedge_get_counts(p->bucket).second > 0);
	fault_nth(p, 1, FAULT_HOLD, OK);
	assert_int_equal(put(p, "a", "body"), OK);
	assert_int_equal(hedge_get_counts(p->bucket).won, 1);
}

static void test_copies_of_bodies_have_a_limit(void **state)
{
	enum { COUNT = 20 };
	struct place *p = *state;
	struct blob *large = blob_new(LARGE_BYTES);
	struct crowd c;

	large->size = LARGE_BYTES;
	memset(large->data, 'x', large->size);
	fault_add(p->fault, &(struct fault) { .effect = FAULT_HOLD });
	crowd_start(&c, p, COUNT, blob_slice(large));
	while (fault_held_count(p->fault) < COUNT)
		loop_run(p->loop);
	assert_in_range(hedge_get_counts(p->bucket).copied_bytes,
			HEDGE_COPIED_BYTES_MAX - LARGE_BYTES, HEDGE_COPIED_BYTES_MAX);
	fault_clear(p->fault);
	fault_release(p->fault, "");
	loop_run(p->loop);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(c.ops[i].task.err, OK);
	crowd_done(&c);
	assert_int_equal(hedge_get_counts(p->bucket).copied_bytes, 0);
	blob_unref(&large);
}

/* --- everything at random -------------------------------------------------------------------- */
static void test_answers_are_true_whatever_fails(void **state)
{
	enum { ROUNDS = 40 };

	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct place p;
		char key[32];

		open_place(&p, seed);
		learn(&p);
		fault_set_store(p.fault, &(struct fault_store) { .put = { 1, 4 },
								 .get = { 1, 2 },
								 .slow_ppm = 300000,
								 .slow_ms = 50 });
		fault_add(p.fault, &(struct fault) { .effect = FAULT_AFTER,
						     .verbs = ALL_PUTS,
						     .ppm = 200000 });
		fault_add(p.fault, &(struct fault) { .effect = FAULT_BEFORE, .ppm = 100000 });
		for (int i = 0; i < ROUNDS; i++) {
			bool is_taken = i % 4 == 0;

			snprintf(key, sizeof(key), "r/%d", i);
			if (is_taken)
				assert_int_equal(bucket_ask_put(p.loop, fault_inner(p.fault),
								slice_from(key), SLICE("theirs")),
						 OK);
			enum err err = put_new(&p, key, "mine");
			if (err == OK)
				assert_true(!is_taken && holds(&p, key, "mine"));
			else if (err == ERR_EXISTS)
				assert_true(is_taken);
			else
				assert_true(err == ERR_UNKNOWN || err == ERR_UNAVAILABLE);
			if (err == ERR_UNAVAILABLE)
				assert_false(holds(&p, key, "mine"));
		}
		close_place(&p);
	}
}

static void test_only_what_is_far_is_hedged(void **state)
{
	struct bucket *memory = memory_new(), *fault, *b;

	(void)state;
	assert_ptr_equal(hedge_bucket_if_far(memory), memory);
	fault = fault_bucket_new(memory, 1);
	fault_set_store(fault, &(struct fault_store) { .put = { 1, 1 } });
	b = hedge_bucket_if_far(fault);
	assert_ptr_not_equal(b, fault);
	assert_true(bucket_is_far(b));
	assert_int_equal(b->class, fault->class);
	assert_string_equal(b->url, fault->url);
	bucket_close(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_put_that_is_late_is_overtaken),
		TEST(test_a_get_that_is_late_is_overtaken),
		TEST(test_the_first_may_still_win),
		TEST(test_lists_and_deletes_are_asked_once),
		TEST(test_a_failure_waits_for_the_other),
		TEST(test_a_failure_that_was_not_late_is_the_callers),
		TEST(test_when_both_fail_what_is_not_known_is_said),
		TEST(test_a_create_whose_answer_is_late_is_known_by_its_bytes),
		TEST(test_a_create_that_others_won_is_told_as_lost),
		TEST(test_a_create_that_cannot_be_looked_at_is_not_known),
		TEST(test_it_can_be_canceled_everywhere),
		TEST(test_a_put_that_is_canceled_tells_what_became_of_it),
		TEST(test_losers_are_cut_off_at_the_end),
		TEST(test_a_store_that_is_slow_as_a_whole_is_not_asked_twice_as_often),
		TEST(test_a_part_of_the_budget_is_kept_for_those_that_are_later),
		TEST(test_copies_of_bodies_have_a_limit),
		cmocka_unit_test(test_answers_are_true_whatever_fails),
		cmocka_unit_test(test_only_what_is_far_is_hedged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
