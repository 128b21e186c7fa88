/* The engine by itself, event by event; nat_test.c has it behind routers, and own_network_test.c
 * what it finds out about the network it is in. */
#include "mesh/paths/trace_testing.h"

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
		cmocka_unit_test(test_a_whole_netmap_removes_who_is_not_in_it),
		cmocka_unit_test(test_a_peer_that_was_started_again_is_found_again),
		cmocka_unit_test(test_a_person_who_pings_is_told_by_which_way_it_answered),
		cmocka_unit_test(test_what_cannot_be_a_path_is_no_candidate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
