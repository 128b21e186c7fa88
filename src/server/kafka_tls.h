/* The certificate with which Kafka is served, and the keys that sign clients' tokens: files of the
 * owner's, read again when they change, so that whoever renews them need not tell anybody.  A
 * change that cannot be read is said in the log, and what was there stays. */
#ifndef SERVER_KAFKA_TLS_H
#define SERVER_KAFKA_TLS_H

#include <sys/stat.h>

#include "loop/timer.h"
#include "loop/tls_certificate.h"
#include "server/options.h"
#include "wire/sasl/jwt.h"

enum { KAFKA_TLS_LOOK_MS = 2000, KAFKA_TLS_FILES = 4 };

struct kafka_tls {
	struct loop *loop;
	const char *paths[KAFKA_TLS_FILES]; /* certificate, key, authorities of
					     * clients, keys of tokens; or "" */
	struct stat seen[KAFKA_TLS_FILES];
	struct tls_identity *identity; /* NULL: no certificate was given */
	struct jwt_keys *keys;	       /* NULL: none were given */
	struct timer timer;
	/* There are new ones, either may be as before; old ones are freed when this returns. */
	void (*on_change)(void *context, struct tls_identity *identity,
			  const struct jwt_keys *keys);
	void *context;
};

/* Read what the options name.  `on_change` is to be filled in before the loop runs. */
MUST_CHECK enum err kafka_tls_open(struct kafka_tls *t, struct loop *loop, const struct options *o,
				   char why[OPTION_WHY_BYTES]);

/* No more looking. */
void kafka_tls_stop(struct kafka_tls *t);
void kafka_tls_done(struct kafka_tls *t);

#endif
