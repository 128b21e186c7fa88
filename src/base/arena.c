#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

enum { ARENA_CHUNK_BYTES = 4096, ARENA_ALIGN = 16 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t used;
	size_t capacity;
	size_t unused; /* keeps data 16-byte aligned */
	uint8_t data[];
};

void arena_init(struct arena *a)
{
	*a = (struct arena) { 0 };
}

static void free_chunks(struct arena_chunk *chunk)
{
	while (chunk) {
		struct arena_chunk *next = chunk->next;
		memory_free(chunk);
		chunk = next;
	}
}

void arena_done(struct arena *a)
{
	free_chunks(a->chunks);
	*a = (struct arena) { 0 };
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *keep = a->chunks;

	if (keep && keep->capacity == ARENA_CHUNK_BYTES) {
		free_chunks(keep->next);
		memset(keep->data, 0, keep->used);
		keep->next = NULL;
		keep->used = 0;
	} else {
		free_chunks(keep);
		a->chunks = NULL;
	}
	a->used = 0;
}

void *arena_take(struct arena *a, size_t size)
{
	assert(size <= SIZE_MAX / 4);
	size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);

	struct arena_chunk *chunk = a->chunks;
	if (!chunk || chunk->capacity - chunk->used < size) {
		size_t capacity = size > ARENA_CHUNK_BYTES ? size : ARENA_CHUNK_BYTES;
		struct arena_chunk *fresh = memory_take(sizeof(*fresh) + capacity);
		fresh->capacity = capacity;
		if (chunk && capacity > ARENA_CHUNK_BYTES) { /* keep filling the current one */
			fresh->next = chunk->next;
			chunk->next = fresh;
		} else {
			fresh->next = chunk;
			a->chunks = fresh;
		}
		chunk = fresh;
	}
	void *memory = chunk->data + chunk->used;
	chunk->used += size;
	a->used += size;
	return memory;
}

void *arena_take_array(struct arena *a, size_t count, size_t size)
{
	assert(size == 0 || count <= SIZE_MAX / 4 / size);
	return arena_take(a, count * size);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
	uint8_t *copy = arena_take(a, s.size);

	if (s.size)
		memcpy(copy, s.data, s.size);
	return (struct slice) { copy, s.size };
}

char *arena_text(struct arena *a, struct slice s)
{
	char *copy = arena_take(a, s.size + 1);

	if (s.size)
		memcpy(copy, s.data, s.size);
	return copy;
}

char *arena_format(struct arena *a, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	assert(size >= 0);

	char *text = arena_take(a, (size_t)size + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)size + 1, format, args);
	va_end(args);
	return text;
}
