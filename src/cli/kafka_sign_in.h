/* How a command proves to a broker who it is: SASL, as Kafka's own clients do it (KIP-43, KIP-152,
 * KIP-368, KIP-255).
 *
 * SCRAM proves that we know the password and never sends it.  PLAIN and OAUTHBEARER send the secret
 * itself, so they are used over TLS, to this machine, or where somebody said that in the clear is
 * all right. */
#ifndef CLI_KAFKA_SIGN_IN_H
#define CLI_KAFKA_SIGN_IN_H

#include "cli/kafka_client.h"

enum sign_in_mechanism {
	SIGN_IN_NONE, /* nobody */
	SIGN_IN_PLAIN,
	SIGN_IN_SCRAM_SHA_256,
	SIGN_IN_SCRAM_SHA_512,
	SIGN_IN_OAUTHBEARER,
	SIGN_IN_MECHANISMS
};

/* All of it borrowed. */
struct sign_in_identity {
	enum sign_in_mechanism mechanism;
	bool may_be_in_the_clear; /* the secret, wherever it goes */
	struct slice user;	  /* a token names its own */
	struct slice secret;	  /* the password, or the token */
};

const char *sign_in_mechanism_name(enum sign_in_mechanism mechanism);
MUST_CHECK enum err sign_in_mechanism_find(const char *name, enum sign_in_mechanism *ret);

/* Sign in, or once more while the session lasts.  ERR_DENIED: not with that secret, or there is no
 * such user, or the secret would be sent in the clear; ERR_UNSUPPORTED: it does not offer the
 * mechanism; ERR_INVALID: that is no secret of that mechanism.  `why` of the client says more. */
MUST_CHECK enum err kafka_client_sign_in(struct kafka_client *c,
					 const struct sign_in_identity *identity);

/* Is it time to sign in again? */
bool kafka_client_session_ends(const struct kafka_client *c);

#endif
