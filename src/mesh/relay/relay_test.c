/* Traces: what connections do, and what each of them gets, as text. */
#include "mesh/relay/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/endian.h"
#include "wire/crypto/x25519.h"

enum { CONNECTIONS_MAX = 16, NOW = 1000000 };

/* A host whose connections keep what is written, as text, and can be stuck. */
struct connection {
	struct relay_client *client;
	struct buf trace;
	size_t unsent; /* while stuck */
	uint64_t sent;
	bool is_stuck, is_closed;
	char name;
};

static struct relay *relay;
static struct connection connections[CONNECTIONS_MAX];
static struct mesh_key server_secret;

/* Keys of these tests are one letter, repeated. */
static struct mesh_key key_of(char name)
{
	struct mesh_key key;

	memset(key.bytes, name, sizeof(key.bytes));
	return key;
}

static void trace_frame(struct connection *c, struct slice frame)
{
	struct slice p = slice_part(frame, DERP_HEAD_BYTES, frame.size);

	switch (frame.data[0]) {
	case DERP_SERVER_INFO:
		buf_add_text(&c->trace, "info ");
		break;
	case DERP_RECEIVE_PACKET:
		buf_add_format(&c->trace, "%c:%.*s ", p.data[0], SLICE_ARG(slice_part(p, 32, 8)));
		break;
	case DERP_FORWARD_PACKET:
		buf_add_format(&c->trace, "%c>%c:%.*s ", p.data[0], p.data[32],
			       SLICE_ARG(slice_part(p, 64, 8)));
		break;
	case DERP_PEER_GONE:
		buf_add_format(&c->trace, "gone(%c,%d) ", p.data[0], p.data[32]);
		break;
	case DERP_PEER_PRESENT:
		buf_add_format(&c->trace, "present(%c,%d) ", p.data[0], p.data[50]);
		break;
	case DERP_KEEP_ALIVE:
		buf_add_text(&c->trace, "alive ");
		break;
	case DERP_PONG:
		buf_add_format(&c->trace, "pong(%.*s) ", SLICE_ARG(p));
		break;
	case DERP_HEALTH:
		buf_add_text(&c->trace, p.size ? "unwell " : "well ");
		break;
	case DERP_RESTARTING:
		buf_add_format(&c->trace, "restart(%u,%u) ", get_u32(p.data), get_u32(p.data + 4));
		break;
	default:
		fail_msg("a frame of type %d", frame.data[0]);
	}
}

static void host_write(void *connection, struct slice first, struct slice second)
{
	struct connection *c = connection;
	struct buf all = { 0 };

	buf_add_slice(&all, first);
	buf_add_slice(&all, second);
	for (size_t at = 0; at < all.size;) {
		size_t size = DERP_HEAD_BYTES + get_u32(all.data + at + 1);
		assert_true(size <= all.size - at);
		trace_frame(c, (struct slice) { all.data + at, size });
		at += size;
	}
	if (c->is_stuck)
		c->unsent += all.size;
	else
		c->sent += all.size;
	buf_done(&all);
}

static size_t host_unsent(void *connection)
{
	return ((struct connection *)connection)->unsent;
}

static uint64_t host_sent(void *connection)
{
	return ((struct connection *)connection)->sent;
}

static void host_close(void *connection, const char *why)
{
	struct connection *c = connection;

	assert_non_null(why);
	assert_false(c->is_closed);
	c->is_closed = true;
}

static int open_relay(void **state)
{
	struct relay_config config = {
		.host = { host_write, host_unsent, host_sent, host_close },
		.has_mesh_key = true,
		.mesh_key = key_of('m'),
		.seed = 7,
	};

	config.secret = server_secret = key_of('S');
	x25519_clamp(config.secret.bytes);
	x25519_public(config.secret.bytes, config.own.bytes);
	if (*state)
		config.bytes_per_second = 1000, config.bytes_burst = 10000;
	relay = relay_new(&config);
	return 0;
}

