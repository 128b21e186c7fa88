/* The inbox on disk: what others sent, and parts of what they are sending.
 *
 *	DIR/partial/KEY	 one for each sender and name; KEY is a hash of both
 *	DIR/inbox/ID	 a whole file, durable before its sender is told
 *
 * A part becomes a file by one rename of its directory.  Nothing that a sender names is the name of
 * a file here.  A part stays when its sender goes, so that it can go on; after a while it is
 * removed, as files are that nobody took. */
#ifndef DROP_STORE_H
#define DROP_STORE_H

#include "base/list.h"
#include "drop/item.h"
#include "loop/worker.h"

enum {
	STORE_WHY_BYTES = 160,
	STORE_ITEMS_MAX = 10000,       /* files in the inbox */
	STORE_SENDER_ITEMS_MAX = 8000, /* of one sender */
	STORE_PARTS_MAX = 1000,	       /* of all senders */
	STORE_SENDER_PARTS_MAX = 100,
	STORE_PART_KEEP_DAYS = 7,
	STORE_CHECK_BYTES = 4 << 20, /* written between two looks at the space that is left */
};

#define STORE_SIZE_UNKNOWN UINT64_MAX

struct store_limits {
	uint64_t inbox_bytes;	/* of everything */
	uint64_t sender_bytes;	/* of one sender */
	size_t sender_items;	/* and how many files, of whatever size */
	uint64_t reserve_bytes; /* always left free on the disk */
	int64_t keep_ms;	/* a file that nobody takes */
};

struct store;

/* Makes `dir` and what is in it.  `why` is a sentence. */
MUST_CHECK enum err store_open(const char *dir, const struct store_limits *limits,
			       struct store **ret, char why[STORE_WHY_BYTES]);
void store_close(struct store *s); /* no upload is under way */

/* --- files ------------------------------------------------------------------------------------ */

struct store_item {
	struct list link; /* oldest first */
	struct item item;
	unsigned readers; /* not expired meanwhile */
};

struct list *store_items(struct store *s);
struct store_item *store_find(struct store *s, const char *id); /* or NULL */
/* The file that this sender sent with this token, or NULL. */
struct store_item *store_find_token(struct store *s, struct slice sender, struct slice token);
MUST_CHECK enum err store_open_data(struct store *s, const struct store_item *i, int *ret_fd);
MUST_CHECK enum err store_remove(struct store *s, struct store_item *i);

/* What is older than it may be goes; returns how many files went. */
size_t store_expire(struct store *s, int64_t now_ms);

struct store_usage {
	uint64_t files, bytes, parts, part_bytes, free_bytes;
	struct store_limits limits;
};
struct store_usage store_usage(const struct store *s);

/* --- what is coming --------------------------------------------------------------------------- */

struct upload;

/* Who sends: texts are borrowed for the call. */
struct store_sender {
	struct slice id, name, user;
	struct slice token; /* of this file, or empty */
};

/* Go on at `offset` with a file of `total` bytes or STORE_SIZE_UNKNOWN; what was there behind
 * `offset` is dropped.  ERR_BUSY: the same sender is sending this already, or too many at once;
 * ERR_FULL: no room; ERR_CONFLICT: there is no part that long.  `why` is for the sender. */
MUST_CHECK enum err store_begin(struct store *s, const struct store_sender *who, struct slice name,
				uint64_t offset, uint64_t total, int64_t now_ms,
				struct upload **ret, char why[STORE_WHY_BYTES]);
MUST_CHECK enum err upload_write(struct upload *u, struct slice bytes, char why[STORE_WHY_BYTES]);
uint64_t upload_bytes(const struct upload *u); /* of the file so far */

/* The sender is gone: the part stays, unless it is empty. */
void upload_suspend(struct upload *u);
/* Nothing of it stays. */
void upload_discard(struct upload *u);

/* All is there: makes it durable and a file of the inbox.  With ERR_* the part stays.  `u` is over
 * either way. */
struct upload_finish {
	struct worker_job job; /* a child task of the caller */
	struct upload *upload;
	struct store_item *ret; /* after upload_finished() */
};
void upload_finish(struct upload_finish *f, struct task *parent, struct upload *u, int64_t now_ms);
/* When the task is done; what it returns is the outcome. */
MUST_CHECK enum err upload_finished(struct upload_finish *f);

/* --- parts ------------------------------------------------------------------------------------ */

/* Bytes of the part that is there, 0: none.  After a crash of the machine only those that are
 * compared with the sender's can be believed: `ret_is_sure`. */
uint64_t store_part_bytes(struct store *s, struct slice sender, struct slice name,
			  bool *ret_is_sure);
MUST_CHECK enum err store_part_open(struct store *s, struct slice sender, struct slice name,
				    int *ret_fd);
/* Calls for each part of a sender. */
void store_each_part(struct store *s, struct slice sender,
		     void (*on_part)(void *context, struct slice name), void *context);

#endif
