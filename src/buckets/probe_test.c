/* What a probe says about buckets that do this or that wrong.  timeout: 120 s */
#include "buckets/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "buckets/bucket_ask.h"
#include "buckets/fault.h"
#include "buckets/memory.h"
#include "buckets/s3_store_testing.h"

struct place {
	struct loop *loop;
	struct bucket *bucket;
	struct probe probe;
	struct arena arena;
};

static void open_bucket(struct place *p, const char *url)
{
	char why[TASK_WHY_BYTES] = "";

	assert_int_equal(bucket_open(url, &p->bucket, why), OK);
}

static int set_up(void **state)
{
	struct place *p = NEW(struct place);

	p->loop = loop_new(1);
	arena_init(&p->arena);
	open_bucket(p, "memory:");
	p->bucket = fault_bucket_new(p->bucket, 1);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	loop_free(p->loop);
	bucket_close(p->bucket);
	arena_done(&p->arena);
	memory_free(p);
	return 0;
}

static enum err run(struct place *p)
{
	probe_init(&p->probe, p->bucket);
	probe_start_root(&p->probe, p->loop);
	loop_run(p->loop);
	assert_false(task_is_running(&p->probe.task));
	return p->probe.task.err;
}

static size_t count_names(struct place *p)
{
	struct slice *names;
	size_t count = 0;
	bool more;

	assert_int_equal(bucket_ask_list(p->loop, p->bucket, &p->arena, SLICE(""), SLICE(""),
					 &names, &count, &more),
			 OK);
	return count;
}

static void add(struct place *p, const struct fault *f)
{
	fault_add(p->bucket, f);
}

static void assert_finding(struct place *p, enum probe_check check, enum probe_outcome outcome,
			   const char *words)
{
	const struct probe_finding *f = &p->probe.findings[check];

	if (f->outcome != outcome || !strstr(f->why, words))
		fail_msg("%s: %d, \"%s\"", probe_check_name(check), f->outcome, f->why);
}

static void test_a_bucket_without_flaws_is_cas_and_clean_afterwards(void **state)
{
	struct place *p = *state;

	assert_int_equal(bucket_ask_put(p->loop, p->bucket, SLICE("mine"), SLICE("x")), OK);
	assert_int_equal(run(p), OK);
	for (int i = 0; i < PROBE_CHECKS; i++)
		assert_finding(p, (enum probe_check)i,
			       i == PROBE_SLOW_RACE || i == PROBE_CLOCK ? PROBE_SKIPPED
									: PROBE_PASSED,
			       "");
	assert_true(p->probe.is_usable);
	assert_int_equal(p->probe.class, BUCKET_CAS);
	assert_int_equal(p->bucket->class, BUCKET_CAS);
	assert_int_equal(p->probe.left_count, 0);
	fault_clear(p->bucket);
	assert_int_equal(count_names(p), 1);
}

static void test_a_bucket_opened_as_raw_is_tried_all_the_same_and_stays_raw(void **state)
{
	struct place *p = *state;
	char url[BUCKET_KEY_BYTES_MAX + 16];

	bucket_close(p->bucket);
	open_bucket(p, "memory:?class=raw&latency_ms=1");
	p->bucket = fault_bucket_new(p->bucket, 1);
	assert_int_equal(run(p), OK);
	assert_int_equal(p->probe.class, BUCKET_CAS);
	assert_int_equal(p->bucket->class, BUCKET_RAW);
	assert_int_equal(fault_inner(p->bucket)->class, BUCKET_RAW);
	probe_url(&p->probe, "memory:x?class=raw&latency_ms=1", url);
	assert_string_equal(url, "memory:x?latency_ms=1&class=cas");
	probe_url(&p->probe, "memory:x", url);
	assert_string_equal(url, "memory:x?class=cas");
}

static void test_a_condition_that_is_refused_makes_it_raw(void **state)
{
	struct place *p = *state;
	char url[BUCKET_KEY_BYTES_MAX + 16];

	add(p, &(struct fault) { .effect = FAULT_BEFORE,
				 .err = ERR_UNSUPPORTED,
				 .verbs = FAULT_VERB(BUCKET_PUT_NEW) });
	assert_int_equal(run(p), OK);
	assert_finding(p, PROBE_CREATE, PROBE_REFUTED, "refused");
	assert_finding(p, PROBE_RACE, PROBE_SKIPPED, "has not passed");
	assert_true(p->probe.is_usable);
	assert_int_equal(p->probe.class, BUCKET_RAW);
	probe_url(&p->probe, "memory:x?class=cas", url);
	assert_string_equal(url, "memory:x?class=raw");
}

