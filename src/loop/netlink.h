/* Addresses, routes and rules of this machine, asked of the kernel itself (rtnetlink).
 *
 * Each request waits for the kernel's answer, which comes at once; nothing is sent on a network.
 * Changing things needs CAP_NET_ADMIN: ERR_DENIED without it.  What is there already is OK, and
 * what is gone already is too. */
#ifndef LOOP_NETLINK_H
#define LOOP_NETLINK_H

#include <stdbool.h>

#include "base/ip.h"
#include "loop/loop.h"

enum { NETLINK_ADDRESSES_MAX = 256, NETLINK_NAME_BYTES = 16 };

struct netlink;

MUST_CHECK enum err netlink_open(struct netlink **ret);
void netlink_close(struct netlink *n); /* NULL is harmless */

/* --- what is there --- */

struct netlink_address {
	struct ip_prefix prefix; /* not masked: the address and the bits of its network */
	uint32_t interface;
	bool is_loopback; /* of the interface lo, or of 127.0.0.0/8 or ::1 */
	bool is_link_local;
	bool is_usable; /* its interface is up and running; not tentative, not deprecated */
};

/* All of them, of all interfaces; returns how many, NETLINK_ADDRESSES_MAX at most. */
MUST_CHECK enum err netlink_addresses(struct netlink *n,
				      struct netlink_address ret[NETLINK_ADDRESSES_MAX],
				      size_t *ret_count);

struct netlink_route {
	struct ip gateway; /* IP_NONE: none */
	struct ip source;  /* our address towards it; IP_NONE: not known */
	uint32_t interface;
};

/* The way to `to` for a packet with this mark (0: none).  ERR_NOT_FOUND: there is none. */
MUST_CHECK enum err netlink_route_to(struct netlink *n, struct ip to, uint32_t mark,
				     struct netlink_route *ret);

/* --- changing it --- */

MUST_CHECK enum err netlink_link_up(struct netlink *n, uint32_t interface, uint32_t mtu);

/* `is_for_services`: for who listens on it, never chosen as the address to send from. */
MUST_CHECK enum err netlink_add_address(struct netlink *n, uint32_t interface,
					struct ip_prefix prefix, bool is_for_services);
MUST_CHECK enum err netlink_remove_address(struct netlink *n, uint32_t interface,
					   struct ip_prefix prefix);

/* Packets to `prefix` leave by `interface` from `source` (IP_NONE: whatever fits). */
MUST_CHECK enum err netlink_add_route(struct netlink *n, uint32_t interface, uint32_t table,
				      struct ip_prefix prefix, struct ip source);
MUST_CHECK enum err netlink_remove_route(struct netlink *n, uint32_t interface, uint32_t table,
					 struct ip_prefix prefix);

enum { NETLINK_TABLE_MAIN = 254 };

/* Rules are known by their priority: ours have numbers of their own. */
struct netlink_rule {
	uint8_t family;		 /* enum ip_family */
	uint32_t priority;	 /* the lowest is asked first */
	uint32_t mark;		 /* only packets with it; 0: all */
	uint32_t table;		 /* looked up; 0: the packet is refused as unreachable */
	bool is_without_default; /* a default route of the table does not count */
};
MUST_CHECK enum err netlink_add_rule(struct netlink *n, const struct netlink_rule *rule);

/* All rules of a family with priorities from `first` to `last`. */
MUST_CHECK enum err netlink_remove_rules(struct netlink *n, uint8_t family, uint32_t first,
					 uint32_t last);

/* --- being told --- */

struct netlink_watch;

/* `on_change` comes from the loop, at most once for what happened together: an address, a route or
 * a link came or went. NULL: the kernel has no room for it. */
struct netlink_watch *netlink_watch_open(struct loop *loop, void (*on_change)(void *context),
					 void *context);
void netlink_watch_close(struct netlink_watch *w);

#endif
