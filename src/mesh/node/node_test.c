/* In a network namespace of its own, with a map from an earlier life and no control: skipped where
 * there may be no namespace or no TUN. */
#include "mesh/node/node.h"

#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "loop/netlink.h"
#include "mesh/node/private.h"

static struct loop *loop;
static bool is_there;

static const char map_text[] =
	"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.home.example.\",\"User\":1,"
	"\"Key\":\"nodekey:%s\",\"Addresses\":[\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/128\"],"
	"\"MachineAuthorized\":true},"
	"\"Peers\":[{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"b.home.example.\",\"User\":1,"
	"\"Key\":\"nodekey:"
	"2222222222222222222222222222222222222222222222222222222222222222\","
	"\"Endpoints\":[\"192.0.2.1:7641\"],"
	"\"Addresses\":[\"8.8.8.8/32\",\"100.64.0.2/32\"],"
	"\"AllowedIPs\":[\"8.8.8.8/32\",\"100.64.0.2/32\",\"10.1.0.0/16\",\"0.0.0.0/0\"],"
	"\"MachineAuthorized\":true},"
	"{\"ID\":3,\"StableID\":\"n3\",\"Name\":\"old.home.example.\",\"User\":1,"
	"\"Key\":\"nodekey:"
	"3333333333333333333333333333333333333333333333333333333333333333\","
	"\"Addresses\":[\"100.64.0.3/32\"],\"KeyExpiry\":\"2020-01-01T00:00:00Z\","
	"\"MachineAuthorized\":true}],"
	"\"UserProfiles\":[{\"ID\":1,\"LoginName\":\"me@home\",\"DisplayName\":\"Me\"}],"
	"\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\","
	"\"Ports\":{\"First\":0,\"Last\":65535}}]}]},\"Domain\":\"home.example\"}";

static int set_up(void **state)
{
	(void)state;
	is_there = unshare(CLONE_NEWNET) == 0 && access("/dev/net/tun", R_OK | W_OK) == 0 &&
		   system("ip link set lo up && ip addr add 192.0.2.1/32 dev lo 2>/dev/null") == 0;
	return 0;
}

static struct node *open_node(bool accepts_routes, const char *exit_node)
{
	const char *const urls[] = { "http://127.0.0.1:9" };
	struct node_config c = { .tun = "test0",
				 .name = "a",
				 .version = "test",
				 .urls = urls,
				 .url_count = 1,
				 .join_key = "",
				 .accepts_routes = accepts_routes,
				 .exit_node = exit_node };
	char why[NODE_WHY_BYTES] = "", json[4096];
	struct node *n = NULL;

	if (!is_there)
		skip();
	memset(c.machine_secret.bytes, 7, sizeof(c.machine_secret.bytes));
	memset(c.node_secret.bytes, 8, sizeof(c.node_secret.bytes));
	loop = loop_new(0);
	assert_int_equal(node_new(loop, &c, &n, why), OK);
	snprintf(json, sizeof(json), map_text,
		 "1111111111111111111111111111111111111111111111111111111111111111");
	assert_int_equal(node_load(n, slice_from(json)), OK);
	return n;
}

static void close_node(struct node *n)
{
	node_free(n);
	loop_run(loop);
	loop_free(loop);
}

static bool is_routed(const char *to, uint32_t mark)
{
	struct netlink_route route;
	struct netlink *netlink;
	struct ip ip;

	assert_int_equal(netlink_open(&netlink), OK);
	assert_int_equal(ip_parse(slice_from(to), &ip), OK);
	enum err err = netlink_route_to(netlink, ip, mark, &route);
	netlink_close(netlink);
	return !err;
}

