/* DescribeConfigs. */
#include "fixture.h"
#include "matrix.h"

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4, DOCUMENTATION_FIRST = 3 };
enum { SOURCE_UNKNOWN = 0, SOURCE_STATIC_BROKER = 4, SOURCE_DEFAULT = 5 };
enum { TYPE_INT = 3, TYPE_LIST = 7 };

static const struct kafka_describe_configs_response *ask(
	struct test *t, struct kafka_describe_configs_request_resource *resources, size_t count,
	bool with_documentation)
{
	const struct kafka_describe_configs_request request = {
		.resources = resources,
		.resources_count = count,
		.include_documentation = with_documentation,
	};
	const struct kafka_describe_configs_response *response =
		test_call(t, KAFKA_API_DESCRIBE_CONFIGS, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->results_count, (int64_t)count);
	for (size_t i = 0; i < count; i++) {
		CHECK_INT(t, response->results[i].resource_type, resources[i].resource_type);
		CHECK_SLICE(t, response->results[i].resource_name, resources[i].resource_name);
	}
	return response;
}

static const struct kafka_describe_configs_response_config *find(
	struct test *t, const struct kafka_describe_configs_response_result *result,
	const char *name)
{
	for (size_t i = 0; i < result->configs_count; i++)
		if (slice_equal(result->configs[i].name, slice_from(name)))
			return &result->configs[i];
	FAIL(t, "%s is not described", name);
}

static void describes_a_topic(struct test *t)
{
	struct kafka_describe_configs_request_resource asked = {
		.resource_type = RESOURCE_TOPIC,
		.resource_name = topic_make(t, 1).name,
	};
	const struct kafka_describe_configs_response *response = ask(t, &asked, 1, false);

	CHECK_ERROR(t, response->results[0].error_code, KAFKA_NONE);
	CHECK_NULL(t, response->results[0].error_message);
	const struct kafka_describe_configs_response_config *policy =
		find(t, &response->results[0], "cleanup.policy");
	CHECK_TEXT(t, policy->value, "delete");
	CHECK_INT(t, policy->config_source, SOURCE_DEFAULT);
	CHECK(t, !policy->is_sensitive);
	CHECK_INT(t, policy->synonyms_count, 0);
	CHECK_SINCE(t, DOCUMENTATION_FIRST, policy->config_type, TYPE_LIST, 0);
	CHECK_NULL(t, policy->documentation);
	const struct kafka_describe_configs_response_config *size =
		find(t, &response->results[0], "max.message.bytes");
	CHECK_TEXT(t, size->value, "1048588");
	CHECK_SINCE(t, DOCUMENTATION_FIRST, size->config_type, TYPE_INT, 0);
}

static struct slice own_node_id(struct test *t)
{
	const struct kafka_metadata_request request = { 0 };
	const struct kafka_metadata_response *metadata =
		test_call(t, KAFKA_API_METADATA, 13, &request);

	return test_format(t, "%d", metadata->brokers[0].node_id);
}

static void describes_the_broker(struct test *t)
{
	struct kafka_describe_configs_request_resource asked = {
		.resource_type = RESOURCE_BROKER,
		.resource_name = own_node_id(t),
	};
	const struct kafka_describe_configs_response_result *result =
		&ask(t, &asked, 1, false)->results[0];

	CHECK_ERROR(t, result->error_code, KAFKA_NONE);
	CHECK_SLICE(t, find(t, result, "broker.id")->value, asked.resource_name);
	CHECK_INT(t, find(t, result, "broker.id")->config_source, SOURCE_STATIC_BROKER);
	CHECK_TEXT(t, find(t, result, "num.partitions")->value, "1");
	CHECK(t, find(t, result, "broker.id")->read_only);
}

