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

/* A key for many packets, with what OpenSSL prepares for it: faster than the above where packets
 * are large.  The nonce is four zero bytes and a little-endian counter, there is no ad, and packets
 * are sealed and opened where they stand. */
struct aead_key;
struct aead_key *aead_key_new(const uint8_t key[AEAD_KEY_BYTES]);
void aead_key_free(struct aead_key *k); /* wiped; NULL is harmless */

/* AEAD_TAG_BYTES behind `size` are written. */
void aead_key_seal(struct aead_key *k, uint64_t counter, uint8_t *data, size_t size);
/* `size` counts the tag, which is behind; false as in aead_open(). */
MUST_CHECK bool aead_key_open(struct aead_key *k, uint64_t counter, uint8_t *data, size_t size);

#endif
