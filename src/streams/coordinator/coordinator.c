#include "streams/coordinator/coordinator.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "streams/coordinator/compaction_jobs.h"
#include "streams/coordinator/expiry.h"
#include "streams/coordinator/groups.h"
#include "streams/coordinator/key_job.h"
#include "streams/coordinator/private.h"
#include "streams/coordinator/roll.h"
#include "streams/coordinator/settling.h"
#include "streams/coordinator/sweep.h"
#include "streams/coordinator/transaction_clock.h"
#include "streams/coordinator/unsure.h"
#include "streams/coordinator/usage.h"

struct coordinator *coordinator_new(struct loop *loop, const struct coordinator_config *config)
{
	struct coordinator *c = NEW(struct coordinator);

	quotas_init(&c->mutations);
	c->loop = loop;
	c->config = *config;
	if (!c->config.feed_bytes_max)
		c->config.feed_bytes_max = COORDINATOR_FEED_BYTES_MAX;
	if (!c->config.silence_ms)
		c->config.silence_ms = COORDINATOR_SILENCE_MS;
	list_init(&c->sessions);
	guard_init(&c->guard);
	c->key_jobs = key_jobs_new();
	announced_init(&c->announced);
	return c;
}

void coordinator_free(struct coordinator *c)
{
	assert(c->session_count == 0 && c->errand_count == 0 && !c->is_leading);
	guard_done(&c->guard);
	quotas_done(&c->mutations);
	memory_free(c->usage_own);
	key_jobs_free(c->key_jobs);
	announced_done(&c->announced);
	memory_free(c);
}

static void each_session(struct coordinator *c, void (*act)(struct session *s))
{
	for (struct list *link = c->sessions.next; link != &c->sessions;) {
		struct list *next = link->next;
		act(session_from_link(link));
		link = next;
	}
}

/* --- errands: commands nobody waits for, and no commit depends on -------------------------------
 */

struct errand {
	struct task task;
	struct coordinator *coordinator;
	enum err (*run)(struct cell *cell, void *argument);
	int64_t argument;
	struct leader_call call;
};

enum { ERRAND_START, ERRAND_DURABLE };

static enum step errand_step(struct task *t)
{
	struct errand *e = CONTAINER(t, struct errand, task);

	switch (t->at) {
	case ERRAND_START:
		leader_run_kind(&e->call, t, e->coordinator->config.leader, LEADER_NEUTRAL, e->run,
				e);
		return task_wait(t, ERRAND_DURABLE);
	case ERRAND_DURABLE:
		return task_done(t, e->call.task.err);
	}
	abort();
}

static void errand_on_end(struct task *t)
{
	struct errand *e = CONTAINER(t, struct errand, task);
	struct coordinator *c = e->coordinator;

	c->errand_count--;
	memory_free(e);
	if (c->stop)
		task_wake(c->stop);
}

static const char *const errand_places[] = { "start", "durable" };
static const struct task_kind errand_kind = {
	.name = "errand",
	.places = errand_places,
	.place_count = 2,
	.step = errand_step,
	.on_end = errand_on_end,
};

static void start_errand(struct coordinator *c, enum err (*run)(struct cell *cell, void *argument),
			 int64_t argument)
{
	struct errand *e = NEW(struct errand);

	e->coordinator = c;
	e->run = run;
	e->argument = argument;
	c->errand_count++;
	task_start_root(&e->task, &errand_kind, c->loop);
}

/* --- which agents are live ---------------------------------------------------------------------
 */

enum err coordinator_write_roll(struct coordinator *c, struct cell *cell, int64_t gone)
{
	struct roll_entry *entries = memory_take_array(c->session_count + 1, sizeof(*entries));
	struct roll roll = { .entries = entries, .keeps_others = c->keeps_others, .gone = gone };

	for (struct list *link = c->sessions.next; link != &c->sessions; link = link->next) {
		const struct session *s = session_from_link(link);
		if (session_incarnation(s))
			entries[roll.count++] = (struct roll_entry) { session_incarnation(s),
								      session_condition(s) };
	}
	enum err err = roll_write(cell, &roll);
	memory_free(entries);
	return err;
}

static enum err run_roll(struct cell *cell, void *argument)
{
	struct errand *e = argument;

	return coordinator_write_roll(e->coordinator, cell, e->argument);
}

void coordinator_update_roll(struct coordinator *c, int64_t gone)
{
	if (c->is_leading && !c->is_stopping)
		start_errand(c, run_roll, gone);
}

