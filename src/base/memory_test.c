#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static long resident_pages(void)
{
	long size, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &size, &resident), 2);
	fclose(file);
	return resident;
}

static void test_a_process_that_settled_is_smaller_and_goes_on(void **state)
{
	char *kept = memory_copy_text("kept");

	(void)state;
	long before = resident_pages();
	memory_settle();
	assert_true(resident_pages() < before);
	assert_string_equal(kept, "kept");
	memory_settle();
	char *fresh = memory_take(1 << 20);
	assert_int_equal(fresh[(1 << 20) - 1], 0);
	memory_free(fresh);
	memory_free(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_process_that_settled_is_smaller_and_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
