/* A growable byte buffer, owned by whoever holds the struct. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"
#include "base/slice.h"

struct buf {
	uint8_t *data;
	size_t size;
	size_t capacity;
};

void buf_init(struct buf *b);
void buf_done(struct buf *b);

/* Room for `size` more bytes; returns where they start.  Does not change b->size. */
uint8_t *buf_reserve(struct buf *b, size_t size);

/* Append; buf_add_zero appends zero bytes and returns where they start. */
void buf_add(struct buf *b, const void *data, size_t size);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_text(struct buf *b, const char *text);
uint8_t *buf_add_zero(struct buf *b, size_t size);
void buf_add_format(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Big-endian integers, the order of every format and protocol here. */
void buf_add_u8(struct buf *b, uint8_t value);
void buf_add_u16(struct buf *b, uint16_t value);
void buf_add_u32(struct buf *b, uint32_t value);
void buf_add_u64(struct buf *b, uint64_t value);

/* Remove `size` bytes at the front (moves the rest). */
void buf_drop_front(struct buf *b, size_t size);

static inline void buf_clear(struct buf *b)
{
	b->size = 0;
}

static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice) { b->data, b->size };
}

#endif
