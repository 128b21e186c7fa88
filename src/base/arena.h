/* Memory that is freed all at once: one arena per request, per connection read, per transaction.
 * A function whose first parameter is an arena returns memory that lives there. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/err.h"
#include "base/slice.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* newest first */
	size_t used;		    /* bytes handed out, for limits */
};

void arena_init(struct arena *a);
void arena_done(struct arena *a);

/* Free everything but keep one small chunk for the next use. */
void arena_reset(struct arena *a);

/* Zeroed, 16-byte aligned memory. */
void *arena_take(struct arena *a, size_t size);
void *arena_take_array(struct arena *a, size_t count, size_t size);

struct slice arena_copy(struct arena *a, struct slice s);
char *arena_text(struct arena *a, struct slice s); /* NUL-terminated copy */
char *arena_format(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
