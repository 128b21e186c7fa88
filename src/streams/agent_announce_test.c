/* Files that are announced while they are put, seen by a client of a whole agent whose bucket is
 * far: testing_world.h has the stage. */
#include "buckets/bucket_ask.h"
#include "streams/agent/file_writer.h"
#include "streams/agent/settler.h"
#include "streams/testing_stage.h"
#include "wire/streams/data_file.h"
#include "wire/streams/tombstone.h"

enum { BATCHES = 20, SEEDS = 4 };

static const struct fault_store far = { .put = { 2, 4 } };

/* An agent looks at its bucket when it starts. */
static void set_up_far(uint64_t seed)
{
	testing_world_open(&w, seed);
	testing_close_agent(&w);
	fault_set_store(w.bucket, &far);
	w.control.wants_announcements = true;
	testing_open_agent(&w);
	testing_client_open(&c, &w);
}

/* An agent that is freed has no image of control on its way. */
static void end(void)
{
	WAIT_FOR(&w, replica_index(w.agent->replica) == w.control.index &&
			     !replica_is_loading(w.agent->replica));
	tear_down();
}

static void add_fault(enum fault_effect effect, enum err err, uint64_t count)
{
	fault_add(w.bucket, &(struct fault) { .effect = effect,
					      .err = err,
					      .verbs = FAULT_VERB(BUCKET_PUT),
					      .prefix = DATA_FILE_PREFIX,
					      .count = count });
}

static void send_one(void)
{
	testing_send_produce(&c, "beta", 0, testing_batch(&c.arena, "one", 0, 1), -1);
}

/* A produce whose PUT is held, and which control knows of. */
static void send_and_hold(void)
{
	int before = w.control.announce_count;

	add_fault(FAULT_HOLD, OK, 1);
	send_one();
	WAIT_FOR(&w, w.control.announce_count > before && fault_held_count(w.bucket) > 0);
}

static int64_t rows_of(const char *sql)
{
	sqlite3_stmt *st = cell_statement(w.control.cell, sql);

	assert_true(cell_next(w.control.cell, st));
	int64_t count = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return count;
}

static int64_t announced_rows_count(void)
{
	return rows_of("SELECT count(*) FROM announced");
}

static void expect_answer(int16_t code, int64_t base_offset)
{
	struct kafka_produce_response_partition *answer = testing_receive_produce(&c);

	assert_int_equal(answer->error_code, code);
	assert_int_equal(answer->base_offset, base_offset);
	assert_int_equal(announced_rows_count(), 0);
}

/* --- when all goes well ---------------------------------------------------------------------- */

static void test_a_file_is_announced_as_its_put_begins_and_then_confirmed(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		set_up_far(seed);
		send_and_hold();
		testing_run_ms(&w, 30);
		assert_int_equal(w.control.confirm_count, 0);
		assert_int_equal(announced_rows_count(), 1);
		assert_int_equal(rows_of("SELECT count(*) FROM file"), 0);
		fault_release(w.bucket, "");
		expect_answer(KAFKA_NONE, 0);
		assert_int_equal(w.control.announce_count, 1);
		assert_int_equal(w.control.confirm_count, 1);
		assert_int_equal(w.control.commit_count, 0);
		end();
	}
}

static void expect_no_announcement(void)
{
	testing_produce(&c, "beta", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	assert_int_equal(w.control.announce_count, 0);
	assert_int_equal(w.control.confirm_count, 0);
	assert_int_equal(w.control.commit_count, 1);
	end();
}

static void test_nothing_is_announced_where_it_is_not_wanted_or_not_safe(void **state)
{
	(void)state;
	set_up(0);
	expect_no_announcement();
	set_up(0); /* near */
	w.control.wants_announcements = true;
	testing_restart_agent(&w, &c);
	expect_no_announcement();
	set_up_far(0);
	w.control.wants_announcements = false;
	testing_restart_agent(&w, &c);
	expect_no_announcement();
	set_up_far(0);
	bucket_set_class(w.bucket, BUCKET_RAW);
	expect_no_announcement();
}

static void test_what_control_refuses_is_committed_as_before(void **state)
{
	static const enum err refusals[] = { ERR_FULL, ERR_TOO_BIG, ERR_BUSY };

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		set_up_far(i);
		w.control.announcement_error = refusals[i];
		testing_produce(&c, "beta", 0, testing_batch(&c.arena, "one", 0, 1), 0);
		assert_int_equal(w.control.commit_count, 1);
		assert_int_equal(w.control.hello_count, 2);
		end();
	}
}

