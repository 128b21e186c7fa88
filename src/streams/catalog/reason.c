#include "streams/catalog/reason.h"

struct question {
	struct arena *a;
	const struct guard *g;
	const struct guard_caller *who;
	enum grant_operation operation;
	enum grant_resource resource;
	struct slice name;
};

static struct guard_reason because(const struct question *q, bool is_allowed,
				   const struct grant *grant, const char *why)
{
	char *rule = grant ? grant_text(q->a, grant) : NULL;

	return (struct guard_reason) {
		.is_allowed = is_allowed,
		.rule = rule,
		.text = arena_format(q->a, "%.*s may%s %s %s %.*s: %s%s%s",
				     SLICE_ARG(q->who->principal), is_allowed ? "" : " not",
				     grant_operation_name(q->operation),
				     grant_resource_name(q->resource), SLICE_ARG(q->name), why,
				     rule && why[0] ? ": " : "", rule ? rule : ""),
	};
}

/* No access list speaks of it for this client. */
static struct guard_reason by_default(const struct question *q, bool is_allowed)
{
	if (is_allowed)
		return because(q, true, NULL,
			       "there are no users, and no access list is about it, so everybody "
			       "may");
	if (!q->g->has_users)
		return because(q, false, NULL,
			       "no rule; there are no users, but access lists are about it, and "
			       "none of them allows this");
	return because(q, false, NULL,
		       "no rule; no access list allows it, which takes one where there are users");
}

/* What a request asks next; false: nothing. */
static bool is_allowed_otherwise(const struct question *q, struct guard_reason *ret)
{
	if (q->resource == GRANT_TOPIC && q->operation == GRANT_CREATE) {
		struct grant_decision d = guard_explain(q->g, q->who, GRANT_CREATE, GRANT_CLUSTER,
							GRANT_CLUSTER_NAME);
		if (d.is_allowed)
			*ret = because(q, true, d.grant, "as who may CREATE the cluster");
		return d.is_allowed;
	}
	if (q->resource == GRANT_CLUSTER && q->operation == GRANT_IDEMPOTENT_WRITE &&
	    guard_may_any(q->g, q->who, GRANT_WRITE, GRANT_TOPIC)) {
		*ret = because(q, true, NULL, "as who may WRITE some topic");
		return true;
	}
	return false;
}

struct guard_reason guard_reason(struct arena *a, const struct guard *g,
				 const struct guard_caller *who, enum grant_operation operation,
				 enum grant_resource resource, struct slice name)
{
	const struct question q = { a, g, who, operation, resource, name };
	struct guard_reason ret;

	if (g->has_users && slice_equal(who->principal, GUARD_ANONYMOUS))
		return because(&q, false, NULL,
			       "who does not sign in is not served where there are users");
	if (guard_is_admin(g, who->principal))
		return because(&q, true, NULL, "it is an admin, for whom no access list counts");
	struct grant_decision d = guard_explain(g, who, operation, resource, name);
	if (!d.is_allowed && is_allowed_otherwise(&q, &ret))
		return ret;
	if (d.grant)
		return because(&q, d.is_allowed, d.grant, "");
	return by_default(&q, d.is_allowed);
}
