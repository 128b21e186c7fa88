/* The machines there are, as far as a policy asks for them; made by whoever keeps them. */
#ifndef ACCESS_WORLD_H
#define ACCESS_WORLD_H

#include "base/ip_range.h"

struct access_machine {
	uint64_t id;
	struct slice name;	  /* one label, as others call it */
	struct slice user;	  /* login name of its owner; no matter once it has tags */
	const struct slice *tags; /* "tag:web" */
	size_t tag_count;
	const struct ip *addresses;
	size_t address_count;
	const struct ip_prefix *routes; /* approved ones, what others reach through it */
	size_t route_count;
};

struct access_world {
	const struct access_machine *machines;
	size_t machine_count;
};

/* Whoever a question is about.  A machine has everything; a question of a policy's own tests may
 * name a user, a tag or an address alone, which then stands for any machine that has it. */
struct subject {
	struct slice name, user;
	const struct slice *tags;
	size_t tag_count;
	bool has_ip, is_own_ip; /* own: of the machine, not of a network behind it */
	struct ip ip;
};

/* With this address, which is the machine's own or behind it. */
struct subject subject_of(const struct access_machine *m, struct ip ip);

bool subject_has_tag(const struct subject *s, struct slice tag);

/* The addresses that machines of a mesh have. */
struct ip_range access_mesh_addresses(enum ip_family family);

/* What an exit offers: everything but private, local and shared addresses.  Returns how many. */
enum { INTERNET_RANGES_MAX = 16 };
size_t access_internet(struct ip_range ret[INTERNET_RANGES_MAX]);

/* Has it a route to everywhere? */
bool access_is_exit(const struct access_machine *m);

/* By name, "NAME." prefix of a full name, or one of its addresses; NULL: there is none. */
const struct access_machine *access_find_machine(const struct access_world *world,
						 struct slice name_or_address);

#endif
