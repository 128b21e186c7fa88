#include "access/explain.h"

#include <stdarg.h>
#include <stdio.h>

#include "access/compile.h"
#include "access/decide.h"
#include "access/policy_read.h"
#include "base/memory.h"
#include "base/text.h"

enum { ICMP = 1, TCP = 6, UDP = 17 };

/* --- whom the question is about ------------------------------------------------------------- */

struct asked {
	const struct access_machine *machine; /* that has or routes the address; NULL: none */
	struct subject subject;
	struct slice text;
	bool has_port;
	uint16_t port;
};

static PRINTF_LIKE(2, 3) void say(char why[EXPLAIN_WHY_BYTES], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, EXPLAIN_WHY_BYTES, format, arguments);
	va_end(arguments);
}

/* The machine with the longest route to an address that is no machine's own. */
static const struct access_machine *find_router(const struct access_world *world, struct ip ip)
{
	const struct access_machine *best = NULL;
	unsigned bits = 0;

	for (size_t i = 0; i < world->machine_count; i++)
		for (size_t j = 0; j < world->machines[i].route_count; j++) {
			const struct ip_prefix *route = &world->machines[i].routes[j];

			if (ip_prefix_has(*route, ip) && (!best || route->bits > bits)) {
				best = &world->machines[i];
				bits = route->bits;
			}
		}
	return best;
}

static enum err resolve(const struct explain *e, struct slice text, struct asked *ret,
			char why[EXPLAIN_WHY_BYTES])
{
	struct slice bare = text;
	struct ip ip = { 0 };

	if (bare.size > 2 && bare.data[0] == '[' && bare.data[bare.size - 1] == ']')
		bare = slice_part(bare, 1, bare.size - 2);
	ret->text = bare;
	ret->machine = access_find_machine(e->world, bare);
	if (ip_parse(bare, &ip) == OK) {
		ret->subject = (struct subject) { .has_ip = true, .ip = ip };
		if (!ret->machine)
			ret->machine = find_router(e->world, ip);
		if (ret->machine)
			ret->subject = subject_of(ret->machine, ip);
		return OK;
	}
	if (!ret->machine) {
		say(why, "there is no machine \"%.*s\"; see hanse machine list", TEXT_ARG(bare));
		return ERR_NOT_FOUND;
	}
	if (ret->machine->address_count > 0)
		ret->subject = subject_of(ret->machine, ret->machine->addresses[0]);
	return OK;
}

static enum err resolve_source(const struct explain *e, struct slice text, struct asked *ret,
			       char why[EXPLAIN_WHY_BYTES])
{
	bool is_user = slice_starts_with(text, SLICE("user:"));

	*ret = (struct asked) { .text = text };
	if (slice_starts_with(text, SLICE("tag:"))) {
		ret->subject.tags = &ret->text;
		ret->subject.tag_count = 1;
		return OK;
	}
	if (is_user || (text.size && memchr(text.data, '@', text.size))) {
		ret->subject.user = slice_part(text, is_user ? strlen("user:") : 0, SIZE_MAX);
		return OK;
	}
	return resolve(e, text, ret, why);
}

static enum err resolve_target(const struct explain *e, struct slice text, struct asked *ret,
			       char why[EXPLAIN_WHY_BYTES])
{
	size_t colon = text.size;
	struct ip ip;
	uint64_t port;

	*ret = (struct asked) { 0 };
	while (colon > 0 && text.data[colon - 1] != ':')
		colon--;
	if (colon > 1 && ip_parse(text, &ip)) {
		if (text_to_u64(slice_part(text, colon, SIZE_MAX), UINT16_MAX, &port)) {
			say(why, "\"%.*s\" does not end with a port; write NAME or NAME:22",
			    TEXT_ARG(text));
			return ERR_INVALID;
		}
		ret->has_port = true;
		ret->port = (uint16_t)port;
		text = slice_part(text, 0, colon - 1);
	}
	return resolve(e, text, ret, why);
}