static void leave(int i)
{
	relay_leave(connections[i].client, NOW);
	connections[i].client = NULL;
}

static int close_relay(void **state)
{
	(void)state;
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		if (connections[i].client)
			leave(i);
		buf_done(&connections[i].trace);
		connections[i] = (struct connection) { 0 };
	}
	assert_int_equal(relay_count(relay).unsent_bytes, 0);
	assert_int_equal(relay_count(relay).contacts, 0);
	relay_free(relay);
	return 0;
}

static void join(int i, char name, bool is_mesh)
{
	struct relay_joining joining = { .key = key_of(name), .info = { .version = 2 } };

	joining.info.has_mesh_key = is_mesh;
	joining.info.mesh_key = key_of('m');
	connections[i].client = relay_join(relay, &connections[i], &joining, NOW);
	assert_non_null(connections[i].client);
}

/* What connection `i` got since the last time. */
static void expect(int i, const char *trace)
{
	buf_add(&connections[i].trace, "", 1);
	assert_string_equal((const char *)connections[i].trace.data, trace);
	buf_clear(&connections[i].trace);
}

static enum err frame(int i, uint8_t type, struct slice payload)
{
	uint64_t wait_ms;

	return relay_frame(connections[i].client, type, payload, NOW, &wait_ms);
}

static enum err send_bytes(int i, char to, struct slice packet)
{
	struct buf b = { 0 };
	struct mesh_key key = key_of(to);

	buf_add(&b, key.bytes, sizeof(key.bytes));
	buf_add_slice(&b, packet);
	enum err err = frame(i, DERP_SEND_PACKET, buf_slice(&b));
	buf_done(&b);
	return err;
}

static void send(int i, char to, const char *packet)
{
	assert_int_equal(send_bytes(i, to, slice_from(packet)), OK);
}

static void send_disco(int i, char to)
{
	uint8_t packet[64] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };

	assert_int_equal(send_bytes(i, to, (struct slice) { packet, sizeof(packet) }), OK);
}

/* --- packets ---------------------------------------------------------------------------------- */
static void test_a_packet_goes_to_the_key_it_names(void **state)
{
	(void)state;
	join(0, 'a', false);
	join(1, 'b', false);
	send(0, 'b', "hello");
	send(0, 'a', "self");
	expect(0, "info a:self ");
	expect(1, "info a:hello ");
}

static void test_only_who_looks_for_a_path_hears_that_nobody_is_there(void **state)
{
	(void)state;
	join(0, 'a', false);
	send(0, 'x', "data");
	expect(0, "info ");
	for (int i = 0; i < 5; i++)
		send_disco(0, 'x');
	expect(0, "gone(x,1) gone(x,1) gone(x,1) "); /* and not too often */
	assert_int_equal(relay_count(relay).dropped_unknown, 6);
}

static void test_who_got_packets_hears_that_the_sender_went(void **state)
{
	(void)state;
	join(0, 'a', false);
	join(1, 'b', false);
	join(2, 'c', false);
	send(0, 'b', "1");
	send(0, 'b', "2");
	send(1, 'c', "3");
	leave(0);
	expect(1, "info a:1 a:2 gone(a,0) ");
	expect(2, "info b:3 ");
}

static void test_contacts_of_a_client_are_bounded(void **state)
{
	(void)state;
	join(0, 'a', false);
	for (int i = 0; i < 5; i++) {
		join(1, 'b', false);
		send(1, 'a', "x");
		leave(1);
	}
	expect(0, "info b:x gone(b,0) b:x gone(b,0) b:x gone(b,0) b:x gone(b,0) b:x gone(b,0) ");
	/* A relay forwards for more senders than a client is told of. */
	join(2, 'm', true);
	for (int i = 0; i < RELAY_CONTACTS_MAX + 10; i++) {
		uint8_t payload[64 + 1];
		struct mesh_key from = key_of(0);
		put_u32(from.bytes, (uint32_t)i + 1);
		relay_add_forwarder(relay, &from, &connections[3]);
		memcpy(payload, from.bytes, 32);
		memset(payload + 32, 'a', 32);
		payload[64] = '.';
		struct slice all = { payload, sizeof(payload) };
		assert_int_equal(frame(2, DERP_FORWARD_PACKET, all), OK);
	}
	assert_int_equal(relay_count(relay).contacts, RELAY_CONTACTS_MAX);
}

