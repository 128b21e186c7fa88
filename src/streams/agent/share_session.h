/* Share sessions (KIP-932): which partitions a member of a share group reads through this agent, so
 * that its requests name only what changes.
 *
 *	epoch  0   a new session
 *	epoch  n   goes on, one more each time
 *	epoch -1   the session ends, and the member gives back the records it has
 *
 * A session is this agent's alone and in memory; it ends with the connection it began on. */
#ifndef STREAMS_AGENT_SHARE_SESSION_H
#define STREAMS_AGENT_SHARE_SESSION_H

#include "base/list.h"
#include "base/map.h"
#include "base/uuid.h"
#include "streams/catalog/share_partition.h"

enum {
	SHARE_SESSIONS_MAX = 2000, /* Kafka's group.share.max.share.sessions */
	SHARE_SESSION_PARTITIONS_MAX = 2000,
	SHARE_SESSION_HELD_MAX = SHARE_GIVE_BACK_MAX, /* ranges; older ones are forgotten */
	SHARE_EPOCH_OPEN = 0,
	SHARE_EPOCH_END = -1,
};

struct share_place {
	struct uuid topic_id;
	int32_t partition;
};

/* What the member got through this agent.  Whether it still has it only control knows. */
struct share_held {
	struct share_place place;
	int64_t first, last;
	int16_t deliveries;
};

struct share_session {
	struct list link; /* of all of the agent, or of those that have ended */
	uint64_t connection_id;
	int32_t epoch;		    /* of its next request */
	struct slice group, member; /* owned */
	struct slice key;	    /* owned: both */
	struct share_place *places; /* owned */
	size_t count, capacity;
	struct share_held *held; /* owned */
	size_t held_count, held_capacity;
	bool is_told; /* to go to another agent, where it works on with what it has */
};

struct share_sessions {
	struct map by_key;
	struct list all;
};

void share_sessions_init(struct share_sessions *s);
void share_sessions_done(struct share_sessions *s);

/* The session of a request, or Kafka's code: SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH,
 * SHARE_SESSION_LIMIT_REACHED.  One that ends is still there. */
int16_t share_session_begin(struct share_sessions *s, struct slice group, struct slice member,
			    int32_t epoch, uint64_t connection_id, struct share_session **ret);

/* False: it has too many. */
bool share_session_add(struct share_session *session, const struct share_place *place);
void share_session_remove(struct share_session *session, const struct share_place *place);

/* It got this.  Ranges that follow each other become one. */
void share_session_hold(struct share_session *session, const struct share_held *got);

/* NULL: there is none. */
struct share_session *share_session_find(const struct share_sessions *s, struct slice group,
					 struct slice member);

/* Out of the table; the caller frees it. */
void share_session_take(struct share_sessions *s, struct share_session *session);
void share_session_free(struct share_session *session);

#endif
