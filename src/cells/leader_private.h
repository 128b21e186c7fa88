/* Inside of a leader; only for src/cells/leader*.c.
 *
 *	leader.c           life, the root task, what the engine's outcomes mean
 *	leader_io.c        the engine's I/O effects as bucket operations
 *	leader_call.c      commands, fence checks, images; sealing; waiting for durability
 *	leader_load.c      loading a snapshot
 *	leader_recover.c   from an adopted journal to a cell that leads
 *	leader_snapshot.c  taking snapshots
 *	leader_clean.c     deleting what no snapshot needs any more
 *	leader_history.c   what is known to have been committed
 *
 * Everything that waits is a child of `root`.  The engine is fed only by leader_feed(), never from
 * inside the handling of its effects: what an effect makes necessary is noted in `wants_*` or a
 * deferred callback, and the root's next step does it. */
#ifndef CELLS_LEADER_PRIVATE_H
#define CELLS_LEADER_PRIVATE_H

#include "base/map.h"
#include "cells/leader.h"
#include "cells/snapshot.h"
#include "loop/timer.h"

enum {
	LEADER_MAGIC = 0x4c656164,
	LEADER_IO_PARALLEL = 32,	 /* engine operations under way, without deletes */
	LEADER_DELETES_PARALLEL = 2,	 /* slow on purpose */
	LEADER_TRANSFERS_PARALLEL = 16,	 /* chunks of a snapshot under way */
	LEADER_IO_MS = 15000,		 /* deadline of one engine operation */
	LEADER_TRANSFER_MS = 30000,	 /* of one chunk */
	LEADER_TROUBLE_PAUSE_MS = 10000, /* between messages about one bucket */
	LEADER_TICK_MS = 1000,
	LEADER_FENCES_MS = 2 * 3600 * 1000, /* no fence goes before; twice what a zombie trusts */
	LEADER_TRIM_MS = 3600 * 1000,	    /* between trims, besides the one after a snapshot */
	LEADER_REPLAY_BYTES = 1 << 20,	    /* records applied in one turn of the loop */
	LEADER_SNAPSHOT_RETRY_MS = 2000,    /* doubles up to the next */
	LEADER_SNAPSHOT_RETRY_MS_MAX = 120 * 1000,
	LEADER_ROOMS_MAX = 3,	       /* made for one image, while the cell outgrows them */
	LEADER_LIST_PAGES_MAX = 256,   /* of chunks or manifests in one bucket */
	LEADER_CONDEMNED_MAX = 100000, /* objects waiting to be deleted */
	LEADER_HISTORY = 4096,	       /* newest records whose content hashes are kept */
	LEADER_POINTER_FORMAT = 1,
	LEADER_POINTER_BYTES = 1 + 16 + 4 + 16,

	/* Beyond this a command might not fit in the record: seal first. */
	LEADER_UNSEALED_BYTES_MAX = CELL_RECORD_BYTES_MAX - CELL_TRANSACTION_BYTES_MAX - 65536,
};

#define LEADER_SNAPSHOT_BYTES_DEFAULT ((uint64_t)8 << 20)

/* A start reads each record by itself, whatever its size: so many take a few tenths of a second. */
enum { LEADER_SNAPSHOT_RECORDS = 2048 };
/* Who reads the journal reads it for seconds; a day of it was millions of small files. */
#define LEADER_RECORD_GRACE_MS_DEFAULT ((uint64_t)3600 * 1000)
#define LEADER_FENCE_GRACE_MS_DEFAULT ((uint64_t)7 * 24 * 3600 * 1000)

/* One I/O effect of the engine: queued, then a child task of the root, then finished. */
struct leader_io {
	struct task task;
	struct leader *leader;
	struct list link; /* in one of io_queue, delete_queue, io_finished */
	struct bucket_op op;
	enum journal_effect_kind kind;
	unsigned bucket;
	uint64_t number;
	enum err err;
	bool is_counted; /* among the running ones */
	struct blob *body;
	struct arena arena;
	char key[JOURNAL_KEY_BYTES];
	char after[JOURNAL_KEY_BYTES];
};

/* A record: sealed and not durable yet, or adopted and not applied yet. */
struct leader_record {
	struct list link;
	uint64_t index;
	struct hash128 hash; /* of the cell after it; only of one that was sealed here */
	struct blob *body;
	struct slice payload; /* a part of the body */
	uint64_t sealed_us;   /* clock_now_us(); 0: not sealed here */
};

/* A snapshot whose chunks are known to be in the buckets. */
struct leader_manifest {
	struct arena arena;
	struct snapshot_manifest manifest;
	bool is_known;
};

/* One chunk on its way from or to a bucket. */
struct leader_transfer {
	struct bucket_op op;
	size_t chunk;
	unsigned bucket;
	unsigned tries;
	bool is_active;
	char key[SNAPSHOT_CHUNK_NAME_BYTES];
};

