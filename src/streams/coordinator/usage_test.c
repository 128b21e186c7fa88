/* What buckets were asked, in the catalog.  timeout: 120 s */
#include "streams/coordinator/usage.h"

#include "cells/cell_testing.h"
#include "peer_messages.h"
#include "streams/coordinator/books_testing.h"
#include "streams/coordinator/coordinator_testing.h"

#define NOVEMBER_MS INT64_C(1795348800000) /* 2026-11-22 12:00 UTC */
#define DAY_MS (24 * 3600 * INT64_C(1000))

/* --- reports ---------------------------------------------------------------------------------- */

static struct usage_report report_of(int64_t source, int64_t sequence, uint64_t puts)
{
	return (struct usage_report) {
		.source = source,
		.sequence = sequence,
		.now_ms = NOVEMBER_MS,
		.covered_ms = 1000,
		.purpose = SLICE(USAGE_RECORDS),
		.buckets[0] = { SLICE("s3://b"),
				{ .requests = { [METER_PUT] = puts, [METER_LIST] = 1 },
				  .errors = 1,
				  .sent_bytes = 100 * puts,
				  .received_bytes = 7 } },
		.bucket_count = 1,
		.traffic = { 90 * puts, 180, 5 },
	};
}

static enum err add(struct books *b, struct usage_report report)
{
	return cell_run(b->cell, usage_run, &report);
}

static struct usage_sum sum_of(struct books *b, int64_t month, size_t i, size_t count_expected)
{
	struct usage_sum *sums;
	size_t count;

	usage_sums(&b->arena, b->cell, month, &sums, &count);
	assert_int_equal(count, count_expected);
	return count > i ? sums[i] : (struct usage_sum) { 0 };
}

static void test_a_month_is_one_of_utc(void **state)
{
	(void)state;
	assert_int_equal(usage_month(0), 197001);
	assert_int_equal(usage_month(NOVEMBER_MS), 202611);
	assert_int_equal(usage_month(INT64_C(1798761599999)), 202612);
	assert_int_equal(usage_month(INT64_C(1798761600000)), 202701);
}

static void test_reports_add_up(void **state)
{
	struct books b;

	(void)state;
	books_open(&b);
	assert_int_equal(add(&b, report_of(1, 1, 10)), OK);
	assert_int_equal(add(&b, report_of(1, 2, 5)), OK);
	assert_int_equal(add(&b, report_of(2, 1, 1)), OK);
	struct usage_sum sum = sum_of(&b, 202611, 0, 1);
	assert_true(slice_equal(sum.bucket, SLICE("s3://b")));
	assert_true(slice_equal(sum.purpose, SLICE("records")));
	assert_int_equal(sum.meter.requests[METER_PUT], 16);
	assert_int_equal(sum.meter.requests[METER_LIST], 3);
	assert_int_equal(sum.meter.requests[METER_GET], 0);
	assert_int_equal(sum.meter.errors, 3);
	assert_int_equal(sum.meter.sent_bytes, 1600);
	assert_int_equal(sum.meter.received_bytes, 21);
	assert_int_equal(sum.traffic.produced_bytes, 1440);
	assert_int_equal(sum.traffic.fetched_bytes, 540);
	assert_int_equal(sum.traffic.control_bytes, 15);
	assert_int_equal(sum.since_ms, NOVEMBER_MS - 1000);
	assert_int_equal(sum.updated_ms, NOVEMBER_MS);
	books_close(&b);
}

static void test_a_report_that_comes_again_counts_once(void **state)
{
	struct books b;

	(void)state;
	books_open(&b);
	assert_int_equal(add(&b, report_of(1, 1, 10)), OK);
	int64_t changes = sqlite3_total_changes64(cell_database(b.cell));
	assert_int_equal(add(&b, report_of(1, 1, 10)), OK);
	assert_int_equal(sqlite3_total_changes64(cell_database(b.cell)), changes);
	assert_int_equal(sum_of(&b, 0, 0, 1).meter.requests[METER_PUT], 10);
	books_close(&b);
}

static void test_months_are_kept_apart(void **state)
{
	struct books b;
	struct usage_report december = report_of(1, 2, 3);

	(void)state;
	books_open(&b);
	assert_int_equal(add(&b, report_of(1, 1, 10)), OK);
	december.now_ms = NOVEMBER_MS + 9 * DAY_MS; /* the first of December, noon */
	december.covered_ms = 2 * DAY_MS;
	assert_int_equal(add(&b, december), OK);
	assert_int_equal(sum_of(&b, 202611, 0, 1).meter.requests[METER_PUT], 10);
	struct usage_sum sum = sum_of(&b, 202612, 0, 1);
	assert_int_equal(sum.meter.requests[METER_PUT], 3);
	assert_int_equal(sum.since_ms, december.now_ms - DAY_MS / 2); /* midnight */
	sum = sum_of(&b, 0, 0, 1);
	assert_int_equal(sum.meter.requests[METER_PUT], 13);
	assert_int_equal(sum.since_ms, NOVEMBER_MS - 1000);
	assert_int_equal(sum.updated_ms, december.now_ms);
	sum_of(&b, 202701, 0, 0);
	books_close(&b);
}

