/* Members of share groups that went without a word give back the records they got through this
 * agent: when a connection ends, in the background, also of an agent that stops, but not those of
 * members it told to go elsewhere.  When control cannot be asked, the records' locks end with their
 * time. */
#ifndef STREAMS_AGENT_SHARE_RELEASE_H
#define STREAMS_AGENT_SHARE_RELEASE_H

#include "streams/agent/share_call.h"
#include "streams/agent/share_session.h"

enum { SHARE_RELEASE_STOP_MS = 2000 }; /* an agent that stops waits for it no longer */

struct share_release {
	struct task task;
	struct agent *agent;
	struct share_sessions sessions;
	struct list ended; /* struct share_session */
	int64_t index;	   /* of the journal, of the last command that was answered */
	uint64_t stop_ms;  /* when what is not given back yet is let be; 0: never */
	struct share_call call;
	struct arena arena;
};

struct share_release *share_release_new(struct agent *agent);

/* Not while share_release_is_busy(); agent->stop is woken when that ends. */
void share_release_free(struct share_release *r);
bool share_release_is_busy(const struct share_release *r);

/* The agent stops: connections go on ending, and what their members had goes back, for a while. */
void share_release_hurry(struct share_release *r);
void share_release_cancel(struct share_release *r);

/* The connection has ended, and with it its sessions. */
void share_release_connection(struct share_release *r, uint64_t connection_id);

/* All that the member of a session that it ends has in its partitions goes back with this. */
struct peer_share_request *share_release_request(struct arena *a,
						 const struct share_session *session);

#endif
