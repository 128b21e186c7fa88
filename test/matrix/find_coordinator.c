/* FindCoordinator. */
#include "fault.h"
#include "fixture.h"
#include "matrix.h"

enum { KEYS_FIRST = 4, KEY_GROUP = 0, KEY_TRANSACTION = 1, KEY_SHARE = 2, MESSAGE_FIRST = 1 };

static const struct kafka_find_coordinator_response *ask(struct test *t, struct slice *keys,
							 size_t count, int8_t type)
{
	const struct kafka_find_coordinator_request request = {
		.key = keys[0],
		.key_type = type,
		.coordinator_keys = keys,
		.coordinator_keys_count = count,
	};
	const struct kafka_find_coordinator_response *response =
		test_call(t, KAFKA_API_FIND_COORDINATOR, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	return response;
}

static void check_own_address(struct test *t, int32_t node_id, struct slice host, int32_t port)
{
	const struct kafka_metadata_request request = { 0 };
	const struct kafka_metadata_response *metadata =
		test_call(t, KAFKA_API_METADATA, 13, &request);

	CHECK_INT(t, node_id, metadata->brokers[0].node_id);
	CHECK_TEXT(t, host, test_host);
	CHECK_INT(t, port, test_port);
}

static void check_one(struct test *t, int8_t type)
{
	struct slice key = test_name(t, "key");
	const struct kafka_find_coordinator_response *response = ask(t, &key, 1, type);

	if (t->version < KEYS_FIRST) {
		CHECK_ERROR(t, response->error_code, KAFKA_NONE);
		CHECK_NULL(t, response->error_message);
		check_own_address(t, response->node_id, response->host, response->port);
		return;
	}
	CHECK_INT(t, response->coordinators_count, 1);
	CHECK_SLICE(t, response->coordinators[0].key, key);
	CHECK_ERROR(t, response->coordinators[0].error_code, KAFKA_NONE);
	CHECK(t, !response->coordinators[0].error_message.size);
	check_own_address(t, response->coordinators[0].node_id, response->coordinators[0].host,
			  response->coordinators[0].port);
}

static void finds_one(struct test *t)
{
	check_one(t, KEY_GROUP);
}

static void finds_one_of_a_transaction(struct test *t)
{
	check_one(t, KEY_TRANSACTION);
}

static void finds_several(struct test *t)
{
	struct slice keys[] = { test_name(t, "b"), test_name(t, "a"), SLICE("") };
	const struct kafka_find_coordinator_response *response = ask(t, keys, 3, KEY_GROUP);

	CHECK_INT(t, response->coordinators_count, 3);
	for (size_t i = 0; i < 3; i++) {
		CHECK_SLICE(t, response->coordinators[i].key, keys[i]);
		CHECK_ERROR(t, response->coordinators[i].error_code, KAFKA_NONE);
	}
}

static void check_refused(struct test *t, int8_t type)
{
	struct slice key = SLICE("some key");
	const struct kafka_find_coordinator_response *response = ask(t, &key, 1, type);

	if (t->version < KEYS_FIRST) {
		CHECK_ERROR(t, response->error_code, KAFKA_INVALID_REQUEST);
		CHECK(t, t->version < MESSAGE_FIRST || response->error_message.size > 0);
		CHECK_INT(t, response->node_id, -1);
		CHECK_TEXT(t, response->host, "");
		CHECK_INT(t, response->port, -1);
		return;
	}
	CHECK_INT(t, response->coordinators_count, 1);
	CHECK_ERROR(t, response->coordinators[0].error_code, KAFKA_INVALID_REQUEST);
	CHECK(t, response->coordinators[0].error_message.size > 0);
	CHECK_INT(t, response->coordinators[0].node_id, -1);
}

static void other_kinds_of_keys(struct test *t)
{
	check_refused(t, KEY_SHARE);
	check_refused(t, 99);
	check_refused(t, -1);
}

static const void *ask_for_group(struct test *t, const struct topic *topic)
{
	struct kafka_find_coordinator_request *request = arena_take(&t->arena, sizeof(*request));
	struct slice *key = arena_take(&t->arena, sizeof(*key));

	*key = topic->name; /* any name does */
	*request = (struct kafka_find_coordinator_request) {
		.key = *key,
		.key_type = KEY_GROUP,
		.coordinator_keys = key,
		.coordinator_keys_count = 1,
	};
	return request;
}

static void names_nobody(struct test *t)
{
	static struct fault_round round = { .kind = FAULT_JOURNAL_BLOCKED, .ask = ask_for_group };
	const struct kafka_find_coordinator_response *response = fault_answer(t, &round);

	if (t->version < KEYS_FIRST) {
		CHECK_ERROR(t, response->error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
		CHECK_INT(t, response->node_id, -1);
		return;
	}
	CHECK_INT(t, response->coordinators_count, 1);
	CHECK_SLICE(t, response->coordinators[0].key, round.topic.name);
	CHECK_ERROR(t, response->coordinators[0].error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
	CHECK_INT(t, response->coordinators[0].node_id, -1);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 6, "a group's coordinator is the agent that was asked", finds_one },
	{ OUTCOME_SUCCESS, 4, 6, "several groups are answered in the order of the request",
	  finds_several },
	{ OUTCOME_SUCCESS, 1, 6, "so is a transactional id's", finds_one_of_a_transaction },
	{ KAFKA_INVALID_REQUEST, 1, 6, "a key of another kind gives INVALID_REQUEST",
	  other_kinds_of_keys },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, 0, 6,
	  "while nothing becomes durable, there is no coordinator", names_nobody },
};

static const int16_t documented[] = {
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_GROUP_AUTHORIZATION_FAILED,
	KAFKA_INVALID_REQUEST,
	KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
	KAFKA_CLUSTER_AUTHORIZATION_FAILED,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, ANY_AGENT_COORDINATES, NULL },
	{ KAFKA_GROUP_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_INVALID_REQUEST, 0, 0, "the request has no kind of key", NULL },
};

const struct matrix_api matrix_find_coordinator = MATRIX_API(KAFKA_API_FIND_COORDINATOR, 0, 6);
