/* ListGroups. */
#include "fixture.h"
#include "matrix.h"

enum { STATE_FIRST = 4, TYPE_FIRST = 5 };

static const struct kafka_list_groups_response *list(struct test *t, struct slice *states,
						     size_t state_count, struct slice *types,
						     size_t type_count)
{
	const struct kafka_list_groups_request request = { states, state_count, types, type_count };
	const struct kafka_list_groups_response *response =
		test_call(t, KAFKA_API_LIST_GROUPS, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	return response;
}

static const struct kafka_list_groups_response_group *find(
	const struct kafka_list_groups_response *response, struct slice group)
{
	for (size_t i = 0; i < response->groups_count; i++)
		if (slice_equal(response->groups[i].group_id, group))
			return &response->groups[i];
	return NULL;
}

static void check_listed(struct test *t, const struct kafka_list_groups_response *response,
			 struct slice group, const char *protocol_type, const char *state)
{
	const struct kafka_list_groups_response_group *found = find(response, group);

	CHECK(t, found);
	CHECK_TEXT(t, found->protocol_type, protocol_type);
	if (t->version >= STATE_FIRST)
		CHECK_TEXT(t, found->group_state, state);
	if (t->version >= TYPE_FIRST)
		CHECK_TEXT(t, found->group_type, "classic");
}

static void lists_every_group(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct slice simple = test_name(t, "simple");
	struct member stable = member_stable(t, test_name(t, "stable"), (struct slice) { 0 });
	struct member left = member_stable(t, test_name(t, "left"), (struct slice) { 0 });

	member_leave(t, &left);
	offset_store(t, simple, &topic, 0, 1, -1, SLICE(""));
	const struct kafka_list_groups_response *response = list(t, NULL, 0, NULL, 0);
	check_listed(t, response, stable.group, "consumer", "Stable");
	check_listed(t, response, left.group, "consumer", "Empty");
	check_listed(t, response, simple, "", "Empty");
}

static void filters_by_state(struct test *t)
{
	struct member joined = member_join(t, test_name(t, "joined"), (struct slice) { 0 });
	struct member stable = member_stable(t, test_name(t, "stable"), (struct slice) { 0 });
	struct slice states[] = { SLICE("stable"), SLICE("Dead") };
	struct slice completing = SLICE("CompletingRebalance");
	const struct kafka_list_groups_response *response = list(t, states, 2, NULL, 0);

	check_listed(t, response, stable.group, "consumer", "Stable");
	CHECK(t, !find(response, joined.group));
	response = list(t, &completing, 1, NULL, 0);
	check_listed(t, response, joined.group, "consumer", "CompletingRebalance");
	CHECK(t, !find(response, stable.group));
}

static void filters_by_type(struct test *t)
{
	struct member stable = member_stable(t, test_name(t, "stable"), (struct slice) { 0 });
	struct slice classic = SLICE("Classic"), consumer = SLICE("consumer");
	const struct kafka_list_groups_response *response = list(t, NULL, 0, &classic, 1);

	check_listed(t, response, stable.group, "consumer", "Stable");
	CHECK_INT(t, list(t, NULL, 0, &consumer, 1)->groups_count, 0);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 5, "groups with members, without, and of outsiders are listed",
	  lists_every_group },
	{ OUTCOME_SUCCESS, 4, 5, "only the states that were asked for are listed",
	  filters_by_state },
	{ OUTCOME_SUCCESS, 5, 5, "only the types that were asked for are listed", filters_by_type },
};

static const int16_t documented[] = {
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_CLUSTER_AUTHORIZATION_FAILED,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_COORDINATOR_LOAD_IN_PROGRESS, ALL_VERSIONS, NOTHING_LOADS, NULL },
	{ KAFKA_COORDINATOR_NOT_AVAILABLE, ALL_VERSIONS, NOT_LED },
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
};

const struct matrix_api matrix_list_groups = MATRIX_API(KAFKA_API_LIST_GROUPS, 0, 5);
