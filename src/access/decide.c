#include "access/decide.h"

static const struct principal *find_source(const struct policy_rule *rule,
					   const struct access_world *world,
					   const struct subject *from)
{
	for (size_t i = 0; i < rule->source_count; i++)
		if (principal_is_source(&rule->sources[i], world, from))
			return &rule->sources[i];
	return NULL;
}

static bool has_service(const struct policy_rule *rule, const struct policy_target *target,
			const struct question *q)
{
	for (size_t i = 0; i < target->service_count; i++)
		if (policy_service_means(&target->services[i], rule->is_forbid, q->protocol,
					 q->port))
			return true;
	return false;
}

static bool has_capability(const struct policy_rule *rule, struct slice capability)
{
	for (size_t i = 0; i < rule->capability_count; i++)
		if (slice_equal(rule->capabilities[i].name, capability))
			return true;
	return false;
}

static bool means(const struct policy_rule *rule, const struct access_world *world,
		  const struct question *q, bool any_service, struct decision *ret)
{
	const struct principal *source;

	if (q->capability.size && !has_capability(rule, q->capability))
		return false;
	source = find_source(rule, world, &q->from);
	if (!source)
		return false;
	for (size_t i = 0; i < rule->target_count; i++) {
		const struct policy_target *target = &rule->targets[i];

		if (!principal_is_target(&target->who, &q->from, &q->to, q->to_is_exit))
			continue;
		if (!q->capability.size && !any_service && !has_service(rule, target, q))
			continue;
		*ret = (struct decision) { !rule->is_forbid, rule, source, &target->who };
		return true;
	}
	return false;
}

bool rule_means(const struct policy_rule *rule, const struct access_world *world,
		const struct question *q, struct decision *ret)
{
	return means(rule, world, q, false, ret);
}

bool rule_means_pair(const struct policy_rule *rule, const struct access_world *world,
		     const struct question *q, struct decision *ret)
{
	return means(rule, world, q, true, ret);
}

struct decision decide(const struct policy *policy, const struct access_world *world,
		       const struct question *q)
{
	struct decision d = { .is_allowed = !policy };

	for (size_t i = 0; policy && i < policy->rule_count; i++)
		if (policy->rules[i].is_forbid && rule_means(&policy->rules[i], world, q, &d))
			return d;
	for (size_t i = 0; policy && i < policy->rule_count; i++)
		if (!policy->rules[i].is_forbid && rule_means(&policy->rules[i], world, q, &d))
			return d;
	return d;
}