static void test_a_condition_that_is_ignored_makes_it_raw(void **state)
{
	struct place *p = *state;

	add(p, &(struct fault) { .effect = FAULT_OVERWRITE });
	assert_int_equal(run(p), OK);
	assert_finding(p, PROBE_CREATE, PROBE_REFUTED, "ignored");
	assert_int_equal(p->probe.class, BUCKET_RAW);
	assert_int_equal(p->probe.left_count, 0);
	assert_int_equal(count_names(p), 0);
}

static void test_a_condition_that_is_looked_at_too_early_loses_the_race(void **state)
{
	struct place *p = *state;

	add(p, &(struct fault) { .effect = FAULT_RACY, .for_ms = 5 });
	assert_int_equal(run(p), OK);
	assert_finding(p, PROBE_CREATE, PROBE_PASSED, "");
	assert_finding(p, PROBE_RACE, PROBE_REFUTED, "creators won in round 1");
	assert_true(p->probe.is_usable);
	assert_int_equal(p->probe.class, BUCKET_RAW);
	assert_int_equal(count_names(p), 0);
}

static void test_a_bucket_that_remembers_what_was_not_there_is_not_to_be_used(void **state)
{
	struct place *p = *state;

	add(p, &(struct fault) { .effect = FAULT_ABSENT, .for_ms = 60000 });
	assert_int_equal(run(p), OK);
	assert_finding(p, PROBE_MISSING, PROBE_REFUTED, "written and not found");
	assert_false(p->probe.is_usable);
}

static void test_a_list_that_comes_late_is_not_to_be_used(void **state)
{
	struct place *p = *state;

	add(p, &(struct fault) { .effect = FAULT_STALE, .for_ms = 60000 });
	assert_int_equal(run(p), OK);
	assert_finding(p, PROBE_LIST, PROBE_REFUTED, "not listed");
	assert_false(p->probe.is_usable);
}

static void test_damaged_bytes_are_not_to_be_used(void **state)
{
	struct place *p = *state;

	add(p, &(struct fault) { .effect = FAULT_CORRUPT, .skip = 40 });
	assert_int_equal(run(p), OK);
	assert_finding(p, PROBE_RANGE, PROBE_REFUTED, "other bytes");
	assert_false(p->probe.is_usable);
}

static void test_what_cannot_be_listed_is_not_to_be_used_and_says_why(void **state)
{
	struct place *p = *state;

	add(p, &(struct fault) { .effect = FAULT_BEFORE,
				 .err = ERR_DENIED,
				 .verbs = FAULT_VERB(BUCKET_LIST) });
	assert_int_equal(run(p), OK);
	assert_finding(p, PROBE_LIST, PROBE_SKIPPED, "could not be tried: a fault was ordered");
	assert_false(p->probe.is_usable);
}

static void test_a_bucket_that_cannot_be_written_or_read_is_an_error(void **state)
{
	struct place *p = *state;

	add(p, &(struct fault) { .effect = FAULT_BEFORE,
				 .err = ERR_DENIED,
				 .verbs = FAULT_VERB(BUCKET_PUT) });
	assert_int_equal(run(p), ERR_DENIED);
	fault_clear(p->bucket);
	add(p, &(struct fault) { .effect = FAULT_TRUNCATE });
	assert_int_equal(run(p), ERR_IO);
	assert_string_equal(p->probe.task.why, "what was written is not what is read");
}

static void test_what_cannot_be_removed_is_counted(void **state)
{
	struct place *p = *state;

	add(p, &(struct fault) { .effect = FAULT_BEFORE,
				 .skip = 12, /* those of the check of lists */
				 .err = ERR_DENIED,
				 .verbs = FAULT_VERB(BUCKET_DELETE) });
	assert_int_equal(run(p), OK);
	assert_true(p->probe.is_usable);
	fault_clear(p->bucket);
	assert_true(p->probe.left_count > 0);
	assert_true(count_names(p) > 0);
}

/* Each operation fails once, and the probe is stopped once after each of them. */
static void test_whatever_fails_it_ends_and_nothing_is_left(void **state)
{
	struct place *p = *state;

	for (uint64_t n = 1;; n++) {
		fault_add_nth(p->bucket, n, FAULT_BEFORE, ERR_UNAVAILABLE);
		uint64_t strikes = fault_strike_count(p->bucket);
		enum err err = run(p);

		bool has_struck = fault_strike_count(p->bucket) > strikes;
		assert_true(err == OK || err == ERR_UNAVAILABLE);
		fault_clear(p->bucket);
		assert_int_equal(count_names(p), p->probe.left_count);
		for (size_t i = 0; i < p->probe.name_count; i++)
			assert_int_equal(bucket_ask_delete(p->loop, p->bucket,
							   slice_from(p->probe.names[i])),
					 OK);
		if (!has_struck)
			break;
		if (n > 60) /* of the races a few are enough */
			n += 37;
	}
}

