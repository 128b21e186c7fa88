/* What one message of the control protocol may hold, whoever sent it. */
#ifndef WIRE_CONTROL_LIMITS_H
#define WIRE_CONTROL_LIMITS_H

enum {
	CONTROL_REQUEST_BYTES_MAX = 1 << 20,   /* JSON of a register or map request */
	CONTROL_REGISTER_BYTES_MAX = 1 << 20,  /* JSON of a register response */
	CONTROL_RESPONSE_BYTES_MAX = 64 << 20, /* JSON of one map response */
	CONTROL_FRAME_BYTES_MAX = 32 << 20,    /* the same compressed */
	CONTROL_NODES_MAX = 20000,	       /* peers of one machine */
	CONTROL_ADDRESSES_MAX = 16,	       /* own addresses of one node */
	CONTROL_ROUTES_MAX = 1024,	       /* prefixes of one node */
	CONTROL_ENDPOINTS_MAX = 64,	       /* of one node */
	CONTROL_TAGS_MAX = 64,		       /* of one node */
	CONTROL_SERVICES_MAX = 256,	       /* of one node */
	CONTROL_CAPS_MAX = 256,		       /* of one node */
	CONTROL_CAP_BYTES_MAX = 64 << 10,      /* the values of one */
	CONTROL_HOSTINFO_BYTES_MAX = 64 << 10, /* its JSON */
	CONTROL_REGIONS_MAX = 1000,	       /* of the relay map */
	CONTROL_RELAYS_MAX = 64,	       /* of one region */
	CONTROL_FILTERS_MAX = 1000,	       /* named chunks of packet filter rules */
	CONTROL_RULES_MAX = 10000,	       /* of one chunk */
	CONTROL_RULE_ITEMS_MAX = 50000,	       /* sources, or destinations, of one rule */
	CONTROL_DNS_ITEMS_MAX = 10000,	       /* routes, records, ... each */
	CONTROL_RESOLVERS_MAX = 64,	       /* in one place */
	CONTROL_USERS_MAX = 20000,
	CONTROL_URLS_MAX = 16,	    /* of control itself */
	CONTROL_MEMBERS_MAX = 1000, /* of a JSON object of no other kind */
	CONTROL_HEALTH_MAX = 64,
	CONTROL_NAME_BYTES_MAX = 255,  /* a DNS name, a tag, a login name */
	CONTROL_TEXT_BYTES_MAX = 4096, /* any other text */
};

#endif
