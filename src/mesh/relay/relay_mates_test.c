/* Two relays of one region, which pass on what is for a client of the other. */
#include "mesh/relay/relay_mates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/text.h"
#include "loop/timer.h"
#include "loop/tls_certificate.h"
#include "wire/crypto/x25519.h"

enum { WAIT_MS = 60000 };

struct side {
	struct tls_identity *identity;
	struct relay_port *port;
	struct relay_mates *mates;
	struct relay_mate where;
	struct mesh_key secret;
	/* its client */
	struct derp_link *link;
	struct mesh_key client_secret, client;
	struct buf trace;
	bool is_open;
};

static struct loop *loop;
static struct side sides[2];
static struct mesh_key mesh_key;

static struct mesh_key draw(struct mesh_key *ret_public)
{
	struct mesh_key secret;

	random_bytes(secret.bytes, sizeof(secret.bytes));
	x25519_clamp(secret.bytes);
	x25519_public(secret.bytes, ret_public->bytes);
	return secret;
}

static void open_side(struct side *s)
{
	static const char *const hosts[] = { "127.0.0.1" };
	struct relay_port_config config = { .host = "127.0.0.1", .name = "x" };
	struct buf certificate = { 0 }, key = { 0 };
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
	char hex[2 * TLS_FINGERPRINT_BYTES + 1], text[128], why[TASK_WHY_BYTES];
	struct mesh_key own;

	s->secret = config.secret = draw(&own);
	config.has_mesh_key = true;
	config.mesh_key = mesh_key;
	assert_int_equal(tls_certificate_make(hosts, 1, &certificate, &key), OK);
	assert_int_equal(tls_identity_new_server(buf_slice(&certificate), buf_slice(&key),
						 &s->identity, why),
			 OK);
	config.identity = s->identity;
	assert_int_equal(relay_port_open(loop, &config, &s->port, why), OK);
	tls_identity_fingerprint(s->identity, fingerprint);
	hex_encode(hex, (struct slice) { fingerprint, sizeof(fingerprint) });
	snprintf(text, sizeof(text), "127.0.0.1:%u=%s", relay_port_number(s->port), hex);
	assert_int_equal(relay_mate_parse(text, &s->where), OK);
	buf_done(&certificate);
	buf_done(&key);
}

static void on_open(void *context, struct derp_link *link)
{
	(void)link;
	((struct side *)context)->is_open = true;
}

static void on_frame(void *context, struct derp_link *link, uint8_t type, struct slice payload)
{
	struct side *s = context;

	(void)link;
	if (type == DERP_RECEIVE_PACKET)
		buf_add_format(&s->trace, "%.*s ", SLICE_ARG(slice_part(payload, 32, 20)));
	else if (type == DERP_PEER_GONE)
		buf_add_format(&s->trace, "gone(%d) ", payload.data[32]);
}

static void on_end(void *context, struct derp_link *link, const char *why)
{
	(void)link;
	fail_msg("client %d: %s", (int)((struct side *)context - sides), why);
}

static const struct derp_link_owner owner = {
	.on_open = on_open,
	.on_frame = on_frame,
	.on_end = on_end,
};

static void open_client(struct side *s)
{
	struct derp_node node = { .host = "127.0.0.1" };
	struct derp_link_config config = {
		.address = "127.0.0.1",
		.port = relay_port_number(s->port),
		.host = "127.0.0.1",
		.dial_ms = 5000,
		.info = { .version = 2 },
		.owner = &owner,
		.context = s,
	};

	s->client_secret = draw(&s->client);
	memcpy(node.certificate, s->where.certificate, sizeof(node.certificate));
	assert_int_equal(derp_link_identity(&node, &config.identity), OK);
	config.secret = s->client_secret;
	config.own = s->client;
	s->link = derp_link_start(loop, &config);
}

#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		uint64_t end = loop_now_ms(loop) + WAIT_MS;                                        \
		while (!(condition)) {                                                             \
			assert_true(loop_now_ms(loop) < end);                                      \
			loop_turn(loop);                                                           \
		}                                                                                  \
	} while (0)

