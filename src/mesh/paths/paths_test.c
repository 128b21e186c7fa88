/* The engine by itself, event by event; nat_test.c has it behind routers. */
#include "base/endian.h"
#include "mesh/paths/world_testing.h"
#include "wire/port_mapping/port_mapping.h"

static const struct paths_config plain = { .is_punch_off = true, .is_port_mapping_off = true };
static const uint64_t seed = 7;

/* --- traces: effects as text, one line each --- */

static void describe(struct buf *b, struct host *h, const struct paths_effect *e)
{
	static const char *const kinds[] = {
		"send",	     "relay",	"open", "close", "home",
		"endpoints", "netinfo", "peer", "pong",	 "lost",
	};
	char text[ENDPOINT_TEXT_BYTES], why[PATHS_WHY_BYTES];

	buf_add_format(b, "%s", kinds[e->kind]);
	if (e->kind == PATHS_SEND) {
		endpoint_text(&e->address, text);
		buf_add_format(b, " %s %s", text, stun_is_message(e->bytes) ? "stun" : "disco");
		if (e->ttl)
			buf_add_format(b, " ttl %d", e->ttl);
	}
	if (e->kind == PATHS_SEND_RELAY)
		buf_add_format(b, " %u %s", e->region,
			       disco_is_packet(e->bytes) ? "disco" : "data");
	if (e->kind == PATHS_HOME_CHANGED)
		buf_add_format(b, " %u", e->region);
	if (e->kind == PATHS_PEER_CHANGED) {
		paths_peer_why(h->paths, e->peer, h->world->now_us, why);
		buf_add_format(b, " %s", why);
	}
	buf_add_text(b, "\n");
}

/* The effects there are, which then happen to nobody. */
static void assert_effects(struct host *h, const char *expected)
{
	struct paths_effect e;
	struct buf b;

	buf_init(&b);
	while (paths_next(h->paths, &e))
		describe(&b, h, &e);
	buf_add_u8(&b, 0);
	assert_string_equal((const char *)b.data, expected);
	buf_done(&b);
}

static const char *why(const struct host *h)
{
	static char text[PATHS_WHY_BYTES];

	paths_peer_why(h->paths, h->other, h->world->now_us, text);
	return text;
}

static struct paths_route route(struct host *h)
{
	struct paths_route r;

	paths_route(h->paths, h->other, h->world->now_us, &r);
	drain(h);
	return r;
}

static int count_sends(struct host *h)
{
	struct paths_effect e;
	int count = 0;

	while (paths_next(h->paths, &e))
		count += e.kind == PATHS_SEND;
	return count;
}

/* --- finding --- */

static void test_the_first_packet_goes_by_the_relay_while_all_addresses_are_tried(void **state)
{
	struct world *w = world_new(seed, NAT_APDF, NAT_APDF, &plain);
	struct host *a = &w->hosts[0];
	struct paths_route r;

	(void)state;
	paths_route(a->paths, a->other, w->now_us, &r);
	assert_true(r.has_relay && !r.has_udp && r.region == WORLD_REGION);
	assert_effects(a, "send 203.0.113.11:41641 disco ttl 3\n"
			  "send 192.168.2.2:41641 disco\n"
			  "relay 900 disco\n");
	/* A second one does not ask again. */
	paths_route(a->paths, a->other, w->now_us + MS, &r);
	assert_true(r.has_relay && !r.has_udp);
	assert_effects(a, "");
	/* Our router is open, the peer was called; now a ping that gets there. */
	assert_true(paths_deadline_us(a->paths) == w->now_us + OPENING_US);
	paths_tick(a->paths, w->now_us + OPENING_US);
	assert_effects(a, "send 203.0.113.11:41641 disco\n");
	world_free(w);
}

static void test_a_pong_makes_the_path_direct_and_says_so(void **state)
{
	struct world *w = world_new(seed, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0];
	struct paths_route r;

	(void)state;
	assert_string_equal(why(a), "relay 900, because nobody talks to it");
	send_data(a);
	run_until(w, w->now_us + 100 * MS);
	r = route(a);
	assert_true(r.has_udp && !r.has_relay);
	assert_non_null(strstr(why(a), "direct 203.0.113.11:41641, 2"));
	assert_int_equal(a->changes, 1);
	world_free(w);
}

