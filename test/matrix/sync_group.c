/* SyncGroup. */
#include "fault.h"
#include "fixture.h"
#include "matrix.h"

enum { PROTOCOL_FIRST = 5, JOIN_VERSION = 9 };

static const struct kafka_sync_group_response *sync(struct test *t, const struct member *m,
						    const struct kafka_sync_group_request *request)
{
	const struct kafka_sync_group_response *response =
		client_call(t, m->client, KAFKA_API_SYNC_GROUP, t->version, request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	return response;
}

static void check_assigned(struct test *t, const struct kafka_sync_group_response *response,
			   struct slice assignment)
{
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_SLICE(t, response->assignment, assignment);
	if (t->version < PROTOCOL_FIRST)
		return;
	CHECK_SLICE(t, response->protocol_type, GROUP_PROTOCOL_TYPE);
	CHECK_SLICE(t, response->protocol_name, GROUP_PROTOCOL);
}

static void leader_assigns(struct test *t)
{
	struct member m = member_join(t, test_name(t, "group"), (struct slice) { 0 });
	const struct kafka_sync_group_request *request = sync_request(t, &m, SLICE("mine"));

	check_assigned(t, sync(t, &m, request), SLICE("mine"));
	check_assigned(t, sync(t, &m, request), SLICE("mine"));
}

/* The answer to a JoinGroup that waited: the member is in the generation now. */
static void finish_join(struct test *t, struct member *m, int32_t id)
{
	const struct kafka_join_group_response *response =
		client_receive(t, m->client, KAFKA_API_JOIN_GROUP, JOIN_VERSION, id);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	m->member_id = response->member_id;
	m->generation = response->generation_id;
}

static void follower_waits_for_the_leader(struct test *t)
{
	struct member first = member_stable(t, test_name(t, "group"), (struct slice) { 0 });
	struct member second = member_disturb(t, &first);
	int32_t join_id = client_send(t, first.client, KAFKA_API_JOIN_GROUP, JOIN_VERSION,
				      join_request(t, &first));
	finish_join(t, &first, join_id);
	finish_join(t, &second, second.client->correlation_id);

	struct kafka_sync_group_request *request = sync_request(t, &second, SLICE(""));
	request->assignments_count = 0;
	int32_t id = client_send(t, second.client, KAFKA_API_SYNC_GROUP, t->version, request);
	client_expect_silence(t, second.client, 20);
	struct kafka_sync_group_request_assignment assignments[] = {
		{ second.member_id, SLICE("the rest") },
		{ first.member_id, SLICE("the best") },
	};
	request = sync_request(t, &first, SLICE(""));
	request->assignments = assignments;
	request->assignments_count = 2;
	check_assigned(t, sync(t, &first, request), SLICE("the best"));
	check_assigned(t, client_receive(t, second.client, KAFKA_API_SYNC_GROUP, t->version, id),
		       SLICE("the rest"));
}

static void member_without_assignment(struct test *t)
{
	struct member m = member_join(t, test_name(t, "group"), (struct slice) { 0 });
	struct kafka_sync_group_request *request = sync_request(t, &m, SLICE(""));

	request->assignments_count = 0;
	check_assigned(t, sync(t, &m, request), SLICE(""));
}

static void check_refused(struct test *t, const struct member *m, int16_t error)
{
	const struct kafka_sync_group_response *response =
		sync(t, m, sync_request(t, m, SLICE("mine")));

	CHECK_ERROR(t, response->error_code, error);
	CHECK_TEXT(t, response->assignment, "");
	CHECK_NULL(t, response->protocol_type);
	CHECK_NULL(t, response->protocol_name);
}

static void unknown_member(struct test *t)
{
	struct member m = member_join(t, test_name(t, "group"), (struct slice) { 0 });

	m.member_id = SLICE("nobody");
	check_refused(t, &m, KAFKA_UNKNOWN_MEMBER_ID);
	m.group = test_name(t, "empty");
	check_refused(t, &m, KAFKA_UNKNOWN_MEMBER_ID);
}

static void other_generation(struct test *t)
{
	struct member m = member_join(t, test_name(t, "group"), (struct slice) { 0 });

	m.generation++;
	check_refused(t, &m, KAFKA_ILLEGAL_GENERATION);
	m.generation -= 2;
	check_refused(t, &m, KAFKA_ILLEGAL_GENERATION);
}

static void rebalance_in_progress(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });

	(void)member_disturb(t, &m);
	check_refused(t, &m, KAFKA_REBALANCE_IN_PROGRESS);
}

