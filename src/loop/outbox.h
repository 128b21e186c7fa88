/* The queue of bytes a stream has still to write: parts of blobs, gathered into few system calls.
 * Small writes are copied behind each other into one blob.  Private to loop/. */
#ifndef LOOP_OUTBOX_H
#define LOOP_OUTBOX_H

#include <sys/uio.h>

#include "base/blob.h"
#include "base/buf.h"

struct outbox_piece {
	struct blob *blob; /* one reference; or NULL and then: */
	uint8_t *memory;   /* of a buffer, freed with the piece */
	size_t offset;
	size_t size;
};

struct outbox {
	struct outbox_piece *pieces; /* a ring */
	size_t capacity;	     /* power of two or 0 */
	size_t first, count;
	size_t bytes;
	struct blob *tail; /* the last piece's, while copies may be added to it; no reference */
};

void outbox_init(struct outbox *out);
void outbox_done(struct outbox *out);
void outbox_clear(struct outbox *out);

void outbox_add_copy(struct outbox *out, struct slice bytes);
void outbox_add_buf(struct outbox *out, struct buf *b); /* b is empty afterwards */
void outbox_add_part(struct outbox *out, struct blob *b, size_t offset, size_t size);

/* Fill `parts` from the front; returns how many.  *ret_bytes is their sum. */
size_t outbox_gather(const struct outbox *out, struct iovec *parts, size_t parts_max,
		     size_t *ret_bytes);

/* The first `size` bytes are written. */
void outbox_drop(struct outbox *out, size_t size);

#endif
