#include "streams/coordinator/former_producer.h"

#include "cells/cell_private.h"
#include "streams/coordinator/books_testing.h"
#include "streams/coordinator/sweep.h"
#include "wire/kafka/record_batch.h"
#include "wire/peer/transaction_support.h"

static void begin(struct books *b, struct uuid *topic)
{
	books_open(b);
	books_hello(b);
	*topic = books_topic(b, "t", 3);
}

static struct peer_commit_file_response_batch produce(struct books *b, struct uuid t, int16_t epoch,
						      int32_t sequence, int32_t records)
{
	return books_batch(b, (struct batch) { t, 0, .records = records, .producer_id = 7,
					       .epoch = epoch, .sequence = sequence });
}

/* A moment later than whatever was deleted before. */
static struct uuid make_again(struct books *b)
{
	b->now_ms += 10;
	books_do(b, "UPDATE topic SET topic_id = randomblob(16), deleted_ms ="
		    " (SELECT 1000 + count(*) FROM topic) WHERE deleted_ms IS NULL");
	return books_topic(b, "t", 3);
}

static int sweep(struct books *b, int64_t now_ms)
{
	struct sweep_step step = { .now_ms = now_ms, .is_more = true };
	int count = 0;

	for (; step.is_more; count++)
		assert_int_equal(cell_run(b->cell, sweep_run, &step), OK);
	return count;
}

static void sweep_once(struct books *b)
{
	struct sweep_step step = { .now_ms = 2000 };

	assert_int_equal(cell_run(b->cell, sweep_run, &step), OK);
}

static void test_a_producer_goes_on_in_a_topic_made_again(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	for (int is_swept = 0; is_swept < 2; is_swept++) {
		begin(&b, &t);
		assert_int_equal(produce(&b, t, 0, 0, 5).base_offset, 0);
		t = make_again(&b);
		if (is_swept)
			sweep(&b, 2000);
		assert_int_equal(books_number(&b, "SELECT count(*) FROM former_producer"),
				 is_swept);
		/* the batch before it may still be on its way */
		assert_int_equal(produce(&b, t, 0, 6, 1).error, KAFKA_UNKNOWN_PRODUCER_ID);
		assert_int_equal(produce(&b, t, 0, 4, 1).error, KAFKA_UNKNOWN_PRODUCER_ID);
		assert_int_equal(produce(&b, t, 1, 5, 1).error, KAFKA_UNKNOWN_PRODUCER_ID);
		assert_int_equal(produce(&b, t, 0, 5, 1).base_offset, 0);
		assert_int_equal(produce(&b, t, 0, 6, 1).base_offset, 1);
		assert_int_equal(produce(&b, t, 0, 5, 1).base_offset, 0); /* a repeat */
		books_close(&b);
	}
}

static void test_only_the_partition_it_wrote_to_knows_it(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	assert_int_equal(produce(&b, t, 0, 0, 5).base_offset, 0);
	t = make_again(&b);
	sweep(&b, 2000);
	struct batch elsewhere = { t, 1, .records = 1, .producer_id = 7, .sequence = 5 };
	assert_int_equal(books_batch(&b, elsewhere).error, KAFKA_UNKNOWN_PRODUCER_ID);
	struct batch another = { t, 0, .records = 1, .producer_id = 8, .sequence = 5 };
	assert_int_equal(books_batch(&b, another).error, KAFKA_UNKNOWN_PRODUCER_ID);
	struct uuid other = books_topic(&b, "other", 3);
	assert_int_equal(produce(&b, other, 0, 5, 1).error, KAFKA_UNKNOWN_PRODUCER_ID);
	books_close(&b);
}

/* The newest of several says where it stopped, swept or not. */
static void test_a_topic_may_be_made_again_several_times(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	for (int sweeps = 0; sweeps < 3; sweeps++) {
		begin(&b, &t);
		assert_int_equal(produce(&b, t, 0, 0, 5).base_offset, 0);
		t = make_again(&b);
		assert_int_equal(produce(&b, t, 0, 5, 3).base_offset, 0);
		t = make_again(&b);
		for (int i = 0; sweeps == 1 && i < 2; i++)
			sweep_once(&b); /* of the first topic: runs, producers */
		if (sweeps == 2)
			sweep(&b, 2000);
		assert_int_equal(books_number(&b, "SELECT count(*) FROM former_producer"),
				 sweeps > 0);
		assert_int_equal(produce(&b, t, 0, 5, 1).error, KAFKA_UNKNOWN_PRODUCER_ID);
		t = make_again(&b); /* where it has written nothing */
		assert_int_equal(produce(&b, t, 0, 8, 1).base_offset, 0);
		books_close(&b);
	}
}

