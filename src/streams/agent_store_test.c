/* A store that fails, up to what clients were told (doc/cases.md, F1 to F9): whatever it did, what
 * was acknowledged is there once, at its offset and byte for byte, and nothing else is.
 * testing_world.h has the stage; test/scenario/s3_faults.py has the same for real processes. */
#include "base/random.h"
#include "streams/agent/file_writer.h"
#include "streams/testing_stage.h"

enum { RECORDS_MAX = 64, WRITERS = 3 };

static struct arena kept;
static struct slice told[RECORDS_MAX]; /* by offset in beta 0: what was acknowledged there */

static void begin(uint64_t seed)
{
	set_up(seed);
	arena_init(&kept);
	memset(told, 0, sizeof(told));
}

static void end(void)
{
	tear_down();
	arena_done(&kept);
}

static int64_t number(const char *sql)
{
	sqlite3_stmt *st = cell_statement(w.control.cell, sql);

	assert_true(cell_next(w.control.cell, st));
	int64_t value = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return value;
}

/* --- writing ------------------------------------------------------------------------------------
 */

/* A batch of one record, of one of some idempotent producers. */
static struct slice numbered(int producer, int32_t sequence)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;

	plan.producer_id = 7 + producer;
	plan.producer_epoch = 0;
	plan.base_sequence = sequence;
	return testing_batch_of(&kept, &plan, "record", 100 * producer + sequence, 1, 0);
}

/* The codes after which clients try again by themselves. */
static bool is_retriable(int16_t code)
{
	return code == KAFKA_KAFKA_STORAGE_ERROR || code == KAFKA_REQUEST_TIMED_OUT ||
	       code == KAFKA_NOT_LEADER_OR_FOLLOWER;
}

static void note(int64_t offset, struct slice batch)
{
	assert_in_range(offset, 0, RECORDS_MAX - 1);
	assert_null(told[offset].data);
	told[offset] = batch;
}

/* Says it again until it is acknowledged, as clients do; returns how often it was not. */
static int write_at_last(int producer, int32_t sequence)
{
	struct slice batch = numbered(producer, sequence);

	for (int refusals = 0;; refusals++) {
		testing_send_produce(&c, "beta", 0, batch, -1);
		struct kafka_produce_response_partition *answer = testing_receive_produce(&c);
		if (answer->error_code == KAFKA_NONE) {
			note(answer->base_offset, batch);
			return refusals;
		}
		assert_true(is_retriable(answer->error_code));
		testing_run_ms(&w, 10);
	}
}

/* --- the oracle: all that was acknowledged, and nothing else -------------------------------------
 */

static void check_told(int64_t count)
{
	int64_t offset = 0;

	while (offset < count) {
		struct kafka_fetch_response_partition *got =
			testing_fetch(&c,
				      (struct testing_fetch) { .topic = "beta", .offset = offset });
		assert_int_equal(got->error_code, KAFKA_NONE);
		assert_int_equal(got->high_watermark, count);
		assert_true(got->records.size > 0);
		for (struct slice rest = got->records; rest.size > 0; offset++)
			testing_same_batch(&rest, told[offset], offset);
	}
	assert_int_equal(offset, count);
}

/* From what the writer left in memory, and from the store. */
static void check_all(int64_t count)
{
	check_told(count);
	fault_clear(w.bucket);
	testing_restart_agent(&w, &c);
	check_told(count);
}

/* --- puts that fail ------------------------------------------------------------------------------
 */

static int write_through(const struct fault *f, uint64_t seed)
{
	enum { COUNT = 6 };
	struct fault aimed = *f;
	int refusals = 0;

	begin(seed);
	refusals += write_at_last(0, 0);
	aimed.verbs = FAULT_VERB(BUCKET_PUT);
	aimed.prefix = "v1/d/";
	fault_add(w.bucket, &aimed);
	for (int i = 1; i < COUNT; i++)
		refusals += write_at_last(0, i);
	assert_int_equal(fault_strike_count(w.bucket), f->count);
	fault_release(w.bucket, ""); /* what a network had kept arrives at last */
	WAIT_FOR(&w, fault_held_count(w.bucket) == 0);
	assert_int_equal(number("SELECT count(*) FROM file WHERE run_count > 0"), COUNT);
	check_all(COUNT);
	end();
	return refusals;
}

/* Also when so many fail that the client is told, and when the object comes to the store after it
 * was given up: then it is one that nobody knows of. */
