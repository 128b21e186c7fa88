/* Records that are read before the replica has them (decision 0047), through a whole agent. */
#include "streams/agent/early_runs.h"
#include "streams/testing_early.h"

#define FETCH(...) testing_fetch(&c, (struct testing_fetch) { __VA_ARGS__ })

static size_t early_count(void)
{
	return early_runs_get_numbers(w.agent->early).count;
}

/* Partition 0 of alpha has offset 0 durably, and then nothing more is. */
static void set_up_held(uint64_t seed)
{
	set_up(seed);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "durable", 0, 1), 0);
	WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index);
	testing_hold_records(&w.control, true);
}

static void produce_early(const char *text, int64_t base_offset)
{
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, text, (int)base_offset, 2),
			base_offset);
	push_last_file();
}

/* Records that were held back, to be told later than those that come after them are held. */
static struct buf take_held(void)
{
	struct buf held;

	buf_init(&held);
	buf_add_slice(&held, buf_slice(&w.control.peers[0].held));
	buf_clear(&w.control.peers[0].held);
	return held;
}

static void tell_held(struct buf *held)
{
	stream_write(w.control.peers[0].stream, buf_slice(held));
	buf_done(held);
}

/* --- reading --------------------------------------------------------------------------------- */

static void test_a_waiting_fetch_gets_records_before_the_replica_has_them(void **state)
{
	struct testing_client other;

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up_held(seed);
		testing_client_open(&other, &w);
		testing_send_fetch(&other, (struct testing_fetch) { .topic = "alpha",
								    .offset = 1,
								    .min_bytes = 1,
								    .max_wait_ms = 15000 });
		testing_run_ms(&w, 20);
		struct slice two = testing_batch(&c.arena, "two", 1, 2);
		testing_produce(&c, "alpha", 0, two, 1);
		testing_run_ms(&w, 20);
		assert_false(testing_has_answer(&other));
		push_last_file();
		uint64_t before_ms = clock_now_ms();
		struct kafka_fetch_response_partition *got = testing_receive_fetch(&other);
		assert_in_range(clock_now_ms() - before_ms, 0, 10000); /* it did not wait on */
		assert_int_equal(got->high_watermark, 3);
		assert_int_equal(got->last_stable_offset, 3);
		testing_same_batch(&got->records, two, 1);
		assert_int_equal(w.control.sync_count, 0);
		testing_client_close(&other);
		tear_down();
	}
}

static void test_one_answer_has_durable_and_early_records(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up_held(seed);
		struct slice two = testing_batch(&c.arena, "two", 1, 2);
		struct slice three = testing_batch(&c.arena, "three", 3, 2);
		testing_produce(&c, "alpha", 0, two, 1);
		push_last_file();
		testing_produce(&c, "alpha", 0, three, 3);
		push_last_file();
		WAIT_FOR(&w, early_count() == 2);
		struct kafka_fetch_response_partition *got =
			FETCH(.topic = "alpha", .min_bytes = 1, .max_wait_ms = 15000);
		struct slice records = got->records;
		assert_int_equal(got->high_watermark, 5);
		testing_same_batch(&records, testing_batch(&c.arena, "durable", 0, 1), 0);
		testing_same_batch(&records, two, 1);
		testing_same_batch(&records, three, 3);
		assert_int_equal(records.size, 0);
		got = FETCH(.topic = "alpha", .offset = 4); /* in the middle of a run */
		records = got->records;
		testing_same_batch(&records, three, 3);
		assert_int_equal(FETCH(.topic = "alpha", .offset = 5)->records.size, 0);
		tear_down();
	}
}

enum { LIST_OFFSETS_VERSION = 6 };

/* It waits for what was committed before it was asked; of what comes meanwhile it tells too. */
static void test_the_latest_offset_is_behind_early_records(void **state)
{
	struct testing_client other;

	(void)state;
	for (int8_t isolation = 0; isolation < 2; isolation++) {
		struct kafka_list_offsets_request_partition asked = { .timestamp = -1,
								      .current_leader_epoch = -1 };
		struct kafka_list_offsets_request_topic topic = { .name = SLICE("alpha"),
								  .partitions = &asked,
								  .partitions_count = 1 };
		struct kafka_list_offsets_request request = { .replica_id = -1,
							      .isolation_level = isolation,
							      .topics = &topic,
							      .topics_count = 1 };
		set_up_held(0);
		testing_client_open(&other, &w);
		produce_early("two", 1);
		struct buf two = take_held();
		testing_send(&other, KAFKA_API_LIST_OFFSETS, LIST_OFFSETS_VERSION, &request);
		WAIT_FOR(&w, w.control.sync_count == 1);
		produce_early("three", 3);
		WAIT_FOR(&w, early_count() == 2);
		assert_false(testing_has_answer(&other));
		tell_held(&two);
		struct kafka_list_offsets_response *got =
			testing_receive(&other, KAFKA_API_LIST_OFFSETS, LIST_OFFSETS_VERSION);
		assert_int_equal(got->topics[0].partitions[0].error_code, KAFKA_NONE);
		assert_int_equal(got->topics[0].partitions[0].offset, 5);
		testing_client_close(&other);
		tear_down();
	}
}

