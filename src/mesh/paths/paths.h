/* How datagrams reach a peer: directly, or by a relay.
 *
 * The engine does no I/O.  Events and the time go in; effects are read out of it with paths_next()
 * until there are none, after every call that takes `now_us`.  What an effect points to is valid
 * until the next call of paths_next() or any other function here.
 *
 *	datagram from a socket      -> paths_received()       -> WireGuard, or consumed
 *	datagram from a relay       -> paths_relay_received() -> WireGuard, or consumed
 *	tunnel accepted a packet    -> paths_authenticated()
 *	packets for a peer          -> paths_route()          -> where the caller sends them
 *	paths_deadline_us() reached -> paths_tick()
 *
 * Sockets are numbers.  Socket 0 is what listens on our port (the caller has one for each address
 * family, or one for both, and picks by the address); others come and go by effects, are IPv4 and
 * have a port of the system's choice.  Peers that nobody talks to cost no wake-up. */
#ifndef MESH_PATHS_PATHS_H
#define MESH_PATHS_PATHS_H

#include <stdbool.h>

#include "base/slice.h"
#include "wire/disco/disco.h"
#include "wire/endpoint.h"
#include "wire/mesh_key.h"

enum {
	PATHS_PEERS_MAX = 100000,
	PATHS_PEER_ENDPOINTS_MAX = 32, /* of the netmap, and as many from a call-me-maybe */
	PATHS_LOCAL_MAX = 16,
	PATHS_ENDPOINTS_MAX = 24, /* of ours */
	PATHS_REGIONS_MAX = 128,
	PATHS_STUN_SERVERS_MAX = 4, /* in a region */
	PATHS_SOCKETS_MAX = 1025,   /* with socket 0 */
	PATHS_WHY_BYTES = 160,
};

struct paths;
struct paths_peer;

struct paths_config {
	struct mesh_key node_public;
	struct mesh_key disco_secret;
	/* Random bytes; NULL: the kernel's. */
	void (*random)(void *context, void *ret, size_t size);
	void *random_context;
	bool is_port_mapping_off;
	bool is_punch_off; /* no many sockets against hard NATs */
};

struct paths *paths_new(const struct paths_config *config, uint64_t now_us);
void paths_free(struct paths *p);
/* Gives back what the router lends us; the effects are read once more before paths_free(): sends
 * and PATHS_UNMAP_PORT. */
void paths_give_back(struct paths *p);
const struct mesh_key *paths_disco_public(const struct paths *p);

/* --- what the netmap and the machine say --- */

struct paths_peer_facts {
	struct mesh_key node;
	struct mesh_key disco; /* zero: unknown, only relays */
	const struct endpoint *endpoints;
	int endpoint_count;   /* those over PATHS_PEER_ENDPOINTS_MAX are left out */
	uint32_t home;	      /* region, 0: unknown */
	bool is_peer_relay;   /* it forwards between us and others, when it is asked */
	bool is_relay_client; /* we do that for it: PATHS_ALLOCATE may come */
	void *context;	      /* the caller's, see paths_peer_context() */
};

/* A peer is new, or its facts changed.  NULL: there are PATHS_PEERS_MAX already. */
struct paths_peer *paths_put_peer(struct paths *p, const struct paths_peer_facts *facts,
				  uint64_t now_us);
/* Harmless when it is not there. */
void paths_remove_peer(struct paths *p, const struct mesh_key *node);

/* A whole netmap: begin, put every peer, end; those that were not put are removed. */
void paths_peers_begin(struct paths *p);
void paths_peers_end(struct paths *p);

/* NULL: unknown. */
struct paths_peer *paths_find_peer(const struct paths *p, const struct mesh_key *node);
const struct mesh_key *paths_peer_node(const struct paths_peer *peer);
const struct mesh_key *paths_peer_disco_key(const struct paths_peer *peer);
void *paths_peer_context(const struct paths_peer *peer);

/* The peer told its disco key inside the tunnel (TSMP 'a'). */
void paths_peer_disco(struct paths *p, struct paths_peer *peer, const struct mesh_key *disco,
		      uint64_t now_us);

struct paths_region {
	uint32_t id;				      /* 1 .. 65535 */
	struct endpoint stun[PATHS_STUN_SERVERS_MAX]; /* resolved; IPv4 and IPv6 */
	int stun_count;
	bool is_never_home; /* only to measure with */
};

/* All regions of the relay map; the array is copied. */
void paths_set_regions(struct paths *p, const struct paths_region *regions, int count,
		       uint64_t now_us);

