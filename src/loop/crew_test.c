#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/random.h"
#include "loop/crew.h"

enum { NUMBERS = 1 << 16, PIECE = 64, ROUNDS = 60 };

static uint32_t numbers[NUMBERS];
static unsigned seen[CREW_THREADS_MAX + 1]; /* each by its own member */

static void add_one(void *context, size_t from, size_t to, unsigned member)
{
	uint32_t *n = context;

	for (size_t i = from; i < to; i++)
		n[i]++;
	seen[member]++;
}

/* In random portions: posted, woken for or not, finished at once or much later. */
static void use(struct crew *c, uint64_t seed)
{
	struct prng prng = { .state = seed };

	memset(numbers, 0, sizeof(numbers));
	memset(seen, 0, sizeof(seen));
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t last = 0, oldest = UINT64_MAX;
		for (size_t at = 0; at < NUMBERS; at += PIECE) {
			last = crew_post(c, add_one, numbers, at, at + PIECE);
			if (oldest == UINT64_MAX)
				oldest = last;
			if (prng_below(&prng, 8) == 0)
				crew_wake(c);
			if (prng_below(&prng, 16) == 0) {
				crew_finish(c, oldest);
				oldest = UINT64_MAX;
			}
		}
		/* Each, in their order: that the last one is done says nothing of others. */
		for (uint64_t piece = last + 1 < CREW_PIECES_MAX ? 0 : last + 1 - CREW_PIECES_MAX;
		     piece <= last; piece++)
			crew_finish(c, piece);
		for (size_t i = 0; i < NUMBERS; i++)
			assert_int_equal(numbers[i], round + 1);
		if (round % 8 == 0)
			usleep(200); /* all of them sleep */
	}
}

static void test_every_piece_is_done_once(void **state)
{
	(void)state;
	for (unsigned threads = 0; threads <= 4; threads++) {
		struct crew *c = crew_new(threads);
		unsigned sum = 0;

		use(c, threads + 1);
		crew_free(c);
		for (unsigned i = 0; i <= CREW_THREADS_MAX; i++) {
			assert_true(i <= threads || seen[i] == 0);
			sum += seen[i];
		}
		assert_int_equal(sum, ROUNDS * NUMBERS / PIECE);
	}
}

static void test_nobody_else_begins_before_it_is_woken(void **state)
{
	struct crew *c = crew_new(3);
	uint64_t piece = 0;

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < 10; i++)
		piece = crew_post(c, add_one, numbers, 0, 1);
	crew_finish(c, piece);
	assert_int_equal(seen[0], 10);
	crew_free(c);
}

static void note(void *context, size_t from, size_t to, unsigned member)
{
	(void)from;
	(void)to;
	__atomic_store_n((unsigned *)context, member + 1, __ATOMIC_SEQ_CST);
}

static void test_who_is_woken_takes_part(void **state)
{
	struct crew *c = crew_new(1);
	unsigned who = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		__atomic_store_n(&who, 0, __ATOMIC_SEQ_CST);
		uint64_t piece = crew_post(c, note, &who, 0, 1);
		crew_wake(c);
		while (__atomic_load_n(&who, __ATOMIC_SEQ_CST) == 0)
			usleep(100);
		assert_int_equal(who, 2);
		crew_finish(c, piece);
		if (i % 4 == 0)
			usleep(2000);
	}
	crew_free(c);
}

static void wait_a_moment(void *context, size_t from, size_t to, unsigned member)
{
	(void)from;
	(void)to;
	if (member > 0)
		usleep(3000); /* as if another process had the core */
	__atomic_fetch_add((unsigned *)context, 1, __ATOMIC_SEQ_CST);
}

static void test_the_owner_sleeps_while_another_one_is_held_up(void **state)
{
	struct crew *c = crew_new(2);
	unsigned done = 0;

	(void)state;
	for (unsigned i = 1; i <= 30; i++) {
		uint64_t piece = crew_post(c, wait_a_moment, &done, 0, 1);
		crew_wake(c);
		usleep(500);
		crew_finish(c, piece);
		assert_int_equal(done, i);
	}
	crew_free(c);
}

static void test_cores_are_those_of_the_process(void **state)
{
	cpu_set_t before, one;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(crew_cores(), CPU_COUNT(&before));
	CPU_ZERO(&one);
	for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &before))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(crew_cores(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_piece_is_done_once),
		cmocka_unit_test(test_nobody_else_begins_before_it_is_woken),
		cmocka_unit_test(test_who_is_woken_takes_part),
		cmocka_unit_test(test_the_owner_sleeps_while_another_one_is_held_up),
		cmocka_unit_test(test_cores_are_those_of_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