static void test_a_call_is_repeated_when_its_relay_comes_back(void **state)
{
	struct world *w = world_new(seed, NAT_APDF, NAT_APDF, &plain);
	struct host *a = &w->hosts[0];
	struct paths_route r;

	(void)state;
	paths_relay_up(a->paths, WORLD_REGION, MS, w->now_us);
	assert_effects(a, ""); /* nobody talks */
	paths_route(a->paths, a->other, w->now_us, &r);
	assert_int_equal(count_sends(a), 2);
	paths_relay_down(a->paths, WORLD_REGION, w->now_us);
	paths_relay_up(a->paths, WORLD_REGION, MS, w->now_us + 2 * SECOND);
	assert_effects(a, "relay 900 disco\n");
	world_free(w);
}

static void test_a_peer_without_a_home_yet_is_looked_for_at_ours(void **state)
{
	struct world *w = world_new(seed, NAT_APDF, NAT_APDF, &plain);
	struct host *a = &w->hosts[0];
	struct paths_peer_facts facts = {
		.node = { { 5 } },
		.disco = *paths_disco_public(w->hosts[1].paths),
	};
	struct paths_route r;

	(void)state;
	a->other = paths_put_peer(a->paths, &facts, w->now_us);
	paths_route(a->paths, a->other, w->now_us, &r);
	assert_true(r.has_relay && r.region == WORLD_REGION);
	assert_effects(a, "relay 900 disco\n");
	/* It tells where it is: the call goes there at once. */
	facts.home = 901;
	paths_put_peer(a->paths, &facts, w->now_us);
	assert_effects(a, "relay 901 disco\n");
	world_free(w);
}

static void test_stale_addresses_are_asked_for_again_before_a_call(void **state)
{
	struct world *w = world_new(seed, NAT_APDF, NAT_APDF, &plain);
	struct host *a = &w->hosts[0];
	struct paths_route r;

	(void)state;
	run_until(w, w->now_us + 60 * SECOND);
	paths_route(a->paths, a->other, w->now_us, &r);
	assert_effects(a, "send 203.0.113.2:3478 stun\n"
			  "send 203.0.113.3:3478 stun\n"
			  "send 203.0.113.11:41641 disco ttl 3\n"
			  "send 192.168.2.2:41641 disco\n");
	/* No server answers: the call goes all the same, not much later. */
	for (int i = 0; i < 10; i++)
		paths_tick(a->paths, w->now_us += 50 * MS);
	drain(a);
	assert_int_equal(a->relayed_disco, 1);
	world_free(w);
}

static void test_nobody_wakes_up_when_nobody_talks(void **state)
{
	struct world *w = world_new(seed, NAT_APDF, NAT_SYM, &plain);

	(void)state;
	assert_true(paths_deadline_us(w->hosts[0].paths) == UINT64_MAX);
	talk(w, 30);
	assert_true(paths_deadline_us(w->hosts[0].paths) != UINT64_MAX);
	run_until(w, w->now_us + 120 * SECOND);
	assert_true(paths_deadline_us(w->hosts[0].paths) == UINT64_MAX);
	assert_true(paths_deadline_us(w->hosts[1].paths) == UINT64_MAX);
	world_free(w);
}

/* --- trust --- */

static void test_without_pongs_packets_go_both_ways_after_6_5_seconds(void **state)
{
	struct world *w = world_new(seed, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0];
	struct paths_route r;

	(void)state;
	talk(w, 5);
	r = route(a);
	assert_true(r.has_udp && !r.has_relay);
	w->hosts[1].is_udp_blocked = true;
	talk(w, 3);
	r = route(a);
	assert_true(r.has_udp && !r.has_relay);
	talk(w, 5);
	r = route(a);
	assert_true(r.has_udp && r.has_relay);
	assert_int_equal(kind_of(a), PATHS_RELAY);
	assert_int_equal(a->changes, 2);
	w->hosts[1].is_udp_blocked = false;
	talk(w, 8);
	r = route(a);
	assert_true(r.has_udp && !r.has_relay);
	world_free(w);
}

