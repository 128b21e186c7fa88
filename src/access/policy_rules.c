/* Entries of lists, the rules made of them, and the tests. */
#include <stdlib.h>

#include "access/policy_read.h"
#include "base/text.h"

/* --- principals ----------------------------------------------------------------------------- */

static bool complain_unknown(struct policy_reader *r, const struct hujson *v, const char *what,
			     struct slice name, const char *const *words)
{
	const char *near = text_nearest(arena_text(r->a, name), words);

	COMPLAIN(r, v, "there is no %s \"%.*s\"%s%s%s", what, TEXT_ARG(name),
		 near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return false;
}

static bool read_group_name(struct policy_reader *r, const struct hujson *v, struct slice text,
			    struct principal *ret)
{
	struct policy *p = r->policy;
	const char **names;

	for (size_t i = 0; i < p->group_count; i++)
		if (slice_equal(p->groups[i].name, text)) {
			p->groups[i].is_used = true;
			ret->kind = PRINCIPAL_GROUP;
			ret->group = &p->groups[i];
			ret->name = text;
			return true;
		}
	names = arena_take_array(r->a, p->group_count + 1, sizeof(*names));
	for (size_t i = 0; i < p->group_count; i++)
		names[i] = arena_text(r->a, p->groups[i].name);
	return complain_unknown(r, v, "group", text, names);
}

static bool read_tag(struct policy_reader *r, const struct hujson *v, struct slice text,
		     struct principal *ret)
{
	struct policy *p = r->policy;

	ret->kind = PRINCIPAL_TAG;
	ret->name = text;
	for (size_t i = 0; i < p->tag_owner_count; i++)
		if (slice_equal(p->tag_owners[i].tag, text)) {
			p->tag_owners[i].is_used = true;
			return true;
		}
	WARN(r, v, "%.*s has no owners: only an administrator can give it; add it to tagOwners",
	     TEXT_ARG(text));
	return true;
}

static bool read_autogroup(struct policy_reader *r, const struct hujson *v, struct slice text,
			   enum principal_role role, struct principal *ret)
{
	static const struct {
		const char *name;
		enum principal_kind kind;
		bool is_source, is_target, is_owner;
	} known[] = {
		{ "autogroup:member", PRINCIPAL_MEMBER, true, true, true },
		{ "autogroup:members", PRINCIPAL_MEMBER, true, true, true },
		{ "autogroup:tagged", PRINCIPAL_TAGGED, true, true, true },
		{ "autogroup:self", PRINCIPAL_SELF, false, true, false },
		{ "autogroup:internet", PRINCIPAL_INTERNET, false, true, false },
		{ "autogroup:danger-all", PRINCIPAL_DANGER_ALL, true, false, false },
		{ "autogroup:admin", PRINCIPAL_NOBODY, true, true, true },
		{ "autogroup:owner", PRINCIPAL_NOBODY, true, true, true },
		{ "autogroup:it-admin", PRINCIPAL_NOBODY, true, true, true },
		{ "autogroup:network-admin", PRINCIPAL_NOBODY, true, true, true },
		{ "autogroup:billing-admin", PRINCIPAL_NOBODY, true, true, true },
		{ "autogroup:auditor", PRINCIPAL_NOBODY, true, true, true },
		{ "autogroup:shared", PRINCIPAL_NOBODY, true, true, false },
	};
	const char *names[sizeof(known) / sizeof(known[0]) + 1] = { 0 };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		names[i] = known[i].name;
		if (!slice_equal(text, slice_from(known[i].name)))
			continue;
		if (!(role == ROLE_SOURCE   ? known[i].is_source
		      : role == ROLE_TARGET ? known[i].is_target
					    : known[i].is_owner)) {
			COMPLAIN(r, v, "%.*s cannot stand here: it is %s", TEXT_ARG(text),
				 known[i].is_target ? "a destination" : "a source");
			return false;
		}
		if (known[i].kind == PRINCIPAL_NOBODY)
			WARN(r, v, "%.*s is nobody here: users have no roles; name a group",
			     TEXT_ARG(text));
		ret->kind = known[i].kind;
		ret->name = text;
		return true;
	}
	return complain_unknown(r, v, "group", text, names);
}