static void test_f1_a_put_that_was_not_done_is_done_again(void **state)
{
	static const struct fault faults[] = {
		{ .effect = FAULT_BEFORE, .err = ERR_TIMEOUT, .count = 1 },
		{ .effect = FAULT_BEFORE, .err = ERR_UNKNOWN, .count = FILE_WRITER_PUTS_MAX - 1 },
		{ .effect = FAULT_BEFORE, .err = ERR_TIMEOUT, .count = FILE_WRITER_PUTS_MAX },
		{ .effect = FAULT_BEFORE, .err = ERR_UNKNOWN, .count = FILE_WRITER_PUTS_MAX + 1 },
		{ .effect = FAULT_LATE, .count = 2 },
		{ .effect = FAULT_LATE, .count = FILE_WRITER_PUTS_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		assert_int_equal(write_through(&faults[i], i),
				 faults[i].count >= FILE_WRITER_PUTS_MAX);
}

/* The next attempt finds its own bytes there and takes them for what they are; where there is no
 * next attempt, the record is sent again and is there once all the same. */
static void test_f2_a_put_that_was_done_and_seemed_to_fail_is_there_once(void **state)
{
	static const struct fault faults[] = {
		{ .effect = FAULT_AFTER, .count = 1 },
		{ .effect = FAULT_AFTER, .count = FILE_WRITER_PUTS_MAX - 1 },
		{ .effect = FAULT_AFTER, .count = FILE_WRITER_PUTS_MAX },
		{ .effect = FAULT_LOST, .for_ms = 30, .count = 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		assert_int_equal(write_through(&faults[i], i),
				 faults[i].count >= FILE_WRITER_PUTS_MAX);
}

/* The store refuses all it is asked for a while, again and again, while several producers write and
 * one of them reads. */
static void test_f3_bursts_of_refusals_lose_and_repeat_nothing(void **state)
{
	enum { EACH = 12 };
	struct testing_client clients[WRITERS];

	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		int32_t next[WRITERS] = { 0 };
		int64_t count = 0;

		begin(seed);
		for (int i = 0; i < WRITERS; i++)
			testing_client_open(&clients[i], &w);
		fault_add(w.bucket, &(struct fault) { .effect = FAULT_SLOW_DOWN,
						      .err = ERR_BUSY,
						      .ppm = 400000,
						      .for_ms = 100 });
		while (count < WRITERS * EACH) {
			for (int i = 0; i < WRITERS; i++)
				if (next[i] < EACH)
					testing_send_produce(&clients[i], "beta", 0,
							     numbered(i, next[i]), -1);
			for (int i = 0; i < WRITERS; i++) {
				if (next[i] == EACH)
					continue;
				struct kafka_produce_response_partition *answer =
					testing_receive_produce(&clients[i]);
				if (answer->error_code == KAFKA_NONE) {
					note(answer->base_offset, numbered(i, next[i]++));
					count++;
				} else {
					assert_true(is_retriable(answer->error_code));
				}
			}
			check_told(count);
		}
		assert_true(fault_strike_count(w.bucket) >= 5);
		for (int i = 0; i < WRITERS; i++)
			testing_client_close(&clients[i]);
		check_all(count);
		end();
	}
}

/* --- gets that lie -------------------------------------------------------------------------------
 */

static void lie(void)
{
	static const struct fault lies[] = {
		{ .effect = FAULT_CORRUPT, .ppm = 200000 },
		{ .effect = FAULT_TRUNCATE, .ppm = 200000 },
		{ .effect = FAULT_BEFORE, .err = ERR_NOT_FOUND, .ppm = 150000 },
		{ .effect = FAULT_BEFORE, .err = ERR_UNAVAILABLE, .ppm = 150000 },
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct fault aimed = lies[i];
		aimed.verbs = FAULT_VERB(BUCKET_GET);
		aimed.prefix = "v1/d/";
		fault_add(w.bucket, &aimed);
	}
}

/* One fetch somewhere: an error or nothing is fine, a wrong byte is not. */
static bool fetch_somewhere(int64_t offset, bool is_read[RECORDS_MAX])
{
	struct kafka_fetch_response_partition *got =
		testing_fetch(&c, (struct testing_fetch) { .topic = "beta",
							   .offset = offset,
							   .partition_max_bytes = 30000 });

	if (got->error_code) {
		assert_int_equal(got->records.size, 0);
		assert_true(got->error_code == KAFKA_CORRUPT_MESSAGE ||
			    is_retriable(got->error_code));
		return false;
	}
	for (struct slice rest = got->records; rest.size > 0; offset++) {
		testing_same_batch(&rest, told[offset], offset);
		is_read[offset] = true;
	}
	return true;
}

static void test_f6_no_wrong_byte_reaches_a_reader_and_all_are_read_at_last(void **state)
{
	enum { COUNT = 40, ROUNDS = 4, TURNS_MAX = 4000 };

	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct prng prng = { seed };
		int errors = 0, turns = 0;

		begin(seed);
		for (int i = 0; i < COUNT; i++) {
			struct slice batch = testing_batch_of(&kept, &RECORD_BATCH_PLAIN, "record",
							      i, 1, 200 + prng_below(&prng, 20000));
			testing_produce(&c, "beta", 0, batch, i);
			note(i, batch);
		}
		for (int round = 0; round < ROUNDS; round++) {
			bool is_read[RECORDS_MAX] = { false };

			testing_restart_agent(&w, &c); /* nothing is in memory */
			lie();
			for (int64_t i = 0; i < COUNT;) {
				assert_in_range(++turns, 1, TURNS_MAX);
				errors += !fetch_somewhere(i, is_read);
				(void)fetch_somewhere((int64_t)prng_below(&prng, COUNT), is_read);
				while (i < COUNT && is_read[i])
					i++;
			}
			fault_clear(w.bucket);
		}
		print_message("seed %llu: %llu gets struck, %d errors\n", (unsigned long long)seed,
			      (unsigned long long)fault_strike_count(w.bucket), errors);
		assert_true(fault_strike_count(w.bucket) > 20 && errors > 0);
		check_all(COUNT);
		end();
	}
}

/* --- a store that is slow ------------------------------------------------------------------------
 */

/* The first puts do not come back while clients send all they have: the memory for requests has an
 * end, and whoever sends little, reads or asks is served. */
static void test_f9_a_slow_store_takes_no_more_memory_than_it_may(void **state)
{
	enum {
		SENDERS = 8,
		EACH = 4,
		BATCH_BYTES = 1000 * 1000,
		ROOM_BYTES = 8 << 20,
		SLACK_BYTES = 64 << 10,
	};
	struct testing_client senders[SENDERS];
	struct file_writer_status status;

	(void)state;
	begin(0);
	for (int i = 0; i < 3; i++)
		(void)write_at_last(0, i);
	testing_client_close(&c);
	testing_close_agent(&w);
	fault_set_store(w.bucket, &(struct fault_store) { .put = { 2, 4 } }); /* far */
	testing_open_agent(&w);
	testing_client_open(&c, &w);
	w.agent->requests.max = ROOM_BYTES;
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
					      .verbs = FAULT_VERB(BUCKET_PUT),
					      .prefix = "v1/d/" });
	for (int i = 0; i < SENDERS; i++) {
		testing_client_open(&senders[i], &w);
		for (int k = 0; k < EACH; k++)
			testing_send_produce(&senders[i], "alpha", 0,
					     testing_batch_of(&kept, &RECORD_BATCH_PLAIN, "much", k,
							      1, BATCH_BYTES),
					     -1);
	}
	for (int i = 0; i < 100; i++) {
		testing_run_ms(&w, 10);
		file_writer_get_status(w.agent->writer, &status);
		assert_true(w.agent->requests.used <= ROOM_BYTES + SLACK_BYTES);
		assert_true(status.buffered_bytes <= ROOM_BYTES + SLACK_BYTES);
	}
	assert_true(status.buffered_bytes > ROOM_BYTES / 2);
	assert_true(room_is_wanted(&w.agent->requests));
	assert_true(fault_held_count(w.bucket) > 0);
	fault_clear(w.bucket); /* later ones come back */
	check_told(3);	       /* from the store: nothing is in memory */
	assert_int_equal(write_at_last(0, 3), 0);
	check_told(4);
	for (int i = 0; i < SENDERS; i++)
		assert_false(testing_has_answer(&senders[i]));
	fault_release(w.bucket, "");
	for (int k = 0; k < SENDERS * EACH; k++)
		assert_int_equal(testing_receive_produce(&senders[k % SENDERS])->error_code,
				 KAFKA_NONE);
	assert_int_equal(number("SELECT high_watermark FROM partition JOIN topic ON topic.id ="
				" partition.topic WHERE name = 'alpha' AND number = 0"),
			 SENDERS * EACH);
	for (int i = 0; i < SENDERS; i++)
		testing_client_close(&senders[i]);
	check_all(4);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_f1_a_put_that_was_not_done_is_done_again),
		cmocka_unit_test(test_f2_a_put_that_was_done_and_seemed_to_fail_is_there_once),
		cmocka_unit_test(test_f3_bursts_of_refusals_lose_and_repeat_nothing),
		cmocka_unit_test(test_f6_no_wrong_byte_reaches_a_reader_and_all_are_read_at_last),
		cmocka_unit_test(test_f9_a_slow_store_takes_no_more_memory_than_it_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
