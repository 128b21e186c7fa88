/* What the mesh is to the system: an interface, its addresses, routes and rules.
 *
 *	priority 5310   our own packets (marked)     table main
 *	         5350   our own packets              unreachable: never into the mesh
 *	         5370   all                          machines of the mesh, one address each, and
 *						     those beside this one (peers.c)
 *	         5380   all                          table main, but its default route
 *	         5390   all                          networks behind machines, and exit nodes
 *
 * The last two are there while there are such networks.
 *
 * So a network this machine is in itself wins over the same one behind another machine, and no
 * packet that carries the mesh goes into it.  Addresses and routes end with the interface, which
 * ends with the process; rules that a life left behind are found by their priorities. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/scope.h"
#include "loop/nat.h"
#include "mesh/node/private.h"

enum { SETTLE_MS = 300 };

/* 100.100.100.100 and fd7a:115c:a1e0::53, where names are asked for. */
static struct ip_prefix service_address(uint8_t family)
{
	static const uint8_t v6[16] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 0x53 };

	return ip_prefix_of(family == IP_V6 ? ip_v6(v6) : ip_v4(0x64646464));
}

/* --- rules ------------------------------------------------------------------------------------ */
static void clean_rules(struct netlink *netlink)
{
	if (netlink_remove_rules(netlink, IP_V4, NODE_RULE_FIRST, NODE_RULE_LAST) ||
	    netlink_remove_rules(netlink, IP_V6, NODE_RULE_FIRST, NODE_RULE_LAST))
		log_debug("rules of an earlier life cannot be removed");
}

void node_clean_system(void)
{
	struct netlink *netlink;

	nat_close();
	if (netlink_open(&netlink))
		return;
	clean_rules(netlink);
	netlink_close(netlink);
}

/* A system without IPv6 has no rules for it, and needs none. */
static enum err add_rule(struct node *n, uint32_t priority, uint32_t mark, uint32_t table,
			 bool is_without_default)
{
	struct netlink_rule rule = { IP_V4, priority, mark, table, is_without_default };
	enum err err = netlink_add_rule(n->netlink, &rule);

	rule.family = IP_V6;
	if (!err && netlink_add_rule(n->netlink, &rule))
		log_debug("no rules for IPv6");
	return err;
}

static enum err add_rules(struct node *n)
{
	enum err err = add_rule(n, NODE_RULE_FIRST, NODE_MARK, NETLINK_TABLE_MAIN, false);

	if (!err)
		err = add_rule(n, NODE_RULE_FIRST + 40, NODE_MARK, 0, false);
	return err ? err : add_rule(n, NODE_RULE_FIRST + 60, 0, NODE_TABLE_MACHINES, false);
}

static void set_network_rules(struct node *n, bool is_wanted)
{
	if (is_wanted == n->has_network_rules)
		return;
	n->has_network_rules = is_wanted;
	if (!is_wanted) {
		if (netlink_remove_rules(n->netlink, IP_V4, NODE_RULE_LAST - 10, NODE_RULE_LAST) ||
		    netlink_remove_rules(n->netlink, IP_V6, NODE_RULE_LAST - 10, NODE_RULE_LAST))
			log_warn("rules for networks cannot be removed");
	} else if (add_rule(n, NODE_RULE_LAST - 10, 0, NETLINK_TABLE_MAIN, true) ||
		   add_rule(n, NODE_RULE_LAST, 0, NODE_TABLE_NETWORKS, false)) {
		log_error("networks behind other machines cannot be reached: no rules can be made");
	}
}

/* --- addresses and routes --------------------------------------------------------------------- */
static void change_address(struct node *n, struct ip *now, struct ip wanted)
{
	enum err err;

	if (ip_equal(*now, wanted))
		return;
	if (now->family != IP_NONE) {
		err = netlink_remove_address(n->netlink, n->interface, ip_prefix_of(*now));
		if (err)
			log_warn("an address cannot be removed: %s", err_name(err));
	}
	*now = wanted;
	if (wanted.family == IP_NONE)
		return;
	err = netlink_add_address(n->netlink, n->interface, ip_prefix_of(wanted), false);
	if (!err)
		err = netlink_add_address(n->netlink, n->interface, service_address(wanted.family),
					  true);
	if (err && wanted.family == IP_V4)
		log_error("this machine cannot get its address: %s", err_name(err));
}