static void on_tick(struct timer *t);

static void set_tick(struct coordinator *c)
{
	timer_set(&c->tick, c->loop,
		  loop_now_ms(c->loop) + c->config.silence_ms / COORDINATOR_SILENT_TICKS_MAX,
		  on_tick);
}

static void on_tick(struct timer *t)
{
	struct coordinator *c = CONTAINER(t, struct coordinator, tick);

	each_session(c, session_tick);
	set_tick(c);
}

static void on_back(struct timer *t)
{
	struct coordinator *c = CONTAINER(t, struct coordinator, back);

	c->keeps_others = false;
	coordinator_update_roll(c, 0);
}

/* --- who may what ------------------------------------------------------------------------------
 */

void coordinator_forget_guard(struct coordinator *c)
{
	c->guard.is_stale = true;
}

const struct guard *coordinator_guard(struct coordinator *c)
{
	if (c->guard.is_stale || !c->guard.grants)
		guard_read(&c->guard, leader_cell(c->config.leader));
	return &c->guard;
}

/* --- lives -------------------------------------------------------------------------------------
 */

static int64_t low_sequence(void *context, int64_t incarnation)
{
	const struct coordinator *c = context;
	int64_t low = 0;

	for (struct list *link = c->sessions.next; link != &c->sessions; link = link->next) {
		const struct session *s = session_from_link(link);
		if (session_incarnation(s) == incarnation && session_low_sequence(s) > low)
			low = session_low_sequence(s);
	}
	return low;
}

static bool is_leased(void *context, int64_t incarnation)
{
	const struct coordinator *c = context;

	if (key_jobs_has(c->key_jobs, incarnation))
		return true;
	return c->compaction &&
	       compaction_has_job(c->compaction, incarnation, loop_now_ms(c->loop));
}

struct orphan_lives coordinator_lives(struct coordinator *c)
{
	return (struct orphan_lives) { low_sequence, is_leased, c };
}

/* Whoever led before may have granted what this journal has never heard of.  Asked in each command
 * that may be the first: one that was rolled back has noted nothing. */
enum err coordinator_begin_lives(struct coordinator *c, struct cell *cell)
{
	if (!c->is_cold)
		return OK;
	int64_t next = unsure_next_incarnation(cell);
	if (c->lives_from && next >= c->lives_from)
		return OK;
	c->lives_from = next ? next + INCARNATION_SKIP : 1;
	return unsure_begin(cell, (int64_t)leader_now_ms(c->config.leader));
}

void coordinator_lives_begun(struct coordinator *c)
{
	c->is_cold = false;
}

bool coordinator_has_noted_lives(const struct coordinator *c)
{
	return !c->is_cold;
}

/* A term that ended before this was durable has left it to the next, which knows its records. */
static void note_cold(struct coordinator *c)
{
	struct leader_status status;

	leader_get_status(c->config.leader, &status);
	c->is_cold |= status.is_cold;
	c->lives_from = 0;
}

/* --- leading -----------------------------------------------------------------------------------
 */

void coordinator_begin_work(struct coordinator *c)
{
	expiry_start(c); /* the first to write */
	sweep_start(c);
	transactions_start(c);
}

void coordinator_on_leading(struct coordinator *c)
{
	c->is_leading = true;
	c->leader[0] = '\0';
	c->groups = groups_new(c);
	key_jobs_forget(c->key_jobs);
	c->compaction = compaction_new();
	coordinator_forget_guard(c);
	c->keeps_others = true;
	note_cold(c);
	orphan_turns_begin(&c->orphans, loop_now_ms(c->loop), random_u64() % ORPHANS_JITTER_MS);
	timer_set(&c->back, c->loop, loop_now_ms(c->loop) + COORDINATOR_RETURN_MS, on_back);
	settling_start(c); /* the first to write */
	usage_start(c);
	each_session(c, session_forget_ticks);
	set_tick(c);
	each_session(c, session_wake);
}

void coordinator_on_lost(struct coordinator *c, const char *why)
{
	if (!c->is_leading)
		return;
	log_debug("ending %zu sessions: %s", c->session_count, why);
	c->is_leading = false;
	timer_clear(&c->tick);
	timer_clear(&c->back);
	settling_cancel(c);
	expiry_cancel(c);
	sweep_cancel(c);
	key_jobs_forget(c->key_jobs);
	transactions_cancel(c);
	usage_cancel(c);
	groups_free(c->groups);
	c->groups = NULL;
	compaction_free(c->compaction);
	c->compaction = NULL;
	each_session(c, session_end);
}

