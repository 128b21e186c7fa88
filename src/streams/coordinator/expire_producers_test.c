#include "streams/coordinator/expire_producers.h"

#include "streams/coordinator/books_testing.h"
#include "streams/coordinator/configs.h"

#define START_MS INT64_C(1795000000000)
#define DAY_MS INT64_C(86400000)

static enum err run_expire(struct cell *cell, void *argument)
{
	const struct producer_expiry *e = argument;

	return expire_producers(cell, e, START_MS + DAY_MS + 1);
}

static enum err run_set(struct cell *cell, void *value)
{
	return config_write(cell, CONFIG_BROKER, SLICE(""), SLICE("producer.id.expiration.ms"),
			    slice_from(value));
}

static void open_books(struct books *b)
{
	books_open(b);
	b->now_ms = START_MS;
	books_hello(b);
}

static int64_t producers(struct books *b)
{
	return books_number(b, "SELECT count(*) FROM producer");
}

/* Looks and deletes until a look at all is over; how many steps. */
static int expire(struct books *b, int64_t now_ms)
{
	struct producer_expiry e = { 0 };
	bool is_more;
	int steps = 0;

	do {
		is_more = expire_producers_look(&e, b->cell, now_ms);
		if (e.count > 0)
			assert_int_equal(cell_run(b->cell, run_expire, &e), OK);
		steps++;
	} while (is_more);
	return steps;
}

/* P5 */
static void test_who_writes_no_more_is_forgotten_in_bounded_steps(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	struct uuid t = books_topic(&b, "t", 1);
	for (int i = 0; i < 1200; i++) {
		(void)books_batch(&b, (struct batch) { t, 0, .records = 1, .producer_id = 1 + i });
		arena_reset(&b.arena);
	}
	b.now_ms += 5;
	struct batch late = { t, 0, .records = 1, .producer_id = 7, .sequence = 1 };
	(void)books_batch(&b, late);
	(void)expire(&b, START_MS + DAY_MS);
	assert_int_equal(producers(&b), 1200);
	assert_int_equal(expire(&b, START_MS + DAY_MS + 1), 3);
	assert_int_equal(producers(&b), 1);
	/* it goes on; one that was forgotten is told to begin again */
	late.sequence = 2;
	assert_int_equal(books_batch(&b, late).error, KAFKA_NONE);
	late.producer_id = 8;
	late.sequence = 1;
	assert_int_equal(books_batch(&b, late).error, KAFKA_UNKNOWN_PRODUCER_ID);
	late.epoch = 1;
	late.sequence = 0;
	assert_int_equal(books_batch(&b, late).error, KAFKA_NONE);
	books_close(&b);
}

static void test_nobody_is_forgotten_in_a_transaction(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	struct uuid t = books_topic(&b, "t", 1);
	for (int i = 0; i < 3; i++)
		(void)books_batch(&b, (struct batch) { t, 0, .records = 1, .producer_id = 1 + i });
	books_do(&b, "INSERT INTO open_transaction (partition, producer_id, first_offset)"
		     " VALUES (1, 1, 0)");
	books_do(&b, "INSERT INTO transactional (name, producer_id, epoch, previous_producer_id,"
		     " previous_epoch, state, timeout_ms, started_ms, updated_ms, partition_count,"
		     " offset_bytes, sessions, offset_sessions)"
		     " VALUES ('x', 2, 0, -1, -1, 2, 1, 1, 1, 0, 0, x'', x'')");
	(void)expire(&b, START_MS + DAY_MS + 1);
	assert_int_equal(producers(&b), 2);
	assert_int_equal(books_number(&b, "SELECT max(producer_id) FROM producer"), 2);
	books_close(&b);
}

static void test_one_that_wrote_meanwhile_stays(void **state)
{
	struct producer_expiry e = { 0 };
	struct books b;

	(void)state;
	open_books(&b);
	struct uuid t = books_topic(&b, "t", 1);
	(void)books_batch(&b, (struct batch) { t, 0, .records = 1, .producer_id = 1 });
	assert_false(expire_producers_look(&e, b.cell, START_MS + DAY_MS + 1));
	assert_int_equal(e.count, 1);
	b.now_ms += DAY_MS;
	(void)books_batch(&b,
			  (struct batch) { t, 0, .records = 1, .producer_id = 1, .sequence = 1 });
	assert_int_equal(cell_run(b.cell, run_expire, &e), OK);
	assert_int_equal(producers(&b), 1);
	/* nobody looks again before it is time */
	assert_false(expire_producers_look(&e, b.cell, START_MS + DAY_MS + EXPIRE_PRODUCERS_MS));
	assert_int_equal(e.count, 0);
	books_close(&b);
}

static void test_how_long_is_a_setting(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	struct uuid t = books_topic(&b, "t", 1);
	(void)books_batch(&b, (struct batch) { t, 0, .records = 1, .producer_id = 1 });
	assert_int_equal(cell_run(b.cell, run_set, (char[]) { "1000" }), OK);
	(void)expire(&b, START_MS + 1000);
	assert_int_equal(producers(&b), 1);
	(void)expire(&b, START_MS + 1001);
	assert_int_equal(producers(&b), 0);
	books_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_writes_no_more_is_forgotten_in_bounded_steps),
		cmocka_unit_test(test_nobody_is_forgotten_in_a_transaction),
		cmocka_unit_test(test_one_that_wrote_meanwhile_stays),
		cmocka_unit_test(test_how_long_is_a_setting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
