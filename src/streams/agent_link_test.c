/* What happens to batches when control is away, forgets to answer, or knows better: testing_world.h
 * has the stage. */
#include <sys/resource.h>

#include "streams/agent/file_writer.h"
#include "streams/agent/sync.h"
#include "streams/testing_stage.h"

/* Once the replica, which may just be loading a new image, has what control has. */
static int64_t high_watermark(const char *topic)
{
	WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index);
	return testing_fetch(&c, (struct testing_fetch) { .topic = topic })->high_watermark;
}

enum { COUNT = 30 };

static void send_batches(struct slice batches[COUNT])
{
	for (int i = 0; i < COUNT; i++) {
		batches[i] = testing_batch(&c.arena, "under way", i, 1);
		testing_send_produce(&c, "beta", 0, batches[i], -1);
	}
}

/* Each batch is there once, in its order, at the offset that was told. */
static void check_batches(const struct slice batches[COUNT])
{
	for (int i = 0; i < COUNT; i++) {
		struct kafka_produce_response_partition *answer = testing_receive_produce(&c);
		assert_int_equal(answer->error_code, KAFKA_NONE);
		assert_int_equal(answer->base_offset, i);
	}
	assert_int_equal(high_watermark("beta"), COUNT);
	struct slice records =
		testing_fetch(&c, (struct testing_fetch) { .topic = "beta" })->records;
	for (int i = 0; i < COUNT; i++)
		testing_same_batch(&records, batches[i], i);
	assert_int_equal(records.size, 0);
}

/* C1 */
static void test_a_commit_that_was_not_run_is_sent_again(void **state)
{
	struct slice batches[COUNT];

	(void)state;
	for (uint64_t seed = 0; seed < 5; seed++) {
		set_up(seed);
		w.control.lose_before = 2;
		send_batches(batches);
		check_batches(batches);
		assert_int_equal(w.control.hello_count, 3);
		tear_down();
	}
}

/* C2 */
static void test_a_commit_whose_answer_is_lost_gives_no_duplicates(void **state)
{
	struct slice batches[COUNT];

	(void)state;
	for (uint64_t seed = 0; seed < 5; seed++) {
		set_up(seed);
		w.control.lose_after = 2;
		send_batches(batches);
		check_batches(batches);
		tear_down();
	}
}

/* Puts go on while control is away; the order of commits is kept. */
static void test_files_wait_for_control(void **state)
{
	struct slice batches[COUNT];

	(void)state;
	for (uint64_t seed = 0; seed < 5; seed++) {
		set_up(seed);
		fault_add(w.bucket, &(struct fault) { .delay_ms_max = 5 });
		w.control.is_away = true;
		testing_lose_agent(&w.control);
		send_batches(batches);
		testing_run_ms(&w, 100);
		assert_false(testing_has_answer(&c));
		w.control.is_away = false;
		check_batches(batches);
		tear_down();
	}
}

static void test_a_busy_control_is_asked_again(void **state)
{
	(void)state;
	set_up(0);
	w.control.commit_error = ERR_BUSY;
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	w.control.commit_error = ERR_UNAVAILABLE;
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "two", 1, 1), 1);
	assert_int_equal(w.control.commit_count, 4);
	tear_down();
}

/* P9: Commits are on their way one behind the other when the first one is refused for now. */
static void test_files_keep_their_order_when_one_is_refused_for_now(void **state)
{
	static const enum err refusals[] = { ERR_BUSY, ERR_UNAVAILABLE };
	struct slice batches[COUNT];

	(void)state;
	for (uint64_t seed = 0; seed < 6; seed++) {
		set_up(seed);
		w.control.is_away = true;
		testing_lose_agent(&w.control);
		send_batches(batches);
		testing_run_ms(&w, 50);
		w.control.commit_error = refusals[seed % 2];
		w.control.is_away = false;
		check_batches(batches);
		tear_down();
	}
}

