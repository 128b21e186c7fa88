/* The journal: an ordered, gap-free log of committed payloads over N passive buckets, with one
 * leader at a time (doc/formats/journal.md gives every byte).
 *
 * This is the engine: it does no I/O, has no clock and no globals.  The caller feeds it one event
 * at a time and executes the effects it answers with:
 *
 *     caller                             engine
 *     CANDIDATE  ----------------------> LIST, PUT, GET effects on every bucket
 *     DONE(op, err, body or names) ----> more of them ...
 *                                        ADOPTED   load this snapshot (or start empty)
 *                                        RECORD*   replay these, in order
 *                                        LEADS     or FAILED: back off, CANDIDATE again
 *     APPEND(payload) -----------------> PUT on every bucket, then GET of the own fence (class
 *                                        raw), or PUT_NEW alone (class cas)
 *                                        COMMITTED all records up to this index: answer clients
 *     CHECK(token) --------------------> GET of the own fence
 *                                        CHECKED   no newer leader had committed anything
 *                                                  when the CHECK with this token was given
 *     SNAPSHOT, TRIM, TICK ------------> deletes, repair of buckets that were away
 *                                        LOST      fenced: throw all state away; what was
 *                                                  appended and not committed may or may not
 *                                                  survive.  Only CANDIDATE is accepted now.
 *
 * Rules for the caller
 * - Effects of one step are executed in order; I/O effects may run in parallel and complete in any
 *   order.  Every I/O effect is answered by exactly one DONE with its `op`, also after LOST or
 *   FAILED, and also after a timeout (ERR_UNKNOWN for a write that may have happened).  The engine
 *   needs no retries by the caller: a bucket that failed is joined again at a TICK.
 * - An APPEND is acknowledged to anybody only when COMMITTED reached its index.
 * - A nonce is 64 random bits, new for every CANDIDATE.
 * - On ADOPTED all state of the application is discarded first. */
#ifndef CELLS_JOURNAL_H
#define CELLS_JOURNAL_H

#include "base/blob.h"
#include "base/err.h"
#include "base/slice.h"

enum {
	JOURNAL_BUCKETS_MAX = 5,
	JOURNAL_NAME_BYTES_MAX = 63,
	JOURNAL_KEY_BYTES = 160, /* with the NUL */
	JOURNAL_PAYLOAD_BYTES_MAX = 8 << 20,
	JOURNAL_OBJECT_BYTES_MAX = JOURNAL_PAYLOAD_BYTES_MAX + 4096, /* of every GET */
	JOURNAL_IN_FLIGHT_MAX = 16, /* records appended, uncommitted */
	JOURNAL_IN_FLIGHT_BYTES_MAX = 32 << 20,
	JOURNAL_SNAPSHOT_BYTES_MAX = 128,
	JOURNAL_ADDRESS_BYTES_MAX = 255,
	JOURNAL_NODE_BYTES_MAX = 63,
	JOURNAL_WHY_BYTES = 192,
};

/* A term of one leader.  Two candidates never share one: the counter orders them, the random nonce
 * tells apart those that drew the same counter.  {0, 0} is "none". */
struct epoch {
	uint64_t counter, nonce;
};

enum { EPOCH_TEXT_BYTES = 33 }; /* 32 hex digits, lexicographic order = order of epochs */

int epoch_compare(struct epoch a, struct epoch b);
void epoch_text(char ret[EPOCH_TEXT_BYTES], struct epoch e);

/* What a bucket can be trusted with. */
enum journal_class {
	JOURNAL_RAW, /* read-after-write (also of LIST) of names that are never used twice */
	JOURNAL_CAS, /* and create-if-absent, proven under races: an append needs no GET */
};

struct journal_config {
	char name[JOURNAL_NAME_BYTES_MAX + 1]; /* [a-z0-9-]+ */
	unsigned bucket_count;		       /* 1, 3 or 5; a quorum is the majority */
	enum journal_class classes[JOURNAL_BUCKETS_MAX];
};

/* Where the newest snapshot is.  `bytes` belong to the caller's layer: the journal only keeps
 * them, in every later record.  index 0 and no bytes: no snapshot, start from nothing. */
struct journal_snapshot {
	uint64_t index; /* the snapshot holds every record up to this one */
	uint8_t size;
	uint8_t bytes[JOURNAL_SNAPSHOT_BYTES_MAX];
};

enum journal_event_kind {
	JOURNAL_CANDIDATE, /* begin an election; allowed when idle, that is after LOST or FAILED */
	JOURNAL_DONE,	   /* an I/O effect finished */
	JOURNAL_APPEND,	   /* leader only; its index is journal_last_index() after the step */
	JOURNAL_CHECK,	   /* leader only; tokens are > 0 and increase within an epoch */
	JOURNAL_SNAPSHOT,  /* leader only; a snapshot up to a committed index is on a quorum */
	JOURNAL_TRIM,	   /* leader only; delete what a snapshot covers */
	JOURNAL_TICK,	   /* about once a second while leading, and when journal_retry_wait_ms() is
			      over: joins absent buckets again */
	JOURNAL_RESIGN,	   /* stop leading or the election; answered by LOST */
};

