/* A machine of the mesh: the TUN, WireGuard, the paths, the relays, the filter and the membership,
 * held together on one loop.
 *
 *	TUN -> filter -> tunnel -> paths -> UDP, relay
 *	UDP, relay -> paths -> tunnel -> filter -> TUN
 *	control -> member -> netmap -> peers of tunnel and paths, rules of the filter, routes
 *
 * What is known of the mesh stays known while control is away; node_load() gives it what an earlier
 * life knew.  All callbacks come from the loop, never from inside a call. */
#ifndef MESH_NODE_NODE_H
#define MESH_NODE_NODE_H

#include "mesh/member/member.h"
#include "mesh/paths/paths.h"

enum {
	NODE_MARK = 0x8641,	/* SO_MARK of what carries the mesh */
	NODE_RULE_FIRST = 5310, /* priorities of our rules */
	NODE_RULE_LAST = 5390,
	NODE_TABLE_MACHINES = 8641, /* routes to machines of the mesh */
	NODE_TABLE_NETWORKS = 8642, /* routes to networks behind them */
	NODE_MTU = 1280,
	NODE_SERVICES_MAX = 16,
	NODE_ROUTES_MAX = 64, /* that this machine offers */
	NODE_NAME_BYTES = 64,
	NODE_WHY_BYTES = 300,
	NODE_PINGS_MAX = 16,
};

struct node;

enum {
	NODE_SEEN = 1 << 0,  /* machines, addresses or names changed: node_sequence() did */
	NODE_KEEP = 1 << 1,  /* what another life needs to find the others changed */
	NODE_MOVED = 1 << 2, /* where machines are changed: good for another life too */
};

/* A port of this machine that others are told of, and may reach whatever the policy says, because
 * who listens there asks for each caller. */
struct node_service {
	char proto[NODE_NAME_BYTES]; /* "peerapi4", "http" */
	uint16_t port;
};

struct node_config {
	const char *tun;     /* name of the interface */
	uint16_t port;	     /* UDP; another one where it is taken */
	uint16_t peer_relay; /* UDP: forward for others there; 0: do not */
	const char *name;    /* of this machine */
	const char *version; /* of this program */
	const char *const *urls;
	size_t url_count;
	struct mesh_key server_key; /* zero: not pinned */
	struct mesh_key machine_secret, node_secret;
	const char *join_key;			  /* "": none */
	struct ip_prefix routes[NODE_ROUTES_MAX]; /* it offers; of all bits 0: exit node */
	size_t route_count;
	const char *const *tags;
	size_t tag_count;
	bool accepts_routes;
	const char *exit_node; /* name, address or id; "": none */
	void *context;
	void (*on_state)(void *context, const struct member_state *state);
	void (*on_change)(void *context, unsigned what); /* NODE_... bits */
	void (*on_node_secret)(void *context, const struct mesh_key *secret);
	void (*on_gone)(
		void *context); /* somebody took the interface away: nothing works any more */
};

/* ERR_DENIED, ...: no TUN, no rules, no socket; `why` says what to do. */
MUST_CHECK enum err node_new(struct loop *loop, const struct node_config *config, struct node **ret,
			     char why[NODE_WHY_BYTES]);
/* Addresses, routes and rules go with it. */
void node_free(struct node *n);

/* Rules that a life which ended in disorder left behind; node_new() does it too.  Harmless. */
void node_clean_system(void);

/* A netmap that was kept, as JSON; before node_start(). */
MUST_CHECK enum err node_load(struct node *n, struct slice json);
void node_start(struct node *n);

/* For another start. */
void node_save(struct node *n, struct buf *ret);

struct member *node_member(struct node *n);
const struct netmap *node_netmap(const struct node *n);
struct paths *node_paths(struct node *n);
uint64_t node_sequence(const struct node *n);
uint16_t node_port(const struct node *n);

/* What others are told this machine serves. */
void node_set_services(struct node *n, const struct node_service *services, size_t count);
size_t node_services(const struct node *n, const struct node_service **ret);

/* Who has the address; self too.  NULL: nobody. */
const struct control_node *node_whois(const struct node *n, struct ip address);
/* By name (with or without domain), address or id; NULL: nobody, or several. */
const struct control_node *node_find(const struct node *n, struct slice name);

/* NULL: control told of no such peer, or it has no keys. */
struct paths_peer *node_paths_peer(struct node *n, const struct control_node *peer);

struct node_pong {
	bool is_lost;
	uint64_t latency_us;
	uint32_t region; /* 0: by this address: */
	struct endpoint address;
	bool is_by_peer_relay; /* and it is that of a peer relay */
};
/* Ask a peer for a sign of life; `on_pong` is called once, by node_free() at the
 * latest.
 * ERR_BUSY, ERR_NOT_FOUND. */
MUST_CHECK enum err node_ping(struct node *n, const struct control_node *peer,
			      void (*on_pong)(void *context, const struct node_pong *pong),
			      void *context);

struct node_traffic {
	uint64_t received_bytes, sent_bytes;
	int64_t handshake_wall_ms; /* 0: none */
};
struct node_traffic node_traffic(struct node *n, const struct control_node *peer);

bool node_relay_is_connected(const struct node *n, uint32_t region);

#endif
