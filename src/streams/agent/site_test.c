/* Who owns a block.  What agents of a site say to each other is in ../agent_site_cache_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "streams/agent/site.h"

enum { AGENTS = 4, BLOCKS = 4000 };

static const int32_t agents[AGENTS] = { 3, 1, 40, 7 };

static int32_t owner_of(int number, const int32_t *node_ids, size_t count)
{
	struct site_block block = { 5, number / 8, number % 8 };

	return site_find_owner(&block, node_ids, count);
}

static void test_each_agent_owns_about_as_much(void **state)
{
	int counts[AGENTS] = { 0 };

	(void)state;
	for (int i = 0; i < BLOCKS; i++)
		for (int k = 0; k < AGENTS; k++)
			counts[k] += owner_of(i, agents, AGENTS) == agents[k];
	for (int k = 0; k < AGENTS; k++)
		assert_in_range(counts[k], BLOCKS / AGENTS * 8 / 10, BLOCKS / AGENTS * 12 / 10);
}

static void test_the_order_of_agents_does_not_matter(void **state)
{
	const int32_t others[AGENTS] = { 7, 40, 3, 1 };

	(void)state;
	for (int i = 0; i < BLOCKS; i++)
		assert_int_equal(owner_of(i, agents, AGENTS), owner_of(i, others, AGENTS));
}

static void test_only_the_blocks_of_who_goes_get_another_owner(void **state)
{
	(void)state;
	for (int i = 0; i < BLOCKS; i++) {
		int32_t before = owner_of(i, agents, AGENTS);
		int32_t after = owner_of(i, agents, AGENTS - 1);
		if (before != agents[AGENTS - 1])
			assert_int_equal(after, before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_agent_owns_about_as_much),
		cmocka_unit_test(test_the_order_of_agents_does_not_matter),
		cmocka_unit_test(test_only_the_blocks_of_who_goes_get_another_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
