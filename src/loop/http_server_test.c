#include "loop/http_server.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/memory.h"
#include "loop/stream.h"
#include "loop/timer.h"

enum { WAIT_MS = 60000 };

/* A server, and a client that sends prepared bytes and gathers what comes back. */
struct rig {
	struct loop *loop;
	struct http_server *server;
	struct stream *client;
	struct buf received;
	struct timer later, guard;
	struct http_exchange *waiting;
	int requests;
	char last[256];
	bool answers_later;
	bool closes_server;
	const char *stop_at; /* stop the loop when the client received this */
};

static void answer_waiting(struct rig *r)
{
	struct http_exchange *e = r->waiting;
	char text[300];

	r->waiting = NULL;
	snprintf(text, sizeof(text), "[%s]", r->last);
	http_answer(e, 200, "text/plain", slice_from(text));
}

static void on_later(struct timer *t)
{
	answer_waiting(CONTAINER(t, struct rig, later));
}

static void on_request(void *context, struct http_exchange *e)
{
	struct rig *r = context;

	r->requests++;
	assert_null(r->waiting);
	r->waiting = e;
	snprintf(r->last, sizeof(r->last), "%s %.*s %.*s %zu %.*s", e->method, SLICE_ARG(e->path),
		 SLICE_ARG(e->query), e->body.size, SLICE_ARG(slice_part(e->body, 0, 20)));
	if (r->closes_server) {
		http_server_close(r->server);
		r->server = NULL;
	}
	if (r->answers_later)
		timer_set(&r->later, r->loop, loop_now_ms(r->loop) + 5, on_later);
	else
		answer_waiting(r);
}

static bool has_received(struct rig *r, const char *text)
{
	return r->received.size &&
	       memmem(r->received.data, r->received.size, text, strlen(text)) != NULL;
}

static void on_readable(void *context, struct stream *s)
{
	struct rig *r = context;

	buf_add_slice(&r->received, stream_inbox(s));
	stream_consume(s, stream_inbox(s).size);
	if (r->stop_at && has_received(r, r->stop_at))
		loop_stop(r->loop);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct rig *r = context;

	(void)err;
	stream_close(s);
	r->client = NULL;
	loop_stop(r->loop);
}

static const struct stream_owner client_owner = { .on_readable = on_readable, .on_end = on_end };

static void on_guard(struct timer *t)
{
	struct rig *r = CONTAINER(t, struct rig, guard);

	fail_msg("stuck after: %.*s", SLICE_ARG(buf_slice(&r->received)));
}

static void open_rig(struct rig *r)
{
	struct http_server_config config = { .on_request = on_request, .context = r };
	char why[TASK_WHY_BYTES];
	struct sockaddr_in to = { .sin_family = AF_INET };

	*r = (struct rig) { .loop = loop_new(0) };
	assert_int_equal(http_server_open_tcp(r->loop, "127.0.0.1", 0, &config, &r->server, why),
			 OK);
	to.sin_port = htons(http_server_port(r->server));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	r->client = stream_open_fd(r->loop, fd, "server");
	stream_set_owner(r->client, &client_owner, r);
	timer_set(&r->guard, r->loop, loop_now_ms(r->loop) + WAIT_MS, on_guard);
}

static void close_rig(struct rig *r)
{
	if (r->client)
		stream_close(r->client);
	if (r->server)
		http_server_close(r->server);
	timer_clear(&r->guard);
	loop_run(r->loop); /* until every connection has left */
	buf_done(&r->received);
	loop_free(r->loop);
}

static void send_and_run(struct rig *r, const char *request, const char *stop_at)
{
	r->stop_at = stop_at;
	stream_write(r->client, slice_from(request));
	loop_run(r->loop);
}

