/* Agents that come, fall ill and leave while others are there. */
#include "streams/agent/condition.h"
#include "streams/agent/health.h"
#include "streams/testing_world.h"

static struct testing_world w, north;
static struct testing_client c, n;

static void set_up(uint64_t seed)
{
	testing_world_open(&w, seed);
	testing_join_world_apart(&north, &w, 9093, "here");
	testing_client_open(&c, &w);
	testing_client_open(&n, &north);
	WAIT_FOR(&w, !condition_is_busy(w.agent) && !condition_is_busy(north.agent));
	WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index);
	WAIT_FOR(&w, replica_index(north.agent->replica) == w.control.index);
}

static void tear_down(void)
{
	w.control.is_mute = false;
	testing_client_close(&n);
	testing_client_close(&c);
	if (north.agent)
		testing_close_agent(&north);
	testing_world_close(&w);
}

static bool is_live(const struct testing_world *world)
{
	sqlite3_stmt *st =
		cell_statement(w.control.cell, "SELECT is_live FROM agent WHERE id = ?1");

	cell_bind_int(st, 1, world->agent->node_id);
	assert_true(cell_next(w.control.cell, st));
	bool ret = sqlite3_column_int(st, 0);
	sqlite3_reset(st);
	return ret;
}

static struct kafka_metadata_response *metadata(struct testing_client *client)
{
	struct kafka_metadata_request_topic topic = { .name = SLICE("alpha") };
	struct kafka_metadata_request request = { .topics = &topic, .topics_count = 1 };

	return testing_call(client, KAFKA_API_METADATA, 5, &request);
}

static void send_join(struct testing_client *client)
{
	struct kafka_join_group_request request;

	schema_defaults(kafka_api_find(KAFKA_API_JOIN_GROUP)->request, &request);
	request.group_id = SLICE("group");
	request.protocol_type = SLICE("consumer");
	testing_send(client, KAFKA_API_JOIN_GROUP, 5, &request);
}

static struct slice batch_of(struct testing_client *client, int first)
{
	return testing_batch(&client->arena, "one", first, 1);
}

/* --- leaving --------------------------------------------------------------------------------- */

/* W12 */
static void test_clients_of_an_agent_that_leaves_are_told_where_to_go(void **state)
{
	struct kafka_heartbeat_request beat = { .group_id = SLICE("g"), .member_id = SLICE("m") };
	struct testing_client waits, joins;

	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up(seed);
		testing_client_open(&waits, &north);
		testing_client_open(&joins, &north);
		testing_send_fetch(&waits, (struct testing_fetch) { .topic = "alpha",
								    .min_bytes = 1,
								    .max_wait_ms = 15000 });
		send_join(&joins);
		WAIT_FOR(&w, w.control.kafka_count == 1);
		testing_stop_agent(&north);
		assert_int_equal(testing_receive_fetch(&waits)->error_code,
				 KAFKA_NOT_LEADER_OR_FOLLOWER);
		struct kafka_join_group_response *joined =
			testing_receive(&joins, KAFKA_API_JOIN_GROUP, 5);
		assert_int_equal(joined->error_code, KAFKA_NOT_COORDINATOR);
		assert_false(is_live(&north)); /* before anybody was sent away */

		testing_send_produce(&n, "alpha", 0, batch_of(&n, 0), -1);
		struct kafka_produce_response_partition *produced = testing_receive_produce(&n);
		assert_int_equal(produced->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
		assert_int_equal(produced->base_offset, -1);
		struct kafka_heartbeat_response *beaten =
			testing_call(&n, KAFKA_API_HEARTBEAT, 3, &beat);
		assert_int_equal(beaten->error_code, KAFKA_NOT_COORDINATOR);
		struct kafka_metadata_response *got = metadata(&n);
		assert_int_equal(got->brokers_count, 1);
		assert_int_equal(got->topics[0].partitions[0].leader_id, w.agent->node_id);
		testing_produce(&c, "alpha", 0, batch_of(&c, 0), 0);
		testing_client_close(&waits);
		testing_client_close(&joins);
		testing_close_agent(&north);
		tear_down();
	}
}

