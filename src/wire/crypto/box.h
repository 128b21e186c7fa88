/* NaCl's crypto_box: X25519, HSalsa20, XSalsa20-Poly1305, with the tag in front.  The shared key is
 * computed once for each pair of keys. */
#ifndef WIRE_CRYPTO_BOX_H
#define WIRE_CRYPTO_BOX_H

#include "base/err.h"
#include "base/slice.h"

enum { BOX_KEY_BYTES = 32, BOX_TAG_BYTES = 16, BOX_NONCE_BYTES = 24 };

/* False: `other` is of small order, or the like; `ret` is not to be used. */
MUST_CHECK bool box_shared(const uint8_t secret[BOX_KEY_BYTES], const uint8_t other[BOX_KEY_BYTES],
			   uint8_t ret[BOX_KEY_BYTES]);

/* `ret` gets plain.size + BOX_TAG_BYTES. */
void box_seal(const uint8_t shared[BOX_KEY_BYTES], const uint8_t nonce[BOX_NONCE_BYTES],
	      struct slice plain, uint8_t *ret);
/* `ret` gets sealed.size - BOX_TAG_BYTES.  False: forged, or too short. */
MUST_CHECK bool box_open(const uint8_t shared[BOX_KEY_BYTES], const uint8_t nonce[BOX_NONCE_BYTES],
			 struct slice sealed, uint8_t *ret);

#endif
