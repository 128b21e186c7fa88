/* A file on its way, as it stands on disk: a directory with `data`, the bytes, and `meta`, what it
 * is (doc/formats/drop.md).  The name that somebody else gave it is only in `meta`. */
#ifndef DROP_ITEM_H
#define DROP_ITEM_H

#include "base/buf.h"

enum {
	ITEM_ID_BYTES = 25, /* 16 digits of the time, 8 random, and a NUL */
	ITEM_META_BYTES_MAX = 8192,
	ITEM_VALUE_BYTES_MAX = 1024,
};

#define ITEM_DATA "data"
#define ITEM_META "meta"

/* Texts are of the heap, never NULL. */
struct item {
	char id[ITEM_ID_BYTES];
	char *name;   /* "photos/a.jpg" */
	char *sender; /* the id of the machine it is from; "" in a queue */
	char *from;   /* what that machine is called */
	char *user;   /* whose it is */
	char *token;  /* of the sender's, the same when it sends the file again; or "" */
	uint64_t size;
	int64_t time_ms; /* Unix time: received, or put into the queue */
};

void item_init(struct item *i); /* all empty */
void item_done(struct item *i);
void item_set(char **text, struct slice s);

/* Sorts by time. */
void item_draw_id(int64_t now_ms, char ret[ITEM_ID_BYTES]);
bool item_is_id(const char *text);

void item_encode(const struct item *i, struct buf *ret);
/* ERR_INVALID, ERR_UNSUPPORTED: of a newer version.  The id is not in there.  `ret` is initialised.
 */
MUST_CHECK enum err item_parse(struct slice text, struct item *ret);

/* Files of a directory `dir` of an item. */
MUST_CHECK enum err item_read_meta(int dir, struct item *ret);
MUST_CHECK enum err item_write_meta(int dir, const struct item *i); /* durably, as a whole */

/* Removes the directory `name` of `parent` and the files of an item in it. */
MUST_CHECK enum err item_remove(int parent, const char *name);

#endif
