#include "mesh/filter/filter.h"

#include <assert.h>

#include "base/hash.h"
#include "base/memory.h"
#include "mesh/filter/flows.h"
#include "mesh/filter/packet.h"
#include "mesh/filter/rules.h"
#include "mesh/filter/tsmp.h"

enum {
	TCP_BEGUN_S = 120,
	TCP_ESTABLISHED_S = 24 * 3600,
	TCP_OF_PEER_S = 600, /* forgotten earlier: the rules judge it again */
	TCP_CLOSED_S = 60,
	TCP_RESET_S = 10,
	UDP_BEGUN_S = 60,
	UDP_ANSWERED_S = 180,
	ECHO_S = 30,
	OTHER_S = 600,
	FRAGMENT_S = 30,

	/* A node that starts again finds connections under way that it knows nothing of; for
	 * this long what this machine sends in them makes them its own, until rules change. */
	GUESS_S = 60,

	FIN_OURS = 1,
	FIN_THEIRS = 2,
	FIN_RESET = 4,
};

struct fragment {
	struct ip source, destination;
	uint32_t id;
	uint32_t expires_s;
	uint8_t protocol;
};

struct filter {
	struct rules *rules;
	uint32_t rules_number; /* which rules a flow was last held against */
	struct flows *flows;
	struct fragment fragments[FILTER_FRAGMENTS_MAX];
	uint64_t start_ms;
	uint32_t reject_s; /* the second that is being counted */
	unsigned rejects;  /* in it */
	struct filter_counters counters;
};

struct filter *filter_new(uint64_t now_ms)
{
	struct filter *f = NEW(struct filter);
	char why[FILTER_WHY_BYTES];
	enum err err = rules_new(&(struct filter_config) { 0 }, why, &f->rules);

	assert(!err);
	f->flows = flows_new(FILTER_FLOWS_MAX);
	f->start_ms = now_ms;
	return f;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	rules_free(f->rules);
	flows_free(f->flows);
	memory_free(f);
}

enum err filter_configure(struct filter *f, const struct filter_config *config,
			  char ret_why[FILTER_WHY_BYTES])
{
	struct rules *rules;
	struct flow *it;
	size_t cursor = 0;
	enum err err;

	if (rules_equal(f->rules, config))
		return OK;
	err = rules_new(config, ret_why, &rules);
	if (err)
		return err;
	rules_free(f->rules);
	f->rules = rules;
	f->rules_number++;
	while ((it = flows_next(f->flows, &cursor)))
		if (it->is_guessed)
			flows_remove(f->flows, it);
	return OK;
}

static uint32_t seconds(const struct filter *f, uint64_t now_ms)
{
	return now_ms < f->start_ms ? 0 : (uint32_t)((now_ms - f->start_ms) / 1000);
}

/* --- flows ---------------------------------------------------------------------------------- */

static struct flow_key key_of(const struct packet *p, bool is_out)
{
	struct flow_key key = { .protocol = p->protocol, .family = p->source.family };

	memcpy(key.ours, is_out ? p->source.bytes : p->destination.bytes, 16);
	memcpy(key.theirs, is_out ? p->destination.bytes : p->source.bytes, 16);
	key.our_port = is_out ? p->source_port : p->destination_port;
	key.their_port = is_out ? p->destination_port : p->source_port;
	return key;
}

static uint32_t life_of(const struct flow *flow)
{
	switch (flow->key.protocol) {
	case PROTOCOL_TCP:
		if (flow->fins & FIN_RESET)
			return TCP_RESET_S;
		if (flow->fins == (FIN_OURS | FIN_THEIRS))
			return TCP_CLOSED_S;
		if (!flow->is_ours)
			return TCP_OF_PEER_S;
		return flow->is_answered ? TCP_ESTABLISHED_S : TCP_BEGUN_S;
	case PROTOCOL_UDP:
		return flow->is_answered ? UDP_ANSWERED_S : UDP_BEGUN_S;
	case PROTOCOL_ICMP:
	case PROTOCOL_ICMPV6:
		return ECHO_S;
	default:
		return OTHER_S;
	}
}

