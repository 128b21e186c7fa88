/* What the tests of the leader share: nodes on the same buckets in memory, commands whose outcome
 * is remembered, and the check that nothing acknowledged is lost and nothing is half there.
 *
 * Each node sees the buckets through fault wrappers of its own, so that a test can fail, hold or
 * cut off the operations of one node. */
#ifndef CELLS_LEADER_TESTING_H
#define CELLS_LEADER_TESTING_H

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "buckets/fault.h"
#include "buckets/memory.h"
#include "cells/cell_testing.h"
#include "cells/follower.h"
#include "cells/leader.h"
#include "loop/timer.h"

enum { TESTING_BUCKETS_MAX = 3, TESTING_COMMANDS_MAX = 2000, TESTING_PATIENCE_MS = 60000 };

/* The world: buckets, a loop, every command ever given. */
struct world {
	struct loop *loop;
	int number; /* in the names of its buckets: a test that failed leaves them open */
	int bucket_count;
	uint64_t seed;
	const char *class;
	char directory[64]; /* buckets are directories of this name; "": in memory */
	struct command *commands[TESTING_COMMANDS_MAX];
	size_t command_count;
	uint64_t events; /* things that happened */
};

struct node {
	struct world *world;
	struct bucket *buckets[TESTING_BUCKETS_MAX]; /* fault wrappers */
	struct leader *leader;
	struct leader_config config;
	bool is_leading, is_lost, campaigns_again;
	bool is_decided; /* the last campaign ended, one way or the other */
	char why[200], holder[64];
	struct cell *follower; /* fed with committed records once it has an image */
	struct buf records;    /* committed ones: u64 index, u32 size, bytes */
	struct task stopper;
	struct leader_stop stop;
	bool has_stopped;
};

enum command_kind {
	COMMAND_PUT,
	COMMAND_BIG,
	COMMAND_FAIL,	    /* changes rows, then fails */
	COMMAND_NEUTRAL,    /* puts, as COMMAND_PUT does */
	COMMAND_REPEATABLE, /* the same; without an announcement to wait for */
	COMMAND_WAITS,	    /* the same, and says that it waits */
	COMMAND_READ,
	COMMAND_FENCE,
	COMMAND_IMAGE,
};

struct command {
	struct task task;
	struct leader_call call;
	struct leader_image image;
	struct world *world;
	struct leader *leader;
	enum command_kind kind;
	int number;
	bool is_done;
	enum err err;
	int64_t seen; /* by COMMAND_READ: rows */
};

static const struct cell_schema testing_steps[] = {
	{ "test", 1,
	  "CREATE TABLE item(n INTEGER NOT NULL, value BLOB);"
	  "CREATE UNIQUE INDEX item_n ON item(n);"
	  "CREATE TABLE twin(n INTEGER NOT NULL);"
	  "CREATE UNIQUE INDEX twin_n ON twin(n);" },
	{ "test", 2, "CREATE TABLE later(n INTEGER);" },
};

static inline void world_changed(struct world *w)
{
	w->events++;
	loop_stop(w->loop);
}

/* --- commands ------------------------------------------------------------------------------- */

static inline enum leader_kind command_leader_kind(const struct command *m)
{
	if (m->kind == COMMAND_NEUTRAL)
		return LEADER_NEUTRAL;
	return m->kind == COMMAND_REPEATABLE || m->kind == COMMAND_WAITS ? LEADER_REPEATABLE
									 : LEADER_FIRM;
}

static inline enum err command_run(struct cell *c, void *argument)
{
	struct command *m = argument;
	static uint8_t big[200000];

	if (m->kind == COMMAND_READ) {
		m->seen = testing_number(c, "SELECT count(*) FROM item");
		return OK;
	}
	m->call.waits = m->kind == COMMAND_WAITS;
	m->call.is_remade = command_leader_kind(m) == LEADER_REPEATABLE;
	sqlite3_stmt *item = cell_statement(c, "INSERT INTO item(n, value) VALUES(?1, ?2)");
	cell_bind_int(item, 1, m->number);
	cell_bind_blob(item, 2, (struct slice) { big, m->kind == COMMAND_BIG ? sizeof(big) : 20 });
	enum err err = cell_execute(c, item);
	if (err)
		return err;
	sqlite3_stmt *twin = cell_statement(c, "INSERT INTO twin(n) VALUES(?1)");
	cell_bind_int(twin, 1, m->number);
	err = cell_execute(c, twin);
	return m->kind == COMMAND_FAIL ? ERR_DENIED : err;
}

