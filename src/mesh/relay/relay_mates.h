/* The other relays of a region: a link of ours to each, over which this relay hears who is there
 * and forwards packets.  They do the same with us. */
#ifndef MESH_RELAY_RELAY_MATES_H
#define MESH_RELAY_RELAY_MATES_H

#include "mesh/relay/derp_link.h"

enum {
	RELAY_MATES_MAX = DERP_NODES_MAX,
	RELAY_MATE_BACKOFF_MS = 250,
	RELAY_MATE_BACKOFF_MS_MAX = 5000,
	RELAY_MATE_DIAL_MS = 5000,
};

struct relay_mate {
	char host[DERP_HOST_BYTES]; /* also what its certificate has to be for */
	uint16_t port;
	char certificate[DERP_HOST_BYTES]; /* "sha256-raw:HEX", or "" */
};

/* "HOST:PORT", or "HOST:PORT=HEX" with the SHA-256 of its certificate. */
MUST_CHECK enum err relay_mate_parse(const char *text, struct relay_mate *ret);

struct relay_mates;

/* `port` has the same mesh key, and outlives this. */
struct relay_mates *relay_mates_new(struct loop *loop, struct relay_port *port,
				    const struct mesh_key *secret, const struct mesh_key *mesh_key,
				    const struct relay_mate *mates, size_t count);
void relay_mates_free(struct relay_mates *mates);

size_t relay_mates_connected(const struct relay_mates *mates);

#endif
