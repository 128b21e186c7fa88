/* A leader: the journal engine, its buckets and a cell, put together.
 *
 * While it leads, commands run on the cell one after the other, each in a transaction.  Their
 * changes gather until they are sealed into one record (group commit), which the engine makes
 * durable in the buckets.  The cell is therefore ahead of durability: every answer, also a negative
 * one, waits until the record it depends on is committed, or could be made again (enum
 * leader_kind).  A leader that loses its journal throws
 * the cell away; whoever waited gets ERR_UNKNOWN (it had changes under way) or ERR_UNAVAILABLE.
 *
 * Sealing: at once when nothing is in flight (after the run queue has drained, so that commands of
 * one turn share a record), else when an append completes or LEADER_SEAL_BYTES have gathered.  In
 * buckets that are far (bucket_is_far) an append takes long: records are sealed beside those under
 * way, but only so often, because requests cost there, and not for each append that completes.
 *
 * Everything happens on the loop of the owner. */
#ifndef CELLS_LEADER_H
#define CELLS_LEADER_H

#include "base/histogram.h"
#include "buckets/bucket.h"
#include "cells/follower.h"
#include "cells/journal.h"
#include "loop/worker.h"

enum {
	LEADER_SEAL_BYTES = 1 << 20,
	LEADER_APPENDS_PER_S = 25, /* beside others, to buckets that are far, unless configured */
	LEADER_COMPANY_MS = 100,   /* what changes wait that are answered early, for others */
	LEADER_APPENDS_SAVED = 4,  /* of those of a second, when they were not used */
	LEADER_AHEAD_MAX = 8,	   /* of them under way; JOURNAL_IN_FLIGHT_MAX has room for more */
	LEADER_PENDING_CALLS_MAX = 100000,	 /* more are refused with ERR_BUSY */
	LEADER_SPECULATIVE_BYTES_MAX = 64 << 20, /* run but not durable; above: ERR_BUSY */
	LEADER_STOP_MS = 10000,			 /* what a graceful stop waits for the buckets */
	LEADER_CHECK_MS = 5000,			 /* what a fence check may take */
};

struct leader;

enum leader_state {
	LEADER_IDLE,	    /* follows nothing, leads nothing */
	LEADER_CAMPAIGNING, /* election, recovery, replay */
	LEADER_LEADING,
};

struct leader_watcher {
	/* The cell is replayed and current, the start record is durable. */
	void (*on_leading)(void *context);
	/* The election failed or the journal was lost; the cell is gone, every call has been woken.
	 * The state is LEADER_IDLE again.  `holder` is the address in the newest start record seen,
	 * "" when unknown: where to send heartbeats. */
	void (*on_lost)(void *context, const char *why, const char *holder);
	/* Record `index` is durable, in order without gaps; for followers.  `record` is a
	 * cell record as cell_apply() takes it; borrowed during the call.  Only records committed
	 * while leading: what was adopted at the takeover is in every image. */
	void (*on_committed)(void *context, uint64_t index, struct slice record);
};

struct leader_config {
	struct bucket *const *buckets; /* outlive the leader */
	int bucket_count;
	const char *journal;   /* "main" */
	const char *node;      /* name of this node, for people */
	const char *address;   /* HOST:PORT of the peer protocol, goes into start records */
	const char *cell_name; /* of the cell in records and images; NULL: `journal` */
	const struct cell_schema *schema; /* its history from version 1 on; missing steps are
					   * applied as the first record of a takeover */
	size_t schema_count;		  /* steps in `schema`; 0 counts as 1 */
	const struct leader_watcher *watcher;
	void *context;
	uint64_t snapshot_bytes;  /* record bytes after which a snapshot is taken; 0: default 8 MiB.
				   * Also after 2048 records, so that a start stays short */
	uint64_t record_grace_ms; /* before covered records are deleted; 0: default 1 h */
	uint64_t fence_grace_ms;  /* before fences are deleted; 0: default 7 days */
	uint64_t check_ms;	  /* what a fence check may take; 0: LEADER_CHECK_MS */
	int appends_per_s;	  /* 1 to 1000; 0: LEADER_APPENDS_PER_S */
};

