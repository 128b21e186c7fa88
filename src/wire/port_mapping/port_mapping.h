/* Requests for a UDP port of the router, and its answers.
 *
 *	NAT-PMP	00 00: which address have you outside?
 *		00 01 0000 port16 suggested16 seconds32
 *	PCP	02 01 0000 seconds32 our ip128
 *		nonce96 11 000000 port16 suggested16 suggested ip128
 *
 * Answers have 80 added to the second byte, then a result (0: done) and the router's age. */
#ifndef WIRE_PORT_MAPPING_PORT_MAPPING_H
#define WIRE_PORT_MAPPING_PORT_MAPPING_H

#include "wire/endpoint.h"

enum {
	PORT_MAPPING_PORT = 5351, /* of the router */
	PORT_MAPPING_NONCE_BYTES = 12,
	NATPMP_ADDRESS_BYTES = 2,
	NATPMP_MAP_BYTES = 12,
	PCP_MAP_BYTES = 60,
};

void natpmp_ask_address(uint8_t ret[NATPMP_ADDRESS_BYTES]);
/* `seconds` 0: give it back. */
void natpmp_ask_map(uint16_t port, uint16_t suggested, uint32_t seconds,
		    uint8_t ret[NATPMP_MAP_BYTES]);
void pcp_ask_map(const uint8_t nonce[PORT_MAPPING_NONCE_BYTES], const struct endpoint *ours,
		 uint16_t suggested, uint32_t seconds, uint8_t ret[PCP_MAP_BYTES]);

enum port_mapping_kind { NATPMP_ADDRESS, NATPMP_MAP, PCP_MAP };

struct port_mapping_answer {
	enum port_mapping_kind kind;
	uint16_t result; /* 0: done; then the rest is there */
	uint32_t seconds;
	uint16_t port;		 /* ours; not for an address */
	struct endpoint outside; /* NAT-PMP says address and port apart: the other is zero */
	uint8_t nonce[PORT_MAPPING_NONCE_BYTES]; /* PCP */
};

/* ERR_INVALID: no answer to one of the above. */
MUST_CHECK enum err port_mapping_read(struct slice packet, struct port_mapping_answer *ret);

#endif