static void test_a_path_over_which_packets_do_not_come_is_not_enough(void **state)
{
	struct world *w = world_new(seed, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0], *b = &w->hosts[1];
	int relayed;

	(void)state;
	talk(w, 5);
	assert_int_equal(kind_of(a), PATHS_DIRECT);
	b->drops_data = true; /* pings pass */
	relayed = a->heard_relay;
	talk(w, 14);
	assert_int_equal(kind_of(a), PATHS_DIRECT);
	assert_int_equal(a->heard_relay, relayed);
	talk(w, 6);
	assert_int_equal(kind_of(a), PATHS_RELAY);
	assert_true(a->heard_relay > relayed);
	assert_string_equal(why(a),
			    "relay 900, because pings get through directly, but packets do not");
	b->drops_data = false;
	talk(w, 10);
	assert_int_equal(kind_of(a), PATHS_DIRECT);
	assert_int_equal(kind_of(b), PATHS_DIRECT);
	relayed = a->heard_relay;
	talk(w, 5);
	assert_int_equal(a->heard_relay, relayed);
	world_free(w);
}

static void test_answers_that_never_come_after_a_pause_are_no_reason(void **state)
{
	struct world *w = world_new(seed, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0];

	(void)state;
	talk(w, 5);
	/* Keepalives: nobody answers them, and pauses lie between. */
	for (int i = 0; i < 6; i++) {
		send_data(a);
		run_until(w, w->now_us + 10 * SECOND);
	}
	assert_int_equal(kind_of(a), PATHS_DIRECT);
	world_free(w);
}

/* --- who is heard --- */

static struct slice sealed(struct buf *b, const struct host *from, const struct host *to,
			   const struct mesh_key *secret, const struct disco_message *m)
{
	uint8_t shared[BOX_KEY_BYTES], nonce[BOX_NONCE_BYTES] = { 1 };
	struct mesh_key sender;

	(void)from;
	buf_init(b);
	x25519_public(secret->bytes, sender.bytes);
	assert_true(box_shared(secret->bytes, paths_disco_public(to->paths)->bytes, shared));
	disco_seal(b, shared, &sender, nonce, m);
	return buf_slice(b);
}

static void receive(struct host *h, const struct endpoint *from, struct slice packet)
{
	struct paths_from way;
	struct paths_peer *peer;

	assert_int_equal(paths_received(h->paths, 0, from, &packet, h->world->now_us, &way, &peer),
			 PATHS_CONSUMED);
}

static void test_strangers_are_dropped_before_anything_is_computed(void **state)
{
	struct world *w = world_new(seed, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0], *b = &w->hosts[1];
	struct disco_message ping = { .type = DISCO_PING, .node = b->node };
	struct endpoint from = endpoint_ip4(203, 0, 113, 77, 5);
	struct mesh_key secret = { { 9, 9, 9 } };
	struct buf packet;

	(void)state;
	receive(a, &from, sealed(&packet, b, a, &secret, &ping));
	buf_done(&packet);
	assert_int_equal(a->paths->dropped_strangers, 1);
	assert_false(a->other->has_shared);
	assert_effects(a, "");
	/* The peer's key in front of somebody else's box. */
	sealed(&packet, b, a, &secret, &ping);
	memcpy(packet.data + DISCO_MAGIC_BYTES, a->other->disco.bytes, MESH_KEY_BYTES);
	receive(a, &from, buf_slice(&packet));
	buf_done(&packet);
	assert_int_equal(a->paths->dropped_strangers, 1);
	assert_effects(a, "");
	/* And the peer itself, but as another node. */
	ping.node.bytes[0] ^= 1;
	receive(a, &from, sealed(&packet, b, a, &b->disco_secret, &ping));
	buf_done(&packet);
	assert_effects(a, "");
	ping.node.bytes[0] ^= 1;
	receive(a, &from, sealed(&packet, b, a, &b->disco_secret, &ping));
	buf_done(&packet);
	assert_effects(a, "send 203.0.113.77:5 disco\nsend 203.0.113.77:5 disco\n");
	world_free(w);
}

