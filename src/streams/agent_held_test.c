/* Numbered batches that come before the batch before them are held back for a while. */
#include <stdlib.h>

#include "streams/agent/agent_numbers.h"
#include "streams/agent/held_batch.h"
#include "streams/testing_world.h"

static struct testing_world w, north;
static struct testing_client c, n;

/* Two agents; what is ahead is held for so long. */
static void set_up(const char *patience_ms)
{
	setenv("HANSE_TEST_HELD_MS", patience_ms, 1);
	testing_world_open(&w, 0);
	testing_join_world(&north, &w, 9093, "north");
	testing_client_open(&c, &w);
	testing_client_open(&n, &north);
	WAIT_FOR(&w, replica_index(north.agent->replica) == w.control.index);
}

static void tear_down(void)
{
	testing_client_close(&n);
	testing_client_close(&c);
	testing_close_agent(&north);
	testing_world_close(&w);
	unsetenv("HANSE_TEST_HELD_MS");
}

#define FOR_LONG "600000"

/* Two records. */
static struct slice numbered(struct testing_client *client, int16_t epoch, int32_t sequence)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;

	plan.producer_id = 7;
	plan.producer_epoch = epoch;
	plan.base_sequence = sequence;
	return testing_batch_of(&client->arena, &plan, "numbered", sequence, 2, 0);
}

static void send(struct testing_client *client, int16_t epoch, int32_t sequence)
{
	testing_send_produce(client, "beta", 0, numbered(client, epoch, sequence), -1);
}

static void expect(struct testing_client *client, int16_t code, int64_t base_offset)
{
	struct kafka_produce_response_partition *answer = testing_receive_produce(client);

	assert_int_equal(answer->error_code, code);
	assert_int_equal(answer->base_offset, base_offset);
}

static void wait_held(size_t count)
{
	WAIT_FOR(&w, held_batches_count(north.agent->held) == count);
}

static int64_t high_watermark(void)
{
	return testing_fetch(&c, (struct testing_fetch) { .topic = "beta" })->high_watermark;
}

/* --- what is held ------------------------------------------------------------------------------
 */

static bool page_has(struct slice line)
{
	struct exposition e;
	struct buf page;

	buf_init(&page);
	exposition_init(&e, EXPOSITION_TEXT, &page);
	agent_numbers_write(north.agent, &e);
	bool ret = memmem(page.data, page.size, line.data, line.size) != NULL;
	buf_done(&page);
	return ret;
}

/* P2: the agent at which the one before is stands still. */
static void test_a_batch_waits_for_the_one_before_it_at_a_frozen_agent(void **state)
{
	(void)state;
	for (int32_t before = 0; before <= 2; before += 2) { /* has the partition seen it? */
		set_up(FOR_LONG);
		if (before > 0)
			testing_produce(&c, "beta", 0, numbered(&c, 0, 0), 0);
		fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
						      .verbs = FAULT_VERB(BUCKET_PUT),
						      .count = 1 });
		send(&c, 0, before);
		WAIT_FOR(&w, fault_held_count(w.bucket) == 1);
		send(&n, 0, before + 2);
		wait_held(1);
		testing_run_ms(&w, 20);
		assert_false(testing_has_answer(&n));
		fault_release(w.bucket, "");
		expect(&c, KAFKA_NONE, before);
		expect(&n, KAFKA_NONE, before + 2);
		assert_int_equal(held_batches_count(north.agent->held), 0);
		testing_produce(&n, "beta", 0, numbered(&n, 0, before + 4), before + 4);
		tear_down();
	}
}

/* It may also be sent to the same agent, on another connection or behind it on the same one. */
static void test_a_batch_waits_for_the_one_before_it_behind_it(void **state)
{
	(void)state;
	set_up(FOR_LONG);
	send(&n, 0, 2);
	wait_held(1);
	send(&n, 0, 0);
	expect(&n, KAFKA_NONE, 2);
	expect(&n, KAFKA_NONE, 0);
	assert_int_equal(high_watermark(), 4);
	tear_down();
}

static void test_batches_behind_a_held_one_are_held_and_keep_their_order(void **state)
{
	(void)state;
	set_up(FOR_LONG);
	for (int32_t i = 1; i <= HELD_BATCH_WINDOW; i++)
		send(&n, 0, 2 * i);
	wait_held(HELD_BATCH_WINDOW);
	testing_produce(&c, "beta", 0, numbered(&c, 0, 0), 0);
	for (int32_t i = 1; i <= HELD_BATCH_WINDOW; i++)
		expect(&n, KAFKA_NONE, 2 * i);
	tear_down();
}

/* Another partition, and a producer without numbers, do not wait. */
static void test_nobody_else_waits_for_a_held_batch(void **state)
{
	struct testing_client other;

	(void)state;
	set_up(FOR_LONG);
	testing_client_open(&other, &north);
	send(&n, 0, 2);
	wait_held(1);
	testing_produce(&other, "beta", 0, testing_batch(&other.arena, "plain", 0, 3), 0);
	struct slice elsewhere = numbered(&other, 0, 0);
	testing_produce(&other, "alpha", 0, elsewhere, 0);
	assert_int_equal(held_batches_count(north.agent->held), 1);
	assert_true(page_has(SLICE("\nhanse_kafka_held_batches 1\n")));
	testing_client_close(&other);
	tear_down();
}

