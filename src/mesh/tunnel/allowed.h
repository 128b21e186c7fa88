/* Whose an address is: prefixes of peers, of which the longest that has it counts.  One hash table
 * for all; an address is looked up once for each length that is in use, the longest first, which in
 * a mesh is one or two. */
#ifndef MESH_TUNNEL_ALLOWED_H
#define MESH_TUNNEL_ALLOWED_H

#include "base/err.h"
#include "base/ip.h"
#include "base/list.h"
#include "base/map.h"

struct allowed {
	struct ip_prefix prefix; /* its bytes are the key */
	void *owner;
	struct list link; /* among those of the owner */
};

enum { ALLOWED_BITS = 129 };

struct allowed_table {
	struct map map;			  /* struct allowed, by the bytes of its prefix */
	uint32_t counts[2][ALLOWED_BITS]; /* of version 4 and 6, by length */
	uint8_t lengths[2][ALLOWED_BITS]; /* those in use, the longest first */
	uint8_t length_count[2];
	struct ip last; /* what was asked for last; family 0: nothing */
	void *last_owner;
};

void allowed_init(struct allowed_table *t);
void allowed_done(struct allowed_table *t); /* the owners' lists are not to be used any more */

/* It moves to `owner`, whose `list` it joins.  ERR_FULL: there are `max`. */
MUST_CHECK enum err allowed_add(struct allowed_table *t, struct ip_prefix prefix, void *owner,
				struct list *list, size_t max);
void allowed_remove(struct allowed_table *t, struct allowed *a);
struct allowed *allowed_find(const struct allowed_table *t, struct ip_prefix prefix);

/* The owner of an address, or NULL. */
void *allowed_owner(struct allowed_table *t, struct ip address);

#endif
