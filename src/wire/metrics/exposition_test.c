#include "wire/metrics/exposition.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct metric_row requests = { "hanse_requests_total", METRIC_COUNTER, "Requests.",
					    NULL };
static const struct metric_row bytes = { "hanse_buffered_bytes", METRIC_GAUGE, "Buffered.", NULL };
static const struct metric_row latency = { "hanse_put_duration_seconds", METRIC_HISTOGRAM,
					   "Time of a put.", &histogram_times };

static struct exposition begin(struct buf *out, enum exposition_format format)
{
	struct exposition e;

	buf_init(out);
	exposition_init(&e, format, out);
	return e;
}

static void expect(struct buf *out, const char *text)
{
	buf_add_u8(out, 0);
	assert_string_equal((const char *)out->data, text);
	buf_done(out);
}

static void test_a_common_label_is_in_all_samples(void **state)
{
	struct buf out;
	struct exposition e = begin(&out, EXPOSITION_TEXT);
	struct histogram h = { 0 };

	(void)state;
	e.common = (struct metric_label) { "agent", SLICE("2") };
	exposition_family(&e, &requests);
	exposition_add(&e, 7, LABELS({ "api", SLICE("Fetch") }));
	exposition_one(&e, &bytes, 3);
	exposition_family(&e, &latency);
	exposition_add_histogram(&e, &h, NO_LABELS);
	buf_add_u8(&out, 0);
	const char *text = (const char *)out.data;
	assert_non_null(strstr(text, "hanse_requests_total{api=\"Fetch\",agent=\"2\"} 7\n"));
	assert_non_null(strstr(text, "hanse_buffered_bytes{agent=\"2\"} 3\n"));
	assert_non_null(strstr(text, "_bucket{agent=\"2\",le=\"+Inf\"} 0\n"));
	assert_non_null(strstr(text, "_count{agent=\"2\"} 0\n"));
	buf_done(&out);
}

static void test_a_counter_keeps_its_name_in_text(void **state)
{
	struct buf out;
	struct exposition e = begin(&out, EXPOSITION_TEXT);

	(void)state;
	exposition_family(&e, &requests);
	exposition_add(&e, 7, LABELS({ "api", SLICE("Fetch") }, { "role", SLICE("streams") }));
	exposition_one(&e, &bytes, UINT64_MAX);
	exposition_end(e.format, &out);
	expect(&out, "# HELP hanse_requests_total Requests.\n"
		     "# TYPE hanse_requests_total counter\n"
		     "hanse_requests_total{api=\"Fetch\",role=\"streams\"} 7\n"
		     "# HELP hanse_buffered_bytes Buffered.\n"
		     "# TYPE hanse_buffered_bytes gauge\n"
		     "hanse_buffered_bytes 18446744073709551615\n");
}

static void test_a_family_of_openmetrics_is_called_without_total(void **state)
{
	struct buf out;
	struct exposition e = begin(&out, EXPOSITION_OPENMETRICS);

	(void)state;
	exposition_one(&e, &requests, 1);
	exposition_end(e.format, &out);
	expect(&out, "# HELP hanse_requests Requests.\n"
		     "# TYPE hanse_requests counter\n"
		     "hanse_requests_total 1\n"
		     "# EOF\n");
}

static void test_values_of_labels_are_escaped_and_made_utf8(void **state)
{
	struct buf out;
	struct exposition e = begin(&out, EXPOSITION_TEXT);

	(void)state;
	exposition_family(&e, &bytes);
	buf_clear(&out);
	exposition_add(&e, 1, LABELS({ "group", SLICE("a\\b\"c\nd\xff\xc3\xa9\xed\xa0\x80") }));
	expect(&out, "hanse_buffered_bytes{group=\"a\\\\b\\\"c\\nd\xef\xbf\xbd\xc3\xa9"
		     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"} 1\n");
}

static void test_long_values_are_cut_between_characters(void **state)
{
	uint8_t text[METRIC_LABEL_BYTES_MAX + 1];
	struct buf out;
	struct exposition e = begin(&out, EXPOSITION_TEXT);

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text + METRIC_LABEL_BYTES_MAX - 1, "\xc3\xa9", 2);
	exposition_family(&e, &bytes);
	buf_clear(&out);
	exposition_add(&e, 1, LABELS({ "group", { text, sizeof(text) } }));
	assert_int_equal(out.size, strlen("hanse_buffered_bytes{group=\"\"} 1\n") +
					   METRIC_LABEL_BYTES_MAX - 1);
	buf_done(&out);
	assert_false(metric_label_is_exact((struct slice) { text, sizeof(text) }));
	assert_true(metric_label_is_exact((struct slice) { text, METRIC_LABEL_BYTES_MAX - 1 }));
	assert_false(metric_label_is_exact((struct slice) { text, METRIC_LABEL_BYTES_MAX }));
	assert_true(metric_label_is_exact(SLICE("gr\xc3\xbc\xc3\x9f"
						"e")));
	assert_false(metric_label_is_exact(SLICE("\xc0\x80")));
	assert_true(metric_label_is_exact(SLICE("")));
}

