/* Fetch sessions (KIP-227): what a consumer fetches is remembered, so that its requests name only
 * what changes, and its answers only what changed.
 *
 *	epoch  0   a new session with all that the request names
 *	epoch -1   no session; one that is named ends
 *	epoch  n   goes on with a session, one more each time
 *
 * A session is this agent's alone and in memory: on any doubt a client is told that there is none,
 * and begins another.  When there is no room, because all sessions were used lately, new ones are
 * given none and fetch as before. */
#ifndef STREAMS_AGENT_FETCH_SESSION_H
#define STREAMS_AGENT_FETCH_SESSION_H

#include "base/arena.h"
#include "kafka_messages.h"

enum {
	FETCH_SESSIONS_MAX = 1000,
	FETCH_SESSION_PARTITIONS_MAX = 10000,	 /* of one */
	FETCH_SESSIONS_PARTITIONS_MAX = 100000,	 /* of all: about 300 bytes each */
	FETCH_SESSION_UNUSED_MS = 2 * 60 * 1000, /* then it makes room for another */
};

struct fetch_sessions;

struct fetch_sessions *fetch_sessions_new(void);
void fetch_sessions_free(struct fetch_sessions *s);

/* The session one fetch belongs to. */
struct fetch_session_use {
	int32_t id;    /* 0: none */
	int32_t epoch; /* of the session from now on */
	bool is_full;  /* the answer names all partitions */
};

/* Before a fetch: afterwards `request` names all that is wanted, in the session's turn, in the
 * arena.  `by_id`: topics are named by id.  Returns Kafka's code. */
int16_t fetch_session_begin(struct fetch_sessions *s, struct arena *a, bool by_id, uint64_t now_ms,
			    struct kafka_fetch_request *request, struct fetch_session_use *ret);

/* After it: takes what did not change out of `response`, remembers what is told, and lets the
 * partitions that gave records be the last ones next time. */
void fetch_session_end(struct fetch_sessions *s, const struct fetch_session_use *use,
		       struct kafka_fetch_response *response);

/* For tests and for limits. */
size_t fetch_sessions_count(const struct fetch_sessions *s);
size_t fetch_sessions_partitions(const struct fetch_sessions *s);

#endif
