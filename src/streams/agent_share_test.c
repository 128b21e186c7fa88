/* ShareFetch and ShareAcknowledge through a whole agent: testing_world.h has the stage. */
#include "streams/agent/connection.h"
#include "streams/agent/share_call.h"
#include "streams/agent/share_session.h"
#include "streams/agent/sign_in.h"
#include "streams/testing_share.h"

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_records_are_given_once_and_accepted(void **state)
{
	(void)state;
	set_up(1);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	expect_got(FETCH(&c, .names = true), 0, 9, 1);
	expect_nothing(FETCH(&c, .epoch = 1));
	assert_int_equal(ACKNOWLEDGE(.epoch = 2, .first = 0, .last = 4, .said = SHARE_ACCEPT),
			 KAFKA_NONE);
	assert_int_equal(ACKNOWLEDGE(.epoch = 3, .first = 0, .last = 12, .said = SHARE_ACCEPT),
			 KAFKA_INVALID_REQUEST);
	expect_got(FETCH(&c, .epoch = 4, .first = 5, .last = 9, .said = SHARE_RELEASE), 5, 9, 2);
	const struct kafka_share_fetch_response *response =
		FETCH(&c, .epoch = 5, .first = 5, .last = 9, .said = SHARE_ACCEPT);
	assert_int_equal(only(response)->acknowledge_error_code, KAFKA_NONE);
	assert_int_equal(response->acquisition_lock_timeout_ms, 30000);
	response = FETCH(&c, .epoch = 6, .first = 5, .last = 9, .said = SHARE_ACCEPT);
	assert_int_equal(only(response)->acknowledge_error_code, KAFKA_NONE); /* once more */
	tear_down();
}

static void test_a_waiting_fetch_wakes_for_new_records_and_for_released_ones(void **state)
{
	struct testing_client other;

	(void)state;
	set_up(2);
	testing_client_open(&other, &w);
	send_fetch(&other, (struct ask) { .member = "b", .names = true, .wait_ms = 60000 });
	testing_run_ms(&w, 50);
	assert_false(testing_has_answer(&other));
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	expect_got(receive_fetch(&other), 0, 9, 1);
	send_fetch(&c, (struct ask) { .names = true, .wait_ms = 60000 });
	testing_run_ms(&w, 50);
	assert_false(testing_has_answer(&c));
	expect_nothing(FETCH(&other, .member = "b", .epoch = -1)); /* gives them back */
	expect_got(receive_fetch(&c), 0, 9, 1);
	testing_client_close(&other);
	tear_down();
}

static void test_what_a_client_had_comes_back_when_its_connection_ends(void **state)
{
	struct testing_client other;

	(void)state;
	set_up(3);
	testing_client_open(&other, &w);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	expect_got(FETCH(&other, .member = "b", .names = true), 0, 9, 1);
	send_fetch(&c, (struct ask) { .names = true, .wait_ms = 60000 });
	testing_run_ms(&w, 50);
	assert_false(testing_has_answer(&c));
	testing_client_close(&other);
	expect_got(receive_fetch(&c), 0, 9, 1);
	tear_down();
}

static void test_an_agent_that_stops_gives_back_what_its_members_had(void **state)
{
	struct testing_world north;
	struct testing_client other;

	(void)state;
	set_up(70);
	testing_join_world(&north, &w, 9093, "here");
	testing_client_open(&other, &north);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	WAIT_FOR(&w, replica_index(north.agent->replica) == w.control.index);
	expect_got(FETCH(&other, .member = "b", .names = true), 0, 9, 1);
	send_fetch(&c, (struct ask) { .names = true, .wait_ms = 60000 });
	testing_run_ms(&w, 50);
	assert_false(testing_has_answer(&c));
	testing_close_agent(&north);
	expect_got(receive_fetch(&c), 0, 9, 1);
	testing_client_close(&other);
	tear_down();
}