static bool is_label(struct slice s)
{
	for (size_t i = 0; i < s.size; i++) {
		uint8_t c = s.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return s.size > 0 && s.size <= 63;
}

/* A name of "hosts", an address, or else the name of a machine. */
static bool read_host(struct policy_reader *r, const struct hujson *v, struct slice text,
		      struct principal *ret)
{
	struct policy *p = r->policy;
	struct slice bare = text;

	for (size_t i = 0; i < p->host_count; i++)
		if (slice_equal(p->hosts[i].name, text)) {
			p->hosts[i].is_used = true;
			ret->kind = PRINCIPAL_RANGE;
			ret->name = text;
			ret->range = p->hosts[i].range;
			return true;
		}
	if (bare.size > 2 && bare.data[0] == '[' && bare.data[bare.size - 1] == ']')
		bare = slice_part(bare, 1, bare.size - 2);
	if (ip_range_parse(bare, &ret->range) == OK) {
		ret->kind = PRINCIPAL_RANGE;
		ret->name = text;
		return true;
	}
	if (text.size && (memchr(text.data, '/', text.size) ||
			  (memchr(text.data, '.', text.size) && text.data[0] <= '9'))) {
		COMPLAIN(r, v,
			 "\"%.*s\" is not an address or a network; a network has no bits set "
			 "behind its /",
			 TEXT_ARG(text));
		return false;
	}
	if (!is_label(text)) {
		COMPLAIN(r, v,
			 "\"%.*s\" names nobody: write a user (with @, or user:NAME), group:NAME, "
			 "tag:NAME, an address, a name of \"hosts\", or a machine in small letters",
			 TEXT_ARG(text));
		return false;
	}
	ret->kind = PRINCIPAL_DEVICE;
	ret->name = text;
	return true;
}

bool read_principal(struct policy_reader *r, const struct hujson *v, struct slice text,
		    enum principal_role role, struct principal *ret)
{
	*ret = (struct principal) { .text = text, .line = v->line, .column = v->column };
	if (slice_equal(text, SLICE("*"))) {
		ret->kind = PRINCIPAL_ANY;
		return true;
	}
	if (slice_starts_with(text, SLICE("group:")))
		return read_group_name(r, v, text, ret);
	if (slice_starts_with(text, SLICE("tag:")))
		return read_tag(r, v, text, ret);
	if (slice_starts_with(text, SLICE("autogroup:")))
		return read_autogroup(r, v, text, role, ret);
	if (slice_starts_with(text, SLICE("svc:")) || slice_starts_with(text, SLICE("ipset:"))) {
		COMPLAIN(r, v, "\"%.*s\" is not served here; name machines or addresses",
			 TEXT_ARG(text));
		return false;
	}
	if (slice_starts_with(text, SLICE("user:")) ||
	    (text.size && memchr(text.data, '@', text.size))) {
		bool has_prefix = slice_starts_with(text, SLICE("user:"));

		ret->kind = PRINCIPAL_USER;
		ret->name = slice_part(text, has_prefix ? strlen("user:") : 0, SIZE_MAX);
		return true;
	}
	return read_host(r, v, text, ret);
}

const struct principal *read_principals(struct policy_reader *r, const struct hujson *list,
					enum principal_role role, size_t *ret_count)
{
	struct principal *all;
	size_t count = 0;

	if (!reader_wants(r, list, HUJSON_ARRAY, "this", POLICY_ENTRIES_MAX))
		return NULL;
	all = arena_take_array(r->a, list->count + 1, sizeof(*all));
	for (const struct hujson *it = list->first; it; it = it->next)
		if (reader_wants(r, it, HUJSON_TEXT, "an entry", 0))
			count += read_principal(r, it, it->text, role, &all[count]);
	*ret_count = count;
	return all;
}

/* --- ports and protocols -------------------------------------------------------------------- */

static bool read_ports(struct slice text, struct policy_service *ret)
{
	struct slice rest = text, first_text;
	uint64_t first, last;

	if (slice_equal(text, SLICE("*"))) {
		ret->first_port = 0;
		ret->last_port = UINT16_MAX;
		return true;
	}
	first_text = slice_cut(&rest, '-');
	if (text_to_u64(first_text, UINT16_MAX, &first))
		return false;
	last = first;
	if (first_text.size < text.size && text_to_u64(rest, UINT16_MAX, &last))
		return false;
	if (first > last)
		return false;
	ret->first_port = (uint16_t)first;
	ret->last_port = (uint16_t)last;
	return true;
}

static bool read_protocol(struct policy_reader *r, const struct hujson *v, struct slice text,
			  int *ret)
{
	static const struct {
		const char *name;
		int number;
	} known[] = {
		{ "*", POLICY_USUAL_PROTOCOLS },
		{ "", POLICY_USUAL_PROTOCOLS },
		{ "tcp", 6 },
		{ "udp", 17 },
		{ "icmp", 1 },
		{ "ipv6-icmp", 1 },
		{ "icmpv6", 1 },
		{ "sctp", 132 },
		{ "gre", 47 },
		{ "esp", 50 },
		{ "ah", 51 },
		{ "igmp", 2 },
		{ "egp", 8 },
		{ "igp", 9 },
		{ "ip-in-ip", 4 },
		{ "ipv4", 4 },
	};
	const char *names[sizeof(known) / sizeof(known[0]) + 1] = { 0 };
	uint64_t number;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		names[i] = known[i].name;
		if (slice_equal(text, slice_from(known[i].name))) {
			*ret = known[i].number;
			return true;
		}
	}
	if (text_to_u64(text, 255, &number) == OK && number > 0) {
		*ret = number == 58 ? 1 : (int)number;
		return true;
	}
	return complain_unknown(r, v, "protocol", text, names);
}