/* A machine is asked from the address of the family that the other one has. */
static void match_family(struct asked *from, const struct asked *to)
{
	const struct access_machine *m = from->machine;

	if (!from->subject.has_ip || !from->subject.is_own_ip || !to->subject.has_ip ||
	    from->subject.ip.family == to->subject.ip.family)
		return;
	for (size_t i = 0; i < m->address_count; i++)
		if (m->addresses[i].family == to->subject.ip.family)
			from->subject = subject_of(m, m->addresses[i]);
}

static enum err protocol_number(struct slice text, uint8_t *ret, char why[EXPLAIN_WHY_BYTES])
{
	uint64_t number;

	if (text.size == 0 || slice_equal(text, SLICE("tcp")))
		*ret = TCP;
	else if (slice_equal(text, SLICE("udp")))
		*ret = UDP;
	else if (slice_equal(text, SLICE("icmp")))
		*ret = ICMP;
	else if (slice_equal(text, SLICE("sctp")))
		*ret = 132;
	else if (text_to_u64(text, 255, &number) == OK)
		*ret = (uint8_t)number;
	else {
		say(why, "\"%.*s\" is not tcp, udp, icmp, sctp or a number", TEXT_ARG(text));
		return ERR_INVALID;
	}
	return OK;
}

/* --- sentences ------------------------------------------------------------------------------ */

static void add_service(struct buf *ret, int protocol, uint16_t first, uint16_t last)
{
	char name[POLICY_PROTOCOL_TEXT_BYTES] = "tcp, udp, icmp";

	if (protocol != POLICY_USUAL_PROTOCOLS)
		policy_protocol_text(protocol, name);
	buf_add_text(ret, name);
	if (protocol != POLICY_USUAL_PROTOCOLS && !policy_protocol_has_ports(protocol))
		return;
	if (first == 0 && last == UINT16_MAX)
		buf_add_text(ret, " all ports");
	else if (first == last)
		buf_add_format(ret, " port %u", first);
	else
		buf_add_format(ret, " ports %u-%u", first, last);
}

static void add_rule(struct buf *ret, const struct decision *d)
{
	buf_add_format(ret, "line %u", d->rule->line);
	if (d->rule->name.size)
		buf_add_format(ret, " (%.*s)", TEXT_ARG(d->rule->name));
	buf_add_format(ret, ": %.*s -> %.*s", TEXT_ARG(d->source->text), TEXT_ARG(d->target->text));
}

/* Why it is so, on lines of their own. */
static void add_reason(const struct explain *e, const struct question *q, const struct decision *d,
		       struct buf *ret)
{
	struct decision other;

	if (!e->policy) {
		buf_add_text(ret, "  there is no policy: everybody reaches everything\n");
		return;
	}
	if (!d->rule) {
		buf_add_text(ret, "  no rule allows it, and what no rule allows is denied\n");
		return;
	}
	buf_add_text(ret, d->is_allowed ? "  allowed by " : "  forbidden by ");
	add_rule(ret, d);
	buf_add_text(ret, "\n");
	for (size_t i = 0; !d->is_allowed && i < e->policy->rule_count; i++)
		if (!e->policy->rules[i].is_forbid &&
		    rule_means(&e->policy->rules[i], e->world, q, &other)) {
			buf_add_text(ret, "  which beats ");
			add_rule(ret, &other);
			buf_add_text(ret, "\n");
			return;
		}
}

static void explain_port(const struct explain *e, const struct question *q,
			 const struct asked *from, const struct asked *to, struct buf *ret,
			 bool *ret_allowed)
{
	struct decision d = decide(e->policy, e->world, q);

	buf_add_format(ret, "%.*s may %sreach %.*s ", TEXT_ARG(from->text),
		       d.is_allowed ? "" : "not ", TEXT_ARG(to->text));
	add_service(ret, q->protocol, q->port, q->port);
	buf_add_text(ret, "\n");
	add_reason(e, q, &d, ret);
	*ret_allowed = d.is_allowed;
}

