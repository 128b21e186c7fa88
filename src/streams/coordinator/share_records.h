/* The one command on the records of share groups: what a member says of those it has, and which of
 * the batches that its agent has read it gets.  No record bytes come here. */
#ifndef STREAMS_COORDINATOR_SHARE_RECORDS_H
#define STREAMS_COORDINATOR_SHARE_RECORDS_H

#include "peer_messages.h"
#include "streams/catalog/share.h"

struct share_records {
	struct arena *arena;
	const struct peer_share_request *request;
	int64_t now_ms;
	struct peer_share_response *response; /* filled */
};

/* For leader_run(). */
enum err share_records_run(struct cell *cell, void *argument);

/* Partitions that a group (its row) has begun, by topic. */
struct share_begun {
	int64_t topic; /* row */
	int32_t partition;
};
MUST_CHECK enum err share_places(struct arena *a, struct cell *cell, int64_t group,
				 struct share_begun **ret, size_t *ret_count);

/* Inside a transaction: what the group knows of a partition from now on. */
MUST_CHECK enum err share_write(struct cell *cell, int64_t group, int64_t topic, int32_t partition,
				const struct share_partition *state);

#endif