static void touch(struct flow *flow, const struct packet *p, bool is_out, uint32_t now_s)
{
	if (is_out != flow->is_ours)
		flow->is_answered = true;
	if (p->tcp_flags & PACKET_TCP_FIN)
		flow->fins |= is_out ? FIN_OURS : FIN_THEIRS;
	if (p->tcp_flags & PACKET_TCP_RST)
		flow->fins |= FIN_RESET;
	flow->expires_s = now_s + life_of(flow);
}

static bool is_begin_of_tcp(const struct packet *p)
{
	return p->kind == PACKET_PORTS && p->protocol == PROTOCOL_TCP &&
	       (p->tcp_flags & (PACKET_TCP_SYN | PACKET_TCP_ACK)) == PACKET_TCP_SYN;
}

/* --- in ------------------------------------------------------------------------------------- */

static size_t fragment_place(const struct packet *p)
{
	uint8_t key[16 + 16 + 4 + 1];

	memcpy(key, p->source.bytes, 16);
	memcpy(key + 16, p->destination.bytes, 16);
	memcpy(key + 32, &p->fragment_id, 4);
	key[36] = p->protocol;
	return hash_bytes((struct slice) { key, sizeof(key) }) % FILTER_FRAGMENTS_MAX;
}

static void note_fragment(struct filter *f, const struct packet *p, uint32_t now_s)
{
	f->fragments[fragment_place(p)] = (struct fragment) {
		.source = p->source,
		.destination = p->destination,
		.id = p->fragment_id,
		.protocol = p->protocol,
		.expires_s = now_s + FRAGMENT_S,
	};
}

static bool knows_fragment(const struct filter *f, const struct packet *p, uint32_t now_s)
{
	const struct fragment *it = &f->fragments[fragment_place(p)];

	return it->expires_s >= now_s && it->expires_s > 0 && it->id == p->fragment_id &&
	       it->protocol == p->protocol && ip_equal(it->source, p->source) &&
	       ip_equal(it->destination, p->destination);
}

/* Part of a packet whose beginning was let through, or of one that came before its beginning from
 * somebody who may begin something. */
static enum filter_reason judge_fragment(struct filter *f, const struct packet *p, uint32_t now_s)
{
	if (knows_fragment(f, p, now_s) || rules_know(f->rules, &p->source, &p->destination))
		return FILTER_BY_FRAGMENT;
	return FILTER_NO_RULE;
}

/* An error about a packet of ours comes in, whoever found it. */
static enum filter_reason judge_error(struct filter *f, const struct packet *p, uint32_t now_s)
{
	struct packet quoted;
	struct flow_key key;
	const struct flow *flow;

	if (packet_parse_quoted(p->quoted, &quoted)) {
		key = key_of(&quoted, true);
		flow = flows_find(f->flows, &key, now_s);
		if (flow && !flow->is_revoked)
			return FILTER_BY_FLOW;
	}
	return rules_know(f->rules, &p->source, &p->destination) ? FILTER_BY_RULE : FILTER_NO_RULE;
}

static enum filter_reason judge_by_rules(const struct filter *f, const struct packet *p)
{
	if (rules_is_open_port(f->rules, p))
		return FILTER_BY_OPEN_PORT;
	if (rules_allow(f->rules, p))
		return FILTER_BY_RULE;
	return rules_shields_up(f->rules) ? FILTER_SHIELDS_UP : FILTER_NO_RULE;
}

/* Hold a flow of a peer against the rules, if they are others than last time.  `p` goes in. */
static void judge_again(const struct filter *f, struct flow *flow, const struct packet *p)
{
	if (flow->rules == f->rules_number)
		return;
	flow->rules = f->rules_number;
	flow->is_revoked = judge_by_rules(f, p) >= FILTER_NO_RULE;
}

static enum filter_reason judge_beginning(struct filter *f, const struct packet *p,
					  const struct flow_key *key, struct flow *flow,
					  uint32_t now_s)
{
	enum filter_reason reason = judge_by_rules(f, p);

	if (reason >= FILTER_NO_RULE)
		return reason;
	if (!flow)
		flow = flows_add(f->flows, key, false, now_s);
	if (!flow)
		return reason; /* no room to remember it: the next packet is judged anew */
	if (!flow->is_ours) {
		flow->rules = f->rules_number;
		flow->is_revoked = false;
		flow->fins = 0;
	}
	touch(flow, p, false, now_s);
	return reason;
}