static void test_a_transaction_begins_anew(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	assert_int_equal(produce(&b, t, 0, 0, 5).base_offset, 0);
	t = make_again(&b);
	books_do(&b, "INSERT INTO transactional (name, producer_id, epoch, previous_producer_id,"
		     " previous_epoch, state, timeout_ms, started_ms, updated_ms, partition_count,"
		     " offset_bytes, sessions, offset_sessions)"
		     " VALUES ('x', 7, 0, -1, -1, 0, 60000, 0, 0, 0, 0, x'', x'')");
	struct peer_commit_file_request *request = books_request(
		&b, (struct batch[]) { { t, 0, .records = 1, .producer_id = 7, .sequence = 5 } },
		1);
	struct peer_commit_file_response response;
	struct peer_commit_file_request_batch *batch = &request->runs[0].batches[0];
	batch->attributes = RECORD_BATCH_TRANSACTIONAL;
	batch->transactional_id = SLICE("x");
	batch->transaction_support = TRANSACTION_SUPPORT_SECOND;
	assert_int_equal(books_commit(&b, request, &response), OK);
	assert_int_equal(response.runs[0].batches[0].error, KAFKA_UNKNOWN_PRODUCER_ID);
	books_close(&b);
}

static void test_they_are_forgotten_after_a_while(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	for (int i = 0; i < 3; i++)
		(void)books_batch(&b, (struct batch) { t, i, .records = 1, .producer_id = 7 });
	books_do(&b, "UPDATE topic SET deleted_ms = 1000");
	sweep(&b, 1000 + FORMER_PRODUCER_MS);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM former_producer"), 3);
	sweep(&b, 1001 + FORMER_PRODUCER_MS);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM former_producer"), 0);
	books_close(&b);
}

static void fill(struct books *b, int count)
{
	char sql[300];

	snprintf(sql, sizeof(sql),
		 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
		 " INSERT INTO producer (partition, producer_id, epoch, last_sequence, last_ms,"
		 " recent) SELECT partition.id, i, 0, 0, 0, x'' FROM n, partition"
		 " WHERE number = 0",
		 count);
	books_do(b, sql);
}

static void test_their_number_is_bounded_and_so_is_each_step(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	(void)books_batch(&b, (struct batch) { t, 1, .records = 1, .producer_id = 7 });
	(void)make_again(&b);
	sweep(&b, 2000);
	fill(&b, FORMER_PRODUCERS_MAX);
	books_do(&b, "UPDATE topic SET deleted_ms = 1100");
	sqlite3 *database = cell_database(b.cell);
	struct sweep_step step = { .now_ms = 2000, .is_more = true };
	for (int64_t before = sqlite3_total_changes64(database); step.is_more;) {
		assert_int_equal(cell_run(b.cell, sweep_run, &step), OK);
		int64_t changes = sqlite3_total_changes64(database) - before;
		assert_true(changes <= 2 * SWEEP_ROWS_MAX);
		before += changes;
	}
	assert_int_equal(books_number(&b, "SELECT count(*) FROM producer"), 0);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM former_producer"),
			 FORMER_PRODUCERS_MAX);
	assert_int_equal(books_number(&b, "SELECT min(deleted_ms) FROM former_producer"), 1100);
	books_close(&b);
}

/* Copying them needs pages before deleting frees any. */
static void test_in_a_full_catalog_they_are_only_deleted(void **state)
{
	struct sweep_step step = { .now_ms = 2000, .is_more = true };
	struct books b;
	struct uuid t;
	int full_count = 0;

	(void)state;
	begin(&b, &t);
	(void)books_batch(&b, (struct batch) { t, 1, .records = 1, .producer_id = 7 });
	fill(&b, 1000);
	books_do(&b, "UPDATE topic SET deleted_ms = 1000");
	sweep_once(&b); /* runs */
	b.cell->run_pages_max = cell_count_pages(b.cell);
	for (int i = 0; i < 100 && (step.is_more || step.is_full); i++) {
		enum err err = cell_run(b.cell, sweep_run, &step);
		full_count += err == ERR_FULL;
		assert_true(err == OK || err == ERR_FULL);
		sweep_step_ended(&step, err);
	}
	assert_int_equal(full_count, 1);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM producer"), 0);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM topic"), 0);

	/* there is room again: they are kept again */
	int64_t kept = books_number(&b, "SELECT count(*) FROM former_producer");
	b.cell->run_pages_max = CELL_RUN_PAGES_MAX;
	t = books_topic(&b, "t", 3);
	(void)books_batch(&b, (struct batch) { t, 1, .records = 1, .producer_id = 7 });
	books_do(&b, "UPDATE topic SET deleted_ms = 1000");
	for (step.is_more = true; step.is_more;) {
		assert_int_equal(cell_run(b.cell, sweep_run, &step), OK);
		sweep_step_ended(&step, OK);
	}
	assert_int_equal(books_number(&b, "SELECT count(*) FROM former_producer"), kept + 1);
	books_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_producer_goes_on_in_a_topic_made_again),
		cmocka_unit_test(test_only_the_partition_it_wrote_to_knows_it),
		cmocka_unit_test(test_a_topic_may_be_made_again_several_times),
		cmocka_unit_test(test_a_transaction_begins_anew),
		cmocka_unit_test(test_they_are_forgotten_after_a_while),
		cmocka_unit_test(test_their_number_is_bounded_and_so_is_each_step),
		cmocka_unit_test(test_in_a_full_catalog_they_are_only_deleted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
