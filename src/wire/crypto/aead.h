/* ChaCha20-Poly1305 (RFC 8439), and with a nonce of 24 bytes (draft-irtf-cfrg-xchacha).  What is
 * sealed is AEAD_TAG_BYTES longer than what it was; `ret` may be the input itself. */
#ifndef WIRE_CRYPTO_AEAD_H
#define WIRE_CRYPTO_AEAD_H

#include "base/err.h"
#include "base/slice.h"

enum { AEAD_KEY_BYTES = 32, AEAD_TAG_BYTES = 16, AEAD_NONCE_BYTES = 12, XAEAD_NONCE_BYTES = 24 };

void aead_seal(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
	       struct slice ad, struct slice plain, uint8_t *ret);
/* False: forged, or too short; nothing in `ret` is to be used. */
MUST_CHECK bool aead_open(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
			  struct slice ad, struct slice sealed, uint8_t *ret);

void xaead_seal(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[XAEAD_NONCE_BYTES],
		struct slice ad, struct slice plain, uint8_t *ret);
MUST_CHECK bool xaead_open(const uint8_t key[AEAD_KEY_BYTES],
			   const uint8_t nonce[XAEAD_NONCE_BYTES], struct slice ad,
			   struct slice sealed, uint8_t *ret);

/* For many packets, each sealed and opened where it stands: faster than the above.  The nonce is
 * four zero bytes and a little-endian counter, and there is no ad.  Keys are nothing to prepare, so
 * one of these serves all of them, one thread at a time. */
enum { AEAD_BULK_BYTES_MAX = 65536 }; /* without the tag */

struct aead_bulk;
struct aead_bulk *aead_bulk_new(void);
void aead_bulk_free(struct aead_bulk *b); /* wiped; NULL is harmless */

/* AEAD_TAG_BYTES behind `size` are written. */
void aead_bulk_seal(struct aead_bulk *b, const uint8_t key[AEAD_KEY_BYTES], uint64_t counter,
		    uint8_t *data, size_t size);
/* `size` counts the tag, which is behind.  False: forged, too short or too long, and `data` is as
 * it was. */
MUST_CHECK bool aead_bulk_open(struct aead_bulk *b, const uint8_t key[AEAD_KEY_BYTES],
			       uint64_t counter, uint8_t *data, size_t size);

#endif
