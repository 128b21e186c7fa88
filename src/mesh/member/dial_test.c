/* What a member makes of servers that are none: each answers with prepared bytes. */
#include "mesh/member/dial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "wire/crypto/x25519.h"

enum { TURNS_MAX = 20000, TURN_US = 100, CLIENTS_MAX = 8 };

static struct {
	struct loop *loop;
	struct listener *listener;
	struct stream *clients[CLIENTS_MAX];
	int client_count;
	struct buf answer;
	bool closes; /* after its answer */
	struct task parent;
	struct dial dial;
	struct dial_target target;
	bool is_over;
	char heard[4096];
} rig;

/* --- a server ------------------------------------------------------------------------------- */
static void on_readable(void *context, struct stream *s)
{
	struct slice inbox = stream_inbox(s);

	(void)context;
	if (!memmem(inbox.data, inbox.size, "\r\n\r\n", 4))
		return;
	snprintf(rig.heard, sizeof(rig.heard), "%.*s", SLICE_ARG(inbox));
	stream_consume(s, inbox.size);
	stream_write(s, buf_slice(&rig.answer));
	if (rig.closes) {
		for (int i = 0; i < rig.client_count; i++)
			if (rig.clients[i] == s)
				rig.clients[i] = NULL;
		stream_close_gracefully(s, 1000);
	}
}

static void on_stream_end(void *context, struct stream *s, enum err err)
{
	(void)context;
	(void)err;
	for (int i = 0; i < rig.client_count; i++)
		if (rig.clients[i] == s)
			rig.clients[i] = NULL;
	stream_close(s);
}

static const struct stream_owner owner = { .on_readable = on_readable, .on_end = on_stream_end };

static void on_accept(void *context, struct stream *s)
{
	(void)context;
	assert_true(rig.client_count < CLIENTS_MAX);
	rig.clients[rig.client_count++] = s;
	stream_set_owner(s, &owner, NULL);
}

/* --- the one who dials ------------------------------------------------------------------------ */
static void on_output(void *context, struct http2_exchange *e, struct slice bytes)
{
	(void)context;
	(void)e;
	(void)bytes;
}

static void on_end(void *context, struct http2_exchange *e, enum err err)
{
	(void)context;
	(void)e;
	(void)err;
}

static void on_channel_end(void *context, enum err err, const char *why)
{
	(void)context;
	(void)err;
	(void)why;
}

static enum step parent_step(struct task *t)
{
	struct mesh_key server = { { 9 } };
	struct dial_config config = {
		.target = &rig.target,
		.machine_secret = { { 8 } },
		.version = 142,
		.http2 = { .on_data = on_output, .on_end = on_end },
		.channel_config = { .on_end = on_channel_end },
	};

	if (t->at == 1) {
		if (t->children > 0)
			return task_wait(t, 1);
		rig.is_over = true;
		return task_done(t, task_is_canceled(t) ? ERR_CANCELED : OK);
	}
	if (strcmp(rig.target.url.host, "127.0.0.1") != 0) /* there the key is asked for */
		x25519_public(server.bytes, config.server_key.bytes);
	dial_start(&rig.dial, t, &config);
	return task_wait(t, 1);
}

static const char *const places[] = { "start", "dialing" };
static const struct task_kind parent_kind = { "test", places, 2, parent_step, NULL, NULL };

