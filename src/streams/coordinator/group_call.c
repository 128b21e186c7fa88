/* The task of a request about groups: decode it, give it to a group or to a transaction, wait until
 * what the answer says is durable. */
#include "streams/coordinator/group_call.h"

#include <stdlib.h>

#include "base/log.h"

static const struct group_api *const group_apis[] = {
	&join_group_api,
	&sync_group_api,
	&heartbeat_api,
	&leave_group_api,
	&list_groups_api,
	&describe_groups_api,
	&delete_groups_api,
	&offset_commit_api,
	&offset_fetch_api,
	&offset_delete_api,
	&consumer_group_heartbeat_api,
	&consumer_group_describe_api,
	&txn_offset_commit_api,
};

static const struct group_api *find_api(int16_t key)
{
	for (size_t i = 0; i < sizeof(group_apis) / sizeof(group_apis[0]); i++)
		if (group_apis[i]->key == key)
			return group_apis[i];
	return NULL;
}

bool groups_serve(int16_t api_key)
{
	return find_api(api_key) != NULL;
}

bool group_name_is_valid(struct slice name)
{
	return name.size <= GROUP_NAME_BYTES_MAX;
}

int16_t group_name_error(struct slice name)
{
	return name.size > 0 && group_name_is_valid(name) ? KAFKA_NONE : KAFKA_INVALID_GROUP_ID;
}

bool group_call_may(const struct group_call *call, enum grant_operation operation,
		    enum grant_resource resource, struct slice name)
{
	struct kafka_call *kafka = call->kafka;

	return denials_ask(&kafka->denials, kafka->arena, coordinator_guard(kafka->coordinator),
			   &(struct guard_caller) { kafka->principal, kafka->client_host },
			   operation, resource, name, NULL);
}

bool group_call_sees(const struct group_call *call, enum grant_operation operation,
		     enum grant_resource resource, struct slice name)
{
	const struct kafka_call *kafka = call->kafka;

	return guard_may(coordinator_guard(kafka->coordinator),
			 &(struct guard_caller) { kafka->principal, kafka->client_host }, operation,
			 resource, name);
}

int16_t group_call_error(const struct group_call *call, struct slice name)
{
	if (!group_call_may(call, GRANT_READ, GRANT_GROUP, name))
		return KAFKA_GROUP_AUTHORIZATION_FAILED;
	return group_name_error(name);
}

/* What clients take as: find the coordinator again and retry, unless the request is at fault. */
static int16_t error_of(enum err err)
{
	switch (err) {
	case OK:
		return KAFKA_NONE;
	case ERR_UNAVAILABLE:
		return KAFKA_NOT_COORDINATOR;
	case ERR_INVALID:
	case ERR_UNSUPPORTED:
		return KAFKA_INVALID_REQUEST;
	case ERR_TOO_BIG:
		return KAFKA_INVALID_COMMIT_OFFSET_SIZE;
	case ERR_CORRUPT:
	case ERR_IO:
		return KAFKA_UNKNOWN_SERVER_ERROR;
	case ERR_NOT_FOUND:
	case ERR_EXISTS:
	case ERR_CONFLICT:
	case ERR_DENIED:
	case ERR_FULL:
	case ERR_BUSY:
	case ERR_TIMEOUT:
	case ERR_UNKNOWN:
	case ERR_CANCELED:
	case ERR_COUNT:
		break;
	}
	return KAFKA_COORDINATOR_NOT_AVAILABLE;
}

/* --- the task ----------------------------------------------------------------------------------
 */

enum { GROUP_CALL_START, GROUP_CALL_PARKED, GROUP_CALL_SETTLE, GROUP_CALL_RUN, GROUP_CALL_DURABLE };

static enum err decode_request(struct kafka_call *kafka)
{
	struct group_call *call = arena_take(kafka->arena, sizeof(*call));
	void *request = arena_take(kafka->arena, kafka->api->request->struct_bytes);
	enum err err = kafka_request_decode(kafka->arena, kafka->api, kafka->version, kafka->body,
					    request);

	if (err)
		return err;
	*call = (struct group_call) {
		.kafka = kafka,
		.api = find_api(kafka->api->key),
		.request = request,
		.response = arena_take(kafka->arena, kafka->api->response->struct_bytes),
	};
	schema_defaults(kafka->api->response, call->response);
	kafka->state = call;
	return OK;
}

void group_call_answer(struct group_call *call)
{
	struct kafka_call *kafka = call->kafka;

	schema_encode(kafka->api->response, kafka->version, call->response, &kafka->response);
	if (!call->entry)
		call->is_ready = true;
}

