/* The keys of the mesh, all of 32 bytes (X25519), and their text: a prefix and 64 hex digits. */
#ifndef WIRE_MESH_KEY_H
#define WIRE_MESH_KEY_H

#include "base/err.h"
#include "base/slice.h"

enum { MESH_KEY_BYTES = 32, MESH_KEY_TEXT_BYTES = 80 };

enum mesh_key_kind {
	MESH_KEY_MACHINE,   /* "mkey:": who a machine is, for as long as it lives */
	MESH_KEY_NODE,	    /* "nodekey:": WireGuard's; another one after each sign-in */
	MESH_KEY_DISCO,	    /* "discokey:": of path discovery; another one at each start */
	MESH_KEY_CHALLENGE, /* "chalpub:" */
	MESH_KEY_PRIVATE,   /* "privkey:": the private half of one of the above */
};

struct mesh_key {
	uint8_t bytes[MESH_KEY_BYTES];
};

void mesh_key_text(enum mesh_key_kind kind, const struct mesh_key *k,
		   char ret[MESH_KEY_TEXT_BYTES]);

/* Hex of either case; ERR_INVALID: another kind, or not so many digits.  All zeros are a key. */
MUST_CHECK enum err mesh_key_parse(enum mesh_key_kind kind, struct slice text,
				   struct mesh_key *ret);

bool mesh_key_is_zero(const struct mesh_key *k);
bool mesh_key_equal(const struct mesh_key *a, const struct mesh_key *b);

#endif
