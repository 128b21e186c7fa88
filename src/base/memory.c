#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/scope.h"

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

/* Code is mapped read-only and private: what is dropped of it is what stands in the file.  So is
 * the beginning of each file, where its symbols are. */
static void drop_code(const char *line)
{
	uintptr_t from, to, offset;
	char rights[5];
	unsigned long inode;

	if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %" SCNxPTR " %*s %lu", &from, &to, rights,
		   &offset, &inode) == 5 &&
	    inode != 0 &&
	    (strcmp(rights, "r-xp") == 0 || (strcmp(rights, "r--p") == 0 && offset == 0)))
		(void)madvise((void *)from, to - from, MADV_DONTNEED); /* no harm when it stays */
}

void memory_settle(void)
{
	char line[512];
	AUTO_FILE maps = fopen("/proc/self/maps", "re");

	malloc_trim(0);
	while (maps && fgets(line, sizeof(line), maps))
		drop_code(line);
}
