#include "buckets/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "buckets/bucket_ask.h"

enum { SLACK_MS = 10000 }; /* for machines that are busy */

struct place {
	struct loop *loop;
	struct bucket *bucket;
};

static int set_up(void **state)
{
	struct place *p = NEW(struct place);
	char why[TASK_WHY_BYTES];
	struct bucket *inner;

	p->loop = loop_new(1);
	assert_int_equal(bucket_open("memory:", &inner, why), OK);
	p->bucket = fault_bucket_new(inner, 7);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	bucket_close(p->bucket);
	loop_free(p->loop);
	memory_free(p);
	return 0;
}

static enum err put(struct place *p, const char *key)
{
	return bucket_ask_put(p->loop, p->bucket, slice_from(key), SLICE("0123456789"));
}

static bool is_stored(struct place *p, const char *key)
{
	uint64_t size;

	return bucket_ask_head(p->loop, fault_inner(p->bucket), slice_from(key), &size) == OK;
}

static void test_a_fault_before_leaves_nothing(void **state)
{
	struct place *p = *state;

	fault_add(p->bucket, &(struct fault) { .effect = FAULT_BEFORE, .err = ERR_FULL });
	assert_int_equal(put(p, "a"), ERR_FULL);
	assert_false(is_stored(p, "a"));
	fault_clear(p->bucket);
	assert_int_equal(put(p, "a"), OK);
}

static void test_a_fault_after_hides_what_was_done(void **state)
{
	struct place *p = *state;
	struct blob *body = NULL;

	fault_add_nth(p->bucket, 1, FAULT_AFTER, OK);
	assert_int_equal(put(p, "a"), ERR_UNKNOWN);
	assert_true(is_stored(p, "a"));
	fault_add_nth(p->bucket, 1, FAULT_AFTER, ERR_TIMEOUT);
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("a"), &body), ERR_TIMEOUT);
	assert_int_equal(put(p, "a"), OK);
}

static void test_the_nth_operation_fails_and_no_other(void **state)
{
	struct place *p = *state;
	uint64_t n = 0;
	bool is_struck = true;

	while (is_struck) { /* the loop every user of buckets can write */
		uint64_t strikes = fault_strike_count(p->bucket);
		char key[8] = { 'a', (char)('a' + n), '/', 'x', 0 };

		fault_add_nth(p->bucket, ++n, FAULT_BEFORE, ERR_UNAVAILABLE);
		for (uint64_t i = 1; i <= 5; i++) {
			key[3] = (char)('0' + i);
			assert_int_equal(put(p, key), i == n ? ERR_UNAVAILABLE : OK);
		}
		is_struck = fault_strike_count(p->bucket) > strikes;
		fault_clear(p->bucket);
	}
	assert_int_equal(n, 6);
	assert_int_equal(fault_op_count(p->bucket, FAULT_VERB(BUCKET_PUT)), 30);
	assert_int_equal(fault_op_count(p->bucket, FAULT_VERB(BUCKET_GET)), 0);
}

static void test_a_fault_is_aimed_by_verb_and_prefix(void **state)
{
	struct place *p = *state;
	struct blob *body = NULL;

	fault_add(p->bucket, &(struct fault) { .effect = FAULT_NONE, .prefix = "j/good" });
	fault_add(p->bucket, &(struct fault) { .effect = FAULT_BEFORE,
					       .verbs = FAULT_WRITES,
					       .prefix = "j/",
					       .skip = 1,
					       .count = 2 });
	assert_int_equal(put(p, "d/1"), OK);
	assert_int_equal(put(p, "j/1"), OK);
	assert_int_equal(put(p, "j/good"), OK);
	assert_int_equal(put(p, "j/2"), ERR_UNAVAILABLE);
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("j/1"), &body), OK);
	blob_unref(&body);
	assert_int_equal(bucket_ask_delete(p->loop, p->bucket, SLICE("j/1")), ERR_UNAVAILABLE);
	assert_int_equal(put(p, "j/2"), OK);
}

static void test_a_get_can_be_damaged(void **state)
{
	struct place *p = *state;
	struct blob *body = NULL;
	int different = 0;

	assert_int_equal(put(p, "a"), OK);
	fault_add_nth(p->bucket, 1, FAULT_CORRUPT, OK);
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("a"), &body), OK);
	assert_int_equal(body->size, 10);
	for (int i = 0; i < 10; i++)
		different += body->data[i] != '0' + i;
	assert_int_equal(different, 1);
	blob_unref(&body);
	fault_add_nth(p->bucket, 1, FAULT_TRUNCATE, OK);
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("a"), &body), OK);
	assert_true(body->size < 10);
	blob_unref(&body);
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("a"), &body), OK);
	assert_memory_equal(body->data, "0123456789", 10);
	blob_unref(&body);
}

