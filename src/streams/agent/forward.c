#include "streams/agent/forward.h"

#include <stdlib.h>

#include "kafka_messages.h"
#include "streams/agent/audit.h"
#include "streams/agent/connection.h"
#include "streams/agent/operations.h"
#include "wire/kafka/errors.h"
#include "wire/peer/frame.h"

/* --- one call, tried again until it could be sent ----------------------------------------------
 */

enum { FORWARD_SEND, FORWARD_ANSWERED };

enum { MESSAGE_EXTRA_BYTES = 1024 }; /* of a kafka_request, besides client id and body */

/* Clients may send more than a frame to control holds. */
static bool fits_into_frame(const struct forward *f)
{
	size_t size = f->body.size + f->request->header.client_id.size +
		      request_caller(f->request).principal.size;

	return size <= PEER_BODY_BYTES_MAX - MESSAGE_EXTRA_BYTES;
}

/* These do not say which transaction they are about: a late one would be taken for a part of the
 * next.  Control knows a late one by its connection (transaction_session.h), but not when that is
 * the first it hears of the connection, and not when this agent has begun another life: it was
 * stopped or cut off while the client went elsewhere. */
static bool must_be_current(const struct forward *f)
{
	return f->api->key == KAFKA_API_END_TXN || f->api->key == KAFKA_API_ADD_PARTITIONS_TO_TXN ||
	       f->api->key == KAFKA_API_ADD_OFFSETS_TO_TXN ||
	       f->api->key == KAFKA_API_TXN_OFFSET_COMMIT;
}

static void send_call(struct forward *f)
{
	struct peer_kafka_request message = {
		.api_key = f->api->key,
		.api_version = f->version,
		.client_id = f->request->header.client_id,
		.client_host = slice_from(request_client_host(f->request)),
		.connection_id = (int64_t)connection_id(f->request->connection),
		.body = f->body,
		.principal = request_caller(f->request).principal,
	};

	control_call(&f->call, &f->task, f->request->agent->link, &peer_kafka_request_schema,
		     &message);
}

static void audit_what_control_denied(struct request *r, const struct peer_kafka_response *message)
{
	for (size_t i = 0; i < message->denials_count; i++) {
		const struct peer_kafka_response_denial *it = &message->denials[i];
		request_deny(r, &(struct denial) {
					.operation = (enum grant_operation)it->operation,
					.resource = (enum grant_resource)it->resource,
					.name = it->name,
					.rule = it->rule,
				});
	}
	if (message->denials_dropped > 0)
		audit_dropped(r->agent->audit, (uint32_t)message->denials_dropped);
}

static enum step read_answer(struct forward *f)
{
	struct peer_kafka_response message;
	struct arena *a = &f->request->arena;
	enum err err =
		schema_decode_all(a, &peer_kafka_response_schema, 0, f->call.ret_body, &message);

	if (err)
		return task_fail(&f->task, ERR_CORRUPT, "control's answer cannot be decoded");
	if (message.error)
		return task_fail(&f->task, peer_error_decode(message.error), "control: error %d",
				 message.error);
	f->ret_body = message.body;
	audit_what_control_denied(f->request, &message);
	return task_done(&f->task, OK);
}

static enum step forward_step(struct task *t)
{
	struct forward *f = CONTAINER(t, struct forward, task);
	struct loop *loop = f->request->agent->loop;

	if (task_is_canceled(t))
		return t->children ? task_wait(t, t->at) : task_done(t, t->err);

	switch (t->at) {
	case FORWARD_SEND:
		if (!fits_into_frame(f))
			return task_fail(t, ERR_TOO_BIG, "%zu bytes are too many for control",
					 f->body.size);
		if (must_be_current(f) && !connection_is_current(f->request->connection))
			return task_fail(t, ERR_DENIED, "it may be late: its client has gone");
		send_call(f);
		return task_wait(t, FORWARD_ANSWERED);

	case FORWARD_ANSWERED:
		if (f->call.task.err == OK)
			return read_answer(f);
		if (f->call.task.err != ERR_UNAVAILABLE || loop_now_ms(loop) >= f->give_up_ms)
			return task_done(t, f->call.task.err);
		sleep_start(&f->sleep, t, loop_now_ms(loop) + FORWARD_RETRY_MS);
		return task_wait(t, FORWARD_SEND);
	}
	abort();
}

static const char *const forward_places[] = { "send", "answered" };
static const struct task_kind forward_kind = {
	.name = "forward",
	.places = forward_places,
	.place_count = 2,
	.step = forward_step,
};

