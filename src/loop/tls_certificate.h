/* TLS with the rest of the world: a server with an ordinary certificate that asks its clients for
 * none, and clients that say whom they believe.  Peers of a cluster use tls_identity.h. */
#ifndef LOOP_TLS_CERTIFICATE_H
#define LOOP_TLS_CERTIFICATE_H

#include <stdbool.h>

#include "base/buf.h"
#include "loop/task.h"
#include "loop/tls_identity.h"

enum {
	TLS_FINGERPRINT_BYTES = 32,    /* SHA-256 of a certificate */
	TLS_CERTIFICATE_YEARS = 10,    /* one that we make */
	TLS_CERTIFICATE_HOSTS_MAX = 8, /* names in it */
	TLS_HOST_BYTES_MAX = 253,
	TLS_CHAIN_MAX = 8,		  /* certificates in a file */
	TLS_PEM_BYTES_MAX = 64 * 1024,	  /* of a file */
	TLS_NOTICE_BYTES_MAX = 128,	  /* of its name */
	TLS_RENEWAL_SECONDS = 30 * 86400, /* before its end a certificate does not fit any more */
};

/* A new key (P-256) and a certificate it signs itself, valid from yesterday, for names and numbers
 * that people write in URLs; both as PEM.  ERR_TOO_BIG: more or longer than the limits. */
MUST_CHECK enum err tls_certificate_make(const char *const *hosts, size_t host_count,
					 struct buf *ret_certificate, struct buf *ret_key);

/* A server.  The certificate comes first in its file, those that lead to an authority after it.
 * ERR_INVALID: that is no PEM, or the key is another's; `why` says which. */
MUST_CHECK enum err tls_identity_new_server(struct slice certificate, struct slice key,
					    struct tls_identity **ret, char why[TASK_WHY_BYTES]);

/* Ask clients for a certificate that one of these authorities (PEM) signed.  Who shows none is let
 * in too; tls_peer_subject() tells.  Before the first connection.  ERR_INVALID: `why`. */
MUST_CHECK enum err tls_identity_ask_clients(struct tls_identity *server, struct slice authorities,
					     char why[TASK_WHY_BYTES]);

/* Show one more certificate, self-signed, of which clients read only the name: what they want to
 * know before their first byte comes with the handshake. */
void tls_identity_add_notice(struct tls_identity *server, const char *name, uint8_t serial);

/* Of the server's own certificate. */
void tls_identity_fingerprint(const struct tls_identity *server,
			      uint8_t ret[TLS_FINGERPRINT_BYTES]);

/* Is it for `host`, and will be for TLS_RENEWAL_SECONDS? */
bool tls_identity_fits(const struct tls_identity *server, const char *host);

/* --- clients ---------------------------------------------------------------------------------- */
enum tls_trust {
	TLS_TRUST_AUTHORITIES, /* of the system, for the name */
	TLS_TRUST_FINGERPRINT, /* this certificate, whatever its name and dates */
	TLS_TRUST_ANYBODY,     /* encrypted, but perhaps with the wrong one: for tests */
};

/* `name` is asked for (SNI; not where it is a number) and, with authorities, what the certificate
 * must be for.  `fingerprint` is NULL but with TLS_TRUST_FINGERPRINT. */
struct tls_identity *tls_identity_new_client(enum tls_trust trust, const char *name,
					     const uint8_t *fingerprint);

/* With TLS_TRUST_AUTHORITIES: believe these (PEM), and not those of the system.  Before the first
 * connection.  ERR_INVALID: `why`. */
MUST_CHECK enum err tls_identity_believe(struct tls_identity *client, struct slice authorities,
					 char why[TASK_WHY_BYTES]);

/* Show this certificate to servers that ask for one, as tls_identity_new_server() has it. */
MUST_CHECK enum err tls_identity_show(struct tls_identity *client, struct slice certificate,
				      struct slice key, char why[TASK_WHY_BYTES]);

#endif
