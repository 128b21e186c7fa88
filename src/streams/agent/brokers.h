/* The brokers one client is told of.
 *
 * Any agent serves any partition.  A client is sent to one node for everything, so that it has
 * few connections and its batches of one partition meet in one file.  Which one follows from its
 * name, its address and the live agents of its site alone: every agent says the same, and when
 * agents come or go only the clients move that have to, or that balance asks for.
 *
 * A node with several agents (`mates`) shares the partitions out among them, the same for every
 * client: so one client uses all its cores, and who reads a partition finds in memory what others
 * have written (doc/decisions/0048). */
#ifndef STREAMS_AGENT_BROKERS_H
#define STREAMS_AGENT_BROKERS_H

#include "streams/agent/request.h"
#include "streams/catalog/catalog.h"

enum { BROKERS_SITES_MAX = 8 }; /* of which a partition seems to have a replica */

/* The agents of one node. */
struct broker_mates {
	const struct catalog_agent *at[CATALOG_AGENT_NUMBER_MAX]; /* by number; NULL: not live */
	size_t size;						  /* numbers there are, or were */
	size_t live_count;
};

struct brokers {
	struct catalog_agent *agents; /* live, by node id; at least one */
	size_t count;
	const struct catalog_agent *known; /* also those that are not live */
	size_t known_count;
	/* The client's: coordinator, controller, and leader where its node has no others. */
	const struct catalog_agent *chosen;
	struct broker_mates mates; /* of the client's node */
	/* `chosen` and one agent of each other site: what seems to be a partition's replicas.
	 * Clients believe in a preferred replica only if it is one of them. */
	const struct catalog_agent *replicas[BROKERS_SITES_MAX];
	size_t replica_count;
	int32_t *replica_ids[CATALOG_AGENT_NUMBER_MAX]; /* see brokers_replicas(); by number */
};

/* For the client of `r`, in the request's arena. */
MUST_CHECK enum err brokers_find(struct request *r, struct brokers *ret);

/* Do all partitions have the same leader, `chosen`? */
bool brokers_are_alike(const struct brokers *b);

/* Who leads the partition, for the client. */
const struct catalog_agent *brokers_leader(const struct brokers *b, const struct uuid *topic_id,
					   int32_t partition);

/* What seem to be the replicas of partitions that `leader` leads: `replica_count` node ids in the
 * request's arena, its own first. */
int32_t *brokers_replicas(struct request *r, struct brokers *b, const struct catalog_agent *leader);

/* The node id of an agent of `site` for the client of `r` to read from, or -1: this agent is of
 * that site, or no live one is.  From now on it is known to be there (racks.h). */
int32_t brokers_preferred(struct request *r, struct slice site);

/* The agent the client of `r` had better go to, if that is not this one; else NULL. */
const struct catalog_agent *brokers_elsewhere(struct request *r);

/* The cluster id as Kafka shows it: 22 characters in the arena. */
struct slice brokers_cluster_id(struct arena *a, const struct agent *agent);

#endif
