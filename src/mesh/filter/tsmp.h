/* TSMP: messages of the mesh itself inside the tunnel, IP protocol 99; the system never sees them.
 *
 *   'p' + 8 bytes                          ping
 *   'o' + 8 bytes + peerapi port (u16)     its answer
 *   'a' + 32 bytes                         our disco key
 *   '!' + protocol + reason + ports (2 * u16) [+ flags]   your packet was dropped
 *
 * Numbers are big-endian.  What follows a message is ignored. */
#ifndef MESH_FILTER_TSMP_H
#define MESH_FILTER_TSMP_H

#include "base/err.h"
#include "base/ip_range.h"
#include "base/slice.h"

enum {
	TSMP_PROTOCOL = 99,
	TSMP_COOKIE_BYTES = 8,
	TSMP_DISCO_KEY_BYTES = 32,
	TSMP_PACKET_BYTES_MAX = 40 + 1 + 32, /* an IPv6 header and the largest message */
};

enum tsmp_kind {
	TSMP_PING = 'p',
	TSMP_PONG = 'o',
	TSMP_DISCO_KEY = 'a',
	TSMP_REJECT = '!',
};

enum tsmp_reason {
	TSMP_BY_POLICY = 'A',
	TSMP_SHIELDS_UP = 'S',
	TSMP_NO_FORWARDING = 'F',
	TSMP_HOST_FIREWALL = 'W',
};

struct tsmp {
	enum tsmp_kind kind;
	struct ip from, to;
	uint8_t cookie[TSMP_COOKIE_BYTES];	 /* ping, pong */
	uint16_t peerapi_port;			 /* pong */
	uint8_t disco_key[TSMP_DISCO_KEY_BYTES]; /* disco key */
	struct {
		uint8_t protocol; /* of the packet that was dropped */
		uint8_t reason;	  /* enum tsmp_reason, or one we do not know */
		uint16_t source_port, destination_port; /* as they stood in that packet */
		bool maybe_broken;			/* only a hint; the flow may yet work */
	} reject;
};

/* A whole IP packet of protocol 99.  ERR_INVALID: cut off; ERR_UNSUPPORTED: an unknown kind. */
MUST_CHECK enum err tsmp_parse(struct slice packet, struct tsmp *ret);
/* A whole IP packet from `from` to `to`, which are of one family; returns its size. */
size_t tsmp_build(const struct tsmp *message, uint8_t ret[TSMP_PACKET_BYTES_MAX]);

#endif
