/* Packet filters from a policy: for each machine what others may reach on it, with what is
 * forbidden already taken out, and who may see whom at all.
 *
 * The sources of all rules cut the addresses there are into intervals, within which no rule
 * tells one address from another; a set of sources is a set of bits.  For one machine, the
 * destinations on it, the protocols and the ports are cut in the same way, and each cell gets
 * its set: all that any rule allows, less all that any rule forbids.  Equal cells become one
 * rule again.
 *
 * ICMP echo is the one exception to exactness: what enforces lets pings pass wherever anything
 * passes, in the official client and here. */
#ifndef ACCESS_COMPILE_H
#define ACCESS_COMPILE_H

#include "access/policy.h"

enum {
	COMPILE_PROTOCOLS_MAX = 64, /* different ones in a policy */
	COMPILE_SETS_BYTES_MAX = 64 << 20,
	COMPILE_STEPS_MAX = 100 << 20, /* of one machine: words of sets looked at, about 0.1 s */
};

struct compiled_ports {
	struct ip_range range;
	uint16_t first_port, last_port;
};

/* From any of the sources to any of the destinations. */
struct compiled_rule {
	const struct ip_range *sources;
	size_t source_count;
	const uint8_t *protocols; /* none: TCP, UDP, ICMP and ICMPv6 */
	size_t protocol_count;
	const struct compiled_ports *destinations;
	size_t destination_count;
};

/* The sources have this capability towards the machine's own addresses. */
struct compiled_grant {
	const struct ip_range *sources;
	size_t source_count;
	const struct policy_capability *capability;
};

struct compiled_filter {
	const struct compiled_rule *rules;
	size_t rule_count;
	const struct compiled_grant *grants;
	size_t grant_count;
};

struct compiler;

/* Borrows both until compiler_free().  ERR_TOO_BIG: more sources, rules and machines than fit into
 * COMPILE_SETS_BYTES_MAX, or more protocols. */
MUST_CHECK enum err compiler_new(const struct policy *policy, const struct access_world *world,
				 struct compiler **ret);
void compiler_free(struct compiler *c);

/* What others may begin towards machine `index` of the world; lives in the arena.  What would take
 * more than COMPILE_STEPS_MAX is denied. */
void compiler_filter(struct compiler *c, struct arena *a, size_t index,
		     struct compiled_filter *ret);

/* On which other machines `index` has a capability, as a set of bits (by index in the world) in the
 * arena; NULL: on none.  All questions to one compiler are about one capability. */
const uint64_t *compiler_granted(struct compiler *c, struct arena *a, size_t index,
				 struct slice capability);

/* May one of the two begin anything towards the other, or has a capability there?  If not, neither
 * needs to know that the other exists. */
bool compiler_sees(struct compiler *c, size_t index, size_t other);

/* Words of sets looked at so far, and whether a machine had too many. */
uint64_t compiler_steps(const struct compiler *c, bool *ret_is_exceeded);

/* Does a compiled filter let this in?  For comparisons and tests, not for packets. */
bool compiled_allows(const struct compiled_filter *f, struct ip from, struct ip to,
		     uint8_t protocol, uint16_t port);

#endif
