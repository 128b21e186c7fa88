/* What the files of loop/ share and nobody else sees: libuv underneath a loop. */
#ifndef LOOP_PRIVATE_H
#define LOOP_PRIVATE_H

#include <uv.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/random.h"
#include "loop/inbox.h"
#include "loop/loop.h"
#include "loop/task.h"

enum {
	LOOP_MAGIC = 0x4c6f6f70,
	LOOP_SIGNALS_MAX = 8,
	LOOP_FRESH_RUNS_MAX = 1024, /* items that became ready during a drain and still run in it */
	LOOP_SHUFFLE_WINDOW = 64,   /* how far the shuffle looks into the run queue */
	LOOP_DUMP_LINES_MAX = 10000, /* a dump ends, even of a broken list */
	LOOP_LEAVE_MS_MAX = 10000,   /* for streams that leave when it is freed */
};

struct loop_signal {
	uv_signal_t handle; /* data: the loop */
	int number;	    /* 0: free */
	void (*on_signal)(void *context, int number);
	void *context;
};

struct loop {
	uint32_t magic;
	bool is_shuffled;
	uv_loop_t uv;
	uv_check_t check; /* drains the run queue after the poll */
	uv_idle_t idle;	  /* active while something is ready: the poll does not block then */
	uv_timer_t timer; /* for the first of `deadlines` and `timers` */
	uint64_t timer_at_ms;
	struct heap deadlines; /* struct task.deadline */
	struct heap timers;    /* struct timer.node */
	struct list ready;     /* struct deferred.link, in order */
	struct list late;      /* struct deferred.link: at the end of a drain */
	size_t ready_count;
	struct list tasks; /* struct task.all_link */
	struct list link;  /* in the list of all loops, for the abort handler */
	struct task *stepping;
	bool is_step_answered; /* task_wait() or task_done() was called in this step */
	struct prng prng;
	struct loop_signal signals[LOOP_SIGNALS_MAX];
	void (*on_stop)(void *context); /* stop.c */
	void *stop_context;
	bool is_stopping;
	size_t open_count;    /* streams, listeners, workers not yet ended */
	size_t refused_count; /* streams of stream_close_refused() not yet ended */
	struct inbox_spares spares;
};

/* Like deferred_set(), but after everything that is ready in this turn: writes gather there. */
void deferred_set_late(struct deferred *d, struct loop *loop, void (*run)(struct deferred *d));

struct stream;
struct tls_identity;

/* Speak TLS from here on: before there is an owner.  `on_secure` is told, as what an owner is told,
 * when the handshake is over; before that only on_end is.  Its deadline is the caller's. */
void stream_start_tls(struct stream *s, struct tls_identity *identity, bool is_server,
		      void (*on_secure)(void *context, struct stream *s));

/* Until there is another one; what there was to tell is told to that. */
void stream_drop_owner(struct stream *s);

/* tls_verdict(); NULL also without TLS. */
const char *stream_tls_verdict(const struct stream *s);

/* Close one that failed.  Where we refused a peer and told it why, it has `timeout_ms` to read that
 * and to close too: at once, what it has sent meanwhile would make the system reset the connection,
 * which clients see before the reason.  STREAM_REFUSED_MAX of a loop at most. */
enum { STREAM_REFUSED_MAX = 256 };
void stream_close_refused(struct stream *s, uint64_t timeout_ms);

/* The deadline of `t` passed. */
void task_pass_deadline(struct task *t);

/* Set the uv_timer for the earliest deadline or timer, after either heap changed. */
void loop_arm_timer(struct loop *loop);

/* Translate a code of libuv; the only function that does. */
enum err err_from_uv(int code);

#endif
