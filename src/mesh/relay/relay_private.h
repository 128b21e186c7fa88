/* What the files of the relay's logic share. */
#ifndef MESH_RELAY_RELAY_PRIVATE_H
#define MESH_RELAY_RELAY_PRIVATE_H

#include "base/map.h"
#include "mesh/relay/relay.h"

enum { RELAY_MAGIC = 0x52656c61, RELAY_CLIENT_MAGIC = 0x52436c69 };

/* Disco has a queue of its own: finding a direct path must not wait behind a flood of data. */
enum relay_lane { LANE_DISCO, LANE_DATA, LANE_COUNT };

struct relay_queue {
	struct list packets; /* struct waiting.link */
	size_t count, bytes;
};

/* Everything about a key while somebody here or another relay has it. */
struct relay_peer {
	struct mesh_key key;
	struct list clients; /* the active one first */
	size_t client_count;
	struct list forwarders; /* struct forwarding.of_peer */
	size_t forwarder_count;
	struct list contacts; /* who got packets from it: struct contact.of_sender */
};

struct relay_client {
	uint32_t magic;
	struct relay *relay;
	void *connection;
	struct relay_peer *peer;
	struct list of_peer; /* peer->clients */
	struct list all;     /* relay->clients */
	struct list watching;
	struct list writing; /* something is unsent */
	struct heap_node keep_alive;
	struct endpoint from;
	uint8_t flags; /* enum derp_present */
	bool is_mesh, is_home, is_ending;
	bool is_told_unwell;
	struct rate received; /* bytes */
	struct rate gone;     /* notes "not here" */
	struct relay_queue lanes[LANE_COUNT];
	size_t unsent_known;	     /* its share of relay->unsent_bytes */
	uint64_t sent_seen, seen_ms; /* when bytes last left */
	struct list contacts;	     /* struct contact.of_receiver, the oldest first */
	size_t contact_count;
	struct relay_peer *last_sender; /* of the newest contact used */
};

/* `receiver` got packets from `sender` and is told when that one goes. */
struct contact {
	struct {
		struct relay_client *receiver;
		struct relay_peer *sender;
	} key;
	struct list of_sender, of_receiver;
};

/* A key that another relay said it has. */
struct forwarding {
	struct relay_peer *peer;
	void *forwarder;
	struct list of_peer, all;
};

struct relay {
	uint32_t magic;
	struct relay_config config;
	struct map peers;    /* by key */
	struct map contacts; /* by struct contact.key */
	struct list clients, watchers, writing;
	struct list forwardings; /* struct forwarding.all */
	struct heap keep_alives;
	struct prng prng;
	struct relay_counts counts;
	uint64_t now_ms; /* of the newest event */
};

/* --- relay.c ---------------------------------------------------------------------------------- */
struct relay_peer *relay_find(const struct relay *relay, const struct mesh_key *key);
/* How much of the connection is unsent, noted in all sums. */
size_t relay_note_unsent(struct relay_client *c);
void relay_end(struct relay_client *c, const char *why);
/* A small frame; left out when too much waits already. */
void relay_say(struct relay_client *c, struct slice frame);
void relay_watch(struct relay_client *c);

/* --- relay_packets.c -------------------------------------------------------------------------- */
void relay_queues_init(struct relay_client *c);
void relay_queues_done(struct relay_client *c);

/* --- relay_contacts.c ------------------------------------------------------------------------- */
void relay_note_contact(struct relay_client *receiver, struct relay_peer *sender);
void relay_forget_receiver(struct relay_client *receiver);
void relay_tell_gone(struct relay *relay, struct relay_peer *sender);

#endif
