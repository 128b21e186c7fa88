#include "access/principal.h"

#include <stdlib.h>

enum { GROUPS_COMPARED_MAX = 100000 /* members of one times those of the other */ };

static bool user_matches(struct slice pattern, struct slice user)
{
	if (user.size == 0)
		return false;
	if (!slice_starts_with(pattern, SLICE("*@")))
		return slice_equal(pattern, user);
	pattern = slice_part(pattern, 1, SIZE_MAX);
	return user.size > pattern.size &&
	       slice_equal(slice_part(user, user.size - pattern.size, SIZE_MAX), pattern);
}

static bool group_has(const struct policy_group *g, struct slice user)
{
	for (size_t i = 0; i < g->member_count; i++)
		if (user_matches(g->members[i], user))
			return true;
	return false;
}

/* What does not depend on being source or destination. */
static bool means_machine(const struct principal *p, const struct subject *s)
{
	switch (p->kind) {
	case PRINCIPAL_USER:
		return s->tag_count == 0 && user_matches(p->name, s->user);
	case PRINCIPAL_GROUP:
		return s->tag_count == 0 && group_has(p->group, s->user);
	case PRINCIPAL_TAG:
		return subject_has_tag(s, p->name);
	case PRINCIPAL_DEVICE:
		return s->name.size > 0 && slice_equal(p->name, s->name);
	case PRINCIPAL_MEMBER:
		return s->tag_count == 0 && s->user.size > 0;
	case PRINCIPAL_TAGGED:
		return s->tag_count > 0;
	case PRINCIPAL_ANY:
	case PRINCIPAL_RANGE:
	case PRINCIPAL_SELF:
	case PRINCIPAL_INTERNET:
	case PRINCIPAL_DANGER_ALL:
	case PRINCIPAL_NOBODY:
		return false;
	}
	abort();
}

/* Of the mesh, or of a network that was approved to be reached through it. */
static bool is_of_the_mesh(const struct access_world *world, struct ip ip)
{
	struct ip_range mesh = access_mesh_addresses(ip.family == IP_V4 ? IP_V4 : IP_V6);

	if (ip_range_contains(&mesh, ip))
		return true;
	for (size_t i = 0; world && i < world->machine_count; i++)
		for (size_t j = 0; j < world->machines[i].route_count; j++) {
			const struct ip_prefix *route = &world->machines[i].routes[j];

			if (route->bits > 0 && ip_prefix_has(*route, ip))
				return true;
		}
	return false;
}

bool principal_is_source(const struct principal *p, const struct access_world *world,
			 const struct subject *s)
{
	if (p->kind == PRINCIPAL_DANGER_ALL)
		return true;
	if (p->kind == PRINCIPAL_ANY)
		return !s->has_ip || is_of_the_mesh(world, s->ip);
	if (p->kind == PRINCIPAL_RANGE)
		return s->has_ip && ip_range_contains(&p->range, s->ip);
	return (!s->has_ip || s->is_own_ip) && means_machine(p, s);
}

static bool is_internet(struct ip ip)
{
	struct ip_range ranges[INTERNET_RANGES_MAX];
	size_t count = access_internet(ranges);

	for (size_t i = 0; i < count; i++)
		if (ip_range_contains(&ranges[i], ip))
			return true;
	return false;
}

bool principal_is_target(const struct principal *p, const struct subject *from,
			 const struct subject *to, bool is_exit)
{
	if (p->kind == PRINCIPAL_ANY)
		return true;
	if (p->kind == PRINCIPAL_RANGE)
		return to->has_ip && ip_range_contains(&p->range, to->ip);
	if (p->kind == PRINCIPAL_INTERNET)
		return to->has_ip && is_exit && is_internet(to->ip);
	if (to->has_ip && !to->is_own_ip)
		return false;
	if (p->kind == PRINCIPAL_SELF)
		return from->tag_count == 0 && to->tag_count == 0 && from->user.size > 0 &&
		       (!from->has_ip || from->is_own_ip) && slice_equal(from->user, to->user);
	return means_machine(p, to);
}

bool principal_is_owner(const struct principal *p, const struct subject *s)
{
	return p->kind == PRINCIPAL_ANY || means_machine(p, s);
}

/* Groups too large to compare cover nobody: it is only for a warning. */
static bool group_covers(const struct policy_group *outer, const struct policy_group *inner)
{
	if (outer == inner)
		return true;
	if (outer->member_count * inner->member_count > GROUPS_COMPARED_MAX)
		return false;
	for (size_t i = 0; i < inner->member_count; i++)
		if (!group_has(outer, inner->members[i]))
			return false;
	return true;
}

bool principal_covers(const struct principal *outer, const struct principal *inner)
{
	if (outer->kind == PRINCIPAL_DANGER_ALL || inner->kind == PRINCIPAL_NOBODY)
		return true;
	if (outer->kind == PRINCIPAL_ANY)
		return inner->kind != PRINCIPAL_DANGER_ALL && inner->kind != PRINCIPAL_RANGE;
	if (outer->kind == PRINCIPAL_MEMBER)
		return inner->kind == PRINCIPAL_MEMBER || inner->kind == PRINCIPAL_USER ||
		       inner->kind == PRINCIPAL_GROUP;
	if (outer->kind == PRINCIPAL_TAGGED)
		return inner->kind == PRINCIPAL_TAGGED || inner->kind == PRINCIPAL_TAG;
	if (outer->kind == PRINCIPAL_GROUP && inner->kind == PRINCIPAL_USER)
		return group_has(outer->group, inner->name);
	if (outer->kind == PRINCIPAL_GROUP && inner->kind == PRINCIPAL_GROUP)
		return group_covers(outer->group, inner->group);
	if (outer->kind != inner->kind)
		return false;
	if (outer->kind == PRINCIPAL_RANGE)
		return ip_range_covers(&outer->range, &inner->range);
	if (outer->kind == PRINCIPAL_USER)
		return user_matches(outer->name, inner->name);
	return slice_equal(outer->name, inner->name);
}
