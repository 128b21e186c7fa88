#include "wire/metrics/samples.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wire/metrics/exposition.h"

static void test_what_was_written_is_read(void **state)
{
	static const struct metric_row row = { "rows_total", METRIC_COUNTER, "A.", NULL };
	struct metric_sample s;
	struct slice rest, value;
	struct exposition e;
	struct buf text;

	(void)state;
	buf_init(&text);
	exposition_init(&e, EXPOSITION_TEXT, &text);
	exposition_family(&e, &row);
	exposition_add(&e, 7, LABELS({ "x", SLICE("a}\"\\,b=\n") }, { "y", SLICE("z") }));
	exposition_add_real(&e, 0.5, NO_LABELS);
	rest = buf_slice(&text);
	assert_true(metric_sample_next(&rest, &s));
	assert_true(slice_equal(s.name, SLICE("rows_total")) && s.value == 7);
	assert_true(metric_sample_label(&s, "x", &value));
	assert_true(slice_equal(value, SLICE("a}\\\"\\\\,b=\\n")));
	assert_true(metric_sample_label(&s, "y", &value) && slice_equal(value, SLICE("z")));
	assert_false(metric_sample_label(&s, "z", &value));
	assert_true(metric_sample_next(&rest, &s));
	assert_true(s.labels.size == 0 && s.value > 0.4 && s.value < 0.6);
	assert_false(metric_sample_next(&rest, &s));
	buf_done(&text);
}

static void test_what_is_no_sample_is_passed_over(void **state)
{
	struct slice rest = SLICE("# x\n\nname\nname{a=\"b 1\nname x\n{} 1\nlast 2"), value;
	struct metric_sample s;

	(void)state;
	assert_true(metric_sample_next(&rest, &s));
	assert_true(slice_equal(s.name, SLICE("last")) && s.value == 2);
	assert_false(metric_sample_next(&rest, &s));
	s.labels = SLICE("a=\"b\\");
	assert_false(metric_sample_label(&s, "a", &value));
	s.labels = SLICE("a=b");
	assert_false(metric_sample_label(&s, "a", &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_written_is_read),
		cmocka_unit_test(test_what_is_no_sample_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