struct journal_event {
	enum journal_event_kind kind;
	uint64_t now_ms; /* Unix time, in every event; may jump, the engine never trusts it for
			    write safety within the hour a zombie may sleep */
	union {
		struct {
			uint64_t nonce;
			const char *address;  /* where others reach the leader; at most
						JOURNAL_ADDRESS_BYTES_MAX */
			const char *node;     /* for people; at most JOURNAL_NODE_BYTES_MAX */
			uint64_t known_index; /* the caller knows that this record was committed: a
						 log that ends before it has lost something, and is
						 refused before anything is adopted; 0: none */
		} candidate;
		struct {
			uint64_t op;
			enum err err;	   /* as a bucket answers; ERR_NOT_FOUND is told
					      apart from every other failure */
			struct blob *body; /* GET, on OK; the engine takes its own reference */
			const struct slice *names; /* LIST, on OK: full keys, sorted; borrowed */
			size_t name_count;
			bool more; /* LIST: there are more after the last one */
		} done;
		struct {
			struct slice payload; /* copied; at most JOURNAL_PAYLOAD_BYTES_MAX */
		} append;
		struct {
			uint64_t token;
		} check;
		struct journal_snapshot snapshot;
		struct {
			uint64_t record_grace_ms; /* normally 1 h */
			uint64_t fence_grace_ms;  /* normally 7 days; never below a zombie's life,
						     which the caller measures by a clock that
						     does not jump: UINT64_MAX until then */
		} trim;
	};
};

enum journal_effect_kind {
	/* I/O: answer each with one DONE. */
	JOURNAL_IO_PUT,	    /* bucket, key, body; an identical retry is harmless */
	JOURNAL_IO_PUT_NEW, /* the same; ERR_EXISTS when present, and durable; ERR_UNSUPPORTED in
			       a bucket that is not trusted with it */
	JOURNAL_IO_GET,	    /* bucket, key; ERR_TOO_BIG above JOURNAL_OBJECT_BYTES_MAX */
	JOURNAL_IO_LIST,    /* bucket, key is the prefix, names greater than `after` */
	JOURNAL_IO_DELETE,  /* bucket, key; OK when absent */
	/* Outcomes. */
	/* snapshot, index = last index of the adopted log as far as known: RECORDs follow from
	 * snapshot.index + 1, over several steps; LEADS tells where they ended. */
	JOURNAL_ADOPTED,
	JOURNAL_RECORD,	   /* index, payload (a part of body), time_ms */
	JOURNAL_LEADS,	   /* epoch, index = last index of the adopted log */
	JOURNAL_COMMITTED, /* index: every record up to it */
	JOURNAL_CHECKED,   /* token: every CHECK up to it */
	JOURNAL_LOST,	   /* err, why, epoch = the higher one if known */
	/* The same, of an election.  ERR_UNAVAILABLE: no quorum.  ERR_CONFLICT: a higher epoch is
	 * about.  ERR_CORRUPT: `why` names the object, a person is needed.  ERR_UNSUPPORTED: a
	 * newer format.  ERR_INVALID: the buckets hold a journal of another configuration. */
	JOURNAL_FAILED,
};

struct journal_effect {
	enum journal_effect_kind kind;
	unsigned bucket;
	uint64_t op;
	char key[JOURNAL_KEY_BYTES];
	char after[JOURNAL_KEY_BYTES]; /* "" from the beginning */
	struct blob *body;	       /* owned by the effects: ref it to keep it */
	struct slice payload;
	uint64_t index;
	uint64_t time_ms;
	uint64_t token;
	struct epoch epoch;
	struct journal_snapshot snapshot;
	enum err err;
	char why[JOURNAL_WHY_BYTES];
};

/* What one step wants done; the caller clears it after executing. */
struct journal_effects {
	struct journal_effect *items;
	size_t count, capacity;
};

void journal_effects_init(struct journal_effects *fx);
void journal_effects_clear(struct journal_effects *fx); /* drops the bodies, keeps the room */
void journal_effects_done(struct journal_effects *fx);

struct journal;

struct journal *journal_new(const struct journal_config *config); /* the config is valid: assert */
void journal_free(struct journal *j);

/* One event in, effects appended to `fx`.  Anything but OK means the event was refused and nothing
 * changed: ERR_BUSY (APPEND over JOURNAL_IN_FLIGHT_*: wait for COMMITTED), ERR_TOO_BIG,
 * ERR_CONFLICT (not allowed in this role, e.g. APPEND while not leading), ERR_INVALID (a snapshot
 * beyond what is committed or behind the newest one). */
MUST_CHECK enum err journal_step(struct journal *j, const struct journal_event *event,
				 struct journal_effects *fx);

enum journal_role { JOURNAL_IDLE, JOURNAL_ELECTING, JOURNAL_LEADING };

enum journal_role journal_role(const struct journal *j);
struct epoch journal_epoch(const struct journal *j);	 /* of the last candidacy */
uint64_t journal_last_index(const struct journal *j);	 /* last appended or adopted */
uint64_t journal_committed(const struct journal *j);	 /* last committed */
size_t journal_in_flight(const struct journal *j);	 /* records appended, uncommitted */
uint64_t journal_retry_wait_ms(const struct journal *j); /* until a TICK has something to join;
							     UINT64_MAX: nothing */
unsigned journal_counting(const struct journal *j);	 /* bit k: bucket k counts in a quorum */
struct journal_snapshot journal_newest_snapshot(const struct journal *j);
const char *journal_holder(const struct journal *j); /* address of the newest other leader whose
							start record or mark was read; "" unknown */

#endif
