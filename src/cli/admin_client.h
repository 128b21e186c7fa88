/* Asks a node's administrative interface: HTTP/1.1 on a Unix socket, one request a connection. */
#ifndef CLI_ADMIN_CLIENT_H
#define CLI_ADMIN_CLIENT_H

#include "base/arena.h"
#include "cli/socket.h"

enum { ADMIN_TIMEOUT_MS = 10000, ADMIN_ANSWER_BYTES_MAX = 4 << 20 };

/* `method` is "GET", "POST", ...; `body` JSON, or empty.  OK means an answer, whatever its
 * `ret_status`.  ERR_NOT_FOUND: there is no such socket; ERR_UNAVAILABLE: nobody listens on it;
 * ERR_INVALID: that was not HTTP; ERR_TIMEOUT; ERR_TOO_BIG.  timeout_ms 0: the default. */
MUST_CHECK enum err admin_request(struct arena *a, const char *socket_path, const char *method,
				  const char *path, struct slice body, uint64_t timeout_ms,
				  unsigned *ret_status, struct slice *ret_body,
				  char why[SOCKET_WHY_BYTES]);

/* The same over TCP, from somebody who may not be a node. */
MUST_CHECK enum err admin_get_tcp(struct arena *a, const char *host, uint16_t port,
				  const char *path, uint64_t timeout_ms, unsigned *ret_status,
				  struct slice *ret_body, char why[SOCKET_WHY_BYTES]);

/* The same with GET and no body. */
MUST_CHECK enum err admin_get(struct arena *a, const char *socket_path, const char *path,
			      uint64_t timeout_ms, unsigned *ret_status, struct slice *ret_body,
			      char why[SOCKET_WHY_BYTES]);

#endif
