/* Produce through a whole agent: testing_world.h has the stage. */
#include "buckets/bucket_ask.h"
#include "streams/agent/file_writer.h"
#include "streams/agent/flush_budget.h"
#include "streams/testing_stage.h"
#include "wire/streams/data_file.h"

/* The same with a bucket far away, which an agent looks at when it starts. */
static void set_up_far(uint64_t seed, const struct fault_store *store)
{
	set_up(seed);
	testing_client_close(&c);
	testing_close_agent(&w);
	fault_set_store(w.bucket, store);
	testing_open_agent(&w);
	testing_client_open(&c, &w);
}

static int16_t produce_code(const char *topic, int32_t partition, struct slice records,
			    int16_t acks)
{
	testing_send_produce(&c, topic, partition, records, acks);
	struct kafka_produce_response_partition *answer = testing_receive_produce(&c);
	if (answer->error_code)
		assert_int_equal(answer->base_offset, -1);
	return answer->error_code;
}

static void test_what_was_produced_is_fetched_byte_for_byte(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(seed);
		struct slice one = testing_batch(&c.arena, "one", 0, 3);
		struct slice two = testing_batch(&c.arena, "two", 3, 2);
		testing_produce(&c, "alpha", 1, one, 0);
		testing_produce(&c, "alpha", 1, two, 3);
		testing_produce(&c, "alpha", 2, one, 0);
		struct kafka_fetch_response_partition *got =
			testing_fetch(&c,
				      (struct testing_fetch) { .topic = "alpha", .partition = 1 });
		assert_int_equal(got->error_code, KAFKA_NONE);
		assert_int_equal(got->high_watermark, 5);
		assert_int_equal(got->last_stable_offset, 5);
		assert_int_equal(got->log_start_offset, 0);
		struct slice records = got->records;
		testing_same_batch(&records, one, 0);
		testing_same_batch(&records, two, 3);
		assert_int_equal(records.size, 0);
		tear_down();
	}
}

/* W17 */
static void test_pipelined_batches_keep_their_order(void **state)
{
	enum { COUNT = 200 };
	struct slice batches[COUNT];

	(void)state;
	for (uint64_t seed = 0; seed < 6; seed++) {
		set_up(seed);
		for (int i = 0; i < COUNT; i++) {
			batches[i] = testing_batch(&c.arena, "in order", i, 1);
			testing_send_produce(&c, "beta", 0, batches[i], -1);
		}
		for (int i = 0; i < COUNT; i++) {
			struct kafka_produce_response_partition *answer =
				testing_receive_produce(&c);
			assert_int_equal(answer->error_code, KAFKA_NONE);
			assert_int_equal(answer->base_offset, i);
		}
		struct slice records =
			testing_fetch(&c, (struct testing_fetch) { .topic = "beta" })->records;
		for (int i = 0; i < COUNT; i++)
			testing_same_batch(&records, batches[i], i);
		tear_down();
	}
}

/* 900 kB each: several files, put at the same time, finished in any order. */
static void test_full_files_are_committed_in_their_order(void **state)
{
	enum { COUNT = 40 };
	struct slice batches[COUNT];
	struct slice records;

	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up(seed);
		fault_add(w.bucket, &(struct fault) { .delay_ms_max = 30, .prefix = "v1/d/" });
		for (int i = 0; i < COUNT; i++) {
			batches[i] = testing_batch_of(&c.arena, &RECORD_BATCH_PLAIN, "large", i, 1,
						      900 * 1000);
			testing_send_produce(&c, "beta", 0, batches[i], -1);
		}
		for (int i = 0; i < COUNT; i++)
			assert_int_equal(testing_receive_produce(&c)->base_offset, i);
		assert_in_range(w.control.commit_count, 4, COUNT);
		for (int i = 0; i < COUNT;) {
			records = testing_fetch(&c,
						(struct testing_fetch) {
							.topic = "beta",
							.offset = i,
							.partition_max_bytes = 10 << 20,
						})
					  ->records;
			assert_true(records.size > 0);
			for (; records.size > 0; i++)
				testing_same_batch(&records, batches[i], i);
		}
		tear_down();
	}
}

