#include "streams/agent/flush_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { NOW_MS = 1000000, PERIOD_MS = 1000 / FLUSH_PUTS_PER_S };

static void test_a_lone_file_is_due_at_once(void **state)
{
	struct flush_budget b;

	(void)state;
	flush_budget_init(&b, FLUSH_PUTS_PER_S, NOW_MS);
	assert_int_equal(flush_budget_due_ms(&b, NOW_MS, NOW_MS, true), NOW_MS);
}

static void test_beside_others_it_waits_for_company(void **state)
{
	struct flush_budget b;

	(void)state;
	flush_budget_init(&b, FLUSH_PUTS_PER_S, NOW_MS);
	assert_int_equal(flush_budget_due_ms(&b, NOW_MS, NOW_MS, false), NOW_MS + FLUSH_PAUSE_MS);
}

static void test_when_the_budget_is_used_up_the_next_put_is_waited_for(void **state)
{
	struct flush_budget b;
	uint64_t now_ms;

	(void)state;
	flush_budget_init(&b, FLUSH_PUTS_PER_S, NOW_MS);
	for (int i = 0; i < FLUSH_PUTS_BURST; i++) {
		assert_int_equal(flush_budget_due_ms(&b, NOW_MS, NOW_MS, true), NOW_MS);
		flush_budget_spend(&b, NOW_MS);
	}
	assert_int_equal(flush_budget_due_ms(&b, NOW_MS, NOW_MS, true), NOW_MS + PERIOD_MS);
	assert_int_equal(flush_budget_due_ms(&b, NOW_MS + PERIOD_MS / 2, NOW_MS, true),
			 NOW_MS + PERIOD_MS);
	now_ms = NOW_MS + PERIOD_MS / 2; /* a full file: it takes what there is, and owes nothing */
	flush_budget_spend(&b, now_ms);
	assert_int_equal(flush_budget_due_ms(&b, now_ms, now_ms, true), now_ms + PERIOD_MS);
}

/* Files that are always due at once, for a long time. */
static void run_long(int puts_per_s)
{
	enum { SECONDS = 100 };
	struct flush_budget b;
	uint64_t now_ms = NOW_MS, due_ms;
	int puts = 0;

	flush_budget_init(&b, puts_per_s, now_ms);
	while (now_ms < NOW_MS + SECONDS * 1000) {
		due_ms = flush_budget_due_ms(&b, now_ms, now_ms, true);
		if (due_ms <= now_ms) {
			flush_budget_spend(&b, now_ms);
			puts++;
		} else {
			now_ms = due_ms;
		}
	}
	assert_in_range(puts, SECONDS * puts_per_s, SECONDS * puts_per_s + FLUSH_PUTS_BURST);
}

static void test_in_the_long_run_the_budget_is_kept_and_used(void **state)
{
	(void)state;
	run_long(FLUSH_PUTS_PER_S_MIN);
	run_long(FLUSH_PUTS_PER_S);
	run_long(FLUSH_PUTS_PER_S_MAX);
}

static void test_a_pause_does_not_save_more_than_the_burst(void **state)
{
	struct flush_budget b;
	uint64_t late_ms = NOW_MS + UINT64_C(1000) * 3600 * 24 * 365;

	(void)state;
	flush_budget_init(&b, FLUSH_PUTS_PER_S, NOW_MS);
	for (int i = 0; i < FLUSH_PUTS_BURST; i++)
		flush_budget_spend(&b, late_ms);
	assert_int_equal(flush_budget_due_ms(&b, late_ms, late_ms, true), late_ms + PERIOD_MS);
}

static void test_nobody_waits_longer_than_the_ceiling(void **state)
{
	struct flush_budget b;

	(void)state;
	flush_budget_init(&b, FLUSH_PUTS_PER_S, NOW_MS);
	for (int i = 0; i < FLUSH_PUTS_BURST; i++)
		flush_budget_spend(&b, NOW_MS);
	assert_int_equal(flush_budget_due_ms(&b, NOW_MS, NOW_MS - FLUSH_WAIT_MS_MAX, false),
			 NOW_MS);
}

static void test_a_clock_that_stands_still_or_goes_back_harms_nothing(void **state)
{
	struct flush_budget b;

	(void)state;
	flush_budget_init(&b, FLUSH_PUTS_PER_S, NOW_MS);
	for (int i = 0; i < 3 * FLUSH_PUTS_BURST; i++)
		flush_budget_spend(&b, NOW_MS - 1);
	assert_in_range(flush_budget_due_ms(&b, NOW_MS - 1, NOW_MS - 1, true), NOW_MS - 1,
			NOW_MS + PERIOD_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_lone_file_is_due_at_once),
		cmocka_unit_test(test_beside_others_it_waits_for_company),
		cmocka_unit_test(test_when_the_budget_is_used_up_the_next_put_is_waited_for),
		cmocka_unit_test(test_in_the_long_run_the_budget_is_kept_and_used),
		cmocka_unit_test(test_a_pause_does_not_save_more_than_the_burst),
		cmocka_unit_test(test_nobody_waits_longer_than_the_ceiling),
		cmocka_unit_test(test_a_clock_that_stands_still_or_goes_back_harms_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
