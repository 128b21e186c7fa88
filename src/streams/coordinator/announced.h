/* Files that are announced: their PUT is under way, and the request that will commit them is kept
 * (table `announced`), so that a commit can be answered before its own record is durable.  Whoever
 * leads next would find the request, and make the same of it.  Decision 0046 has the rules.
 *
 * The rows are the truth.  Memory has of each what costs time to find out (which files it shares
 * something with) and what only this leader knows (when the announcement came, and in which record
 * it is); a row that memory does not know is read again, and never answered early.
 *
 * Two files share something when they write to the same partition or in a transaction of the same
 * id: then the one that is committed first has a say in what becomes of the other. */
#ifndef STREAMS_COORDINATOR_ANNOUNCED_H
#define STREAMS_COORDINATOR_ANNOUNCED_H

#include "base/list.h"
#include "base/map.h"
#include "cells/leader.h"
#include "streams/coordinator/commit_file.h"

enum {
	ANNOUNCED_FILES_MAX = 1000,
	ANNOUNCED_BYTES_MAX = 16 << 20,		  /* of their requests */
	ANNOUNCED_REQUEST_BYTES_MAX = 512 * 1024, /* of one: it is a value of a cell */
	ANNOUNCED_HOLD_MS = 300,		  /* what a commit waits for older files */
	ANNOUNCED_EARLY_MS = 30000,		  /* from an announcement to an early answer */
};

/* How long a tombstone stays: as long as the fences of journals, for the same leaders and agents
 * that stood still and do not know it. */
#define ANNOUNCED_BURNT_MS ((int64_t)7 * 24 * 3600 * 1000)

struct announced_numbers {
	uint64_t held;	/* commits that waited for older files, */
	uint64_t late;	/* and those for which that took too long */
	uint64_t there; /* files that were settled, and are committed */
	uint64_t burnt;
};

struct announced {
	struct map entries; /* struct announced_file, by incarnation and sequence */
	struct list held;   /* struct announced_hold */
	struct announced_numbers numbers;
	uint64_t hold_ms; /* ANNOUNCED_HOLD_MS */
	bool is_all_left; /* every file is to be settled, and none is announced */
};

/* What memory has of one. */
struct announced_file {
	int64_t name[2];  /* incarnation and sequence: the key */
	uint64_t index;	  /* of the record with the announcement; 0: not known */
	uint64_t came_ms; /* clock_boot_ms() */
	int64_t came_wall_ms;
	uint64_t *keys; /* what it may share, sorted */
	size_t key_count;
	/* settling.h */
	uint64_t left_ms; /* since its agent has no session, of the loop; 0: it has */
	bool is_left;	  /* to be settled */
	bool is_asked, has_verdict, is_there;
};

/* A commit that waits until nothing older shares something with its file. */
struct announced_hold {
	struct list link;
	struct task *task; /* woken whenever a file is not announced any more */
};

void announced_init(struct announced *a);
void announced_done(struct announced *a);
void announced_clear(struct announced *a); /* a term begins or ends */

/* NULL: there is no such row. */
struct announced_file *announced_find(struct announced *a, struct cell *cell, int64_t incarnation,
				      int64_t sequence);
bool announced_has(struct cell *cell, int64_t incarnation, int64_t sequence);
size_t announced_count(struct cell *cell);

/* Is an older file announced that shares something with this one?  `only_left`: of those that are
 * to be settled.  False as well when this one is not announced. */
bool announced_is_blocked(struct announced *a, struct cell *cell, int64_t incarnation,
			  int64_t sequence, bool only_left);

void announced_hold(struct announced *a, struct announced_hold *hold, struct task *task);
void announced_let_go(struct announced_hold *hold);

/* --- commands ----------------------------------------------------------------------------------
 */

struct announced_command {
	struct announced *announced;
	struct leader_call *leader; /* of this command: what may be early is said there */
	struct arena *arena;
	int64_t incarnation, sequence, low_sequence;
	int64_t now_ms; /* of the journal */
	/* of an announcement */
	const struct peer_commit_file_request *request;
	struct slice body; /* the same, encoded */
	struct peer_commit_file_response *response;
	/* Out, of a confirmation: as commit_file.h has them. */
	struct peer_early_push_run *placed;
	size_t placed_count;
};

/* For leader_run_kind(), neutral.  OK: it is announced, or it is decided, and then `response` is
 * what that gave.  ERR_FULL, ERR_TOO_BIG: one too many; ERR_BUSY: the file that it comes after is
 * not known, or the term is not settled.  Else as commit_file_run(). */
MUST_CHECK enum err announced_announce_run(struct cell *cell, void *argument);

/* After one that failed, which it may do when it has run: memory keeps nothing without a row.
 * `cell` may be NULL. */
void announced_check(struct announced *a, struct cell *cell, int64_t incarnation, int64_t sequence);

/* For leader_run_kind(), firm; it makes itself a repeatable one where it is.  ERR_NOT_FOUND: it is
 * neither announced nor decided.  ERR_BUSY: the file that it comes after is not decided. */
MUST_CHECK enum err announced_confirm_run(struct cell *cell, void *argument);

/* For leader_run().  OK: nothing of the file is or will be committed.  ERR_EXISTS: it was. */
MUST_CHECK enum err announced_withdraw_run(struct cell *cell, void *argument);

/* For leader_run_kind(), settling.  What of the files that are to be settled can be: each whose
 * verdict is here, after the older ones that it shares something with. */
struct announced_settle {
	struct announced *announced;
	int64_t now_ms;
	bool is_single;		       /* no more than one: several did not fit */
	size_t there, burnt;	       /* out */
	int64_t incarnation, sequence; /* out, with an error: of which file */
};
MUST_CHECK enum err announced_settle_run(struct cell *cell, void *argument);

/* Is there something for it to do? */
bool announced_can_settle(struct announced *a, struct cell *cell);

/* The files that are announced, in their order. */
struct announced_row {
	int64_t incarnation, sequence, size;
};
size_t announced_rows(struct arena *a, struct cell *cell, struct announced_row **ret);

#endif
