#include "wire/sasl/jwt.h"

#include <assert.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdio.h>

#include "base/memory.h"
#include "wire/sasl/base64.h"

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, P256_BYTES = 32, KEY_ID_BYTES_MAX = 256 };

enum algorithm { RS256, ES256 };

struct key {
	enum algorithm algorithm;
	EVP_PKEY *public;
	char id[KEY_ID_BYTES_MAX + 1]; /* "": none */
};

struct jwt_keys {
	struct key items[JWT_KEYS_MAX];
	size_t count;
};

/* --- JSON -------------------------------------------------------------------------------------
 */

static json_t *parse(struct slice text)
{
	json_t *value =
		json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);

	if (value && !json_is_object(value)) {
		json_decref(value);
		return NULL;
	}
	return value;
}

static struct slice text_of(const json_t *value)
{
	return json_is_string(value) ? (struct slice) { (const uint8_t *)json_string_value(value),
							json_string_length(value) }
				     : (struct slice) { 0 };
}

static struct slice text_at(const json_t *object, const char *name)
{
	return text_of(json_object_get(object, name));
}

/* --- keys -------------------------------------------------------------------------------------
 */

static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *builder)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY *key = NULL;

	assert(context && parameters);
	if (EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		key = NULL;
	OSSL_PARAM_free(parameters);
	EVP_PKEY_CTX_free(context);
	ERR_clear_error();
	return key;
}

static EVP_PKEY *read_rsa(struct arena *a, const json_t *object)
{
	struct slice n, e;

	if (base64url_decode(a, text_at(object, "n"), &n) ||
	    base64url_decode(a, text_at(object, "e"), &e) || n.size == 0 || e.size == 0 ||
	    n.size > RSA_BITS_MAX / 8 + 1 || e.size > 8)
		return NULL;
	BIGNUM *modulus = BN_bin2bn(n.data, (int)n.size, NULL);
	BIGNUM *exponent = BN_bin2bn(e.data, (int)e.size, NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	assert(modulus && exponent && builder);
	int bits = BN_num_bits(modulus);
	EVP_PKEY *key = NULL;
	if (bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX && BN_is_odd(modulus) &&
	    BN_is_odd(exponent) && !BN_is_one(exponent) &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
		key = make_key("RSA", builder);
	OSSL_PARAM_BLD_free(builder);
	BN_free(modulus);
	BN_free(exponent);
	return key;
}

static EVP_PKEY *read_p256(struct arena *a, const json_t *object)
{
	uint8_t point[1 + 2 * P256_BYTES] = { 4 }; /* not compressed */
	struct slice x, y;

	if (!slice_equal(text_at(object, "crv"), SLICE("P-256")) ||
	    base64url_decode(a, text_at(object, "x"), &x) ||
	    base64url_decode(a, text_at(object, "y"), &y) || x.size != P256_BYTES ||
	    y.size != P256_BYTES)
		return NULL;
	memcpy(point + 1, x.data, P256_BYTES);
	memcpy(point + 1 + P256_BYTES, y.data, P256_BYTES);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	assert(builder);
	EVP_PKEY *key = NULL;
	if (OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
	    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point,
					     sizeof(point)))
		key = make_key("EC", builder);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

static bool allows(const json_t *object, const char *name, const char *word)
{
	struct slice text = text_at(object, name);

	return !text.data || slice_equal(text, slice_from(word));
}

static void add_key(struct arena *a, const json_t *object, struct jwt_keys *keys)
{
	struct slice kind = text_at(object, "kty"), id = text_at(object, "kid");
	struct key key = { 0 };

	if (keys->count == JWT_KEYS_MAX || !allows(object, "use", "sig") ||
	    id.size > KEY_ID_BYTES_MAX)
		return;
	if (slice_equal(kind, SLICE("RSA")) && allows(object, "alg", "RS256")) {
		key.algorithm = RS256;
		key.public = read_rsa(a, object);
	} else if (slice_equal(kind, SLICE("EC")) && allows(object, "alg", "ES256")) {
		key.algorithm = ES256;
		key.public = read_p256(a, object);
	}
	if (!key.public)
		return;
	if (id.size)
		memcpy(key.id, id.data, id.size);
	keys->items[keys->count++] = key;
}

enum err jwt_keys_parse(struct slice json, struct jwt_keys **ret, char why[JWT_WHY_BYTES])
{
	json_t *object = json.size <= JWT_KEY_SET_BYTES_MAX ? parse(json) : NULL;
	const json_t *list = json_object_get(object, "keys");
	struct arena a;

	if (!json_is_array(list)) {
		snprintf(why, JWT_WHY_BYTES, "that is no set of keys: JSON with \"keys\"");
		json_decref(object);
		return ERR_INVALID;
	}
	struct jwt_keys *keys = NEW(struct jwt_keys);
	arena_init(&a);
	for (size_t i = 0; i < json_array_size(list); i++)
		add_key(&a, json_array_get(list, i), keys);
	arena_done(&a);
	json_decref(object);
	if (keys->count == 0) {
		snprintf(why, JWT_WHY_BYTES, "no key in it is for RS256 or ES256 signatures");
		jwt_keys_free(keys);
		return ERR_INVALID;
	}
	*ret = keys;
	return OK;
}

void jwt_keys_free(struct jwt_keys *keys)
{
	for (size_t i = 0; keys && i < keys->count; i++)
		EVP_PKEY_free(keys->items[i].public);
	memory_free(keys);
}

size_t jwt_keys_count(const struct jwt_keys *keys)
{
	return keys->count;
}

/* --- signatures -------------------------------------------------------------------------------
 */

/* Two numbers one after the other, as OpenSSL wants them. */
static int der_of(struct slice signature, uint8_t **ret)
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(signature.data, P256_BYTES, NULL);
	BIGNUM *s = BN_bin2bn(signature.data + P256_BYTES, P256_BYTES, NULL);

	assert(pair && r && s);
	int ok = ECDSA_SIG_set0(pair, r, s);
	assert(ok == 1);
	int size = i2d_ECDSA_SIG(pair, ret);
	ECDSA_SIG_free(pair);
	return size;
}

static bool verify(EVP_PKEY *key, struct slice text, const uint8_t *signature, size_t size)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	assert(context);
	bool fits = EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		    EVP_DigestVerify(context, signature, size, text.data, text.size) == 1;
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return fits;
}

