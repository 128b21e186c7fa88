#include "wire/kafka/api.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/text.h"
#include "kafka_messages.h"
#include "wire/kafka/errors.h"

enum { HEX_BYTES_MAX = 256 };

static struct slice from_hex(uint8_t bytes[HEX_BYTES_MAX], const char *hex)
{
	size_t size = strlen(hex) / 2;

	assert_true(size <= HEX_BYTES_MAX);
	assert_int_equal(hex_decode(slice_from(hex), bytes, size), OK);
	return (struct slice) { bytes, size };
}

/* Captured from kcat 1.7.1 with librdkafka 2.0.2. */
static void test_the_first_request_of_a_real_client_is_read(void **state)
{
	uint8_t bytes[HEX_BYTES_MAX];
	struct slice in = from_hex(bytes, "0012000300000001000772646b61666b6100"
					  "0b6c696272646b61666b6106322e302e3200");
	struct kafka_request_header header;
	struct kafka_api_versions_request request;
	struct arena arena = { 0 };
	struct buf out;

	(void)state;
	struct slice whole = in;
	assert_int_equal(kafka_request_header_decode(&in, &header), OK);
	assert_int_equal(header.api_key, KAFKA_API_API_VERSIONS);
	assert_int_equal(header.api_version, 3);
	assert_int_equal(header.correlation_id, 1);
	assert_true(slice_equal(header.client_id, SLICE("rdkafka")));
	assert_int_equal(schema_decode_all(&arena, &kafka_api_versions_request_schema, 3, in,
					   &request),
			 OK);
	assert_true(slice_equal(request.client_software_name, SLICE("librdkafka")));
	assert_true(slice_equal(request.client_software_version, SLICE("2.0.2")));

	buf_init(&out);
	kafka_request_header_encode(&header, &out);
	schema_encode(&kafka_api_versions_request_schema, 3, &request, &out);
	assert_true(slice_equal(buf_slice(&out), whole));
	buf_done(&out);
	arena_done(&arena);
}

static void test_a_plain_header_has_no_tagged_fields(void **state)
{
	uint8_t bytes[HEX_BYTES_MAX];
	struct slice in = from_hex(bytes, "0003000400000002000772646b61666b610000000000");
	struct kafka_request_header header;
	struct kafka_metadata_request request;
	struct arena arena = { 0 };

	(void)state;
	assert_int_equal(kafka_request_header_decode(&in, &header), OK);
	assert_int_equal(header.api_key, KAFKA_API_METADATA);
	assert_int_equal(schema_decode_all(&arena, &kafka_metadata_request_schema,
					   header.api_version, in, &request),
			 OK);
	assert_int_equal(request.topics_count, 0);
	assert_false(request.allow_auto_topic_creation);
	arena_done(&arena);
}

static void test_headers_of_unknown_apis_and_versions_are_still_read(void **state)
{
	uint8_t bytes[HEX_BYTES_MAX];
	struct kafka_request_header header;

	(void)state;
	/* ApiVersions 99 is flexible, so that it can be answered; API 999 has only a body. */
	struct slice in = from_hex(bytes, "00120063000000070000010201bb");
	assert_int_equal(kafka_request_header_decode(&in, &header), OK);
	assert_int_equal(header.api_version, 99);
	assert_non_null(header.client_id.data);
	assert_int_equal(header.client_id.size, 0);
	in = from_hex(bytes, "03e7000000000007ffff01020304");
	assert_int_equal(kafka_request_header_decode(&in, &header), OK);
	assert_null(kafka_api_find(header.api_key));
	assert_null(header.client_id.data);
	assert_int_equal(in.size, 4);
}

static void test_cut_off_headers_are_refused_and_leave_the_outputs_alone(void **state)
{
	uint8_t bytes[HEX_BYTES_MAX];
	struct slice whole = from_hex(bytes, "0012000300000001000772646b61666b61020001aa0100");

	(void)state;
	for (size_t size = 0; size < whole.size; size++) {
		struct kafka_request_header header = { .api_key = 77 };
		struct slice in = { whole.data, size };
		assert_int_equal(kafka_request_header_decode(&in, &header), ERR_INVALID);
		assert_int_equal(in.size, size);
		assert_int_equal(header.api_key, 77);
	}
	struct kafka_request_header header;
	struct slice in = from_hex(bytes, "00030004000000020008fffe");
	assert_int_equal(kafka_request_header_decode(&in, &header), ERR_INVALID);
	in = from_hex(bytes, "00030004000000028000fffe");
	assert_int_equal(kafka_request_header_decode(&in, &header), ERR_INVALID);
}

