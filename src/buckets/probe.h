/* What a bucket can be trusted with, found out by trying (storage.md 2): seven checks with objects
 * below "v1/probe/", which are removed afterwards.
 *
 * A probe can refute, never prove: a store may lose a race tomorrow that it won 640 times today.
 * What fails says why the bucket gets a lower class, or none:
 *
 *	create, race, slow race	  fail: class raw; a commit of the journal costs a round trip more
 *	missing, list, range	  fail, or cannot be tried: not to be used at all
 *	clock			  fails: is said, and nothing more
 *
 * A check that this kind of bucket does not need, or that could not be tried, is skipped and says
 * so.  Without an answer to "create" the bucket stays raw. */
#ifndef BUCKETS_PROBE_H
#define BUCKETS_PROBE_H

#include "buckets/bucket.h"

enum {
	PROBE_CREATORS = 32,
	PROBE_ROUNDS = 20,
	PROBE_HOLD_MS = 2000,
	PROBE_SKEW_MS_MAX = 60 * 1000,
	PROBE_NAMES_MAX = 64,
	PROBE_PREFIX_BYTES = sizeof("v1/probe/0123456789abcdef/"),
};

enum probe_check {
	PROBE_CREATE,	 /* create twice: the second is told that there is something */
	PROBE_RACE,	 /* creators at once: exactly one wins, and its bytes are stored */
	PROBE_SLOW_RACE, /* the same while the bodies are on their way: looked again at the end? */
	PROBE_MISSING,	 /* look, write, look: is "not there" remembered? */
	PROBE_LIST,	 /* written is listed, deleted is not, in order, and from any name on */
	PROBE_CLOCK,	 /* the date of its answers */
	PROBE_RANGE,	 /* parts of objects; checksums that are sent and come back */
	PROBE_CHECKS
};

enum probe_outcome { PROBE_SKIPPED, PROBE_PASSED, PROBE_REFUTED };

struct probe_finding {
	enum probe_outcome outcome;
	char why[TASK_WHY_BYTES]; /* what was seen, or why it was skipped */
};

/* "slow race" */
const char *probe_check_name(enum probe_check check);

/* What it means that this one was refuted: a sentence. */
const char *probe_check_meaning(enum probe_check check);

/* A root task or a child.  It ends OK when every check has a finding, ERR_CANCELED after
 * probe_stop(), else with the error and `task.why` that kept it from trying anything.  The bucket's
 * class is changed while it runs, so nobody else may use the bucket. */
struct probe {
	struct task task;
	struct bucket *bucket;
	void (*on_finding)(struct probe *p, enum probe_check check); /* may be NULL */
	struct probe_finding findings[PROBE_CHECKS];
	char prefix[PROBE_PREFIX_BYTES]; /* of all its objects */
	bool is_usable;			 /* at the end: it has a class, which is: */
	enum bucket_class class;
	size_t left_count; /* of objects that could not be removed */

	struct task checks; /* the rest is private; canceled by probe_stop() */
	struct probe_work *work;
	enum probe_check check;
	bool is_stopped;
	char names[PROBE_NAMES_MAX][PROBE_PREFIX_BYTES + 16];
	bool is_written[PROBE_NAMES_MAX];
	size_t name_count;
	struct bucket_op removals[PROBE_NAMES_MAX];
	enum bucket_class class_before;
};

/* `prefix` is drawn here: before anything is written it can be said. */
void probe_init(struct probe *p, struct bucket *b);
void probe_start(struct probe *p, struct task *parent);
void probe_start_root(struct probe *p, struct loop *loop);

/* Check nothing more and remove what was written; harmless at any time. */
void probe_stop(struct probe *p);

/* The URL to use a bucket with that was opened as `url`: with its class. */
void probe_url(const struct probe *p, const char *url, char ret[BUCKET_KEY_BYTES_MAX + 16]);

#endif
