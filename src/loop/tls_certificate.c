#include "loop/tls_certificate.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/memory.h"
#include "loop/tls.h"
#include "loop/tls_identity_private.h"

enum {

	DAY_SECONDS = 86400,
	NOTICE_SECONDS = 30 * DAY_SECONDS, /* before now */
	CERTIFICATE_SECONDS = TLS_CERTIFICATE_YEARS * 365 * DAY_SECONDS,
	SERIAL_BYTES = 16,
};

/* Whatever the other side likes of these; processors with AES are fastest with the first. */
static const char cipher_suites[] =
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

/* --- making one ------------------------------------------------------------------------------- */
static X509 *new_certificate(const char *name, EVP_PKEY *key, long from_seconds, long to_seconds)
{
	X509 *x = X509_new();
	X509_NAME *subject = X509_NAME_new();

	assert(x && subject);
	/* This way, because a notice is longer than the 64 characters a name should have. */
	X509_NAME_ENTRY *entry =
		X509_NAME_ENTRY_create_by_NID(NULL, NID_commonName, V_ASN1_UTF8STRING,
					      (const uint8_t *)name, (int)strlen(name));
	int ok = entry && X509_NAME_add_entry(subject, entry, -1, 0);
	ok &= X509_set_version(x, X509_VERSION_3);
	ok &= X509_gmtime_adj(X509_getm_notBefore(x), from_seconds) != NULL;
	ok &= X509_gmtime_adj(X509_getm_notAfter(x), to_seconds) != NULL;
	ok &= X509_set_subject_name(x, subject);
	ok &= X509_set_issuer_name(x, subject);
	ok &= X509_set_pubkey(x, key);
	assert(ok);
	X509_NAME_ENTRY_free(entry);
	X509_NAME_free(subject);
	return x;
}

static void add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert(extension);
	int ok = X509_add_ext(x, extension, -1);
	assert(ok);
	X509_EXTENSION_free(extension);
}

static bool is_number(const char *host)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

static void add_host(STACK_OF(GENERAL_NAME) * names, const char *host)
{
	GENERAL_NAME *name = GENERAL_NAME_new();

	assert(name);
	if (is_number(host)) {
		ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
		assert(ip);
		GENERAL_NAME_set0_value(name, GEN_IPADD, ip);
	} else {
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();
		int ok = text && ASN1_STRING_set(text, host, -1);
		assert(ok);
		GENERAL_NAME_set0_value(name, GEN_DNS, text);
	}
	int count = sk_GENERAL_NAME_push(names, name);
	assert(count > 0);
}

static void add_hosts(X509 *x, const char *const *hosts, size_t count)
{
	STACK_OF(GENERAL_NAME) *names = sk_GENERAL_NAME_new_null();

	assert(names);
	for (size_t i = 0; i < count; i++)
		add_host(names, hosts[i]);
	int ok = X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0);
	assert(ok == 1);
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
}

static void set_random_serial(X509 *x)
{
	uint8_t bytes[SERIAL_BYTES];
	int ok = RAND_bytes(bytes, sizeof(bytes));

	assert(ok == 1);
	bytes[0] &= 0x7f; /* positive */
	bytes[0] |= 0x40;
	BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ASN1_INTEGER *serial = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
	assert(serial);
	ok = X509_set_serialNumber(x, serial);
	assert(ok == 1);
	ASN1_INTEGER_free(serial);
	BN_free(number);
}

static void take_pem(BIO *bio, struct buf *ret)
{
	char *data = NULL;
	long size = BIO_get_mem_data(bio, &data);

	assert(size > 0);
	buf_add(ret, data, (size_t)size);
	OPENSSL_cleanse(data, (size_t)size);
	BIO_free(bio);
}

enum err tls_certificate_make(const char *const *hosts, size_t host_count,
			      struct buf *ret_certificate, struct buf *ret_key)
{
	if (host_count == 0 || host_count > TLS_CERTIFICATE_HOSTS_MAX)
		return ERR_TOO_BIG;
	for (size_t i = 0; i < host_count; i++)
		if (strlen(hosts[i]) == 0 || strlen(hosts[i]) > TLS_HOST_BYTES_MAX)
			return ERR_TOO_BIG;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	assert(key);
	X509 *x = new_certificate("hanse", key, -DAY_SECONDS, CERTIFICATE_SECONDS);
	set_random_serial(x);
	add_hosts(x, hosts, host_count);
	add_extension(x, NID_basic_constraints, "critical,CA:FALSE");
	add_extension(x, NID_key_usage, "critical,digitalSignature");
	add_extension(x, NID_ext_key_usage, "serverAuth");
	BIO *certificate_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
	bool ok = certificate_pem && key_pem && X509_sign(x, key, EVP_sha256()) > 0 &&
		  PEM_write_bio_X509(certificate_pem, x) &&
		  PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL);
	assert(ok);
	take_pem(certificate_pem, ret_certificate);
	take_pem(key_pem, ret_key);
	X509_free(x);
	EVP_PKEY_free(key);
	return OK;
}