static void test_sources_are_forgotten_after_a_day(void **state)
{
	struct books b;
	struct usage_report next = report_of(3, 1, 1);

	(void)state;
	books_open(&b);
	assert_int_equal(add(&b, report_of(1, 1, 1)), OK);
	assert_int_equal(add(&b, report_of(2, 1, 1)), OK);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM usage_source"), 2);
	next.now_ms += DAY_MS + 1;
	assert_int_equal(add(&b, next), OK);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM usage_source"), 1);
	books_close(&b);
}

static void test_numbers_and_rows_have_limits(void **state)
{
	struct books b;
	char name[32];

	(void)state;
	books_open(&b);
	for (int64_t i = 1; i <= 20; i++)
		assert_int_equal(add(&b, report_of(1, i, UINT64_C(1) << 50)), OK);
	assert_int_equal(sum_of(&b, 0, 0, 1).meter.requests[METER_PUT], USAGE_NUMBER_MAX);
	assert_int_equal(add(&b, report_of(1, 0, 1)), ERR_INVALID);
	for (int i = 1; i < USAGE_ROWS_PER_MONTH_MAX + 1; i++) {
		struct usage_report report = report_of(100 + i, 1, 1);
		snprintf(name, sizeof(name), "s3://%d", i);
		report.buckets[0].bucket = slice_from(name);
		assert_int_equal(add(&b, report), i < USAGE_ROWS_PER_MONTH_MAX ? OK : ERR_FULL);
	}
	assert_int_equal(add(&b, report_of(1, 21, 1)), OK); /* its row is there */
	books_close(&b);
}

static void test_impossible_requests_are_refused(void **state)
{
	int64_t requests[METER_REQUESTS + 1] = { 1, 2, 3, 4, 5, 6, 7 };
	const struct peer_usage_request good = {
		.source = 1,
		.sequence = 1,
		.covered_ms = 5,
		.bucket = SLICE("s3://b"),
		.requests = requests,
		.requests_count = METER_REQUESTS,
		.errors = 1,
		.sent_bytes = 2,
		.received_bytes = 3,
		.produced_bytes = 4,
		.fetched_bytes = 5,
		.control_bytes = 6,
	};
	struct peer_usage_request bad[8];
	struct usage_report report;

	(void)state;
	assert_int_equal(usage_from_request(&good, NOVEMBER_MS, &report), OK);
	assert_int_equal(report.buckets[0].meter.requests[METER_DELETE], 7);
	assert_int_equal(report.traffic.control_bytes, 6);
	for (size_t i = 0; i < 8; i++)
		bad[i] = good;
	bad[0].bucket = SLICE("");
	bad[1].requests_count = METER_REQUESTS + 1;
	bad[2].errors = -1;
	bad[3].sent_bytes = INT64_MAX;
	bad[4].covered_ms = -1;
	bad[5].covered_ms = NOVEMBER_MS + 1;
	bad[6].control_bytes = (INT64_C(1) << 50) + 1;
	requests[METER_GET] = -4;
	for (size_t i = 0; i < 8; i++) {
		bad[i].requests = requests;
		requests[METER_GET] = i == 7 ? -4 : 4;
		assert_int_equal(usage_from_request(&bad[i], NOVEMBER_MS, &report), ERR_INVALID);
	}
}

static void test_what_is_stored_is_every_file_that_was_not_forgotten(void **state)
{
	struct books b;
	struct usage_stored stored;

	(void)state;
	books_open(&b);
	usage_stored(b.cell, &stored);
	assert_int_equal(stored.files, 0);
	assert_int_equal(stored.bytes, 0);
	books_hello(&b);
	struct batch batch = { books_topic(&b, "t", 1), 0, .records = 1, .size = 1000 };
	(void)books_batch(&b, batch);
	(void)books_batch(&b, batch);
	usage_stored(b.cell, &stored);
	assert_int_equal(stored.files, 2);
	assert_int_equal(stored.bytes, books_number(&b, "SELECT sum(size) FROM file"));
	assert_true(stored.bytes > 2000);
	books_close(&b);
}

/* --- a cell from before ----------------------------------------------------------------------- */

/* As the first release of the tables had it. */
static enum err add_former_agent(struct cell *cell, void *argument)
{
	(void)argument;
	return cell_execute(cell,
			    cell_statement(cell, "INSERT INTO agent (id, node, host, port,"
						 " site, incarnation, low_sequence, is_live)"
						 " VALUES (1, 'a', 'h', 9092, 's', 1, 0, 1)"));
}

