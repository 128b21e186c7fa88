#include "wire/sasl/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include "base/buf.h"

/* --- RFC 7515, appendices A.2 and A.3 ---------------------------------------------------------
 */

#define RFC_KEYS                                                                                   \
	"{\"keys\":["                                                                              \
	"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ\"},"                          \
	"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0" \
	"l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32"   \
	"690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2Ca"   \
	"pHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2e"  \
	"thFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"},"                                                  \
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"

#define RFC_CLAIMS                                                                                 \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0" \
	"cnVlfQ"
#define RFC_RS256                                                                                  \
	"eyJhbGciOiJSUzI1NiJ9." RFC_CLAIMS "."                                                     \
	"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8"  \
	"W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPv"  \
	"kSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1ph"  \
	"CnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define RFC_ES256                                                                                  \
	"eyJhbGciOiJFUzI1NiJ9." RFC_CLAIMS "."                                                     \
	"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

/* What is wrong with the token, with the keys and the issuer of the RFC. */
static const char *fault_of(struct slice token)
{
	struct jwt_rules rules = { SLICE("joe"), SLICE("kafka"), 1300819379 };
	const char *why = NULL;
	char text[JWT_WHY_BYTES];
	struct jwt_keys *keys;
	struct jwt jwt;
	struct arena a;

	arena_init(&a);
	assert_int_equal(jwt_keys_parse(SLICE(RFC_KEYS), &keys, text), OK);
	assert_int_equal(jwt_keys_count(keys), 2);
	assert_int_not_equal(jwt_check(&a, keys, token, &rules, &jwt, &why), OK);
	jwt_keys_free(keys);
	arena_done(&a);
	return why;
}

static void test_the_signatures_of_rfc_7515_fit(void **state)
{
	char forged[] = RFC_ES256;

	(void)state;
	/* It goes on to the audience, which these tokens do not have. */
	assert_string_equal(fault_of(SLICE(RFC_RS256)), "the token is for another audience");
	assert_string_equal(fault_of(SLICE(RFC_ES256)), "the token is for another audience");
	forged[sizeof(forged) - 10] ^= 1;
	assert_string_equal(fault_of(slice_from(forged)),
			    "no key that is known has signed the token");
}

static void test_tokens_without_a_signature_and_with_hmac_are_refused(void **state)
{
	(void)state;
	/* {"alg":"none"}, with and without something behind the last dot */
	assert_string_equal(fault_of(SLICE("eyJhbGciOiJub25lIn0." RFC_CLAIMS ".")),
			    "that is no token");
	assert_string_equal(fault_of(SLICE("eyJhbGciOiJub25lIn0." RFC_CLAIMS ".AAAA")),
			    "no key that is known has signed the token");
	/* RFC 7515, A.1: HS256, and its key is in the set */
	assert_string_equal(fault_of(SLICE("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_CLAIMS
					   ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")),
			    "no key that is known has signed the token");
}

/* --- tokens of our own ------------------------------------------------------------------------
 */

static EVP_PKEY *signer;
static char key_set[400];

static void add_base64url(struct buf *out, const uint8_t *bytes, size_t size)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t bits = (uint32_t)bytes[i] << 16;
		bits |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
		bits |= left > 2 ? bytes[i + 2] : 0;
		for (size_t k = 0; k < (left > 2 ? 4 : left + 1); k++)
			buf_add_u8(out, (uint8_t)alphabet[bits >> (18 - 6 * k) & 63]);
	}
}

static int make_signer(void **state)
{
	uint8_t point[65];
	size_t size = 0;
	struct buf x, y;

	(void)state;
	signer = EVP_EC_gen("P-256");
	assert_non_null(signer);
	assert_int_equal(EVP_PKEY_get_octet_string_param(signer, OSSL_PKEY_PARAM_PUB_KEY, point,
							 sizeof(point), &size),
			 1);
	assert_int_equal(size, sizeof(point));
	buf_init(&x);
	buf_init(&y);
	add_base64url(&x, point + 1, 32);
	add_base64url(&y, point + 33, 32);
	snprintf(key_set, sizeof(key_set),
		 "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"one\",\"use\":\"sig\","
		 "\"x\":\"%.*s\",\"y\":\"%.*s\"}]}",
		 SLICE_ARG(buf_slice(&x)), SLICE_ARG(buf_slice(&y)));
	buf_done(&x);
	buf_done(&y);
	return 0;
}

static int forget_signer(void **state)
{
	(void)state;
	EVP_PKEY_free(signer);
	return 0;
}

static void sign(const struct buf *text, uint8_t ret[64])
{
	uint8_t der[128];
	const uint8_t *at = der;
	size_t size = sizeof(der);
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, signer), 1);
	assert_int_equal(EVP_DigestSign(context, der, &size, text->data, text->size), 1);
	EVP_MD_CTX_free(context);
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)size);
	BN_bn2binpad(ECDSA_SIG_get0_r(pair), ret, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(pair), ret + 32, 32);
	ECDSA_SIG_free(pair);
}

