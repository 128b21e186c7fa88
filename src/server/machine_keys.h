/* The keys of this machine, in its state directory: who it is (machine), and what others encrypt to
 * (node).  They are made here and never leave. */
#ifndef SERVER_MACHINE_KEYS_H
#define SERVER_MACHINE_KEYS_H

#include "server/state.h"
#include "wire/mesh_key.h"

struct machine_keys {
	struct mesh_key machine, node; /* private halves */
};

/* Read them; those that are missing are drawn and written.  A file that is there and cannot be read
 * is never replaced. */
MUST_CHECK enum err machine_keys_load(const struct state *s, struct machine_keys *ret,
				      char why[STATE_WHY_BYTES]);

/* keys->node is another one from now on: after it expired, or was logged out. */
MUST_CHECK enum err machine_keys_save_node(const struct state *s, const struct machine_keys *keys,
					   char why[STATE_WHY_BYTES]);
void machine_keys_done(struct machine_keys *keys);

#endif
