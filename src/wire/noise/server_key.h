/* The answer to GET /key: which key a control server has for this protocol, as JSON. */
#ifndef WIRE_NOISE_SERVER_KEY_H
#define WIRE_NOISE_SERVER_KEY_H

#include "base/buf.h"
#include "wire/mesh_key.h"

void server_key_encode(struct buf *b, const struct mesh_key *key);

/* ERR_INVALID: no JSON, or no key in it; a server that is too old has one of all zeros. */
MUST_CHECK enum err server_key_decode(struct slice json, struct mesh_key *ret);

#endif
