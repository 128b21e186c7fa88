#include "access/check.h"

#include <stdio.h>

#include "access/decide.h"
#include "access/policy_read.h"

enum {
	TCP = 6,
	COMPARISONS_MAX = 5000000, /* of entries, when rules are held against each other */
};

/* --- tests ---------------------------------------------------------------------------------- */

/* Somebody whom the entry of a test stands for. */
static struct subject stand_in(const struct principal *p, const struct access_world *world,
			       struct ip ip)
{
	struct subject s = { 0 };

	if (p->kind == PRINCIPAL_USER || p->kind == PRINCIPAL_MEMBER || p->kind == PRINCIPAL_SELF)
		s.user = p->name;
	if (p->kind == PRINCIPAL_TAG || p->kind == PRINCIPAL_TAGGED) {
		s.tags = &p->name;
		s.tag_count = 1;
	}
	for (size_t i = 0; world && i < world->machine_count; i++) {
		const struct access_machine *m = &world->machines[i];

		if (p->kind == PRINCIPAL_DEVICE && slice_equal(m->name, p->name))
			return subject_of(m, m->address_count ? m->addresses[0] : ip);
		for (size_t j = 0; p->kind == PRINCIPAL_RANGE && j < m->address_count; j++)
			if (ip_equal(m->addresses[j], ip))
				return subject_of(m, ip);
	}
	if (p->kind == PRINCIPAL_DEVICE)
		s.name = p->name;
	if (p->kind == PRINCIPAL_RANGE || p->kind == PRINCIPAL_INTERNET) {
		s.has_ip = true;
		s.ip = ip;
	}
	return s;
}

struct test_run {
	const struct policy *policy;
	const struct access_world *world;
	const struct policy_test *test;
	struct policy_problems *problems;
};

static void complain_of_test(const struct test_run *run, const struct policy_target *target,
			     const struct subject *from, const struct decision *d)
{
	char why[96] = "no rule allows it";

	if (d->rule)
		snprintf(why, sizeof(why), "line %u %s it%s%.*s%s", d->rule->line,
			 d->rule->is_forbid ? "forbids" : "allows", d->rule->name.size ? " (" : "",
			 d->rule->name.size > 40 ? 40 : (int)d->rule->name.size,
			 (const char *)d->rule->name.data, d->rule->name.size ? ")" : "");
	policy_complain(run->problems, false, target->who.line, target->who.column,
			"this test fails: %.*s must %sreach %.*s port %u, but %s",
			TEXT_ARG(from->user.size && run->test->source.kind == PRINCIPAL_GROUP
					 ? from->user
					 : run->test->source.text),
			d->is_allowed ? "not " : "", TEXT_ARG(target->who.text),
			target->services[0].first_port, why);
}

/* One address of what is asked for.  False: the test has failed. */
static bool ask(const struct test_run *run, const struct policy_target *target, bool must_reach,
		const struct subject *from, struct ip ip)
{
	for (size_t i = 0; i < target->service_count; i++) {
		int protocol = target->services[i].protocol;
		struct question q = {
			.from = *from,
			.to = stand_in(&target->who, run->world, ip),
			.to_is_exit = target->who.kind == PRINCIPAL_INTERNET,
			.protocol = (uint8_t)(protocol == POLICY_USUAL_PROTOCOLS ? TCP : protocol),
			.port = target->services[i].first_port,
		};
		struct decision d;

		if (target->who.kind == PRINCIPAL_SELF)
			q.to.user = from->user;
		d = decide(run->policy, run->world, &q);
		if (d.is_allowed == must_reach)
			continue;
		complain_of_test(run, target, from, &d);
		return false;
	}
	return true;
}

/* Every address of a network at which a rule may begin or cease to mean it. */
static void ask_all(const struct test_run *run, const struct policy_target *target, bool must_reach,
		    const struct subject *from)
{
	const struct ip_range *range = &target->who.range;

	if (target->who.kind != PRINCIPAL_RANGE) { /* an address for autogroup:internet */
		(void)ask(run, target, must_reach, from, ip_v4(0x01010101));
		return;
	}
	if (!ask(run, target, must_reach, from, range->first))
		return;
	for (size_t i = 0; i < run->policy->rule_count; i++)
		for (size_t j = 0; j < run->policy->rules[i].target_count; j++) {
			const struct principal *p = &run->policy->rules[i].targets[j].who;
			struct ip edges[2] = { p->range.first, p->range.last };
			bool has_next =
				p->kind == PRINCIPAL_RANGE && ip_next(p->range.last, &edges[1]);

			for (int k = 0; p->kind == PRINCIPAL_RANGE && k < 1 + has_next; k++)
				if (ip_range_contains(range, edges[k]) &&
				    !ask(run, target, must_reach, from, edges[k]))
					return;
		}
}

static void run_from(const struct test_run *run, const struct subject *from)
{
	for (size_t i = 0; i < run->test->accept_count; i++)
		ask_all(run, &run->test->accept[i], true, from);
	for (size_t i = 0; i < run->test->deny_count; i++)
		ask_all(run, &run->test->deny[i], false, from);
}

static void run_test(const struct test_run *run)
{
	const struct principal *source = &run->test->source;
	struct subject from;

	if (source->kind != PRINCIPAL_GROUP) {
		from = stand_in(source, run->world, source->range.first);
		run_from(run, &from);
		return;
	}
	for (size_t i = 0; i < source->group->member_count; i++) {
		from = (struct subject) { .user = source->group->members[i] };
		run_from(run, &from);
	}
}

