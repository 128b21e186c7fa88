/* Our side of the relays: one connection to the home region, kept; others when there is something
 * to send, closed when idle.  Packets that cannot leave soon are dropped, as on any network.
 *
 * All callbacks come from the run queue or a timer, never from inside a call; what they are given
 * is theirs until they return. */
#ifndef MESH_RELAY_DERP_CLIENT_H
#define MESH_RELAY_DERP_CLIENT_H

#include "loop/loop.h"
#include "wire/derp/derp.h"
#include "wire/derp/derp_map.h"

enum {
	DERP_CLIENT_IDLE_MS = 60 * 1000,	  /* then a region that is not home is left */
	DERP_CLIENT_SILENCE_MS = 120 * 1000,	  /* of a relay: then the connection is dead */
	DERP_CLIENT_DIAL_MS = 3000,		  /* for one relay of a region */
	DERP_CLIENT_BACKOFF_MS_MAX = 5000,	  /* between two attempts, with jitter */
	DERP_CLIENT_QUEUE_BYTES_MAX = 512 * 1024, /* unsent; more is dropped */
	DERP_CLIENT_EARLY_PACKETS_MAX = 32, /* kept until the connection is there; oldest go */
	DERP_CLIENT_REGIONS_MAX = DERP_REGIONS_MAX,
	DERP_CLIENT_WHY_BYTES = 160,
};

struct derp_client_config {
	struct mesh_key secret; /* the node key, and its public half */
	struct mesh_key own;
	void *context;
	void (*on_packet)(void *context, int region, const struct mesh_key *from,
			  struct slice packet);
	/* The peer is not, or not any more, where we sent to; reason: enum derp_gone. */
	void (*on_peer_gone)(void *context, int region, const struct mesh_key *peer,
			     uint8_t reason);
	/* A connection stands; or it ended, or could not be made: `why` is for people, empty when
	 * it was idle. */
	void (*on_connected)(void *context, int region);
	void (*on_disconnected)(void *context, int region, const char *why);
	/* Answer to derp_client_measure(); 0: the region did not answer. */
	void (*on_latency)(void *context, int region, uint64_t latency_us);
	/* What the relay says is wrong with this connection; "": nothing.  May be NULL. */
	void (*on_health)(void *context, int region, const char *text);
};

struct derp_client;

/* Nothing happens before there is a map. */
struct derp_client *derp_client_new(struct loop *loop, const struct derp_client_config *config);
void derp_client_free(struct derp_client *client);

/* Copies what it needs.  Connections to regions that changed, or are no more in it, end without a
 * call of on_disconnected. */
void derp_client_set_map(struct derp_client *client, const struct derp_map *map);

/* The region whose connection is kept, and that is told so; 0: none. */
void derp_client_set_home(struct derp_client *client, int region);

/* Connects first where needed.  False: dropped (no such region, the queue is full, too big). */
bool derp_client_send(struct derp_client *client, int region, const struct mesh_key *to,
		      struct slice packet);

bool derp_client_is_connected(const struct derp_client *client, int region);

/* How long a round trip to the relay takes, as soon as it is known (connects where needed). */
void derp_client_measure(struct derp_client *client, int region);

/* When a frame last came from the region, in loop_now_ms(); 0: not connected. */
uint64_t derp_client_heard_ms(const struct derp_client *client, int region);

/* Addresses of this machine changed: what does not answer a ping soon is connected anew. */
void derp_client_network_changed(struct derp_client *client);

#endif
