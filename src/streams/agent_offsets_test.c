/* ListOffsets, OffsetForLeaderEpoch and DescribeConfigs through a whole agent. */
#include "streams/testing_stage.h"

struct answer {
	int16_t code;
	int64_t offset, timestamp;
	int32_t epoch;
};

static struct answer list_offsets(int16_t version, const char *topic, int32_t partition,
				  int64_t timestamp, int32_t epoch)
{
	struct kafka_list_offsets_request_partition asked = {
		.partition_index = partition,
		.current_leader_epoch = epoch,
		.timestamp = timestamp,
	};
	struct kafka_list_offsets_request_topic asked_topic = {
		.name = slice_from(topic),
		.partitions = &asked,
		.partitions_count = 1,
	};
	struct kafka_list_offsets_request request = {
		.replica_id = -1,
		.topics = &asked_topic,
		.topics_count = 1,
	};
	struct kafka_list_offsets_response *response =
		testing_call(&c, KAFKA_API_LIST_OFFSETS, version, &request);

	assert_int_equal(response->topics_count, 1);
	assert_int_equal(response->topics[0].partitions_count, 1);
	struct kafka_list_offsets_response_partition *got = &response->topics[0].partitions[0];
	assert_int_equal(got->partition_index, partition);
	return (struct answer) { got->error_code, got->offset, got->timestamp, got->leader_epoch };
}

static void check(int64_t timestamp, int64_t offset, int64_t found_timestamp)
{
	struct answer got = list_offsets(11, "alpha", 0, timestamp, -1);

	assert_int_equal(got.code, KAFKA_NONE);
	assert_int_equal(got.offset, offset);
	assert_int_equal(got.timestamp, found_timestamp);
	assert_int_equal(got.epoch, offset < 0 ? -1 : 0);
}

static void test_the_ends_of_a_partition_are_found(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up(seed);
		check(-1, 0, -1);
		check(-2, 0, -1);
		check(-3, -1, -1);
		testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 7), 0);
		check(-1, 7, -1);
		check(-2, 0, -1);
		check(-4, 0, -1);
		check(-5, -1, -1);
		check(-6, -1, -1);
		testing_control_sql(&w.control, "UPDATE partition SET log_start_offset = 3"
						" WHERE id = 1");
		check(-2, 3, -1);
		tear_down();
	}
}

static void ask_end(struct testing_client *from)
{
	struct kafka_list_offsets_request_partition asked = { .timestamp = -1 };
	struct kafka_list_offsets_request_topic topic = {
		.name = SLICE("alpha"),
		.partitions = &asked,
		.partitions_count = 1,
	};
	struct kafka_list_offsets_request request = { .topics = &topic, .topics_count = 1 };

	testing_send(from, KAFKA_API_LIST_OFFSETS, 2, &request);
}

/* Control answers before the record reaches the replica: the answer waits. */
static void test_the_end_is_never_an_old_one(void **state)
{
	(void)state;
	set_up(0);
	testing_hold_records(&w.control, true);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 7), 0);
	struct testing_client other;
	testing_client_open(&other, &w);
	ask_end(&other);
	testing_run_ms(&w, 30);
	assert_false(testing_has_answer(&other));
	testing_hold_records(&w.control, false);
	struct kafka_list_offsets_response *response =
		testing_receive(&other, KAFKA_API_LIST_OFFSETS, 2);
	assert_int_equal(response->topics[0].partitions[0].offset, 7);
	testing_client_close(&other);
	tear_down();
}

/* An offset ahead of what is known here may be right or wrong; so may the end that is known here.
 */
static void test_nobody_tells_an_end_that_may_be_old(void **state)
{
	struct testing_client other;

	(void)state;
	set_up(0);
	testing_hold_records(&w.control, true);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 7), 0);
	testing_client_open(&other, &w);
	ask_end(&other);
	testing_send_fetch(&c, (struct testing_fetch) { .topic = "alpha", .offset = 5 });
	assert_int_equal(testing_receive_fetch(&c)->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
	struct kafka_list_offsets_response *response =
		testing_receive(&other, KAFKA_API_LIST_OFFSETS, 2);
	assert_int_equal(response->topics[0].partitions[0].error_code,
			 KAFKA_NOT_LEADER_OR_FOLLOWER);
	testing_hold_records(&w.control, false);
	testing_client_close(&other);
	tear_down();
}