static void invalid_group(struct test *t)
{
	struct member m = { .client = client_open(t), .group = SLICE("") };

	m.member_id = SLICE("somebody");
	check_refused(t, &m, KAFKA_INVALID_GROUP_ID);
}

static void other_protocol(struct test *t)
{
	struct member m = member_join(t, test_name(t, "group"), (struct slice) { 0 });
	struct kafka_sync_group_request *request = sync_request(t, &m, SLICE("mine"));

	request->protocol_name = SLICE("sticky");
	CHECK_ERROR(t, sync(t, &m, request)->error_code, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
	request = sync_request(t, &m, SLICE("mine"));
	request->protocol_type = SLICE("connect");
	CHECK_ERROR(t, sync(t, &m, request)->error_code, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}

static void fenced_instance(struct test *t)
{
	struct member m = member_join(t, test_name(t, "group"), SLICE("desk 7"));

	m.member_id = SLICE("an older id");
	check_refused(t, &m, KAFKA_FENCED_INSTANCE_ID);
}

static void too_large_assignment(struct test *t)
{
	enum { ASSIGNMENT_BYTES = 1200 * 1024 };
	struct member m = member_join(t, test_name(t, "group"), (struct slice) { 0 });
	struct slice huge = { arena_take(&t->arena, ASSIGNMENT_BYTES), ASSIGNMENT_BYTES };

	CHECK_ERROR(t, sync(t, &m, sync_request(t, &m, huge))->error_code,
		    KAFKA_UNKNOWN_SERVER_ERROR);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 5, "the leader assigns, and may ask again", leader_assigns },
	{ OUTCOME_SUCCESS, 0, 5, "a follower waits for the leader", follower_waits_for_the_leader },
	{ OUTCOME_SUCCESS, 0, 5, "whom the leader does not name gets nothing",
	  member_without_assignment },
	{ KAFKA_UNKNOWN_MEMBER_ID, 0, 5, "an id that was not given gives UNKNOWN_MEMBER_ID",
	  unknown_member },
	{ KAFKA_ILLEGAL_GENERATION, 0, 5, "another generation gives ILLEGAL_GENERATION",
	  other_generation },
	{ KAFKA_REBALANCE_IN_PROGRESS, 0, 5,
	  "a member that has to join again gets REBALANCE_IN_PROGRESS", rebalance_in_progress },
	{ KAFKA_INVALID_GROUP_ID, 0, 5, "an empty name gives INVALID_GROUP_ID", invalid_group },
	{ KAFKA_UNKNOWN_SERVER_ERROR, 0, 5,
	  "an assignment that is too large gives UNKNOWN_SERVER_ERROR", too_large_assignment },
	{ KAFKA_FENCED_INSTANCE_ID, 3, 5,
	  "another id of the same instance gives FENCED_INSTANCE_ID", fenced_instance },
	{ KAFKA_INCONSISTENT_GROUP_PROTOCOL, 5, 5,
	  "another protocol than the group's gives INCONSISTENT_GROUP_PROTOCOL", other_protocol },
	{ OUTCOME_CLOSED, 0, 5, FAULT_CONTROL_DIES, fault_control_dies },
};

static const int16_t documented[] = {
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_NOT_COORDINATOR,
	KAFKA_ILLEGAL_GENERATION,
	KAFKA_INCONSISTENT_GROUP_PROTOCOL,
	KAFKA_INVALID_GROUP_ID,
	KAFKA_UNKNOWN_MEMBER_ID,
	KAFKA_REBALANCE_IN_PROGRESS,
	KAFKA_GROUP_AUTHORIZATION_FAILED,
	KAFKA_FENCED_INSTANCE_ID,
	KAFKA_UNKNOWN_SERVER_ERROR,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, NOTHING_LOADS, NULL },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, CONTROL_AWAY, NULL },
	{ KAFKA_NOT_COORDINATOR, ALL_VERSIONS, ANY_AGENT_COORDINATES, NULL },
	{ KAFKA_INCONSISTENT_GROUP_PROTOCOL, 0, 4, "the request has no protocol", NULL },
	{ KAFKA_GROUP_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_FENCED_INSTANCE_ID, 0, 2, "the request has no instance id", NULL },
};

const struct matrix_api matrix_sync_group = MATRIX_API(KAFKA_API_SYNC_GROUP, 0, 5);
