/* A bucket holds immutable objects under names that are never used twice (architecture.md 5,
 * storage.md 2).  Objects are never overwritten, renamed or appended to.
 *
 * One operation is one struct bucket_op: a child task of whoever asked.  Keys are text of
 * [a-zA-Z0-9._/-], parts between slashes not empty and not "." or "..", at most
 * BUCKET_KEY_BYTES_MAX; anything else is ERR_INVALID.
 *
 * Errors, the same for every kind: ERR_NOT_FOUND, ERR_EXISTS (put_new only), ERR_FULL (nothing was
 * stored; works again when there is space), ERR_DENIED, ERR_TOO_BIG, ERR_UNKNOWN (a put or delete
 * was sent and its outcome is not known: retry with the same key and bytes), ERR_UNAVAILABLE,
 * ERR_IO (the bucket stays refused until reopened where a device lost writes), ERR_CANCELED,
 * ERR_TIMEOUT. */
#ifndef BUCKETS_BUCKET_H
#define BUCKETS_BUCKET_H

#include "base/arena.h"
#include "base/blob.h"
#include "loop/task.h"
#include "loop/worker.h"

enum {
	BUCKET_KEY_BYTES_MAX = 512,
	BUCKET_LIST_NAMES_MAX = 1000, /* per call */
	BUCKET_PIECES_MAX = 65536,
};
#define BUCKET_OBJECT_BYTES_MAX ((uint64_t)1 << 30)

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
};

struct bucket;

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

	struct blob *ret_body;	 /* get, on OK: one reference for the caller */
	uint64_t ret_size;	 /* get and head, on OK: size of the whole object */
	struct slice *ret_names; /* list, on OK: in the arena given */
	size_t ret_count;
	bool ret_more; /* there are more names after the last one */
	struct arena *arena;

	struct worker_job job; /* for kinds that block */
	struct slice piece;    /* the single piece of bucket_put() */
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

/* --- what a kind of bucket implements ------------------------------------------------------- */
struct bucket_kind {
	const char *name;
	const struct task_kind *op; /* the step of one operation; op->verb says which */
	void (*close)(struct bucket *b);
};

struct bucket {
	const struct bucket_kind *kind;
	enum bucket_class class;
	char url[BUCKET_KEY_BYTES_MAX]; /* for people: "file:./var/bucket" */
};

/* Open by URL: "file:DIR" (created if its parent exists), "memory:".  `why` says what and what to
 * do. */
MUST_CHECK enum err bucket_open(const char *url, struct bucket **ret, char why[TASK_WHY_BYTES]);
void bucket_close(struct bucket *b); /* no operation is under way */

MUST_CHECK enum err bucket_check_key(struct slice key);

#endif
