#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/endian.h"
#include "base/memory.h"

enum { BUF_CAPACITY_MIN = 64 };

void buf_init(struct buf *b)
{
	*b = (struct buf) { 0 };
}

void buf_done(struct buf *b)
{
	memory_free(b->data);
	*b = (struct buf) { 0 };
}

uint8_t *buf_reserve(struct buf *b, size_t size)
{
	assert(size <= SIZE_MAX / 4 && b->size <= SIZE_MAX / 4);

	size_t needed = b->size + size;
	if (needed > b->capacity || !b->data) {
		size_t capacity = b->capacity ? b->capacity : BUF_CAPACITY_MIN;
		while (capacity < needed)
			capacity *= 2;
		b->data = memory_grow(b->data, capacity);
		b->capacity = capacity;
	}
	return b->data + b->size;
}

void buf_add(struct buf *b, const void *data, size_t size)
{
	if (size == 0)
		return;
	memcpy(buf_reserve(b, size), data, size);
	b->size += size;
}

void buf_add_slice(struct buf *b, struct slice s)
{
	buf_add(b, s.data, s.size);
}

void buf_add_text(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

uint8_t *buf_add_zero(struct buf *b, size_t size)
{
	uint8_t *start = buf_reserve(b, size);

	memset(start, 0, size);
	b->size += size;
	return start;
}

void buf_add_format(struct buf *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	assert(size >= 0);

	char *start = (char *)buf_reserve(b, (size_t)size + 1);
	va_start(args, format);
	vsnprintf(start, (size_t)size + 1, format, args);
	va_end(args);
	b->size += (size_t)size;
}

void buf_add_u8(struct buf *b, uint8_t value)
{
	buf_add(b, &value, 1);
}

void buf_add_u16(struct buf *b, uint16_t value)
{
	put_u16(buf_reserve(b, 2), value);
	b->size += 2;
}

void buf_add_u32(struct buf *b, uint32_t value)
{
	put_u32(buf_reserve(b, 4), value);
	b->size += 4;
}

void buf_add_u64(struct buf *b, uint64_t value)
{
	put_u64(buf_reserve(b, 8), value);
	b->size += 8;
}

void buf_drop_front(struct buf *b, size_t size)
{
	assert(size <= b->size);
	if (size == 0)
		return;
	memmove(b->data, b->data + size, b->size - size);
	b->size -= size;
}
