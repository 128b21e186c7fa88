/* Ranges of IP addresses, as packet filters and policies handle them.  A prefix is one, FIRST-LAST
 * too.  A range is of one family. */
#ifndef BASE_IP_RANGE_H
#define BASE_IP_RANGE_H

#include "base/ip.h"

enum { IP_RANGE_TEXT_BYTES = 100 /* two addresses and what stands between */ };

/* From `first` to `last`, both included; of one family, first <= last. */
struct ip_range {
	struct ip first, last;
};

/* The neighbour in its family; false: there is none. */
bool ip_next(struct ip a, struct ip *ret);
bool ip_previous(struct ip a, struct ip *ret);

struct ip_range ip_range_of(struct ip_prefix prefix);
struct ip_range ip_range_one(struct ip a);
struct ip_range ip_range_all(enum ip_family family);

bool ip_range_contains(const struct ip_range *r, struct ip a);
bool ip_range_covers(const struct ip_range *outer, const struct ip_range *inner);
bool ip_range_overlaps(const struct ip_range *a, const struct ip_range *b);

/* Is it one prefix?  Then *ret. */
bool ip_range_is_prefix(const struct ip_range *r, struct ip_prefix *ret);

/* "192.0.2.1", "192.0.2.0/24", or else "192.0.2.3-192.0.2.9". */
void ip_range_text(const struct ip_range *r, char ret[IP_RANGE_TEXT_BYTES]);

/* An address, ADDRESS/BITS, or FIRST-LAST of one family.  ERR_INVALID: neither, bits set behind
 * those of the prefix, or IPv4 in the form of IPv6. */
MUST_CHECK enum err ip_range_parse(struct slice text, struct ip_range *ret);

#endif
