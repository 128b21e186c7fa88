#include "wire/crypto/box.h"

#include <sodium.h>

bool box_shared(const uint8_t secret[BOX_KEY_BYTES], const uint8_t other[BOX_KEY_BYTES],
		uint8_t ret[BOX_KEY_BYTES])
{
	return crypto_box_beforenm(ret, other, secret) == 0;
}

void box_seal(const uint8_t shared[BOX_KEY_BYTES], const uint8_t nonce[BOX_NONCE_BYTES],
	      struct slice plain, uint8_t *ret)
{
	crypto_box_easy_afternm(ret, plain.data, plain.size, nonce, shared);
}

bool box_open(const uint8_t shared[BOX_KEY_BYTES], const uint8_t nonce[BOX_NONCE_BYTES],
	      struct slice sealed, uint8_t *ret)
{
	return sealed.size >= BOX_TAG_BYTES &&
	       crypto_box_open_easy_afternm(ret, sealed.data, sealed.size, nonce, shared) == 0;
}
