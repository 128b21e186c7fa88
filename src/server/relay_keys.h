/* Who a relay is: its key and its certificate, in the state directory.
 *
 *	relay-key                privkey: and 64 hexadecimal digits
 *	relay-certificate        PEM
 *	relay-certificate-key    PEM
 *
 * The certificate is one that we sign ourselves, made anew when the relay is announced under
 * another name or is about to end; or the owner's own, from two files. */
#ifndef SERVER_RELAY_KEYS_H
#define SERVER_RELAY_KEYS_H

#include "loop/tls_certificate.h"
#include "server/state.h"
#include "wire/mesh_key.h"

struct relay_keys {
	struct mesh_key secret;
	struct tls_identity *identity; /* tells the relay's key to fast clients */
	bool is_own;		       /* self-signed: clients have to be told its fingerprint */
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
};

/* `host` is what the relay is announced under.  `certificate` and `key` are paths, or both "".
 * A file that is there and cannot be read is never replaced. */
MUST_CHECK enum err relay_keys_load(const struct state *state, const char *host,
				    const char *certificate, const char *key,
				    struct relay_keys *ret, char why[STATE_WHY_BYTES]);
/* --certificate and --certificate-key, for whoever serves with them. */
MUST_CHECK enum err relay_keys_read_identity(const char *certificate, const char *key,
					     struct tls_identity **ret, char why[STATE_WHY_BYTES]);
void relay_keys_done(struct relay_keys *keys);

/* A small file of the owner's; one with a secret in it is refused where others may read it. */
MUST_CHECK enum err relay_keys_read_file(const char *path, bool is_secret, struct buf *ret,
					 char why[STATE_WHY_BYTES]);

#endif
