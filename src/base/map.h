/* Hash map from bytes to pointers.  Keys are borrowed: they normally live inside the value. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/slice.h"

struct map_slot;

struct map {
	struct map_slot *slots;
	size_t capacity; /* power of two or 0 */
	size_t count;
	size_t used; /* count and tombstones */
};

void map_init(struct map *m);
void map_done(struct map *m);

/* NULL when absent. */
void *map_get(const struct map *m, struct slice key);

/* Insert or replace; returns the value that was there before, or NULL.  `value` is not NULL. */
void *map_put(struct map *m, struct slice key, void *value);

/* Returns the removed value, or NULL. */
void *map_remove(struct map *m, struct slice key);

/* Iterate: start with *cursor = 0; returns NULL at the end.  Removing the value just returned is
 * allowed; adding is not. */
void *map_next(const struct map *m, size_t *cursor);

#endif