static bool check_service(struct policy_reader *r, const struct hujson *v,
			  const struct policy_service *s)
{
	if (s->protocol == POLICY_USUAL_PROTOCOLS || policy_protocol_has_ports(s->protocol) ||
	    (s->first_port == 0 && s->last_port == UINT16_MAX))
		return true;
	COMPLAIN(r, v, "this protocol has no ports; write *");
	return false;
}

/* "22,80-90" or "*", all of one protocol. */
static bool read_services(struct policy_reader *r, const struct hujson *v, struct slice ports,
			  int protocol, struct policy_target *ret)
{
	struct slice rest = ports;
	struct policy_service *services;
	size_t count = 1, n = 0;

	for (size_t i = 0; i < ports.size; i++)
		count += ports.data[i] == ',';
	if (count > POLICY_SERVICES_MAX) {
		COMPLAIN(r, v, "more than %d ports; write ranges", POLICY_SERVICES_MAX);
		return false;
	}
	services = arena_take_array(r->a, count, sizeof(*services));
	while (n < count) {
		struct slice one = slice_cut(&rest, ',');

		services[n].protocol = protocol;
		if (!read_ports(one, &services[n])) {
			COMPLAIN(r, v,
				 "\"%.*s\" is not a port from 0 to 65535, a range like 80-90, or "
				 "*",
				 TEXT_ARG(one));
			return false;
		}
		if (!check_service(r, v, &services[n++]))
			return false;
	}
	ret->services = services;
	ret->service_count = count;
	return true;
}

/* "NAME:PORTS" of an entry of acls. */
static bool read_target_with_ports(struct policy_reader *r, const struct hujson *v, int protocol,
				   struct policy_target *ret)
{
	struct slice text = v->text, ports;
	size_t colon = text.size;

