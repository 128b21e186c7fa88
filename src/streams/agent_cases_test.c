/* Cases that must be tested (doc/cases.md), through whole agents: testing_world.h has the stage.
 * Names begin with the case that they are. */
#include "base/random.h"
#include "streams/testing_stage.h"

static struct testing_world north, south;
static struct testing_client n, s;

/* Three agents of one control. */
static void set_up_three(uint64_t seed)
{
	set_up(seed);
	testing_join_world(&north, &w, 9093, "north");
	testing_join_world(&south, &w, 9094, "south");
	testing_client_open(&n, &north);
	testing_client_open(&s, &south);
}

static void tear_down_three(void)
{
	testing_client_close(&s);
	testing_client_close(&n);
	testing_close_agent(&south);
	testing_close_agent(&north);
	tear_down();
}

static struct slice numbered(struct arena *a, int32_t sequence, size_t count)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;

	plan.producer_id = 7;
	plan.producer_epoch = 0;
	plan.base_sequence = sequence;
	return testing_batch_of(a, &plan, "numbered", sequence, count, 0);
}

static void expect(struct testing_client *client, int16_t code, int64_t base_offset)
{
	struct kafka_produce_response_partition *answer = testing_receive_produce(client);

	assert_int_equal(answer->error_code, code);
	assert_int_equal(answer->base_offset, base_offset);
}

static int64_t count_files(void)
{
	sqlite3_stmt *st = cell_statement(w.control.cell, "SELECT count(*) FROM file");

	assert_true(cell_next(w.control.cell, st));
	int64_t count = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return count;
}

static void hold_next_put(void)
{
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
					      .verbs = FAULT_VERB(BUCKET_PUT),
					      .prefix = "v1/d/",
					      .count = 1 });
}

/* --- producers ------------------------------------------------------------------------------- */

/* Whatever is asked for but nothing at all, an answer means that the batch is durable. */
static void test_p7_an_answer_means_durable_whatever_the_acks(void **state)
{
	static const int16_t acks[] = { 1, -1 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		set_up(i);
		struct slice one = testing_batch(&c.arena, "one", 0, 2);
		hold_next_put();
		testing_send_produce(&c, "beta", 0, one, acks[i]);
		WAIT_FOR(&w, fault_held_count(w.bucket) == 1);
		testing_run_ms(&w, 20);
		assert_false(testing_has_answer(&c));
		w.control.holds_answers = true;
		fault_release(w.bucket, "");
		WAIT_FOR(&w, w.control.commit_count == 1);
		testing_run_ms(&w, 20);
		assert_false(testing_has_answer(&c)); /* put, and not known to be committed */
		testing_release_answers(&w.control);
		expect(&c, KAFKA_NONE, 0);
		testing_send_produce(&c, "beta", 0, one, 0);
		c.answered_id++;
		testing_produce(&c, "beta", 0, one, 4); /* what had no answer is there as well */
		tear_down();
	}
}

/* The client comes back and says again what it has no answer to. */
static void test_p8_batches_of_a_closed_connection_are_sent_again_and_there_once(void **state)
{
	enum { COUNT = 4 };

	(void)state;
	for (uint64_t seed = 0; seed < 6; seed++) {
		set_up(seed);
		testing_produce(&c, "beta", 0, numbered(&c.arena, 0, 1), 0);
		if (seed % 2)
			hold_next_put();
		else
			w.control.holds_answers = true;
		int before = w.control.commit_count;
		for (int i = 1; i <= COUNT; i++)
			testing_send_produce(&c, "beta", 0, numbered(&c.arena, i, 1), -1);
		if (seed % 2)
			WAIT_FOR(&w, fault_held_count(w.bucket) == 1);
		else
			WAIT_FOR(&w, w.control.commit_count > before);
		testing_client_close(&c);
		WAIT_FOR(&w, w.agent->connection_count == 0);
		testing_client_open(&c, &w);
		for (int i = 1; i <= COUNT; i++)
			testing_send_produce(&c, "beta", 0, numbered(&c.arena, i, 1), -1);
		testing_run_ms(&w, 20);
		fault_release(w.bucket, "");
		testing_release_answers(&w.control);
		for (int i = 1; i <= COUNT; i++)
			expect(&c, KAFKA_NONE, i);
		testing_produce(&c, "beta", 0, numbered(&c.arena, COUNT + 1, 1), COUNT + 1);
		tear_down();
	}
}

