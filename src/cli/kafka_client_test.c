#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/kafka_client.h"
#include "cli/server_testing.h"

static struct kafka_api_versions_response_api spoken[] = {
	{ KAFKA_API_METADATA, 1, 12 },
	{ KAFKA_API_LIST_GROUPS, 0, 99 },
	{ KAFKA_API_DELETE_TOPICS, 50, 60 },
	{ 9999, 0, 1 },
};

static const struct kafka_api_versions_response versions = {
	.api_keys = spoken,
	.api_keys_count = 4,
};

static enum err open_client(struct kafka_client *c, uint16_t port)
{
	return kafka_client_open(c, "127.0.0.1", port, NULL, 5000);
}

static void test_the_highest_common_version_is_taken(void **state)
{
	struct test_broker broker = { .versions = versions };
	struct test_server server;
	struct kafka_client c;

	(void)state;
	test_server_start(&server, test_broker_serve, &broker);
	assert_int_equal(open_client(&c, server.port), OK);
	assert_int_equal(kafka_client_version(&c, KAFKA_API_METADATA, INT16_MAX), 12);
	assert_int_equal(kafka_client_version(&c, KAFKA_API_METADATA, 3), 3);
	assert_int_equal(kafka_client_version(&c, KAFKA_API_METADATA, 0), -1);
	assert_int_equal(kafka_client_version(&c, KAFKA_API_LIST_GROUPS, INT16_MAX), 5);
	assert_int_equal(kafka_client_version(&c, KAFKA_API_DELETE_TOPICS, INT16_MAX), -1);
	assert_int_equal(kafka_client_version(&c, KAFKA_API_FETCH, INT16_MAX), -1);
	kafka_client_close(&c);
	test_server_stop(&server);
}

static void test_an_answer_is_decoded_in_every_version(void **state)
{
	struct kafka_list_groups_response_group group = {
		.group_id = SLICE("readers"),
		.protocol_type = SLICE("consumer"),
		.group_state = SLICE("Stable"),
		.group_type = SLICE("classic"),
	};
	struct kafka_list_groups_response response = { .groups = &group, .groups_count = 1 };
	struct test_answer answers[6];
	struct test_broker broker = { versions, answers, 6 };
	struct kafka_list_groups_request request = { 0 };
	struct test_server server;
	struct kafka_client c;
	struct arena a;

	(void)state;
	for (int i = 0; i < 6; i++)
		answers[i] = (struct test_answer) { KAFKA_API_LIST_GROUPS, &response };
	arena_init(&a);
	test_server_start(&server, test_broker_serve, &broker);
	assert_int_equal(open_client(&c, server.port), OK);
	for (int version = 0; version < 6; version++) {
		struct kafka_list_groups_response answer;
		assert_int_equal(kafka_client_call(&a, &c, KAFKA_API_LIST_GROUPS, version, &request,
						   &answer),
				 OK);
		assert_int_equal(answer.groups_count, 1);
		assert_true(slice_equal(answer.groups[0].group_id, SLICE("readers")));
		assert_int_equal(answer.groups[0].group_state.size, version >= 4 ? 6 : 0);
	}
	kafka_client_close(&c);
	arena_done(&a);
	test_server_stop(&server);
}

static void test_a_connection_that_ends_leaves_the_outcome_unknown(void **state)
{
	struct test_broker broker = { .versions = versions };
	struct kafka_list_groups_request request = { 0 };
	struct kafka_list_groups_response answer;
	struct test_server server;
	struct kafka_client c;
	struct arena a;

	(void)state;
	arena_init(&a);
	test_server_start(&server, test_broker_serve, &broker);
	assert_int_equal(open_client(&c, server.port), OK);
	assert_int_equal(kafka_client_call(&a, &c, KAFKA_API_LIST_GROUPS, 5, &request, &answer),
			 ERR_UNKNOWN);
	assert_string_equal(c.why, "the connection was closed");
	kafka_client_close(&c);
	arena_done(&a);
	test_server_stop(&server);
}

static void test_nobody_there_is_said(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	struct kafka_client c;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(open_client(&c, ntohs(address.sin_port)), ERR_UNAVAILABLE);
	assert_string_equal(c.why, "Connection refused");
	kafka_client_close(&c);
	close(fd);
}

static void be_silent(int fd, const void *context)
{
	(void)context;
	pause();
	close(fd);
}

static void test_a_silent_server_is_given_up(void **state)
{
	struct test_server server;
	struct kafka_client c;

	(void)state;
	test_server_start(&server, be_silent, NULL);
	assert_int_equal(kafka_client_open(&c, "127.0.0.1", server.port, NULL, 50),
			 ERR_UNAVAILABLE);
	assert_string_equal(c.why, "no answer in time");
	kafka_client_close(&c);
	test_server_stop(&server);
}

static void say_bytes(int fd, const void *context)
{
	const struct slice *bytes = context;
	uint8_t request[256];

	assert(read(fd, request, sizeof(request)) > 0);
	assert(write(fd, bytes->data, bytes->size) == (ssize_t)bytes->size);
	while (read(fd, request, sizeof(request)) > 0)
		;
}

static void assert_no_kafka(struct slice bytes)
{
	struct test_server server;
	struct kafka_client c;

	test_server_start(&server, say_bytes, &bytes);
	assert_int_equal(open_client(&c, server.port), ERR_INVALID);
	kafka_client_close(&c);
	test_server_stop(&server);
}

static void test_whoever_speaks_something_else_is_no_broker(void **state)
{
	(void)state;
	assert_no_kafka(SLICE("HTTP/1.1 400 Bad Request\r\n\r\n"));
	assert_no_kafka(SLICE("\0\0\0\3abc"));
	assert_no_kafka(SLICE("\0\0\0\5\0\0\0\1x"));		   /* cut off */
	assert_no_kafka(SLICE("\0\0\0\12\0\0\0\7\0\0\0\0\0\0"));   /* to another request */
	assert_no_kafka(SLICE("\0\0\0\12\0\0\0\1\0\43\0\0\0\0"));  /* error_code */
	assert_no_kafka(SLICE("\0\0\0\12\0\0\0\1\0\0\177\0\0\0")); /* absurd count */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_highest_common_version_is_taken),
		cmocka_unit_test(test_an_answer_is_decoded_in_every_version),
		cmocka_unit_test(test_a_connection_that_ends_leaves_the_outcome_unknown),
		cmocka_unit_test(test_nobody_there_is_said),
		cmocka_unit_test(test_a_silent_server_is_given_up),
		cmocka_unit_test(test_whoever_speaks_something_else_is_no_broker),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