/* --- operations that wait -------------------------------------------------------------------- */
struct writer {
	struct task task;
	struct bucket *bucket;
	struct bucket_op op;
	const char *key;
	bool is_over;
};

static enum step writer_step(struct task *t)
{
	struct writer *w = CONTAINER(t, struct writer, task);

	if (t->at == 0) {
		bucket_put(&w->op, t, w->bucket, slice_from(w->key), SLICE("x"));
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	w->is_over = true;
	return task_done(t, w->op.task.err);
}

static const struct task_kind writer_kind = { .name = "writer", .step = writer_step };

static void writer_start(struct writer *w, struct place *p, const char *key)
{
	*w = (struct writer) { .bucket = p->bucket, .key = key };
	task_start_root(&w->task, &writer_kind, p->loop);
	loop_run(p->loop);
}

static void test_a_held_operation_waits_for_its_release(void **state)
{
	struct place *p = *state;
	struct writer a, b;

	fault_add(p->bucket, &(struct fault) { .effect = FAULT_HOLD, .verbs = FAULT_WRITES });
	writer_start(&a, p, "a");
	writer_start(&b, p, "b");
	assert_int_equal(fault_held_count(p->bucket), 2);
	assert_false(a.is_over);
	assert_false(is_stored(p, "a"));
	assert_int_equal(fault_release(p->bucket, "b"), 1);
	assert_false(b.is_over); /* never inside the call */
	loop_run(p->loop);
	assert_true(b.is_over);
	assert_int_equal(b.op.task.err, OK);
	assert_true(is_stored(p, "b"));
	assert_false(a.is_over);

	task_cancel(&a.op.task);
	loop_run(p->loop);
	assert_int_equal(a.op.task.err, ERR_CANCELED);
	assert_int_equal(fault_held_count(p->bucket), 0);
	assert_false(is_stored(p, "a"));
}

static void test_a_held_operation_that_is_released_and_canceled_at_once_ends(void **state)
{
	struct place *p = *state;
	struct writer w;

	fault_add_nth(p->bucket, 1, FAULT_HOLD, OK);
	writer_start(&w, p, "a");
	assert_int_equal(fault_release(p->bucket, ""), 1);
	task_cancel(&w.op.task);
	loop_run(p->loop);
	assert_int_equal(w.op.task.err, ERR_CANCELED);
	assert_int_equal(fault_held_count(p->bucket), 0);
}

static void test_a_late_put_outlives_its_sender(void **state)
{
	struct place *p = *state;

	fault_add_nth(p->bucket, 1, FAULT_LATE, OK);
	assert_int_equal(put(p, "a"), ERR_UNKNOWN);
	assert_false(is_stored(p, "a"));
	assert_int_equal(fault_held_count(p->bucket), 1);
	assert_int_equal(fault_release(p->bucket, ""), 1);
	loop_run(p->loop);
	assert_int_equal(fault_held_count(p->bucket), 0);
	assert_true(is_stored(p, "a"));
	fault_add_nth(p->bucket, 1, FAULT_LATE, OK);
	assert_int_equal(put(p, "never"), ERR_UNKNOWN); /* dropped when the bucket closes */
}

static void test_a_delay_delays(void **state)
{
	struct place *p = *state;
	struct writer w;

	fault_add(p->bucket, &(struct fault) { .delay_ms_max = 5 });
	for (int i = 0; i < 5; i++) {
		writer_start(&w, p, "a");
		assert_int_equal(w.op.task.err, OK);
	}
	fault_clear(p->bucket);
	fault_add(p->bucket, &(struct fault) { .delay_ms_max = 3600 * 1000 });
	w = (struct writer) { .bucket = p->bucket, .key = "b" };
	task_start_root(&w.task, &writer_kind, p->loop);
	task_set_deadline(&w.task, loop_now_ms(p->loop) + 5);
	loop_run(p->loop);
	assert_int_equal(w.op.task.err, ERR_CANCELED);
	assert_false(is_stored(p, "b"));
}

static void test_random_faults_follow_the_seed(void **state)
{
	char why[TASK_WHY_BYTES], outcomes[2][201] = { "", "" };
	struct loop *loop = loop_new(0);
	int failed = 0;

	(void)state;
	for (int run = 0; run < 2; run++) {
		struct bucket *inner, *b;
		struct place p = { .loop = loop };

		assert_int_equal(bucket_open("memory:", &inner, why), OK);
		p.bucket = b = fault_bucket_new(inner, 99);
		fault_add(b, &(struct fault) { .effect = FAULT_BEFORE, .ppm = 250000 });
		for (int i = 0; i < 200; i++)
			outcomes[run][i] = put(&p, "a") == OK ? '.' : 'x';
		bucket_close(b);
	}
	assert_string_equal(outcomes[0], outcomes[1]);
	for (int i = 0; i < 200; i++)
		failed += outcomes[0][i] == 'x';
	assert_in_range(failed, 25, 75);
	loop_free(loop);
}

static void test_a_faulty_bucket_opens_by_url_only_in_tests(void **state)
{
	struct place *p = *state;
	char why[TASK_WHY_BYTES] = "";
	const char *url = "fault:memory:?class=raw&fault_before_ppm=1000000&fault_prefix=v1/d/";
	struct bucket *b = NULL;

	unsetenv("HANSE_TEST_FAULTS");
	assert_int_equal(bucket_open(url, &b, why), ERR_DENIED);
	assert_non_null(strstr(why, "HANSE_TEST_FAULTS=1"));
	assert_null(b);
	setenv("HANSE_TEST_FAULTS", "1", 1);
	assert_int_equal(bucket_open("fault:memory:?fault_befor_ppm=1", &b, why), ERR_INVALID);
	assert_non_null(strstr(why, "fault_before_ppm"));
	assert_int_equal(bucket_open("fault:memory:?clas=raw", &b, why), ERR_INVALID);
	assert_non_null(strstr(why, "class"));
	assert_int_equal(bucket_open("fault:memory:?fault_before_ppm=1000001", &b, why),
			 ERR_TOO_BIG);
	assert_null(b);
	assert_int_equal(bucket_open(url, &b, why), OK);
	assert_string_equal(b->url, url);
	assert_int_equal(b->class, BUCKET_RAW);
	assert_int_equal(bucket_ask_put(p->loop, b, SLICE("v1/d/x"), SLICE("x")), ERR_UNAVAILABLE);
	assert_int_equal(bucket_ask_put(p->loop, b, SLICE("v1/j/x"), SLICE("x")), OK);
	bucket_close(b);
	unsetenv("HANSE_TEST_FAULTS");
}

static void test_a_store_far_away_takes_its_time(void **state)
{
	struct place *p = *state;
	struct blob *body = NULL;
	uint64_t before_ms = clock_now_ms();

	assert_false(bucket_is_far(p->bucket));
	fault_set_store(p->bucket, &(struct fault_store) { .put = { 30, 30 },
							   .get = { 20, 20 },
							   .megabytes_per_s = 1 });
	assert_true(bucket_is_far(p->bucket));
	assert_int_equal(put(p, "a"), OK);
	assert_in_range(clock_now_ms() - before_ms, 29, 29 + SLACK_MS);
	before_ms = clock_now_ms();
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("a"), &body), OK);
	assert_in_range(clock_now_ms() - before_ms, 19, 19 + SLACK_MS);
	blob_unref(&body);
	before_ms = clock_now_ms();
	assert_true(is_stored(p, "a")); /* asks the inner one */
	assert_in_range(clock_now_ms() - before_ms, 0, SLACK_MS);

	struct blob *large = blob_new(50 * 1000);
	memset(large->data, 'x', large->capacity);
	large->size = large->capacity;
	before_ms = clock_now_ms();
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, SLICE("b"), blob_slice(large)), OK);
	assert_in_range(clock_now_ms() - before_ms, 79, 79 + SLACK_MS);
	blob_unref(&large);
}

