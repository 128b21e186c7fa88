/* A relay at a port of this machine, and our own clients over TLS; what other programs do to the
 * port is tested with raw streams. */
#include "mesh/relay/relay_port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/endian.h"
#include "base/text.h"
#include "loop/timer.h"
#include "loop/tls_certificate.h"
#include "mesh/relay/derp_client.h"
#include "wire/crypto/x25519.h"

enum { REGION = 900, WAIT_MS = 60000, CLIENTS_MAX = 4 };

struct someone {
	struct derp_client *client;
	struct mesh_key secret, own;
	struct buf trace;
	int connected;
};

static struct loop *loop;
static struct relay_port *port;
static struct tls_identity *identity;
static struct derp_region region;
static struct derp_map map = { 1, &region };
static struct someone people[CLIENTS_MAX];
static const char *awaited; /* what somebody's trace has to contain for the loop to stop */
static struct someone *awaited_of;
static struct relay_admission *asked; /* when admission is not immediate */

/* --- people ----------------------------------------------------------------------------------- */
static char name_of(const struct mesh_key *key)
{
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (mesh_key_equal(key, &people[i].own))
			return (char)('a' + i);
	return '?';
}

static void look(void)
{
	if (!awaited)
		return;
	buf_add(&awaited_of->trace, "", 1);
	awaited_of->trace.size--;
	if (strstr((char *)awaited_of->trace.data, awaited))
		loop_stop(loop);
}

static void on_packet(void *context, int id, const struct mesh_key *from, struct slice packet)
{
	struct someone *s = context;

	assert_int_equal(id, REGION);
	if (packet.size > 20)
		buf_add_format(&s->trace, "%c:%zu bytes ", name_of(from), packet.size);
	else
		buf_add_format(&s->trace, "%c:%.*s ", name_of(from), SLICE_ARG(packet));
	look();
}

static void on_peer_gone(void *context, int id, const struct mesh_key *peer, uint8_t reason)
{
	struct someone *s = context;

	(void)id;
	buf_add_format(&s->trace, "gone(%c,%d) ", name_of(peer), reason);
	look();
}

static void on_connected(void *context, int id)
{
	struct someone *s = context;

	assert_true(derp_client_is_connected(s->client, id));
	buf_add_text(&s->trace, "connected ");
	look();
}

static void on_disconnected(void *context, int id, const char *why)
{
	struct someone *s = context;

	(void)id;
	buf_add_format(&s->trace, "lost(%s) ", why);
	look();
}

static void on_latency(void *context, int id, uint64_t latency_us)
{
	struct someone *s = context;

	(void)id;
	buf_add_text(&s->trace, latency_us ? "measured " : "no answer ");
	look();
}

static struct someone *open_client(int i)
{
	struct someone *s = &people[i];
	struct derp_client_config config = {
		.context = s,
		.on_packet = on_packet,
		.on_peer_gone = on_peer_gone,
		.on_connected = on_connected,
		.on_disconnected = on_disconnected,
		.on_latency = on_latency,
	};

	random_bytes(s->secret.bytes, sizeof(s->secret.bytes));
	x25519_clamp(s->secret.bytes);
	x25519_public(s->secret.bytes, s->own.bytes);
	config.secret = s->secret;
	config.own = s->own;
	s->client = derp_client_new(loop, &config);
	derp_client_set_map(s->client, &map);
	return s;
}

static void on_timeout(struct timer *t)
{
	(void)t;
	fail_msg("\"%s\" did not come, but: %.*s", awaited ? awaited : "",
		 SLICE_ARG(awaited_of ? buf_slice(&awaited_of->trace) : SLICE("")));
}

static void wait_for(struct someone *s, const char *text)
{
	struct timer timeout = { 0 };

	awaited = text;
	awaited_of = s;
	timer_set(&timeout, loop, loop_now_ms(loop) + WAIT_MS, on_timeout);
	loop_run(loop);
	timer_clear(&timeout);
	awaited = NULL;
}

static void turn(int ms)
{
	uint64_t until = loop_now_ms(loop) + (uint64_t)ms;

	while (loop_now_ms(loop) < until)
		loop_turn(loop);
}

