/* Heap memory that cannot fail: exhaustion aborts, because a restart is the tested recovery path.
 * Sizes that a peer or a file controls are compared with a named limit before they come here. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

/* Zeroed memory; free with memory_free(). */
void *memory_take(size_t size);

/* `count` zeroed elements; aborts when the product overflows. */
void *memory_take_array(size_t count, size_t size);

/* realloc() with growth; new bytes are not zeroed. */
void *memory_grow(void *old, size_t size);

/* A heap copy of a C string. */
char *memory_copy_text(const char *text);

void memory_free(void *memory);

#define NEW(type) ((type *)memory_take(sizeof(type)))
#define CONTAINER(pointer, type, member)                                                           \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
