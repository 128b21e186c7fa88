/* What settings of topics do to Produce, and how DescribeConfigs tells them: testing_world.h has
 * the stage.  Control's part, storing them, is coordinator/configs_test.c. */
#include "streams/catalog/config.h"
#include "streams/testing_stage.h"

static void set(int kind, const char *resource, const char *name, const char *value)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO config (kind, resource, name, value) VALUES (%d, '%s', '%s', '%s')",
		 kind, resource, name, value);
	testing_control_sql(&w.control, sql);
}

static const struct kafka_describe_configs_response_config *describe(int8_t kind, const char *name,
								     const char *setting,
								     int16_t version)
{
	struct slice key = slice_from(setting);
	struct kafka_describe_configs_request_resource resource = {
		.resource_type = kind,
		.resource_name = slice_from(name),
		.configuration_keys = &key,
		.configuration_keys_count = 1,
	};
	struct kafka_describe_configs_request request = {
		.resources = &resource,
		.resources_count = 1,
		.include_synonyms = true,
	};
	const struct kafka_describe_configs_response *response =
		testing_call(&c, KAFKA_API_DESCRIBE_CONFIGS, version, &request);

	assert_int_equal(response->results[0].error_code, KAFKA_NONE);
	assert_int_equal(response->results[0].configs_count, 1);
	return &response->results[0].configs[0];
}

static void test_a_setting_is_told_with_where_it_comes_from(void **state)
{
	const struct kafka_describe_configs_response_config *got;

	(void)state;
	set_up(0);
	for (int16_t version = 1; version <= 4; version++) {
		got = describe(CONFIG_TOPIC, "alpha", "max.message.bytes", version);
		assert_true(slice_equal(got->value, SLICE("1048588")));
		assert_int_equal(got->config_source, CONFIG_FROM_DEFAULT);
		assert_int_equal(got->synonyms_count, 1);
		assert_true(slice_equal(got->synonyms[0].name, SLICE("message.max.bytes")));
	}
	set(CONFIG_BROKER, "", "message.max.bytes", "2000");
	got = describe(CONFIG_TOPIC, "alpha", "max.message.bytes", 4);
	assert_int_equal(got->config_source, CONFIG_FROM_ALL_BROKERS);
	assert_true(slice_equal(got->value, SLICE("2000")));
	set(CONFIG_TOPIC, "alpha", "max.message.bytes", "1000");
	got = describe(CONFIG_TOPIC, "alpha", "max.message.bytes", 4);
	assert_int_equal(got->config_source, CONFIG_FROM_TOPIC);
	assert_true(slice_equal(got->value, SLICE("1000")));
	assert_int_equal(got->config_type, CONFIG_INT);
	assert_int_equal(got->synonyms_count, 3);
	assert_int_equal(got->synonyms[1].source, CONFIG_FROM_ALL_BROKERS);
	assert_true(slice_equal(got->synonyms[2].value, SLICE("1048588")));
	got = describe(CONFIG_BROKER, "1", "message.max.bytes", 4);
	assert_int_equal(got->config_source, CONFIG_FROM_ALL_BROKERS);
	assert_false(got->read_only);
	got = describe(CONFIG_BROKER, "", "message.max.bytes", 4);
	assert_true(slice_equal(got->value, SLICE("2000")));
	assert_true(describe(CONFIG_BROKER, "1", "broker.id", 4)->read_only);
	set(CONFIG_GROUP, "g", "consumer.session.timeout.ms", "50000");
	got = describe(CONFIG_GROUP, "g", "consumer.session.timeout.ms", 4);
	assert_int_equal(got->config_source, CONFIG_FROM_GROUP);
	got = describe(CONFIG_GROUP, "other", "consumer.session.timeout.ms", 4);
	assert_int_equal(got->config_source, CONFIG_FROM_DEFAULT);
	tear_down();
}

static void test_a_setting_is_never_an_old_one(void **state)
{
	const struct kafka_describe_configs_response_config *got;

	(void)state;
	set_up(0);
	testing_hold_records(&w.control, true);
	set(CONFIG_TOPIC, "alpha", "retention.ms", "9");
	struct slice key = SLICE("retention.ms");
	struct kafka_describe_configs_request_resource resource = { CONFIG_TOPIC, SLICE("alpha"),
								    &key, 1 };
	testing_send(&c, KAFKA_API_DESCRIBE_CONFIGS, 4,
		     &(struct kafka_describe_configs_request) { .resources = &resource,
								.resources_count = 1 });
	testing_run_ms(&w, 20);
	assert_false(testing_has_answer(&c));
	testing_hold_records(&w.control, false);
	const struct kafka_describe_configs_response *response =
		testing_receive(&c, KAFKA_API_DESCRIBE_CONFIGS, 4);
	got = &response->results[0].configs[0];
	assert_true(slice_equal(got->value, SLICE("9")));
	tear_down();
}

