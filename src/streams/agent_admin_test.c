/* What administrators ask a broker, and what one without replicas answers: testing_world.h has the
 * stage. */
#include "streams/testing_stage.h"
#include "wire/kafka/compression.h"

/* --- pages of topics */

/* "alpha/3 beta/1 -> gamma:0" of an answer. */
static const char *page(const char *names, int32_t limit, const char *cursor_topic,
			int32_t cursor_partition)
{
	struct kafka_describe_topic_partitions_request_topic topics[8];
	struct kafka_describe_topic_partitions_request_cursor cursor = { 0 };
	struct kafka_describe_topic_partitions_request request = {
		.topics = topics,
		.response_partition_limit = limit,
	};
	struct slice rest = slice_from(names);
	static char text[300];
	size_t size = 0;

	while (rest.size > 0)
		topics[request.topics_count++].name = slice_cut(&rest, ' ');
	if (cursor_topic) {
		cursor.topic_name = slice_from(cursor_topic);
		cursor.partition_index = cursor_partition;
		request.cursor = &cursor;
	}
	const struct kafka_describe_topic_partitions_response *response =
		testing_call(&c, KAFKA_API_DESCRIBE_TOPIC_PARTITIONS, 0, &request);
	text[0] = 0;
	for (size_t i = 0; i < response->topics_count; i++) {
		const struct kafka_describe_topic_partitions_response_topic *topic =
			&response->topics[i];
		size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%.*s/%zu",
					 i ? " " : "", SLICE_ARG(topic->name),
					 topic->partitions_count);
		if (topic->error_code)
			size += (size_t)snprintf(text + size, sizeof(text) - size, "(%d)",
						 topic->error_code);
		for (size_t k = 0; k < topic->partitions_count; k++) {
			assert_int_equal(topic->partitions[k].leader_id, 1);
			assert_int_equal(topic->partitions[k].leader_epoch, 0);
			assert_int_equal(topic->partitions[k].isr_nodes_count, 1);
		}
	}
	if (response->next_cursor)
		snprintf(text + size, sizeof(text) - size, " -> %.*s:%d",
			 SLICE_ARG(response->next_cursor->topic_name),
			 response->next_cursor->partition_index);
	return text;
}

static void test_topics_are_described_page_by_page(void **state)
{
	(void)state;
	set_up(0);
	testing_create_topic(&w.control, "gamma", 0xc3, 2);
	assert_string_equal(page("", 2000, NULL, 0), "alpha/3 beta/1 gamma/2");
	assert_string_equal(page("", 2, NULL, 0), "alpha/2 -> alpha:2");
	assert_string_equal(page("", 2, "alpha", 2), "alpha/1 beta/1 -> gamma:0");
	assert_string_equal(page("", 2, "gamma", 0), "gamma/2");
	assert_string_equal(page("", 3, NULL, 0), "alpha/3 -> beta:0");
	assert_string_equal(page("gamma alpha gamma", 2000, NULL, 0), "alpha/3 gamma/2");
	assert_string_equal(page("gamma alpha", 2000, "beta", 0), "gamma/2");
	assert_string_equal(page("nothing", 2000, NULL, 0), "nothing/0(3)");
	assert_string_equal(page("alpha a/b", 2000, NULL, 0), "a/b/0(17) alpha/3");
	assert_string_equal(page("alpha", 2000, "alpha", 7), "alpha/0"); /* it shrank? */
	tear_down();
}

static void test_a_page_from_no_place_ends_the_connection(void **state)
{
	struct kafka_describe_topic_partitions_request request = { 0 };

	(void)state;
	set_up(0);
	testing_send(&c, KAFKA_API_DESCRIBE_TOPIC_PARTITIONS, 0, &request);
	WAIT_FOR(&w, c.is_ended);
	tear_down();
}

/* --- the bucket as a directory */