static void produce_times(void)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;

	/* offsets 0-3: times 0-3, 4-7: times 100-103, 8-9: times 50-51 */
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "a", 0, 4), 0);
	plan.codec = COMPRESSION_LZ4;
	testing_produce(&c, "alpha", 0, testing_batch_of(&c.arena, &plan, "b", 100, 4, 9), 4);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "c", 50, 2), 8);
}

static void check_times(void)
{
	const int64_t zero = TESTING_TIME_MS;

	check(0, 0, zero);
	check(zero, 0, zero);
	check(zero + 2, 2, zero + 2);
	check(zero + 4, 4, zero + 100);
	check(zero + 50, 4, zero + 100); /* the first one that is late enough, not the nearest */
	check(zero + 102, 6, zero + 102);
	check(zero + 104, -1, -1);
	check(-3, 7, zero + 103);
}

static void test_records_are_found_by_time(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up(seed);
		produce_times();
		check_times();
		testing_client_close(&c);
		testing_close_agent(&w);
		testing_open_agent(&w); /* and now from the bucket */
		testing_client_open(&c, &w);
		check_times();
		tear_down();
	}
}

static void test_an_unreadable_file_fails_the_lookup(void **state)
{
	(void)state;
	set_up(0);
	produce_times();
	testing_client_close(&c);
	testing_close_agent(&w);
	testing_open_agent(&w);
	testing_client_open(&c, &w);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_BEFORE,
					      .err = ERR_NOT_FOUND,
					      .prefix = "v1/d/" });
	assert_int_equal(list_offsets(7, "alpha", 0, TESTING_TIME_MS, -1).code,
			 KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(list_offsets(7, "alpha", 0, -1, -1).code, KAFKA_NONE);
	tear_down();
}

static void test_wrong_questions_get_an_error_of_their_own(void **state)
{
	(void)state;
	set_up(0);
	assert_int_equal(list_offsets(5, "nothing", 0, -1, -1).code,
			 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(list_offsets(5, "alpha", 3, -1, -1).code,
			 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(list_offsets(5, "alpha", 0, -1, 1).code, KAFKA_UNKNOWN_LEADER_EPOCH);
	assert_int_equal(list_offsets(6, "alpha", 0, -3, -1).code, KAFKA_UNSUPPORTED_VERSION);
	assert_int_equal(list_offsets(11, "alpha", 0, -7, -1).code, KAFKA_UNSUPPORTED_VERSION);
	testing_control_sql(&w.control, "UPDATE partition SET leader_epoch = 2");
	assert_int_equal(list_offsets(5, "alpha", 0, -1, 1).code, KAFKA_FENCED_LEADER_EPOCH);
	assert_int_equal(list_offsets(5, "alpha", 0, -1, 2).epoch, 2);
	tear_down();
}

enum { EPOCH_VERSION = 4 };

static void send_epoch(struct testing_client *client, int32_t partition, int32_t current,
		       int32_t epoch)
{
	struct kafka_offset_for_leader_epoch_request_partition asked = {
		.partition = partition,
		.current_leader_epoch = current,
		.leader_epoch = epoch,
	};
	struct kafka_offset_for_leader_epoch_request_topic topic = {
		.topic = SLICE("alpha"),
		.partitions = &asked,
		.partitions_count = 1,
	};
	struct kafka_offset_for_leader_epoch_request request = {
		.replica_id = -1,
		.topics = &topic,
		.topics_count = 1,
	};

	testing_send(client, KAFKA_API_OFFSET_FOR_LEADER_EPOCH, EPOCH_VERSION, &request);
}

static struct kafka_offset_for_leader_epoch_response_partition *ask_epoch(int32_t partition,
									  int32_t current,
									  int32_t epoch)
{
	struct kafka_offset_for_leader_epoch_response *response;

	send_epoch(&c, partition, current, epoch);
	response = testing_receive(&c, KAFKA_API_OFFSET_FOR_LEADER_EPOCH, EPOCH_VERSION);
	return &response->topics[0].partitions[0];
}

/* W8 */
static void test_the_only_epoch_ends_at_the_high_watermark(void **state)
{
	(void)state;
	set_up(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 7), 0);
	testing_run_ms(&w, 10);
	struct kafka_offset_for_leader_epoch_response_partition *got = ask_epoch(0, 0, 0);
	assert_int_equal(got->error_code, KAFKA_NONE);
	assert_int_equal(got->leader_epoch, 0);
	assert_int_equal(got->end_offset, 7);
	got = ask_epoch(0, -1, 1); /* never heard of */
	assert_int_equal(got->error_code, KAFKA_NONE);
	assert_int_equal(got->leader_epoch, -1);
	assert_int_equal(got->end_offset, -1);
	assert_int_equal(ask_epoch(0, 1, 0)->error_code, KAFKA_UNKNOWN_LEADER_EPOCH);
	assert_int_equal(ask_epoch(9, -1, 0)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	tear_down();
}

/* To a consumer an old end means that what it has read behind it was lost. */
static void test_the_end_of_an_epoch_is_never_an_old_one(void **state)
{
	struct kafka_offset_for_leader_epoch_response *response;
	struct testing_client other;

	(void)state;
	set_up(0);
	testing_hold_records(&w.control, true);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 7), 0);
	testing_client_open(&other, &w);
	send_epoch(&other, 0, 0, 0);
	testing_run_ms(&w, 30);
	assert_false(testing_has_answer(&other));
	testing_hold_records(&w.control, false);
	response = testing_receive(&other, KAFKA_API_OFFSET_FOR_LEADER_EPOCH, EPOCH_VERSION);
	assert_int_equal(response->topics[0].partitions[0].end_offset, 7);
	testing_client_close(&other);
	tear_down();
}