static size_t list(int16_t version, int8_t *types, size_t count, int16_t error)
{
	struct kafka_list_config_resources_request request = { types, count };
	const struct kafka_list_config_resources_response *response =
		testing_call(&c, KAFKA_API_LIST_CONFIG_RESOURCES, version, &request);

	assert_int_equal(response->error_code, error);
	return response->config_resources_count;
}

static void test_resources_with_settings_are_listed_by_type(void **state)
{
	int8_t topics = CONFIG_TOPIC, groups = CONFIG_GROUP, unknown = 3;
	int8_t both[] = { CONFIG_BROKER, CONFIG_CLIENT_METRICS };

	(void)state;
	set_up(0);
	set(CONFIG_GROUP, "g", "consumer.session.timeout.ms", "50000");
	assert_int_equal(list(1, &topics, 0, KAFKA_NONE), 2 + 1 + 1);
	assert_int_equal(list(1, &topics, 1, KAFKA_NONE), 2);
	assert_int_equal(list(1, &groups, 1, KAFKA_NONE), 1);
	assert_int_equal(list(1, both, 2, KAFKA_NONE), 1);
	assert_int_equal(list(1, &unknown, 1, KAFKA_UNSUPPORTED_VERSION), 0);
	assert_int_equal(list(0, NULL, 0, KAFKA_NONE), 0); /* of client metrics */
	tear_down();
}

static void test_a_batch_larger_than_its_topic_allows_is_refused(void **state)
{

	(void)state;
	set_up(0);
	struct slice small = testing_batch_of(&c.arena, &RECORD_BATCH_PLAIN, "a", 0, 1, 100);
	struct slice large = testing_batch_of(&c.arena, &RECORD_BATCH_PLAIN, "a", 0, 1, 1000);
	set(CONFIG_TOPIC, "alpha", "max.message.bytes", "800");
	testing_run_ms(&w, 5);
	testing_produce(&c, "alpha", 0, small, 0);
	testing_produce(&c, "beta", 0, large, 0);
	testing_send_produce(&c, "alpha", 0, large, -1);
	assert_int_equal(testing_receive_produce(&c)->error_code, KAFKA_MESSAGE_TOO_LARGE);
	tear_down();
}

/* W20: Attributes and the greatest time change, so the checksum is another one. */
static void test_log_append_time_is_written_with_a_new_checksum(void **state)
{
	struct record_batch batch;

	(void)state;
	set_up(0);
	set(CONFIG_TOPIC, "alpha", "message.timestamp.type", "LogAppendTime");
	testing_run_ms(&w, 5);
	int64_t before_ms = clock_wall_ms();
	testing_send_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 3), -1);
	struct kafka_produce_response_partition *answer = testing_receive_produce(&c);
	assert_int_equal(answer->error_code, KAFKA_NONE);
	int64_t time_ms = answer->log_append_time_ms;
	assert_in_range(time_ms, before_ms, clock_wall_ms());
	struct slice records =
		testing_fetch(&c, (struct testing_fetch) { .topic = "alpha" })->records;
	assert_int_equal(record_batch_next(&records, &batch), OK);
	assert_true(record_batch_crc_matches(&batch));
	assert_true(batch.attributes & RECORD_BATCH_LOG_APPEND_TIME);
	assert_int_equal(batch.max_timestamp, time_ms);
	testing_send_produce(&c, "beta", 0, testing_batch(&c.arena, "one", 0, 3), -1);
	assert_int_equal(testing_receive_produce(&c)->log_append_time_ms, -1);
	tear_down();
}

static struct slice batch_of_keys(enum compression codec, const char *const *keys, size_t count)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct record records[8] = { 0 };
	struct buf out;

	plan.codec = codec;
	for (size_t i = 0; i < count; i++) {
		records[i].timestamp_ms = TESTING_TIME_MS;
		records[i].value = SLICE("value");
		if (keys[i])
			records[i].key = slice_from(keys[i]);
	}
	buf_init(&out);
	record_batch_build(&out, &plan, records, count);
	struct slice batch = arena_copy(&c.arena, buf_slice(&out));
	buf_done(&out);
	return batch;
}