static void test_requests_of_one_connection_are_answered_in_order(void **state)
{
	(void)state;
	for (int later = 0; later < 2; later++) {
		struct rig r;

		open_rig(&r);
		r.answers_later = later;
		send_and_run(&r,
			     "GET /a?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"
			     "POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
			     "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
			     "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
			     "GET /d HTTP/1.1\r\nConnection: close\r\n\r\n",
			     NULL);
		assert_null(r.client); /* closed by the server */
		assert_int_equal(r.requests, 4);
		assert_true(has_received(&r, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"));
		assert_true(has_received(&r, "[GET /a x=1 0 ]HTTP/1.1 200"));
		assert_true(has_received(&r, "[POST /b  5 hello]HTTP/1.1 200"));
		assert_true(has_received(&r, "[PUT /c  5 abcde]HTTP/1.1 200"));
		assert_true(has_received(&r, "Connection: close\r\n\r\n[GET /d  0 ]"));
		close_rig(&r);
	}
}

static void test_a_request_may_come_byte_by_byte(void **state)
{
	static const char request[] = "POST /slow HTTP/1.1\r\nExpect: 100-continue\r\n"
				      "Content-Length: 2\r\n\r\nok";
	struct rig r;

	(void)state;
	open_rig(&r);
	for (size_t i = 0; i + 1 < sizeof(request); i++) {
		stream_write(r.client, (struct slice) { (const uint8_t *)request + i, 1 });
		loop_turn(r.loop);
	}
	if (!has_received(&r, "[POST"))
		send_and_run(&r, "", "[POST /slow  2 ok]");
	assert_true(has_received(&r, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"));
	close_rig(&r);
}

static void test_head_has_no_body(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	send_and_run(&r, "HEAD / HTTP/1.1\r\n\r\n", "\r\n\r\n");
	assert_true(has_received(&r, "Content-Length: 12\r\n"));
	assert_false(has_received(&r, "[HEAD"));
	close_rig(&r);
}

static void check_refused(struct slice request, const char *expected)
{
	struct rig r;

	open_rig(&r);
	stream_write(r.client, request);
	loop_run(r.loop);
	assert_null(r.client);
	assert_int_equal(r.requests, 0);
	assert_true(has_received(&r, expected));
	close_rig(&r);
}

static void test_what_breaks_the_rules_is_refused(void **state)
{
	static char large[2 * HTTP_BODY_BYTES_MAX];

	(void)state;
	memset(large, 'x', sizeof(large));
	check_refused(SLICE("nonsense\r\n\r\n"), "HTTP/1.1 400 ");
	check_refused(SLICE("GET /\r\n\r\n"), "HTTP/1.1 505 ");
	check_refused(
		SLICE("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
		"HTTP/1.1 400 ");
	check_refused(SLICE("CONNECT a:1 HTTP/1.1\r\n\r\n"), "HTTP/1.1 501 ");
	check_refused(SLICE("PUT / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n"), "HTTP/1.1 413 ");
	int head = snprintf(large, sizeof(large), "GET /");
	large[head] = 'x';
	check_refused((struct slice) { (uint8_t *)large, HTTP_HEADER_BYTES_MAX + 100 },
		      "HTTP/1.1 431 ");
	head = snprintf(large, sizeof(large),
			"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1fffff\r\n");
	large[head] = 'x';
	check_refused((struct slice) { (uint8_t *)large, sizeof(large) }, "HTTP/1.1 413 ");
}

static void test_a_peer_that_left_is_answered_into_the_void(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	r.answers_later = true;
	stream_write(r.client, SLICE("GET / HTTP/1.1\r\n\r\n"));
	while (r.requests == 0) {
		loop_turn(r.loop);
	}
	stream_close(r.client);
	r.client = NULL;
	close_rig(&r); /* the answer comes after the server was closed */
	assert_null(r.waiting);
}

static void test_a_half_closed_peer_gets_its_answer(void **state)
{
	struct rig r;
	char text[512] = "";
	struct sockaddr_in to = { .sin_family = AF_INET };

	(void)state;
	open_rig(&r);
	r.answers_later = true;
	to.sin_port = htons(http_server_port(r.server));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_true(dprintf(fd, "GET /h HTTP/1.1\r\n\r\n") > 0);
	shutdown(fd, SHUT_WR);
	while (recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_PEEK) < 1)
		loop_turn(r.loop);
	assert_non_null(strstr(text, "[GET /h  0 ]"));
	close(fd);
	close_rig(&r);
}

static void test_a_server_closed_by_its_handler_still_answers(void **state)
{
	(void)state;
	for (int later = 0; later < 2; later++) {
		struct rig r;

		open_rig(&r);
		r.closes_server = true;
		r.answers_later = later;
		send_and_run(&r, "GET / HTTP/1.1\r\n\r\nGET /more HTTP/1.1\r\n\r\n", NULL);
		assert_int_equal(r.requests, 1);
		assert_true(has_received(&r, "[GET /  0 ]"));
		close_rig(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_of_one_connection_are_answered_in_order),
		cmocka_unit_test(test_a_request_may_come_byte_by_byte),
		cmocka_unit_test(test_head_has_no_body),
		cmocka_unit_test(test_what_breaks_the_rules_is_refused),
		cmocka_unit_test(test_a_peer_that_left_is_answered_into_the_void),
		cmocka_unit_test(test_a_half_closed_peer_gets_its_answer),
		cmocka_unit_test(test_a_server_closed_by_its_handler_still_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