	while (colon > 0 && text.data[colon - 1] != ':')
		colon--;
	ports = slice_part(text, colon, SIZE_MAX);
	if (colon < 2 || ports.size == 0 ||
	    !((ports.data[0] >= '0' && ports.data[0] <= '9') || ports.data[0] == '*')) {
		COMPLAIN(r, v, "\"%.*s\" has no ports; write \"%.*s:22\" or \"%.*s:*\"",
			 TEXT_ARG(text), TEXT_ARG(text), TEXT_ARG(text));
		return false;
	}
	return read_services(r, v, ports, protocol, ret) &&
	       read_principal(r, v, slice_part(text, 0, colon - 1), ROLE_TARGET, &ret->who);
}

/* "443", "tcp:443", "icmp:*", "*" of a grant. */
static bool read_grant_service(struct policy_reader *r, const struct hujson *v,
			       struct policy_service *ret)
{
	struct slice rest = v->text, first = slice_cut(&rest, ':');
	bool has_protocol = first.size < v->text.size;

	ret->protocol = POLICY_USUAL_PROTOCOLS;
	if (has_protocol && !read_protocol(r, v, first, &ret->protocol))
		return false;
	if (!read_ports(has_protocol ? rest : v->text, ret)) {
		COMPLAIN(r, v,
			 "\"%.*s\" is not like \"443\", \"tcp:443\", \"udp:5000-6000\" or "
			 "\"*\"",
			 TEXT_ARG(v->text));
		return false;
	}
	return check_service(r, v, ret);
}

/* --- rules ---------------------------------------------------------------------------------- */

struct entry {
	const struct hujson *value;
	const struct hujson *sources, *targets, *ip, *app;
	int protocol;
	struct policy_rule *rule;
};

static void read_capabilities(struct policy_reader *r, const struct entry *e)
{
	struct policy_capability *all;

	if (!reader_wants(r, e->app, HUJSON_OBJECT, "\"app\"", POLICY_CAPABILITIES_MAX))
		return;
	all = arena_take_array(r->a, e->app->count + 1, sizeof(*all));
	for (const struct hujson *it = e->app->first; it; it = it->next) {
		struct policy_capability *c = &all[e->rule->capability_count];
		struct buf values;

		if (!reader_wants(r, it, HUJSON_ARRAY, "the values of a capability",
				  POLICY_ENTRIES_MAX))
			continue;
		buf_init(&values);
		hujson_write(&values, it);
		c->name = it->name;
		c->values = arena_copy(r->a, buf_slice(&values));
		if (values.size > POLICY_CAPABILITY_BYTES_MAX)
			COMPLAIN(r, it, "the values have more than %d bytes",
				 POLICY_CAPABILITY_BYTES_MAX);
		buf_done(&values);
		e->rule->capability_count++;
	}
	e->rule->capabilities = all;
}

static void read_targets(struct policy_reader *r, const struct entry *e)
{
	struct policy_target *all;
	struct policy_service *services = NULL;
	size_t service_count = 0, count = 0;

	if (!reader_wants(r, e->targets, HUJSON_ARRAY, "\"dst\"", POLICY_ENTRIES_MAX))
		return;
	if (e->ip && reader_wants(r, e->ip, HUJSON_ARRAY, "\"ip\"", POLICY_SERVICES_MAX)) {
		services = arena_take_array(r->a, e->ip->count + 1, sizeof(*services));
		for (const struct hujson *it = e->ip->first; it; it = it->next)
			if (reader_wants(r, it, HUJSON_TEXT, "an entry of \"ip\"", 0))
				service_count +=
					read_grant_service(r, it, &services[service_count]);
	}
	all = arena_take_array(r->a, e->targets->count + 1, sizeof(*all));
	for (const struct hujson *it = e->targets->first; it; it = it->next) {
		struct policy_target *target = &all[count];

		if (!reader_wants(r, it, HUJSON_TEXT, "a destination", 0))
			continue;
		if (!e->ip && !e->app) {
			count += read_target_with_ports(r, it, e->protocol, target);
		} else if (read_principal(r, it, it->text, ROLE_TARGET, &target->who)) {
			target->services = services;
			target->service_count = service_count;
			count++;
		}
	}
	e->rule->targets = all;
	e->rule->target_count = count;
}

