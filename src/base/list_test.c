#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
	int number;
	struct list link;
};

static struct item items[5];
static struct list list;

static void fill(void)
{
	list_init(&list);
	for (int i = 0; i < 5; i++) {
		items[i] = (struct item) { .number = i };
		list_add(&list, &items[i].link);
	}
}

static int numbers_in_order(void)
{
	int digits = 0;

	LIST_EACH (&list, struct item, link, it)
		digits = digits * 10 + it->number + 1;
	return digits;
}

static void test_items_are_visited_in_order(void **state)
{
	(void)state;
	fill();
	assert_int_equal(numbers_in_order(), 12345);
	list_remove(&items[4].link);
	list_add_front(&list, &items[4].link);
	assert_int_equal(numbers_in_order(), 51234);
}

static void test_an_empty_or_zeroed_list_has_nothing(void **state)
{
	struct list zeroed = { 0 };

	(void)state;
	list_init(&list);
	assert_true(list_is_empty(&list));
	assert_true(list_is_empty(&zeroed));
	assert_null(list_pop(&list));
	assert_null(list_pop(&zeroed));
	assert_int_equal(numbers_in_order(), 0);
	LIST_EACH (&zeroed, struct item, link, it)
		fail_msg("visited %d", it->number);
}

static void test_any_item_may_be_removed_while_visiting(void **state)
{
	(void)state;
	fill();
	LIST_EACH (&list, struct item, link, it)
		if (it->number % 2 == 0)
			list_remove(&it->link);
	assert_int_equal(numbers_in_order(), 24);
	LIST_EACH (&list, struct item, link, it)
		list_remove(&it->link);
	assert_true(list_is_empty(&list));
}

static void test_break_and_continue_do_what_they_say(void **state)
{
	int visits = 0, counted = 0;

	(void)state;
	fill();
	LIST_EACH (&list, struct item, link, it) {
		visits++;
		if (it->number == 1)
			continue;
		if (it->number == 3)
			break;
		counted++;
	}
	assert_int_equal(visits, 4);
	assert_int_equal(counted, 2);
}

static void test_loops_can_be_nested(void **state)
{
	int pairs = 0;

	(void)state;
	fill();
	LIST_EACH (&list, struct item, link, outer)
		LIST_EACH (&list, struct item, link, inner) {
			if (inner->number > outer->number)
				break;
			pairs++;
		}
	assert_int_equal(pairs, 15);
}

static void test_a_node_knows_whether_it_is_linked(void **state)
{
	struct item fresh = { 0 };

	(void)state;
	fill();
	assert_true(list_is_linked(&items[2].link));
	list_remove(&items[2].link);
	assert_false(list_is_linked(&items[2].link));
	list_remove(&items[2].link);
	list_remove(&fresh.link);
	assert_false(list_is_linked(&fresh.link));
	assert_ptr_equal(list_pop(&list), &items[0].link);
	assert_int_equal(numbers_in_order(), 245);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items_are_visited_in_order),
		cmocka_unit_test(test_an_empty_or_zeroed_list_has_nothing),
		cmocka_unit_test(test_any_item_may_be_removed_while_visiting),
		cmocka_unit_test(test_break_and_continue_do_what_they_say),
		cmocka_unit_test(test_loops_can_be_nested),
		cmocka_unit_test(test_a_node_knows_whether_it_is_linked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
