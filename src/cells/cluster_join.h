/* A bucket for data only, which no journal is in, belongs to one cluster all the same: it has the
 * cluster's object, or is empty and gets it. */
#ifndef CELLS_CLUSTER_JOIN_H
#define CELLS_CLUSTER_JOIN_H

#include "base/uuid.h"
#include "cells/cluster.h"
#include "loop/timer.h"

enum { CLUSTER_JOIN_SETTLE_MS = 300 }; /* another cluster may be about to take the same bucket */

/* A child task.  ERR_INVALID: the bucket holds something else or belongs to another cluster;
 * ERR_UNSUPPORTED: a newer format; ERR_DENIED and ERR_CORRUPT as cluster_check(); or what the
 * bucket says.  task.why says what to do. */
struct cluster_join {
	struct task task;
	struct bucket *bucket;
	const struct keyring *keys; /* set once it was started, borrowed; NULL: it is not sealed */
	bool has_records; /* set once it was started: the cluster has some, so an empty bucket is
			   * the wrong one, or was emptied */
	struct cluster cluster;
	bool is_listed; /* and was not empty: another agent may have joined meanwhile */

	struct bucket_op op; /* the rest is private */
	struct sleep sleep;
	struct arena arena;
	struct buf body;
};

void cluster_join(struct cluster_join *j, struct task *parent, struct bucket *bucket,
		  struct uuid cluster_id);

#endif
