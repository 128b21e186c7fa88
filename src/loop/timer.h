/* Timers.  A sleep is a task; a timer is a callback for owners that are not tasks (engines' hosts).
 */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

#include "base/heap.h"
#include "loop/task.h"

/* A one-shot callback from the loop (never from inside timer_set).  Zero the struct first.
 * Setting it again moves it; clearing one that is not set is harmless. */
struct timer {
	struct heap_node node;
	struct loop *loop;
	void (*on_timer)(struct timer *t);
};

void timer_set(struct timer *t, struct loop *loop, uint64_t at_ms,
	       void (*on_timer)(struct timer *));
void timer_clear(struct timer *t);

/* A child task that ends with OK at `at_ms` of loop_now_ms(). */
struct sleep {
	struct task task;
	uint64_t at_ms;
	struct timer timer;
};

void sleep_start(struct sleep *s, struct task *parent, uint64_t at_ms);

#endif
