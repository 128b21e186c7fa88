/* An agent says hello: it gets a node id for good, and an incarnation that makes the files of its
 * earlier lives worthless. */
#ifndef STREAMS_COORDINATOR_HELLO_H
#define STREAMS_COORDINATOR_HELLO_H

#include "cells/cell.h"
#include "peer_messages.h"

struct hello {
	const struct peer_hello_request *request;
	int32_t node_id;     /* out */
	int64_t incarnation; /* out */
};

/* For leader_run().  ERR_INVALID: the names are empty or too long, or the condition is none.
 * An agent that serves is live at once; whether others are is for the roll (roll.h). */
MUST_CHECK enum err hello_run(struct cell *cell, void *argument);

#endif