static const char *check(const char *header, const char *claims, struct jwt *ret)
{
	struct jwt_rules rules = { SLICE("https://issuer"), SLICE("kafka"), 1000000 };
	static char subject[100];
	const char *why = NULL;
	char text[JWT_WHY_BYTES];
	struct jwt_keys *keys;
	uint8_t signature[64];
	struct buf token;
	struct arena a;

	arena_init(&a);
	buf_init(&token);
	add_base64url(&token, (const uint8_t *)header, strlen(header));
	buf_add_u8(&token, '.');
	add_base64url(&token, (const uint8_t *)claims, strlen(claims));
	sign(&token, signature);
	buf_add_u8(&token, '.');
	add_base64url(&token, signature, sizeof(signature));
	assert_int_equal(jwt_keys_parse(slice_from(key_set), &keys, text), OK);
	enum err err = jwt_check(&a, keys, buf_slice(&token), &rules, ret, &why);
	assert_true((err == OK) == (why == NULL));
	if (!err) {
		snprintf(subject, sizeof(subject), "%.*s", SLICE_ARG(ret->subject));
		ret->subject = slice_from(subject);
	}
	jwt_keys_free(keys);
	buf_done(&token);
	arena_done(&a);
	return why;
}

#define HEADER "{\"alg\":\"ES256\",\"kid\":\"one\"}"
#define CLAIMS(more) "{\"iss\":\"https://issuer\",\"sub\":\"alice\"" more "}"

static void test_a_token_that_is_for_us_is_believed(void **state)
{
	struct jwt jwt;

	(void)state;
	assert_null(check(HEADER, CLAIMS(",\"aud\":\"kafka\",\"exp\":1000100"), &jwt));
	assert_true(slice_equal(jwt.subject, SLICE("alice")));
	assert_int_equal(jwt.expires_s, 1000100);
	assert_null(check(HEADER, CLAIMS(",\"aud\":[\"x\",\"kafka\"],\"exp\":1000100.5"), &jwt));
	assert_null(
		check("{\"alg\":\"ES256\"}", CLAIMS(",\"aud\":\"kafka\",\"exp\":1000100"), &jwt));
	/* clocks differ */
	assert_null(check(HEADER, CLAIMS(",\"aud\":\"kafka\",\"exp\":999950"), &jwt));
}

static void test_tokens_with_another_claim_are_refused(void **state)
{
	static const char *const rows[][3] = {
		{ HEADER, CLAIMS(",\"aud\":\"kafka\",\"exp\":999939"), "the token has expired" },
		{ HEADER, CLAIMS(",\"aud\":\"kafka\""), "the token does not say when it expires" },
		{ HEADER, CLAIMS(",\"aud\":\"kafka\",\"exp\":\"1000100\""),
		  "the token does not say when it expires" },
		{ HEADER, CLAIMS(",\"aud\":\"other\",\"exp\":1000100"),
		  "the token is for another audience" },
		{ HEADER, CLAIMS(",\"aud\":[],\"exp\":1000100"),
		  "the token is for another audience" },
		{ HEADER, CLAIMS(",\"aud\":\"kafka\",\"exp\":1000100,\"nbf\":1000099"),
		  "the token is not valid yet" },
		{ HEADER, CLAIMS(",\"aud\":\"kafka\",\"exp\":1000100,\"nbf\":\"now\""),
		  "the token has times that are none" },
		{ HEADER,
		  "{\"iss\":\"https://other\",\"sub\":\"a\",\"aud\":\"kafka\",\"exp\":1000100}",
		  "the token is of another issuer" },
		{ HEADER,
		  "{\"iss\":\"https://issuer\",\"sub\":\"\",\"aud\":\"kafka\",\"exp\":1000100}",
		  "the token has no subject" },
		{ HEADER, "{\"iss\":\"https://issuer\",\"iss\":\"https://issuer\"}",
		  "that is no token" },
		{ HEADER, "[]", "that is no token" },
		{ "{\"alg\":\"ES256\",\"kid\":\"two\"}",
		  CLAIMS(",\"aud\":\"kafka\",\"exp\":1000100"),
		  "no key that is known has signed the token" },
		{ "{\"alg\":\"RS256\"}", CLAIMS(",\"aud\":\"kafka\",\"exp\":1000100"),
		  "no key that is known has signed the token" },
		{ "{\"alg\":\"ES256\",\"crit\":[\"x\"]}",
		  CLAIMS(",\"aud\":\"kafka\",\"exp\":1000100"), "that is no token" },
	};
	struct jwt jwt;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = check(rows[i][0], rows[i][1], &jwt);
		assert_non_null(why);
		assert_string_equal(why, rows[i][2]);
	}
}

static void test_what_is_no_set_of_keys_is_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"[]",
		"{}",
		"{\"keys\":{}}",
		"{\"keys\":[]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AQAB\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}",
		"{\"keys\":[1,null,\"x\"]}",
	};
	struct jwt_keys *keys;
	char why[JWT_WHY_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(jwt_keys_parse(slice_from(rows[i]), &keys, why), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_signatures_of_rfc_7515_fit),
		cmocka_unit_test(test_tokens_without_a_signature_and_with_hmac_are_refused),
		cmocka_unit_test(test_a_token_that_is_for_us_is_believed),
		cmocka_unit_test(test_tokens_with_another_claim_are_refused),
		cmocka_unit_test(test_what_is_no_set_of_keys_is_refused),
	};

	return cmocka_run_group_tests(tests, make_signer, forget_signer);
}