/* Every rule about the two. */
static void list_rules(const struct explain *e, const struct question *q, struct buf *ret)
{
	for (int forbids = 1; forbids >= 0; forbids--)
		for (size_t i = 0; i < e->policy->rule_count; i++) {
			const struct policy_rule *rule = &e->policy->rules[i];
			const struct policy_target *target;
			struct decision d;

			if (rule->is_forbid != forbids || !rule_means_pair(rule, e->world, q, &d))
				continue;
			target = CONTAINER(d.target, struct policy_target, who);
			buf_add_text(ret, forbids ? "  forbids " : "  allows ");
			for (size_t j = 0; j < target->service_count; j++) {
				buf_add_text(ret, j ? ", " : "");
				add_service(ret, target->services[j].protocol,
					    target->services[j].first_port,
					    target->services[j].last_port);
			}
			for (size_t j = 0; j < rule->capability_count; j++)
				buf_add_format(ret, "%s%.*s",
					       j || target->service_count ? ", " : "",
					       TEXT_ARG(rule->capabilities[j].name));
			buf_add_text(ret, ", by ");
			add_rule(ret, &d);
			buf_add_text(ret, "\n");
		}
}

/* What remains of all rules; false: nothing. */
static bool list_remains(const struct compiled_filter *f, struct ip from, struct ip to,
			 struct buf *ret)
{
	bool any = false;

	for (size_t i = 0; i < f->rule_count; i++) {
		const struct compiled_rule *rule = &f->rules[i];
		bool is_source = false;

		for (size_t j = 0; j < rule->source_count; j++)
			is_source |= ip_range_contains(&rule->sources[j], from);
		for (size_t j = 0; is_source && j < rule->destination_count; j++) {
			const struct compiled_ports *d = &rule->destinations[j];

			if (!ip_range_contains(&d->range, to))
				continue;
			for (size_t k = 0; k < (rule->protocol_count ? rule->protocol_count : 1);
			     k++) {
				int protocol = rule->protocol_count ? rule->protocols[k]
								    : POLICY_USUAL_PROTOCOLS;

				if (protocol == 58)
					continue; /* with ICMP */
				buf_add_text(ret, any ? "; " : "");
				add_service(ret, protocol, d->first_port, d->last_port);
				any = true;
			}
		}
	}
	return any;
}

static size_t index_of(const struct access_world *world, const struct access_machine *m)
{
	return (size_t)(m - world->machines);
}

static enum err explain_all(const struct explain *e, const struct question *q,
			    const struct asked *from, const struct asked *to, struct buf *ret,
			    bool *ret_allowed)
{
	struct compiled_filter filter;
	struct compiler *c;
	struct arena a;
	enum err err;

	buf_add_format(ret, "%.*s -> %.*s\n", TEXT_ARG(from->text), TEXT_ARG(to->text));
	list_rules(e, q, ret);
	if (!q->from.has_ip || !to->machine) {
		*ret_allowed = false;
		return OK;
	}
	err = compiler_new(e->policy, e->world, &c);
	if (err)
		return err;
	arena_init(&a);
	compiler_filter(c, &a, index_of(e->world, to->machine), &filter);
	buf_add_text(ret, "may reach: ");
	*ret_allowed = list_remains(&filter, q->from.ip, q->to.ip, ret);
	buf_add_text(ret, *ret_allowed ? "\n" : "nothing\n");
	arena_done(&a);
	compiler_free(c);
	return OK;
}

enum err explain_pair(const struct explain *e, struct slice from_text, struct slice to_text,
		      struct slice protocol, struct buf *ret, bool *ret_allowed,
		      char ret_why[EXPLAIN_WHY_BYTES])
{
	struct question q = { 0 };
	struct asked from, to;
	enum err err = resolve_source(e, from_text, &from, ret_why);

	if (!err)
		err = resolve_target(e, to_text, &to, ret_why);
	if (!err)
		err = protocol_number(protocol, &q.protocol, ret_why);
	if (err)
		return err;
	if (from.subject.tag_count == 1 && !from.machine)
		from.subject.tags = &from.text;
	match_family(&from, &to);
	q.from = from.subject;
	q.to = to.subject;
	q.to_is_exit = to.machine && access_is_exit(to.machine);
	q.port = to.port;
	if (e->policy && !to.has_port && protocol.size == 0)
		return explain_all(e, &q, &from, &to, ret, ret_allowed);
	explain_port(e, &q, &from, &to, ret, ret_allowed);
	return OK;
}

