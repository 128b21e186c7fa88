#include "streams/coordinator/operation.h"

#include <stdlib.h>

#include "streams/catalog/quota.h"
#include "streams/coordinator/groups.h"
#include "streams/coordinator/kafka_call.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/private.h"
#include "wire/kafka/errors.h"

/* --- the table ---------------------------------------------------------------------------------
 */

static const struct coordinator_operation *const operations[] = {
	&create_topics_operation,
	&delete_topics_operation,
	&create_partitions_operation,
	&init_producer_id_operation,
	&delete_records_operation,
	&alter_configs_operation,
	&alter_client_quotas_operation,
	&incremental_alter_configs_operation,
	&describe_acls_operation,
	&create_acls_operation,
	&delete_acls_operation,
	&describe_scram_operation,
	&alter_scram_operation,
	&add_partitions_to_txn_operation,
	&add_offsets_to_txn_operation,
	&end_txn_operation,
	&write_txn_markers_operation,
	&describe_producers_operation,
	&describe_transactions_operation,
	&list_transactions_operation,
	&share_group_heartbeat_operation,
	&share_group_describe_operation,
	&describe_share_offsets_operation,
	&alter_share_offsets_operation,
	&delete_share_offsets_operation,
};

const struct coordinator_operation *coordinator_operation_find(int16_t api_key)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (operations[i]->api_key == api_key)
			return operations[i];
	return NULL;
}

int16_t operation_mutate(struct cell *cell, struct operation_call *call, int16_t strict_first,
			 int32_t partitions)
{
	struct coordinator *c = call->coordinator;
	struct slice user = quota_user(call->caller.principal);
	uint64_t now_ms = loop_now_ms(c->loop);
	struct quota_limit limit;

	if (!quota_is_any(cell) ||
	    !quota_find(cell, user, call->client_id, QUOTA_MUTATIONS, &limit))
		return KAFKA_NONE;
	uint64_t wait_ms =
		quotas_wait(&c->mutations, &limit, QUOTA_MUTATIONS, user, call->client_id, now_ms);
	bool is_refused = wait_ms > 0 && call->version >= strict_first;
	if (!is_refused)
		wait_ms = quotas_take(&c->mutations, &limit, QUOTA_MUTATIONS, user, call->client_id,
				      partitions, now_ms);
	if (wait_ms > call->throttle_ms)
		call->throttle_ms = wait_ms;
	return is_refused ? KAFKA_THROTTLING_QUOTA_EXCEEDED : KAFKA_NONE;
}

int16_t coordinator_error(enum err err)
{
	switch (err) {
	case OK:
		return KAFKA_NONE;
	case ERR_TIMEOUT:
	case ERR_UNKNOWN:
		return KAFKA_REQUEST_TIMED_OUT;
	case ERR_INVALID:
	case ERR_TOO_BIG:
		return KAFKA_INVALID_REQUEST;
	case ERR_UNSUPPORTED:
		return KAFKA_UNSUPPORTED_VERSION;
	case ERR_BUSY:
	case ERR_UNAVAILABLE:
	case ERR_CANCELED:
	case ERR_CONFLICT:
	case ERR_DENIED:
		return KAFKA_COORDINATOR_NOT_AVAILABLE;
	case ERR_FULL: /* until topics are deleted: nothing that asking again would change */
		return KAFKA_POLICY_VIOLATION;
	case ERR_NOT_FOUND:
	case ERR_EXISTS:
	case ERR_CORRUPT:
	case ERR_IO:
	case ERR_COUNT:
		break;
	}
	return KAFKA_UNKNOWN_SERVER_ERROR;
}

bool operation_may(const struct operation_call *call, enum grant_operation operation,
		   enum grant_resource resource, struct slice name)
{
	return denials_ask(call->denials, call->arena, coordinator_guard(call->coordinator),
			   &call->caller, operation, resource, name, NULL);
}

bool operation_sees(const struct operation_call *call, enum grant_operation operation,
		    enum grant_resource resource, struct slice name)
{
	return guard_may(coordinator_guard(call->coordinator), &call->caller, operation, resource,
			 name);
}

