/* Consumer groups of this coordinator: the classic protocol (JoinGroup, SyncGroup, Heartbeat,
 * LeaveGroup), the consumer protocol (ConsumerGroupHeartbeat), committed offsets, and what
 * administrators ask about groups.
 *
 * Heartbeats and deadlines live in memory and restart in full after a takeover; generations,
 * members, assignments and offsets are in the cell, and nothing is answered before it is durable.
 */
#ifndef STREAMS_COORDINATOR_GROUPS_H
#define STREAMS_COORDINATOR_GROUPS_H

#include "streams/coordinator/kafka_call.h"

struct groups;

/* By a new leader: reads the groups from the cell. */
struct groups *groups_new(struct coordinator *c);

/* Every call that waits is ended with ERR_UNAVAILABLE. */
void groups_free(struct groups *g);

/* Topics came, went or grew: groups look again at their next heartbeat. */
void groups_topics_changed(struct coordinator *c);

size_t groups_count(const struct groups *g);

#endif
