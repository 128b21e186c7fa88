/* An agent tells control what its bucket was asked.  timeout: 120 s */
#include "streams/testing_world.h"

static void open_world(struct testing_world *w, uint64_t seed, int32_t usage_ms)
{
	testing_world_open(w, seed);
	w->control.usage_ms = usage_ms;
	testing_close_agent(w); /* and hear it with the next hello */
	testing_open_agent(w);
}

static struct usage_sum sum_of(struct testing_world *w, struct arena *a)
{
	struct usage_sum *sums;
	size_t count;

	usage_sums(a, w->control.cell, 202611, &sums, &count);
	assert_true(count <= 1);
	return count ? sums[0] : (struct usage_sum) { 0 };
}

static uint64_t puts_of(struct testing_world *w, struct arena *a)
{
	struct usage_sum sum = sum_of(w, a);

	return sum.meter.requests[METER_PUT];
}

/* The meter of the bucket goes on from one agent to the next: it belongs to the bucket. */
static uint64_t asked_puts(struct testing_world *w)
{
	return bucket_meter(w->bucket)->requests[METER_PUT];
}

static void produce(struct testing_world *w, struct arena *a, int count)
{
	struct testing_client client;

	testing_client_open(&client, w);
	for (int i = 0; i < count; i++) {
		testing_send_produce(&client, "beta", 0, testing_batch(a, "x", i, 1), -1);
		assert_int_equal(testing_receive_produce(&client)->error_code, KAFKA_NONE);
	}
	testing_client_close(&client);
}

static void test_what_was_asked_is_told_and_then_nothing(void **state)
{
	struct testing_world w;
	struct arena a;

	(void)state;
	arena_init(&a);
	open_world(&w, 1, 20);
	produce(&w, &a, 3);
	WAIT_FOR(&w, puts_of(&w, &a) == asked_puts(&w) && asked_puts(&w) > 0);
	struct usage_sum sum = sum_of(&w, &a);
	assert_true(slice_equal(sum.bucket, SLICE("memory:")));
	assert_int_equal(sum.meter.sent_bytes, bucket_meter(w.bucket)->sent_bytes);
	assert_int_equal(sum.traffic.produced_bytes, 3 * testing_batch(&a, "x", 0, 1).size);
	assert_true(sum.traffic.control_bytes > 0);
	int count = w.control.usage_count;
	testing_run_ms(&w, 200);
	assert_int_equal(w.control.usage_count, count);
	testing_world_close(&w);
	arena_done(&a);
}

static void test_fetched_bytes_are_told(void **state)
{
	struct testing_world w;
	struct testing_client client;
	struct arena a;

	(void)state;
	arena_init(&a);
	open_world(&w, 2, 20);
	produce(&w, &a, 1);
	testing_client_open(&client, &w);
	for (int i = 0; i < 2; i++)
		assert_int_equal(testing_fetch(&client, (struct testing_fetch) { .topic = "beta" })
					 ->records.size,
				 testing_batch(&a, "x", 0, 1).size);
	testing_client_close(&client);
	WAIT_FOR(&w, sum_of(&w, &a).traffic.fetched_bytes == 2 * testing_batch(&a, "x", 0, 1).size);
	testing_world_close(&w);
	arena_done(&a);
}

static void test_a_report_whose_answer_is_lost_counts_once(void **state)
{
	struct testing_world w;
	struct arena a;

	(void)state;
	arena_init(&a);
	open_world(&w, 3, 20);
	w.control.lose_usage_after = 2;
	produce(&w, &a, 1);
	WAIT_FOR(&w, w.control.lose_usage_after == 0);
	WAIT_FOR(&w, w.is_serving && puts_of(&w, &a) == asked_puts(&w));
	testing_run_ms(&w, 100);
	assert_int_equal(puts_of(&w, &a), asked_puts(&w));
	assert_int_equal(sum_of(&w, &a).traffic.produced_bytes, testing_batch(&a, "x", 0, 1).size);
	testing_world_close(&w);
	arena_done(&a);
}

static void test_the_rest_is_told_before_an_orderly_end(void **state)
{
	struct testing_world w;
	struct arena a;

	(void)state;
	arena_init(&a);
	open_world(&w, 4, 3600 * 1000);
	int before = w.control.usage_count; /* of the agent that was only there to open */
	produce(&w, &a, 2);
	assert_int_equal(w.control.usage_count, before);
	testing_close_agent(&w);
	assert_int_equal(w.control.usage_count, before + 1);
	assert_int_equal(puts_of(&w, &a), asked_puts(&w));
	testing_open_agent(&w);
	testing_world_close(&w);
	arena_done(&a);
}

static void test_nothing_is_told_to_a_control_that_does_not_ask(void **state)
{
	struct testing_world w;
	struct arena a;

	(void)state;
	arena_init(&a);
	testing_world_open(&w, 5);
	produce(&w, &a, 2);
	testing_close_agent(&w);
	assert_int_equal(w.control.usage_count, 0);
	testing_open_agent(&w);
	testing_world_close(&w);
	arena_done(&a);
}

static void test_a_mute_control_does_not_hold_up_the_end(void **state)
{
	struct testing_world w;
	struct arena a;

	(void)state;
	arena_init(&a);
	open_world(&w, 6, 3600 * 1000);
	produce(&w, &a, 1);
	w.control.is_hung = true;
	uint64_t began_ms = clock_now_ms();
	testing_close_agent(&w);
	assert_in_range(clock_now_ms() - began_ms, 0, 5000);
	w.control.is_hung = false;
	testing_open_agent(&w);
	testing_world_close(&w);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_asked_is_told_and_then_nothing),
		cmocka_unit_test(test_fetched_bytes_are_told),
		cmocka_unit_test(test_a_report_whose_answer_is_lost_counts_once),
		cmocka_unit_test(test_the_rest_is_told_before_an_orderly_end),
		cmocka_unit_test(test_nothing_is_told_to_a_control_that_does_not_ask),
		cmocka_unit_test(test_a_mute_control_does_not_hold_up_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
