/*	extract	  secret = HMAC(salt, key)
 *	expand	  T(i) = HMAC(secret, T(i - 1) | info | i), i from 1; output T(1) | T(2) | ... */
#include "wire/keys/hkdf.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

void hmac_sha256(uint8_t ret[SHA256_BYTES], struct slice key, const struct slice *pieces,
		 size_t count)
{
	static char digest[] = "SHA256";
	const OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
	uint8_t none = 0;
	size_t size = 0;
	int ok =
		context && EVP_MAC_init(context, key.size ? key.data : &none, key.size, parameters);

	for (size_t i = 0; i < count; i++)
		ok = ok &&
		     (!pieces[i].size || EVP_MAC_update(context, pieces[i].data, pieces[i].size));
	ok = ok && EVP_MAC_final(context, ret, &size, SHA256_BYTES);
	assert(ok && size == SHA256_BYTES); /* it only fails without memory */
	EVP_MAC_CTX_free(context);
	EVP_MAC_free(mac);
}

void hkdf_sha256(uint8_t *ret, size_t size, struct slice key, struct slice salt, struct slice info)
{
	static const uint8_t zeros[SHA256_BYTES];
	uint8_t secret[SHA256_BYTES], block[SHA256_BYTES], number = 0;
	struct slice before = { block, 0 };

	assert(size <= HKDF_BYTES_MAX);
	if (salt.size == 0)
		salt = (struct slice) { zeros, sizeof(zeros) };
	hmac_sha256(secret, salt, &key, 1);
	while (size > 0) {
		size_t part = size < sizeof(block) ? size : sizeof(block);

		number++;
		hmac_sha256(block, (struct slice) { secret, sizeof(secret) },
			    (struct slice[]) { before, info, { &number, 1 } }, 3);
		before.size = sizeof(block);
		memcpy(ret, block, part);
		ret += part;
		size -= part;
	}
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(block, sizeof(block));
}

bool mac_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
	return CRYPTO_memcmp(a, b, size) == 0;
}