/* --- the link -------------------------------------------------------------------------------- */

/* Batches of one connection, while control is lost on the way again and again. */
static void run_with_losses(uint64_t seed, size_t step)
{
	struct testing_control *control = &w.control;

	set_up_far(seed);
	int *knobs[] = {
		&control->lose_announcement_before,
		&control->lose_announcement_after,
		&control->lose_confirm_before,
		&control->lose_confirm_after,
	};
	*knobs[step] = 3;
	for (int i = 0; i < BATCHES; i++) {
		testing_send_produce(&c, "beta", 0, testing_batch(&c.arena, "lost", i, 1), -1);
		testing_run_ms(&w, 3);
	}
	for (int i = 0; i < BATCHES; i++) {
		struct kafka_produce_response_partition *answer = testing_receive_produce(&c);
		assert_int_equal(answer->error_code, KAFKA_NONE);
		assert_int_equal(answer->base_offset, i);
	}
	assert_true(*knobs[step] < 3);
	assert_int_equal(announced_rows_count(), 0);
	WAIT_FOR(&w, replica_index(w.agent->replica) == control->index);
	assert_int_equal(
		testing_fetch(&c, (struct testing_fetch) { .topic = "beta" })->high_watermark,
		BATCHES);
	end();
}

static void test_losses_of_the_link_change_no_offset(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++)
		for (size_t step = 0; step < 4; step++)
			run_with_losses(seed, step);
}

/* Control may have it, and somebody else may commit it: nobody can say that it was not stored. */
static void test_a_life_that_is_lost_leaves_doubt(void **state)
{
	(void)state;
	set_up_far(0);
	send_and_hold();
	testing_control_sql(&w.control, "UPDATE agent SET incarnation = 100");
	testing_control_sql(&w.control, "UPDATE counter SET next = 101 WHERE name = 'incarnation'");
	testing_lose_agent(&w.control);
	WAIT_FOR(&w, w.agent->incarnation == 101);
	fault_release(w.bucket, "");
	assert_int_equal(testing_receive_produce(&c)->error_code, KAFKA_REQUEST_TIMED_OUT);
	assert_int_equal(announced_rows_count(), 1);
	assert_int_equal(rows_of("SELECT count(*) FROM file"), 0);
	end();
}

/* --- puts that fail -------------------------------------------------------------------------- */

static void test_a_file_that_could_not_be_put_is_withdrawn(void **state)
{
	(void)state;
	for (int lost = 0; lost < 3; lost++) {
		set_up_far((uint64_t)lost);
		w.control.lose_withdraw_before = lost == 1;
		w.control.lose_withdraw_after = lost == 2;
		add_fault(FAULT_BEFORE, ERR_FULL, 1);
		send_one();
		expect_answer(KAFKA_KAFKA_STORAGE_ERROR, -1);
		assert_int_equal(w.control.withdraw_count, lost ? 2 : 1);
		assert_int_equal(rows_of("SELECT count(*) FROM file WHERE dead_ms IS NOT NULL"), 1);
		testing_produce(&c, "beta", 0, testing_batch(&c.arena, "next", 0, 1), 0);
		end();
	}
}

