#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/assignment.h"

/* Version 0: orders 0 and 258, x without partitions, no user data. */
#define TWO_TOPICS                                                                                 \
	"\0\0"                                                                                     \
	"\0\0\0\2"                                                                                 \
	"\0\6orders"                                                                               \
	"\0\0\0\2\0\0\0\0\0\0\1\2"                                                                 \
	"\0\1x"                                                                                    \
	"\0\0\0\0"

static void test_topics_and_partitions_are_read(void **state)
{
	struct assignment assignment;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(assignment_decode(&a, SLICE(TWO_TOPICS "\377\377\377\377"), &assignment),
			 OK);
	assert_int_equal(assignment.topics_count, 2);
	assert_int_equal(assignment.partitions_count, 2);
	assert_true(slice_equal(assignment.topics[0].name, SLICE("orders")));
	assert_int_equal(assignment.topics[0].partitions[1], 258);
	assert_true(slice_equal(assignment.topics[1].name, SLICE("x")));
	assert_int_equal(assignment.topics[1].partitions_count, 0);
	arena_done(&a);
}

static void test_a_member_without_a_share_has_no_topics(void **state)
{
	struct assignment assignment;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(assignment_decode(&a, (struct slice) { 0 }, &assignment), OK);
	assert_int_equal(assignment.topics_count, 0);
	arena_done(&a);
}

static void test_every_cut_is_refused(void **state)
{
	struct slice whole = SLICE(TWO_TOPICS);
	struct assignment assignment;
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t size = 1; size < whole.size; size++)
		assert_int_equal(assignment_decode(&a, slice_part(whole, 0, size), &assignment),
				 ERR_INVALID);
	arena_done(&a);
}

static void test_counts_beyond_the_bytes_are_refused(void **state)
{
	struct assignment assignment;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(assignment_decode(&a, SLICE("\0\0\177\377\377\377"), &assignment),
			 ERR_INVALID);
	assert_int_equal(assignment_decode(&a, SLICE("\0\0\0\0\0\1\0\1x\377\377\377\377"),
					   &assignment),
			 ERR_INVALID);
	assert_int_equal(assignment_decode(&a, SLICE("\377\377\0\0\0\0"), &assignment),
			 ERR_INVALID);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topics_and_partitions_are_read),
		cmocka_unit_test(test_a_member_without_a_share_has_no_topics),
		cmocka_unit_test(test_every_cut_is_refused),
		cmocka_unit_test(test_counts_beyond_the_bytes_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
