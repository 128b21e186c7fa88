/* Elections and recovery, as traces (journal_testing.h). */
#include "cells/journal_testing.h"

/* --- elections -------------------------------------------------------------------------------- */
static void test_a_first_election_marks_lists_and_starts(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	assert_int_equal(campaign(&b), OK);
	expect(&b, "list 0 epoch/\n");
	listed(&b, "list 0 epoch/", "");
	expect(&b, "put 0 epoch/1\n");
	done(&b, "put 0 epoch/1", OK);
	expect(&b, "list 0 epoch/\n");
	listed(&b, "list 0 epoch/", "epoch/1");
	expect(&b, "adopted snapshot 0, log to 0\n"
		   "put 0 e/1/s\n");
	done(&b, "put 0 e/1/s", OK);
	expect(&b, "get 0 e/1/fence\n");
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "leads 1 from 0\n");
	assert_int_equal(journal_role(b.journal), JOURNAL_LEADING);
	assert_int_equal(journal_counting(b.journal), 1);
	bench_done(&b);
}

static void test_three_buckets_go_on_when_two_have_answered(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 3);
	assert_int_equal(campaign(&b), OK);
	listed(&b, "list 0 epoch/", "");
	expect(&b, "list 0 epoch/\nlist 1 epoch/\nlist 2 epoch/\n");
	listed(&b, "list 1 epoch/", "");
	expect(&b, "put 0 epoch/1\nput 1 epoch/1\n");
	done(&b, "put 0 epoch/1", OK);
	done(&b, "put 1 epoch/1", OK);
	listed(&b, "list 2 epoch/", "");
	expect(&b, "list 0 epoch/\nlist 1 epoch/\nput 2 epoch/1\n");
	listed(&b, "list 0 epoch/", "epoch/1");
	expect(&b, "");
	listed(&b, "list 1 epoch/", "epoch/1");
	expect(&b, "adopted snapshot 0, log to 0\nput 0 e/1/s\nput 1 e/1/s\n");
	done(&b, "put 0 e/1/s", OK);
	done(&b, "put 1 e/1/s", OK);
	done(&b, "get 0 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "get 0 e/1/fence\nget 1 e/1/fence\n");
	done(&b, "get 1 e/1/fence", ERR_NOT_FOUND);
	expect(&b, "leads 1 from 0\n");
	bench_done(&b);
}

static void test_a_higher_mark_ends_the_candidacy_and_the_next_one_is_above_it(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	assert_int_equal(campaign(&b), OK);
	listed(&b, "list 0 epoch/", "");
	done(&b, "put 0 epoch/1", OK);
	buf_clear(&b.trace);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/4");
	expect(&b, "failed, conflict: bucket 0 has the mark of a higher epoch\n");
	assert_int_equal(campaign(&b), OK);
	listed(&b, "list 0 epoch/ after epoch/4", "");
	expect(&b, "list 0 epoch/ after epoch/4\nput 0 epoch/5\n");
	bench_done(&b);
}

static void test_without_a_quorum_the_epoch_is_kept_for_the_next_try(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 3);
	assert_int_equal(campaign(&b), OK);
	listed(&b, "list 0 epoch/", "");
	listed(&b, "list 1 epoch/", "");
	done(&b, "put 0 epoch/1", OK);
	done(&b, "list 2 epoch/", ERR_UNAVAILABLE);
	buf_clear(&b.trace);
	done(&b, "put 1 epoch/1", ERR_UNKNOWN);
	expect(&b, "failed, unavailable: no quorum: 1 of 3 buckets answer\n");
	assert_int_equal(campaign(&b), OK);
	expect(&b, "put 0 epoch/1\nput 1 epoch/1\nput 2 epoch/1\n");
	bench_done(&b);
}

static void test_only_marks_down_to_the_newest_start_record_are_fenced(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	assert_int_equal(campaign(&b), OK);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/20");
	done(&b, "put 0 epoch/21", OK);
	buf_clear(&b.trace);
	listed(&b, "list 0 epoch/",
	       "epoch/1 epoch/2 epoch/3 epoch/4 epoch/5 epoch/6 epoch/7 epoch/8 epoch/9 epoch/10 "
	       "epoch/11 epoch/12 epoch/13 epoch/14 epoch/20 epoch/21");
	expect(&b, "put 0 e/20/fence\nput 0 e/14/fence\nput 0 e/13/fence\nput 0 e/12/fence\n"
		   "put 0 e/11/fence\nput 0 e/10/fence\nput 0 e/9/fence\nput 0 e/8/fence\n");
	for (unsigned e = 8; e <= 20; e += e == 14 ? 6 : 1) {
		char line[LINE_BYTES];
		snprintf(line, sizeof(line), "put 0 e/%u/fence", e);
		done(&b, line, OK);
	}
	expect(&b, "get 0 e/20/s\nget 0 e/14/s\nget 0 e/13/s\nget 0 e/12/s\n"
		   "get 0 e/11/s\nget 0 e/10/s\nget 0 e/9/s\nget 0 e/8/s\n");
	for (unsigned e = 8; e <= 20; e += e == 14 ? 6 : 1) {
		char line[LINE_BYTES];
		snprintf(line, sizeof(line), "get 0 e/%u/s", e);
		if (e == 12)
			found_and_dropped(&b, line, start_of(12));
		else
			done(&b, line, ERR_NOT_FOUND);
	}
	expect(&b, "list 0 e/12/at/\n"); /* 1 to 7 have been dead since 12 started */
	assert_string_equal(journal_holder(b.journal), "old:1");
	bench_done(&b);
}

