#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

enum { NODE_COUNT = 500 };

static void test_nodes_come_out_by_key_and_then_by_insertion(void **state)
{
	struct heap_node nodes[NODE_COUNT] = { 0 };
	struct prng prng = { 3 };
	struct heap h;
	uint64_t last_key = 0, last_order = 0;

	(void)state;
	heap_init(&h);
	assert_null(heap_first(&h));
	for (int i = 0; i < NODE_COUNT; i++)
		heap_add(&h, &nodes[i], prng_below(&prng, 20));
	for (int i = 0; i < NODE_COUNT; i++) {
		struct heap_node *first = heap_first(&h);
		assert_true(first->key > last_key ||
			    (first->key == last_key && (i == 0 || first->order > last_order)));
		last_key = first->key;
		last_order = first->order;
		heap_remove(&h, first);
	}
	assert_null(heap_first(&h));
	heap_done(&h);
}

static uint64_t least_key(const struct heap_node *nodes)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < NODE_COUNT; i++)
		if (nodes[i].index && nodes[i].key < least)
			least = nodes[i].key;
	return least;
}

static void test_any_node_can_be_removed_at_any_time(void **state)
{
	struct heap_node nodes[NODE_COUNT] = { 0 };
	struct prng prng = { 5 };
	struct heap h;

	(void)state;
	heap_init(&h);
	for (int i = 0; i < 5000; i++) {
		struct heap_node *node = &nodes[prng_below(&prng, NODE_COUNT)];
		if (node->index)
			heap_remove(&h, node);
		else
			heap_add(&h, node, prng_next(&prng) >> 1);
		if (i % 16 == 0 && heap_first(&h))
			assert_true(heap_first(&h)->key == least_key(nodes));
	}
	heap_done(&h);
}

static void test_removing_a_node_twice_is_harmless(void **state)
{
	struct heap_node node = { 0 }, other = { 0 };
	struct heap h;

	(void)state;
	heap_init(&h);
	heap_remove(&h, &node);
	heap_add(&h, &node, 1);
	heap_add(&h, &other, 2);
	heap_remove(&h, &node);
	heap_remove(&h, &node);
	assert_ptr_equal(heap_first(&h), &other);
	assert_int_equal(h.count, 1);
	heap_done(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes_come_out_by_key_and_then_by_insertion),
		cmocka_unit_test(test_any_node_can_be_removed_at_any_time),
		cmocka_unit_test(test_removing_a_node_twice_is_harmless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
