/* A DERP relay at a TCP port: the relay's logic (relay.h) with its connections.
 *
 *	TLS -- HTTP: GET /derp, Upgrade: DERP -- ServerKey, ClientInfo -- admission -- frames
 *	        '--- /derp/probe, /derp/latency-check, /generate_204
 *
 * A client that knows the relay's key from its certificate (derp_key_name) asks for a fast start,
 * and then there is no answer to its request. */
#ifndef MESH_RELAY_RELAY_PORT_H
#define MESH_RELAY_RELAY_PORT_H

#include "loop/stream.h"
#include "mesh/relay/relay.h"

enum {
	RELAY_GREETINGS_MAX = 1024,    /* clients not admitted yet; the oldest makes room */
	RELAY_GREETING_MS = 10 * 1000, /* until admission was asked for */
	RELAY_NAME_BYTES = 64,
	RELAY_LEAVE_MS = 1000,		/* for the last words at a stop */
	RELAY_AGAIN_IN_MS = 1000,	/* what clients are told at a stop: come back in, */
	RELAY_AGAIN_FOR_MS = 30 * 1000, /* try so long */
};

/* A key that wants to come in. */
struct relay_admission {
	struct mesh_key key;
	struct endpoint from;
	void *owner_state;
};

struct relay_port_config {
	const char *host; /* to listen at */
	uint16_t port;
	struct tls_identity *identity; /* NULL: in the clear, for tests and behind a proxy */
	const char *name;	       /* in the map; clients that wanted another are noted */
	struct mesh_key secret;
	bool has_mesh_key;
	struct mesh_key mesh_key;
	uint64_t bytes_per_second, bytes_burst; /* of each client; 0: no limit */
	void *context;
	/* Who may come in: relay_port_admit() is the answer, now or later.  NULL: everybody.
	 * Relays of the region come in by their mesh key. */
	void (*on_admission)(void *context, struct relay_admission *a);
	/* It went away before the answer; forget `a`. */
	void (*on_admission_void)(void *context, struct relay_admission *a);
};

struct relay_port;

/* As listener_open_tcp. */
MUST_CHECK enum err relay_port_open(struct loop *loop, const struct relay_port_config *config,
				    struct relay_port **ret, char why[TASK_WHY_BYTES]);

void relay_port_admit(struct relay_admission *a, bool is_admitted);

/* Clients are told to come back; whoever has not gone after RELAY_LEAVE_MS is cut off. */
void relay_port_close(struct relay_port *port);

uint16_t relay_port_number(const struct relay_port *port);
struct relay_counts relay_port_count(const struct relay_port *port);
struct relay *relay_port_relay(struct relay_port *port); /* for links to other relays */

/* What the relay writes to: a stream, or none any more.  First member of connections and links. */
struct relay_pipe {
	struct stream *stream;
	void (*on_close)(struct relay_pipe *pipe, const char *why);
};

#endif