static void test_the_client_that_talks_is_the_one_of_its_key(void **state)
{
	(void)state;
	join(0, 'a', false);
	join(1, 'd', false);
	join(2, 'd', false);
	send(0, 'd', "1"); /* the newest connection */
	send(1, 'a', "2");
	send(0, 'd', "3"); /* the one that talked */
	leave(2);
	expect(1, "info unwell a:3 well ");
	expect(2, "info unwell a:1 ");
	leave(1);
	expect(0, "info d:2 gone(d,0) ");
}

static void test_one_key_does_not_fill_the_relay(void **state)
{
	(void)state;
	for (int i = 0; i < RELAY_CLIENTS_PER_KEY_MAX; i++)
		join(i, 'd', false);
	assert_false(connections[0].is_closed);
	join(RELAY_CLIENTS_PER_KEY_MAX, 'd', false);
	assert_true(connections[0].is_closed);
	assert_false(connections[1].is_closed);
	join(RELAY_CLIENTS_PER_KEY_MAX + 1, 'd', false); /* before the first has left */
	assert_true(connections[1].is_closed);
	assert_false(connections[2].is_closed);
}

/* --- slow readers ----------------------------------------------------------------------------- */
static void test_a_slow_reader_loses_the_oldest_packets_and_disco_passes(void **state)
{
	char text[16];

	(void)state;
	join(0, 'a', false);
	join(1, 'b', false);
	connections[1].is_stuck = true;
	connections[1].unsent = RELAY_UNSENT_BYTES_MAX;
	for (int i = 0; i < RELAY_QUEUE_PACKETS_MAX + 3; i++) {
		snprintf(text, sizeof(text), "%d", i);
		send(0, 'b', text);
	}
	send_disco(0, 'b');
	expect(1, "info ");
	assert_int_equal(relay_count(relay).dropped_full, 3);
	connections[1].unsent = 0;
	connections[1].is_stuck = false;
	relay_drained(connections[1].client);
	buf_add(&connections[1].trace, "", 1);
	assert_int_equal(strncmp((char *)connections[1].trace.data, "a:TS", 4), 0);
	assert_non_null(strstr((char *)connections[1].trace.data, "a:3 a:4 a:5 "));
	assert_null(strstr((char *)connections[1].trace.data, "a:2 "));
	assert_int_equal(relay_count(relay).unsent_bytes, 0);
}

static void test_what_waits_is_bounded_and_less_while_memory_is_short(void **state)
{
	static uint8_t big[60 * 1024];
	struct slice packet = { big, sizeof(big) };

	(void)state;
	join(0, 'a', false);
	join(1, 'b', false);
	join(2, 'c', false);
	connections[1].is_stuck = connections[2].is_stuck = true;
	for (int i = 0; i < 100; i++)
		assert_int_equal(send_bytes(0, 'b', packet), OK);
	size_t of_b = relay_count(relay).unsent_bytes;
	assert_true(of_b <= RELAY_UNSENT_BYTES_MAX + (1 + RELAY_QUEUE_PACKETS_MAX) * 64 * 1024);
	/* Somebody has it all. */
	connections[1].unsent = RELAY_UNSENT_BYTES_TOTAL_MAX;
	assert_int_equal(send_bytes(0, 'b', packet), OK);
	size_t of_all = relay_count(relay).unsent_bytes;
	for (int i = 0; i < 100; i++)
		assert_int_equal(send_bytes(0, 'c', packet), OK);
	assert_true(relay_count(relay).unsent_bytes - of_all <=
		    RELAY_UNSENT_BYTES_MIN + 64 * 1024 + RELAY_QUEUE_BYTES_MIN);
	connections[1].unsent = of_b;
}