/* --- what is not, or no more -------------------------------------------------------------------
 */

static void test_after_a_while_the_producer_is_told(void **state)
{
	(void)state;
	set_up("30");
	send(&n, 0, 2);
	expect(&n, KAFKA_UNKNOWN_PRODUCER_ID, -1);
	testing_produce(&c, "beta", 0, numbered(&c, 0, 0), 0);
	send(&n, 0, 4);
	expect(&n, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
	assert_int_equal(high_watermark(), 2);
	testing_produce(&n, "beta", 0, numbered(&n, 0, 2), 2);
	tear_down();
}

/* The fifth, when the first is missing: no client has so many under way. */
static void test_only_a_window_of_batches_is_held(void **state)
{
	(void)state;
	set_up(FOR_LONG);
	for (int32_t i = 1; i <= HELD_BATCH_WINDOW + 1; i++)
		send(&n, 0, 2 * i);
	wait_held(HELD_BATCH_WINDOW);
	testing_produce(&c, "beta", 0, numbered(&c, 0, 0), 0);
	for (int32_t i = 1; i <= HELD_BATCH_WINDOW; i++)
		expect(&n, KAFKA_NONE, 2 * i);
	expect(&n, KAFKA_UNKNOWN_PRODUCER_ID, -1);
	tear_down();
}

/* A producer that is told so may wait for all its answers before it sends anything again. */
static void test_what_follows_a_refused_batch_is_not_held(void **state)
{
	(void)state;
	set_up(FOR_LONG);
	fault_add(north.bucket, &(struct fault) { .effect = FAULT_BEFORE,
						  .err = ERR_FULL,
						  .verbs = FAULT_VERB(BUCKET_PUT),
						  .prefix = "v1/d/",
						  .count = 1,
						  .delay_ms_max = 30 });
	uint64_t puts = fault_op_count(north.bucket, FAULT_VERB(BUCKET_PUT));
	send(&n, 0, 0);
	WAIT_FOR(&w, fault_op_count(north.bucket, FAULT_VERB(BUCKET_PUT)) > puts);
	send(&n, 0, 2);
	send(&n, 0, 4);
	expect(&n, KAFKA_KAFKA_STORAGE_ERROR, -1);
	expect(&n, KAFKA_UNKNOWN_PRODUCER_ID, -1);
	expect(&n, KAFKA_UNKNOWN_PRODUCER_ID, -1);
	tear_down();
}

static void test_an_epoch_that_is_over_ends_what_is_held(void **state)
{
	(void)state;
	set_up(FOR_LONG);
	testing_produce(&c, "beta", 0, numbered(&c, 0, 0), 0);
	send(&n, 0, 4);
	wait_held(1);
	testing_produce(&c, "beta", 0, numbered(&c, 1, 0), 2);
	expect(&n, KAFKA_INVALID_PRODUCER_EPOCH, -1);
	assert_int_equal(high_watermark(), 4);
	tear_down();
}

/* Its producer gave it up and may send other records with its numbers. */
static void test_a_held_batch_ends_with_its_connection(void **state)
{
	(void)state;
	set_up(FOR_LONG);
	send(&n, 0, 2);
	wait_held(1);
	testing_client_close(&n);
	wait_held(0);
	testing_client_open(&n, &north);
	testing_produce(&c, "beta", 0, numbered(&c, 0, 0), 0);
	testing_run_ms(&w, 50);
	assert_int_equal(high_watermark(), 2);
	tear_down();
}

static void test_a_held_batch_ends_as_the_agent_stops(void **state)
{
	(void)state;
	set_up(FOR_LONG);
	send(&n, 0, 2);
	wait_held(1);
	testing_stop_agent(&north);
	expect(&n, KAFKA_NOT_LEADER_OR_FOLLOWER, -1);
	tear_down();
}

/* Refused only after the agent began to stop: nothing will come in front of it here. */
static void test_what_is_ahead_at_an_agent_that_stops_is_sent_elsewhere(void **state)
{
	(void)state;
	set_up(FOR_LONG);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
					      .verbs = FAULT_VERB(BUCKET_PUT),
					      .count = 1 });
	send(&n, 0, 2);
	WAIT_FOR(&w, fault_held_count(w.bucket) == 1);
	testing_stop_agent(&north);
	WAIT_FOR(&w, north.agent->has_left || north.agent->is_stopping);
	fault_release(w.bucket, "");
	expect(&n, KAFKA_NOT_LEADER_OR_FOLLOWER, -1);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_batch_waits_for_the_one_before_it_at_a_frozen_agent),
		cmocka_unit_test(test_a_batch_waits_for_the_one_before_it_behind_it),
		cmocka_unit_test(test_batches_behind_a_held_one_are_held_and_keep_their_order),
		cmocka_unit_test(test_nobody_else_waits_for_a_held_batch),
		cmocka_unit_test(test_after_a_while_the_producer_is_told),
		cmocka_unit_test(test_only_a_window_of_batches_is_held),
		cmocka_unit_test(test_what_follows_a_refused_batch_is_not_held),
		cmocka_unit_test(test_an_epoch_that_is_over_ends_what_is_held),
		cmocka_unit_test(test_a_held_batch_ends_with_its_connection),
		cmocka_unit_test(test_a_held_batch_ends_as_the_agent_stops),
		cmocka_unit_test(test_what_is_ahead_at_an_agent_that_stops_is_sent_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
