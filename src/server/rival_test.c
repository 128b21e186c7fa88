#include "server/rival.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define OURS "127.0.0.1:9192"
#define THEIRS "127.0.0.1:9194"

static struct epoch epoch(uint64_t counter)
{
	return (struct epoch) { counter, counter * 77 };
}

/* One round of the duel: they led in `counter`, we fence them and lead in the next. */
static uint64_t challenge(struct rival *r, const char *address, uint64_t counter)
{
	rival_found(r, address, "beta", epoch(counter));
	uint64_t pause_ms = rival_challenge(r, address, "beta", epoch(counter));
	if (pause_ms == 0)
		rival_own(r, epoch(counter + 1));
	return pause_ms;
}

static void test_a_leader_that_is_gone_is_not_waited_for(void **state)
{
	struct rival r = { 0 };

	(void)state;
	assert_int_equal(challenge(&r, THEIRS, 1), 0);
	rival_found(&r, OURS, "alpha", epoch(2)); /* our own term, lost to a bucket */
	assert_int_equal(rival_challenge(&r, OURS, "alpha", epoch(2)), 0);
	rival_own(&r, epoch(3));
	rival_found(&r, OURS, "alpha", epoch(3));
	assert_int_equal(r.returns, 0);
}

static void test_who_comes_back_twice_is_let_lead_for_growing_pauses(void **state)
{
	struct rival r = { 0 };
	uint64_t counter = 1;

	(void)state;
	assert_int_equal(challenge(&r, THEIRS, counter), 0);
	assert_int_equal(challenge(&r, THEIRS, counter += 2), 0);
	for (uint64_t pause_ms = RIVAL_PAUSE_MS_MIN; pause_ms < RIVAL_PAUSE_MS_MAX; pause_ms *= 2) {
		assert_int_equal(challenge(&r, THEIRS, counter += 2), pause_ms);
		assert_int_equal(challenge(&r, THEIRS, counter), 0); /* the pause is over */
	}
	assert_int_equal(challenge(&r, THEIRS, counter += 2), RIVAL_PAUSE_MS_MAX);
	assert_int_equal(challenge(&r, THEIRS, counter), 0);
	assert_int_equal(challenge(&r, THEIRS, counter += 2), RIVAL_PAUSE_MS_MAX);
}

static void test_another_with_our_own_address_is_told_from_us_by_its_epochs(void **state)
{
	struct rival r = { 0 };
	char text[RIVAL_TEXT_BYTES];

	(void)state;
	assert_int_equal(challenge(&r, OURS, 1), 0);
	rival_found(&r, OURS, "alpha", epoch(2)); /* ours */
	assert_int_equal(r.returns, 0);
	assert_int_equal(challenge(&r, OURS, 3), 0);
	assert_int_equal(challenge(&r, OURS, 5), RIVAL_PAUSE_MS_MIN);
	rival_describe(&r, OURS, text);
	assert_non_null(strstr(text, "beta"));
	assert_non_null(strstr(text, "the same peer address"));
	assert_non_null(strstr(text, "--peer HOST:PORT"));
}

static void test_one_answer_ends_the_suspicion(void **state)
{
	struct rival r = { 0 };

	(void)state;
	assert_int_equal(challenge(&r, THEIRS, 1), 0);
	assert_int_equal(challenge(&r, THEIRS, 3), 0);
	rival_found(&r, THEIRS, "beta", epoch(5));
	rival_reached(&r);
	assert_int_equal(challenge(&r, THEIRS, 5), 0);
	assert_int_equal(challenge(&r, THEIRS, 7), 0);
	assert_int_equal(challenge(&r, THEIRS, 9), RIVAL_PAUSE_MS_MIN);
}

static void test_three_that_do_not_reach_each_other_are_rivals_as_well(void **state)
{
	struct rival r = { 0 };

	(void)state;
	assert_int_equal(challenge(&r, THEIRS, 1), 0);
	assert_int_equal(challenge(&r, "127.0.0.1:9196", 3), 0);
	assert_int_equal(challenge(&r, THEIRS, 5), RIVAL_PAUSE_MS_MIN);
}

static void test_the_text_says_what_is_wrong_with_the_address(void **state)
{
	struct {
		const char *address, *says;
	} cases[] = {
		{ "127.0.0.1:1", "loopback" },	   { "localhost:1", "loopback" },
		{ "[::1]:1", "loopback" },	   { "192.0.2.7:9192", "firewall" },
		{ "hosts.example:1", "firewall" },
	};
	char text[RIVAL_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rival r = { 0 };
		for (uint64_t counter = 1; counter < 7; counter += 2)
			challenge(&r, cases[i].address, counter);
		rival_describe(&r, OURS, text);
		assert_non_null(strstr(text, cases[i].says));
		assert_non_null(strstr(text, cases[i].address));
	}
}

/* A leader that was restarted says that it does not lead in the epoch before; it is fenced, leads
 * again, and answers: asked it must be. */
static void test_who_denied_one_epoch_is_asked_about_the_next(void **state)
{
	struct rival r = { 0 };

	(void)state;
	for (int i = 0; i < RIVAL_DENIALS_MAX; i++) {
		assert_false(rival_is_denied(&r, epoch(1)));
		rival_denied(&r, epoch(1));
	}
	assert_true(rival_is_denied(&r, epoch(1)));
	assert_int_equal(challenge(&r, THEIRS, 1), 0);
	assert_false(rival_is_denied(&r, epoch(3)));
	rival_denied(&r, epoch(3)); /* counts from the beginning */
	assert_false(rival_is_denied(&r, epoch(3)));
	assert_false(rival_is_denied(&r, epoch(1)));
	for (int i = 0; i < RIVAL_DENIALS_MAX; i++)
		rival_denied(&r, epoch(3));
	rival_reached(&r);
	assert_false(rival_is_denied(&r, epoch(3)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_leader_that_is_gone_is_not_waited_for),
		cmocka_unit_test(test_who_comes_back_twice_is_let_lead_for_growing_pauses),
		cmocka_unit_test(test_another_with_our_own_address_is_told_from_us_by_its_epochs),
		cmocka_unit_test(test_one_answer_ends_the_suspicion),
		cmocka_unit_test(test_three_that_do_not_reach_each_other_are_rivals_as_well),
		cmocka_unit_test(test_who_denied_one_epoch_is_asked_about_the_next),
		cmocka_unit_test(test_the_text_says_what_is_wrong_with_the_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
