/* `hanse serve --kafka mesh:9092`: the host "mesh" stands for this machine's own address in its
 * mesh, which its `hanse up` says. */
#ifndef SERVER_MESH_ADDRESS_H
#define SERVER_MESH_ADDRESS_H

#include "server/options.h"

enum { MESH_ADDRESS_WAIT_MS = 30 * 1000 };

/* Put the address in the place of "mesh" in --kafka, --advertise, --peer and --blocks, and the one
 * of the other family into --kafka-also; nothing is asked where none of them has it.  Waits for a
 * mesh that is only just coming up, `wait_ms` at most. */
MUST_CHECK enum err mesh_address_fill(struct options *o, uint64_t wait_ms,
				      char why[OPTION_WHY_BYTES]);

#endif
