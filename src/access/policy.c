#include "access/policy.h"

#include <stdarg.h>
#include <stdio.h>

#include "access/policy_read.h"
#include "base/text.h"

enum {
	ICMP = 1,
	TCP = 6,
	UDP = 17,
	ICMPV6 = 58,
	SCTP = 132,
};

/* When all places are taken, an error takes that of a warning. */
static struct policy_problem *problem_place(struct policy_problems *problems, bool is_warning)
{
	if (problems->count < POLICY_PROBLEMS_MAX)
		return &problems->items[problems->count++];
	for (size_t i = 0; !is_warning && i < problems->count; i++)
		if (problems->items[i].is_warning)
			return &problems->items[i];
	return NULL;
}

void policy_complain(struct policy_problems *problems, bool is_warning, unsigned line,
		     unsigned column, const char *format, ...)
{
	struct policy_problem *p;
	va_list arguments;

	problems->error_count += !is_warning;
	p = problem_place(problems, is_warning);
	if (!p)
		return;
	*p = (struct policy_problem) { .line = line, .column = column, .is_warning = is_warning };
	va_start(arguments, format);
	vsnprintf(p->text, sizeof(p->text), format, arguments);
	va_end(arguments);
}

bool reader_wants(struct policy_reader *r, const struct hujson *v, enum hujson_kind kind,
		  const char *what, size_t max)
{
	if (v->kind != kind) {
		COMPLAIN(r, v, "%s is a %s, and must be a %s", what, hujson_kind_name(v->kind),
			 hujson_kind_name(kind));
		return false;
	}
	if ((kind == HUJSON_ARRAY || kind == HUJSON_OBJECT) && v->count > max) {
		COMPLAIN(r, v, "%s has %zu entries; %zu is the limit", what, v->count, max);
		return false;
	}
	return true;
}

/* --- groups and hosts ----------------------------------------------------------------------- */

static void read_group(struct policy_reader *r, const struct hujson *v, struct policy_group *ret)
{
	struct slice *members = arena_take_array(r->a, v->count + 1, sizeof(*members));

	*ret = (struct policy_group) {
		.name = v->name, .members = members, .line = v->name_line, .column = v->name_column
	};
	if (!slice_starts_with(v->name, SLICE("group:")) || v->name.size == strlen("group:"))
		policy_complain(r->problems, false, v->name_line, v->name_column,
				"the name of a group begins with \"group:\", as in "
				"\"group:%.*s\"",
				TEXT_ARG(v->name));
	if (!reader_wants(r, v, HUJSON_ARRAY, "a group", POLICY_MEMBERS_MAX))
		return;
	for (const struct hujson *it = v->first; it; it = it->next) {
		struct slice user = it->text;

		if (!reader_wants(r, it, HUJSON_TEXT, "a member of a group", 0))
			continue;
		if (slice_starts_with(user, SLICE("group:")) ||
		    slice_starts_with(user, SLICE("tag:")) ||
		    slice_starts_with(user, SLICE("autogroup:")) || user.size == 0) {
			COMPLAIN(r, it,
				 "\"%.*s\" cannot be in a group: groups hold users; name it in the "
				 "rule beside the group",
				 TEXT_ARG(user));
			continue;
		}
		if (slice_starts_with(user, SLICE("user:")))
			user = slice_part(user, strlen("user:"), SIZE_MAX);
		members[ret->member_count++] = user;
	}
}

static void read_groups(struct policy_reader *r, const struct hujson *v)
{
	struct policy *p = r->policy;

	if (!reader_wants(r, v, HUJSON_OBJECT, "\"groups\"", POLICY_GROUPS_MAX))
		return;
	p->groups = arena_take_array(r->a, v->count + 1, sizeof(*p->groups));
	for (const struct hujson *it = v->first; it; it = it->next)
		read_group(r, it, &p->groups[p->group_count++]);
}

static void read_hosts(struct policy_reader *r, const struct hujson *v)
{
	struct policy *p = r->policy;

	if (!reader_wants(r, v, HUJSON_OBJECT, "\"hosts\"", POLICY_GROUPS_MAX))
		return;
	p->hosts = arena_take_array(r->a, v->count + 1, sizeof(*p->hosts));
	for (const struct hujson *it = v->first; it; it = it->next) {
		struct policy_host *host = &p->hosts[p->host_count];

		if (!reader_wants(r, it, HUJSON_TEXT, "a host", 0))
			continue;
		if (it->name.size == 0 || memchr(it->name.data, ':', it->name.size) ||
		    memchr(it->name.data, '@', it->name.size)) {
			policy_complain(r->problems, false, it->name_line, it->name_column,
					"the name of a host has no : or @");
			continue;
		}
		if (ip_range_parse(it->text, &host->range)) {
			COMPLAIN(r, it,
				 "\"%.*s\" is not an address or a network; a network has no bits "
				 "set behind its /",
				 TEXT_ARG(it->text));
			continue;
		}
		host->name = it->name;
		host->line = it->name_line;
		host->column = it->name_column;
		p->host_count++;
	}
}

