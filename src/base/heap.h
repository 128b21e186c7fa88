/* Intrusive binary min-heap, ordered by a 64-bit key and then by insertion. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
	uint64_t key;
	uint64_t order;
	size_t index; /* 1-based position; 0: in no heap */
};

struct heap {
	struct heap_node **nodes;
	size_t count, capacity;
	uint64_t inserted;
};

void heap_init(struct heap *h);
void heap_done(struct heap *h);
void heap_add(struct heap *h, struct heap_node *node, uint64_t key); /* node is in no heap */
void heap_remove(struct heap *h, struct heap_node *node);	     /* harmless when in no heap */
struct heap_node *heap_first(const struct heap *h);		     /* NULL when empty */

#endif