static void test_pongs_that_answer_nothing_change_nothing(void **state)
{
	struct world *w = world_new(seed, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0], *b = &w->hosts[1];
	struct disco_message pong = { .type = DISCO_PONG, .transaction = { 1, 2, 3 } };
	struct endpoint from = endpoint_ip4(203, 0, 113, 11, MESH_PORT);
	struct buf packet;

	(void)state;
	receive(a, &from, sealed(&packet, b, a, &b->disco_secret, &pong));
	buf_done(&packet);
	assert_null(a->other->best);
	assert_effects(a, "");
	world_free(w);
}

static void call_by_relay(struct host *to, struct host *from, struct slice endpoints)
{
	struct disco_message call = { .type = DISCO_CALL_ME_MAYBE, .endpoints = endpoints };
	struct paths_from way;
	struct paths_peer *peer;
	struct buf packet;

	sealed(&packet, from, to, &from->disco_secret, &call);
	paths_relay_received(to->paths, WORLD_REGION, &from->node, buf_slice(&packet),
			     to->world->now_us, &way, &peer);
	buf_done(&packet);
}

static void test_calls_are_heard_by_relays_only_and_not_without_end(void **state)
{
	struct world *w = world_new(seed, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0], *b = &w->hosts[1];
	uint8_t bytes[ENDPOINT_WIRE_BYTES];
	struct endpoint at = endpoint_ip4(203, 0, 113, 99, 1000);
	struct disco_message call = {
		.type = DISCO_CALL_ME_MAYBE,
		.endpoints = { bytes, sizeof(bytes) },
	};
	struct buf packet;
	int sent = 0;

	(void)state;
	endpoint_put(bytes, &at);
	receive(a, &at, sealed(&packet, b, a, &b->disco_secret, &call));
	buf_done(&packet);
	assert_effects(a, "");
	call_by_relay(a, b, call.endpoints);
	assert_effects(a, "send 203.0.113.11:41641 disco\nsend 203.0.113.99:1000 disco\n");
	for (int i = 0; i < 100; i++) {
		call_by_relay(a, b, call.endpoints);
		sent += count_sends(a);
	}
	assert_int_equal(sent, 2 * (CALL_BURST - 1));
	/* The next call replaces what this one named. */
	w->now_us += 10 * SECOND;
	at.port = 1001;
	endpoint_put(bytes, &at);
	call_by_relay(a, b, call.endpoints);
	assert_effects(a, "send 203.0.113.11:41641 disco\nsend 203.0.113.99:1001 disco\n");
	world_free(w);
}

static void test_a_long_call_pings_one_address_at_a_pace_and_no_others(void **state)
{
	struct world *w = world_new(seed, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0], *b = &w->hosts[1];
	uint8_t bytes[200 * ENDPOINT_WIRE_BYTES];
	struct slice endpoints = { bytes, sizeof(bytes) };

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct endpoint at = endpoint_ip4(203, 0, 113, 99, (uint16_t)(1000 + i));

		endpoint_put(bytes + (size_t)i * ENDPOINT_WIRE_BYTES, &at);
	}
	call_by_relay(a, b, endpoints);
	assert_int_equal(count_sends(a), BURST);
	for (int left = 200 - BURST; left > 0; left -= BURST) {
		paths_tick(a->paths, w->now_us += PACE_US);
		assert_int_equal(count_sends(a), left < BURST ? left : BURST);
	}
	paths_tick(a->paths, w->now_us += PACE_US);
	assert_int_equal(count_sends(a), 0);
	call_by_relay(a, b, endpoints); /* too soon */
	assert_int_equal(count_sends(a), 0);
	/* Many addresses are not a volley: the first of them are ordinary candidates. */
	w->now_us += 30 * SECOND;
	for (int i = 0; i < 200; i++)
		bytes[(size_t)i * ENDPOINT_WIRE_BYTES + 15] = (uint8_t)(i + 1);
	call_by_relay(a, b, endpoints);
	assert_in_range(count_sends(a), 2, PATHS_PEER_ENDPOINTS_MAX + 3);
	world_free(w);
}

/* --- the own network --- */

