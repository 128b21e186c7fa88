/* systemd-resolved, told about the network interface of the mesh: names below these suffixes are
 * asked of that link's resolver, and nothing else of the machine's settings changes.  It forgets
 * them with the link. */
#ifndef NAMES_RESOLVED_H
#define NAMES_RESOLVED_H

#include "base/arena.h"
#include "names/zone.h"

enum { RESOLVED_COMMAND_WORDS_MAX = 512, RESOLVED_COMMANDS = 3, RESOLVED_TIMEOUT_MS = 5000 };

/* It is another one after a restart. */
#define RESOLVED_SOCKET "/run/systemd/resolve/io.systemd.Resolve"

/* What to run for a link; each ends with NULL. */
struct resolved_commands {
	const char *const *argv[RESOLVED_COMMANDS];
	size_t count;
};

/* Do programs of this machine ask it?  Reads /etc/resolv.conf and /etc/nsswitch.conf below `root`
 * ("" or a directory of a test). */
bool resolved_is_used(const char *root);

/* Is one of the domains this machine searches in `domain` or below it?  Reads /etc/resolv.conf,
 * unless that asks systemd-resolved or the mesh, and so may have the mesh's own domain. */
bool resolved_is_own_domain(const char *root, struct slice domain);

/* Servers, the domain (to search in) and suffixes of `z` for `device`, or what takes it back where
 * `z` is NULL. */
void resolved_plan(struct arena *a, const char *device, const struct zone *z,
		   struct resolved_commands *ret);

/* Runs them one after the other and waits; for a worker.  ERR_NOT_FOUND: there is no resolvectl. */
MUST_CHECK enum err resolved_run(const struct resolved_commands *c);

#endif