static void test_a_kept_map_makes_a_machine_of_the_mesh(void **state)
{
	struct node *n = open_node(false, "");
	struct ip ip;

	(void)state;
	assert_true(is_routed("100.64.0.2", 0));
	assert_false(is_routed("100.64.0.2", NODE_MARK));
	assert_null(tunnel_route(n->tunnel, ip_v4(0x64400003))); /* its key has expired */
	assert_false(is_routed("10.1.2.3", 0));
	assert_false(is_routed("192.0.2.9", 0));
	assert_false(is_routed("8.8.8.8", 0)); /* no machine has that */
	assert_int_equal(ip_parse(SLICE("100.64.0.2"), &ip), OK);
	assert_int_equal(node_whois(n, ip)->id, 2);
	assert_int_equal(node_find(n, SLICE("b"))->id, 2);
	assert_int_equal(node_find(n, SLICE("b.home.example"))->id, 2);
	assert_int_equal(node_find(n, SLICE("100.64.0.1"))->id, 1);
	assert_null(node_find(n, SLICE("c")));
	close_node(n);
	assert_false(is_routed("100.64.0.2", 0));
}

static void test_machines_that_are_not_known_are_in_the_mesh_too(void **state)
{
	struct node *n = open_node(false, "");

	(void)state;
	assert_true(is_routed("100.64.0.3", 0));
	assert_true(is_routed("100.64.15.255", 0));
	assert_false(is_routed("100.64.16.0", 0)); /* most of the range is left to carriers */
	assert_true(is_routed("fd7a:115c:a1e0:ab12::9", 0));
	assert_false(is_routed("100.64.0.3", NODE_MARK));
	/* This machine is in a carrier's network: that is where its neighbours are. */
	assert_int_equal(system("ip addr add 100.64.0.77/32 dev lo"), 0);
	node_look_at_network(n);
	assert_true(is_routed("100.64.0.2", 0));
	assert_false(is_routed("100.64.0.3", 0));
	assert_false(is_routed("fd7a:115c:a1e0:ab12::9", 0));
	assert_int_equal(system("ip addr del 100.64.0.77/32 dev lo"), 0);
	node_look_at_network(n);
	assert_true(is_routed("100.64.0.3", 0));
	close_node(n);
	assert_false(is_routed("100.64.0.3", 0));
}

static void test_networks_and_exit_nodes_are_for_who_wants_them(void **state)
{
	struct node *n = open_node(true, "");

	(void)state;
	assert_true(is_routed("10.1.2.3", 0));
	assert_false(is_routed("192.0.2.9", 0));
	close_node(n);
	n = open_node(false, "b");
	assert_false(is_routed("10.1.2.3", NODE_MARK));
	assert_true(is_routed("192.0.2.9", 0));
	assert_false(is_routed("192.0.2.9", NODE_MARK));
	close_node(n);
}

static void test_there_are_only_so_many_routes_to_networks(void **state)
{
	enum { COUNT = NODE_NETWORKS_MAX + 10, MACHINES = 3 };
	static struct node_route routes[2 * COUNT + MACHINES];
	size_t count = 0, machines = 0, left_out;

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++) {
		struct ip_prefix network = { ip_v4(0x0a000000 + (i << 8)), 24 };

		routes[count++] = (struct node_route) { network, NODE_TABLE_NETWORKS };
		routes[count++] = (struct node_route) { network, NODE_TABLE_NETWORKS };
	}
	for (uint32_t i = 0; i < MACHINES; i++)
		routes[count++] = (struct node_route) { ip_prefix_of(ip_v4(0x64400001 + i)),
							NODE_TABLE_MACHINES };
	count = node_keep_routes(routes, count, &left_out);
	assert_int_equal(left_out, 10);
	assert_int_equal(count, NODE_NETWORKS_MAX + MACHINES);
	for (size_t i = 0; i < count; i++)
		machines += routes[i].table == NODE_TABLE_MACHINES;
	assert_int_equal(machines, MACHINES);
}

static void test_what_is_saved_is_loaded_again(void **state)
{
	struct node *n = open_node(false, "");
	struct buf first, second;

	(void)state;
	buf_init(&first);
	buf_init(&second);
	node_save(n, &first);
	assert_int_equal(node_load(n, buf_slice(&first)), OK);
	node_save(n, &second);
	assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
	assert_int_not_equal(node_load(n, SLICE("{\"Node\":")), OK);
	assert_true(is_routed("100.64.0.2", 0));
	buf_done(&first);
	buf_done(&second);
	close_node(n);
}