/* Both words make clients look who leads now, and ask again. */
static int16_t error_of(const struct coordinator_operation *operation, enum err err)
{
	int16_t error = coordinator_error(err);

	if (operation->is_controllers && error == KAFKA_COORDINATOR_NOT_AVAILABLE)
		return KAFKA_NOT_CONTROLLER;
	return error;
}

/* --- the task that serves every operation ------------------------------------------------------
 */

enum { OPERATION_DECODE, OPERATION_RUN, OPERATION_DURABLE };

static enum err run_in_cell(struct cell *cell, void *argument)
{
	struct kafka_call *call = argument;

	call->run->is_outdated = false;
	call->run->now_ms = (int64_t)leader_now_ms(call->coordinator->config.leader);
	return call->operation->run(cell, call->run);
}

static enum err decode_request(struct kafka_call *call)
{
	void *request = arena_take(call->arena, call->api->request->struct_bytes);
	enum err err =
		kafka_request_decode(call->arena, call->api, call->version, call->body, request);
	if (err)
		return err;

	call->operation = coordinator_operation_find(call->api->key);
	call->run = arena_take(call->arena, sizeof(*call->run));
	*call->run = (struct operation_call) {
		.coordinator = call->coordinator,
		.arena = call->arena,
		.version = call->version,
		.client_id = call->client_id,
		.client_host = call->client_host,
		.caller = { call->principal, call->client_host },
		.denials = &call->denials,
		.session = { call->incarnation, call->connection_id },
		.request = request,
		.response = arena_take(call->arena, call->api->response->struct_bytes),
	};
	schema_defaults(call->api->response, call->run->response);
	return OK;
}

static enum step operation_step(struct task *t)
{
	struct kafka_call *call = CONTAINER(t, struct kafka_call, task);
	struct leader *leader = call->coordinator->config.leader;

	if (task_is_canceled(t))
		return t->children ? task_wait(t, t->at) : task_done(t, t->err);

	switch (t->at) {
	case OPERATION_DECODE: {
		enum err err = decode_request(call);
		if (err)
			return task_fail(t, err, "%s cannot be decoded", call->api->name);
		if (!call->operation->needs_fence) {
			leader_run(&call->leader, t, leader, run_in_cell, call);
			return task_wait(t, OPERATION_DURABLE);
		}
		leader_fence(&call->leader, t, leader);
		return task_wait(t, OPERATION_RUN);
	}
	case OPERATION_RUN:
		if (call->leader.task.err)
			return task_done(t, call->leader.task.err);
		leader_run(&call->leader, t, leader, run_in_cell, call);
		return task_wait(t, OPERATION_DURABLE);

	case OPERATION_DURABLE:
		if (call->leader.task.err) {
			schema_defaults(call->api->response, call->run->response);
			call->denials = (struct denials) { 0 }; /* it will be asked again */
			call->operation->fail(call->run,
					      error_of(call->operation, call->leader.task.err));
		}
		if (call->operation->changes_topics)
			groups_topics_changed(call->coordinator);
		if (!call->leader.task.err && call->run->is_outdated)
			return task_fail(t, ERR_DENIED, "the client speaks on a newer connection");
		schema_encode(call->api->response, call->version, call->run->response,
			      &call->response);
		return task_done(t, OK);
	}
	abort();
}

static const char *const operation_places[] = { "decode", "run", "durable" };
const struct task_kind operation_call_kind = {
	.name = "operation",
	.places = operation_places,
	.place_count = 3,
	.step = operation_step,
};

static enum step unserved_step(struct task *t)
{
	return task_fail(t, ERR_UNSUPPORTED, "the coordinator does not serve this API");
}

static const struct task_kind unserved_kind = { .name = "unserved", .step = unserved_step };

void kafka_call_start(struct kafka_call *call, struct task *parent)
{
	const struct task_kind *kind = &unserved_kind;

	if (coordinator_operation_find(call->api->key))
		kind = &operation_call_kind;
	else if (groups_serve(call->api->key))
		kind = &group_call_kind;
	task_start(&call->task, kind, parent);
}
