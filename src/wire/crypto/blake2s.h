/* BLAKE2s (RFC 7693), its keyed form, and HMAC (RFC 2104) and HKDF (RFC 5869) made of it. */
#ifndef WIRE_CRYPTO_BLAKE2S_H
#define WIRE_CRYPTO_BLAKE2S_H

#include "base/slice.h"

enum { BLAKE2S_BYTES = 32, BLAKE2S_MAC_BYTES = 16, BLAKE2S_BLOCK_BYTES = 64 };

struct blake2s {
	uint32_t state[8];
	uint64_t count;			    /* of bytes, those in `block` not among them */
	uint8_t block[BLAKE2S_BLOCK_BYTES]; /* the last one is held back: it is marked */
	size_t block_size;
	size_t hash_bytes;
};

/* `hash_bytes` is 1 to BLAKE2S_BYTES; `key` has at most BLAKE2S_BYTES and may be empty. */
void blake2s_init(struct blake2s *h, size_t hash_bytes, struct slice key);
void blake2s_update(struct blake2s *h, struct slice bytes);
void blake2s_final(struct blake2s *h, uint8_t *ret); /* hash_bytes; `h` is wiped */

/* Of `first` followed by `second`. */
void blake2s_hash(struct slice first, struct slice second, uint8_t ret[BLAKE2S_BYTES]);
/* The keyed form, of BLAKE2S_MAC_BYTES. */
void blake2s_mac(struct slice key, struct slice bytes, uint8_t ret[BLAKE2S_MAC_BYTES]);
void blake2s_hmac(struct slice key, struct slice bytes, uint8_t ret[BLAKE2S_BYTES]);
/* One to three keys of BLAKE2S_BYTES from `input`, with empty info; ret2 and ret3 may be NULL, ret3
 * too when ret2 is.  A ret may be `salt`. */
void blake2s_hkdf(const uint8_t salt[BLAKE2S_BYTES], struct slice input, uint8_t *ret1,
		  uint8_t *ret2, uint8_t *ret3);

#endif
