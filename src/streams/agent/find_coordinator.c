/* FindCoordinator: any agent passes requests of groups and of transactional producers on to
 * control, so the answer is the client's.  So it is for the state of a share group's partition,
 * which Kafka's brokers ask each other for, and whoever may act for the cluster. */
#include <stdlib.h>

#include "base/text.h"
#include "kafka_messages.h"
#include "streams/agent/brokers.h"
#include "streams/agent/operations.h"
#include "streams/agent/sync.h"
#include "wire/kafka/errors.h"
#include "wire/sasl/base64.h"

enum {
	KEY_GROUP = 0,
	KEY_TRANSACTION = 1,
	KEY_SHARE = 2,
	KEY_SHARE_FIRST = 6, /* the version that has it */
	FIND_COORDINATOR_KEYS_MAX = 10000,
};

struct find_coordinator {
	const struct kafka_find_coordinator_request *request;
	struct sync sync;
	struct brokers brokers;
	bool is_doubtful; /* nobody knows whether this node leads */
};

/* GROUP:TOPIC_ID:PARTITION, as Kafka takes it. */
static bool is_share_key(struct request *r, struct slice key)
{
	struct slice rest = key;
	struct slice group = slice_cut(&rest, ':'), topic = slice_cut(&rest, ':'), id;
	uint64_t partition;

	return slice_trim(group, " ").size > 0 && !base64url_decode(&r->arena, topic, &id) &&
	       id.size == sizeof(struct uuid) && !text_to_u64(rest, INT32_MAX, &partition);
}

static int16_t check_share(struct request *r, struct slice key)
{
	if (r->header.api_version < KEY_SHARE_FIRST)
		return KAFKA_INVALID_REQUEST;
	if (!request_may(r, GRANT_CLUSTER_ACTION, GRANT_CLUSTER, GRANT_CLUSTER_NAME))
		return KAFKA_CLUSTER_AUTHORIZATION_FAILED;
	return is_share_key(r, key) ? KAFKA_NONE : KAFKA_INVALID_REQUEST;
}

static int16_t check_key(struct request *r, struct slice key, int8_t key_type)
{
	switch (key_type) {
	case KEY_GROUP:
		return request_may(r, GRANT_DESCRIBE, GRANT_GROUP, key)
			       ? KAFKA_NONE
			       : KAFKA_GROUP_AUTHORIZATION_FAILED;
	case KEY_TRANSACTION:
		return request_may(r, GRANT_DESCRIBE, GRANT_TRANSACTIONAL_ID, key)
			       ? KAFKA_NONE
			       : KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	case KEY_SHARE:
		return check_share(r, key);
	default:
		return KAFKA_INVALID_REQUEST;
	}
}

static void find_one(struct request *r, const struct find_coordinator *f, struct slice key,
		     int8_t key_type, struct kafka_find_coordinator_response_coordinator *ret)
{
	*ret = (struct kafka_find_coordinator_response_coordinator) { .key = key,
								      .node_id = -1,
								      .port = -1 };
	ret->error_code = check_key(r, key, key_type);
	if (ret->error_code == KAFKA_INVALID_REQUEST)
		ret->error_message = SLICE("this is no key of a group, a transaction or a share");
	if (ret->error_code)
		return;
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
