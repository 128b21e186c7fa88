/* ApiVersions. */
#include "base/endian.h"
#include "matrix.h"

static const struct kafka_api_versions_request usual = {
	.client_software_name = SLICE("matrix.test"),
	.client_software_version = SLICE("1.0-rc.2"),
};

static void check_own_range(struct test *t, const struct kafka_api_versions_response *response)
{
	for (size_t i = 0; i < response->api_keys_count; i++) {
		if (response->api_keys[i].api_key != KAFKA_API_API_VERSIONS)
			continue;
		CHECK_INT(t, response->api_keys[i].min_version, 0);
		CHECK_INT(t, response->api_keys[i].max_version, 4);
		return;
	}
	FAIL(t, "ApiVersions does not name itself");
}

static int64_t api_total(void)
{
	return (int64_t)(matrix_apis_count + matrix_elsewhere_count);
}

static bool is_elsewhere(int16_t key)
{
	for (size_t i = 0; i < matrix_elsewhere_count; i++)
		if (matrix_elsewhere[i].key == key)
			return true;
	return false;
}

static void lists_every_api(struct test *t)
{
	const struct kafka_api_versions_response *response =
		test_call(t, KAFKA_API_API_VERSIONS, t->version, &usual);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->api_keys_count, api_total());
	for (size_t i = 0, at = 0; i < matrix_apis_count; i++, at++) {
		while (is_elsewhere(response->api_keys[at].api_key))
			at++;
		CHECK_INT(t, response->api_keys[at].api_key, matrix_apis[i]->key);
		CHECK_INT(t, response->api_keys[at].min_version, matrix_apis[i]->first);
		CHECK_INT(t, response->api_keys[at].max_version, matrix_apis[i]->last);
	}
	for (size_t i = 1; i < response->api_keys_count; i++)
		CHECK(t, response->api_keys[i - 1].api_key < response->api_keys[i].api_key);
	check_own_range(t, response);
	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK(t, !response->zk_migration_ready);
}

static int16_t finalized_level(const struct kafka_api_versions_response *response, const char *name)
{
	for (size_t i = 0; i < response->finalized_features_count; i++)
		if (slice_equal(response->finalized_features[i].name, slice_from(name)))
			return response->finalized_features[i].max_version_level;
	return -1;
}

/* KAFKA-17011: version 3 must not name a feature whose lowest version is 0. */
static void names_no_feature_too_low(struct test *t)
{
	const struct kafka_api_versions_response *response =
		test_call(t, KAFKA_API_API_VERSIONS, t->version, &usual);

	for (size_t i = 0; i < response->supported_features_count; i++)
		CHECK(t, t->version > 3 || response->supported_features[i].min_version > 0);
	CHECK(t, response->finalized_features_epoch >= 0);
	CHECK_INT(t, finalized_level(response, "transaction.version"), 2);
}

/* No section of tags in the header, whatever the version: a client reads the answer before it
 * knows what the broker speaks (KIP-511). */
static void header_is_always_short(struct test *t)
{
	struct client *c = client_open(t);
	int32_t id = client_send(t, c, KAFKA_API_API_VERSIONS, t->version, &usual);
	struct slice bytes = client_receive_bytes(t, c);

	CHECK_INT(t, (int32_t)get_u32(bytes.data), id);
	CHECK_INT(t, get_u16(bytes.data + 4), KAFKA_NONE);
	uint64_t count = t->version >= 3 ? bytes.data[6] - 1u : get_u32(bytes.data + 6);
	CHECK_INT(t, count, api_total());
}

static void is_answered_in_order(struct test *t)
{
	struct client *c = client_open(t);
	int32_t first = client_send(t, c, KAFKA_API_API_VERSIONS, t->version, &usual);
	int32_t second = client_send(t, c, KAFKA_API_API_VERSIONS, 0, &usual);

	(void)client_receive(t, c, KAFKA_API_API_VERSIONS, t->version, first);
	(void)client_receive(t, c, KAFKA_API_API_VERSIONS, 0, second);
}

/* The body of a version we do not know cannot be read, and need not be. */
static void newer_version(struct test *t)
{
	const struct kafka_request_header header = {
		.api_key = KAFKA_API_API_VERSIONS,
		.api_version = t->version,
		.correlation_id = 77,
		.client_id = SLICE(TEST_CLIENT_ID),
	};
	struct client *c = client_open(t);
	struct buf out;

	buf_init(&out);
	buf_add_u32(&out, 0);
	kafka_request_header_encode(&header, &out);
	buf_add_text(&out, "who knows");
	put_u32(out.data, (uint32_t)(out.size - sizeof(uint32_t)));
	struct slice bytes = arena_copy(&t->arena, buf_slice(&out));
	buf_done(&out);
	client_send_bytes(t, c, bytes);

	const struct kafka_api_versions_response *response =
		client_receive(t, c, KAFKA_API_API_VERSIONS, 0, header.correlation_id);
	CHECK_ERROR(t, response->error_code, KAFKA_UNSUPPORTED_VERSION);
	check_own_range(t, response);
	response = client_call(t, c, KAFKA_API_API_VERSIONS, 4, &usual);
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
}

static void bad_software_name(struct test *t)
{
	static const struct slice bad[] = { SLICE(""), SLICE("-a"), SLICE("a."), SLICE("a b") };

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++) {
		struct kafka_api_versions_request request = usual;
		request.client_software_name = bad[i];
		const struct kafka_api_versions_response *response =
			test_call(t, KAFKA_API_API_VERSIONS, t->version, &request);
		CHECK_ERROR(t, response->error_code, KAFKA_INVALID_REQUEST);
		request = usual;
		request.client_software_version = bad[i];
		response = test_call(t, KAFKA_API_API_VERSIONS, t->version, &request);
		CHECK_ERROR(t, response->error_code, KAFKA_INVALID_REQUEST);
	}
}

static const struct matrix_row rows[] = {
	/* W2 */
	{ OUTCOME_SUCCESS, 0, 4, "every API is listed once, by key, with its versions",
	  lists_every_api },
	{ OUTCOME_SUCCESS, 0, 4, "the header of the answer never has tags",
	  header_is_always_short },
	{ OUTCOME_SUCCESS, 0, 4, "two requests sent at once are answered in order",
	  is_answered_in_order },
	/* W1 */
	{ OUTCOME_SUCCESS, 3, 4, "no feature is named that old clients stumble over",
	  names_no_feature_too_low },
	{ KAFKA_INVALID_REQUEST, 3, 4, "a software name of other letters is refused",
	  bad_software_name },
	/* W1 */
	{ KAFKA_UNSUPPORTED_VERSION, 5, 6,
	  "a newer version is answered in version 0 with the range of ApiVersions", newer_version },
};

static const int16_t documented[] = { KAFKA_UNSUPPORTED_VERSION, KAFKA_INVALID_REQUEST };

static const struct matrix_absent absent[] = {
	{ KAFKA_UNSUPPORTED_VERSION, ALL_VERSIONS, "this version is served", NULL },
	{ KAFKA_INVALID_REQUEST, 0, 2, "the request has no fields", NULL },
};

const struct matrix_api matrix_api_versions = MATRIX_API(KAFKA_API_API_VERSIONS, 0, 4);