/* W21 */
static void test_records_without_keys_in_a_compacted_topic_are_told_one_by_one(void **state)
{
	static const char *const keys[] = { "a", NULL, "", NULL };
	static const char *const whole[] = { "a", "b" };
	struct kafka_produce_response_partition *answer;

	(void)state;
	set_up(0);
	set(CONFIG_TOPIC, "alpha", "cleanup.policy", "delete,compact");
	testing_run_ms(&w, 5);
	for (int codec = COMPRESSION_NONE; codec < COMPRESSION_COUNT; codec++) {
		testing_send_produce(&c, "alpha", 0,
				     batch_of_keys((enum compression)codec, keys, 4), -1);
		answer = testing_receive_produce(&c);
		assert_int_equal(answer->error_code, KAFKA_INVALID_RECORD);
		assert_int_equal(answer->base_offset, -1);
		assert_int_equal(answer->record_errors_count, 2);
		assert_int_equal(answer->record_errors[0].batch_index, 1);
		assert_int_equal(answer->record_errors[1].batch_index, 3);
		testing_produce(&c, "alpha", 0, batch_of_keys((enum compression)codec, whole, 2),
				2 * codec);
	}
	testing_produce(&c, "beta", 0, batch_of_keys(COMPRESSION_NONE, keys, 4), 0);
	tear_down();
}

/* Each batch of a request has its own list. */
static void test_records_without_keys_are_told_of_each_batch(void **state)
{
	static const char *const keys[][3] = { { "a", "b", NULL },
					       { "a", "b", "c" },
					       { NULL, "b", NULL } };
	static const size_t counts[] = { 1, 0, 2 };
	static const int32_t told[] = { 2, 0, 2 };
	struct kafka_produce_request_partition asked[3] = { 0 };
	struct kafka_produce_request_topic topic = { .name = SLICE("alpha"),
						     .partition_data = asked,
						     .partition_data_count = 3 };
	struct kafka_produce_request request = {
		.acks = -1, .timeout_ms = 15000, .topic_data = &topic, .topic_data_count = 1
	};
	size_t next = 0;

	(void)state;
	set_up(0);
	set(CONFIG_TOPIC, "alpha", "cleanup.policy", "delete,compact");
	testing_run_ms(&w, 5);
	for (int i = 0; i < 3; i++)
		asked[i].records = batch_of_keys(COMPRESSION_NONE, keys[i], 3);
	const struct kafka_produce_response *response =
		testing_call(&c, KAFKA_API_PRODUCE, TESTING_PRODUCE_VERSION, &request);
	for (int i = 0; i < 3; i++) {
		const struct kafka_produce_response_partition *answer =
			&response->responses[0].partition_responses[i];
		assert_int_equal(answer->record_errors_count, counts[i]);
		for (size_t k = 0; k < answer->record_errors_count; k++)
			assert_int_equal(answer->record_errors[k].batch_index, told[next++]);
	}
	tear_down();
}

static struct slice batch_at(int64_t time_ms)
{
	struct record record = { .timestamp_ms = time_ms, .value = SLICE("v") };
	struct buf out;

	buf_init(&out);
	record_batch_build(&out, &RECORD_BATCH_PLAIN, &record, 1);
	struct slice batch = arena_copy(&c.arena, buf_slice(&out));
	buf_done(&out);
	return batch;
}

static void test_times_far_from_ours_are_refused(void **state)
{
	enum { HOUR_MS = 3600000 };
	int64_t now_ms = clock_wall_ms();

	(void)state;
	set_up(0);
	set(CONFIG_TOPIC, "beta", "message.timestamp.before.max.ms", "1000000");
	testing_run_ms(&w, 5);
	testing_produce(&c, "alpha", 0, batch_at(0), 0);
	testing_produce(&c, "alpha", 0, batch_at(now_ms + HOUR_MS / 2), 1);
	testing_send_produce(&c, "alpha", 0, batch_at(now_ms + 2 * HOUR_MS), -1);
	assert_int_equal(testing_receive_produce(&c)->error_code, KAFKA_INVALID_TIMESTAMP);
	testing_produce(&c, "beta", 0, batch_at(now_ms - 500000), 0);
	testing_send_produce(&c, "beta", 0, batch_at(now_ms - 2000000), -1);
	assert_int_equal(testing_receive_produce(&c)->error_code, KAFKA_INVALID_TIMESTAMP);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_setting_is_told_with_where_it_comes_from),
		cmocka_unit_test(test_a_setting_is_never_an_old_one),
		cmocka_unit_test(test_resources_with_settings_are_listed_by_type),
		cmocka_unit_test(test_a_batch_larger_than_its_topic_allows_is_refused),
		cmocka_unit_test(test_log_append_time_is_written_with_a_new_checksum),
		cmocka_unit_test(
			test_records_without_keys_in_a_compacted_topic_are_told_one_by_one),
		cmocka_unit_test(test_records_without_keys_are_told_of_each_batch),
		cmocka_unit_test(test_times_far_from_ours_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
