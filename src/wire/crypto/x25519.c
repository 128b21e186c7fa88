#include "wire/crypto/x25519.h"

#include <assert.h>
#include <sodium.h>

static_assert(X25519_BYTES == crypto_scalarmult_BYTES, "one size of keys");

void x25519_clamp(uint8_t key[X25519_BYTES])
{
	key[0] &= 248;
	key[31] = (uint8_t)((key[31] & 127) | 64);
}

void x25519_public(const uint8_t secret[X25519_BYTES], uint8_t ret[X25519_BYTES])
{
	crypto_scalarmult_base(ret, secret);
}

bool x25519(const uint8_t secret[X25519_BYTES], const uint8_t other[X25519_BYTES],
	    uint8_t ret[X25519_BYTES])
{
	return crypto_scalarmult(ret, secret, other) == 0;
}
