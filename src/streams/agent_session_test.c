/* Fetch sessions through a whole agent: what changes is told, whoever changed it. */
#include "streams/testing_early.h"

enum { PARTITIONS = 3, WAIT_MS = 15000 };

static int32_t session_id, session_epoch;

struct asked {
	int32_t max_wait_ms;
	int32_t named; /* a partition, or -1: none */
	int64_t offset;
	int8_t isolation_level;
};

static void send_fetch(struct testing_client *client, struct asked a)
{
	struct kafka_fetch_request_partition asked[PARTITIONS];
	struct kafka_fetch_request_topic topic = { .topic = SLICE("alpha"), .partitions = asked };
	struct kafka_fetch_request request;

	for (int32_t i = 0; i < PARTITIONS; i++)
		if (session_epoch == 0 || i == a.named)
			asked[topic.partitions_count++] = (struct kafka_fetch_request_partition) {
				.partition = i,
				.fetch_offset = i == a.named ? a.offset : 0,
				.current_leader_epoch = 0,
				.last_fetched_epoch = -1,
				.partition_max_bytes = 1 << 20,
			};
	schema_defaults(kafka_api_find(KAFKA_API_FETCH)->request, &request);
	request.max_wait_ms = a.max_wait_ms;
	request.min_bytes = 1;
	request.max_bytes = 1 << 20;
	request.isolation_level = a.isolation_level;
	request.session_id = session_id;
	request.session_epoch = session_epoch++;
	request.topics = &topic;
	request.topics_count = topic.partitions_count > 0;
	request.rack_id = SLICE("");
	testing_send(client, KAFKA_API_FETCH, TESTING_FETCH_VERSION, &request);
}

/* How many partitions are told of; `ret` has the last of them. */
static size_t receive_fetch(struct testing_client *client,
			    struct kafka_fetch_response_partition *ret)
{
	struct kafka_fetch_response *response =
		testing_receive(client, KAFKA_API_FETCH, TESTING_FETCH_VERSION);
	size_t count = 0;

	assert_int_equal(response->error_code, KAFKA_NONE);
	session_id = response->session_id;
	for (size_t i = 0; i < response->responses_count; i++)
		for (size_t k = 0; k < response->responses[i].partitions_count; k++, count++)
			*ret = response->responses[i].partitions[k];
	return count;
}

/* All partitions are told of, and read to their ends. */
static void begin_session(struct testing_client *client, int8_t isolation_level)
{
	struct kafka_fetch_response_partition got;

	session_id = session_epoch = 0;
	send_fetch(client, (struct asked) { .named = -1, .isolation_level = isolation_level });
	assert_int_equal(receive_fetch(client, &got), PARTITIONS);
	assert_true(session_id > 0);
	send_fetch(client, (struct asked) { .named = -1, .isolation_level = isolation_level });
	assert_int_equal(receive_fetch(client, &got), 0);
}

static void wait_in_session(struct testing_client *client)
{
	send_fetch(client, (struct asked) { .named = -1, .max_wait_ms = WAIT_MS });
	testing_run_ms(&w, 20);
	assert_false(testing_has_answer(client));
}

/* W5 */
static void test_a_session_is_told_of_the_partition_that_grows_and_no_other(void **state)
{
	struct kafka_fetch_response_partition got;
	struct testing_client other;

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(seed);
		testing_client_open(&other, &w);
		begin_session(&c, 0);
		struct slice one = testing_batch(&c.arena, "one", 0, 1);
		for (int round = 0; round < 3; round++) {
			wait_in_session(&c);
			testing_produce(&other, "alpha", 1, one, round);
			assert_int_equal(receive_fetch(&c, &got), 1);
			assert_int_equal(got.partition_index, 1);
			testing_same_batch(&got.records, one, round);
			/* it has read on, and there is nothing */
			send_fetch(&c, (struct asked) { .named = 1, .offset = round + 1 });
			assert_int_equal(receive_fetch(&c, &got), 0);
		}
		/* records that came between two fetches */
		testing_produce(&other, "alpha", 2, one, 0);
		send_fetch(&c, (struct asked) { .named = -1, .max_wait_ms = WAIT_MS });
		assert_int_equal(receive_fetch(&c, &got), 1);
		assert_int_equal(got.partition_index, 2);
		/* the client did not read on: it is told them again */
		send_fetch(&c, (struct asked) { .named = -1, .max_wait_ms = WAIT_MS });
		assert_int_equal(receive_fetch(&c, &got), 1);
		testing_same_batch(&got.records, one, 0);
		testing_client_close(&other);
		tear_down();
	}
}

