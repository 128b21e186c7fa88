/* DescribeCluster. */
#include "fixture.h"
#include "matrix.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

static const struct kafka_describe_cluster_response *ask(struct test *t, int8_t endpoint_type)
{
	const struct kafka_describe_cluster_request request = { .endpoint_type = endpoint_type };
	const struct kafka_describe_cluster_response *response =
		test_call(t, KAFKA_API_DESCRIBE_CLUSTER, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->cluster_authorized_operations, INT32_MIN);
	return response;
}

static void describes(struct test *t)
{
	const struct kafka_describe_cluster_response *response = ask(t, ENDPOINT_BROKERS);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_NULL(t, response->error_message);
	CHECK_INT(t, response->endpoint_type, ENDPOINT_BROKERS);
	CHECK_INT(t, response->brokers_count, 1);
	CHECK_TEXT(t, response->brokers[0].host, test_host);
	CHECK_INT(t, response->brokers[0].port, test_port);
	CHECK_TEXT(t, response->brokers[0].rack, "home");
	CHECK(t, !response->brokers[0].is_fenced);
	CHECK_INT(t, response->controller_id, response->brokers[0].broker_id);
}

static void agrees_with_metadata(struct test *t)
{
	const struct kafka_describe_cluster_response *response = ask(t, ENDPOINT_BROKERS);
	const struct kafka_metadata_request request = { 0 };
	const struct kafka_metadata_response *metadata =
		test_call(t, KAFKA_API_METADATA, 13, &request);

	CHECK_SLICE(t, response->cluster_id, metadata->cluster_id);
	CHECK_INT(t, response->brokers[0].broker_id, metadata->brokers[0].node_id);
	CHECK_INT(t, response->controller_id, metadata->controller_id);
}

static void tells_what_is_allowed(struct test *t)
{
	const struct kafka_describe_cluster_request request = {
		.include_cluster_authorized_operations = true,
		.endpoint_type = ENDPOINT_BROKERS,
	};
	const struct kafka_describe_cluster_response *response =
		test_call(t, KAFKA_API_DESCRIBE_CLUSTER, t->version, &request);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->cluster_authorized_operations, 8096);
}

static void controllers(struct test *t)
{
	const struct kafka_describe_cluster_response *response = ask(t, ENDPOINT_CONTROLLERS);

	CHECK_ERROR(t, response->error_code, KAFKA_MISMATCHED_ENDPOINT_TYPE);
	CHECK(t, response->error_message.size > 0);
	CHECK_INT(t, response->brokers_count, 0);
}

static void other_endpoints(struct test *t)
{
	static const int8_t bad[] = { 0, 3, -1, INT8_MAX };

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++) {
		const struct kafka_describe_cluster_response *response = ask(t, bad[i]);
		CHECK_ERROR(t, response->error_code, KAFKA_UNSUPPORTED_ENDPOINT_TYPE);
		CHECK(t, response->error_message.size > 0);
		CHECK_INT(t, response->brokers_count, 0);
	}
}

static const struct matrix_row rows[] = {
	/* W22 */
	{ OUTCOME_SUCCESS, 0, 2, "brokers, controller and cluster are described", describes },
	{ OUTCOME_SUCCESS, 0, 2, "ids are those of Metadata", agrees_with_metadata },
	{ OUTCOME_SUCCESS, 0, 2, "what the client may do is told when it is asked for",
	  tells_what_is_allowed },
	{ KAFKA_MISMATCHED_ENDPOINT_TYPE, 1, 2,
	  "asking for controllers gives MISMATCHED_ENDPOINT_TYPE", controllers },
	{ KAFKA_UNSUPPORTED_ENDPOINT_TYPE, 1, 2,
	  "an unknown kind of endpoint gives UNSUPPORTED_ENDPOINT_TYPE", other_endpoints },
};

static const int16_t documented[] = {
	KAFKA_CLUSTER_AUTHORIZATION_FAILED,
	KAFKA_INVALID_REQUEST,
	KAFKA_MISMATCHED_ENDPOINT_TYPE,
	KAFKA_UNSUPPORTED_ENDPOINT_TYPE,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_INVALID_REQUEST, ALL_VERSIONS,
	  "version 0 has no kind of endpoint, later ones have a word of their own for it", NULL },
	{ KAFKA_MISMATCHED_ENDPOINT_TYPE, 0, 0, "the request has no kind of endpoint", NULL },
	{ KAFKA_UNSUPPORTED_ENDPOINT_TYPE, 0, 0, "the request has no kind of endpoint", NULL },
};

const struct matrix_api matrix_describe_cluster = MATRIX_API(KAFKA_API_DESCRIBE_CLUSTER, 0, 2);