static void describes_what_was_asked(struct test *t)
{
	struct slice keys[] = { SLICE("retention.ms"), SLICE("no.such.thing"),
				SLICE("cleanup.policy") };
	struct kafka_describe_configs_request_resource asked[] = {
		{ RESOURCE_TOPIC, topic_make(t, 1).name, keys, MATRIX_COUNT(keys) },
		{ RESOURCE_BROKER, own_node_id(t), NULL, 0 },
	};
	const struct kafka_describe_configs_response *response = ask(t, asked, 2, false);

	CHECK_INT(t, response->results[0].configs_count, 2);
	CHECK_TEXT(t, find(t, &response->results[0], "retention.ms")->value, "604800000");
	(void)find(t, &response->results[0], "cleanup.policy");
	CHECK(t, response->results[1].configs_count > 2);
}

static void documents(struct test *t)
{
	struct kafka_describe_configs_request_resource asked = {
		.resource_type = RESOURCE_TOPIC,
		.resource_name = topic_make(t, 1).name,
	};
	const struct kafka_describe_configs_response_result *result =
		&ask(t, &asked, 1, true)->results[0];

	for (size_t i = 0; i < result->configs_count; i++)
		CHECK(t, result->configs[i].documentation.size > 0);
}

static void check_refused(struct test *t, int8_t type, struct slice name, int16_t error)
{
	struct kafka_describe_configs_request_resource asked = { .resource_type = type,
								 .resource_name = name };
	const struct kafka_describe_configs_response *response = ask(t, &asked, 1, false);

	CHECK_ERROR(t, response->results[0].error_code, error);
	CHECK(t, response->results[0].error_message.size > 0);
	CHECK_INT(t, response->results[0].configs_count, 0);
}

static void unknown_topic(struct test *t)
{
	struct topic deleted = topic_make(t, 1);

	check_refused(t, RESOURCE_TOPIC, topic_missing(t).name, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	topic_delete(t, &deleted);
	check_refused(t, RESOURCE_TOPIC, deleted.name, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void invalid_name(struct test *t)
{
	check_refused(t, RESOURCE_TOPIC, SLICE("a b"), KAFKA_INVALID_TOPIC_EXCEPTION);
	check_refused(t, RESOURCE_TOPIC, SLICE(""), KAFKA_INVALID_TOPIC_EXCEPTION);
}

static void other_resources(struct test *t)
{
	check_refused(t, 0, SLICE("x"), KAFKA_INVALID_REQUEST);
	check_refused(t, 99, SLICE("x"), KAFKA_INVALID_REQUEST);
	check_refused(t, RESOURCE_BROKER, SLICE("no number"), KAFKA_INVALID_REQUEST);
	check_refused(t, RESOURCE_BROKER, SLICE("987654"), KAFKA_INVALID_REQUEST);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 1, 4, "a topic is described", describes_a_topic },
	{ OUTCOME_SUCCESS, 1, 4, "the broker is described", describes_the_broker },
	{ OUTCOME_SUCCESS, 1, 4, "only the names that were asked for are described",
	  describes_what_was_asked },
	{ OUTCOME_SUCCESS, 3, 4, "documentation is given when it is asked for", documents },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 1, 4,
	  "an unknown or deleted topic gives UNKNOWN_TOPIC_OR_PARTITION", unknown_topic },
	{ KAFKA_INVALID_TOPIC_EXCEPTION, 1, 4,
	  "a name that no topic can have gives INVALID_TOPIC_EXCEPTION", invalid_name },
	{ KAFKA_INVALID_REQUEST, 1, 4, "another broker or kind of resource gives INVALID_REQUEST",
	  other_resources },
};

static const int16_t documented[] = {
	KAFKA_INVALID_REQUEST,
	KAFKA_CLUSTER_AUTHORIZATION_FAILED,
	KAFKA_TOPIC_AUTHORIZATION_FAILED,
	KAFKA_INVALID_TOPIC_EXCEPTION,
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
};

const struct matrix_api matrix_describe_configs = MATRIX_API(KAFKA_API_DESCRIBE_CONFIGS, 1, 4);