struct paths_local {
	struct endpoint addresses[PATHS_LOCAL_MAX]; /* of interfaces, without that of the mesh;
						     * the port of socket 0 for that family */
	int count;
	struct endpoint gateway;    /* of the IPv4 default route, port 0; zero: none */
	struct endpoint to_gateway; /* our address towards it */
};

/* Addresses, routes or links changed; also called once at the start.  When they differ from what
 * is known no path is trusted any more, and everything is measured again. */
void paths_network_changed(struct paths *p, const struct paths_local *local, uint64_t now_us);

/* A connection to the relay of a region came (how long connecting took; 0: unknown), went, or could
 * not be made.  After some failures in a row home moves elsewhere. */
void paths_relay_up(struct paths *p, uint32_t region, uint64_t latency_us, uint64_t now_us);
void paths_relay_down(struct paths *p, uint32_t region, uint64_t now_us);
/* The relay of a region says that it does not know the peer. */
void paths_relay_peer_gone(struct paths *p, uint32_t region, const struct mesh_key *node);

/* --- datagrams --- */

enum paths_verdict {
	PATHS_CONSUMED,	 /* STUN, disco or port mapping: done; also what is dropped */
	PATHS_WIREGUARD, /* for the tunnel; a Geneve header was cut off `packet` */
};

/* By which way a datagram came; the caller keeps it until the tunnel has opened the packet. */
struct paths_from {
	uint32_t region; /* 0: not from a relay */
	uint32_t vni;	 /* 0: not through a peer relay */
	uint16_t socket;
	struct endpoint address; /* not for a relay */
};

/* `packet` is changed only when a header is cut off.  `*ret_peer` is who probably sent it, by the
 * address or by the relay's word, or NULL: a hint, the tunnel decides. */
enum paths_verdict paths_received(struct paths *p, uint16_t socket, const struct endpoint *from,
				  struct slice *packet, uint64_t now_us,
				  struct paths_from *ret_from, struct paths_peer **ret_peer);
enum paths_verdict paths_relay_received(struct paths *p, uint32_t region,
					const struct mesh_key *node, struct slice packet,
					uint64_t now_us, struct paths_from *ret_from,
					struct paths_peer **ret_peer);

/* The tunnel opened a packet, or several, of the peer that came this way. */
void paths_authenticated(struct paths *p, struct paths_peer *peer, const struct paths_from *from,
			 uint64_t now_us);

/* Where packets for the peer go now; both at once while a direct path is not (or no longer)
 * certain, neither when the peer has no relay either.  Also marks the peer as talked to, which
 * starts the search for a better path. */
struct paths_route {
	bool has_udp;
	bool has_relay;
	uint16_t socket;
	struct endpoint address;
	uint32_t vni;	 /* not 0: paths_geneve() goes before each packet */
	uint32_t region; /* of the relay */
};

/* The answer to PATHS_ALLOCATE: a session of our peer relay, and where that is reached. */
void paths_allocated(struct paths *p, struct paths_peer *peer, uint32_t generation,
		     const struct disco_relay *session, const struct endpoint *endpoints,
		     size_t count, uint64_t now_us);

/* The answer to PATHS_MAP_PORT: the port is open for so long.  `outside` NULL: it is not. */
void paths_mapped(struct paths *p, const struct endpoint *local, const struct endpoint *outside,
		  uint32_t seconds, uint64_t now_us);

void paths_route(struct paths *p, struct paths_peer *peer, uint64_t now_us,
		 struct paths_route *ret);

/* Neither a trusted direct path nor a relay leads to the peer.  Where it began another life that
 * nobody could announce, it hears no disco of ours: only a handshake of the tunnel finds it. */
bool paths_is_lost(const struct paths_peer *peer, uint64_t now_us);
/* The first message of a handshake, which is also sent as paths_route() says: when the peer is
 * lost, effects take it to all other addresses that it may have. */
void paths_hello(struct paths *p, struct paths_peer *peer, struct slice message, uint64_t now_us);

enum { PATHS_GENEVE_BYTES = 8 };
void paths_geneve(uint32_t vni, uint8_t ret[PATHS_GENEVE_BYTES]);

/* When paths_tick() is wanted; UINT64_MAX: nothing is waited for. */
uint64_t paths_deadline_us(const struct paths *p);
void paths_tick(struct paths *p, uint64_t now_us);

/* --- what others ask --- */

