/* Rules, compiled: which packets may come in that nobody here asked for.
 *
 * Each pair of a rule and one of its destinations is a bit.  Source, destination, port and protocol
 * each give a set of bits (intervals.h); the packet is allowed if a bit is in all four. */
#ifndef MESH_FILTER_RULES_H
#define MESH_FILTER_RULES_H

#include "mesh/filter/filter.h"
#include "mesh/filter/packet.h"

struct rules;

/* See filter_configure(). */
MUST_CHECK enum err rules_new(const struct filter_config *config, char ret_why[FILTER_WHY_BYTES],
			      struct rules **ret);
void rules_free(struct rules *r);

/* TCP, UDP and SCTP by port.  An echo if anything at all is allowed between the two.  What has no
 * ports only by rules that name its protocol and all ports. */
bool rules_allow(const struct rules *r, const struct packet *p);

/* Is anything allowed from here to there. */
bool rules_know(const struct rules *r, const struct ip *source, const struct ip *destination);

/* Is it one of our addresses, or in a route we offer. */
bool rules_is_local(const struct rules *r, const struct ip *a);

bool rules_is_open_port(const struct rules *r, const struct packet *p);
bool rules_shields_up(const struct rules *r);

/* Of everything in the configuration: equal for equal ones. */
bool rules_equal(const struct rules *r, const struct filter_config *config);

#endif
