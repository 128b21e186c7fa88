/* Operations that only look into the replica once it is current: decode, sync, answer. */
#ifndef STREAMS_AGENT_SYNCED_H
#define STREAMS_AGENT_SYNCED_H

#include "streams/agent/request.h"
#include "streams/agent/sync.h"

#define SYNCED_TOO_LATE "not known in time whether this is how it is"

/* The state of such an operation. */
struct synced {
	const void *request; /* decoded */
	struct sync sync;
};

enum { SYNCED_PLACES = 2 };
extern const char *const synced_places[SYNCED_PLACES];

/* The step function.  `answer` is called once, with the decoded request; unless `is_current`, what
 * the replica says may be old, which is REQUEST_TIMED_OUT. */
enum step synced_step(struct request *r,
		      enum step (*answer)(struct request *r, const void *decoded, bool is_current));

#endif
