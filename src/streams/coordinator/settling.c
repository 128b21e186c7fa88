#include "streams/coordinator/settling.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "loop/timer.h"
#include "streams/coordinator/private.h"

struct settling {
	struct task task;
	struct coordinator *coordinator;
	struct announced_settle run;
	struct leader_call call;
	struct sleep sleep;
	uint64_t since_ms, log_due_ms, ask_due_ms; /* of the loop */
	int64_t asked;				   /* the incarnation that was asked last */
};

/* --- whose files are left ----------------------------------------------------------------------
 */

static bool life_goes_on(const struct coordinator *c, struct cell *cell, int64_t incarnation)
{
	enum agent_condition condition;
	sqlite3_stmt *st = cell_statement(cell, "SELECT 1 FROM agent WHERE incarnation = ?1");

	cell_bind_int(st, 1, incarnation);
	bool is_current = cell_next(cell, st);
	sqlite3_reset(st);
	return is_current && coordinator_find_agent(c, incarnation, &condition);
}

static void note_life(struct coordinator *c, struct cell *cell, struct announced_file *file,
		      uint64_t now_ms)
{
	if (file->is_left)
		return;
	if (life_goes_on(c, cell, file->name[0]))
		file->left_ms = 0;
	else if (file->left_ms == 0)
		file->left_ms = now_ms;
	else
		file->is_left = now_ms >= file->left_ms + SETTLING_LEFT_MS;
}

/* How many are to be settled, and which of them somebody has to look for. */
static size_t find_left(struct settling *w, struct cell *cell, const struct announced_row *rows,
			size_t count, struct peer_settle_push *ret)
{
	struct coordinator *c = w->coordinator;
	uint64_t now_ms = loop_now_ms(w->task.loop);
	size_t left = 0;

	for (size_t i = 0; i < count; i++) {
		struct announced_file *file =
			announced_find(&c->announced, cell, rows[i].incarnation, rows[i].sequence);
		if (!file)
			continue;
		note_life(c, cell, file, now_ms);
		if (!file->is_left && !c->announced.is_all_left)
			continue;
		left++;
		if (!file->has_verdict)
			ret->files[ret->files_count++] =
				(struct peer_settle_push_file) { rows[i].incarnation,
								 rows[i].sequence, rows[i].size };
	}
	return left;
}

/* --- asking ------------------------------------------------------------------------------------
 */

/* The agent after the one that was asked last; NULL: none is here. */
static struct session *next_agent(const struct settling *w)
{
	struct coordinator *c = w->coordinator;
	struct session *first = NULL;
	bool is_next = false;

	for (struct list *link = c->sessions.next; link != &c->sessions; link = link->next) {
		struct session *s = session_from_link(link);
		if (!session_incarnation(s))
			continue;
		if (is_next)
			return s;
		if (!first)
			first = s;
		is_next = session_incarnation(s) == w->asked;
	}
	return first;
}

static void ask(struct settling *w, struct cell *cell, const struct peer_settle_push *push)
{
	struct coordinator *c = w->coordinator;
	uint64_t now_ms = loop_now_ms(w->task.loop);

	if (push->files_count == 0 || now_ms < w->ask_due_ms)
		return;
	struct session *s = next_agent(w);
	if (!s)
		return;
	for (size_t i = 0; i < push->files_count; i++)
		announced_find(&c->announced, cell, push->files[i].incarnation,
			       push->files[i].sequence)
			->is_asked = true;
	w->asked = session_incarnation(s);
	w->ask_due_ms = now_ms + SETTLING_RETRY_MS;
	session_push_settle(s, push);
}

enum err settling_take(struct coordinator *c, const struct peer_settle_request *request)
{
	struct cell *cell = leader_cell(c->config.leader);

	if (request->files_count > ANNOUNCED_FILES_MAX)
		return ERR_TOO_BIG;
	if (!cell || !c->settling)
		return ERR_UNAVAILABLE;
	for (size_t i = 0; i < request->files_count; i++) {
		const struct peer_settle_request_file *it = &request->files[i];
		struct announced_file *file =
			announced_find(&c->announced, cell, it->incarnation, it->sequence);
		if (!file || !file->is_asked)
			continue; /* somebody else was faster */
		if (file->has_verdict && file->is_there != it->is_there)
			log_error("agents disagree about data file %lld-%lld",
				  (long long)it->incarnation, (long long)it->sequence);
		else
			file->is_there = it->is_there;
		file->has_verdict = true;
	}
	c->settling->ask_due_ms = 0;
	settling_wake(c);
	return OK;
}

/* --- the task ----------------------------------------------------------------------------------
 */

enum { SETTLING_LOOK, SETTLING_DURABLE };

static void tell(struct settling *w, size_t left, size_t unseen)
{
	uint64_t now_ms = loop_now_ms(w->task.loop);

	if (left == 0 || now_ms < w->log_due_ms)
		return;
	w->log_due_ms = now_ms + SETTLING_LOG_MS;
	log_info("%s%zu announced data files are to be settled: %zu have to be looked for%s",
		 w->coordinator->announced.is_all_left ? "before this node serves, " : "", left,
		 unseen, next_agent(w) ? "" : ", and no agent is here");
}

