/* DERP: frames of the protocol by which relays pass packets on between machines, addressed by the
 * machines' public keys, over TLS.
 *
 *	type (u8) | length of what follows (u32) | payload
 *
 * The relay says ServerKey, the client ClientInfo, the relay ServerInfo; after that anything may
 * come at any time.  ClientInfo and ServerInfo are JSON in a NaCl box between the client's node key
 * and the relay's key.  Frames of unknown types are skipped. */
#ifndef WIRE_DERP_DERP_H
#define WIRE_DERP_DERP_H

#include "base/buf.h"
#include "wire/mesh_key.h"

enum derp_frame_type {
	DERP_SERVER_KEY = 0x01,	    /* to clients: magic, key */
	DERP_CLIENT_INFO = 0x02,    /* key, nonce, box */
	DERP_SERVER_INFO = 0x03,    /* to clients: nonce, box */
	DERP_SEND_PACKET = 0x04,    /* receiver, packet */
	DERP_RECEIVE_PACKET = 0x05, /* to clients: sender, packet */
	DERP_KEEP_ALIVE = 0x06,	    /* to clients */
	DERP_NOTE_PREFERRED = 0x07, /* 1: this relay is the client's home */
	DERP_PEER_GONE = 0x08,	    /* to clients: key, enum derp_gone */
	DERP_PEER_PRESENT = 0x09,   /* to watchers */
	DERP_FORWARD_PACKET = 0x0a, /* between relays: sender, receiver, packet */
	DERP_WATCH_CONNS = 0x10,    /* of relays */
	DERP_CLOSE_PEER = 0x11,	    /* of relays: key */
	DERP_PING = 0x12,
	DERP_PONG = 0x13,
	DERP_HEALTH = 0x14,	/* to clients: what is wrong, or nothing */
	DERP_RESTARTING = 0x15, /* to clients: reconnect in, try for (ms) */
};

enum derp_gone { DERP_GONE_DISCONNECTED = 0, DERP_GONE_NOT_HERE = 1 };

enum derp_present {
	DERP_PRESENT_REGULAR = 1,
	DERP_PRESENT_MESH = 2,
	DERP_PRESENT_PROBER = 4,
	DERP_PRESENT_NOT_IDEAL = 8,
};

enum {
	DERP_VERSION = 2,
	DERP_PORT_DEFAULT = 8643,
	DERP_HEAD_BYTES = 5,
	DERP_KEY_BYTES = 32,
	DERP_PACKET_BYTES_MAX = 64 * 1024,
	DERP_FRAME_BYTES_MAX = 1024 * 1024, /* of a payload a client believes */
	DERP_CLIENT_INFO_BYTES_MAX = 16 * 1024,
	DERP_SERVER_INFO_BYTES_MAX = 16 * 1024,
	DERP_PING_BYTES = 8,
	DERP_PING_BYTES_MAX = 1000,
	DERP_APP_NAME_BYTES_MAX = 128,
};

/* What stands at the front of `bytes`.  ERR_BUSY: not even the head is there. */
struct derp_head {
	uint8_t type; /* perhaps none of enum derp_frame_type */
	uint32_t size;
};
MUST_CHECK enum err derp_read_head(struct slice bytes, struct derp_head *ret);
void derp_put_head(uint8_t ret[DERP_HEAD_BYTES], enum derp_frame_type type, size_t size);

/* --- opening ---------------------------------------------------------------------------------- */
void derp_add_server_key(struct buf *b, const struct mesh_key *server);
MUST_CHECK enum err derp_read_server_key(struct slice payload, struct mesh_key *ret);

struct derp_client_info {
	uint32_t version;
	bool has_mesh_key;
	struct mesh_key mesh_key; /* a secret that relays of a region share */
	bool can_ack_pings;
	bool is_prober;
	char app_name[DERP_APP_NAME_BYTES_MAX + 1];
};

struct derp_server_info {
	uint32_t version;
	uint64_t bytes_per_second, bytes_burst; /* 0: no limit */
};

/* Seal with the sender's secret for `other`; a frame with its head.  False: `other` is no key. */
MUST_CHECK bool derp_add_client_info(struct buf *b, const struct derp_client_info *info,
				     const struct mesh_key *secret, const struct mesh_key *own,
				     const struct mesh_key *server);
MUST_CHECK bool derp_add_server_info(struct buf *b, const struct derp_server_info *info,
				     const struct mesh_key *secret, const struct mesh_key *client);

/* ERR_DENIED: not sealed by who it says it is from; ERR_INVALID: the inside is no such thing. */
MUST_CHECK enum err derp_read_client_info(struct slice payload, const struct mesh_key *secret,
					  struct mesh_key *ret_client,
					  struct derp_client_info *ret);
MUST_CHECK enum err derp_read_server_info(struct slice payload, const struct mesh_key *secret,
					  const struct mesh_key *server,
					  struct derp_server_info *ret);

/* --- the rest: payloads without the head ------------------------------------------------------ */
/* The packet borrows from the payload.  ERR_TOO_BIG: DERP_PACKET_BYTES_MAX. */
MUST_CHECK enum err derp_read_packet(struct slice payload, struct mesh_key *ret_other,
				     struct slice *ret_packet);
MUST_CHECK enum err derp_read_forward(struct slice payload, struct mesh_key *ret_from,
				      struct mesh_key *ret_to, struct slice *ret_packet);

struct derp_peer_present {
	struct mesh_key key;
	uint8_t ip[16]; /* of IPv4 as ::ffff:a.b.c.d; zero: not said */
	uint16_t port;
	uint8_t flags; /* enum derp_present */
};
void derp_add_peer_present(struct buf *b, const struct derp_peer_present *peer);
MUST_CHECK enum err derp_read_peer_present(struct slice payload, struct derp_peer_present *ret);

void derp_add_peer_gone(struct buf *b, const struct mesh_key *peer, enum derp_gone reason);
MUST_CHECK enum err derp_read_peer_gone(struct slice payload, struct mesh_key *ret,
					uint8_t *ret_reason);

void derp_add_restarting(struct buf *b, uint32_t reconnect_in_ms, uint32_t try_for_ms);
MUST_CHECK enum err derp_read_restarting(struct slice payload, uint32_t *ret_reconnect_in_ms,
					 uint32_t *ret_try_for_ms);

/* A frame of any type, whole. */
void derp_add_frame(struct buf *b, enum derp_frame_type type, struct slice payload);

/* Does this packet look like disco, which has a queue of its own? */
bool derp_is_disco(struct slice packet);

/* "derpkey" and the key in hexadecimal: the name in the certificate that tells the relay's key
 * within the TLS handshake, so that nobody has to wait for ServerKey. */
enum { DERP_KEY_NAME_BYTES = 7 + 64 + 1 };
void derp_key_name(const struct mesh_key *server, char ret[DERP_KEY_NAME_BYTES]);
MUST_CHECK enum err derp_key_from_name(const char *name, struct mesh_key *ret);

#endif