/* --- owners --------------------------------------------------------------------------------- */

static void read_owners(struct policy_reader *r, const struct hujson *v, struct policy_owners *ret)
{
	*ret = (struct policy_owners) { .tag = v->name,
					.line = v->name_line,
					.column = v->name_column };
	if (reader_wants(r, v, HUJSON_ARRAY, "a list of owners", POLICY_ENTRIES_MAX) &&
	    v->count > 0)
		ret->owners = read_principals(r, v, ROLE_OWNER, &ret->owner_count);
}

static void name_tag_owners(struct policy_reader *r, const struct hujson *v)
{
	struct policy *p = r->policy;

	if (!reader_wants(r, v, HUJSON_OBJECT, "\"tagOwners\"", POLICY_GROUPS_MAX))
		return;
	p->tag_owners = arena_take_array(r->a, v->count + 1, sizeof(*p->tag_owners));
	for (const struct hujson *it = v->first; it; it = it->next) {
		if (!slice_starts_with(it->name, SLICE("tag:")) || it->name.size == strlen("tag:"))
			policy_complain(r->problems, false, it->name_line, it->name_column,
					"a tag begins with \"tag:\", as in \"tag:%.*s\"",
					TEXT_ARG(it->name));
		p->tag_owners[p->tag_owner_count++].tag = it->name;
	}
}

static void read_tag_owners(struct policy_reader *r, const struct hujson *v)
{
	struct policy_owners *at = r->policy->tag_owners;

	for (const struct hujson *it = v->first; at && it; it = it->next)
		read_owners(r, it, at++);
}

static void read_routes(struct policy_reader *r, const struct hujson *v)
{
	struct policy *p = r->policy;
	struct policy_owners *routes;

	if (!reader_wants(r, v, HUJSON_OBJECT, "\"routes\"", POLICY_GROUPS_MAX))
		return;
	routes = arena_take_array(r->a, v->count + 1, sizeof(*routes));
	for (const struct hujson *it = v->first; it; it = it->next) {
		struct policy_owners *route = &routes[p->route_approver_count];

		read_owners(r, it, route);
		if (ip_prefix_parse(it->name, &route->prefix)) {
			policy_complain(r->problems, false, it->name_line, it->name_column,
					"\"%.*s\" is not a network; it has no bits set behind its "
					"/",
					TEXT_ARG(it->name));
			continue;
		}
		p->route_approver_count++;
	}
	p->route_approvers = routes;
}

static void read_approvers(struct policy_reader *r, const struct hujson *v)
{
	if (!reader_wants(r, v, HUJSON_OBJECT, "\"autoApprovers\"", POLICY_GROUPS_MAX))
		return;
	for (const struct hujson *it = v->first; it; it = it->next) {
		if (slice_equal(it->name, SLICE("routes")))
			read_routes(r, it);
		else if (slice_equal(it->name, SLICE("exitNode")))
			r->policy->exit_approvers =
				read_principals(r, it, ROLE_OWNER, &r->policy->exit_approver_count);
		else
			policy_complain(r->problems, true, it->name_line, it->name_column,
					"\"%.*s\" is not served here and approves nothing",
					TEXT_ARG(it->name));
	}
}

/* --- the whole file ------------------------------------------------------------------------- */

/* What other files have and this program does not serve: without it less is allowed, not more. */
static const char *const ignored[] = { "ssh",		"sshTests",
				       "nodeAttrs",	"derpMap",
				       "disableIPv4",	"randomizeClientPort",
				       "OneCGNATRoute", "postures",
				       "ipsets",	"RandomizeClientPort",
				       "DERPMap",	NULL };

static const char *const served[] = { "groups", "hosts", "tagOwners", "autoApprovers", "acls",
				      "grants", "allow", "forbid",    "tests",	       NULL };

static bool is_one_of(struct slice name, const char *const *words)
{
	for (; *words; words++)
		if (slice_equal(name, slice_from(*words)))
			return true;
	return false;
}