/* --- gaps ------------------------------------------------------------------------------------ */

/* What was not pushed comes with its record; then what lies behind it is there at once. */
static void test_runs_behind_a_gap_wait_for_its_record(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up_held(seed);
		testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "not pushed", 1, 1), 1);
		struct buf gap = take_held();
		produce_early("behind", 2);
		WAIT_FOR(&w, early_count() == 1);
		assert_int_equal(FETCH(.topic = "alpha", .offset = 1)->high_watermark, 1);
		tell_held(&gap);
		struct kafka_fetch_response_partition *got =
			FETCH(.topic = "alpha", .offset = 2, .min_bytes = 1, .max_wait_ms = 15000);
		assert_int_equal(got->high_watermark, 4);
		assert_int_equal(early_count(), 1);
		tear_down();
	}
}

/* A transaction is open in the replica: who reads what is committed stays before it. */
static void test_the_last_stable_offset_stays_where_a_transaction_is_open(void **state)
{
	(void)state;
	set_up(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 2), 0);
	testing_control_sql(&w.control,
			    "INSERT INTO open_transaction (partition, producer_id, first_offset)"
			    " SELECT id, 7, 1 FROM partition WHERE high_watermark = 2");
	WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index);
	testing_hold_records(&w.control, true);
	produce_early("two", 2);
	WAIT_FOR(&w, early_count() == 1);
	struct kafka_fetch_response_partition *got = FETCH(.topic = "alpha");
	assert_int_equal(got->high_watermark, 4);
	assert_int_equal(got->last_stable_offset, 1);
	tear_down();
}

/* --- coming and going ------------------------------------------------------------------------ */

static void test_what_the_replica_has_caught_up_with_goes(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up_held(seed);
		produce_early("two", 1);
		produce_early("three", 3);
		WAIT_FOR(&w, early_count() == 2);
		push_last_file(); /* again */
		testing_run_ms(&w, 10);
		assert_int_equal(early_count(), 2);
		testing_hold_records(&w.control, false);
		WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index);
		assert_int_equal(early_count(), 0);
		push_last_file(); /* too late */
		testing_run_ms(&w, 10);
		assert_int_equal(early_count(), 0);
		assert_int_equal(FETCH(.topic = "alpha")->high_watermark, 5);
		tear_down();
	}
}

/* Who was told of an early record and asks where it is not known yet waits for it: it is never out
 * of range. */
static void test_without_the_link_early_runs_go_and_readers_ahead_wait(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		set_up_held(seed);
		produce_early("two", 1);
		assert_int_equal(FETCH(.topic = "alpha", .offset = 1, .min_bytes = 1,
				       .max_wait_ms = 15000)
					 ->high_watermark,
				 3);
		w.control.is_away = true;
		testing_lose_agent(&w.control);
		WAIT_FOR(&w, early_count() == 0);
		testing_send_fetch(&c, (struct testing_fetch) {
					       .topic = "alpha", .offset = 3, .max_wait_ms = 10 });
		testing_run_ms(&w, 50);
		assert_false(testing_has_answer(&c));
		w.control.is_away = false;
		testing_hold_records(&w.control, false);
		struct kafka_fetch_response_partition *got = testing_receive_fetch(&c);
		assert_int_equal(got->error_code, KAFKA_NONE);
		assert_int_equal(got->high_watermark, 3);
		tear_down();
	}
}

