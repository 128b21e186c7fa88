/* Tells control what this agent's bucket was asked and what clients wrote and read, so that it is
 * in the catalog (coordinator/usage.h): as often as control wants, and only when there was
 * something. */
#ifndef STREAMS_AGENT_REPORTER_H
#define STREAMS_AGENT_REPORTER_H

#include "streams/catalog/usage.h"

enum {
	REPORTER_LAST_MS = 1000, /* for the report at the end */
	REPORTER_ASK_MS = 1000,	 /* until control has said how often */
};

struct agent;
struct reporter;

struct reporter *reporter_start(struct agent *agent);

/* A last report, if control can be reached; then it ends soon, frees itself, sets agent->reporter
 * to NULL and wakes agent->stop.  Harmless twice. */
void reporter_stop(struct reporter *r);

void reporter_cancel(struct reporter *r); /* the same, without a report */

/* Kafka's bytes, counted when they are certain. */
void reporter_add_produced(struct agent *agent, size_t bytes);
void reporter_add_fetched(struct agent *agent, size_t bytes);

#endif
