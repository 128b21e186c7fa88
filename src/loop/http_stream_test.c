#include "loop/http_stream.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"

enum { WAIT_MS = 60000 };

struct rig {
	struct loop *loop;
	struct http_stream_server *server;
	int client;
	struct http_request *open;
	struct buf log, received;
	uint64_t body_bytes;
	bool accepts, answers_at_end, pauses, streams;
};

static void on_head(void *context, struct http_request *r)
{
	struct rig *rig = context;

	buf_add_format(&rig->log, "[%s %.*s ?%.*s x=%.*s", r->method, SLICE_ARG(r->path),
		       SLICE_ARG(r->query), SLICE_ARG(http_request_header(r, "X-Test")));
	rig->open = r;
	if (r->has_body && rig->accepts) {
		http_request_accept_body(r);
	} else if (rig->streams) {
		http_request_begin(r, 200, "X-Long: yes\r\n", HTTP_BODY_UNKNOWN);
		http_request_write(r, SLICE("one"));
	} else {
		http_request_answer(r, r->has_body ? 403 : 200, "", SLICE("ok"));
	}
}

static void on_body(void *context, struct http_request *r, struct slice part)
{
	struct rig *rig = context;

	rig->body_bytes += part.size;
	if (part.size < 20)
		buf_add_format(&rig->log, " %.*s", SLICE_ARG(part));
	if (rig->pauses)
		http_request_pause(r);
}

static void on_end(void *context, struct http_request *r)
{
	struct rig *rig = context;

	buf_add_text(&rig->log, "]");
	if (rig->answers_at_end)
		http_request_answer(r, 201, "X-Made: yes\r\n", SLICE("made"));
}

static void on_lost(void *context, struct http_request *r)
{
	struct rig *rig = context;

	(void)r;
	rig->open = NULL;
	buf_add_text(&rig->log, "lost");
}

static void on_drained(void *context, struct http_request *r)
{
	struct rig *rig = context;

	(void)r;
	buf_add_text(&rig->log, "drained");
}

static const struct http_stream_handler handler = { on_head, on_body, on_end, on_lost, on_drained };

static void open_rig(struct rig *r)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char why[TASK_WHY_BYTES];

	*r = (struct rig) { .loop = loop_new(0), .accepts = true, .answers_at_end = true };
	assert_int_equal(http_stream_open_tcp(r->loop, "127.0.0.1", 0, &handler, r, &r->server,
					      why),
			 OK);
	to.sin_port = htons(http_stream_port(r->server));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	r->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(r->client, (struct sockaddr *)&to, sizeof(to)), 0);
}

static void close_rig(struct rig *r)
{
	http_stream_close(r->server);
	close(r->client);
	loop_run(r->loop);
	loop_free(r->loop);
	buf_done(&r->log);
	buf_done(&r->received);
}

static bool has(const struct buf *b, const char *text)
{
	return b->size && memmem(b->data, b->size, text, strlen(text));
}