void forward_start(struct forward *f, struct task *parent, struct request *r,
		   const struct kafka_api *api, int16_t version, struct slice body)
{
	*f = (struct forward) {
		.request = r,
		.api = api,
		.version = version,
		.body = body,
		.give_up_ms = loop_now_ms(r->agent->loop) + FORWARD_PATIENCE_MS,
	};
	task_start(&f->task, &forward_kind, parent);
}

void forward_done(struct forward *f)
{
	blob_unref(&f->call.ret_bytes);
}

/* --- the operations that are nothing but that --------------------------------------------------
 */

enum { REQUEST_FORWARD, REQUEST_ANSWERED };

static enum step take_answer(struct request *r, struct forward *f)
{
	if (f->task.err == ERR_INVALID)
		return request_refuse(r, "%s cannot be decoded", r->api->name);
	if (f->task.err)
		return request_refuse(r, "%s got no answer from control: %s", r->api->name,
				      err_name(f->task.err));
	return request_answer_encoded(r, f->ret_body);
}

static enum step forward_request_step(struct request *r)
{
	struct forward *f = r->state;

	switch (r->task.at) {
	case REQUEST_FORWARD:
		forward_start(f, &r->task, r, r->api, r->header.api_version, r->body);
		return task_wait(&r->task, REQUEST_ANSWERED);

	case REQUEST_ANSWERED:
		return take_answer(r, f);
	}
	abort();
}

static void forward_request_release(struct request *r)
{
	forward_done(r->state);
}

/* --- the same, but control may let it wait for other clients -----------------------------------
 * At a stop nobody waits for them.  Clients look for the coordinator again, and find it where the
 * group has gone; what Kafka tells them when a group leaves its coordinator. */

static enum step answer_stopping(struct request *r)
{
	struct kafka_join_group_response join;
	struct kafka_sync_group_response sync;

	if (r->api->key == KAFKA_API_SYNC_GROUP) {
		schema_defaults(r->api->response, &sync);
		sync.error_code = KAFKA_NOT_COORDINATOR;
		return request_answer(r, &sync);
	}
	schema_defaults(r->api->response, &join);
	join.error_code = KAFKA_NOT_COORDINATOR;
	return request_answer(r, &join);
}

static enum step forward_rebalance_step(struct request *r)
{
	struct forward *f = r->state;

	switch (r->task.at) {
	case REQUEST_FORWARD:
		if (r->agent->is_stopping || r->agent->has_left)
			return answer_stopping(r);
		forward_start(f, &r->task, r, r->api, r->header.api_version, r->body);
		return task_wait(&r->task, REQUEST_ANSWERED);

	case REQUEST_ANSWERED:
		return f->task.err == ERR_CANCELED ? answer_stopping(r) : take_answer(r, f);
	}
	abort();
}

static void forward_rebalance_on_stop(struct request *r)
{
	struct forward *f = r->state;

	if (task_is_running(&f->task))
		task_cancel(&f->task);
}

/* --- a heartbeat: to an agent that leaves members send no more ----------------------------------
 */

static enum step heartbeat_step(struct request *r)
{
	struct kafka_heartbeat_response response;

	if (r->task.at != REQUEST_FORWARD || !r->agent->has_left)
		return forward_request_step(r);
	schema_defaults(r->api->response, &response);
	response.error_code = KAFKA_NOT_COORDINATOR;
	return request_answer(r, &response);
}

/* The same in the consumer protocol. */
static enum step beat_step(struct request *r)
{
	struct kafka_consumer_group_heartbeat_response response;

	if (r->task.at != REQUEST_FORWARD || !r->agent->has_left)
		return forward_request_step(r);
	schema_defaults(r->api->response, &response);
	response.error_code = KAFKA_NOT_COORDINATOR;
	return request_answer(r, &response);
}

/* And of a share group. */
static enum step share_beat_step(struct request *r)
{
	struct kafka_share_group_heartbeat_response response;

	if (r->task.at != REQUEST_FORWARD || !r->agent->has_left)
		return forward_request_step(r);
	schema_defaults(r->api->response, &response);
	response.error_code = KAFKA_NOT_COORDINATOR;
	return request_answer(r, &response);
}

#define FORWARD(name, key)                                                                         \
	const struct operation name = { .api_key = (key),                                          \
					.state_bytes = sizeof(struct forward),                     \
					.step = forward_request_step,                              \
					.release = forward_request_release }

