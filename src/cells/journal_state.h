/* What the journal engine knows, shared by its files only.
 *
 *   journal.c           events in, the table of operations, winning and losing
 *   journal_join.c      one lane: mark, list, fence, look for start records
 *   journal_seal.c      and close the slots of the last leader where it only created
 *   journal_elect.c     choose, read the tip, walk the chain, replay
 *   journal_start.c     copy the adopted tail, write the start record
 *   journal_lead.c      append, fence checks, commit, absent buckets
 *   journal_slot.c      what a create tells that succeeded or met something
 *   journal_fill.c      copy to a bucket what it missed
 *   journal_trim.c      delete what snapshots cover
 *   journal_format.c    names and bytes
 *
 * A *lane* is the conversation with one bucket: lanes run in parallel and never wait for each other
 * except where a quorum is needed.  A *candidacy* is one CANDIDATE event and all that follows from
 * it; answers to operations of an older candidacy, or of an older life of a lane, are dropped. */
#ifndef CELLS_JOURNAL_STATE_H
#define CELLS_JOURNAL_STATE_H

#include "cells/journal_format.h"

enum {
	MARKS_MAX = 65536,	    /* of one bucket; a leader's TRIM removes old ones */
	FENCE_BATCH_MAX = 8,	    /* marks fenced at once, newest first */
	TAIL_RECORDS_MAX = 1 << 20, /* listed of the adopted epoch */
	SEGMENTS_MAX = 4096,	    /* epochs between the snapshot and the end of the log */
	REPLAY_WINDOW = 16,	    /* records being read at once */
	FILL_WINDOW = 4,
	FILL_RECORDS_MAX = 1 << 20,   /* compared in one round */
	TRIM_BATCH = 64,	      /* objects being deleted at once */
	LAG_OPERATIONS_MAX = 256,     /* unanswered operations until a bucket counts as absent */
	SLOTS_AHEAD_MAX = 512,	      /* slots created beyond the first that is not */
	ANNOUNCED_MAX = 16,	      /* snapshots remembered for TRIM */
	RETRY_MS_MIN = 50,	      /* before an absent bucket is joined again */
	RETRY_MS_MAX = 30000,	      /* it doubles up to this, */
	RETRY_MS_URGENT = 2000,	      /* or this: without it nothing can be committed */
	MARKS_FRESH_MS = 3600 * 1000, /* a leader's look at the marks is trusted for so long */
};

#define EPOCH_COUNTER_MAX (UINT64_C(1) << 62) /* a mark above is not ours */

/* How far a lane is; every state includes what those before it achieved. */
enum lane_state {
	LANE_OUT,    /* failed, or not begun */
	LANE_LOOK,   /* listing marks, to choose an epoch above them */
	LANE_MARK,   /* writing our mark */
	LANE_MARKS,  /* listing marks: none may be above ours */
	LANE_FENCES, /* fencing lower epochs, newest first ... */
	LANE_STARTS, /* ... until one of them has a start record */
	LANE_SEAL,   /* closing the slots of that epoch, if it created them */
	LANE_JOINED, /* lower epochs can write nothing here any more that counts */
	LANE_TAIL,   /* listing the records of the chosen epoch */
	LANE_TAILED,
	LANE_COPY, /* writing the adopted tail */
	LANE_COPIED,
	LANE_START,  /* writing our start record */
	LANE_CHECK,  /* looking for our fence after it */
	LANE_ACTIVE, /* takes records */
};

struct fill {
	bool active, failed;
	size_t segment;	     /* the one being compared */
	uint64_t upto;	     /* last index that was not sent to the lane directly */
	uint64_t done;	     /* everything up to this index is there */
	uint64_t first, end; /* this round compares first + 1 .. end */
	uint64_t next;	     /* to be looked at next */
	uint8_t *present;    /* bit i: the bucket has record first + 1 + i */
	bool start_present;  /* and the start record of the segment */
	unsigned pending;    /* objects on their way */
};

/* A lower epoch, and how its leader drove this bucket. */
struct mark {
	struct epoch epoch;
	enum journal_class class;
};

struct lane {
	enum lane_state state;
	uint64_t life;	      /* grows when the lane fails */
	unsigned outstanding; /* operations not yet answered, of any life */
	unsigned pending;     /* of the current state */
	bool counts;	      /* joined in the election, or filled since */
	bool filled;	      /* holds all records after the snapshot */
	bool copied;	      /* took part in the election */
	uint64_t retry_ms, retry_wait_ms;

	struct mark *marks; /* lower ones, ascending; [0, marks_left) are not fenced yet */
	size_t marks_count, marks_capacity, marks_left;
	struct epoch top;  /* highest with a start record here; {0, 0}: none */
	uint64_t marks_ms; /* when they were listed last */

