/* Where the other agents of the site ask for blocks.  Only who has the key of agents comes in. */
#ifndef STREAMS_AGENT_SITE_DOOR_H
#define STREAMS_AGENT_SITE_DOOR_H

#include "streams/agent/site.h"

enum {
	SITE_DOOR_RETRY_MS = 100,     /* a process that was just killed may still hold the port, */
	SITE_DOOR_PATIENCE_MS = 3000, /* and who holds it longer keeps it */
	SITE_VISITORS_MAX = 128,      /* connections; the oldest makes room */
	SITE_READS_MAX = 32,	      /* from the bucket, for one of them */
	SITE_PENDING_BYTES_MAX = 16 << 20, /* of answers that one has not taken: then it is busy */
	SITE_DOOR_PENDING_BYTES_MAX = 64 << 20, /* and all of them together */
	SITE_QUESTION_BYTES_MAX = 16 * 1024,	/* of those that one sends, until they are read */
};

struct site_door;

/* Where agent->config says.  If somebody else has the port it is tried again for a moment. */
struct site_door *site_door_open(struct agent *agent, struct site_numbers *numbers);
const char *site_door_place(const struct site_door *door); /* as site_place() */

/* Closes it, and cancels what is being read; wakes agent->stop when all that has ended. */
void site_door_stop(struct site_door *door);
bool site_door_is_busy(const struct site_door *door);
void site_door_free(struct site_door *door); /* stopped, and not busy */

#endif