/* Control does not answer: nothing is given back, and nothing waits long for it. */
/* The member has records from both agents, and goes on at the other. */
static void stop_the_agent_of_a_member_that_moved(uint64_t seed, bool is_told)
{
	struct testing_world north;
	struct testing_client n;

	set_up(seed);
	testing_join_world(&north, &w, 9093, "here");
	testing_client_open(&n, &north);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	WAIT_FOR(&w, replica_index(north.agent->replica) == w.control.index);
	expect_got(FETCH(&n, .names = true), 0, 9, 1);
	testing_stop_agent(&north);
	WAIT_FOR(&w, north.agent->has_left);
	if (is_told)
		assert_int_equal(only(FETCH(&n, .epoch = 1))->error_code,
				 KAFKA_NOT_LEADER_OR_FOLLOWER);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 10);
	expect_got(FETCH(&c, .names = true), 10, 19, 1);
	testing_close_agent(&north);
	if (!is_told)
		expect_got(FETCH(&c, .member = "b", .names = true), 0, 9, 1);
	expect_nothing(FETCH(&c, .member = "b", .names = true));
	assert_int_equal(ACKNOWLEDGE(.epoch = 1, .first = is_told ? 0 : 10, .last = 19, .said = 1),
			 0);
	testing_client_close(&n);
	tear_down();
}

static void test_what_a_member_got_elsewhere_stays_when_an_agent_stops(void **state)
{
	(void)state;
	stop_the_agent_of_a_member_that_moved(72, false);
}

static void test_who_goes_elsewhere_as_told_keeps_all_and_acknowledges_it_there(void **state)
{
	(void)state;
	stop_the_agent_of_a_member_that_moved(73, true);
}

static void test_an_agent_that_stops_does_not_wait_for_a_mute_control(void **state)
{
	(void)state;
	set_up(71);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	expect_got(FETCH(&c, .names = true), 0, 9, 1);
	w.control.is_mute = true;
	testing_client_close(&c);
	WAIT_FOR(&w, w.agent->connection_count == 0);
	testing_close_agent(&w);
	assert_true(w.control.share_count > 2);
	w.control.is_mute = false;
	testing_open_agent(&w);
	testing_client_open(&c, &w);
	expect_nothing(FETCH(&c, .member = "b", .names = true));
	tear_down();
}

static void run_sql(const char *sql)
{
	testing_control_sql(&w.control, sql);
	WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index);
}

static int16_t find_share(void)
{
	struct slice key = SLICE("s:AAAAAAAAAAAAAAAAAAAAAQ:0");
	const struct kafka_find_coordinator_response *found = testing_call(
		&c, KAFKA_API_FIND_COORDINATOR, 6,
		&(struct kafka_find_coordinator_request) {
			.key_type = 2, .coordinator_keys = &key, .coordinator_keys_count = 1 });

	return found->coordinators[0].error_code;
}

static void test_who_may_not_read_gets_and_says_nothing(void **state)
{
	(void)state;
	set_up(90);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	struct connection *connection = connection_from_link(w.agent->connections.next);
	snprintf(connection_sign_in(connection)->principal, sizeof("User:alice"), "User:alice");
	run_sql("INSERT INTO access_user (name, is_admin, created_ms) VALUES ('bob', 0, 1)");
	assert_int_equal(FETCH(&c, .names = true)->error_code, KAFKA_GROUP_AUTHORIZATION_FAILED);
	assert_int_equal(ACKNOWLEDGE(.epoch = 1, .last = 9, .said = SHARE_ACCEPT),
			 KAFKA_GROUP_AUTHORIZATION_FAILED);
	assert_int_equal(find_share(), KAFKA_CLUSTER_AUTHORIZATION_FAILED);

	run_sql("INSERT INTO access_grant (resource, name, pattern, principal, host, operation,"
		" permission) VALUES (3, 's', 3, 'User:alice', '*', 3, 3),"
		" (4, 'kafka-cluster', 3, 'User:alice', '*', 9, 3)");
	assert_int_equal(find_share(), KAFKA_NONE);
	assert_int_equal(only(FETCH(&c, .names = true))->error_code,
			 KAFKA_TOPIC_AUTHORIZATION_FAILED);
	assert_int_equal(ACKNOWLEDGE(.epoch = 1, .last = 9, .said = SHARE_ACCEPT),
			 KAFKA_TOPIC_AUTHORIZATION_FAILED);

	run_sql("INSERT INTO access_grant (resource, name, pattern, principal, host, operation,"
		" permission) VALUES (2, 't', 3, 'User:alice', '*', 3, 3)");
	expect_got(FETCH(&c, .names = true), 0, 9, 1);
	assert_int_equal(ACKNOWLEDGE(.epoch = 1, .last = 9, .said = SHARE_ACCEPT), KAFKA_NONE);
	tear_down();
}

