/* Bytes to and from a server, in the clear or over TLS 1.3; blocking, as socket.h. */
#ifndef CLI_SECURE_SOCKET_H
#define CLI_SECURE_SOCKET_H

#include <stdbool.h>

#include "cli/socket.h"
#include "loop/tls_certificate.h"

enum { SECURE_SOCKET_WHY_BYTES = SOCKET_WHY_BYTES };

struct tls;

struct secure_socket {
	int fd;
	struct tls *tls; /* NULL: in the clear */
};

/* `identity` NULL: in the clear; borrowed until it is closed.  As socket_connect_tcp(), and
 * ERR_DENIED: the server is not believed, or does not know us; ERR_INVALID: no TLS 1.3 there. */
MUST_CHECK enum err secure_socket_open(struct secure_socket *c, const char *host, uint16_t port,
				       struct tls_identity *identity, uint64_t deadline_ms,
				       char why[SECURE_SOCKET_WHY_BYTES]);

/* After a failure too. */
void secure_socket_close(struct secure_socket *c);

/* All of `s`. */
MUST_CHECK enum err secure_socket_send(struct secure_socket *c, struct slice s,
				       uint64_t deadline_ms, char why[SECURE_SOCKET_WHY_BYTES]);

/* Exactly so much.  ERR_IO: it was closed before; ERR_DENIED: the server does not know us. */
MUST_CHECK enum err secure_socket_receive(struct secure_socket *c, uint8_t *data, size_t size,
					  uint64_t deadline_ms, char why[SECURE_SOCKET_WHY_BYTES]);

#endif
