/* Queries for other people's names, sent on to other resolvers.
 *
 *	0 ms	 the first resolver, on a new socket with a random port, with a random id
 *	+300 ms	 the next one too, and so on
 *	2 s	 all of them once more
 *	5 s	 SERVFAIL
 *
 * The first answer wins that is no SERVFAIL and no REFUSED; these are kept for when nobody knows
 * better.  An answer that was cut off is asked for again over TCP where the asker has room for it.
 * Nothing is kept from one query to the next: the machine's resolver has a cache. */
#ifndef NAMES_FORWARD_H
#define NAMES_FORWARD_H

#include "base/ip.h"
#include "loop/task.h"
#include "names/zone.h"

enum {
	FORWARD_RESOLVERS_MAX = 4, /* raced for one query */
	FORWARD_QUERIES_MAX = 256, /* at a time; more are answered with SERVFAIL */
	FORWARD_NEXT_MS = 300,
	FORWARD_AGAIN_MS = 2000,
	FORWARD_TIMEOUT_MS = 5000,
};

struct forward;

/* `resolvers` are asked where a route names none; with none of either, queries are refused. */
struct forward *forward_new(struct loop *loop, const struct ip_port *resolvers, size_t count);

/* Every query under way is answered with SERVFAIL. */
void forward_close(struct forward *f);

/* The answer, as it goes back, comes from the loop, never from inside this call, and exactly once;
 * `message` is copied. */
typedef void forward_on_answer(void *context, struct slice answer);
void forward_query(struct forward *f, const struct dns_query *query, struct slice message,
		   bool is_udp, const struct zone_route *route, forward_on_answer *on_answer,
		   void *context);

/* The resolvers of a file as /etc/resolv.conf is, without those of the mesh and without loops to
 * ourselves; returns how many. */
size_t forward_read_resolvers(struct slice text, struct ip_port *ret, size_t max);

#endif