static void read_action(struct policy_reader *r, struct entry *e, const struct hujson *v)
{
	if (v->kind == HUJSON_TEXT && slice_equal(v->text, SLICE("accept")))
		return;
	if (v->kind == HUJSON_TEXT && slice_equal(v->text, SLICE("forbid"))) {
		e->rule->is_forbid = true;
		return;
	}
	COMPLAIN(r, v, "\"action\" is \"accept\" or \"forbid\"");
}

/* One member of a rule.  What narrows a rule in ways not served here must not be ignored. */
static void read_member(struct policy_reader *r, struct entry *e, const struct hujson *it)
{
	static const char *const known[] = { "action", "name", "src", "dst",
					     "proto",  "ip",   "app", NULL };
	struct slice n = it->name;
	const char *near;

	if (slice_equal(n, SLICE("src")) || slice_equal(n, SLICE("users"))) {
		e->sources = it;
	} else if (slice_equal(n, SLICE("dst")) || slice_equal(n, SLICE("ports"))) {
		e->targets = it;
	} else if (slice_equal(n, SLICE("ip"))) {
		e->ip = it;
	} else if (slice_equal(n, SLICE("app"))) {
		e->app = it;
	} else if (slice_equal(n, SLICE("action"))) {
		read_action(r, e, it);
	} else if (slice_equal(n, SLICE("name")) || slice_equal(n, SLICE("note"))) {
		if (reader_wants(r, it, HUJSON_TEXT, "the name of a rule", 0))
			e->rule->name = it->text;
	} else if (slice_equal(n, SLICE("proto"))) {
		if (reader_wants(r, it, HUJSON_TEXT, "\"proto\"", 0))
			(void)read_protocol(r, it, it->text, &e->protocol);
	} else if (slice_equal(n, SLICE("srcPosture")) || slice_equal(n, SLICE("via"))) {
		policy_complain(r->problems, false, it->name_line, it->name_column,
				"\"%.*s\" is not served here; without it the rule would allow "
				"more, so remove the rule or write it without",
				TEXT_ARG(n));
	} else {
		near = text_nearest(arena_text(r->a, n), known);
		policy_complain(r->problems, false, it->name_line, it->name_column,
				"\"%.*s\" is unknown in a rule%s%s%s", TEXT_ARG(n),
				near ? "; did you mean \"" : "", near ? near : "",
				near ? "\"?" : "");
	}
}

static void read_rule(struct policy_reader *r, const struct hujson *v, bool is_forbid,
		      struct policy_rule *rule)
{
	struct entry e = { .value = v, .protocol = POLICY_USUAL_PROTOCOLS, .rule = rule };

	*rule = (struct policy_rule) { .is_forbid = is_forbid,
				       .line = v->line,
				       .column = v->column };
	if (!reader_wants(r, v, HUJSON_OBJECT, "a rule", 20))
		return;
	for (const struct hujson *it = v->first; it; it = it->next)
		read_member(r, &e, it);
	if (!e.sources || !e.targets) {
		COMPLAIN(r, v, "this rule has no \"%s\"", e.sources ? "dst" : "src");
		return;
	}
	if (e.ip && e.protocol != POLICY_USUAL_PROTOCOLS)
		COMPLAIN(r, v, "\"proto\" stands beside \"ip\"; write \"tcp:443\" in \"ip\"");
	rule->sources = read_principals(r, e.sources, ROLE_SOURCE, &rule->source_count);
	read_targets(r, &e);
	if (e.app)
		read_capabilities(r, &e);
}

void read_rules(struct policy_reader *r, const struct hujson *root)
{
	static const struct {
		const char *name;
		bool is_forbid;
	} lists[] = {
		{ "acls", false }, { "grants", false }, { "allow", false }, { "forbid", true }
	};
	struct policy_rule *rules = arena_take_array(r->a, POLICY_RULES_MAX, sizeof(*rules));
	size_t count = 0;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const struct hujson *list = hujson_member(root, lists[i].name);

		if (!list || !reader_wants(r, list, HUJSON_ARRAY, "a list of rules",
					   POLICY_RULES_MAX - count))
			continue;
		for (const struct hujson *it = list->first; it; it = it->next)
			read_rule(r, it, lists[i].is_forbid, &rules[count++]);
	}
	r->policy->rules = rules;
	r->policy->rule_count = count;
}

