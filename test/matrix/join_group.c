/* JoinGroup. */
#include "fault.h"
#include "fixture.h"
#include "matrix.h"

enum { KNOWN_ID_FIRST = 4, TYPE_FIRST = 7, SKIP_FIRST = 9 };

static const struct kafka_join_group_response *join(struct test *t, const struct member *m,
						    const struct kafka_join_group_request *request)
{
	return client_call(t, m->client, KAFKA_API_JOIN_GROUP, t->version, request);
}

/* A member that has not joined yet, but has the id it needs to. */
static struct member newcomer(struct test *t, struct slice group)
{
	struct member m = { .client = client_open(t), .group = group };

	if (t->version >= KNOWN_ID_FIRST) {
		const struct kafka_join_group_response *response = join(t, &m, join_request(t, &m));
		CHECK_ERROR(t, response->error_code, KAFKA_MEMBER_ID_REQUIRED);
		m.member_id = response->member_id;
	}
	return m;
}

static void check_joined(struct test *t, const struct kafka_join_group_response *response,
			 int32_t generation)
{
	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->generation_id, generation);
	if (t->version >= TYPE_FIRST)
		CHECK_SLICE(t, response->protocol_type, GROUP_PROTOCOL_TYPE);
	CHECK_SLICE(t, response->protocol_name, GROUP_PROTOCOL);
	CHECK(t, response->member_id.size > 0);
	CHECK(t, !response->skip_assignment);
}

/* --- success -----------------------------------------------------------------------------------
 */

static void joins_alone(struct test *t)
{
	struct member m = newcomer(t, test_name(t, "group"));
	const struct kafka_join_group_response *response = join(t, &m, join_request(t, &m));

	check_joined(t, response, 1);
	if (m.member_id.size)
		CHECK_SLICE(t, response->member_id, m.member_id);
	CHECK(t, slice_starts_with(response->member_id, SLICE(TEST_CLIENT_ID "-")));
	CHECK_SLICE(t, response->leader, response->member_id);
	CHECK_INT(t, response->members_count, 1);
	CHECK_SLICE(t, response->members[0].member_id, response->member_id);
	CHECK_NULL(t, response->members[0].group_instance_id);
	CHECK_SLICE(t, response->members[0].metadata, MEMBER_METADATA);
}

/* The second comes while the first has a generation of its own; the first learns that it has to
 * join again, and both get the same next generation. */
static void joins_together(struct test *t)
{
	struct member first = newcomer(t, test_name(t, "group"));
	const struct kafka_join_group_response *response = join(t, &first, join_request(t, &first));

	check_joined(t, response, 1);
	first.member_id = response->member_id;
	struct member second = newcomer(t, first.group);
	int32_t second_id = client_send(t, second.client, KAFKA_API_JOIN_GROUP, t->version,
					join_request(t, &second));
	first.generation = response->generation_id;
	member_await_rebalance(t, &first);
	const struct kafka_join_group_response *leader = join(t, &first, join_request(t, &first));
	const struct kafka_join_group_response *follower =
		client_receive(t, second.client, KAFKA_API_JOIN_GROUP, t->version, second_id);
	check_joined(t, leader, 2);
	check_joined(t, follower, 2);
	CHECK_SLICE(t, leader->member_id, first.member_id);
	CHECK_SLICE(t, leader->leader, first.member_id);
	CHECK_SLICE(t, follower->leader, first.member_id);
	CHECK_INT(t, leader->members_count, 2);
	CHECK_INT(t, follower->members_count, 0);
	bool is_listed = false;
	for (size_t i = 0; i < 2; i++)
		is_listed |= slice_equal(leader->members[i].member_id, follower->member_id);
	CHECK(t, is_listed);
}

/* The protocol that all members have, in the order of their votes. */
static void agrees_on_a_protocol(struct test *t)
{
	struct member m = newcomer(t, test_name(t, "group"));
	struct kafka_join_group_request *request = join_request(t, &m);
	struct kafka_join_group_request_protocol protocols[] = {
		{ SLICE("sticky"), SLICE("as before") },
		{ SLICE("range"), SLICE("anything") },
	};

	request->protocols = protocols;
	request->protocols_count = 2;
	const struct kafka_join_group_response *response = join(t, &m, request);
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_TEXT(t, response->protocol_name, "sticky");
	CHECK_TEXT(t, response->members[0].metadata, "as before");
}