static void check_names(struct policy_reader *r, const struct hujson *root)
{
	for (const struct hujson *it = root->first; it; it = it->next) {
		const char *near;

		if (is_one_of(it->name, served))
			continue;
		if (is_one_of(it->name, ignored)) {
			policy_complain(r->problems, true, it->name_line, it->name_column,
					"\"%.*s\" is not served here and does nothing",
					TEXT_ARG(it->name));
			continue;
		}
		near = text_nearest(arena_text(r->a, it->name), served);
		policy_complain(r->problems, false, it->name_line, it->name_column,
				"\"%.*s\" is unknown; %s%s%s", TEXT_ARG(it->name),
				near ? "did you mean \"" : "remove it", near ? near : "",
				near ? "\"?" : "");
	}
}

static void read_all(struct policy_reader *r, const struct hujson *root)
{
	const struct hujson *groups = hujson_member(root, "groups");
	const struct hujson *hosts = hujson_member(root, "hosts");
	const struct hujson *tags = hujson_member(root, "tagOwners");
	const struct hujson *approvers = hujson_member(root, "autoApprovers");
	const struct hujson *tests = hujson_member(root, "tests");

	check_names(r, root);
	if (groups)
		read_groups(r, groups);
	if (hosts)
		read_hosts(r, hosts);
	if (tags)
		name_tag_owners(r, tags);
	if (tags)
		read_tag_owners(r, tags);
	if (approvers)
		read_approvers(r, approvers);
	read_rules(r, root);
	if (tests)
		read_tests(r, tests);
}

enum err policy_parse(struct arena *a, struct slice text, const struct policy **ret,
		      struct policy_problems *ret_problems)
{
	struct policy_reader r = { .a = a, .problems = ret_problems };
	const struct hujson *root;
	struct hujson_error error;
	enum err err;

	*ret_problems = (struct policy_problems) { 0 };
	err = hujson_parse(a, text, &root, &error);
	if (err) {
		policy_complain(ret_problems, false, error.line, error.column, "%s", error.why);
		return err;
	}
	r.policy = arena_take(a, sizeof(*r.policy));
	if (reader_wants(&r, root, HUJSON_OBJECT, "a policy", 100))
		read_all(&r, root);
	if (ret_problems->error_count)
		return ERR_INVALID;
	*ret = r.policy;
	return OK;
}

/* --- questions ------------------------------------------------------------------------------ */

bool policy_protocol_has_ports(int protocol)
{
	return protocol == TCP || protocol == UDP || protocol == SCTP;
}

bool policy_service_means(const struct policy_service *s, bool is_forbid, uint8_t protocol,
			  uint16_t port)
{
	int wanted = protocol == ICMPV6 ? ICMP : protocol;

	if (s->protocol == POLICY_USUAL_PROTOCOLS) {
		if (!is_forbid && wanted != TCP && wanted != UDP && wanted != ICMP)
			return false;
	} else if (s->protocol != wanted) {
		return false;
	}
	if (policy_protocol_has_ports(wanted))
		return s->first_port <= port && port <= s->last_port;
	return s->first_port == 0 && s->last_port == UINT16_MAX;
}

bool policy_owns_tag(const struct policy *p, struct slice tag, const struct subject *s)
{
	for (size_t i = 0; i < p->tag_owner_count; i++)
		for (size_t j = 0; j < p->tag_owners[i].owner_count; j++)
			if (slice_equal(p->tag_owners[i].tag, tag) &&
			    principal_is_owner(&p->tag_owners[i].owners[j], s))
				return true;
	return false;
}

bool policy_approves_route(const struct policy *p, struct ip_prefix route, const struct subject *s)
{
	for (size_t i = 0; route.bits == 0 && i < p->exit_approver_count; i++)
		if (principal_is_owner(&p->exit_approvers[i], s))
			return true;
	for (size_t i = 0; route.bits > 0 && i < p->route_approver_count; i++)
		for (size_t j = 0; j < p->route_approvers[i].owner_count; j++)
			if (ip_prefix_covers(p->route_approvers[i].prefix, route) &&
			    principal_is_owner(&p->route_approvers[i].owners[j], s))
				return true;
	return false;
}

void policy_protocol_text(int protocol, char ret[POLICY_PROTOCOL_TEXT_BYTES])
{
	const char *name = protocol == TCP    ? "tcp"
			   : protocol == UDP  ? "udp"
			   : protocol == ICMP ? "icmp"
			   : protocol == SCTP ? "sctp"
					      : NULL;

	if (name)
		snprintf(ret, POLICY_PROTOCOL_TEXT_BYTES, "%s", name);
	else
		snprintf(ret, POLICY_PROTOCOL_TEXT_BYTES, "protocol %d", protocol);
}
