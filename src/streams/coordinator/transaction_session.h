/* Which connection speaks for a transactional id.
 *
 * EndTxn of the first protocol does not say which transaction it ends.  One that was delayed, on a
 * connection its client has given up long ago, would end a later transaction.  So each accepted
 * request notes its connection, and one on an older connection than the last one is not served: its
 * connection ends.  A client that is alive comes back on a newer one.  InitProducerId is served on
 * any: it takes the next epoch, which fences whoever spoke before.
 *
 * Connections of one life of an agent are numbered; of several lives it is remembered in which
 * order they came here: the newest first, each with its last connection. */
#ifndef STREAMS_COORDINATOR_TRANSACTION_SESSION_H
#define STREAMS_COORDINATOR_TRANSACTION_SESSION_H

#include "base/arena.h"
#include "base/err.h"

enum { TRANSACTION_SESSIONS_MAX = 8, TRANSACTION_SESSION_BYTES = 16 };

struct transaction_session {
	int64_t incarnation; /* of the agent; 0: nobody knows, which is as good as the last one */
	int64_t connection;
};

enum transaction_session_age {
	TRANSACTION_SESSION_SAME,
	TRANSACTION_SESSION_NEWER, /* to be noted once its request is accepted */
	TRANSACTION_SESSION_OLDER,
};

/* `sessions` is a column as it was noted; empty: none yet. */
enum transaction_session_age transaction_session_look(struct slice sessions,
						      struct transaction_session session);

/* The column with `session` as its first; lives in the arena. */
struct slice transaction_session_note(struct arena *a, struct slice sessions,
				      struct transaction_session session);

#endif
