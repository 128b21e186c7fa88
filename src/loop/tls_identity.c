#include "loop/tls_identity.h"

#include <assert.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/memory.h"
#include "loop/tls.h"
#include "loop/tls_identity_private.h"

enum { CERTIFICATE_BYTES_MAX = 4096, X509_VERSION_OF_TODAY = 2 };

static EVP_PKEY *key_from_seed(const uint8_t seed[TLS_KEY_BYTES])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, TLS_KEY_BYTES);

	assert(key);
	return key;
}

static bool raw_public_key(const EVP_PKEY *key, uint8_t ret[TLS_KEY_BYTES])
{
	size_t size = TLS_KEY_BYTES;

	return key && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 &&
	       EVP_PKEY_get_raw_public_key(key, ret, &size) == 1 && size == TLS_KEY_BYTES;
}

void tls_public_key(const uint8_t seed[TLS_KEY_BYTES], uint8_t ret[TLS_KEY_BYTES])
{
	EVP_PKEY *key = key_from_seed(seed);
	bool is_there = raw_public_key(key, ret);

	assert(is_there);
	EVP_PKEY_free(key);
}

/* --- our certificate ------------------------------------------------------------------------- */
/* It was over before it began to be used: nobody looks at its dates, and nobody ever shall. */
static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_NAME_new();

	assert(x && name);
	int ok = X509_set_version(x, X509_VERSION_OF_TODAY);
	ok &= ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	ok &= ASN1_TIME_set_string(X509_getm_notBefore(x), "19700101000000Z");
	ok &= ASN1_TIME_set_string(X509_getm_notAfter(x), "19700101000000Z");
	ok &= X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"hanse", -1, -1,
					 0);
	ok &= X509_set_subject_name(x, name);
	ok &= X509_set_issuer_name(x, name);
	ok &= X509_set_pubkey(x, key);
	ok &= X509_sign(x, key, NULL) > 0; /* Ed25519 has its own hash */
	assert(ok);
	X509_NAME_free(name);
	return x;
}

/* --- theirs ---------------------------------------------------------------------------------- */
/* In place of everything OpenSSL would check of a chain.  That the peer has the key it shows is for
 * the handshake to prove.  Takes as long for every key. */
static int verify_peer(X509_STORE_CTX *store, void *context)
{
	const struct tls_identity *identity = context;
	uint8_t shown[TLS_KEY_BYTES];
	bool is_known = false;

	X509 *certificate = X509_STORE_CTX_get0_cert(store);
	bool has_key = certificate && raw_public_key(X509_get0_pubkey(certificate), shown);
	for (size_t i = 0; i < identity->peer_count && has_key; i++)
		is_known |= CRYPTO_memcmp(identity->peers[i], shown, TLS_KEY_BYTES) == 0;
	X509_STORE_CTX_set_error(store, is_known ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
	return is_known;
}

/* --- the context ----------------------------------------------------------------------------- */
SSL_CTX *tls_context_new(const char *cipher_suites)
{
	SSL_CTX *context = SSL_CTX_new(TLS_method());

	assert(context);
	long ok = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
	ok &= SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
	ok &= SSL_CTX_set_ciphersuites(context, cipher_suites);
	/* Nothing to resume, nothing to replay. */
	ok &= SSL_CTX_set_num_tickets(context, 0);
	ok &= SSL_CTX_set_max_early_data(context, 0);
	ok &= SSL_CTX_set_recv_max_early_data(context, 0);
	ok &= SSL_CTX_set_session_id_context(context, (const uint8_t *)"hanse", 5);
	assert(ok);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(context,
			    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	return context;
}

static SSL_CTX *make_context(struct tls_identity *identity, const uint8_t seed[TLS_KEY_BYTES])
{
	SSL_CTX *context = tls_context_new("TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
	EVP_PKEY *key = key_from_seed(seed);
	X509 *certificate = make_certificate(key);

	long ok = SSL_CTX_set1_groups_list(context, "X25519");
	ok &= SSL_CTX_set1_sigalgs_list(context, "ed25519");
	ok &= SSL_CTX_use_certificate(context, certificate);
	ok &= SSL_CTX_use_PrivateKey(context, key);
	assert(ok);
	SSL_CTX_set_max_cert_list(context, CERTIFICATE_BYTES_MAX);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(context, verify_peer, identity);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

struct tls_identity *tls_identity_new(const uint8_t seed[TLS_KEY_BYTES],
				      const uint8_t *const *peers, size_t peer_count)
{
	struct tls_identity *identity = NEW(struct tls_identity);

	assert(peer_count > 0 && peer_count <= TLS_PEERS_MAX);
	for (size_t i = 0; i < peer_count; i++)
		memcpy(identity->peers[i], peers[i], TLS_KEY_BYTES);
	identity->peer_count = peer_count;
	identity->context = make_context(identity, seed);
	return identity;
}

void tls_identity_free(struct tls_identity *identity)
{
	SSL_CTX_free(identity->context);
	memory_free(identity);
}
