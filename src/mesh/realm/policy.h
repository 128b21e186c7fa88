/* The policy of a realm, as it is used: read, with the machines there are, and compiled for each of
 * them when it is asked for.  Private to the realm, but for what realm.h offers. */
#ifndef MESH_REALM_POLICY_H
#define MESH_REALM_POLICY_H

#include "access/compile.h"
#include "mesh/realm/private.h"

struct realm_policy {
	struct arena arena;	   /* text and what was read of it */
	int64_t version;	   /* 0: there was never one */
	struct slice text;	   /* empty: there is none */
	const struct policy *read; /* NULL: there is none, and everybody reaches everybody */
	bool is_stale;		   /* machines may have changed since the rest was made */
	uint64_t serial;	   /* changes with the policy, and with what it sees of machines */
	struct arena compiled_arena; /* the world, which the compiler borrows */
	struct access_world world;
	struct hash128 world_hash;
	struct compiler *compiler; /* NULL: it is too large, and everything is denied */
};

struct realm_policy *realm_policy_new(void);
void realm_policy_free(struct realm_policy *p);

/* Another one is in force; who was told the old one is told anew. */
void realm_policy_take(struct realm *r, const struct policy_row *row);

/* Machines came, went, or may have other names, tags, owners or routes. */
void realm_policy_stale(struct realm *r);

/* The machines as a policy sees them; good until the next change.  Afterwards `serial` is right. */
const struct access_world *realm_policy_world(struct realm *r);

/* Another number, another view. */
static inline uint64_t realm_policy_serial(struct realm *r)
{
	(void)realm_policy_world(r);
	return r->policy->serial;
}

/* What others may begin towards this machine; lives in the arena.  Only with a policy. */
struct control_filter realm_policy_filter(struct arena *a, struct realm *r,
					  const struct machine *m);

/* Whom this machine may know of, by id; in the arena, with room for one more. */
struct machine **realm_policy_visible(struct arena *a, struct realm *r, const struct machine *m,
				      size_t *ret_count);

/* Of a machine that registers: a user without tags. */
bool realm_policy_owns_tag(const struct realm *r, struct slice user, struct slice tag);

/* `approved` (one prefix a line) and those of `offered` that the policy approves. */
struct slice realm_policy_approve(struct arena *a, const struct realm *r, struct slice user,
				  struct slice tags, struct slice approved,
				  const struct ip_prefix *offered, size_t offered_count);

#endif