	/* sealing `top` */
	uint64_t sealing;      /* the slot that seemed free */
	uint64_t sealed;       /* the one that has a seal; 0: none */
	uint64_t sealed_floor; /* slots up to here were taken by their leader */

	/* our own slots, which are records by their index (journal_slot.c) */
	bool dense;			      /* a create that succeeds is an ok */
	uint64_t created;		      /* all up to here were created by us */
	uint64_t ahead[SLOTS_AHEAD_MAX / 64]; /* and these: bit index % SLOTS_AHEAD_MAX */
	uint64_t floor;			      /* the newest that is there, as a sequence */
	bool probing;			      /* a look for the fence is due ... */
	uint64_t probed;		      /* ... when more was appended since this one */

	bool checking;	      /* a GET of our fence is under way */
	uint64_t token_asked; /* newest CHECK before that GET was sent */
	uint64_t token_done;

	struct fill fill;
#ifdef JOURNAL_BUG_NOREWRITE
	uint64_t top_base, top_count;
	bool measured;
#endif
};

enum op_kind {
	OP_LOOK,
	OP_MARK,
	OP_MARKS,
	OP_FENCE,
	OP_STARTS,
	OP_SEAL_FLOORS,
	OP_SEAL_LIST,
	OP_SEAL_LAST,
	OP_SEAL,
	OP_FLOORS,
	OP_TAIL,
	OP_TIP,
	OP_CHAIN,
	OP_REPLAY,
	OP_DOUBT,
	OP_COPY,
	OP_START,
	OP_START_CHECK,
	OP_RECORD,
	OP_SLOT,
	OP_CHECK,
	OP_REFRESH,
	OP_FILL_LIST,
	OP_FILL_GET,
	OP_FILL_PUT,
	OP_FLOOR,
	OP_TRIM_LIST,
	OP_TRIM_DELETE,
	OP_MEASURE, /* of a planted bug */
	OP_KINDS
};

struct op {
	uint64_t id; /* 0: free */
	uint64_t candidacy;
	uint64_t life; /* of `lane` */
	enum op_kind kind;
	unsigned lane;	    /* whom it serves */
	unsigned bucket;    /* whom it asks */
	struct epoch epoch; /* what it is about */
	uint64_t sequence;  /* 0: the start record */
	uint64_t sent_ms;
	/* fetches only: one object, from any bucket that has it intact */
	unsigned tried; /* bit k */
	bool copy;	/* this one is about a later leader's copy ... */
	bool sealed;	/* ... because a seal is in the place of the record */
	bool corrupt, unavailable, unsupported;
};

/* One name in the tail of the adopted epoch, and which voters listed it. */
struct tail_record {
	uint64_t sequence;
	unsigned holders;
};

/* A stretch of the log: the records 1..count of one epoch, indexes base + 1 .. base + count. */
struct segment {
	struct epoch epoch;
	uint64_t base, count;
	unsigned cas; /* bit k: its leader created the slots on bucket k, so some may be seals */
	uint32_t start_checksum;
	struct epoch previous; /* as its start record says */
	uint64_t previous_sequence;
	uint32_t previous_checksum;
};

struct replay_slot {
	struct blob *body; /* NULL: not here yet */
	struct journal_object object;
};

/* A record that is appended and not committed. */
struct flight {
	struct blob *body;
	unsigned put;	   /* bit k: the PUT on bucket k is done */
	unsigned asked;	   /* a fence check was sent after it */
	unsigned ok;	   /* it found no fence, and the lane counts */
	unsigned ok_later; /* the same, of a lane that does not count yet */
};

enum stage {
	STAGE_LOOK,   /* choosing our epoch */
	STAGE_JOIN,   /* until a quorum is joined and its tails are listed */
	STAGE_TIP,    /* reading the newest records of the chosen epoch */
	STAGE_CHAIN,  /* reading start records back to the snapshot */
	STAGE_REPLAY, /* handing out records */
	STAGE_DOUBT,  /* the log is damaged: or are we only late, and a new leader cleans up? */
	STAGE_START,  /* copying, then writing our start record */
	STAGE_LEAD,
};

enum trim_phase { TRIM_MARKS, TRIM_OBJECTS, TRIM_FENCES, TRIM_PHASES };

struct trim {
	bool active, failed;
	unsigned bucket;
	uint64_t life; /* of its lane: when it fails, nobody answers */
	enum trim_phase phase;
	uint64_t record_grace_ms, fence_grace_ms;
	uint64_t index; /* records up to it may go */
	char after[JOURNAL_KEY_BYTES];
	bool more;
	unsigned pending;
};

