#include "loop/outbox.h"

#include <assert.h>

#include "base/memory.h"

enum { OUTBOX_PIECES_MIN = 4, OUTBOX_COPY_BYTES = 16 * 1024 };

void outbox_init(struct outbox *out)
{
	*out = (struct outbox) { 0 };
}

static struct outbox_piece *piece_at(const struct outbox *out, size_t i)
{
	return &out->pieces[(out->first + i) & (out->capacity - 1)];
}

static void grow(struct outbox *out)
{
	size_t capacity = out->capacity ? out->capacity * 2 : OUTBOX_PIECES_MIN;
	struct outbox_piece *pieces = memory_take_array(capacity, sizeof(*pieces));

	for (size_t i = 0; i < out->count; i++)
		pieces[i] = *piece_at(out, i);
	memory_free(out->pieces);
	out->pieces = pieces;
	out->capacity = capacity;
	out->first = 0;
}

static void add_piece(struct outbox *out, struct outbox_piece piece)
{
	if (out->count == out->capacity)
		grow(out);
	*piece_at(out, out->count++) = piece;
	out->bytes += piece.size;
	out->tail = NULL;
}

void outbox_add_part(struct outbox *out, struct blob *b, size_t offset, size_t size)
{
	assert(offset <= b->size && size <= b->size - offset);
	if (size == 0)
		blob_unref(&b);
	else
		add_piece(out, (struct outbox_piece) { .blob = b, .offset = offset, .size = size });
}

/* A small buffer is copied: it joins its neighbours, and keeps its room. */
void outbox_add_buf(struct outbox *out, struct buf *b)
{
	if (b->size < OUTBOX_COPY_BYTES) {
		outbox_add_copy(out, buf_slice(b));
		buf_clear(b);
		return;
	}
	add_piece(out, (struct outbox_piece) { .memory = b->data, .size = b->size });
	buf_init(b);
}

void outbox_add_copy(struct outbox *out, struct slice bytes)
{
	if (bytes.size == 0)
		return;
	if (out->tail && bytes.size <= out->tail->capacity - out->tail->size) {
		struct outbox_piece *last = piece_at(out, out->count - 1);
		assert(last->blob == out->tail && last->offset + last->size == out->tail->size);
		memcpy(out->tail->data + out->tail->size, bytes.data, bytes.size);
		out->tail->size += bytes.size;
		last->size += bytes.size;
		out->bytes += bytes.size;
		return;
	}

	struct blob *b = blob_new(bytes.size < OUTBOX_COPY_BYTES ? OUTBOX_COPY_BYTES : bytes.size);
	memcpy(b->data, bytes.data, bytes.size);
	b->size = bytes.size;
	outbox_add_part(out, b, 0, bytes.size);
	out->tail = b;
}

size_t outbox_gather(const struct outbox *out, struct iovec *parts, size_t parts_max,
		     size_t *ret_bytes)
{
	size_t count = out->count < parts_max ? out->count : parts_max;

	*ret_bytes = 0;
	for (size_t i = 0; i < count; i++) {
		const struct outbox_piece *p = piece_at(out, i);
		uint8_t *start = p->blob ? p->blob->data : p->memory;
		parts[i] = (struct iovec) { start + p->offset, p->size };
		*ret_bytes += p->size;
	}
	return count;
}

void outbox_drop(struct outbox *out, size_t size)
{
	assert(size <= out->bytes);
	out->bytes -= size;
	while (size > 0) {
		struct outbox_piece *p = piece_at(out, 0);
		if (size < p->size) {
			p->offset += size;
			p->size -= size;
			break;
		}
		size -= p->size;
		if (p->blob && p->blob == out->tail)
			out->tail = NULL;
		blob_unref(&p->blob);
		memory_free(p->memory);
		p->memory = NULL;
		out->first = (out->first + 1) & (out->capacity - 1);
		out->count--;
	}
	assert((out->count == 0) == (out->bytes == 0));
}

void outbox_clear(struct outbox *out)
{
	outbox_drop(out, out->bytes);
}

void outbox_done(struct outbox *out)
{
	outbox_clear(out);
	memory_free(out->pieces);
	*out = (struct outbox) { 0 };
}