static enum err run_in_cell(struct cell *cell, void *argument)
{
	struct group_call *call = argument;

	if (!call->kafka->coordinator->groups)
		return ERR_UNAVAILABLE;
	schema_defaults(call->kafka->api->response, call->response);
	call->is_outdated = false;
	return call->api->run(cell, call);
}

static enum step run(struct group_call *call)
{
	struct kafka_call *kafka = call->kafka;

	leader_run_kind(&kafka->leader, &kafka->task, kafka->coordinator->config.leader,
			call->api->is_neutral ? LEADER_NEUTRAL : LEADER_FIRM, run_in_cell, call);
	return task_wait(&kafka->task, GROUP_CALL_DURABLE);
}

static enum step park(struct group_call *call, int at)
{
	call->is_parked = true;
	return task_wait(&call->kafka->task, at);
}

/* Wait for the groups the answer speaks of, one after the other; true: wait. */
static bool settle(struct group_call *call)
{
	struct groups *groups = call->kafka->coordinator->groups;

	for (size_t i = 0; groups && i < call->name_count; i++)
		if (groups_settle(groups, call, call->names[i]))
			return true;
	return false;
}

static enum step start(struct group_call *call)
{
	struct kafka_call *kafka = call->kafka;

	if (call->api->feed) {
		call->api->feed(call);
		return call->is_ready ? task_done(&kafka->task, OK) : park(call, GROUP_CALL_PARKED);
	}
	if (call->api->name)
		call->api->name(call);
	if (call->api->needs_fence) {
		leader_fence(&kafka->leader, &kafka->task, kafka->coordinator->config.leader);
		return task_wait(&kafka->task, GROUP_CALL_RUN);
	}
	if (call->api->settles_first && settle(call))
		return park(call, GROUP_CALL_SETTLE);
	return run(call);
}

static enum step answer_failure(struct group_call *call, enum err err)
{
	schema_defaults(call->kafka->api->response, call->response);
	call->kafka->denials = (struct denials) { 0 }; /* it will be asked again */
	call->api->fail(call, error_of(err));
	group_call_answer(call);
	return task_done(&call->kafka->task, OK);
}

/* This node does not lead any more. */
static bool is_over(const struct group_call *call)
{
	return !call->kafka->coordinator->groups || call->is_abandoned;
}

static enum step finish_run(struct group_call *call)
{
	struct task *t = &call->kafka->task;

	if (call->kafka->leader.task.err)
		return answer_failure(call, call->kafka->leader.task.err);
	if (is_over(call))
		return answer_failure(call, ERR_UNAVAILABLE);
	if (call->is_outdated)
		return task_fail(t, ERR_DENIED, "the client speaks on a newer connection");
	if (settle(call))
		return park(call, GROUP_CALL_DURABLE);
	group_call_answer(call);
	return task_done(t, OK);
}

static enum step cancel(struct kafka_call *kafka)
{
	struct task *t = &kafka->task;

	if (t->children)
		return task_wait(t, t->at);
	if (kafka->state)
		groups_forget(kafka->state);
	return task_done(t, t->err);
}

static enum step group_call_step(struct task *t)
{
	struct kafka_call *kafka = CONTAINER(t, struct kafka_call, task);
	struct group_call *call = kafka->state;
	enum err err;

	if (task_is_canceled(t))
		return cancel(kafka);

	switch (t->at) {
	case GROUP_CALL_START:
		if (!kafka->coordinator->groups)
			return task_done(t, ERR_UNAVAILABLE);
		err = decode_request(kafka);
		if (err)
			return task_fail(t, err, "%s cannot be decoded", kafka->api->name);
		return start(kafka->state);

	case GROUP_CALL_PARKED:
		if (call->is_abandoned)
			return task_done(t, ERR_UNAVAILABLE);
		return call->is_ready ? task_done(t, OK) : task_wait(t, GROUP_CALL_PARKED);

	case GROUP_CALL_SETTLE:
		if (is_over(call))
			return task_done(t, ERR_UNAVAILABLE);
		if (!call->is_ready || settle(call))
			return task_wait(t, GROUP_CALL_SETTLE);
		return run(call);

	case GROUP_CALL_RUN:
		return kafka->leader.task.err ? answer_failure(call, kafka->leader.task.err)
					      : run(call);
	case GROUP_CALL_DURABLE:
		if (call->entry)
			return task_wait(t, GROUP_CALL_DURABLE);
		return finish_run(call);
	}
	abort();
}

static const char *const group_call_places[] = { "start", "parked", "settle", "run", "durable" };
const struct task_kind group_call_kind = {
	.name = "group_call",
	.places = group_call_places,
	.place_count = 5,
	.step = group_call_step,
};
