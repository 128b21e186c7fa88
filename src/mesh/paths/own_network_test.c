/* What a machine finds out about the network it is in: where it is at home, how routers treat it,
 * which addresses others may find it at, and ports that a router opens. */
#include "base/endian.h"
#include "mesh/paths/trace_testing.h"
#include "wire/port_mapping/port_mapping.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_home_is_the_fastest_and_moves_only_for_much_better),
		cmocka_unit_test(test_hard_nats_blocked_udp_and_homes_are_found_out),
		cmocka_unit_test(test_with_one_stun_server_peers_tell_a_hard_nat),
		cmocka_unit_test(test_endpoints_are_listed_with_the_best_first),
		cmocka_unit_test(
			test_another_network_takes_all_trust_away_and_is_looked_at_at_once),
		cmocka_unit_test(test_a_port_of_the_router_comes_first_and_is_renewed),
		cmocka_unit_test(test_a_router_that_does_not_answer_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