/* Before the replica has them (decision 0047); their record brings no news then. */
static void test_a_session_that_waits_is_told_of_early_records(void **state)
{
	struct kafka_fetch_response_partition got;
	struct testing_client other;

	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up(seed);
		testing_client_open(&other, &w);
		begin_session(&c, 0);
		wait_in_session(&c);
		testing_hold_records(&w.control, true);
		struct slice one = testing_batch(&c.arena, "one", 0, 1);
		testing_produce(&other, "alpha", 1, one, 0);
		testing_run_ms(&w, 20);
		assert_false(testing_has_answer(&c));
		uint64_t before_ms = clock_now_ms();
		push_last_file();
		assert_int_equal(receive_fetch(&c, &got), 1);
		assert_in_range(clock_now_ms() - before_ms, 0, WAIT_MS / 2);
		assert_int_equal(got.high_watermark, 1);
		testing_same_batch(&got.records, one, 0);
		send_fetch(&c, (struct asked) { .named = 1, .offset = 1 });
		assert_int_equal(receive_fetch(&c, &got), 0);
		testing_hold_records(&w.control, false);
		wait_in_session(&c);
		testing_client_close(&other);
		tear_down();
	}
}

static void test_a_session_is_told_of_other_changes_of_quiet_partitions(void **state)
{
	struct kafka_fetch_response_partition got;

	(void)state;
	set_up(0);
	testing_produce(&c, "alpha", 1, testing_batch(&c.arena, "one", 0, 3), 0);
	session_id = session_epoch = 0;
	send_fetch(&c, (struct asked) { .named = 1, .offset = 3 });
	assert_int_equal(receive_fetch(&c, &got), PARTITIONS);
	testing_control_sql(&w.control, "UPDATE partition SET log_start_offset = 2 WHERE id = 2");
	testing_run_ms(&w, 10);
	send_fetch(&c, (struct asked) { .named = -1 });
	assert_int_equal(receive_fetch(&c, &got), 1);
	assert_int_equal(got.partition_index, 1);
	assert_int_equal(got.log_start_offset, 2);
	wait_in_session(&c);
	testing_control_sql(&w.control, "UPDATE partition SET leader_epoch = 2 WHERE id = 3");
	assert_int_equal(receive_fetch(&c, &got), 1);
	assert_int_equal(got.partition_index, 2);
	assert_int_equal(got.error_code, KAFKA_FENCED_LEADER_EPOCH);
	tear_down();
}

static void test_a_session_is_told_that_its_topic_is_deleted(void **state)
{
	struct kafka_fetch_response_partition got;

	(void)state;
	set_up(0);
	begin_session(&c, 0);
	wait_in_session(&c);
	testing_control_sql(&w.control, "UPDATE topic SET deleted_ms = 1 WHERE name = 'alpha'");
	assert_int_equal(receive_fetch(&c, &got), PARTITIONS);
	assert_int_equal(got.error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	tear_down();
}

static void test_the_last_stable_offset_of_a_quiet_partition_is_told(void **state)
{
	struct kafka_fetch_response_partition got;

	(void)state;
	set_up(0);
	testing_control_sql(&w.control, "INSERT INTO open_transaction (partition, producer_id,"
					" first_offset) VALUES (1, 7, 0)");
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 3), 0);
	begin_session(&c, 1);
	send_fetch(&c,
		   (struct asked) { .named = -1, .isolation_level = 1, .max_wait_ms = WAIT_MS });
	testing_run_ms(&w, 20);
	assert_false(testing_has_answer(&c));
	testing_control_sql(&w.control, "DELETE FROM open_transaction");
	testing_control_sql(&w.control, "UPDATE partition SET bytes = bytes + 1 WHERE id = 1");
	assert_int_equal(receive_fetch(&c, &got), 1);
	assert_int_equal(got.last_stable_offset, 3);
	assert_true(got.records.size > 0);
	tear_down();
}

/* The connection broke, and the client goes on with another. */
static void test_a_fetch_whose_session_goes_on_elsewhere_does_not_wait(void **state)
{
	struct kafka_fetch_response_partition got;
	struct testing_client other;

	(void)state;
	set_up(0);
	testing_client_open(&other, &w);
	begin_session(&c, 0);
	wait_in_session(&c);
	wait_in_session(&other);
	assert_int_equal(receive_fetch(&c, &got), 0);
	testing_produce(&c, "alpha", 1, testing_batch(&c.arena, "one", 0, 1), 0);
	assert_int_equal(receive_fetch(&other, &got), 1);
	send_fetch(&other, (struct asked) { .named = 1, .offset = 1, .max_wait_ms = WAIT_MS });
	testing_run_ms(&w, 20);
	assert_false(testing_has_answer(&other));
	session_epoch = -1; /* ends it */
	send_fetch(&c, (struct asked) { .named = -1 });
	assert_int_equal(receive_fetch(&other, &got), 0);
	(void)receive_fetch(&c, &got);
	testing_client_close(&other);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_session_is_told_of_the_partition_that_grows_and_no_other),
		cmocka_unit_test(test_a_session_that_waits_is_told_of_early_records),
		cmocka_unit_test(test_a_session_is_told_of_other_changes_of_quiet_partitions),
		cmocka_unit_test(test_a_session_is_told_that_its_topic_is_deleted),
		cmocka_unit_test(test_the_last_stable_offset_of_a_quiet_partition_is_told),
		cmocka_unit_test(test_a_fetch_whose_session_goes_on_elsewhere_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