/* One request a batch, each with an answer of its own: far away they share puts. */
static void test_small_batches_share_the_puts_of_a_bucket_that_is_far(void **state)
{
	enum { COUNT = 300, PAUSE_MS = 2 };
	uint64_t before_ms, passed_ms, puts;
	int answered = 0;

	(void)state;
	set_up_far(1, &(struct fault_store) { .put = { 20, 40 } });
	puts = fault_op_count(w.bucket, FAULT_VERB(BUCKET_PUT));
	before_ms = clock_now_ms();
	for (int i = 0; i < COUNT; i++) {
		testing_send_produce(&c, "beta", 0, testing_batch(&c.arena, "small", i, 1), -1);
		testing_run_ms(&w, PAUSE_MS);
	}
	for (; answered < COUNT; answered++)
		assert_int_equal(testing_receive_produce(&c)->base_offset, answered);
	passed_ms = clock_now_ms() - before_ms;
	puts = fault_op_count(w.bucket, FAULT_VERB(BUCKET_PUT)) - puts;
	assert_in_range(puts, 2, FLUSH_PUTS_BURST + passed_ms * FLUSH_PUTS_PER_S / 1000 + 1);
	tear_down();
}

static void test_a_lone_batch_does_not_wait_for_company(void **state)
{
	uint64_t best_ms = UINT64_MAX;

	(void)state;
	set_up_far(0, &(struct fault_store) { .put = { 20, 20 } });
	for (int i = 0; i < 3; i++) { /* the machine may be busy at any of them */
		uint64_t before_ms = clock_now_ms();
		testing_produce(&c, "beta", 0, testing_batch(&c.arena, "alone", i, 1), i);
		uint64_t took_ms = clock_now_ms() - before_ms;
		best_ms = took_ms < best_ms ? took_ms : best_ms;
	}
	assert_true(best_ms < FLUSH_WAIT_MS_MAX);
	tear_down();
}

/* A file's put that takes long delays the commits of later ones, not their puts. */
static void test_a_straggler_delays_answers_and_keeps_their_order(void **state)
{
	enum { COUNT = 40 };

	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up_far(seed, &(struct fault_store) {
					 .put = { 5, 10 }, .slow_ppm = 200000, .slow_ms = 200 });
		for (int i = 0; i < COUNT; i++) {
			testing_send_produce(&c, "beta", 0,
					     testing_batch(&c.arena, "in order", i, 1), -1);
			testing_run_ms(&w, 8);
		}
		for (int i = 0; i < COUNT; i++)
			assert_int_equal(testing_receive_produce(&c)->base_offset, i);
		tear_down();
	}
}

/* P7, W16 */
static void test_acks_0_has_no_answer(void **state)
{
	(void)state;
	set_up(0);
	struct slice one = testing_batch(&c.arena, "one", 0, 1);
	testing_send_produce(&c, "beta", 0, one, 0);
	c.answered_id++;
	testing_produce(&c, "beta", 0, one, 1);
	tear_down();
}

