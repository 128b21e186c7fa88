/* Where consumers said they are, in their fetches (client.rack).
 *
 * Metadata has no field for it, but a client that it was heard from here is given an agent of that
 * site as its leader.  Sending it there by preferred_read_replica alone is not enough: librdkafka
 * stays with a preferred replica that is dead for five minutes, unless its leader changes, as it
 * then does.  What is forgotten or never heard costs a detour. */
#ifndef STREAMS_AGENT_RACKS_H
#define STREAMS_AGENT_RACKS_H

#include "base/hash.h"
#include "base/slice.h"

enum {
	RACKS_MAX = 10000, /* clients; the one that was heard first goes */
	RACK_BYTES_MAX = 255,
};

struct racks;

struct racks *racks_new(void);
void racks_free(struct racks *racks);

/* `client`: hash of what it is known by.  A rack that is longer than any site is none. */
void racks_remember(struct racks *racks, struct hash128 client, struct slice rack);

/* Empty when it is not known; valid until the next call. */
struct slice racks_find(const struct racks *racks, struct hash128 client);

#endif
