#include "server/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_a_process_is_found_by_its_name(void **state)
{
	(void)state;
	for (int process = 0; process < PROCESS_COUNT; process++) {
		int found = -1;
		assert_true(process_from_name(process_name(process), &found));
		assert_int_equal(found, process);
	}
	int found = -1;
	assert_false(process_from_name("streams-1", &found));
	assert_false(process_from_name("streams-17", &found));
	assert_false(process_from_name("stream", &found));
	assert_int_equal(found, -1);
}

static void test_agents_are_processes_of_streams_with_a_number(void **state)
{
	struct options o = { .agent_count = 2, .roles[ROLE_STREAMS] = true };

	(void)state;
	assert_string_equal(process_name(process_of_agent(1)), "streams");
	assert_string_equal(process_name(process_of_agent(16)), "streams-16");
	for (int number = 1; number <= OPTION_AGENTS_MAX; number++) {
		int process = process_of_agent(number);
		assert_int_equal(process_role(process), ROLE_STREAMS);
		assert_int_equal(process_agent(process), number);
		assert_int_equal(process_is_there(&o, process), number <= 2);
	}
	assert_false(process_is_there(&o, ROLE_CONTROL));
	o.roles[ROLE_STREAMS] = false;
	assert_false(process_is_there(&o, process_of_agent(1)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_process_is_found_by_its_name),
		cmocka_unit_test(test_agents_are_processes_of_streams_with_a_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