static void test_home_is_the_fastest_and_moves_only_for_much_better(void **state)
{
	struct region regions[2] = { { .facts.id = 1 }, { .facts.id = 2 } };
	struct paths p = { .regions = regions, .region_count = 2 };
	uint64_t now_us = SECOND;

	(void)state;
	regions[0].samples[0] = (struct sample) { 40 * MS, now_us };
	regions[1].samples[0] = (struct sample) { 30 * MS, now_us };
	home_choose(&p, now_us);
	assert_int_equal(p.home, 2);
	regions[0].samples[0].latency_us = 21 * MS; /* less than a third better */
	home_choose(&p, now_us);
	assert_int_equal(p.home, 2);
	regions[0].samples[0].latency_us = 9 * MS;
	home_choose(&p, now_us);
	assert_int_equal(p.home, 1);
	regions[0].relay_failures = 3;
	home_choose(&p, now_us);
	assert_int_equal(p.home, 2);
	/* Nobody answers any more: it stays. */
	regions[0].relay_failures = 0;
	memset(regions[0].samples, 0, sizeof(regions[0].samples));
	memset(regions[1].samples, 0, sizeof(regions[1].samples));
	home_choose(&p, now_us);
	assert_int_equal(p.home, 2);
	memory_free(p.effects);
}

static void test_hard_nats_blocked_udp_and_homes_are_found_out(void **state)
{
	struct world *w = world_new(seed, NAT_SYM, NAT_APDF, &plain);
	struct paths_netinfo info;

	(void)state;
	paths_netinfo(w->hosts[0].paths, &info);
	assert_int_equal(info.mapping_varies, PATHS_YES);
	assert_int_equal(info.has_udp, PATHS_YES);
	assert_int_equal(info.home, WORLD_REGION);
	paths_netinfo(w->hosts[1].paths, &info);
	assert_int_equal(info.mapping_varies, PATHS_NO);
	assert_true(info.latency_count == 1 && info.latencies[0].latency_us > 10 * MS);
	w->hosts[0].is_udp_blocked = true;
	paths_relay_up(w->hosts[0].paths, WORLD_REGION, MS, w->now_us);
	w->hosts[0].own = endpoint_ip4(192, 168, 9, 9, 0);
	host_join(&w->hosts[0]);
	run_until(w, w->now_us + 3 * SECOND);
	paths_netinfo(w->hosts[0].paths, &info);
	assert_int_equal(info.has_udp, PATHS_NO);
	assert_int_equal(info.home, WORLD_REGION);
	talk(w, 10);
	assert_string_equal(why(&w->hosts[0]),
			    "relay 900, because UDP does not get out of this network");
	/* Where the relay is gone as well, its STUN server is no witness. */
	paths_relay_down(w->hosts[0].paths, WORLD_REGION, w->now_us);
	assert_null(strstr(why(&w->hosts[0]), "UDP"));
	paths_netinfo(w->hosts[0].paths, &info);
	assert_int_equal(info.has_udp, PATHS_UNKNOWN);
	world_free(w);
}

static void test_with_one_stun_server_peers_tell_a_hard_nat(void **state)
{
	static const enum nat_kind kinds[] = { NAT_SYM, NAT_ADM, NAT_APDF };
	static const enum paths_answer answers[] = { PATHS_YES, PATHS_YES, PATHS_NO };
	struct paths_endpoint e[PATHS_ENDPOINTS_MAX];
	struct paths_netinfo info;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct world *w = world_new_with_stun(1, seed, kinds[i], NAT_OPEN, &plain);

		paths_netinfo(w->hosts[0].paths, &info);
		assert_int_equal(info.mapping_varies, PATHS_UNKNOWN);
		talk(w, 3);
		paths_netinfo(w->hosts[0].paths, &info);
		assert_int_equal(info.mapping_varies, answers[i]);
		/* What we tell others of ourselves does not follow a peer's word. */
		paths_endpoints(w->hosts[0].paths, e);
		assert_int_equal(e[0].kind, PATHS_ENDPOINT_STUN);
		world_free(w);
	}
}

static void test_endpoints_are_listed_with_the_best_first(void **state)
{
	struct world *w = world_new(seed, NAT_APDF, NAT_SYM, &plain);
	struct paths_endpoint e[PATHS_ENDPOINTS_MAX];
	char text[ENDPOINT_TEXT_BYTES];

	(void)state;
	assert_int_equal(paths_endpoints(w->hosts[0].paths, e), 2);
	endpoint_text(&e[0].address, text);
	assert_string_equal(text, "203.0.113.10:41641");
	assert_int_equal(e[0].kind, PATHS_ENDPOINT_STUN);
	assert_int_equal(e[1].kind, PATHS_ENDPOINT_LOCAL);
	/* What one server saw of a hard NAT is of no use; a forwarded port would be. */
	assert_int_equal(paths_endpoints(w->hosts[1].paths, e), 2);
	endpoint_text(&e[0].address, text);
	assert_string_equal(text, "203.0.113.11:41641");
	assert_int_equal(e[0].kind, PATHS_ENDPOINT_STUN_LOCAL_PORT);
	world_free(w);
}

