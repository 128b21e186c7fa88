#include "streams/catalog/share_partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/random.h"
#include "wire/kafka/errors.h"

enum { LOCK_MS = 30000 };

static struct arena arena;
static struct share_partition p;

static int open_partition(void **state)
{
	(void)state;
	arena_init(&arena);
	share_partition_init(&p, &arena, 100);
	return 0;
}

static int close_partition(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

/* What `member` gets of the batch; the number of ranges. */
static size_t acquire(const char *member, int64_t now_ms, int64_t wanted, bool is_exact,
		      int64_t first, int64_t last, struct share_range **ret)
{
	struct share_acquired got = { 0 };
	struct share_acquire asks = { slice_from(member), now_ms, LOCK_MS, wanted, is_exact };

	share_partition_acquire(&p, &asks, first, last, &got);
	*ret = got.ranges;
	return got.count;
}

static void expect_one(const char *member, int64_t now_ms, int64_t first, int64_t last,
		       int deliveries)
{
	struct share_range *got;

	assert_int_equal(acquire(member, now_ms, 10000, false, first, last, &got), 1);
	assert_int_equal(got[0].first, first);
	assert_int_equal(got[0].last, last);
	assert_int_equal(got[0].deliveries, deliveries);
}

static int16_t say(const char *member, int64_t now_ms, int64_t first, int64_t last, int8_t answer)
{
	return share_partition_acknowledge(&p, slice_from(member), now_ms, LOCK_MS, first, last,
					   &answer, 1);
}

static void expect_next(int64_t now_ms, int64_t first, int64_t last)
{
	int64_t next_first, next_last;

	assert_true(share_partition_next(&p, now_ms, &next_first, &next_last));
	assert_int_equal(next_first, first);
	assert_int_equal(next_last, last);
}

static void test_what_is_accepted_at_the_start_is_forgotten(void **state)
{
	(void)state;
	expect_next(0, 100, INT64_MAX);
	expect_one("a", 0, 100, 109, 1);
	expect_next(0, 110, INT64_MAX);
	assert_int_equal(say("a", 0, 105, 109, SHARE_ACCEPT), KAFKA_NONE);
	assert_int_equal(p.start, 100);
	assert_int_equal(share_partition_done_count(&p), 5);
	assert_int_equal(say("a", 0, 100, 104, SHARE_REJECT), KAFKA_NONE);
	assert_int_equal(p.start, 110);
	assert_int_equal(p.count, 0);
	assert_int_equal(share_partition_end(&p), 110);
}

static void test_what_is_given_back_comes_again_and_counts(void **state)
{
	(void)state;
	struct share_range *got;

	for (int i = 1; i <= SHARE_DELIVERIES_MAX; i++) {
		expect_one("a", 0, 100, 109, i);
		assert_int_equal(acquire("b", 0, 100, false, 100, 109, &got), 0);
		assert_int_equal(say("a", 0, 100, 109, SHARE_RELEASE), KAFKA_NONE);
	}
	assert_int_equal(p.start, 110); /* five times were enough */
}

static void test_a_lock_ends_with_its_time(void **state)
{
	(void)state;
	expect_one("a", 0, 100, 109, 1);
	assert_int_equal(share_partition_deadline_ms(&p), LOCK_MS);
	expect_next(LOCK_MS - 1, 110, INT64_MAX);
	expect_next(LOCK_MS, 100, INT64_MAX);
	assert_int_equal(say("a", LOCK_MS, 100, 109, SHARE_ACCEPT), KAFKA_INVALID_RECORD_STATE);
	assert_false(share_partition_expire(&p, LOCK_MS - 1));
	assert_true(share_partition_expire(&p, LOCK_MS));
	expect_one("b", LOCK_MS, 100, 109, 2);
	assert_int_equal(say("a", LOCK_MS, 100, 109, SHARE_ACCEPT), KAFKA_INVALID_RECORD_STATE);
	assert_int_equal(say("b", LOCK_MS, 100, 109, SHARE_ACCEPT), KAFKA_NONE);
}

static void test_a_lock_is_renewed(void **state)
{
	(void)state;
	expect_one("a", 0, 100, 109, 1);
	assert_int_equal(say("a", LOCK_MS - 1, 100, 104, SHARE_RENEW), KAFKA_NONE);
	assert_true(share_partition_expire(&p, LOCK_MS));
	expect_next(LOCK_MS, 105, INT64_MAX);
	assert_int_equal(say("a", LOCK_MS, 100, 104, SHARE_ACCEPT), KAFKA_NONE);
	assert_int_equal(p.start, 105);
}

static void test_only_who_has_records_answers_for_them_and_all_or_nothing(void **state)
{
	(void)state;
	static const int8_t each[] = { SHARE_ACCEPT, SHARE_GAP, SHARE_RELEASE, SHARE_ACCEPT };

	expect_one("a", 0, 100, 103, 1);
	expect_one("b", 0, 104, 107, 1);
	assert_int_equal(say("a", 0, 100, 107, SHARE_ACCEPT), KAFKA_INVALID_RECORD_STATE);
	assert_int_equal(say("a", 0, 100, 108, SHARE_ACCEPT), KAFKA_INVALID_REQUEST);
	assert_int_equal(say("a", 0, 101, 100, SHARE_ACCEPT), KAFKA_INVALID_REQUEST);
	assert_int_equal(say("a", 0, 100, 103, 5), KAFKA_INVALID_REQUEST);
	assert_int_equal(say("a", 0, 100, 103, -1), KAFKA_INVALID_REQUEST);
	assert_int_equal(say("a", 0, 90, 99, SHARE_ACCEPT), KAFKA_NONE); /* long done */
	assert_int_equal(share_partition_acknowledge(&p, SLICE("a"), 0, LOCK_MS, 100, 103, each, 3),
			 KAFKA_INVALID_REQUEST);
	assert_int_equal(p.start, 100);
	assert_int_equal(share_partition_acknowledge(&p, SLICE("a"), 0, LOCK_MS, 100, 103, each, 4),
			 KAFKA_NONE);
	assert_int_equal(p.start, 102);
	expect_next(0, 102, 102);
	assert_int_equal(say("a", 0, 103, 103, SHARE_ACCEPT), KAFKA_INVALID_RECORD_STATE);
	assert_int_equal(say("b", 0, 104, 107, SHARE_ACCEPT), KAFKA_NONE);
}

static void test_what_nobody_has_seen_was_not_delivered(void **state)
{
	(void)state;
	struct share_range *got;

	for (int i = 0; i < 2 * SHARE_DELIVERIES_MAX; i++) {
		assert_int_equal(acquire("a", 0, 100, false, 100, 109, &got), 1);
		assert_int_equal(got[0].deliveries, 1);
		assert_true(share_partition_release(&p, SLICE("a")));
	}
	assert_false(share_partition_release(&p, SLICE("a")));
}

static bool give_back(const char *member, int64_t first, int64_t last, int16_t deliveries)
{
	struct share_range range = { .first = first, .last = last, .deliveries = deliveries };

	return share_partition_give_back(&p, slice_from(member), &range, 1);
}

static void test_only_what_is_named_and_still_held_from_then_goes_back(void **state)
{
	(void)state;
	struct share_range *got;

	assert_int_equal(acquire("a", 0, 100, false, 100, 119, &got), 1);
	assert_false(give_back("b", 100, 119, 1));
	assert_false(give_back("a", 100, 119, 2));
	assert_false(give_back("a", INT64_MIN, 99, 1));
	assert_false(give_back("a", 120, INT64_MAX, 1));
	assert_false(give_back("a", 110, 105, 1));
	assert_int_equal(p.count, 1);
	assert_true(give_back("a", INT64_MIN, 104, 1));
	assert_int_equal(p.count, 2);
	assert_int_equal(say("a", 0, 105, 109, SHARE_ACCEPT), KAFKA_NONE);
	assert_int_equal(acquire("b", 0, 100, false, 100, 104, &got), 1);
	assert_int_equal(got[0].deliveries, 1);
	assert_true(give_back("a", 100, INT64_MAX, 1));
	assert_int_equal(say("b", 0, 100, 104, SHARE_ACCEPT), KAFKA_NONE);
	assert_int_equal(p.start, 110);
	assert_int_equal(acquire("a", 0, 100, false, 110, 119, &got), 1);
	assert_int_equal(say("a", 0, 110, 119, SHARE_RELEASE), KAFKA_NONE);
	assert_int_equal(acquire("a", 0, 100, false, 110, 119, &got), 1);
	assert_false(give_back("a", 110, 119, 1)); /* that was another time */
	assert_true(give_back("a", 110, 119, 2));
}

static void test_batches_are_whole_unless_the_limit_is_exact(void **state)
{
	(void)state;
	struct share_range *got;

	assert_int_equal(acquire("a", 0, 3, false, 100, 109, &got), 1);
	assert_int_equal(got[0].last, 109);
	assert_int_equal(acquire("a", 0, 3, true, 110, 119, &got), 1);
	assert_int_equal(got[0].last, 112);
	assert_int_equal(say("a", 0, 100, 109, SHARE_RELEASE), KAFKA_NONE);
	assert_int_equal(acquire("b", 0, 4, true, 100, 109, &got), 1);
	assert_int_equal(got[0].last, 103);
	assert_int_equal(got[0].deliveries, 2);
	expect_next(0, 104, 109);
}

static void test_no_more_than_the_limit_is_in_flight(void **state)
{
	(void)state;
	struct share_range *got;
	int64_t first, last;

	assert_int_equal(acquire("a", 0, 10, false, 100, 9999, &got), 1);
	assert_int_equal(got[0].last, 100 + SHARE_RECORDS_IN_FLIGHT_MAX - 1);
	assert_false(share_partition_next(&p, 0, &first, &last));
	assert_int_equal(acquire("a", 0, 10, false, 2100, 9999, &got), 0);
	assert_int_equal(say("a", 0, 200, 209, SHARE_ACCEPT), KAFKA_NONE);
	expect_next(0, 2100, INT64_MAX);
	assert_int_equal(acquire("a", 0, 10, false, 2100, 9999, &got), 1);
	assert_int_equal(got[0].last, 2109);
	assert_int_equal(say("a", 0, 2109, 2109, SHARE_RELEASE), KAFKA_NONE);
	expect_next(0, 2109, 2109);
}

static void test_aborted_records_are_nobodys(void **state)
{
	(void)state;
	expect_one("a", 0, 100, 104, 1);
	share_partition_pass_over(&p, 105, 109);
	expect_one("a", 0, 110, 114, 1);
	assert_int_equal(say("a", 0, 100, 104, SHARE_ACCEPT), KAFKA_NONE);
	assert_int_equal(p.start, 110);
}

static void test_deleted_records_are_not_waited_for(void **state)
{
	(void)state;
	expect_one("a", 0, 100, 109, 1);
	assert_false(share_partition_move_start(&p, 100));
	assert_true(share_partition_move_start(&p, 105));
	assert_int_equal(say("a", 0, 100, 109, SHARE_ACCEPT), KAFKA_NONE);
	assert_int_equal(p.start, 110);
	assert_true(share_partition_move_start(&p, 200));
	expect_next(0, 200, INT64_MAX);
}

/* --- at random, against one state for each record ------------------------------------------------
 */

enum { MODEL = 400, MEMBERS = 3 };

static const char *const names[MEMBERS] = { "a", "b", "c" };

static struct record {
	bool is_done, is_known;
	int holder; /* -1: none */
	int64_t until_ms;
	int deliveries;
} model[MODEL];

static void model_give_back(struct record *r)
{
	r->holder = -1;
	r->is_done = r->deliveries >= SHARE_DELIVERIES_MAX;
}

static void model_expire(int64_t now_ms)
{
	for (size_t i = 0; i < MODEL; i++)
		if (model[i].is_known && !model[i].is_done && model[i].holder >= 0 &&
		    model[i].until_ms <= now_ms)
			model_give_back(&model[i]);
}

static void compare(void)
{
	int64_t start = 0;

	while (start < MODEL && model[start].is_done)
		start++;
	assert_int_equal(p.start, start);
	for (size_t i = 0; i < p.count; i++)
		for (int64_t at = p.ranges[i].first; at <= p.ranges[i].last; at++) {
			const struct record *r = &model[at];
			assert_true(r->is_known);
			assert_int_equal(p.ranges[i].state == SHARE_DONE, r->is_done);
			assert_int_equal(p.ranges[i].state == SHARE_ACQUIRED,
					 !r->is_done && r->holder >= 0);
			if (!r->is_done)
				assert_int_equal(p.ranges[i].deliveries, r->deliveries);
		}
	for (int64_t at = share_partition_end(&p); at < MODEL; at++)
		assert_false(model[at].is_known && !model[at].is_done);
}

static void acquire_at_random(struct prng *random, int member, int64_t now_ms)
{
	struct share_range *got;
	int64_t first, last;

	if (!share_partition_next(&p, now_ms, &first, &last) || first >= MODEL - 10)
		return;
	size_t count = acquire(names[member], now_ms, 1000, false, first,
			       first + (int64_t)prng_below(random, 10), &got);
	for (size_t i = 0; i < count; i++)
		for (int64_t at = got[i].first; at <= got[i].last; at++) {
			assert_false(model[at].is_done);
			assert_true(!model[at].is_known || model[at].holder < 0);
			model[at].is_known = true;
			model[at].holder = member;
			model[at].until_ms = now_ms + LOCK_MS;
			assert_int_equal(++model[at].deliveries, got[i].deliveries);
		}
}

static void answer_at_random(struct prng *random, int member, int64_t now_ms)
{
	int64_t first = (int64_t)prng_below(random, MODEL - 10);
	int64_t last = first + (int64_t)prng_below(random, 4);
	int8_t said = (int8_t)prng_below(random, 5);
	bool may = last < share_partition_end(&p);

	for (int64_t at = first; at <= last && may; at++)
		may = at < p.start ||
		      (!model[at].is_done && model[at].is_known && model[at].holder == member);
	bool is_old = last < p.start;
	assert_int_equal(say(names[member], now_ms, first, last, said) == KAFKA_NONE,
			 may || is_old);
	for (int64_t at = first; at <= last && may; at++) {
		if (model[at].is_done)
			continue;
		if (said == SHARE_RENEW)
			model[at].until_ms = now_ms + LOCK_MS;
		else if (said == SHARE_RELEASE)
			model_give_back(&model[at]);
		else
			model[at].is_done = true;
	}
}

static void release_at_random(struct prng *random, int member)
{
	if (prng_below(random, 20) > 0)
		return;
	(void)share_partition_release(&p, slice_from(names[member]));
	for (size_t i = 0; i < MODEL; i++)
		if (model[i].is_known && !model[i].is_done && model[i].holder == member) {
			model[i].holder = -1;
			model[i].deliveries--;
		}
}

static void test_ranges_are_what_each_record_is(void **state)
{
	struct prng random = { 7 };
	int64_t now_ms = 0;
	struct buf bytes;

	(void)state;
	share_partition_init(&p, &arena, 0);
	for (size_t i = 0; i < MODEL; i++)
		model[i].holder = -1;
	for (int i = 0; i < 20000; i++) {
		int member = (int)prng_below(&random, MEMBERS);
		now_ms += (int64_t)prng_below(&random, 2000);
		(void)share_partition_expire(&p, now_ms);
		model_expire(now_ms);
		if (prng_below(&random, 4) == 0)
			acquire_at_random(&random, member, now_ms);
		else
			answer_at_random(&random, member, now_ms);
		release_at_random(&random, member);
		compare();
		buf_init(&bytes);
		share_partition_encode(&p, &bytes);
		struct slice stored = arena_copy(&arena, buf_slice(&bytes));
		buf_done(&bytes);
		assert_int_equal(share_partition_decode(&arena, stored, &p), OK);
		compare();
	}
	assert_true(p.start > 100);
}

static void test_cut_off_bytes_are_refused(void **state)
{
	struct share_partition other;
	struct buf bytes;

	(void)state;
	buf_init(&bytes);
	expect_one("a", 5, 100, 109, 1);
	share_partition_encode(&p, &bytes);
	for (size_t i = 0; i < bytes.size; i++)
		assert_int_equal(share_partition_decode(&arena, (struct slice) { bytes.data, i },
							&other),
				 ERR_CORRUPT);
	buf_add_u8(&bytes, 0);
	assert_int_equal(share_partition_decode(&arena, buf_slice(&bytes), &other), ERR_CORRUPT);
	buf_done(&bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_partition, close_partition)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_accepted_at_the_start_is_forgotten),
		TEST(test_what_is_given_back_comes_again_and_counts),
		TEST(test_a_lock_ends_with_its_time),
		TEST(test_a_lock_is_renewed),
		TEST(test_only_who_has_records_answers_for_them_and_all_or_nothing),
		TEST(test_what_nobody_has_seen_was_not_delivered),
		TEST(test_only_what_is_named_and_still_held_from_then_goes_back),
		TEST(test_batches_are_whole_unless_the_limit_is_exact),
		TEST(test_no_more_than_the_limit_is_in_flight),
		TEST(test_aborted_records_are_nobodys),
		TEST(test_deleted_records_are_not_waited_for),
		TEST(test_ranges_are_what_each_record_is),
		TEST(test_cut_off_bytes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