/* A bucket that is full for a moment: the second file is put after the first one failed.  Nothing
 * may take the place of what failed, and all of it is there once in the end. */
static void test_p9_a_file_fails_and_the_next_one_does_not(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 6; seed++) {
		set_up(seed);
		bool is_known = seed % 2; /* has the partition seen this producer? */
		if (is_known)
			testing_produce(&c, "beta", 0, numbered(&c.arena, 0, 1), 0);
		fault_add(w.bucket, &(struct fault) { .effect = FAULT_BEFORE,
						      .err = ERR_FULL,
						      .verbs = FAULT_VERB(BUCKET_PUT),
						      .prefix = "v1/d/",
						      .count = 1,
						      .delay_ms_max = 30 });
		uint64_t puts = fault_op_count(w.bucket, FAULT_VERB(BUCKET_PUT));
		testing_send_produce(&c, "beta", 0, numbered(&c.arena, is_known, 1), -1);
		WAIT_FOR(&w, fault_op_count(w.bucket, FAULT_VERB(BUCKET_PUT)) > puts);
		testing_send_produce(&c, "beta", 0, numbered(&c.arena, is_known + 1, 1), -1);
		expect(&c, KAFKA_KAFKA_STORAGE_ERROR, -1);
		expect(&c,
		       is_known ? KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER : KAFKA_UNKNOWN_PRODUCER_ID,
		       -1);
		testing_produce(&c, "beta", 0, numbered(&c.arena, is_known, 1), is_known);
		testing_produce(&c, "beta", 0, numbered(&c.arena, is_known + 1, 1), is_known + 1);

		/* without numbers the others do not mind */
		fault_clear(w.bucket);
		fault_add(w.bucket, &(struct fault) { .effect = FAULT_BEFORE,
						      .err = ERR_FULL,
						      .verbs = FAULT_VERB(BUCKET_PUT),
						      .prefix = "v1/d/",
						      .count = 1 });
		testing_send_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), -1);
		expect(&c, KAFKA_KAFKA_STORAGE_ERROR, -1);
		testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "two", 0, 1), 0);
		tear_down();
	}
}

/* --- zombies --------------------------------------------------------------------------------- */

/* It stood still between the commit and the answer; its client went elsewhere meanwhile. */
static void test_z2_an_agent_may_acknowledge_late_what_it_committed(void **state)
{
	(void)state;
	set_up_three(0);
	w.control.holds_answers = true;
	testing_send_produce(&c, "beta", 0, numbered(&c.arena, 0, 3), -1);
	WAIT_FOR(&w, w.control.commit_count == 1);
	struct buf late = w.control.peers[0].held_answers;
	for (size_t i = 1; i < TESTING_AGENTS_MAX && late.size == 0; i++)
		late = w.control.peers[i].held_answers;
	assert_true(late.size > 0);
	w.control.holds_answers = false; /* for the others */
	testing_produce(&n, "beta", 0, numbered(&n.arena, 0, 3), 0);
	testing_produce(&n, "beta", 0, numbered(&n.arena, 3, 1), 3);
	assert_false(testing_has_answer(&c));
	testing_release_answers(&w.control);
	expect(&c, KAFKA_NONE, 0);
	testing_produce(&c, "beta", 0, numbered(&c.arena, 4, 1), 4);
	tear_down_three();
}

/* --- consumers ------------------------------------------------------------------------------- */

/* Asks an agent for what comes after `next`, and takes all that it gives. */
static int64_t follow(struct testing_client *client, int64_t next)
{
	struct kafka_fetch_response_partition *got = testing_receive_fetch(client);

	assert_int_equal(got->error_code, KAFKA_NONE);
	for (struct slice rest = got->records; rest.size > 0; next += 2)
		testing_same_batch(&rest, testing_batch(&c.arena, "tail", (int)next, 2), next);
	assert_true(next <= got->high_watermark);
	return next;
}

/* Records of three agents, read by one consumer who asks another agent each time, also one that has
 * not heard of what the one before gave out: no skip, no repeat, nothing out of range. */