static void test_nobody_is_told_before_control_has_agreed(void **state)
{
	(void)state;
	set_up_far(0);
	add_fault(FAULT_HOLD, OK, 1);
	send_one();
	WAIT_FOR(&w, announced_rows_count() == 1);
	w.control.is_mute = true;
	fault_clear(w.bucket);
	add_fault(FAULT_BEFORE, ERR_FULL, 0);
	char key[DATA_FILE_KEY_BYTES + 1];
	data_file_key(key, (uint64_t)w.agent->incarnation, 1);
	assert_int_equal(bucket_ask_put_new(w.loop, fault_inner(w.bucket), slice_from(key),
					    SLICE("in the way")),
			 OK);
	fault_release(w.bucket, "");
	WAIT_FOR(&w, w.control.withdraw_count == 1);
	testing_run_ms(&w, 50);
	assert_false(testing_has_answer(&c));
	w.control.is_mute = false;
	testing_lose_agent(&w.control);
	expect_answer(KAFKA_NOT_LEADER_OR_FOLLOWER, -1);
	end();
}

static void test_a_put_whose_outcome_is_unknown_is_announced_once(void **state)
{
	(void)state;
	set_up_far(0);
	add_fault(FAULT_AFTER, ERR_UNKNOWN, 2);
	testing_produce(&c, "beta", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	assert_int_equal(w.control.announce_count, 1);
	assert_int_equal(w.control.confirm_count, 1);
	end();
}

/* It is in the bucket; once it was withdrawn it is certain all the same that nobody reads it. */
static void test_an_outcome_that_stays_unknown_is_settled_by_withdrawing(void **state)
{
	(void)state;
	set_up_far(0);
	add_fault(FAULT_AFTER, ERR_UNKNOWN, FILE_WRITER_PUTS_MAX);
	send_one();
	expect_answer(KAFKA_NOT_LEADER_OR_FOLLOWER, -1);
	assert_int_equal(w.control.withdraw_count, 1);
	testing_produce(&c, "beta", 0, testing_batch(&c.arena, "next", 0, 1), 0);
	end();
}

static void test_a_file_that_was_settled_as_there_gets_its_offsets(void **state)
{
	(void)state;
	set_up_far(0);
	add_fault(FAULT_AFTER, ERR_UNKNOWN, FILE_WRITER_PUTS_MAX);
	send_one();
	WAIT_FOR(&w, announced_rows_count() == 1);
	int64_t size = rows_of("SELECT size FROM announced");
	testing_ask_to_settle(&w.control, w.agent->incarnation, 1, size);
	WAIT_FOR(&w, w.control.there_count + w.control.burnt_count > 0);
	bool is_there = w.control.there_count > 0;
	expect_answer(is_there ? KAFKA_NONE : KAFKA_NOT_LEADER_OR_FOLLOWER, is_there ? 0 : -1);
	assert_true(is_there);
	assert_int_equal(w.control.commit_count, 1);
	end();
}

/* What control refuses to commit could be committed by the next leader, if it stayed announced. */
static void test_a_full_catalog_withdraws_what_was_announced(void **state)
{
	(void)state;
	set_up_far(0);
	w.control.commit_error = ERR_FULL;
	send_one();
	expect_answer(KAFKA_POLICY_VIOLATION, -1);
	assert_int_equal(w.control.confirm_count, 1);
	assert_int_equal(w.control.withdraw_count, 1);
	end();
}

/* --- settling -------------------------------------------------------------------------------- */

static void settle_and_wait(int64_t incarnation, int64_t sequence, int64_t size)
{
	int before = w.control.there_count + w.control.burnt_count;

	testing_ask_to_settle(&w.control, incarnation, sequence, size);
	WAIT_FOR(&w, w.control.there_count + w.control.burnt_count > before);
}

static void test_a_name_that_was_burnt_loses_no_batch_silently(void **state)
{
	(void)state;
	for (int forgets = 0; forgets < 2; forgets++) {
		set_up_far((uint64_t)forgets);
		w.control.forgets_verdicts = forgets;
		send_and_hold();
		int hellos = w.control.hello_count;
		settle_and_wait(w.agent->incarnation, 1, rows_of("SELECT size FROM announced"));
		assert_int_equal(w.control.burnt_count, 1);
		fault_release(w.bucket, "");
		expect_answer(KAFKA_NOT_LEADER_OR_FOLLOWER, -1);
		assert_int_equal(w.control.withdraw_count, 1);
		assert_int_equal(w.control.confirm_count + w.control.commit_count, 0);
		testing_produce(&c, "beta", 0, testing_batch(&c.arena, "next", 0, 1), 0);
		assert_int_equal(w.control.hello_count, hellos);
		end();
	}
}

/* More names in a row than could have been burnt: an agent of a journal that was lost has them. */
static void test_names_of_another_agent_are_left_to_it(void **state)
{
	int16_t code = -1;

	(void)state;
	set_up_far(0);
	uint64_t life = (uint64_t)w.agent->incarnation;
	for (uint64_t sequence = 1; sequence < 3 * FILE_WRITER_CONFLICTS_MAX; sequence++) {
		char key[DATA_FILE_KEY_BYTES + 1];
		data_file_key(key, life, sequence);
		assert_int_equal(bucket_ask_put(w.loop, w.bucket, slice_from(key), SLICE("x")), OK);
	}
	for (int i = 0; code && i < 2 * FILE_WRITER_CONFLICTS_MAX; i++) {
		send_one();
		code = testing_receive_produce(&c)->error_code;
	}
	assert_int_equal(code, KAFKA_NONE);
	assert_int_not_equal(w.agent->incarnation, life);
	end();
}

static void name_of(char ret[DATA_FILE_KEY_BYTES + 1], int64_t sequence)
{
	data_file_key(ret, 77, (uint64_t)sequence);
}

static void put_object(int64_t sequence, struct slice body)
{
	char key[DATA_FILE_KEY_BYTES + 1];

	name_of(key, sequence);
	assert_int_equal(bucket_ask_put(w.loop, w.bucket, slice_from(key), body), OK);
}

/* The first bytes of a data file of incarnation 77. */
static struct slice header_of(uint64_t sequence)
{
	struct data_file_header header = { .incarnation = 77, .sequence = sequence };
	struct slice batch = testing_batch(&c.arena, "there", 0, 1);
	struct blob *holder = blob_from(batch);
	struct slice bytes = blob_slice(holder), file;
	struct data_file_writer writer;
	const uint8_t topic[16] = { 1 };
	struct record_batch parsed;

	memcpy(header.cluster_id, w.agent->cluster_id.bytes, sizeof(header.cluster_id));
	data_file_writer_init(&writer);
	assert_int_equal(record_batch_next(&bytes, &parsed), OK);
	assert_int_equal(data_file_writer_add(&writer, topic, 0, &parsed, holder), OK);
	data_file_writer_finish(&writer, &header);
	file = arena_copy(&c.arena, writer.slices[0]);
	data_file_writer_done(&writer);
	blob_unref(&holder);
	return file;
}

static void test_files_of_others_are_settled(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		char key[DATA_FILE_KEY_BYTES + 1];
		struct tombstone tombstone;
		struct blob *body;

		set_up_far(seed);
		struct slice file = header_of(1);
		put_object(1, file);
		settle_and_wait(77, 1, (int64_t)file.size);
		assert_int_equal(w.control.there_count, 1);
		settle_and_wait(77, 2, 1000);
		settle_and_wait(77, 2, 1000); /* asked again: a tombstone is there */
		assert_int_equal(w.control.burnt_count, 2);
		name_of(key, 2);
		assert_int_equal(bucket_ask_get(w.loop, w.bucket, slice_from(key), &body), OK);
		assert_int_equal(tombstone_decode(blob_slice(body), &tombstone), OK);
		assert_int_equal(tombstone.incarnation, 77);
		assert_int_equal(tombstone.sequence, 2);
		blob_unref(&body);
		end();
	}
}

