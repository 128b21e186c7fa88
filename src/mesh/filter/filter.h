/* The packet filter of a machine: what may come in from the mesh.
 *
 * Control compiles the policy into rules for the machine that receives (PacketFilters).  Whatever
 * no rule allows is dropped, except answers: flows that this machine began are noted on the way
 * out.
 * Flows that a peer began are noted too, so that what this machine sends in them is never taken for
 * a beginning of its own; when new rules no longer allow them, they stop in both directions.
 *
 * An engine: packets and the time go in, verdicts come out.  It never changes or keeps a packet.
 * Flows are hashed and rules compiled into sets of bits: a verdict costs a look into a table, and
 * for a packet that begins something four binary searches and a 64th of the rules.  Everything a
 * peer or control can make grow has a limit below.
 *
 *   TUN -> filter_out() -> tunnel          tunnel -> filter_in() -> TUN
 *                                                        | FILTER_TSMP: for the node, never TUN
 *                                                        | reject: filter_reject() -> tunnel
 */
#ifndef MESH_FILTER_FILTER_H
#define MESH_FILTER_FILTER_H

#include "base/err.h"
#include "base/ip_range.h"
#include "base/slice.h"

enum {
	FILTER_RULES_MAX = 4096,    /* rules times destinations */
	FILTER_RANGES_MAX = 131072, /* sources and destinations of all rules */
	FILTER_FLOWS_MAX = 65536,   /* then the stalest gives way, those of peers first */
	FILTER_FRAGMENTS_MAX = 256, /* packets of which the first fragment was let through */
	FILTER_LOCAL_MAX = 1024,    /* addresses of this machine and routes it offers */
	FILTER_OPEN_PORTS_MAX = 8,
	FILTER_REJECT_BYTES_MAX = 64,
	FILTER_REJECTS_PER_SECOND_MAX = 20,
};

struct filter_destination {
	struct slice address; /* an IP, CIDR, FIRST-LAST or "*" */
	uint16_t first_port, last_port;
};

/* One rule, in the text forms of control's FilterRule with DstPorts. */
struct filter_rule {
	const struct slice *sources; /* an IP, CIDR, FIRST-LAST, "*", or "cap:NAME" */
	size_t source_count;
	const uint8_t *protocols; /* none: TCP, UDP, ICMP, ICMPv6 */
	size_t protocol_count;
	const struct filter_destination *destinations;
	size_t destination_count;
};

/* Which peers have a capability of control, for sources "cap:NAME". */
struct filter_holder {
	struct slice capability; /* without "cap:" */
	struct ip_range address;
};

struct filter_config {
	const struct filter_rule *rules;
	size_t rule_count;
	const struct filter_holder *holders;
	size_t holder_count;
	const struct ip_range *local; /* our addresses and the routes we offer */
	size_t local_count;
	/* TCP ports of our own addresses that every peer may reach, because who listens there
	 * asks for each caller what it may (peerapi, drop). */
	const struct ip *open_addresses; /* at most FILTER_OPEN_PORTS_MAX */
	size_t open_address_count;
	const uint16_t *open_ports;
	size_t open_port_count;
	bool shields_up; /* nothing begins from outside, whatever the rules say */
};

enum filter_verdict {
	FILTER_ACCEPT,
	FILTER_TSMP, /* in only: a message of the mesh itself (tsmp.h); never give it to the TUN */
	FILTER_DROP,
};

/* Why; also the order of the counters. */
enum filter_reason {
	FILTER_BY_RULE,
	FILTER_BY_FLOW,
	FILTER_BY_OPEN_PORT,
	FILTER_BY_FRAGMENT,
	FILTER_MESSAGE, /* TSMP */
	FILTER_NO_RULE,
	FILTER_SHIELDS_UP,
	FILTER_REVOKED,	  /* out: a peer began this flow and may no longer */
	FILTER_NOT_OURS,  /* in: neither our address nor a route we offer */
	FILTER_MULTICAST, /* multicast, broadcast, link-local: never crosses the mesh */
	FILTER_MALFORMED,
	FILTER_REASON_COUNT
};

struct filter_answer {
	enum filter_verdict verdict;
	enum filter_reason reason;
	bool reject; /* in, dropped: tell the peer with filter_reject(); already rate-limited */
};

struct filter;

/* Without rules nothing comes in, not even answers: no address is ours yet.  The table of flows
 * grows from 14 kB to 4 MB as they need it. */
struct filter *filter_new(uint64_t now_ms);
void filter_free(struct filter *f);

/* Compile and use from now on; flows stay, those no longer allowed stop at their next packet.
 * Borrows nothing; the same again changes nothing.  ERR_INVALID, ERR_TOO_BIG: the old rules stay in
 * force, ret_why says what of the new ones is wrong. */
enum { FILTER_WHY_BYTES = 120 };
MUST_CHECK enum err filter_configure(struct filter *f, const struct filter_config *config,
				     char ret_why[FILTER_WHY_BYTES]);

/* A packet from a peer, whose source address the tunnel has already checked against the peer's. */
struct filter_answer filter_in(struct filter *f, struct slice packet, uint64_t now_ms);
/* A packet of this machine, on its way to a peer. */
struct filter_answer filter_out(struct filter *f, struct slice packet, uint64_t now_ms);

/* The message for the peer whose packet was dropped with `reject`: a whole packet for the tunnel.
 * Returns its size. */
size_t filter_reject(const struct filter *f, struct slice packet,
		     uint8_t ret[FILTER_REJECT_BYTES_MAX]);

/* May a TCP or UDP flow from `from` to our `to` begin; for whois and status, it notes nothing. */
bool filter_allows(const struct filter *f, const struct ip *from, const struct ip *to,
		   uint8_t protocol, uint16_t port);

struct filter_counters {
	uint64_t in[FILTER_REASON_COUNT], out[FILTER_REASON_COUNT]; /* packets */
	size_t flows, flows_evicted;
};
const struct filter_counters *filter_counters(struct filter *f);
const char *filter_reason_name(enum filter_reason reason);

#endif
