/* Fetch through a whole agent: testing_world.h has the stage. */
#include "buckets/bucket_ask.h"
#include "streams/agent/block_cache.h"
#include "streams/agent/connection.h"
#include "streams/testing_stage.h"
#include "wire/streams/data_file.h"

/* What a failing device does: another byte, or fewer (0: all), where an object was. */
static void damage_object(const char *key, size_t size, size_t flipped)
{
	struct bucket *inner = fault_inner(w.bucket);
	struct blob *body = NULL;

	assert_int_equal(bucket_ask_get(w.loop, inner, slice_from(key), &body), OK);
	body->data[flipped] ^= 1;
	if (size)
		body->size = size;
	assert_int_equal(bucket_ask_delete(w.loop, inner, slice_from(key)), OK);
	assert_int_equal(bucket_ask_put(w.loop, inner, slice_from(key), blob_slice(body)), OK);
	blob_unref(&body);
}

#define FETCH(...) testing_fetch(&c, (struct testing_fetch) { __VA_ARGS__ })

/* --- waiting --------------------------------------------------------------------------------- */

static void test_a_waiting_fetch_wakes_when_its_partition_grows(void **state)
{
	struct testing_client other;

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(seed);
		uint64_t gets = testing_get_count(&w);
		testing_client_open(&other, &w);
		struct slice one = testing_batch(&c.arena, "one", 0, 1);
		testing_send_fetch(&c, (struct testing_fetch) { .topic = "alpha",
								.partition = 1,
								.min_bytes = 1,
								.max_wait_ms = 15000 });
		testing_produce(&other, "alpha", 0, one, 0); /* of no interest */
		testing_run_ms(&w, 20);
		assert_false(testing_has_answer(&c));
		testing_produce(&other, "alpha", 1, one, 0);
		struct slice records = testing_receive_fetch(&c)->records;
		testing_same_batch(&records, one, 0);
		assert_int_equal(testing_get_count(&w), gets); /* the writer left it in memory */
		testing_client_close(&other);
		tear_down();
	}
}

static void test_a_waiting_fetch_is_answered_when_the_agent_stops(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up(seed);
		testing_send_fetch(&c, (struct testing_fetch) { .topic = "alpha",
								.min_bytes = 1,
								.max_wait_ms = 15000 });
		testing_run_ms(&w, 20);
		uint64_t before_ms = clock_now_ms();
		testing_close_agent(&w);
		assert_in_range(clock_now_ms() - before_ms, 0, 5000);
		assert_int_equal(testing_receive_fetch(&c)->error_code, KAFKA_NONE);
		testing_open_agent(&w);
		tear_down();
	}
}

static void test_a_fetch_without_news_ends_in_time(void **state)
{
	(void)state;
	set_up(0);
	uint64_t before_ms = clock_now_ms();
	struct kafka_fetch_response_partition *got =
		FETCH(.topic = "alpha", .min_bytes = 1, .max_wait_ms = 60);
	assert_in_range(clock_now_ms() - before_ms, 55, 5000);
	assert_int_equal(got->error_code, KAFKA_NONE);
	assert_int_equal(got->records.size, 0);
	assert_int_equal(got->high_watermark, 0);
	tear_down();
}