void node_set_addresses(struct node *n, const struct control_node *self)
{
	struct ip v4 = { .family = IP_NONE }, v6 = { .family = IP_NONE };

	for (size_t i = self->address_count; i-- > 0;) {
		struct ip ip = self->addresses[i].ip;
		if (ip.family == IP_V4)
			v4 = ip;
		else if (ip.family == IP_V6)
			v6 = ip;
	}
	bool is_other = !ip_equal(v4, n->self4) || !ip_equal(v6, n->self6);
	change_address(n, &n->self4, v4);
	change_address(n, &n->self6, v6);
	/* Routes name the address to send from. */
	if (is_other) {
		size_t count = n->route_count;
		struct node_route *routes = n->routes;

		n->routes = NULL;
		n->route_count = 0;
		node_set_routes(n, routes, count);
		memory_free(routes);
	}
}

static int compare(const struct node_route *a, const struct node_route *b)
{
	int order = ip_compare(a->prefix.ip, b->prefix.ip);

	return order ? order
		     : (a->prefix.bits > b->prefix.bits) - (a->prefix.bits < b->prefix.bits);
}

static void add_route(struct node *n, const struct node_route *route)
{
	struct ip source = route->prefix.ip.family == IP_V6 ? n->self6 : n->self4;

	if (source.family != IP_NONE &&
	    netlink_add_route(n->netlink, n->interface, route->table, route->prefix, source))
		log_debug("a route cannot be added");
}

/* Both lists are sorted: what is in one of them only goes or comes. */
void node_set_routes(struct node *n, const struct node_route *routes, size_t count)
{
	struct node_route *kept = memory_take_array(count + 1, sizeof(*kept));
	bool has_networks = false;
	size_t i = 0, j = 0;

	while (i < n->route_count || j < count) {
		int order = i == n->route_count ? 1
			    : j == count	? -1
						: compare(&n->routes[i], &routes[j]);
		if (order < 0 && netlink_remove_route(n->netlink, n->interface, n->routes[i].table,
						      n->routes[i].prefix))
			log_debug("a route cannot be removed");
		if (order > 0)
			add_route(n, &routes[j]);
		i += order <= 0;
		j += order >= 0;
	}
	for (i = 0; i < count; i++)
		kept[i] = routes[i];
	memory_free(n->routes);
	n->routes = kept;
	n->route_count = count;
	for (i = 0; i < count; i++)
		has_networks |= kept[i].table == NODE_TABLE_NETWORKS;
	set_network_rules(n, has_networks);
}

/* --- the network below ------------------------------------------------------------------------ */
static struct endpoint endpoint_of(struct ip ip, uint16_t port)
{
	struct endpoint ret = { .port = port };

	if (ip.family == IP_V4)
		return endpoint_ip4(ip.bytes[0], ip.bytes[1], ip.bytes[2], ip.bytes[3], port);
	if (ip.family == IP_NONE)
		ret.port = 0;
	else
		memcpy(ret.ip, ip.bytes, sizeof(ret.ip));
	return ret;
}

static void find_gateway(struct node *n, struct paths_local *local)
{
	struct netlink_route route;
	/* Any address of the Internet: this is a question to the kernel. */
	struct ip far = ip_v4(0xc0000201);

	if (netlink_route_to(n->netlink, far, NODE_MARK, &route))
		return;
	local->gateway = endpoint_of(route.gateway, 0);
	local->to_gateway = endpoint_of(route.source, n->port);
}

static void look_for_others(struct node *n, const struct netlink_address *all, size_t count)
{
	bool is_among_others = false;

	for (size_t i = 0; i < count; i++)
		is_among_others |= all[i].interface != n->interface &&
				   control_is_machine_address(ip_prefix_of(all[i].prefix.ip));
	if (is_among_others == n->is_among_others)
		return;
	n->is_among_others = is_among_others;
	node_apply_routes(n);
}

void node_look_at_network(struct node *n)
{
	struct netlink_address all[NETLINK_ADDRESSES_MAX];
	struct paths_local local;
	size_t count = 0;

	memset(&local, 0, sizeof(local));
	if (netlink_addresses(n->netlink, all, &count))
		log_warn("the addresses of this machine cannot be read");
	for (size_t i = 0; i < count && local.count < PATHS_LOCAL_MAX; i++) {
		if (all[i].interface == n->interface || all[i].is_loopback ||
		    all[i].is_link_local || !all[i].is_usable)
			continue;
		local.addresses[local.count++] = endpoint_of(all[i].prefix.ip, n->port);
	}
	find_gateway(n, &local);
	look_for_others(n, all, count);
	if (memcmp(&local, &n->local, sizeof(local)) == 0)
		return;
	bool is_first = n->local.count == 0;
	n->local = local;
	paths_network_changed(n->paths, &local, clock_now_us());
	if (!is_first) {
		log_info("the network of this machine changed");
		derp_client_network_changed(n->relays);
		member_hurry(n->member);
	}
	node_run_effects(n);
}