static void test_another_network_takes_all_trust_away_and_is_looked_at_at_once(void **state)
{
	struct world *w = world_new(seed, NAT_OPEN, NAT_APDF, &plain);
	struct host *b = &w->hosts[1];
	struct paths_route r;
	int heard;

	(void)state;
	talk(w, 5);
	assert_int_equal(kind_of(b), PATHS_DIRECT);
	b->own = endpoint_ip4(192, 168, 77, 2, 0);
	b->public = endpoint_ip4(203, 0, 113, 50, 0);
	b->flow_count = 0;
	host_join(b);
	assert_int_equal(kind_of(b), PATHS_RELAY);
	r = route(b);
	assert_true(r.has_relay);
	talk(w, 1);
	assert_int_equal(kind_of(b), PATHS_DIRECT);
	/* The call makes the other one doubt what it knew. */
	assert_int_equal(kind_of(&w->hosts[0]), PATHS_DIRECT);
	assert_non_null(strstr(why(&w->hosts[0]), "direct 203.0.113.50:"));
	heard = b->heard_udp;
	talk(w, 1);
	assert_int_equal(b->heard_udp, heard + 1);
	assert_true(b->endpoint_changes >= 3);
	/* The same once more is no change. */
	host_join(b);
	assert_int_equal(kind_of(b), PATHS_DIRECT);
	world_free(w);
}

/* --- ports from the router --- */

static struct slice next_to_router(struct host *h)
{
	struct endpoint router = endpoint_ip4(192, 168, 1, 1, PORT_MAPPING_PORT);
	struct paths_effect e;

	while (paths_next(h->paths, &e))
		if (e.kind == PATHS_SEND && endpoint_equal(&e.address, &router))
			return e.bytes;
	return (struct slice) { 0 };
}

static void answer_natpmp(struct host *h, uint16_t outside)
{
	struct endpoint router = endpoint_ip4(192, 168, 1, 1, PORT_MAPPING_PORT);
	uint8_t address[12] = { 0, 128, 0, 0, 0, 0, 0, 1, 203, 0, 113, 10 };
	uint8_t map[16] = { 0, 129 };

	put_u16(map + 8, MESH_PORT);
	put_u16(map + 10, outside);
	put_u32(map + 12, 7200);
	receive(h, &router, (struct slice) { address, sizeof(address) });
	receive(h, &router, (struct slice) { map, sizeof(map) });
}

static void test_a_port_of_the_router_comes_first_and_is_renewed(void **state)
{
	const struct paths_config with_mapping = { .is_punch_off = true };
	struct world *w = world_new(seed, NAT_SYM, NAT_SYM, &with_mapping);
	struct host *a = &w->hosts[0];
	struct paths_endpoint e[PATHS_ENDPOINTS_MAX];
	struct paths_local local = {
		.addresses = { endpoint_ip4(192, 168, 1, 2, MESH_PORT) },
		.count = 1,
		.gateway = endpoint_ip4(192, 168, 1, 1, 0),
		.to_gateway = endpoint_ip4(192, 168, 1, 2, 0),
	};
	struct slice asked;

	(void)state;
	paths_network_changed(a->paths, &local, w->now_us);
	asked = next_to_router(a);
	assert_int_equal(asked.size, PCP_MAP_BYTES);
	assert_int_equal(next_to_router(a).size, 0);
	paths_tick(a->paths, w->now_us += 300 * MS);
	assert_int_equal(next_to_router(a).size, NATPMP_ADDRESS_BYTES);
	assert_int_equal(next_to_router(a).size, NATPMP_MAP_BYTES);
	answer_natpmp(a, 7777);
	drain(a);
	assert_int_equal(paths_endpoints(a->paths, e), 2);
	assert_int_equal(e[0].kind, PATHS_ENDPOINT_MAPPED);
	assert_int_equal(e[0].address.port, 7777);
	/* Unasked answers are nobody's. */
	answer_natpmp(a, 8888);
	paths_endpoints(a->paths, e);
	assert_int_equal(e[0].address.port, 7777);
	run_until(w, w->now_us + 3599 * SECOND);
	w->now_us += 2 * SECOND;
	paths_tick(a->paths, w->now_us);
	assert_int_equal(next_to_router(a).size, NATPMP_ADDRESS_BYTES);
	answer_natpmp(a, 7778);
	paths_endpoints(a->paths, e);
	assert_int_equal(e[0].address.port, 7778);
	drain(a);
	paths_give_back(a->paths);
	asked = next_to_router(a);
	assert_int_equal(asked.size, NATPMP_MAP_BYTES);
	assert_int_equal(get_u32(asked.data + 8), 0);
	world_free(w);
}