static void test_who_takes_nothing_is_closed_in_time(void **state)
{
	(void)state;
	join(0, 'a', false);
	join(1, 'b', false);
	connections[1].is_stuck = true;
	send(0, 'b', "1");
	relay_tick(relay, NOW + RELAY_WRITE_MS);
	assert_false(connections[1].is_closed);
	connections[1].sent++; /* a byte left */
	relay_tick(relay, NOW + RELAY_WRITE_MS + 1);
	relay_tick(relay, NOW + 2 * RELAY_WRITE_MS);
	assert_false(connections[1].is_closed);
	relay_tick(relay, NOW + 2 * RELAY_WRITE_MS + 2);
	assert_true(connections[1].is_closed);
	assert_false(connections[0].is_closed);
	send(0, 'b', "2"); /* to one that ends */
	expect(1, "info a:1 ");
}

/* --- relays of a region ----------------------------------------------------------------------- */
static void test_a_watcher_sees_who_comes_and_goes(void **state)
{
	(void)state;
	join(0, 'a', false);
	join(1, 'r', true);
	assert_int_equal(frame(1, DERP_WATCH_CONNS, SLICE("")), OK);
	join(2, 'b', false);
	leave(0);
	expect(1, "info present(a,1) present(r,3) present(b,1) gone(a,0) ");
}

static void test_packets_go_to_the_relay_that_has_the_key(void **state)
{
	struct mesh_key b = key_of('b');

	(void)state;
	join(0, 'a', false);
	relay_add_forwarder(relay, &b, &connections[5]);
	relay_add_forwarder(relay, &b, &connections[5]);
	send(0, 'b', "far");
	expect(5, "a>b:far ");
	join(1, 'b', false); /* it came here */
	send(0, 'b', "near");
	expect(1, "info a:near ");
	leave(1);
	send(0, 'b', "far");
	relay_remove_forwarder(relay, &b, &connections[5]);
	send(0, 'b', "nowhere");
	expect(5, "a>b:far ");
	assert_int_equal(relay_count(relay).forwarded_keys, 0);
}

static void test_what_other_relays_claim_to_have_is_bounded(void **state)
{
	struct mesh_key key = key_of('k');

	(void)state;
	for (uint32_t i = 0; i < RELAY_FORWARDED_MAX + 10; i++) {
		put_u32(key.bytes, i);
		relay_add_forwarder(relay, &key, &connections[5]);
	}
	assert_int_equal(relay_count(relay).keys, RELAY_FORWARDED_MAX);
	relay_drop_forwarder(relay, &connections[5]);
	assert_int_equal(relay_count(relay).keys, 0);
}

static void test_what_was_forwarded_is_not_forwarded_again(void **state)
{
	uint8_t payload[64 + 5];
	struct mesh_key b = key_of('b');

	(void)state;
	join(0, 'r', true);
	join(1, 'c', false);
	relay_add_forwarder(relay, &b, &connections[5]);
	memset(payload, 'a', 32);
	memset(payload + 32, 'b', 32);
	memcpy(payload + 64, "hello", 5);
	struct slice all = { payload, sizeof(payload) };
	assert_int_equal(frame(0, DERP_FORWARD_PACKET, all), OK);
	memset(payload + 32, 'c', 32);
	assert_int_equal(frame(0, DERP_FORWARD_PACKET, all), OK);
	expect(1, "info a:hello ");
	expect(5, "");
	relay_drop_forwarder(relay, &connections[5]);
	assert_int_equal(relay_count(relay).keys, 2);
}

static void test_only_relays_may_do_what_relays_do(void **state)
{
	struct mesh_key b = key_of('b');
	uint8_t payload[64] = { 0 };
	struct slice all = { payload, sizeof(payload) };

	(void)state;
	join(0, 'a', false);
	join(1, 'b', false);
	assert_int_equal(frame(0, DERP_WATCH_CONNS, SLICE("")), ERR_DENIED);
	assert_int_equal(frame(0, DERP_CLOSE_PEER, (struct slice) { b.bytes, 32 }), ERR_DENIED);
	assert_int_not_equal(frame(0, DERP_FORWARD_PACKET, all), OK);
	assert_false(connections[1].is_closed);
	join(2, 'r', true);
	assert_int_equal(frame(2, DERP_CLOSE_PEER, (struct slice) { b.bytes, 32 }), OK);
	assert_true(connections[1].is_closed);
}

