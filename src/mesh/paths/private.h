/* What the files of the path engine share.
 *
 *	paths.c		the engine, its effects, the demultiplexer, time
 *	peer.c		peers and their facts
 *	candidate.c	addresses a peer may have, and which of them is used
 *	message.c	pings, pongs, calls: what is sent and what comes
 *	search.c	when a peer is looked for, and where its packets go
 *	measure.c	STUN, and what we know of our own network
 *	home.c		which region is home
 *	endpoint.c	at which addresses we may be reached
 *	mapping.c	a port that the router keeps open
 *	via.c		other machines that forward
 *	punch.c		many sockets against hard NATs
 *	describe.c	what people are told */
#ifndef MESH_PATHS_PRIVATE_H
#define MESH_PATHS_PRIVATE_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "mesh/paths/paths.h"
#include "wire/disco/disco.h"
#include "wire/disco/geneve.h"
#include "wire/port_mapping/upnp.h"
#include "wire/stun/stun.h"

#define MS UINT64_C(1000)
#define SECOND UINT64_C(1000000)
#define NEVER UINT64_MAX

/* The timers of the official client, where it has them. */
#define HEARTBEAT_US (3 * SECOND) /* to the best address, while active */
#define ACTIVE_US (45 * SECOND)	  /* after the last packet to the peer */
#define TRUST_US (6500 * MS)	  /* of an address, after a pong */
#define OPENING_US (200 * MS)	  /* between a call and the pings that get through */
#define DOUBT_US (500 * MS)	  /* for a pong, when the peer seems to be elsewhere */
#define PING_TIMEOUT_US (5 * SECOND)
#define PING_INTERVAL_US (5 * SECOND)  /* between two pings to one address while looking */
#define UPGRADE_US (60 * SECOND)       /* between two looks for something better */
#define GOOD_LATENCY_US (5 * MS)       /* nothing better is looked for */
#define FRESH_US (27 * SECOND)	       /* what STUN said; older is asked again before a call */
#define SEARCH_SLOWER_US (60 * SECOND) /* of looking in vain */
#define SLOW_SEARCH_US (30 * SECOND)   /* between two looks from then on */
#define REMEASURE_US (20 * SECOND)     /* between two rounds of STUN, while active */
#define REMEASURE_JITTER_US (6 * SECOND)
#define MEASURE_ALL_US (300 * SECOND) /* between two rounds that ask every region */
#define MEASURE_TIMEOUT_US (2 * SECOND)
#define MEASURE_ENOUGH_US (400 * MS) /* nobody waits longer for the last server */
#define STUN_RETRY_US (100 * MS)
#define REVERSE_US (120 * SECOND)    /* a peer came by this region */
#define SILENCE_US (15 * SECOND)     /* packets go out for so long and nothing is answered */
#define SENDING_GAP_US (7 * SECOND)  /* a longer pause begins a new silence */
#define SOCKET_IDLE_US (15 * SECOND) /* of a punch, over which nothing came */
#define VOLLEY_PAUSE_US (12 * SECOND)
#define PACE_US (10 * MS)	       /* between two bursts of pings */
#define PUNCH_AFTER_US (4 * SECOND)    /* of looking in vain */
#define PEER_IS_THERE_US (10 * SECOND) /* after it was heard by a relay */
#define PUNCH_WAIT_US (5 * SECOND)     /* until it has failed */
#define PUNCH_AGAIN_US (10 * SECOND)   /* once: one in fifty fails by chance */
#define PUNCH_PAUSE_US (60 * SECOND)   /* then it was no chance; doubled each time */
#define PUNCH_PAUSE_MAX_US (3600 * SECOND)
#define VIA_AFTER_US SECOND	   /* of looking in vain, peer relays are asked */
#define VIA_AGAIN_US (10 * SECOND) /* between two times */
#define VIA_BIND_US SECOND	   /* between two tries of the handshake */
#define VIA_IDLE_US (300 * SECOND) /* the relay has forgotten it by then */
#define HOME_KEEP_US (8 * SECOND)

