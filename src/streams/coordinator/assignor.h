/* Which member is to get which partitions, decided by the server: pure functions.
 *
 *	uniform  everybody the same number, give or take one, as far as subscriptions allow; what a
 *	         member had before it keeps unless that would be too many.  Racks are not looked at.
 *	range    of each topic in turn, neighbours to neighbours: partition n of topics with equally
 *	         many partitions goes to one member. */
#ifndef STREAMS_COORDINATOR_ASSIGNOR_H
#define STREAMS_COORDINATOR_ASSIGNOR_H

#include "base/arena.h"
#include "streams/coordinator/partition_set.h"

enum { ASSIGNOR_PASSES_MAX = 100 };

struct assignor_topic {
	struct uuid topic_id;
	int32_t partition_count;
};

struct assignor_member {
	struct slice order;	/* range gives in this order: the instance id, or the member id */
	const uint32_t *topics; /* subscribed: positions in the list of topics, ascending */
	size_t topic_count;
	const struct partition_set *before; /* what it was to get until now */
	struct partition_set *ret;	    /* empty before */
};

struct assignor_input {
	const struct assignor_topic *topics; /* in the order of ids */
	size_t topic_count;
	struct assignor_member *members;
	size_t member_count;
};

struct assignor {
	const char *name;
	void (*assign)(struct arena *scratch, const struct assignor_input *input);
};

/* NULL: there is none of this name. */
const struct assignor *assignor_find(struct slice name);

/* All of them; the first one is the default. */
extern const struct assignor assignors[];
extern const size_t assignors_count;

/* For a sentence that lists them. */
#define ASSIGNOR_NAMES "uniform, range"

#endif
