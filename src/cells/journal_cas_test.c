/* Buckets that create if absent: slots and seals, as traces (journal_testing.h). */
#include "cells/journal_testing.h"

static struct blob *seal_of(uint64_t counter, uint64_t sequence)
{
	struct journal_object o = {
		.kind = JOURNAL_OBJECT_SEAL,
		.epoch = { counter, 7 },
		.sequence = sequence,
	};

	return journal_object_encode(&o);
}

static struct blob *start_that_creates(void)
{
	struct journal_object o = {
		.kind = JOURNAL_OBJECT_START,
		.epoch = { 1, 7 },
		.bucket_count = 1,
		.classes = { JOURNAL_CAS },
	};

	return journal_object_encode(&o);
}

static void lead(struct bench *b)
{
	bench_init_class(b, 1, JOURNAL_CAS);
	assert_int_equal(campaign(b), OK);
	listed(b, "list 0 epoch/", "");
	done(b, "put 0 epoch/1!", OK);
	listed(b, "list 0 epoch/", "epoch/1!");
	done(b, "put 0 e/1/s", OK);
	done(b, "get 0 e/1/fence", ERR_NOT_FOUND);
	buf_clear(&b->trace);
}

/* Leads two buckets; number 2 comes to it, empty, after one record was committed. */
static void lead_with_a_late_bucket(struct bench *b)
{
	bench_init_class(b, 3, JOURNAL_CAS);
	assert_int_equal(campaign(b), OK);
	done(b, "list 2 epoch/", ERR_UNAVAILABLE);
	listed(b, "list 0 epoch/", "");
	listed(b, "list 1 epoch/", "");
	for (int k = 0; k < 2; k++) {
		char line[LINE_BYTES];
		snprintf(line, sizeof(line), "put %d epoch/1!", k);
		done(b, line, OK);
		snprintf(line, sizeof(line), "list %d epoch/", k);
		listed(b, line, "epoch/1!");
	}
	done(b, "put 0 e/1/s", OK);
	done(b, "put 1 e/1/s", OK);
	done(b, "get 0 e/1/fence", ERR_NOT_FOUND);
	done(b, "get 1 e/1/fence", ERR_NOT_FOUND);
	assert_int_equal(append(b, "a"), OK);
	done(b, "put new 0 e/1/#1", OK);
	done(b, "put new 1 e/1/#1", OK);
	assert_int_equal(journal_committed(b->journal), 1);
	assert_int_equal(tick(b), OK);
	done(b, "put 2 epoch/1!", OK);
	listed(b, "list 2 epoch/", "epoch/1!");
	done(b, "put 2 e/1/s", OK);
	done(b, "get 2 e/1/fence", ERR_NOT_FOUND);
	buf_clear(&b->trace);
}

/* A candidate that is about to seal the slots of epoch 1. */
static void find_epoch_one(struct bench *b, enum journal_class class)
{
	bench_init_class(b, 1, class);
	assert_int_equal(campaign(b), OK);
	listed(b, "list 0 epoch/", "epoch/1!");
	done(b, class == JOURNAL_CAS ? "put 0 epoch/2!" : "put 0 epoch/2", OK);
	listed(b, "list 0 epoch/", "epoch/1!");
	done(b, "put 0 e/1/fence", OK);
	buf_clear(&b->trace);
	done(b, "get 0 e/1/s", ERR_CORRUPT); /* that it is there is enough to know */
}

/* --- leading ---------------------------------------------------------------------------------- */
static void test_a_create_counts_at_once_if_those_before_it_succeeded(void **state)
{
	struct bench b;

	(void)state;
	lead(&b);
	assert_int_equal(append(&b, "a"), OK);
	assert_int_equal(append(&b, "b"), OK);
	assert_int_equal(append(&b, "c"), OK);
	expect(&b, "put new 0 e/1/#1\nput new 0 e/1/#2\nput new 0 e/1/#3\n");
	done(&b, "put new 0 e/1/#2", OK);
	expect(&b, "");
	done(&b, "put new 0 e/1/#1", OK);
	expect(&b, "committed 2\n");
	done(&b, "put new 0 e/1/#3", OK);
	expect(&b, "committed 3\n");
	bench_done(&b);
}

