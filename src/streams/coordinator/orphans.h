/* Orphans: objects below v1/d/ that no commit named and none ever will.
 *
 * An agent lists the bucket, a page at a time (agent/orphan_scan.h), and tells what its catalog
 * does not have.  Here is decided.  Such an object is an orphan for good
 *  - when its incarnation is over: nobody can commit with it, and it is granted to nobody again;
 *  - when its agent has said that everything up to it is decided (low_sequence);
 * and it is none, or nobody can tell
 *  - when it is announced: whoever leads finds out what becomes of it (settling.h);
 *  - when the agent lives, or a job has the incarnation, and the file may be on its way (G4);
 *  - when the incarnation was never granted in this journal, or by nobody who is remembered
 *    (unsure.h): then the catalog may be older than the bucket, and the object be all that is left.
 *
 * An orphan gets a row as a dead file.  That row refuses a commit of its name, the janitors delete
 * the object after their grace and then let the row be forgotten: there is one way to delete.
 *
 * Turns: one agent at a time scans, a pass now and then, and none while nothing was written. */
#ifndef STREAMS_COORDINATOR_ORPHANS_H
#define STREAMS_COORDINATOR_ORPHANS_H

#include "buckets/bucket.h"
#include "cells/cell.h"
#include "peer_messages.h"
#include "wire/streams/data_file.h"

enum {
	ORPHANS_PAGE_MAX = 1000,	      /* names in a page, and files told of it */
	ORPHANS_FIRST_MS = 10 * 60 * 1000,    /* from when a node leads to its first pass */
	ORPHANS_PASS_MS = 6 * 60 * 60 * 1000, /* from the end of one to the next, and up to */
	ORPHANS_JITTER_MS = 30 * 60 * 1000,   /* so much more */
	ORPHANS_PAGE_PAUSE_MS = 5000,	      /* from a page to the next: 17,280 LISTs a day */
	ORPHANS_ASK_MS = 5 * 60 * 1000,	      /* when an agent is to ask again at the latest */
	ORPHANS_HOLD_MS = 2 * 60 * 1000,      /* whose turn it is, and is not heard */
};

/* --- the decision ------------------------------------------------------------------------------
 */

enum orphan_verdict {
	ORPHAN_KNOWN,	/* the catalog has it */
	ORPHAN_PENDING, /* may be committed yet */
	ORPHAN_UNSURE,	/* the catalog may be too old to tell */
	ORPHAN_FOR_GOOD,
	ORPHAN_VERDICTS,
};

/* What is in no table. */
struct orphan_lives {
	/* Every lower sequence of this incarnation is decided, as its agent said; 0: not heard. */
	int64_t (*low_sequence)(void *context, int64_t incarnation);
	/* A job has this incarnation now. */
	bool (*is_leased)(void *context, int64_t incarnation);
	void *context;
};

struct orphans_page {
	const struct peer_orphans_request *request;
	struct orphan_lives lives;
	int64_t now_ms;
	int64_t counts[ORPHAN_VERDICTS]; /* out */
};

/* For leader_run(): orphans of the page become dead files.  ERR_TOO_BIG, ERR_INVALID. */
MUST_CHECK enum err orphans_run(struct cell *cell, void *argument);

/* --- turns -------------------------------------------------------------------------------------
 */

/* The last pass that came to its end, while this process leads. */
struct orphan_pass {
	uint64_t ended_ms; /* of the loop; 0: none */
	int64_t listed, counts[ORPHAN_VERDICTS];
};

struct orphan_turns {
	uint64_t first_ms, pass_ms, page_pause_ms, ask_ms; /* less in tests */
	uint64_t due_ms;				   /* when a pass may begin */
	bool has_news; /* agents wrote or ended since the last pass began */
	bool is_under_way;
	int64_t holder;				 /* incarnation */
	uint64_t heard_ms;			 /* when it was heard */
	uint64_t next_ms;			 /* when the next page may be listed */
	char after[BUCKET_KEY_BYTES_MAX + 1];	 /* any name: there may be objects of others */
	int64_t listed, counts[ORPHAN_VERDICTS]; /* of the pass */
	bool is_ended;				 /* out: this page was the last */
	struct orphan_pass last;
};

/* Jitter is below ORPHANS_JITTER_MS.  HANSE_TEST_ORPHANS_MS shortens all times. */
void orphan_turns_begin(struct orphan_turns *t, uint64_t now_ms, uint64_t jitter_ms);
void orphan_turns_note_news(struct orphan_turns *t);

/* The agent of this incarnation is gone: another one goes on. */
void orphan_turns_leave(struct orphan_turns *t, int64_t incarnation);

/* The agent of this incarnation asks, or brings the page that it was told to list.  ERR_INVALID:
 * nobody told it. */
MUST_CHECK enum err orphan_turns_check(const struct orphan_turns *t, int64_t incarnation,
				       const struct peer_orphans_request *request);

/* What orphan_turns_check() lets through; `counts` says what became of the page. */
MUST_CHECK enum err orphan_turns_take(struct orphan_turns *t, uint64_t now_ms, uint64_t jitter_ms,
				      int64_t incarnation,
				      const struct peer_orphans_request *request,
				      const int64_t counts[ORPHAN_VERDICTS]);

/* What to tell it: 0, and t->after, or how long to wait. */
uint64_t orphan_turns_wait_ms(struct orphan_turns *t, uint64_t now_ms, int64_t incarnation);

#endif