static void test_a_cell_of_the_former_schema_is_taken_on(void **state)
{
	struct cell *leader = cell_new("streams"), *follower = cell_new("streams");
	char why[CELL_WHY_BYTES] = "";
	struct books b = { .cell = leader };
	struct buf record;

	(void)state;
	arena_init(&b.arena);
	buf_init(&record);
	assert_int_equal(cell_upgrade_schema(leader, catalog_schema, 1, why), OK);
	assert_int_equal(cell_run(leader, add_former_agent, NULL), OK);
	(void)books_topic(&b, "kept", 3);
	cell_seal(leader, 1, &record);
	testing_apply(follower, buf_slice(&record));
	assert_int_equal(cell_schema_version(follower, "streams"), 1);

	assert_int_equal(cell_upgrade_schema(leader, catalog_schema, catalog_schema_count, why),
			 OK);
	assert_int_equal(add(&b, report_of(1, 1, 10)), OK);
	buf_clear(&record);
	cell_seal(leader, 2, &record);
	testing_apply(follower, buf_slice(&record));
	assert_int_equal(cell_schema_version(follower, "streams"), (int)catalog_schema_count);
	assert_int_equal(cell_verify(follower), OK);
	b.cell = follower;
	assert_int_equal(sum_of(&b, 202611, 0, 1).meter.requests[METER_PUT], 10);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM partition"), 3);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM agent"), 1);
	buf_done(&record);
	arena_done(&b.arena);
	cell_free(leader);
	cell_free(follower);
}

/* --- control's own ---------------------------------------------------------------------------- */

static int64_t own_puts(struct town *town)
{
	return town_number(town, "SELECT total(put) + total(put_new) FROM usage"
				 " WHERE purpose = 'journal'");
}

static uint64_t asked_puts(struct town *town)
{
	const struct meter *m = bucket_meter(town->bucket);

	return m->requests[METER_PUT] + m->requests[METER_PUT_NEW];
}

static void run_ms(struct town *town, uint64_t ms)
{
	bool never = false;

	assert_false(town_wait_ms(town, &never, ms));
}

static void test_an_idle_journal_stays_quiet(void **state)
{
	struct town town;

	(void)state;
	setenv("HANSE_TEST_USAGE_MS", "5", 1);
	town_open(&town, 1);
	run_ms(&town, 100);
	uint64_t before = asked_puts(&town);
	run_ms(&town, 200);
	assert_int_equal(asked_puts(&town), before);
	town_close(&town);
}

static void test_a_busy_journal_is_counted(void **state)
{
	struct town town;
	char name[32];

	(void)state;
	setenv("HANSE_TEST_USAGE_MS", "5", 1);
	town_open(&town, 2);
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "topic%d", i);
		(void)town_topic(&town, name, 1);
	}
	run_ms(&town, 100);
	assert_in_range(own_puts(&town), 40, asked_puts(&town));
	assert_in_range(asked_puts(&town) - (uint64_t)own_puts(&town), 1,
			USAGE_OWN_REQUESTS_MIN + 4);
	town_close(&town);
}

static void test_a_stop_tells_the_rest_and_a_restart_goes_on(void **state)
{
	struct town town;
	char name[32];

	(void)state;
	unsetenv("HANSE_TEST_USAGE_MS"); /* a minute: nothing is told before the stop */
	town_open(&town, 3);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "topic%d", i);
		(void)town_topic(&town, name, 1);
	}
	assert_int_equal(own_puts(&town), 0);
	uint64_t before = asked_puts(&town);
	town_restart(&town);
	/* What the start asked may be there too: the bucket was opened anew, and counts from 0. */
	assert_in_range(own_puts(&town), before, before + 1 + asked_puts(&town));
	town_restart(&town);
	assert_true(own_puts(&town) > (int64_t)before);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM usage"), 1);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_month_is_one_of_utc),
		cmocka_unit_test(test_reports_add_up),
		cmocka_unit_test(test_a_report_that_comes_again_counts_once),
		cmocka_unit_test(test_months_are_kept_apart),
		cmocka_unit_test(test_sources_are_forgotten_after_a_day),
		cmocka_unit_test(test_numbers_and_rows_have_limits),
		cmocka_unit_test(test_impossible_requests_are_refused),
		cmocka_unit_test(test_what_is_stored_is_every_file_that_was_not_forgotten),
		cmocka_unit_test(test_a_cell_of_the_former_schema_is_taken_on),
		cmocka_unit_test(test_an_idle_journal_stays_quiet),
		cmocka_unit_test(test_a_busy_journal_is_counted),
		cmocka_unit_test(test_a_stop_tells_the_rest_and_a_restart_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
