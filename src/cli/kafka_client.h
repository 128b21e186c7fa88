/* A Kafka client for commands: one connection, one request at a time, every wait with a deadline.
 *
 * It asks the broker it is connected to and no other: every node of Hanse answers for all topics
 * and groups. */
#ifndef CLI_KAFKA_CLIENT_H
#define CLI_KAFKA_CLIENT_H

#include "base/arena.h"
#include "cli/secure_socket.h"
#include "kafka_messages.h"

enum {
	KAFKA_CLIENT_TIMEOUT_MS = 10000,	   /* for connecting, and for each answer */
	KAFKA_CLIENT_ANSWER_BYTES_MAX = 128 << 20, /* one batch may be as large as a request */
	KAFKA_CLIENT_KEYS_MAX = 128,		   /* API keys above are passed over */
	KAFKA_CLIENT_WHY_BYTES = SECURE_SOCKET_WHY_BYTES + 100,
};

struct kafka_client {
	struct secure_socket socket;
	int32_t correlation_id;
	uint64_t timeout_ms;
	uint64_t session_ends_ms; /* when to sign in again, see kafka_sign_in.h; 0: never */
	struct {
		int16_t first, last; /* last < first: not spoken there */
	} versions[KAFKA_CLIENT_KEYS_MAX];
	char why[KAFKA_CLIENT_WHY_BYTES]; /* about the last failure */
};

/* Connect, over TLS where there is an identity (borrowed until kafka_client_close()), and ask which
 * versions are spoken.  ERR_UNAVAILABLE, ERR_NOT_FOUND, ERR_TIMEOUT; ERR_DENIED: TLS, see
 * secure_socket_open(); ERR_INVALID: whoever listens there does not speak Kafka.  timeout_ms 0: the
 * default. */
MUST_CHECK enum err kafka_client_open(struct kafka_client *c, const char *host, uint16_t port,
				      struct tls_identity *identity, uint64_t timeout_ms);

/* After any failure of the others too. */
void kafka_client_close(struct kafka_client *c);

/* The highest version both sides have, at most `version_max`; -1: none. */
int kafka_client_version(const struct kafka_client *c, enum kafka_api_key key, int version_max);

/* Send a request, wait for its answer; both structs are those of the API.  The answer lives in
 * the arena.  ERR_UNKNOWN: it was sent, and no answer came; ERR_INVALID: the answer makes no
 * sense.  The connection is of no use after a failure. */
MUST_CHECK enum err kafka_client_call(struct arena *a, struct kafka_client *c,
				      enum kafka_api_key key, int version, const void *request,
				      void *ret);

#endif
