/* Fetch sessions (KIP-227): what a consumer fetches is remembered, so that its requests name only
 * what changes, and its answers only what changed.
 *
 *	epoch  0   a new session with all that the request names
 *	epoch -1   no session; one that is named ends
 *	epoch  n   goes on with a session, one more each time
 *
 * Of most partitions of a session there is nothing to tell: the consumer has read all of them and
 * knows it.  These are quiet; they are not looked at until the replica notes that their row has
 * changed, so neither a fetch nor one that waits costs anything for them.
 *
 * A session is this agent's alone and in memory: on any doubt a client is told that there is none,
 * and begins another.  When there is no room, because all sessions were used lately, new ones are
 * given none and fetch as before. */
#ifndef STREAMS_AGENT_FETCH_SESSION_H
#define STREAMS_AGENT_FETCH_SESSION_H

#include "base/arena.h"
#include "kafka_messages.h"
#include "streams/agent/replica.h"

enum {
	FETCH_SESSIONS_MAX = 1000,
	FETCH_SESSION_PARTITIONS_MAX = 10000,	 /* of one */
	FETCH_SESSIONS_PARTITIONS_MAX = 100000,	 /* of all: about 350 bytes each */
	FETCH_SESSION_UNUSED_MS = 2 * 60 * 1000, /* then it makes room for another */
};

struct fetch_sessions;

struct fetch_sessions *fetch_sessions_new(struct replica *replica); /* which outlives them */
void fetch_sessions_free(struct fetch_sessions *s);

/* The session one fetch belongs to. */
struct fetch_session_use {
	int32_t id;    /* 0: none */
	int32_t epoch; /* of the session from now on */
	bool is_full;  /* the answer names all partitions */
	bool is_empty; /* nothing is left of the session: there are none */
};

/* Who fetches; what it may is looked at anew when that is somebody else. */
struct fetch_session_client {
	bool by_id; /* topics are named by id */
	struct slice principal, host;
};

/* Before a fetch.  Returns Kafka's code. */
int16_t fetch_session_begin(struct fetch_sessions *s, const struct fetch_session_client *client,
			    uint64_t now_ms, const struct kafka_fetch_request *request,
			    struct fetch_session_use *ret);

/* Before each look.  Of a session that goes on `request` names afterwards what is to be looked at,
 * in the session's turn, in the arena: what is not quiet, or everything.  False: there is no
 * session, or it went on or ended meanwhile, and then nobody waits for this answer. */
bool fetch_session_ask(struct fetch_sessions *s, const struct fetch_session_use *use,
		       struct arena *a, bool everything, struct kafka_fetch_request *request);

/* This partition is looked at now, and has this row (0: none): from here on changes are noted. */
void fetch_session_note(struct fetch_sessions *s, const struct fetch_session_use *use,
			const struct kafka_fetch_request_topic *topic, int32_t partition,
			int64_t row);

/* Wake `task` when a partition changes or the session goes on or ends; NULL: no longer.  False:
 * there is no session. */
bool fetch_session_wait(struct fetch_sessions *s, const struct fetch_session_use *use,
			struct task *task);

/* Who may do what has changed: nothing is quiet any more. */
void fetch_sessions_look_again(struct fetch_sessions *s);

/* After it: takes what did not change out of `response`, remembers what is told, and lets the
 * partitions that gave records be the last ones next time. */
void fetch_session_end(struct fetch_sessions *s, const struct fetch_session_use *use,
		       struct kafka_fetch_response *response);

/* For tests and for limits. */
size_t fetch_sessions_count(const struct fetch_sessions *s);
size_t fetch_sessions_partitions(const struct fetch_sessions *s);

#endif
