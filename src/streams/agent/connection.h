/* A client's connection: frames in, answers out in the order of the requests.
 *
 * Requests of one connection overlap where their operation allows it, up to
 * CONNECTION_REQUESTS_MAX; above that, or above CONNECTION_BUFFERED_BYTES_MAX of requests under way
 * or of answers not taken, nothing more is read from the socket.
 *
 * Before a request that does not fit in the inbox is read, room is taken for all of it: what has
 * begun to arrive can always arrive whole, and who got none is not read from. */
#ifndef STREAMS_AGENT_CONNECTION_H
#define STREAMS_AGENT_CONNECTION_H

#include "streams/agent/request.h"
#include "streams/agent/sign_in.h"

enum {
	CONNECTION_REQUESTS_MAX = 128,
	CONNECTION_BUFFERED_BYTES_MAX = 32 << 20,
	CONNECTION_CLOSE_MS =
		5000, /* for the last answers to leave, if they are not larger than: */
	CONNECTION_LAST_BYTES_MAX = 1 << 20,
	CONNECTION_STOP_MS = 500, /* the same, when the whole agent stops */
};

/* Takes over the stream; lives until the client goes, the agent stops or a request refuses. */
void connection_open(struct agent *agent, struct stream *s);

/* Of the name of a stream, what access lists name: "192.0.2.1:1234" without the port,
 * "[2001:db8::1]:1234" without brackets, and IPv4 inside of IPv6 as IPv4. */
void connection_host(const char *peer, char ret[GUARD_HOST_BYTES]);

struct connection *connection_from_link(struct list *link);

/* No new requests; ends when what is under way is answered. */
void connection_drain(struct connection *c);

/* What waits for other clients should be answered soon. */
void connection_hurry(struct connection *c);

/* Ends now. */
void connection_abort(struct connection *c);

/* Ends now if it has kept room for longer than agent->slow_ms, with a request that does not arrive
 * or an answer it does not take. */
void connection_end_if_slow(struct connection *c);

/* Users or grants have changed: ends if it may not go on. */
void connection_check(struct connection *c);

struct sign_in *connection_sign_in(struct connection *c);

/* Nobody reads along: it is TLS, or never leaves the machine or the mesh. */
bool connection_is_private(const struct connection *c);

uint64_t connection_id(const struct connection *c);

/* Is the client there, and did it come in this life of the agent?  What it asked otherwise may be
 * late: it has asked again elsewhere. */
bool connection_is_current(const struct connection *c);

#endif
