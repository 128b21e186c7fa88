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

/* For a process through which large buffers pass: up to this much freed memory is kept for the next
 * ones instead of going back to the system, because getting new pages costs more than filling them.
 * Before there are threads. */
enum { MEMORY_KEPT_BYTES = 64 << 20, MEMORY_MAPPED_BYTES_MIN = 32 << 20 };
void memory_keep_freed(void);

/* For a process that has started and will mostly wait: what only the start needed goes back to the
 * system, freed memory and the pages of programs' code, which come again from the file when they
 * are used. */
void memory_settle(void);

#define NEW(type) ((type *)memory_take(sizeof(type)))
#define CONTAINER(pointer, type, member)                                                           \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
