/* How far consumer groups are behind, for /metrics: for each group and topic the records that were
 * written and not yet committed as read.
 *
 * Each live agent tells of its share of the groups, so that no lag is told twice and no process has
 * all the work.  What it takes is bounded: rows, series, and the part of the loop's time. */
#ifndef STREAMS_AGENT_GROUP_LAG_H
#define STREAMS_AGENT_GROUP_LAG_H

#include "streams/agent/agent.h"
#include "wire/metrics/exposition.h"

enum {
	GROUP_LAG_SERIES_MAX = 1000, /* groups and topics; the rest is told as one */
	GROUP_LAG_ROWS_MAX = 20000,  /* committed offsets that are read for it */
	GROUP_LAG_SHARE = 100,	     /* one part of so many of the time, at most, is for it */
};

void group_lag_write(struct agent *agent, struct exposition *e);

#endif