static void test_some_requests_are_stragglers(void **state)
{
	struct place *p = *state;
	int slow = 0;

	fault_set_store(p->bucket, &(struct fault_store) {
					   .put = { 1, 1 }, .slow_ppm = 300000, .slow_ms = 20 });
	for (int i = 0; i < 50; i++) {
		uint64_t before_ms = clock_now_ms();

		assert_int_equal(put(p, "a"), OK);
		slow += clock_now_ms() - before_ms >= 19;
	}
	assert_in_range(slow, 5, 35);
}

static void test_a_change_that_is_canceled_while_its_answer_is_under_way_tells_its_end(void **state)
{
	struct place *p = *state;
	struct writer w;

	fault_add(p->bucket,
		  &(struct fault) { .effect = FAULT_LOST, .count = 1, .for_ms = 3600 * 1000 });
	w = (struct writer) { .bucket = p->bucket, .key = "a" };
	task_start_root(&w.task, &writer_kind, p->loop);
	task_set_deadline(&w.task, loop_now_ms(p->loop) + 20);
	loop_run(p->loop);
	assert_true(w.is_over);
	assert_int_equal(w.op.task.err, ERR_UNKNOWN);
	assert_true(is_stored(p, "a"));
	assert_int_equal(put(p, "b"), OK); /* one is lost, not all of that time */
}

