#include "streams/catalog/denials.h"

static bool is_known(const struct denials *d, const struct denial *it, struct slice name)
{
	for (const struct denial *k = d->last; k; k = k->next)
		if (k->operation == it->operation && k->resource == it->resource &&
		    slice_equal(k->name, name))
			return true;
	return false;
}

static struct slice kept_name(const struct denial *it)
{
	return slice_part(it->name, 0, DENIAL_NAME_BYTES_MAX);
}

/* Is it to be noted?  It is counted if there is no room. */
static bool is_wanted(struct denials *d, const struct denial *it)
{
	if (is_known(d, it, kept_name(it)))
		return false;
	if (d->count < DENIALS_MAX)
		return true;
	d->dropped++;
	return false;
}

static const struct denial *keep(struct denials *d, struct arena *a, const struct denial *it)
{
	struct denial *copy = arena_take(a, sizeof(*copy));
	*copy = (struct denial) {
		.next = d->last,
		.operation = it->operation,
		.resource = it->resource,
		.name = arena_copy(a, kept_name(it)),
		.rule = arena_copy(a, slice_part(it->rule, 0, DENIAL_RULE_BYTES_MAX)),
	};
	d->last = copy;
	d->count++;
	return copy;
}

const struct denial *denials_note(struct denials *d, struct arena *a, const struct denial *it)
{
	return is_wanted(d, it) ? keep(d, a, it) : NULL;
}

bool denials_ask(struct denials *d, struct arena *a, const struct guard *g,
		 const struct guard_caller *who, enum grant_operation operation,
		 enum grant_resource resource, struct slice name, const struct denial **ret)
{
	struct grant_decision decision = guard_explain(g, who, operation, resource, name);
	struct denial it = {
		.operation = operation,
		.resource = resource,
		.name = name,
		.rule = GUARD_NO_RULE,
	};

	if (ret)
		*ret = NULL;
	if (decision.is_allowed)
		return true;
	if (!is_wanted(d, &it))
		return false;
	if (decision.grant) /* its text is of the size that clients gave it */
		it.rule = slice_from(grant_text(a, decision.grant));
	const struct denial *noted = keep(d, a, &it);
	if (ret)
		*ret = noted;
	return false;
}
