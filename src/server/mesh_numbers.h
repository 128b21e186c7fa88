/* What the processes of a mesh tell at /metrics: peers and their paths, the relay, the names. */
#ifndef SERVER_MESH_NUMBERS_H
#define SERVER_MESH_NUMBERS_H

#include "mesh/relay/relay.h"
#include "names/server.h"
#include "wire/metrics/exposition.h"

struct mesh;

void mesh_numbers_write(struct mesh *m, struct exposition *e);
void relay_numbers_write(const struct relay_counts *c, struct exposition *e);
void names_numbers_write(const struct names_counters *c, struct exposition *e);

#endif
