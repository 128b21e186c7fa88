#include "wire/crypto/aead.h"

#include <sodium.h>

void aead_seal(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
	       struct slice ad, struct slice plain, uint8_t *ret)
{
	crypto_aead_chacha20poly1305_ietf_encrypt(ret, NULL, plain.data, plain.size, ad.data,
						  ad.size, NULL, nonce, key);
}

bool aead_open(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
	       struct slice ad, struct slice sealed, uint8_t *ret)
{
	return crypto_aead_chacha20poly1305_ietf_decrypt(ret, NULL, NULL, sealed.data, sealed.size,
							 ad.data, ad.size, nonce, key) == 0;
}

void xaead_seal(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[XAEAD_NONCE_BYTES],
		struct slice ad, struct slice plain, uint8_t *ret)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(ret, NULL, plain.data, plain.size, ad.data,
						   ad.size, NULL, nonce, key);
}

bool xaead_open(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[XAEAD_NONCE_BYTES],
		struct slice ad, struct slice sealed, uint8_t *ret)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(ret, NULL, NULL, sealed.data, sealed.size,
							  ad.data, ad.size, nonce, key) == 0;
}