/* C4, Z1: another agent with our name said hello: what is not committed is refused for good. */
static void test_a_stale_incarnation_ends_and_a_new_one_begins(void **state)
{
	struct slice batches[COUNT];

	(void)state;
	for (uint64_t seed = 0; seed < 5; seed++) {
		set_up(seed);
		testing_produce(&c, "beta", 0, testing_batch(&c.arena, "zero", 0, 1), 0);
		int64_t before = w.agent->incarnation;
		testing_control_sql(&w.control, "UPDATE agent SET incarnation = 100");
		testing_control_sql(&w.control, "UPDATE counter SET next = 101"
						" WHERE name = 'incarnation'");
		send_batches(batches);
		for (int i = 0; i < COUNT; i++) {
			int16_t code = testing_receive_produce(&c)->error_code;
			assert_true(code == KAFKA_NONE || code == KAFKA_NOT_LEADER_OR_FOLLOWER ||
				    code == KAFKA_REQUEST_TIMED_OUT);
		}
		WAIT_FOR(&w, w.agent->incarnation == 101);
		assert_int_not_equal(before, 101);
		int64_t next = high_watermark("beta");
		testing_produce(&c, "beta", 0, testing_batch(&c.arena, "after", 0, 1), next);
		tear_down();
	}
}

static void test_a_refused_incarnation_is_told_in_every_version(void **state)
{
	const struct kafka_api *api = kafka_api_find(KAFKA_API_PRODUCE);
	struct catalog_topic topic;

	(void)state;
	for (int16_t version = api->version_first; version <= api->version_last; version++) {
		set_up(0);
		assert_int_equal(catalog_topic_by_name(&c.arena, w.control.cell, SLICE("alpha"),
						       &topic),
				 OK);
		w.control.commit_error = ERR_DENIED;
		testing_send_produce_version(&c, version, "alpha", topic.topic_id, 0,
					     testing_batch(&c.arena, "refused", 0, 1), -1);
		struct kafka_produce_response_partition *answer =
			testing_receive_produce_version(&c, version);
		assert_int_equal(answer->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
		assert_int_equal(answer->base_offset, -1);
		tear_down();
	}
}

static void test_replies_are_given_up_once_they_were_seen(void **state)
{
	struct cell *cell;

	(void)state;
	set_up(0);
	for (int i = 0; i < 5; i++)
		testing_produce(&c, "beta", 0, testing_batch(&c.arena, "one", i, 1), i);
	assert_int_equal(w.control.last_sequence, 5);
	assert_int_equal(w.control.last_low_sequence, 5);
	cell = w.control.cell;
	sqlite3_stmt *st = cell_statement(cell, "SELECT count(*) FROM file"
						" WHERE reply IS NOT NULL");
	assert_true(cell_next(cell, st));
	assert_int_equal(sqlite3_column_int(st, 0), 1);
	sqlite3_reset(st);
	tear_down();
}

/* K2: A long poll goes on over the loss of the link, and wakes with the new image. */
static void test_a_waiting_fetch_survives_a_new_image(void **state)
{
	(void)state;
	set_up(0);
	struct testing_client other;
	testing_client_open(&other, &w);
	struct slice one = testing_batch(&c.arena, "one", 0, 1);
	testing_send_fetch(&c, (struct testing_fetch) {
				       .topic = "alpha", .min_bytes = 1, .max_wait_ms = 15000 });
	testing_run_ms(&w, 10);
	w.control.lose_after = 1;
	testing_produce(&other, "alpha", 0, one, 0);
	struct slice records = testing_receive_fetch(&c)->records;
	testing_same_batch(&records, one, 0);
	testing_client_close(&other);
	tear_down();
}

static void send_join(struct testing_client *client)
{
	struct kafka_join_group_request request;

	schema_defaults(kafka_api_find(KAFKA_API_JOIN_GROUP)->request, &request);
	request.group_id = SLICE("group");
	request.protocol_type = SLICE("consumer");
	testing_send(client, KAFKA_API_JOIN_GROUP, 5, &request);
}

static void send_sync(struct testing_client *client)
{
	struct kafka_sync_group_request request;

	schema_defaults(kafka_api_find(KAFKA_API_SYNC_GROUP)->request, &request);
	request.group_id = SLICE("group");
	testing_send(client, KAFKA_API_SYNC_GROUP, 3, &request);
}

static void test_a_stop_does_not_wait_for_the_members_of_a_group(void **state)
{
	struct testing_client joins, syncs;

	(void)state;
	set_up(0);
	testing_client_open(&joins, &w);
	testing_client_open(&syncs, &w);
	send_join(&joins);
	send_sync(&syncs);
	WAIT_FOR(&w, w.control.kafka_count == 2);
	uint64_t since_ms = clock_now_ms();
	testing_close_agent(&w);
	assert_true(clock_now_ms() - since_ms < 3000);
	struct kafka_join_group_response *joined = testing_receive(&joins, KAFKA_API_JOIN_GROUP, 5);
	assert_int_equal(joined->error_code, KAFKA_NOT_COORDINATOR);
	struct kafka_sync_group_response *synced = testing_receive(&syncs, KAFKA_API_SYNC_GROUP, 3);
	assert_int_equal(synced->error_code, KAFKA_NOT_COORDINATOR);
	testing_client_close(&joins);
	testing_client_close(&syncs);
	testing_open_agent(&w);
	tear_down();
}

static void send_length(struct testing_client *client, uint32_t length, int16_t key)
{
	uint8_t bytes[6];

	put_u32(bytes, length);
	put_u16(bytes + 4, (uint16_t)key);
	stream_write(client->stream, (struct slice) { bytes, sizeof(bytes) });
}

/* W17: Decoded, they take many times as much. */
static void test_only_batches_are_large(void **state)
{
	struct testing_client other;

	(void)state;
	set_up(0);
	testing_client_open(&other, &w);
	send_length(&other, AGENT_QUESTION_BYTES_MAX + 1, KAFKA_API_METADATA);
	WAIT_FOR(&w, other.is_ended);
	testing_client_close(&other);
	testing_client_open(&other, &w);
	send_length(&other, AGENT_QUESTION_BYTES_MAX + 1, KAFKA_API_PRODUCE);
	testing_run_ms(&w, 20);
	assert_false(other.is_ended);
	testing_client_close(&other);
	tear_down();
}

/* A stopped control process may have lost the lead long ago. */
static void test_who_does_not_hear_control_names_no_leader(void **state)
{
	struct kafka_metadata_request_topic topic = { .name = SLICE("alpha") };
	struct kafka_metadata_request request = { .topics = &topic, .topics_count = 1 };
	struct kafka_find_coordinator_request find = { .key = SLICE("group") };
	struct kafka_metadata_response *metadata;
	struct kafka_find_coordinator_response *found;

	(void)state;
	set_up(0);
	w.control.is_mute = true;
	metadata = testing_call(&c, KAFKA_API_METADATA, 1, &request);
	assert_int_equal(metadata->topics[0].partitions[0].leader_id, metadata->controller_id);
	assert_int_equal(w.control.sync_count, 0); /* just heard */
	testing_run_ms(&w, SYNC_FRESH_MS + 50);
	metadata = testing_call(&c, KAFKA_API_METADATA, 1, &request);
	assert_int_equal(metadata->controller_id, -1);
	assert_int_equal(metadata->topics[0].error_code, KAFKA_NONE);
	assert_int_equal(metadata->topics[0].partitions[0].error_code, KAFKA_LEADER_NOT_AVAILABLE);
	assert_int_equal(metadata->topics[0].partitions[0].leader_id, -1);
	topic.name = SLICE("unheard-of");
	metadata = testing_call(&c, KAFKA_API_METADATA, 1, &request);
	assert_int_equal(metadata->topics[0].error_code, KAFKA_LEADER_NOT_AVAILABLE);
	found = testing_call(&c, KAFKA_API_FIND_COORDINATOR, 1, &find);
	assert_int_equal(found->error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);

	w.control.is_mute = false;
	found = testing_call(&c, KAFKA_API_FIND_COORDINATOR, 1, &find);
	assert_int_equal(found->error_code, KAFKA_NONE);
	topic.name = SLICE("alpha");
	metadata = testing_call(&c, KAFKA_API_METADATA, 1, &request);
	assert_int_equal(metadata->topics[0].partitions[0].leader_id, metadata->controller_id);
	assert_true(metadata->controller_id >= 0);
	tear_down();
}

enum { SILENCE_MS = 500 };

/* Agent and client anew, with less patience. */
static void set_up_impatient(void)
{
	set_up(0);
	testing_client_close(&c);
	testing_close_agent(&w);
	w.control_silence_ms = SILENCE_MS;
	testing_open_agent(&w);
	testing_client_open(&c, &w);
	w.control.hello_count = w.control.ping_count = 0;
}

/* It looks whether the bucket is the cluster's before anybody is served. */
static void test_a_bucket_that_fails_at_first_is_tried_again(void **state)
{
	static const enum err passing[] = { ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_IO };

	(void)state;
	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		set_up(0);
		testing_client_close(&c);
		testing_close_agent(&w);
		w.is_serving = false;
		fault_add(w.bucket, &(struct fault) { .effect = FAULT_BEFORE,
						      .err = passing[i],
						      .prefix = "v1/cluster",
						      .count = 1 });
		uint64_t strikes = fault_strike_count(w.bucket);
		testing_open_agent(&w);
		assert_int_equal(fault_strike_count(w.bucket), strikes + 1);
		testing_client_open(&c, &w);
		tear_down();
	}
}