static bool is_signed_by(const struct key *key, struct slice text, struct slice signature)
{
	uint8_t *der = NULL;

	if (key->algorithm == RS256)
		return verify(key->public, text, signature.data, signature.size);
	if (signature.size != 2 * P256_BYTES)
		return false;
	int size = der_of(signature, &der);
	bool fits = size > 0 && verify(key->public, text, der, (size_t)size);
	OPENSSL_free(der);
	return fits;
}

static bool is_signed(const struct jwt_keys *keys, const json_t *header, struct slice text,
		      struct slice signature)
{
	struct slice algorithm = text_at(header, "alg"), id = text_at(header, "kid");
	bool is_rsa = slice_equal(algorithm, SLICE("RS256"));

	if (!is_rsa && !slice_equal(algorithm, SLICE("ES256")))
		return false;
	for (size_t i = 0; i < keys->count; i++) {
		const struct key *key = &keys->items[i];
		if (key->algorithm != (is_rsa ? RS256 : ES256))
			continue;
		if (id.data && key->id[0] && !slice_equal(id, slice_from(key->id)))
			continue;
		if (is_signed_by(key, text, signature))
			return true;
	}
	return false;
}

/* --- claims -----------------------------------------------------------------------------------
 */

static bool is_audience(const json_t *claim, struct slice wanted)
{
	if (json_is_string(claim))
		return slice_equal(text_of(claim), wanted);
	for (size_t i = 0; i < json_array_size(claim); i++)
		if (slice_equal(text_of(json_array_get(claim, i)), wanted))
			return true;
	return false;
}

/* A time, whole or not; false: it is there and none. */
static bool read_time(const json_t *claims, const char *name, int64_t otherwise, int64_t *ret)
{
	const json_t *claim = json_object_get(claims, name);
	double value = json_number_value(claim);

	*ret = otherwise;
	if (!claim)
		return true;
	if (!json_is_number(claim) || !(value >= 0 && value < 1e15))
		return false;
	*ret = (int64_t)value;
	return true;
}

static const char *find_fault(const json_t *claims, const struct jwt_rules *rules, int64_t *ret_end)
{
	int64_t begin, issued;
	struct slice subject = text_at(claims, "sub");

	if (!slice_equal(text_at(claims, "iss"), rules->issuer))
		return "the token is of another issuer";
	if (!is_audience(json_object_get(claims, "aud"), rules->audience))
		return "the token is for another audience";
	if (subject.size == 0 || memchr(subject.data, 0, subject.size))
		return "the token has no subject";
	if (!read_time(claims, "exp", -1, ret_end) || *ret_end < 0)
		return "the token does not say when it expires";
	if (!read_time(claims, "nbf", 0, &begin) || !read_time(claims, "iat", 0, &issued))
		return "the token has times that are none";
	if (rules->now_s >= *ret_end + JWT_SKEW_S)
		return "the token has expired";
	if (begin > rules->now_s + JWT_SKEW_S || issued > rules->now_s + JWT_SKEW_S)
		return "the token is not valid yet";
	return NULL;
}

/* --- a token: HEADER.CLAIMS.SIGNATURE ---------------------------------------------------------
 */

struct parts {
	struct slice text; /* what is signed */
	struct slice signature;
	json_t *header, *claims;
};

static enum err split(struct arena *a, struct slice token, struct parts *ret)
{
	struct slice rest = token, header, claims, bytes;

	if (token.size > JWT_BYTES_MAX)
		return ERR_INVALID;
	header = slice_cut(&rest, '.');
	claims = slice_cut(&rest, '.');
	ret->text = slice_part(token, 0, header.size + 1 + claims.size);
	if (base64url_decode(a, rest, &ret->signature) || ret->signature.size == 0)
		return ERR_INVALID;
	if (base64url_decode(a, header, &bytes) || !(ret->header = parse(bytes)))
		return ERR_INVALID;
	if (base64url_decode(a, claims, &bytes) || !(ret->claims = parse(bytes)))
		return ERR_INVALID;
	/* What a token says is critical, and is not known, must not be passed over. */
	return json_object_get(ret->header, "crit") ? ERR_INVALID : OK;
}

enum err jwt_check(struct arena *a, const struct jwt_keys *keys, struct slice token,
		   const struct jwt_rules *rules, struct jwt *ret, const char **why)
{
	struct parts parts = { 0 };
	int64_t end = 0;
	enum err err = split(a, token, &parts);

	if (err) {
		*why = "that is no token";
	} else if (!is_signed(keys, parts.header, parts.text, parts.signature)) {
		*why = "no key that is known has signed the token";
		err = ERR_DENIED;
	} else if ((*why = find_fault(parts.claims, rules, &end)) != NULL) {
		err = ERR_DENIED;
	} else {
		*ret = (struct jwt) { arena_copy(a, text_at(parts.claims, "sub")), end };
	}
	json_decref(parts.header);
	json_decref(parts.claims);
	return err;
}
