/* CreateTopics, DeleteTopics, CreatePartitions and InitProducerId, as agents pass them on. */
#include "cells/cell_private.h"
#include "streams/coordinator/coordinator_testing.h"

enum { PARTITIONS_TOO_MANY = CATALOG_PARTITIONS_MAX + 1 };

static const struct kafka_create_topics_response_topic *create(
	struct town *town, struct kafka_create_topics_request_topic topic, bool validate_only)
{
	const struct kafka_create_topics_response *response =
		ask(town, KAFKA_API_CREATE_TOPICS, 7,
		    &(struct kafka_create_topics_request) {
			    .topics = &topic,
			    .topics_count = 1,
			    .validate_only = validate_only,
		    });

	assert_int_equal(response->topics_count, 1);
	assert_true(slice_equal(response->topics[0].name, topic.name));
	return &response->topics[0];
}

static int16_t delete_by_name(struct town *town, const char *name)
{
	struct kafka_delete_topics_request_topic topic = { .name = slice_from(name) };
	const struct kafka_delete_topics_response *response =
		ask(town, KAFKA_API_DELETE_TOPICS, 6,
		    &(struct kafka_delete_topics_request) { .topics = &topic, .topics_count = 1 });

	assert_int_equal(response->responses_count, 1);
	return response->responses[0].error_code;
}

/* --- creating ----------------------------------------------------------------------------------
 */

static void test_a_topic_gets_an_id_and_empty_partitions(void **state)
{
	const struct kafka_create_topics_response_topic *topic;
	struct town town;

	(void)state;
	town_open(&town, 1);
	topic = create(&town,
		       (struct kafka_create_topics_request_topic) {
			       .name = SLICE("a"), .num_partitions = 3, .replication_factor = 3 },
		       false);
	assert_int_equal(topic->error_code, KAFKA_NONE);
	assert_int_equal(topic->num_partitions, 3);
	assert_false(uuid_is_zero(topic->topic_id));
	struct uuid first = topic->topic_id;
	topic = create(&town,
		       (struct kafka_create_topics_request_topic) {
			       .name = SLICE("b"), .num_partitions = -1, .replication_factor = -1 },
		       false);
	assert_int_equal(topic->num_partitions, 1); /* the default of this coordinator */
	assert_false(uuid_equal(first, topic->topic_id));
	assert_int_equal(town_number(&town, "SELECT count(*) FROM partition"), 4);
	assert_int_equal(town_number(&town, "SELECT sum(high_watermark) FROM partition"), 0);
	town_restart(&town);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM topic"), 2);
	town_close(&town);
}

static int16_t creation_code(struct town *town, int16_t version)
{
	struct kafka_create_topics_request_topic topic = { .name = SLICE("large"),
							   .num_partitions = 9000,
							   .replication_factor = 1 };
	const struct kafka_create_topics_response *response =
		ask(town, KAFKA_API_CREATE_TOPICS, version,
		    &(struct kafka_create_topics_request) { .topics = &topic, .topics_count = 1 });

	return response->topics[0].error_code;
}

static int16_t growth_code(struct town *town, int16_t version)
{
	struct kafka_create_partitions_request_topic topic = { .name = SLICE("small"),
							       .count = 9000 };
	const struct kafka_create_partitions_response *response =
		ask(town, KAFKA_API_CREATE_PARTITIONS, version,
		    &(struct kafka_create_partitions_request) { .topics = &topic,
								.topics_count = 1 });

	return response->results[0].error_code;
}

/* Clients would ask a controller that is said to be elsewhere for ever. */
static void test_in_a_full_catalog_topics_are_refused_and_can_be_deleted(void **state)
{
	const struct kafka_api *creates = kafka_api_find(KAFKA_API_CREATE_TOPICS);
	const struct kafka_api *grows = kafka_api_find(KAFKA_API_CREATE_PARTITIONS);
	struct town town;

	(void)state;
	town_open(&town, 1);
	town_topic(&town, "small", 1);
	struct cell *cell = leader_cell(town.leader);
	cell->run_pages_max = cell_count_pages(cell);
	for (int16_t v = creates->version_first; v <= creates->version_last; v++)
		assert_int_equal(creation_code(&town, v), KAFKA_POLICY_VIOLATION);
	for (int16_t v = grows->version_first; v <= grows->version_last; v++)
		assert_int_equal(growth_code(&town, v), KAFKA_POLICY_VIOLATION);
	assert_int_equal(delete_by_name(&town, "small"), KAFKA_NONE);
	cell->run_pages_max = CELL_RUN_PAGES_MAX;
	assert_int_equal(creation_code(&town, creates->version_last), KAFKA_NONE);
	town_close(&town);
}

