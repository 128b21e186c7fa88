#include "streams/agent/share_call.h"

#include <stdlib.h>

#include "streams/agent/share_release.h"
#include "streams/catalog/share_partition.h"
#include "wire/peer/frame.h"

bool share_call_is_ahead(int16_t version, const int8_t *said, size_t count)
{
	for (size_t i = 0; i < count && version < SHARE_CALL_RENEWS_FIRST; i++)
		if (said[i] == SHARE_RENEW)
			return true;
	return false;
}

enum { SHARE_CALL_SEND, SHARE_CALL_ANSWERED };

static enum step read_answer(struct share_call *c)
{
	if (schema_decode_all(c->arena, &peer_share_response_schema, 0, c->call.ret_body, &c->ret))
		return task_fail(&c->task, ERR_CORRUPT, "control's answer cannot be decoded");
	if (c->ret.error)
		return task_fail(&c->task, peer_error_decode(c->ret.error), "control: error %d",
				 c->ret.error);
	if (c->ret.partitions_count != c->request->partitions_count)
		return task_fail(&c->task, ERR_CORRUPT, "control answers something else");
	if (c->ret.index > c->agent->shares->index)
		c->agent->shares->index = c->ret.index;
	return task_done(&c->task, OK);
}

static enum step share_call_step(struct task *t)
{
	struct share_call *c = CONTAINER(t, struct share_call, task);
	struct loop *loop = c->agent->loop;

	if (task_is_canceled(t))
		return t->children ? task_wait(t, t->at) : task_done(t, t->err);

	switch (t->at) {
	case SHARE_CALL_SEND:
		control_call(&c->call, t, c->agent->link, &peer_share_request_schema, c->request);
		return task_wait(t, SHARE_CALL_ANSWERED);

	case SHARE_CALL_ANSWERED:
		if (c->call.task.err == OK)
			return read_answer(c);
		if (c->call.task.err != ERR_UNAVAILABLE || loop_now_ms(loop) >= c->give_up_ms)
			return task_done(t, c->call.task.err);
		sleep_start(&c->sleep, t, loop_now_ms(loop) + SHARE_CALL_RETRY_MS);
		return task_wait(t, SHARE_CALL_SEND);
	}
	abort();
}

static const char *const share_call_places[] = { "send", "answered" };
static const struct task_kind share_call_kind = {
	.name = "share_call",
	.places = share_call_places,
	.place_count = 2,
	.step = share_call_step,
};

void share_call_start(struct share_call *c, struct task *parent, struct agent *agent,
		      struct arena *a, const struct peer_share_request *request)
{
	share_call_done(c);
	*c = (struct share_call) {
		.agent = agent,
		.arena = a,
		.request = request,
		.give_up_ms = loop_now_ms(agent->loop) + SHARE_CALL_PATIENCE_MS,
	};
	task_start(&c->task, &share_call_kind, parent);
}

void share_call_done(struct share_call *c)
{
	blob_unref(&c->call.ret_bytes);
}
