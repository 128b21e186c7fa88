/* Two path engines behind simulated routers, and a third machine with a peer relay. */
#include "mesh/paths/world_testing.h"
#include "mesh/relay/peer_relay.h"

enum { RELAY_PORT = 7777 };

struct third {
	struct mesh_key node;
	struct endpoint public;
	struct paths *paths;
	struct peer_relay *relay; /* NULL: it is not there now */
};

static void on_stray(struct world *w, const struct endpoint *source, const struct endpoint *to,
		     struct slice bytes)
{
	struct third *t = w->context;
	struct endpoint from = t->public, next;
	struct slice out;

	from.port = RELAY_PORT;
	if (!t->relay || !endpoint_equal(to, &from) ||
	    !peer_relay_received(t->relay, source, bytes, w->now_us, &next, &out))
		return;
	for (int i = 0; i < HOSTS; i++)
		if (endpoint_same_ip(&next, &w->hosts[i].public))
			post(w, &w->hosts[i], false, &from, &next, NULL, out);
}

static void drain_third(struct world *w)
{
	struct third *t = w->context;
	struct endpoint at = t->public;
	struct disco_relay session;
	struct paths_effect e;

	at.port = RELAY_PORT;
	while (paths_next(t->paths, &e)) {
		if (e.kind == PATHS_ALLOCATE && t->relay &&
		    !peer_relay_allocate(t->relay, &e.peer->disco, e.clients, w->now_us, &session))
			paths_allocated(t->paths, e.peer, e.generation, &session, &at, 1,
					w->now_us);
		for (int i = 0; i < HOSTS; i++)
			if (e.kind == PATHS_SEND_RELAY &&
			    mesh_key_equal(&e.node, &w->hosts[i].node))
				post(w, &w->hosts[i], true, NULL, NULL, &t->node, e.bytes);
	}
}

static void on_stray_relayed(struct world *w, struct host *from, const struct mesh_key *node,
			     struct slice bytes)
{
	struct third *t = w->context;
	struct paths_from way;
	struct paths_peer *peer;

	if (!mesh_key_equal(node, &t->node))
		return;
	paths_relay_received(t->paths, WORLD_REGION, &from->node, bytes, w->now_us, &way, &peer);
	drain_third(w);
}

static void start_relay(struct world *w)
{
	struct third *t = w->context;
	struct peer_relay_config config = { .random = world_random, .random_context = &w->prng };

	world_random(&w->prng, config.disco_secret.bytes, sizeof(config.disco_secret.bytes));
	t->relay = peer_relay_new(&config);
}

static void stop_relay(struct world *w)
{
	struct third *t = w->context;

	peer_relay_free(t->relay);
	t->relay = NULL;
}

static struct world *world_with_relay(uint64_t seed, enum nat_kind first, enum nat_kind second,
				      bool is_allowed)
{
	struct world *w = world_new(seed, first, second, &(struct paths_config) { 0 });
	struct third *t = NEW(struct third);
	struct paths_config config = { .random = world_random, .random_context = &w->prng };

	w->context = t;
	t->public = endpoint_ip4(203, 0, 113, 30, 0);
	world_random(&w->prng, t->node.bytes, sizeof(t->node.bytes));
	world_random(&w->prng, config.disco_secret.bytes, sizeof(config.disco_secret.bytes));
	config.node_public = t->node;
	t->paths = paths_new(&config, w->now_us);
	for (int i = 0; i < HOSTS; i++) {
		struct host *h = &w->hosts[i];

		assert_non_null(paths_put_peer(t->paths,
					       &(struct paths_peer_facts) {
						       .node = h->node,
						       .disco = *paths_disco_public(h->paths),
						       .home = WORLD_REGION,
						       .is_relay_client = is_allowed,
					       },
					       w->now_us));
		assert_non_null(paths_put_peer(h->paths,
					       &(struct paths_peer_facts) {
						       .node = t->node,
						       .disco = *paths_disco_public(t->paths),
						       .home = WORLD_REGION,
						       .is_peer_relay = true,
					       },
					       w->now_us));
	}
	w->on_stray = on_stray;
	w->on_stray_relayed = on_stray_relayed;
	start_relay(w);
	return w;
}

static void world_end(struct world *w)
{
	struct third *t = w->context;

	stop_relay(w);
	paths_free(t->paths);
	memory_free(t);
	world_free(w);
}

static void assert_kinds(const struct world *w, enum paths_kind kind)
{
	assert_int_equal(kind_of(&w->hosts[0]), kind);
	assert_int_equal(kind_of(&w->hosts[1]), kind);
}

static void test_two_hard_routers_talk_through_the_peer_relay(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct world *w = world_with_relay(seed, NAT_SYM, NAT_SYM, true);
		char why[PATHS_WHY_BYTES];

		talk(w, 5);
		assert_kinds(w, PATHS_PEER_RELAY);
		paths_peer_why(w->hosts[0].paths, w->hosts[0].other, w->now_us, why);
		assert_non_null(strstr(why, "peer relay 203.0.113.30:7777, "));
		int relayed = w->hosts[1].heard_relay, through = w->hosts[1].heard_via;
		talk(w, 60);
		assert_kinds(w, PATHS_PEER_RELAY);
		assert_int_equal(w->hosts[1].heard_relay, relayed);
		assert_int_equal(w->hosts[1].heard_via, through + 60);
		world_end(w);
	}
}

