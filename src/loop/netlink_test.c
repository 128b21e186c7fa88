/* In a network namespace of its own: skipped where there may be none. */
#include "loop/netlink.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

static int tun = -1;
static uint32_t interface;
static struct netlink *n;

enum { TABLE = 8641, MARK = 0x8641, FIRST = 5310, LAST = 5390 };

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix ret;

	assert_int_equal(ip_prefix_parse(slice_from(text), &ret), OK);
	return ret;
}

static struct ip address(const char *text)
{
	struct ip ret;

	assert_int_equal(ip_parse(slice_from(text), &ret), OK);
	return ret;
}

static int set_up(void **state)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		return 0;
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "test0");
	if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0) {
		tun = -1;
		return 0;
	}
	interface = if_nametoindex("test0");
	return netlink_open(&n) ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	netlink_close(n);
	if (tun >= 0)
		close(tun);
	return 0;
}

static void need_tun(void)
{
	if (tun < 0)
		skip();
}

static void test_an_address_is_given_and_seen_and_taken(void **state)
{
	struct netlink_address all[NETLINK_ADDRESSES_MAX];
	size_t count, seen = 0;

	(void)state;
	need_tun();
	assert_int_equal(netlink_link_up(n, interface, 1280), OK);
	assert_int_equal(netlink_add_address(n, interface, prefix("100.64.0.1"), false), OK);
	assert_int_equal(netlink_add_address(n, interface, prefix("100.64.0.1"), false), OK);
	assert_int_equal(netlink_add_address(n, interface, prefix("fd7a:115c:a1e0::1"), false), OK);
	assert_int_equal(netlink_addresses(n, all, &count), OK);
	for (size_t i = 0; i < count; i++) {
		if (all[i].interface != interface || all[i].is_link_local)
			continue;
		assert_false(all[i].is_loopback);
		assert_true(all[i].is_usable);
		seen++;
	}
	assert_int_equal(seen, 2);
	assert_int_equal(netlink_remove_address(n, interface, prefix("100.64.0.1")), OK);
	assert_int_equal(netlink_remove_address(n, interface, prefix("100.64.0.1")), OK);
	assert_int_equal(netlink_remove_address(n, interface, prefix("fd7a:115c:a1e0::1")), OK);
}

static void test_a_service_address_is_never_sent_from(void **state)
{
	struct netlink_route route;

	(void)state;
	need_tun();
	assert_int_equal(netlink_link_up(n, interface, 1280), OK);
	assert_int_equal(netlink_add_address(n, interface, prefix("100.100.100.100"), true), OK);
	assert_int_equal(netlink_add_address(n, interface, prefix("100.64.0.1"), false), OK);
	assert_int_equal(netlink_add_route(n, interface, NETLINK_TABLE_MAIN,
					   prefix("100.64.0.0/10"), (struct ip) { 0 }),
			 OK);
	assert_int_equal(netlink_route_to(n, address("100.64.0.9"), 0, &route), OK);
	assert_true(ip_equal(route.source, address("100.64.0.1")));
	assert_int_equal(route.interface, interface);
	assert_int_equal(netlink_remove_route(n, interface, NETLINK_TABLE_MAIN,
					      prefix("100.64.0.0/10")),
			 OK);
	assert_int_equal(netlink_remove_route(n, interface, NETLINK_TABLE_MAIN,
					      prefix("100.64.0.0/10")),
			 OK);
	assert_int_equal(netlink_remove_address(n, interface, prefix("100.64.0.1")), OK);
	assert_int_equal(netlink_remove_address(n, interface, prefix("100.100.100.100")), OK);
}

static void add_rules(void)
{
	const struct netlink_rule rules[] = {
		{ IP_V4, FIRST, MARK, NETLINK_TABLE_MAIN, false },
		{ IP_V4, FIRST + 40, MARK, 0, false },
		{ IP_V4, LAST - 10, 0, NETLINK_TABLE_MAIN, true },
		{ IP_V4, LAST, 0, TABLE, false },
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		assert_int_equal(netlink_add_rule(n, &rules[i]), OK);
}

static void test_marked_packets_do_not_enter_the_table(void **state)
{
	struct netlink_route route;

	(void)state;
	need_tun();
	assert_int_equal(netlink_link_up(n, interface, 1280), OK);
	assert_int_equal(netlink_add_address(n, interface, prefix("100.64.0.1"), false), OK);
	add_rules();
	add_rules();
	assert_int_equal(netlink_add_route(n, interface, TABLE, prefix("0.0.0.0/0"),
					   address("100.64.0.1")),
			 OK);
	assert_int_equal(netlink_route_to(n, address("192.0.2.1"), 0, &route), OK);
	assert_int_equal(route.interface, interface);
	assert_int_equal(netlink_route_to(n, address("192.0.2.1"), MARK, &route), ERR_NOT_FOUND);
	assert_int_equal(netlink_remove_rules(n, IP_V4, FIRST, LAST), OK);
	assert_int_equal(netlink_route_to(n, address("192.0.2.1"), 0, &route), ERR_NOT_FOUND);
	assert_int_equal(netlink_remove_rules(n, IP_V6, FIRST, LAST), OK);
	assert_int_equal(netlink_remove_address(n, interface, prefix("100.64.0.1")), OK);
}

static void on_change(void *context)
{
	*(int *)context += 1;
}

static void test_changes_are_told(void **state)
{
	struct loop *loop = loop_new(0);
	int count = 0;

	(void)state;
	if (tun < 0)
		loop_free(loop);
	need_tun();
	struct netlink_watch *w = netlink_watch_open(loop, on_change, &count);
	assert_non_null(w);
	loop_turn(loop);
	assert_int_equal(count, 0);
	assert_int_equal(netlink_add_address(n, interface, prefix("100.64.0.7"), false), OK);
	for (int i = 0; i < 100 && count == 0; i++)
		loop_turn(loop);
	assert_int_equal(count, 1);
	netlink_watch_close(w);
	loop_run(loop);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_address_is_given_and_seen_and_taken),
		cmocka_unit_test(test_a_service_address_is_never_sent_from),
		cmocka_unit_test(test_marked_packets_do_not_enter_the_table),
		cmocka_unit_test(test_changes_are_told),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