/* A control process that was fenced learns of it only when it is asked. */
static void test_readers_without_news_let_control_look(void **state)
{
	(void)state;
	set_up(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	FETCH(.topic = "alpha");
	assert_int_equal(w.control.sync_count, 0);
	for (int i = 0; i < 5; i++)
		FETCH(.topic = "alpha", .offset = 1, .min_bytes = 1, .max_wait_ms = 10);
	testing_run_ms(&w, 10);
	assert_int_equal(w.control.sync_count, 1); /* once in a while */
	tear_down();

	set_up(1);
	w.control.is_away = true;
	testing_lose_agent(&w.control);
	FETCH(.topic = "alpha", .min_bytes = 1, .max_wait_ms = 10);
	tear_down(); /* does not wait for the answer */
}

/* W6 */
static void test_min_bytes_waits_for_enough(void **state)
{
	struct testing_client other;

	(void)state;
	set_up(0);
	testing_client_open(&other, &w);
	struct slice one = testing_batch_of(&c.arena, &RECORD_BATCH_PLAIN, "one", 0, 1, 1000);
	testing_send_fetch(&c, (struct testing_fetch) {
				       .topic = "alpha", .min_bytes = 2000, .max_wait_ms = 15000 });
	testing_produce(&other, "alpha", 0, one, 0);
	testing_run_ms(&w, 20);
	assert_false(testing_has_answer(&c));
	testing_produce(&other, "alpha", 0, one, 1);
	struct slice records = testing_receive_fetch(&c)->records;
	testing_same_batch(&records, one, 0);
	testing_same_batch(&records, one, 1);
	testing_client_close(&other);
	tear_down();
}

static void test_a_topic_deleted_while_waiting_is_told(void **state)
{
	(void)state;
	set_up(0);
	testing_send_fetch(&c, (struct testing_fetch) {
				       .topic = "beta", .min_bytes = 1, .max_wait_ms = 15000 });
	testing_run_ms(&w, 20);
	testing_control_sql(&w.control, "UPDATE topic SET deleted_ms = 5 WHERE name = 'beta'");
	assert_int_equal(testing_receive_fetch(&c)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	tear_down();
}

/* DeleteRecords, as another agent's client asked for it. */
static void test_records_deleted_while_waiting_are_out_of_range(void **state)
{
	(void)state;
	set_up(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 4), 0);
	testing_send_fetch(&c, (struct testing_fetch) {
				       .topic = "alpha", .min_bytes = 9999, .max_wait_ms = 15000 });
	testing_run_ms(&w, 20);
	assert_false(testing_has_answer(&c));
	testing_control_sql(&w.control, "UPDATE partition SET log_start_offset = 3"
					" WHERE high_watermark > 0");
	struct kafka_fetch_response_partition *got = testing_receive_fetch(&c);
	assert_int_equal(got->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
	assert_int_equal(got->log_start_offset, 3);
	got = FETCH(.topic = "alpha", .offset = 3);
	assert_int_equal(got->error_code, KAFKA_NONE);
	assert_true(got->records.size > 0); /* of the whole batch */
	tear_down();
}

static void test_connections_close_while_fetches_wait(void **state)
{
	struct testing_client others[3];

	(void)state;
	for (uint64_t seed = 0; seed < 6; seed++) {
		set_up(seed);
		for (int i = 0; i < 3; i++) {
			testing_client_open(&others[i], &w);
			testing_send_fetch(&others[i],
					   (struct testing_fetch) { .topic = "alpha",
								    .min_bytes = 1,
								    .max_wait_ms =
									    i < 2 ? 100 : 15000 });
		}
		testing_run_ms(&w, 5);
		testing_client_close(&others[0]);
		testing_client_close(&others[1]);
		WAIT_FOR(&w, w.agent->connection_count == 2);
		testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
		testing_receive_fetch(&others[2]);
		testing_send_fetch(&others[2], (struct testing_fetch) { .topic = "beta",
									.min_bytes = 1,
									.max_wait_ms = 100 });
		testing_run_ms(&w, 3);
		tear_down(); /* drains: waits for the last fetch */
		testing_client_close(&others[2]);
	}
}

/* The record comes in the turn in which the connection ends: whatever runs first, nobody wakes a
 * fetch that is over. */
static void test_a_partition_grows_while_the_connection_of_its_reader_ends(void **state)
{
	struct testing_client other;

	(void)state;
	set_up(7);
	for (int i = 0; i < 100; i++) {
		testing_client_open(&other, &w);
		testing_send_fetch(&other, (struct testing_fetch) { .topic = "alpha",
								    .min_bytes = 1,
								    .max_wait_ms = 15000 });
		testing_run_ms(&w, 3);
		testing_control_sql(&w.control, "UPDATE partition SET bytes = bytes + 1");
		loop_turn(w.loop);
		connection_abort(connection_from_link(w.agent->connections.prev));
		WAIT_FOR(&w, w.agent->connection_count == 1);
		testing_client_close(&other);
	}
	tear_down();
}

/* --- where to begin, and how much ------------------------------------------------------------ */

/* W6 */
static void test_an_offset_inside_a_batch_gives_the_whole_batch(void **state)
{
	(void)state;
	set_up(0);
	struct slice one = testing_batch(&c.arena, "one", 0, 5);
	struct slice two = testing_batch(&c.arena, "two", 5, 5);
	testing_produce(&c, "alpha", 0, one, 0);
	testing_produce(&c, "alpha", 0, two, 5);
	struct slice records = FETCH(.topic = "alpha", .offset = 3)->records;
	testing_same_batch(&records, one, 0);
	testing_same_batch(&records, two, 5);
	records = FETCH(.topic = "alpha", .offset = 9)->records;
	testing_same_batch(&records, two, 5);
	assert_int_equal(records.size, 0);
	records = FETCH(.topic = "alpha", .offset = 10)->records;
	assert_int_equal(records.size, 0);
	tear_down();
}

/* W6 */
static void test_limits_cut_between_batches(void **state)
{
	struct slice batches[4];

	(void)state;
	set_up(0);
	fault_add(w.bucket, &(struct fault) { .delay_ms_max = 10 }); /* some share a file */
	for (int i = 0; i < 4; i++) {
		batches[i] = testing_batch_of(&c.arena, &RECORD_BATCH_PLAIN, "x", i, 1, 1000);
		testing_send_produce(&c, "alpha", 0, batches[i], -1);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(testing_receive_produce(&c)->base_offset, i);
	size_t size = batches[0].size;
	assert_int_equal(FETCH(.topic = "alpha", .partition_max_bytes = (int32_t)(2 * size + 10))
				 ->records.size,
			 2 * size);
	assert_int_equal(
		FETCH(.topic = "alpha", .max_bytes = (int32_t)(3 * size - 1))->records.size,
		2 * size);
	/* the first one comes along even if it is too large */
	struct slice records = FETCH(.topic = "alpha", .offset = 2, .max_bytes = 1)->records;
	testing_same_batch(&records, batches[2], 2);
	assert_int_equal(records.size, 0);
	records = FETCH(.topic = "alpha", .offset = 1, .partition_max_bytes = 1)->records;
	testing_same_batch(&records, batches[1], 1);
	assert_int_equal(records.size, 0);
	tear_down();
}

/* One run of many batches, in helpings that end anywhere in it. */
static void test_a_run_is_read_in_helpings(void **state)
{
	enum { COUNT = 120 };
	struct slice batches[COUNT];
	struct arena a;

	(void)state;
	for (int round = 0; round < 2; round++) { /* from memory, from the bucket */
		arena_init(&a);
		set_up(0);
		fault_add(w.bucket, &(struct fault) { .delay_ms_max = 20, .prefix = "v1/d/" });
		for (int i = 0; i < COUNT; i++) {
			batches[i] = testing_batch_of(&a, &RECORD_BATCH_PLAIN, "x", 3 * i, 3,
						      i % 2 ? 10000 : 10);
			testing_send_produce(&c, "beta", 0, batches[i], -1);
		}
		for (int i = 0; i < COUNT; i++)
			testing_receive_produce(&c);
		assert_in_range(w.control.commit_count, 1, 20);
		if (round == 1)
			testing_restart_agent(&w, &c);
		for (int i = 0; i < COUNT;) {
			struct slice records = FETCH(.topic = "beta", .offset = 3 * i,
						     .partition_max_bytes = 45000)
						       ->records;
			assert_true(records.size > 0);
			for (; records.size > 0; i++)
				testing_same_batch(&records, batches[i], 3 * i);
		}
		for (int i = COUNT - 1; i >= 0; i -= 7) {
			struct slice records = FETCH(.topic = "beta", .offset = 3 * i + 1,
						     .partition_max_bytes = 1)
						       ->records;
			testing_same_batch(&records, batches[i], 3 * i);
			assert_int_equal(records.size, 0);
		}
		tear_down();
		arena_done(&a);
	}
}

/* Far away each GET takes its time, so who reads on has the next ones under way. */
static void test_who_reads_on_far_away_is_read_ahead_of(void **state)
{
	enum { COUNT = 24, SIZE = 300000 };
	struct slice batches[COUNT];
	struct block_cache_status status;
	struct arena a;

	(void)state;
	arena_init(&a);
	set_up(0);
	for (int i = 0; i < COUNT; i++) {
		batches[i] = testing_batch_of(&a, &RECORD_BATCH_PLAIN, "x", i, 1, SIZE);
		testing_produce(&c, "beta", 0, batches[i], i);
	}
	fault_set_store(w.bucket, &(struct fault_store) { .get = { 5, 9 } });
	testing_restart_agent(&w, &c);
	uint64_t before = testing_get_count(&w);
	for (int i = COUNT - 1; i >= COUNT - 3; i--) { /* looks here and there */
		struct slice records =
			FETCH(.topic = "beta", .offset = i, .partition_max_bytes = 1)->records;
		testing_same_batch(&records, batches[i], i);
	}
	assert_int_equal(testing_get_count(&w), before + 3);
	block_cache_get_status(w.agent->cache, &status);
	assert_int_equal(status.aheads, 0);
	for (int i = 0; i < COUNT - 3; i++) {
		struct slice records =
			FETCH(.topic = "beta", .offset = i, .partition_max_bytes = 1)->records;
		testing_same_batch(&records, batches[i], i);
		block_cache_get_status(w.agent->cache, &status);
		if (i == 0)
			assert_int_equal(status.aheads, 0);
		else
			assert_in_range(status.aheads, 3, COUNT - 4);
	}
	assert_int_equal(testing_get_count(&w), before + COUNT);
	assert_int_equal(status.aheads_unused, 0);
	tear_down();
	arena_done(&a);
}

static struct kafka_fetch_response *fetch_partitions(int32_t count, int32_t max_bytes)
{
	struct kafka_fetch_request_partition asked[3];
	struct kafka_fetch_request_topic topic = {
		.topic = SLICE("alpha"),
		.partitions = asked,
		.partitions_count = (size_t)count,
	};
	struct kafka_fetch_request request;

	for (int32_t i = 0; i < count; i++)
		asked[i] = (struct kafka_fetch_request_partition) {
			.partition = i,
			.current_leader_epoch = -1,
			.last_fetched_epoch = -1,
			.partition_max_bytes = 1 << 20,
		};
	schema_defaults(kafka_api_find(KAFKA_API_FETCH)->request, &request);
	request.max_bytes = max_bytes;
	request.session_epoch = -1;
	request.topics = &topic;
	request.topics_count = 1;
	request.rack_id = SLICE("");
	return testing_call(&c, KAFKA_API_FETCH, TESTING_FETCH_VERSION, &request);
}

static void test_every_partition_is_served_in_turn(void **state)
{
	bool was_served[3] = { false };

	(void)state;
	set_up(0);
	for (int i = 0; i < 3; i++)
		testing_produce(&c, "alpha", i, testing_batch(&c.arena, "one", 0, 1), 0);
	for (int round = 0; round < 3; round++) {
		struct kafka_fetch_response *response = fetch_partitions(3, 1);
		int served = 0;
		for (int i = 0; i < 3; i++) {
			if (response->responses[0].partitions[i].records.size == 0)
				continue;
			was_served[i] = true;
			served++;
		}
		assert_int_equal(served, 1); /* one batch a request, however large */
	}
	assert_true(was_served[0] && was_served[1] && was_served[2]);
	tear_down();
}

/* --- refusals -------------------------------------------------------------------------------- */

/* W6 */
static void test_out_of_range_is_said_only_when_it_is_sure(void **state)
{
	(void)state;
	set_up(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 5), 0);
	int before = w.control.sync_count;
	assert_int_equal(FETCH(.topic = "alpha", .offset = 6)->error_code,
			 KAFKA_OFFSET_OUT_OF_RANGE);
	assert_int_equal(w.control.sync_count, before + 1);
	assert_int_equal(FETCH(.topic = "alpha", .offset = -1)->error_code,
			 KAFKA_OFFSET_OUT_OF_RANGE);
	testing_control_sql(&w.control, "UPDATE partition SET log_start_offset = 5"
					" WHERE number = 0");
	testing_run_ms(&w, 10);
	struct kafka_fetch_response_partition *got = FETCH(.topic = "alpha", .offset = 4);
	assert_int_equal(got->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
	assert_int_equal(got->log_start_offset, 5);
	tear_down();
}

/* The offset came from another agent, which has seen more. */
static void test_an_offset_ahead_of_the_replica_waits_for_it(void **state)
{
	(void)state;
	set_up(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	testing_run_ms(&w, 10);
	testing_hold_records(&w.control, true);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "two", 1, 9), 1);
	testing_send_fetch(&c, (struct testing_fetch) { .topic = "alpha", .offset = 5 });
	testing_run_ms(&w, 30);
	assert_false(testing_has_answer(&c));
	testing_hold_records(&w.control, false);
	struct kafka_fetch_response_partition *got = testing_receive_fetch(&c);
	assert_int_equal(got->error_code, KAFKA_NONE);
	assert_true(got->records.size > 0);
	tear_down();
}

static void test_epochs_are_checked(void **state)
{
	(void)state;
	set_up(0);
	assert_int_equal(FETCH(.topic = "alpha", .current_leader_epoch = 1)->error_code,
			 KAFKA_UNKNOWN_LEADER_EPOCH);
	assert_int_equal(FETCH(.topic = "alpha", .current_leader_epoch = -1)->error_code,
			 KAFKA_NONE);
	testing_control_sql(&w.control, "UPDATE partition SET leader_epoch = 2");
	testing_run_ms(&w, 10);
	assert_int_equal(FETCH(.topic = "alpha", .current_leader_epoch = 1)->error_code,
			 KAFKA_FENCED_LEADER_EPOCH);
	tear_down();
}

static void test_what_is_not_there_is_said(void **state)
{
	struct kafka_fetch_request_partition asked = { .current_leader_epoch = -1 };
	struct kafka_fetch_request_topic topic = { .partitions = &asked, .partitions_count = 1 };
	struct kafka_fetch_request request;

	(void)state;
	set_up(0);
	assert_int_equal(FETCH(.topic = "nothing")->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(FETCH(.topic = "alpha", .partition = 3)->error_code,
			 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	schema_defaults(kafka_api_find(KAFKA_API_FETCH)->request, &request);
	request.topics = &topic;
	request.topics_count = 1;
	request.rack_id = SLICE("");
	memset(topic.topic_id.bytes, 0x77, 16);
	struct kafka_fetch_response *response = testing_call(&c, KAFKA_API_FETCH, 13, &request);
	assert_int_equal(response->responses[0].partitions[0].error_code, KAFKA_UNKNOWN_TOPIC_ID);
	memset(topic.topic_id.bytes, 0xa1, 16);
	response = testing_call(&c, KAFKA_API_FETCH, 16, &request);
	assert_int_equal(response->responses[0].partitions[0].error_code, KAFKA_NONE);
	request.session_id = 99;
	request.session_epoch = 3;
	response = testing_call(&c, KAFKA_API_FETCH, 13, &request);
	assert_int_equal(response->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
	assert_int_equal(response->responses_count, 0);
	tear_down();
}

static void test_old_fetches_do_not_get_zstd(void **state)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct kafka_fetch_request_partition asked = {
		.current_leader_epoch = -1,
		.partition_max_bytes = 1 << 20,
	};
	struct kafka_fetch_request_topic topic = {
		.topic = SLICE("alpha"),
		.partitions = &asked,
		.partitions_count = 1,
	};
	struct kafka_fetch_request request;

	(void)state;
	set_up(0);
	plan.codec = COMPRESSION_ZSTD;
	testing_produce(&c, "alpha", 0, testing_batch_of(&c.arena, &plan, "z", 0, 5, 100), 0);
	schema_defaults(kafka_api_find(KAFKA_API_FETCH)->request, &request);
	request.topics = &topic;
	request.topics_count = 1;
	struct kafka_fetch_response *response = testing_call(&c, KAFKA_API_FETCH, 9, &request);
	assert_int_equal(response->responses[0].partitions[0].error_code,
			 KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
	response = testing_call(&c, KAFKA_API_FETCH, 10, &request);
	assert_int_equal(response->responses[0].partitions[0].error_code, KAFKA_NONE);
	tear_down();
}

/* --- from the bucket ------------------------------------------------------------------------- */

static void test_a_new_agent_reads_from_the_bucket(void **state)
{
	enum { COUNT = 24 };
	struct slice batches[COUNT];
	struct arena a;

	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		arena_init(&a);
		set_up(seed);
		for (int i = 0; i < COUNT; i++) {
			batches[i] = testing_batch_of(&a, &RECORD_BATCH_PLAIN, "cold", i, 1,
						      300 * 1000 + (size_t)i);
			testing_send_produce(&c, "alpha", 0, batches[i], -1);
		}
		for (int i = 0; i < COUNT; i++)
			testing_receive_produce(&c);
		testing_restart_agent(&w, &c);
		uint64_t gets = testing_get_count(&w);
		for (int i = 0; i < COUNT;) {
			struct slice records =
				FETCH(.topic = "alpha", .offset = i, .partition_max_bytes = 2 << 20)
					->records;
			assert_true(records.size > 0);
			for (; records.size > 0; i++)
				testing_same_batch(&records, batches[i], i);
		}
		assert_in_range(testing_get_count(&w) - gets, 1, COUNT + 8); /* each block once */
		tear_down();
		arena_done(&a);
	}
}

static void test_a_corrupt_file_fails_only_its_partition(void **state)
{
	char key[DATA_FILE_KEY_BYTES + 1];

	(void)state;
	set_up(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	testing_produce(&c, "alpha", 1, testing_batch(&c.arena, "two", 0, 1), 0);
	testing_produce(&c, "alpha", 2, testing_batch(&c.arena, "three", 0, 1), 0);
	int64_t incarnation = w.agent->incarnation;
	testing_restart_agent(&w, &c);
	data_file_key(key, (uint64_t)incarnation, 2);
	damage_object(key, 0, DATA_FILE_HEADER_BYTES + 65);
	data_file_key(key, (uint64_t)incarnation, 3);
	fault_add(w.bucket,
		  &(struct fault) { .effect = FAULT_BEFORE, .err = ERR_NOT_FOUND, .prefix = key });
	struct kafka_fetch_response *response = fetch_partitions(3, 1 << 20);
	struct kafka_fetch_response_partition *got = response->responses[0].partitions;
	assert_int_equal(got[0].error_code, KAFKA_NONE);
	assert_true(got[0].records.size > 0);
	assert_int_equal(got[1].error_code, KAFKA_CORRUPT_MESSAGE);
	assert_int_equal(got[1].records.size, 0);
	assert_int_equal(got[2].error_code, KAFKA_KAFKA_STORAGE_ERROR);
	tear_down();
}

static void test_batches_before_a_broken_one_are_given(void **state)
{
	char key[DATA_FILE_KEY_BYTES + 1];

	(void)state;
	set_up(0);
	struct arena a;
	arena_init(&a);
	struct slice one = testing_batch(&a, "one", 0, 1);
	testing_produce(&c, "beta", 0, one, 0);
	testing_produce(&c, "beta", 0, testing_batch(&c.arena, "two", 1, 1), 1);
	data_file_key(key, (uint64_t)w.agent->incarnation, 2);
	testing_restart_agent(&w, &c);
	damage_object(key, DATA_FILE_HEADER_BYTES + 70, 0);
	struct kafka_fetch_response_partition *got = FETCH(.topic = "beta");
	assert_int_equal(got->error_code, KAFKA_NONE);
	testing_same_batch(&got->records, one, 0);
	assert_int_equal(got->records.size, 0);
	assert_int_equal(FETCH(.topic = "beta", .offset = 1)->error_code, KAFKA_CORRUPT_MESSAGE);
	tear_down();
	arena_done(&a);
}

static void test_connections_close_while_the_bucket_is_read(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(seed);
		testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
		testing_restart_agent(&w, &c);
		fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD });
		testing_send_fetch(&c, (struct testing_fetch) { .topic = "alpha" });
		WAIT_FOR(&w, fault_held_count(w.bucket) == 1);
		testing_client_close(&c);
		connection_abort(connection_from_link(w.agent->connections.next));
		WAIT_FOR(&w, w.agent->connection_count == 0);
		fault_clear(w.bucket);
		fault_release(w.bucket, "");
		testing_client_open(&c, &w);
		assert_true(FETCH(.topic = "alpha")->records.size > 0);
		tear_down();
	}
}

/* --- markers --------------------------------------------------------------------------------- */

/* One record, then the ends of transactions at 1 and 2, as control would have put them there. */
static void put_markers(void)
{
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	testing_control_sql(&w.control,
			    "INSERT INTO marker (partition, marker_offset, producer_id, epoch,"
			    " is_commit, first_offset, stable_offset, written_ms)"
			    " SELECT partition.id, 1, 7, 3, 0, 0, 2, 99 FROM partition"
			    " JOIN topic ON topic.id = partition.topic"
			    " WHERE topic.name = 'alpha' AND number = 0");
	testing_control_sql(&w.control,
			    "INSERT INTO marker (partition, marker_offset, producer_id, epoch,"
			    " is_commit, first_offset, stable_offset, written_ms)"
			    " SELECT partition, 2, 8, 3, 1, 2, 3, 99 FROM marker");
	testing_control_sql(&w.control, "UPDATE partition SET high_watermark = 3 WHERE id IN"
					" (SELECT partition FROM marker)");
}

static void check_marker(struct slice *records, int64_t offset, int64_t producer_id)
{
	struct record_batch batch;

	assert_int_equal(record_batch_next(records, &batch), OK);
	assert_int_equal(batch.base_offset, offset);
	assert_int_equal(batch.producer_id, producer_id);
	assert_int_equal(batch.bytes.size, 78);
	assert_int_equal(batch.record_count, 1);
	assert_int_equal(batch.attributes, RECORD_BATCH_TRANSACTIONAL | RECORD_BATCH_CONTROL);
	assert_true(record_batch_crc_matches(&batch));
}

/* W10 */
static void test_t5_markers_carry_a_reader_to_the_end(void **state)
{
	struct kafka_fetch_response_partition *got;
	struct testing_client other;

	(void)state;
	set_up(0);
	testing_client_open(&other, &w);
	testing_send_fetch(&other, (struct testing_fetch) { .topic = "alpha",
							    .offset = 1,
							    .min_bytes = 1,
							    .max_wait_ms = 15000 });
	put_markers();
	struct slice records = testing_receive_fetch(&other)->records; /* it was woken */
	check_marker(&records, 1, 7);

	got = FETCH(.topic = "alpha", .offset = 0, .min_bytes = 1, .max_wait_ms = 15000);
	assert_int_equal(got->high_watermark, 3);
	assert_int_equal(got->last_stable_offset, 3);
	records = got->records;
	struct slice one = testing_batch(&c.arena, "one", 0, 1);
	testing_same_batch(&records, one, 0);
	check_marker(&records, 1, 7);
	check_marker(&records, 2, 8);
	assert_int_equal(records.size, 0);

	/* no more than fits, but one in any case */
	records = FETCH(.topic = "alpha", .offset = 1, .partition_max_bytes = 100)->records;
	check_marker(&records, 1, 7);
	assert_int_equal(records.size, 0);
	records = FETCH(.topic = "alpha", .offset = 2, .partition_max_bytes = 1)->records;
	check_marker(&records, 2, 8);
	testing_client_close(&other);
	tear_down();
}

/* One record and one marker in turn: records at even offsets, markers at odd ones. */
static void put_pairs(int count)
{
	for (int i = 0; i < count; i++) {
		char sql[400];

		testing_produce(&c, "beta", 0, testing_batch(&c.arena, "pair", 2 * i, 1), 2 * i);
		snprintf(sql, sizeof(sql),
			 "INSERT INTO marker (partition, marker_offset, producer_id, epoch,"
			 " is_commit, first_offset, stable_offset, written_ms)"
			 " SELECT partition.id, %d, 7, 3, 1, %d, %d, 99 FROM partition"
			 " JOIN topic ON topic.id = partition.topic WHERE topic.name = 'beta'",
			 2 * i + 1, 2 * i, 2 * i + 2);
		testing_control_sql(&w.control, sql);
		snprintf(sql, sizeof(sql),
			 "UPDATE partition SET high_watermark = %d WHERE topic ="
			 " (SELECT id FROM topic WHERE name = 'beta')",
			 2 * i + 2);
		testing_control_sql(&w.control, sql);
	}
}

/* A long row of small transactions, in helpings of any size: no marker may come before the records
 * that stand before it, or readers go on behind them. */
static void test_t5_markers_never_lead_a_reader_past_records(void **state)
{
	enum { COUNT = 40, SIZE_MAX_BYTES = 4000 };

	(void)state;
	set_up(0);
	put_pairs(COUNT);
	for (int32_t size = 1; size < SIZE_MAX_BYTES; size += 97) {
		int64_t next = 0;
		while (next < 2 * COUNT) {
			struct slice records =
				FETCH(.topic = "beta", .offset = next, .partition_max_bytes = size)
					->records;
			assert_true(records.size > 0);
			for (; records.size > 0; next++) {
				if (next % 2) {
					check_marker(&records, next, 7);
					continue;
				}
				struct slice batch = testing_batch(&c.arena, "pair", (int)next, 1);
				testing_same_batch(&records, batch, next);
			}
		}
		assert_int_equal(next, 2 * COUNT);
	}
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_waiting_fetch_wakes_when_its_partition_grows),
		cmocka_unit_test(test_a_waiting_fetch_is_answered_when_the_agent_stops),
		cmocka_unit_test(test_a_fetch_without_news_ends_in_time),
		cmocka_unit_test(test_readers_without_news_let_control_look),
		cmocka_unit_test(test_min_bytes_waits_for_enough),
		cmocka_unit_test(test_a_topic_deleted_while_waiting_is_told),
		cmocka_unit_test(test_records_deleted_while_waiting_are_out_of_range),
		cmocka_unit_test(test_connections_close_while_fetches_wait),
		cmocka_unit_test(test_a_partition_grows_while_the_connection_of_its_reader_ends),
		cmocka_unit_test(test_an_offset_inside_a_batch_gives_the_whole_batch),
		cmocka_unit_test(test_limits_cut_between_batches),
		cmocka_unit_test(test_a_run_is_read_in_helpings),
		cmocka_unit_test(test_who_reads_on_far_away_is_read_ahead_of),
		cmocka_unit_test(test_every_partition_is_served_in_turn),
		cmocka_unit_test(test_out_of_range_is_said_only_when_it_is_sure),
		cmocka_unit_test(test_an_offset_ahead_of_the_replica_waits_for_it),
		cmocka_unit_test(test_epochs_are_checked),
		cmocka_unit_test(test_what_is_not_there_is_said),
		cmocka_unit_test(test_old_fetches_do_not_get_zstd),
		cmocka_unit_test(test_a_new_agent_reads_from_the_bucket),
		cmocka_unit_test(test_a_corrupt_file_fails_only_its_partition),
		cmocka_unit_test(test_batches_before_a_broken_one_are_given),
		cmocka_unit_test(test_connections_close_while_the_bucket_is_read),
		cmocka_unit_test(test_t5_markers_carry_a_reader_to_the_end),
		cmocka_unit_test(test_t5_markers_never_lead_a_reader_past_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