static void test_only_a_look_creates_nothing(void **state)
{
	const struct kafka_create_topics_response_topic *topic;
	struct town town;

	(void)state;
	town_open(&town, 2);
	topic = create(&town,
		       (struct kafka_create_topics_request_topic) {
			       .name = SLICE("a"), .num_partitions = 3, .replication_factor = 1 },
		       true);
	assert_int_equal(topic->error_code, KAFKA_NONE);
	assert_int_equal(topic->num_partitions, 3);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM topic"), 0);
	town_close(&town);
}

static void test_names_of_topics(void **state)
{
	static char long_name[251];
	static const char *const bad[] = { "", ".", "..", "a b", "a/b", "\xc3\xa4", long_name };
	static const char *const good[] = { "a", "A-b.9", "...", "_" };
	struct kafka_create_topics_request_topic topic = { .num_partitions = 1,
							   .replication_factor = 1 };
	struct town town;

	(void)state;
	memset(long_name, 'x', 250);
	town_open(&town, 3);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		topic.name = slice_from(bad[i]);
		assert_int_equal(create(&town, topic, false)->error_code,
				 KAFKA_INVALID_TOPIC_EXCEPTION);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		topic.name = slice_from(good[i]);
		assert_int_equal(create(&town, topic, false)->error_code, KAFKA_NONE);
	}
	long_name[249] = 0;
	topic.name = slice_from(long_name);
	assert_int_equal(create(&town, topic, false)->error_code, KAFKA_NONE);
	topic.name = SLICE("a");
	assert_int_equal(create(&town, topic, false)->error_code, KAFKA_TOPIC_ALREADY_EXISTS);
	topic.name = SLICE("A-b_9");
	assert_int_equal(create(&town, topic, false)->error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
	town_close(&town);
}

static void test_counts_that_make_no_sense(void **state)
{
	struct town town;
	struct kafka_create_topics_request_topic t = { .name = SLICE("t"),
						       .replication_factor = 1 };

	(void)state;
	town_open(&town, 4);
	static const int32_t counts[] = { 0, -2, PARTITIONS_TOO_MANY };
	for (size_t i = 0; i < 3; i++) {
		t.num_partitions = counts[i];
		assert_int_equal(create(&town, t, false)->error_code, KAFKA_INVALID_PARTITIONS);
	}
	t.num_partitions = 1;
	t.replication_factor = 0;
	assert_int_equal(create(&town, t, false)->error_code, KAFKA_INVALID_REPLICATION_FACTOR);
	t.replication_factor = -2;
	assert_int_equal(create(&town, t, false)->error_code, KAFKA_INVALID_REPLICATION_FACTOR);
	town_close(&town);
}

static enum err add_agents(struct cell *cell, void *argument)
{
	(void)argument;
	return cell_execute(cell, cell_statement(cell, "INSERT INTO agent (id, node, host, port,"
						       " site, incarnation, low_sequence, is_live)"
						       " VALUES (1, 'n', 'h', 1, 's', 1, 1, 1),"
						       " (2, 'm', 'h', 2, 's', 2, 1, 0)"));
}

/* Lists of brokers that Apache Kafka 4.2 refuses too, as INVALID_REPLICA_ASSIGNMENT. */
static int32_t wrong_brokers[][2] = { { 77, 1 }, { 1, 77 }, { 1, 1 }, { -1, 1 }, { 0, 1 } };

