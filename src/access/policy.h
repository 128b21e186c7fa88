/* A policy: the text file, read.
 *
 *   {
 *     // who is meant
 *     "groups":    {"group:dev": ["alice@example.com", "bob@example.com"]},
 *     "hosts":     {"office": "10.1.0.0/16"},
 *     "tagOwners": {"tag:web": ["group:dev"]},
 *
 *     // what they may; everything else is denied
 *     "allow": [
 *       {"name": "deploy", "src": ["group:dev"], "dst": ["tag:web:22,443", "office:*"]},
 *       {"src": ["*"], "dst": ["tag:web"], "ip": ["tcp:443", "udp:443"]},
 *     ],
 *     "forbid": [{"src": ["bob@example.com"], "dst": ["tag:web:22"]}],
 *
 *     "autoApprovers": {"routes": {"10.1.0.0/16": ["tag:web"]}, "exitNode": ["group:dev"]},
 *     "tests": [{"src": "bob@example.com", "accept": ["tag:web:443"], "deny": ["tag:web:22"]}],
 *   }
 *
 * "acls" and "grants" of Tailscale's files are read as they are; "allow" and "forbid" take the
 * entries of both.  Order means nothing: what any rule forbids is forbidden, what remains and any
 * rule allows is allowed. */
#ifndef ACCESS_POLICY_H
#define ACCESS_POLICY_H

#include "access/hujson.h"
#include "access/principal.h"

enum {
	POLICY_RULES_MAX = 1000,
	POLICY_ENTRIES_MAX = 2000,  /* of one list */
	POLICY_SERVICES_MAX = 256,  /* ports and protocols of one destination */
	POLICY_GROUPS_MAX = 1000,   /* hosts and tags too */
	POLICY_MEMBERS_MAX = 10000, /* of one group */
	POLICY_TESTS_MAX = 1000,
	POLICY_CAPABILITIES_MAX = 64,		/* of one rule */
	POLICY_CAPABILITY_BYTES_MAX = 16 << 10, /* the values of one */
	POLICY_PROBLEMS_MAX = 50,
	POLICY_PROBLEM_BYTES = 240,
	POLICY_USUAL_PROTOCOLS = -1, /* TCP, UDP and ICMP; in "forbid" all there are */
};

/* Ports of a protocol.  What has no ports (ICMP, GRE, ...) is meant by all of them alone; ICMP is
 * that of both families. */
struct policy_service {
	int protocol; /* its number, or POLICY_USUAL_PROTOCOLS */
	uint16_t first_port, last_port;
};

struct policy_target {
	struct principal who;
	const struct policy_service *services; /* none: only capabilities are meant */
	size_t service_count;
};

struct policy_capability {
	struct slice name;
	struct slice values; /* a JSON list; "[]" in a forbid */
};

struct policy_rule {
	bool is_forbid;
	struct slice name; /* may be empty */
	unsigned line, column;
	const struct principal *sources;
	size_t source_count;
	const struct policy_target *targets;
	size_t target_count;
	const struct policy_capability *capabilities;
	size_t capability_count;
};

struct policy_host {
	struct slice name;
	struct ip_range range;
	unsigned line, column;
	bool is_used;
};

struct policy_owners {
	struct slice tag;	 /* of a tag */
	struct ip_prefix prefix; /* of a route */
	const struct principal *owners;
	size_t owner_count;
	unsigned line, column;
	bool is_used;
};

struct policy_test {
	struct slice name;
	unsigned line, column;
	struct principal source;
	const struct policy_target *accept, *deny;
	size_t accept_count, deny_count;
	int protocol; /* or POLICY_USUAL_PROTOCOLS: TCP */
};

struct policy {
	struct policy_group *groups;
	size_t group_count;
	struct policy_host *hosts;
	size_t host_count;
	struct policy_owners *tag_owners;
	size_t tag_owner_count;
	const struct policy_owners *route_approvers;
	size_t route_approver_count;
	const struct principal *exit_approvers;
	size_t exit_approver_count;
	const struct policy_rule *rules; /* as they stand in the file */
	size_t rule_count;
	const struct policy_test *tests;
	size_t test_count;
};

struct policy_problem {
	unsigned line, column;
	bool is_warning; /* the policy can be used as it is */
	char text[POLICY_PROBLEM_BYTES];
};

/* In the order in which they were found; the first so many. */
struct policy_problems {
	struct policy_problem items[POLICY_PROBLEMS_MAX];
	size_t count, error_count; /* error_count: all that were found */
};

/* Read.  The policy lives in the arena and borrows nothing from `text`.  ERR_INVALID, ERR_TOO_BIG:
 * the problems say why.  Warnings may come with OK. */
MUST_CHECK enum err policy_parse(struct arena *a, struct slice text, const struct policy **ret,
				 struct policy_problems *ret_problems);

void policy_complain(struct policy_problems *problems, bool is_warning, unsigned line,
		     unsigned column, const char *format, ...) PRINTF_LIKE(5, 6);

/* Does a rule with this service mean a packet?  `port` counts only where the protocol has ports. */
bool policy_service_means(const struct policy_service *s, bool is_forbid, uint8_t protocol,
			  uint16_t port);
bool policy_protocol_has_ports(int protocol);

/* May this machine have the tag, offer the route. */
bool policy_owns_tag(const struct policy *p, struct slice tag, const struct subject *s);
bool policy_approves_route(const struct policy *p, struct ip_prefix route, const struct subject *s);

/* "tcp", "icmp", ... or the number; for sentences. */
enum { POLICY_PROTOCOL_TEXT_BYTES = 16 };
void policy_protocol_text(int protocol, char ret[POLICY_PROTOCOL_TEXT_BYTES]);

#endif