enum {
	STUN_TRIES = 3,
	SAMPLES = 4, /* latencies of a region that are remembered */
	PINGS_MAX = 16384,
	LEARNED_MAX = 16, /* candidates that we heard of by a ping alone */
	CALL_BURST = 8,	  /* calls of a peer that are heard at once; then one a second */
	PUNCH_SOCKETS = 256,
	PUNCH_PORTS = 1000,
	BURST = 64, /* pings sent at once in a punch or a volley */
	HYSTERESIS_POINTS = 10,
	VOLLEYS_MAX = 4,
	LOST_FAILURES = 2, /* of a relay in a row: peers are looked for without it */
	VIAS_MAX = 4,	   /* of a peer, and peer relays that are asked at once */
	VIA_ADDRESSES_MAX = 16,
	VIA_BINDS = 8, /* tries, while the peer may not have heard of it */
	CANDIDATE_KEY_BYTES = ENDPOINT_WIRE_BYTES + 4,
	OPENING_TTL = 3, /* through our routers, and not as far as the peer's */
};

/* --- candidates --- */

/* From where a candidate is known; it goes when nobody names it any more. */
enum { FROM_NETMAP = 1, FROM_CALL = 2, FROM_PING = 4, FROM_TUNNEL = 8 };

struct candidate {
	struct list node;
	struct paths_peer *peer;
	struct endpoint address;
	uint16_t socket;
	uint32_t vni;	    /* not 0: the address is that of a peer relay */
	uint8_t from;	    /* FROM_ */
	bool is_known_here; /* p->by_address leads from `key` to this */
	uint8_t key[CANDIDATE_KEY_BYTES];
	uint64_t pinged_us; /* 0: never */
	uint64_t pong_us;
	uint64_t latency_us;
	uint64_t heard_us;    /* a ping, or a packet that the tunnel opened, came from here */
	uint64_t tunnel_us;   /* the last packet of the tunnel */
	bool is_only_opened;  /* the last ping was an opener */
	bool is_distrusted;   /* pongs come from here, but the tunnel's packets do not */
	struct endpoint seen; /* how the peer saw us, when we came from here */
};

/* --- peer relays --- */

enum { VIA_KEY_BYTES = 4 + MESH_KEY_BYTES };

/* A session of a peer relay, between us and the peer. */
struct via {
	struct list node;
	struct paths_peer *peer;
	uint8_t key[VIA_KEY_BYTES]; /* of p->vias: number and server */
	struct mesh_key server;
	uint8_t shared[BOX_KEY_BYTES]; /* with the server */
	uint32_t vni, generation;
	uint64_t lamport;
	struct endpoint addresses[VIA_ADDRESSES_MAX];
	int address_count;
	int binds;	   /* that were sent */
	uint64_t bind_us;  /* when the next one is; NEVER: something came through */
	uint64_t heard_us; /* 0: never */
};

/* --- peers --- */

/* Pings to many ports of one address, as a call asked for. */
struct volley {
	struct endpoint address;
	uint16_t *ports;
	size_t count, next;
};

enum punch_state { PUNCH_NONE, PUNCH_PINGING, PUNCH_WAITING };

struct paths_peer {
	struct paths *paths;
	struct heap_node timer;
	struct mesh_key node, disco;
	uint8_t shared[BOX_KEY_BYTES];
	bool has_shared, is_shared_bad;
	bool is_put; /* since paths_peers_begin() */
	bool is_told_direct;
	bool wants_call; /* when STUN has answered */
	uint32_t home, reverse;
	uint64_t reverse_us;
	void *context;
	struct list relay_node; /* in p->peer_relays, while it is one */
	bool is_relay_client;
	struct list vias;
	int via_count;
	uint64_t asked_us;	   /* peer relays, for a way to this one; 0: never */
	uint32_t asked_generation; /* of that question */
	struct list candidates;
	int candidate_count;
	struct candidate *best;
	uint64_t trust_us; /* until then `best` alone is enough */

	uint64_t sent_us;	/* paths_route(), 0: never */
	uint64_t heard_us;	/* paths_authenticated() */
	uint64_t unanswered_us; /* first packet to which nothing came back; 0: none */
	uint64_t heartbeat_us;	/* next one; NEVER while not active */
	uint64_t search_us;	/* last time all candidates were pinged; 0: never */
	uint64_t searching_us;	/* since then there is no direct path; 0: there is, or idle */
	uint64_t called_us;
	uint64_t opened_us; /* openers are out, pings follow then; NEVER */
	uint64_t relay_latency_us;

