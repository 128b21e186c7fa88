/* Packet filter rules as control sends them ("PacketFilters"): who may reach what on the machine
 * that gets them.  The receiving machine enforces; what no rule allows is dropped. */
#ifndef WIRE_CONTROL_FILTER_H
#define WIRE_CONTROL_FILTER_H

#include "wire/control/node.h"

/* Written as "*", an address, a prefix, "a-b", or "cap:NAME". */
struct control_ip_set {
	enum { CONTROL_IPS_ANY, CONTROL_IPS_RANGE, CONTROL_IPS_CAP } kind;
	struct ip first, last; /* of a range, both in it */
	struct slice cap;      /* peers that have this node capability */
};

struct control_ports {
	struct control_ip_set ips; /* never CONTROL_IPS_CAP */
	uint16_t first, last;
};

/* Application capabilities for the sources, at these own addresses. */
struct control_grant {
	const struct ip_prefix *destinations;
	size_t destination_count;
	const struct control_cap *caps;
	size_t cap_count;
};

/* Either destinations or grants. */
struct control_rule {
	const struct control_ip_set *sources;
	size_t source_count;
	const uint8_t *protocols; /* none: TCP, UDP, ICMP and ICMPv6 */
	size_t protocol_count;
	const struct control_ports *destinations;
	size_t destination_count;
	const struct control_grant *grants;
	size_t grant_count;
};

/* A named part of the filter. */
struct control_filter {
	struct slice name;
	bool is_deleted; /* with the name "*": all that were there before */
	const struct control_rule *rules;
	size_t rule_count;
};

/* Append as a JSON array of rules. */
void control_rules_encode(struct buf *b, const struct control_rule *rules, size_t count);

#endif