static void test_partitions_may_be_assigned_one_by_one(void **state)
{
	int32_t broker = 1, both[] = { 2, 1 };
	struct kafka_create_topics_request_assignment assignments[] = {
		{ .partition_index = 1, .broker_ids = &broker, .broker_ids_count = 1 },
		{ .partition_index = 0, .broker_ids = &broker, .broker_ids_count = 1 },
	};
	struct kafka_create_topics_request_topic t = { .name = SLICE("t"),
						       .num_partitions = -1,
						       .replication_factor = -1,
						       .assignments = assignments,
						       .assignments_count = 2 };
	struct town town;

	(void)state;
	town_open(&town, 5);
	assert_int_equal(town_run(&town, add_agents, NULL), OK);
	t.num_partitions = 2;
	assert_int_equal(create(&town, t, false)->error_code, KAFKA_INVALID_REQUEST);
	t.num_partitions = -1;
	assignments[0].partition_index = 0;
	assert_int_equal(create(&town, t, false)->error_code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
	assignments[0].partition_index = 2;
	assert_int_equal(create(&town, t, false)->error_code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
	assignments[0].partition_index = 1;
	assignments[0].broker_ids_count = 0;
	assert_int_equal(create(&town, t, false)->error_code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
	assignments[0].broker_ids_count = 2;
	for (size_t i = 0; i < sizeof(wrong_brokers) / sizeof(*wrong_brokers); i++) {
		assignments[0].broker_ids = wrong_brokers[i];
		assert_int_equal(create(&town, t, false)->error_code,
				 KAFKA_INVALID_REPLICA_ASSIGNMENT);
	}
	assignments[0].broker_ids = both;
	const struct kafka_create_topics_response_topic *topic = create(&town, t, false);
	assert_int_equal(topic->error_code, KAFKA_NONE);
	assert_int_equal(topic->num_partitions, 2);
	town_close(&town);
}

static void test_settings_that_there_are_not_are_refused(void **state)
{
	struct kafka_create_topics_request_config config = { .name = SLICE("cleanup.policy"),
							     .value = SLICE("forget") };
	struct kafka_create_topics_request_topic t = { .name = SLICE("t"),
						       .num_partitions = 1,
						       .replication_factor = 1,
						       .configs = &config,
						       .configs_count = 1 };
	struct town town;

	(void)state;
	town_open(&town, 6);
	assert_int_equal(create(&town, t, false)->error_code, KAFKA_INVALID_CONFIG);
	config.name = SLICE("no.such.thing");
	assert_int_equal(create(&town, t, false)->error_code, KAFKA_INVALID_CONFIG);
	config.name = SLICE("cleanup.policy");
	config.value = SLICE("delete");
	assert_int_equal(create(&town, t, false)->error_code, KAFKA_NONE);
	town_close(&town);
}

static void test_one_bad_topic_does_not_spoil_the_others(void **state)
{
	struct kafka_create_topics_request_topic topics[] = {
		{ .name = SLICE("a"), .num_partitions = 1, .replication_factor = 1 },
		{ .name = SLICE("b"), .num_partitions = 0, .replication_factor = 1 },
		{ .name = SLICE("twice"), .num_partitions = 1, .replication_factor = 1 },
		{ .name = SLICE("twice"), .num_partitions = 1, .replication_factor = 1 },
		{ .name = SLICE("c"), .num_partitions = 1, .replication_factor = 1 },
	};
	static const int16_t errors[] = { KAFKA_NONE, KAFKA_INVALID_PARTITIONS,
					  KAFKA_INVALID_REQUEST, KAFKA_INVALID_REQUEST,
					  KAFKA_NONE };
	struct town town;

	(void)state;
	town_open(&town, 7);
	for (int16_t version = 2; version <= 7; version++) {
		char names[5][8];
		for (int i = 0; i < 5; i++) {
			snprintf(names[i], 8, "%c%d", topics[i].name.data[0], version);
			topics[i].name = slice_from(names[i]);
		}
		const struct kafka_create_topics_response *response =
			ask(&town, KAFKA_API_CREATE_TOPICS, version,
			    &(struct kafka_create_topics_request) { .topics = topics,
								    .topics_count = 5 });
		assert_int_equal(response->topics_count, 5);
		for (int i = 0; i < 5; i++)
			assert_int_equal(response->topics[i].error_code, errors[i]);
	}
	assert_int_equal(town_number(&town, "SELECT count(*) FROM topic"), 12);
	town_close(&town);
}

/* --- deleting ----------------------------------------------------------------------------------
 */

static void test_a_deleted_topic_is_gone_at_once(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 8);
	struct uuid id = town_topic(&town, "t", 2);
	assert_int_equal(delete_by_name(&town, "t"), KAFKA_NONE);
	assert_int_equal(delete_by_name(&town, "t"), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	struct uuid again = town_topic(&town, "t", 2);
	assert_false(uuid_equal(id, again));

	struct kafka_delete_topics_request_topic topics[] = { { .topic_id = id },
							      { .topic_id = again },
							      { .name = SLICE("t"),
								.topic_id = again },
							      { .name = { 0 } } };
	const struct kafka_delete_topics_response *response =
		ask(&town, KAFKA_API_DELETE_TOPICS, 6,
		    &(struct kafka_delete_topics_request) { .topics = topics, .topics_count = 4 });
	assert_int_equal(response->responses[0].error_code, KAFKA_UNKNOWN_TOPIC_ID);
	assert_int_equal(response->responses[1].error_code, KAFKA_NONE);
	assert_true(slice_equal(response->responses[1].name, SLICE("t")));
	assert_int_equal(response->responses[2].error_code, KAFKA_INVALID_REQUEST);
	assert_int_equal(response->responses[3].error_code, KAFKA_INVALID_REQUEST);
	town_close(&town);
}

static void test_old_clients_delete_by_name(void **state)
{
	struct slice names[] = { SLICE("a"), SLICE("no"), SLICE("b") };
	struct town town;

	(void)state;
	town_open(&town, 9);
	town_topic(&town, "a", 1);
	town_topic(&town, "b", 1);
	const struct kafka_delete_topics_response *response =
		ask(&town, KAFKA_API_DELETE_TOPICS, 3,
		    &(struct kafka_delete_topics_request) { .topic_names = names,
							    .topic_names_count = 3 });
	assert_int_equal(response->responses_count, 3);
	assert_int_equal(response->responses[0].error_code, KAFKA_NONE);
	assert_int_equal(response->responses[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(response->responses[2].error_code, KAFKA_NONE);
	town_close(&town);
}

/* --- growing -----------------------------------------------------------------------------------
 */

static int16_t grow(struct town *town, const char *name, int32_t count, int assignments,
		    bool validate_only)
{
	int32_t broker = 1;
	struct kafka_create_partitions_request_assignment list[4];
	struct kafka_create_partitions_request_topic topic = { .name = slice_from(name),
							       .count = count };

	for (int i = 0; i < assignments; i++)
		list[i] = (struct kafka_create_partitions_request_assignment) {
			.broker_ids = &broker, .broker_ids_count = 1
		};
	if (assignments > 0) {
		topic.assignments = list;
		topic.assignments_count = (size_t)assignments;
	}
	const struct kafka_create_partitions_response *response =
		ask(town, KAFKA_API_CREATE_PARTITIONS, 3,
		    &(struct kafka_create_partitions_request) {
			    .topics = &topic, .topics_count = 1, .validate_only = validate_only });
	assert_int_equal(response->results_count, 1);
	return response->results[0].error_code;
}

static void test_a_topic_can_only_grow(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 10);
	assert_int_equal(town_run(&town, add_agents, NULL), OK);
	town_topic(&town, "t", 2);
	assert_int_equal(grow(&town, "no", 2, 0, false), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(grow(&town, "t", 2, 0, false), KAFKA_INVALID_PARTITIONS);
	assert_int_equal(grow(&town, "t", 1, 0, false), KAFKA_INVALID_PARTITIONS);
	assert_int_equal(grow(&town, "t", -1, 0, false), KAFKA_INVALID_PARTITIONS);
	assert_int_equal(grow(&town, "t", PARTITIONS_TOO_MANY, 0, false), KAFKA_INVALID_PARTITIONS);
	assert_int_equal(grow(&town, "t", 4, 1, false), KAFKA_INVALID_REPLICA_ASSIGNMENT);
	assert_int_equal(grow(&town, "t", 4, 0, true), KAFKA_NONE);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM partition"), 2);
	assert_int_equal(grow(&town, "t", 4, 2, false), KAFKA_NONE);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM partition"), 4);
	assert_int_equal(town_number(&town, "SELECT partition_count FROM topic"), 4);
	town_close(&town);
}

static void test_partitions_are_added_to_brokers_that_there_are(void **state)
{
	struct kafka_create_partitions_request_assignment assignment = { .broker_ids_count = 2 };
	struct kafka_create_partitions_request_topic topic = {
		.name = SLICE("t"), .count = 2, .assignments = &assignment, .assignments_count = 1
	};
	const struct kafka_create_partitions_request request = { .topics = &topic,
								 .topics_count = 1 };
	const struct kafka_create_partitions_response *response;
	int32_t both[] = { 2, 1 };
	struct town town;

	(void)state;
	town_open(&town, 10);
	assert_int_equal(town_run(&town, add_agents, NULL), OK);
	town_topic(&town, "t", 1);
	for (size_t i = 0; i < sizeof(wrong_brokers) / sizeof(*wrong_brokers); i++) {
		assignment.broker_ids = wrong_brokers[i];
		response = ask(&town, KAFKA_API_CREATE_PARTITIONS, 3, &request);
		assert_int_equal(response->results[0].error_code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
	}
	assignment.broker_ids = both;
	response = ask(&town, KAFKA_API_CREATE_PARTITIONS, 3, &request);
	assert_int_equal(response->results[0].error_code, KAFKA_NONE);
	town_close(&town);
}

/* --- producers ---------------------------------------------------------------------------------
 */

static const struct kafka_init_producer_id_response *init_producer(
	struct town *town, struct kafka_init_producer_id_request request)
{
	return ask(town, KAFKA_API_INIT_PRODUCER_ID, 4, &request);
}

static void test_a_producer_id_is_given_once(void **state)
{
	struct kafka_init_producer_id_request request = { .producer_id = -1, .producer_epoch = -1 };
	struct town town;

	(void)state;
	town_open(&town, 11);
	int64_t first = init_producer(&town, request)->producer_id;
	assert_int_equal(init_producer(&town, request)->producer_id, first + 1);
	assert_int_equal(init_producer(&town, request)->producer_epoch, 0);
	town_restart(&town);
	assert_int_equal(init_producer(&town, request)->producer_id, first + 3);
	request.producer_id = first; /* after an epoch that was fenced: a new id will do */
	assert_int_equal(init_producer(&town, request)->error_code, KAFKA_INVALID_REQUEST);
	request.producer_epoch = 0;
	assert_int_equal(init_producer(&town, request)->producer_id, first + 4);
	request.transactional_id = SLICE("");
	assert_int_equal(init_producer(&town, request)->error_code, KAFKA_INVALID_REQUEST);
	request.transactional_id = SLICE("t");
	assert_int_equal(init_producer(&town, request)->error_code,
			 KAFKA_INVALID_TRANSACTION_TIMEOUT);
	town_close(&town);
}

/* --- requests as such --------------------------------------------------------------------------
 */

static void test_a_request_that_cannot_be_decoded(void **state)
{
	static const int16_t keys[] = { KAFKA_API_CREATE_TOPICS, KAFKA_API_JOIN_GROUP,
					KAFKA_API_OFFSET_COMMIT };
	struct town town;

	(void)state;
	town_open(&town, 12);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct ask *ask = ask_begin(&town, KAFKA_API_HEARTBEAT, 0,
					    &(struct kafka_heartbeat_request) { 0 });
		ask->kafka.api = kafka_api_find(keys[i]);
		ask->kafka.version = 2;
		town_wait(&town, &ask->is_done, "an unreadable request");
		assert_int_equal(ask->err, ERR_INVALID);
	}
	town_close(&town);
}

static void test_a_request_that_nobody_serves(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 13);
	struct ask *ask = ask_begin(&town, KAFKA_API_LIST_OFFSETS, 2,
				    &(struct kafka_list_offsets_request) { 0 });
	town_wait(&town, &ask->is_done, "ListOffsets");
	assert_int_equal(ask->err, ERR_UNSUPPORTED);
	town_close(&town);
}

static void test_nothing_is_said_before_it_is_durable(void **state)
{
	struct kafka_create_topics_request_topic topic = { .name = SLICE("t"),
							   .num_partitions = 1,
							   .replication_factor = 1 };
	struct town town;

	(void)state;
	town_open(&town, 14);
	fault_add(town.bucket, &(struct fault) { .effect = FAULT_HOLD });
	struct ask *ask = ask_begin(&town, KAFKA_API_CREATE_TOPICS, 7,
				    &(struct kafka_create_topics_request) { .topics = &topic,
									    .topics_count = 1 });
	assert_true(ask_waits(ask));
	fault_clear(town.bucket);
	fault_release(town.bucket, "");
	const struct kafka_create_topics_response *response = ask_end(ask);
	assert_int_equal(response->topics[0].error_code, KAFKA_NONE);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_topic_gets_an_id_and_empty_partitions),
		cmocka_unit_test(test_in_a_full_catalog_topics_are_refused_and_can_be_deleted),
		cmocka_unit_test(test_only_a_look_creates_nothing),
		cmocka_unit_test(test_names_of_topics),
		cmocka_unit_test(test_counts_that_make_no_sense),
		cmocka_unit_test(test_partitions_may_be_assigned_one_by_one),
		cmocka_unit_test(test_settings_that_there_are_not_are_refused),
		cmocka_unit_test(test_one_bad_topic_does_not_spoil_the_others),
		cmocka_unit_test(test_a_deleted_topic_is_gone_at_once),
		cmocka_unit_test(test_old_clients_delete_by_name),
		cmocka_unit_test(test_a_topic_can_only_grow),
		cmocka_unit_test(test_partitions_are_added_to_brokers_that_there_are),
		cmocka_unit_test(test_a_producer_id_is_given_once),
		cmocka_unit_test(test_a_request_that_cannot_be_decoded),
		cmocka_unit_test(test_a_request_that_nobody_serves),
		cmocka_unit_test(test_nothing_is_said_before_it_is_durable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