struct stopper {
	struct timer timer;
	struct probe *probe;
};

static void on_timer(struct timer *t)
{
	probe_stop(CONTAINER(t, struct stopper, timer)->probe);
}

static void test_a_stop_at_any_moment_leaves_nothing(void **state)
{
	struct place *p = *state;
	struct stopper s = { .probe = &p->probe };
	bool has_ended = false;

	for (uint64_t ms = 0; !has_ended; ms += 7) {
		bucket_close(p->bucket);
		open_bucket(p, "memory:?latency_ms=2");
		p->bucket = fault_bucket_new(p->bucket, 1);
		probe_init(&p->probe, p->bucket);
		probe_start_root(&p->probe, p->loop);
		timer_set(&s.timer, p->loop, loop_now_ms(p->loop) + ms, on_timer);
		loop_run(p->loop);
		timer_clear(&s.timer);
		has_ended = p->probe.task.err == OK;
		assert_true(has_ended || p->probe.task.err == ERR_CANCELED);
		assert_int_equal(p->probe.left_count, 0);
		assert_int_equal(count_names(p), 0);
	}
}

static void test_a_store_that_looks_before_the_body_has_come_loses_the_slow_race(void **state)
{
	struct place *p = *state;
	struct store_process store;
	char url[256];

	store_start(&store);
	bucket_close(p->bucket);
	snprintf(url, sizeof(url), "s3://bucket?endpoint=http://127.0.0.1:%d", store.control->port);
	open_bucket(p, url);
	store.control->is_hasty = 1;
	assert_int_equal(run(p), OK);
	assert_finding(p, PROBE_RACE, PROBE_PASSED, "");
	assert_finding(p, PROBE_SLOW_RACE, PROBE_REFUTED, "2 of 2 creators won in round 1");
	assert_int_equal(p->probe.class, BUCKET_RAW);
	assert_int_equal(count_names(p), 0);
	store_stop(&store);
}

static void test_an_s3_store_is_also_tried_with_slow_bodies_and_its_clock(void **state)
{
	struct place *p = *state;
	struct store_process store;
	char url[256];

	store_start(&store);
	bucket_close(p->bucket);
	snprintf(url, sizeof(url), "s3://bucket?endpoint=http://127.0.0.1:%d", store.control->port);
	open_bucket(p, url);
	store.control->clock_ahead_ms = 90 * 1000;
	uint64_t begin_ms = clock_now_ms();
	assert_int_equal(run(p), OK);
	assert_true(clock_now_ms() - begin_ms >= 2 * PROBE_HOLD_MS);
	assert_finding(p, PROBE_SLOW_RACE, PROBE_PASSED, "held back for 2 s");
	assert_finding(p, PROBE_CLOCK, PROBE_REFUTED, "ahead of ours");
	assert_finding(p, PROBE_RANGE, PROBE_PASSED, "in parts too; checksums come back");
	assert_true(p->probe.is_usable);
	assert_int_equal(p->probe.class, BUCKET_CAS);
	assert_int_equal(count_names(p), 0);
	store_stop(&store);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_bucket_without_flaws_is_cas_and_clean_afterwards),
		TEST(test_a_bucket_opened_as_raw_is_tried_all_the_same_and_stays_raw),
		TEST(test_a_condition_that_is_refused_makes_it_raw),
		TEST(test_a_condition_that_is_ignored_makes_it_raw),
		TEST(test_a_condition_that_is_looked_at_too_early_loses_the_race),
		TEST(test_a_bucket_that_remembers_what_was_not_there_is_not_to_be_used),
		TEST(test_a_list_that_comes_late_is_not_to_be_used),
		TEST(test_damaged_bytes_are_not_to_be_used),
		TEST(test_what_cannot_be_listed_is_not_to_be_used_and_says_why),
		TEST(test_a_bucket_that_cannot_be_written_or_read_is_an_error),
		TEST(test_what_cannot_be_removed_is_counted),
		TEST(test_whatever_fails_it_ends_and_nothing_is_left),
		TEST(test_a_stop_at_any_moment_leaves_nothing),
		TEST(test_a_store_that_looks_before_the_body_has_come_loses_the_slow_race),
		TEST(test_an_s3_store_is_also_tried_with_slow_bodies_and_its_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
