/* CreateTopics. */
#include "fixture.h"
#include "matrix.h"

enum { MESSAGE_FIRST = 1, COUNTS_FIRST = 5, IDS_FIRST = 7, METADATA_VERSION = 13 };

static struct kafka_create_topics_request_topic ask(struct test *t, int32_t partitions)
{
	return (struct kafka_create_topics_request_topic) {
		.name = test_name(t, "new"),
		.num_partitions = partitions,
		.replication_factor = 1,
	};
}

static const struct kafka_create_topics_response *create(
	struct test *t, struct kafka_create_topics_request_topic *topics, size_t count,
	bool validate_only)
{
	const struct kafka_create_topics_request request = {
		.topics = topics,
		.topics_count = count,
		.timeout_ms = TEST_PATIENCE_MS,
		.validate_only = validate_only,
	};
	const struct kafka_create_topics_response *response =
		test_call(t, KAFKA_API_CREATE_TOPICS, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->topics_count, (int64_t)count);
	return response;
}

/* What Metadata says about the name. */
static const struct kafka_metadata_response_topic *look_up(struct test *t, struct slice name)
{
	struct kafka_metadata_request_topic asked = { .name = name };
	const struct kafka_metadata_request request = { .topics = &asked, .topics_count = 1 };
	const struct kafka_metadata_response *response =
		test_call(t, KAFKA_API_METADATA, METADATA_VERSION, &request);

	CHECK_INT(t, response->topics_count, 1);
	return &response->topics[0];
}

/* --- success -----------------------------------------------------------------------------------
 */

static void check_created(struct test *t, const struct kafka_create_topics_response_topic *created,
			  struct slice name, int32_t partitions)
{
	CHECK_ERROR(t, created->error_code, KAFKA_NONE);
	CHECK_SLICE(t, created->name, name);
	CHECK_NULL(t, created->error_message);
	CHECK_ERROR(t, created->topic_config_error_code, KAFKA_NONE);
	CHECK_SINCE(t, COUNTS_FIRST, created->num_partitions, partitions, -1);
	CHECK_SINCE(t, COUNTS_FIRST, created->replication_factor, 1, -1);
	/* Java's admin client walks the list without asking whether there is one. */
	CHECK(t, t->version < COUNTS_FIRST || created->configs);
	const struct kafka_metadata_response_topic *found = look_up(t, name);
	CHECK_ERROR(t, found->error_code, KAFKA_NONE);
	CHECK_INT(t, found->partitions_count, partitions);
	CHECK(t, !uuid_is_zero(found->topic_id));
	if (t->version >= IDS_FIRST)
		CHECK_UUID(t, created->topic_id, found->topic_id);
}

static void creates(struct test *t)
{
	struct kafka_create_topics_request_topic topics[] = { ask(t, 3), ask(t, 1) };
	const struct kafka_create_topics_response *response = create(t, topics, 2, false);

	check_created(t, &response->topics[0], topics[0].name, 3);
	check_created(t, &response->topics[1], topics[1].name, 1);
}

static void creates_with_defaults(struct test *t)
{
	struct kafka_create_topics_request_topic topic = ask(t, -1);

	topic.replication_factor = -1;
	const struct kafka_create_topics_response *response = create(t, &topic, 1, false);
	CHECK_ERROR(t, response->topics[0].error_code, KAFKA_NONE);
	CHECK_INT(t, look_up(t, topic.name)->partitions_count, 1);
}

static void creates_from_assignments(struct test *t)
{
	struct kafka_create_topics_request_topic topic = ask(t, -1);
	int32_t broker = look_up(t, topic_make(t, 1).name)->partitions[0].leader_id;
	struct kafka_create_topics_request_assignment assignments[] = {
		{ .partition_index = 1, .broker_ids = &broker, .broker_ids_count = 1 },
		{ .partition_index = 0, .broker_ids = &broker, .broker_ids_count = 1 },
	};

	topic.replication_factor = -1;
	topic.assignments = assignments;
	topic.assignments_count = MATRIX_COUNT(assignments);
	const struct kafka_create_topics_response *response = create(t, &topic, 1, false);
	check_created(t, &response->topics[0], topic.name, 2);
}

static void creates_with_configs(struct test *t)
{
	struct kafka_create_topics_request_topic topic = ask(t, 1);
	struct kafka_create_topics_request_config configs[] = {
		{ SLICE("cleanup.policy"), SLICE("delete") },
		{ SLICE("min.insync.replicas"), SLICE("2") },
	};

	topic.configs = configs;
	topic.configs_count = MATRIX_COUNT(configs);
	check_created(t, &create(t, &topic, 1, false)->topics[0], topic.name, 1);
}

