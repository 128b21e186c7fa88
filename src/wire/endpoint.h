/* Where UDP datagrams go to and come from: an IP address and a port, as disco carries them.
 *
 * An IPv4 address stands in its mapped form ::ffff:a.b.c.d, so that there is one size and one
 * comparison for both.  Plain bytes: no socket header is needed to handle one. */
#ifndef WIRE_ENDPOINT_H
#define WIRE_ENDPOINT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"

enum {
	ENDPOINT_WIRE_BYTES = 18, /* 16 of the address, 2 of the port, big-endian */
	ENDPOINT_TEXT_BYTES = 56,
};

struct endpoint {
	uint8_t ip[16];
	uint16_t port; /* in the order of the machine */
};

struct endpoint endpoint_ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);
bool endpoint_is_ip4(const struct endpoint *e);
bool endpoint_is_none(const struct endpoint *e); /* all bytes zero, port too */

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
bool endpoint_same_ip(const struct endpoint *a, const struct endpoint *b);

/* fe80::/10 or 169.254.0.0/16; addresses of one machine; those of private networks (RFC 1918 and
 * fc00::/7); 100.64.0.0/10, which carriers use and meshes too. */
bool endpoint_is_link_local(const struct endpoint *e);
bool endpoint_is_loopback(const struct endpoint *e);
bool endpoint_is_private(const struct endpoint *e);
bool endpoint_is_shared(const struct endpoint *e);

/* May a datagram of ours go there at all: no port 0, nothing unspecified, broadcast, multicast. */
bool endpoint_is_unicast(const struct endpoint *e);

void endpoint_put(uint8_t ret[ENDPOINT_WIRE_BYTES], const struct endpoint *e);
struct endpoint endpoint_get(const uint8_t bytes[ENDPOINT_WIRE_BYTES]);

/* "192.0.2.1:41641", "[2001:db8::1]:41641". */
void endpoint_text(const struct endpoint *e, char ret[ENDPOINT_TEXT_BYTES]);
/* The address alone: "192.0.2.1", "2001:db8::1". */
void endpoint_ip_text(const struct endpoint *e, char ret[ENDPOINT_TEXT_BYTES]);
/* ERR_INVALID: not of that form, or a name instead of a number. */
MUST_CHECK enum err endpoint_parse(struct slice text, struct endpoint *ret);
/* An address without a port. */
MUST_CHECK enum err endpoint_parse_ip(struct slice text, uint16_t port, struct endpoint *ret);

#endif
