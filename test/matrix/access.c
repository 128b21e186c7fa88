/* SaslHandshake, SaslAuthenticate, the access lists and SCRAM's credentials.  The server of these
 * tests has no users and must not get any, so what changes something is tested elsewhere. */
#include "matrix.h"

#define CHANGES_TEST "src/streams/coordinator/access_test.c"

enum { ANY = 1, TOPIC = 2, LITERAL = 3, ALLOW = 3, READ = 3, SCRAM_256 = 1 };

#define API(name, api_key, version_first, version_last)                                            \
	{                                                                                          \
		.key = (api_key), .first = (version_first), .last = (version_last),                \
		.rows = name##_rows, .row_count = MATRIX_COUNT(name##_rows),                       \
		.documented = name##_documented,                                                   \
		.documented_count = MATRIX_COUNT(name##_documented), .absent = name##_absent,      \
		.absent_count = MATRIX_COUNT(name##_absent)                                        \
	}

/* --- SaslHandshake ----------------------------------------------------------------------------
 */

static const struct kafka_sasl_handshake_response *shake(struct test *t, struct client *c,
							 int16_t version, const char *mechanism)
{
	const struct kafka_sasl_handshake_request request = { .mechanism = slice_from(mechanism) };

	return client_call(t, c, KAFKA_API_SASL_HANDSHAKE, version, &request);
}

static void mechanisms(struct test *t)
{
	static const char *const names[] = { "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512" };

	for (size_t i = 0; i < MATRIX_COUNT(names); i++) {
		const struct kafka_sasl_handshake_response *response =
			shake(t, client_open(t), t->version, names[i]);
		CHECK_ERROR(t, response->error_code, KAFKA_NONE);
		CHECK(t, response->mechanisms_count >= MATRIX_COUNT(names));
	}
}

static void other_mechanism(struct test *t)
{
	struct client *c = client_open(t);
	const struct kafka_sasl_handshake_response *response = shake(t, c, t->version, "GSSAPI");

	CHECK_ERROR(t, response->error_code, KAFKA_UNSUPPORTED_SASL_MECHANISM);
	CHECK(t, response->mechanisms_count > 0);
	client_expect_close(t, c);
}

static void twice(struct test *t)
{
	struct client *c = client_open(t);

	CHECK_ERROR(t, shake(t, c, 1, "PLAIN")->error_code, KAFKA_NONE);
	CHECK_ERROR(t, shake(t, c, 1, "PLAIN")->error_code, KAFKA_ILLEGAL_SASL_STATE);
	client_expect_close(t, c);
}

static const struct matrix_row handshake_rows[] = {
	{ OUTCOME_SUCCESS, 0, 1, "each mechanism may be chosen", mechanisms },
	{ KAFKA_UNSUPPORTED_SASL_MECHANISM, 0, 1,
	  "another mechanism gives UNSUPPORTED_SASL_MECHANISM, and the connection ends",
	  other_mechanism },
	{ KAFKA_ILLEGAL_SASL_STATE, 1, 1,
	  "two handshakes give ILLEGAL_SASL_STATE, and the connection ends", twice },
};
static const int16_t handshake_documented[] = { KAFKA_UNSUPPORTED_SASL_MECHANISM,
						KAFKA_ILLEGAL_SASL_STATE };
static const struct matrix_absent handshake_absent[] = {
	{ KAFKA_ILLEGAL_SASL_STATE, 0, 0, "what follows is a token without a header", NULL },
};
const struct matrix_api matrix_sasl_handshake = API(handshake, KAFKA_API_SASL_HANDSHAKE, 0, 1);

/* --- SaslAuthenticate -------------------------------------------------------------------------
 */

static const struct kafka_sasl_authenticate_response *authenticate(struct test *t, struct client *c,
								   const char *token, size_t size)
{
	const struct kafka_sasl_authenticate_request request = {
		.auth_bytes = { (const uint8_t *)token, size },
	};

	return client_call(t, c, KAFKA_API_SASL_AUTHENTICATE, t->version, &request);
}

static void challenged(struct test *t)
{
	static const char first[] = "n,,n=nobody,r=abc";
	struct client *c = client_open(t);

	CHECK_ERROR(t, shake(t, c, 1, "SCRAM-SHA-256")->error_code, KAFKA_NONE);
	const struct kafka_sasl_authenticate_response *response =
		authenticate(t, c, first, sizeof(first) - 1);
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_NULL(t, response->error_message);
	CHECK(t, slice_starts_with(response->auth_bytes, SLICE("r=abc")));
	CHECK_INT(t, response->session_lifetime_ms, 0);
}

static void no_such_user(struct test *t)
{
	static const char token[] = "\0nobody\0secret";
	struct client *c = client_open(t);

	CHECK_ERROR(t, shake(t, c, 1, "PLAIN")->error_code, KAFKA_NONE);
	const struct kafka_sasl_authenticate_response *response =
		authenticate(t, c, token, sizeof(token) - 1);
	CHECK_ERROR(t, response->error_code, KAFKA_SASL_AUTHENTICATION_FAILED);
	CHECK(t, response->error_message.size > 0);
	client_expect_close(t, c);
}

static void no_handshake(struct test *t)
{
	struct client *c = client_open(t);

	CHECK_ERROR(t, authenticate(t, c, "a", 1)->error_code, KAFKA_ILLEGAL_SASL_STATE);
	client_expect_close(t, c);
}

static const struct matrix_row authenticate_rows[] = {
	{ OUTCOME_SUCCESS, 0, 2, "the first message of SCRAM is answered, whoever the user is",
	  challenged },
	{ KAFKA_SASL_AUTHENTICATION_FAILED, 0, 2,
	  "no such user gives SASL_AUTHENTICATION_FAILED, and the connection ends", no_such_user },
	{ KAFKA_ILLEGAL_SASL_STATE, 0, 2,
	  "without a handshake it gives ILLEGAL_SASL_STATE, and the connection ends",
	  no_handshake },
};
static const int16_t authenticate_documented[] = { KAFKA_SASL_AUTHENTICATION_FAILED,
						   KAFKA_ILLEGAL_SASL_STATE };
static const struct matrix_absent authenticate_absent[] = { { 0 } };
const struct matrix_api matrix_sasl_authenticate = {
	.key = KAFKA_API_SASL_AUTHENTICATE,
	.first = 0,
	.last = 2,
	.rows = authenticate_rows,
	.row_count = MATRIX_COUNT(authenticate_rows),
	.documented = authenticate_documented,
	.documented_count = MATRIX_COUNT(authenticate_documented),
	.absent = authenticate_absent,
	.absent_count = 0,
};

/* --- DescribeAcls -----------------------------------------------------------------------------
 */

static const struct kafka_describe_acls_response *describe(struct test *t, int8_t resource_type)
{
	const struct kafka_describe_acls_request request = {
		.resource_type_filter = resource_type,
		.pattern_type_filter = LITERAL,
		.operation = ANY,
		.permission_type = ANY,
	};

	return test_call(t, KAFKA_API_DESCRIBE_ACLS, t->version, &request);
}

static void none_there(struct test *t)
{
	const struct kafka_describe_acls_response *response = describe(t, ANY);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->resources_count, 0);
}

static void unknown_resource(struct test *t)
{
	CHECK_ERROR(t, describe(t, 99)->error_code, KAFKA_INVALID_REQUEST);
	CHECK_ERROR(t, describe(t, 0)->error_code, KAFKA_INVALID_REQUEST);
}

static const struct matrix_row describe_rows[] = {
	{ OUTCOME_SUCCESS, 1, 3, "where there are no access lists, none is found", none_there },
	{ KAFKA_INVALID_REQUEST, 1, 3, "a word that is not known gives INVALID_REQUEST",
	  unknown_resource },
};
static const int16_t describe_documented[] = { KAFKA_CLUSTER_AUTHORIZATION_FAILED,
					       KAFKA_INVALID_REQUEST };
static const struct matrix_absent describe_absent[] = {
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS,
	  "test_operations_on_topics_ask_for_their_grants", CHANGES_TEST },
};
const struct matrix_api matrix_describe_acls = API(describe, KAFKA_API_DESCRIBE_ACLS, 1, 3);

