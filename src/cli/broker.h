/* What the commands about topics and groups have in common: the broker they ask, and what they say
 * when it cannot be reached or refuses. */
#ifndef CLI_BROKER_H
#define CLI_BROKER_H

#include "cli/command.h"
#include "cli/credentials.h"
#include "cli/kafka_client.h"
#include "cli/trust.h"

enum {
	BROKER_REQUEST_TIMEOUT_MS = 8000, /* told to the broker; below our own patience */
};

struct broker {
	struct kafka_client client;
	struct arena arena; /* answers live here until broker_close() */
	struct kafka_address address;
	bool has_signed_in;
	struct trust trust;
	struct tls_identity *identity; /* to the broker that was named; NULL: in the clear */
	struct credentials credentials;
};

/* Says itself what failed; anything but COMMAND_DONE is what the command exits with.
 * broker_close() in any case. */
MUST_CHECK enum command_status broker_open(struct broker *b, const struct command_line *l);
void broker_close(struct broker *b);

/* Before a request that does not go through broker_ask(): sign in again where the session is about
 * to end.  Says itself what failed. */
MUST_CHECK enum command_status broker_stay_signed_in(struct broker *b);

/* One request in the highest common version up to `version_max`; says itself what failed. */
MUST_CHECK enum command_status broker_ask(struct broker *b, enum kafka_api_key key, int version_max,
					  const void *request, void *ret);

/* The same to every broker of the cluster, one after the other, where each answers for its share
 * only; answer_bytes: of the API's response, whose copies live until broker_close(). */
struct broker_answers {
	void **answers; /* one a broker */
	size_t count;
};
MUST_CHECK enum command_status broker_ask_all(struct broker *b, enum kafka_api_key key,
					      const void *request, size_t answer_bytes,
					      struct broker_answers *ret);

/* Say that the broker refused: "topic orders was not created: ...", with the broker's own message
 * (may be null) or ours; returns what that exits with. */
enum command_status broker_refused(const char *what, int16_t error_code, struct slice message);

#endif
