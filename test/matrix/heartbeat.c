/* Heartbeat. */
#include "fault.h"
#include "fixture.h"
#include "matrix.h"

static void check_beat(struct test *t, const struct member *m, int16_t error)
{
	const struct kafka_heartbeat_request request = {
		.group_id = m->group,
		.generation_id = m->generation,
		.member_id = m->member_id,
		.group_instance_id = m->instance_id,
	};
	const struct kafka_heartbeat_response *response =
		client_call(t, m->client, KAFKA_API_HEARTBEAT, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_ERROR(t, response->error_code, error);
}

static void beats(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });

	check_beat(t, &m, KAFKA_NONE);
	check_beat(t, &m, KAFKA_NONE);
}

/* Consumers may begin before the assignment is there. */
static void beats_before_the_assignment(struct test *t)
{
	struct member m = member_join(t, test_name(t, "group"), (struct slice) { 0 });

	check_beat(t, &m, KAFKA_NONE);
}

static void beats_as_instance(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), SLICE("desk 7"));

	check_beat(t, &m, KAFKA_NONE);
}

static void unknown_member(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });

	m.member_id = SLICE("nobody");
	check_beat(t, &m, KAFKA_UNKNOWN_MEMBER_ID);
	m.group = test_name(t, "empty");
	check_beat(t, &m, KAFKA_UNKNOWN_MEMBER_ID);
}

static void member_that_left(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });

	member_leave(t, &m);
	check_beat(t, &m, KAFKA_UNKNOWN_MEMBER_ID);
}

static void other_generation(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });

	m.generation++;
	check_beat(t, &m, KAFKA_ILLEGAL_GENERATION);
	m.generation -= 2;
	check_beat(t, &m, KAFKA_ILLEGAL_GENERATION);
}

static void rebalance_in_progress(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), (struct slice) { 0 });

	(void)member_disturb(t, &m);
	check_beat(t, &m, KAFKA_REBALANCE_IN_PROGRESS);
}

static void invalid_group(struct test *t)
{
	struct member m = { .client = client_open(t), .group = SLICE("") };

	m.member_id = SLICE("somebody");
	check_beat(t, &m, KAFKA_INVALID_GROUP_ID);
}

static void fenced_instance(struct test *t)
{
	struct member m = member_stable(t, test_name(t, "group"), SLICE("desk 7"));

	m.member_id = SLICE("an older id");
	check_beat(t, &m, KAFKA_FENCED_INSTANCE_ID);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 4, "a member of a stable group is heard", beats },
	{ OUTCOME_SUCCESS, 0, 4, "a member is heard before the assignment is there",
	  beats_before_the_assignment },
	{ OUTCOME_SUCCESS, 3, 4, "a static member is heard", beats_as_instance },
	{ KAFKA_UNKNOWN_MEMBER_ID, 0, 4, "an id that was not given gives UNKNOWN_MEMBER_ID",
	  unknown_member },
	{ KAFKA_UNKNOWN_MEMBER_ID, 0, 4, "a member that left gets UNKNOWN_MEMBER_ID",
	  member_that_left },
	{ KAFKA_ILLEGAL_GENERATION, 0, 4, "another generation gives ILLEGAL_GENERATION",
	  other_generation },
	{ KAFKA_REBALANCE_IN_PROGRESS, 0, 4,
	  "a member that has to join again gets REBALANCE_IN_PROGRESS", rebalance_in_progress },
	{ KAFKA_INVALID_GROUP_ID, 0, 4, "an empty name gives INVALID_GROUP_ID", invalid_group },
	{ KAFKA_FENCED_INSTANCE_ID, 3, 4,
	  "another id of the same instance gives FENCED_INSTANCE_ID", fenced_instance },
	{ OUTCOME_CLOSED, 0, 4, FAULT_CONTROL_DIES, fault_control_dies },
};

static const int16_t documented[] = {
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_NOT_COORDINATOR,
	KAFKA_ILLEGAL_GENERATION,
	KAFKA_INVALID_GROUP_ID,
	KAFKA_UNKNOWN_MEMBER_ID,
	KAFKA_REBALANCE_IN_PROGRESS,
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

const struct matrix_api matrix_heartbeat = MATRIX_API(KAFKA_API_HEARTBEAT, 0, 4);