static void test_the_bucket_is_the_one_directory_with_real_sizes(void **state)
{
	int32_t numbers[] = { 0, 7 };
	struct kafka_describe_log_dirs_request_topic asked[] = {
		{ SLICE("alpha"), numbers, 2 },
		{ SLICE("nothing"), numbers, 1 },
	};
	struct kafka_describe_log_dirs_request all = { 0 };
	struct kafka_describe_log_dirs_request some = { asked, 2 };

	(void)state;
	set_up(0);
	struct slice batch = testing_batch(&c.arena, "one", 0, 3);
	testing_produce(&c, "alpha", 0, batch, 0);
	testing_produce(&c, "alpha", 0, batch, 3);
	for (int16_t version = 1; version <= 4; version++) {
		const struct kafka_describe_log_dirs_response *response =
			testing_call(&c, KAFKA_API_DESCRIBE_LOG_DIRS, version, &all);
		assert_int_equal(response->results_count, 1);
		const struct kafka_describe_log_dirs_response_result *dir = &response->results[0];
		assert_int_equal(dir->error_code, KAFKA_NONE);
		assert_true(slice_starts_with(dir->log_dir, SLICE("memory:")));
		assert_int_equal(dir->topics_count, 2);
		assert_int_equal(dir->topics[0].partitions_count, 3);
		assert_int_equal(dir->topics[0].partitions[0].partition_size, 2 * batch.size);
		assert_int_equal(dir->topics[0].partitions[1].partition_size, 0);
		assert_int_equal(dir->total_bytes, -1);
		response = testing_call(&c, KAFKA_API_DESCRIBE_LOG_DIRS, version, &some);
		assert_int_equal(response->results[0].topics_count, 1);
		assert_int_equal(response->results[0].topics[0].partitions_count, 1);
	}
	tear_down();
}

/* --- replicas */

