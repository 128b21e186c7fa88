#include "streams/coordinator/expiry.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "loop/timer.h"
#include "streams/coordinator/deleted_topic.h"
#include "streams/coordinator/deletion_clock.h"
#include "streams/coordinator/expire_producers.h"
#include "streams/coordinator/private.h"
#include "streams/coordinator/retention.h"
#include "streams/coordinator/retention_watch.h"

struct expiry {
	struct task task;
	struct coordinator *coordinator;
	struct deletion_clock clock;
	int64_t now_ms;	    /* to delete by; 0: not known yet */
	int64_t written_ms; /* the clock, in the catalog */
	uint64_t written_index;
	struct retention_watch watch;
	struct producer_expiry producers;
	bool is_full; /* the catalog is: deleted topics go at once */
	uint64_t full_until_ms;
	bool is_more;
	struct leader_call call;
	struct sleep sleep;
};

/* --- one command -------------------------------------------------------------------------------
 */

static enum err apply_retention(struct cell *cell, struct expiry *x)
{
	int rows = RETENTION_ROWS_MAX;
	enum err err = OK;

	for (int i = 0; i < EXPIRY_PARTITIONS_MAX && rows > 0 && !err; i++) {
		int64_t partition = retention_watch_due(&x->watch, x->now_ms);
		if (!partition)
			break;
		err = retention_apply(cell, partition, x->now_ms, &rows);
		if (!err)
			retention_watch_note(&x->watch, cell, partition, x->now_ms);
	}
	return err;
}

static enum err run_step(struct cell *cell, void *argument)
{
	struct expiry *x = argument;
	int count;

	enum err err = deleted_topics_expire(cell, x->now_ms, x->is_full, &count);
	if (!err)
		err = apply_retention(cell, x);
	if (!err)
		err = expire_producers(cell, &x->producers, x->now_ms);
	return err ? err : deletion_clock_write(cell, x->clock.reached_ms);
}

static enum err run_first(struct cell *cell, void *argument)
{
	struct expiry *x = argument;
	enum err err = coordinator_begin_lives(x->coordinator, cell);

	return err ? err : deletion_clock_first(cell, clock_wall_ms(), &x->written_ms);
}

/* --- the task ----------------------------------------------------------------------------------
 */

static bool clock_is_due(const struct expiry *x)
{
	struct leader_status status;

	if (x->clock.reached_ms >= x->written_ms &&
	    x->clock.reached_ms < x->written_ms + EXPIRY_CLOCK_MS)
		return false;
	leader_get_status(x->coordinator->config.leader, &status);
	return status.committed_index > x->written_index;
}

/* Is there anything to do?  A look at what is ahead of durability: the command looks again. */
static bool look(struct expiry *x)
{
	struct cell *cell = leader_cell(x->coordinator->config.leader);
	uint64_t loop_ms = loop_now_ms(x->coordinator->loop);

	x->is_more = false;
	if (!cell)
		return false;
	x->now_ms = deletion_clock_tick(&x->clock, clock_wall_ms(), loop_ms);
	if (cell_take_full(cell))
		x->full_until_ms = loop_ms + EXPIRY_FULL_MS;
	x->is_full = loop_ms < x->full_until_ms;
	x->is_more = retention_watch_look(&x->watch, cell, x->now_ms, loop_ms);
	x->is_more |= expire_producers_look(&x->producers, cell, x->now_ms);
	return retention_watch_due(&x->watch, x->now_ms) || x->producers.count > 0 ||
	       deleted_topics_due(cell, x->is_full ? INT64_MAX : x->now_ms) || clock_is_due(x);
}

static void step_ended(struct expiry *x)
{
	enum err err = x->call.task.err;

	if (err) {
		/* what the watch has noted of it is not so */
		retention_watch_again(&x->watch);
		log_debug("what is old does not go yet: %s", err_name(err));
		x->is_more = false;
		return;
	}
	x->written_ms = x->clock.reached_ms;
	x->written_index = x->call.index;
	x->is_more = true;
}

enum { EXPIRY_FIRST, EXPIRY_BEGIN, EXPIRY_LOOK, EXPIRY_DURABLE };

static enum step sleep_on(struct expiry *x, int next)
{
	uint64_t now_ms = loop_now_ms(x->task.loop);

	sleep_start(&x->sleep, &x->task, now_ms + (x->is_more ? EXPIRY_PAUSE_MS : EXPIRY_IDLE_MS));
	return task_wait(&x->task, next);
}

static enum step expiry_step(struct task *t)
{
	struct expiry *x = CONTAINER(t, struct expiry, task);
	struct leader *leader = x->coordinator->config.leader;

	if (task_is_canceled(t))
		return t->children ? task_wait(t, t->at) : task_done(t, t->err);
	switch (t->at) {
	case EXPIRY_FIRST:
		leader_run(&x->call, t, leader, run_first, x);
		return task_wait(t, EXPIRY_BEGIN);
	case EXPIRY_BEGIN:
		if (x->call.task.err)
			return sleep_on(x, EXPIRY_FIRST);
		coordinator_lives_begun(x->coordinator);
		x->written_index = x->call.index;
		deletion_clock_begin(&x->clock, x->written_ms, loop_now_ms(t->loop));
		return sleep_on(x, EXPIRY_LOOK);
	case EXPIRY_LOOK:
		if (!look(x))
			return sleep_on(x, EXPIRY_LOOK);
		leader_run(&x->call, t, leader, run_step, x);
		return task_wait(t, EXPIRY_DURABLE);
	case EXPIRY_DURABLE:
		step_ended(x);
		return sleep_on(x, EXPIRY_LOOK);
	}
	abort();
}

static void expiry_on_end(struct task *t)
{
	struct expiry *x = CONTAINER(t, struct expiry, task);
	struct coordinator *c = x->coordinator;

	if (c->expiry == x)
		c->expiry = NULL;
	c->errand_count--;
	retention_watch_done(&x->watch);
	memory_free(x);
	if (c->stop)
		task_wake(c->stop);
}

static const char *const expiry_places[] = { "first", "begin", "look", "durable" };
static const struct task_kind expiry_kind = {
	.name = "expiry",
	.places = expiry_places,
	.place_count = 4,
	.step = expiry_step,
	.on_end = expiry_on_end,
};

void expiry_start(struct coordinator *c)
{
	struct expiry *x = NEW(struct expiry);

	x->coordinator = c;
	c->expiry = x;
	retention_watch_init(&x->watch);
	c->errand_count++;
	task_start_root(&x->task, &expiry_kind, c->loop);
}

void expiry_cancel(struct coordinator *c)
{
	if (c->expiry)
		task_cancel(&c->expiry->task);
	c->expiry = NULL;
}

void expiry_changed(struct coordinator *c)
{
	if (!c->expiry)
		return;
	retention_watch_again(&c->expiry->watch);
	c->expiry->producers.due_ms = 0;
}

void expiry_runs_deleted(struct coordinator *c, struct cell *cell)
{
	if (c->expiry)
		retention_watch_runs_deleted(&c->expiry->watch, cell);
}

bool expiry_is_full(const struct coordinator *c)
{
	return c->expiry && c->expiry->is_full;
}

int64_t expiry_now_ms(const struct coordinator *c)
{
	return c->expiry ? c->expiry->now_ms : 0;
}
