#include "streams/agent/doubt.h"

#include <stdlib.h>

enum { DOUBT_ASK, DOUBT_ANSWERED };

static enum step doubt_step(struct task *t)
{
	struct doubt *d = CONTAINER(t, struct doubt, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t) || t->at == DOUBT_ANSWERED)
		return task_done(t, OK); /* what was learned, control has learned */
	sync_start(&d->sync, t, d->agent);
	return task_wait(t, DOUBT_ANSWERED);
}

static void doubt_on_end(struct task *t)
{
	struct doubt *d = CONTAINER(t, struct doubt, task);

	if (d->agent->stop)
		task_wake(d->agent->stop);
}

static const char *const doubt_places[] = { "ask", "answered" };
static const struct task_kind doubt_kind = {
	.name = "doubt",
	.places = doubt_places,
	.place_count = 2,
	.step = doubt_step,
	.on_end = doubt_on_end,
};

void doubt(struct agent *agent)
{
	struct doubt *d = agent->doubt;
	uint64_t now_ms = loop_now_ms(agent->loop);

	if (task_is_running(&d->task) || agent->is_stopping || now_ms < d->quiet_until_ms)
		return;
	d->quiet_until_ms = now_ms + DOUBT_MS;
	task_start_root(&d->task, &doubt_kind, agent->loop);
}

bool doubt_is_busy(const struct agent *agent)
{
	return task_is_running(&agent->doubt->task);
}

void doubt_stop(struct agent *agent)
{
	if (doubt_is_busy(agent))
		task_cancel(&agent->doubt->task);
}