static void test_a_slot_that_was_taken_is_read(void **state)
{
	struct bench b;

	(void)state;
	lead(&b);
	assert_int_equal(append(&b, "a"), OK);
	assert_int_equal(append(&b, "b"), OK);
	buf_clear(&b.trace);
	done(&b, "put new 0 e/1/#1", ERR_EXISTS); /* the answer to an earlier try was lost */
	expect(&b, "get 0 e/1/#1\n");
	found_and_dropped(&b, "get 0 e/1/#1", record_of(1, 1, 0, 0, "a"));
	expect(&b, "committed 1\n");
	done(&b, "put new 0 e/1/#2", ERR_EXISTS);
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/#2", seal_of(1, 2));
	expect(&b, "lost: sealed on bucket 0\n");
	bench_done(&b);
}

static void test_a_leader_that_slept_looks_for_fence_and_marks_before_a_create_counts(void **state)
{
	struct bench b;

	(void)state;
	lead(&b);
	assert_int_equal(append(&b, "a"), OK);
	buf_clear(&b.trace);
	b.now_ms += 8ull * 24 * 3600 * 1000; /* fence and seal may have been deleted by now */
	done(&b, "put new 0 e/1/#1", OK);
	expect(&b, "get 0 e/1/fence\n");
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "list 0 epoch/ after epoch/1!\n");
	listed(&b, "list 0 epoch/ after epoch/1!", "epoch/2!");
	expect(&b, "lost: bucket 0 has the mark of a higher epoch\n");
	bench_done(&b);
}

/* The look at the marks grows old between two answers that come in the wrong order. */
static void test_a_create_that_waited_for_one_before_it_is_not_forgotten(void **state)
{
	struct bench b;

	(void)state;
	lead(&b);
	assert_int_equal(append(&b, "a"), OK);
	assert_int_equal(append(&b, "b"), OK);
	done(&b, "put new 0 e/1/#2", OK);
	b.now_ms += 61ull * 60 * 1000;
	done(&b, "put new 0 e/1/#1", OK);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	listed(&b, "list 0 epoch/ after epoch/1!", "");
	buf_clear(&b.trace);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "committed 2\n");
	bench_done(&b);
}

/* What was created in an earlier life of the lane counts in this one, too. */
static void test_a_create_that_did_not_count_is_counted_after_the_bucket_was_away(void **state)
{
	struct bench b;

	(void)state;
	lead(&b);
	assert_int_equal(append(&b, "a"), OK);
	b.now_ms += 61ull * 60 * 1000;
	done(&b, "put new 0 e/1/#1", OK);
	done(&b, "get 0 e/1/fence", ERR_UNAVAILABLE);
	assert_int_equal(tick(&b), OK);
	done(&b, "put 0 epoch/1!", OK);
	listed(&b, "list 0 epoch/", "epoch/1!");
	done(&b, "put 0 e/1/s", OK);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	done(&b, "put new 0 e/1/#1", ERR_EXISTS);
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/#1", record_of(1, 1, 0, 0, "a"));
	expect(&b, "committed 1\n");
	bench_done(&b);
}

static void test_a_leader_that_appends_looks_for_its_fence_now_and_then(void **state)
{
	struct bench b;

	(void)state;
	lead(&b);
	assert_int_equal(tick(&b), OK);
	expect(&b, "");
	assert_int_equal(append(&b, "a"), OK);
	done(&b, "put new 0 e/1/#1", OK);
	buf_clear(&b.trace);
	assert_int_equal(tick(&b), OK);
	expect(&b, "get 0 e/1/fence\n");
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	assert_int_equal(tick(&b), OK);
	expect(&b, "");
	bench_done(&b);
}

static void test_the_only_bucket_is_trusted_again_when_it_comes_back(void **state)
{
	struct bench b;

	(void)state;
	lead(&b);
	assert_int_equal(append(&b, "a"), OK);
	done(&b, "put new 0 e/1/#1", ERR_UNKNOWN);
	assert_int_equal(tick(&b), OK);
	done(&b, "put 0 epoch/1!", OK);
	listed(&b, "list 0 epoch/", "epoch/1!");
	done(&b, "put 0 e/1/s", OK);
	buf_clear(&b.trace);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "put new 0 e/1/#1\n");
	done(&b, "put new 0 e/1/#1", OK);
	expect(&b, "committed 1\n");
	bench_done(&b);
}