/* Stopped or hung, it keeps the connection: nothing else tells. */
static void test_a_control_that_hangs_closes_kafka_until_it_is_back(void **state)
{
	(void)state;
	set_up_impatient();
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	w.control.is_hung = true;
	testing_send_produce(&c, "alpha", 0, testing_batch(&c.arena, "two", 0, 1), -1);
	uint64_t begin_ms = clock_now_ms();
	WAIT_FOR(&w, !w.is_serving);
	assert_true(clock_now_ms() - begin_ms >= SILENCE_MS);
	WAIT_FOR(&w, c.is_ended);
	testing_run_ms(&w, SILENCE_MS);
	assert_false(w.is_serving);

	w.control.is_hung = false;
	testing_lose_agent(&w.control); /* the hello that was not taken is not said again */
	WAIT_FOR(&w, w.is_serving);
	assert_int_equal(w.closed_count, 1);
	testing_client_close(&c);
	testing_client_open(&c, &w);
	int64_t next = high_watermark("alpha");
	assert_in_range(next, 1, 2);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "three", 0, 1), next);
	tear_down();
}

static void test_a_control_that_is_busy_for_a_while_is_waited_for(void **state)
{
	(void)state;
	set_up_impatient();
	for (int i = 0; i < 3; i++) {
		w.control.is_hung = true;
		testing_run_ms(&w, SILENCE_MS / 2);
		w.control.is_hung = false;
		testing_run_ms(&w, SILENCE_MS / 2);
	}
	assert_int_equal(w.control.hello_count, 0);
	assert_int_equal(w.closed_count, 0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	tear_down();
}

static void test_a_control_with_nothing_to_say_is_pinged(void **state)
{
	(void)state;
	set_up_impatient();
	testing_run_ms(&w, 3 * SILENCE_MS);
	assert_in_range(w.control.ping_count, 3, 3 * CONTROL_LINK_SILENT_TICKS_MAX);
	assert_int_equal(w.control.hello_count, 0);
	assert_false(control_link_was_heard(w.agent->link, SILENCE_MS)); /* of no use there */
	tear_down();
}

static void take_and_say_nothing(void *context, struct stream *s)
{
	struct stream **kept = context;

	if (*kept)
		stream_close(*kept);
	*kept = s;
}

/* One that is not there, one that never answers, and one that leads. */
static void test_a_control_that_does_not_answer_is_left_for_another(void **state)
{
	struct stream *kept = NULL;
	struct listener *mute;
	char path[64], why[TASK_WHY_BYTES];

	(void)state;
	set_up(0);
	testing_close_agent(&w);
	snprintf(path, sizeof(path), "/tmp/hanse-test-%d-mute.sock", (int)getpid());
	assert_int_equal(listener_open_unix(w.loop, path, take_and_say_nothing, &kept, &mute, why),
			 OK);
	w.places[0].path = "/tmp/hanse-test-is-not-there.sock";
	w.places[1].path = path;
	w.places[2].path = w.path;
	w.place_count = 3;
	testing_open_agent(&w);
	assert_non_null(kept);
	assert_int_equal(w.control.hello_count, 2);
	testing_lose_agent(&w.control); /* lost, and back at once: the others are not asked */
	WAIT_FOR(&w, w.control.hello_count == 3);
	stream_close(kept);
	listener_close(mute);
	tear_down();
}

/* One that has become silent is not asked again first: that would take its time too. */
static void test_a_silent_control_is_left_for_another(void **state)
{
	struct stream *kept = NULL;
	struct listener *mute;
	char path[64], why[TASK_WHY_BYTES];

	(void)state;
	set_up_impatient();
	testing_client_close(&c);
	testing_close_agent(&w);
	snprintf(path, sizeof(path), "/tmp/hanse-test-%d-mute.sock", (int)getpid());
	assert_int_equal(listener_open_unix(w.loop, path, take_and_say_nothing, &kept, &mute, why),
			 OK);
	w.places[1].path = path;
	w.place_count = 2;
	testing_open_agent(&w);
	testing_client_open(&c, &w);
	assert_null(kept);
	w.control.is_hung = true;
	uint64_t begin_ms = clock_now_ms();
	WAIT_FOR(&w, kept);
	assert_in_range(clock_now_ms() - begin_ms, SILENCE_MS,
			SILENCE_MS + CONTROL_LINK_HELLO_MS - 1);
	assert_true(w.is_serving); /* it may be back soon */
	WAIT_FOR(&w, !w.is_serving);
	w.control.is_hung = false;
	WAIT_FOR(&w, w.is_serving);
	stream_close(kept);
	listener_close(mute);
	tear_down();
}

/* A tick that comes late because we stood still says nothing about control. */
static void test_an_agent_that_stood_still_does_not_blame_control(void **state)
{
	(void)state;
	set_up_impatient();
	for (int i = 0; i < 3; i++) {
		usleep(2 * SILENCE_MS * 1000);
		testing_run_ms(&w, 20);
	}
	assert_int_equal(w.control.hello_count, 0);
	assert_int_equal(w.closed_count, 0);
	tear_down();
}

/* The same topic again and again would be an answer of gigabytes. */
static void test_metadata_of_too_many_partitions_is_refused(void **state)
{
	static struct kafka_metadata_request_topic topics[200];
	struct kafka_metadata_request request = { .topics = topics, .topics_count = 10 };
	struct kafka_metadata_response *response;

	(void)state;
	set_up(0);
	testing_create_topic(&w.control, "wide", 0xcc, 10000);
	testing_run_ms(&w, 20);
	for (int i = 0; i < 200; i++)
		topics[i].name = SLICE("wide");
	response = testing_call(&c, KAFKA_API_METADATA, 1, &request);
	assert_int_equal(response->topics_count, 10);
	assert_int_equal(response->topics[9].partitions_count, 10000);
	assert_int_equal(response->topics[9].partitions[9999].partition_index, 9999);
	request.topics_count = 200;
	testing_send(&c, KAFKA_API_METADATA, 1, &request);
	WAIT_FOR(&w, c.is_ended);
	tear_down();
}

/* The descriptors that the bucket and control need are not given to clients. */
static void test_connections_leave_descriptors_for_the_bucket(void **state)
{
	struct testing_client others[3];
	struct rlimit before, few;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = AGENT_FILES_KEPT + 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	set_up(0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 3; i++)
		testing_client_open(&others[i], &w);
	WAIT_FOR(&w, others[1].is_ended && others[2].is_ended);
	assert_false(others[0].is_ended);
	testing_produce(&others[0], "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	for (int i = 0; i < 3; i++)
		testing_client_close(&others[i]);
	WAIT_FOR(&w, w.agent->connection_count == 1);
	testing_client_open(&others[0], &w);
	testing_produce(&others[0], "alpha", 0, testing_batch(&c.arena, "two", 0, 1), 1);
	testing_client_close(&others[0]);
	tear_down();
}

/* What does not fit into a frame is the client's problem, not everybody's. */
static void test_a_request_too_large_for_control_closes_its_connection(void **state)
{
	static uint8_t metadata[17 << 20];
	struct kafka_join_group_request_protocol protocol = {
		.name = SLICE("range"),
		.metadata = { metadata, sizeof(metadata) },
	};
	struct kafka_join_group_request request = {
		.group_id = SLICE("group"),
		.session_timeout_ms = 10000,
		.rebalance_timeout_ms = 10000,
		.member_id = SLICE(""),
		.protocol_type = SLICE("consumer"),
		.protocols = &protocol,
		.protocols_count = 1,
	};
	struct testing_client other;

	(void)state;
	set_up(0);
	testing_client_open(&other, &w);
	testing_send(&other, KAFKA_API_JOIN_GROUP, 2, &request);
	WAIT_FOR(&w, other.is_ended);
	testing_client_close(&other);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	tear_down();
}

/* Without control nobody is served for long: clients had better find a broker that has one. */
static void test_kafka_closes_while_control_is_away_for_long(void **state)
{
	(void)state;
	set_up(0);
	struct slice one = testing_batch(&c.arena, "one", 0, 1);
	w.control.is_away = true;
	testing_lose_agent(&w.control);
	testing_run_ms(&w, 50);
	testing_send_produce(&c, "alpha", 0, one, -1);
	uint64_t before_ms = clock_now_ms();
	WAIT_FOR(&w, c.is_ended);
	assert_in_range(clock_now_ms() - before_ms, AGENT_ORPHAN_MS / 2, 2 * AGENT_ORPHAN_MS);
	assert_false(w.is_serving);
	w.control.is_away = false;
	WAIT_FOR(&w, w.is_serving);
	testing_client_close(&c);
	testing_client_open(&c, &w);
	one = testing_batch(&c.arena, "two", 1, 1);
	testing_produce(&c, "alpha", 0, one, 1); /* after the one nobody heard of */
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_commit_that_was_not_run_is_sent_again),
		cmocka_unit_test(test_a_commit_whose_answer_is_lost_gives_no_duplicates),
		cmocka_unit_test(test_files_wait_for_control),
		cmocka_unit_test(test_a_busy_control_is_asked_again),
		cmocka_unit_test(test_files_keep_their_order_when_one_is_refused_for_now),
		cmocka_unit_test(test_a_stale_incarnation_ends_and_a_new_one_begins),
		cmocka_unit_test(test_a_refused_incarnation_is_told_in_every_version),
		cmocka_unit_test(test_replies_are_given_up_once_they_were_seen),
		cmocka_unit_test(test_a_waiting_fetch_survives_a_new_image),
		cmocka_unit_test(test_a_stop_does_not_wait_for_the_members_of_a_group),
		cmocka_unit_test(test_only_batches_are_large),
		cmocka_unit_test(test_who_does_not_hear_control_names_no_leader),
		cmocka_unit_test(test_a_bucket_that_fails_at_first_is_tried_again),
		cmocka_unit_test(test_a_control_that_hangs_closes_kafka_until_it_is_back),
		cmocka_unit_test(test_a_control_that_is_busy_for_a_while_is_waited_for),
		cmocka_unit_test(test_a_control_with_nothing_to_say_is_pinged),
		cmocka_unit_test(test_a_control_that_does_not_answer_is_left_for_another),
		cmocka_unit_test(test_a_silent_control_is_left_for_another),
		cmocka_unit_test(test_an_agent_that_stood_still_does_not_blame_control),
		cmocka_unit_test(test_metadata_of_too_many_partitions_is_refused),
		cmocka_unit_test(test_connections_leave_descriptors_for_the_bucket),
		cmocka_unit_test(test_a_request_too_large_for_control_closes_its_connection),
		cmocka_unit_test(test_kafka_closes_while_control_is_away_for_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
