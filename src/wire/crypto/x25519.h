/* X25519 (RFC 7748).  A secret is 32 random bytes, clamped. */
#ifndef WIRE_CRYPTO_X25519_H
#define WIRE_CRYPTO_X25519_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { X25519_BYTES = 32 };

void x25519_clamp(uint8_t key[X25519_BYTES]);
void x25519_public(const uint8_t secret[X25519_BYTES], uint8_t ret[X25519_BYTES]);

/* What the owners of both keys share.  False: `other` is of small order, so anybody would know the
 * result; `ret` is not to be used. */
MUST_CHECK bool x25519(const uint8_t secret[X25519_BYTES], const uint8_t other[X25519_BYTES],
		       uint8_t ret[X25519_BYTES]);

#endif
