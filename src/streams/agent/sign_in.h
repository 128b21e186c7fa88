/* Who a client is: the SASL exchange of one connection, and what it may do until and after that.
 *
 *	nobody -> SaslHandshake: mechanism -> SaslAuthenticate, once or twice -> signed in
 *	                ^                                                          |
 *	                +------ again, before the session is over (KIP-368) <------+
 *
 * While somebody has to sign in first (sign_in_is_needed), only ApiVersions and the two of SASL are
 * answered; anything else ends the connection, as with Kafka, and so does a try that fails.  Each
 * connection has one try, SIGN_IN_MS of time and small requests, and its failure is told late, so
 * guessing is slow.  Users that do not exist are answered like those that do.
 *
 * PLAIN carries the password, so it is offered only over TLS, on the machine itself, and inside of
 * a mesh. */
#ifndef STREAMS_AGENT_SIGN_IN_H
#define STREAMS_AGENT_SIGN_IN_H

#include "base/arena.h"
#include "streams/catalog/guard.h"
#include "wire/sasl/scram.h"

enum {
	SIGN_IN_MS = 30000,		      /* from the connection to being signed in */
	SIGN_IN_REQUEST_BYTES_MAX = 80 << 10, /* before that; tokens may be large */
	SIGN_IN_FAILED_MS = 100,	      /* until a failure is told; Kafka's default */
};

enum sasl_mechanism {
	SASL_NONE,
	SASL_PLAIN,
	SASL_SCRAM_SHA_256,
	SASL_SCRAM_SHA_512,
	SASL_OAUTHBEARER,
	SASL_MECHANISMS
};

struct agent;

struct sign_in {
	char principal[GRANT_PRINCIPAL_BYTES_MAX + 1]; /* "User:alice"; "": nobody signed in */
	int64_t user;		  /* its row; 0: known by something else than the cell */
	uint64_t until_ms;	  /* of the loop: the session is over; 0: never */
	enum sasl_mechanism used; /* to sign in */
	bool was_nobody;	  /* something was answered before anybody signed in */

	/* the exchange under way */
	enum sasl_mechanism mechanism;
	bool is_raw; /* SaslHandshake v0: tokens come without any header */
	struct arena arena;
	bool is_challenged; /* SCRAM: the first message was answered */
	bool is_known;	    /* the user exists */
	struct guard_user found;
	struct scram_first first;
	struct slice challenge;
	struct scram_verifier verifier;
};

void sign_in_init(struct sign_in *s);
void sign_in_done(struct sign_in *s);

/* Nothing of an exchange is left. */
void sign_in_forget(struct sign_in *s);

/* Nobody signed in, and somebody has to. */
bool sign_in_is_needed(struct agent *agent, const struct sign_in *s);

/* May a request of this API be answered now?  `ret_why` is said when not. */
bool sign_in_admits(struct agent *agent, struct sign_in *s, int16_t api_key, const char **ret_why);

/* Users or grants have changed; false: the connection must end. */
bool sign_in_still_holds(struct agent *agent, const struct sign_in *s);

const char *sasl_mechanism_name(enum sasl_mechanism mechanism);

#endif