static int rules(void)
{
	char line[64] = "";
	FILE *ip = popen("ip rule | grep -c '^5[0-9]*:'; ip -6 rule | grep -c '^5[0-9]*:'", "re");

	assert_non_null(ip);
	assert_non_null(fgets(line, sizeof(line), ip));
	int count = (int)strtol(line, NULL, 10);
	if (fgets(line, sizeof(line), ip))
		count += (int)strtol(line, NULL, 10);
	pclose(ip);
	return count;
}

static void test_nothing_of_a_killed_life_stays(void **state)
{
	struct node *n = open_node(true, "");

	(void)state;
	assert_int_equal(rules(), 10);
	/* The kernel takes the interface when a process is killed; the rules stay. */
	node_clean_system();
	assert_int_equal(rules(), 0);
	close_node(n);
	assert_int_equal(rules(), 0);
}

static void on_pong(void *context, const struct node_pong *pong)
{
	*(int *)context += pong->is_lost ? 1 : 100;
}

static void test_a_ping_is_answered_at_the_end_at_the_latest(void **state)
{
	struct node *n = open_node(false, "");
	int count = 0;

	(void)state;
	assert_int_equal(node_ping(n, node_find(n, SLICE("old")), on_pong, &count), ERR_NOT_FOUND);
	for (int i = 0; i < NODE_PINGS_MAX; i++)
		assert_int_equal(node_ping(n, node_find(n, SLICE("b")), on_pong, &count), OK);
	assert_int_equal(node_ping(n, node_find(n, SLICE("b")), on_pong, &count), ERR_BUSY);
	close_node(n);
	assert_int_equal(count, NODE_PINGS_MAX);
}

static void stop(struct timer *t)
{
	loop_stop(t->loop);
}

static int read_hellos(int fd)
{
	uint8_t first[NODE_HELLO_BYTES] = { 0 }, next[NODE_HELLO_BYTES + 1];
	int count = 0;

	for (ssize_t size; (size = recv(fd, next, sizeof(next), MSG_DONTWAIT)) > 0; count++) {
		assert_int_equal(size, NODE_HELLO_BYTES);
		if (count == 0)
			memcpy(first, next, sizeof(first));
		assert_memory_equal(first, next, sizeof(first));
	}
	return count;
}

static void test_a_first_handshake_that_nobody_answers_is_sent_again_soon(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(7641),
				  .sin_addr.s_addr = htonl(0xc0000201) };
	struct node *n = open_node(false, "");
	struct node_peer *p = node_peer_by_id(n, 2);
	struct timer timer = { .on_timer = NULL };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	tunnel_greet(n->tunnel, node_now(), p->tunnel);
	node_run_effects(n);
	timer_set(&timer, loop, loop_now_ms(loop) + 1900, stop);
	loop_run(loop);
	assert_int_equal(read_hellos(fd), 3);
	/* The next ones of WireGuard itself are no first ones. */
	tunnel_greet_anew(n->tunnel, node_now(), p->tunnel);
	node_run_effects(n);
	timer_set(&timer, loop, loop_now_ms(loop) + 700, stop);
	loop_run(loop);
	assert_int_equal(read_hellos(fd), 1);
	close(fd);
	close_node(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_kept_map_makes_a_machine_of_the_mesh),
		cmocka_unit_test(test_machines_that_are_not_known_are_in_the_mesh_too),
		cmocka_unit_test(test_networks_and_exit_nodes_are_for_who_wants_them),
		cmocka_unit_test(test_there_are_only_so_many_routes_to_networks),
		cmocka_unit_test(test_what_is_saved_is_loaded_again),
		cmocka_unit_test(test_nothing_of_a_killed_life_stays),
		cmocka_unit_test(test_a_first_handshake_that_nobody_answers_is_sent_again_soon),
		cmocka_unit_test(test_a_ping_is_answered_at_the_end_at_the_latest),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
