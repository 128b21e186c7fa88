/* CreatePartitions. */
#include "fixture.h"
#include "matrix.h"

enum { METADATA_VERSION = 13 };

static const struct kafka_create_partitions_response *grow(
	struct test *t, struct kafka_create_partitions_request_topic *topics, size_t count,
	bool validate_only)
{
	const struct kafka_create_partitions_request request = {
		.topics = topics,
		.topics_count = count,
		.timeout_ms = TEST_PATIENCE_MS,
		.validate_only = validate_only,
	};
	const struct kafka_create_partitions_response *response =
		test_call(t, KAFKA_API_CREATE_PARTITIONS, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	return response;
}

static const struct kafka_metadata_response_topic *look_up(struct test *t, struct slice name)
{
	struct kafka_metadata_request_topic asked = { .name = name };
	const struct kafka_metadata_request request = { .topics = &asked, .topics_count = 1 };
	const struct kafka_metadata_response *response =
		test_call(t, KAFKA_API_METADATA, METADATA_VERSION, &request);

	return &response->topics[0];
}

static void check_one(struct test *t, struct kafka_create_partitions_request_topic *asked,
		      bool validate_only, int16_t error)
{
	const struct kafka_create_partitions_response *response = grow(t, asked, 1, validate_only);

	CHECK_INT(t, response->results_count, 1);
	CHECK_SLICE(t, response->results[0].name, asked->name);
	CHECK_ERROR(t, response->results[0].error_code, error);
	if (error)
		CHECK(t, response->results[0].error_message.size > 0);
	else
		CHECK_NULL(t, response->results[0].error_message);
}

static void adds_partitions(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_create_partitions_request_topic asked = { .name = topic.name, .count = 3 };

	CHECK_INT(t, topic_append(t, &topic, 0, batch_make(t, 2)), 0);
	check_one(t, &asked, false, KAFKA_NONE);
	CHECK_INT(t, look_up(t, topic.name)->partitions_count, 3);
	CHECK_INT(t, topic_append(t, &topic, 0, batch_make(t, 1)), 2);
	CHECK_INT(t, topic_append(t, &topic, 2, batch_make(t, 1)), 0);
}

static void adds_with_assignments(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	int32_t broker = look_up(t, topic.name)->partitions[0].leader_id;
	struct kafka_create_partitions_request_assignment assignment = { &broker, 1 };
	struct kafka_create_partitions_request_topic asked = { topic.name, 2, &assignment, 1 };

	check_one(t, &asked, false, KAFKA_NONE);
	CHECK_INT(t, look_up(t, topic.name)->partitions_count, 2);
}

static void validates_only(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_create_partitions_request_topic asked = { .name = topic.name, .count = 3 };

	check_one(t, &asked, true, KAFKA_NONE);
	CHECK_INT(t, look_up(t, topic.name)->partitions_count, 1);
}

static void unknown_topic(struct test *t)
{
	struct kafka_create_partitions_request_topic asked = { .name = topic_missing(t).name,
							       .count = 3 };

	check_one(t, &asked, false, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void deleted_topic(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_create_partitions_request_topic asked = { .name = topic.name, .count = 3 };

	topic_delete(t, &topic);
	check_one(t, &asked, false, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void too_few_or_many(struct test *t)
{
	static const int32_t bad[] = { 3, 2, 0, -1, INT32_MAX };
	struct topic topic = topic_make(t, 3);

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++) {
		struct kafka_create_partitions_request_topic asked = { .name = topic.name,
								       .count = bad[i] };
		check_one(t, &asked, false, KAFKA_INVALID_PARTITIONS);
	}
	CHECK_INT(t, look_up(t, topic.name)->partitions_count, 3);
}

static void wrong_assignments(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	int32_t broker = look_up(t, topic.name)->partitions[0].leader_id;
	struct kafka_create_partitions_request_assignment assignment = { &broker, 1 };
	struct kafka_create_partitions_request_topic asked = { topic.name, 3, &assignment, 1 };

	check_one(t, &asked, false, KAFKA_INVALID_REPLICA_ASSIGNMENT);
	asked.count = 2;
	assignment.broker_ids_count = 0;
	check_one(t, &asked, false, KAFKA_INVALID_REPLICA_ASSIGNMENT);
	CHECK_INT(t, look_up(t, topic.name)->partitions_count, 1);
}

static void named_twice(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_create_partitions_request_topic asked[] = {
		{ .name = topic.name, .count = 2 },
		{ .name = topic.name, .count = 3 },
	};
	const struct kafka_create_partitions_response *response = grow(t, asked, 2, false);

	CHECK(t, response->results_count >= 1);
	for (size_t i = 0; i < response->results_count; i++)
		CHECK_ERROR(t, response->results[i].error_code, KAFKA_INVALID_REQUEST);
	CHECK_INT(t, look_up(t, topic.name)->partitions_count, 1);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 3, "partitions are added, and records stay where they are",
	  adds_partitions },
	{ OUTCOME_SUCCESS, 0, 3, "the new partitions may be assigned", adds_with_assignments },
	{ OUTCOME_SUCCESS, 0, 3, "validate_only adds nothing", validates_only },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 0, 3,
	  "an unknown topic gives UNKNOWN_TOPIC_OR_PARTITION", unknown_topic },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 0, 3,
	  "a deleted topic gives UNKNOWN_TOPIC_OR_PARTITION", deleted_topic },
	{ KAFKA_INVALID_PARTITIONS, 0, 3,
	  "a count that is not larger, or too large, gives INVALID_PARTITIONS", too_few_or_many },
	{ KAFKA_INVALID_REPLICA_ASSIGNMENT, 0, 3,
	  "assignments that do not fit give INVALID_REPLICA_ASSIGNMENT", wrong_assignments },
	{ KAFKA_INVALID_REQUEST, 0, 3, "a topic that is named twice gives INVALID_REQUEST",
	  named_twice },
};

static const int16_t documented[] = {
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	KAFKA_REQUEST_TIMED_OUT,
	KAFKA_INVALID_TOPIC_EXCEPTION,
	KAFKA_TOPIC_AUTHORIZATION_FAILED,
	KAFKA_INVALID_PARTITIONS,
	KAFKA_INVALID_REPLICA_ASSIGNMENT,
	KAFKA_INVALID_REPLICATION_FACTOR,
	KAFKA_NOT_CONTROLLER,
	KAFKA_INVALID_REQUEST,
	KAFKA_REASSIGNMENT_IN_PROGRESS,
	KAFKA_POLICY_VIOLATION,
	KAFKA_THROTTLING_QUOTA_EXCEEDED,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_REQUEST_TIMED_OUT, ALL_VERSIONS, OUTCOME_LOST },
	{ KAFKA_INVALID_TOPIC_EXCEPTION, ALL_VERSIONS,
	  "a topic that is being deleted is an unknown one", NULL },
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_INVALID_REPLICATION_FACTOR, ALL_VERSIONS, NO_REPLICAS, NULL },
	{ KAFKA_NOT_CONTROLLER, ALL_VERSIONS, NOT_LED },
	{ KAFKA_REASSIGNMENT_IN_PROGRESS, ALL_VERSIONS, NO_REPLICAS, NULL },
	{ KAFKA_POLICY_VIOLATION, ALL_VERSIONS, CATALOG_FULL },
	{ KAFKA_THROTTLING_QUOTA_EXCEEDED, 0, 2, QUOTA_UNKNOWN },
	{ KAFKA_THROTTLING_QUOTA_EXCEEDED, 3, 7, QUOTA_USED },
};

const struct matrix_api matrix_create_partitions = MATRIX_API(KAFKA_API_CREATE_PARTITIONS, 0, 3);