static void test_outcomes_that_are_not_known_are_tried_again(void **state)
{
	static const enum fault_effect effects[] = { FAULT_AFTER, FAULT_BEFORE, FAULT_BEFORE };
	static const enum bucket_verb verbs[] = { BUCKET_PUT_NEW, BUCKET_PUT_NEW, BUCKET_GET };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		set_up_far(i);
		fault_add(w.bucket, &(struct fault) { .effect = effects[i],
						      .verbs = FAULT_VERB(verbs[i]),
						      .prefix = DATA_FILE_PREFIX,
						      .count = 2 });
		struct slice file = header_of(1);
		put_object(1, file);
		settle_and_wait(77, 1, (int64_t)file.size);
		settle_and_wait(77, 2, 1000);
		assert_int_equal(w.control.there_count, 1);
		assert_int_equal(w.control.burnt_count, 1);
		assert_true(fault_strike_count(w.bucket) >= 2);
		end();
	}
}

/* People have to look at it. */
static void test_what_is_neither_gets_no_verdict(void **state)
{
	(void)state;
	set_up_far(0);
	struct slice file = header_of(1);
	struct tombstone other = { .incarnation = 77, .sequence = 9 };
	uint8_t bytes[TOMBSTONE_BYTES];
	memcpy(other.cluster_id, w.agent->cluster_id.bytes, sizeof(other.cluster_id));
	tombstone_encode(&other, bytes);
	put_object(1, file);
	put_object(2, file); /* of another name */
	put_object(3, SLICE("x"));
	put_object(4, SLICE(""));
	put_object(5, (struct slice) { bytes, sizeof(bytes) });
	testing_ask_to_settle(&w.control, 77, 1, (int64_t)file.size + 1);
	for (int64_t sequence = 2; sequence <= 5; sequence++)
		testing_ask_to_settle(&w.control, 77, sequence, (int64_t)file.size);
	testing_ask_to_settle(&w.control, 0, 1, 10);
	testing_ask_to_settle(&w.control, 77, -1, 10);
	testing_ask_to_settle(&w.control, 77, 1, -1);
	settle_and_wait(77, 6, 100); /* goes on */
	testing_run_ms(&w, 100);
	assert_int_equal(w.control.there_count, 0);
	assert_int_equal(w.control.burnt_count, 1);
	end();
}