/* Loading a snapshot, see leader_load.c. */
struct leader_load {
	struct task task;
	const struct leader_config *config; /* buckets, journal, cell_name */
	struct journal_snapshot pointer;
	struct leader_manifest manifest;
	char key[JOURNAL_KEY_BYTES];
	struct bucket_op op;
	unsigned bucket;
	uint32_t manifest_bytes;
	struct hash128 hash; /* of the manifest */
	uint8_t *image;
	size_t next_chunk;
	enum err read_err;
	const char *failed_key; /* what no bucket could give */
	struct leader_transfer transfers[LEADER_TRANSFERS_PARALLEL];
	struct worker_job job; /* makes the cell; until then what it needs is its */
	char why[CELL_WHY_BYTES];
	struct cell *cell;     /* out */
	bool is_manifest_only; /* the manifest is wanted and no cell */
	bool is_active;	       /* started, outcome not taken yet */
};

/* The names a bucket has below a prefix. */
struct leader_listing {
	struct bucket_op op;
	struct arena arena;		/* its own: a listing may be filled by another thread */
	char prefix[JOURNAL_KEY_BYTES]; /* "" while not begun */
	struct slice *names;		/* sorted */
	size_t count;
	unsigned pages;
	bool is_active;
};

/* Taking one, see leader_snapshot.c. */
struct leader_snapshot {
	struct task task;
	struct leader *leader;
	struct leader_manifest manifest;
	struct worker_job job;
	struct cell_room room;
	unsigned rooms; /* made so far */
	struct cell_image image;
	struct hash128 *hashes; /* of its chunks */
	uint64_t index;		/* of the last record in it */
	uint64_t record_bytes;	/* covered by it */
	uint64_t record_count;
	uint64_t started_ms;
	char key[JOURNAL_KEY_BYTES];
	struct buf body; /* the manifest's */
	unsigned failed; /* bit k: bucket k has failed in this attempt */
	struct leader_listing chunks[JOURNAL_BUCKETS_MAX];
	struct leader_listing manifests[JOURNAL_BUCKETS_MAX];
	size_t next_chunk;
	unsigned next_bucket;
	size_t put_count;
	struct leader_transfer transfers[LEADER_TRANSFERS_PARALLEL];
	struct bucket_op puts[JOURNAL_BUCKETS_MAX];
	struct leader_call fence;
	bool is_active;
	bool has_image;
};

/* An object no snapshot needs, to be deleted when its grace is over. */
struct leader_condemned {
	struct list link;
	uint64_t due_ms;  /* of the loop's clock */
	unsigned buckets; /* bit k: bucket k has it */
	size_t key_bytes;
	char key[];
};

struct leader_clean {
	struct task task;
	struct leader *leader;
	struct bucket_op ops[LEADER_DELETES_PARALLEL];
	struct leader_condemned *of[LEADER_DELETES_PARALLEL];
	bool is_active;
};

/* Of the reads or the writes of one bucket: what the log was told. */
struct leader_trouble {
	bool is_known;
	uint64_t again_ms; /* not before this, of the loop's clock */
};

struct leader {
	uint32_t magic;
	struct loop *loop;
	struct leader_config config;
	enum leader_state state;
	struct journal *journal;
	struct journal_effects effects;
	bool is_feeding;
	struct cell *cell;

	struct task root;
	bool wants_campaign;
	bool wants_resign;
	bool is_ending; /* stopping: nothing new, the root ends when its children have */
	struct leader_stop *stop;
	struct timer tick, retry;
	uint64_t leading_since_ms, trimmed_ms; /* of the loop's clock */
	enum err give_up_err;		       /* why we resigned ourselves */
	char give_up_why[JOURNAL_WHY_BYTES];

	/* leader_io.c */
	struct list io_queue, delete_queue, io_finished;
	int io_running, deletes_running;
	struct leader_trouble trouble[JOURNAL_BUCKETS_MAX][2]; /* of reads, of writes */

	/* leader_recover.c */
	bool is_adopted, is_loaded, is_elected;
	uint64_t opening_index; /* leads once this is durable; 0: not opening */
	struct list adopted;	/* of struct leader_record */
	struct leader_load load;
	struct leader_warm warm;		  /* not proven yet */
	struct journal_snapshot adopted_snapshot; /* index 0: none */
	uint64_t warm_index;			  /* of the one that was believed; 0: none */
	const struct leader_record *warm_record;  /* of `adopted`: what the warm cell ends with */
	struct timer replay_turn;
	bool is_turn_over; /* the rest of the replay is for the next turn of the loop */
	uint64_t replayed; /* index of the last record in the cell */
	uint64_t adopted_ms;

	/* leader_history.c */
	bool is_cold;			 /* the term began without `known` */
	uint64_t now_halves;		 /* of 2 ms, of the loop, when now_ms was asked for */
	struct leader_position known;	 /* to have been committed; outlives every term */
	bool is_refused;		 /* the last campaign ended for want of it */
	struct leader_position *history; /* LEADER_HISTORY of this term, by index */

