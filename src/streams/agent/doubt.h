/* Asks control now and then whether it still leads, while readers wait for records that do not
 * come.
 *
 * A leader that was fenced finds out when it commits or is asked.  Readers at the end of a
 * partition ask for neither: without this they would wait beside a control process that lost its
 * journal and does not know, while producers are served elsewhere.  When it learns of it the link
 * goes, and then the readers' connections (AGENT_ORPHAN_MS). */
#ifndef STREAMS_AGENT_DOUBT_H
#define STREAMS_AGENT_DOUBT_H

#include "streams/agent/sync.h"

enum { DOUBT_MS = 5000 }; /* between two questions */

struct doubt {
	struct task task;
	struct agent *agent;
	struct sync sync;
	uint64_t quiet_until_ms;
};

/* A reader got nothing. */
void doubt(struct agent *agent);

bool doubt_is_busy(const struct agent *agent);

/* Ends soon and wakes agent->stop. */
void doubt_stop(struct agent *agent);

#endif
