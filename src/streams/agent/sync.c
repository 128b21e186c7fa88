#include "streams/agent/sync.h"

#include <stdlib.h>

#include "peer_messages.h"
#include "wire/peer/frame.h"

/* What control answered: the record that has to be in the replica. */
static enum err take_answer(struct sync *s, int64_t *ret_index)
{
	struct peer_sync_response response;
	struct arena a;

	arena_init(&a);
	enum err err =
		schema_decode_all(&a, &peer_sync_response_schema, 0, s->call.ret_body, &response);
	arena_done(&a);
	blob_unref(&s->call.ret_bytes);
	if (!err)
		err = peer_error_decode(response.error);
	if (!err)
		*ret_index = response.index;
	return err;
}

enum { SYNC_ASK, SYNC_ANSWERED, SYNC_REACHED };

static enum step sync_answered(struct sync *s)
{
	struct task *t = &s->task;
	int64_t index = 0;
	enum err err = s->call.task.err;

	if (!err)
		err = take_answer(s, &index);
	if (err) { /* nothing was changed by asking: ask again */
		sleep_start(&s->sleep, t, loop_now_ms(s->agent->loop) + SYNC_RETRY_MS);
		return task_wait(t, SYNC_ASK);
	}
	replica_wait(&s->wait, t, s->agent->replica, index);
	return task_wait(t, SYNC_REACHED);
}

static enum step sync_step(struct task *t)
{
	struct sync *s = CONTAINER(t, struct sync, task);
	struct peer_sync_request request = { 0 };

	if (task_is_canceled(t)) {
		blob_unref(&s->call.ret_bytes);
		return task_done(t, t->err);
	}
	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case SYNC_ASK:
		control_call(&s->call, t, s->agent->link, &peer_sync_request_schema, &request);
		return task_wait(t, SYNC_ANSWERED);
	case SYNC_ANSWERED:
		return sync_answered(s);
	case SYNC_REACHED:
		return task_done(t, s->wait.task.err);
	}
	abort();
}

static const char *const sync_places[] = { "ask", "answered", "reached" };
static const struct task_kind sync_kind = {
	.name = "sync",
	.places = sync_places,
	.place_count = 3,
	.step = sync_step,
};

void sync_start(struct sync *s, struct task *parent, struct agent *agent)
{
	*s = (struct sync) { .agent = agent };
	task_start(&s->task, &sync_kind, parent);
	task_set_deadline(&s->task, loop_now_ms(agent->loop) + SYNC_PATIENCE_MS);
}

bool sync_in_doubt(struct sync *s, struct task *parent, struct agent *agent)
{
	if (control_link_was_heard(agent->link, SYNC_FRESH_MS))
		return false;
	sync_start(s, parent, agent);
	task_set_deadline(&s->task, loop_now_ms(agent->loop) + SYNC_DOUBT_PATIENCE_MS);
	return true;
}