static void test_a_bucket_with_a_gap_is_asked_for_the_fence(void **state)
{
	struct bench b;

	(void)state;
	lead_with_a_late_bucket(&b);
	assert_int_equal(append(&b, "b"), OK);
	buf_clear(&b.trace);
	done(&b, "put new 2 e/1/#2", OK);
	expect(&b, "get 2 e/1/fence\n");
	bench_done(&b);
}

/* --- sealing ---------------------------------------------------------------------------------- */
static void test_a_candidate_seals_the_first_free_slot_and_looks_at_the_floors_again(void **state)
{
	struct bench b;

	(void)state;
	find_epoch_one(&b, JOURNAL_CAS);
	expect(&b, "list 0 e/1/at/\n");
	listed(&b, "list 0 e/1/at/", "e/1/at/4");
	expect(&b, "list 0 e/1/ after e/1/#4\n");
	listed(&b, "list 0 e/1/ after e/1/#4", "e/1/#5 e/1/#7 e/1/s");
	expect(&b, "get 0 e/1/#5\n");
	found_and_dropped(&b, "get 0 e/1/#5", record_of(1, 5, 0, 0, "e"));
	expect(&b, "put new 0 e/1/#6\n");
	done(&b, "put new 0 e/1/#6", ERR_EXISTS); /* the leader was quicker */
	expect(&b, "list 0 e/1/ after e/1/#6\n");
	listed(&b, "list 0 e/1/ after e/1/#6", "e/1/#7 e/1/s");
	done(&b, "get 0 e/1/#7", ERR_NOT_FOUND);
	done(&b, "put new 0 e/1/#8", OK);
	expect(&b, "get 0 e/1/#7\nput new 0 e/1/#8\nlist 0 e/1/at/\n");
	listed(&b, "list 0 e/1/at/", "e/1/at/9"); /* it was not free: it was trimmed */
	expect(&b, "list 0 e/1/ after e/1/#9\n");
	listed(&b, "list 0 e/1/ after e/1/#9", "e/1/#10 e/1/s");
	done(&b, "get 0 e/1/#10", ERR_CORRUPT);
	done(&b, "put new 0 e/1/#11", OK);
	listed(&b, "list 0 e/1/at/", "e/1/at/9");
	buf_clear(&b.trace);
	/* joined: our own seal is no record */
	listed(&b, "list 0 e/1/at/", "e/1/at/9");
	listed(&b, "list 0 e/1/ after e/1/#8", "e/1/#9 e/1/#10 e/1/#11 e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_that_creates());
	expect(&b, "list 0 e/1/ after e/1/#8\nget 0 e/1/s\nget 0 e/1/#10\n");
	bench_done(&b);
}

static void test_a_seal_that_is_there_is_enough_unless_it_was_trimmed_around(void **state)
{
	struct bench b;

	(void)state;
	find_epoch_one(&b, JOURNAL_CAS);
	listed(&b, "list 0 e/1/at/", "");
	listed(&b, "list 0 e/1/", "e/1/#1 e/1/#2 e/1/s");
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/#2", seal_of(1, 2));
	expect(&b, "list 0 e/1/at/\n");
	listed(&b, "list 0 e/1/at/", "e/1/at/3"); /* it came late, to a name that was free again */
	expect(&b, "list 0 e/1/ after e/1/#3\n");
	listed(&b, "list 0 e/1/ after e/1/#3", "e/1/#4 e/1/s");
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/#4", seal_of(1, 4));
	listed(&b, "list 0 e/1/at/", "e/1/at/3");
	listed(&b, "list 0 e/1/at/", "e/1/at/3");
	listed(&b, "list 0 e/1/ after e/1/#2", "e/1/#3 e/1/#4 e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_that_creates());
	expect(&b, "list 0 e/1/at/\nlist 0 e/1/at/\nlist 0 e/1/ after e/1/#2\nget 0 e/1/s\n"
		   "get 0 e/1/#3\n");
	bench_done(&b);
}

static void test_the_seal_of_another_candidate_ends_the_log(void **state)
{
	struct bench b;

	(void)state;
	find_epoch_one(&b, JOURNAL_CAS);
	listed(&b, "list 0 e/1/at/", "");
	listed(&b, "list 0 e/1/", "e/1/#1 e/1/#2 e/1/#3 e/1/s"); /* the seal is number 2 */
	found_and_dropped(&b, "get 0 e/1/#3", record_of(1, 3, 0, 0, "c"));
	done(&b, "put new 0 e/1/#4", OK);
	listed(&b, "list 0 e/1/at/", "");
	listed(&b, "list 0 e/1/at/", "");
	listed(&b, "list 0 e/1/", "e/1/#1 e/1/#2 e/1/#3 e/1/#4 e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_that_creates());
	found_and_dropped(&b, "get 0 e/1/#3", record_of(1, 3, 0, 0, "c"));
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/#2", seal_of(1, 2));
	expect(&b, "get 0 e/1/c#2\n");
	done(&b, "get 0 e/1/c#2", ERR_NOT_FOUND);
	found_and_dropped(&b, "get 0 e/1/#1", record_of(1, 1, 0, 0, "a"));
	expect(&b, "record 1 a\nput 0 e/1/s\nput 0 e/1/c#1\n");
	bench_done(&b);
}

static void test_a_copy_stands_for_a_record_whose_name_is_sealed(void **state)
{
	struct bench b;

	(void)state;
	find_epoch_one(&b, JOURNAL_CAS);
	listed(&b, "list 0 e/1/at/", "");
	listed(&b, "list 0 e/1/", "e/1/#1 e/1/#2 e/1/c#1 e/1/s");
	found_and_dropped(&b, "get 0 e/1/#2", seal_of(1, 2));
	listed(&b, "list 0 e/1/at/", "");
	listed(&b, "list 0 e/1/at/", "");
	listed(&b, "list 0 e/1/", "e/1/#1 e/1/#2 e/1/c#1 e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_that_creates());
	found_and_dropped(&b, "get 0 e/1/#1", seal_of(1, 1));
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/c#1", record_of(1, 1, 0, 0, "a"));
	expect(&b, "adopted snapshot 0, log to 1\nget 0 e/1/#1\n");
	bench_done(&b);
}

static void test_nothing_is_sealed_where_the_last_leader_did_not_create(void **state)
{
	struct bench b;

	(void)state;
	bench_init_class(&b, 1, JOURNAL_CAS);
	assert_int_equal(campaign(&b), OK);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/2!");
	done(&b, "put 0 epoch/3!", OK);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/2!");
	done(&b, "put 0 e/2/fence", OK);
	done(&b, "put 0 e/1/fence", OK);
	done(&b, "get 0 e/2/s", ERR_NOT_FOUND); /* never began, and now it cannot */
	buf_clear(&b.trace);
	done(&b, "get 0 e/1/s", ERR_CORRUPT);
	expect(&b, "list 0 e/1/at/\n");
	listed(&b, "list 0 e/1/at/", "");
	expect(&b, "list 0 e/1/\n");
	listed(&b, "list 0 e/1/", "");
	expect(&b, "get 0 e/1/s\n"); /* the start record, to recover from */
	bench_done(&b);
}

static void test_a_node_that_does_not_trust_creates_says_so(void **state)
{
	struct bench b;

	(void)state;
	find_epoch_one(&b, JOURNAL_RAW);
	listed(&b, "list 0 e/1/at/", "");
	listed(&b, "list 0 e/1/", "");
	buf_clear(&b.trace);
	done(&b, "put new 0 e/1/#1", ERR_UNSUPPORTED);
	expect(&b, "failed, invalid: epoch 00000000000000010000000000000007 relies on "
		   "create-if-absent in bucket 0, which is configured here as class raw; use the "
		   "same class on all nodes\n");
	bench_done(&b);
}

static void test_a_mark_of_both_classes_is_sealed(void **state)
{
	struct bench b;

	(void)state;
	bench_init_class(&b, 1, JOURNAL_CAS);
	assert_int_equal(campaign(&b), OK);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/1!");
	done(&b, "put 0 epoch/2!", OK);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/1!");
	done(&b, "put 0 e/1/fence", OK);
	buf_clear(&b.trace);
	done(&b, "get 0 e/1/s", ERR_CORRUPT);
	expect(&b, "list 0 e/1/at/\n");
	bench_done(&b);
}

/* --- trim ------------------------------------------------------------------------------------- */
static enum err trim(struct bench *b)
{
	struct journal_event event = { .kind = JOURNAL_TRIM,
				       .trim = { 1000, 7ull * 24 * 3600 * 1000 } };

	return feed(b, &event);
}

static void test_a_slot_stays_until_a_floor_covers_it(void **state)
{
	static const char names[] = "e/1/#1 e/1/#2 e/1/at/1 e/1/s";
	struct bench b;

	(void)state;
	lead(&b);
	assert_int_equal(append(&b, "a"), OK);
	done(&b, "put new 0 e/1/#1", OK);
	assert_int_equal(take_snapshot(&b, 1), OK);
	assert_int_equal(append(&b, "b"), OK);
	done(&b, "put new 0 e/1/#2", OK);
	b.now_ms += 2000;
	for (int floor_is_there = 0; floor_is_there < 2; floor_is_there++) {
		assert_int_equal(trim(&b), OK);
		listed(&b, "list 0 epoch/", "epoch/1!");
		buf_clear(&b.trace);
		listed(&b, "list 0 e/", names);
		expect(&b, floor_is_there ? "delete 0 e/1/#1\n" : "list 0 e/\n");
		if (floor_is_there)
			break;
		listed(&b, "list 0 e/", names); /* the fences */
		done(&b, "put 0 e/1/at/1", OK);
	}
	bench_done(&b);
}

static void test_slots_of_lower_epochs_stay_as_long_as_fences(void **state)
{
	static const char names[] = "e/1/#1 e/1/c#1 e/1/fence e/1/s e/2/s";
	static const uint64_t days_ms = 24ull * 3600 * 1000;
	struct bench b;

	(void)state;
	find_epoch_one(&b, JOURNAL_CAS);
	listed(&b, "list 0 e/1/at/", "");
	listed(&b, "list 0 e/1/", "e/1/s");
	done(&b, "put new 0 e/1/#1", OK);
	listed(&b, "list 0 e/1/at/", "");
	listed(&b, "list 0 e/1/at/", "");
	listed(&b, "list 0 e/1/", "e/1/#1 e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_that_creates());
	done(&b, "put 0 e/1/s", OK);
	done(&b, "put 0 e/2/s", OK);
	done(&b, "get 0 e/2/fence", ERR_NOT_FOUND);
	b.now_ms += days_ms;
	assert_int_equal(trim(&b), OK);
	listed(&b, "list 0 epoch/", "epoch/2!");
	buf_clear(&b.trace);
	listed(&b, "list 0 e/", names);
	expect(&b, "delete 0 e/1/c#1\ndelete 0 e/1/s\n");
	done(&b, "delete 0 e/1/c#1", OK);
	done(&b, "delete 0 e/1/s", OK);
	listed(&b, "list 0 e/", names); /* the fences */
	b.now_ms += 7 * days_ms;
	assert_int_equal(trim(&b), OK);
	listed(&b, "list 0 epoch/", "epoch/2!");
	buf_clear(&b.trace);
	listed(&b, "list 0 e/", names);
	expect(&b, "delete 0 e/1/#1\ndelete 0 e/1/c#1\ndelete 0 e/1/s\n");
	bench_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_create_counts_at_once_if_those_before_it_succeeded),
		cmocka_unit_test(test_a_slot_that_was_taken_is_read),
		cmocka_unit_test(
			test_a_leader_that_slept_looks_for_fence_and_marks_before_a_create_counts),
		cmocka_unit_test(test_a_create_that_waited_for_one_before_it_is_not_forgotten),
		cmocka_unit_test(
			test_a_create_that_did_not_count_is_counted_after_the_bucket_was_away),
		cmocka_unit_test(test_a_leader_that_appends_looks_for_its_fence_now_and_then),
		cmocka_unit_test(test_the_only_bucket_is_trusted_again_when_it_comes_back),
		cmocka_unit_test(test_a_bucket_with_a_gap_is_asked_for_the_fence),
		cmocka_unit_test(
			test_a_candidate_seals_the_first_free_slot_and_looks_at_the_floors_again),
		cmocka_unit_test(test_a_seal_that_is_there_is_enough_unless_it_was_trimmed_around),
		cmocka_unit_test(test_the_seal_of_another_candidate_ends_the_log),
		cmocka_unit_test(test_a_copy_stands_for_a_record_whose_name_is_sealed),
		cmocka_unit_test(test_nothing_is_sealed_where_the_last_leader_did_not_create),
		cmocka_unit_test(test_a_node_that_does_not_trust_creates_says_so),
		cmocka_unit_test(test_a_mark_of_both_classes_is_sealed),
		cmocka_unit_test(test_a_slot_stays_until_a_floor_covers_it),
		cmocka_unit_test(test_slots_of_lower_epochs_stay_as_long_as_fences),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
