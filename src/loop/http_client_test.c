#include "loop/http_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/http_server.h"
#include "loop/timer.h"
#include "loop/tls_certificate.h"

enum { WAIT_MS = 60000 };

struct rig {
	struct task task;
	struct loop *loop;
	struct http_server *server;
	struct listener *raw; /* answers with what is no HTTP, or not at all */
	struct stream *raw_stream;
	const char *raw_answer;
	struct http_call call;
	struct http_exchange *held;
	char path[64];
	const char *method, *target;
	const struct http_place *place; /* NULL: the socket */
	struct slice body;
	uint64_t deadline_ms;
	enum err result;
	char seen[256];
	bool holds;
};

enum { RIG_START, RIG_CALLED, RIG_PLACES };
static const char *const rig_places[] = { "start", "called" };

static void close_servers(struct rig *r)
{
	if (r->held)
		http_answer(r->held, 200, "text/plain", SLICE("late"));
	if (r->server)
		http_server_close(r->server);
	if (r->raw_stream)
		stream_close(r->raw_stream);
	if (r->raw)
		listener_close(r->raw);
}

static enum step rig_step(struct task *t)
{
	struct rig *r = CONTAINER(t, struct rig, task);

	if (t->at == RIG_START) {
		if (r->place)
			http_call_start_at(&r->call, t, r->place, r->method, r->target, r->body);
		else
			http_call_start(&r->call, t, r->path, r->method, r->target, r->body);
		task_set_deadline(&r->call.task, loop_now_ms(r->loop) + r->deadline_ms);
		return task_wait(t, RIG_CALLED);
	}
	if (task_is_running(&r->call.task))
		return task_wait(t, RIG_CALLED);
	r->result = r->call.task.err;
	close_servers(r);
	return task_done(t, OK);
}

static const struct task_kind rig_kind = {
	.name = "rig",
	.places = rig_places,
	.place_count = RIG_PLACES,
	.step = rig_step,
};

static void on_request(void *context, struct http_exchange *e)
{
	struct rig *r = context;

	snprintf(r->seen, sizeof(r->seen), "%s %.*s ?%.*s %.*s", e->method, SLICE_ARG(e->path),
		 SLICE_ARG(e->query), SLICE_ARG(e->body));
	if (r->holds)
		r->held = e;
	else
		http_answer(e, 201, "text/plain", SLICE("made"));
}

static void on_raw_end(void *context, struct stream *s, enum err err)
{
	struct rig *r = context;

	(void)err;
	stream_close(s);
	r->raw_stream = NULL;
}

static void on_raw_readable(void *context, struct stream *s)
{
	struct rig *r = context;

	stream_consume(s, stream_inbox(s).size);
	stream_write(s, slice_from(r->raw_answer));
	stream_close_gracefully(s, 1000);
	r->raw_stream = NULL;
}

static void on_accept(void *context, struct stream *s)
{
	static const struct stream_owner owner = { .on_readable = on_raw_readable,
						   .on_end = on_raw_end };
	struct rig *r = context;

	r->raw_stream = s;
	stream_set_owner(s, &owner, r);
}

static void open_rig(struct rig *r, const char *raw_answer)
{
	struct http_server_config config = { .on_request = on_request, .context = r };
	char why[TASK_WHY_BYTES];

	*r = (struct rig) { .loop = loop_new(0),
			    .method = "GET",
			    .target = "/v1/x?after=7",
			    .raw_answer = raw_answer,
			    .deadline_ms = WAIT_MS };
	snprintf(r->path, sizeof(r->path), "/tmp/http-client-test-%d", (int)getpid());
	if (raw_answer)
		assert_int_equal(listener_open_unix(r->loop, r->path, on_accept, r, &r->raw, why),
				 OK);
	else
		assert_int_equal(http_server_open_unix(r->loop, r->path, &config, &r->server, why),
				 OK);
}

static enum err run_rig(struct rig *r)
{
	task_start_root(&r->task, &rig_kind, r->loop);
	loop_run(r->loop);
	loop_free(r->loop);
	return r->result;
}

static void test_a_call_brings_status_and_body(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, NULL);
	assert_int_equal(run_rig(&r), OK);
	assert_int_equal(r.call.status, 201);
	assert_true(slice_equal(buf_slice(&r.call.body), SLICE("made")));
	assert_string_equal(r.seen, "GET /v1/x ?after=7 ");
	buf_done(&r.call.body);
}

static void test_a_call_may_have_a_body(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, NULL);
	r.method = "PUT";
	r.body = SLICE("{}");
	assert_int_equal(run_rig(&r), OK);
	assert_string_equal(r.seen, "PUT /v1/x ?after=7 {}");
	buf_done(&r.call.body);
}

