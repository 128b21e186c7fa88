/* FindCoordinator: any agent passes requests of groups and of transactional producers on to
 * control, so the answer is the client's. */
#include <stdlib.h>

#include "kafka_messages.h"
#include "streams/agent/brokers.h"
#include "streams/agent/operations.h"
#include "streams/agent/sync.h"
#include "wire/kafka/errors.h"

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1, FIND_COORDINATOR_KEYS_MAX = 10000 };

struct find_coordinator {
	const struct kafka_find_coordinator_request *request;
	struct sync sync;
	struct brokers brokers;
	bool is_doubtful; /* nobody knows whether this node leads */
};

static void find_one(struct request *r, const struct find_coordinator *f, struct slice key,
		     int8_t key_type, struct kafka_find_coordinator_response_coordinator *ret)
{
	*ret = (struct kafka_find_coordinator_response_coordinator) { .key = key,
								      .node_id = -1,
								      .port = -1 };
	if (key_type != KEY_GROUP && key_type != KEY_TRANSACTION) {
		ret->error_code = KAFKA_INVALID_REQUEST;
		ret->error_message = SLICE("a key is that of a consumer group or a transaction");
		return;
	}
	bool is_group = key_type == KEY_GROUP;
	if (!request_may(r, GRANT_DESCRIBE, is_group ? GRANT_GROUP : GRANT_TRANSACTIONAL_ID, key)) {
		ret->error_code = is_group ? KAFKA_GROUP_AUTHORIZATION_FAILED
					   : KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
		return;
	}
	if (f->is_doubtful) {
		ret->error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
		return;
	}
	ret->node_id = f->brokers.chosen->node_id;
	ret->host = f->brokers.chosen->host;
	ret->port = f->brokers.chosen->port;
}

static enum step answer(struct request *r, struct find_coordinator *f)
{
	const struct kafka_find_coordinator_request *request = f->request;
	struct kafka_find_coordinator_response response;
	struct kafka_find_coordinator_response_coordinator one;

	if (brokers_find(r, &f->brokers))
		return request_refuse(r, "the catalog of agents cannot be read");
	schema_defaults(r->api->response, &response);
	if (r->header.api_version < 4) {
		find_one(r, f, request->key, request->key_type, &one);
		response.error_code = one.error_code;
		response.error_message = one.error_message;
		response.node_id = one.node_id;
		response.host = one.host;
		response.port = one.port;
		return request_answer(r, &response);
	}
	size_t count = request->coordinator_keys_count;
	if (count > FIND_COORDINATOR_KEYS_MAX)
		return request_refuse(r, "FindCoordinator asks for %zu keys", count);
	response.coordinators = arena_take_array(&r->arena, count, sizeof(one));
	response.coordinators_count = count;
	for (size_t i = 0; i < count; i++)
		find_one(r, f, request->coordinator_keys[i], request->key_type,
			 &response.coordinators[i]);
	return request_answer(r, &response);
}

enum { FIND_DECODE, FIND_SYNCED };

static enum step find_coordinator_step(struct request *r)
{
	struct find_coordinator *f = r->state;

	switch (r->task.at) {
	case FIND_DECODE:
		f->request = request_decode(r);
		if (!f->request)
			return request_refuse(r, "FindCoordinator cannot be decoded");
		if (sync_in_doubt(&f->sync, &r->task, r->agent))
			return task_wait(&r->task, FIND_SYNCED);
		return answer(r, f);

	case FIND_SYNCED:
		f->is_doubtful = f->sync.task.err != OK;
		return answer(r, f);
	}
	abort();
}

static const char *const find_coordinator_places[] = { "decode", "synced" };
const struct operation find_coordinator_operation = {
	.api_key = KAFKA_API_FIND_COORDINATOR,
	.state_bytes = sizeof(struct find_coordinator),
	.places = find_coordinator_places,
	.place_count = 2,
	.step = find_coordinator_step,
};
