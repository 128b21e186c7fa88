/* From a control URL to a channel, as a child task:
 *
 *	(connect, GET /key) -> connect -> POST /ts2021, upgrade -> Noise -> channel
 *
 * The key is asked for only where none is pinned, and over https only from a server that an
 * authority vouches for.  The connection of the upgrade itself needs no such proof, as the key is
 * the proof. */
#ifndef MESH_MEMBER_DIAL_H
#define MESH_MEMBER_DIAL_H

#include "mesh/channel/channel.h"
#include "mesh/member/control_url.h"

enum {
	DIAL_HEAD_BYTES_MAX = 16 * 1024, /* of an HTTP answer */
	DIAL_KEY_BYTES_MAX = 64 * 1024,	 /* of the answer to GET /key, in all */
	/* Control takes a machine for gone as soon; it should not learn that much later. */
	DIAL_PATIENCE_MS = 30 * 1000,
	DIAL_SILENT_S = 15,
};

/* A server that may be called any number of times. */
struct dial_target {
	struct control_url url;
	struct tls_identity *for_key, *for_channel; /* NULL: not over TLS */
};

void dial_target_init(struct dial_target *t, const struct control_url *url);
/* Once its last channel is closed. */
void dial_target_done(struct dial_target *t);

struct dial_config {
	const struct dial_target *target; /* outlives the channel */
	struct mesh_key server_key;	  /* zero: ask for it */
	struct mesh_key machine_secret;
	unsigned version;
	struct http2_config http2; /* of the client's channel */
	struct channel_config channel_config;
};

struct dial {
	struct task task;
	struct channel *channel;    /* on OK; the caller's */
	struct mesh_key server_key; /* on OK: whose it is */
	/* private */
	struct dial_config config;
	struct connect connect;
	struct stream *stream;
	struct noise_handshake handshake;
	bool is_ended; /* the stream is */
	enum err end;
};

/* Copies `config`.  ERR_DENIED: it is not the server of that key, or it refuses; ERR_INVALID: that
 * is no control server.  The caller sets the deadline. */
void dial_start(struct dial *d, struct task *parent, const struct dial_config *config);

#endif
