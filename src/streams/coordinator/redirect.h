/* What a node that does not lead answers to an agent that can go to the one that does. */
#ifndef STREAMS_COORDINATOR_REDIRECT_H
#define STREAMS_COORDINATOR_REDIRECT_H

#include "loop/stream.h"

enum { REDIRECT_MS = 1000 }; /* for the agent to take the answer */

/* True: the hello that waits in the inbox was answered with the address.  False: there is none, not
 * all of it, or its agent cannot follow. */
bool redirect_hello(struct stream *s, const char *leader);

#endif
