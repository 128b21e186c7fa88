/* SCRAM (RFC 5802, RFC 7677), without channel binding:
 *
 *	client -> server	n,,n=user,r=NONCE
 *	server -> client	r=NONCE+MORE,s=SALT,i=ITERATIONS
 *	client -> server	c=biws,r=NONCE+MORE,p=PROOF
 *	server -> client	v=SIGNATURE
 *
 * The server keeps a verifier: with it a client can be checked, but not played.  Names are bytes of
 * UTF-8 here; nothing is normalized (SASLprep), as in Kafka. */
#ifndef WIRE_SASL_SCRAM_H
#define WIRE_SASL_SCRAM_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum scram_hash { SCRAM_SHA_256 = 1, SCRAM_SHA_512 = 2 }; /* Kafka's numbers */

enum {
	SCRAM_BYTES_MAX = 64, /* of a hash */
	SCRAM_MESSAGE_BYTES_MAX = 4096,
	SCRAM_NONCE_BYTES_MAX = 512,
	SCRAM_SALT_BYTES = 24, /* of those we make */
	SCRAM_SALT_BYTES_MAX = 128,
	SCRAM_ITERATIONS_MIN = 4096,
	SCRAM_ITERATIONS_MAX = 16384,
	SCRAM_ITERATIONS_DEFAULT = 4096,
	SCRAM_RANDOM_BYTES = 18,
};

struct scram_verifier {
	enum scram_hash hash;
	int iterations;
	uint8_t salt[SCRAM_SALT_BYTES_MAX];
	size_t salt_bytes;
	uint8_t stored_key[SCRAM_BYTES_MAX], server_key[SCRAM_BYTES_MAX];
};

size_t scram_hash_bytes(enum scram_hash hash);

/* PBKDF2: takes milliseconds, see worker.h. */
void scram_salt_password(enum scram_hash hash, struct slice password, struct slice salt,
			 int iterations, uint8_t ret[SCRAM_BYTES_MAX]);

/* The two keys that follow from a salted password. */
void scram_keys(enum scram_hash hash, const uint8_t salted[SCRAM_BYTES_MAX],
		uint8_t ret_stored[SCRAM_BYTES_MAX], uint8_t ret_server[SCRAM_BYTES_MAX]);

/* Is it the password?  Salts it, so it takes as long. */
bool scram_password_fits(const struct scram_verifier *v, struct slice password);

/* For a user that is not there: the same every time, and nobody can tell. */
void scram_fake(enum scram_hash hash, struct slice secret, struct slice user,
		struct scram_verifier *ret);

/* --- the server's side ------------------------------------------------------------------------ */
struct scram_first {
	struct slice user;		  /* in the arena */
	struct slice header, bare, nonce; /* parts of the message */
};

/* ERR_INVALID: it is none, or wants channel binding or to act for somebody else. */
MUST_CHECK enum err scram_read_first(struct arena *a, struct slice message,
				     struct scram_first *ret);

/* Append the answer. */
void scram_challenge(const struct scram_first *first, const struct scram_verifier *v,
		     const uint8_t random[SCRAM_RANDOM_BYTES], struct buf *out);

/* OK: the client has the password, and `out` gets the answer that proves that we know it too.
 * ERR_DENIED: it has not; ERR_INVALID: that is no such message. */
MUST_CHECK enum err scram_finish(struct arena *a, const struct scram_first *first,
				 struct slice challenge, const struct scram_verifier *v,
				 struct slice message, struct buf *out);

/* --- the client's side ------------------------------------------------------------------------ */
/* Append the first message.  Commas and equal signs of the name are escaped. */
void scram_begin(struct slice user, const uint8_t random[SCRAM_RANDOM_BYTES], struct buf *out);

/* Append the second.  `first` is all that scram_begin() appended. */
MUST_CHECK enum err scram_respond(struct arena *a, enum scram_hash hash, struct slice password,
				  struct slice first, struct slice challenge, struct buf *out,
				  uint8_t ret_signature[SCRAM_BYTES_MAX]);

/* Is the server's last message that of one who knows the verifier?  ERR_DENIED. */
MUST_CHECK enum err scram_check_server(struct arena *a, enum scram_hash hash,
				       const uint8_t signature[SCRAM_BYTES_MAX],
				       struct slice message);

#endif