/* An image is on its way: what is pushed meanwhile may not fit to the old contents. */
static void test_nothing_is_taken_while_an_image_comes(void **state)
{
	struct peer_early_push_run runs[EARLY_PUSH_RUNS];

	(void)state;
	set_up_held(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "two", 1, 2), 1);
	struct peer_early_push push = early_of_last_file(runs);
	struct peer_snapshot_push part = {
		.index = w.control.index,
		.total_bytes = 1 << 20,
		.bytes = SLICE("the first bytes of an image"),
	};
	say_early(&push);
	WAIT_FOR(&w, early_count() == 1);
	testing_hold_records(&w.control, false);
	testing_write(&w.control.peers[0], &peer_snapshot_push_schema, PEER_CORRELATION_PUSH,
		      &part);
	WAIT_FOR(&w, early_count() == 0);
	uint64_t dropped = early_runs_get_numbers(w.agent->early).dropped;
	runs[0].base_offset = 3;
	runs[0].last_offset = 4;
	say_early(&push);
	WAIT_FOR(&w, early_runs_get_numbers(w.agent->early).dropped == dropped + 1);
	assert_int_equal(early_count(), 0);
	tear_down();
}

/* --- what makes no sense --------------------------------------------------------------------- */

static void test_runs_that_make_no_sense_are_dropped(void **state)
{
	struct peer_early_push_run runs[EARLY_PUSH_RUNS];

	(void)state;
	set_up_held(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "two", 1, 2), 1);
	struct peer_early_push push = early_of_last_file(runs);
	const struct peer_early_push_run right = runs[0];
	const struct peer_early_push_run wrong[] = {
		{ right.partition + 1000, 1, 2, right.position, right.size, 0 },
		{ right.partition, -1, 2, right.position, right.size, 0 },
		{ right.partition, 0, 2, right.position, right.size, 0 },
		{ right.partition, 2, 1, right.position, right.size, 0 },
		{ right.partition, 1, INT64_MAX, right.position, right.size, 0 },
		{ right.partition, 1, 2, -1, right.size, 0 },
		{ right.partition, 1, 2, INT64_MAX, right.size, 0 },
		{ right.partition, 1, 2, right.position, 0, 0 },
		{ right.partition, 1, 2, right.position, INT64_MAX, 0 },
	};
	size_t count = sizeof(wrong) / sizeof(wrong[0]);

	for (size_t i = 0; i < count; i++) {
		runs[0] = wrong[i];
		say_early(&push);
	}
	WAIT_FOR(&w, early_runs_get_numbers(w.agent->early).dropped == count);
	assert_int_equal(early_count(), 0);
	runs[0] = right;
	say_early(&push);
	WAIT_FOR(&w, early_count() == 1);
	runs[0].base_offset = right.last_offset; /* two runs have one offset */
	runs[0].last_offset = right.last_offset + 1;
	say_early(&push);
	WAIT_FOR(&w, early_runs_get_numbers(w.agent->early).dropped == count + 1);
	assert_int_equal(early_count(), 1);
	tear_down();
}

static void test_early_runs_of_one_partition_have_a_limit(void **state)
{
	struct peer_early_push_run runs[EARLY_PUSH_RUNS];

	(void)state;
	set_up_held(0);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "two", 1, 2), 1);
	struct peer_early_push push = early_of_last_file(runs);
	for (int i = 0; i < EARLY_RUNS_OF_ONE_MAX + 5; i++) {
		runs[0].base_offset = runs[0].last_offset = 10 + 2 * i;
		say_early(&push);
	}
	WAIT_FOR(&w, early_runs_get_numbers(w.agent->early).dropped == 5);
	assert_int_equal(early_count(), EARLY_RUNS_OF_ONE_MAX);
	assert_int_equal(FETCH(.topic = "alpha")->high_watermark, 1);
	/* Its topic goes, and they do. */
	testing_hold_records(&w.control, false);
	testing_control_sql(&w.control, "DELETE FROM partition");
	WAIT_FOR(&w, early_count() == 0);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_waiting_fetch_gets_records_before_the_replica_has_them),
		cmocka_unit_test(test_one_answer_has_durable_and_early_records),
		cmocka_unit_test(test_the_latest_offset_is_behind_early_records),
		cmocka_unit_test(test_runs_behind_a_gap_wait_for_its_record),
		cmocka_unit_test(test_the_last_stable_offset_stays_where_a_transaction_is_open),
		cmocka_unit_test(test_what_the_replica_has_caught_up_with_goes),
		cmocka_unit_test(test_without_the_link_early_runs_go_and_readers_ahead_wait),
		cmocka_unit_test(test_nothing_is_taken_while_an_image_comes),
		cmocka_unit_test(test_runs_that_make_no_sense_are_dropped),
		cmocka_unit_test(test_early_runs_of_one_partition_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