static int set_up(void **state)
{
	char why[TASK_WHY_BYTES];

	(void)state;
	memset(&rig, 0, sizeof(rig));
	rig.loop = loop_new(3);
	buf_init(&rig.answer);
	assert_int_equal(listener_open_tcp(rig.loop, "0.0.0.0", 0, on_accept, NULL, &rig.listener,
					   why),
			 OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	listener_close(rig.listener);
	for (int i = 0; i < rig.client_count; i++)
		if (rig.clients[i])
			stream_close(rig.clients[i]);
	loop_run(rig.loop);
	loop_free(rig.loop);
	buf_done(&rig.answer);
	dial_target_done(&rig.target);
	return 0;
}

static void dial(const char *host)
{
	struct control_url url;
	char text[64];

	snprintf(text, sizeof(text), "http://%s:%u", host, listener_port(rig.listener));
	assert_int_equal(control_url_parse(slice_from(text), &url), OK);
	dial_target_init(&rig.target, &url);
	task_start_root(&rig.parent, &parent_kind, rig.loop);
}

static void wait_for_end(void)
{
	for (int turns = 0; !rig.is_over; turns++) {
		assert_true(turns < TURNS_MAX);
		loop_turn(rig.loop);
		usleep(TURN_US);
	}
}

static void check(struct slice answer, bool closes, enum err expected, const char *why)
{
	set_up(NULL);
	buf_add_slice(&rig.answer, answer);
	rig.closes = closes;
	dial("127.0.0.2");
	wait_for_end();
	assert_int_equal(rig.dial.task.err, expected);
	assert_null(rig.dial.channel);
	if (!strstr(rig.dial.task.why, why))
		fail_msg("\"%s\" does not say \"%s\"", rig.dial.task.why, why);
	tear_down(NULL);
}

static void test_answers_that_are_none_are_explained(void **state)
{
	static uint8_t endless[2 * DIAL_HEAD_BYTES_MAX];
	static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
	struct buf b;

	(void)state;
	tear_down(NULL);
	check(SLICE("HTTP/1.1 404 Not Found\r\n\r\n"), false, ERR_INVALID, "404 Not Found");
	check(SLICE("SSH-2.0-nonsense\r\n\r\n"), false, ERR_INVALID, "SSH-2.0-nonsense");
	check(SLICE("HTTP/1.1 101 Swi"), true, ERR_UNAVAILABLE, "closed the connection");
	check(SLICE(""), true, ERR_UNAVAILABLE, "closed the connection");
	memset(endless, 'x', sizeof(endless));
	check((struct slice) { endless, sizeof(endless) }, false, ERR_TOO_BIG, "no end");
	buf_init(&b);
	buf_add_text(&b, upgraded);
	check(buf_slice(&b), true, ERR_UNAVAILABLE, "closed the connection");
	buf_add_text(&b, "SSH-2.0-x");
	check(buf_slice(&b), false, ERR_INVALID, "does not speak ts2021");
	buf_clear(&b);
	buf_add_text(&b, upgraded);
	noise_add_error(SLICE("you are too old"), &b);
	check(buf_slice(&b), false, ERR_DENIED, "you are too old");
	buf_clear(&b);
	buf_add_text(&b, upgraded);
	buf_add_u8(&b, NOISE_RESPONSE);
	buf_add_u16(&b, 48);
	buf_add_zero(&b, 48);
	check(buf_slice(&b), false, ERR_DENIED, "does not have the pinned key");
	buf_done(&b);
	set_up(NULL);
}

static void test_the_upgrade_asks_for_what_it_wants(void **state)
{
	char host[32];

	(void)state;
	buf_add_text(&rig.answer, "HTTP/1.1 500 no\r\n\r\n");
	dial("127.0.0.2");
	wait_for_end();
	snprintf(host, sizeof(host), "\r\nHost: 127.0.0.2:%u\r\n", listener_port(rig.listener));
	assert_non_null(strstr(rig.heard, host));
	assert_ptr_equal(strstr(rig.heard, "POST /ts2021 HTTP/1.1\r\n"), rig.heard);
	assert_non_null(strstr(rig.heard, "\r\nUpgrade: tailscale-control-protocol\r\n"));
	assert_non_null(strstr(rig.heard, "\r\nX-Tailscale-Handshake: "));
}

static void check_key(const char *answer, bool closes, enum err expected, const char *why)
{
	set_up(NULL);
	buf_add_text(&rig.answer, answer);
	rig.closes = closes;
	dial("127.0.0.1");
	wait_for_end();
	assert_non_null(strstr(rig.heard, "GET /key?v=142 HTTP/1.0\r\n"));
	assert_int_equal(rig.dial.task.err, expected);
	if (!strstr(rig.dial.task.why, why))
		fail_msg("\"%s\" does not say \"%s\"", rig.dial.task.why, why);
	tear_down(NULL);
}

static void test_a_server_without_a_key_is_explained(void **state)
{
	(void)state;
	tear_down(NULL);
	check_key("HTTP/1.0 502 Bad Gateway\r\n\r\nsorry", true, ERR_INVALID, "502 Bad Gateway");
	check_key("HTTP/1.1 200 OK\r\n\r\n<html>", true, ERR_INVALID, "no key");
	check_key("", true, ERR_UNAVAILABLE, "closed the connection");
	set_up(NULL);
}

static void test_a_dial_can_be_canceled_at_any_time(void **state)
{
	(void)state;
	tear_down(NULL);
	for (int turns = 0; turns < 12; turns++) {
		for (int host = 1; host < 3; host++) {
			set_up(NULL);
			buf_add_text(&rig.answer, "HTTP/1.1 101 ");
			dial(host == 1 ? "127.0.0.1" : "127.0.0.2");
			for (int i = 0; i < turns; i++)
				loop_turn(rig.loop);
			task_cancel(&rig.parent);
			wait_for_end();
			tear_down(NULL);
		}
	}
	set_up(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers_that_are_none_are_explained),
		TEST(test_the_upgrade_asks_for_what_it_wants),
		TEST(test_a_server_without_a_key_is_explained),
		TEST(test_a_dial_can_be_canceled_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
