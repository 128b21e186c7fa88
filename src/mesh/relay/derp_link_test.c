/* What a link makes of relays that are none, or bad ones.  Good ones are in relay_port_test.c. */
#include "mesh/relay/derp_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "loop/timer.h"
#include "wire/crypto/x25519.h"

enum { WAIT_MS = 60000 };

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n\r\n"

static struct loop *loop;
static struct listener *listener;
static struct stream *served;
static struct mesh_key secret, own;		/* of the client */
static struct mesh_key relay_secret, relay_own; /* of the relay */
static struct buf says, says_later; /* the relay, at once and once it knows the client */
static bool seals;		    /* a true ServerInfo comes before says_later */
static bool ends;		    /* the relay closes after that */
static struct derp_link *link;
static struct buf trace;
static bool closes_in_frame;

/* --- the relay -------------------------------------------------------------------------------- */
static void on_readable(void *context, struct stream *s)
{
	struct slice inbox = stream_inbox(s);
	bool has_said = inbox.size > 5 && memmem(inbox.data, inbox.size, "\r\n\r\n", 4) == NULL;

	(void)context;
	if (has_said && seals) {
		struct derp_server_info info = { .version = 2 };
		struct buf b = { 0 };
		assert_true(derp_add_server_info(&b, &info, &relay_secret, &own));
		stream_write(s, buf_slice(&b));
		buf_done(&b);
	}
	if (has_said)
		stream_write(s, buf_slice(&says_later));
	else
		stream_write(s, buf_slice(&says));
	stream_consume(s, inbox.size);
	if (ends) {
		stream_close_gracefully(s, 1000);
		served = NULL;
	}
}

static void on_stream_end(void *context, struct stream *s, enum err err)
{
	(void)context;
	(void)err;
	stream_close(s);
	served = NULL;
}

static const struct stream_owner stream_owner = {
	.on_readable = on_readable,
	.on_end = on_stream_end,
};

static void on_accept(void *context, struct stream *s)
{
	(void)context;
	served = s;
	stream_set_owner(s, &stream_owner, NULL);
}

/* --- the link --------------------------------------------------------------------------------- */
static void on_open(void *context, struct derp_link *it)
{
	(void)context;
	assert_true(derp_link_is_open(it));
	buf_add_text(&trace, "open ");
}

static void on_frame(void *context, struct derp_link *it, uint8_t type, struct slice payload)
{
	(void)context;
	buf_add_format(&trace, "frame(%d,%zu) ", type, payload.size);
	if (!closes_in_frame)
		return;
	derp_link_close(it);
	link = NULL;
	loop_stop(loop);
}

static void on_end(void *context, struct derp_link *it, const char *why)
{
	(void)context;
	(void)it;
	buf_add_format(&trace, "end(%s)", why);
	link = NULL;
	loop_stop(loop);
}

static const struct derp_link_owner owner = {
	.on_open = on_open,
	.on_frame = on_frame,
	.on_end = on_end,
};

static void on_timeout(struct timer *t)
{
	(void)t;
	fail_msg("only this: %.*s", SLICE_ARG(buf_slice(&trace)));
}

static void expect(const char *wanted)
{
	struct timer timeout = { 0 };
	struct derp_link_config config = {
		.address = "127.0.0.1",
		.port = listener_port(listener),
		.host = "127.0.0.1",
		.dial_ms = 5000,
		.secret = secret,
		.own = own,
		.info = { .version = 2 },
		.owner = &owner,
	};

	buf_clear(&trace);
	link = derp_link_start(loop, &config);
	timer_set(&timeout, loop, loop_now_ms(loop) + WAIT_MS, on_timeout);
	loop_run(loop);
	timer_clear(&timeout);
	buf_add(&trace, "", 1);
	assert_string_equal((char *)trace.data, wanted);
	if (served)
		stream_close(served);
	served = NULL;
	for (int i = 0; i < 3; i++)
		loop_turn(loop);
	buf_clear(&says);
	buf_clear(&says_later);
}

