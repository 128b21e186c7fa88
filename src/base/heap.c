#include "base/heap.h"

#include <assert.h>
#include <stdbool.h>

#include "base/memory.h"

enum { HEAP_CAPACITY_MIN = 16 };

void heap_init(struct heap *h)
{
	*h = (struct heap) { 0 };
}

void heap_done(struct heap *h)
{
	memory_free(h->nodes);
	*h = (struct heap) { 0 };
}

static bool comes_before(const struct heap_node *a, const struct heap_node *b)
{
	return a->key < b->key || (a->key == b->key && a->order < b->order);
}

static void place(struct heap *h, size_t i, struct heap_node *node)
{
	h->nodes[i] = node;
	node->index = i + 1;
}

static void sift_up(struct heap *h, size_t i, struct heap_node *node)
{
	while (i > 0 && comes_before(node, h->nodes[(i - 1) / 2])) {
		place(h, i, h->nodes[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(h, i, node);
}

static void sift_down(struct heap *h, size_t i, struct heap_node *node)
{
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= h->count)
			break;
		if (child + 1 < h->count && comes_before(h->nodes[child + 1], h->nodes[child]))
			child++;
		if (!comes_before(h->nodes[child], node))
			break;
		place(h, i, h->nodes[child]);
		i = child;
	}
	place(h, i, node);
}

void heap_add(struct heap *h, struct heap_node *node, uint64_t key)
{
	assert(node->index == 0);
	if (h->count == h->capacity) {
		h->capacity = h->capacity ? h->capacity * 2 : HEAP_CAPACITY_MIN;
		h->nodes = memory_grow(h->nodes, h->capacity * sizeof(*h->nodes));
	}
	node->key = key;
	node->order = h->inserted++;
	sift_up(h, h->count++, node);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
	if (node->index == 0)
		return;

	size_t i = node->index - 1;
	assert(h->nodes[i] == node);
	struct heap_node *last = h->nodes[--h->count];
	node->index = 0;
	if (last == node)
		return;
	if (i > 0 && comes_before(last, h->nodes[(i - 1) / 2]))
		sift_up(h, i, last);
	else
		sift_down(h, i, last);
}

struct heap_node *heap_first(const struct heap *h)
{
	return h->count ? h->nodes[0] : NULL;
}