/* A few bytes each here, many more as a message to control. */
static void test_a_request_about_too_much_is_refused(void **state)
{
	static struct kafka_share_acknowledge_request_partition said[SHARE_CALL_PARTITIONS_MAX + 1];
	static struct kafka_share_fetch_request_partition asked[SHARE_CALL_PARTITIONS_MAX + 1];
	struct kafka_share_acknowledge_request_topic topic = { { { 9 } }, said, 0 };
	struct kafka_share_fetch_request_topic read = { { { 9 } }, asked, 0 };
	struct kafka_share_acknowledge_request request = {
		.group_id = SLICE("s"),
		.member_id = SLICE("a"),
		.share_session_epoch = 1,
		.topics = &topic,
		.topics_count = 1,
	};

	(void)state;
	set_up(8);
	expect_nothing(FETCH(&c, .names = true));
	for (int i = 0; i <= SHARE_CALL_PARTITIONS_MAX; i++)
		said[i].partition_index = asked[i].partition_index = i;
	topic.partitions_count = SHARE_CALL_PARTITIONS_MAX;
	const struct kafka_share_acknowledge_response *response =
		testing_call(&c, KAFKA_API_SHARE_ACKNOWLEDGE, 1, &request);
	assert_int_equal(response->responses[0].partitions_count, SHARE_CALL_PARTITIONS_MAX);
	topic.partitions_count++;
	request.share_session_epoch++;
	testing_send(&c, KAFKA_API_SHARE_ACKNOWLEDGE, 1, &request);
	WAIT_FOR(&w, c.is_ended);
	testing_client_close(&c);
	testing_client_open(&c, &w);
	read.partitions_count = SHARE_CALL_PARTITIONS_MAX + 1;
	testing_send(&c, KAFKA_API_SHARE_FETCH, 1,
		     &(struct kafka_share_fetch_request) { .group_id = SLICE("s"),
							   .member_id = SLICE("a"),
							   .topics = &read,
							   .topics_count = 1 });
	WAIT_FOR(&w, c.is_ended);
	tear_down();
}

static void test_partitions_that_have_no_place_in_a_session_are_told(void **state)
{
	static struct kafka_share_fetch_request_partition asked[SHARE_SESSION_PARTITIONS_MAX + 1];
	int refused = 0;

	(void)state;
	set_up(9);
	struct kafka_share_fetch_request_topic read = { topic_id(), asked,
							SHARE_SESSION_PARTITIONS_MAX + 1 };
	for (int i = 0; i <= SHARE_SESSION_PARTITIONS_MAX; i++)
		asked[i].partition_index = i;
	const struct kafka_share_fetch_response *response =
		testing_call(&c, KAFKA_API_SHARE_FETCH, 1,
			     &(struct kafka_share_fetch_request) { .group_id = SLICE("s"),
								   .member_id = SLICE("a"),
								   .max_records = 10,
								   .max_bytes = 1000,
								   .topics = &read,
								   .topics_count = 1 });
	for (size_t i = 0; i < response->responses[0].partitions_count; i++)
		refused += response->responses[0].partitions[i].error_code == KAFKA_INVALID_REQUEST;
	assert_int_equal(refused, 1);
	tear_down();
}

static void test_sessions_have_epochs(void **state)
{
	(void)state;
	set_up(4);
	assert_int_equal(FETCH(&c, .epoch = 1)->error_code, KAFKA_SHARE_SESSION_NOT_FOUND);
	assert_int_equal(ACKNOWLEDGE(.epoch = 1, .said = SHARE_ACCEPT),
			 KAFKA_SHARE_SESSION_NOT_FOUND);
	assert_int_equal(ACKNOWLEDGE(.epoch = 0, .said = SHARE_ACCEPT),
			 KAFKA_INVALID_SHARE_SESSION_EPOCH);
	assert_int_equal(FETCH(&c, .epoch = 0, .said = SHARE_ACCEPT)->error_code,
			 KAFKA_INVALID_REQUEST);
	assert_int_equal(FETCH(&c, .member = "", .names = true)->error_code, KAFKA_INVALID_REQUEST);
	expect_nothing(FETCH(&c, .names = true));
	assert_int_equal(FETCH(&c, .epoch = 2)->error_code, KAFKA_INVALID_SHARE_SESSION_EPOCH);
	expect_nothing(FETCH(&c, .epoch = 1));
	expect_nothing(FETCH(&c, .epoch = -1));
	assert_int_equal(FETCH(&c, .epoch = 2)->error_code, KAFKA_SHARE_SESSION_NOT_FOUND);
	tear_down();
}

