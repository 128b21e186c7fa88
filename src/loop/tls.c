#include "loop/tls.h"

#include <assert.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/memory.h"
#include "loop/tls_identity_private.h"

enum { QUEUE_KEPT_BYTES = 4096 }; /* of a connection on which little happens */

/* Bytes on their way, taken from the front.  Memory that one burst needed goes with the next small
 * one: thousands of connections are idle most of the time. */
struct queue {
	struct buf bytes;
	size_t at;     /* what stands before it is gone */
	size_t passed; /* since it was empty */
};

struct tls {
	SSL *ssl;
	struct queue in, out;
	size_t fed; /* bytes, before the handshake was over */
	bool is_secure;
	bool has_peer_key;
	uint8_t peer_key[TLS_KEY_BYTES];
};

/* --- queues ---------------------------------------------------------------------------------- */
static struct slice queue_slice(const struct queue *q)
{
	return slice_part(buf_slice(&q->bytes), q->at, q->bytes.size);
}

static void queue_add(struct queue *q, struct slice bytes)
{
	if (q->at > 0) {
		buf_drop_front(&q->bytes, q->at);
		q->at = 0;
	}
	buf_add_slice(&q->bytes, bytes);
	q->passed += bytes.size;
}

static void queue_drop(struct queue *q, size_t size)
{
	assert(size <= q->bytes.size - q->at);
	q->at += size;
	if (q->at < q->bytes.size)
		return;
	buf_clear(&q->bytes);
	if (q->bytes.capacity > QUEUE_KEPT_BYTES && q->passed <= QUEUE_KEPT_BYTES)
		buf_done(&q->bytes);
	q->at = q->passed = 0;
}

/* --- what OpenSSL takes for a socket --------------------------------------------------------- */
static int on_bio_write(BIO *bio, const char *data, size_t size, size_t *ret_size)
{
	struct tls *t = BIO_get_data(bio);

	queue_add(&t->out, (struct slice) { (const uint8_t *)data, size });
	*ret_size = size;
	return 1;
}

static int on_bio_read(BIO *bio, char *room, size_t size, size_t *ret_size)
{
	struct tls *t = BIO_get_data(bio);
	struct slice bytes = slice_part(queue_slice(&t->in), 0, size);

	BIO_clear_retry_flags(bio);
	if (bytes.size == 0) { /* more will come */
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(room, bytes.data, bytes.size);
	*ret_size = bytes.size;
	queue_drop(&t->in, bytes.size);
	return 1;
}

static long on_bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH; /* everything else there is not */
}

static int on_bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

/* One for the whole process: it only names functions. */
static const BIO_METHOD *queue_method(void)
{
	static BIO_METHOD *method;

	if (method)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "queues");
	assert(method);
	int ok = BIO_meth_set_write_ex(method, on_bio_write) &
		 BIO_meth_set_read_ex(method, on_bio_read) &
		 BIO_meth_set_ctrl(method, on_bio_control) &
		 BIO_meth_set_create(method, on_bio_create);
	assert(ok == 1);
	return method;
}

/* --- life ------------------------------------------------------------------------------------ */
bool tls_identity_has_peers(const struct tls_identity *identity)
{
	return identity->peer_count > 0;
}

struct tls *tls_new(struct tls_identity *identity, bool is_server)
{
	struct tls *t = NEW(struct tls);

	t->ssl = SSL_new(identity->context);
	BIO *bio = BIO_new(queue_method());
	assert(t->ssl && bio);
	BIO_set_data(bio, t);
	SSL_set_bio(t->ssl, bio, bio); /* its own from here on */
	if (is_server)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	if (!is_server && identity->server_name[0]) {
		long ok = SSL_set_tlsext_host_name(t->ssl, identity->server_name);
		assert(ok);
	}
	t->has_peer_key = tls_identity_has_peers(identity);
	return t;
}

void tls_free(struct tls *t)
{
	SSL_free(t->ssl);
	buf_done(&t->in.bytes);
	buf_done(&t->out.bytes);
	memory_free(t);
}

void tls_feed(struct tls *t, struct slice bytes)
{
	if (!t->is_secure)
		t->fed += bytes.size;
	queue_add(&t->in, bytes);
}

/* The words of OpenSSL as ours; the only function that translates them. */
static enum err translate(const struct tls *t, int code)
{
	unsigned long reason = ERR_peek_error();

