/* Batches far above the usual size through a whole agent: testing_world.h has the stage. */
#include "streams/agent/connection.h"
#include "streams/testing_world.h"
#include "wire/streams/data_file.h"

enum {
	LARGE_BYTES = 6 << 20,	     /* more than a fetch holds at first */
	VERY_LARGE_BYTES = 70 << 20, /* more than all of the cache */
};

static struct testing_world w;
static struct testing_client c;
static struct arena kept; /* batches outlive clients */

static void set_up(const char *max_message_bytes)
{
	char sql[200];

	testing_world_open(&w, 0);
	testing_client_open(&c, &w);
	arena_init(&kept);
	snprintf(sql, sizeof(sql),
		 "INSERT INTO config (kind, resource, name, value)"
		 " VALUES (2, 'alpha', 'max.message.bytes', '%s')",
		 max_message_bytes);
	testing_control_sql(&w.control, sql);
}

/* Nothing is kept of anybody. */
static void tear_down(void)
{
	testing_client_close(&c);
	WAIT_FOR(&w, w.agent->connection_count == 0);
	assert_int_equal(w.agent->answers.used, 0);
	assert_int_equal(w.agent->requests.used, 0);
	testing_world_close(&w);
	arena_done(&kept);
}

static struct slice batch_of(const char *text, int first, size_t size)
{
	return testing_batch_of(&kept, &RECORD_BATCH_PLAIN, text, first, 1, size);
}

#define FETCH(...) testing_fetch(&c, (struct testing_fetch) { .topic = "alpha", __VA_ARGS__ })

/* Three batches in one run, the large one in the middle: of one request, so of one file. */
static void produce_around(struct slice batches[3], size_t large)
{
	struct kafka_produce_request_partition asked[3] = { 0 };
	struct kafka_produce_request_topic topic = {
		.name = SLICE("alpha"),
		.partition_data = asked,
		.partition_data_count = 3,
	};
	struct kafka_produce_request request = {
		.acks = -1,
		.timeout_ms = 15000,
		.topic_data = &topic,
		.topic_data_count = 1,
	};

	batches[0] = batch_of("small", 0, 300 * 1000);
	batches[1] = batch_of("large", 1, large);
	batches[2] = batch_of("small", 2, 10);
	for (int i = 0; i < 3; i++)
		asked[i].records = batches[i];
	const struct kafka_produce_response *response =
		testing_call(&c, KAFKA_API_PRODUCE, TESTING_PRODUCE_VERSION, &request);
	for (int i = 0; i < 3; i++) {
		const struct kafka_produce_response_partition *answer =
			&response->responses[0].partition_responses[i];
		assert_int_equal(answer->error_code, KAFKA_NONE);
		assert_int_equal(answer->base_offset, i);
	}
}

/* One batch, however little was asked for. */
static void fetch_one(int64_t offset, struct slice batch)
{
	struct kafka_fetch_response_partition *got =
		FETCH(.offset = offset, .partition_max_bytes = 1000);

	assert_int_equal(got->error_code, KAFKA_NONE);
	testing_same_batch(&got->records, batch, offset);
	assert_int_equal(got->records.size, 0);
}

static void test_a_large_batch_comes_whole(void **state)
{
	struct slice batches[3];

	(void)state;
	for (int round = 0; round < 2; round++) { /* from memory, from the bucket */
		set_up("8000000");
		produce_around(batches, LARGE_BYTES);
		if (round == 1)
			testing_restart_agent(&w, &c);
		uint64_t gets = testing_get_count(&w);
		for (int i = 0; i < 3; i++)
			fetch_one(i, batches[i]);
		struct slice records = FETCH(.partition_max_bytes = 20 << 20)->records;
		for (int i = 0; i < 3; i++)
			testing_same_batch(&records, batches[i], i);
		records = FETCH(.offset = 0, .partition_max_bytes = 1 << 20)->records;
		testing_same_batch(&records, batches[0], 0);
		assert_int_equal(records.size, 0); /* the large one does not fit */
		/* blocks of 1 MiB, each of them once */
		assert_in_range(testing_get_count(&w) - gets, round ? 7 : 0, round ? 8 : 0);
		tear_down();
	}
}

/* Where nobody left off the run is walked from its beginning. */
static void test_a_large_batch_is_found_by_walking(void **state)
{
	struct slice batches[3];

	(void)state;
	set_up("8000000");
	produce_around(batches, LARGE_BYTES);
	testing_restart_agent(&w, &c);
	fetch_one(2, batches[2]);
	fetch_one(1, batches[1]);
	tear_down();
}

