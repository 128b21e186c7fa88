/* POST /v1/orphans/settle: what lives of agents that nobody remembers have left in the bucket are
 * orphans from now on (streams/coordinator/unsure.h). */
#include <stdlib.h>

#include "base/memory.h"
#include "server/admin_answer.h"
#include "server/control_role.h"
#include "streams/coordinator/unsure.h"

struct settle_request {
	struct task task;
	struct control *control;
	struct http_exchange *exchange;
	struct leader_call call;
};

enum { SETTLE_START, SETTLE_DURABLE };

static enum step settle_step(struct task *t)
{
	struct settle_request *s = CONTAINER(t, struct settle_request, task);
	struct control *c = s->control;

	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case SETTLE_START:
		leader_run(&s->call, t, c->leadership.leader, unsure_settle_run, NULL);
		return task_wait(t, SETTLE_DURABLE);
	case SETTLE_DURABLE:
		if (!s->call.task.err) {
			if (c->coordinator) /* not while it stops */
				coordinator_scan_soon(c->coordinator);
			admin_audit(c, s->exchange, "fsck --settle", SLICE(""));
		}
		admin_answer(s->exchange, s->call.task.err ? 503 : 200,
			     s->call.task.err ? admin_why_not_led(s->call.task.err) : NULL);
		return task_done(t, OK);
	}
	abort();
}

static void settle_on_end(struct task *t)
{
	struct settle_request *s = CONTAINER(t, struct settle_request, task);
	struct control *c = s->control;

	c->admin_requests--;
	memory_free(s);
	task_wake(&c->task);
}

static const char *const settle_places[] = { "start", "durable" };
static const struct task_kind settle_kind = {
	.name = "admin_orphans",
	.places = settle_places,
	.place_count = 2,
	.step = settle_step,
	.on_end = settle_on_end,
};

void admin_settle_orphans(struct control *c, struct http_exchange *e)
{
	if (c->is_stopping) {
		admin_answer(e, 503, "stopping");
		return;
	}
	struct settle_request *s = NEW(struct settle_request);
	s->control = c;
	s->exchange = e;
	c->admin_requests++;
	task_start_root(&s->task, &settle_kind, c->loop);
}