static struct mesh_key draw(struct mesh_key *ret_public)
{
	struct mesh_key key;

	random_bytes(key.bytes, sizeof(key.bytes));
	x25519_clamp(key.bytes);
	x25519_public(key.bytes, ret_public->bytes);
	return key;
}

static int set_up(void **state)
{
	char why[TASK_WHY_BYTES];

	(void)state;
	loop = loop_new(1);
	secret = draw(&own);
	relay_secret = draw(&relay_own);
	seals = ends = closes_in_frame = false;
	assert_int_equal(listener_open_tcp(loop, "127.0.0.1", 0, on_accept, NULL, &listener, why),
			 OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	listener_close(listener);
	loop_run(loop);
	loop_free(loop);
	buf_done(&says);
	buf_done(&says_later);
	buf_done(&trace);
	return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */
static void test_what_is_no_relay_is_left(void **state)
{
	(void)state;
	buf_add_text(&says, "HTTP/1.1 404 Not Found\r\n\r\n");
	expect("end(the relay does not let us speak DERP)");
	buf_add_zero(&says, DERP_LINK_HEAD_BYTES_MAX + 1);
	expect("end(what answers there is no relay)");
	buf_add_text(&says, SWITCH);
	derp_add_frame(&says, DERP_SERVER_KEY, SLICE("no magic, and no key"));
	expect("end(the relay does not say who it is)");
	buf_add_text(&says, SWITCH);
	derp_add_frame(&says, DERP_KEEP_ALIVE, SLICE(""));
	expect("end(the relay does not say who it is)");
	ends = true;
	buf_add_text(&says, "HTTP/1.1 101 ");
	expect("end(the relay closed the connection before it let us in)");
}

static void test_a_relay_with_a_key_it_does_not_have_is_left(void **state)
{
	struct mesh_key other;

	(void)state;
	seals = true;
	draw(&other);
	buf_add_text(&says, SWITCH);
	derp_add_server_key(&says, &other);
	expect("end(the relay is not who it says it is)");
	struct mesh_key zero = { { 0 } };
	buf_add_text(&says, SWITCH);
	derp_add_server_key(&says, &zero); /* everybody would know what is shared with it */
	expect("end(the relay does not say who it is)");
}

static void test_frames_of_any_kind_are_told_and_too_long_ones_end_it(void **state)
{
	static const uint8_t huge[DERP_HEAD_BYTES] = { DERP_RECEIVE_PACKET, 0xff, 0xff, 0xff,
						       0xff };

	(void)state;
	seals = true;
	buf_add_text(&says, SWITCH);
	derp_add_server_key(&says, &relay_own);
	derp_add_frame(&says_later, DERP_PING, SLICE("short"));	   /* cannot be answered */
	derp_add_frame(&says_later, DERP_PONG, SLICE("12345678")); /* to nothing */
	derp_add_frame(&says_later, 0x77, SLICE("of the future"));
	derp_add_frame(&says_later, DERP_RECEIVE_PACKET, SLICE("too short for a key"));
	buf_add(&says_later, huge, sizeof(huge));
	expect("open frame(119,13) frame(5,19) end(the relay sent a frame that is too long)");
}

static void test_an_owner_may_close_a_link_while_it_hears_of_a_frame(void **state)
{
	(void)state;
	seals = closes_in_frame = true;
	buf_add_text(&says, SWITCH);
	derp_add_server_key(&says, &relay_own);
	for (int i = 0; i < 3; i++)
		derp_add_frame(&says_later, DERP_KEEP_ALIVE, SLICE(""));
	expect("open frame(6,0) ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_what_is_no_relay_is_left),
		TEST(test_a_relay_with_a_key_it_does_not_have_is_left),
		TEST(test_frames_of_any_kind_are_told_and_too_long_ones_end_it),
		TEST(test_an_owner_may_close_a_link_while_it_hears_of_a_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
