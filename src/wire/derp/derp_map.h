/* Which relays there are, as control tells machines: regions, and the relays of each, which pass
 * packets on to each other. */
#ifndef WIRE_DERP_DERP_MAP_H
#define WIRE_DERP_DERP_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DERP_REGIONS_MAX = 64,
	DERP_NODES_MAX = 8, /* of a region */
	DERP_NAME_BYTES = 64,
	DERP_HOST_BYTES = 256,
	DERP_ADDRESS_BYTES = 48,
	DERP_REGION_ID_MAX = 65535,
};

struct derp_node {
	char name[DERP_NAME_BYTES]; /* "900a" */
	char host[DERP_HOST_BYTES];
	char certificate[DERP_HOST_BYTES]; /* "": as `host`; a name, or sha256-raw:HEX */
	char ipv4[DERP_ADDRESS_BYTES];	   /* "": resolve `host`; "none" */
	char ipv6[DERP_ADDRESS_BYTES];
	uint16_t derp_port; /* 0: 443 */
	int stun_port;	    /* 0: 3478; -1: none */
	bool is_stun_only;
	bool is_insecure_for_tests; /* its certificate is not looked at */
	bool can_port_80;
};

struct derp_region {
	int id; /* 1 .. DERP_REGION_ID_MAX */
	char code[DERP_NAME_BYTES];
	char name[DERP_NAME_BYTES];
	bool is_avoided; /* not chosen as home */
	size_t node_count;
	struct derp_node nodes[DERP_NODES_MAX];
};

struct derp_map {
	size_t region_count;
	struct derp_region *regions; /* by id; the owner's */
};

/* NULL: not there. */
const struct derp_region *derp_map_find(const struct derp_map *map, int region);

#endif
