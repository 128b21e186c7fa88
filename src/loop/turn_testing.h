/* For tests: a loop goes on, a bit at a time, until something is true. */
#ifndef LOOP_TURN_TESTING_H
#define LOOP_TURN_TESTING_H

#include "base/clock.h"
#include "loop/timer.h"

enum { WAIT_MS = 60000 }; /* with a machine that has other things to do, or stands still */

static inline void stop_turn(struct timer *t)
{
	loop_stop(t->loop);
}

static inline void turn_loop(struct loop *loop, struct timer *tick)
{
	timer_set(tick, loop, loop_now_ms(loop) + 1, stop_turn);
	loop_run(loop);
}

/* `w` has the two as `loop` and `tick`. */
#define WAIT_FOR(w, condition)                                                                     \
	do {                                                                                       \
		uint64_t until_ms_ = clock_now_ms() + WAIT_MS;                                     \
		while (!(condition)) {                                                             \
			if (clock_now_ms() > until_ms_)                                            \
				fail_msg("never came true: %s", #condition);                       \
			turn_loop((w)->loop, &(w)->tick);                                          \
		}                                                                                  \
	} while (0)

#endif
