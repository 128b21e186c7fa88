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

/* For leader_run().  ERR_INVALID: the names are empty or too long. */
MUST_CHECK enum err hello_run(struct cell *cell, void *argument);

/* For leader_run(): `argument` is the int64_t incarnation of an agent that went away. */
MUST_CHECK enum err hello_forget_run(struct cell *cell, void *argument);

/* For leader_run(): `argument` is the int64_t incarnation of an agent that is there. */
MUST_CHECK enum err hello_keep_run(struct cell *cell, void *argument);

/* For leader_run(), by a new leader: nobody has said hello yet. */
MUST_CHECK enum err hello_forget_all_run(struct cell *cell, void *argument);

#endif
