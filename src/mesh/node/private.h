/* What the files of mesh/node share. */
#ifndef MESH_NODE_PRIVATE_H
#define MESH_NODE_PRIVATE_H

#include "base/map.h"
#include "loop/datagram.h"
#include "loop/netlink.h"
#include "loop/timer.h"
#include "loop/tun.h"

#include "mesh/filter/filter.h"
#include "mesh/lanes/lanes.h"
#include "mesh/node/node.h"
#include "mesh/relay/derp_client.h"
#include "mesh/relay/peer_relay.h"
#include "mesh/tunnel/tunnel.h"

enum {
	NODE_HELLO_BYTES = 148,	  /* the first message of a handshake */
	NODE_NETWORKS_MAX = 4096, /* behind machines, that the system gets routes to */
	NODE_STRANGER_MS = 5000,  /* as WireGuard tries again */
	/* Routes to where machines are that we do not know, and how much of an address they share
	 * with ours: 4096 of the 4 million that carriers use too, and all that only meshes use. */
	NODE_NEIGHBOURS = 2,
	NODE_NEIGHBOURS_BITS4 = 20,
	NODE_NEIGHBOURS_BITS6 = 48,
};

/* A machine of the netmap that has keys, as tunnel and paths know it. */
struct node_peer {
	int64_t id;
	struct mesh_key key;
	struct tunnel_peer *tunnel;
	struct paths_peer *paths;
	struct ip_prefix *allowed; /* by the tunnel, and routed to the TUN */
	size_t allowed_count;
	uint8_t hello[NODE_HELLO_BYTES]; /* hello.c: zeros: none */
	uint64_t hello_at_ms;		 /* when it is sent again; 0: it is not */
	int hello_count, unheard_count;
	bool is_peer_relay, is_relay_client; /* it forwards for us, we for it */
	struct mesh_key relay_disco; /* with which it asked our peer relay; zero: it did not */
	uint32_t home; /* the last relay it had, also while it is looking for one; 0: none yet */
};

struct node_route {
	struct ip_prefix prefix;
	uint32_t table;
};

struct node_socket {
	struct node *node;
	struct datagram *datagram;
	uint16_t number;
};

struct node_ping {
	struct paths_peer *peer;
	void (*on_pong)(void *context, const struct node_pong *pong); /* NULL: free */
	void *context;
	bool is_over;
	struct node_pong pong;
	struct deferred told;
};

struct node {
	struct loop *loop;
	struct member *member;
	struct tunnel *tunnel;
	struct lanes *lanes;
	uint64_t marks[TUN_ROOMS_MAX]; /* until when batches are in that room */
	struct paths *paths;
	struct filter *filter;
	struct derp_client *relays;
	struct mesh_key node_secret, disco_secret;

	struct tun *tun;
	uint32_t interface;
	struct netlink *netlink;
	struct netlink_watch *watch;
	struct timer settle; /* after the network changed */
	struct paths_local local;
	bool has_network_rules, has_nat;
	bool is_among_others; /* another interface has an address as machines have them */
	struct ip self4, self6;
	struct node_route *routes; /* in the kernel, sorted */
	size_t route_count;

	struct node_socket *sockets[PATHS_SOCKETS_MAX]; /* NULL: closed */
	uint16_t port;
	struct timer hello_timer;
	struct timer timer; /* the first deadline of tunnel and paths */
	uint64_t timer_at_ms;

	struct map peers; /* struct node_peer, by id */

	struct node_port_mapper *port_mapper; /* NULL: none is at work */

	struct peer_relay *relay; /* NULL: we are none */
	struct datagram *relay_socket;
	struct timer relay_timer;

