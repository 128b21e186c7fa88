/* What people of this machine can do with their inbox and their queue: HTTP on drop.sock.
 *
 *	GET    /v1/inbox	    {"items": [...], "usage": {...}}
 *	GET    /v1/inbox/ID	    the bytes of a file
 *	DELETE /v1/inbox/ID	    it was taken, or is not wanted
 *	GET    /v1/queue	    {"items": [...]}: what waits for its receiver
 *	POST   /v1/queue/TO/NAME   the body waits for machine TO, and goes as NAME
 *	DELETE /v1/queue/ID
 *	GET    /events		    server-sent events: file, sent, refused */
#ifndef DROP_COUNTER_H
#define DROP_COUNTER_H

#include "drop/courier.h"
#include "drop/store.h"
#include "loop/http_stream.h"

enum {
	COUNTER_LISTENERS_MAX = 64,
	COUNTER_ALIVE_MS = 15 * 1000,		 /* between two comments to a silent listener */
	COUNTER_PENDING_BYTES_MAX = 1024 * 1024, /* a listener that does not read is cut off */
	COUNTER_CHUNK_BYTES = 256 * 1024,
};

struct counter_config {
	struct store *inbox, *queue;
	struct courier *courier;
};

struct counter;
MUST_CHECK enum err counter_open(struct loop *loop, const char *path,
				 const struct counter_config *config, struct counter **ret,
				 char why[TASK_WHY_BYTES]);

/* Uploads into the queue that are being made durable end in the next turns of the loop. */
void counter_close(struct counter *c);

/* A line of JSON for everybody who listens to events. */
void counter_tell_file(struct counter *c, const struct store_item *i);
void counter_tell_outcome(struct counter *c, const struct store_item *i, enum err err,
			  const char *why);

#endif
