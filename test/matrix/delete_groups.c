/* DeleteGroups. */
#include <string.h>

#include "fault.h"
#include "fixture.h"
#include "matrix.h"

enum { DESCRIBE_VERSION = 5, FETCH_VERSION = 7, GROUP_NAME_BYTES_MAX = 255 };

static const struct kafka_delete_groups_response *delete_groups(struct test *t,
								struct slice *groups, size_t count)
{
	const struct kafka_delete_groups_request request = { groups, count };
	const struct kafka_delete_groups_response *response =
		test_call(t, KAFKA_API_DELETE_GROUPS, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->results_count, (int64_t)count);
	for (size_t i = 0; i < count; i++)
		CHECK_SLICE(t, response->results[i].group_id, groups[i]);
	return response;
}

static void check_state(struct test *t, struct slice group, const char *state)
{
	const struct kafka_describe_groups_request request = { .groups = &group,
							       .groups_count = 1 };
	const struct kafka_describe_groups_response *response =
		test_call(t, KAFKA_API_DESCRIBE_GROUPS, DESCRIBE_VERSION, &request);

	CHECK_TEXT(t, response->groups[0].group_state, state);
}

static int64_t committed_offset(struct test *t, struct slice group, const struct topic *topic)
{
	int32_t partition = 0;
	struct kafka_offset_fetch_request_topic asked = { topic->name, &partition, 1 };
	const struct kafka_offset_fetch_request request = { .group_id = group,
							    .topics = &asked,
							    .topics_count = 1 };
	const struct kafka_offset_fetch_response *response =
		test_call(t, KAFKA_API_OFFSET_FETCH, FETCH_VERSION, &request);

	return response->topics[0].partitions[0].committed_offset;
}

static void deletes(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct member left = member_stable(t, test_name(t, "left"), (struct slice) { 0 });
	struct slice names[] = { test_name(t, "simple"), left.group };

	member_leave(t, &left);
	offset_store(t, names[0], &topic, 0, 7, -1, SLICE(""));
	CHECK_INT(t, committed_offset(t, names[0], &topic), 7);
	const struct kafka_delete_groups_response *response = delete_groups(t, names, 2);
	for (size_t i = 0; i < 2; i++) {
		CHECK_ERROR(t, response->results[i].error_code, KAFKA_NONE);
		check_state(t, names[i], "Dead");
	}
	CHECK_INT(t, committed_offset(t, names[0], &topic), -1);
}

static void name_is_free_again(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct slice name = test_name(t, "group");

	offset_store(t, name, &topic, 0, 7, -1, SLICE(""));
	CHECK_ERROR(t, delete_groups(t, &name, 1)->results[0].error_code, KAFKA_NONE);
	(void)member_stable(t, name, (struct slice) { 0 });
	check_state(t, name, "Stable");
	CHECK_INT(t, committed_offset(t, name, &topic), -1);
}

static void group_with_members(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });

	CHECK_ERROR(t, delete_groups(t, &m.group, 1)->results[0].error_code, KAFKA_NON_EMPTY_GROUP);
	check_state(t, m.group, "Stable");
}

static void unknown_group(struct test *t)
{
	struct slice name = test_name(t, "missing");

	CHECK_ERROR(t, delete_groups(t, &name, 1)->results[0].error_code, KAFKA_GROUP_ID_NOT_FOUND);
}

static void invalid_group(struct test *t)
{
	uint8_t *bytes = arena_take(&t->arena, GROUP_NAME_BYTES_MAX + 1);
	struct slice name = { bytes, GROUP_NAME_BYTES_MAX + 1 };

	memset(bytes, 'x', GROUP_NAME_BYTES_MAX + 1);
	CHECK_ERROR(t, delete_groups(t, &name, 1)->results[0].error_code, KAFKA_INVALID_GROUP_ID);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 2, "empty groups and their offsets are deleted", deletes },
	{ OUTCOME_SUCCESS, 0, 2, "the name is free again, without offsets", name_is_free_again },
	{ KAFKA_NON_EMPTY_GROUP, 0, 2, "a group that has members gives NON_EMPTY_GROUP",
	  group_with_members },
	{ KAFKA_GROUP_ID_NOT_FOUND, 0, 2, "a group that does not exist gives GROUP_ID_NOT_FOUND",
	  unknown_group },
	{ KAFKA_INVALID_GROUP_ID, 0, 2, "a name over 255 bytes gives INVALID_GROUP_ID",
	  invalid_group },
	{ OUTCOME_CLOSED, 0, 2, FAULT_CONTROL_DIES, fault_control_dies },
};

static const int16_t documented[] = {
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_NOT_COORDINATOR,
	KAFKA_INVALID_GROUP_ID,
	KAFKA_GROUP_AUTHORIZATION_FAILED,
	KAFKA_NON_EMPTY_GROUP,
	KAFKA_GROUP_ID_NOT_FOUND,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, NOTHING_LOADS, NULL },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, QUEUE_FULL },
	{ KAFKA_NOT_COORDINATOR, ALL_VERSIONS, NOT_LED },
	{ KAFKA_GROUP_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
};

const struct matrix_api matrix_delete_groups = MATRIX_API(KAFKA_API_DELETE_GROUPS, 0, 2);