/* --- servers ---------------------------------------------------------------------------------- */
static enum err refuse(char why[TASK_WHY_BYTES], const char *text)
{
	snprintf(why, TASK_WHY_BYTES, "%s", text);
	ERR_clear_error();
	return ERR_INVALID;
}

static enum err use_chain(SSL_CTX *context, struct slice pem, char why[TASK_WHY_BYTES])
{
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
	X509 *x;
	int count = 0;
	bool ok = true;

	assert(bio);
	while (ok && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		count++;
		ok = count <= TLS_CHAIN_MAX;
		if (ok && count == 1)
			ok = SSL_CTX_use_certificate(context, x) == 1;
		else if (ok)
			ok = SSL_CTX_add1_chain_cert(context, x) == 1;
		X509_free(x);
	}
	BIO_free(bio);
	if (count == 0)
		return refuse(why, "the certificate is not in PEM form");
	if (!ok)
		return refuse(why, "the certificates cannot be used, or are too many");
	return OK;
}

/* Nobody can be asked for a password. */
static int no_password(char *room, int size, int is_writing, void *context)
{
	(void)room;
	(void)size;
	(void)is_writing;
	(void)context;
	return -1;
}

static enum err use_key(SSL_CTX *context, struct slice pem, char why[TASK_WHY_BYTES])
{
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);

	assert(bio);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	BIO_free(bio);
	if (!key)
		return refuse(why, "the key is not in PEM form, or has a password");
	bool ok = SSL_CTX_use_PrivateKey(context, key) == 1 &&
		  SSL_CTX_check_private_key(context) == 1;
	EVP_PKEY_free(key);
	return ok ? OK : refuse(why, "the key is not that of the certificate");
}

static enum err use_certificate(SSL_CTX *context, struct slice certificate, struct slice key,
				char why[TASK_WHY_BYTES])
{
	if (certificate.size > TLS_PEM_BYTES_MAX || key.size > TLS_PEM_BYTES_MAX)
		return refuse(why, "the certificate or its key is too long");
	enum err err = use_chain(context, certificate, why);
	if (!err)
		err = use_key(context, key, why);
	ERR_clear_error(); /* of the end of the file */
	return err;
}

enum err tls_identity_new_server(struct slice certificate, struct slice key,
				 struct tls_identity **ret, char why[TASK_WHY_BYTES])
{
	SSL_CTX *context = tls_context_new(cipher_suites);
	enum err err = use_certificate(context, certificate, key, why);
	if (err) {
		SSL_CTX_free(context);
		return err;
	}
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	*ret = NEW(struct tls_identity);
	(*ret)->context = context;
	return OK;
}

/* `clients` (may be NULL) is told whom it believes. */
static enum err add_authorities(X509_STORE *store, SSL_CTX *clients, struct slice pem,
				char why[TASK_WHY_BYTES])
{
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
	X509 *x;
	int count = 0;
	bool ok = true;

	assert(bio);
	while (ok && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		ok = X509_STORE_add_cert(store, x) == 1 &&
		     (!clients || SSL_CTX_add_client_CA(clients, x) == 1);
		X509_free(x);
		count++;
	}
	BIO_free(bio);
	ERR_clear_error();
	if (!ok || count == 0)
		return refuse(why, "these are no certificates in PEM form");
	return OK;
}

enum err tls_identity_ask_clients(struct tls_identity *server, struct slice authorities,
				  char why[TASK_WHY_BYTES])
{
	assert(authorities.size <= TLS_PEM_BYTES_MAX);
	enum err err = add_authorities(SSL_CTX_get_cert_store(server->context), server->context,
				       authorities, why);
	if (!err)
		SSL_CTX_set_verify(server->context, SSL_VERIFY_PEER, NULL);
	return err;
}