static void test_a_limit_is_kept_exactly_where_that_is_asked_for(void **state)
{
	(void)state;
	set_up(5);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	expect_got(FETCH(&c, .names = true, .wanted = 3, .is_exact = true), 0, 2, 1);
	expect_got(FETCH(&c, .epoch = 1, .wanted = 3), 3, 9, 1);
	tear_down();
}

static void test_a_group_begins_by_age(void **state)
{
	struct { /* the record that is not older, and what comes */
		int64_t at_ms, first, last;
	} cases[] = {
		{ -60000, 0, 9 }, { 60000, 10, 19 }, { 59 * 60000, 10, 19 }, { 90 * 60000, 20, 29 }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_up(30 + i);
		testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
		testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 60 * 60000, 10), 10);
		begin_by_age(clock_wall_ms() - TESTING_TIME_MS - cases[i].at_ms);
		if (i % 2) /* from the bucket */
			testing_restart_agent(&w, &c);
		const struct kafka_share_fetch_response *got = FETCH(&c, .names = true);
		if (cases[i].first == 20) { /* none is so young: with what comes next */
			expect_nothing(got);
			testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 20);
			got = FETCH(&c, .epoch = 1, .wait_ms = 60000);
		}
		assert_int_equal(only(got)->acquired_records[0].first_offset, cases[i].first);
		tear_down();
	}
}

static void test_a_place_by_age_that_cannot_be_read_is_looked_for_again(void **state)
{
	(void)state;
	set_up(40);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	begin_by_age(clock_wall_ms() - TESTING_TIME_MS + 60000);
	testing_restart_agent(&w, &c);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_BEFORE,
					      .err = ERR_DENIED,
					      .verbs = FAULT_VERB(BUCKET_GET) });
	assert_int_equal(only(FETCH(&c, .names = true))->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
	fault_clear(w.bucket);
	expect_got(FETCH(&c, .epoch = 1), 0, 9, 1);
	tear_down();
}

/* Locks that this machine's clock says have ended, and control's does not. */
static void test_looks_in_vain_have_pauses_and_cost_the_journal_nothing(void **state)
{
	(void)state;
	set_up(60);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	w.control.behind_ms = 3600000;
	expect_got(FETCH(&c, .names = true), 0, 9, 1);
	int asked = w.control.share_count;
	int64_t index = w.control.index;
	uint64_t began_ms = clock_now_ms();
	expect_nothing(FETCH(&c, .member = "b", .names = true, .wait_ms = 1000));
	assert_true(clock_now_ms() - began_ms >= 990);
	assert_in_range(w.control.share_count - asked, 3, 10);
	assert_int_equal(w.control.index, index);
	asked = w.control.share_count;
	expect_nothing(FETCH(&c, .member = "b", .epoch = 1)); /* who does not wait gets an answer */
	assert_int_equal(w.control.share_count - asked, 3);
	w.control.behind_ms = 0;
	expect_got(FETCH(&c, .member = "b", .epoch = 2, .wait_ms = 1000), 0, 9, 2);
	tear_down();
}

/* --- batches far above the usual size ----------------------------------------------------------
 */

enum { LARGE_BYTES = 6 << 20, VERY_LARGE_BYTES = 70 << 20, READERS = 8 };

static struct slice large_batch(struct arena *a, size_t size)
{
	testing_control_sql(&w.control, "INSERT INTO config (kind, resource, name, value)"
					" VALUES (2, 't', 'max.message.bytes', '104857600')");
	return testing_batch_of(a, &RECORD_BATCH_PLAIN, "large", 0, 1, size);
}

