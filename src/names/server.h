/* The resolver's sockets: UDP and TCP at one address, answered from a zone.  What the zone does not
 * answer goes to `forward`, if there is one, and is refused otherwise.
 *
 * The addresses are of the mesh's own (100.100.100.100, fd7a:115c:a1e0::53) and may come later than
 * the sockets.  Who asks from an address that is not of this machine hears nothing: the names of
 * machines are nobody else's. */
#ifndef NAMES_SERVER_H
#define NAMES_SERVER_H

#include "base/ip.h"
#include "loop/task.h"
#include "names/zone.h"

enum {
	NAMES_PORT = 53,
	NAMES_DATAGRAMS_MAX = 32, /* answered in one turn */
	NAMES_DATAGRAM_BYTES_MAX = 1500,
	NAMES_CONNECTIONS_MAX = 64,	      /* the oldest goes when there is one more */
	NAMES_IDLE_MS = 10 * 1000,	      /* a connection without a whole query */
	NAMES_PENDING_BYTES_MAX = 256 * 1024, /* of answers a connection does not read */
};

struct names_server;
struct forward;

struct names_counters {
	uint64_t queries, refused, forwarded, strangers;
};

/* `zone` is asked for at each query; NULL: SERVFAIL, so that nobody remembers that there is none.
 */
struct names_server_config {
	struct ip_port address;
	const struct zone *(*zone)(void *context);
	struct forward *forward; /* may be NULL */
	void *context;
};

MUST_CHECK enum err names_server_open(struct loop *loop, const struct names_server_config *config,
				      struct names_server **ret, char why[TASK_WHY_BYTES]);
uint16_t names_server_port(const struct names_server *s);
struct names_counters names_server_counters(const struct names_server *s);

/* No forwarded query of it is under way any more: forward_close() comes first. */
void names_server_close(struct names_server *s);

#endif