static void test_one_side_that_talks_is_enough(void **state)
{
	struct world *w = world_with_relay(3, NAT_SYM, NAT_SYM, true);

	(void)state;
	for (int i = 0; i < 10; i++) {
		send_data(&w->hosts[0]);
		run_until(w, w->now_us + SECOND);
	}
	assert_int_equal(kind_of(&w->hosts[0]), PATHS_PEER_RELAY);
	assert_true(w->hosts[1].heard_via >= 5);
	world_end(w);
}

static void test_who_reach_each_other_ask_no_peer_relay(void **state)
{
	struct world *w = world_with_relay(1, NAT_ADF, NAT_APDF, true);
	struct third *t = w->context;

	(void)state;
	talk(w, 30);
	assert_kinds(w, PATHS_DIRECT);
	assert_int_equal(peer_relay_sessions(t->relay), 0);
	world_end(w);
}

static void test_a_direct_path_that_comes_up_is_better(void **state)
{
	struct world *w = world_with_relay(4, NAT_SYM, NAT_SYM, true);

	(void)state;
	talk(w, 10);
	assert_kinds(w, PATHS_PEER_RELAY);
	w->hosts[0].nat = NAT_EIF;
	talk(w, 120);
	assert_kinds(w, PATHS_DIRECT);
	world_end(w);
}

static void test_without_permission_it_stays_with_the_relay(void **state)
{
	struct world *w = world_with_relay(5, NAT_SYM, NAT_SYM, false);

	(void)state;
	talk(w, 30);
	assert_kinds(w, PATHS_RELAY);
	world_end(w);
}

static void test_packets_are_lost_but_not_the_handshake(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct world *w = world_with_relay(seed, NAT_SYM, NAT_SYM, true);

		w->loss_percent = 20;
		talk(w, 30);
		assert_true(w->hosts[0].heard_via + w->hosts[1].heard_via > 10);
		world_end(w);
	}
}

static void test_a_peer_relay_that_ends_is_left_and_found_again(void **state)
{
	struct world *w = world_with_relay(6, NAT_SYM, NAT_SYM, true);

	(void)state;
	talk(w, 10);
	assert_kinds(w, PATHS_PEER_RELAY);
	stop_relay(w);
	int relayed = w->hosts[1].heard_relay;
	talk(w, 20);
	assert_kinds(w, PATHS_RELAY);
	assert_true(w->hosts[1].heard_relay >= relayed + 10);
	start_relay(w);
	talk(w, 40);
	assert_kinds(w, PATHS_PEER_RELAY);
	world_end(w);
}

static void test_after_a_long_silence_a_new_session_is_made(void **state)
{
	struct world *w = world_with_relay(7, NAT_SYM, NAT_SYM, true);
	struct third *t = w->context;

	(void)state;
	talk(w, 10);
	run_until(w, w->now_us + 1000 * SECOND);
	peer_relay_tick(t->relay, w->now_us);
	assert_int_equal(peer_relay_sessions(t->relay), 0);
	talk(w, 10);
	assert_kinds(w, PATHS_PEER_RELAY);
	assert_true(w->hosts[0].other->via_count <= VIAS_MAX);
	world_end(w);
}

static void test_a_session_of_others_is_not_bound(void **state)
{
	struct world *w = world_with_relay(8, NAT_SYM, NAT_SYM, true);
	struct paths_peer *peer = w->hosts[0].other;
	uint8_t bytes[ENDPOINT_WIRE_BYTES];
	struct endpoint at = endpoint_ip4(192, 0, 2, 9, 9);
	struct disco_message m = {
		.type = DISCO_CALL_ME_MAYBE_VIA,
		.endpoints = { bytes, sizeof(bytes) },
		.relay = { .server = *paths_disco_public(((struct third *)w->context)->paths),
			   .clients = { *paths_disco_public(w->hosts[0].paths), { { 8 } } },
			   .vni = 5 },
	};

	(void)state;
	endpoint_put(bytes, &at);
	via_called(peer, &m, w->now_us);
	assert_int_equal(peer->via_count, 0);
	m.relay.clients[1] = peer->disco;
	m.relay.vni = 0;
	via_called(peer, &m, w->now_us);
	m.relay.vni = GENEVE_VNI_MAX + 1;
	via_called(peer, &m, w->now_us);
	assert_int_equal(peer->via_count, 0);
	m.relay.vni = 5;
	via_called(peer, &m, w->now_us);
	assert_int_equal(peer->via_count, 1);
	/* Nobody answers there: it is given up. */
	run_until(w, w->now_us + 10 * SECOND);
	assert_int_equal(peer->via_count, 0);
	for (uint32_t i = 1; i < 20; i++) {
		m.relay.vni = i;
		m.relay.server = w->hosts[i % 2].node;
		m.relay.server.bytes[0] = (uint8_t)i;
		m.relay.lamport = i;
		via_called(peer, &m, w->now_us);
	}
	assert_int_equal(peer->via_count, VIAS_MAX);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_hard_routers_talk_through_the_peer_relay),
		cmocka_unit_test(test_one_side_that_talks_is_enough),
		cmocka_unit_test(test_who_reach_each_other_ask_no_peer_relay),
		cmocka_unit_test(test_a_direct_path_that_comes_up_is_better),
		cmocka_unit_test(test_without_permission_it_stays_with_the_relay),
		cmocka_unit_test(test_packets_are_lost_but_not_the_handshake),
		cmocka_unit_test(test_a_peer_relay_that_ends_is_left_and_found_again),
		cmocka_unit_test(test_after_a_long_silence_a_new_session_is_made),
		cmocka_unit_test(test_a_session_of_others_is_not_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