static void expect_batch(const struct kafka_share_fetch_response *response, struct slice batch)
{
	struct slice records = only(response)->records;

	assert_int_equal(only(response)->acquired_records_count, 1);
	testing_same_batch(&records, batch, 0);
	assert_int_equal(records.size, 0);
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

/* Larger than the cache, and than what is asked for. */
static void test_a_very_large_batch_comes_whole_and_within_the_limit(void **state)
{
	struct arena kept;
	size_t peak = 0;

	(void)state;
	arena_init(&kept);
	for (int i = 0; i < 2; i++) {
		set_up(50);
		struct slice batch = large_batch(&kept, VERY_LARGE_BYTES);
		testing_produce(&c, "t", 0, batch, 0);
		if (i == 1) /* from the bucket */
			testing_restart_agent(&w, &c);
		send_fetch(&c, (struct ask) { .names = true });
		WAIT_FOR(&w, have_answers(&c, 1, &peak));
		assert_in_range(peak, VERY_LARGE_BYTES, w.agent->answers.max);
		expect_batch(receive_fetch(&c), batch);
		expect_nothing(FETCH(&c, .epoch = 1));
		WAIT_FOR(&w, w.agent->answers.used == 0);
		tear_down();
	}
	arena_done(&kept);
}

/* Members of as many groups have begun before anybody knows how large it is. */
static void test_a_large_batch_for_many_at_a_time_waits_for_room(void **state)
{
	static const char *const groups[READERS] = {
		"s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"
	};
	struct testing_client readers[READERS];
	struct arena kept;
	char sql[300];
	size_t peak = 0;

	(void)state;
	set_up(51);
	arena_init(&kept);
	struct slice batch = large_batch(&kept, LARGE_BYTES);
	testing_produce(&c, "t", 0, batch, 0);
	for (int i = 0; i < READERS; i++) {
		snprintf(sql, sizeof(sql),
			 "INSERT INTO consumer_group (id, name, state, generation, protocol_type,"
			 " updated_ms) VALUES (%d, '%s', 0, 1, 'share', 1)",
			 i + 2, groups[i]);
		testing_control_sql(&w.control, sql);
		snprintf(sql, sizeof(sql),
			 "INSERT INTO share_group (consumer_group, topics_hash) VALUES (%d, 0)",
			 i + 2);
		testing_control_sql(&w.control, sql);
		snprintf(sql, sizeof(sql),
			 "INSERT INTO config (kind, resource, name, value)"
			 " VALUES (32, '%s', 'share.auto.offset.reset', 'earliest')",
			 groups[i]);
		testing_control_sql(&w.control, sql);
	}
	testing_restart_agent(&w, &c);
	w.agent->answers.max = 2 * READERS * (AGENT_BATCH_BYTES_USUAL + 1);
	fault_add(w.bucket,
		  &(struct fault) { .effect = FAULT_HOLD, .verbs = FAULT_VERB(BUCKET_GET) });
	for (int i = 0; i < READERS; i++) {
		testing_client_open(&readers[i], &w);
		send_fetch(&readers[i], (struct ask) { .group = groups[i], .names = true });
	}
	WAIT_FOR(&w, w.agent->answers.used >= 2 * READERS * AGENT_BATCH_BYTES_USUAL);
	fault_clear(w.bucket);
	fault_release(w.bucket, "");
	WAIT_FOR(&w, have_answers(readers, READERS, &peak));
	assert_in_range(peak, LARGE_BYTES,
			w.agent->answers.max + 2 * (AGENT_BATCH_BYTES_USUAL + 1));
	for (int i = 0; i < READERS; i++) {
		const struct kafka_share_fetch_response *got = receive_fetch(&readers[i]);
		if (only(got)->acquired_records_count == 0) /* waited for too long */
			got = FETCH(&readers[i], .group = groups[i], .epoch = 1, .wait_ms = 60000);
		expect_batch(got, batch);
		testing_client_close(&readers[i]);
	}
	WAIT_FOR(&w, w.agent->answers.used == 0);
	arena_done(&kept);
	tear_down();
}

/* --- holes -------------------------------------------------------------------------------------
 */

/* Offsets 10 to 29 were compacted away. */
static void make_hole(void)
{
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 10);
	testing_control_sql(&w.control, "UPDATE run SET base_offset = 30, last_offset = 39"
					" WHERE base_offset = 10");
	testing_control_sql(&w.control, "UPDATE run SET last_offset = 29 WHERE base_offset = 0");
	testing_control_sql(&w.control, "UPDATE file SET level = 4 WHERE id IN"
					" (SELECT file FROM run WHERE base_offset = 0)");
	testing_control_sql(&w.control, "UPDATE partition SET high_watermark = 40"
					" WHERE high_watermark = 20");
}

