/* What the files of the engine share: a peer, its key pairs and its timers.
 *
 * Key pairs.  `current` is what we send with.  The initiator of a handshake sends with the new pair
 * at once; the responder keeps it as `next` until a packet has come with it, because only then the
 * initiator is known to have it.  `previous` is for what is still under way.
 *
 * Timers stand in the peer, and the peer in one heap, under a time that may be too early and is
 * never too late: putting a timer off, which every packet does, does not touch the heap. */
#ifndef MESH_TUNNEL_PRIVATE_H
#define MESH_TUNNEL_PRIVATE_H

#include <assert.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "mesh/tunnel/allowed.h"
#include "mesh/tunnel/flood.h"
#include "mesh/tunnel/replay.h"
#include "mesh/tunnel/tunnel.h"
#include "wire/crypto/aead.h"
#include "wire/crypto/wipe.h"
#include "wire/wireguard/handshake.h"

/* WireGuard's paper, section 6.1. */
enum {
	REKEY_AFTER_MS = 120000,  /* the initiator's pair is renewed when it is used */
	REJECT_AFTER_MS = 180000, /* nobody uses it any more */
	REKEY_ATTEMPT_MS = 90000, /* a handshake is given up */
	REKEY_TIMEOUT_MS = 5000,  /* it is begun again */
	REKEY_JITTER_MS = 333,
	KEEPALIVE_MS = 10000, /* who heard and has nothing to say says so */
	UNANSWERED_MS = KEEPALIVE_MS + REKEY_TIMEOUT_MS,
	LATE_REKEY_MS = REJECT_AFTER_MS - KEEPALIVE_MS - REKEY_TIMEOUT_MS,
	FORGET_AFTER_MS = 3 * REJECT_AFTER_MS, /* keys nobody uses are wiped */
	INITIATIONS_APART_MS = 20,	       /* of one peer, that are looked at */
	COOKIE_FRESH_MS = FLOOD_SECRET_MS - REKEY_TIMEOUT_MS,
	ATTEMPTS_MAX = REKEY_ATTEMPT_MS / REKEY_TIMEOUT_MS,
	TIMESTAMP_STEP_MS = 17,
};

#define REKEY_AFTER_MESSAGES (1ull << 60)
#define REJECT_AFTER_MESSAGES (UINT64_MAX - (1ull << 13)) /* 2^64 - 2^13 - 1 */
#define NEVER UINT64_MAX

enum tunnel_timer {
	TIMER_RETRY,	  /* no answer to an initiation */
	TIMER_KEEPALIVE,  /* heard something, and said nothing since */
	TIMER_UNANSWERED, /* said something, and heard nothing since */
	TIMER_FORGET,	  /* the last handshake is long ago */
	TIMER_PERSISTENT, /* the keepalive that was asked for */
	TIMERS
};

/* What a number in a message to us stands for: a handshake of ours, or a pair of keys. */
struct tunnel_index {
	uint32_t number; /* the key of the map */
	struct tunnel_peer *peer;
	struct keypair *pair; /* NULL: the initiation of `peer` */
};

struct keypair {
	struct tunnel_index index;
	uint32_t remote_index;
	bool is_initiator;
	uint64_t made_ms;
	uint64_t counter; /* of the next packet */
	uint8_t seal[WIREGUARD_KEY_BYTES], open[WIREGUARD_KEY_BYTES];
	struct replay replay;
	struct list dropped; /* in the tunnel's list */
};

/* An effect, or a packet that waits for a key, with room to seal it. */
struct parcel {
	struct list link;
	struct tunnel_effect effect;
	size_t bytes;
	uint8_t room[];
};

struct tunnel_peer {
	struct tunnel *tunnel;
	struct list link;
	void *context;
	struct wireguard_remote remote;

	struct keypair *previous, *current, *next;
	struct wireguard_handshake handshake; /* of our initiation */
	struct tunnel_index handshake_index;
	bool is_initiating;
	bool is_rekeyed_late; /* the current pair has had its late handshake */
	bool keeps_alive_again;
	bool has_mac1, has_cookie;
	uint8_t mac1[WIREGUARD_MAC_BYTES]; /* of our last message */
	uint8_t cookie[WIREGUARD_MAC_BYTES];
	uint64_t cookie_ms;
	uint64_t initiated_ms;	   /* 0: never */
	int64_t initiated_wall_ms; /* what our last initiation said */
	unsigned attempts;
	uint8_t timestamp[WIREGUARD_TIMESTAMP_BYTES]; /* of theirs; replays are not newer */
	uint64_t initiation_ms;			      /* when it came; 0: never */