/* --- tests ---------------------------------------------------------------------------------- */

static const struct policy_target *read_expected(struct policy_reader *r, const struct hujson *list,
						 int protocol, size_t *ret_count)
{
	struct policy_target *all;
	size_t count = 0;

	if (!reader_wants(r, list, HUJSON_ARRAY, "a list of destinations", POLICY_ENTRIES_MAX))
		return NULL;
	all = arena_take_array(r->a, list->count + 1, sizeof(*all));
	for (const struct hujson *it = list->first; it; it = it->next) {
		if (!reader_wants(r, it, HUJSON_TEXT, "a destination", 0) ||
		    !read_target_with_ports(r, it, protocol, &all[count]))
			continue;
		if (all[count].who.kind == PRINCIPAL_ANY || all[count].who.kind == PRINCIPAL_GROUP)
			COMPLAIN(r, it,
				 "a test asks for one destination, such as a tag, a user, "
				 "a machine or an address");
		for (size_t i = 0; i < all[count].service_count; i++) {
			const struct policy_service *s = &all[count].services[i];

			if (s->first_port != s->last_port &&
			    (s->protocol == POLICY_USUAL_PROTOCOLS ||
			     policy_protocol_has_ports(s->protocol)))
				COMPLAIN(r, it, "a test asks for one port, as in \"tag:web:443\"");
		}
		count++;
	}
	*ret_count = count;
	return all;
}

static void read_test(struct policy_reader *r, const struct hujson *v, struct policy_test *ret)
{
	const struct hujson *accept = NULL, *deny = NULL, *source = NULL;

	*ret = (struct policy_test) { .line = v->line,
				      .column = v->column,
				      .protocol = POLICY_USUAL_PROTOCOLS };
	if (!reader_wants(r, v, HUJSON_OBJECT, "a test", 20))
		return;
	for (const struct hujson *it = v->first; it; it = it->next) {
		if (slice_equal(it->name, SLICE("src")) || slice_equal(it->name, SLICE("user")))
			source = it;
		else if (slice_equal(it->name, SLICE("accept")) ||
			 slice_equal(it->name, SLICE("allow")))
			accept = it;
		else if (slice_equal(it->name, SLICE("deny")))
			deny = it;
		else if (slice_equal(it->name, SLICE("name")))
			ret->name = it->text;
		else if (slice_equal(it->name, SLICE("proto")))
			(void)read_protocol(r, it, it->text, &ret->protocol);
		else
			policy_complain(r->problems, false, it->name_line, it->name_column,
					"\"%.*s\" is unknown in a test", TEXT_ARG(it->name));
	}
	if (!source || (!accept && !deny)) {
		COMPLAIN(r, v, "a test needs \"src\", and \"accept\" or \"deny\"");
		return;
	}
	if (!reader_wants(r, source, HUJSON_TEXT, "\"src\" of a test", 0) ||
	    !read_principal(r, source, source->text, ROLE_SOURCE, &ret->source))
		return;
	if (ret->source.kind == PRINCIPAL_ANY)
		COMPLAIN(r, source,
			 "a test asks for one source, such as a user, a tag, a machine "
			 "or an address");
	if (accept)
		ret->accept = read_expected(r, accept, ret->protocol, &ret->accept_count);
	if (deny)
		ret->deny = read_expected(r, deny, ret->protocol, &ret->deny_count);
}

void read_tests(struct policy_reader *r, const struct hujson *list)
{
	struct policy_test *tests;

	if (!reader_wants(r, list, HUJSON_ARRAY, "\"tests\"", POLICY_TESTS_MAX))
		return;
	tests = arena_take_array(r->a, list->count + 1, sizeof(*tests));
	for (const struct hujson *it = list->first; it; it = it->next)
		read_test(r, it, &tests[r->policy->test_count++]);
	r->policy->tests = tests;
}
