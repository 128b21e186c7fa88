/* One entry of a list of sources, destinations or owners.
 *
 *   *                        every machine of the mesh, and as a destination every route too
 *   alice@example.com        the machines of a user that have no tag; also user:alice
 *   user:*@example.com       of all users of a domain
 *   group:dev                of all users in a group
 *   tag:web                  machines with a tag
 *   laptop                   the machine of that name
 *   100.64.0.7  10.0.0.0/8  10.0.0.1-10.0.0.9   addresses; names in "hosts" stand for them
 *   autogroup:member         machines of users;  autogroup:tagged  machines with any tag
 *   autogroup:self           destination: machines of the very user who asks
 *   autogroup:internet       destination: what an exit reaches
 *   autogroup:danger-all     source: any address whatever
 */
#ifndef ACCESS_PRINCIPAL_H
#define ACCESS_PRINCIPAL_H

#include "access/world.h"

enum principal_kind {
	PRINCIPAL_ANY,
	PRINCIPAL_USER,
	PRINCIPAL_GROUP,
	PRINCIPAL_TAG,
	PRINCIPAL_DEVICE,
	PRINCIPAL_RANGE,
	PRINCIPAL_MEMBER,
	PRINCIPAL_TAGGED,
	PRINCIPAL_SELF,
	PRINCIPAL_INTERNET,
	PRINCIPAL_DANGER_ALL,
	PRINCIPAL_NOBODY, /* a role that no user here has */
};

struct policy_group {
	struct slice name; /* "group:dev" */
	const struct slice *members;
	size_t member_count;
	unsigned line, column;
	bool is_used;
};

struct principal {
	enum principal_kind kind;
	struct slice text; /* as it is written */
	struct slice name; /* of the user, tag or device */
	const struct policy_group *group;
	struct ip_range range;
	unsigned line, column;
};

/* Is it one of those meant, as a source.  `world` says which routes there are, for "*". */
bool principal_is_source(const struct principal *p, const struct access_world *world,
			 const struct subject *s);

/* As a destination, when `from` asks.  `is_exit`: the machine offers the Internet. */
bool principal_is_target(const struct principal *p, const struct subject *from,
			 const struct subject *to, bool is_exit);

/* May a machine of `user` with `tags` do what these own: have a tag, offer a route. */
bool principal_is_owner(const struct principal *p, const struct subject *s);

/* Does `outer` mean everybody whom `inner` means? */
bool principal_covers(const struct principal *outer, const struct principal *inner);

#endif
