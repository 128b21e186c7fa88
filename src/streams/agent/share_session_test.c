#include "streams/agent/share_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct share_sessions sessions;
static struct share_session *session;

static void set_up(void)
{
	share_sessions_init(&sessions);
	assert_int_equal(share_session_begin(&sessions, SLICE("s"), SLICE("a"), 0, 1, &session), 0);
}

static void hold(int32_t partition, int64_t first, int64_t last, int16_t deliveries)
{
	share_session_hold(session, &(struct share_held) { .place = { .partition = partition },
							   .first = first,
							   .last = last,
							   .deliveries = deliveries });
}

static void test_ranges_that_follow_each_other_are_one(void **state)
{
	(void)state;
	set_up();
	hold(0, 0, 9, 1);
	hold(1, 10, 19, 1);
	hold(0, 10, 19, 1);
	assert_int_equal(session->held_count, 2);
	assert_int_equal(session->held[0].last, 19);
	hold(0, 20, 29, 2);
	hold(0, 31, 39, 2);
	assert_int_equal(session->held_count, 4);
	share_sessions_done(&sessions);
}

static void test_of_too_many_ranges_the_older_are_forgotten(void **state)
{
	(void)state;
	set_up();
	for (int64_t i = 0; i < 5 * SHARE_SESSION_HELD_MAX; i++) {
		hold(0, 2 * i, 2 * i, 1);
		assert_in_range(session->held_count, 1, SHARE_SESSION_HELD_MAX);
		assert_int_equal(session->held[session->held_count - 1].first, 2 * i);
		assert_int_equal(session->held[0].first,
				 2 * (i + 1 - (int64_t)session->held_count));
	}
	share_sessions_done(&sessions);
}

static void test_a_member_that_begins_anew_has_what_it_got(void **state)
{
	(void)state;
	set_up();
	hold(0, 0, 9, 1);
	assert_int_equal(share_session_begin(&sessions, SLICE("s"), SLICE("a"), 0, 2, &session), 0);
	assert_int_equal(session->connection_id, 2);
	assert_int_equal(session->count, 0);
	assert_int_equal(session->held_count, 1);
	assert_int_equal(sessions.by_key.count, 1);
	share_sessions_done(&sessions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_that_follow_each_other_are_one),
		cmocka_unit_test(test_of_too_many_ranges_the_older_are_forgotten),
		cmocka_unit_test(test_a_member_that_begins_anew_has_what_it_got),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
