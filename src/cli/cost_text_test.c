/* What is said beside the numbers: the notes have to be there when they are true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cost.h"

static struct cost_report report;

/* 1 MB/s, read twice, kept for seven days, as from flags. */
static void make(const char *store, const char *more_prices)
{
	char why[PRICES_WHY_BYTES];

	memset(&report, 0, sizeof(report));
	prices_default(&report.prices);
	assert_int_equal(prices_add(&report.prices, slice_from(more_prices), why), OK);
	report.store = store;
	report.has_flags_only = true;
	report.load = (struct cost_load) { .produced_gb = 2628,
					   .fan_out = 2,
					   .kept_gb = 604.8,
					   .partitions = 30,
					   .agents = 1,
					   .flush_ms = 100 };
	cost_hanse(&report.hanse, &report.prices, store, &report.load);
	cost_kafka(&report.kafka, &report.prices, &report.load);
	cost_managed(&report.managed, &report.prices, &report.load);
	cost_beside(&report.beside, &report.prices, store, &report.load, -1);
}

static bool says(const char *words)
{
	for (size_t i = 0; i < report.note_count; i++)
		if (strstr(report.notes[i], words))
			return true;
	return false;
}

static void test_where_we_lose_is_said_first(void **state)
{
	(void)state;
	make("aws-s3", "");
	cost_add_notes(&report);
	assert_string_equal(report.notes[0],
			    "Here Hanse loses: it is $68.48 a month more than self-run Kafka"
			    " without its machines: 1.1 hours of yours at $60.");
	assert_true(says("$467.74 a month less than managed Kafka: 7.8 hours"));
	assert_true(says("$262.80 of Hanse's sum are requests to put"));
	assert_true(says("Machines and disks of your own are not counted"));
}

static void test_a_machine_with_a_price_is_no_excuse_any_more(void **state)
{
	(void)state;
	make("aws-s3", "machine broker 0.1 hour 2026-11-21 yours -");
	cost_add_notes(&report);
	/* 210.24 + 219.00 against 278.72 + 73.00 */
	assert_true(says("$77.52 a month less than self-run Kafka: 1.3 hours"));
	assert_false(says("Machines and disks of your own are not counted"));
	assert_false(says("without its machines"));
}

static void test_no_sum_is_compared_that_is_not_whole(void **state)
{
	(void)state;
	make(NULL, "");
	cost_add_notes(&report);
	assert_false(says("self-run Kafka"));
	assert_true(says("--store NAME chooses them"));
}

static void test_puts_that_are_free_are_no_floor(void **state)
{
	(void)state;
	make("b2", "");
	cost_add_notes(&report);
	assert_false(says("requests to put"));
	assert_false(says("Here Hanse loses"));
}

static void test_old_and_unconfirmed_prices_are_told(void **state)
{
	(void)state;
	make("aws-s3", "");
	memcpy(report.oldest, "2026-11-21", sizeof("2026-11-21"));
	report.oldest_day = 20778;
	report.today = report.oldest_day + PRICES_OLD_DAYS;
	cost_add_notes(&report);
	assert_false(says("days old"));
	assert_false(says("not confirmed"));
	report.note_count = 0;
	report.today++;
	report.has_unconfirmed = true;
	cost_add_notes(&report);
	assert_true(says("Prices are 181 days old"));
	assert_true(says("not confirmed"));
}

static void test_a_short_count_and_its_errors_are_told(void **state)
{
	(void)state;
	make("aws-s3", "");
	report.has_flags_only = false;
	report.measured_s = 600;
	report.scale = 4380;
	cost_add_notes(&report);
	assert_true(says("Counted for 10 minutes of this month only"));
	assert_false(says("got no answer"));
	report.note_count = 0;
	report.measured_s = 86400;
	report.bucket_count = 2;
	report.buckets[0].month.errors = 2;
	report.buckets[1].month.errors = 3;
	cost_add_notes(&report);
	assert_false(says("Counted for"));
	assert_true(says("5 requests of this month got no answer"));
}

static void test_little_may_not_need_kafka(void **state)
{
	(void)state;
	make("aws-s3", "");
	cost_add_notes(&report);
	assert_false(says("may not need Kafka"));
	report.note_count = 0;
	report.load.produced_gb = 9;
	cost_add_notes(&report);
	assert_true(says("may not need Kafka"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where_we_lose_is_said_first),
		cmocka_unit_test(test_a_machine_with_a_price_is_no_excuse_any_more),
		cmocka_unit_test(test_no_sum_is_compared_that_is_not_whole),
		cmocka_unit_test(test_puts_that_are_free_are_no_floor),
		cmocka_unit_test(test_old_and_unconfirmed_prices_are_told),
		cmocka_unit_test(test_a_short_count_and_its_errors_are_told),
		cmocka_unit_test(test_little_may_not_need_kafka),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