	switch (SSL_get_error(t->ssl, code)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return ERR_BUSY;
	case SSL_ERROR_ZERO_RETURN:
		return ERR_NOT_FOUND;
	case SSL_ERROR_SSL:
		break;
	default:
		return ERR_CORRUPT;
	}
	switch (ERR_GET_REASON(reason)) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
		return ERR_DENIED;
	default:
		return ERR_CORRUPT;
	}
}

static void take_peer_key(struct tls *t)
{
	size_t size = TLS_KEY_BYTES;
	X509 *certificate = SSL_get0_peer_certificate(t->ssl);

	assert(certificate && SSL_get_verify_result(t->ssl) == X509_V_OK);
	int ok = EVP_PKEY_get_raw_public_key(X509_get0_pubkey(certificate), t->peer_key, &size);
	assert(ok == 1 && size == TLS_KEY_BYTES);
}

enum err tls_shake(struct tls *t)
{
	assert(!t->is_secure);
	ERR_clear_error();
	int code = SSL_do_handshake(t->ssl);
	if (code != 1) {
		enum err err = translate(t, code);
		return err == ERR_BUSY && t->fed > TLS_HANDSHAKE_BYTES_MAX ? ERR_TOO_BIG : err;
	}
	if (t->has_peer_key)
		take_peer_key(t);
	t->is_secure = true;
	return OK;
}

const char *tls_verdict(const struct tls *t)
{
	long result = SSL_get_verify_result(t->ssl);

	return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}

bool tls_is_secure(const struct tls *t)
{
	return t->is_secure;
}

enum err tls_read(struct tls *t, uint8_t *room, size_t size, size_t *ret_size)
{
	assert(t->is_secure && size > 0);
	ERR_clear_error();
	int code = SSL_read_ex(t->ssl, room, size, ret_size);
	return code == 1 ? OK : translate(t, code);
}

enum err tls_write(struct tls *t, struct slice bytes)
{
	size_t written = 0;

	assert(t->is_secure && bytes.size > 0);
	ERR_clear_error();
	if (SSL_write_ex(t->ssl, bytes.data, bytes.size, &written) != 1)
		return ERR_CORRUPT;
	assert(written == bytes.size); /* memory takes all of it */
	return OK;
}

void tls_end(struct tls *t)
{
	assert(t->is_secure);
	ERR_clear_error();
	if (!(SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
		(void)SSL_shutdown(t->ssl);
}

struct slice tls_output(const struct tls *t)
{
	return queue_slice(&t->out);
}

void tls_drop_output(struct tls *t, size_t size)
{
	queue_drop(&t->out, size);
}

const uint8_t *tls_peer_key(const struct tls *t)
{
	return t->is_secure && t->has_peer_key ? t->peer_key : NULL;
}

enum err tls_peer_subject(const struct tls *t, char *ret, size_t size)
{
	X509 *certificate = SSL_get0_peer_certificate(t->ssl);
	char *text = NULL;

	assert(t->is_secure);
	if (!certificate || SSL_get_verify_result(t->ssl) != X509_V_OK ||
	    !(SSL_get_verify_mode(t->ssl) & SSL_VERIFY_PEER))
		return ERR_NOT_FOUND;
	BIO *bio = BIO_new(BIO_s_mem());
	assert(bio);
	int ok = X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0,
				    XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
	long length = BIO_get_mem_data(bio, &text);
	enum err err = ok < 0 || length <= 0	? ERR_NOT_FOUND
		       : (size_t)length >= size ? ERR_TOO_BIG
						: OK;
	if (!err) {
		memcpy(ret, text, (size_t)length);
		ret[length] = '\0';
	}
	BIO_free(bio);
	return err;
}

enum err tls_peer_notice(const struct tls *t, const char *prefix, char *ret, size_t size)
{
	const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(t->ssl);
	char name[TLS_NOTICE_BYTES_MAX + 1];

	assert(t->is_secure);
	for (int i = 0; chain && i < sk_X509_num(chain); i++) {
		X509_NAME *subject = X509_get_subject_name(sk_X509_value(chain, i));
		int got = X509_NAME_get_text_by_NID(subject, NID_commonName, name, sizeof(name));
		if (got > 0 && (size_t)got < size && strlen(name) == (size_t)got &&
		    strncmp(name, prefix, strlen(prefix)) == 0) {
			memcpy(ret, name, (size_t)got + 1);
			return OK;
		}
	}
	return ERR_NOT_FOUND;
}
