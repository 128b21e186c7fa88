/* Deletes the objects of dead data files, and then lets control forget the files.
 *
 * A file is dead when none of its batches can be read any more.  Its object goes only after a
 * grace, longer than any fetch that still has a plan to read it; its row only after the bucket has
 * confirmed that the object is gone, so a crash in between repeats the deletion.
 *
 * A list that is old does no harm: a file that is dead stays dead, its name cannot be committed
 * again (coordinator/forget_files.h), and no other object ever gets it.
 *
 * Control, which forgets, looks again whether the grace was over.  Here it is over by the journal's
 * time and, from the last record on, by the loop's clock: a machine whose date is wrong deletes
 * nothing early.
 *
 * Several objects are deleted at the same time.  Where requests cost and are counted (a bucket that
 * is far), all deletions of an agent share one budget of requests, which grows with that of puts:
 * each file that is put has to be deleted some day, and what was left over is caught up. */
#ifndef STREAMS_AGENT_JANITOR_H
#define STREAMS_AGENT_JANITOR_H

#include "buckets/bucket.h"
#include "loop/task.h"
#include "streams/agent/flush_budget.h"

enum {
	JANITOR_PAUSE_MS = 10 * 1000,
	JANITOR_FILES_MAX = 100,	    /* per round */
	JANITOR_DELETIONS_FAR_MAX = 16,	    /* at the same time */
	JANITOR_DELETIONS_NEAR_MAX = 2,	    /* of a directory: they and producers' puts share the
					     * four threads of the pool */
	JANITOR_DELETES_PER_PUT = 4,	    /* of the budgets of a far bucket */
	JANITOR_MORE_MS = 5,		    /* to the next round, while there are more */
	JANITOR_FAILURES_MAX = 10,	    /* of a round: then the bucket is left alone for now */
	JANITOR_DELETE_MS = 30 * 1000,	    /* deadline of one */
	JANITOR_OTHERS_MS = 60 * 60 * 1000, /* after the grace, an agent deletes those of others */
	JANITOR_QUIET_MS = 60 * 1000,	    /* between log lines */
};

struct agent;
struct janitor;

/* Works until janitor_stop(); HANSE_TEST_DATA_GRACE_MS shortens grace and pause for tests. */
struct janitor *janitor_start(struct agent *agent);

/* The budget of deletions of an agent whose puts have `puts_per_s`. */
void janitor_init_budget(struct flush_budget *ret, int puts_per_s, uint64_t now_ms);

/* Ends soon, frees itself, sets agent->janitor to NULL and wakes agent->stop. */
void janitor_stop(struct janitor *j);

#endif
