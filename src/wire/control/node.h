/* A machine as control describes it to its peers and to itself ("Node"). */
#ifndef WIRE_CONTROL_NODE_H
#define WIRE_CONTROL_NODE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/ip.h"
#include "wire/control/limits.h"
#include "wire/endpoint.h"
#include "wire/mesh_key.h"

/* A yes or no that may be absent. */
enum control_maybe { CONTROL_UNSAID = 0, CONTROL_NO, CONTROL_YES };

struct control_service {
	struct slice proto; /* "peerapi4", "peerapi6", "tcp", ... */
	uint16_t port;
	struct slice description;
};

/* What a machine says of itself.  The members are what Hanse reads; `json` is the whole object as
 * it was sent, which peers get unchanged. */
struct control_hostinfo {
	struct slice json; /* empty: none, "{}" is written */
	struct slice hostname;
	struct slice os;
	struct slice version;		/* of the client program */
	const struct ip_prefix *routes; /* it offers to carry: "RoutableIPs" */
	size_t route_count;
	const struct slice *request_tags;
	size_t request_tag_count;
	const struct control_service *services;
	size_t service_count;
	int32_t home_relay; /* NetInfo.PreferredDERP; 0: none */
};

/* A capability and the JSON array of its values ("[]" for none; empty is read as that). */
struct control_cap {
	struct slice name;
	struct slice values;
};

/* Times are Unix seconds, 0 where there is none. */
struct control_node {
	int64_t id; /* > 0, < 2^53 */
	struct slice stable_id;
	struct slice name; /* with domain and trailing dot */
	int64_t user;
	struct mesh_key key;
	struct mesh_key machine; /* zero: not told */
	struct mesh_key disco;	 /* zero: not known */
	int64_t key_expiry_s;
	int64_t created_s;
	int64_t last_seen_s;
	const struct ip_prefix *addresses; /* decoded: those that machines may have, no other */
	size_t address_count;
	bool has_foreign_address;	 /* decoded: others were left out */
	const struct ip_prefix *allowed; /* decoded: never absent, the addresses if it was */
	size_t allowed_count;
	const struct ip_prefix *primary_routes;
	size_t primary_route_count;
	const struct endpoint *endpoints;
	size_t endpoint_count;
	int32_t home_relay; /* region; 0: none */
	uint32_t version;   /* capability version of its client; 0: not told */
	enum control_maybe online;
	bool is_authorized;
	bool is_expired;
	const struct slice *tags;
	size_t tag_count;
	const struct control_cap *caps;
	size_t cap_count;
	struct control_hostinfo hostinfo;
};

/* The capability of this name, or NULL. */
const struct control_cap *control_node_cap(const struct control_node *n, struct slice name);

/* The first label of the name. */
struct slice control_node_label(const struct control_node *n);

/* A copy in one block of memory, which memory_free() frees. */
struct control_node *control_node_copy(const struct control_node *n);

/* Append the node as a JSON object. */
void control_node_encode(struct buf *b, const struct control_node *n);

/* One whole address of 100.64.0.0/10 or fd7a:115c:a1e0::/48, and not that of the service of names:
 * no other is a machine's, whatever control says. */
bool control_is_machine_address(struct ip_prefix p);

/* Whatever JSON value `text` is must be an object; limits are checked. */
MUST_CHECK enum err control_node_decode(struct arena *a, struct slice text,
					struct control_node *ret);
MUST_CHECK enum err control_hostinfo_decode(struct arena *a, struct slice text,
					    struct control_hostinfo *ret);

/* Append a hostinfo of the members, without `json`: what our own client sends. */
void control_hostinfo_encode(struct buf *b, const struct control_hostinfo *h);

#endif
