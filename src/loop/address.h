/* Addresses of sockets.  Private to loop/. */
#ifndef LOOP_ADDRESS_H
#define LOOP_ADDRESS_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/text.h"

enum { ADDRESS_TEXT_BYTES = 64, ADDRESS_COUNT_MAX = 8, ADDRESS_HOST_BYTES_MAX = 256 };

struct address {
	struct sockaddr_storage storage;
	socklen_t size;
};

struct addrinfo;

/* "192.0.2.1:1234", "[2001:db8::1]:1234", "unix". */
void address_text(const struct address *a, char ret[ADDRESS_TEXT_BYTES]);
uint16_t address_port(const struct address *a);

/* ERR_INVALID: `host` is not a number. */
MUST_CHECK enum err address_from_number(const char *host, uint16_t port, struct address *ret);

/* ERR_TOO_BIG: the path does not fit into a socket address. */
MUST_CHECK enum err address_from_path(const char *path, struct address *ret);

/* The first ADDRESS_COUNT_MAX of the resolver's answers; returns how many. */
int address_copy_all(const struct addrinfo *first, uint16_t port, struct address *ret);

/* A non-blocking stream socket for `a`, or -1 and errno. */
int address_socket(const struct address *a);

#endif
