#include "streams/agent/discard.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "buckets/bucket.h"
#include "streams/agent/agent.h"
#include "wire/streams/data_file.h"

struct discard {
	struct task task;
	struct agent *agent;
	struct bucket_op op;
	char key[DATA_FILE_KEY_BYTES + 1];
};

enum { DISCARD_BEGIN, DISCARD_DELETED };

static enum step discard_step(struct task *t)
{
	struct discard *d = CONTAINER(t, struct discard, task);

	switch (t->at) {
	case DISCARD_BEGIN:
		flush_budget_spend(&d->agent->deletes, loop_now_ms(t->loop));
		bucket_delete(&d->op, t, d->agent->config.bucket, slice_from(d->key));
		task_set_deadline(&d->op.task, loop_now_ms(t->loop) + DISCARD_MS);
		return task_wait(t, DISCARD_DELETED);
	case DISCARD_DELETED:
		if (d->op.task.err)
			log_debug("%s is an orphan: %s", d->key, d->op.task.why);
		return task_done(t, OK);
	}
	abort();
}

static void discard_on_end(struct task *t)
{
	struct discard *d = CONTAINER(t, struct discard, task);
	struct agent *agent = d->agent;

	memory_free(d);
	agent->discard_count--;
	if (agent->stop)
		task_wake(agent->stop);
}

static const char *const discard_places[] = { "begin", "deleted" };
static const struct task_kind discard_kind = {
	.name = "discard",
	.places = discard_places,
	.place_count = 2,
	.step = discard_step,
	.on_end = discard_on_end,
};

void discard_file(struct agent *agent, const char *key)
{
	if (agent->discard_count >= DISCARDS_MAX)
		return;
	struct discard *d = NEW(struct discard);
	d->agent = agent;
	snprintf(d->key, sizeof(d->key), "%s", key);
	agent->discard_count++;
	task_start_root(&d->task, &discard_kind, agent->loop);
}