static void test_k1_a_tail_that_goes_from_agent_to_agent_sees_each_record_once(void **state)
{
	enum { ROUNDS = 30 };
	struct testing_client *clients[] = { &c, &n, &s };
	const struct testing_world *worlds[] = { &w, &north, &south };

	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct prng prng = { seed };
		int64_t written = 0, next = 0;

		set_up_three(seed);
		for (int i = 0; i < ROUNDS; i++) {
			size_t behind = prng_below(&prng, 3);
			struct testing_fetch tail = { .topic = "beta" };

			w.control.held_node_id = worlds[behind]->agent->node_id;
			testing_hold_records(&w.control, true);
			for (uint64_t k = prng_below(&prng, 3); k > 0; k--, written += 2) {
				/* not the one behind: it answers when it has seen its own */
				struct testing_client *to = clients[(behind + 1 + k % 2) % 3];
				testing_produce(to, "beta", 0,
						testing_batch(&to->arena, "tail", (int)written, 2),
						written);
			}
			tail.offset = next;
			struct testing_client *other = clients[(behind + 1) % 3];
			testing_send_fetch(other, tail);
			next = follow(other, next);
			tail.offset = next;
			testing_send_fetch(clients[behind], tail);
			testing_run_ms(&w, prng_below(&prng, 10));
			testing_hold_records(&w.control, false);
			next = follow(clients[behind], next);
		}
		for (size_t i = 0; next < written; i++) {
			testing_send_fetch(clients[i % 3],
					   (struct testing_fetch) { .topic = "beta",
								    .offset = next,
								    .min_bytes = 1,
								    .max_wait_ms = 15000 });
			next = follow(clients[i % 3], next);
		}
		assert_int_equal(next, written);
		assert_true(written > 0);
		tear_down_three();
	}
}

/* Control is not there when a fetch comes, nor while it waits, and leads with a new image after. */
static void test_k2_a_long_poll_lasts_over_an_outage_of_control(void **state)
{
	struct testing_client other;

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		set_up(seed);
		testing_client_open(&other, &w);
		testing_produce(&other, "beta", 0, testing_batch(&other.arena, "zero", 0, 1), 0);
		struct testing_fetch poll = { .topic = "beta",
					      .offset = 1,
					      .min_bytes = 1,
					      .max_wait_ms = 3 * TESTING_PATIENCE_MS };
		if (seed % 2)
			testing_send_fetch(&c, poll);
		testing_run_ms(&w, 10);
		uint64_t begin_ms = clock_now_ms();
		w.control.is_away = true;
		testing_lose_agent(&w.control);
		if (seed % 2 == 0)
			testing_send_fetch(&c, poll);
		struct slice one = testing_batch(&other.arena, "one", 1, 1);
		testing_send_produce(&other, "beta", 0, one, -1);
		testing_run_ms(&w, 200);
		bool was_long = clock_now_ms() - begin_ms > AGENT_ORPHAN_MS / 2;
		assert_false(testing_has_answer(&c));
		assert_false(testing_has_answer(&other));
		w.control.is_away = false;
		WAIT_FOR(&w, testing_has_answer(&c) || c.is_ended);
		if (!was_long && clock_now_ms() - begin_ms < AGENT_ORPHAN_MS) {
			assert_int_equal(w.closed_count, 0);
			struct slice records = testing_receive_fetch(&c)->records;
			testing_same_batch(&records, one, 1);
			assert_int_equal(records.size, 0);
			expect(&other, KAFKA_NONE, 1);
		}
		testing_client_close(&other);
		tear_down();
	}
}

enum break_in_feed { GAP, REPEAT, NO_RECORD, BREAKS };

static void break_feed(enum break_in_feed kind)
{
	struct testing_peer *p = &w.control.peers[0];
	struct buf record;

	if (kind == NO_RECORD) {
		struct peer_record_push push = { .index = w.control.index + 1,
						 .bytes = SLICE("no record") };
		testing_write(p, &peer_record_push_schema, PEER_CORRELATION_PUSH, &push);
		return;
	}
	buf_init(&record);
	testing_hold_records(&w.control, true);
	testing_control_sql(&w.control, "UPDATE agent SET low_sequence = low_sequence + 1");
	buf_add_slice(&record, buf_slice(&p->held));
	if (kind == GAP)
		buf_clear(&p->held);
	testing_hold_records(&w.control, false);
	if (kind == GAP)
		testing_control_sql(&w.control, "UPDATE agent SET low_sequence = 0");
	else
		stream_write(p->stream, buf_slice(&record));
	buf_done(&record);
}

