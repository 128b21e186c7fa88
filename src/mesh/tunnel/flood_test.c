/* Handshakes by the thousand: who is answered, who is asked for a cookie, and what it costs. */
#include "mesh/tunnel/flood.h"
#include "mesh/tunnel/testing.h"

/* Initiations of many strangers, each with a good mac1 for b, from `from`. */
static void flood_b(int count, uint64_t over_ms)
{
	uint8_t message[WIREGUARD_INITIATION_BYTES] = { WIREGUARD_INITIATION };
	uint8_t mac_key[WIREGUARD_KEY_BYTES], mac1[WIREGUARD_MAC_BYTES];
	uint64_t begin = world.now.ms;

	wireguard_mac_key(tunnel_public(world.sides[1].tunnel), mac_key);
	for (int i = 0; i < count; i++) {
		world.now.ms = begin + over_ms * (uint64_t)i / (uint64_t)count;
		memcpy(message + 8, &i, sizeof(i));
		wireguard_put_macs(message, sizeof(message), mac_key, NULL, mac1);
		struct tunnel_datagram d = { .data = message,
					     .size = sizeof(message),
					     .from = endpoint_ip4(198, 51, 100, 7, 9) };
		tunnel_open(world.sides[1].tunnel, world.now, &d, 1);
	}
}

static size_t drop_effects(int side)
{
	struct tunnel_effect e;
	size_t count = 0;

	while (tunnel_next(world.sides[side].tunnel, &e))
		count++;
	return count;
}

static void test_few_strangers_are_no_load(void **state)
{
	(void)state;
	flood_b(500, 1100); /* below 50 in 100 ms */
	assert_int_equal(tunnel_count(world.sides[1].tunnel, TUNNEL_LIMITED), 0);
	assert_int_equal(drop_effects(1), 0);
}

static void test_under_load_a_peer_gets_in_with_a_cookie(void **state)
{
	(void)state;
	flood_b(200, 10);
	assert_true(tunnel_count(world.sides[1].tunnel, TUNNEL_LIMITED) >= 140);
	drop_effects(1);
	world_say_to(0, 40, 1);
	world.is_quiet = true;
	for (int i = 0; i < 6; i++) {
		world_run(950);
		flood_b(200, 10);
		drop_effects(1);
	}
	world.is_quiet = false;
	world_say_to(0, 40, 2);
	world_expect("1.009 a waits\n"
		     "1.009 a>b initiation\n"
		     "1.009 b limited\n"
		     "1.009 b>a cookie\n"
		     "1.009 a cookie\n"
		     "6.763 a>b data\n"
		     "6.763 b packet\n");
}

static void test_a_cookie_is_good_for_its_address_only(void **state)
{
	(void)state;
	world.is_quiet = true;
	flood_b(200, 10);
	drop_effects(1);
	world_say_to(0, 40, 1); /* is asked for a cookie */
	world.loses = true;
	world_run(5400); /* and says the same with it */
	struct kept with_cookie = *world_kept(0);
	flood_b(200, 10);
	drop_effects(1);
	world.sides[0].at = endpoint_ip4(192, 0, 2, 77, 41641);
	assert_int_equal(world_deliver(1, with_cookie.data, with_cookie.size), TUNNEL_LIMITED);
	world.sides[0].at = endpoint_ip4(192, 0, 2, 1, 41641);
	assert_int_equal(world_deliver(1, with_cookie.data, with_cookie.size), TUNNEL_HANDSHAKE);
}

static void test_a_cookie_for_another_message_is_no_cookie(void **state)
{
	(void)state;
	flood_b(200, 10);
	drop_effects(1);
	world.is_quiet = true;
	world_say_to(0, 40, 1);
	struct kept cookie = *world_kept(0);
	assert_int_equal(wireguard_kind((struct slice) { cookie.data, cookie.size }),
			 WIREGUARD_COOKIE);
	assert_int_equal(world_deliver(0, cookie.data, cookie.size), TUNNEL_FORGED); /* again */
	cookie.data[4] ^= 1;
	assert_int_equal(world_deliver(0, cookie.data, cookie.size), TUNNEL_UNKNOWN);
}

static void test_an_address_has_five_at_once_and_twenty_a_second(void **state)
{
	(void)state;
	struct endpoint one = endpoint_ip4(192, 0, 2, 1, 1), other = endpoint_ip4(192, 0, 2, 2, 1);
	struct flood f = { 0 };
	int admitted = 0;

	for (int i = 0; i < 10; i++)
		admitted += flood_admit(&f, 1000, &one);
	assert_int_equal(admitted, FLOOD_SOURCE_BURST);
	one.port = 77; /* the port does not matter */
	assert_false(flood_admit(&f, 1000, &one));
	assert_true(flood_admit(&f, 1000, &other));
	admitted = 0;
	for (uint64_t ms = 1001; ms <= 11000; ms++)
		admitted += flood_admit(&f, ms, &one);
	assert_int_equal(admitted, 10 * FLOOD_SOURCE_PER_S);
	flood_done(&f);
}

static void test_ipv6_counts_by_network(void **state)
{
	(void)state;
	struct flood f = { 0 };
	struct endpoint e;
	int admitted = 0;

	assert_int_equal(endpoint_parse(SLICE("[2001:db8:1:2::1]:1"), &e), OK);
	for (int i = 0; i < 10; i++) {
		e.ip[15] = (uint8_t)i;
		admitted += flood_admit(&f, 1000, &e);
	}
	assert_int_equal(admitted, FLOOD_SOURCE_BURST);
	e.ip[7]++;
	assert_true(flood_admit(&f, 1000, &e));
	flood_done(&f);
}

static void test_any_number_of_addresses_takes_the_same_memory(void **state)
{
	(void)state;
	struct flood f = { 0 };

	for (int i = 0; i < 100000; i++) {
		struct endpoint e =
			endpoint_ip4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 1);
		assert_true(flood_admit(&f, 1000 + (uint64_t)i / 100, &e));
	}
	flood_done(&f);
}

static void test_the_secret_of_cookies_changes_every_two_minutes(void **state)
{
	(void)state;
	static const uint8_t secret[WIREGUARD_KEY_BYTES] = { 1 };
	struct flood f = { 0 };

	assert_true(flood_needs_secret(&f, 0));
	flood_set_secret(&f, 1000, secret);
	assert_false(flood_needs_secret(&f, 120999));
	assert_true(flood_needs_secret(&f, 121000));
	flood_done(&f);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)
	const struct CMUnitTest tests[] = {
		WORLD(test_few_strangers_are_no_load),
		WORLD(test_under_load_a_peer_gets_in_with_a_cookie),
		WORLD(test_a_cookie_is_good_for_its_address_only),
		WORLD(test_a_cookie_for_another_message_is_no_cookie),
		cmocka_unit_test(test_an_address_has_five_at_once_and_twenty_a_second),
		cmocka_unit_test(test_ipv6_counts_by_network),
		cmocka_unit_test(test_any_number_of_addresses_takes_the_same_memory),
		cmocka_unit_test(test_the_secret_of_cookies_changes_every_two_minutes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
