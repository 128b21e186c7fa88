/* The bytes of a sealed object (doc/formats/sealed.md): chunks of 64 KiB, each encrypted and
 * authenticated for its place in the object of that name, and readable without the others.
 *
 *	chunk = front | ciphertext, as long as the plaintext | tag
 *	front = magic "HSEA" | version | log2 of the chunk size | key generation (u16)
 *	      | fingerprint of the key (8) | salt (16) | commitment (16), the same in all chunks
 *
 * Pure, and safe on several threads at once. */
#ifndef BUCKETS_SEALED_OBJECT_H
#define BUCKETS_SEALED_OBJECT_H

#include <openssl/evp.h>

#include "base/err.h"
#include "base/slice.h"

enum {
	SEALED_VERSION = 1,
	SEALED_GENERATION = 1,
	SEALED_KEY_BYTES = 32,
	SEALED_FINGERPRINT_BYTES = 8,
	SEALED_SALT_BYTES = 16,
	SEALED_COMMITMENT_BYTES = 16,
	SEALED_FRONT_BYTES = 48,
	SEALED_TAG_BYTES = 16,
	SEALED_EXTRA_BYTES = SEALED_FRONT_BYTES + SEALED_TAG_BYTES, /* of each chunk */
	SEALED_CHUNK_LOG2 = 16,
	SEALED_CHUNK_BYTES = 1 << SEALED_CHUNK_LOG2, /* of plaintext; only the last has less */
	SEALED_STORED_BYTES = SEALED_CHUNK_BYTES + SEALED_EXTRA_BYTES,
	SEALED_WHY_BYTES = 120,
};

/* What follows from the key of a bucket. */
struct sealed_key {
	EVP_CIPHER *cipher;
	uint8_t objects[SEALED_KEY_BYTES];
	uint8_t salts[SEALED_KEY_BYTES];
	uint8_t fingerprint[SEALED_FINGERPRINT_BYTES];
};

void sealed_key_init(struct sealed_key *k, const uint8_t key[SEALED_KEY_BYTES]);
void sealed_key_done(struct sealed_key *k);

/* How long an object of `size` bytes becomes. */
uint64_t sealed_size(uint64_t size);
/* The way back; false: no object becomes so long. */
bool sealed_plain_size(uint64_t stored, uint64_t *ret);

/* Write sealed_size() bytes.  The same name and body always give the same bytes. */
void sealed_seal(const struct sealed_key *k, struct slice name, const struct slice *pieces,
		 size_t piece_count, uint8_t *ret);

/* Write the plaintext of chunks number `first` and following, of an object that is `stored` bytes
 * long: SEALED_EXTRA_BYTES less for each chunk.  `chunks` ends with a chunk.  ERR_CORRUPT, with
 * nothing promised of `ret`: `why` says what became of the object; ERR_UNSUPPORTED: newer. */
MUST_CHECK enum err sealed_open(const struct sealed_key *k, struct slice name, struct slice chunks,
				uint64_t first, uint64_t stored, uint8_t *ret,
				char why[SEALED_WHY_BYTES]);

#endif