/* W16 */
static void test_acks_0_with_an_error_closes_the_connection(void **state)
{
	(void)state;
	set_up(0);
	testing_send_produce(&c, "nothing", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	WAIT_FOR(&w, c.is_ended);
	assert_int_equal(c.in.size, 0);
	tear_down();
}

static void test_what_cannot_be_stored_is_refused(void **state)
{
	(void)state;
	set_up(0);
	struct slice good = testing_batch(&c.arena, "good", 0, 1);
	struct slice bad = arena_copy(&c.arena, good);
	struct slice both = testing_batch(&c.arena, "both", 0, 1);
	struct buf two;

	((uint8_t *)(uintptr_t)bad.data)[bad.size - 1] ^= 1;
	assert_int_equal(produce_code("alpha", 0, bad, -1), KAFKA_CORRUPT_MESSAGE);
	assert_int_equal(produce_code("nothing", 0, good, -1), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(produce_code("alpha", 3, good, -1), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(produce_code("alpha", -1, good, -1), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(produce_code("alpha", 0, good, 2), KAFKA_INVALID_REQUIRED_ACKS);
	assert_int_equal(produce_code("alpha", 0, good, -2), KAFKA_INVALID_REQUIRED_ACKS);
	assert_int_equal(produce_code("alpha", 0, SLICE(""), -1), KAFKA_INVALID_RECORD);
	assert_int_equal(produce_code("alpha", 0,
				      testing_batch_of(&c.arena, &RECORD_BATCH_PLAIN, "big", 0, 1,
						       2 << 20),
				      -1),
			 KAFKA_MESSAGE_TOO_LARGE);
	buf_init(&two);
	buf_add_slice(&two, both);
	buf_add_slice(&two, both);
	assert_int_equal(produce_code("alpha", 0, buf_slice(&two), -1), KAFKA_INVALID_RECORD);
	buf_done(&two);
	assert_int_equal(w.control.commit_count, 0);
	tear_down();
}

static void test_a_transaction_has_an_id(void **state)
{
	struct record_batch_plan plan = { .leader_epoch = -1,
					  .flags = RECORD_BATCH_TRANSACTIONAL,
					  .producer_id = 7 };
	struct kafka_produce_request_partition asked = { 0 };
	struct kafka_produce_request_topic topic = {
		.name = SLICE("alpha"),
		.partition_data = &asked,
		.partition_data_count = 1,
	};
	struct kafka_produce_request request = {
		.acks = -1,
		.timeout_ms = 1000,
		.topic_data = &topic,
		.topic_data_count = 1,
	};

	(void)state;
	set_up(0);
	asked.records = testing_batch_of(&c.arena, &plan, "one", 0, 1, 0);
	struct kafka_produce_response *response = testing_call(&c, KAFKA_API_PRODUCE, 9, &request);
	assert_int_equal(response->responses[0].partition_responses[0].error_code,
			 KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
	request.transactional_id = SLICE("nobody");
	response = testing_call(&c, KAFKA_API_PRODUCE, 9, &request);
	assert_int_equal(response->responses[0].partition_responses[0].error_code,
			 KAFKA_INVALID_PRODUCER_ID_MAPPING);
	tear_down();
}

static void test_topics_are_found_by_id(void **state)
{
	struct kafka_produce_request_partition asked = { 0 };
	struct kafka_produce_request_topic topics[2] = {
		{ .partition_data = &asked, .partition_data_count = 1 },
		{ .partition_data = &asked, .partition_data_count = 1 },
	};
	struct kafka_produce_request request = {
		.acks = -1,
		.timeout_ms = 1000,
		.topic_data = topics,
		.topic_data_count = 2,
	};

	(void)state;
	set_up(0);
	memset(topics[0].topic_id.bytes, 0xa1, 16);
	memset(topics[1].topic_id.bytes, 0xff, 16);
	asked.records = testing_batch(&c.arena, "one", 0, 1);
	struct kafka_produce_response *response = testing_call(&c, KAFKA_API_PRODUCE, 13, &request);
	assert_int_equal(response->responses[0].partition_responses[0].error_code, KAFKA_NONE);
	assert_int_equal(response->responses[1].partition_responses[0].error_code,
			 KAFKA_UNKNOWN_TOPIC_ID);
	tear_down();
}

/* W2 */
static void test_old_versions_close_the_connection(void **state)
{
	struct kafka_request_header header = { .api_version = 2, .client_id = SLICE("old") };
	struct buf out;

	(void)state;
	set_up(0);
	buf_init(&out);
	buf_add_u32(&out, 0);
	kafka_request_header_encode(&header, &out);
	buf_add_zero(&out, 10);
	put_u32(out.data, (uint32_t)out.size - 4);
	stream_write(c.stream, buf_slice(&out));
	buf_done(&out);
	WAIT_FOR(&w, c.is_ended);
	tear_down();
}

static void test_a_full_bucket_is_told_and_heals(void **state)
{
	(void)state;
	set_up(0);
	struct slice one = testing_batch(&c.arena, "one", 0, 1);
	fault_add(w.bucket, &(struct fault) {
				    .effect = FAULT_BEFORE,
				    .err = ERR_FULL,
				    .verbs = FAULT_VERB(BUCKET_PUT),
			    });
	assert_int_equal(produce_code("alpha", 0, one, -1), KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(produce_code("alpha", 0, one, -1), KAFKA_KAFKA_STORAGE_ERROR);
	fault_clear(w.bucket);
	testing_produce(&c, "alpha", 0, one, 0);
	assert_int_equal(w.control.commit_count, 1);
	assert_int_equal(w.control.last_sequence, 3);
	assert_int_equal(w.control.last_low_sequence, 3);
	tear_down();
}

/* Not the bucket's fault, and nothing that asking again would change. */
static void test_a_full_catalog_is_told_as_such_and_heals(void **state)
{
	struct kafka_produce_response_partition *answer;

	(void)state;
	set_up(0);
	struct slice one = testing_batch(&c.arena, "one", 0, 1);
	w.control.commit_error = ERR_FULL;
	testing_send_produce(&c, "alpha", 0, one, -1);
	answer = testing_receive_produce(&c);
	assert_int_equal(answer->error_code, KAFKA_POLICY_VIOLATION);
	assert_int_equal(answer->base_offset, -1);
	assert_non_null(memmem(answer->error_message.data, answer->error_message.size, "catalog",
			       strlen("catalog")));
	/* For a while nothing is put that would not be committed. */
	int64_t sequence = w.control.last_sequence;
	assert_int_equal(produce_code("alpha", 0, one, -1), KAFKA_POLICY_VIOLATION);
	assert_int_equal(w.control.commit_count, 1);
	testing_run_ms(&w, FILE_WRITER_FULL_MS + 50);
	testing_produce(&c, "alpha", 0, one, 0);
	assert_int_equal(w.control.commit_count, 2);
	assert_int_equal(w.control.last_sequence, sequence + 1);
	assert_int_equal(w.control.last_low_sequence, sequence + 1);
	tear_down();
}

static void test_a_full_catalog_is_told_in_every_version(void **state)
{
	const struct kafka_api *api = kafka_api_find(KAFKA_API_PRODUCE);
	struct catalog_topic topic;

	(void)state;
	for (int16_t version = api->version_first; version <= api->version_last; version++) {
		set_up(0);
		assert_int_equal(catalog_topic_by_name(&c.arena, w.control.cell, SLICE("alpha"),
						       &topic),
				 OK);
		w.control.commit_error = ERR_FULL;
		testing_send_produce_version(&c, version, "alpha", topic.topic_id, 0,
					     testing_batch(&c.arena, "refused", 0, 1), -1);
		assert_int_equal(testing_receive_produce_version(&c, version)->error_code,
				 KAFKA_POLICY_VIOLATION);
		tear_down();
	}
}

static void test_a_put_whose_outcome_is_unknown_is_repeated(void **state)
{
	(void)state;
	set_up(0);
	struct slice one = testing_batch(&c.arena, "one", 0, 1);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_AFTER, .count = 2 });
	testing_produce(&c, "alpha", 0, one, 0);
	testing_produce(&c, "alpha", 0, one, 1);
	assert_int_equal(w.control.commit_count, 2);
	tear_down();
}

static bool has_file(uint64_t incarnation, uint64_t sequence)
{
	char key[DATA_FILE_KEY_BYTES + 1];
	uint64_t size;

	data_file_key(key, incarnation, sequence);
	return bucket_ask_head(w.loop, w.bucket, slice_from(key), &size) == OK;
}

/* By an agent of a journal that was lost, which had got the same number. */
static void test_names_that_another_agent_took_are_left_to_it(void **state)
{
	char key[DATA_FILE_KEY_BYTES + 1];
	int16_t code = -1;

	(void)state;
	set_up(0);
	struct slice batch = testing_batch(&c.arena, "batch", 0, 3);
	for (uint64_t sequence = 1; sequence < 100; sequence++) {
		data_file_key(key, 1, sequence);
		assert_int_equal(bucket_ask_put(w.loop, w.bucket, slice_from(key), SLICE("x")), OK);
	}
	for (int i = 0; code && i < 50; i++)
		code = produce_code("alpha", 0, batch, -1);
	assert_int_equal(code, KAFKA_NONE);
	assert_true(has_file(2, 1));
	tear_down();
}

static void test_a_batch_sent_again_gets_its_first_offset(void **state)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;

	(void)state;
	set_up(0);
	plan.producer_id = 7;
	plan.producer_epoch = 0;
	plan.base_sequence = 0;
	struct slice first = testing_batch_of(&c.arena, &plan, "first", 0, 2, 0);
	plan.base_sequence = 2;
	struct slice second = testing_batch_of(&c.arena, &plan, "second", 2, 2, 0);
	plan.base_sequence = 9;
	struct slice gap = testing_batch_of(&c.arena, &plan, "gap", 9, 2, 0);
	testing_produce(&c, "alpha", 0, first, 0);
	testing_produce(&c, "alpha", 0, second, 2);
	testing_produce(&c, "alpha", 0, first, 0);
	testing_produce(&c, "alpha", 0, second, 2);
	assert_int_equal(produce_code("alpha", 0, gap, -1), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
	tear_down();
}

static void test_time_runs_out_while_the_bucket_hangs(void **state)
{
	struct kafka_produce_request_partition asked = { 0 };
	struct kafka_produce_request_topic topic = {
		.name = SLICE("alpha"),
		.partition_data = &asked,
		.partition_data_count = 1,
	};
	struct kafka_produce_request request = {
		.acks = -1,
		.timeout_ms = 1,
		.topic_data = &topic,
		.topic_data_count = 1,
	};

	(void)state;
	set_up(0);
	asked.records = testing_batch(&c.arena, "one", 0, 1);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD });
	struct kafka_produce_response *response = testing_call(&c, KAFKA_API_PRODUCE, 9, &request);
	assert_int_equal(response->responses[0].partition_responses[0].error_code,
			 KAFKA_REQUEST_TIMED_OUT);
	fault_clear(w.bucket);
	fault_release(w.bucket, "");
	testing_produce(&c, "alpha", 0, asked.records, 1); /* it was stored after all */
	tear_down();
}

/* P8 */
static void test_a_batch_outlives_its_connection(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(seed);
		struct slice one = testing_batch(&c.arena, "one", 0, 1);
		fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD });
		testing_send_produce(&c, "alpha", 0, one, -1);
		testing_send_produce(&c, "alpha", 0, one, -1);
		WAIT_FOR(&w, fault_held_count(w.bucket) == 1);
		testing_client_close(&c);
		WAIT_FOR(&w, w.agent->connection_count == 0);
		fault_clear(w.bucket);
		fault_release(w.bucket, "");
		WAIT_FOR(&w, !file_writer_is_busy(w.agent->writer));
		testing_client_open(&c, &w);
		int64_t next = testing_fetch(&c, (struct testing_fetch) { .topic = "alpha" })
				       ->high_watermark;
		assert_in_range(next, 1, 2);
		tear_down();
	}
}