static void test_no_leader_has_to_be_elected(void **state)
{
	int32_t numbers[] = { 2, 3 };
	struct kafka_elect_leaders_request_topic topic = { SLICE("alpha"), numbers, 2 };
	struct kafka_elect_leaders_request request = { .topic_partitions = &topic,
						       .topic_partitions_count = 1 };
	struct kafka_elect_leaders_request all = { 0 };
	const struct kafka_elect_leaders_response *response;

	(void)state;
	set_up(0);
	for (int16_t version = 0; version <= 2; version++) {
		response = testing_call(&c, KAFKA_API_ELECT_LEADERS, version, &request);
		const struct kafka_elect_leaders_response_partition *results =
			response->replica_election_results[0].partition_results;
		assert_int_equal(results[0].partition_id, 2);
		assert_int_equal(results[0].error_code, KAFKA_ELECTION_NOT_NEEDED);
		assert_int_equal(results[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
		response = testing_call(&c, KAFKA_API_ELECT_LEADERS, version, &all);
		assert_int_equal(response->error_code, KAFKA_NONE);
		assert_int_equal(response->replica_election_results_count, 0);
	}
	tear_down();
}

static void test_the_bucket_is_where_everything_is_already(void **state)
{
	int32_t numbers[] = { 0, 9 };
	struct kafka_alter_replica_log_dirs_request_topic topic = { SLICE("alpha"), numbers, 2 };
	struct kafka_alter_replica_log_dirs_request_dir dirs[] = {
		{ SLICE("/var/log"), &topic, 1 },
		{ slice_from("memory:"), &topic, 1 },
	};
	struct kafka_alter_replica_log_dirs_request request = { dirs, 2 };

	(void)state;
	set_up(0);
	dirs[1].path = slice_from(w.bucket->url);
	for (int16_t version = 1; version <= 2; version++) {
		const struct kafka_alter_replica_log_dirs_response *response =
			testing_call(&c, KAFKA_API_ALTER_REPLICA_LOG_DIRS, version, &request);
		assert_int_equal(response->results_count, 2);
		assert_int_equal(response->results[0].partitions[0].error_code,
				 KAFKA_LOG_DIR_NOT_FOUND);
		assert_int_equal(response->results[1].partitions[0].error_code, KAFKA_NONE);
		assert_int_equal(response->results[1].partitions[1].error_code,
				 KAFKA_REPLICA_NOT_AVAILABLE);
	}
	tear_down();
}

static void test_nothing_is_reassigned(void **state)
{
	int32_t replicas[] = { 1, 2 };
	struct kafka_alter_partition_reassignments_request_partition partitions[] = {
		{ 0, replicas, 2 },
		{ 1, NULL, 0 },
		{ 9, replicas, 2 },
	};
	struct kafka_alter_partition_reassignments_request_topic topic = { SLICE("alpha"),
									   partitions, 3 };
	struct kafka_alter_partition_reassignments_request request = {
		.allow_replication_factor_change = true, .topics = &topic, .topics_count = 1
	};
	struct kafka_list_partition_reassignments_request listed = { 0 };

	(void)state;
	set_up(0);
	for (int16_t version = 0; version <= 1; version++) {
		const struct kafka_alter_partition_reassignments_response *response =
			testing_call(&c, KAFKA_API_ALTER_PARTITION_REASSIGNMENTS, version,
				     &request);
		assert_int_equal(response->error_code, KAFKA_NONE);
		const struct kafka_alter_partition_reassignments_response_partition *got =
			response->responses[0].partitions;
		assert_int_equal(got[0].error_code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
		assert_int_equal(got[1].error_code, KAFKA_NO_REASSIGNMENT_IN_PROGRESS);
		assert_int_equal(got[2].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	}
	const struct kafka_list_partition_reassignments_response *response =
		testing_call(&c, KAFKA_API_LIST_PARTITION_REASSIGNMENTS, 0, &listed);
	assert_int_equal(response->error_code, KAFKA_NONE);
	assert_int_equal(response->topics_count, 0);
	tear_down();
}

static void check_update(struct kafka_update_features_request_update update, int16_t error)
{
	struct kafka_update_features_request request = { .feature_updates = &update,
							 .feature_updates_count = 1 };

	for (int16_t version = update.upgrade_type == 1 ? 0 : 1; version <= 2; version++) {
		const struct kafka_update_features_response *response =
			testing_call(&c, KAFKA_API_UPDATE_FEATURES, version, &request);
		assert_int_equal(response->error_code, version < 2 ? (int)KAFKA_NONE : error);
		assert_int_equal(response->results_count, version < 2);
		if (version < 2)
			assert_int_equal(response->results[0].error_code, error);
	}
}

static void test_levels_of_features_are_those_of_the_program(void **state)
{
	struct slice group = SLICE("group.version"), nothing = SLICE("nothing.version");

	(void)state;
	set_up(0);
	check_update((struct kafka_update_features_request_update) { group, 1, false, 1 },
		     KAFKA_NONE); /* as it is */
	check_update((struct kafka_update_features_request_update) { group, 1, true, 2 },
		     KAFKA_NONE);
	check_update((struct kafka_update_features_request_update) { group, 1, true, 0 },
		     KAFKA_INVALID_UPDATE_VERSION);
	check_update((struct kafka_update_features_request_update) { group, 2, false, 1 },
		     KAFKA_INVALID_UPDATE_VERSION);
	check_update((struct kafka_update_features_request_update) { group, 0, true, 2 },
		     KAFKA_INVALID_UPDATE_VERSION);
	check_update((struct kafka_update_features_request_update) { group, -1, false, 1 },
		     KAFKA_INVALID_UPDATE_VERSION);
	check_update((struct kafka_update_features_request_update) { nothing, 1, false, 1 },
		     KAFKA_INVALID_UPDATE_VERSION);
	tear_down();
}

/* --- metrics of clients ---------------------------------------------------------------------
 */

/* W14 */
static void test_clients_are_asked_for_no_metrics_and_may_push_some(void **state)
{
	struct kafka_get_telemetry_subscriptions_request request = { 0 };
	static uint8_t many[(1 << 20) + 1];

	(void)state;
	set_up(0);
	const struct kafka_get_telemetry_subscriptions_response *got =
		testing_call(&c, KAFKA_API_GET_TELEMETRY_SUBSCRIPTIONS, 0, &request);
	assert_int_equal(got->error_code, KAFKA_NONE);
	assert_false(uuid_is_zero(got->client_instance_id));
	assert_int_equal(got->requested_metrics_count, 0);
	/* seldom, and librdkafka has its microseconds in an int32 */
	assert_in_range(got->push_interval_ms, 60 * 1000, INT32_MAX / 1000);
	request.client_instance_id = got->client_instance_id;
	int32_t subscription = got->subscription_id;
	got = testing_call(&c, KAFKA_API_GET_TELEMETRY_SUBSCRIPTIONS, 0, &request);
	assert_true(uuid_equal(got->client_instance_id, request.client_instance_id));

	const struct {
		struct uuid id;
		int32_t subscription;
		int8_t codec;
		struct slice metrics;
		int16_t error;
	} pushes[] = {
		{ request.client_instance_id, subscription, 0, SLICE(""), KAFKA_NONE },
		{ request.client_instance_id, subscription, COMPRESSION_ZSTD, SLICE("x"),
		  KAFKA_NONE },
		{ { { 0 } }, subscription, 0, SLICE(""), KAFKA_INVALID_REQUEST },
		{ request.client_instance_id, 77, 0, SLICE(""), KAFKA_UNKNOWN_SUBSCRIPTION_ID },
		{ request.client_instance_id, subscription, 9, SLICE(""),
		  KAFKA_UNSUPPORTED_COMPRESSION_TYPE },
		{ request.client_instance_id,
		  subscription,
		  0,
		  { many, sizeof(many) },
		  KAFKA_TELEMETRY_TOO_LARGE },
	};
	for (size_t i = 0; i < sizeof(pushes) / sizeof(pushes[0]); i++) {
		struct kafka_push_telemetry_request push = {
			.client_instance_id = pushes[i].id,
			.subscription_id = pushes[i].subscription,
			.compression_type = pushes[i].codec,
			.metrics = pushes[i].metrics,
		};
		const struct kafka_push_telemetry_response *pushed =
			testing_call(&c, KAFKA_API_PUSH_TELEMETRY, 0, &push);
		assert_int_equal(pushed->error_code, pushes[i].error);
	}
	tear_down();
}

/* As Apache Kafka 4.2 does. */
static void test_the_coordinator_of_a_shares_state_is_found_by_its_key(void **state)
{
	static const struct {
		const char *key;
		int16_t code;
	} cases[] = {
		{ "s:AAAAAAAAAAAAAAAAAAAAAQ:0", KAFKA_NONE },
		{ "s:AAAAAAAAAAAAAAAAAAAAAQ:x", KAFKA_INVALID_REQUEST },
		{ "s:AAAAAAAAAAAAAAAAAAAAAQ", KAFKA_INVALID_REQUEST },
		{ "s:AAAA:0", KAFKA_INVALID_REQUEST },
		{ " :AAAAAAAAAAAAAAAAAAAAAQ:0", KAFKA_INVALID_REQUEST },
		{ "s:AAAAAAAAAAAAAAAAAAAAAQ:0:1", KAFKA_INVALID_REQUEST },
		{ "", KAFKA_INVALID_REQUEST },
	};
	enum { COUNT = sizeof(cases) / sizeof(cases[0]) };
	struct slice keys[COUNT];
	struct kafka_find_coordinator_request request = { .key_type = 2,
							  .coordinator_keys = keys,
							  .coordinator_keys_count = COUNT };

	(void)state;
	set_up(0);
	for (int i = 0; i < COUNT; i++)
		keys[i] = slice_from(cases[i].key);
	const struct kafka_find_coordinator_response *found =
		testing_call(&c, KAFKA_API_FIND_COORDINATOR, 6, &request);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(found->coordinators[i].error_code, cases[i].code);
		assert_int_equal(found->coordinators[i].port, cases[i].code ? -1 : 9092);
	}
	request.coordinator_keys_count = 1;
	found = testing_call(&c, KAFKA_API_FIND_COORDINATOR, 5, &request);
	assert_int_equal(found->coordinators[0].error_code, KAFKA_INVALID_REQUEST);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_coordinator_of_a_shares_state_is_found_by_its_key),
		cmocka_unit_test(test_topics_are_described_page_by_page),
		cmocka_unit_test(test_a_page_from_no_place_ends_the_connection),
		cmocka_unit_test(test_the_bucket_is_the_one_directory_with_real_sizes),
		cmocka_unit_test(test_no_leader_has_to_be_elected),
		cmocka_unit_test(test_the_bucket_is_where_everything_is_already),
		cmocka_unit_test(test_nothing_is_reassigned),
		cmocka_unit_test(test_levels_of_features_are_those_of_the_program),
		cmocka_unit_test(test_clients_are_asked_for_no_metrics_and_may_push_some),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