/* --- who can -------------------------------------------------------------------------------- */

/* The machine's address in the family of the one that is asked; false: it has none. */
static bool address_for(const struct access_machine *m, struct ip other, struct ip *ret)
{
	for (size_t i = 0; i < m->address_count; i++)
		if (m->addresses[i].family == other.family) {
			*ret = m->addresses[i];
			return true;
		}
	return false;
}

static void add_who(const struct access_machine *m, struct buf *ret)
{
	buf_add_format(ret, "%.*s (", TEXT_ARG(m->name));
	for (size_t i = 0; i < m->tag_count; i++)
		buf_add_format(ret, "%s%.*s", i ? " " : "", TEXT_ARG(m->tags[i]));
	if (m->tag_count == 0)
		buf_add_slice(ret, m->user);
	buf_add_text(ret, ")");
}

static void who_port(const struct explain *e, struct question *q, const struct access_machine *m,
		     struct buf *ret)
{
	struct decision d;

	q->from = subject_of(m, q->from.ip);
	d = decide(e->policy, e->world, q);
	if (!d.is_allowed)
		return;
	add_who(m, ret);
	if (d.rule) {
		buf_add_text(ret, " by ");
		add_rule(ret, &d);
	}
	buf_add_text(ret, "\n");
}

static void who_anything(const struct compiled_filter *filter, const struct question *q,
			 const struct access_machine *m, struct buf *ret)
{
	size_t size = ret->size;

	add_who(m, ret);
	buf_add_text(ret, " ");
	if (!list_remains(filter, q->from.ip, q->to.ip, ret))
		ret->size = size;
	else
		buf_add_text(ret, "\n");
}

enum err explain_who(const struct explain *e, struct slice to_text, struct slice protocol,
		     struct buf *ret, char ret_why[EXPLAIN_WHY_BYTES])
{
	struct compiled_filter filter = { 0 };
	struct compiler *c = NULL;
	struct question q = { 0 };
	struct arena a;
	struct asked to;
	bool asks_all;
	enum err err = resolve_target(e, to_text, &to, ret_why);

	if (!err)
		err = protocol_number(protocol, &q.protocol, ret_why);
	asks_all = !err && e->policy && !to.has_port && protocol.size == 0 && to.machine;
	if (asks_all)
		err = compiler_new(e->policy, e->world, &c);
	if (err)
		return err;
	arena_init(&a);
	if (asks_all)
		compiler_filter(c, &a, index_of(e->world, to.machine), &filter);
	q.to = to.subject;
	q.to_is_exit = to.machine && access_is_exit(to.machine);
	q.port = to.port;
	for (size_t i = 0; i < e->world->machine_count; i++) {
		const struct access_machine *m = &e->world->machines[i];

		if (m == to.machine || !address_for(m, q.to.ip, &q.from.ip))
			continue;
		if (asks_all)
			who_anything(&filter, &q, m, ret);
		else
			who_port(e, &q, m, ret);
	}
	arena_done(&a);
	compiler_free(c);
	return OK;
}

void explain_problems(const struct policy_problems *problems, struct buf *ret)
{
	for (size_t i = 0; i < problems->count; i++)
		buf_add_format(ret, "%u:%u: %s: %s\n", problems->items[i].line,
			       problems->items[i].column,
			       problems->items[i].is_warning ? "warning" : "error",
			       problems->items[i].text);
	if (problems->error_count > problems->count)
		buf_add_format(ret, "and %zu more\n", problems->error_count - problems->count);
}
