/* Leading, absent buckets and trim, as traces (journal_testing.h). */
#include "cells/journal_testing.h"

/* --- leading ---------------------------------------------------------------------------------- */
static void test_a_record_counts_after_a_fence_check_that_began_after_its_put(void **state)
{
	struct bench b;

	(void)state;
	lead_one(&b);
	assert_int_equal(append(&b, "a"), OK);
	assert_int_equal(append(&b, "b"), OK);
	expect(&b, "put 0 e/1/#1\nput 0 e/1/#2\n");
	done(&b, "put 0 e/1/#1", OK);
	expect(&b, "get 0 e/1/fence\n");
	done(&b, "put 0 e/1/#2", OK); /* too late for this check */
	expect(&b, "");
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "committed 1\nget 0 e/1/fence\n");
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "committed 2\n");
	bench_done(&b);
}

static void test_one_check_confirms_several_records_and_they_commit_in_order(void **state)
{
	struct bench b;

	(void)state;
	lead_two_of_three(&b);
	assert_int_equal(append(&b, "a"), OK);
	assert_int_equal(append(&b, "b"), OK);
	expect(&b, "put 0 e/1/#1\nput 1 e/1/#1\nput 0 e/1/#2\nput 1 e/1/#2\n");
	done(&b, "put 0 e/1/#2", OK);
	done(&b, "put 1 e/1/#2", OK);
	done(&b, "put 1 e/1/#1", OK);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	done(&b, "get 1 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "get 0 e/1/fence\nget 1 e/1/fence\nget 1 e/1/fence\n");
	done(&b, "get 1 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "");
	done(&b, "put 0 e/1/#1", OK);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "get 0 e/1/fence\ncommitted 2\n");
	bench_done(&b);
}

static void test_a_fence_ends_it_and_nothing_is_accepted_any_more(void **state)
{
	struct bench b;

	(void)state;
	lead_one(&b);
	assert_int_equal(append(&b, "a"), OK);
	assert_int_equal(append(&b, "b"), OK);
	done(&b, "put 0 e/1/#1", OK);
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/fence", start_of(1)); /* whatever it holds */
	expect(&b, "lost: fenced on bucket 0\n");
	assert_int_equal(append(&b, "c"), ERR_CONFLICT);
	assert_int_equal(check(&b, 1), ERR_CONFLICT);
	done(&b, "put 0 e/1/#2", OK); /* comes back too late */
	expect(&b, "");
	assert_int_equal(journal_role(b.journal), JOURNAL_IDLE);
	bench_done(&b);
}

static void test_a_check_is_answered_by_a_get_that_began_after_it(void **state)
{
	struct bench b;

	(void)state;
	lead_one(&b);
	assert_int_equal(check(&b, 1), OK);
	assert_int_equal(check(&b, 2), OK);
	expect(&b, "get 0 e/1/fence\n");
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "checked 1\nget 0 e/1/fence\n");
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "checked 2\n");
	assert_int_equal(check(&b, 2), ERR_INVALID);
	bench_done(&b);
}

static void test_what_is_in_flight_is_bounded(void **state)
{
	struct bench b;

	(void)state;
	lead_one(&b);
	for (unsigned i = 0; i < JOURNAL_IN_FLIGHT_MAX; i++)
		assert_int_equal(append(&b, "x"), OK);
	assert_int_equal(append(&b, "x"), ERR_BUSY);
	done(&b, "put 0 e/1/#1", OK);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	assert_int_equal(append(&b, "x"), OK);
	assert_int_equal(journal_last_index(b.journal), JOURNAL_IN_FLIGHT_MAX + 1);
	bench_done(&b);
}

static void test_a_leader_that_slept_looks_at_the_marks_before_it_counts(void **state)
{
	struct bench b;

	(void)state;
	lead_one(&b);
	assert_int_equal(append(&b, "a"), OK);
	done(&b, "put 0 e/1/#1", OK);
	buf_clear(&b.trace);
	b.now_ms += 8ull * 24 * 3600 * 1000; /* the fence may have been deleted by now */
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "list 0 epoch/ after epoch/1\n");
	listed(&b, "list 0 epoch/ after epoch/1", "epoch/2");
	expect(&b, "lost: bucket 0 has the mark of a higher epoch\n");
	bench_done(&b);
}

