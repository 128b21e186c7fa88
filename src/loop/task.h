/* Tasks: everything that waits, waits here, at a named place (doc/decisions/0001).
 *
 * A task is a struct embedded in its owner with one step function.  The runtime calls step when the
 * task was started, a child ended, task_wake() was called, its deadline passed or it was canceled.
 *
 *  - A step never runs inside the call that made the task ready: readiness is queued, the loop
 *    drains the queue.
 *  - A parent outlives its children: task_done() asserts that none is left.
 *  - Cancel marks the task and its children; the step runs with task_is_canceled() true once the
 *    last child has ended, and must end the task (normally task_done(t, ERR_CANCELED)).  A child
 *    started by a canceled parent is canceled from the start.
 *    A leaf that waits for something outside (I/O) has kind->on_cancel to hurry it; it still ends
 *    through its own step.  With on_cancel the runtime does not make the leaf ready: on_cancel
 *    does (task_wake), or what it hurried.  on_cancel may come before the first step.
 *  - A step that may find itself canceled at place 0 (canceled before it ran) checks for it.
 *  - The deadline of a task cancels it with ERR_TIMEOUT in place of ERR_CANCELED: task_done(t,
 *    ERR_CANCELED) is then recorded as ERR_TIMEOUT.  Its children are canceled as usual.
 *  - A task without parent may have kind->on_end, called from the run queue after the task is done
 *    and no longer referenced by the runtime: the place to free it. */
#ifndef LOOP_TASK_H
#define LOOP_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"
#include "loop/loop.h"

enum { TASK_WHY_BYTES = 120 };

enum step { STEP_WAIT, STEP_DONE };

struct task;

struct task_kind {
	const char *name;
	const char *const *places; /* names by `at`, for task_dump() */
	int place_count;
	enum step (*step)(struct task *t);
	void (*on_cancel)(struct task *t); /* may be NULL */
	void (*on_end)(struct task *t);	   /* only tasks without parent; may be NULL */
};

struct task {
	uint32_t magic;
	const struct task_kind *kind;
	struct loop *loop;
	struct task *parent;
	struct list siblings; /* link in parent->children_list */
	struct list children_list;
	struct deferred ready;	   /* place in the run queue */
	struct list all_link;	   /* link in the loop's list, for task_dump() */
	struct heap_node deadline; /* key: ms of the loop's clock */
	uint64_t since_ms;	   /* when it came to the place it is at */
	int at;			   /* which place the next step starts from; 0 at start */
	int children;		   /* started and not yet done */
	enum err err;		   /* how it ended; or, once canceled, why it should */
	bool is_running;	   /* started and not done */
	bool is_canceled;
	char why[TASK_WHY_BYTES]; /* a sentence beside err, filled where it was first seen */
};

/* Start `t` (zeroed storage, or one that is done) as a child of `parent`, at place 0. */
void task_start(struct task *t, const struct task_kind *kind, struct task *parent);

/* Start a task without parent. */
void task_start_root(struct task *t, const struct task_kind *kind, struct loop *loop);

/* The ways out of a step, called by the step on its own task.  A step may be called again at the
 * same place without news: it looks at its children and waits once more. */
enum step task_wait(struct task *t, int at); /* next step starts from `at` */
enum step task_done(struct task *t, enum err err);
enum step task_fail(struct task *t, enum err err, const char *format, ...) PRINTF_LIKE(3, 4);

/* Make a waiting task ready; harmless when it is ready already. Only for running tasks. */
void task_wake(struct task *t);

/* Ask a running task to end soon; harmless when done or canceled already. */
void task_cancel(struct task *t);

/* Cancel with ERR_TIMEOUT at `at_ms` of loop_now_ms(); 0 removes the deadline. */
void task_set_deadline(struct task *t, uint64_t at_ms);

/* Every task of the loop with its place and age: for SIGUSR1, gdb, tests and the abort handler. */
void task_dump(struct loop *loop, FILE *out);

static inline bool task_is_running(const struct task *t)
{
	return t->is_running;
}

static inline bool task_is_canceled(const struct task *t)
{
	return t->is_canceled;
}

#endif