	uint64_t timers[TIMERS]; /* NEVER: not set */
	struct heap_node node;
	uint16_t keepalive_s;

	struct list queue; /* struct parcel, packets that wait for a key */
	size_t queue_count;
	struct list allowed; /* struct allowed.link */
	struct tunnel_peer_state state;
};

enum { TUNNEL_MAGIC = 0x54756e6e };

struct tunnel {
	uint32_t magic;
	struct tunnel_options options;
	bool has_secret;
	struct wireguard_identity own;
	struct map peers; /* by public key */
	struct list peer_list;
	struct map indexes; /* struct tunnel_index, by number */
	struct tunnel_index *last_index;
	struct allowed_table allowed;
	struct aead_bulk *bulk;
	size_t begun;	     /* batches that other threads may be at work on */
	struct list dropped; /* struct keypair, of nobody: until none of them is left */
	struct heap timers;  /* struct tunnel_peer.node */
	struct list effects;
	struct parcel *given; /* to the host, until the next call */
	size_t queued_bytes;
	struct flood flood;
	uint64_t counts[TUNNEL_VERDICTS];
};

/* tunnel.c */
void tunnel_random(struct tunnel *t, void *ret, size_t size);
struct parcel *parcel_new(size_t size); /* effect.data has TUNNEL_HEAD_BYTES before it */
void tunnel_add_effect(struct tunnel *t, struct parcel *parcel, enum tunnel_effect_kind kind,
		       struct tunnel_peer *p);
void tunnel_draw_index(struct tunnel *t, struct tunnel_index *index); /* a free number */
void tunnel_keep_index(struct tunnel *t, struct tunnel_index *index);
void tunnel_drop_index(struct tunnel *t, struct tunnel_index *index);
struct tunnel_index *tunnel_find_index(struct tunnel *t, uint32_t number);

/* keypair.c */
bool keypair_is_usable(const struct keypair *k, uint64_t now_ms);
void peer_add_keypair(struct tunnel_peer *p, struct keypair *k);
void peer_confirm_next(struct tunnel_peer *p); /* a packet came with it */
void peer_forget_keys(struct tunnel_peer *p);  /* and a handshake that is under way */
void tunnel_begin_batch(struct tunnel *t);     /* no key pair is freed until it ends */
struct keypair *keypair_new(struct tunnel_peer *p, struct wireguard_handshake *h, bool is_initiator,
			    uint64_t now_ms);

/* handshake.c */
void peer_initiate(struct tunnel_peer *p, struct tunnel_now now, bool is_retry);
void peer_end_initiation(struct tunnel_peer *p);
void tunnel_open_handshake(struct tunnel *t, struct tunnel_now now, enum wireguard_kind kind,
			   struct tunnel_datagram *d);

/* transport.c */
void peer_send_keepalive(struct tunnel_peer *p, struct tunnel_now now);
void peer_send_queue(struct tunnel_peer *p, struct tunnel_now now);
void peer_drop_queue(struct tunnel_peer *p);
/* What was opened with d->pair; when that is none, it is now. */
void tunnel_take_transport(struct tunnel *t, struct tunnel_now now, struct tunnel_datagram *d);

/* timers.c: what happened to a peer. */
void peer_set_timer(struct tunnel_peer *p, enum tunnel_timer timer, uint64_t at_ms);
void peer_clear_timer(struct tunnel_peer *p, enum tunnel_timer timer);
void peer_clear_timers(struct tunnel_peer *p);
void peer_sent(struct tunnel_peer *p, uint64_t now_ms, size_t bytes, bool is_data);
void peer_heard(struct tunnel_peer *p, uint64_t now_ms, size_t bytes, bool is_data);
void peer_has_initiated(struct tunnel_peer *p, uint64_t now_ms);
void peer_has_keys(struct tunnel_peer *p, uint64_t now_ms);	  /* a pair was made */
void peer_is_ready(struct tunnel_peer *p, struct tunnel_now now); /* and may be sent with */

#endif
