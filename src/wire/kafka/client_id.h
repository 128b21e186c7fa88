/* What a client says about its place in its client.id.
 *
 * The protocol has no field for the site of a producer, so clients of brokers without leaders put
 * it into their name: comma-separated words, some of them key=value.  Every spelling that is in use
 * is understood, so that nobody has to change a configuration:
 *
 *	client.id=orders-7,hanse_site=north
 *	client.id=ws_az=us-east-1a,ws_host_override=...
 *
 * Words with other keys, and words without "=", are a part of the name and mean nothing here. */
#ifndef WIRE_KAFKA_CLIENT_ID_H
#define WIRE_KAFKA_CLIENT_ID_H

#include "base/slice.h"

enum { CLIENT_ID_SITE_BYTES_MAX = 255 }; /* as an agent's --site */

/* The first site that is named, a part of `client_id`; empty when none is, or it is too long. */
struct slice client_id_site(struct slice client_id);

#endif