static void test_a_missing_greatest_time_is_filled_in(void **state)
{
	(void)state;
	set_up(0);
	struct slice one = testing_batch(&c.arena, "one", 5, 2);
	record_batch_set_max_timestamp((uint8_t *)(uintptr_t)one.data, one.size, -1);
	testing_produce(&c, "alpha", 0, one, 0);
	struct slice records =
		testing_fetch(&c, (struct testing_fetch) { .topic = "alpha" })->records;
	struct record_batch batch;
	assert_int_equal(record_batch_next(&records, &batch), OK);
	assert_int_equal(batch.max_timestamp, TESTING_TIME_MS + 6);
	assert_true(record_batch_crc_matches(&batch));
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_produced_is_fetched_byte_for_byte),
		cmocka_unit_test(test_pipelined_batches_keep_their_order),
		cmocka_unit_test(test_full_files_are_committed_in_their_order),
		cmocka_unit_test(test_small_batches_share_the_puts_of_a_bucket_that_is_far),
		cmocka_unit_test(test_a_lone_batch_does_not_wait_for_company),
		cmocka_unit_test(test_a_straggler_delays_answers_and_keeps_their_order),
		cmocka_unit_test(test_acks_0_has_no_answer),
		cmocka_unit_test(test_acks_0_with_an_error_closes_the_connection),
		cmocka_unit_test(test_what_cannot_be_stored_is_refused),
		cmocka_unit_test(test_a_transaction_has_an_id),
		cmocka_unit_test(test_topics_are_found_by_id),
		cmocka_unit_test(test_old_versions_close_the_connection),
		cmocka_unit_test(test_a_full_bucket_is_told_and_heals),
		cmocka_unit_test(test_a_full_catalog_is_told_as_such_and_heals),
		cmocka_unit_test(test_a_full_catalog_is_told_in_every_version),
		cmocka_unit_test(test_a_put_whose_outcome_is_unknown_is_repeated),
		cmocka_unit_test(test_names_that_another_agent_took_are_left_to_it),
		cmocka_unit_test(test_a_batch_sent_again_gets_its_first_offset),
		cmocka_unit_test(test_time_runs_out_while_the_bucket_hangs),
		cmocka_unit_test(test_a_batch_outlives_its_connection),
		cmocka_unit_test(test_a_missing_greatest_time_is_filled_in),
	};

	setenv("HANSE_TEST_HELD_MS", "20", 1); /* nobody fills the gaps */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