/* --- the relay -------------------------------------------------------------------------------- */
static void on_admission(void *context, struct relay_admission *a)
{
	(void)context;
	asked = a;
	loop_stop(loop);
}

static void on_admission_void(void *context, struct relay_admission *a)
{
	(void)context;
	assert_ptr_equal(asked, a);
	asked = NULL;
}

static void open_port(bool asks, bool is_fast, uint16_t number)
{
	static const char *const hosts[] = { "127.0.0.1" };
	struct relay_port_config config = { .host = "127.0.0.1", .port = number, .name = "900a" };
	struct buf certificate = { 0 }, key = { 0 };
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
	char name[DERP_KEY_NAME_BYTES], why[TASK_WHY_BYTES];
	struct mesh_key own;

	memset(config.secret.bytes, 'S', 32);
	x25519_clamp(config.secret.bytes);
	x25519_public(config.secret.bytes, own.bytes);
	assert_int_equal(tls_certificate_make(hosts, 1, &certificate, &key), OK);
	assert_int_equal(tls_identity_new_server(buf_slice(&certificate), buf_slice(&key),
						 &identity, why),
			 OK);
	derp_key_name(&own, name);
	if (is_fast)
		tls_identity_add_notice(identity, name, DERP_VERSION);
	config.identity = identity;
	if (asks) {
		config.on_admission = on_admission;
		config.on_admission_void = on_admission_void;
	}
	assert_int_equal(relay_port_open(loop, &config, &port, why), OK);
	region = (struct derp_region) { .id = REGION, .node_count = 1 };
	region.nodes[0] = (struct derp_node) { .name = "900a",
					       .host = "relay.example",
					       .ipv4 = "127.0.0.1",
					       .ipv6 = "none",
					       .derp_port = relay_port_number(port) };
	tls_identity_fingerprint(identity, fingerprint);
	memcpy(region.nodes[0].certificate, "sha256-raw:", 12);
	hex_encode(region.nodes[0].certificate + 11,
		   (struct slice) { fingerprint, sizeof(fingerprint) });
	buf_done(&certificate);
	buf_done(&key);
}

static void close_port(void)
{
	relay_port_close(port);
	tls_identity_free(identity);
	port = NULL;
}

