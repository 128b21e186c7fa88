/* Addresses that nobody reaches or reads along with who is not let in anyway: of the machine itself
 * and of a mesh, whose packets are encrypted and filtered. */
#ifndef STREAMS_AGENT_SHIELDED_H
#define STREAMS_AGENT_SHIELDED_H

#include <stdbool.h>

/* A number; anything else is not. */
bool address_is_shielded(const char *host);

/* What to listen on: a number, or a name all of whose addresses are.  Asks the resolver for names.
 */
bool host_is_shielded(const char *host);

#endif