/* A snapshot pointer, and the first record that carried it. */
struct announced {
	uint64_t snapshot_index, record_index, time_ms;
};

struct journal {
	struct journal_config config;
	enum journal_role role;
	enum stage stage;
	struct journal_effects *fx; /* of the step under way */
	uint64_t now_ms;
	uint64_t last_ms; /* newest time in the log: it never decreases */

	/* candidacy */
	uint64_t candidacy;
	struct epoch epoch;
	bool reusable;	      /* the last candidacy ended before its start record was sent */
	struct epoch highest; /* of all epochs seen, ours included */
	char address[JOURNAL_ADDRESS_BYTES_MAX + 1];
	char node[JOURNAL_NODE_BYTES_MAX + 1];
	char holder[JOURNAL_ADDRESS_BYTES_MAX + 1];
	struct epoch holder_epoch;
	struct blob *mark, *start; /* ours: a retry writes the same bytes */
	struct lane lanes[JOURNAL_BUCKETS_MAX];

	/* operations: slots, found by the low bits of the id */
	struct op *ops;
	size_t ops_capacity;
	uint64_t ops_serial;

	/* recovery */
	bool chosen;
	struct epoch adopted; /* {0, 0}: an empty journal */
	unsigned voters;      /* lanes whose lists made the decision */
	uint64_t floor;	      /* of the adopted epoch: sequences up to it are committed */
	struct tail_record *tail;
	size_t tail_count, tail_capacity;
	struct blob *adopted_start; /* its start record */
	struct epoch adopted_epoch; /* the same as `adopted`, while leading */
	uint64_t adopted_ms;	    /* time of its start record: epochs below are dead since then */
	uint64_t watermark;	    /* everything up to this index is on a quorum */
	uint32_t checksum;	    /* of the last object of the log; 0: not known */
	struct segment *segments;   /* ascending, from the snapshot on */
	size_t segment_count, segment_capacity;
	uint64_t replay_next; /* index to ask for next */
	uint64_t replay_done; /* last one handed out */
	struct replay_slot replay[REPLAY_WINDOW];
	struct blob
		*kept[REPLAY_WINDOW * 4]; /* replayed and perhaps not on a quorum: to be copied */
	unsigned kept_count;
	bool copied; /* a quorum has the adopted tail */

	/* what STAGE_DOUBT will say if we are not late */
	uint64_t known_index; /* what the log must have at least */
	char doubt_why[JOURNAL_WHY_BYTES];
	unsigned doubts; /* buckets that have not answered */

	/* leading */
	uint64_t base_index;			      /* last adopted */
	uint64_t last_index;			      /* last appended */
	uint64_t committed;			      /* last committed */
	struct flight flights[JOURNAL_IN_FLIGHT_MAX]; /* of committed + 1 .. last_index */
	size_t flight_bytes;
	uint64_t token, token_told; /* newest CHECK; newest answered */
	struct journal_snapshot snapshot;
	uint64_t leads_ms;
	struct announced announced[ANNOUNCED_MAX];
	size_t announced_count;
	struct trim trim;
};

/* --- journal.c: effects and operations -------------------------------------------------------- */
struct journal_effect *journal_emit(struct journal *j, enum journal_effect_kind kind);

/* New I/O.  The op is filled in by the caller before the next call; so is the effect's key, which
 * the put, get and list helpers do. */
struct op *journal_op(struct journal *j, enum op_kind kind, unsigned lane, struct epoch epoch,
		      uint64_t sequence);
void journal_put(struct journal *j, const struct op *op, const char *key, struct blob *body);
void journal_put_new(struct journal *j, const struct op *op, const char *key, struct blob *body);
void journal_get(struct journal *j, const struct op *op, const char *key);
void journal_list(struct journal *j, const struct op *op, const char *prefix, const char *after);
void journal_delete(struct journal *j, const struct op *op, struct slice key);

/* Where the next page of a LIST begins.  False: the name is longer than any of ours. */
bool journal_last_name(const struct journal_event *event, char ret[JOURNAL_KEY_BYTES]);

/* Read one object from any bucket: journal_on_fetched() or journal_on_fetch_failed() follows. */
void journal_fetch(struct journal *j, enum op_kind kind, unsigned lane, struct epoch epoch,
		   uint64_t sequence, unsigned avoid);
void journal_fetch_done(struct journal *j, struct op *op, const struct journal_event *event);
const char *journal_fetch_why(const struct op *op);

/* The end of a candidacy: LOST when leading, FAILED when electing. */
void journal_lose(struct journal *j, enum err err, struct epoch higher, const char *format, ...)
	PRINTF_LIKE(4, 5);