/* Until `text` is in the log or was received; NULL: until the server closed. */
static void turn_until(struct rig *r, const char *text)
{
	uint64_t end_ms = clock_now_ms() + WAIT_MS;

	for (;;) {
		char bytes[4096];
		ssize_t got = recv(r->client, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (got > 0)
			buf_add(&r->received, bytes, (size_t)got);
		if (text ? has(&r->log, text) || has(&r->received, text) : got == 0)
			return;
		if (clock_now_ms() > end_ms)
			fail_msg("no \"%s\" in %.*s and %.*s", text ? text : "end",
				 SLICE_ARG(buf_slice(&r->log)), SLICE_ARG(buf_slice(&r->received)));
		loop_turn(r->loop);
	}
}

static void say(struct rig *r, const char *text)
{
	assert_int_equal(send(r->client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void test_requests_of_one_connection_follow_each_other(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	say(&r, "GET /a?q HTTP/1.1\r\nX-Test: 1\r\nX-TEST: 2\r\n\r\n"
		"PUT /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
		"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		"PUT /empty HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
		"HEAD /d HTTP/1.1\r\nConnection: close\r\n\r\n");
	turn_until(&r, NULL);
	assert_true(has(&r.log, "[GET /a ?q x=1[PUT /b ? x= hello][PUT /c ? x= abc]"
				"[PUT /empty ? x=[HEAD /d ? x="));
	assert_true(has(&r.received, "HTTP/1.1 201 Created\r\nX-Made: yes\r\nContent-Length: 4\r\n"
				     "\r\nmade"));
	assert_true(has(&r.received, "Content-Length: 2\r\nConnection: close\r\n\r\n"));
	assert_int_equal(r.received.data[r.received.size - 1], '\n'); /* no body of a HEAD */
	assert_false(has(&r.log, "lost"));
	close_rig(&r);
}

static void test_one_byte_after_the_other_is_the_same(void **state)
{
	static const char request[] = "PUT /b HTTP/1.1\r\nExpect: 100-continue\r\n"
				      "Content-Length: 2\r\n\r\nok";
	struct rig r;

	(void)state;
	open_rig(&r);
	for (size_t i = 0; i + 1 < sizeof(request); i++) {
		char one[2] = { request[i] };
		say(&r, one);
		loop_turn(r.loop);
	}
	turn_until(&r, "made");
	assert_true(has(&r.received, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201"));
	close_rig(&r);
}

static void test_a_refused_body_is_not_asked_for(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	r.accepts = false;
	say(&r, "PUT /b HTTP/1.1\r\nContent-Length: 4\r\n\r\nskipGET /next HTTP/1.1\r\n\r\n");
	turn_until(&r, "[GET /next");
	say(&r, "PUT /b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
	turn_until(&r, NULL);
	assert_false(has(&r.received, "100 Continue"));
	assert_true(has(&r.received, "403"));
	close_rig(&r);
}

static void test_a_large_body_comes_in_parts_and_waits_while_paused(void **state)
{
	enum { SIZE = 3 << 20 };
	static char part[65536];
	struct rig r;
	size_t sent = 0;

	(void)state;
	open_rig(&r);
	r.pauses = true;
	say(&r, "PUT /b HTTP/1.1\r\nContent-Length: 3145728\r\n\r\n");
	for (int i = 0; i < 2000; i++) {
		ssize_t got = send(r.client, part, sizeof(part), MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += got > 0 && sent + (size_t)got <= SIZE ? (size_t)got : 0;
		loop_turn(r.loop);
		if (got < 0 && i > 500)
			break;
	}
	assert_true(r.body_bytes <= 1 << 20); /* the rest waits in the sender */
	assert_true(r.body_bytes > 0);
	r.pauses = false;
	http_request_resume(r.open);
	while (sent < SIZE || !has(&r.log, "]")) {
		ssize_t got =
			sent < SIZE ? send(r.client, part,
					   SIZE - sent < sizeof(part) ? SIZE - sent : sizeof(part),
					   MSG_DONTWAIT | MSG_NOSIGNAL)
				    : 0;
		sent += got > 0 ? (size_t)got : 0;
		loop_turn(r.loop);
	}
	turn_until(&r, "made");
	assert_int_equal(r.body_bytes, SIZE);
	close_rig(&r);
}

static void test_whoever_goes_in_the_middle_is_lost_once(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	say(&r, "PUT /b HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf");
	turn_until(&r, " half");
	shutdown(r.client, SHUT_RDWR);
	turn_until(&r, "lost");
	assert_null(r.open);
	close_rig(&r);
	assert_true(true);
}

static void test_an_answer_may_come_in_parts(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r);
	r.streams = true;
	say(&r, "GET /events HTTP/1.1\r\n\r\n");
	turn_until(&r, "3\r\none\r\n");
	turn_until(&r, "drained");
	http_request_write(r.open, SLICE("two"));
	turn_until(&r, "3\r\ntwo\r\n");
	http_request_finish(r.open);
	turn_until(&r, "0\r\n\r\n");
	r.streams = false;
	say(&r, "GET /next HTTP/1.1\r\n\r\n");
	turn_until(&r, "[GET /next");
	r.streams = true;
	say(&r, "GET /cut HTTP/1.1\r\n\r\n");
	turn_until(&r, "[GET /cut");
	http_request_abort(r.open);
	turn_until(&r, NULL);
	assert_false(has(&r.log, "lost"));
	close_rig(&r);
}

static void expect_refused(const char *request, const char *status)
{
	struct rig r;

	open_rig(&r);
	say(&r, request);
	turn_until(&r, NULL);
	assert_true(has(&r.received, status));
	close_rig(&r);
}

static void test_what_is_no_request_is_refused(void **state)
{
	static char many[20000], lines[20000];
	size_t used = (size_t)snprintf(many, sizeof(many), "GET / HTTP/1.1\r\n");

	(void)state;
	while (used < 19000)
		used += (size_t)snprintf(many + used, sizeof(many) - used, "A: %0100d\r\n", 1);
	used = (size_t)snprintf(lines, sizeof(lines), "GET / HTTP/1.1\r\n");
	for (int i = 0; i < 70; i++)
		used += (size_t)snprintf(lines + used, sizeof(lines) - used, "A: 1\r\n");
	snprintf(lines + used, sizeof(lines) - used, "\r\n");
	expect_refused("\x16\x03\x01 hello\r\n\r\n", "400");
	expect_refused("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400");
	expect_refused("GET / HTTP/3.0\r\n\r\n", "505");
	expect_refused(many, "431");
	expect_refused(lines, "431");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_of_one_connection_follow_each_other),
		cmocka_unit_test(test_one_byte_after_the_other_is_the_same),
		cmocka_unit_test(test_a_refused_body_is_not_asked_for),
		cmocka_unit_test(test_a_large_body_comes_in_parts_and_waits_while_paused),
		cmocka_unit_test(test_whoever_goes_in_the_middle_is_lost_once),
		cmocka_unit_test(test_an_answer_may_come_in_parts),
		cmocka_unit_test(test_what_is_no_request_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