/* --- what does nothing ---------------------------------------------------------------------- */

static bool service_covers(const struct policy_service *outer, bool is_forbid,
			   const struct policy_service *inner)
{
	bool has_protocol = outer->protocol == inner->protocol;

	if (outer->protocol == POLICY_USUAL_PROTOCOLS)
		has_protocol |= is_forbid || inner->protocol == TCP || inner->protocol == 17 ||
				inner->protocol == 1;
	return has_protocol && outer->first_port <= inner->first_port &&
	       inner->last_port <= outer->last_port;
}

static bool target_covers(const struct policy_rule *rule, const struct policy_target *outer,
			  const struct policy_target *inner)
{
	if (outer->who.kind != PRINCIPAL_ANY && !principal_covers(&outer->who, &inner->who))
		return false;
	for (size_t i = 0; i < inner->service_count; i++) {
		bool is_covered = false;

		for (size_t j = 0; !is_covered && j < outer->service_count; j++)
			is_covered = service_covers(&outer->services[j], rule->is_forbid,
						    &inner->services[i]);
		if (!is_covered)
			return false;
	}
	return true;
}

static bool rule_covers(const struct policy_rule *outer, const struct policy_rule *inner,
			size_t *comparisons)
{
	*comparisons += inner->source_count * outer->source_count +
			inner->target_count * outer->target_count;
	for (size_t i = 0; i < inner->source_count; i++) {
		bool is_covered = false;

		for (size_t j = 0; !is_covered && j < outer->source_count; j++)
			is_covered = principal_covers(&outer->sources[j], &inner->sources[i]);
		if (!is_covered)
			return false;
	}
	for (size_t i = 0; i < inner->target_count; i++) {
		bool is_covered = false;

		for (size_t j = 0; !is_covered && j < outer->target_count; j++)
			is_covered = target_covers(outer, &outer->targets[j], &inner->targets[i]);
		if (!is_covered)
			return false;
	}
	return true;
}

static void find_shadow(const struct policy *policy, size_t index, struct policy_problems *problems,
			size_t *comparisons)
{
	const struct policy_rule *rule = &policy->rules[index];

	if (rule->capability_count > 0)
		return;
	for (size_t i = 0; i < policy->rule_count && *comparisons < COMPARISONS_MAX; i++) {
		const struct policy_rule *other = &policy->rules[i];

		if (i == index || (rule->is_forbid && !other->is_forbid) ||
		    !rule_covers(other, rule, comparisons))
			continue;
		/* Of two equal rules the later one is superfluous. */
		if (rule->is_forbid == other->is_forbid && i > index &&
		    rule_covers(rule, other, comparisons))
			continue;
		if (rule->is_forbid)
			policy_complain(problems, true, rule->line, rule->column,
					"this rule is superfluous: line %u forbids all of it "
					"already",
					other->line);
		else if (other->is_forbid)
			policy_complain(problems, true, rule->line, rule->column,
					"this rule never takes effect: line %u forbids all of it",
					other->line);
		else
			policy_complain(
				problems, true, rule->line, rule->column,
				"this rule is superfluous: line %u allows all of it already",
				other->line);
		return;
	}
}

static void check_device(const struct principal *p, const struct access_world *world,
			 struct policy_problems *problems)
{
	if (p->kind != PRINCIPAL_DEVICE || !world)
		return;
	for (size_t i = 0; i < world->machine_count; i++)
		if (slice_equal(world->machines[i].name, p->name))
			return;
	policy_complain(problems, true, p->line, p->column,
			"there is no machine \"%.*s\" now; users are written with @ or as "
			"user:NAME",
			TEXT_ARG(p->name));
}

static void check_names(const struct policy *policy, const struct access_world *world,
			struct policy_problems *problems)
{
	for (size_t i = 0; i < policy->group_count; i++)
		if (!policy->groups[i].is_used)
			policy_complain(problems, true, policy->groups[i].line,
					policy->groups[i].column, "nothing names %.*s",
					TEXT_ARG(policy->groups[i].name));
	for (size_t i = 0; i < policy->host_count; i++)
		if (!policy->hosts[i].is_used)
			policy_complain(problems, true, policy->hosts[i].line,
					policy->hosts[i].column, "nothing names the host %.*s",
					TEXT_ARG(policy->hosts[i].name));
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		if (rule->source_count == 0 || rule->target_count == 0)
			policy_complain(problems, true, rule->line, rule->column,
					"this rule does nothing: its \"%s\" is empty",
					rule->source_count ? "dst" : "src");
		for (size_t j = 0; j < rule->source_count; j++)
			check_device(&rule->sources[j], world, problems);
		for (size_t j = 0; j < rule->target_count; j++)
			check_device(&rule->targets[j].who, world, problems);
	}
}

void policy_check(const struct policy *policy, const struct access_world *world,
		  struct policy_problems *problems)
{
	size_t comparisons = 0;

	for (size_t i = 0; i < policy->test_count; i++) {
		struct test_run run = { policy, world, &policy->tests[i], problems };

		run_test(&run);
	}
	check_names(policy, world, problems);
	for (size_t i = 0; i < policy->rule_count && comparisons < COMPARISONS_MAX; i++)
		if (policy->rules[i].source_count > 0 && policy->rules[i].target_count > 0)
			find_shadow(policy, i, problems, &comparisons);
}