	/* the configuration, kept */
	char name[NODE_NAME_BYTES], version[NODE_NAME_BYTES], exit_node[CONTROL_NAME_BYTES_MAX + 1];
	const char *exit_told; /* why the exit node is not used, as it was said; NULL: it is */
	char *tags[CONTROL_TAGS_MAX];
	size_t tag_count;
	struct ip_prefix offered[NODE_ROUTES_MAX];
	size_t offered_count;
	bool accepts_routes;
	bool has_told_networks; /* that there are too many */
	bool has_told_foreign;	/* that control gives addresses it may not give */
	struct node_service services[NODE_SERVICES_MAX];
	size_t service_count;

	uint64_t sequence;
	uint64_t stranger_ms; /* when somebody called who is no peer; 0: never */
	int32_t home_region;
	struct node_ping pings[NODE_PINGS_MAX];
	/* Whence what is being opened came, for what has to be answered there. */
	struct paths_from opening;
	struct mesh_key opening_key;

	void *context;
	void (*on_state)(void *context, const struct member_state *state);
	void (*on_change)(void *context, unsigned what);
	void (*on_node_secret)(void *context, const struct mesh_key *secret);
	void (*on_gone)(void *context);
};

/* system.c: the TUN, addresses, routes, rules, and what addresses the machine has. */
MUST_CHECK enum err node_open_system(struct node *n, const char *tun, char why[NODE_WHY_BYTES]);
void node_close_system(struct node *n);
void node_set_addresses(struct node *n, const struct control_node *self);
void node_set_routes(struct node *n, const struct node_route *routes, size_t count);
void node_look_at_network(struct node *n);

/* peers.c: what the netmap says. */
/* Sorted, each once, and so many networks as there may be; returns how many are left. */
size_t node_keep_routes(struct node_route *routes, size_t count, size_t *ret_left_out);
void node_apply_routes(struct node *n);
void node_apply(struct node *n, const struct netmap *m, const struct netmap_change *change);
void node_apply_all(struct node *n);
void node_configure_filter(struct node *n);
void node_drop_peers(struct node *n);
struct node_peer *node_peer_by_id(const struct node *n, int64_t id);

/* packets.c: the way of packets. */
void node_on_runs(void *context, struct datagram_run *runs, size_t count);
void node_on_relay_packet(void *context, int region, const struct mesh_key *from,
			  struct slice packet);
void node_on_tun(void *context, struct tun_packet *packets, size_t count);
void node_on_tun_return(void *context, unsigned room);
void node_open_lanes(struct node *n);
/* Whatever tunnel and paths want done, and when they want to be asked again. */
void node_run_effects(struct node *n);

/* hello.c: handshakes that reached nobody. */
bool node_is_hello(const struct tunnel_run *run);
void node_keep_hello(struct node *n, struct node_peer *p, const uint8_t *message);
void node_lost_hello(struct node *n, struct node_peer *p);
void node_end_hello(struct node_peer *p); /* there is a session, or no more hope */

/* peer_relays.c: machines that forward, and being one. */
MUST_CHECK enum err node_open_peer_relay(struct node *n, uint16_t port, char why[NODE_WHY_BYTES]);
void node_close_peer_relay(struct node *n);
/* What the filter says of the peer; returns whether that is something else than before. */
bool node_update_relaying(struct node *n, struct node_peer *p, const struct control_node *c);
void node_forget_relaying(struct node *n, struct node_peer *p);
void node_allocate(struct node *n, const struct paths_effect *e);

/* port_mapper.c: UPnP. */
void node_map_port(struct node *n, const struct paths_effect *e);
void node_end_port_mapper(struct node *n);

/* sockets.c: UDP and relays. */
MUST_CHECK enum err node_open_sockets(struct node *n, uint16_t port, char why[NODE_WHY_BYTES]);
void node_close_sockets(struct node *n);
void node_open_relays(struct node *n);
void node_take_path_effect(struct node *n, const struct paths_effect *e);
void node_send_run(struct node *n, struct node_peer *peer, const struct tunnel_run *run);
void node_set_relay_map(struct node *n, const struct control_relay_map *map);

/* node.c */
void node_tell_member(struct node *n);
void node_open_paths(struct node *n);
struct tunnel_now node_now(void);

#endif