static void on_settled(struct timer *t)
{
	node_look_at_network(CONTAINER(t, struct node, settle));
}

static void on_network(void *context)
{
	struct node *n = context;

	timer_set(&n->settle, n->loop, loop_now_ms(n->loop) + SETTLE_MS, on_settled);
}

/* --- passing on for others -------------------------------------------------------------------- */
static void check_forwarding(const char *path, const char *setting)
{
	AUTO_FILE file = fopen(path, "re");
	int letter = file ? fgetc(file) : '1';

	if (letter == '0')
		log_warn("this machine offers networks, and its system does not pass packets on: "
			 "`sysctl -w %s=1`",
			 setting);
}

/* Who is behind here does not know the mesh: packets leave with this machine's address. */
static void carry_networks(struct node *n, const char *tun)
{
	static const uint8_t v6[16] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 };
	const struct ip_prefix mesh[] = { { ip_v4(0x64400000), 10 }, { ip_v6(v6), 48 } };
	enum err err = n->offered_count > 0 ? nat_open(tun, mesh, 2) : OK;

	if (err)
		log_error("packets to the networks behind this machine keep the addresses of the "
			  "mesh: %s",
			  err_name(err));
	n->has_nat = n->offered_count > 0 && !err;
	if (n->offered_count > 0)
		check_forwarding("/proc/sys/net/ipv4/ip_forward", "net.ipv4.ip_forward");
}

/* --- opening and closing ---------------------------------------------------------------------- */
static enum err refuse(enum err err, const char *tun, const char *what, char why[NODE_WHY_BYTES])
{
	if (err == ERR_DENIED)
		snprintf(why, NODE_WHY_BYTES,
			 "%s %s needs root, or the capability CAP_NET_ADMIN (sudo hanse up)", what,
			 tun);
	else if (err == ERR_NOT_FOUND)
		snprintf(why, NODE_WHY_BYTES,
			 "%s %s: this system has no /dev/net/tun: `modprobe tun`", what, tun);
	else
		snprintf(why, NODE_WHY_BYTES, "%s %s: %s", what, tun, err_name(err));
	return err;
}

static void on_tun_gone(void *context)
{
	struct node *n = context;

	log_error("the interface was taken away");
	n->on_gone(n->context);
}

static enum err open_tun(struct node *n, const char *name)
{
	enum err err = tun_open(n->loop,
				&(struct tun_options) {
					.name = name,
					.head_bytes = TUNNEL_HEAD_BYTES,
					.align_bytes = TUNNEL_ALIGN_BYTES,
					.tail_bytes = TUNNEL_TAG_BYTES,
					.on_packets = node_on_tun,
					.on_return = node_on_tun_return,
					.on_gone = on_tun_gone,
					.context = n,
				},
				&n->tun);

	if (!err)
		n->interface = tun_index(n->tun);
	return err;
}

enum err node_open_system(struct node *n, const char *tun, char why[NODE_WHY_BYTES])
{
	enum err err = netlink_open(&n->netlink);

	if (err)
		return refuse(err, tun, "to ask for the interface", why);
	err = open_tun(n, tun);
	if (err)
		return refuse(err, tun, "to make the interface", why);
	node_clean_system();
	err = netlink_link_up(n->netlink, n->interface, NODE_MTU);
	if (!err)
		err = add_rules(n);
	if (err)
		return refuse(err, tun, "to set up the interface", why);
	carry_networks(n, tun);
	n->watch = netlink_watch_open(n->loop, on_network, n);
	return OK;
}

void node_close_system(struct node *n)
{
	timer_clear(&n->settle);
	if (n->watch)
		netlink_watch_close(n->watch);
	if (n->netlink)
		clean_rules(n->netlink);
	if (n->has_nat)
		nat_close();
	tun_close(n->tun);
	netlink_close(n->netlink);
	memory_free(n->routes);
}
