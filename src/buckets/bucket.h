/* A bucket holds immutable objects under names that are never used twice (architecture.md 5,
 * storage.md 2).  Objects are never overwritten, renamed or appended to.
 *
 * One operation is one struct bucket_op: a child task of whoever asked.  Keys are text of
 * [a-zA-Z0-9._/-], parts between slashes not empty, not "." or ".." and at most
 * BUCKET_PART_BYTES_MAX, all at most BUCKET_KEY_BYTES_MAX; anything else is ERR_INVALID.  No key
 * is the directory of another ("a" beside "a/b": ERR_CONFLICT).  Object stores can tell neither
 * that nor, in class raw, that other bytes are under a name: there, names used once are up to the
 * caller.
 *
 * Errors, the same for every kind: ERR_NOT_FOUND, ERR_EXISTS (put_new only), ERR_CONFLICT (other
 * bytes are under that name: a bug of whoever names), ERR_FULL (nothing was stored; works again
 * when there is space), ERR_DENIED, ERR_TOO_BIG, ERR_UNKNOWN (a put or delete was sent and its
 * outcome is not known: retry with the same key and bytes), ERR_UNAVAILABLE, ERR_UNSUPPORTED
 * (put_new in a raw bucket), ERR_CANCELED and ERR_TIMEOUT (nothing was done), ERR_IO, and in sealed
 * buckets ERR_CORRUPT (a get or head).
 * ERR_IO of a put or delete leaves the outcome unknown too; where a device lost writes, every later
 * put and delete is ERR_IO until the bucket is reopened, while reads go on.
 * A canceled put or delete that was under way all the same ends with what became of it. */
#ifndef BUCKETS_BUCKET_H
#define BUCKETS_BUCKET_H

#include "base/arena.h"
#include "base/blob.h"
#include "buckets/meter.h"
#include "loop/task.h"
#include "loop/worker.h"

enum {
	BUCKET_KEY_BYTES_MAX = 512,
	BUCKET_PART_BYTES_MAX = 255,  /* of a key, between slashes: a file's name */
	BUCKET_LIST_NAMES_MAX = 1000, /* per call */
	BUCKET_PIECES_MAX = 65536,
};
#define BUCKET_OBJECT_BYTES_MAX ((uint64_t)1 << 30)
#define BUCKET_SIZE_UNKNOWN UINT64_MAX

/* What a bucket can be trusted with; found by a probe, stored, never assumed. */
enum bucket_class {
	BUCKET_RAW, /* read-after-write of unique names */
	BUCKET_CAS, /* and create-if-absent, proven under races */
};

enum bucket_verb {
	BUCKET_PUT,	/* durable when OK; an identical retry is harmless */
	BUCKET_PUT_NEW, /* cas only: ERR_EXISTS when something is there */
	BUCKET_GET,	/* `offset`, `size_max`; ret_body may be shorter at the end of the object */
	BUCKET_HEAD,	/* ret_size */
	BUCKET_LIST,   /* names with prefix `key`, greater than `after`, sorted; ret_names, ret_more
			*/
	BUCKET_DELETE, /* durable when OK; OK when absent */
	/* What large puts that were cut off left of themselves, where they go in parts that are
	 * paid for until somebody aborts them: begun `age_ms` ago or earlier, for names with prefix
	 * `key`.  ret_count, ret_more.  Nothing, and OK, in a bucket without such a thing. */
	BUCKET_ABORT_UPLOADS,
};

struct bucket;
struct bucket_facts;

struct bucket_op {
	struct task task;
	struct bucket *bucket;
	enum bucket_verb verb;
	struct slice key;	    /* borrowed until done */
	const struct slice *pieces; /* put: the body, borrowed until done */
	size_t piece_count;
	uint64_t offset; /* get */
	uint64_t size_max;
	struct slice after; /* list */
	uint64_t age_ms;    /* abort_uploads */

	struct blob *ret_body;	 /* get, on OK: one reference for the caller */
	uint64_t ret_size;	 /* get and head, on OK: size of the whole object */
	struct slice *ret_names; /* list, on OK: in the arena given */
	uint64_t *ret_sizes;	 /* list, on OK: of these objects, where the store told and each of
			      * them may be BUCKET_SIZE_UNKNOWN; else NULL: head says it */
	size_t ret_count;	 /* of these; of uploads aborted */
	bool ret_more; /* there are more names after the last one, or more to be aborted */
	struct arena *arena;

