#include "loop/inbox.h"

#include <assert.h>

#include "loop/stream.h"

enum { INBOX_BYTES = STREAM_INBOX_BYTES_DEFAULT, INBOX_ROOM_BYTES_MIN = 64 * 1024 };

static struct blob *standard_blob(struct inbox_spares *spares)
{
	if (spares->count == 0)
		return blob_new(INBOX_BYTES);
	return spares->blobs[--spares->count];
}

/* The inbox lets go of its blob, which nobody else has. */
static void release_blob(struct inbox *in)
{
	struct blob *b = in->blob;

	in->blob = NULL;
	in->at = 0;
	if (!b)
		return;
	assert(b->refs == 1);
	if (b->capacity != INBOX_BYTES || in->spares->count == INBOX_SPARES_MAX) {
		blob_unref(&b);
		return;
	}
	b->size = 0;
	in->spares->blobs[in->spares->count++] = b;
}

void inbox_spares_done(struct inbox_spares *spares)
{
	while (spares->count > 0)
		blob_unref(&spares->blobs[--spares->count]);
}

void inbox_init(struct inbox *in, struct inbox_spares *spares)
{
	*in = (struct inbox) { .spares = spares, .limit = INBOX_BYTES };
}

void inbox_done(struct inbox *in)
{
	release_blob(in);
}

struct slice inbox_unread(const struct inbox *in)
{
	if (!in->blob)
		return (struct slice) { 0 };
	return (struct slice) { in->blob->data + in->at, in->blob->size - in->at };
}

void inbox_consume(struct inbox *in, size_t size)
{
	size_t used = inbox_unread(in).size;

	assert(size <= used);
	if (size == used)
		release_blob(in);
	else
		in->at += size;
}

/* Move what is unread into another blob. */
static void move_into(struct inbox *in, struct blob *b)
{
	struct slice unread = inbox_unread(in);

	assert(unread.size <= b->capacity);
	if (unread.size)
		memcpy(b->data, unread.data, unread.size);
	b->size = unread.size;
	release_blob(in);
	in->blob = b;
}

struct blob *inbox_take(struct inbox *in, size_t size)
{
	struct slice unread = inbox_unread(in);

	assert(size <= unread.size);
	/* Copying a little is better than handing over a mostly empty blob. */
	if (in->at > 0 || size == 0 || size < in->blob->capacity / 2) {
		struct blob *copy = blob_from(slice_part(unread, 0, size));
		inbox_consume(in, size);
		return copy;
	}

	struct blob *taken = in->blob;
	struct slice rest = slice_part(unread, size, unread.size);
	in->blob = NULL;
	if (rest.size) {
		in->blob =
			rest.size <= INBOX_BYTES ? standard_blob(in->spares) : blob_new(rest.size);
		memcpy(in->blob->data, rest.data, rest.size);
		in->blob->size = rest.size;
	}
	taken->size = size;
	return taken;
}

void inbox_set_limit(struct inbox *in, size_t limit)
{
	assert(limit > 0);
	in->limit = limit;
	if (limit > INBOX_BYTES && (in->at > 0 || !in->blob || in->blob->capacity < limit)) {
		size_t used = inbox_unread(in).size;
		move_into(in, blob_new(limit > used ? limit : used));
	}
}

uint8_t *inbox_reserve(struct inbox *in, size_t *ret_size)
{
	size_t used = inbox_unread(in).size;

	if (used >= in->limit)
		return NULL;
	if (!in->blob)
		in->blob = standard_blob(in->spares);

	size_t wanted = in->limit - used;
	size_t least = wanted < INBOX_ROOM_BYTES_MIN ? wanted : INBOX_ROOM_BYTES_MIN;
	if (in->blob->capacity - in->blob->size < least && in->at > 0) {
		memmove(in->blob->data, in->blob->data + in->at, used);
		in->blob->size = used;
		in->at = 0;
	}
	if (in->blob->capacity == in->blob->size) {
		size_t twice = 2 * in->blob->capacity;
		move_into(in, blob_new(twice < in->limit ? twice : in->limit));
	}
	size_t room = in->blob->capacity - in->blob->size;
	*ret_size = room < wanted ? room : wanted;
	return in->blob->data + in->blob->size;
}

void inbox_add(struct inbox *in, size_t size)
{
	assert(in->blob && size <= in->blob->capacity - in->blob->size);
	in->blob->size += size;
	if (in->blob->size == in->at)
		release_blob(in);
}
