/* ChaCha20-Poly1305 made of OpenSSL's ChaCha20 and Poly1305 as RFC 8439 (2.8) says:
 *
 *     ChaCha20, from block 0:   the MAC's key | not used   the packet
 *                               0             32           64
 *     Poly1305:                 sealed packet, zeros to a multiple of 16, 0 and its size as u64
 *
 * OpenSSL's own ChaCha20-Poly1305 takes block 0 from a call of its own, which costs a quarter of a
 * full packet: its code makes many blocks at once and takes hardly less time for one of them.  Here
 * both come from one call, on a copy.  libsodium has no code for the widest registers. */
#include <assert.h>
#include <openssl/evp.h>

#include "base/memory.h"
#include "wire/crypto/aead.h"
#include "wire/crypto/wipe.h"

enum {
	BLOCK_BYTES = 64,
	MAC_ALIGN_BYTES = 16,
	LENGTHS_BYTES = 16,
	IV_BYTES = 16, /* the number of the first block, and the nonce */
	/* OpenSSL's code for AVX-512 makes 16 blocks at once when more than 8 are left, otherwise
	 * only 4: as many as this are made sooner than 5. */
	WIDE_BLOCKS = 16,
	NARROW_BLOCKS = 4,
	SLOW_BLOCKS = 8,
};

struct aead_bulk {
	EVP_CIPHER_CTX *cipher;
	EVP_MAC *mac_kind;
	EVP_MAC_CTX *mac;
	bool is_wide;
	uint8_t room[BLOCK_BYTES + AEAD_BULK_BYTES_MAX + WIDE_BLOCKS * BLOCK_BYTES];
};

static bool has_avx512(void)
{
#ifdef __x86_64__
	return __builtin_cpu_supports("avx512f");
#else
	return false;
#endif
}

struct aead_bulk *aead_bulk_new(void)
{
	struct aead_bulk *b = NEW(struct aead_bulk);

	b->cipher = EVP_CIPHER_CTX_new();
	b->mac_kind = EVP_MAC_fetch(NULL, "POLY1305", NULL);
	b->mac = b->mac_kind ? EVP_MAC_CTX_new(b->mac_kind) : NULL;
	assert(b->cipher && b->mac);
	int done = EVP_CipherInit_ex(b->cipher, EVP_chacha20(), NULL, NULL, NULL, 1);
	assert(done == 1);
	b->is_wide = has_avx512();
	return b;
}

void aead_bulk_free(struct aead_bulk *b)
{
	if (!b)
		return;
	EVP_CIPHER_CTX_free(b->cipher); /* which wipes */
	EVP_MAC_CTX_free(b->mac);
	EVP_MAC_free(b->mac_kind);
	crypto_wipe(b, sizeof(*b));
	memory_free(b);
}

/* How much of the key stream is made for so much of it. */
static size_t stream_bytes(const struct aead_bulk *b, size_t size)
{
	size_t blocks = (size + BLOCK_BYTES - 1) / BLOCK_BYTES, rest = blocks % WIDE_BLOCKS;

	if (b->is_wide && rest > NARROW_BLOCKS && rest <= SLOW_BLOCKS)
		blocks += SLOW_BLOCKS + 1 - rest;
	return blocks * BLOCK_BYTES;
}

/* The packet in the room becomes what it is sealed, or was, and the MAC's key stands before it. */
static void cipher(struct aead_bulk *b, const uint8_t key[AEAD_KEY_BYTES], uint64_t counter,
		   size_t size)
{
	int bytes = (int)stream_bytes(b, BLOCK_BYTES + size), written = 0;
	uint8_t iv[IV_BYTES] = { 0 };

	memset(b->room, 0, BLOCK_BYTES);
	memcpy(iv + 8, &counter, sizeof(counter));
	int done = EVP_CipherInit_ex(b->cipher, NULL, NULL, key, iv, -1) &&
		   EVP_CipherUpdate(b->cipher, b->room, &written, b->room, bytes);
	assert(done == 1 && written == bytes);
}

static void authenticate(struct aead_bulk *b, const uint8_t *sealed, size_t size,
			 uint8_t ret[AEAD_TAG_BYTES])
{
	uint8_t end[MAC_ALIGN_BYTES + LENGTHS_BYTES] = { 0 };
	size_t padding = (MAC_ALIGN_BYTES - size % MAC_ALIGN_BYTES) % MAC_ALIGN_BYTES, written = 0;
	uint64_t length = size;

	memcpy(end + padding + 8, &length, sizeof(length));
	int done = EVP_MAC_init(b->mac, b->room, AEAD_KEY_BYTES, NULL) &&
		   EVP_MAC_update(b->mac, sealed, size) &&
		   EVP_MAC_update(b->mac, end, padding + LENGTHS_BYTES) &&
		   EVP_MAC_final(b->mac, ret, &written, AEAD_TAG_BYTES);
	assert(done == 1 && written == AEAD_TAG_BYTES);
}

void aead_bulk_seal(struct aead_bulk *b, const uint8_t key[AEAD_KEY_BYTES], uint64_t counter,
		    uint8_t *data, size_t size)
{
	assert(size <= AEAD_BULK_BYTES_MAX);
	memcpy(b->room + BLOCK_BYTES, data, size);
	cipher(b, key, counter, size);
	memcpy(data, b->room + BLOCK_BYTES, size);
	authenticate(b, data, size, data + size);
}

bool aead_bulk_open(struct aead_bulk *b, const uint8_t key[AEAD_KEY_BYTES], uint64_t counter,
		    uint8_t *data, size_t size)
{
	uint8_t tag[AEAD_TAG_BYTES];

	if (size < AEAD_TAG_BYTES || size - AEAD_TAG_BYTES > AEAD_BULK_BYTES_MAX)
		return false;
	size -= AEAD_TAG_BYTES;
	memcpy(b->room + BLOCK_BYTES, data, size);
	cipher(b, key, counter, size);
	authenticate(b, data, size, tag);
	if (!crypto_equal(tag, data + size, AEAD_TAG_BYTES))
		return false;
	memcpy(data, b->room + BLOCK_BYTES, size);
	return true;
}
