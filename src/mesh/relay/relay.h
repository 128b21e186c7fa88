/* The logic of a DERP relay, without I/O: who is connected, where packets go, what is dropped.
 *
 *	frames of a connection -> relay_frame() -> the same or another connection -> host->write()
 *
 * Connections are the host's; it makes a client of one when the peer has proven its key and was
 * admitted, passes its frames on, and closes it when told so.  Time comes in from outside.
 *
 * A key may have several clients (a machine copied with its key): the last one that said something
 * gets the packets.  Where a packet does not find its receiver here, another relay of the region
 * may have it; what came from another relay is not passed on again.
 *
 * Everything a client can make grow is bounded: unsent bytes and waiting packets of each, of all
 * together, and who is told that whom is gone. */
#ifndef MESH_RELAY_RELAY_H
#define MESH_RELAY_RELAY_H

#include "base/heap.h"
#include "base/list.h"
#include "base/random.h"
#include "mesh/relay/rate.h"
#include "wire/derp/derp.h"
#include "wire/endpoint.h"

enum {
	RELAY_KEEP_ALIVE_MS = 60 * 1000, /* and up to RELAY_JITTER_MS more */
	RELAY_JITTER_MS = 5 * 1000,
	RELAY_WRITE_MS = 10 * 1000, /* without a byte leaving, a client is gone */
	RELAY_WRITE_MS_MESH = 30 * 1000,
	RELAY_TICK_MS = 1000,
	RELAY_CLIENTS_MAX = 100 * 1000,
	RELAY_CLIENTS_PER_KEY_MAX = 8,	     /* more: the oldest goes */
	RELAY_UNSENT_BYTES_MAX = 256 * 1024, /* of a client, before packets wait in its queues */
	RELAY_UNSENT_BYTES_MIN = 16 * 1024,  /* the same while memory is short */
	RELAY_UNSENT_BYTES_TOTAL_MAX = 256 * 1024 * 1024, /* of all: then memory is short */
	RELAY_UNSENT_BYTES_MESH_MAX = 4 * 1024 * 1024,	  /* of another relay; more is dropped */
	RELAY_QUEUE_PACKETS_MAX = 32,			  /* of each of a client's two queues */
	RELAY_QUEUE_BYTES_MIN = 128 * 1024,		  /* of its packets while memory is short */
	RELAY_NOTES_BYTES_MAX = 16 * 1024 * 1024, /* unsent, of a watcher: then it is closed */
	RELAY_CONTACTS_MAX = 256,		  /* senders of whose end a client is told */
	RELAY_GONE_PER_SECOND = 1,		  /* "not here" */
	RELAY_GONE_BURST = 3,
	RELAY_FORWARDERS_PER_KEY_MAX = 8,
	RELAY_FORWARDED_MAX = 500 * 1000, /* keys of other relays; more are not known here */
};

struct relay;
struct relay_client;

/* Effects.  None of them may call back into the relay. */
struct relay_host {
	/* Queue `first` and `second` on the connection.  Nothing fails; a dead one drops it. */
	void (*write)(void *connection, struct slice first, struct slice second);
	size_t (*unsent)(void *connection);
	uint64_t (*sent)(void *connection); /* bytes so far, on the wire */
	/* Close it soon, after this returns, and call relay_leave() then. */
	void (*close)(void *connection, const char *why);
};

struct relay_config {
	struct relay_host host;
	struct mesh_key secret, own; /* the relay's */
	bool has_mesh_key;
	struct mesh_key mesh_key;
	uint64_t bytes_per_second, bytes_burst; /* received, of each client; 0: no limit */
	uint64_t seed;				/* of jitter */
};

struct relay_counts {
	uint64_t clients, watchers, keys, forwarded_keys, contacts;
	uint64_t packets_in, packets_out, bytes_in, bytes_out;
	uint64_t forwarded_in, forwarded_out;
	uint64_t dropped_unknown, dropped_full, dropped_mesh, gone_notes;
	size_t unsent_bytes; /* of all clients, queues too */
};

struct relay *relay_new(const struct relay_config *config);
void relay_free(struct relay *relay); /* no client is left */

/* Is this a relay of the region?  Compared in constant time. */
bool relay_is_mesh_peer(const struct relay *relay, const struct derp_client_info *info);

struct relay_joining {
	struct mesh_key key;
	struct derp_client_info info;
	struct endpoint from;
	bool is_not_ideal; /* the client would rather be at another relay of the region */
};

/* Writes ServerInfo.  NULL: RELAY_CLIENTS_MAX. */
struct relay_client *relay_join(struct relay *relay, void *connection,
				const struct relay_joining *joining, uint64_t now_ms);
void relay_leave(struct relay_client *client, uint64_t now_ms);

/* How much of a frame of this type may come from the client; what is longer breaks the protocol. */
size_t relay_frame_bytes_max(const struct relay_client *client, uint8_t type);

/* A whole frame.  *ret_wait_ms > 0: read nothing more of it for that long.
 * ERR_INVALID, ERR_DENIED, ERR_TOO_BIG: close the connection. */
MUST_CHECK enum err relay_frame(struct relay_client *client, uint8_t type, struct slice payload,
				uint64_t now_ms, uint64_t *ret_wait_ms);

/* All that was written to the client has left. */
void relay_drained(struct relay_client *client);

/* Keepalives, and ends of clients that do not read.  About every RELAY_TICK_MS. */
void relay_tick(struct relay *relay, uint64_t now_ms);

/* Tell every client that this relay stops. */
void relay_announce_restart(struct relay *relay, uint32_t reconnect_in_ms, uint32_t try_for_ms);

/* What is wrong with a client's connection, for its user; "" for nothing. */
void relay_set_health(struct relay_client *client, const char *text);

/* --- other relays of the region --------------------------------------------------------------- */
/* A connection of ours to another relay, over which packets can be forwarded: `forwarder` is its
 * name towards the host's write(). */
void relay_add_forwarder(struct relay *relay, const struct mesh_key *key, void *forwarder);
void relay_remove_forwarder(struct relay *relay, const struct mesh_key *key, void *forwarder);
void relay_drop_forwarder(struct relay *relay, void *forwarder); /* from every key */

/* A client is disconnected; the reason is for its log.  False: there is none. */
bool relay_close_key(struct relay *relay, const struct mesh_key *key, const char *why);

bool relay_has_key(const struct relay *relay, const struct mesh_key *key);
struct relay_counts relay_count(const struct relay *relay);

#endif