static void test_a_router_that_does_not_answer_is_left_alone(void **state)
{
	const struct paths_config with_mapping = { .is_punch_off = true };
	struct world *w = world_new(seed, NAT_APDF, NAT_APDF, &with_mapping);
	struct host *a = &w->hosts[0];
	struct paths_local local = {
		.addresses = { endpoint_ip4(192, 168, 1, 2, MESH_PORT) },
		.count = 1,
		.gateway = endpoint_ip4(192, 168, 1, 1, 0),
		.to_gateway = endpoint_ip4(192, 168, 1, 2, 0),
	};
	struct paths_netinfo info;

	(void)state;
	paths_network_changed(a->paths, &local, w->now_us);
	run_until(w, w->now_us + 3 * SECOND);
	paths_netinfo(a->paths, &info);
	assert_int_equal(info.has_mapping, PATHS_NO);
	assert_true(paths_deadline_us(a->paths) == UINT64_MAX);
	world_free(w);
}

/* --- peers and people --- */

static void test_a_whole_netmap_removes_who_is_not_in_it(void **state)
{
	struct world *w = world_new(seed, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0];
	struct paths_peer_facts facts = { .node = { { 5 } }, .disco = { { 6 } } };

	(void)state;
	talk(w, 2);
	paths_peers_begin(a->paths);
	assert_non_null(paths_put_peer(a->paths, &facts, w->now_us));
	paths_peers_end(a->paths);
	assert_null(paths_find_peer(a->paths, &w->hosts[1].node));
	assert_non_null(paths_find_peer(a->paths, &facts.node));
	paths_remove_peer(a->paths, &facts.node);
	paths_remove_peer(a->paths, &facts.node);
	assert_null(paths_find_peer(a->paths, &facts.node));
	world_free(w);
}

static void test_a_peer_that_was_started_again_is_found_again(void **state)
{
	struct world *w = world_new(seed, NAT_APDF, NAT_APDF, &plain);
	struct host *a = &w->hosts[0], *b = &w->hosts[1];
	struct paths_config config = plain;

	(void)state;
	talk(w, 5);
	paths_free(b->paths);
	config.node_public = b->node;
	world_random(&w->prng, config.disco_secret.bytes, 32);
	config.random = world_random;
	config.random_context = &w->prng;
	b->paths = paths_new(&config, w->now_us);
	host_join(b);
	introduce(b, a);
	/* As the tunnel hears it, while control is away. */
	paths_peer_disco(a->paths, a->other, paths_disco_public(b->paths), w->now_us);
	drain(a);
	talk(w, 5);
	assert_int_equal(kind_of(a), PATHS_DIRECT);
	assert_int_equal(kind_of(b), PATHS_DIRECT);
	world_free(w);
}

