#include "streams/agent/slow_lane.h"

#include <assert.h>

void slow_lane_init(struct slow_lane *lane, struct loop *loop)
{
	*lane = (struct slow_lane) { .loop = loop };
	list_init(&lane->waiting);
}

void slow_lane_done(struct slow_lane *lane)
{
	assert(list_is_empty(&lane->waiting));
	timer_clear(&lane->next);
}

/* A timer that is due comes with the next turn of the loop, before the sockets; who is woken here
 * runs after them. */
static void on_next(struct timer *timer)
{
	struct slow_lane *lane = CONTAINER(timer, struct slow_lane, next);
	struct list *link = list_pop(&lane->waiting);

	lane->is_taken = link != NULL;
	if (!link)
		return;
	struct slow_turn *turn = CONTAINER(link, struct slow_turn, link);
	turn->is_granted = true;
	task_wake(turn->task);
}

static void begin_turn(struct slow_lane *lane)
{
	lane->is_taken = true;
	timer_set(&lane->next, lane->loop, loop_now_ms(lane->loop), on_next);
}

bool slow_lane_take(struct slow_lane *lane, struct slow_turn *turn, struct task *task)
{
	if (turn->is_granted || !lane->is_taken) {
		turn->is_granted = false;
		begin_turn(lane);
		return true;
	}
	turn->task = task;
	if (!list_is_linked(&turn->link))
		list_add(&lane->waiting, &turn->link);
	return false;
}

void slow_lane_leave(struct slow_lane *lane, struct slow_turn *turn)
{
	list_remove(&turn->link);
	if (turn->is_granted)
		begin_turn(lane); /* for the next one */
	turn->is_granted = false;
}
