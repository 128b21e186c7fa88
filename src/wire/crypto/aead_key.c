/* libsodium has no code for the widest registers, so bulk goes through OpenSSL.  Its contexts are
 * made once for each key: only the nonce is set for each packet. */
#include <assert.h>
#include <openssl/evp.h>

#include "base/memory.h"
#include "wire/crypto/aead.h"
#include "wire/crypto/wipe.h"

enum { PACKET_BYTES_MAX = 1 << 24 }; /* int is what OpenSSL counts with */

struct aead_key {
	EVP_CIPHER_CTX *seal, *open;
};

static EVP_CIPHER_CTX *make_context(const uint8_t key[AEAD_KEY_BYTES], int is_seal)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

	assert(c);
	int done = EVP_CipherInit_ex(c, EVP_chacha20_poly1305(), NULL, key, NULL, is_seal);
	assert(done == 1);
	return c;
}

struct aead_key *aead_key_new(const uint8_t key[AEAD_KEY_BYTES])
{
	struct aead_key *k = NEW(struct aead_key);

	k->seal = make_context(key, 1);
	k->open = make_context(key, 0);
	return k;
}

void aead_key_free(struct aead_key *k)
{
	if (!k)
		return;
	EVP_CIPHER_CTX_free(k->seal); /* which wipes */
	EVP_CIPHER_CTX_free(k->open);
	memory_free(k);
}

static void set_nonce(EVP_CIPHER_CTX *c, uint64_t counter)
{
	uint8_t nonce[AEAD_NONCE_BYTES] = { 0 };

	memcpy(nonce + 4, &counter, sizeof(counter));
	int done = EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, -1);
	assert(done == 1);
}

void aead_key_seal(struct aead_key *k, uint64_t counter, uint8_t *data, size_t size)
{
	int written = 0, rest = 0;

	assert(size <= PACKET_BYTES_MAX);
	set_nonce(k->seal, counter);
	int done = (size == 0 || EVP_CipherUpdate(k->seal, data, &written, data, (int)size)) &&
		   EVP_CipherFinal_ex(k->seal, data + written, &rest) &&
		   EVP_CIPHER_CTX_ctrl(k->seal, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, data + size);
	assert(done == 1);
}

bool aead_key_open(struct aead_key *k, uint64_t counter, uint8_t *data, size_t size)
{
	int written = 0, rest = 0;

	if (size < AEAD_TAG_BYTES || size > PACKET_BYTES_MAX)
		return false;
	size -= AEAD_TAG_BYTES;
	set_nonce(k->open, counter);
	return EVP_CIPHER_CTX_ctrl(k->open, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, data + size) &&
	       (size == 0 || EVP_CipherUpdate(k->open, data, &written, data, (int)size)) &&
	       EVP_CipherFinal_ex(k->open, data + written, &rest) > 0;
}
