#include "server/older.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct epoch first = { 1, 5 }, second = { 2, 5 };

static bool found(struct older *o, struct epoch epoch, int read_count)
{
	struct holder_find find = { .epoch = epoch, .read_count = read_count };

	return older_found(o, &find, 3, "file:/a,file:/b,file:/c");
}

static void test_a_term_that_led_and_is_gone_is_proof(void **state)
{
	struct older o = { 0 };

	(void)state;
	older_led(&o, second);
	older_led(&o, first); /* the newest one counts */
	assert_true(found(&o, second, 3));
	assert_false(found(&o, first, 3));
	assert_non_null(strstr(o.text, "term 2 led it"));
	assert_true(found(&o, second, 2)); /* it is back */
	assert_string_equal(o.text, "");
}

static void test_a_minority_of_buckets_proves_nothing(void **state)
{
	struct older o = { 0 };

	(void)state;
	older_led(&o, second);
	assert_true(found(&o, first, 1));
	assert_false(found(&o, first, 2));
}

static void test_what_an_agent_has_seen_is_not_taken_back(void **state)
{
	const struct leader_position seen = { .index = 12 };
	struct older o = { 0 };

	(void)state;
	older_proven(&o, &seen, SLICE("a:1"), 10, "file:/a");
	assert_non_null(strstr(o.text, "a:1 has seen record 12"));
	assert_non_null(strstr(o.text, "2 are missing"));
	assert_false(found(&o, second, 3));
	older_refused(&o, "something", "file:/a");
	assert_non_null(strstr(o.text, "a:1"));
	older_proven(&o, &seen, SLICE("a:1"), 20, "file:/a");
	assert_non_null(strstr(o.text, "another record 12"));
}

static void test_what_the_leader_refused_is_looked_at_again(void **state)
{
	struct older o = { 0 };

	(void)state;
	older_refused(&o, "record 6 is missing", "file:/a");
	assert_non_null(strstr(o.text, "record 6 is missing"));
	assert_true(found(&o, first, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_term_that_led_and_is_gone_is_proof),
		cmocka_unit_test(test_a_minority_of_buckets_proves_nothing),
		cmocka_unit_test(test_what_an_agent_has_seen_is_not_taken_back),
		cmocka_unit_test(test_what_the_leader_refused_is_looked_at_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
