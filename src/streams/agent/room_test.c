#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "streams/agent/room.h"

enum { MAX = 1000, WAITERS = 3 };

static struct room room;
static struct room_wait waits[WAITERS];
static struct task tasks[WAITERS];
static struct loop *loop;
static int woken[WAITERS];

static enum step waiter_step(struct task *t)
{
	woken[t - tasks]++;
	return task_is_canceled(t) ? task_done(t, ERR_CANCELED) : task_wait(t, 0);
}

static const struct task_kind waiter_kind = { .name = "waiter", .step = waiter_step };

static void set_up(void)
{
	loop = loop_new(0);
	room_init(&room, MAX);
	memset(waits, 0, sizeof(waits));
	memset(tasks, 0, sizeof(tasks));
	for (int i = 0; i < WAITERS; i++)
		task_start_root(&tasks[i], &waiter_kind, loop);
	loop_turn(loop);
	memset(woken, 0, sizeof(woken));
}

static void tear_down(void)
{
	for (int i = 0; i < WAITERS; i++)
		task_cancel(&tasks[i]);
	loop_turn(loop);
	loop_free(loop);
}

static size_t take(int i, size_t least, size_t most)
{
	return room_take(&room, &waits[i], &tasks[i], least, most);
}

static void test_the_first_do_not_get_all(void **state)
{
	(void)state;
	set_up();
	assert_int_equal(take(0, 10, 5000), 250);
	assert_int_equal(take(1, 10, 5000), 187);
	assert_int_equal(take(2, 10, 20), 20);
	assert_int_equal(take(2, 400, 400), 400);
	assert_int_equal(room.used, 857);
	tear_down();
}

static void test_who_waits_longest_is_next(void **state)
{
	(void)state;
	set_up();
	assert_int_equal(take(0, 900, 900), 900);
	assert_int_equal(take(1, 500, 500), 0);
	assert_int_equal(take(2, 50, 50), 0); /* there is room, and somebody was first */
	assert_true(room_is_wanted(&room));
	room_give_back(&room, 300);
	loop_turn(loop);
	assert_int_equal(woken[1], 0); /* 400 are not enough */
	room_give_back(&room, 200);
	loop_turn(loop);
	assert_int_equal(woken[1], 1);
	assert_int_equal(woken[2], 0);
	assert_int_equal(take(1, 500, 500), 500);
	loop_turn(loop);
	assert_int_equal(woken[2], 1);
	assert_int_equal(take(2, 50, 50), 50);
	assert_false(room_is_wanted(&room));
	tear_down();
}

static void test_who_gives_up_does_not_stop_the_others(void **state)
{
	(void)state;
	set_up();
	assert_int_equal(take(0, 900, 900), 900);
	assert_int_equal(take(1, 500, 500), 0);
	assert_int_equal(take(2, 50, 50), 0);
	room_leave(&room, &waits[1]);
	room_leave(&room, &waits[1]);
	loop_turn(loop);
	assert_int_equal(woken[2], 1);
	assert_int_equal(take(2, 50, 50), 50);
	tear_down();
}

static void test_what_is_there_already_counts_above_the_limit(void **state)
{
	(void)state;
	set_up();
	room_add(&room, MAX + 500);
	assert_int_equal(take(0, 1, 1), 0);
	room_give_back(&room, 500);
	assert_int_equal(take(0, 1, 1), 0);
	room_give_back(&room, 4);
	assert_int_equal(take(0, 1, 1), 1);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_do_not_get_all),
		cmocka_unit_test(test_who_waits_longest_is_next),
		cmocka_unit_test(test_who_gives_up_does_not_stop_the_others),
		cmocka_unit_test(test_what_is_there_already_counts_above_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