/* Who leaves says where else (KIP-951). */
static void check_hints(void)
{
	struct kafka_fetch_request_partition asked = { .current_leader_epoch = -1,
						       .last_fetched_epoch = -1,
						       .partition_max_bytes = 1000 };
	struct kafka_fetch_request_topic topic = { .partitions = &asked, .partitions_count = 1 };
	struct kafka_fetch_request request;

	testing_send_produce_version(&n, 10, "alpha", (struct uuid) { 0 }, 0, batch_of(&n, 1), -1);
	const struct kafka_produce_response *produced = testing_receive(&n, KAFKA_API_PRODUCE, 10);
	const struct kafka_produce_response_partition *refused =
		&produced->responses[0].partition_responses[0];
	assert_int_equal(refused->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(produced->node_endpoints_count, 1);
	assert_int_equal(produced->node_endpoints[0].port, w.advertise_port);
	assert_int_equal(refused->current_leader.leader_id, produced->node_endpoints[0].node_id);

	schema_defaults(kafka_api_find(KAFKA_API_FETCH)->request, &request);
	memset(topic.topic_id.bytes, 0xa1, 16);
	request.topics = &topic;
	request.topics_count = 1;
	request.rack_id = SLICE("");
	const struct kafka_fetch_response *fetched =
		testing_call(&n, KAFKA_API_FETCH, 16, &request);
	const struct kafka_fetch_response_partition *gone = &fetched->responses[0].partitions[0];
	assert_int_equal(gone->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(fetched->node_endpoints_count, 1);
	assert_int_equal(gone->current_leader.leader_id, refused->current_leader.leader_id);
}

static void test_what_was_begun_is_acknowledged(void **state)
{
	(void)state;
	set_up(0);
	fault_add(north.bucket,
		  &(struct fault) { .effect = FAULT_HOLD, .verbs = FAULT_VERB(BUCKET_PUT) });
	testing_send_produce(&n, "alpha", 0, batch_of(&n, 0), -1);
	WAIT_FOR(&w, fault_held_count(north.bucket) == 1);
	testing_stop_agent(&north);
	WAIT_FOR(&w, north.agent->has_left);
	testing_send_produce(&n, "alpha", 0, batch_of(&n, 1), -1);
	testing_run_ms(&w, 50);
	fault_release(north.bucket, "");
	assert_int_equal(testing_receive_produce(&n)->error_code, KAFKA_NONE);
	assert_int_equal(testing_receive_produce(&n)->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
	check_hints();
	testing_close_agent(&north);
	testing_produce(&c, "alpha", 0, batch_of(&c, 1), 1);
	tear_down();
}

/* Until it is off the roll clients would only be sent back. */
static void test_nobody_is_sent_away_before_control_knows(void **state)
{
	(void)state;
	set_up(0);
	w.control.is_mute = true;
	testing_stop_agent(&north);
	testing_run_ms(&w, 100);
	struct kafka_metadata_response *got = metadata(&n);
	assert_int_equal(got->brokers_count, 2);
	testing_send_fetch(&n, (struct testing_fetch) { .topic = "alpha" });
	assert_int_equal(testing_receive_fetch(&n)->error_code, KAFKA_NONE);
	uint64_t begin_ms = clock_now_ms();
	testing_close_agent(&north); /* control does not answer: it does not wait for ever */
	assert_in_range(clock_now_ms() - begin_ms, 0, 2 * AGENT_LEAVE_MS);
	tear_down();
}

static void test_an_agent_without_clients_stops_at_once(void **state)
{
	(void)state;
	set_up(0);
	testing_client_close(&n);
	WAIT_FOR(&north, north.agent->connection_count == 0);
	uint64_t begin_ms = clock_now_ms();
	testing_close_agent(&north);
	assert_in_range(clock_now_ms() - begin_ms, 0, AGENT_MOVE_MS / 3);
	testing_client_close(&c);
	testing_world_close(&w);
}

static void test_the_only_agent_stops_at_once(void **state)
{
	(void)state;
	set_up(0);
	testing_close_agent(&north);
	testing_control_sql(&w.control, "UPDATE agent SET is_live = 0 WHERE id = 2");
	WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index);
	uint64_t begin_ms = clock_now_ms();
	testing_close_agent(&w);
	assert_in_range(clock_now_ms() - begin_ms, 0, AGENT_MOVE_MS / 3);
	testing_open_agent(&w);
	tear_down();
}

/* --- coming ---------------------------------------------------------------------------------- */

static void test_an_agent_is_live_when_it_serves(void **state)
{
	(void)state;
	set_up(0);
	assert_true(is_live(&w));
	testing_client_close(&n);
	testing_close_agent(&north);
	testing_control_sql(&w.control, "UPDATE agent SET is_live = 0 WHERE id = 2");
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
					      .verbs = FAULT_VERB(BUCKET_GET),
					      .count = 1 });
	/* it looks into the bucket first, which takes its time */
	north = (struct testing_world) {
		.loop = w.loop, .bucket = w.bucket, .advertise_port = 9093, .site = "here"
	};
	memcpy(north.path, w.path, sizeof(north.path));
	int hellos = w.control.hello_count;
	north.places[north.place_count++] = (struct control_place) { .path = north.path };
	testing_begin_agent(&north);
	WAIT_FOR(&w, w.control.hello_count == hellos + 1);
	WAIT_FOR(&w, fault_held_count(w.bucket) > 0);
	testing_run_ms(&w, 50);
	assert_false(north.is_serving);
	assert_false(is_live(&north));
	fault_release(w.bucket, "");
	WAIT_FOR(&w, north.is_serving);
	WAIT_FOR(&w, is_live(&north));
	testing_client_open(&n, &north);
	tear_down();
}

static void test_a_lost_link_is_no_change_of_condition(void **state)
{
	(void)state;
	set_up(0);
	testing_lose_agent(&w.control);
	WAIT_FOR(&w, w.control.hello_count == 4);
	assert_true(is_live(&w));
	assert_true(is_live(&north));
	tear_down();
}

/* --- illness --------------------------------------------------------------------------------- */