static void test_a_hole_that_compaction_left_is_passed(void **state)
{
	(void)state;
	set_up(21);
	make_hole();
	expect_got(FETCH(&c, .names = true, .wanted = 10), 0, 9, 1);
	expect_got(FETCH(&c, .epoch = 1), 30, 39, 1);
	tear_down();
	set_up(22);
	make_hole();
	expect_got(FETCH(&c, .names = true, .wanted = 10), 0, 9, 1);
	expect_got(FETCH(&c, .epoch = 1, .wanted = 5), 30, 39, 1);
	tear_down();
}

/* As Apache Kafka 4.2 does. */
static void test_who_wants_no_byte_gets_no_record(void **state)
{
	(void)state;
	set_up(8);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	expect_nothing(FETCH(&c, .names = true, .is_empty = true));
	expect_got(FETCH(&c, .epoch = 1), 0, 9, 1);
	tear_down();
}

/* Version 1 of both requests has no RENEW: what is said beside it counts, and it does not. */
static void test_a_lock_is_renewed_only_in_versions_that_have_it(void **state)
{
	int8_t said = SHARE_RENEW;
	struct kafka_share_acknowledge_request_batch batch = { 0, 9, &said, 1 };
	struct kafka_share_acknowledge_request_partition partition = { 0, &batch, 1 };
	struct kafka_share_acknowledge_request_topic topic = { { { 0 } }, &partition, 1 };
	struct kafka_share_acknowledge_request request = {
		.group_id = SLICE("s"), .member_id = SLICE("a"), .topics = &topic, .topics_count = 1
	};
	struct kafka_share_fetch_request_batch fetch_batch = { 0, 9, &said, 1 };
	struct kafka_share_fetch_request_partition fetch_partition = {
		.acknowledgement_batches = &fetch_batch, .acknowledgement_batches_count = 1
	};
	struct kafka_share_fetch_request_topic fetch_topic = { { { 0 } }, &fetch_partition, 1 };
	struct kafka_share_fetch_request fetch = { .group_id = SLICE("s"),
						   .member_id = SLICE("a"),
						   .share_session_epoch = 3,
						   .max_records = 10,
						   .max_bytes = 1000,
						   .topics = &fetch_topic,
						   .topics_count = 1 };
	const struct kafka_share_acknowledge_response *response;

	(void)state;
	set_up(9);
	topic.topic_id = fetch_topic.topic_id = topic_id();
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	expect_got(FETCH(&c, .names = true), 0, 9, 1);
	for (int16_t version = 1; version <= 2; version++) {
		request.share_session_epoch = version;
		response = testing_call(&c, KAFKA_API_SHARE_ACKNOWLEDGE, version, &request);
		assert_int_equal(response->error_code, KAFKA_NONE);
		assert_int_equal(response->responses[0].partitions[0].error_code,
				 version == 1 ? KAFKA_INVALID_REQUEST : KAFKA_NONE);
	}
	const struct kafka_share_fetch_response *got =
		testing_call(&c, KAFKA_API_SHARE_FETCH, 1, &fetch);
	assert_int_equal(only(got)->error_code, KAFKA_NONE);
	assert_int_equal(only(got)->acknowledge_error_code, KAFKA_INVALID_REQUEST);
	tear_down();
}

static void test_a_lost_answer_of_control_ends_the_connection(void **state)
{
	struct testing_client other;

	(void)state;
	set_up(6);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	testing_client_open(&other, &w);
	expect_got(FETCH(&other, .member = "b", .names = true), 0, 9, 1);
	w.control.lose_share_after = 1;
	send_fetch(&other,
		   (struct ask) { .member = "b", .epoch = 1, .last = 9, .said = SHARE_ACCEPT });
	WAIT_FOR(&w, other.is_ended);
	testing_client_close(&other);
	testing_client_close(&c);
	testing_client_open(&c, &w);
	expect_nothing(FETCH(&c, .names = true)); /* it was accepted all the same */
	tear_down();
}

