/* A router that answers neither PCP nor NAT-PMP. */
#include "mesh/paths/world_testing.h"
#include "wire/port_mapping/port_mapping.h"

static const struct paths_config with_mapping = { .is_punch_off = true };
static const char found[] = "HTTP/1.1 200 OK\r\n"
			    "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
			    "LOCATION: http://192.168.1.1:5000/desc.xml\r\n\r\n";

static struct endpoint router(uint16_t port)
{
	return endpoint_ip4(192, 168, 1, 1, port);
}

static void join(struct host *h)
{
	struct paths_local local = {
		.addresses = { endpoint_ip4(192, 168, 1, 2, MESH_PORT) },
		.count = 1,
		.gateway = router(0),
		.to_gateway = endpoint_ip4(192, 168, 1, 2, 0),
	};

	paths_network_changed(h->paths, &local, h->world->now_us);
}

/* How many searches leave, to the router and to all, until `end_us`; and the effect of UPnP. */
static int searches(struct host *h, uint64_t end_us, struct paths_effect *ret)
{
	struct world *w = h->world;
	struct paths_effect e;
	int count = 0;

	*ret = (struct paths_effect) { .kind = PATHS_SEND };
	for (; w->now_us < end_us; w->now_us += 50 * MS) {
		paths_tick(h->paths, w->now_us);
		while (paths_next(h->paths, &e)) {
			if (e.kind == PATHS_MAP_PORT || e.kind == PATHS_UNMAP_PORT)
				*ret = e;
			count += e.kind == PATHS_SEND && e.address.port == UPNP_PORT;
		}
	}
	return count;
}

static void answer(struct host *h, const struct endpoint *from)
{
	struct slice packet = slice_from(found);
	struct paths_from way;
	struct paths_peer *peer;

	(void)paths_received(h->paths, 0, from, &packet, h->world->now_us, &way, &peer);
}

static void test_upnp_is_tried_last_and_asked_of_the_gateway_alone(void **state)
{
	struct world *w = world_new(1, NAT_SYM, NAT_SYM, &with_mapping);
	struct endpoint from = endpoint_ip4(192, 168, 1, 66, UPNP_PORT), local;
	struct host *a = &w->hosts[0];
	struct paths_effect e;

	(void)state;
	join(a);
	assert_int_equal(searches(a, w->now_us + 700 * MS, &e), 0);
	assert_int_equal(searches(a, w->now_us + 200 * MS, &e), 2);
	answer(a, &from); /* somebody else of the LAN */
	assert_int_equal(searches(a, w->now_us + 100 * MS, &e), 0);
	assert_int_equal(e.kind, PATHS_SEND);
	from = router(49152);
	answer(a, &from);
	assert_int_equal(searches(a, w->now_us + 100 * MS, &e), 0);
	assert_int_equal(e.kind, PATHS_MAP_PORT);
	from = router(5000);
	assert_true(endpoint_equal(&e.address, &from));
	assert_int_equal(e.outside_port, MESH_PORT);
	local = endpoint_ip4(192, 168, 1, 2, MESH_PORT);
	assert_true(endpoint_equal(&e.local, &local));
	world_free(w);
}

static void test_a_port_by_upnp_is_announced_renewed_and_given_back(void **state)
{
	struct world *w = world_new(2, NAT_SYM, NAT_SYM, &with_mapping);
	struct endpoint outside = endpoint_ip4(203, 0, 113, 9, 7777), local, from = router(1900);
	struct host *a = &w->hosts[0];
	struct paths_endpoint e[PATHS_ENDPOINTS_MAX];
	struct paths_effect effect;

	(void)state;
	join(a);
	(void)searches(a, w->now_us + 900 * MS, &effect);
	answer(a, &from);
	(void)searches(a, w->now_us + 100 * MS, &effect);
	local = effect.local;
	local.port++;
	paths_mapped(a->paths, &local, &outside, 7200, w->now_us); /* of another network */
	paths_endpoints(a->paths, e);
	assert_int_not_equal(e[0].kind, PATHS_ENDPOINT_MAPPED);
	paths_mapped(a->paths, &effect.local, &outside, 7200, w->now_us);
	paths_endpoints(a->paths, e);
	assert_int_equal(e[0].kind, PATHS_ENDPOINT_MAPPED);
	assert_true(endpoint_equal(&e[0].address, &outside));
	drain(a);
	w->now_us += 3590 * SECOND;
	(void)searches(a, w->now_us + SECOND, &effect);
	assert_int_equal(effect.kind, PATHS_SEND);
	w->now_us += 10 * SECOND;
	assert_int_equal(searches(a, w->now_us + SECOND, &effect), 0);
	assert_int_equal(effect.kind, PATHS_MAP_PORT);
	assert_int_equal(effect.outside_port, 7777);
	/* It fails once: what is held is good for some time yet. */
	paths_mapped(a->paths, &effect.local, NULL, 0, w->now_us);
	paths_endpoints(a->paths, e);
	assert_int_equal(e[0].kind, PATHS_ENDPOINT_MAPPED);
	paths_give_back(a->paths);
	(void)searches(a, w->now_us + 100 * MS, &effect);
	assert_int_equal(effect.kind, PATHS_UNMAP_PORT);
	world_free(w);
}

static void test_a_router_that_speaks_nothing_is_left_alone(void **state)
{
	struct world *w = world_new(3, NAT_APDF, NAT_APDF, &with_mapping);
	struct endpoint from = router(1900);
	struct host *a = &w->hosts[0];
	struct paths_netinfo info;
	struct paths_effect e;

	(void)state;
	join(a);
	assert_int_equal(searches(a, w->now_us + 10 * SECOND, &e), 4);
	paths_netinfo(a->paths, &info);
	assert_int_equal(info.has_mapping, PATHS_NO);
	assert_true(paths_deadline_us(a->paths) == UINT64_MAX);
	answer(a, &from); /* which nobody asked for any more */
	(void)searches(a, w->now_us + 100 * MS, &e);
	assert_int_equal(e.kind, PATHS_SEND);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_upnp_is_tried_last_and_asked_of_the_gateway_alone),
		cmocka_unit_test(test_a_port_by_upnp_is_announced_renewed_and_given_back),
		cmocka_unit_test(test_a_router_that_speaks_nothing_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