/* --- the rest --------------------------------------------------------------------------------- */
static void test_everybody_hears_from_time_to_time_that_the_relay_lives(void **state)
{
	(void)state;
	join(0, 'a', false);
	relay_tick(relay, NOW + RELAY_KEEP_ALIVE_MS - 1);
	expect(0, "info ");
	relay_tick(relay, NOW + RELAY_KEEP_ALIVE_MS + RELAY_JITTER_MS);
	expect(0, "alive ");
	relay_announce_restart(relay, 10, 20000);
	expect(0, "restart(10,20000) ");
}

static void test_pings_are_answered_and_unknown_frames_passed_over(void **state)
{
	(void)state;
	join(0, 'a', false);
	assert_int_equal(frame(0, DERP_PING, SLICE("12345678+")), OK);
	assert_int_equal(frame(0, DERP_PING, SLICE("1234567")), ERR_INVALID);
	assert_int_equal(frame(0, 0x77, SLICE("of the future")), OK);
	assert_int_equal(frame(0, DERP_NOTE_PREFERRED, SLICE("")), ERR_INVALID);
	expect(0, "info pong(12345678) ");
}

static void test_who_sends_too_fast_is_not_read_for_a_while(void **state)
{
	static uint8_t payload[6000];
	struct slice all = { payload, sizeof(payload) };
	uint64_t wait_ms = 1;

	(void)state;
	join(0, 'a', false);
	assert_int_equal(relay_frame(connections[0].client, DERP_SEND_PACKET, all, NOW, &wait_ms),
			 OK);
	assert_int_equal(wait_ms, 0);
	assert_int_equal(relay_frame(connections[0].client, DERP_SEND_PACKET, all, NOW, &wait_ms),
			 OK);
	assert_in_range(wait_ms, 2000, 2100); /* 2010 bytes too many, 1000 a second */
	join(1, 'r', true);		      /* a relay carries many */
	for (int i = 0; i < 10; i++) {
		enum err err =
			relay_frame(connections[1].client, DERP_SEND_PACKET, all, NOW, &wait_ms);
		assert_int_equal(err, OK);
		assert_int_equal(wait_ms, 0);
	}
}

int main(void)
{
	static int limited = 1;
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_relay, close_relay)
		TEST(test_a_packet_goes_to_the_key_it_names),
		TEST(test_only_who_looks_for_a_path_hears_that_nobody_is_there),
		TEST(test_who_got_packets_hears_that_the_sender_went),
		TEST(test_contacts_of_a_client_are_bounded),
		TEST(test_the_client_that_talks_is_the_one_of_its_key),
		TEST(test_one_key_does_not_fill_the_relay),
		TEST(test_a_slow_reader_loses_the_oldest_packets_and_disco_passes),
		TEST(test_what_waits_is_bounded_and_less_while_memory_is_short),
		TEST(test_who_takes_nothing_is_closed_in_time),
		TEST(test_a_watcher_sees_who_comes_and_goes),
		TEST(test_packets_go_to_the_relay_that_has_the_key),
		TEST(test_what_other_relays_claim_to_have_is_bounded),
		TEST(test_what_was_forwarded_is_not_forwarded_again),
		TEST(test_only_relays_may_do_what_relays_do),
		TEST(test_everybody_hears_from_time_to_time_that_the_relay_lives),
		TEST(test_pings_are_answered_and_unknown_frames_passed_over),
		cmocka_unit_test_prestate_setup_teardown(
			test_who_sends_too_fast_is_not_read_for_a_while, open_relay, close_relay,
			&limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