static void test_many_files_are_settled_at_a_time(void **state)
{
	enum { FILES = 200 };
	struct peer_settle_push_file files[FILES];
	struct peer_settle_push push = { .files = files, .files_count = FILES };

	(void)state;
	set_up_far(1);
	for (int i = 0; i < FILES; i++)
		files[i] = (struct peer_settle_push_file) { 77, i + 1, 1000 };
	uint64_t before = fault_op_count(w.bucket, FAULT_VERB(BUCKET_PUT_NEW));
	testing_write(&w.control.peers[0], &peer_settle_push_schema, PEER_CORRELATION_PUSH, &push);
	testing_write(&w.control.peers[0], &peer_settle_push_schema, PEER_CORRELATION_PUSH, &push);
	WAIT_FOR(&w, w.control.burnt_count == FILES);
	assert_int_equal(fault_op_count(w.bucket, FAULT_VERB(BUCKET_PUT_NEW)) - before, FILES);
	end();
}

/* Whoever leads after a loss asks for what it needs, also for what is just being given up. */
static void test_a_lost_link_forgets_what_was_asked(void **state)
{
	(void)state;
	set_up_far(0);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
					      .verbs = FAULT_VERB(BUCKET_PUT_NEW),
					      .prefix = DATA_FILE_PREFIX,
					      .count = 1 });
	testing_ask_to_settle(&w.control, 77, 1, 1000);
	WAIT_FOR(&w, fault_held_count(w.bucket) == 1);
	int hellos = w.control.hello_count;
	testing_lose_agent(&w.control);
	WAIT_FOR(&w, w.control.hello_count > hellos && control_link_is_ready(w.agent->link));
	testing_ask_to_settle(&w.control, 77, 1, 1000);
	testing_run_ms(&w, 20);
	fault_release(w.bucket, "");
	WAIT_FOR(&w, w.control.burnt_count == 1);
	end();
}

