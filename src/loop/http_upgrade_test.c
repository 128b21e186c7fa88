/* A server that serves what it is given, requests that become another protocol, and many who
 * connect and say nothing. */
#include "loop/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "loop/stream.h"

enum { TURNS = 50 };

static struct loop *loop;
static struct http_server *server;
static struct stream *taken;
static struct buf taken_bytes;
static struct http_exchange *seen;
static bool takes, is_taken_ended;

static void on_readable(void *context, struct stream *s)
{
	(void)context;
	buf_add_slice(&taken_bytes, stream_inbox(s));
	stream_consume(s, stream_inbox(s).size);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	(void)context;
	(void)err;
	stream_close(s);
	taken = NULL;
	is_taken_ended = true;
}

static const struct stream_owner owner = { .on_readable = on_readable, .on_end = on_end };

static void on_request(void *context, struct http_exchange *e)
{
	(void)context;
	seen = e;
	if (!takes) {
		http_answer(e, 200, "text/plain", http_header(e, "x-word"));
		return;
	}
	taken = http_upgrade(e, "echo", "X-More: yes\r\n");
	stream_set_owner(taken, &owner, NULL);
}

static int set_up(void **state)
{
	struct http_server_config config = { .on_request = on_request, .allows_upgrade = true };

	(void)state;
	loop = loop_new(0);
	server = http_server_new(loop, &config);
	buf_init(&taken_bytes);
	taken = NULL;
	seen = NULL;
	takes = is_taken_ended = false;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_server_close(server);
	if (taken)
		stream_close(taken);
	buf_done(&taken_bytes);
	loop_run(loop);
	loop_free(loop);
	return 0;
}

/* A connection to the server; the other end of it. */
static int connect_to_server(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	http_server_accept(server, stream_open_fd(loop, fds[0], "somebody"));
	return fds[1];
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	for (int i = 0; i < TURNS; i++)
		loop_turn(loop);
}

/* What has come, as text; "" when nothing has; NULL when the server closed. */
static const char *hear(int fd)
{
	static char text[1024];
	ssize_t size = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (size == 0)
		return NULL;
	text[size < 0 ? 0 : size] = 0;
	return text;
}

static void test_headers_are_found_by_their_names(void **state)
{
	int fd = connect_to_server();

	(void)state;
	say(fd, "GET / HTTP/1.1\r\nX-WORD: first\r\nX-Empty:\r\nx-word: second\r\n\r\n");
	assert_non_null(strstr(hear(fd), "\r\n\r\nfirst"));
	say(fd, "GET / HTTP/1.1\r\n\r\n");
	assert_non_null(strstr(hear(fd), "Content-Length: 0\r\n"));
	close(fd);
}

static void test_a_request_becomes_another_protocol(void **state)
{
	int fd = connect_to_server();

	(void)state;
	takes = true;
	say(fd, "POST /x HTTP/1.1\r\nUpgrade: echo\r\nConnection: upgrade\r\n"
		"Content-Length: 0\r\n\r\nat once");
	assert_string_equal(hear(fd), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n"
				      "Connection: upgrade\r\nX-More: yes\r\n\r\n");
	assert_true(slice_equal(buf_slice(&taken_bytes), SLICE("at once")));
	say(fd, " and later");
	assert_true(slice_equal(buf_slice(&taken_bytes), SLICE("at once and later")));
	close(fd);
	for (int i = 0; i < TURNS; i++)
		loop_turn(loop);
	assert_true(is_taken_ended);
}

static void test_an_upgrade_that_is_refused_ends_the_connection(void **state)
{
	int fd = connect_to_server();

	(void)state;
	say(fd, "GET / HTTP/1.1\r\nUpgrade: echo\r\nConnection: upgrade\r\nX-Word: no\r\n\r\n");
	const char *text = hear(fd);
	assert_non_null(strstr(text, "200 OK"));
	assert_non_null(strstr(text, "Connection: close"));
	assert_null(hear(fd));
	close(fd);
}

static void test_who_waits_longest_makes_room(void **state)
{
	int fds[HTTP_CONNECTIONS_MAX + 2];

	(void)state;
	for (int i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		fds[i] = connect_to_server();
	say(fds[0], "GET / HTTP/1.1\r\n\r\n"); /* waits again, after all others */
	assert_non_null(strstr(hear(fds[0]), "200 OK"));
	fds[HTTP_CONNECTIONS_MAX] = connect_to_server();
	fds[HTTP_CONNECTIONS_MAX + 1] = connect_to_server();
	say(fds[HTTP_CONNECTIONS_MAX + 1], "GET / HTTP/1.1\r\n\r\n");
	assert_non_null(strstr(hear(fds[HTTP_CONNECTIONS_MAX + 1]), "200 OK"));
	assert_null(hear(fds[1]));
	assert_null(hear(fds[2]));
	assert_string_equal(hear(fds[0]), "");
	assert_string_equal(hear(fds[3]), "");
	for (int i = 0; i < HTTP_CONNECTIONS_MAX + 2; i++)
		close(fds[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_headers_are_found_by_their_names),
		TEST(test_a_request_becomes_another_protocol),
		TEST(test_an_upgrade_that_is_refused_ends_the_connection),
		TEST(test_who_waits_longest_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
