/* What has arrived on a stream and was not consumed: one blob, filled from the front.
 *
 *	data[0 .. at) consumed   data[at .. size) unread   data[size .. capacity) room
 *
 * Private to loop/.  An empty inbox holds no memory: idle connections cost little. */
#ifndef LOOP_INBOX_H
#define LOOP_INBOX_H

#include "base/blob.h"

enum { INBOX_SPARES_MAX = 8 };

/* Blobs of the standard size kept for the next stream of the loop that reads. */
struct inbox_spares {
	struct blob *blobs[INBOX_SPARES_MAX];
	size_t count;
};

struct inbox {
	struct inbox_spares *spares;
	struct blob *blob; /* NULL while nothing is unread */
	size_t at;
	size_t limit;
};

void inbox_init(struct inbox *in, struct inbox_spares *spares);
void inbox_done(struct inbox *in);
void inbox_spares_done(struct inbox_spares *spares);

struct slice inbox_unread(const struct inbox *in);
void inbox_consume(struct inbox *in, size_t size);
struct blob *inbox_take(struct inbox *in, size_t size);

/* Room is made at once and exactly, so that a request of `limit` bytes is read in place. */
void inbox_set_limit(struct inbox *in, size_t limit);

/* Where to read to: *ret_size bytes, or NULL while the inbox is full.  Then say how many came. */
uint8_t *inbox_reserve(struct inbox *in, size_t *ret_size);
void inbox_add(struct inbox *in, size_t size);

#endif