/* --- recovery --------------------------------------------------------------------------------- */
static void test_a_takeover_replays_and_copies_what_may_not_be_on_a_quorum(void **state)
{
	struct bench b;

	(void)state;
	join_after_one(&b, "e/1/#1 e/1/#2 e/1/#3 e/1/fence e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_of(1));
	expect(&b, "get 0 e/1/#3\n");
	found_and_dropped(&b, "get 0 e/1/#3", record_of(1, 3, 2, 0, "c"));
	expect(&b, "adopted snapshot 0, log to 3\n"
		   "get 0 e/1/#1\nget 0 e/1/#2\nget 0 e/1/#3\n");
	found_and_dropped(&b, "get 0 e/1/#2", record_of(1, 2, 1, 0, "b"));
	expect(&b, "");
	found_and_dropped(&b, "get 0 e/1/#1", record_of(1, 1, 0, 0, "a"));
	expect(&b, "record 1 a\nrecord 2 b\n");
	found_and_dropped(&b, "get 0 e/1/#3", record_of(1, 3, 2, 0, "c"));
	expect(&b, "record 3 c\n"
		   "put 0 e/1/s\nput 0 e/1/c#3\n");
	done(&b, "put 0 e/1/c#3", OK);
	expect(&b, "");
	done(&b, "put 0 e/1/s", OK);
	expect(&b, "put 0 e/2/s\n");
	done(&b, "put 0 e/2/s", OK);
	done(&b, "get 0 e/2/fence", ERR_NOT_FOUND);
	expect(&b, "get 0 e/2/fence\nleads 2 from 3\n");
	bench_done(&b);
}

static void test_records_before_the_snapshot_may_be_gone(void **state)
{
	struct bench b;

	(void)state;
	join_after_one(&b, "e/1/#2 e/1/#4 e/1/#5 e/1/#7 e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_of(1));
	found_and_dropped(&b, "get 0 e/1/#7", record_of(1, 7, 4, 3, "g"));
	expect(&b, "get 0 e/1/#7\n"
		   "adopted snapshot 3, log to 5\n" /* 7 follows a gap: never committed */
		   "get 0 e/1/#4\nget 0 e/1/#5\n");
	bench_done(&b);
}

static void test_what_lies_below_a_floor_is_not_listed(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	assert_int_equal(campaign(&b), OK);
	listed(&b, "list 0 epoch/", "epoch/1");
	done(&b, "put 0 epoch/2", OK);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/2");
	done(&b, "put 0 e/1/fence", OK);
	done(&b, "get 0 e/1/s", ERR_CORRUPT);
	buf_clear(&b.trace);
	listed(&b, "list 0 e/1/at/", "e/1/at/40 e/1/at/50");
	expect(&b, "list 0 e/1/ after e/1/#49\n");
	listed(&b, "list 0 e/1/ after e/1/#49", "e/1/#51 e/1/#52 e/1/at/40 e/1/at/50 e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_of(1));
	/* the record that names the snapshot of the floor is there, as always before a trim */
	found_and_dropped(&b, "get 0 e/1/#52", record_of(1, 52, 51, 50, "z"));
	expect(&b, "get 0 e/1/s\nget 0 e/1/#52\n"
		   "adopted snapshot 50, log to 52\n"
		   "get 0 e/1/#51\nget 0 e/1/#52\n");
	bench_done(&b);
}

static void test_a_floor_without_a_newer_record_is_where_the_log_ends(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	assert_int_equal(campaign(&b), OK);
	listed(&b, "list 0 epoch/", "epoch/1");
	done(&b, "put 0 epoch/2", OK);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/2");
	done(&b, "put 0 e/1/fence", OK);
	done(&b, "get 0 e/1/s", ERR_CORRUPT);
	listed(&b, "list 0 e/1/at/", "e/1/at/3");
	listed(&b, "list 0 e/1/ after e/1/#2", "e/1/#3 e/1/at/3 e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_of(1));
	buf_clear(&b.trace);
	/* its own header still points to an older snapshot: the records after that are there */
	found_and_dropped(&b, "get 0 e/1/#3", record_of(1, 3, 2, 1, "c"));
	expect(&b, "adopted snapshot 1, log to 3\nget 0 e/1/#2\nget 0 e/1/#3\n");
	bench_done(&b);
}

/* A bucket that was copied back from an older copy of itself is whole, and too short. */
static void test_a_log_that_ends_before_a_known_record_is_refused(void **state)
{
	struct bench b;

	(void)state;
	join_after_one_knowing(&b, "e/1/#1 e/1/#2 e/1/s", 3);
	found_and_dropped(&b, "get 0 e/1/s", start_of(1));
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/#2", record_of(1, 2, 1, 0, "b"));
	expect(&b, "list 0 epoch/ after epoch/2\n"); /* or are we only late? */
	listed(&b, "list 0 epoch/ after epoch/2", "");
	expect(&b, "failed, corrupt: record 3 was committed, and the buckets end at record 2\n");
	bench_done(&b);
}

static void test_a_log_with_the_known_record_is_adopted(void **state)
{
	struct bench b;

	(void)state;
	join_after_one_knowing(&b, "e/1/#1 e/1/#2 e/1/s", 2);
	found_and_dropped(&b, "get 0 e/1/s", start_of(1));
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/#2", record_of(1, 2, 1, 0, "b"));
	expect(&b, "adopted snapshot 0, log to 2\nget 0 e/1/#1\nget 0 e/1/#2\n");
	bench_done(&b);
}

static void test_a_journal_that_is_gone_is_not_begun_anew_by_who_knew_it(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	assert_int_equal(campaign_knowing(&b, 5), OK);
	listed(&b, "list 0 epoch/", "");
	done(&b, "put 0 epoch/1", OK);
	buf_clear(&b.trace);
	listed(&b, "list 0 epoch/", "epoch/1");
	expect(&b, "list 0 epoch/ after epoch/1\n");
	listed(&b, "list 0 epoch/ after epoch/1", "");
	expect(&b, "failed, corrupt: record 5 was committed, and the buckets end at record 0\n");
	assert_int_equal(campaign(&b), OK); /* what was known then is not known now */
	bench_done(&b);
}

static void test_a_committed_record_that_is_missing_stops_the_election(void **state)
{
	struct bench b;

	(void)state;
	join_after_one(&b, "e/1/#1 e/1/#3 e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_of(1));
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/#3", record_of(1, 3, 2, 0, "c"));
	expect(&b, "list 0 epoch/ after epoch/2\n"); /* or are we only late? */
	listed(&b, "list 0 epoch/ after epoch/2", "");
	expect(&b, "failed, corrupt: record 000000000002 of epoch "
		   "00000000000000010000000000000007 is committed and missing\n");
	bench_done(&b);
}

static void test_a_corrupt_record_of_the_only_bucket_is_named_and_not_dropped(void **state)
{
	struct bench b;
	struct blob *rotten = record_of(1, 1, 0, 0, "a");

	(void)state;
	rotten->data[50] ^= 1;
	join_after_one(&b, "e/1/#1 e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_of(1));
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/#1", rotten);
	expect(&b, "get 0 e/1/c#1\n");
	done(&b, "get 0 e/1/c#1", ERR_NOT_FOUND);
	listed(&b, "list 0 epoch/ after epoch/2", "");
	expect(&b, "list 0 epoch/ after epoch/2\n"
		   "failed, corrupt: "
		   "v1/j/main/e/00000000000000010000000000000007/000000000/001 is corrupt\n");
	assert_int_equal(campaign(&b), OK);
	expect(&b, "put 0 epoch/2\n"); /* however often: no new mark */
	bench_done(&b);
}

static void test_a_record_with_the_index_of_another_is_named(void **state)
{
	struct bench b;
	struct journal_object o = {
		.kind = JOURNAL_OBJECT_RECORD,
		.epoch = { 1, 7 },
		.sequence = 1,
		.index = 100,
		.payload = SLICE("a"),
	};

	(void)state;
	join_after_one(&b, "e/1/#1 e/1/#2 e/1/s");
	found_and_dropped(&b, "get 0 e/1/s", start_of(1));
	found_and_dropped(&b, "get 0 e/1/#2", record_of(1, 2, 1, 0, "b"));
	buf_clear(&b.trace);
	found_and_dropped(&b, "get 0 e/1/#1", journal_object_encode(&o));
	listed(&b, "list 0 epoch/ after epoch/2", "");
	expect(&b, "list 0 epoch/ after epoch/2\n"
		   "failed, corrupt: record 1 has the wrong index\n");
	bench_done(&b);
}

static void test_a_late_candidate_does_not_call_a_trimmed_log_damaged(void **state)
{
	struct bench b;

	(void)state;
	join_after_one(&b, "e/1/#1 e/1/s");
	done(&b, "get 0 e/1/s", ERR_NOT_FOUND);
	listed(&b, "list 0 epoch/ after epoch/2", "epoch/3");
	expect(&b, "list 0 epoch/ after epoch/2\n"
		   "failed, conflict: bucket 0 has the mark of a higher epoch\n");
	bench_done(&b);
}

/* A leader that wins and dies, again and again, does not make the chain longer. */
static void test_an_epoch_without_records_is_left_out_of_the_chain(void **state)
{
	struct journal_object second = {
		.kind = JOURNAL_OBJECT_START,
		.epoch = { 2, 7 },
		.previous_epoch = { 1, 7 },
		.previous_sequence = 1,
		.previous_checksum = 77,
		.base_index = 1,
		.bucket_count = 1,
	};
	struct journal_object start;
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	assert_int_equal(campaign(&b), OK);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/2");
	done(&b, "put 0 epoch/3", OK);
	listed(&b, "list 0 epoch/", "epoch/1 epoch/2 epoch/3");
	done(&b, "put 0 e/2/fence", OK);
	done(&b, "put 0 e/1/fence", OK);
	done(&b, "get 0 e/2/s", ERR_CORRUPT); /* that it is there is enough to know */
	done(&b, "get 0 e/1/s", ERR_CORRUPT);
	listed(&b, "list 0 e/2/at/", "");
	listed(&b, "list 0 e/2/", "e/2/s");
	found_and_dropped(&b, "get 0 e/2/s", journal_object_encode(&second));
	found_and_dropped(&b, "get 0 e/1/s", start_of(1));
	found_and_dropped(&b, "get 0 e/1/#1", record_of(1, 1, 0, 0, "a"));
	done(&b, "put 0 e/2/s", OK);
	struct blob *body = written(&b, "put 0 e/3/s");
	assert_int_equal(journal_object_decode(blob_slice(body), JOURNAL_OBJECT_START, &start), OK);
	assert_int_equal(start.base_index, 1);
	assert_int_equal(start.previous_epoch.counter, 1);
	assert_int_equal(start.previous_sequence, 1);
	assert_int_equal(start.previous_checksum, 77);
	blob_unref(&body);
	bench_done(&b);
}

static void test_a_newer_format_stops_the_election(void **state)
{
	struct bench b;
	struct blob *newer = start_of(1);

	(void)state;
	newer->data[5] = 9;
	journal_object_seal(newer);
	join_after_one(&b, "");
	found_and_dropped(&b, "get 0 e/1/s", newer);
	expect(&b, "failed, unsupported: "
		   "v1/j/main/e/00000000000000010000000000000007/s has a newer format\n");
	bench_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_first_election_marks_lists_and_starts),
		cmocka_unit_test(test_three_buckets_go_on_when_two_have_answered),
		cmocka_unit_test(
			test_a_higher_mark_ends_the_candidacy_and_the_next_one_is_above_it),
		cmocka_unit_test(test_without_a_quorum_the_epoch_is_kept_for_the_next_try),
		cmocka_unit_test(test_only_marks_down_to_the_newest_start_record_are_fenced),
		cmocka_unit_test(test_a_takeover_replays_and_copies_what_may_not_be_on_a_quorum),
		cmocka_unit_test(test_records_before_the_snapshot_may_be_gone),
		cmocka_unit_test(test_what_lies_below_a_floor_is_not_listed),
		cmocka_unit_test(test_a_floor_without_a_newer_record_is_where_the_log_ends),
		cmocka_unit_test(test_a_log_that_ends_before_a_known_record_is_refused),
		cmocka_unit_test(test_a_log_with_the_known_record_is_adopted),
		cmocka_unit_test(test_a_journal_that_is_gone_is_not_begun_anew_by_who_knew_it),
		cmocka_unit_test(test_a_committed_record_that_is_missing_stops_the_election),
		cmocka_unit_test(test_a_corrupt_record_of_the_only_bucket_is_named_and_not_dropped),
		cmocka_unit_test(test_a_record_with_the_index_of_another_is_named),
		cmocka_unit_test(test_a_late_candidate_does_not_call_a_trimmed_log_damaged),
		cmocka_unit_test(test_an_epoch_without_records_is_left_out_of_the_chain),
		cmocka_unit_test(test_a_newer_format_stops_the_election),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
