/* The peer port: the one door of control for other machines.
 *
 * With keys everything is TLS, and the key a peer proved to have says what it may: control asks for
 * heartbeats, an agent opens a session, nobody else comes in.  Without keys there are heartbeats in
 * the clear, and agents are told that they need keys. */
#ifndef SERVER_PEER_PORT_H
#define SERVER_PEER_PORT_H

#include "server/heartbeat.h"
#include "server/peer_identity.h"

struct peer_port;

struct peer_port_config {
	const char *host; /* listen here */
	uint16_t port;
	const struct peer_identity *identity; /* as control; NULL: no keys.  Outlives the port */
	const char *node;		      /* our name, borrowed */
	struct heartbeat_answer (*ask)(void *context);
	void (*on_agent)(void *context, struct stream *s); /* takes over the stream */
	void *context;
};

MUST_CHECK enum err peer_port_open(struct loop *loop, const struct peer_port_config *config,
				   struct peer_port **ret, char why[TASK_WHY_BYTES]);
void peer_port_close(struct peer_port *p); /* not the streams of agents */
uint16_t peer_port_number(const struct peer_port *p);

#endif