static void end_term_settling(struct settling *w)
{
	struct coordinator *c = w->coordinator;

	if (!c->announced.is_all_left)
		return;
	log_info("what the last leader left is settled after %llu ms: %llu data files were there,"
		 " %llu not",
		 (unsigned long long)(loop_now_ms(w->task.loop) - w->since_ms),
		 (unsigned long long)c->announced.numbers.there,
		 (unsigned long long)c->announced.numbers.burnt);
	c->announced.is_all_left = false;
	leader_set_settling(c->config.leader, false);
	coordinator_begin_work(c);
}

static enum step rest(struct settling *w, uint64_t ms)
{
	sleep_start(&w->sleep, &w->task, loop_now_ms(w->task.loop) + ms);
	return task_wait(&w->task, SETTLING_LOOK);
}

static enum step settle(struct settling *w)
{
	struct coordinator *c = w->coordinator;

	w->run.announced = &c->announced;
	w->run.now_ms = (int64_t)leader_now_ms(c->config.leader);
	leader_run_kind(&w->call, &w->task, c->config.leader, LEADER_SETTLING, announced_settle_run,
			&w->run);
	return task_wait(&w->task, SETTLING_DURABLE);
}

static enum step look(struct settling *w)
{
	struct coordinator *c = w->coordinator;
	struct cell *cell = leader_cell(c->config.leader);
	struct peer_settle_push push = { 0 };
	struct announced_row *rows;
	struct arena arena;

	if (!cell)
		return task_done(&w->task, ERR_UNAVAILABLE);
	if (announced_count(cell) == 0) {
		end_term_settling(w);
		return rest(w, SETTLING_IDLE_MS);
	}
	arena_init(&arena);
	size_t count = announced_rows(&arena, cell, &rows);
	push.files = arena_take_array(&arena, count + 1, sizeof(*push.files));
	size_t left = find_left(w, cell, rows, count, &push);
	tell(w, left, push.files_count);
	ask(w, cell, &push);
	arena_done(&arena);
	if (left > 0 && announced_can_settle(&c->announced, cell))
		return settle(w);
	return rest(w, left > 0 ? SETTLING_LOOK_MS : SETTLING_IDLE_MS);
}

/* What cannot be committed at all could not be before either: nobody was told that it is. */
static void give_up(struct settling *w, enum err err)
{
	struct coordinator *c = w->coordinator;
	struct cell *cell = leader_cell(c->config.leader);
	struct announced_file *file =
		cell ? announced_find(&c->announced, cell, w->run.incarnation, w->run.sequence)
		     : NULL;

	log_error("data file %lld-%lld, which is announced, cannot be committed: %s",
		  (long long)w->run.incarnation, (long long)w->run.sequence, err_name(err));
	if (file)
		file->is_there = false;
}

static enum step settled(struct settling *w)
{
	struct announced_numbers *numbers = &w->coordinator->announced.numbers;
	enum err err = w->call.task.err;

	if (!err) {
		numbers->there += w->run.there;
		numbers->burnt += w->run.burnt;
		w->run.is_single = false;
		return look(w);
	}
	log_warn("announced data files are not settled yet: %s", err_name(err));
	bool is_hopeless = err == ERR_TOO_BIG || err == ERR_INVALID;
	if (is_hopeless && w->run.is_single)
		give_up(w, err);
	w->run.is_single = is_hopeless;
	return rest(w, SETTLING_LOOK_MS);
}

static enum step settling_step(struct task *t)
{
	struct settling *w = CONTAINER(t, struct settling, task);

	if (task_is_canceled(t))
		return t->children ? task_wait(t, t->at) : task_done(t, t->err);
	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case SETTLING_LOOK:
		return look(w);
	case SETTLING_DURABLE:
		return settled(w);
	}
	abort();
}

static void settling_on_end(struct task *t)
{
	struct settling *w = CONTAINER(t, struct settling, task);
	struct coordinator *c = w->coordinator;

	if (c->settling == w)
		c->settling = NULL;
	c->errand_count--;
	memory_free(w);
	if (c->stop)
		task_wake(c->stop);
}

static const char *const settling_places[] = { "look", "durable" };
static const struct task_kind settling_kind = {
	.name = "settling",
	.places = settling_places,
	.place_count = 2,
	.step = settling_step,
	.on_end = settling_on_end,
};

void settling_start(struct coordinator *c)
{
	struct settling *w = NEW(struct settling);
	struct cell *cell = leader_cell(c->config.leader);

	w->coordinator = c;
	w->since_ms = loop_now_ms(c->loop);
	c->settling = w;
	c->errand_count++;
	announced_clear(&c->announced);
	c->announced.is_all_left = cell && announced_count(cell) > 0;
	if (c->announced.is_all_left)
		leader_set_settling(c->config.leader, true);
	else
		coordinator_begin_work(c);
	task_start_root(&w->task, &settling_kind, c->loop);
}

void settling_cancel(struct coordinator *c)
{
	if (c->settling)
		task_cancel(&c->settling->task);
	c->settling = NULL;
	announced_clear(&c->announced);
}

void settling_wake(struct coordinator *c)
{
	if (c->settling && task_is_running(&c->settling->sleep.task))
		task_cancel(&c->settling->sleep.task);
}