static void test_the_only_bucket_may_fail_and_come_back(void **state)
{
	struct bench b;

	(void)state;
	lead_one(&b);
	assert_int_equal(append(&b, "a"), OK);
	done(&b, "put 0 e/1/#1", ERR_UNKNOWN);
	assert_int_equal(append(&b, "b"), OK);
	expect(&b, "put 0 e/1/#1\n");
	assert_int_equal(tick(&b), OK);
	expect(&b, "put 0 epoch/1\n");
	done(&b, "put 0 epoch/1", OK);
	listed(&b, "list 0 epoch/", "epoch/1");
	done(&b, "put 0 e/1/s", OK);
	buf_clear(&b.trace);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "put 0 e/1/#1\nput 0 e/1/#2\n");
	done(&b, "put 0 e/1/#1", OK);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "get 0 e/1/fence\ncommitted 1\n");
	bench_done(&b);
}

static void test_an_absent_bucket_is_filled_before_it_counts(void **state)
{
	struct bench b;

	(void)state;
	lead_two_of_three(&b);
	assert_int_equal(append(&b, "a"), OK);
	struct blob *first = written(&b, "put 0 e/1/#1");
	done(&b, "put 1 e/1/#1", OK);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	done(&b, "get 1 e/1/fence", ERR_NOT_FOUND);
	assert_int_equal(append(&b, "b"), OK);
	buf_clear(&b.trace);
	assert_int_equal(tick(&b), OK);
	expect(&b, "put 2 epoch/1\n");
	done(&b, "put 2 epoch/1", OK);
	listed(&b, "list 2 epoch/", "epoch/1");
	done(&b, "put 2 e/1/s", OK);
	buf_clear(&b.trace);
	done(&b, "get 2 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "put 2 e/1/#2\nlist 2 e/1/\n");
	done(&b, "put 2 e/1/#2", OK);
	done(&b, "get 2 e/1/fence", ERR_NOT_FOUND);
	done(&b, "put 0 e/1/#2", OK);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	assert_int_equal(journal_committed(b.journal), 1); /* 0 and 2 have it, 2 does not count */
	buf_clear(&b.trace);
	listed(&b, "list 2 e/1/", "e/1/#2 e/1/s");
	expect(&b, "get 1 e/1/#1\n");
	done(&b, "get 1 e/1/#1", ERR_CORRUPT);
	expect(&b, "get 1 e/1/c#1\n");
	done(&b, "get 1 e/1/c#1", ERR_NOT_FOUND);
	expect(&b, "get 0 e/1/#1\n");
	found_and_dropped(&b, "get 0 e/1/#1", first);
	expect(&b, "put 2 e/1/c#1\n");
	done(&b, "put 2 e/1/c#1", OK);
	expect(&b, "committed 2\n");
	assert_int_equal(journal_counting(b.journal), 7);
	bench_done(&b);
}

static void test_a_bucket_is_retried_soon_and_more_slowly_each_time(void **state)
{
	struct bench b;

	(void)state;
	lead_one(&b);
	assert_int_equal(journal_retry_wait_ms(b.journal), UINT64_MAX);
	assert_int_equal(append(&b, "a"), OK);
	done(&b, "put 0 e/1/#1", ERR_UNAVAILABLE);
	for (uint64_t wait_ms = 50; wait_ms < 5000; wait_ms *= 2) {
		uint64_t expected_ms =
			wait_ms < 2000 ? wait_ms : 2000; /* nothing goes without it */
		assert_int_equal(journal_retry_wait_ms(b.journal), expected_ms);
		b.now_ms += expected_ms - 1000;
		buf_clear(&b.trace);
		assert_int_equal(tick(&b), OK);
		expect(&b, "put 0 epoch/1\n");
		done(&b, "put 0 epoch/1", ERR_UNAVAILABLE);
	}
	bench_done(&b);

	lead_two_of_three(&b); /* the third one may wait */
	for (uint64_t wait_ms = 50; wait_ms < 64000; wait_ms *= 2) {
		b.now_ms += wait_ms < 30000 ? wait_ms - 1000 : 29000;
		buf_clear(&b.trace);
		assert_int_equal(tick(&b), OK);
		done(&b, "put 2 epoch/1", ERR_UNAVAILABLE);
	}
	assert_int_equal(journal_retry_wait_ms(b.journal), 30000);
	bench_done(&b);
}

/* --- trim ------------------------------------------------------------------------------------- */
static enum err trim(struct bench *b, uint64_t record_grace_ms, uint64_t fence_grace_ms)
{
	struct journal_event event = { .kind = JOURNAL_TRIM,
				       .trim = { record_grace_ms, fence_grace_ms } };

	return feed(b, &event);
}

static void commit(struct bench *b, const char *payload)
{
	char line[LINE_BYTES];

	assert_int_equal(append(b, payload), OK);
	snprintf(line, sizeof(line), "put 0 e/1/#%d", (int)journal_last_index(b->journal));
	done(b, line, OK);
	done(b, "get 0 e/1/fence", ERR_NOT_FOUND);
	buf_clear(&b->trace);
}

static void test_trim_deletes_what_an_announced_snapshot_covers(void **state)
{
	struct bench b;

	(void)state;
	lead_one(&b);
	commit(&b, "a");
	commit(&b, "b");
	assert_int_equal(take_snapshot(&b, 3), ERR_INVALID);
	assert_int_equal(take_snapshot(&b, 1), OK);
	commit(&b, "c"); /* carries the pointer */
	assert_int_equal(trim(&b, 5000, 10000), OK);
	listed(&b, "list 0 epoch/", "epoch/1");
	listed(&b, "list 0 e/", "e/1/#1 e/1/#2 e/1/#3 e/1/s");
	listed(&b, "list 0 e/", "e/1/#1 e/1/#2 e/1/#3 e/1/s");
	expect(&b, "list 0 epoch/\nlist 0 e/\nlist 0 e/\n"); /* too young */
	b.now_ms += 6000;
	assert_int_equal(trim(&b, 5000, 10000), OK);
	listed(&b, "list 0 epoch/", "epoch/1");
	listed(&b, "list 0 e/", "e/1/#1 e/1/#2 e/1/#3 e/1/s");
	expect(&b, "list 0 epoch/\nlist 0 e/\ndelete 0 e/1/#1\n");
	bench_done(&b);
}

static void test_fences_go_last_and_not_before_every_zombie_is_dead(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	assert_int_equal(campaign(&b), OK);
	listed(&b, "list 0 epoch/", "epoch/1");
	done(&b, "put 0 epoch/2", OK);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/2");
	done(&b, "put 0 e/1/fence", OK);
	done(&b, "get 0 e/1/s", ERR_NOT_FOUND);
	done(&b, "put 0 e/2/s", OK);
	done(&b, "get 0 e/2/fence", ERR_NOT_FOUND);
	b.now_ms += 6000;
	buf_clear(&b.trace);
	assert_int_equal(trim(&b, 5000, 10000), OK);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/2");
	expect(&b, "list 0 epoch/\ndelete 0 epoch/1\n");
	done(&b, "delete 0 epoch/1", OK);
	listed(&b, "list 0 e/", "e/1/#1 e/1/fence e/2/s");
	expect(&b, "list 0 e/\ndelete 0 e/1/#1\n");
	done(&b, "delete 0 e/1/#1", OK);
	listed(&b, "list 0 e/", "e/1/fence e/2/s");
	expect(&b, "list 0 e/\n");
	b.now_ms += 6000;
	assert_int_equal(trim(&b, 5000, 10000), OK);
	listed(&b, "list 0 epoch/", "epoch/2");
	listed(&b, "list 0 e/", "e/1/fence e/2/s");
	buf_clear(&b.trace);
	listed(&b, "list 0 e/", "e/1/fence e/2/s");
	expect(&b, "delete 0 e/1/fence\n");
	bench_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_record_counts_after_a_fence_check_that_began_after_its_put),
		cmocka_unit_test(test_one_check_confirms_several_records_and_they_commit_in_order),
		cmocka_unit_test(test_a_fence_ends_it_and_nothing_is_accepted_any_more),
		cmocka_unit_test(test_a_check_is_answered_by_a_get_that_began_after_it),
		cmocka_unit_test(test_what_is_in_flight_is_bounded),
		cmocka_unit_test(test_a_leader_that_slept_looks_at_the_marks_before_it_counts),
		cmocka_unit_test(test_the_only_bucket_may_fail_and_come_back),
		cmocka_unit_test(test_an_absent_bucket_is_filled_before_it_counts),
		cmocka_unit_test(test_a_bucket_is_retried_soon_and_more_slowly_each_time),
		cmocka_unit_test(test_trim_deletes_what_an_announced_snapshot_covers),
		cmocka_unit_test(test_fences_go_last_and_not_before_every_zombie_is_dead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