void tls_identity_add_notice(struct tls_identity *server, const char *name, uint8_t serial)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	assert(key && strlen(name) <= TLS_NOTICE_BYTES_MAX);
	X509 *x = new_certificate(name, key, -NOTICE_SECONDS, CERTIFICATE_SECONDS);
	int ok = ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	assert(ok);
	add_extension(x, NID_basic_constraints, "critical,CA:FALSE");
	ok = X509_sign(x, key, NULL) > 0 && SSL_CTX_add1_chain_cert(server->context, x) == 1;
	assert(ok);
	X509_free(x);
	EVP_PKEY_free(key);
}

void tls_identity_fingerprint(const struct tls_identity *server, uint8_t ret[TLS_FINGERPRINT_BYTES])
{
	X509 *x = SSL_CTX_get0_certificate(server->context);
	unsigned size = TLS_FINGERPRINT_BYTES;
	int ok = x && X509_digest(x, EVP_sha256(), ret, &size);

	assert(ok && size == TLS_FINGERPRINT_BYTES);
}

bool tls_identity_fits(const struct tls_identity *server, const char *host)
{
	X509 *x = SSL_CTX_get0_certificate(server->context);
	int days = 0, seconds = 0;

	bool is_named = is_number(host) ? X509_check_ip_asc(x, host, 0) == 1
					: X509_check_host(x, host, 0, 0, NULL) == 1;
	int ok = ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x));
	return is_named && ok == 1 && days >= TLS_RENEWAL_SECONDS / DAY_SECONDS;
}

/* --- clients ---------------------------------------------------------------------------------- */
/* In place of what OpenSSL would check of a chain. */
static int verify_fingerprint(X509_STORE_CTX *store, void *context)
{
	const struct tls_identity *identity = context;
	X509 *x = X509_STORE_CTX_get0_cert(store);
	uint8_t shown[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	bool is_it = x && X509_digest(x, EVP_sha256(), shown, &size) == 1 &&
		     size == TLS_FINGERPRINT_BYTES &&
		     CRYPTO_memcmp(shown, identity->fingerprint, TLS_FINGERPRINT_BYTES) == 0;
	X509_STORE_CTX_set_error(store, is_it ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
	return is_it;
}

static void want_name(SSL_CTX *context, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);
	int ok = is_number(name) ? X509_VERIFY_PARAM_set1_ip_asc(param, name)
				 : X509_VERIFY_PARAM_set1_host(param, name, 0);

	assert(ok == 1);
	/* Without certificates of authorities nobody is believed, which is said then. */
	(void)SSL_CTX_set_default_verify_paths(context);
	ERR_clear_error();
}

struct tls_identity *tls_identity_new_client(enum tls_trust trust, const char *name,
					     const uint8_t *fingerprint)
{
	struct tls_identity *identity = NEW(struct tls_identity);

	assert(strlen(name) > 0 && strlen(name) <= TLS_HOST_BYTES_MAX);
	assert((fingerprint != NULL) == (trust == TLS_TRUST_FINGERPRINT));
	identity->context = tls_context_new(cipher_suites);
	identity->trust = trust;
	if (!is_number(name))
		memcpy(identity->server_name, name, strlen(name) + 1);
	SSL_CTX_set_verify(identity->context,
			   trust == TLS_TRUST_ANYBODY ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if (trust == TLS_TRUST_AUTHORITIES)
		want_name(identity->context, name);
	if (fingerprint) {
		memcpy(identity->fingerprint, fingerprint, TLS_FINGERPRINT_BYTES);
		SSL_CTX_set_cert_verify_callback(identity->context, verify_fingerprint, identity);
	}
	return identity;
}

enum err tls_identity_believe(struct tls_identity *client, struct slice authorities,
			      char why[TASK_WHY_BYTES])
{
	X509_STORE *store = X509_STORE_new();

	assert(store && client->trust == TLS_TRUST_AUTHORITIES);
	if (authorities.size > TLS_PEM_BYTES_MAX) {
		X509_STORE_free(store);
		return refuse(why, "these certificates are too many");
	}
	enum err err = add_authorities(store, NULL, authorities, why);
	if (err)
		X509_STORE_free(store);
	else
		SSL_CTX_set_cert_store(client->context, store); /* its own from here on */
	return err;
}

enum err tls_identity_show(struct tls_identity *client, struct slice certificate, struct slice key,
			   char why[TASK_WHY_BYTES])
{
	return use_certificate(client->context, certificate, key, why);
}