struct leader *leader_new(struct loop *loop, const struct leader_config *config);

/* Nothing is in flight any more when the task of leader_stop() has ended. */
void leader_free(struct leader *l);

/* Begin an election; ends with on_leading or on_lost, unless the leader is stopped before.  Only
 * when LEADER_IDLE; may be called from on_lost (better after a pause: two candidates that never
 * wait keep fencing each other). */
void leader_campaign(struct leader *l);

/* A cell that followed the journal, see standby.h. */
struct leader_warm {
	struct cell *cell; /* NULL: none */
	uint64_t index;	   /* of the last record in it */
	uint32_t checksum; /* of that record's object in the journal; 0: it came with a snapshot */
};

/* The same, and begin with the warm cell, which is taken over, instead of loading the snapshot: but
 * only if the adopted log turns out to hold the record it ends with, checksum and content hash;
 * else it is thrown away and nothing of it matters. */
void leader_campaign_warm(struct leader *l, struct leader_warm *warm);

/* A record of the journal, and the content hash of the cell after it. */
struct leader_position {
	uint64_t index; /* 0: none */
	struct hash128 hash;
};

/* This record was committed, for sure.  A journal that ends before it, or has another one there,
 * has lost acknowledged changes: every campaign refuses it from now on.  The highest one counts;
 * what this leader committed it knows by itself. */
void leader_know(struct leader *l, const struct leader_position *p);

/* While it leads: OK, this journal has it, or it is too long ago to tell; ERR_NOT_FOUND, it ends
 * before; ERR_CONFLICT, it has another one there.  Only a fence check that began afterwards tells
 * whether the answer is not merely that of a leader who has been replaced. */
MUST_CHECK enum err leader_compare(const struct leader *l, const struct leader_position *p);

/* The journal was proven to be wrong: stop leading it, with on_lost. */
void leader_refuse(struct leader *l, const char *why);

/* Seal and commit what there is, take a snapshot if one is due, then stop leading; child task.
 * Gives up waiting for slow buckets after LEADER_STOP_MS; canceled, it stops at once.  on_lost is
 * not called for it; calls that are still waiting end as when the journal is lost. */
struct leader_stop {
	struct task task;
	struct leader *leader;
	uint64_t since_ms; /* private */
};
void leader_stop(struct leader_stop *s, struct task *parent, struct leader *l);

enum leader_state leader_state(const struct leader *l);
struct epoch leader_epoch(const struct leader *l);

/* The cell, for reading what may be ahead of durability; NULL unless LEADER_LEADING. */
struct cell *leader_cell(struct leader *l);

/* Time as commands see it: never decreases within a journal. */
uint64_t leader_now_ms(struct leader *l);

/* What a command is to those that are answered early (decision 0046).  A repeatable one is, when
 * the last firm change before it is durable, and the record `after_index`: what can be lost with
 * this leader are changes that the next one makes again, and those that do not matter to them. */
enum leader_kind {
	LEADER_FIRM,	   /* anything may depend on what it changes */
	LEADER_SETTLING,   /* the same, and it runs before the term is settled */
	LEADER_NEUTRAL,	   /* no repeatable command looks at what it changes */
	LEADER_REPEATABLE, /* whoever leads next runs it again, with the same outcome */
};

/* Run one command.  `run` is called with the open transaction from the first step of the task;
 * what it returns decides commit or rollback.  The task ends when everything it saw is durable:
 * with what `run` returned, ERR_UNAVAILABLE (not leading: `run` was not called, or its changes are
 * certainly gone), ERR_UNKNOWN (its changes were sent, or will be made again, and the journal was
 * lost), ERR_BUSY. */