static enum filter_reason judge_flow(struct filter *f, const struct packet *p, uint32_t now_s)
{
	struct flow_key key = key_of(p, false);
	struct flow *flow = flows_find(f->flows, &key, now_s);

	if (p->kind == PACKET_ECHO_REPLY && !flow)
		return FILTER_NO_RULE;
	/* Who begins TCP is judged as such, even in the ports of a connection of ours. */
	if (!flow || is_begin_of_tcp(p))
		return judge_beginning(f, p, &key, flow, now_s);
	if (!flow->is_ours)
		judge_again(f, flow, p);
	touch(flow, p, false, now_s); /* a revoked one too: it stays known while it goes on */
	return flow->is_revoked ? judge_by_rules(f, p) : FILTER_BY_FLOW;
}

static enum filter_reason judge_in(struct filter *f, const struct packet *p, uint32_t now_s)
{
	enum filter_reason reason;

	if (packet_is_local_only(&p->destination) || packet_is_local_only(&p->source))
		return FILTER_MULTICAST;
	if (!rules_is_local(f->rules, &p->destination))
		return FILTER_NOT_OURS;
	if (p->kind == PACKET_LATER_FRAGMENT)
		return judge_fragment(f, p, now_s);
	if (p->protocol == TSMP_PROTOCOL)
		return FILTER_MESSAGE;
	reason = p->kind == PACKET_ERROR	  ? judge_error(f, p, now_s)
		 : p->kind == PACKET_ECHO_REQUEST ? judge_by_rules(f, p)
						  : judge_flow(f, p, now_s);
	if (p->is_first_fragment && reason < FILTER_NO_RULE)
		note_fragment(f, p, now_s);
	return reason;
}

static bool may_reject(struct filter *f, uint32_t now_s)
{
	if (f->reject_s != now_s) {
		f->reject_s = now_s;
		f->rejects = 0;
	}
	return f->rejects++ < FILTER_REJECTS_PER_SECOND_MAX;
}

static struct filter_answer answer_for(enum filter_reason reason)
{
	return (struct filter_answer) {
		.verdict = reason == FILTER_MESSAGE   ? FILTER_TSMP
			   : reason >= FILTER_NO_RULE ? FILTER_DROP
						      : FILTER_ACCEPT,
		.reason = reason,
	};
}

struct filter_answer filter_in(struct filter *f, struct slice packet, uint64_t now_ms)
{
	uint32_t now_s = seconds(f, now_ms);
	enum filter_reason reason = FILTER_MALFORMED;
	struct filter_answer answer;
	struct packet p;

	if (packet_parse(packet, &p))
		reason = judge_in(f, &p, now_s);
	answer = answer_for(reason);
	if ((reason == FILTER_NO_RULE || reason == FILTER_SHIELDS_UP) && is_begin_of_tcp(&p))
		answer.reject = may_reject(f, now_s);
	f->counters.in[reason]++;
	return answer;
}

size_t filter_reject(const struct filter *f, struct slice packet,
		     uint8_t ret[FILTER_REJECT_BYTES_MAX])
{
	struct tsmp message = { .kind = TSMP_REJECT };
	uint8_t built[TSMP_PACKET_BYTES_MAX];
	struct packet p;
	size_t size;

	if (!packet_parse(packet, &p))
		return 0;
	message.from = p.destination;
	message.to = p.source;
	message.reject.protocol = p.protocol;
	message.reject.reason = rules_shields_up(f->rules) ? TSMP_SHIELDS_UP : TSMP_BY_POLICY;
	message.reject.source_port = p.source_port;
	message.reject.destination_port = p.destination_port;
	size = tsmp_build(&message, built);
	assert(size <= FILTER_REJECT_BYTES_MAX);
	memcpy(ret, built, size);
	return size;
}

/* --- out ------------------------------------------------------------------------------------ */

/* The packet that would come in as an answer. */
static struct packet turned(const struct packet *p)
{
	struct packet back = *p;

	back.source = p->destination;
	back.destination = p->source;
	back.source_port = p->destination_port;
	back.destination_port = p->source_port;
	return back;
}