static void test_a_call_ends_at_its_deadline(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, NULL);
	r.holds = true;
	r.deadline_ms = 20;
	assert_int_equal(run_rig(&r), ERR_TIMEOUT);
	buf_done(&r.call.body);
}

static void test_nobody_there_is_said(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, NULL);
	snprintf(r.path, sizeof(r.path), "/tmp/http-client-test-nobody-%d", (int)getpid());
	assert_int_equal(run_rig(&r), ERR_UNAVAILABLE);
	buf_done(&r.call.body);
}

static void test_what_is_no_http_is_invalid(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, "SSH-2.0-x\r\n");
	assert_int_equal(run_rig(&r), ERR_INVALID);
	buf_done(&r.call.body);
}

static void test_an_answer_that_is_cut_off_is_none(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	assert_true(run_rig(&r) != OK);
	buf_done(&r.call.body);
}

static void test_places_are_taken_apart(void **state)
{
	struct http_place p;

	(void)state;
	assert_int_equal(http_place_parse("http://192.0.2.1:8641", &p), OK);
	assert_true(!p.is_tls && p.port == 8641);
	assert_string_equal(p.host, "192.0.2.1");
	assert_int_equal(http_place_parse("https://mesh.example/", &p), OK);
	assert_true(p.is_tls && p.port == 443);
	assert_string_equal(p.host, "mesh.example");
	assert_int_equal(http_place_parse("http://[2001:db8::1]", &p), OK);
	assert_int_equal(p.port, 80);
	assert_string_equal(p.host, "2001:db8::1");
	assert_int_equal(http_place_parse("http://mesh.example/path", &p), ERR_INVALID);
	assert_int_equal(http_place_parse("mesh.example", &p), ERR_INVALID);
	assert_int_equal(http_place_parse("http://", &p), ERR_INVALID);
	assert_int_equal(http_place_parse("http://mesh.example:0", &p), ERR_INVALID);
}

static void on_stream(void *context, struct stream *s)
{
	struct rig *r = context;

	http_server_accept(r->server, s);
}

/* A server with a certificate that is, or is not, vouched for. */
static enum err call_over_tls(struct rig *r, bool is_known)
{
	static const char *const hosts[] = { "127.0.0.1" };
	struct http_server_config config = { .on_request = on_request, .context = r };
	struct buf certificate = { 0 }, key = { 0 };
	struct http_place place = { .is_tls = true, .host = "127.0.0.1" };
	struct tls_identity *identity = NULL;
	char why[TASK_WHY_BYTES], path[] = "/tmp/hanse-authorities-XXXXXX";
	int fd = mkstemp(path);

	*r = (struct rig) { .loop = loop_new(0),
			    .method = "GET",
			    .target = "/v1/x?after=7",
			    .place = &place,
			    .deadline_ms = WAIT_MS };
	assert_int_equal(tls_certificate_make(hosts, 1, &certificate, &key), OK);
	assert_int_equal(write(fd, certificate.data, certificate.size), certificate.size);
	close(fd);
	assert_int_equal(tls_identity_new_server(buf_slice(&certificate), buf_slice(&key),
						 &identity, why),
			 OK);
	r->server = http_server_new(r->loop, &config);
	assert_int_equal(listener_open_tls(r->loop, "127.0.0.1", 0, identity, on_stream, r, &r->raw,
					   why),
			 OK);
	place.port = listener_port(r->raw);
	if (is_known)
		setenv("SSL_CERT_FILE", path, 1);
	enum err err = run_rig(r);
	unsetenv("SSL_CERT_FILE");
	unlink(path);
	tls_identity_free(identity);
	buf_done(&certificate);
	buf_done(&key);
	return err;
}

static void test_a_call_elsewhere_goes_over_tls_to_who_is_vouched_for(void **state)
{
	struct rig r;

	(void)state;
	assert_int_equal(call_over_tls(&r, true), OK);
	assert_int_equal(r.call.status, 201);
	assert_string_equal(r.seen, "GET /v1/x ?after=7 ");
	buf_done(&r.call.body);
	assert_int_equal(call_over_tls(&r, false), ERR_DENIED);
	assert_string_equal(r.seen, "");
	buf_done(&r.call.body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_call_brings_status_and_body),
		cmocka_unit_test(test_a_call_may_have_a_body),
		cmocka_unit_test(test_a_call_ends_at_its_deadline),
		cmocka_unit_test(test_nobody_there_is_said),
		cmocka_unit_test(test_what_is_no_http_is_invalid),
		cmocka_unit_test(test_an_answer_that_is_cut_off_is_none),
		cmocka_unit_test(test_places_are_taken_apart),
		cmocka_unit_test(test_a_call_elsewhere_goes_over_tls_to_who_is_vouched_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
