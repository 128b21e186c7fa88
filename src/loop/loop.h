/* The event loop of a process: libuv underneath, a run queue of tasks on top.
 * Everything in a loop happens on one thread.  Nothing outside loop/ includes uv.h. */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/list.h"

struct loop;

/* `shuffle_seed` != 0 runs ready tasks in an order drawn from it: an ordering fuzzer for tests.
 * The process ignores SIGPIPE from now on, prints every task to stderr when it aborts (a failed
 * assertion), and on SIGUSR1 while the loop runs. */
struct loop *loop_new(uint64_t shuffle_seed);
/* Every task, timer and stream is done by then (asserted), but for streams that leave gracefully:
 * their peers get the time they were promised. */
void loop_free(struct loop *loop);

/* Runs until loop_stop(), or until nothing is left that could happen.  Signal handlers alone do not
 * keep it running. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* One turn that does not wait for anything: for tests. */
void loop_turn(struct loop *loop);

/* Milliseconds of the monotonic clock, as of this turn of the loop. */
uint64_t loop_now_ms(const struct loop *loop);

/* Signals, delivered on the loop; `number` as in signal(7).  One handler per signal and loop: the
 * last one set. */
void loop_on_signal(struct loop *loop, int number, void (*on_signal)(void *context, int number),
		    void *context);

/* A callback from the run queue, once, for owners that are not tasks.  Zero the struct first.
 * Setting one that is set already changes nothing; clearing one that is not is harmless. */
struct deferred {
	struct list link;
	struct loop *loop;
	void (*run)(struct deferred *d);
};

void deferred_set(struct deferred *d, struct loop *loop, void (*run)(struct deferred *d));
void deferred_clear(struct deferred *d);

#endif
