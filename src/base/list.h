/* Intrusive doubly linked list.  A node that is in no list points to itself or is zero; the head
 * points to itself when the list is empty (list_init). */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->next == l || !l->next;
}

static inline bool list_is_linked(const struct list *node)
{
	return node->next && node->next != node;
}

/* Append at the end of `l`; the node is in no list. */
static inline void list_add(struct list *l, struct list *node)
{
	assert(!list_is_linked(node));
	node->prev = l->prev;
	node->next = l;
	l->prev->next = node;
	l->prev = node;
}

static inline void list_add_front(struct list *l, struct list *node)
{
	list_add(l->next, node);
}

/* Harmless when the node is in no list. */
static inline void list_remove(struct list *node)
{
	if (!node->next)
		return;
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = node->prev = node;
}

/* First node removed, or NULL. */
static inline struct list *list_pop(struct list *l)
{
	struct list *node = l->next;

	if (list_is_empty(l))
		return NULL;
	list_remove(node);
	return node;
}

/* for each `type *it` in list `l`; `it` may be removed inside; `break` and `continue` work.
 * Two loops in one: the inner one declares `it` and runs once, and clears `stop` unless it was left
 * by break. */
#define LIST_EACH(l, type, member, it)                                                             \
	for (struct list *it##_node = (l)->next, *it##_next = NULL, *it##_stop = NULL;             \
	     !it##_stop && it##_node && it##_node != (l) && (it##_next = it##_node->next, true);)  \
		for (type *it = (it##_stop = it##_node, CONTAINER(it##_node, type, member)); it;   \
		     it = NULL, it##_stop = NULL, it##_node = it##_next)

#endif
