/* Which member of a share group reads which partitions: a pure function, Kafka's `simple` one by
 * what it promises.  Every partition has a member, every member a partition of those it subscribed
 * to: where there are more partitions each has one member, where there are more members they share
 * them evenly. */
#ifndef STREAMS_COORDINATOR_SHARE_ASSIGNOR_H
#define STREAMS_COORDINATOR_SHARE_ASSIGNOR_H

#include "streams/coordinator/assignor.h"

#define SHARE_ASSIGNOR_NAME "simple"

/* In the order in which the members stand there; what they had before does not matter. */
void share_assign(struct arena *scratch, const struct assignor_input *input);

#endif
