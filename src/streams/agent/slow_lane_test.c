#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "streams/agent/slow_lane.h"

enum { ANSWERS = 3, PIECES = 4, TURNS_MAX = 100 };

/* An answer of some pieces, which counts them. */
struct answer {
	struct task task;
	struct slow_turn turn;
	int pieces, left;
	int last_piece_turn;
};

static struct loop *loop;
static struct slow_lane lane;
static struct answer answers[ANSWERS];
static int turn_number, pieces_this_turn, most_pieces;

static enum step answer_step(struct task *t)
{
	struct answer *a = CONTAINER(t, struct answer, task);

	if (task_is_canceled(t)) {
		slow_lane_leave(&lane, &a->turn);
		return task_done(t, ERR_CANCELED);
	}
	while (a->left > 0) {
		if (!slow_lane_take(&lane, &a->turn, t))
			return task_wait(t, 0);
		a->left--;
		a->pieces++;
		a->last_piece_turn = turn_number;
		if (++pieces_this_turn > most_pieces)
			most_pieces = pieces_this_turn;
	}
	slow_lane_leave(&lane, &a->turn);
	return task_done(t, OK);
}

static const struct task_kind answer_kind = { .name = "answer", .step = answer_step };

static void start(int i, int pieces)
{
	answers[i].left = pieces;
	task_start_root(&answers[i].task, &answer_kind, loop);
}

static void turn(void)
{
	turn_number++;
	pieces_this_turn = 0;
	loop_turn(loop);
}

static void set_up(void)
{
	memset(answers, 0, sizeof(answers));
	turn_number = most_pieces = 0;
	loop = loop_new(0);
	slow_lane_init(&lane, loop);
}

static void tear_down(void)
{
	slow_lane_done(&lane);
	loop_free(loop);
}

static bool any_runs(void)
{
	for (int i = 0; i < ANSWERS; i++)
		if (task_is_running(&answers[i].task))
			return true;
	return false;
}

static void test_one_piece_a_turn_whoever_it_belongs_to(void **state)
{
	(void)state;
	set_up();
	for (int i = 0; i < ANSWERS; i++)
		start(i, PIECES);
	while (any_runs() && turn_number < TURNS_MAX)
		turn();
	assert_int_equal(most_pieces, 1);
	for (int i = 0; i < ANSWERS; i++) {
		assert_int_equal(answers[i].pieces, PIECES);
		assert_true(answers[i].last_piece_turn >= ANSWERS * (PIECES - 1) - 1);
	}
	tear_down();
}

static void test_a_lone_short_answer_does_not_wait(void **state)
{
	(void)state;
	set_up();
	start(0, 1);
	turn();
	assert_false(task_is_running(&answers[0].task));
	for (int i = 0; i < TURNS_MAX && lane.is_taken; i++)
		turn();
	start(1, 1);
	turn();
	assert_false(task_is_running(&answers[1].task));
	tear_down();
}

static void test_who_leaves_with_a_turn_gives_it_to_the_next(void **state)
{
	(void)state;
	set_up();
	start(0, 1);
	start(1, 1);
	start(2, 1);
	turn();
	assert_false(task_is_running(&answers[0].task));
	task_cancel(&answers[1].task);
	while (any_runs() && turn_number < TURNS_MAX)
		turn();
	assert_int_equal(answers[1].pieces, 0);
	assert_int_equal(answers[2].pieces, 1);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_piece_a_turn_whoever_it_belongs_to),
		cmocka_unit_test(test_a_lone_short_answer_does_not_wait),
		cmocka_unit_test(test_who_leaves_with_a_turn_gives_it_to_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