static void test_an_answer_that_is_lost_fails_after_a_silence(void **state)
{
	struct place *p = *state;
	uint64_t before_ms = clock_now_ms();

	fault_add(p->bucket, &(struct fault) { .effect = FAULT_LOST, .for_ms = 30, .count = 1 });
	assert_int_equal(put(p, "a"), ERR_UNKNOWN);
	assert_in_range(clock_now_ms() - before_ms, 29, 29 + SLACK_MS);
	assert_true(is_stored(p, "a"));
	assert_int_equal(put(p, "a"), OK);
}

static void test_a_store_that_asks_for_a_pause_gets_one(void **state)
{
	struct place *p = *state;

	fault_add(p->bucket,
		  &(struct fault) {
			  .effect = FAULT_SLOW_DOWN, .prefix = "d/", .count = 1, .for_ms = 50 });
	uint64_t before_ms = clock_now_ms();
	assert_int_equal(put(p, "d/1"), ERR_UNAVAILABLE);
	assert_int_equal(put(p, "d/2"), ERR_UNAVAILABLE);
	assert_int_equal(put(p, "j/1"), OK);
	assert_false(is_stored(p, "d/1"));
	while (put(p, "d/2") != OK)
		assert_true(clock_now_ms() - before_ms < 50 + SLACK_MS);
	assert_true(clock_now_ms() - before_ms >= 49);
}

static void test_a_stale_list_misses_what_is_new(void **state)
{
	struct place *p = *state;
	struct slice *names;
	struct arena a;
	size_t count;
	bool more;

	arena_init(&a);
	assert_int_equal(put(p, "before"), OK);
	fault_add(p->bucket, &(struct fault) { .effect = FAULT_STALE,
					       .verbs = FAULT_VERB(BUCKET_LIST),
					       .for_ms = 50 });
	uint64_t before_ms = clock_now_ms();
	assert_int_equal(put(p, "new"), OK);
	assert_int_equal(bucket_ask_list(p->loop, p->bucket, &a, SLICE(""), SLICE(""), &names,
					 &count, &more),
			 OK);
	assert_int_equal(count, 1);
	assert_true(slice_equal(names[0], SLICE("before")));
	do {
		assert_true(clock_now_ms() - before_ms < 50 + SLACK_MS);
		assert_int_equal(bucket_ask_list(p->loop, p->bucket, &a, SLICE(""), SLICE(""),
						 &names, &count, &more),
				 OK);
	} while (count < 2);
	assert_true(clock_now_ms() - before_ms >= 49);
	arena_done(&a);
}

