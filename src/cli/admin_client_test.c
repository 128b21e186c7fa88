#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/admin_client.h"
#include "cli/server_testing.h"

static char directory[] = "/tmp/hanse-admin-XXXXXX";
static char socket_path[sizeof(directory) + 8];

/* Sends each piece apart, then closes. */
static void send_pieces(int fd, const void *context)
{
	const char *const *pieces = context;
	char request[1000];

	assert(read(fd, request, sizeof(request)) > 0);
	for (; *pieces; pieces++) {
		assert(write(fd, *pieces, strlen(*pieces)) == (ssize_t)strlen(*pieces));
		usleep(2000);
	}
	close(fd);
}

static void be_silent(int fd, const void *context)
{
	(void)context;
	pause();
	close(fd);
}

static bool is_post;

static enum err ask(test_serve serve, const void *context, uint64_t timeout_ms, unsigned *status,
		    char body[1000], char why[SOCKET_WHY_BYTES])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct test_server server;
	struct slice answer = { 0 };
	struct arena a;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	unlink(socket_path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	test_server_start_on(&server, listener, serve, context);
	arena_init(&a);
	enum err err = admin_request(&a, socket_path, is_post ? "POST" : "GET", "/v1/status",
				     is_post ? SLICE("{\"to\":1}") : (struct slice) { 0 },
				     timeout_ms, status, &answer, why);
	snprintf(body, 1000, "%.*s", SLICE_ARG(answer));
	arena_done(&a);
	test_server_stop(&server);
	return err;
}

static void test_an_answer_in_pieces_is_read(void **state)
{
	const char *const pieces[] = { "HTTP/1.1 200 OK\r\nContent-",
				       "Length: 11\r\n\r\n{\"a\":", " true}", NULL };
	const char *const until_closed[] = { "HTTP/1.0 404 Not Found\r\n\r\n", "no", NULL };
	char body[1000], why[SOCKET_WHY_BYTES];
	unsigned status;

	(void)state;
	assert_int_equal(ask(send_pieces, pieces, 5000, &status, body, why), OK);
	assert_int_equal(status, 200);
	assert_string_equal(body, "{\"a\": true}");
	assert_int_equal(ask(send_pieces, until_closed, 5000, &status, body, why), OK);
	assert_int_equal(status, 404);
	assert_string_equal(body, "no");
}

static void test_an_answer_cut_off_is_a_failure(void **state)
{
	const char *const pieces[] = { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", NULL };
	const char *const nothing[] = { NULL };
	char body[1000], why[SOCKET_WHY_BYTES];
	unsigned status;

	(void)state;
	assert_int_not_equal(ask(send_pieces, pieces, 5000, &status, body, why), OK);
	assert_int_not_equal(ask(send_pieces, nothing, 5000, &status, body, why), OK);
}

static void test_what_is_not_http_is_refused(void **state)
{
	const char *const pieces[] = { "hello\n", NULL };
	char body[1000], why[SOCKET_WHY_BYTES];
	unsigned status;

	(void)state;
	assert_int_equal(ask(send_pieces, pieces, 5000, &status, body, why), ERR_INVALID);
}

static void test_a_silent_node_is_given_up(void **state)
{
	char body[1000], why[SOCKET_WHY_BYTES];
	unsigned status;

	(void)state;
	assert_int_equal(ask(be_silent, NULL, 50, &status, body, why), ERR_TIMEOUT);
}

/* Answers with what it was asked. */
static void echo(int fd, const void *context)
{
	char request[1000] = "", answer[1200];
	size_t used = 0;

	(void)context;
	while (!strstr(request, "{\"to\":1}"))
		used += (size_t)read(fd, request + used, sizeof(request) - 1 - used);
	int size = snprintf(answer, sizeof(answer),
			    "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", used, request);
	assert(write(fd, answer, (size_t)size) == size);
	close(fd);
}

static void test_a_body_is_sent_with_its_length(void **state)
{
	char body[1000], why[SOCKET_WHY_BYTES];
	unsigned status;

	(void)state;
	is_post = true;
	assert_int_equal(ask(echo, NULL, 5000, &status, body, why), OK);
	is_post = false;
	assert_non_null(strstr(body, "POST /v1/status HTTP/1.1\r\n"));
	assert_non_null(strstr(body, "Content-Length: 8\r\n"));
	assert_non_null(strstr(body, "\r\n\r\n{\"to\":1}"));
}

static void test_no_socket_and_a_dead_one_differ(void **state)
{
	char why[SOCKET_WHY_BYTES];
	struct slice body;
	struct arena a;
	unsigned status;

	(void)state;
	arena_init(&a);
	assert_int_equal(admin_get(&a, socket_path, "/", 50, &status, &body, why),
			 ERR_UNAVAILABLE); /* left by the last test */
	unlink(socket_path);
	assert_int_equal(admin_get(&a, socket_path, "/", 50, &status, &body, why), ERR_NOT_FOUND);
	arena_done(&a);
}

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(socket_path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_answer_in_pieces_is_read),
		cmocka_unit_test(test_an_answer_cut_off_is_a_failure),
		cmocka_unit_test(test_what_is_not_http_is_refused),
		cmocka_unit_test(test_a_silent_node_is_given_up),
		cmocka_unit_test(test_a_body_is_sent_with_its_length),
		cmocka_unit_test(test_no_socket_and_a_dead_one_differ),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