/* --- CreateAcls -------------------------------------------------------------------------------
 */

static void create_nothing(struct test *t)
{
	const struct kafka_create_acls_request request = { 0 };
	const struct kafka_create_acls_response *response =
		test_call(t, KAFKA_API_CREATE_ACLS, t->version, &request);

	CHECK_INT(t, response->results_count, 0);
}

static void create_impossible(struct test *t)
{
	struct kafka_create_acls_request_creation creation = {
		.resource_type = TOPIC,
		.resource_name = SLICE("t"),
		.resource_pattern_type = LITERAL,
		.principal = SLICE("alice"), /* of no kind */
		.host = SLICE("*"),
		.operation = READ,
		.permission_type = ALLOW,
	};
	const struct kafka_create_acls_request request = { &creation, 1 };
	const struct kafka_create_acls_response *response =
		test_call(t, KAFKA_API_CREATE_ACLS, t->version, &request);

	CHECK_ERROR(t, response->results[0].error_code, KAFKA_INVALID_REQUEST);
	CHECK(t, response->results[0].error_message.size > 0);
}

static const struct matrix_row create_rows[] = {
	{ OUTCOME_SUCCESS, 1, 3, "nothing may be created", create_nothing },
	{ KAFKA_INVALID_REQUEST, 1, 3, "what cannot be a grant gives INVALID_REQUEST",
	  create_impossible },
};
static const int16_t create_documented[] = { KAFKA_CLUSTER_AUTHORIZATION_FAILED,
					     KAFKA_INVALID_REQUEST };
