#include "server/heard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const int64_t start_ms = 1763800000000;

static bool say(struct heard *h, uint32_t number, int64_t at_ms, int64_t now_ms)
{
	uint8_t nonce[HEARD_NONCE_BYTES] = { 0 };

	memcpy(nonce, &number, sizeof(number));
	return heard_is_new(h, nonce, at_ms, now_ms);
}

static void test_a_question_is_heard_once_however_the_clocks_differ(void **state)
{
	struct heard h;

	(void)state;
	for (int64_t skew_ms = -HEARD_AGE_MS; skew_ms <= HEARD_AGE_MS; skew_ms += 10000) {
		int64_t now_ms = start_ms + HEARD_AGE_MS, at_ms = now_ms + skew_ms;

		heard_init(&h, start_ms);
		assert_true(say(&h, 1, at_ms, now_ms));
		for (int64_t later_ms = 0; later_ms <= 4 * HEARD_AGE_MS; later_ms += 1000)
			assert_false(say(&h, 1, at_ms, now_ms + later_ms));
		assert_true(say(&h, 2, at_ms, now_ms));
		heard_done(&h);
		assert_false(say(&h, 3, at_ms, now_ms));
	}
}

static void test_what_is_old_or_from_the_future_is_refused(void **state)
{
	int64_t now_ms = start_ms + 10 * HEARD_AGE_MS;
	struct heard h;

	(void)state;
	heard_init(&h, start_ms);
	assert_false(say(&h, 1, now_ms - HEARD_AGE_MS - 1, now_ms));
	assert_false(say(&h, 1, now_ms + HEARD_AGE_MS + 1, now_ms));
	assert_false(say(&h, 1, INT64_MAX, now_ms));
	assert_false(say(&h, 1, INT64_MIN, now_ms));
	assert_true(say(&h, 1, now_ms, now_ms));
	heard_done(&h);
}

/* The one that led before has answered it maybe. */
static void test_a_new_leader_does_not_answer_what_was_asked_before(void **state)
{
	struct heard h;

	(void)state;
	heard_init(&h, start_ms);
	heard_begin(&h, start_ms + 5000);
	assert_false(say(&h, 1, start_ms + 4999, start_ms + 5001));
	assert_true(say(&h, 1, start_ms + 5000, start_ms + 5001));
	heard_done(&h);
}

static void test_there_are_only_so_many_questions_in_a_time(void **state)
{
	struct heard h;

	(void)state;
	heard_init(&h, start_ms);
	for (uint32_t i = 0; i < HEARD_NONCES_MAX; i++)
		assert_true(say(&h, i, start_ms, start_ms));
	assert_false(say(&h, HEARD_NONCES_MAX, start_ms, start_ms));
	int64_t later_ms = start_ms + 2 * HEARD_AGE_MS + 1;
	assert_true(say(&h, HEARD_NONCES_MAX, later_ms, later_ms));
	heard_done(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_question_is_heard_once_however_the_clocks_differ),
		cmocka_unit_test(test_what_is_old_or_from_the_future_is_refused),
		cmocka_unit_test(test_a_new_leader_does_not_answer_what_was_asked_before),
		cmocka_unit_test(test_there_are_only_so_many_questions_in_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