static void send(struct side *from, const struct side *to, const char *text)
{
	uint8_t head[DERP_HEAD_BYTES + DERP_KEY_BYTES];

	derp_put_head(head, DERP_SEND_PACKET, DERP_KEY_BYTES + strlen(text));
	memcpy(head + DERP_HEAD_BYTES, to->client.bytes, DERP_KEY_BYTES);
	derp_link_write(from->link, (struct slice) { head, sizeof(head) }, slice_from(text));
}

static bool has(struct side *s, const char *text)
{
	return s->trace.size >= strlen(text) &&
	       memmem(s->trace.data, s->trace.size, text, strlen(text));
}

static void test_packets_cross_the_region_one_hop(void **state)
{
	(void)state;
	loop = loop_new(1);
	random_bytes(mesh_key.bytes, sizeof(mesh_key.bytes));
	for (int i = 0; i < 2; i++)
		open_side(&sides[i]);
	for (int i = 0; i < 2; i++)
		sides[i].mates = relay_mates_new(loop, sides[i].port, &sides[i].secret, &mesh_key,
						 &sides[!i].where, 1);
	for (int i = 0; i < 2; i++)
		open_client(&sides[i]);
	WAIT_FOR(sides[0].is_open && sides[1].is_open);
	WAIT_FOR(relay_mates_connected(sides[0].mates) && relay_mates_connected(sides[1].mates));
	WAIT_FOR(relay_port_count(sides[0].port).forwarded_keys == 1 &&
		 relay_port_count(sides[1].port).forwarded_keys == 1);
	send(&sides[0], &sides[1], "there");
	WAIT_FOR(has(&sides[1], "there "));
	send(&sides[1], &sides[0], "and back");
	WAIT_FOR(has(&sides[0], "and back "));
	/* Who goes there is gone here. */
	derp_link_close(sides[1].link);
	sides[1].link = NULL;
	WAIT_FOR(has(&sides[0], "gone(0) "));
	/* A relay that goes takes its clients with it. */
	open_client(&sides[1]);
	WAIT_FOR(relay_port_count(sides[0].port).forwarded_keys == 1);
	derp_link_close(sides[1].link);
	sides[1].link = NULL;
	relay_mates_free(sides[0].mates);
	sides[0].mates = NULL;
	assert_int_equal(relay_port_count(sides[0].port).forwarded_keys, 0);
	relay_mates_free(sides[1].mates);
	sides[1].mates = NULL;
	derp_link_close(sides[0].link);
	for (int i = 0; i < 2; i++)
		relay_port_close(sides[i].port);
	loop_run(loop);
	loop_free(loop);
	for (int i = 0; i < 2; i++) {
		tls_identity_free(sides[i].identity);
		buf_done(&sides[i].trace);
	}
}

static void test_a_mate_is_a_place_and_maybe_a_certificate(void **state)
{
	static const char digits[] =
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	struct relay_mate mate;
	char text[128];

	(void)state;
	assert_int_equal(relay_mate_parse("relay.example:8643", &mate), OK);
	assert_string_equal(mate.host, "relay.example");
	assert_int_equal(mate.port, 8643);
	assert_string_equal(mate.certificate, "");
	snprintf(text, sizeof(text), "[2001:db8::7]:443=%s", digits);
	assert_int_equal(relay_mate_parse(text, &mate), OK);
	assert_string_equal(mate.host, "2001:db8::7");
	assert_int_equal(strlen(mate.certificate), 75);
	text[strlen(text) - 1] = 0;
	assert_int_equal(relay_mate_parse(text, &mate), ERR_INVALID);
	assert_int_equal(relay_mate_parse("relay.example:8643=", &mate), ERR_INVALID);
	assert_int_equal(relay_mate_parse("relay.example", &mate), ERR_INVALID);
	assert_int_equal(relay_mate_parse("", &mate), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_cross_the_region_one_hop),
		cmocka_unit_test(test_a_mate_is_a_place_and_maybe_a_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