enum { SICK_MS = 200 };

static void fall_ill(unsigned verbs, enum fault_effect effect)
{
	set_up(0);
	north.agent->health->sick_ms = SICK_MS;
	testing_produce(&n, "alpha", 0, batch_of(&n, 0), 0);
	fault_add(north.bucket,
		  &(struct fault) { .effect = effect, .verbs = verbs, .prefix = "v1/" });
}

static void check_ill_and_well(void)
{
	struct testing_client asks;

	testing_client_open(&asks, &north);
	WAIT_FOR(&w, !is_live(&north));
	assert_true(is_live(&w));
	WAIT_FOR(&w, metadata(&asks)->brokers_count == 1);
	testing_run_ms(&w, 2 * SICK_MS);
	assert_false(is_live(&north));
	fault_clear(north.bucket);
	fault_release(north.bucket, "");
	WAIT_FOR(&w, is_live(&north));
	WAIT_FOR(&w, metadata(&asks)->brokers_count == 2);
	testing_client_close(&asks);
}

static void test_an_agent_that_cannot_write_is_not_told_until_it_can(void **state)
{
	(void)state;
	fall_ill(FAULT_VERB(BUCKET_PUT), FAULT_BEFORE);
	testing_send_produce(&n, "alpha", 0, batch_of(&n, 1), -1);
	check_ill_and_well();
	assert_int_equal(testing_receive_produce(&n)->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
	testing_produce(&n, "alpha", 0, batch_of(&n, 1), 1);
	tear_down();
}

static void test_an_agent_whose_bucket_does_not_answer_is_sick(void **state)
{
	(void)state;
	fall_ill(FAULT_VERB(BUCKET_PUT), FAULT_HOLD);
	testing_send_produce(&n, "alpha", 0, batch_of(&n, 1), -1);
	check_ill_and_well();
	assert_int_equal(testing_receive_produce(&n)->error_code, KAFKA_NONE);
	tear_down();
}

static void test_one_failure_is_no_illness(void **state)
{
	(void)state;
	fall_ill(FAULT_VERB(BUCKET_PUT), FAULT_NONE);
	fault_clear(north.bucket);
	fault_add_nth(north.bucket, 1, FAULT_BEFORE, ERR_IO);
	testing_send_produce(&n, "alpha", 0, batch_of(&n, 1), -1);
	assert_int_equal(testing_receive_produce(&n)->error_code, KAFKA_KAFKA_STORAGE_ERROR);
	testing_run_ms(&w, 3 * SICK_MS);
	assert_true(is_live(&north));
	fault_add_nth(north.bucket, 1, FAULT_BEFORE, ERR_IO); /* nor are two, far apart */
	testing_send_produce(&n, "alpha", 0, batch_of(&n, 1), -1);
	assert_int_equal(testing_receive_produce(&n)->error_code, KAFKA_KAFKA_STORAGE_ERROR);
	testing_run_ms(&w, SICK_MS / 2);
	assert_true(is_live(&north));
	testing_produce(&n, "alpha", 0, batch_of(&n, 1), 1);
	tear_down();
}

static void test_an_agent_that_cannot_read_is_sick(void **state)
{
	(void)state;
	fall_ill(FAULT_VERB(BUCKET_GET), FAULT_BEFORE);
	/* another agent's file is in no memory here */
	testing_produce(&c, "beta", 0, batch_of(&c, 0), 0);
	WAIT_FOR(&w, replica_index(north.agent->replica) == w.control.index);
	for (int i = 0; i < 8 && is_live(&north); i++) {
		struct kafka_fetch_response_partition *got =
			testing_fetch(&n, (struct testing_fetch) { .topic = "beta" });
		assert_int_equal(got->error_code, KAFKA_KAFKA_STORAGE_ERROR);
	}
	check_ill_and_well();
	tear_down();
}

static void test_a_sick_agent_stops(void **state)
{
	(void)state;
	fall_ill(FAULT_VERB(BUCKET_PUT), FAULT_BEFORE);
	testing_send_produce(&n, "alpha", 0, batch_of(&n, 1), -1);
	WAIT_FOR(&w, !is_live(&north));
	testing_close_agent(&north);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients_of_an_agent_that_leaves_are_told_where_to_go),
		cmocka_unit_test(test_what_was_begun_is_acknowledged),
		cmocka_unit_test(test_nobody_is_sent_away_before_control_knows),
		cmocka_unit_test(test_an_agent_without_clients_stops_at_once),
		cmocka_unit_test(test_the_only_agent_stops_at_once),
		cmocka_unit_test(test_an_agent_is_live_when_it_serves),
		cmocka_unit_test(test_a_lost_link_is_no_change_of_condition),
		cmocka_unit_test(test_an_agent_that_cannot_write_is_not_told_until_it_can),
		cmocka_unit_test(test_an_agent_whose_bucket_does_not_answer_is_sick),
		cmocka_unit_test(test_one_failure_is_no_illness),
		cmocka_unit_test(test_an_agent_that_cannot_read_is_sick),
		cmocka_unit_test(test_a_sick_agent_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