static size_t response_header_bytes(int16_t key, int version)
{
	struct buf out;

	buf_init(&out);
	kafka_response_header_encode(kafka_api_find(key), version, 0x01020304, &out);
	assert_memory_equal(out.data, "\1\2\3\4", 4);
	size_t size = out.size;
	buf_done(&out);
	return size;
}

/* W1 */
static void test_response_headers_have_tags_when_flexible_but_never_for_api_versions(void **state)
{
	(void)state;
	assert_int_equal(response_header_bytes(KAFKA_API_METADATA, 8), 4);
	assert_int_equal(response_header_bytes(KAFKA_API_METADATA, 9), 5);
	assert_int_equal(response_header_bytes(KAFKA_API_DESCRIBE_CLUSTER, 0), 5);
	assert_int_equal(response_header_bytes(KAFKA_API_SASL_HANDSHAKE, 1), 4);
	for (int version = 0; version <= 4; version++)
		assert_int_equal(response_header_bytes(KAFKA_API_API_VERSIONS, version), 4);
}

static void test_the_table_of_apis_is_sorted_and_found_by_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < kafka_apis_count; i++) {
		const struct kafka_api *api = &kafka_apis[i];
		assert_true(i == 0 || kafka_apis[i - 1].key < api->key);
		assert_ptr_equal(kafka_api_find(api->key), api);
		assert_int_equal(api->request->key, api->response->key);
		assert_int_equal(api->version_last, api->response->version_last);
		assert_int_equal(api->flexible_first, api->response->flexible_first);
	}
	assert_null(kafka_api_find(-1));
	assert_null(kafka_api_find(4));
	assert_string_equal(kafka_api_find(KAFKA_API_OFFSET_FOR_LEADER_EPOCH)->name,
			    "OffsetForLeaderEpoch");
}

static void test_errors_have_the_names_of_the_protocol(void **state)
{
	(void)state;
	assert_string_equal(kafka_error_name(KAFKA_NONE), "NONE");
	assert_string_equal(kafka_error_name(KAFKA_UNKNOWN_SERVER_ERROR), "UNKNOWN_SERVER_ERROR");
	assert_string_equal(kafka_error_name(35), "UNSUPPORTED_VERSION");
	assert_string_equal(kafka_error_name(100), "UNKNOWN_TOPIC_ID");
	assert_string_equal(kafka_error_name(129), "REBOOTSTRAP_REQUIRED");
	assert_string_equal(kafka_error_name(-2), "?");
	assert_string_equal(kafka_error_name(9999), "?");
}

static void test_bytes_left_behind_a_request_are_passed_over(void **state)
{
	/* What librdkafka 2.15 sends for all topics: the count of the null array takes four bytes
	 * instead of one. */
	static const uint8_t all_topics[] = { 0, 0, 0, 0, 1, 0, 0 };
	struct kafka_metadata_request request;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(kafka_request_decode(&a, kafka_api_find(KAFKA_API_METADATA), 13,
					      (struct slice) { all_topics, sizeof(all_topics) },
					      &request),
			 OK);
	assert_null(request.topics);
	assert_int_equal(kafka_request_decode(&a, kafka_api_find(KAFKA_API_METADATA), 13,
					      (struct slice) { all_topics, 2 }, &request),
			 ERR_INVALID);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_request_of_a_real_client_is_read),
		cmocka_unit_test(test_a_plain_header_has_no_tagged_fields),
		cmocka_unit_test(test_headers_of_unknown_apis_and_versions_are_still_read),
		cmocka_unit_test(test_cut_off_headers_are_refused_and_leave_the_outputs_alone),
		cmocka_unit_test(
			test_response_headers_have_tags_when_flexible_but_never_for_api_versions),
		cmocka_unit_test(test_bytes_left_behind_a_request_are_passed_over),
		cmocka_unit_test(test_the_table_of_apis_is_sorted_and_found_by_key),
		cmocka_unit_test(test_errors_have_the_names_of_the_protocol),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