	/* leader_call.c */
	struct list records; /* in flight, of struct leader_record */
	uint64_t in_flight_bytes;
	uint64_t last_index;	  /* appended */
	uint64_t committed_index; /* durable */
	uint64_t now_ms;
	struct list waiting;  /* calls, by index */
	struct list early;    /* calls that wait for less than their index, in no order */
	struct list checked;  /* fence checks that wait for what was answered early */
	uint64_t firm_index;  /* of the last firm change; 0: all are durable */
	uint64_t early_index; /* of the last command that was or will be answered early */
	bool is_settling;
	struct list stalled; /* calls that have not run: the record is full */
	struct list fences;
	struct list images, stalled_images;
	uint64_t pending_calls; /* that wait in one of these */
	uint64_t open_calls;	/* started and not ended */
	struct deferred seal, check;
	bool is_far;	       /* appends take long: a majority needs buckets that are far */
	struct timer seal_due; /* beside records under way */
	uint64_t next_ms;      /* from when on there is one to spare; of the loop's clock */
	bool is_awaited;       /* something not sealed, by somebody who has no answer before */
	struct leader_numbers numbers;
	uint64_t commands_gathered; /* since the last record */
	uint64_t gathering_us;	    /* since the first of them: clock_now_us(), */
	uint64_t gathering_ms;	    /* and of the loop's clock */
	bool has_run_since;	    /* a command, since the deferred seal was set */
	bool is_check_in_flight;
	uint64_t token;

	/* leader_snapshot.c, leader_clean.c */
	struct leader_manifest manifest; /* the newest */
	struct leader_snapshot snapshot;
	uint64_t announced_index; /* of the last record that cannot name the newest snapshot */
	uint64_t record_bytes;	  /* since the newest snapshot */
	uint64_t record_count;
	uint64_t image_bytes; /* of the newest snapshot */
	uint64_t snapshot_retry_ms, snapshot_wait_ms;
	struct leader_clean clean;
	struct list condemned; /* by due_ms */
	struct map condemned_keys;
};

/* leader.c */
MUST_CHECK enum err leader_feed(struct leader *l, struct journal_event *event);
void leader_wake(struct leader *l);
void leader_give_up(struct leader *l, enum err err, const char *format, ...) PRINTF_LIKE(3, 4);
bool leader_is_serving(const struct leader *l);
unsigned leader_bucket_count(const struct leader *l);
bool leader_is_quorum(const struct leader *l, unsigned buckets);
void leader_wake_stop(struct leader *l);

/* leader_io.c */
void leader_io_start(struct leader *l, const struct journal_effect *effect);
void leader_io_collect(struct leader *l);    /* tell the engine what has ended */
void leader_io_drop_queue(struct leader *l); /* end what was not started yet */
bool leader_io_is_idle(const struct leader *l);

/* leader_call.c */
void leader_append(struct leader *l);	/* there are changes and room */
bool leader_seal_now(struct leader *l); /* false: no room, changes stay unsealed */
void leader_on_committed(struct leader *l, uint64_t index);
void leader_on_checked(struct leader *l, uint64_t token);
void leader_call_drop_all(struct leader *l);
bool leader_room_is_small(const struct leader *l, const struct cell_room *room);
void leader_record_free(struct leader_record *record);

/* leader_load.c: a child task that gives a manifest, and a cell if that is wanted; outcome and
 * manifest are to be taken before leader_load_done(), which also must be called when it failed. */
void leader_load_start(struct leader_load *load, struct task *parent,
		       const struct leader_config *config, const struct journal_snapshot *pointer,
		       bool is_manifest_only);
void leader_load_done(struct leader_load *load);

/* leader_history.c */
void leader_history_clear(struct leader *l);
/* What the cell is after this record.  False when it is known to be wrong: the term is over. */
bool leader_history_note(struct leader *l, uint64_t index, struct hash128 hash);
/* Everything up to this index is committed; the record itself was noted. */
void leader_history_committed(struct leader *l, uint64_t index);

/* leader_recover.c */
void leader_on_adopted(struct leader *l, const struct journal_effect *effect);
void leader_on_record(struct leader *l, const struct journal_effect *effect);
void leader_recover(struct leader *l); /* as far as it gets; called by every step of the root */
void leader_recover_drop(struct leader *l);
void leader_warm_drop(struct leader *l);

/* leader_snapshot.c */
bool leader_snapshot_is_due(const struct leader *l);
void leader_snapshot_start(struct leader *l);
void leader_snapshot_collect(struct leader *l);
void leader_manifest_clear(struct leader_manifest *m);
void leader_pointer_encode(const struct snapshot_manifest *m, struct slice manifest,
			   struct journal_snapshot *ret);
MUST_CHECK enum err leader_pointer_decode(const struct journal_snapshot *pointer,
					  struct snapshot_id *id, uint32_t *manifest_bytes,
					  struct hash128 *hash);
void leader_manifest_key(const struct leader *l, uint64_t index, const struct snapshot_id *id,
			 char ret[JOURNAL_KEY_BYTES]);

/* leader_clean.c */
void leader_condemn(struct leader *l, const struct leader_snapshot *s);
void leader_clean_start(struct leader *l); /* when something is due */
void leader_clean_collect(struct leader *l);
void leader_clean_drop(struct leader *l);

#endif
