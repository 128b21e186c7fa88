#include "streams/agent/janitor.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "loop/timer.h"
#include "peer_messages.h"
#include "streams/agent/agent.h"
#include "streams/agent/agent_numbers.h"
#include "streams/catalog/catalog.h"
#include "wire/streams/data_file.h"

struct deletion {
	struct bucket_op op;
	struct catalog_file file;
	char key[DATA_FILE_KEY_BYTES + 1];
	bool is_under_way; /* started, and what became of it is not noted yet */
};

struct janitor {
	struct task task;
	struct agent *agent;
	struct sleep sleep; /* between rounds, and until the budget has a request */
	struct arena arena;
	struct catalog_file *files;
	size_t file_count, next;
	struct deletion deletions[JANITOR_DELETIONS_FAR_MAX];
	size_t deleted;	 /* files[0..deleted) have no object any more: never more than were begun */
	size_t failures; /* of this round */
	int64_t after_ms, after_row; /* of the last one of the round before: the next one goes on */
	struct control_call call;
	int64_t journal_ms;	  /* time of the newest record, */
	uint64_t journal_loop_ms; /* and when that was seen first */
	uint64_t quiet_until_ms;  /* no log line about what cannot be deleted before */
	uint64_t pause_ms;
	bool is_more; /* the list goes on behind this round */
};

enum { JANITOR_LOOK, JANITOR_DELETING, JANITOR_FORGOTTEN };

/* Each data file dies some day, and agents write 25 a second and more: while the list goes on, and
 * the bucket deletes, so does this. */
static enum step rest(struct janitor *j)
{
	bool goes_on = j->is_more && j->failures == 0 && j->pause_ms > JANITOR_MORE_MS;

	arena_reset(&j->arena);
	sleep_start(&j->sleep, &j->task,
		    loop_now_ms(j->agent->loop) + (goes_on ? JANITOR_MORE_MS : j->pause_ms));
	return task_wait(&j->task, JANITOR_LOOK);
}

static enum step forget(struct janitor *j)
{
	struct peer_forget_files_request request = { .files_count = j->deleted };

	if (j->deleted == 0)
		return rest(j);
	request.files = arena_take_array(&j->arena, j->deleted, sizeof(*request.files));
	for (size_t i = 0; i < j->deleted; i++)
		request.files[i] = (struct peer_forget_files_request_file) {
			.incarnation = j->files[i].incarnation,
			.sequence = j->files[i].sequence,
		};
	control_call(&j->call, &j->task, j->agent->link, &peer_forget_files_request_schema,
		     &request);
	return task_wait(&j->task, JANITOR_FORGOTTEN);
}

/* Only what the bucket confirmed is forgotten: a delete without an answer is one that failed, and
 * is repeated, which does no harm. */
static void note_ended(struct janitor *j, struct deletion *d)
{
	uint64_t now_ms = loop_now_ms(j->agent->loop);

	d->is_under_way = false;
	if (!d->op.task.err) {
		j->files[j->deleted++] = d->file;
		j->agent->numbers->work.files_deleted++;
		return;
	}
	j->failures++;
	j->agent->numbers->work.deletes_failed++;
	if (now_ms >= j->quiet_until_ms)
		log_warn("dead file %s cannot be deleted: %s", d->key, d->op.task.why);
	j->quiet_until_ms = now_ms + JANITOR_QUIET_MS;
}

static void begin(struct janitor *j, struct deletion *d)
{
	d->is_under_way = true;
	d->file = j->files[j->next++];
	data_file_key(d->key, (uint64_t)d->file.incarnation, (uint64_t)d->file.sequence);
	bucket_delete(&d->op, &j->task, j->agent->config.bucket, slice_from(d->key));
	task_set_deadline(&d->op.task, loop_now_ms(j->agent->loop) + JANITOR_DELETE_MS);
}

/* May one more request be sent?  If not, this is woken when it may. */
static bool has_budget(struct janitor *j)
{
	struct flush_budget *budget = &j->agent->deletes;
	uint64_t now_ms = loop_now_ms(j->agent->loop);
	uint64_t next_ms = flush_budget_next_ms(budget, now_ms);

	if (!bucket_is_far(j->agent->config.bucket))
		return true;
	if (next_ms <= now_ms) {
		flush_budget_spend(budget, now_ms);
		return true;
	}
	if (!task_is_running(&j->sleep.task))
		sleep_start(&j->sleep, &j->task, next_ms);
	return false;
}

/* Files that cannot be deleted hold up no others: the next round goes on after these, until it
 * begins again with the first.  A bucket that is away is not asked a hundred times. */
static enum step delete_more(struct janitor *j)
{
	size_t slots = bucket_is_far(j->agent->config.bucket) ? JANITOR_DELETIONS_FAR_MAX
							      : JANITOR_DELETIONS_NEAR_MAX;

	for (size_t i = 0; i < JANITOR_DELETIONS_FAR_MAX; i++) {
		struct deletion *d = &j->deletions[i];
		if (d->is_under_way && !task_is_running(&d->op.task))
			note_ended(j, d);
	}
	for (size_t i = 0; i < slots; i++)
		if (!j->deletions[i].is_under_way && j->next < j->file_count &&
		    j->failures < JANITOR_FAILURES_MAX && has_budget(j))
			begin(j, &j->deletions[i]);
	return j->task.children > 0 ? task_wait(&j->task, JANITOR_DELETING) : forget(j);
}