/* TCP that is under way and in no table: answered packets of a peer's connection, or one of ours
 * from before this process. */
static bool is_guess(const struct filter *f, const struct packet *p, uint32_t now_s)
{
	struct packet back = turned(p);

	return now_s < GUESS_S && !rules_allow(f->rules, &back) &&
	       !(p->tcp_flags & (PACKET_TCP_SYN | PACKET_TCP_RST));
}

static enum filter_reason note_out(struct filter *f, const struct packet *p,
				   const struct flow_key *key, uint32_t now_s)
{
	bool is_under_way = p->protocol == PROTOCOL_TCP && !is_begin_of_tcp(p);
	struct flow *flow;

	if (is_under_way && !is_guess(f, p, now_s))
		return FILTER_BY_RULE;
	flow = flows_add(f->flows, key, true, now_s);
	flow->is_guessed = is_under_way;
	flow->is_answered = is_under_way;
	touch(flow, p, true, now_s);
	return FILTER_BY_FLOW;
}

static enum filter_reason judge_out(struct filter *f, const struct packet *p, uint32_t now_s)
{
	struct flow_key key;
	struct flow *flow;

	if (packet_is_local_only(&p->destination) || packet_is_local_only(&p->source))
		return FILTER_MULTICAST;
	if (p->kind == PACKET_LATER_FRAGMENT || p->kind == PACKET_ERROR ||
	    p->kind == PACKET_ECHO_REPLY)
		return FILTER_BY_RULE;
	key = key_of(p, true);
	flow = flows_find(f->flows, &key, now_s);
	if (!flow)
		return note_out(f, p, &key, now_s);
	if (is_begin_of_tcp(p)) {
		flow->is_ours = true;
		flow->is_answered = flow->is_guessed = flow->is_revoked = false;
		flow->fins = 0;
	} else if (!flow->is_ours) {
		struct packet back = turned(p);

		judge_again(f, flow, &back);
	}
	touch(flow, p, true, now_s);
	return flow->is_revoked ? FILTER_REVOKED : FILTER_BY_FLOW;
}

struct filter_answer filter_out(struct filter *f, struct slice packet, uint64_t now_ms)
{
	enum filter_reason reason = FILTER_MALFORMED;
	struct packet p;

	if (packet_parse(packet, &p))
		reason = judge_out(f, &p, seconds(f, now_ms));
	f->counters.out[reason]++;
	return answer_for(reason);
}

/* --- for others to look at ------------------------------------------------------------------- */

bool filter_allows(const struct filter *f, const struct ip *from, const struct ip *to,
		   uint8_t protocol, uint16_t port)
{
	struct packet p = { .source = *from,
			    .destination = *to,
			    .protocol = protocol,
			    .destination_port = port,
			    .is_4 = to->family == IP_V4 };

	p.kind = protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP
			 ? PACKET_PORTS
		 : protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6 ? PACKET_ECHO_REQUEST
									    : PACKET_OTHER;
	return from->family == to->family && rules_is_local(f->rules, to) &&
	       judge_by_rules(f, &p) < FILTER_NO_RULE;
}

const struct filter_counters *filter_counters(struct filter *f)
{
	f->counters.flows = flows_count(f->flows);
	f->counters.flows_evicted = flows_evicted(f->flows);
	return &f->counters;
}

const char *filter_reason_name(enum filter_reason reason)
{
	static const char *const names[FILTER_REASON_COUNT] = {
		[FILTER_BY_RULE] = "rule",
		[FILTER_BY_FLOW] = "flow",
		[FILTER_BY_OPEN_PORT] = "open port",
		[FILTER_BY_FRAGMENT] = "fragment",
		[FILTER_MESSAGE] = "message of the mesh",
		[FILTER_NO_RULE] = "no rule",
		[FILTER_SHIELDS_UP] = "shields up",
		[FILTER_REVOKED] = "revoked",
		[FILTER_NOT_OURS] = "not ours",
		[FILTER_MULTICAST] = "multicast",
		[FILTER_MALFORMED] = "malformed",
	};

	assert(reason < FILTER_REASON_COUNT);
	return names[reason];
}
