/* The key a person carries to a new machine, and all that machine needs to join:
 * `hanse up --join hanse-join-1-...` (doc/formats/join-key.md).
 *
 * It holds the server's public key too, so that whoever answers at the URL must be the realm that
 * made the key; nothing else of control needs to be believed. */
#ifndef WIRE_JOIN_KEY_H
#define WIRE_JOIN_KEY_H

#include "wire/mesh_key.h"

enum {
	JOIN_KEY_URLS_MAX = 4,
	JOIN_KEY_URL_BYTES_MAX = 150,
	JOIN_KEY_SECRET_BYTES_MAX = 64,
	JOIN_KEY_TEXT_BYTES = 1000, /* with its NUL */
};

struct join_key {
	struct mesh_key server; /* the public Noise key of control */
	char urls[JOIN_KEY_URLS_MAX][JOIN_KEY_URL_BYTES_MAX + 1];
	size_t url_count;			    /* 1 or more */
	char secret[JOIN_KEY_SECRET_BYTES_MAX + 1]; /* what the official client calls auth key */
};

/* ERR_INVALID: a text is empty, too long or has bytes that are not printable ASCII. */
MUST_CHECK enum err join_key_text(const struct join_key *k, char ret[JOIN_KEY_TEXT_BYTES]);

/* ERR_UNSUPPORTED: a join key of a newer version; ERR_CORRUPT: mistyped or cut off; ERR_INVALID: no
 * join key. */
MUST_CHECK enum err join_key_parse(struct slice text, struct join_key *ret);

#endif