	int calls_left; /* that we hear of this peer, see CALL_BURST */
	uint64_t calls_us;
	struct volley volley;
	uint64_t volley_us; /* when the last one began */
	uint64_t volley_at; /* next burst, or NEVER */
	uint64_t punch_after_us, punch_pause_us;

	struct endpoint told_address;
	uint32_t told_vni;
	int user_pings; /* of paths_ping(), on their way */
	bool is_user_waiting;
};

/* --- pings on their way --- */

struct ping {
	struct list node; /* in the order they were sent */
	uint8_t transaction[DISCO_TRANSACTION_BYTES];
	struct paths_peer *peer;
	struct endpoint address;
	uint32_t region; /* 0: by UDP */
	uint32_t vni;	 /* 0: not through a peer relay */
	uint16_t socket;
	bool is_user;
	uint64_t sent_us;
};

/* --- our own network --- */

struct sample {
	uint64_t latency_us, at_us; /* 0: none */
};

struct region {
	struct paths_region facts;
	struct sample samples[SAMPLES];
	int next_sample;
	uint64_t round_us; /* latency in this round; 0: no answer yet */
	uint64_t relay_us; /* how long connecting took; 0: unknown */
	uint64_t relay_heard_us;
	bool is_relay_up;
	int relay_failures; /* since it was up last */
};

struct probe {
	uint8_t transaction[STUN_ID_BYTES]; /* the last byte is the number of the try */
	struct endpoint server;
	uint32_t region;
	int tries;
	uint64_t sent_us[STUN_TRIES];
	bool is_answered;
	struct endpoint seen;
};

enum { PROBES_MAX = PATHS_REGIONS_MAX * PATHS_STUN_SERVERS_MAX };

struct measure {
	struct probe *probes; /* PROBES_MAX */
	int probe_count;
	bool is_running;
	bool is_asked_again; /* something changed meanwhile */
	bool is_early;	     /* what is known so far was told */
	uint64_t begun_us, step_us;
	uint64_t done_us; /* 0: never */
	uint64_t all_us;  /* when the last round of all regions was done */
	uint64_t next_us; /* of the next one; NEVER */
	enum paths_answer has_udp, has_ipv6, varies;
	enum paths_answer varies_for_peers; /* as they see us; believed where STUN cannot tell */
	struct endpoint public4, public6;
};

enum mapping_step {
	MAPPING_OFF,
	MAPPING_ASKING,	   /* PCP, then NAT-PMP */
	MAPPING_SEARCHING, /* a router that speaks UPnP */
	MAPPING_OPENING,   /* by that: others do it */
	MAPPING_HELD,
	MAPPING_RESTING
};
enum mapping_way { MAPPING_BY_PCP, MAPPING_BY_NATPMP, MAPPING_BY_UPNP };

struct mapping {
	enum mapping_step step;
	uint64_t next_us; /* NEVER */
	int tries;
	uint8_t nonce[12];	 /* of PCP */
	enum mapping_way way;	 /* who holds it */
	struct upnp_place place; /* of UPnP */
	struct endpoint outside;
	struct endpoint public_address; /* NAT-PMP says it apart */
	uint16_t natpmp_port;
	uint32_t natpmp_seconds;
	uint16_t outside_port; /* the last one; 0: never had one */
	uint64_t until_us;
};

struct punch {
	enum punch_state state;
	struct paths_peer *peer;
	struct endpoint target;
	uint16_t sockets[PUNCH_SOCKETS];
	int socket_count, next;
	uint64_t next_us, until_us;
};

struct queued {
	struct paths_effect effect;
	size_t offset; /* of the bytes */
};

struct paths {
	struct paths_config config;
	struct mesh_key disco_public;
	struct map by_node, by_disco, by_address;
	struct map vias;
	struct list peer_relays; /* peers */
	uint32_t generation;	 /* of the last question or handshake */
	bool has_disco_twins;	 /* two peers claimed one disco key; by_disco has one of them */
	size_t peer_count;
	struct heap timers;
	struct list pings;
	struct map pings_by_transaction;
	size_t ping_count;

