/* HKDF with SHA-256 (RFC 5869), and HMAC-SHA256 of a text in pieces. */
#ifndef WIRE_KEYS_HKDF_H
#define WIRE_KEYS_HKDF_H

#include <stdint.h>

#include "base/slice.h"

enum { SHA256_BYTES = 32, HKDF_BYTES_MAX = 255 * SHA256_BYTES };

/* `size` bytes, at most HKDF_BYTES_MAX, from `key`; an empty salt is one of zeros. */
void hkdf_sha256(uint8_t *ret, size_t size, struct slice key, struct slice salt, struct slice info);

void hmac_sha256(uint8_t ret[SHA256_BYTES], struct slice key, const struct slice *pieces,
		 size_t count);

/* Compare in a time that says nothing about where they differ. */
bool mac_equal(const uint8_t *a, const uint8_t *b, size_t size);

#endif
