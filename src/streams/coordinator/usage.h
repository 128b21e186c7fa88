/* What buckets were asked goes into the catalog: reports of agents, and control's own journal.
 *
 * A process counts from its start (buckets/meter.h) and reports what came since its last report, at
 * most once in USAGE_REPORT_MS and only if something came.  A report is repeated until it is known
 * to be taken; source and sequence make that count once.  So a crash loses what was counted since
 * the last report, a minute's at most, and an orderly stop what it needs itself.
 *
 * Control's own numbers go with the reports of agents, or by themselves when they are more than
 * writing them makes: else a journal would be written to for its own accounts, and never rest. */
#ifndef STREAMS_COORDINATOR_USAGE_H
#define STREAMS_COORDINATOR_USAGE_H

#include "cells/leader.h"
#include "streams/catalog/usage.h"

struct coordinator;

enum {
	USAGE_REPORT_MS = 60 * 1000,	    /* HANSE_TEST_USAGE_MS is less, in tests */
	USAGE_OWN_REQUESTS_MIN = 16,	    /* of one journal bucket */
	USAGE_SOURCE_MS = 24 * 3600 * 1000, /* a report is not repeated for so long */
	USAGE_BUCKETS_MAX = 8,
	USAGE_FINISH_MS = 2000,
};

struct usage_report {
	int64_t source, sequence;
	int64_t now_ms;	    /* of the wall: the month it counts for */
	int64_t covered_ms; /* what it reports began so long ago */
	struct slice purpose;
	struct {
		struct slice bucket;
		struct meter meter;
	} buckets[USAGE_BUCKETS_MAX];
	size_t bucket_count;
	struct usage_traffic traffic; /* goes to the first bucket */
};

/* For leader_run().  ERR_INVALID: numbers that cannot be; ERR_FULL: too many buckets this month. */
MUST_CHECK enum err usage_run(struct cell *cell, void *argument);

/* What an agent sent, as a report; ERR_INVALID.  Borrows the request. */
struct peer_usage_request;
MUST_CHECK enum err usage_from_request(const struct peer_usage_request *request, int64_t now_ms,
				       struct usage_report *ret);

/* Milliseconds between reports. */
uint64_t usage_report_ms(void);

/* The task that reports for control, while it leads. */
void usage_start(struct coordinator *c);
void usage_cancel(struct coordinator *c);

/* The last report before an orderly stop, as a child of `parent` with a short deadline.  Starts
 * nothing where there is nothing to tell. */
void usage_finish(struct leader_call *call, struct task *parent, struct coordinator *c);

/* An agent's report was taken: there will be a record anyway. */
void usage_wake(struct coordinator *c);

#endif
