#include "streams/agent/janitor.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "loop/timer.h"
#include "peer_messages.h"
#include "streams/agent/agent.h"
#include "streams/catalog/catalog.h"
#include "wire/streams/data_file.h"

struct janitor {
	struct task task;
	struct agent *agent;
	struct sleep sleep;
	struct arena arena;
	struct catalog_file *files;
	size_t file_count;
	size_t deleted; /* files[0..deleted) have no object any more */
	char key[DATA_FILE_KEY_BYTES + 1];
	struct bucket_op op;
	struct control_call call;
	int64_t grace_ms;
	uint64_t pause_ms;
};

enum { JANITOR_LOOK, JANITOR_DELETED, JANITOR_FORGOTTEN };

static enum step rest(struct janitor *j)
{
	arena_reset(&j->arena);
	sleep_start(&j->sleep, &j->task, loop_now_ms(j->agent->loop) + j->pause_ms);
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

static enum step delete_next(struct janitor *j)
{
	if (j->deleted == j->file_count)
		return forget(j);

	const struct catalog_file *file = &j->files[j->deleted];
	data_file_key(j->key, (uint64_t)file->incarnation, (uint64_t)file->sequence);
	bucket_delete(&j->op, &j->task, j->agent->config.bucket, slice_from(j->key));
	return task_wait(&j->task, JANITOR_DELETED);
}

/* Dead times are the journal's, which follow the wall clock of whoever leads. */
static enum step look(struct janitor *j)
{
	struct cell *cell = replica_cell(j->agent->replica);

	j->deleted = j->file_count = 0;
	if (!cell || !control_link_is_ready(j->agent->link) ||
	    catalog_dead_files(&j->arena, cell, clock_wall_ms() - j->grace_ms, JANITOR_FILES_MAX,
			       &j->files, &j->file_count) ||
	    j->file_count == 0)
		return rest(j);
	return delete_next(j);
}

static enum step janitor_step(struct task *t)
{
	struct janitor *j = CONTAINER(t, struct janitor, task);

	if (task_is_canceled(t))
		return task_done(t, t->err);
	switch (t->at) {
	case JANITOR_LOOK:
		return look(j);
	case JANITOR_DELETED:
		if (j->op.task.err) {
			log_warn("dead file %s cannot be deleted: %s", j->key, j->op.task.why);
			return forget(j);
		}
		j->deleted++;
		return delete_next(j);
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

static const char *const janitor_places[] = { "look", "deleted", "forgotten" };
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
	const char *grace = getenv("HANSE_TEST_DATA_GRACE_MS");
	uint64_t grace_ms = JANITOR_GRACE_MS;

	j->agent = agent;
	j->pause_ms = JANITOR_PAUSE_MS;
	if (grace && !text_to_u64(slice_from(grace), JANITOR_GRACE_MS, &grace_ms))
		j->pause_ms = grace_ms < JANITOR_PAUSE_MS ? grace_ms + 10 : JANITOR_PAUSE_MS;
	j->grace_ms = (int64_t)grace_ms;
	arena_init(&j->arena);
	task_start_root(&j->task, &janitor_kind, agent->loop);
	return j;
}

void janitor_stop(struct janitor *j)
{
	task_cancel(&j->task);
}
