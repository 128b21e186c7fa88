/* Blocking sockets that never wait longer than a deadline (clock_now_ms()).  A command does one
 * thing at a time, so it needs no loop.  `why` is half a sentence: "Connection refused".
 *
 * Name resolution has the resolver's own time-outs. */
#ifndef CLI_SOCKET_H
#define CLI_SOCKET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum { SOCKET_WHY_BYTES = 160 };

/* ERR_UNAVAILABLE: nobody is there; ERR_NOT_FOUND: no such host or path; ERR_TIMEOUT. */
MUST_CHECK enum err socket_connect_tcp(const char *host, uint16_t port, uint64_t deadline_ms,
				       int *ret_fd, char why[SOCKET_WHY_BYTES]);
MUST_CHECK enum err socket_connect_unix(const char *path, uint64_t deadline_ms, int *ret_fd,
					char why[SOCKET_WHY_BYTES]);

/* All of `s`. */
MUST_CHECK enum err socket_send(int fd, struct slice s, uint64_t deadline_ms,
				char why[SOCKET_WHY_BYTES]);

/* What has come, at most `size_max`; 0 bytes: the other side closed. */
MUST_CHECK enum err socket_receive(int fd, void *data, size_t size_max, uint64_t deadline_ms,
				   size_t *ret_size, char why[SOCKET_WHY_BYTES]);

#endif
