/* LeaveGroup. */
#include "fault.h"
#include "fixture.h"
#include "matrix.h"

enum { MEMBERS_FIRST = 3, DESCRIBE_VERSION = 5, LEAVERS_MAX = 4 };

static const struct kafka_leave_group_response *leave(struct test *t, struct slice group,
						      const struct member *leavers, size_t count)
{
	struct kafka_leave_group_request_member members[LEAVERS_MAX];

	for (size_t i = 0; i < count; i++)
		members[i] = (struct kafka_leave_group_request_member) {
			.member_id = leavers[i].member_id,
			.group_instance_id = leavers[i].instance_id,
			.reason = SLICE("the test is over"),
		};
	const struct kafka_leave_group_request request = {
		.group_id = group,
		.member_id = leavers[0].member_id,
		.members = members,
		.members_count = count,
	};
	const struct kafka_leave_group_response *response =
		test_call(t, KAFKA_API_LEAVE_GROUP, t->version, &request);
	CHECK_INT(t, response->throttle_time_ms, 0);
	return response;
}

/* Up to version 2 the error of the one member is the answer's. */
static void check_left(struct test *t, const struct kafka_leave_group_response *response,
		       const struct member *m, int16_t error)
{
	if (t->version < MEMBERS_FIRST) {
		CHECK_ERROR(t, response->error_code, error);
		return;
	}
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->members_count, 1);
	CHECK_ERROR(t, response->members[0].error_code, error);
	CHECK_SLICE(t, response->members[0].member_id, m->member_id);
	CHECK_SLICE(t, response->members[0].group_instance_id, m->instance_id);
}

static void check_state(struct test *t, struct slice group, const char *state, size_t members)
{
	const struct kafka_describe_groups_request request = { .groups = &group,
							       .groups_count = 1 };
	const struct kafka_describe_groups_response *response =
		test_call(t, KAFKA_API_DESCRIBE_GROUPS, DESCRIBE_VERSION, &request);

	CHECK_TEXT(t, response->groups[0].group_state, state);
	CHECK_INT(t, response->groups[0].members_count, (int64_t)members);
}

static void leaves(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });

	check_state(t, m.group, "Stable", 1);
	check_left(t, leave(t, m.group, &m, 1), &m, KAFKA_NONE);
	check_state(t, m.group, "Empty", 0);
}

/* An id that was given with MEMBER_ID_REQUIRED can be given back. */
static void leaves_before_joining(struct test *t)
{
	struct member m = { .client = client_open(t), .group = test_name(t, "group") };
	const struct kafka_join_group_response *response =
		client_call(t, m.client, KAFKA_API_JOIN_GROUP, 9, join_request(t, &m));

	CHECK_ERROR(t, response->error_code, KAFKA_MEMBER_ID_REQUIRED);
	m.member_id = response->member_id;
	check_left(t, leave(t, m.group, &m, 1), &m, KAFKA_NONE);
	check_left(t, leave(t, m.group, &m, 1), &m, KAFKA_UNKNOWN_MEMBER_ID);
}

/* An administrator knows instances, not ids. */
static void instance_is_removed(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), SLICE("desk 7"));

	m.member_id = SLICE("");
	check_left(t, leave(t, m.group, &m, 1), &m, KAFKA_NONE);
	check_state(t, m.group, "Empty", 0);
}

static void several_leave(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), SLICE("desk 7"));
	struct member leavers[] = { { .member_id = SLICE("nobody") }, m };
	const struct kafka_leave_group_response *response = leave(t, m.group, leavers, 2);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->members_count, 2);
	CHECK_ERROR(t, response->members[0].error_code, KAFKA_UNKNOWN_MEMBER_ID);
	CHECK_NULL(t, response->members[0].group_instance_id);
	CHECK_ERROR(t, response->members[1].error_code, KAFKA_NONE);
	CHECK_SLICE(t, response->members[1].group_instance_id, SLICE("desk 7"));
	check_state(t, m.group, "Empty", 0);
}

static void unknown_member(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });
	struct member stranger = { .member_id = SLICE("nobody") };

	check_left(t, leave(t, m.group, &stranger, 1), &stranger, KAFKA_UNKNOWN_MEMBER_ID);
	check_left(t, leave(t, test_name(t, "empty"), &stranger, 1), &stranger,
		   KAFKA_UNKNOWN_MEMBER_ID);
	check_state(t, m.group, "Stable", 1);
}

static void invalid_group(struct test *t)
{
	struct member m = { .member_id = SLICE("somebody") };
	const struct kafka_leave_group_response *response = leave(t, SLICE(""), &m, 1);

	CHECK_ERROR(t, response->error_code, KAFKA_INVALID_GROUP_ID);
	CHECK_INT(t, response->members_count, 0);
}

static void fenced_instance(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), SLICE("desk 7"));

	m.member_id = SLICE("an older id");
	check_left(t, leave(t, m.group, &m, 1), &m, KAFKA_FENCED_INSTANCE_ID);
	check_state(t, m.group, "Stable", 1);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 5, "the last member leaves the group empty", leaves },
	{ OUTCOME_SUCCESS, 0, 5, "an id that was not used can be given back",
	  leaves_before_joining },
	{ OUTCOME_SUCCESS, 3, 5, "an instance is removed without its id", instance_is_removed },
	{ OUTCOME_SUCCESS, 3, 5, "several leave at once, each with its own answer", several_leave },
	{ KAFKA_UNKNOWN_MEMBER_ID, 0, 5, "an id that was not given gives UNKNOWN_MEMBER_ID",
	  unknown_member },
	{ KAFKA_INVALID_GROUP_ID, 0, 5, "an empty name gives INVALID_GROUP_ID", invalid_group },
	{ KAFKA_FENCED_INSTANCE_ID, 3, 5,
	  "another id of the same instance gives FENCED_INSTANCE_ID", fenced_instance },
	{ OUTCOME_CLOSED, 0, 5, FAULT_CONTROL_DIES, fault_control_dies },
};

static const int16_t documented[] = {
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_NOT_COORDINATOR,
	KAFKA_INVALID_GROUP_ID,
	KAFKA_UNKNOWN_MEMBER_ID,
	KAFKA_GROUP_AUTHORIZATION_FAILED,
	KAFKA_FENCED_INSTANCE_ID,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, NOTHING_LOADS, NULL },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, CONTROL_AWAY, NULL },
	{ KAFKA_NOT_COORDINATOR, ALL_VERSIONS, ANY_AGENT_COORDINATES, NULL },
	{ KAFKA_GROUP_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_FENCED_INSTANCE_ID, 0, 2, "the request has no instance id", NULL },
};

const struct matrix_api matrix_leave_group = MATRIX_API(KAFKA_API_LEAVE_GROUP, 0, 5);