struct leader_call {
	struct task task;
	struct leader *leader;
	enum err (*run)(struct cell *cell, void *argument);
	void *argument;
	/* `run` may set these four. */
	enum leader_kind kind;
	uint64_t after_index; /* of a repeatable one: it is not answered before this is durable */
	bool waits;	      /* it is answered like any other, though it can be repeated */
	bool is_remade;	      /* whoever leads next comes to do it, sent or not */
	uint64_t index;	      /* out: the record it depends on; known durable when OK, unless */
	bool is_early;	      /* out: it was answered before that */
	struct list waiting;  /* private, and so is what follows */
	uint64_t due_index;   /* the record it waits for */
	uint64_t token;	      /* fence check */
	bool has_changes;
	bool is_pending;
	enum err result;
};
void leader_run(struct leader_call *call, struct task *parent, struct leader *l,
		enum err (*run)(struct cell *cell, void *argument), void *argument);

/* The same for a command that is not firm. */
void leader_run_kind(struct leader_call *call, struct task *parent, struct leader *l,
		     enum leader_kind kind, enum err (*run)(struct cell *cell, void *argument),
		     void *argument);

/* Inside `run`: the record that carries what it changes. */
uint64_t leader_next_index(const struct leader *l);

/* While a term is not settled, firm commands end with ERR_UNAVAILABLE and do not run.  Called from
 * on_leading, and when it is. */
void leader_set_settling(struct leader *l, bool is_settling);

/* An append takes long: a majority needs buckets that are far. */
bool leader_is_far(const struct leader *l);

/* Wait for a fence check begun after now: on OK this node was still the leader at some moment after
 * the call, and everything answered before the call is durable, at an index <= call->index.
 * ERR_TIMEOUT when the buckets do not answer within LEADER_CHECK_MS: whether it leads is not
 * known. */
void leader_fence(struct leader_call *call, struct task *parent, struct leader *l);

/* An image of the cell for a new follower: gets room for it on another thread, seals what is
 * pending, copies the pages, and ends when the record it covers is durable.  A follower that starts
 * with the image wants the records from index + 1 on: the owner collects what on_committed() brings
 * from the moment it called leader_image(), and drops the records up to `index`.  ERR_UNAVAILABLE
 * when not leading. */
struct leader_image {
	struct task task;
	struct leader *leader;
	uint64_t index;		     /* out */
	struct follower_image image; /* out; the caller ends it with follower_image_done() */
	struct list waiting;	     /* private, and so is what follows */
	struct worker_job job;
	struct cell_room room;
	unsigned rooms; /* made so far */
	bool is_dropped;
};
void leader_image(struct leader_image *image, struct task *parent, struct leader *l);

/* What it counted since the process began, for /metrics. */
struct leader_numbers {
	uint64_t terms;			/* in which it came to lead */
	uint64_t commands;		/* that ran on the cell */
	uint64_t early;			/* of them, answered before their record was durable */
	struct histogram seal_waited;	/* of records, from their first command until sealing: us */
	struct histogram commit_took;	/* of records, from sealing until they are durable: us */
	struct histogram record_bytes;	/* their sizes */
	struct histogram commands_each; /* commands of a record: group commit */
};
const struct leader_numbers *leader_get_numbers(const struct leader *l);

/* For `hanse status`. */
struct leader_status {
	enum leader_state state;
	struct epoch epoch;
	uint64_t committed_index;
	uint64_t snapshot_index;
	uint64_t snapshot_ms; /* the journal's time of that record; 0: not known */
	uint64_t in_flight;
	uint64_t record_bytes; /* since the last snapshot */
	uint64_t warm_index;   /* this term began with a warm cell of that record; 0: it did not */
	struct hash128 content_hash;
	uint64_t known_index; /* what a journal must have, see leader_know() */
	bool is_cold;	      /* when this term began, nobody here knew what was committed */
	bool is_refused;      /* the last term ended because the journal is not what is known */
};
void leader_get_status(const struct leader *l, struct leader_status *ret);

#endif