/* A record that is missing, one that comes twice, and one that is none: the agent does not guess,
 * it begins with a new image, and readers who wait notice nothing. */
static void test_k3_gaps_and_repeats_in_the_feed_are_noticed(void **state)
{
	struct testing_client other;

	(void)state;
	for (uint64_t seed = 0; seed < 2 * BREAKS; seed++) {
		set_up(seed);
		testing_client_open(&other, &w);
		testing_produce(&other, "beta", 0, testing_batch(&other.arena, "zero", 0, 1), 0);
		WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index);
		testing_send_fetch(&c, (struct testing_fetch) { .topic = "beta",
								.offset = 1,
								.min_bytes = 1,
								.max_wait_ms = 15000 });
		testing_run_ms(&w, 5);
		int hellos = w.control.hello_count;
		break_feed((enum break_in_feed)(seed % BREAKS));
		WAIT_FOR(&w, w.control.hello_count == hellos + 1);
		assert_false(testing_has_answer(&c));
		struct slice one = testing_batch(&other.arena, "one", 1, 1);
		testing_produce(&other, "beta", 0, one, 1);
		struct slice records = testing_receive_fetch(&c)->records;
		testing_same_batch(&records, one, 1);
		assert_int_equal(w.closed_count, 0);
		WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index);
		assert_true(hash128_equal(cell_hash(replica_cell(w.agent->replica)),
					  cell_hash(w.control.cell)));
		testing_client_close(&other);
		tear_down();
	}
}

/* --- what control does not see --------------------------------------------------------------- */

static bool has(struct slice bytes, const char *text)
{
	return memmem(bytes.data, bytes.size, text, strlen(text)) != NULL;
}

/* no_local_bytes.py has the same for real processes, by what the kernel saw. */
static void test_s1_no_byte_of_a_record_is_said_to_control(void **state)
{
	static const uint8_t headers[] = "\x14"
					 "bird-title"
					 "\x14"
					 "bird-words";
	struct record record = { .key = SLICE("bird-of-the-key"),
				 .value = SLICE("bird-of-the-value"),
				 .header_count = 1,
				 .headers = { headers, sizeof(headers) - 1 } };
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct buf tap, batch;

	(void)state;
	set_up(0);
	buf_init(&tap);
	w.control.tap = &tap;
	for (int i = 0; i < 2; i++) {
		buf_init(&batch);
		plan.producer_id = i ? 7 : -1;
		plan.base_sequence = plan.producer_epoch = i ? 0 : -1;
		record_batch_build(&batch, &plan, &record, 1);
		assert_true(has(buf_slice(&batch), "bird-title"));
		testing_produce(&c, "beta", 0, buf_slice(&batch), i);
		buf_done(&batch);
	}
	struct slice got = testing_fetch(&c, (struct testing_fetch) { .topic = "beta" })->records;
	assert_true(has(got, "bird-of-the-key") && has(got, "bird-of-the-value"));
	assert_int_equal(count_files(), 2);
	assert_true(has(buf_slice(&tap), "v1/d/")); /* the name of a file is said */
	assert_false(has(buf_slice(&tap), "bird"));
	w.control.tap = NULL;
	buf_done(&tap);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_p7_an_answer_means_durable_whatever_the_acks),
		cmocka_unit_test(
			test_p8_batches_of_a_closed_connection_are_sent_again_and_there_once),
		cmocka_unit_test(test_p9_a_file_fails_and_the_next_one_does_not),
		cmocka_unit_test(test_z2_an_agent_may_acknowledge_late_what_it_committed),
		cmocka_unit_test(
			test_k1_a_tail_that_goes_from_agent_to_agent_sees_each_record_once),
		cmocka_unit_test(test_k2_a_long_poll_lasts_over_an_outage_of_control),
		cmocka_unit_test(test_k3_gaps_and_repeats_in_the_feed_are_noticed),
		cmocka_unit_test(test_s1_no_byte_of_a_record_is_said_to_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