static void test_unknown_topics_and_groups_are_told(void **state)
{
	struct kafka_share_fetch_request_partition partition = { 0 };
	struct kafka_share_fetch_request_topic topic = { { { 9 } }, &partition, 1 };
	struct kafka_share_fetch_request request = {
		.group_id = SLICE("s"),
		.member_id = SLICE("a"),
		.max_bytes = 1000,
		.max_records = 10,
		.topics = &topic,
		.topics_count = 1,
	};

	(void)state;
	set_up(7);
	assert_int_equal(only(testing_call(&c, KAFKA_API_SHARE_FETCH, 1, &request))->error_code,
			 KAFKA_UNKNOWN_TOPIC_ID);
	topic.topic_id = topic_id();
	partition.partition_index = 5;
	assert_int_equal(only(testing_call(&c, KAFKA_API_SHARE_FETCH, 1, &request))->error_code,
			 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	request.group_id = SLICE("other");
	assert_int_equal(only(testing_call(&c, KAFKA_API_SHARE_FETCH, 1, &request))->error_code,
			 KAFKA_GROUP_ID_NOT_FOUND);
	tear_down();
}

static void test_who_finds_nothing_any_more_leaves_the_queue_for_room(void **state)
{
	struct testing_fetch behind = { .topic = "t", .partition = 1, .offset = 0 };
	struct testing_client other;

	(void)state;
	set_up(60);
	testing_client_open(&other, &w);
	testing_produce(&c, "t", 0, testing_batch(&c.arena, "x", 0, 10), 0);
	testing_produce(&c, "t", 1, testing_batch(&c.arena, "y", 0, 10), 0);
	struct room *room = &w.agent->answers;
	room_add(room, room->max);
	send_fetch(&other, (struct ask) { .member = "b", .names = true, .wait_ms = 300000 });
	WAIT_FOR(&w, room_is_wanted(room));
	testing_control_sql(&w.control, "UPDATE partition SET log_start_offset = 10 WHERE"
					" number = 0");
	testing_run_ms(&w, 50);
	room_give_back(room, room->max);
	WAIT_FOR(&w, !room_is_wanted(room));
	assert_int_equal(room->used, 0);
	assert_true(testing_fetch(&c, behind)->records.size > 0);
	testing_client_close(&other);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_finds_nothing_any_more_leaves_the_queue_for_room),
		cmocka_unit_test(test_a_group_begins_by_age),
		cmocka_unit_test(test_an_agent_that_stops_gives_back_what_its_members_had),
		cmocka_unit_test(test_what_a_member_got_elsewhere_stays_when_an_agent_stops),
		cmocka_unit_test(
			test_who_goes_elsewhere_as_told_keeps_all_and_acknowledges_it_there),
		cmocka_unit_test(test_an_agent_that_stops_does_not_wait_for_a_mute_control),
		cmocka_unit_test(test_who_may_not_read_gets_and_says_nothing),
		cmocka_unit_test(test_looks_in_vain_have_pauses_and_cost_the_journal_nothing),
		cmocka_unit_test(test_a_very_large_batch_comes_whole_and_within_the_limit),
		cmocka_unit_test(test_a_large_batch_for_many_at_a_time_waits_for_room),
		cmocka_unit_test(test_a_place_by_age_that_cannot_be_read_is_looked_for_again),
		cmocka_unit_test(test_a_hole_that_compaction_left_is_passed),
		cmocka_unit_test(test_records_are_given_once_and_accepted),
		cmocka_unit_test(test_a_waiting_fetch_wakes_for_new_records_and_for_released_ones),
		cmocka_unit_test(test_what_a_client_had_comes_back_when_its_connection_ends),
		cmocka_unit_test(test_a_request_about_too_much_is_refused),
		cmocka_unit_test(test_partitions_that_have_no_place_in_a_session_are_told),
		cmocka_unit_test(test_sessions_have_epochs),
		cmocka_unit_test(test_a_limit_is_kept_exactly_where_that_is_asked_for),
		cmocka_unit_test(test_who_wants_no_byte_gets_no_record),
		cmocka_unit_test(test_a_lock_is_renewed_only_in_versions_that_have_it),
		cmocka_unit_test(test_a_lost_answer_of_control_ends_the_connection),
		cmocka_unit_test(test_unknown_topics_and_groups_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
