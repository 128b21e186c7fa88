/* Copying a struct with all it points to into one block: the same function runs twice, first to
 * measure (no block yet), then to copy. */
#ifndef WIRE_CONTROL_PACK_H
#define WIRE_CONTROL_PACK_H

#include "base/memory.h"
#include "wire/control/map_response.h"

struct pack {
	uint8_t *block; /* NULL: only measure */
	size_t used;
};

/* Room for `size` bytes, a copy of `data`; NULL for none, and while measuring. */
void *pack_bytes(struct pack *p, const void *data, size_t size);
struct slice pack_slice(struct pack *p, struct slice s);
const struct slice *pack_slices(struct pack *p, const struct slice *slices, size_t count);

/* The struct itself is `copy`, filled with a flat copy by the caller; what it points to goes into
 * the pack. */
void pack_node(struct pack *p, struct control_node *copy);
void pack_caps(struct pack *p, const struct control_cap **caps, size_t count);

/* One block with a struct of `size` bytes, made by running `inside` on it. */
void *pack_copy(const void *flat, size_t size, void (*inside)(struct pack *p, void *copy));

#endif