static inline enum step command_step(struct task *t)
{
	struct command *m = CONTAINER(t, struct command, task);

	if (t->at == 0) {
		if (m->kind == COMMAND_FENCE)
			leader_fence(&m->call, t, m->leader);
		else if (m->kind == COMMAND_IMAGE)
			leader_image(&m->image, t, m->leader);
		else
			leader_run_kind(&m->call, t, m->leader, command_leader_kind(m), command_run,
					m);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	m->err = m->kind == COMMAND_IMAGE ? m->image.task.err : m->call.task.err;
	m->is_done = true;
	world_changed(m->world);
	return task_done(t, OK);
}

static const struct task_kind command_kind = { .name = "test command", .step = command_step };

static inline struct command *give(struct node *n, enum command_kind kind)
{
	struct world *w = n->world;
	struct command *m = NEW(struct command);

	assert_true(w->command_count < TESTING_COMMANDS_MAX);
	m->world = w;
	m->leader = n->leader;
	m->kind = kind;
	m->number = (int)w->command_count;
	w->commands[w->command_count++] = m;
	task_start_root(&m->task, &command_kind, w->loop);
	return m;
}

/* --- waiting -------------------------------------------------------------------------------- */

static inline void on_patience(struct timer *t)
{
	loop_stop(t->loop);
}

/* Run the loop until `*flag`, or until nothing happened for so long; false then. */
static inline bool wait_for(struct world *w, const bool *flag, uint64_t patience_ms)
{
	struct timer timer = { 0 };
	uint64_t events = w->events, last_ms = clock_now_ms();

	while (!*flag) {
		if (w->events != events) {
			events = w->events;
			last_ms = clock_now_ms();
		}
		if (clock_now_ms() >= last_ms + patience_ms)
			break;
		timer_set(&timer, w->loop, loop_now_ms(w->loop) + patience_ms, on_patience);
		loop_run(w->loop);
		timer_clear(&timer);
	}
	return *flag;
}

static inline enum err finish(struct command *m)
{
	if (!wait_for(m->world, &m->is_done, TESTING_PATIENCE_MS)) {
		task_dump(m->world->loop, stderr);
		fail_msg("command %d does not end", m->number);
	}
	return m->err;
}

static inline void finish_all(struct world *w)
{
	for (size_t i = 0; i < w->command_count; i++)
		finish(w->commands[i]);
}

static inline enum err put_one(struct node *n)
{
	return finish(give(n, COMMAND_PUT));
}

/* --- nodes ---------------------------------------------------------------------------------- */

static inline void node_on_leading(void *context)
{
	struct node *n = context;

	assert_int_equal(leader_state(n->leader), LEADER_LEADING);
	n->is_leading = n->is_decided = true;
	world_changed(n->world);
}

static inline void node_on_lost(void *context, const char *why, const char *holder)
{
	struct node *n = context;

	assert_int_equal(leader_state(n->leader), LEADER_IDLE);
	assert_null(leader_cell(n->leader));
	n->is_leading = false;
	n->is_lost = n->is_decided = true;
	snprintf(n->why, sizeof(n->why), "%s", why);
	snprintf(n->holder, sizeof(n->holder), "%s", holder);
	if (n->campaigns_again)
		leader_campaign(n->leader);
	world_changed(n->world);
}

static inline void node_on_committed(void *context, uint64_t index, struct slice record)
{
	struct node *n = context;

	assert_true(n->is_leading);
	buf_add_u64(&n->records, index);
	buf_add_u32(&n->records, (uint32_t)record.size);
	buf_add_slice(&n->records, record);
}

static const struct leader_watcher node_watcher = { node_on_leading, node_on_lost,
						    node_on_committed };

static inline void node_open(struct node *n, struct world *w, const char *name)
{
	char url[96], why[TASK_WHY_BYTES];

	memset(n, 0, sizeof(*n));
	n->world = w;
	buf_init(&n->records);
	for (int k = 0; k < w->bucket_count; k++) {
		struct bucket *inner;

		if (w->directory[0])
			snprintf(url, sizeof(url), "file:%s-%d", w->directory, k);
		else
			snprintf(url, sizeof(url), "memory:leader%d-%d?class=%s", w->number, k,
				 w->class);
		assert_int_equal(bucket_open(url, &inner, why), OK);
		n->buckets[k] = fault_bucket_new(inner, w->seed + (uint64_t)k);
	}
	n->config = (struct leader_config) {
		.buckets = n->buckets,
		.bucket_count = w->bucket_count,
		.journal = "main",
		.node = name,
		.address = name,
		.cell_name = "test",
		.schema = testing_steps,
		.schema_count = 1,
		.watcher = &node_watcher,
		.context = n,
	};
}

static inline void node_campaign(struct node *n)
{
	if (!n->leader)
		n->leader = leader_new(n->world->loop, &n->config);
	n->is_lost = n->is_decided = false;
	leader_campaign(n->leader);
}

/* Open, campaign until it leads. */
static inline void node_lead(struct node *n, struct world *w, const char *name)
{
	node_open(n, w, name);
	node_campaign(n);
	if (!wait_for(w, &n->is_decided, TESTING_PATIENCE_MS) || !n->is_leading) {
		task_dump(w->loop, stderr);
		fail_msg("%s does not lead: %s", name, n->why);
	}
}

static inline enum step stopper_step(struct task *t)
{
	struct node *n = CONTAINER(t, struct node, stopper);

	if (t->at == 0) {
		leader_stop(&n->stop, t, n->leader);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	n->has_stopped = true;
	world_changed(n->world);
	return task_done(t, OK);
}

static const struct task_kind stopper_kind = { .name = "test stopper", .step = stopper_step };

static inline void node_close(struct node *n)
{
	assert_true(wait_for(n->world, &n->has_stopped, TESTING_PATIENCE_MS));
	leader_free(n->leader);
	for (int k = 0; k < n->world->bucket_count; k++)
		bucket_close(n->buckets[k]);
	buf_done(&n->records);
	cell_free(n->follower);
}

/* Seal, commit, resign. */
static inline void node_stop(struct node *n)
{
	task_start_root(&n->stopper, &stopper_kind, n->world->loop);
	node_close(n);
}

/* From now on this node reaches no bucket.  What is held is let go first: it lands late. */
static inline void node_cut_off(struct node *n)
{
	for (int k = 0; k < n->world->bucket_count; k++) {
		fault_clear(n->buckets[k]);
		fault_release(n->buckets[k], "");
		fault_add(n->buckets[k], &(struct fault) { .effect = FAULT_BEFORE });
	}
}

/* Everything of it is gone but what is in the buckets. */
static inline void node_crash(struct node *n)
{
	node_cut_off(n);
	task_start_root(&n->stopper, &stopper_kind, n->world->loop);
	task_cancel(&n->stopper);
	node_close(n);
}

/* --- the world ------------------------------------------------------------------------------ */

static inline void world_open(struct world *w, int bucket_count, const char *class, uint64_t seed)
{
	static int number;

	memset(w, 0, sizeof(*w));
	w->number = ++number;
	w->loop = loop_new(seed);
	w->bucket_count = bucket_count;
	w->seed = seed;
	w->class = class;
	log_set_level(getenv("HANSE_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
}

static inline void world_close(struct world *w)
{
	char name[32];

	for (size_t i = 0; i < w->command_count; i++) {
		assert_true(w->commands[i]->is_done);
		follower_image_done(&w->commands[i]->image.image);
		memory_free(w->commands[i]);
	}
	for (int k = 0; k < w->bucket_count; k++) {
		snprintf(name, sizeof(name), "leader%d-%d", w->number, k);
		memory_bucket_forget(name);
	}
	loop_free(w->loop);
}

static inline int64_t count_of(struct cell *c, const char *table, int number)
{
	char sql[80];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s WHERE n = %d", table, number);
	return testing_number(c, sql);
}

/* What clients were told agrees with what is there. */
static inline void check_world(struct world *w, struct node *n)
{
	struct cell *c = leader_cell(n->leader);

	assert_non_null(c);
	assert_int_equal(cell_verify(c), OK);
	for (size_t i = 0; i < w->command_count; i++) {
		struct command *m = w->commands[i];
		int64_t items, twins;

		if (!m->is_done || m->kind == COMMAND_READ || m->kind >= COMMAND_FENCE)
			continue;
		items = count_of(c, "item", m->number);
		twins = count_of(c, "twin", m->number);
		if (items != twins)
			fail_msg("command %d is half there", m->number);
		if (m->err == OK && items != 1)
			fail_msg("command %d was acknowledged and is lost", m->number);
		if (m->err != OK && m->err != ERR_UNKNOWN && items != 0)
			fail_msg("command %d ended with %s and is there", m->number,
				 err_name(m->err));
	}
}

#endif