static const struct matrix_absent create_absent[] = {
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS,
	  "test_operations_on_topics_ask_for_their_grants", CHANGES_TEST },
};
const struct matrix_api matrix_create_acls = API(create, KAFKA_API_CREATE_ACLS, 1, 3);

/* --- DeleteAcls -------------------------------------------------------------------------------
 */

static int16_t delete_code(struct test *t, int8_t operation)
{
	struct kafka_delete_acls_request_filter filter = {
		.resource_type_filter = ANY,
		.pattern_type_filter = LITERAL,
		.operation = operation,
		.permission_type = ANY,
	};
	const struct kafka_delete_acls_request request = { &filter, 1 };
	const struct kafka_delete_acls_response *response =
		test_call(t, KAFKA_API_DELETE_ACLS, t->version, &request);

	CHECK_INT(t, response->filter_results_count, 1);
	CHECK_INT(t, response->filter_results[0].matching_acls_count, 0);
	return response->filter_results[0].error_code;
}

static void delete_none(struct test *t)
{
	CHECK_ERROR(t, delete_code(t, ANY), KAFKA_NONE);
}

static void delete_impossible(struct test *t)
{
	CHECK_ERROR(t, delete_code(t, 99), KAFKA_INVALID_REQUEST);
}

static const struct matrix_row delete_rows[] = {
	{ OUTCOME_SUCCESS, 1, 3, "a filter that means nothing deletes nothing", delete_none },
	{ KAFKA_INVALID_REQUEST, 1, 3, "a word that is not known gives INVALID_REQUEST",
	  delete_impossible },
};
static const int16_t delete_documented[] = { KAFKA_CLUSTER_AUTHORIZATION_FAILED,
					     KAFKA_INVALID_REQUEST };
static const struct matrix_absent delete_absent[] = {
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS,
	  "test_operations_on_topics_ask_for_their_grants", CHANGES_TEST },
};
const struct matrix_api matrix_delete_acls = API(delete, KAFKA_API_DELETE_ACLS, 1, 3);

/* --- credentials ------------------------------------------------------------------------------
 */

static void describe_no_users(struct test *t)
{
	const struct kafka_describe_user_scram_credentials_request request = { 0 };
	const struct kafka_describe_user_scram_credentials_response *response =
		test_call(t, KAFKA_API_DESCRIBE_USER_SCRAM_CREDENTIALS, t->version, &request);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->results_count, 0);
}

static void describe_users(struct test *t, size_t count, int16_t error)
{
	struct kafka_describe_user_scram_credentials_request_user users[2] = { { SLICE("a") },
									       { SLICE("a") } };
	const struct kafka_describe_user_scram_credentials_request request = { users, count };
	const struct kafka_describe_user_scram_credentials_response *response =
		test_call(t, KAFKA_API_DESCRIBE_USER_SCRAM_CREDENTIALS, t->version, &request);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->results_count, (int64_t)count);
	for (size_t i = 0; i < count; i++)
		CHECK_ERROR(t, response->results[i].error_code, error);
}

static void describe_one(struct test *t)
{
	describe_users(t, 1, KAFKA_RESOURCE_NOT_FOUND);
}

static void describe_twice(struct test *t)
{
	describe_users(t, 2, KAFKA_DUPLICATE_RESOURCE);
}