static void test_the_rest_of_a_large_batch_may_not_come(void **state)
{
	struct slice batches[3];

	(void)state;
	set_up("8000000");
	produce_around(batches, LARGE_BYTES);
	testing_restart_agent(&w, &c);
	fetch_one(0, batches[0]); /* reads the first two blocks, and notes where the next is */
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_BEFORE,
					      .err = ERR_DENIED,
					      .verbs = FAULT_VERB(BUCKET_GET) });
	assert_int_equal(FETCH(.offset = 1)->error_code, KAFKA_KAFKA_STORAGE_ERROR);
	fault_clear(w.bucket);
	fetch_one(1, batches[1]);

	/* or its reader goes */
	testing_restart_agent(&w, &c);
	fetch_one(0, batches[0]);
	fault_add(w.bucket,
		  &(struct fault) { .effect = FAULT_HOLD, .verbs = FAULT_VERB(BUCKET_GET) });
	testing_send_fetch(&c, (struct testing_fetch) { .topic = "alpha", .offset = 1 });
	WAIT_FOR(&w, fault_held_count(w.bucket) > 0);
	testing_client_close(&c);
	connection_abort(connection_from_link(w.agent->connections.next));
	WAIT_FOR(&w, w.agent->connection_count == 0);
	assert_int_equal(w.agent->answers.used, 0);
	fault_clear(w.bucket);
	fault_release(w.bucket, "");
	testing_client_open(&c, &w);
	tear_down();
}

/* Above the size of the cache, and of what other requests but Produce may have. */
static void test_a_very_large_batch_is_stored_and_read(void **state)
{
	struct slice large;

	(void)state;
	set_up("104857600");
	large = batch_of("large", 0, VERY_LARGE_BYTES);
	testing_produce(&c, "alpha", 0, large, 0);
	fetch_one(0, large);
	testing_restart_agent(&w, &c);
	fetch_one(0, large);
	tear_down();
}

static void test_a_batch_above_the_limit_of_its_topic_is_refused(void **state)
{
	(void)state;
	set_up("2000000");
	testing_send_produce(&c, "alpha", 0, batch_of("large", 0, 2000000), -1);
	assert_int_equal(testing_receive_produce(&c)->error_code, KAFKA_MESSAGE_TOO_LARGE);
	testing_produce(&c, "alpha", 0, batch_of("large", 0, 1999000), 0);
	testing_send_produce(&c, "beta", 0, batch_of("large", 0, 1999000), -1);
	assert_int_equal(testing_receive_produce(&c)->error_code, KAFKA_MESSAGE_TOO_LARGE);
	tear_down();
}

static bool have_answers(const struct testing_client *clients, int count, size_t *peak)
{
	if (w.agent->answers.used > *peak)
		*peak = w.agent->answers.used;
	for (int i = 0; i < count; i++)
		if (!testing_has_answer(&clients[i]))
			return false;
	return true;
}

/* All have begun before anybody knows how large it is. */
static void test_a_large_batch_for_many_at_a_time_waits_for_room(void **state)
{
	enum { READERS = 8 };
	static const struct testing_fetch asked = { .topic = "alpha",
						    .max_bytes = 1,
						    .partition_max_bytes = 1 };
	struct testing_client readers[READERS];
	size_t peak = 0;

	(void)state;
	set_up("8000000");
	struct slice batch = batch_of("large", 0, LARGE_BYTES);
	testing_produce(&c, "alpha", 0, batch, 0);
	testing_restart_agent(&w, &c);
	w.agent->answers.max = 2 * READERS * (AGENT_BATCH_BYTES_USUAL + 1);
	fault_add(w.bucket,
		  &(struct fault) { .effect = FAULT_HOLD, .verbs = FAULT_VERB(BUCKET_GET) });
	for (int i = 0; i < READERS; i++) {
		testing_client_open(&readers[i], &w);
		testing_send_fetch(&readers[i], asked);
	}
	WAIT_FOR(&w, w.agent->answers.used >= 2 * READERS * AGENT_BATCH_BYTES_USUAL);
	fault_clear(w.bucket);
	fault_release(w.bucket, "");
	WAIT_FOR(&w, have_answers(readers, READERS, &peak));
	assert_in_range(peak, LARGE_BYTES,
			w.agent->answers.max + 2 * (AGENT_BATCH_BYTES_USUAL + 1));
	for (int i = 0; i < READERS; i++) {
		struct slice records = testing_receive_fetch(&readers[i])->records;
		if (records.size == 0) /* waited for too long, on a slow machine */
			records = testing_fetch(&readers[i], asked)->records;
		testing_same_batch(&records, batch, 0);
		testing_client_close(&readers[i]);
	}
	tear_down();
}

/* The large batch of the first partition and that of the second. */
static struct kafka_fetch_response_partition *fetch_two(void)
{
	struct kafka_fetch_request_partition asked[2];
	struct kafka_fetch_request_topic topic = { .topic = SLICE("alpha"),
						   .partitions = asked,
						   .partitions_count = 2 };
	struct kafka_fetch_request request;