void journal_lane_out(struct journal *j, unsigned k);
unsigned journal_quorum(const struct journal *j);
unsigned journal_lanes_at(const struct journal *j, enum lane_state state); /* or beyond: bits */
uint64_t journal_time(struct journal *j); /* for the next object of the log */

static inline bool epoch_is_none(struct epoch e)
{
	return e.counter == 0 && e.nonce == 0;
}

static inline unsigned bit(unsigned k)
{
	return 1u << k;
}

static inline unsigned bits_count(unsigned bits)
{
	return (unsigned)__builtin_popcount(bits);
}

/* --- journal_join.c --------------------------------------------------------------------------- */
void journal_look(struct journal *j, unsigned k);
void journal_join(struct journal *j, unsigned k);
void journal_look_done(struct journal *j, const struct op *op, const struct journal_event *event);
void journal_join_done(struct journal *j, const struct op *op, const struct journal_event *event);
void journal_joined(struct journal *j, unsigned k);

/* --- journal_seal.c --------------------------------------------------------------------------- */
void journal_seal(struct journal *j, unsigned k);
void journal_seal_done(struct journal *j, const struct op *op, const struct journal_event *event);

/* --- journal_elect.c -------------------------------------------------------------------------- */
void journal_choose_epoch(struct journal *j);
void journal_on_joined(struct journal *j, unsigned k);
void journal_choose(struct journal *j);
void journal_doubt_done(struct journal *j, const struct op *op, const struct journal_event *event);
void journal_floors_done(struct journal *j, const struct op *op, const struct journal_event *event);
void journal_tail_done(struct journal *j, const struct op *op, const struct journal_event *event);
void journal_recovery_fetched(struct journal *j, const struct op *op, struct blob *body,
			      const struct journal_object *object);
void journal_recovery_failed(struct journal *j, const struct op *op);
void journal_on_seal(struct journal *j, const struct op *op);

/* --- journal_start.c -------------------------------------------------------------------------- */
void journal_begin_start(struct journal *j);
void journal_copy(struct journal *j, unsigned k);
void journal_put_start(struct journal *j, unsigned k);
void journal_start_done(struct journal *j, const struct op *op, const struct journal_event *event);
void journal_recovery_clear(struct journal *j);

/* --- journal_lead.c --------------------------------------------------------------------------- */
void journal_on_active(struct journal *j, unsigned k);
enum err journal_append(struct journal *j, const struct journal_event *event);
void journal_check(struct journal *j, unsigned k);
void journal_commit(struct journal *j);
void journal_flights_clear(struct journal *j);
void journal_tick(struct journal *j);
void journal_lead_done(struct journal *j, const struct op *op, const struct journal_event *event);

/* What the GET of our own fence says: true: no fence.  Otherwise all or the lane is lost. */
bool journal_not_fenced(struct journal *j, const struct op *op, enum err err);

/* A mark above ours among the names: then everything is lost. */
bool journal_is_outdone(struct journal *j, const struct op *op, const struct journal_event *event);

/* The record is on the bucket, and no candidate had joined before.  Not committed yet. */
void journal_count(struct journal *j, unsigned k, uint64_t index);

/* The PUT of a record is done: whether it counts is to be found out. */
void journal_record_put(struct journal *j, unsigned k, uint64_t index);

/* LIST the marks above ours. */
void journal_look_above(struct journal *j, unsigned k, enum op_kind kind);
bool journal_marks_are_fresh(const struct journal *j, unsigned k);

/* --- journal_slot.c --------------------------------------------------------------------------- */
/* The lane is active: may a create be an ok from now on? */
void journal_slots_begin(struct journal *j, unsigned k);

/* A create of ours succeeded; `fresh`: and our look at the marks is young enough for an ok. */
void journal_slot_taken(struct journal *j, unsigned k, uint64_t index, bool fresh);

/* The name was taken: by ourselves, or by a seal? */
void journal_slot_met(struct journal *j, unsigned k, uint64_t sequence);
void journal_slot_done(struct journal *j, const struct op *op, const struct journal_event *event);
void journal_slots_clear(struct lane *l);

/* --- journal_fill.c --------------------------------------------------------------------------- */
void journal_fill(struct journal *j, unsigned k);
void journal_fill_stop(struct journal *j, unsigned k);
void journal_fill_done(struct journal *j, const struct op *op, const struct journal_event *event);
void journal_fill_fetched(struct journal *j, const struct op *op, struct blob *body);
void journal_fill_failed(struct journal *j, const struct op *op);

/* --- journal_trim.c --------------------------------------------------------------------------- */
void journal_announce(struct journal *j, uint64_t record_index);
void journal_trim(struct journal *j, const struct journal_event *event);
void journal_trim_done(struct journal *j, const struct op *op, const struct journal_event *event);

#endif