#define FORWARD_REBALANCE(name, key)                                                               \
	const struct operation name = { .api_key = (key),                                          \
					.state_bytes = sizeof(struct forward),                     \
					.step = forward_rebalance_step,                            \
					.on_stop = forward_rebalance_on_stop,                      \
					.release = forward_request_release }

FORWARD(create_topics_forward, KAFKA_API_CREATE_TOPICS);
FORWARD(delete_topics_forward, KAFKA_API_DELETE_TOPICS);
FORWARD(create_partitions_forward, KAFKA_API_CREATE_PARTITIONS);
FORWARD(init_producer_id_forward, KAFKA_API_INIT_PRODUCER_ID);
FORWARD_REBALANCE(join_group_forward, KAFKA_API_JOIN_GROUP);
FORWARD_REBALANCE(sync_group_forward, KAFKA_API_SYNC_GROUP);
const struct operation heartbeat_forward = { .api_key = KAFKA_API_HEARTBEAT,
					     .state_bytes = sizeof(struct forward),
					     .step = heartbeat_step,
					     .release = forward_request_release };
const struct operation consumer_group_heartbeat_forward = {
	.api_key = KAFKA_API_CONSUMER_GROUP_HEARTBEAT,
	.state_bytes = sizeof(struct forward),
	.step = beat_step,
	.release = forward_request_release,
};
const struct operation share_group_heartbeat_forward = {
	.api_key = KAFKA_API_SHARE_GROUP_HEARTBEAT,
	.state_bytes = sizeof(struct forward),
	.step = share_beat_step,
	.release = forward_request_release,
};
FORWARD(share_group_describe_forward, KAFKA_API_SHARE_GROUP_DESCRIBE);
FORWARD(describe_share_offsets_forward, KAFKA_API_DESCRIBE_SHARE_GROUP_OFFSETS);
FORWARD(alter_share_offsets_forward, KAFKA_API_ALTER_SHARE_GROUP_OFFSETS);
FORWARD(delete_share_offsets_forward, KAFKA_API_DELETE_SHARE_GROUP_OFFSETS);
FORWARD(consumer_group_describe_forward, KAFKA_API_CONSUMER_GROUP_DESCRIBE);
FORWARD(offset_delete_forward, KAFKA_API_OFFSET_DELETE);
FORWARD(leave_group_forward, KAFKA_API_LEAVE_GROUP);
FORWARD(offset_commit_forward, KAFKA_API_OFFSET_COMMIT);
FORWARD(offset_fetch_forward, KAFKA_API_OFFSET_FETCH);
FORWARD(list_groups_forward, KAFKA_API_LIST_GROUPS);
FORWARD(describe_groups_forward, KAFKA_API_DESCRIBE_GROUPS);
FORWARD(describe_acls_forward, KAFKA_API_DESCRIBE_ACLS);
FORWARD(create_acls_forward, KAFKA_API_CREATE_ACLS);
FORWARD(delete_acls_forward, KAFKA_API_DELETE_ACLS);
FORWARD(describe_scram_forward, KAFKA_API_DESCRIBE_USER_SCRAM_CREDENTIALS);
FORWARD(alter_scram_forward, KAFKA_API_ALTER_USER_SCRAM_CREDENTIALS);
FORWARD(delete_groups_forward, KAFKA_API_DELETE_GROUPS);
FORWARD(alter_configs_forward, KAFKA_API_ALTER_CONFIGS);
FORWARD(incremental_alter_configs_forward, KAFKA_API_INCREMENTAL_ALTER_CONFIGS);
FORWARD(delete_records_forward, KAFKA_API_DELETE_RECORDS);
FORWARD(alter_client_quotas_forward, KAFKA_API_ALTER_CLIENT_QUOTAS);
FORWARD(add_partitions_to_txn_forward, KAFKA_API_ADD_PARTITIONS_TO_TXN);
FORWARD(add_offsets_to_txn_forward, KAFKA_API_ADD_OFFSETS_TO_TXN);
FORWARD(end_txn_forward, KAFKA_API_END_TXN);
FORWARD(write_txn_markers_forward, KAFKA_API_WRITE_TXN_MARKERS);
FORWARD(txn_offset_commit_forward, KAFKA_API_TXN_OFFSET_COMMIT);
FORWARD(describe_producers_forward, KAFKA_API_DESCRIBE_PRODUCERS);
FORWARD(describe_transactions_forward, KAFKA_API_DESCRIBE_TRANSACTIONS);
FORWARD(list_transactions_forward, KAFKA_API_LIST_TRANSACTIONS);