static void leader_begins_again(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });
	const struct kafka_join_group_response *response = join(t, &m, join_request(t, &m));

	check_joined(t, response, m.generation + 1);
	CHECK_SLICE(t, response->member_id, m.member_id);
	CHECK_INT(t, response->members_count, 1);
}

static void static_member_comes_back(struct test *t)
{
	struct slice instance = SLICE("desk 7");
	struct member m = member_stable(t, test_name(t, "group"), instance);
	struct member again = { .client = client_open(t), .group = m.group };

	again.instance_id = instance;
	const struct kafka_join_group_response *response = join(t, &again, join_request(t, &again));
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->generation_id, m.generation);
	CHECK(t, !slice_equal(response->member_id, m.member_id));
	CHECK(t, slice_starts_with(response->member_id, instance));
	/* A leader that cannot skip the assignment is not told that it leads (KIP-814). */
	CHECK_INT(t, response->skip_assignment, t->version >= SKIP_FIRST);
	CHECK_INT(t, response->members_count, t->version >= SKIP_FIRST ? 1 : 0);
	if (t->version >= SKIP_FIRST)
		CHECK_SLICE(t, response->members[0].group_instance_id, instance);
}

/* --- errors ------------------------------------------------------------------------------------
 */

static void check_refused(struct test *t, const struct kafka_join_group_response *response,
			  int16_t error)
{
	CHECK_ERROR(t, response->error_code, error);
	CHECK_INT(t, response->generation_id, -1);
	CHECK_TEXT(t, response->leader, "");
	CHECK_INT(t, response->members_count, 0);
	CHECK(t, response->protocol_name.size == 0);
}

static void id_is_required(struct test *t)
{
	struct member m = { .client = client_open(t), .group = test_name(t, "group") };
	const struct kafka_join_group_response *response = join(t, &m, join_request(t, &m));

	check_refused(t, response, KAFKA_MEMBER_ID_REQUIRED);
	CHECK(t, slice_starts_with(response->member_id, SLICE(TEST_CLIENT_ID "-")));
}

static void unknown_member(struct test *t)
{
	struct member known = member_stable(t, test_name(t, "group"), (struct slice) { 0 });
	struct member m = { .client = client_open(t), .group = test_name(t, "empty") };

	m.member_id = SLICE("nobody");
	check_refused(t, join(t, &m, join_request(t, &m)), KAFKA_UNKNOWN_MEMBER_ID);
	m.group = known.group;
	check_refused(t, join(t, &m, join_request(t, &m)), KAFKA_UNKNOWN_MEMBER_ID);
}

static void invalid_group(struct test *t)
{
	struct member m = { .client = client_open(t), .group = SLICE("") };

	check_refused(t, join(t, &m, join_request(t, &m)), KAFKA_INVALID_GROUP_ID);
}

static void invalid_session_timeout(struct test *t)
{
	static const int32_t bad[] = { 0, -1, 5999, 1800001, INT32_MAX };
	struct member m = { .client = client_open(t), .group = test_name(t, "group") };

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++) {
		struct kafka_join_group_request *request = join_request(t, &m);
		request->session_timeout_ms = bad[i];
		check_refused(t, join(t, &m, request), KAFKA_INVALID_SESSION_TIMEOUT);
	}
}