	struct queued *effects;
	size_t effect_count, effect_next, effect_capacity;
	struct buf bytes;

	struct region *regions; /* PATHS_REGIONS_MAX */
	int region_count;
	uint32_t home;
	bool is_home_told;
	struct paths_local local;
	bool has_local;
	struct measure measure;
	struct mapping mapping;
	struct punch punch;
	uint16_t socket_users[PATHS_SOCKETS_MAX]; /* candidates, and the punch; 0: closed */
	int volley_count;
	size_t call_count; /* peers that want a call */

	struct paths_endpoint endpoints[PATHS_ENDPOINTS_MAX];
	int endpoint_count;
	uint64_t active_us; /* when we last sent to any peer */
	uint64_t dropped_strangers;
};

/* paths.c */
void paths_random(struct paths *p, void *ret, size_t size);
uint64_t paths_random_below(struct paths *p, uint64_t bound);
struct paths_effect *paths_push(struct paths *p, enum paths_effect_kind kind);
void paths_push_bytes(struct paths *p, struct paths_effect *effect, struct slice bytes);
bool paths_is_active(const struct paths *p, uint64_t now_us);

/* peer.c */
bool peer_shared(struct paths_peer *peer); /* computed at the first need; false: a bad key */
bool peer_is_active(const struct paths_peer *peer, uint64_t now_us);
uint32_t peer_region(const struct paths_peer *peer, uint64_t now_us); /* 0: none */
/* There is neither a direct path that is trusted nor a relay: only addresses it may have. */
bool peer_is_lost(const struct paths_peer *peer, uint64_t now_us);
void peer_schedule(struct paths_peer *peer, uint64_t now_us);
void peer_free(struct paths_peer *peer);

/* candidate.c */
struct candidate *candidate_find(struct paths_peer *peer, uint16_t socket, uint32_t vni,
				 const struct endpoint *address);
/* NULL: it may not be one, or there are enough. */
struct candidate *candidate_put(struct paths_peer *peer, uint16_t socket, uint32_t vni,
				const struct endpoint *address, uint8_t from);
/* Nobody says so any more; what is known otherwise stays. */
void candidates_forget(struct paths_peer *peer, uint8_t from);
void candidate_free(struct candidate *c);
void candidate_heard(struct candidate *c); /* something came from there: a hint for by_address */
void candidate_pong(struct candidate *c, uint64_t latency_us, uint64_t now_us);
bool candidate_is_trusted(const struct candidate *c, uint64_t now_us);
/* Its best is trusted, and no detour. */
bool peer_is_direct(const struct paths_peer *peer, uint64_t now_us);
void candidate_key(const struct endpoint *address, uint32_t vni, uint8_t ret[CANDIDATE_KEY_BYTES]);
void peer_choose_again(struct paths_peer *peer, uint64_t now_us); /* the best is lost */
/* Without the best, until another one answers. */
void peer_lose_best(struct paths_peer *peer);
void peer_tell(struct paths_peer *peer, uint64_t now_us); /* the effect, when something changed */

/* message.c */
void message_to_address(struct paths_peer *peer, uint16_t socket, uint32_t vni,
			const struct endpoint *address, uint8_t ttl, const struct disco_message *m);
void message_to_region(struct paths_peer *peer, uint32_t region, const struct disco_message *m);
void ping_address(struct paths_peer *peer, uint16_t socket, uint32_t vni,
		  const struct endpoint *address, bool is_user, uint64_t now_us);
void candidate_ping(struct candidate *c, uint64_t now_us);
/* A ping that opens our router for the peer's and dies on the way. */
void ping_opener(struct paths_peer *peer, const struct endpoint *address, uint64_t now_us);
void ping_region(struct paths_peer *peer, uint32_t region, bool is_user, uint64_t now_us);
void ping_free(struct paths *p, struct ping *ping);
void pings_expire(struct paths *p, uint64_t now_us);
void pings_forget_peer(struct paths_peer *peer);
/* A disco packet, by UDP or (region not 0) by a relay that says it is from `node`. */
void message_received(struct paths *p, const struct paths_from *from, const struct mesh_key *node,
		      struct slice packet, uint64_t now_us);

