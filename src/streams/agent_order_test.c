/* Which data files wait for each other, seen by clients of a whole agent with a slow bucket:
 * testing_world.h has the stage. */
#include "streams/agent/flush_budget.h"
#include "streams/testing_world.h"

enum { CLIENTS = 3 };

static struct testing_world w;
static struct testing_client clients[CLIENTS];

static void set_up(uint64_t seed, const struct fault_store *store)
{
	testing_world_open(&w, seed);
	testing_close_agent(&w);
	fault_set_store(w.bucket, store); /* an agent looks at it when it starts */
	w.control.wants_announcements = seed % 2;
	testing_open_agent(&w);
	for (int i = 0; i < CLIENTS; i++)
		testing_client_open(&clients[i], &w);
}

static void tear_down(void)
{
	for (int i = 0; i < CLIENTS; i++)
		testing_client_close(&clients[i]);
	testing_world_close(&w);
}

static struct slice batch_of(struct testing_client *c, int64_t producer_id, int sequence)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;

	plan.producer_id = producer_id;
	plan.producer_epoch = producer_id < 0 ? -1 : 0;
	plan.base_sequence = producer_id < 0 ? -1 : sequence;
	return testing_batch_of(&c->arena, &plan, "order", sequence, 1, 0);
}

/* Sends one batch and sees to it that its file is under way. */
static void send_file(struct testing_client *c, int64_t producer_id, int sequence)
{
	uint64_t puts = fault_op_count(w.bucket, FAULT_VERB(BUCKET_PUT));

	testing_send_produce(c, "beta", 0, batch_of(c, producer_id, sequence), -1);
	WAIT_FOR(&w, fault_op_count(w.bucket, FAULT_VERB(BUCKET_PUT)) > puts);
}

static void hold_next_put(void)
{
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
					      .verbs = FAULT_VERB(BUCKET_PUT),
					      .prefix = "v1/d/",
					      .count = 1 });
}

/* S4 */
static void test_a_slow_put_of_others_is_not_waited_for(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(seed, &(struct fault_store) { .put = { 2, 4 } });
		hold_next_put();
		send_file(&clients[0], -1, 0);
		send_file(&clients[1], -1, 0);
		assert_int_equal(testing_receive_produce(&clients[1])->base_offset, 0);
		send_file(&clients[2], 7, 0);
		assert_int_equal(testing_receive_produce(&clients[2])->base_offset, 1);
		assert_int_equal(w.control.last_low_sequence, 1); /* the first is not decided */
		fault_release(w.bucket, "");
		assert_int_equal(testing_receive_produce(&clients[0])->base_offset, 2);
		tear_down();
	}
}

static void test_batches_of_a_connection_or_a_producer_keep_their_order(void **state)
{
	enum { PAUSE_MS = 60 };

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		bool by_producer = seed % 2;
		struct testing_client *other = &clients[by_producer ? 1 : 0];

		set_up(seed, &(struct fault_store) { .put = { 2, 4 } });
		hold_next_put();
		send_file(&clients[0], by_producer ? 7 : -1, 0);
		send_file(other, by_producer ? 7 : -1, 1);
		testing_run_ms(&w, PAUSE_MS);
		assert_int_equal(w.control.commit_count + w.control.confirm_count, 0);
		fault_release(w.bucket, "");
		assert_int_equal(testing_receive_produce(&clients[0])->base_offset, 0);
		assert_int_equal(testing_receive_produce(other)->base_offset, 1);
		tear_down();
	}
}

/* Slow puts, commits that are refused for now, connections to control that are lost. */
static void test_whatever_is_slow_each_client_gets_rising_offsets(void **state)
{
	enum { COUNT = 25, PAUSE_MS = 8 };

	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct prng prng = { seed };
		int64_t offsets[CLIENTS] = { -1, -1, -1 };
		bool is_seen[CLIENTS * COUNT] = { false };

		set_up(seed, &(struct fault_store) {
				     .put = { 5, 20 }, .slow_ppm = 200000, .slow_ms = 120 });
		for (int i = 0; i < COUNT; i++) {
			for (int k = 0; k < CLIENTS; k++)
				testing_send_produce(&clients[k], "beta", 0,
						     batch_of(&clients[k], k == 0 ? 7 : -1, i), -1);
			if (prng_below(&prng, 4) == 0)
				w.control.commit_error = ERR_BUSY;
			if (prng_below(&prng, 12) == 0)
				w.control.lose_before = 1;
			if (prng_below(&prng, 12) == 0)
				w.control.lose_after = 1;
			if (prng_below(&prng, 12) == 0)
				w.control.announcement_error = ERR_FULL;
			if (prng_below(&prng, 12) == 0)
				w.control.lose_announcement_before = 1;
			if (prng_below(&prng, 12) == 0)
				w.control.lose_confirm_after = 1;
			testing_run_ms(&w, PAUSE_MS);
		}
		for (int i = 0; i < COUNT; i++) {
			for (int k = 0; k < CLIENTS; k++) {
				struct kafka_produce_response_partition *answer =
					testing_receive_produce(&clients[k]);

				assert_int_equal(answer->error_code, KAFKA_NONE);
				assert_true(answer->base_offset > offsets[k]);
				assert_true(answer->base_offset < CLIENTS * COUNT);
				assert_false(is_seen[answer->base_offset]);
				is_seen[answer->base_offset] = true;
				offsets[k] = answer->base_offset;
			}
		}
		tear_down();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_slow_put_of_others_is_not_waited_for),
		cmocka_unit_test(test_batches_of_a_connection_or_a_producer_keep_their_order),
		cmocka_unit_test(test_whatever_is_slow_each_client_gets_rising_offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