static void inconsistent_protocol(struct test *t)
{
	struct member known = member_stable(t, test_name(t, "group"), (struct slice) { 0 });
	struct member m = { .client = client_open(t), .group = known.group };
	struct kafka_join_group_request *request = join_request(t, &m);

	request->protocol_type = SLICE("connect");
	check_refused(t, join(t, &m, request), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
	request = join_request(t, &m);
	request->protocols[0].name = SLICE("something else");
	check_refused(t, join(t, &m, request), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
	m.group = test_name(t, "empty");
	request = join_request(t, &m);
	request->protocols_count = 0;
	check_refused(t, join(t, &m, request), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
	request = join_request(t, &m);
	request->protocol_type = SLICE("");
	check_refused(t, join(t, &m, request), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}

static void fenced_instance(struct test *t)
{
	struct slice instance = SLICE("desk 7");
	struct member m = member_stable(t, test_name(t, "group"), instance);

	m.member_id = SLICE("an older id");
	check_refused(t, join(t, &m, join_request(t, &m)), KAFKA_FENCED_INSTANCE_ID);
}

/* What a group may hold is bounded, not only how many. */
static void too_much_metadata(struct test *t)
{
	enum { METADATA_BYTES = 600 * 1024 };
	struct member m = { .client = client_open(t), .group = test_name(t, "group") };
	struct kafka_join_group_request *request = join_request(t, &m);

	request->protocols[0].metadata =
		(struct slice) { arena_take(&t->arena, METADATA_BYTES), METADATA_BYTES };
	check_refused(t, join(t, &m, request), KAFKA_GROUP_MAX_SIZE_REACHED);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 9, "the first member leads generation 1", joins_alone },
	{ OUTCOME_SUCCESS, 0, 9, "two members get the same generation, and one leads",
	  joins_together },
	{ OUTCOME_SUCCESS, 0, 9, "the preferred protocol is chosen", agrees_on_a_protocol },
	{ OUTCOME_SUCCESS, 0, 9, "a leader that joins again begins a generation",
	  leader_begins_again },
	{ OUTCOME_SUCCESS, 5, 9, "a static member comes back without a rebalance",
	  static_member_comes_back },
	{ KAFKA_MEMBER_ID_REQUIRED, 4, 9, "a new member is given an id with MEMBER_ID_REQUIRED",
	  id_is_required },
	{ KAFKA_UNKNOWN_MEMBER_ID, 0, 9, "an id that was not given gives UNKNOWN_MEMBER_ID",
	  unknown_member },
	{ KAFKA_INVALID_GROUP_ID, 0, 9, "an empty name gives INVALID_GROUP_ID", invalid_group },
	{ KAFKA_INVALID_SESSION_TIMEOUT, 0, 9,
	  "a session under 6 s or over 30 min gives INVALID_SESSION_TIMEOUT",
	  invalid_session_timeout },
	{ KAFKA_INCONSISTENT_GROUP_PROTOCOL, 0, 9,
	  "no protocol in common gives INCONSISTENT_GROUP_PROTOCOL", inconsistent_protocol },
	{ KAFKA_GROUP_MAX_SIZE_REACHED, 0, 9, "too much metadata gives GROUP_MAX_SIZE_REACHED",
	  too_much_metadata },
	{ KAFKA_FENCED_INSTANCE_ID, 5, 9,
	  "another id of the same instance gives FENCED_INSTANCE_ID", fenced_instance },
	{ OUTCOME_CLOSED, 0, 9, FAULT_CONTROL_DIES, fault_control_dies },
};

static const int16_t documented[] = {
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_NOT_COORDINATOR,
	KAFKA_INCONSISTENT_GROUP_PROTOCOL,
	KAFKA_INVALID_GROUP_ID,
	KAFKA_UNKNOWN_MEMBER_ID,
	KAFKA_INVALID_SESSION_TIMEOUT,
	KAFKA_GROUP_AUTHORIZATION_FAILED,
	KAFKA_MEMBER_ID_REQUIRED,
	KAFKA_GROUP_MAX_SIZE_REACHED,
	KAFKA_FENCED_INSTANCE_ID,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, NOTHING_LOADS, NULL },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, CONTROL_AWAY, NULL },
	{ KAFKA_NOT_COORDINATOR, ALL_VERSIONS, ANY_AGENT_COORDINATES, NULL },
	{ KAFKA_GROUP_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_MEMBER_ID_REQUIRED, 0, 3, "before version 4 a new member joins at once", NULL },
	{ KAFKA_FENCED_INSTANCE_ID, 0, 4, "the request has no instance id", NULL },
};

const struct matrix_api matrix_join_group = MATRIX_API(KAFKA_API_JOIN_GROUP, 0, 9);
