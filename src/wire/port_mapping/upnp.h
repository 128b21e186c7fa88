/* A UDP port of a router that speaks UPnP and nothing better.
 *
 *	M-SEARCH to UDP 1900		which gateway is here?  -> where its description is
 *	GET that			which service maps ports, and where is it asked?
 *	POST there, SOAP		GetExternalIPAddress, AddPortMapping, DeletePortMapping
 *
 * What the router says is looked through for the few elements that matter, not understood as XML:
 * no entity but &amp; has a meaning, nothing is nested, nothing is kept. */
#ifndef WIRE_PORT_MAPPING_UPNP_H
#define WIRE_PORT_MAPPING_UPNP_H

#include "base/buf.h"
#include "wire/endpoint.h"

enum {
	UPNP_PORT = 1900, /* UDP, of the router and of the group 239.255.255.250 */
	UPNP_PATH_BYTES = 256,
	UPNP_SERVICE_BYTES = 64,
	UPNP_DESCRIPTION_BYTES_MAX = 256 * 1024,
	UPNP_ANSWER_BYTES_MAX = 16 * 1024,
	UPNP_HEADERS_BYTES = 128,
	UPNP_TAKEN = 718,	   /* another machine has that port */
	UPNP_ONLY_PERMANENT = 725, /* a lease of 0 seconds is one without end */
};

struct slice upnp_search(void);

/* Of http://ADDRESS:PORT/PATH, with an address of IPv4; the path begins with a slash, and nothing
 * in it ends a line or a word. */
struct upnp_place {
	struct endpoint address;
	char path[UPNP_PATH_BYTES];
};

/* ERR_INVALID: no answer to the search, or of something else. */
MUST_CHECK enum err upnp_read_found(struct slice packet, struct upnp_place *ret);

struct upnp_service {
	char type[UPNP_SERVICE_BYTES]; /* "urn:schemas-upnp-org:service:WANIPConnection:1" */
	struct upnp_place at;
};

/* `from`: where the description was.  ERR_NOT_FOUND: no service in it maps ports; ERR_INVALID: it
 * is asked elsewhere than at the machine that described it. */
MUST_CHECK enum err upnp_read_description(struct slice xml, const struct upnp_place *from,
					  struct upnp_service *ret);

enum upnp_action { UPNP_ASK_ADDRESS, UPNP_ADD, UPNP_DELETE };

struct upnp_mapping {
	struct endpoint ours;
	uint16_t outside_port;
	uint32_t seconds; /* 0: without end */
};

/* The body, text/xml, and the header line that goes with it. */
void upnp_request(enum upnp_action action, const struct upnp_service *service,
		  const struct upnp_mapping *mapping, struct buf *ret_body,
		  char ret_header[UPNP_HEADERS_BYTES]);

/* Of an answer with status 200; the port is 0. */
MUST_CHECK enum err upnp_read_address(struct slice xml, struct endpoint *ret);
/* Of any other: UPNP_TAKEN, UPNP_ONLY_PERMANENT, ...; 0: it does not say. */
int upnp_read_error(struct slice xml);

#endif
