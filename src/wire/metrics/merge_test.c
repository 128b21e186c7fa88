#include "wire/metrics/merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CPU "# HELP process_cpu_seconds_total CPU.\n# TYPE process_cpu_seconds_total counter\n"

static void test_families_of_the_same_name_stand_together(void **state)
{
	const struct slice pages[] = {
		SLICE(CPU "process_cpu_seconds_total{role=\"control\"} 1\n"
			  "# HELP a A.\n# TYPE a gauge\na 1\n"),
		SLICE("# HELP b B.\n# TYPE b histogram\nb_bucket{le=\"+Inf\"} 2\nb_sum 3\n"
		      "b_count 2\n" CPU "process_cpu_seconds_total{role=\"streams\"} 2\n"),
	};
	struct buf out;

	(void)state;
	buf_init(&out);
	assert_int_equal(metrics_check(pages[0]), OK);
	assert_int_equal(metrics_check(pages[1]), OK);
	metrics_merge(pages, 2, &out);
	buf_add_u8(&out, 0);
	assert_string_equal((const char *)out.data,
			    CPU "process_cpu_seconds_total{role=\"control\"} 1\n"
				"process_cpu_seconds_total{role=\"streams\"} 2\n"
				"# HELP a A.\n# TYPE a gauge\na 1\n"
				"# HELP b B.\n# TYPE b histogram\nb_bucket{le=\"+Inf\"} 2\n"
				"b_sum 3\nb_count 2\n");
	buf_done(&out);
}

static void test_a_family_of_openmetrics_has_samples_with_total(void **state)
{
	(void)state;
	assert_int_equal(metrics_check(SLICE("# HELP a A.\n# TYPE a counter\na_total 1\n")), OK);
}

static void test_what_is_no_page_is_refused(void **state)
{
	static const char *const wrong[] = {
		"a 1\n",
		"# HELP a A.\n",
		"# HELP a A.\n# TYPE b gauge\n",
		"# HELP a A.\n# TYPE a gauge\na 1",
		"# HELP a A.\n# TYPE a gauge\nb 1\n",
		"# HELP a A.\n# TYPE a gauge\na_x 1\n",
		"# HELP a A.\n# TYPE a gauge\na\n",
		"# HELP a A.\n# TYPE a gauge\n\n",
		"# HELP 1a A.\n# TYPE 1a gauge\n1a 1\n",
		"# HELP  A.\n# TYPE  gauge\n",
		"# HELP a A.\n# TYPE a gauge\n# EOF\n",
		"<html>\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(metrics_check(slice_from(wrong[i])), ERR_CORRUPT);
	assert_int_equal(metrics_check(SLICE("")), OK);
}

static void test_a_page_has_a_limit_of_families(void **state)
{
	struct buf page;

	(void)state;
	buf_init(&page);
	for (int i = 0; i <= MERGE_FAMILIES_MAX; i++)
		buf_add_format(&page, "# HELP a%d A.\n# TYPE a%d gauge\n", i, i);
	assert_int_equal(metrics_check(buf_slice(&page)), ERR_TOO_BIG);
	buf_done(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families_of_the_same_name_stand_together),
		cmocka_unit_test(test_a_family_of_openmetrics_has_samples_with_total),
		cmocka_unit_test(test_what_is_no_page_is_refused),
		cmocka_unit_test(test_a_page_has_a_limit_of_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
