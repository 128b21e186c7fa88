/* Who this process is to others, and whom it believes: for streams over TLS 1.3.
 *
 * Both sides show a certificate that they made themselves, in memory, and prove that they have its
 * key.  All that counts of it is the public key, which must be one of those given here: no
 * authority, no dates, no names.  So nothing has to be issued, stored or renewed. */
#ifndef LOOP_TLS_IDENTITY_H
#define LOOP_TLS_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

enum {
	TLS_KEY_BYTES = 32, /* of Ed25519: a seed, or a public key */
	TLS_PEERS_MAX = 8,
	TLS_HANDSHAKE_MS = 5000,	     /* from the connection to both sides being known */
	TLS_REFUSED_MS = 1000,		     /* for a peer that is refused to read why */
	TLS_HANDSHAKES_MAX = 256,	     /* of one listener at a time; the oldest makes room */
	TLS_HANDSHAKE_BYTES_MAX = 16 * 1024, /* of a peer that is not known yet */
};

struct tls_identity;

/* `seed` is the private half; `peers` are the public keys that are believed, 1 to TLS_PEERS_MAX.
 * Copies both; outlives every listener, connect and stream it is given to. */
struct tls_identity *tls_identity_new(const uint8_t seed[TLS_KEY_BYTES],
				      const uint8_t *const *peers, size_t peer_count);
void tls_identity_free(struct tls_identity *identity);

/* What others have to believe to talk to the owner of `seed`. */
void tls_public_key(const uint8_t seed[TLS_KEY_BYTES], uint8_t ret[TLS_KEY_BYTES]);

#endif
