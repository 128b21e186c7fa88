#include "streams/coordinator/deletion_clock.h"

#include "streams/catalog/config.h"
#include "streams/coordinator/books_testing.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define YEAR_MS (365 * DAY_MS)
#define TODAY_MS INT64_C(1795000000000)

static void test_it_goes_with_the_wall_clock(void **state)
{
	struct deletion_clock c;

	(void)state;
	deletion_clock_begin(&c, TODAY_MS, 500);
	for (int64_t ms = 1; ms < 100000; ms += 999)
		assert_int_equal(deletion_clock_tick(&c, TODAY_MS + ms, 500 + (uint64_t)ms),
				 TODAY_MS + ms);
}

static void test_a_day_in_which_nobody_led_takes_an_hour(void **state)
{
	struct deletion_clock c;
	uint64_t loop_ms = 0;
	int64_t wall_ms = TODAY_MS + DAY_MS, now_ms;

	(void)state;
	deletion_clock_begin(&c, TODAY_MS, loop_ms);
	do {
		loop_ms += 1000;
		wall_ms += 1000;
		now_ms = deletion_clock_tick(&c, wall_ms, loop_ms);
	} while (now_ms < wall_ms);
	assert_in_range(loop_ms, HOUR_MS, HOUR_MS + HOUR_MS / 10);
}

static void test_a_date_that_is_wrong_for_a_while_costs_little(void **state)
{
	struct deletion_clock c;

	(void)state;
	deletion_clock_begin(&c, TODAY_MS, 0);
	/* ten minutes a year ahead, also over a restart */
	assert_int_equal(deletion_clock_tick(&c, TODAY_MS + YEAR_MS, 300000),
			 TODAY_MS + 300000 * DELETION_CLOCK_SPEED);
	deletion_clock_begin(&c, c.reached_ms, 7);
	assert_int_equal(deletion_clock_tick(&c, TODAY_MS + YEAR_MS, 300007),
			 TODAY_MS + 600000 * DELETION_CLOCK_SPEED);
	/* then it is set */
	assert_int_equal(deletion_clock_tick(&c, TODAY_MS + 600000, 301007), TODAY_MS + 600000);
	assert_int_equal(deletion_clock_tick(&c, TODAY_MS + 601000, 302007), TODAY_MS + 601000);
}

/* A cluster that began in a year to come; later its date is that year once more. */
static void test_a_beginning_far_ahead_is_forgotten(void **state)
{
	struct deletion_clock c;
	uint64_t loop_ms = 1;
	int64_t wall_ms = TODAY_MS;

	(void)state;
	deletion_clock_begin(&c, TODAY_MS + YEAR_MS, loop_ms);
	for (int hour = 0; hour <= 6; hour++, loop_ms += (uint64_t)HOUR_MS, wall_ms += HOUR_MS)
		assert_int_equal(deletion_clock_tick(&c, wall_ms, loop_ms), wall_ms);
	assert_int_equal(c.reached_ms, wall_ms - HOUR_MS);
	assert_int_equal(deletion_clock_tick(&c, TODAY_MS + YEAR_MS, loop_ms),
			 wall_ms - HOUR_MS + DELETION_CLOCK_SPEED * HOUR_MS);

	/* a wrong date in the past for less than that, again and again, changes nothing */
	deletion_clock_begin(&c, TODAY_MS, loop_ms);
	for (int i = 0; i < 10; i++) {
		(void)deletion_clock_tick(&c, 0, loop_ms);
		loop_ms += (uint64_t)HOUR_MS * 5;
		(void)deletion_clock_tick(&c, 0, loop_ms);
		assert_int_equal(c.reached_ms, TODAY_MS);
		(void)deletion_clock_tick(&c, TODAY_MS, ++loop_ms);
	}
}

static void test_a_date_in_the_past_deletes_nothing_and_is_not_kept(void **state)
{
	struct deletion_clock c;

	(void)state;
	deletion_clock_begin(&c, TODAY_MS, 0);
	assert_int_equal(deletion_clock_tick(&c, 0, 1000), 0);
	assert_int_equal(deletion_clock_tick(&c, 86400000, 2000), 86400000);
	assert_int_equal(deletion_clock_tick(&c, TODAY_MS + 3000, 3000), TODAY_MS + 3000);
}

static void test_a_standstill_is_no_time_too_much(void **state)
{
	struct deletion_clock c;

	(void)state;
	deletion_clock_begin(&c, TODAY_MS, 0);
	assert_int_equal(deletion_clock_tick(&c, TODAY_MS + DAY_MS, (uint64_t)DAY_MS),
			 TODAY_MS + DAY_MS);
	assert_int_equal(deletion_clock_tick(&c, INT64_MAX, UINT64_MAX / 2), INT64_MAX);
}

struct first {
	int64_t wall_ms, reached_ms;
};

static enum err run_first(struct cell *cell, void *argument)
{
	struct first *f = argument;

	return deletion_clock_first(cell, f->wall_ms, &f->reached_ms);
}

static int64_t first(struct books *b, int64_t wall_ms)
{
	struct first f = { .wall_ms = wall_ms };

	assert_int_equal(cell_run(b->cell, run_first, &f), OK);
	return f.reached_ms;
}

static void test_a_new_cluster_begins_now_and_keeps_records_for_a_week(void **state)
{
	struct books b;

	(void)state;
	books_open(&b);
	assert_int_equal(first(&b, TODAY_MS), TODAY_MS);
	assert_int_equal(first(&b, TODAY_MS + YEAR_MS), TODAY_MS);
	assert_int_equal(config_broker_number(b.cell, "log.retention.ms", 7), 7);
	books_close(&b);
}

static void test_a_cluster_that_kept_everything_goes_on_to(void **state)
{
	struct books b;

	(void)state;
	books_open(&b);
	books_hello(&b);
	b.now_ms = TODAY_MS;
	(void)books_batch(&b, (struct batch) { books_topic(&b, "t", 1), 0, .records = 1 });
	assert_int_equal(first(&b, TODAY_MS + DAY_MS), TODAY_MS);
	assert_int_equal(config_broker_number(b.cell, "log.retention.ms", 7), -1);
	books_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_goes_with_the_wall_clock),
		cmocka_unit_test(test_a_day_in_which_nobody_led_takes_an_hour),
		cmocka_unit_test(test_a_date_that_is_wrong_for_a_while_costs_little),
		cmocka_unit_test(test_a_beginning_far_ahead_is_forgotten),
		cmocka_unit_test(test_a_date_in_the_past_deletes_nothing_and_is_not_kept),
		cmocka_unit_test(test_a_standstill_is_no_time_too_much),
		cmocka_unit_test(test_a_new_cluster_begins_now_and_keeps_records_for_a_week),
		cmocka_unit_test(test_a_cluster_that_kept_everything_goes_on_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