/* Some stores take seconds to give up: the next leader asks sooner. */
static void test_what_is_asked_for_while_it_is_given_up_is_done(void **state)
{
	struct peer_settle_push_file file = { 77, 1, 1000 };
	struct peer_settle_push push = { .files = &file, .files_count = 1 };

	(void)state;
	set_up_far(0);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_HOLD,
					      .verbs = FAULT_VERB(BUCKET_PUT_NEW),
					      .prefix = DATA_FILE_PREFIX,
					      .count = 1 });
	settler_take(w.agent->settler, &push);
	WAIT_FOR(&w, fault_held_count(w.bucket) == 1);
	settler_forget(w.agent->settler);
	settler_take(w.agent->settler, &push);
	WAIT_FOR(&w, w.control.burnt_count == 1);
	end();
}

/* --- stopping -------------------------------------------------------------------------------- */

static void test_a_stop_waits_for_what_was_announced(void **state)
{
	(void)state;
	set_up_far(0);
	send_and_hold();
	testing_stop_agent(&w);
	testing_run_ms(&w, 30);
	assert_true(task_is_running(&w.stop));
	fault_release(w.bucket, "");
	testing_close_agent(&w);
	expect_answer(KAFKA_NONE, 0);
	testing_open_agent(&w);
	end();
}

static void test_a_stop_does_not_wait_for_settling(void **state)
{
	(void)state;
	set_up_far(0);
	fault_add(w.bucket, &(struct fault) { .effect = FAULT_BEFORE,
					      .err = ERR_UNAVAILABLE,
					      .verbs = FAULT_VERB(BUCKET_PUT_NEW),
					      .prefix = DATA_FILE_PREFIX });
	for (int64_t sequence = 1; sequence < 50; sequence++)
		testing_ask_to_settle(&w.control, 77, sequence, 1000);
	WAIT_FOR(&w, fault_strike_count(w.bucket) > 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_is_announced_as_its_put_begins_and_then_confirmed),
		cmocka_unit_test(test_nothing_is_announced_where_it_is_not_wanted_or_not_safe),
		cmocka_unit_test(test_what_control_refuses_is_committed_as_before),
		cmocka_unit_test(test_losses_of_the_link_change_no_offset),
		cmocka_unit_test(test_a_life_that_is_lost_leaves_doubt),
		cmocka_unit_test(test_a_file_that_could_not_be_put_is_withdrawn),
		cmocka_unit_test(test_nobody_is_told_before_control_has_agreed),
		cmocka_unit_test(test_a_put_whose_outcome_is_unknown_is_announced_once),
		cmocka_unit_test(test_an_outcome_that_stays_unknown_is_settled_by_withdrawing),
		cmocka_unit_test(test_a_file_that_was_settled_as_there_gets_its_offsets),
		cmocka_unit_test(test_a_full_catalog_withdraws_what_was_announced),
		cmocka_unit_test(test_a_name_that_was_burnt_loses_no_batch_silently),
		cmocka_unit_test(test_names_of_another_agent_are_left_to_it),
		cmocka_unit_test(test_files_of_others_are_settled),
		cmocka_unit_test(test_outcomes_that_are_not_known_are_tried_again),
		cmocka_unit_test(test_what_is_neither_gets_no_verdict),
		cmocka_unit_test(test_many_files_are_settled_at_a_time),
		cmocka_unit_test(test_a_lost_link_forgets_what_was_asked),
		cmocka_unit_test(test_what_is_asked_for_while_it_is_given_up_is_done),
		cmocka_unit_test(test_a_stop_waits_for_what_was_announced),
		cmocka_unit_test(test_a_stop_does_not_wait_for_settling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
