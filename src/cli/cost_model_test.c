/* The worked examples, to the cent: whoever doubts a number can follow it here. */
#include "cli/cost_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "streams/agent/agent.h"
#include "streams/agent/block_cache.h"
#include "streams/agent/flush_budget.h"

static struct prices prices;
static struct cost_sheet sheet;

static int set_up(void **state)
{
	(void)state;
	prices_default(&prices);
	return 0;
}

static void assert_dollars(double dollars, const char *expected)
{
	char text[32];

	snprintf(text, sizeof(text), "%.2f", dollars);
	assert_string_equal(text, expected);
}

static const struct cost_line *line_of(const char *what)
{
	for (size_t i = 0; i < sheet.line_count; i++)
		if (strcmp(sheet.lines[i].what, what) == 0)
			return &sheet.lines[i];
	fail_msg("there is no line %s", what);
	return NULL;
}

static bool has_line(const char *what)
{
	for (size_t i = 0; i < sheet.line_count; i++)
		if (strcmp(sheet.lines[i].what, what) == 0)
			return true;
	return false;
}

/* 1 MB/s, read twice, kept for seven days. */
static const struct cost_load one_mb = {
	.produced_gb = 2628,
	.fan_out = 2,
	.kept_gb = 604.8,
	.partitions = 30,
	.agents = 1,
	.flush_ms = 100,
};

/* --- Kafka ------------------------------------------------------------------------------ */

/* 300 MiB/s with three copies and two readers move 1,200 MiB/s between zones. */
static void test_kafka_moves_four_times_what_is_produced(void **state)
{
	struct cost_load load = { .produced_gb = 300, .fan_out = 2, .agents = 1, .flush_ms = 100 };
	double moved = 0;

	(void)state;
	cost_kafka(&sheet, &prices, &load);
	for (size_t i = 0; i < sheet.line_count; i++)
		moved += sheet.lines[i].count;
	assert_true(fabs(moved - 1200) < 1e-9);
	assert_dollars(sheet.dollars, "24.00");
	assert_true(sheet.is_complete);
}

static void test_kafka_of_one_megabyte_a_second(void **state)
{
	(void)state;
	cost_kafka(&sheet, &prices, &one_mb);
	assert_dollars(line_of("producers to other zones")->dollars, "35.04");
	assert_dollars(line_of("copies to other zones")->dollars, "105.12");
	assert_dollars(line_of("consumers from other zones")->dollars, "70.08");
	assert_dollars(sheet.dollars, "210.24");
	assert_false(has_line("machines"));
}

static void test_machines_count_for_both_when_they_have_a_price(void **state)
{
	char why[PRICES_WHY_BYTES];

	(void)state;
	prices_default(&prices);
	assert_int_equal(prices_add(&prices,
				    SLICE("machine broker 0.10 hour 2026-11-21 yours -\n"
					  "machine storage 0.08 GB-month 2026-11-21 yours -\n"),
				    why),
			 OK);
	cost_kafka(&sheet, &prices, &one_mb);
	assert_dollars(line_of("machines")->dollars, "219.00"); /* 3 x 730 x 0.10 */
	assert_dollars(line_of("disks")->dollars, "145.15");	/* 3 x 604.8 x 0.08 */
	cost_hanse(&sheet, &prices, "aws-s3", &one_mb);
	assert_dollars(line_of("machines")->dollars, "73.00");
	assert_false(has_line("disks"));
	prices_default(&prices);
}

static void test_managed_kafka_of_one_megabyte_a_second(void **state)
{
	(void)state;
	cost_managed(&sheet, &prices, &one_mb);
	assert_dollars(line_of("brokers")->dollars, "459.90");
	assert_dollars(line_of("stored")->dollars, "181.44");
	assert_dollars(line_of("producers to other zones")->dollars +
			       line_of("consumers from other zones")->dollars,
		       "105.12");
	assert_dollars(sheet.dollars, "746.46");
	assert_int_equal(line_of("brokers")->price->state, PRICE_UNCONFIRMED);
}

static void test_many_partitions_need_more_brokers(void **state)
{
	struct cost_load load = one_mb;

	(void)state;
	load.partitions = 1000;
	assert_true(cost_brokers(&prices, &load) == 3);
	load.partitions = 1001;
	assert_true(cost_brokers(&prices, &load) == 4);
	load.partitions = 0;
	assert_true(cost_brokers(&prices, &load) == 3);
}

