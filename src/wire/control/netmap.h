/* The network as one machine sees it: the sum of all map responses of a stream.
 *
 * Peers are immutable blocks, each replaced as a whole when something of it changes, so a pointer
 * to one is good until the next netmap_apply().  No I/O, no clock. */
#ifndef WIRE_CONTROL_NETMAP_H
#define WIRE_CONTROL_NETMAP_H

#include "wire/control/map_response.h"

struct netmap {
	struct control_node *self;   /* NULL before the first response */
	struct control_node **peers; /* sorted by id */
	size_t peer_count;
	size_t peer_capacity;		  /* private */
	struct control_relay_map *relays; /* NULL: none yet */
	struct control_dns *dns;	  /* NULL: none yet */
	struct control_filter **filters;  /* sorted by name; none: everything is dropped */
	size_t filter_count;
	struct control_user **users; /* sorted by id */
	size_t user_count;
	char **health; /* what control finds wrong with this machine */
	size_t health_count;
	char **control_urls;
	size_t control_url_count;
	char domain[CONTROL_NAME_BYTES_MAX + 1]; /* without dot at the end */
	uint64_t sequence; /* grows with every response that changed something */
};

/* What one response changed, as bits. */
enum {
	NETMAP_SELF = 1 << 0,
	NETMAP_RELAYS = 1 << 1,
	NETMAP_DNS = 1 << 2,
	NETMAP_FILTERS = 1 << 3,
	NETMAP_USERS = 1 << 4,
	NETMAP_HEALTH = 1 << 5,
	NETMAP_URLS = 1 << 6,
	NETMAP_DOMAIN = 1 << 7,
	NETMAP_PEERS = 1 << 8, /* there are peer changes */
};

enum {
	NETMAP_PEER_ADDED = 1 << 0,
	NETMAP_PEER_REMOVED = 1 << 1,
	NETMAP_PEER_KEY = 1 << 2,
	NETMAP_PEER_DISCO = 1 << 3,
	NETMAP_PEER_ENDPOINTS = 1 << 4,
	NETMAP_PEER_RELAY = 1 << 5,
	NETMAP_PEER_ADDRESSES = 1 << 6, /* addresses or allowed prefixes */
	NETMAP_PEER_ONLINE = 1 << 7,
	NETMAP_PEER_OTHER = 1 << 8, /* name, tags, capabilities, hostinfo, expiry, ... */
};

struct netmap_peer_change {
	int64_t id;
	unsigned what;		    /* NETMAP_PEER_... */
	struct mesh_key key;	    /* now; of a removed peer the last one */
	struct mesh_key key_before; /* differs only with NETMAP_PEER_KEY */
};

struct netmap_change {
	unsigned what;			  /* NETMAP_... */
	struct netmap_peer_change *peers; /* in the arena, each id once */
	size_t peer_count;
};

void netmap_init(struct netmap *m);
void netmap_done(struct netmap *m);

/* Apply one response.  ERR_INVALID, and the map as before, when the first one does not have the
 * node itself; ERR_TOO_BIG above CONTROL_NODES_MAX.  A keepalive changes nothing. */
MUST_CHECK enum err netmap_apply(struct netmap *m, struct arena *a,
				 const struct control_map_response *r, struct netmap_change *ret);

/* The peer, or NULL. */
const struct control_node *netmap_peer(const struct netmap *m, int64_t id);
const struct control_node *netmap_peer_by_key(const struct netmap *m, const struct mesh_key *key);
const struct control_user *netmap_user(const struct netmap *m, int64_t id);

/* The whole map as one response, borrowed from it: what is kept on disk with
 * control_map_response_encode(), and applied again at a start without control. */
void netmap_response(struct arena *a, const struct netmap *m, struct control_map_response *ret);

#endif
