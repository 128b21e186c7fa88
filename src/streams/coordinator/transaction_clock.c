#include "streams/coordinator/transaction_clock.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "loop/timer.h"
#include "streams/coordinator/private.h"
#include "streams/coordinator/transaction.h"

/* --- the clock ---------------------------------------------------------------------------------
 */

void transaction_clock_start(struct transaction_clock *c, int64_t now_ms)
{
	c->since_ms = now_ms;
	c->pause_count = 0;
}

void transaction_clock_pause(struct transaction_clock *c, int64_t now_ms, int64_t late_ms)
{
	if (c->pause_count == TRANSACTION_PAUSES_MAX) {
		memmove(c->pauses, c->pauses + 1,
			(TRANSACTION_PAUSES_MAX - 1) * sizeof(c->pauses[0]));
		c->pause_count--;
	}
	c->pauses[c->pause_count].at_ms = now_ms;
	c->pauses[c->pause_count++].late_ms = late_ms;
}

int64_t transaction_clock_elapsed(const struct transaction_clock *c, int64_t since_ms,
				  int64_t now_ms)
{
	int64_t elapsed_ms;

	if (since_ms < c->since_ms)
		since_ms = c->since_ms;
	elapsed_ms = now_ms - since_ms;
	for (int i = c->pause_count - 1; i >= 0 && c->pauses[i].at_ms > since_ms; i--)
		elapsed_ms -= c->pauses[i].late_ms;
	return elapsed_ms;
}

/* --- what is over ------------------------------------------------------------------------------
 */

#define ONGOING "SELECT name, started_ms, timeout_ms FROM transactional WHERE state = 1"

static bool is_over(const struct transaction_expiry *e, sqlite3_stmt *st)
{
	return transaction_clock_elapsed(e->clock, sqlite3_column_int64(st, 1), e->now_ms) >
	       sqlite3_column_int64(st, 2);
}

bool transaction_is_any_over(struct cell *cell, const struct transaction_expiry *e)
{
	sqlite3_stmt *st = cell_statement(cell, ONGOING);
	bool is_any = false;

	while (!is_any && cell_next(cell, st))
		is_any = is_over(e, st);
	sqlite3_reset(st);
	return is_any;
}

static enum err abort_one(struct arena *a, struct cell *cell, struct slice name, int64_t now_ms)
{
	struct transaction t;
	enum err err = transaction_find(a, cell, name, &t);

	if (err)
		return err;
	log_info("transaction of %.*s took longer than %d ms: aborting it", SLICE_ARG(t.name),
		 t.timeout_ms);
	return transaction_fence(a, cell, &t, true, now_ms);
}

enum err transaction_expire(struct cell *cell, void *argument)
{
	struct transaction_expiry *e = argument;
	struct slice names[TRANSACTION_EXPIRED_MAX];
	enum err err = OK;
	struct arena a;
	int count = 0;

	arena_init(&a);
	sqlite3_stmt *st = cell_statement(cell, ONGOING);
	while (count < TRANSACTION_EXPIRED_MAX && cell_next(cell, st))
		if (is_over(e, st))
			names[count++] = arena_copy(&a, cell_column_text(st, 0));
	sqlite3_reset(st);
	/* The first one in any case; one that does not fit any more comes with the next tick. */
	for (int i = 0; i < count && !err; i++)
		if (i == 0 || cell_change_bytes(cell) < CELL_TRANSACTION_BYTES_MAX / 4)
			err = abort_one(&a, cell, names[i], e->now_ms);
	e->ret_count = count;
	arena_done(&a);
	return err;
}

/* --- the task ----------------------------------------------------------------------------------
 */

struct transactions {
	struct task task;
	struct coordinator *coordinator;
	struct transaction_clock clock;
	struct transaction_expiry expiry;
	struct leader_call call;
	struct sleep sleep;
	uint64_t due_ms; /* of the next tick */
};

static enum err run_expiry(struct cell *cell, void *argument)
{
	struct transactions *w = argument;

	w->expiry.now_ms = (int64_t)leader_now_ms(w->coordinator->config.leader);
	return transaction_expire(cell, &w->expiry);
}

enum { TRANSACTIONS_START, TRANSACTIONS_TICK, TRANSACTIONS_DURABLE };

static enum step sleep_on(struct transactions *w)
{
	struct task *t = &w->task;

	w->due_ms = loop_now_ms(t->loop) + TRANSACTION_TICK_MS;
	sleep_start(&w->sleep, t, w->due_ms);
	return task_wait(t, TRANSACTIONS_TICK);
}

static enum step tick(struct transactions *w)
{
	struct leader *leader = w->coordinator->config.leader;
	struct cell *cell = leader_cell(leader);
	uint64_t late_ms = loop_now_ms(w->task.loop) - w->due_ms;

	if (!cell)
		return task_done(&w->task, ERR_UNAVAILABLE);
	w->expiry.now_ms = (int64_t)leader_now_ms(leader);
	if (late_ms > TRANSACTION_LATE_MS)
		transaction_clock_pause(&w->clock, w->expiry.now_ms, (int64_t)late_ms);
	if (!transaction_is_any_over(cell, &w->expiry))
		return sleep_on(w);
	leader_run(&w->call, &w->task, leader, run_expiry, w);
	return task_wait(&w->task, TRANSACTIONS_DURABLE);
}

static enum step transactions_step(struct task *t)
{
	struct transactions *w = CONTAINER(t, struct transactions, task);

	if (task_is_canceled(t))
		return t->children ? task_wait(t, t->at) : task_done(t, t->err);
	switch (t->at) {
	case TRANSACTIONS_START:
		w->expiry.clock = &w->clock;
		transaction_clock_start(&w->clock,
					(int64_t)leader_now_ms(w->coordinator->config.leader));
		return sleep_on(w);
	case TRANSACTIONS_TICK:
		return tick(w);
	case TRANSACTIONS_DURABLE:
		if (w->call.task.err)
			log_debug("transactions that are over are not aborted yet: %s",
				  err_name(w->call.task.err));
		return sleep_on(w);
	}
	abort();
}

static void transactions_on_end(struct task *t)
{
	struct transactions *w = CONTAINER(t, struct transactions, task);
	struct coordinator *c = w->coordinator;

	if (c->transactions == w)
		c->transactions = NULL;
	c->errand_count--;
	memory_free(w);
	if (c->stop)
		task_wake(c->stop);
}

static const char *const transactions_places[] = { "start", "tick", "durable" };
static const struct task_kind transactions_kind = {
	.name = "transactions",
	.places = transactions_places,
	.place_count = 3,
	.step = transactions_step,
	.on_end = transactions_on_end,
};

void transactions_start(struct coordinator *c)
{
	struct transactions *w = NEW(struct transactions);

	w->coordinator = c;
	c->transactions = w;
	c->errand_count++;
	task_start_root(&w->task, &transactions_kind, c->loop);
}

void transactions_cancel(struct coordinator *c)
{
	if (c->transactions)
		task_cancel(&c->transactions->task);
	c->transactions = NULL;
}