/* --- the floor of puts ------------------------------------------------------------------ */
static void test_the_floor_of_puts_depends_on_time_alone(void **state)
{
	static const struct {
		double flush_ms, puts;
		const char *s3, *r2;
	} rows[] = {
		{ 50, 52560000, "262.80", "236.52" }, { 100, 26280000, "131.40", "118.26" },
		{ 250, 10512000, "52.56", "47.30" },  { 1000, 2628000, "13.14", "11.83" },
		{ 30000, 87600, "0.44", "0.39" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct cost_load load = { .produced_gb = 0.001,
					  .agents = 1,
					  .flush_ms = rows[i].flush_ms };
		assert_true(fabs(cost_file_puts(&load) - rows[i].puts) < 1e-6);
		cost_hanse(&sheet, &prices, "aws-s3", &load);
		assert_dollars(line_of("put data files")->dollars, rows[i].s3);
		cost_hanse(&sheet, &prices, "r2", &load);
		assert_dollars(line_of("put data files")->dollars, rows[i].r2);
	}
}

static void test_volume_counts_where_files_are_full(void **state)
{
	struct cost_load load = one_mb;

	(void)state;
	load.produced_gb = 8388608 * 0.1; /* a hundred million files of 8 MiB */
	assert_true(fabs(cost_file_puts(&load) - 1e8) < 1e-3);
	assert_true(fabs(cost_journal_puts(&load) - 26280000) < 1e-6);
	load.flush_ms = 1;
	load.produced_gb = 0;
	assert_true(cost_file_puts(&load) == 0);
	assert_true(cost_journal_puts(&load) == 0);
}

static void test_agents_have_a_floor_each_and_share_the_journal(void **state)
{
	struct cost_load load = one_mb;

	(void)state;
	load.agents = 3;
	assert_true(fabs(cost_file_puts(&load) - 3 * 26280000.0) < 1e-6);
	assert_true(fabs(cost_journal_puts(&load) - 26280000.0) < 1e-6);
}

/* --- Hanse ------------------------------------------------------------------------------ */
static void test_hanse_of_one_megabyte_a_second(void **state)
{
	(void)state;
	cost_hanse(&sheet, &prices, "aws-s3", &one_mb);
	assert_dollars(line_of("put data files")->dollars, "131.40");
	assert_dollars(line_of("put journal records")->dollars, "131.40");
	/* 2 x 2628e9 / 1048576 = 5,012,512 requests */
	assert_dollars(line_of("get what is read")->dollars, "2.01");
	assert_dollars(line_of("stored")->dollars, "13.91");
	assert_dollars(sheet.dollars, "278.72");
	assert_true(sheet.is_complete);

	cost_hanse(&sheet, &prices, "b2", &one_mb);
	assert_dollars(sheet.dollars, "5.63"); /* 3.6288 + 2.0050: puts are free there */
	cost_hanse(&sheet, &prices, "own", &one_mb);
	assert_dollars(sheet.dollars, "0.00");
}

static void test_bytes_cost_where_the_store_says_so(void **state)
{
	(void)state;
	cost_hanse(&sheet, &prices, "aws-s3-express", &one_mb);
	assert_dollars(line_of("into the store")->dollars, "8.41");
	assert_dollars(line_of("out of the store")->dollars, "3.15");
	cost_hanse(&sheet, &prices, "aws-s3", &one_mb);
	assert_false(has_line("into the store"));
}

static void test_a_store_without_prices_has_no_sum(void **state)
{
	(void)state;
	cost_hanse(&sheet, &prices, "wasabi", &one_mb);
	assert_false(sheet.is_complete);
	assert_null(line_of("stored")->price);
	cost_hanse(&sheet, &prices, NULL, &one_mb);
	assert_false(sheet.is_complete);
}

/* --- besides ---------------------------------------------------------------------------- */
static void test_what_depends_on_places_is_beside_the_sums(void **state)
{
	(void)state;
	cost_beside(&sheet, &prices, "aws-s3", &one_mb, 1.5);
	/* (5256 - 100) x 0.09 */
	assert_dollars(line_of("if consumers, or agents, are outside")->dollars, "464.04");
	assert_dollars(line_of("if clients use agents of any zone")->dollars, "105.12");
	assert_dollars(line_of("if control is in another zone")->dollars, "0.03");
	assert_dollars(line_of("Kafka, if all fetch from followers")->dollars, "-70.08");
	cost_beside(&sheet, &prices, "r2", &one_mb, -1);
	assert_dollars(line_of("if consumers, or agents, are outside")->dollars, "0.00");
	assert_false(has_line("if control is in another zone"));
}

static void test_little_that_leaves_is_free(void **state)
{
	struct cost_load load = { .produced_gb = 10, .fan_out = 2, .agents = 1, .flush_ms = 100 };

	(void)state;
	cost_beside(&sheet, &prices, "aws-s3", &load, -1);
	assert_dollars(line_of("if consumers, or agents, are outside")->dollars, "0.00");
}

static void test_the_numbers_are_those_of_the_agent(void **state)
{
	(void)state;
	assert_int_equal(COST_FILE_BYTES, AGENT_FILE_BYTES_DEFAULT);
	assert_int_equal(COST_BLOCK_BYTES, BLOCK_CACHE_BLOCK_BYTES);
	assert_int_equal(COST_PUTS_PER_S_MAX, FLUSH_PUTS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kafka_moves_four_times_what_is_produced),
		cmocka_unit_test(test_kafka_of_one_megabyte_a_second),
		cmocka_unit_test(test_machines_count_for_both_when_they_have_a_price),
		cmocka_unit_test(test_managed_kafka_of_one_megabyte_a_second),
		cmocka_unit_test(test_many_partitions_need_more_brokers),
		cmocka_unit_test(test_the_floor_of_puts_depends_on_time_alone),
		cmocka_unit_test(test_volume_counts_where_files_are_full),
		cmocka_unit_test(test_agents_have_a_floor_each_and_share_the_journal),
		cmocka_unit_test(test_hanse_of_one_megabyte_a_second),
		cmocka_unit_test(test_bytes_cost_where_the_store_says_so),
		cmocka_unit_test(test_a_store_without_prices_has_no_sum),
		cmocka_unit_test(test_what_depends_on_places_is_beside_the_sums),
		cmocka_unit_test(test_little_that_leaves_is_free),
		cmocka_unit_test(test_the_numbers_are_those_of_the_agent),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
