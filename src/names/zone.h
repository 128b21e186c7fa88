/* The names of a mesh: a pure function of a netmap, made as a whole and replaced as a whole, so
 * that there is no moment at which a name is missing, and nothing that applies changes.
 *
 *	laptop, laptop.DOMAIN		a machine: A, AAAA
 *	whatever records say		A, AAAA, CNAME, TXT
 *	the addresses of machines	PTR
 *	_netmap.DOMAIN			TXT: the sequence of the netmap it was made of
 *	anything else below DOMAIN	does not exist, with a SOA that says for how long (10 s)
 *
 * DOMAIN itself has a SOA.  A machine's own names win over records. */
#ifndef NAMES_ZONE_H
#define NAMES_ZONE_H

#include "wire/dns/message.h"
#include "wire/mesh_view.h"

enum {
	ZONE_TTL_S = 5, /* the source is local and in memory: asking again costs nothing */
	ZONE_NEGATIVE_TTL_S = 10,
	ZONE_CHAIN_MAX = 8, /* CNAMEs followed in one answer */
	ZONE_RECORDS_PER_NAME_MAX = 64,
	ZONE_TEXT_BYTES_MAX = 255, /* of a TXT record */
};

struct zone;

/* May names end with it?  It has two labels at least, or a machine could be called as somebody's
 * whole domain is. */
bool zone_is_domain(struct slice domain);

/* `name` is `suffix` or below it; everything is below "". */
bool zone_is_below(struct slice name, struct slice suffix);

/* Without a domain that may be one machines have short names only.
 * NULL: the netmap has no machine with a name, so it cannot be the last good one. */
struct zone *zone_new(const struct mesh_view *view);
void zone_free(struct zone *z); /* NULL is fine */

struct slice zone_domain(const struct zone *z);
uint64_t zone_sequence(const struct zone *z);

/* The i-th suffix that a route is for, without "" and the domain; false: there are no more. */
bool zone_suffix(const struct zone *z, size_t i, struct slice *ret);

/* Where a question goes that the zone does not answer. */
struct zone_route {
	const struct ip *resolvers; /* of the zone */
	size_t count;		    /* 0: to where everything else goes */
};

enum zone_outcome {
	ZONE_NOTHING,  /* no query: not even a refusal goes back */
	ZONE_ANSWERED, /* `out` has the answer */
	ZONE_FORWARD,  /* somebody else's name: `ret_route` */
};

/* `size_max` is what the way back carries if the asker says nothing about it: UDP is
 * DNS_UDP_BYTES_MAX, TCP DNS_MESSAGE_BYTES_MAX.  The answer is added to `out`. */
enum zone_outcome zone_answer(const struct zone *z, struct slice message, bool is_udp,
			      struct buf *out, struct dns_query *ret_query,
			      struct zone_route *ret_route);

/* An answer without records, for what could not be forwarded. */
void zone_refuse(const struct dns_query *query, struct slice message, enum dns_rcode rcode,
		 struct buf *out);

/* For files of hosts: every address with its names, each once, in the order of the netmap; only
 * names a file of hosts can hold.  `names` is "laptop.DOMAIN laptop". */
void zone_each_host(const struct zone *z,
		    void (*on_host)(void *context, struct ip ip, const char *names), void *context);

#endif
