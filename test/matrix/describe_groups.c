/* DescribeGroups. */
#include <string.h>

#include "fault.h"
#include "fixture.h"
#include "matrix.h"

enum { INSTANCE_FIRST = 4, GROUP_NAME_BYTES_MAX = 255 };

static const struct kafka_describe_groups_response *describe(struct test *t, struct slice *groups,
							     size_t count)
{
	const struct kafka_describe_groups_request request = { .groups = groups,
							       .groups_count = count };
	const struct kafka_describe_groups_response *response =
		test_call(t, KAFKA_API_DESCRIBE_GROUPS, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->groups_count, (int64_t)count);
	for (size_t i = 0; i < count; i++) {
		CHECK_SLICE(t, response->groups[i].group_id, groups[i]);
		CHECK_INT(t, response->groups[i].authorized_operations, INT32_MIN);
	}
	return response;
}

static void check_group(struct test *t, const struct kafka_describe_groups_response_group *group,
			const char *state, const char *protocol_type, const char *protocol,
			size_t members)
{
	CHECK_ERROR(t, group->error_code, KAFKA_NONE);
	CHECK_NULL(t, group->error_message);
	CHECK_TEXT(t, group->group_state, state);
	CHECK_TEXT(t, group->protocol_type, protocol_type);
	CHECK_TEXT(t, group->protocol_data, protocol);
	CHECK_INT(t, group->members_count, (int64_t)members);
}

static void describes_members(struct test *t)
{
	struct slice instance = SLICE("desk 7");
	struct member m = member_stable(t, test_name(t, "group"), instance);
	const struct kafka_describe_groups_response *response = describe(t, &m.group, 1);

	check_group(t, &response->groups[0], "Stable", "consumer", "range", 1);
	const struct kafka_describe_groups_response_member *found = &response->groups[0].members[0];
	CHECK_SLICE(t, found->member_id, m.member_id);
	CHECK_TEXT(t, found->client_id, TEST_CLIENT_ID);
	CHECK(t, slice_equal(found->client_host, SLICE("127.0.0.1")) ||
			 slice_equal(found->client_host, SLICE("/127.0.0.1")));
	CHECK_SLICE(t, found->member_metadata, MEMBER_METADATA);
	CHECK_TEXT(t, found->member_assignment, "all of it");
	if (t->version >= INSTANCE_FIRST)
		CHECK_SLICE(t, found->group_instance_id, instance);
	else
		CHECK_NULL(t, found->group_instance_id);
}

/* Before there is an assignment nothing that a member said means anything. */
static void describes_a_rebalance(struct test *t)
{
	struct member m = member_join(t, test_name(t, "group"), (struct slice) { 0 });
	const struct kafka_describe_groups_response *response = describe(t, &m.group, 1);

	check_group(t, &response->groups[0], "CompletingRebalance", "consumer", "", 1);
	CHECK_SLICE(t, response->groups[0].members[0].member_id, m.member_id);
	CHECK_NULL(t, response->groups[0].members[0].group_instance_id);
	CHECK_TEXT(t, response->groups[0].members[0].member_metadata, "");
	CHECK_TEXT(t, response->groups[0].members[0].member_assignment, "");
}

static void describes_empty_groups(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct member left = member_stable(t, test_name(t, "left"), (struct slice) { 0 });
	struct slice names[] = { test_name(t, "simple"), left.group };

	member_leave(t, &left);
	offset_store(t, names[0], &topic, 0, 1, -1, SLICE(""));
	const struct kafka_describe_groups_response *response = describe(t, names, 2);
	check_group(t, &response->groups[0], "Empty", "", "", 0);
	check_group(t, &response->groups[1], "Empty", "consumer", "", 0);
}

static void tells_what_is_allowed(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });
	const struct kafka_describe_groups_request request = { &m.group, 1, true };
	const struct kafka_describe_groups_response *response =
		test_call(t, KAFKA_API_DESCRIBE_GROUPS, t->version, &request);

	CHECK_ERROR(t, response->groups[0].error_code, KAFKA_NONE);
	CHECK_INT(t, response->groups[0].authorized_operations, 328);
}

static void unknown_group_is_dead(struct test *t)
{
	struct slice name = test_name(t, "missing");
	const struct kafka_describe_groups_response *response = describe(t, &name, 1);

	check_group(t, &response->groups[0], "Dead", "", "", 0);
}

static void unknown_group(struct test *t)
{
	struct slice name = test_name(t, "missing");
	const struct kafka_describe_groups_response *response = describe(t, &name, 1);

	CHECK_ERROR(t, response->groups[0].error_code, KAFKA_GROUP_ID_NOT_FOUND);
	CHECK(t, response->groups[0].error_message.size > 0);
	CHECK_TEXT(t, response->groups[0].group_state, "Dead");
	CHECK_INT(t, response->groups[0].members_count, 0);
}

static void invalid_group(struct test *t)
{
	uint8_t *bytes = arena_take(&t->arena, GROUP_NAME_BYTES_MAX + 1);
	struct slice name = { bytes, GROUP_NAME_BYTES_MAX + 1 };

	memset(bytes, 'x', GROUP_NAME_BYTES_MAX + 1);
	const struct kafka_describe_groups_response *response = describe(t, &name, 1);
	CHECK_ERROR(t, response->groups[0].error_code, KAFKA_INVALID_GROUP_ID);
	CHECK_INT(t, response->groups[0].members_count, 0);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 6, "a stable group is described with its members",
	  describes_members },
	{ OUTCOME_SUCCESS, 0, 6, "a group that waits for its assignment is described",
	  describes_a_rebalance },
	{ OUTCOME_SUCCESS, 0, 6, "empty groups are described in the order of the request",
	  describes_empty_groups },
	{ OUTCOME_SUCCESS, 3, 6, "what the client may do is told when it is asked for",
	  tells_what_is_allowed },
	{ OUTCOME_SUCCESS, 0, 5, "a group that does not exist is dead", unknown_group_is_dead },
	{ KAFKA_GROUP_ID_NOT_FOUND, 6, 6, "a group that does not exist gives GROUP_ID_NOT_FOUND",
	  unknown_group },
	{ KAFKA_INVALID_GROUP_ID, 0, 6, "a name over 255 bytes gives INVALID_GROUP_ID",
	  invalid_group },
	{ OUTCOME_CLOSED, 0, 6, FAULT_CONTROL_DIES, fault_control_dies },
};

static const int16_t documented[] = {
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_NOT_COORDINATOR,
	KAFKA_GROUP_AUTHORIZATION_FAILED,
	KAFKA_INVALID_GROUP_ID,
	KAFKA_GROUP_ID_NOT_FOUND,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, NOTHING_LOADS, NULL },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, QUEUE_FULL },
	{ KAFKA_NOT_COORDINATOR, ALL_VERSIONS, NOT_LED },
	{ KAFKA_GROUP_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_GROUP_ID_NOT_FOUND, 0, 5, "before version 6 it is a group in state Dead", NULL },
};

const struct matrix_api matrix_describe_groups = MATRIX_API(KAFKA_API_DESCRIBE_GROUPS, 0, 6);