	for (int32_t i = 0; i < 2; i++)
		asked[i] = (struct kafka_fetch_request_partition) { .partition = i,
								    .fetch_offset = 1 - i,
								    .current_leader_epoch = -1,
								    .last_fetched_epoch = -1,
								    .partition_max_bytes = 1000 };
	schema_defaults(kafka_api_find(KAFKA_API_FETCH)->request, &request);
	request.max_bytes = 50 << 20;
	request.session_epoch = -1;
	request.topics = &topic;
	request.topics_count = 1;
	request.rack_id = SLICE("");
	const struct kafka_fetch_response *response =
		testing_call(&c, KAFKA_API_FETCH, TESTING_FETCH_VERSION, &request);
	return response->responses[0].partitions;
}

/* What was taken for it is there for the next one. */
static void test_a_large_batch_that_cannot_be_read_gives_its_room_to_the_next(void **state)
{
	char key[DATA_FILE_KEY_BYTES + 1];
	struct slice batches[3];

	(void)state;
	set_up("8000000");
	produce_around(batches, LARGE_BYTES);
	testing_produce(&c, "alpha", 1, batches[1], 0);
	data_file_key(key, (uint64_t)w.agent->incarnation, 1);
	testing_restart_agent(&w, &c);
	w.agent->answers.max = 16 << 20; /* for one at a time */
	fetch_one(0, batches[0]);	 /* where the next one begins is in memory now */
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_BEFORE,
					      .err = ERR_DENIED,
					      .verbs = FAULT_VERB(BUCKET_GET),
					      .prefix = key });
	for (int i = 0; i < 2; i++) { /* one of them first, then the other */
		struct kafka_fetch_response_partition *got = fetch_two();
		struct slice records = got[1].records;
		testing_same_batch(&records, batches[1], 0);
		assert_int_equal(got[0].records.size, 0);
	}
	fault_clear(w.bucket);
	tear_down();
}

/* --- by time --------------------------------------------------------------------------------- */

static void send_lookup(struct testing_client *client, int64_t timestamp)
{
	struct kafka_list_offsets_request_partition asked = { .current_leader_epoch = -1,
							      .timestamp = timestamp };
	struct kafka_list_offsets_request_topic topic = { .name = SLICE("alpha"),
							  .partitions = &asked,
							  .partitions_count = 1 };
	struct kafka_list_offsets_request request = { .replica_id = -1,
						      .topics = &topic,
						      .topics_count = 1 };

	testing_send(client, KAFKA_API_LIST_OFFSETS, 7, &request);
}

static int64_t receive_lookup(struct testing_client *client)
{
	struct kafka_list_offsets_response *response =
		testing_receive(client, KAFKA_API_LIST_OFFSETS, 7);
	struct kafka_list_offsets_response_partition *got = response->topics[0].partitions;

	assert_int_equal(got->error_code, KAFKA_NONE);
	return got->offset;
}

static void test_lookups_by_time_in_large_runs_wait_for_room(void **state)
{
	struct testing_client others[4];
	struct slice batches[3];

	(void)state;
	set_up("8000000");
	produce_around(batches, LARGE_BYTES);
	testing_restart_agent(&w, &c);
	w.agent->answers.max = 8 << 20; /* for one at a time */
	fault_add(w.bucket,
		  &(struct fault) { .effect = FAULT_HOLD, .verbs = FAULT_VERB(BUCKET_GET) });
	for (int i = 0; i < 4; i++) {
		testing_client_open(&others[i], &w);
		send_lookup(&others[i], TESTING_TIME_MS + i);
	}
	WAIT_FOR(&w, fault_held_count(w.bucket) > 0 && room_is_wanted(&w.agent->answers));
	assert_in_range(w.agent->answers.used, LARGE_BYTES, w.agent->answers.max);
	testing_client_close(&others[2]); /* does not wait any more */
	WAIT_FOR(&w, w.agent->connection_count == 4);
	fault_clear(w.bucket);
	fault_release(w.bucket, "");
	assert_int_equal(receive_lookup(&others[0]), 0);
	assert_int_equal(receive_lookup(&others[1]), 1);
	assert_int_equal(receive_lookup(&others[3]), -1);
	for (int i = 0; i < 4; i++)
		if (i != 2)
			testing_client_close(&others[i]);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_large_batch_comes_whole),
		cmocka_unit_test(test_a_large_batch_is_found_by_walking),
		cmocka_unit_test(test_the_rest_of_a_large_batch_may_not_come),
		cmocka_unit_test(test_a_very_large_batch_is_stored_and_read),
		cmocka_unit_test(test_a_batch_above_the_limit_of_its_topic_is_refused),
		cmocka_unit_test(test_a_large_batch_for_many_at_a_time_waits_for_room),
		cmocka_unit_test(test_a_large_batch_that_cannot_be_read_gives_its_room_to_the_next),
		cmocka_unit_test(test_lookups_by_time_in_large_runs_wait_for_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