static void test_a_person_who_pings_is_told_by_which_way_it_answered(void **state)
{
	struct world *w = world_new(seed, NAT_SYM, NAT_SYM, &plain);
	struct host *a = &w->hosts[0];

	(void)state;
	paths_ping(a->paths, a->other, w->now_us);
	drain(a);
	run_until(w, w->now_us + SECOND);
	assert_int_equal(a->ping_answer.kind, PATHS_PING_ANSWERED);
	assert_int_equal(a->ping_answer.region, WORLD_REGION);
	assert_in_range(a->ping_answer.latency_us, 40 * MS, 50 * MS);
	world_free(w);

	w = world_new(seed, NAT_OPEN, NAT_OPEN, &plain);
	a = &w->hosts[0];
	talk(w, 2);
	paths_ping(a->paths, a->other, w->now_us);
	drain(a);
	run_until(w, w->now_us + SECOND);
	assert_int_equal(a->ping_answer.kind, PATHS_PING_ANSWERED);
	assert_int_equal(a->ping_answer.region, 0);
	assert_in_range(a->ping_answer.latency_us, 20 * MS, 25 * MS);
	w->hosts[1].is_udp_blocked = true;
	paths_ping(a->paths, a->other, w->now_us);
	drain(a);
	run_until(w, w->now_us + 6 * SECOND);
	assert_int_equal(a->pings_lost, 1);
	world_free(w);
}

static void test_what_cannot_be_a_path_is_no_candidate(void **state)
{
	struct world *w = world_new(seed, NAT_OPEN, NAT_OPEN, &plain);
	struct paths_peer *peer = w->hosts[0].other;
	static const char *const texts[] = {
		"127.0.0.1:5",		 "[::1]:5",	"0.0.0.0:5",
		"192.0.2.1:0",		 "224.0.0.1:5", "[fe80::1]:5",
		"[fd7a:115c:a1e0::1]:5", "[ff02::1]:5",
	};
	struct endpoint e;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(endpoint_parse(slice_from(texts[i]), &e), OK);
		assert_null(candidate_put(peer, 0, 0, &e, FROM_CALL));
	}
	e = endpoint_ip4(203, 0, 113, 99, 5);
	assert_null(candidate_put(peer, 5, 0, &e, FROM_PING)); /* no such socket */
	for (int i = 0; i < 1000; i++) {
		e.port = (uint16_t)(1 + i);
		assert_non_null(candidate_put(peer, 0, 0, &e, FROM_PING));
	}
	assert_true(peer->candidate_count <= LEARNED_MAX + 2);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_the_first_packet_goes_by_the_relay_while_all_addresses_are_tried),
		cmocka_unit_test(test_a_pong_makes_the_path_direct_and_says_so),
		cmocka_unit_test(test_a_call_is_repeated_when_its_relay_comes_back),
		cmocka_unit_test(test_a_peer_without_a_home_yet_is_looked_for_at_ours),
		cmocka_unit_test(test_stale_addresses_are_asked_for_again_before_a_call),
		cmocka_unit_test(test_nobody_wakes_up_when_nobody_talks),
		cmocka_unit_test(test_without_pongs_packets_go_both_ways_after_6_5_seconds),
		cmocka_unit_test(test_a_path_over_which_packets_do_not_come_is_not_enough),
		cmocka_unit_test(test_answers_that_never_come_after_a_pause_are_no_reason),
		cmocka_unit_test(test_strangers_are_dropped_before_anything_is_computed),
		cmocka_unit_test(test_pongs_that_answer_nothing_change_nothing),
		cmocka_unit_test(test_calls_are_heard_by_relays_only_and_not_without_end),
		cmocka_unit_test(test_a_long_call_pings_one_address_at_a_pace_and_no_others),
		cmocka_unit_test(test_home_is_the_fastest_and_moves_only_for_much_better),
		cmocka_unit_test(test_hard_nats_blocked_udp_and_homes_are_found_out),
		cmocka_unit_test(test_with_one_stun_server_peers_tell_a_hard_nat),
		cmocka_unit_test(test_endpoints_are_listed_with_the_best_first),
		cmocka_unit_test(
			test_another_network_takes_all_trust_away_and_is_looked_at_at_once),
		cmocka_unit_test(test_a_port_of_the_router_comes_first_and_is_renewed),
		cmocka_unit_test(test_a_router_that_does_not_answer_is_left_alone),
		cmocka_unit_test(test_a_whole_netmap_removes_who_is_not_in_it),
		cmocka_unit_test(test_a_peer_that_was_started_again_is_found_again),
		cmocka_unit_test(test_a_person_who_pings_is_told_by_which_way_it_answered),
		cmocka_unit_test(test_what_cannot_be_a_path_is_no_candidate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
