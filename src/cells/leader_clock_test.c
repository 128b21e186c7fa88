/* A leader whose wall clock jumps, as that of a machine without a battery does when it first hears
 * what time it is. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "buckets/bucket_ask.h"
#include "cells/leader_testing.h"

enum { DAY_S = 24 * 3600, TRIMS_MS = 2500 };

static int64_t jump_s; /* of the wall clock */

/* Instead of libc's: base/clock.c asks it. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	int status = (int)syscall(SYS_clock_gettime, id, ret);

	if (id == CLOCK_REALTIME)
		ret->tv_sec += jump_s;
	return status;
}

static size_t count_fences(struct node *n)
{
	size_t count = 0, fences = 0;
	struct arena a;
	struct slice *names;
	bool more;

	arena_init(&a);
	assert_int_equal(bucket_ask_list(n->world->loop, n->buckets[0], &a, SLICE("v1/j/main/e/"),
					 SLICE(""), &names, &count, &more),
			 OK);
	for (size_t i = 0; i < count; i++)
		fences += memmem(names[i].data, names[i].size, "/fence", 6) != NULL;
	arena_done(&a);
	return fences;
}

static void lead_with_grace(struct node *n, struct world *w, const char *name, uint64_t fence_ms)
{
	node_open(n, w, name);
	n->config.record_grace_ms = 1; /* so that every tick trims */
	n->config.fence_grace_ms = fence_ms;
	node_campaign(n);
	assert_true(wait_for(w, &n->is_leading, TESTING_PATIENCE_MS));
}

static void wait_for_trims(struct world *w)
{
	bool never = false;

	wait_for(w, &never, TRIMS_MS);
}

/* A leader that stands still may wake up at any moment: only its fence tells it that it is none. */
static void test_fences_stay_when_the_clock_jumps_forward(void **state)
{
	struct world w;
	struct node a;

	(void)state;
	jump_s = 0;
	world_open(&w, 1, "raw", 0);
	node_lead(&a, &w, "a");
	assert_int_equal(put_one(&a), OK);
	node_crash(&a);
	lead_with_grace(&a, &w, "b", 7 * (uint64_t)DAY_S * 1000);
	assert_int_equal(put_one(&a), OK);
	assert_int_equal(count_fences(&a), 1);
	jump_s = 8 * DAY_S;
	wait_for_trims(&w);
	assert_int_equal(count_fences(&a), 1);
	assert_int_equal(put_one(&a), OK);
	check_world(&w, &a);
	node_stop(&a);
	world_close(&w);
}

static void test_fences_go_in_the_end(void **state)
{
	struct world w;
	struct node a;

	(void)state;
	jump_s = 0;
	world_open(&w, 1, "raw", 0);
	node_lead(&a, &w, "a");
	node_crash(&a);
	lead_with_grace(&a, &w, "b", 1);
	wait_for_trims(&w);
	assert_int_equal(count_fences(&a), 0);
	node_stop(&a);
	world_close(&w);
}

static void test_a_clock_that_goes_back_is_no_harm(void **state)
{
	struct world w;
	struct node a;

	(void)state;
	jump_s = 0;
	world_open(&w, 1, "raw", 0);
	node_lead(&a, &w, "a");
	assert_int_equal(put_one(&a), OK);
	uint64_t before_ms = leader_now_ms(a.leader);
	jump_s = -3650 * (int64_t)DAY_S;
	assert_int_equal(put_one(&a), OK);
	assert_true(leader_now_ms(a.leader) >= before_ms);
	node_crash(&a);
	node_lead(&a, &w, "b");
	assert_true(leader_now_ms(a.leader) >= before_ms);
	assert_int_equal(put_one(&a), OK);
	check_world(&w, &a);
	node_stop(&a);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fences_stay_when_the_clock_jumps_forward),
		cmocka_unit_test(test_fences_go_in_the_end),
		cmocka_unit_test(test_a_clock_that_goes_back_is_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
