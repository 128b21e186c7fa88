/* The keys of a cluster: one root secret, and what is derived from it (doc/formats/keys.md).
 *
 * Whoever has the root has everything.  Its text form is the recovery key, which people write down
 * and type.  A role has only its part: control cannot read records, and an agent not the journal.
 * A struct keyring holds secrets: it is never logged, and ends in keyring_done(). */
#ifndef WIRE_KEYS_KEYRING_H
#define WIRE_KEYS_KEYRING_H

#include "base/buf.h"

enum {
	KEY_BYTES = 32,
	KEY_ID_BYTES = 16,
	KEY_ID_TEXT_BYTES = 2 * KEY_ID_BYTES + 1, /* hexadecimal and a NUL */
	KEY_FILE_BYTES_MAX = 4096,
	RECOVERY_KEY_TEXT_BYTES = 82, /* with the NUL */
	KEYRING_WHY_BYTES = 120,
};

enum key_part {
	KEY_ROOT,
	KEY_CLUSTER,	    /* authenticates v1/cluster; every role has it */
	KEY_JOURNAL,	    /* seals the buckets of the journal */
	KEY_DATA,	    /* seals the buckets of data files */
	KEY_CONTROL_SEED,   /* Ed25519, the private half of who control is */
	KEY_CONTROL_PUBLIC, /* and its public key */
	KEY_AGENTS_SEED,
	KEY_AGENTS_PUBLIC,
	KEY_PART_COUNT
};

enum key_role { KEY_ROLE_CONTROL, KEY_ROLE_STREAMS, KEY_ROLE_COUNT };

struct keyring {
	unsigned parts;		  /* a bit for each part that is there */
	uint8_t id[KEY_ID_BYTES]; /* public: of the root, the same in all its parts */
	uint8_t keys[KEY_PART_COUNT][KEY_BYTES];
};

/* Everything that follows from a root; for a new one, KEY_BYTES of random_bytes(). */
void keyring_from_root(struct keyring *ret, const uint8_t root[KEY_BYTES]);

/* What a role may have.  `k` may be its part already; ERR_DENIED when it lacks something. */
MUST_CHECK enum err keyring_for_role(const struct keyring *k, enum key_role role,
				     struct keyring *ret);

bool keyring_has(const struct keyring *k, enum key_part part);
/* KEY_BYTES that live as long as `k`; the part must be there. */
const uint8_t *keyring_get(const struct keyring *k, enum key_part part);
void keyring_id_text(const struct keyring *k, char ret[KEY_ID_TEXT_BYTES]);

/* The text of a key file, also what the supervisor hands to a role: the recovery key when the root
 * is there, otherwise the part of the role.  Comments are lines that begin with #. */
void keyring_encode(const struct keyring *k, struct buf *ret);
/* ERR_INVALID, ERR_UNSUPPORTED (newer version) or ERR_TOO_BIG; `why` says what to do and never
 * shows a key. */
MUST_CHECK enum err keyring_parse(struct slice text, struct keyring *ret,
				  char why[KEYRING_WHY_BYTES]);

/* The recovery key: hanse-key-1- and 14 groups of 4 letters and digits.  Read in either case, with
 * or without hyphens and spaces, O for 0, I and L for 1. */
void recovery_key_encode(char ret[RECOVERY_KEY_TEXT_BYTES], const uint8_t root[KEY_BYTES]);
MUST_CHECK enum err recovery_key_parse(struct slice text, uint8_t ret[KEY_BYTES],
				       char why[KEYRING_WHY_BYTES]);

/* "control", "streams" */
const char *key_role_name(enum key_role role);

/* Overwrite all of it. */
void keyring_done(struct keyring *k);

#endif
