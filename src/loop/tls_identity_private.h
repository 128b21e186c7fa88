/* What makes an identity: shared by the files that make one.  Private to loop/. */
#ifndef LOOP_TLS_IDENTITY_PRIVATE_H
#define LOOP_TLS_IDENTITY_PRIVATE_H

#include <openssl/ssl.h>

#include "loop/tls_certificate.h"
#include "loop/tls_identity.h"

struct tls_identity {
	SSL_CTX *context;
	size_t peer_count; /* 0: not one of a cluster */
	uint8_t peers[TLS_PEERS_MAX][TLS_KEY_BYTES];
	enum tls_trust trust;			  /* of a client */
	char server_name[TLS_HOST_BYTES_MAX + 1]; /* of whom a client asks for */
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
};

/* Every connection is a handshake in full, of TLS 1.3; no memory is kept for idle ones. */
SSL_CTX *tls_context_new(const char *cipher_suites);

#endif
