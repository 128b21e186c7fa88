/* Who a command is to Kafka, from --as and --password-file, or --token-file, and --mechanism; the
 * secret comes from a file, the environment or a terminal, never from the command line.  One place
 * for all commands. */
#ifndef CLI_CREDENTIALS_H
#define CLI_CREDENTIALS_H

#include "cli/command.h"
#include "cli/kafka_sign_in.h"
#include "wire/sasl/plain.h"

enum { CREDENTIALS_SECRET_BYTES = BEARER_BYTES_MAX }; /* a password is shorter, see password.h */

struct credentials {
	const struct command_line *line;
	enum sign_in_mechanism mechanism;
	const char *user; /* NULL with a token, which names its own */
	const char *file; /* of the secret; NULL: asked for, or in the environment */
	bool is_known;	  /* the secret has been read, and is used again */
	char *secret;	  /* CREDENTIALS_SECRET_BYTES; wiped */
};

/* Which of them are meant; asks nobody for anything yet.  Says itself what does not fit together.
 * credentials_done() in any case. */
MUST_CHECK enum command_status credentials_choose(struct credentials *c,
						  const struct command_line *l);
void credentials_done(struct credentials *c);

static inline bool credentials_are_given(const struct credentials *c)
{
	return c->mechanism != SIGN_IN_NONE;
}

/* With the secret; `ret` lives as long as `c`.  A file with a token is read each time: tokens are
 * short-lived, and somebody may renew it.  Says itself what is wrong. */
MUST_CHECK enum command_status credentials_read(struct credentials *c,
						struct sign_in_identity *ret);

/* For messages. */
const char *credentials_who(const struct credentials *c);

#endif
