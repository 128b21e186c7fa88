/* One connection of ours to a relay, as a client: TLS, upgrade, opening, frames.
 *
 * Used by a node for its regions and by a relay for the other relays of its region.  Callbacks come
 * from the run queue or a timer, never from inside a call. */
#ifndef MESH_RELAY_DERP_LINK_H
#define MESH_RELAY_DERP_LINK_H

#include "loop/stream.h"
#include "mesh/relay/relay_port.h"
#include "wire/derp/derp_map.h"

enum {
	DERP_LINK_OPEN_MS = 10 * 1000,	   /* from the connection to ServerInfo */
	DERP_LINK_SILENCE_MS = 120 * 1000, /* of the relay, which says something every 65 s */
	DERP_LINK_WHY_BYTES = 160,
	DERP_LINK_HEAD_BYTES_MAX = 4096, /* of the answer to the upgrade */
};

struct derp_link;

struct derp_link_owner {
	/* ServerInfo came: packets may go. */
	void (*on_open)(void *context, struct derp_link *link);
	/* Any frame after that; `payload` until it returns. */
	void (*on_frame)(void *context, struct derp_link *link, uint8_t type, struct slice payload);
	/* The answer to derp_link_ping(). */
	void (*on_pong)(void *context, struct derp_link *link, uint64_t latency_us);
	/* Once, with the reason for people; the link is gone when it returns. */
	void (*on_end)(void *context, struct derp_link *link, const char *why);
};

struct derp_link_config {
	const char *address; /* to connect to: a number or a name */
	uint16_t port;
	const char *host;	       /* for HTTP */
	const char *ideal_node;	       /* the one this client would rather have had, or NULL */
	struct tls_identity *identity; /* the link takes it; NULL: in the clear */
	uint64_t dial_ms;
	struct mesh_key secret, own;
	struct derp_client_info info;
	const struct derp_link_owner *owner;
	void *context;
};

/* Copies the rest of what it needs. */
struct derp_link *derp_link_start(struct loop *loop, const struct derp_link_config *config);

/* Nothing is called after it. */
void derp_link_close(struct derp_link *link);

/* Only once it is open. */
void derp_link_write(struct derp_link *link, struct slice first, struct slice second);
size_t derp_link_unsent(const struct derp_link *link);
void derp_link_ping(struct derp_link *link);

bool derp_link_is_open(const struct derp_link *link);
uint64_t derp_link_heard_ms(const struct derp_link *link); /* when something last came */

/* As what a relay writes to (relay_add_forwarder); nothing is written after the end. */
struct relay_pipe *derp_link_pipe(struct derp_link *link);

/* The identity a DERP map asks for.  ERR_INVALID: its certificate is no
 * "sha256-raw:" with 64 hexadecimal digits. */
MUST_CHECK enum err derp_link_identity(const struct derp_node *node, struct tls_identity **ret);

#endif