void coordinator_on_committed(struct coordinator *c, uint64_t index, struct slice record)
{
	for (struct list *link = c->sessions.next; link != &c->sessions; link = link->next)
		session_push_record(session_from_link(link), index, record);
}

void coordinator_push_early(struct coordinator *c, const struct peer_early_push *message)
{
	for (struct list *link = c->sessions.next; link != &c->sessions; link = link->next)
		session_push_early(session_from_link(link), message);
}

void coordinator_set_leader(struct coordinator *c, const char *address)
{
	if (strcmp(c->leader, address) == 0)
		return;
	snprintf(c->leader, sizeof(c->leader), "%s", address);
	each_session(c, session_wake);
}

void coordinator_accept(struct coordinator *c, struct stream *s)
{
	if (c->is_stopping || c->session_count >= COORDINATOR_SESSIONS_MAX) {
		log_warn("refusing an agent: %s",
			 c->is_stopping ? "stopping" : "too many sessions");
		stream_close(s);
		return;
	}
	session_open(c, s);
}

void coordinator_get_status(const struct coordinator *c, struct coordinator_status *ret)
{
	uint64_t now_ms = loop_now_ms(c->loop);

	*ret = (struct coordinator_status) {
		.sessions = c->session_count,
		.groups = c->groups ? groups_count(c->groups) : 0,
		.calls = c->call_count,
		.merge_jobs = c->compaction ? compaction_job_count(c->compaction, now_ms) : 0,
		.key_jobs = key_jobs_count(c->key_jobs, now_ms),
		.orphans = c->orphans.last,
		.announced = c->announced.numbers,
	};
}

static bool push_audit(struct coordinator *c, const struct peer_audit_push *message,
		       bool only_who_serves)
{
	for (struct list *link = c->sessions.next; link != &c->sessions; link = link->next) {
		struct session *s = session_from_link(link);
		if (session_incarnation(s) &&
		    (!only_who_serves || session_condition(s) == AGENT_SERVES) &&
		    session_push_audit(s, message))
			return true;
	}
	return false;
}

void coordinator_audit(struct coordinator *c, const struct admin_action *what)
{
	const struct peer_audit_push message = {
		.action = what->action,
		.name = what->name,
		.uid = what->uid,
		.node = slice_from(what->node),
	};

	log_info("user %lld asked for: %.*s %.*s", (long long)what->uid, SLICE_ARG(what->action),
		 SLICE_ARG(what->name));
	if (!push_audit(c, &message, true) && !push_audit(c, &message, false))
		log_warn("that is not in the audit topic: no agent is here to write it");
}

void coordinator_scan_soon(struct coordinator *c)
{
	orphan_turns_note_news(&c->orphans);
}

bool coordinator_find_agent(const struct coordinator *c, int64_t incarnation,
			    enum agent_condition *ret)
{
	bool is_found = false;

	for (struct list *link = c->sessions.next; link != &c->sessions; link = link->next) {
		const struct session *s = session_from_link(link);
		if (session_incarnation(s) != incarnation)
			continue;
		*ret = session_condition(s); /* of two, the later counts */
		is_found = true;
	}
	return is_found;
}

/* --- stopping ----------------------------------------------------------------------------------
 */

enum { STOP_COUNTED, STOP_SESSIONS };

static enum step stop_step(struct task *t)
{
	struct coordinator_stop *s = CONTAINER(t, struct coordinator_stop, task);
	struct coordinator *c = s->coordinator;

	if (!c->is_stopping) {
		c->is_stopping = true;
		c->stop = t;
		usage_finish(&s->usage, t, c);
	}
	if (task_is_running(&s->usage.task))
		return task_wait(t, STOP_COUNTED);
	if (t->at == STOP_COUNTED) {
		coordinator_on_lost(c, "stopping");
		each_session(c, session_end);
	}
	if (c->session_count > 0 || c->errand_count > 0)
		return task_wait(t, STOP_SESSIONS);
	c->stop = NULL;
	return task_done(t, OK);
}

static const char *const stop_places[] = { "counted", "sessions" };
static const struct task_kind stop_kind = {
	.name = "coordinator_stop",
	.places = stop_places,
	.place_count = 2,
	.step = stop_step,
};

void coordinator_stop(struct coordinator_stop *s, struct task *parent, struct coordinator *c)
{
	*s = (struct coordinator_stop) { .coordinator = c };
	task_start(&s->task, &stop_kind, parent);
}