static void test_a_histogram_counts_up(void **state)
{
	struct histogram h = { 0 };
	struct buf out;
	struct exposition e = begin(&out, EXPOSITION_OPENMETRICS);

	(void)state;
	histogram_add(&h, &histogram_times, 0);
	histogram_add(&h, &histogram_times, 100);
	histogram_add(&h, &histogram_times, 101);
	histogram_add(&h, &histogram_times, 1000 * 1000);
	histogram_add(&h, &histogram_times, 60 * 1000 * 1000);
	assert_int_equal(histogram_count(&h), 5);
	exposition_family(&e, &latency);
	exposition_add_histogram(&e, &h, NO_LABELS);
	buf_add_u8(&out, 0);
	const char *text = (const char *)out.data;
	assert_non_null(strstr(text, "_seconds_bucket{le=\"0.0001\"} 2\n"));
	assert_non_null(strstr(text, "_seconds_bucket{le=\"0.00025\"} 3\n"));
	assert_non_null(strstr(text, "_seconds_bucket{le=\"1.0\"} 4\n"));
	assert_non_null(strstr(text, "_seconds_bucket{le=\"30.0\"} 4\n"));
	assert_non_null(strstr(text, "_seconds_bucket{le=\"+Inf\"} 5\n"));
	assert_non_null(strstr(text, "_seconds_sum 61.000201\n"));
	assert_non_null(strstr(text, "_seconds_count 5\n"));
	buf_done(&out);
}

static void test_reals_are_written_as_both_formats_read_them(void **state)
{
	struct buf out;
	struct exposition e = begin(&out, EXPOSITION_TEXT);

	(void)state;
	exposition_family(&e, &bytes);
	buf_clear(&out);
	exposition_add_real(&e, 0.25, NO_LABELS);
	exposition_add_real(&e, (double)NAN, NO_LABELS);
	exposition_add_real(&e, -(double)INFINITY, NO_LABELS);
	expect(&out, "hanse_buffered_bytes 0.25\nhanse_buffered_bytes NaN\n"
		     "hanse_buffered_bytes -Inf\n");
}

static void test_samples_above_the_limit_are_left_out(void **state)
{
	struct buf out;
	struct exposition e = begin(&out, EXPOSITION_TEXT);

	(void)state;
	exposition_family(&e, &bytes);
	for (int i = 0; i < EXPOSITION_SAMPLES_MAX + 3; i++) {
		exposition_add(&e, 1, NO_LABELS);
		if (i < EXPOSITION_SAMPLES_MAX)
			buf_clear(&out);
	}
	assert_int_equal(out.size, 0);
	assert_int_equal(e.left_out, 3);
	buf_done(&out);
}

static void test_openmetrics_is_for_who_names_it(void **state)
{
	(void)state;
	assert_int_equal(exposition_format_of(SLICE("")), EXPOSITION_TEXT);
	assert_int_equal(exposition_format_of(SLICE("*/*")), EXPOSITION_TEXT);
	assert_int_equal(exposition_format_of(SLICE("text/plain;version=0.0.4")), EXPOSITION_TEXT);
	assert_int_equal(exposition_format_of(
				 SLICE("application/openmetrics-text;version=1.0.0;q=0.8,"
				       "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")),
			 EXPOSITION_OPENMETRICS);
	assert_int_equal(exposition_format_of(
				 SLICE("text/plain, application/openmetrics-text ;q=0")),
			 EXPOSITION_TEXT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_common_label_is_in_all_samples),
		cmocka_unit_test(test_a_counter_keeps_its_name_in_text),
		cmocka_unit_test(test_a_family_of_openmetrics_is_called_without_total),
		cmocka_unit_test(test_values_of_labels_are_escaped_and_made_utf8),
		cmocka_unit_test(test_long_values_are_cut_between_characters),
		cmocka_unit_test(test_a_histogram_counts_up),
		cmocka_unit_test(test_reals_are_written_as_both_formats_read_them),
		cmocka_unit_test(test_samples_above_the_limit_are_left_out),
		cmocka_unit_test(test_openmetrics_is_for_who_names_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