/* via.c */
struct via *via_find(const struct paths_peer *peer, uint32_t vni); /* NULL: there is none */
void vias_consider(struct paths_peer *peer, uint64_t now_us);
uint64_t vias_deadline_us(const struct paths_peer *peer);
void vias_tick(struct paths_peer *peer, uint64_t now_us);
void vias_end(struct paths_peer *peer);
void via_heard(struct paths_peer *peer, uint32_t vni, uint64_t now_us);
/* Messages by a relay: what a peer relay gave, that the peer got one, that it asks us. */
void via_allocated(struct paths_peer *server, const struct disco_message *m, uint64_t now_us);
void via_called(struct paths_peer *peer, const struct disco_message *m, uint64_t now_us);
void via_asked(struct paths_peer *peer, const struct disco_message *m);
/* Of a handshake, from the server. */
void via_control(struct paths *p, const struct paths_from *from, struct slice packet,
		 uint64_t now_us);

/* search.c */
void peer_search(struct paths_peer *peer, uint64_t now_us);
void peer_ping_all(struct paths_peer *peer, bool is_now, uint64_t now_us);
void peer_ping_for_user(struct paths_peer *peer, uint64_t now_us); /* wherever it may be */
void peer_tick(struct paths_peer *peer, uint64_t now_us);
void peer_called(struct paths_peer *peer, const struct disco_message *m, uint64_t now_us);
void peer_no_call(struct paths_peer *peer);
void peers_call_again(struct paths *p, uint32_t region, uint64_t now_us);
void peers_call(struct paths *p, uint64_t now_us); /* those that waited for STUN */

/* measure.c */
void measure_start(struct paths *p, bool all, uint64_t now_us);
void measure_wanted(struct paths *p, uint64_t now_us); /* somebody became active */
enum paths_answer measure_varies(const struct paths *p);
/* That no STUN server answers says something of our network only while a relay is reached. */
enum paths_answer measure_has_udp(const struct paths *p);
/* A peer of the internet saw our ping come from `seen`. */
void measure_seen(struct paths *p, const struct endpoint *by, const struct endpoint *seen);
bool measure_is_fresh(const struct paths *p, uint64_t now_us);
void measure_received(struct paths *p, const struct endpoint *from, struct slice packet,
		      uint64_t now_us);
uint64_t measure_deadline_us(const struct paths *p);
void measure_tick(struct paths *p, uint64_t now_us);

/* home.c */
struct region *region_find(const struct paths *p, uint32_t id);
uint64_t region_latency_us(const struct region *r, uint64_t now_us); /* 0: unknown */
void home_choose(struct paths *p, uint64_t now_us);

/* endpoint.c */
void endpoints_update(struct paths *p);

/* mapping.c */
void mapping_start(struct paths *p, uint64_t now_us);
bool mapping_is_answer(const struct paths *p, const struct endpoint *from, struct slice packet);
void mapping_received(struct paths *p, const struct endpoint *from, struct slice packet,
		      uint64_t now_us);
void mapping_wanted(struct paths *p, uint64_t now_us); /* somebody became active */
void mapping_tick(struct paths *p, uint64_t now_us);

/* punch.c */
void punch_consider(struct paths_peer *peer, uint64_t now_us);
void punch_tick(struct paths *p, uint64_t now_us);
void punch_answered(struct paths_peer *peer, struct candidate *c, uint64_t now_us);
void punch_forget_peer(struct paths_peer *peer);
/* A socket is open while somebody holds it; socket 0 always is. */
bool socket_is_open(const struct paths *p, uint16_t socket);
void socket_hold(struct paths *p, uint16_t socket);
void socket_release(struct paths *p, uint16_t socket);
bool volley_start(struct paths_peer *peer, const struct disco_message *m, uint64_t now_us);
void volley_tick(struct paths_peer *peer, uint64_t now_us);
void volley_end(struct paths_peer *peer);

#endif