/* `hanse ping`: ask the peer by every way that is known, at most one answer effect a call:
 * PATHS_PING_ANSWERED, or PATHS_PING_LOST after 5 s. */
void paths_ping(struct paths *p, struct paths_peer *peer, uint64_t now_us);

/* "direct 192.0.2.1:41641, 12.3 ms", "relay 900, because both NATs give every address another
 * port". */
void paths_peer_why(const struct paths *p, const struct paths_peer *peer, uint64_t now_us,
		    char ret[PATHS_WHY_BYTES]);

enum paths_kind { PATHS_NONE, PATHS_RELAY, PATHS_DIRECT, PATHS_PEER_RELAY };

struct paths_peer_state {
	enum paths_kind kind;
	struct endpoint address; /* of a direct path, or of the peer relay */
	uint32_t region;	 /* through which we would relay */
	uint64_t latency_us;	 /* of the best path; 0: unknown */
	bool is_active;		 /* talked to in the last 45 s */
};

void paths_peer_state(const struct paths *p, const struct paths_peer *peer, uint64_t now_us,
		      struct paths_peer_state *ret);

/* Kinds as control counts them. */
enum paths_endpoint_kind {
	PATHS_ENDPOINT_LOCAL = 1,
	PATHS_ENDPOINT_STUN = 2,
	PATHS_ENDPOINT_MAPPED = 3,
	PATHS_ENDPOINT_STUN_LOCAL_PORT = 4,
};

struct paths_endpoint {
	struct endpoint address;
	enum paths_endpoint_kind kind;
};

/* Ours, the most promising first, for control; returns how many. */
int paths_endpoints(const struct paths *p, struct paths_endpoint ret[PATHS_ENDPOINTS_MAX]);

enum paths_answer { PATHS_UNKNOWN, PATHS_NO, PATHS_YES };

struct paths_netinfo {
	uint32_t home;			  /* region; 0: none yet */
	enum paths_answer has_udp;	  /* a STUN server answered; no: and a relay is reached */
	enum paths_answer has_ipv6;	  /* by IPv6 */
	enum paths_answer mapping_varies; /* another port for every destination: a hard NAT */
	enum paths_answer has_mapping;	  /* the router keeps a port open for us */
	struct endpoint public4, public6; /* zero: unknown */
	struct {
		uint32_t region;
		uint64_t latency_us;
	} latencies[PATHS_REGIONS_MAX];
	int latency_count;
};

void paths_netinfo(const struct paths *p, struct paths_netinfo *ret);

/* --- effects --- */

enum paths_effect_kind {
	PATHS_SEND,	   /* bytes from `socket` to `address` */
	PATHS_SEND_RELAY,  /* bytes to `node` by the relay of `region`; connect when needed */
	PATHS_OPEN_SOCKET, /* a UDP socket for IPv4 as number `socket`; failing is harmless */
	PATHS_CLOSE_SOCKET,
	PATHS_HOME_CHANGED,	 /* `region`: connect to its relay, and tell control */
	PATHS_ENDPOINTS_CHANGED, /* tell control: paths_endpoints() */
	PATHS_NETINFO_CHANGED,	 /* tell control: paths_netinfo() */
	PATHS_PEER_CHANGED,	 /* `peer` has another path: paths_peer_why() */
	PATHS_PING_ANSWERED,	 /* `peer`, `latency_us`, and by `address` or `region` */
	PATHS_PING_LOST,	 /* `peer` */
	PATHS_ALLOCATE,		 /* `peer` wants one between `clients`: paths_allocated() */
	PATHS_MAP_PORT,		 /* UPnP: the gateway described at `address` and the path `bytes`
				  * is to keep `outside_port`, or another, open for `local`:
				  * paths_mapped() */
	PATHS_UNMAP_PORT,	 /* and has to keep it no more */
};

struct paths_effect {
	enum paths_effect_kind kind;
	uint16_t socket;
	uint32_t region;
	struct endpoint address;
	struct mesh_key node;
	struct paths_peer *peer;
	uint64_t latency_us;
	uint32_t vni; /* of PATHS_PING_ANSWERED: not 0: `address` is that of a peer relay */
	uint32_t generation;
	struct mesh_key clients[2];
	uint8_t ttl; /* of PATHS_SEND by IPv4; 0: as usual.  Not to heed it is harmless */
	struct endpoint local;
	uint16_t outside_port;
	struct slice bytes;
};

/* false: there are no more for now. */
bool paths_next(struct paths *p, struct paths_effect *ret);

#endif
