/* JSON Web Tokens, signed (RFC 7515, 7519), and the sets of public keys they are checked with
 * (RFC 7517).
 *
 * A key is used with the one algorithm that belongs to its kind, whatever a token says:
 *
 *	RSA, 2048 to 8192 bits	RS256
 *	EC on P-256		ES256
 *
 * Keys of other kinds, and those for encryption, are passed over. */
#ifndef WIRE_SASL_JWT_H
#define WIRE_SASL_JWT_H

#include "base/arena.h"
#include "base/err.h"

enum {
	JWT_BYTES_MAX = 64 * 1024,
	JWT_KEYS_MAX = 100,
	JWT_KEY_SET_BYTES_MAX = 1024 * 1024,
	JWT_SKEW_S = 60, /* between the clocks of whoever issues and ours */
	JWT_WHY_BYTES = 120,
};

struct jwt_keys;

/* ERR_INVALID: that is no set of keys, or there is none in it that can be used. */
MUST_CHECK enum err jwt_keys_parse(struct slice json, struct jwt_keys **ret,
				   char why[JWT_WHY_BYTES]);
void jwt_keys_free(struct jwt_keys *keys);
size_t jwt_keys_count(const struct jwt_keys *keys);

struct jwt_rules {
	struct slice issuer;   /* "iss" must be this */
	struct slice audience; /* "aud" must be or have this */
	int64_t now_s;	       /* Unix time */
};

struct jwt {
	struct slice subject; /* "sub", in the arena */
	int64_t expires_s;    /* "exp" */
};

/* ERR_DENIED: it is not signed by one of the keys, or not for us, or over; ERR_INVALID: it is no
 * token. `why` is a sentence for the log. */
MUST_CHECK enum err jwt_check(struct arena *a, const struct jwt_keys *keys, struct slice token,
			      const struct jwt_rules *rules, struct jwt *ret, const char **why);

#endif
