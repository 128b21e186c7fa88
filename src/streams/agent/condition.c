#include "streams/agent/condition.h"

#include <stdlib.h>

#include "base/log.h"
#include "peer_messages.h"
#include "streams/agent/health.h"
#include "wire/peer/frame.h"

static enum agent_condition wanted(const struct agent *agent)
{
	if (agent->is_leaving)
		return AGENT_LEAVES;
	if (!agent->listener)
		return AGENT_OPENS;
	return health_is_sick(agent) ? AGENT_SICK : AGENT_SERVES;
}

static enum err take_answer(struct condition *c)
{
	struct peer_condition_response response;
	struct arena a;

	arena_init(&a);
	enum err err = schema_decode_all(&a, &peer_condition_response_schema, 0, c->call.ret_body,
					 &response);
	arena_done(&a);
	blob_unref(&c->call.ret_bytes);
	if (!err)
		err = peer_error_decode(response.error);
	if (!err) {
		c->told = c->telling;
		c->others = response.others;
	}
	return err;
}

enum { CONDITION_TELL, CONDITION_ANSWERED };

static enum step tell(struct condition *c)
{
	struct peer_condition_request request;

	c->telling = wanted(c->agent);
	if (c->telling == c->told || !control_link_is_ready(c->agent->link))
		return task_done(&c->task, OK); /* on_hello() begins again */
	request = (struct peer_condition_request) { .condition = (int8_t)c->telling };
	control_call(&c->call, &c->task, c->agent->link, &peer_condition_request_schema, &request);
	return task_wait(&c->task, CONDITION_ANSWERED);
}

static enum step condition_step(struct task *t)
{
	struct condition *c = CONTAINER(t, struct condition, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t)) {
		blob_unref(&c->call.ret_bytes);
		return task_done(t, t->err);
	}
	if (t->at == CONDITION_TELL)
		return tell(c);
	enum err err = c->call.task.err;
	if (!err && take_answer(c) == OK) {
		task_wake(t); /* it may have changed again */
		return task_wait(t, CONDITION_TELL);
	}
	sleep_start(&c->sleep, t, loop_now_ms(c->agent->loop) + CONDITION_RETRY_MS);
	return task_wait(t, CONDITION_TELL);
}

static void condition_on_end(struct task *t)
{
	struct condition *c = CONTAINER(t, struct condition, task);

	if (c->agent->stop)
		task_wake(c->agent->stop);
}

static const char *const condition_places[] = { "tell", "answered" };
static const struct task_kind condition_kind = {
	.name = "condition",
	.places = condition_places,
	.place_count = 2,
	.step = condition_step,
	.on_end = condition_on_end,
};

void condition_update(struct agent *agent)
{
	struct condition *c = agent->condition;

	control_link_set_condition(agent->link, wanted(agent));
	if (task_is_running(&c->task) || c->told == wanted(agent) ||
	    !control_link_is_ready(agent->link))
		return;
	*c = (struct condition) { .agent = agent, .told = c->told };
	task_start_root(&c->task, &condition_kind, agent->loop);
}

void condition_on_hello(struct agent *agent, enum agent_condition told)
{
	agent->condition->told = told;
	condition_update(agent);
}

bool condition_has_left(const struct agent *agent)
{
	return agent->condition->told == AGENT_LEAVES;
}

bool condition_is_busy(const struct agent *agent)
{
	return task_is_running(&agent->condition->task);
}

void condition_stop(struct agent *agent)
{
	if (condition_is_busy(agent))
		task_cancel(&agent->condition->task);
}