	/* For probes, set between the start and the next turn of the loop; see bucket_facts. */
	uint32_t part_bytes; /* put: in parts of this size, however small the object is */
	uint32_t hold_ms;    /* put: keep the second half of the body back for so long */

	struct worker_job job; /* for kinds that block */
	struct slice piece;    /* the single piece of bucket_put() */
	uint64_t since_us;     /* when it was started: clock_now_us() */
	void *private;
};

/* Start an operation as a child of `parent`; the struct is zeroed first, done when the task is. */
void bucket_put(struct bucket_op *op, struct task *parent, struct bucket *b, struct slice key,
		struct slice body);
void bucket_put_pieces(struct bucket_op *op, struct task *parent, struct bucket *b,
		       struct slice key, const struct slice *pieces, size_t piece_count);
void bucket_put_new(struct bucket_op *op, struct task *parent, struct bucket *b, struct slice key,
		    struct slice body);
void bucket_get(struct bucket_op *op, struct task *parent, struct bucket *b, struct slice key,
		uint64_t offset, uint64_t size_max);
void bucket_head(struct bucket_op *op, struct task *parent, struct bucket *b, struct slice key);
void bucket_list(struct bucket_op *op, struct task *parent, struct bucket *b, struct arena *a,
		 struct slice prefix, struct slice after);
void bucket_delete(struct bucket_op *op, struct task *parent, struct bucket *b, struct slice key);

/* Only for who knows that no put with this prefix takes `age_ms`. */
void bucket_abort_uploads(struct bucket_op *op, struct task *parent, struct bucket *b,
			  struct slice prefix, uint64_t age_ms);

/* Start the operation that `like` describes in bucket `b`: for kinds that wrap others. */
void bucket_start_like(struct bucket_op *op, struct task *parent, struct bucket *b,
		       const struct bucket_op *like);

/* What a bucket has learned about its storage, whatever it is wrapped in; for the probe. */
struct bucket_facts {
	bool can_hold;	   /* bucket_op.hold_ms and part_bytes do something */
	bool has_clock;	   /* answers came with the time of the storage */
	bool has_checksum; /* a read came with the checksum that was written */
	bool sends_checksum;
	int64_t clock_ahead_ms; /* of ours, as the last answer had it, give or take a second */
};
void bucket_look(const struct bucket *b, struct bucket_facts *ret);

/* Trust the bucket and what it wraps with this class from now on: for the probe, which tries. */
void bucket_set_class(struct bucket *b, enum bucket_class class);

/* --- what a kind of bucket implements ------------------------------------------------------- */
struct bucket_kind {
	const char *name;
	/* The step of one operation; op->verb says which.  Its key, sizes and class were checked.
	 */
	const struct task_kind *op;
	bool has_uploads; /* BUCKET_ABORT_UPLOADS comes too, past the wrappers; else never */
	void (*close)(struct bucket *b);
	/* What is known of the storage; NULL: nothing. */
	void (*look)(const struct bucket *b, struct bucket_facts *ret);
};

struct bucket {
	const struct bucket_kind *kind;
	enum bucket_class class;
	char url[BUCKET_KEY_BYTES_MAX]; /* for people: "file:./var/bucket" */
	struct bucket *inner;	  /* of a wrapper: the bucket it wraps, which counts for both */
	struct meter meter;	  /* of what is no wrapper; see bucket_meter() */
	struct meter_times times; /* the same of how long that took */
	bool is_far;		  /* see bucket_is_far() */
};

/* Each request costs money and a long way, so there had better be few large ones. */
bool bucket_is_far(const struct bucket *b);

/* Open by URL; `why` says what is wrong and what to do.
 *   file:DIR       created if its parent exists; its class is cas on a file system known to be
 *                  local, raw on others; file:DIR?class=raw|cas says it instead
 *   memory:        private to this handle
 *   memory:NAME    shared by name inside the process, until memory_bucket_forget(); both take
 *                  ?class=raw|cas (cas) and ?latency_ms=N
 *   s3://NAME/PREFIX  any store that speaks the S3 protocol; parameters in doc/man/hanse-serve.1;
 *                  class raw unless ?class=cas.  Nothing is asked of the store here.
 *   fault:URL      fails on purpose (fault.h); only if the environment has HANSE_TEST_FAULTS=1 */
MUST_CHECK enum err bucket_open(const char *url, struct bucket **ret, char why[TASK_WHY_BYTES]);
void bucket_close(struct bucket *b); /* no operation is under way */

MUST_CHECK enum err bucket_check_key(struct slice key);

#endif