/* Which of the agents that are live this is, and of how many; alone if it is none of them. */
static void find_place(struct janitor *j, struct cell *cell, uint64_t *ret_place,
		       uint64_t *ret_count)
{
	struct catalog_agent *agents;
	size_t count = 0;
	bool is_found = false;

	*ret_place = *ret_count = 0;
	if (catalog_agents(&j->arena, cell, &agents, &count))
		count = 0;
	for (size_t i = 0; i < count; i++) {
		if (!agents[i].is_live)
			continue;
		if (agents[i].node_id == j->agent->node_id) {
			is_found = true;
			*ret_place = *ret_count;
		}
		(*ret_count)++;
	}
	if (!is_found)
		*ret_place = 0, *ret_count = 1;
}

/* Each file has an agent that deletes it; when that one does not, anybody does. */
static void keep_own(struct janitor *j, struct cell *cell, int64_t anybodys_before_ms)
{
	uint64_t place, count;
	size_t kept = 0;

	find_place(j, cell, &place, &count);
	for (size_t i = 0; i < j->file_count; i++) {
		const struct catalog_file *file = &j->files[i];
		uint64_t owner = (uint64_t)file->row % count;
		if (owner == place || file->dead_ms < anybodys_before_ms)
			j->files[kept++] = *file;
	}
	j->file_count = kept;
}

/* Dead times are the journal's, which follow the wall clock of whoever leads, but never go back:
 * they may be far ahead of it.  Our own may be wrong; it counts only as far as time has passed here
 * since the journal said what time it is. */
static int64_t journal_now_ms(struct janitor *j, struct cell *cell)
{
	int64_t journal_ms = (int64_t)cell_state(cell).now_ms;
	int64_t wall_ms = clock_wall_ms();
	uint64_t loop_ms = loop_now_ms(j->agent->loop);

	if (journal_ms != j->journal_ms || j->journal_loop_ms == 0) {
		j->journal_ms = journal_ms;
		j->journal_loop_ms = loop_ms;
	}
	int64_t latest_ms = journal_ms + (int64_t)(loop_ms - j->journal_loop_ms);
	if (wall_ms < journal_ms)
		return journal_ms;
	return wall_ms < latest_ms ? wall_ms : latest_ms;
}

static enum step look(struct janitor *j)
{
	struct cell *cell = replica_cell(j->agent->replica);
	int64_t dead_before_ms = cell ? journal_now_ms(j, cell) - catalog_grace_ms() : 0;

	j->deleted = j->file_count = j->next = j->failures = 0;
	j->is_more = false;
	if (!cell || !control_link_is_ready(j->agent->link) ||
	    catalog_dead_files(&j->arena, cell, j->after_ms, j->after_row, dead_before_ms,
			       JANITOR_FILES_MAX, &j->files, &j->file_count))
		return rest(j);
	bool is_end = j->file_count < JANITOR_FILES_MAX;
	int64_t last_ms = is_end ? 0 : j->files[j->file_count - 1].dead_ms;
	int64_t last_row = is_end ? 0 : j->files[j->file_count - 1].row;
	keep_own(j, cell, dead_before_ms - JANITOR_OTHERS_MS);
	j->is_more = !is_end;
	j->after_ms = last_ms;
	j->after_row = last_row;
	return delete_more(j);
}

static enum step janitor_step(struct task *t)
{
	struct janitor *j = CONTAINER(t, struct janitor, task);

	if (task_is_canceled(t))
		return task_done(t, t->err);
	switch (t->at) {
	case JANITOR_LOOK:
		return look(j);
	case JANITOR_DELETING:
		return delete_more(j);
	case JANITOR_FORGOTTEN:
		blob_unref(&j->call.ret_bytes);
		return rest(j);
	}
	abort();
}

static void janitor_on_end(struct task *t)
{
	struct janitor *j = CONTAINER(t, struct janitor, task);
	struct agent *agent = j->agent;

	blob_unref(&j->call.ret_bytes);
	arena_done(&j->arena);
	memory_free(j);
	agent->janitor = NULL;
	if (agent->stop)
		task_wake(agent->stop);
}

static const char *const janitor_places[] = { "look", "deleting", "forgotten" };
static const struct task_kind janitor_kind = {
	.name = "janitor",
	.places = janitor_places,
	.place_count = 3,
	.step = janitor_step,
	.on_end = janitor_on_end,
};

struct janitor *janitor_start(struct agent *agent)
{
	struct janitor *j = NEW(struct janitor);
	uint64_t grace_ms = (uint64_t)catalog_grace_ms();

	j->agent = agent;
	j->pause_ms = grace_ms < JANITOR_PAUSE_MS ? grace_ms + 10 : JANITOR_PAUSE_MS;
	arena_init(&j->arena);
	task_start_root(&j->task, &janitor_kind, agent->loop);
	return j;
}

void janitor_init_budget(struct flush_budget *ret, int puts_per_s, uint64_t now_ms)
{
	int per_s = puts_per_s * JANITOR_DELETES_PER_PUT;

	flush_budget_init(ret, per_s < FLUSH_PUTS_PER_S_MAX ? per_s : FLUSH_PUTS_PER_S_MAX, now_ms);
}

void janitor_stop(struct janitor *j)
{
	task_cancel(&j->task);
}
