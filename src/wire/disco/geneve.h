/* The header in front of what goes through a peer relay (RFC 8926, without options).
 *
 *	1  version, length of the options: 0
 *	1  80 control
 *	2  protocol of what follows
 *	3  VNI: the number of the conversation
 *	1  reserved
 *
 * A first byte of 0 is no WireGuard message's, and STUN does not have such a protocol there. */
#ifndef WIRE_DISCO_GENEVE_H
#define WIRE_DISCO_GENEVE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"

enum {
	GENEVE_BYTES = 8,
	GENEVE_DISCO = 0x7a11,
	GENEVE_WIREGUARD = 0x7a12,
	GENEVE_VNI_MAX = (1 << 24) - 1,
};

struct geneve {
	uint16_t protocol;
	uint32_t vni;
	bool is_control; /* between an end and the relay: the handshake */
};

void geneve_put(uint8_t ret[GENEVE_BYTES], const struct geneve *g);
/* ERR_INVALID: too short; another version, or with options; VNI 0. */
MUST_CHECK enum err geneve_get(struct slice packet, struct geneve *ret);

#endif
