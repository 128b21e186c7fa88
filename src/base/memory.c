#include "base/memory.h"

#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must_have(void *memory, size_t size)
{
	if (!memory) {
		fprintf(stderr, "out of memory: %zu bytes\n", size);
		abort();
	}
	return memory;
}

void *memory_take(size_t size)
{
	return must_have(calloc(1, size ? size : 1), size);
}

void *memory_take_array(size_t count, size_t size)
{
	return must_have(calloc(count ? count : 1, size ? size : 1), count);
}

void *memory_grow(void *old, size_t size)
{
	assert(size > 0);
	return must_have(realloc(old, size), size);
}

char *memory_copy_text(const char *text)
{
	return must_have(strdup(text), 0);
}

void memory_free(void *memory)
{
	free(memory);
}

void memory_keep_freed(void)
{
	mallopt(M_MMAP_THRESHOLD, MEMORY_MAPPED_BYTES_MIN);
	mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT_BYTES);
}
