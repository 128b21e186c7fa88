/* Which record is the last one of its key: what compaction by key needs to know of the part of a
 * partition it has not looked at before.  Keys are kept as digests of 16 bytes with a secret of
 * the map, so that who writes records cannot make two keys one; memory has a limit, and what does
 * not fit is for another pass. */
#ifndef STREAMS_AGENT_KEY_MAP_H
#define STREAMS_AGENT_KEY_MAP_H

#include <stdbool.h>

#include "base/slice.h"

enum {
	KEY_MAP_SLOT_BYTES = 24,
	KEY_MAP_BYTES_MAX = 96 << 20, /* 3.1 million keys; half as much again as it grows */
};

struct key_map;

/* Room for at least `bytes_max` / KEY_MAP_SLOT_BYTES * 3 / 4 keys, rounded down to a power of two
 * of slots. */
struct key_map *key_map_new(size_t bytes_max);
void key_map_free(struct key_map *m);

/* Note a record; of a key the greatest offset counts.  False: no room for a new key. */
bool key_map_put(struct key_map *m, struct slice key, int64_t offset);

/* The offset of the last record of the key; -1: it is not there. */
int64_t key_map_find(const struct key_map *m, struct slice key);

size_t key_map_count(const struct key_map *m);

#endif
