/* The brokers clients are told of: the live agents, and always this one. */
#ifndef STREAMS_AGENT_BROKERS_H
#define STREAMS_AGENT_BROKERS_H

#include "streams/agent/agent.h"
#include "streams/catalog/catalog.h"

/* An array in the arena, sorted by node id. */
MUST_CHECK enum err brokers_live(struct arena *a, struct agent *agent, struct catalog_agent **ret,
				 size_t *ret_count);

/* The cluster id as Kafka shows it: 22 characters in the arena. */
struct slice brokers_cluster_id(struct arena *a, const struct agent *agent);

#endif