static void validates_only(struct test *t)
{
	struct kafka_create_topics_request_topic topic = ask(t, 2);
	const struct kafka_create_topics_response *response = create(t, &topic, 1, true);

	CHECK_ERROR(t, response->topics[0].error_code, KAFKA_NONE);
	CHECK_SINCE(t, COUNTS_FIRST, response->topics[0].num_partitions, 2, -1);
	CHECK_UUID(t, response->topics[0].topic_id, ((struct uuid) { 0 }));
	CHECK_ERROR(t, look_up(t, topic.name)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

/* --- errors ------------------------------------------------------------------------------------
 */

static void check_refused(struct test *t, const struct kafka_create_topics_response_topic *refused,
			  struct slice name, int16_t error)
{
	CHECK_ERROR(t, refused->error_code, error);
	CHECK_SLICE(t, refused->name, name);
	CHECK(t, t->version < MESSAGE_FIRST || refused->error_message.size > 0);
	CHECK_INT(t, refused->num_partitions, -1);
	CHECK_INT(t, refused->replication_factor, -1);
	CHECK_UUID(t, refused->topic_id, ((struct uuid) { 0 }));
}

static void refuse(struct test *t, struct kafka_create_topics_request_topic *topic, int16_t error)
{
	const struct kafka_create_topics_response *response = create(t, topic, 1, false);

	check_refused(t, &response->topics[0], topic->name, error);
	if (error != KAFKA_INVALID_TOPIC_EXCEPTION && error != KAFKA_TOPIC_ALREADY_EXISTS)
		CHECK_ERROR(t, look_up(t, topic->name)->error_code,
			    KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void exists_already(struct test *t)
{
	struct kafka_create_topics_request_topic topic = ask(t, 5);

	topic.name = topic_make(t, 2).name;
	refuse(t, &topic, KAFKA_TOPIC_ALREADY_EXISTS);
	CHECK_INT(t, look_up(t, topic.name)->partitions_count, 2);
}

static void invalid_name(struct test *t)
{
	struct kafka_create_topics_request_topic topic = ask(t, 1);
	char long_name[251];

	memset(long_name, 'x', 250);
	long_name[250] = '\0';
	const char *bad[] = { "", ".", "..", "a b", "a:b", long_name };
	for (size_t i = 0; i < MATRIX_COUNT(bad); i++) {
		topic.name = slice_from(bad[i]);
		refuse(t, &topic, KAFKA_INVALID_TOPIC_EXCEPTION);
	}
}

/* Kafka makes directories and metric names of them, in which '.' becomes '_'. */
static void colliding_name(struct test *t)
{
	struct kafka_create_topics_request_topic topic = ask(t, 1);
	struct slice stem = topic.name;

	topic.name = test_format(t, "%.*s.a_b", SLICE_ARG(stem));
	CHECK_ERROR(t, create(t, &topic, 1, false)->topics[0].error_code, KAFKA_NONE);
	topic.name = test_format(t, "%.*s_a.b", SLICE_ARG(stem));
	refuse(t, &topic, KAFKA_INVALID_TOPIC_EXCEPTION);
}

static void invalid_partitions(struct test *t)
{
	static const int32_t bad[] = { 0, -2, INT32_MIN, INT32_MAX };

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++) {
		struct kafka_create_topics_request_topic topic = ask(t, bad[i]);
		refuse(t, &topic, KAFKA_INVALID_PARTITIONS);
	}
}

static void invalid_replication_factor(struct test *t)
{
	static const int16_t bad[] = { 0, -2 };

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++) {
		struct kafka_create_topics_request_topic topic = ask(t, 1);
		topic.replication_factor = bad[i];
		refuse(t, &topic, KAFKA_INVALID_REPLICATION_FACTOR);
	}
}

static void invalid_assignment(struct test *t)
{
	struct kafka_create_topics_request_topic topic = ask(t, -1);
	int32_t broker = look_up(t, topic_make(t, 1).name)->partitions[0].leader_id;
	struct kafka_create_topics_request_assignment assignments[] = {
		{ .partition_index = 0, .broker_ids = &broker, .broker_ids_count = 1 },
		{ .partition_index = 2, .broker_ids = &broker, .broker_ids_count = 1 },
	};

	topic.replication_factor = -1;
	topic.assignments = assignments;
	topic.assignments_count = 2;
	refuse(t, &topic, KAFKA_INVALID_REPLICA_ASSIGNMENT);
	assignments[1].partition_index = 0;
	refuse(t, &topic, KAFKA_INVALID_REPLICA_ASSIGNMENT);
	assignments[1].partition_index = 1;
	assignments[1].broker_ids_count = 0;
	refuse(t, &topic, KAFKA_INVALID_REPLICA_ASSIGNMENT);
}

static void invalid_config(struct test *t)
{
	struct kafka_create_topics_request_config bad[] = {
		{ SLICE("no.such.thing"), SLICE("1") },
		{ SLICE("cleanup.policy"), SLICE("nonsense") },
		{ SLICE("cleanup.policy"), { 0 } },
	};

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++) {
		struct kafka_create_topics_request_topic topic = ask(t, 1);
		topic.configs = &bad[i];
		topic.configs_count = 1;
		refuse(t, &topic, KAFKA_INVALID_CONFIG);
	}
}

static void named_twice(struct test *t)
{
	struct kafka_create_topics_request_topic topics[] = { ask(t, 1), ask(t, 1), ask(t, 1) };
	struct slice name = topics[0].name;

	topics[2].name = name;
	const struct kafka_create_topics_request request = { .topics = topics, .topics_count = 3 };
	const struct kafka_create_topics_response *response =
		test_call(t, KAFKA_API_CREATE_TOPICS, t->version, &request);
	size_t refused = 0;
	for (size_t i = 0; i < response->topics_count; i++) {
		if (!slice_equal(response->topics[i].name, name))
			continue;
		check_refused(t, &response->topics[i], name, KAFKA_INVALID_REQUEST);
		refused++;
	}
	CHECK(t, refused > 0);
	CHECK_ERROR(t, look_up(t, name)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_ERROR(t, look_up(t, topics[1].name)->error_code, KAFKA_NONE);
}

static void counts_and_assignments(struct test *t)
{
	struct kafka_create_topics_request_topic topic = ask(t, 1);
	int32_t broker = 1;
	struct kafka_create_topics_request_assignment assignment = { 0, &broker, 1 };

	topic.assignments = &assignment;
	topic.assignments_count = 1;
	refuse(t, &topic, KAFKA_INVALID_REQUEST);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 7, "topics are created, and Metadata knows them at once", creates },
	{ OUTCOME_SUCCESS, 0, 7, "-1 means the default number of partitions",
	  creates_with_defaults },
	{ OUTCOME_SUCCESS, 0, 7, "partitions may be given one by one", creates_from_assignments },
	{ OUTCOME_SUCCESS, 0, 7, "a setting with a value that it may have is accepted",
	  creates_with_configs },
	{ OUTCOME_SUCCESS, 1, 7, "validate_only creates nothing", validates_only },
	{ KAFKA_INVALID_TOPIC_EXCEPTION, 0, 7,
	  "a name that no topic can have gives INVALID_TOPIC_EXCEPTION", invalid_name },
	/* W19 */
	{ KAFKA_INVALID_TOPIC_EXCEPTION, 0, 7,
	  "a name that differs only in . and _ gives INVALID_TOPIC_EXCEPTION", colliding_name },
	{ KAFKA_TOPIC_ALREADY_EXISTS, 0, 7,
	  "a topic that exists gives TOPIC_ALREADY_EXISTS and stays as it is", exists_already },
	{ KAFKA_INVALID_PARTITIONS, 0, 7, "no partitions, or too many, give INVALID_PARTITIONS",
	  invalid_partitions },
	{ KAFKA_INVALID_REPLICATION_FACTOR, 0, 7,
	  "a factor that is not positive gives INVALID_REPLICATION_FACTOR",
	  invalid_replication_factor },
	{ KAFKA_INVALID_REPLICA_ASSIGNMENT, 0, 7,
	  "partitions with gaps, twice, or without brokers give INVALID_REPLICA_ASSIGNMENT",
	  invalid_assignment },
	{ KAFKA_INVALID_CONFIG, 0, 7, "a setting that there is not gives INVALID_CONFIG",
	  invalid_config },
	{ KAFKA_INVALID_REQUEST, 0, 7, "a topic that is named twice gives INVALID_REQUEST",
	  named_twice },
	{ KAFKA_INVALID_REQUEST, 0, 7, "counts beside assignments give INVALID_REQUEST",
	  counts_and_assignments },
};

static const int16_t documented[] = {
	KAFKA_REQUEST_TIMED_OUT,
	KAFKA_INVALID_TOPIC_EXCEPTION,
	KAFKA_TOPIC_AUTHORIZATION_FAILED,
	KAFKA_CLUSTER_AUTHORIZATION_FAILED,
	KAFKA_TOPIC_ALREADY_EXISTS,
	KAFKA_INVALID_PARTITIONS,
	KAFKA_INVALID_REPLICATION_FACTOR,
	KAFKA_INVALID_REPLICA_ASSIGNMENT,
	KAFKA_INVALID_CONFIG,
	KAFKA_NOT_CONTROLLER,
	KAFKA_INVALID_REQUEST,
	KAFKA_POLICY_VIOLATION,
	KAFKA_THROTTLING_QUOTA_EXCEEDED,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_REQUEST_TIMED_OUT, ALL_VERSIONS, OUTCOME_LOST },
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_NOT_CONTROLLER, ALL_VERSIONS, NOT_LED },
	{ KAFKA_POLICY_VIOLATION, ALL_VERSIONS, CATALOG_FULL },
	{ KAFKA_THROTTLING_QUOTA_EXCEEDED, 0, 5, QUOTA_UNKNOWN },
	{ KAFKA_THROTTLING_QUOTA_EXCEEDED, 6, 7, QUOTA_USED },
};

const struct matrix_api matrix_create_topics = MATRIX_API(KAFKA_API_CREATE_TOPICS, 0, 7);
