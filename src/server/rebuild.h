/* A cluster whose journal is lost comes back from its data files: hanse-rebuild(1), decision 0042.
 *
 *	v1/cluster of the bucket of the records -> every journal bucket is empty, or holds what a
 *	rebuild left -> all data files are read -> the plan; here a dry run ends -> v1/cluster in
 *	the journal buckets -> the journal is led, and the plan written into it -> it is given back
 *
 * Nothing in the bucket of the records is changed. */
#ifndef SERVER_REBUILD_H
#define SERVER_REBUILD_H

#include "buckets/bucket.h"
#include "cells/journal.h"
#include "streams/rebuild/plan.h"
#include "wire/keys/keyring.h"

enum {
	REBUILD_WHY_BYTES = 400,
	REBUILD_CAMPAIGNS_MAX = 5,
	REBUILD_PAUSE_MS = 300,
	REBUILD_POLL_MS = 20,
	REBUILD_FAILURES_MAX = 3, /* of reading a journal that is there */
};

/* Names above it leave too little room for those that are given after a rebuild: half of what the
 * next one believes. */
#define REBUILD_INCARNATION_MAX (PLAN_OFFSET_MAX / 2)

struct rebuild_config {
	struct bucket *const *journals; /* all outlive the call */
	int journal_count;
	struct bucket *bucket;	    /* of the records; may be one of `journals` */
	const struct keyring *keys; /* NULL: nothing is sealed */
	bool is_deep;		    /* read all of every data file, and check it */
	bool is_dry;		    /* write nothing */
	enum plan_undecided undecided;
	uint64_t now_ms;				      /* wall clock */
	void (*on_progress)(void *context, const char *text); /* may be NULL */
	void *context;
};

struct rebuild_report {
	struct uuid cluster_id;
	bool is_sealed;
	bool is_anew; /* an earlier rebuild was cut off */
	bool is_written;
	uint64_t index;	       /* last record of the journal */
	int64_t foreign_count; /* objects with names that were never given */
	struct plan_report plan;
};

/* Runs on a loop of its own until it is done; what it returns lives in `a`.  On failure `why` says
 * why and what to do, and *ret is what is known: its plan has files if it came so far. */
MUST_CHECK enum err rebuild_run(struct arena *a, const struct rebuild_config *config,
				struct rebuild_report *ret, char why[REBUILD_WHY_BYTES]);

#endif