static const struct matrix_row scram_rows[] = {
	{ OUTCOME_SUCCESS, 0, 0, "where there are no users, none is told of", describe_no_users },
	{ KAFKA_RESOURCE_NOT_FOUND, 0, 0, "a user that is not there gives RESOURCE_NOT_FOUND",
	  describe_one },
	{ KAFKA_DUPLICATE_RESOURCE, 0, 0, "a user named twice gives DUPLICATE_RESOURCE",
	  describe_twice },
};
static const int16_t scram_documented[] = { KAFKA_CLUSTER_AUTHORIZATION_FAILED,
					    KAFKA_RESOURCE_NOT_FOUND, KAFKA_DUPLICATE_RESOURCE };
static const struct matrix_absent scram_absent[] = {
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS,
	  "test_operations_on_topics_ask_for_their_grants", CHANGES_TEST },
};
const struct matrix_api matrix_describe_scram =
	API(scram, KAFKA_API_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, 0);

static int16_t alter_code(struct test *t, int8_t mechanism, int32_t iterations)
{
	struct kafka_alter_user_scram_credentials_request_upsertion u = {
		.name = SLICE("a"),
		.mechanism = mechanism,
		.iterations = iterations,
		.salt = SLICE("salt"),
		.salted_password = SLICE("too short"),
	};
	const struct kafka_alter_user_scram_credentials_request request = { .upsertions = &u,
									    .upsertions_count = 1 };
	const struct kafka_alter_user_scram_credentials_response *response =
		test_call(t, KAFKA_API_ALTER_USER_SCRAM_CREDENTIALS, t->version, &request);

	CHECK_INT(t, response->results_count, 1);
	return response->results[0].error_code;
}

static void alter_nothing(struct test *t)
{
	const struct kafka_alter_user_scram_credentials_request request = { 0 };
	const struct kafka_alter_user_scram_credentials_response *response =
		test_call(t, KAFKA_API_ALTER_USER_SCRAM_CREDENTIALS, t->version, &request);

	CHECK_INT(t, response->results_count, 0);
}

static void alter_badly(struct test *t)
{
	CHECK_ERROR(t, alter_code(t, SCRAM_256, 4096), KAFKA_UNACCEPTABLE_CREDENTIAL);
	CHECK_ERROR(t, alter_code(t, SCRAM_256, 1), KAFKA_UNACCEPTABLE_CREDENTIAL);
}

static void alter_unknown(struct test *t)
{
	CHECK_ERROR(t, alter_code(t, 9, 4096), KAFKA_UNSUPPORTED_SASL_MECHANISM);
}

static void delete_missing(struct test *t)
{
	struct kafka_alter_user_scram_credentials_request_deletion d = { SLICE("a"), SCRAM_256 };
	const struct kafka_alter_user_scram_credentials_request request = { .deletions = &d,
									    .deletions_count = 1 };
	const struct kafka_alter_user_scram_credentials_response *response =
		test_call(t, KAFKA_API_ALTER_USER_SCRAM_CREDENTIALS, t->version, &request);

	CHECK_ERROR(t, response->results[0].error_code, KAFKA_RESOURCE_NOT_FOUND);
}

static const struct matrix_row alter_rows[] = {
	{ OUTCOME_SUCCESS, 0, 0, "nothing may be altered", alter_nothing },
	{ KAFKA_UNACCEPTABLE_CREDENTIAL, 0, 0,
	  "too few iterations or too few bytes give UNACCEPTABLE_CREDENTIAL", alter_badly },
	{ KAFKA_UNSUPPORTED_SASL_MECHANISM, 0, 0,
	  "an unknown mechanism gives UNSUPPORTED_SASL_MECHANISM", alter_unknown },
	{ KAFKA_RESOURCE_NOT_FOUND, 0, 0, "deleting what is not there gives RESOURCE_NOT_FOUND",
	  delete_missing },
};
static const int16_t alter_documented[] = {
	KAFKA_CLUSTER_AUTHORIZATION_FAILED,
	KAFKA_UNACCEPTABLE_CREDENTIAL,
	KAFKA_UNSUPPORTED_SASL_MECHANISM,
	KAFKA_RESOURCE_NOT_FOUND,
};
static const struct matrix_absent alter_absent[] = {
	{ KAFKA_CLUSTER_AUTHORIZATION_FAILED, ALL_VERSIONS,
	  "test_operations_on_topics_ask_for_their_grants", CHANGES_TEST },
};
const struct matrix_api matrix_alter_scram =
	API(alter, KAFKA_API_ALTER_USER_SCRAM_CREDENTIALS, 0, 0);