static void test_a_store_far_away_opens_by_url_and_reports(void **state)
{
	struct place *p = *state;
	char why[TASK_WHY_BYTES] = "", file[] = "/tmp/fault_report_XXXXXX", url[200], text[200];
	struct bucket *b = NULL;
	int fd = mkstemp(file);

	assert_true(fd >= 0);
	setenv("HANSE_TEST_FAULTS", "1", 1);
	assert_int_equal(bucket_open("fault:memory:?fault_put_ms=195-100", &b, why), ERR_INVALID);
	assert_non_null(strstr(why, "fault_put_ms"));
	snprintf(
		url, sizeof(url),
		"fault:memory:?fault_put_ms=20-40&fault_get_ms=1&fault_mb_per_s=50&fault_report=%s",
		file);
	assert_int_equal(bucket_open(url, &b, why), OK);
	assert_true(bucket_is_far(b));
	uint64_t before_ms = clock_now_ms();
	assert_int_equal(bucket_ask_put(p->loop, b, SLICE("x"), SLICE("12345")), OK);
	assert_true(clock_now_ms() - before_ms >= 5);
	bucket_close(b);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = 0;
	assert_string_equal(text,
			    "put 1 5\nput_new 0 0\nget 0 0\nhead 0 0\nlist 0 0\ndelete 0 0\n");
	close(fd);
	unlink(file);
	unsetenv("HANSE_TEST_FAULTS");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* --- stores that get conditions and looks wrong ----------------------------------------------- */
static enum err put_new(struct place *p, const char *body)
{
	return bucket_ask_put_new(p->loop, p->bucket, SLICE("key"), slice_from(body));
}

static void assert_body(struct place *p, const char *key, const char *expected)
{
	struct blob *body = NULL;

	assert_int_equal(bucket_ask_get(p->loop, p->bucket, slice_from(key), &body), OK);
	assert_true(slice_equal(blob_slice(body), slice_from(expected)));
	blob_unref(&body);
}

static void test_a_condition_may_be_ignored(void **state)
{
	struct place *p = *state;

	fault_add(p->bucket, &(struct fault) { .effect = FAULT_OVERWRITE });
	assert_int_equal(put_new(p, "one"), OK);
	assert_int_equal(put_new(p, "two"), OK);
	assert_body(p, "key", "two");
}

struct creators {
	struct task task;
	struct bucket *bucket;
	struct bucket_op ops[2];
};

static enum step creators_step(struct task *t)
{
	struct creators *c = CONTAINER(t, struct creators, task);

	if (t->at == 1)
		return t->children > 0 ? task_wait(t, 1) : task_done(t, OK);
	bucket_put_new(&c->ops[0], t, c->bucket, SLICE("key"), SLICE("one"));
	bucket_put_new(&c->ops[1], t, c->bucket, SLICE("key"), SLICE("two"));
	return task_wait(t, 1);
}

static const struct task_kind creators_kind = { .name = "creators", .step = creators_step };

static void test_a_condition_may_be_looked_at_too_early(void **state)
{
	struct place *p = *state;
	struct creators c = { .bucket = p->bucket };

	fault_add(p->bucket, &(struct fault) { .effect = FAULT_RACY, .for_ms = 5 });
	task_start_root(&c.task, &creators_kind, p->loop);
	loop_run(p->loop);
	assert_int_equal(c.ops[0].task.err, OK);
	assert_int_equal(c.ops[1].task.err, OK);
	assert_int_equal(put_new(p, "three"), ERR_EXISTS); /* when nobody is in a hurry */
}

static void test_what_was_not_there_may_stay_away_for_a_while(void **state)
{
	struct place *p = *state;
	struct blob *body = NULL;

	fault_add(p->bucket, &(struct fault) { .effect = FAULT_ABSENT, .for_ms = 1000 });
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("a"), &body), ERR_NOT_FOUND);
	assert_int_equal(put(p, "a"), OK);
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("a"), &body), ERR_NOT_FOUND);
	assert_int_equal(put(p, "b"), OK);
	assert_body(p, "b", "0123456789");
	usleep(1100 * 1000);
	assert_body(p, "a", "0123456789");
}

static void test_a_store_may_mix_up_objects(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p, "a"), OK);
	assert_int_equal(put_new(p, "other"), OK);
	fault_add(p->bucket, &(struct fault) { .effect = FAULT_SWAP });
	assert_body(p, "a", "0123456789");
	assert_body(p, "key", "0123456789");
	assert_body(p, "a", "other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_fault_before_leaves_nothing),
		TEST(test_a_fault_after_hides_what_was_done),
		TEST(test_the_nth_operation_fails_and_no_other),
		TEST(test_a_fault_is_aimed_by_verb_and_prefix),
		TEST(test_a_get_can_be_damaged),
		TEST(test_a_held_operation_waits_for_its_release),
		TEST(test_a_held_operation_that_is_released_and_canceled_at_once_ends),
		TEST(test_a_late_put_outlives_its_sender),
		TEST(test_a_delay_delays),
		TEST(test_random_faults_follow_the_seed),
		TEST(test_a_faulty_bucket_opens_by_url_only_in_tests),
		TEST(test_a_store_far_away_takes_its_time),
		TEST(test_some_requests_are_stragglers),
		TEST(test_a_change_that_is_canceled_while_its_answer_is_under_way_tells_its_end),
		TEST(test_an_answer_that_is_lost_fails_after_a_silence),
		TEST(test_a_store_that_asks_for_a_pause_gets_one),
		TEST(test_a_stale_list_misses_what_is_new),
		TEST(test_a_condition_may_be_ignored),
		TEST(test_a_condition_may_be_looked_at_too_early),
		TEST(test_what_was_not_there_may_stay_away_for_a_while),
		TEST(test_a_store_may_mix_up_objects),
		TEST(test_a_store_far_away_opens_by_url_and_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