static int set_up(void **state)
{
	(void)state;
	loop = loop_new(1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < CLIENTS_MAX; i++) {
		if (people[i].client)
			derp_client_free(people[i].client);
		buf_done(&people[i].trace);
		people[i] = (struct someone) { 0 };
	}
	if (port)
		close_port();
	loop_run(loop);
	loop_free(loop);
	return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */
static void exchange(void)
{
	static uint8_t big[DERP_PACKET_BYTES_MAX];
	struct someone *a = open_client(0), *b = open_client(1);

	derp_client_set_home(b->client, REGION);
	wait_for(b, "connected");
	/* On demand: it waits for the connection. */
	assert_true(derp_client_send(a->client, REGION, &b->own, SLICE("hello")));
	wait_for(b, "a:hello");
	derp_client_measure(a->client, REGION);
	wait_for(a, "measured");
	assert_true(
		derp_client_send(b->client, REGION, &a->own, (struct slice) { big, sizeof(big) }));
	wait_for(a, "b:65536 bytes");
	assert_false(derp_client_send(b->client, REGION, &a->own,
				      (struct slice) { big, sizeof(big) + 1 }));
	assert_false(derp_client_send(b->client, 901, &a->own, SLICE("nowhere")));
	derp_client_free(b->client);
	b->client = NULL;
	wait_for(a, "gone(b,0)");
	struct relay_counts counts = relay_port_count(port);
	assert_int_equal(counts.packets_out, 2);
	assert_int_equal(counts.clients, 1);
}

static void test_two_machines_meet_at_a_relay_with_a_fast_start(void **state)
{
	(void)state;
	open_port(false, true, 0);
	exchange();
}

static void test_two_machines_meet_at_a_relay_without(void **state)
{
	(void)state;
	open_port(false, false, 0);
	exchange();
}

static void test_a_relay_that_is_not_the_one_of_the_map_is_not_talked_to(void **state)
{
	(void)state;
	open_port(false, true, 0);
	region.nodes[0].certificate[20] = region.nodes[0].certificate[20] == '0' ? '1' : '0';
	struct someone *a = open_client(0);
	derp_client_set_home(a->client, REGION);
	wait_for(a, "its certificate is not one that is believed");
	assert_int_equal(relay_port_count(port).clients, 0);
}

static void test_only_admitted_keys_come_in(void **state)
{
	(void)state;
	open_port(true, true, 0);
	struct someone *a = open_client(0);
	derp_client_set_home(a->client, REGION);
	wait_for(a, "never"); /* until admission is asked for */
	assert_non_null(asked);
	assert_true(mesh_key_equal(&asked->key, &a->own));
	relay_port_admit(asked, false);
	wait_for(a, "before it let us in");
	wait_for(a, "never"); /* it tries again */
	relay_port_admit(asked, true);
	wait_for(a, "connected");
}

static void test_who_goes_before_the_answer_is_forgotten(void **state)
{
	(void)state;
	open_port(true, true, 0);
	struct someone *a = open_client(0);
	derp_client_set_home(a->client, REGION);
	wait_for(a, "never");
	derp_client_free(a->client);
	a->client = NULL;
	turn(50);
	if (asked) /* the end of a stream that is paused is not told */
		relay_port_admit(asked, true);
	turn(50);
	assert_int_equal(relay_port_count(port).clients, 0);
}

static void test_a_relay_that_stops_says_so_and_is_found_again(void **state)
{
	uint16_t number;

	(void)state;
	open_port(false, true, 0);
	number = relay_port_number(port);
	struct someone *a = open_client(0);
	derp_client_set_home(a->client, REGION);
	wait_for(a, "connected");
	close_port();
	wait_for(a, "lost(the relay closed the connection)");
	buf_clear(&a->trace);
	open_port(false, true, number);
	derp_client_set_map(a->client, &map); /* it has another certificate now */
	derp_client_set_home(a->client, REGION);
	wait_for(a, "connected");
}

/* --- other programs --------------------------------------------------------------------------- */
struct visitor {
	struct task task;
	struct connect connect;
	struct tls_identity *identity;
	struct slice request;
	struct buf got;
	size_t enough_bytes; /* 0: until the port closes */
	bool is_over;
};

static void on_visitor_readable(void *context, struct stream *s)
{
	struct visitor *v = context;

	buf_add_slice(&v->got, stream_inbox(s));
	stream_consume(s, stream_inbox(s).size);
	if (v->enough_bytes && v->got.size >= v->enough_bytes)
		loop_stop(loop);
}

static void on_visitor_end(void *context, struct stream *s, enum err err)
{
	struct visitor *v = context;

	(void)s;
	(void)err;
	v->is_over = true;
	loop_stop(loop);
}

static const struct stream_owner visitor_owner = {
	.on_readable = on_visitor_readable,
	.on_end = on_visitor_end,
};

static enum step visitor_step(struct task *t)
{
	struct visitor *v = CONTAINER(t, struct visitor, task);

	if (t->at == 0) {
		connect_tls(&v->connect, t, "127.0.0.1", relay_port_number(port), v->identity);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	assert_int_equal(v->connect.task.err, OK);
	stream_write(v->connect.ret, v->request);
	stream_set_owner(v->connect.ret, &visitor_owner, v);
	return task_done(t, OK);
}

static const struct task_kind visitor_kind = {
	.name = "visitor",
	.places = (const char *const[]) { "start", "connecting" },
	.place_count = 2,
	.step = visitor_step,
};

/* What the port says to these bytes until it closes, or until it is enough; with a NUL. */
static struct buf visit(struct slice request, size_t enough_bytes)
{
	struct visitor v = { .request = request, .enough_bytes = enough_bytes };
	struct timer timeout = { 0 };

	v.identity = tls_identity_new_client(TLS_TRUST_ANYBODY, "127.0.0.1", NULL);
	task_start_root(&v.task, &visitor_kind, loop);
	timer_set(&timeout, loop, loop_now_ms(loop) + WAIT_MS, on_timeout);
	loop_run(loop);
	timer_clear(&timeout);
	assert_true(v.is_over || enough_bytes);
	stream_close(v.connect.ret);
	turn(5);
	tls_identity_free(v.identity);
	buf_add(&v.got, "", 1);
	return v.got;
}

static void expect(const char *request, const char *first, const char *also)
{
	struct buf got = visit(slice_from(request), 0);

	assert_int_equal(strncmp((char *)got.data, first, strlen(first)), 0);
	assert_non_null(strstr((char *)got.data, also));
	buf_done(&got);
}

static void test_probes_are_answered(void **state)
{
	(void)state;
	open_port(false, true, 0);
	expect("GET /derp/probe HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 ",
	       "Access-Control-Allow-Origin: *\r\n");
	expect("HEAD /derp/latency-check HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 ",
	       "Content-Length: 3\r\n");
	expect("GET /generate_204 HTTP/1.1\r\nX-Tailscale-Challenge: ts_a.b:c-9\r\n"
	       "Connection: close\r\n\r\n",
	       "HTTP/1.1 204 ", "X-Tailscale-Response: response ts_a.b:c-9\r\n");
	struct buf got = visit(SLICE("GET /generate_204 HTTP/1.1\r\n"
				     "X-Tailscale-Challenge: a<b\r\nConnection: close\r\n\r\n"),
			       0);
	assert_null(strstr((char *)got.data, "X-Tailscale-Response"));
	buf_done(&got);
	expect("GET /derp HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 426 ", "upgrade");
	expect("GET /derp HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
	       "HTTP/1.1 426 ", "upgrade");
	expect("POST /derp HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 405 ", "");
	expect("GET /other HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 ", "");
}

#define UPGRADE "GET /derp HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: DERP\r\n\r\n"

static void test_who_does_not_say_who_it_is_gets_the_key_and_no_more(void **state)
{
	enum { HEAD_BYTES = 172, KEY_FRAME_BYTES = DERP_HEAD_BYTES + 40 };
	uint8_t request[sizeof(UPGRADE) - 1 + DERP_HEAD_BYTES + 100] = UPGRADE;
	struct slice all = { request, sizeof(request) };

	(void)state;
	open_port(false, true, 0);
	struct buf got = visit(SLICE(UPGRADE), HEAD_BYTES + KEY_FRAME_BYTES);
	char *end = strstr((char *)got.data, "\r\n\r\n");
	assert_non_null(end);
	assert_non_null(strstr((char *)got.data, "Derp-Version: 2\r\nDerp-Public-Key: "));
	assert_int_equal(end[4], DERP_SERVER_KEY);
	assert_int_equal(got.size - 1, (size_t)(end + 4 - (char *)got.data) + KEY_FRAME_BYTES);
	buf_done(&got);
	/* Nobody's name; a frame that claims to be long; one that has to come later. */
	derp_put_head(request + sizeof(UPGRADE) - 1, DERP_CLIENT_INFO, 100);
	got = visit(all, 0);
	buf_done(&got);
	derp_put_head(request + sizeof(UPGRADE) - 1, DERP_CLIENT_INFO, DERP_FRAME_BYTES_MAX);
	got = visit(all, 0);
	buf_done(&got);
	derp_put_head(request + sizeof(UPGRADE) - 1, DERP_SEND_PACKET, 100);
	got = visit(all, 0);
	buf_done(&got);
	assert_int_equal(relay_port_count(port).clients, 0);
}

static void test_a_region_without_a_relay_is_said_to_be_away(void **state)
{
	(void)state;
	open_port(false, true, 0);
	region.nodes[0].is_stun_only = true;
	struct someone *a = open_client(0);
	derp_client_measure(a->client, REGION);
	wait_for(a, "no answer lost(the region has no relay)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_two_machines_meet_at_a_relay_with_a_fast_start),
		TEST(test_two_machines_meet_at_a_relay_without),
		TEST(test_a_relay_that_is_not_the_one_of_the_map_is_not_talked_to),
		TEST(test_only_admitted_keys_come_in),
		TEST(test_who_goes_before_the_answer_is_forgotten),
		TEST(test_a_relay_that_stops_says_so_and_is_found_again),
		TEST(test_probes_are_answered),
		TEST(test_who_does_not_say_who_it_is_gets_the_key_and_no_more),
		TEST(test_a_region_without_a_relay_is_said_to_be_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