static struct kafka_describe_configs_response_result *describe(int8_t type, const char *name,
							       struct slice *keys, size_t key_count)
{
	struct kafka_describe_configs_request_resource resource = {
		.resource_type = type,
		.resource_name = slice_from(name),
		.configuration_keys = keys,
		.configuration_keys_count = key_count,
	};
	struct kafka_describe_configs_request request = {
		.resources = &resource,
		.resources_count = 1,
		.include_documentation = true,
	};
	struct kafka_describe_configs_response *response =
		testing_call(&c, KAFKA_API_DESCRIBE_CONFIGS, 4, &request);

	return &response->results[0];
}

static void test_configurations_say_how_it_is(void **state)
{
	struct slice key = SLICE("retention.ms");

	(void)state;
	set_up(0);
	struct kafka_describe_configs_response_result *got = describe(2, "alpha", NULL, 0);
	assert_int_equal(got->error_code, KAFKA_NONE);
	assert_true(got->configs_count > 5);
	assert_true(got->configs[0].documentation.size > 0);
	got = describe(2, "alpha", &key, 1);
	assert_int_equal(got->configs_count, 1);
	assert_true(slice_equal(got->configs[0].value, SLICE("604800000")));
	got = describe(4, "1", NULL, 0);
	assert_int_equal(got->error_code, KAFKA_NONE);
	assert_true(slice_equal(got->configs[0].name, SLICE("advertised.listeners")));
	assert_true(slice_equal(got->configs[0].value, SLICE("PLAINTEXT://127.0.0.1:9092")));
	assert_int_equal(describe(2, "nothing", NULL, 0)->error_code,
			 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(describe(4, "77", NULL, 0)->error_code, KAFKA_INVALID_REQUEST);
	assert_int_equal(describe(8, "x", NULL, 0)->error_code, KAFKA_INVALID_REQUEST);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_ends_of_a_partition_are_found),
		cmocka_unit_test(test_the_end_is_never_an_old_one),
		cmocka_unit_test(test_nobody_tells_an_end_that_may_be_old),
		cmocka_unit_test(test_records_are_found_by_time),
		cmocka_unit_test(test_an_unreadable_file_fails_the_lookup),
		cmocka_unit_test(test_wrong_questions_get_an_error_of_their_own),
		cmocka_unit_test(test_the_only_epoch_ends_at_the_high_watermark),
		cmocka_unit_test(test_the_end_of_an_epoch_is_never_an_old_one),
		cmocka_unit_test(test_configurations_say_how_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
