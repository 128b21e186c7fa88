/* Transactions: producers of both protocols, and what is late.  Names begin with the case of the
 * list of failures they are about: P of producers, T of transactions. */
#include "streams/coordinator/transactions_testing.h"

#include "streams/coordinator/transaction_clock.h"

/* --- the whole way -----------------------------------------------------------------------------
 */

static void check_whole_way(bool is_second)
{
	struct books b;
	struct uuid t;

	open_books(&b, &t);
	struct writer w = { .books = &b, .name = "w", .is_second = is_second };
	writer_init(&w);
	assert_int_equal(w.epoch, 0);
	assert_int_equal(writer_put(&w, t, "t", 0, 3), 0);
	assert_int_equal(writer_put(&w, t, "t", 1, 2), 0);
	assert_int_equal(books_end(&b, t, 0), 3);
	assert_int_equal(books_stable(&b, t, 0), 0);
	assert_int_equal(books_stable(&b, t, 1), 0);
	assert_int_equal(books_stable(&b, t, 2), 0);

	int64_t producer_id = w.producer_id;
	assert_int_equal(writer_end(&w, true), KAFKA_NONE);
	assert_int_equal(w.producer_id, producer_id);
	assert_int_equal(w.epoch, is_second ? 1 : 0);
	assert_int_equal(books_end(&b, t, 0), 4);
	assert_int_equal(books_stable(&b, t, 0), 4);
	assert_int_equal(books_stable(&b, t, 1), 3);
	assert_int_equal(books_end(&b, t, 2), 0);
	struct catalog_marker marker = books_marker(&b, t, 0, 3);
	assert_true(marker.is_commit);
	assert_int_equal(marker.producer_id, producer_id);
	assert_int_equal(marker.epoch, is_second ? 1 : 0);
	assert_int_equal(marker.first_offset, 0);

	assert_int_equal(writer_put(&w, t, "t", 0, 1), 4);
	assert_int_equal(writer_end(&w, false), KAFKA_NONE);
	assert_false(books_marker(&b, t, 0, 5).is_commit);
	assert_int_equal(books_stable(&b, t, 0), 6);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM open_transaction"), 0);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM transaction_partition"), 0);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM transaction_group"), 0);
	books_close(&b);
}

/* W9 */
static void test_a_transaction_of_the_first_protocol(void **state)
{
	(void)state;
	check_whole_way(false);
}

/* W9 */
static void test_a_transaction_of_the_second_protocol(void **state)
{
	(void)state;
	check_whole_way(true);
}

static void test_readers_stop_at_the_oldest_open_transaction(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer v = first(&b, "v"), w = second(&b, "w");
	writer_init(&v);
	writer_init(&w);
	(void)books_batch(&b, (struct batch) { t, 0, .records = 5 });
	assert_int_equal(writer_put(&v, t, "t", 0, 1), 5);
	assert_int_equal(writer_put(&w, t, "t", 0, 1), 6);
	assert_int_equal(books_stable(&b, t, 0), 5);
	assert_int_equal(writer_end(&w, true), KAFKA_NONE); /* marker at 7 */
	assert_int_equal(books_stable(&b, t, 0), 5);
	assert_int_equal(writer_end(&v, false), KAFKA_NONE); /* at 8 */
	assert_int_equal(books_stable(&b, t, 0), 9);
	books_close(&b);
}

static void test_aborted_transactions_are_found_where_they_matter(void **state)
{
	struct catalog_marker *found;
	struct books b;
	struct uuid t;
	size_t count;

	(void)state;
	open_books(&b, &t);
	struct writer v = first(&b, "v"), w = first(&b, "w");
	writer_init(&v);
	writer_init(&w);
	(void)writer_put(&v, t, "t", 0, 10); /* 0 to 9, its marker comes last */
	for (int i = 0; i < 20; i++) {	     /* 10 and 11, 12 and 13 ... */
		(void)writer_put(&w, t, "t", 0, 1);
		assert_int_equal(writer_end(&w, i % 2 == 0), KAFKA_NONE);
	}
	assert_int_equal(writer_end(&v, false), KAFKA_NONE); /* marker at 50 */
	int64_t row = books_partition(&b, t, 0).id;

	assert_int_equal(catalog_aborted(&b.arena, b.cell, row, 0, 10, &found, &count), OK);
	assert_int_equal(count, 1);
	assert_int_equal(found[0].offset, 50);
	assert_int_equal(found[0].first_offset, 0);
	assert_int_equal(catalog_aborted(&b.arena, b.cell, row, 12, 20, &found, &count), OK);
	assert_int_equal(count, 3); /* 12 and 16 of w, and all of v */
	assert_int_equal(found[0].first_offset, 12);
	assert_int_equal(found[1].first_offset, 16);
	assert_int_equal(found[2].offset, 50);
	assert_int_equal(catalog_aborted(&b.arena, b.cell, row, 51, 60, &found, &count), OK);
	assert_int_equal(count, 0);
	books_close(&b);
}

/* --- who may speak -----------------------------------------------------------------------------
 */

static void test_what_nobody_may_say(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer w = first(&b, "w"), nobody = first(&b, "nobody");
	assert_int_equal(writer_init_as(&w, false, 0), KAFKA_INVALID_TRANSACTION_TIMEOUT);
	assert_int_equal(writer_init_as(&w, false, 900001), KAFKA_INVALID_TRANSACTION_TIMEOUT);
	assert_int_equal(writer_init_as(&w, false, 900000), KAFKA_NONE);
	struct writer empty = first(&b, "");
	assert_int_equal(writer_init_as(&empty, false, 1000), KAFKA_INVALID_REQUEST);
	assert_int_equal(writer_end(&empty, true), KAFKA_INVALID_REQUEST);

	assert_int_equal(writer_add(&nobody, "t", 0), KAFKA_INVALID_PRODUCER_ID_MAPPING);
	assert_int_equal(writer_end(&nobody, true), KAFKA_INVALID_PRODUCER_ID_MAPPING);
	nobody.producer_id = w.producer_id;
	assert_int_equal(writer_write(&nobody, t, 0, 1).error, KAFKA_INVALID_PRODUCER_ID_MAPPING);
	assert_int_equal(writer_add(&w, "no", 0), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(writer_add(&w, "t", 4), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(writer_end(&w, true), KAFKA_INVALID_TXN_STATE);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM transactional WHERE state = 1"), 0);
	books_close(&b);
}

static void test_one_unknown_partition_stops_the_others(void **state)
{
	int32_t partitions[] = { 0, 9, 1 };
	struct kafka_add_partitions_to_txn_request_old_topic topic = {
		.name = SLICE("t"),
		.partitions = partitions,
		.partitions_count = 3,
	};
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer w = first(&b, "w");
	writer_init(&w);
	const struct kafka_add_partitions_to_txn_response *r =
		writer_ask(&w, KAFKA_API_ADD_PARTITIONS_TO_TXN, 0,
			   &(struct kafka_add_partitions_to_txn_request) {
				   .v3_and_below_transactional_id = SLICE("w"),
				   .v3_and_below_producer_id = w.producer_id,
				   .v3_and_below_topics = &topic,
				   .v3_and_below_topics_count = 1,
			   });
	const struct kafka_add_partitions_to_txn_response_old_partition *p =
		r->results_by_topic_v3_and_below[0].results_by_partition;
	assert_int_equal(p[0].partition_error_code, KAFKA_OPERATION_NOT_ATTEMPTED);
	assert_int_equal(p[1].partition_error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(p[2].partition_error_code, KAFKA_OPERATION_NOT_ATTEMPTED);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM transaction_partition"), 0);
	books_close(&b);
}

static void test_brokers_may_add_and_verify_several_transactions(void **state)
{
	int32_t zero = 0;
	struct kafka_add_partitions_to_txn_request_topic topic = {
		.name = SLICE("t"),
		.partitions = &zero,
		.partitions_count = 1,
	};
	struct kafka_add_partitions_to_txn_request_transaction asked[2] = {
		{ .transactional_id = SLICE("v"), .topics = &topic, .topics_count = 1 },
		{ .transactional_id = SLICE("w"), .topics = &topic, .topics_count = 1 },
	};
	struct kafka_add_partitions_to_txn_request request = { .transactions = asked,
							       .transactions_count = 2 };
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer v = first(&b, "v"), w = first(&b, "w");
	writer_init(&v);
	writer_init(&w);
	asked[0].producer_id = v.producer_id;
	asked[0].verify_only = true;
	asked[1].producer_id = w.producer_id;
	for (int i = 0; i < 2; i++) {
		const struct kafka_add_partitions_to_txn_response *r =
			writer_ask(&w, KAFKA_API_ADD_PARTITIONS_TO_TXN, 5, &request);
		assert_int_equal(r->results_by_transaction_count, 2);
		const struct kafka_add_partitions_to_txn_response_transaction *told =
			r->results_by_transaction;
		assert_int_equal(
			told[0].topic_results[0].results_by_partition[0].partition_error_code,
			i == 0 ? KAFKA_TRANSACTION_ABORTABLE : KAFKA_NONE);
		assert_int_equal(
			told[1].topic_results[0].results_by_partition[0].partition_error_code,
			KAFKA_NONE);
		assert_int_equal(writer_add(&v, "t", 0), KAFKA_NONE);
	}
	books_close(&b);
}

/* Readers of what is committed would be led past an open transaction. */
static void test_a_run_of_a_transaction_is_not_read_before_it_is_durable(void **state)
{
	struct peer_early_push_run placed[4];
	struct peer_commit_file_response response = { 0 };
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer w = first(&b, "w");
	writer_init(&w);
	assert_int_equal(writer_add(&w, "t", 0), KAFKA_NONE);
	assert_int_equal(writer_add(&w, "t", 2), KAFKA_NONE);
	const struct batch batches[] = {
		writer_batch(&w, t, 0, 1),
		{ .topic = t, .partition = 0, .records = 2 },
		{ .topic = t, .partition = 1, .records = 3 },
		writer_batch(&w, t, 2, 1),
	};
	struct commit_file commit = {
		.arena = &b.arena,
		.request = books_request(&b, batches, 4),
		.now_ms = b.now_ms,
		.response = &response,
		.placed = placed,
	};
	assert_int_equal(cell_run(b.cell, commit_file_run, &commit), OK);
	assert_int_equal(books_end(&b, t, 0), 3);
	assert_int_equal(commit.placed_count, 1);
	assert_int_equal(placed[0].partition, books_partition(&b, t, 1).id);
	assert_int_equal(placed[0].base_offset, 0);
	assert_int_equal(placed[0].last_offset, 2);
	assert_int_equal(placed[0].position, 64 + 2 * 100);
	books_close(&b);
}

static void test_a_partition_that_was_not_added_is_not_written_to(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer w = first(&b, "w");
	writer_init(&w);
	struct batch batch = writer_batch(&w, t, 1, 1);
	assert_int_equal(books_batch(&b, batch).error, KAFKA_INVALID_TXN_STATE);
	assert_int_equal(writer_add(&w, "t", 0), KAFKA_NONE);
	assert_int_equal(books_batch(&b, batch).error, KAFKA_INVALID_TXN_STATE);
	batch.support = TRANSACTION_SUPPORT_ABORTABLE;
	assert_int_equal(books_batch(&b, batch).error, KAFKA_TRANSACTION_ABORTABLE);
	assert_int_equal(books_end(&b, t, 1), 0);
	batch.support = TRANSACTION_SUPPORT_SECOND;
	assert_int_equal(books_batch(&b, batch).error, KAFKA_NONE);
	assert_int_equal(books_end(&b, t, 1), 1);

	batch.transactional_id = NULL; /* half of a transaction */
	batch.sequence = 1;
	assert_int_equal(books_batch(&b, batch).error, KAFKA_INVALID_TXN_STATE);
	books_close(&b);
}

static void test_a_transaction_touches_no_more_than_its_end_can_do_at_once(void **state)
{
	int32_t partitions[TRANSACTION_PARTITIONS_MAX + 1];
	struct kafka_add_partitions_to_txn_request_old_topic topic = {
		.name = SLICE("many"),
		.partitions = partitions,
		.partitions_count = TRANSACTION_PARTITIONS_MAX,
	};
	struct kafka_add_partitions_to_txn_request request = {
		.v3_and_below_transactional_id = SLICE("w"),
		.v3_and_below_topics = &topic,
		.v3_and_below_topics_count = 1,
	};
	struct batch *batches;
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct uuid many = books_topic(&b, "many", TRANSACTION_PARTITIONS_MAX + 1);
	struct writer w = first(&b, "w");
	writer_init(&w);
	for (int32_t i = 0; i <= TRANSACTION_PARTITIONS_MAX; i++)
		partitions[i] = i;
	request.v3_and_below_producer_id = w.producer_id;
	(void)writer_ask(&w, KAFKA_API_ADD_PARTITIONS_TO_TXN, 3, &request);
	batches = arena_take_array(&b.arena, BOOKS_BATCHES_MAX, sizeof(*batches));
	for (int32_t i = 0; i < TRANSACTION_PARTITIONS_MAX; i += BOOKS_BATCHES_MAX) {
		for (int32_t k = 0; k < BOOKS_BATCHES_MAX; k++) {
			batches[k] = writer_batch(&w, many, 0, 1);
			batches[k].partition = i + k;
		}
		assert_int_equal(books_file(&b, batches, BOOKS_BATCHES_MAX)[9].error, KAFKA_NONE);
	}
	struct batch last = writer_batch(&w, many, 0, 1);
	last.partition = TRANSACTION_PARTITIONS_MAX;
	last.support = TRANSACTION_SUPPORT_SECOND;
	assert_int_equal(books_batch(&b, last).error, KAFKA_TRANSACTION_ABORTABLE);
	assert_int_equal(writer_end(&w, true), KAFKA_NONE);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM marker"),
			 TRANSACTION_PARTITIONS_MAX);
	books_close(&b);
}

/* --- producers: P ------------------------------------------------------------------------------
 */

static void test_p1_a_repeat_gets_the_original_offset_in_its_transaction(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer w = first(&b, "w");
	writer_init(&w);
	(void)books_batch(&b, (struct batch) { t, 0, .records = 7 });
	struct batch batch = writer_batch(&w, t, 0, 3);
	assert_int_equal(writer_put(&w, t, "t", 0, 3), 7);
	struct peer_commit_file_response_batch answer = books_batch(&b, batch);
	assert_int_equal(answer.error, KAFKA_NONE);
	assert_int_equal(answer.base_offset, 7);
	assert_int_equal(writer_end(&w, true), KAFKA_NONE);
	assert_int_equal(books_end(&b, t, 0), 11);
	assert_int_equal(books_stable(&b, t, 0), 11);
	books_close(&b);
}

/* What looks like a repeat may be other records of the next transaction, whose sequences an abort
 * gave free again.  Acknowledged, they would be lost. */
static void test_t2_sequences_of_an_ended_transaction_are_no_repeat_in_the_next(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	for (int commits = 0; commits < 2; commits++) {
		open_books(&b, &t);
		struct writer w = first(&b, "w");
		writer_init(&w);
		struct batch batch = writer_batch(&w, t, 0, 3);
		assert_int_equal(writer_put(&w, t, "t", 0, 3), 0);
		assert_int_equal(writer_end(&w, commits), KAFKA_NONE);
		for (int is_open = 0; is_open < 2; is_open++) {
			struct peer_commit_file_response_batch answer = books_batch(&b, batch);
			assert_int_equal(answer.error, KAFKA_UNKNOWN_PRODUCER_ID);
			assert_int_equal(answer.base_offset, -1);
			assert_int_equal(writer_put(&w, t, "t", 0, 2), is_open ? 6 : 4);
		}
		books_close(&b);
	}
}

static void test_p3_data_of_a_zombie_in_a_file_is_refused_when_it_is_committed(void **state)
{
	struct peer_commit_file_response response;
	struct books b;
	struct uuid t;

	(void)state;
	for (int is_second = 0; is_second < 2; is_second++) {
		open_books(&b, &t);
		struct writer w = { .books = &b, .name = "w", .is_second = is_second };
		writer_init(&w);
		(void)writer_put(&w, t, "t", 0, 1);
		struct batch late = writer_batch(&w, t, 0, 1);
		struct peer_commit_file_request *file = books_request(&b, &late, 1);
		struct writer next = w;
		writer_init(&next);
		assert_int_equal(books_commit(&b, file, &response), OK);
		assert_int_equal(response.runs[0].batches[0].error, KAFKA_INVALID_PRODUCER_EPOCH);
		assert_int_equal(books_end(&b, t, 0), 2); /* one record and the marker */
		books_close(&b);
	}
}

/* --- transactions: T ---------------------------------------------------------------------------
 */

static struct transaction_clock started_clock;

static int expire(struct books *b)
{
	struct transaction_expiry expiry = { .clock = &started_clock, .now_ms = b->now_ms };
	bool is_any = transaction_is_any_over(b->cell, &expiry);

	assert_int_equal(cell_run(b->cell, transaction_expire, &expiry), OK);
	assert_int_equal(is_any, expiry.ret_count > 0);
	return expiry.ret_count;
}

static void test_t1_a_timeout_aborts_while_a_batch_is_on_its_way(void **state)
{
	struct peer_commit_file_response response;
	struct books b;
	struct uuid t;

	(void)state;
	for (int is_second = 0; is_second < 2; is_second++) {
		open_books(&b, &t);
		struct writer w = { .books = &b, .name = "w", .is_second = is_second };
		assert_int_equal(writer_init_as(&w, false, 5000), KAFKA_NONE);
		(void)writer_put(&w, t, "t", 0, 2);
		struct batch late = writer_batch(&w, t, 0, 1);
		struct peer_commit_file_request *file = books_request(&b, &late, 1);
		b.now_ms += 5000;
		assert_int_equal(expire(&b), 0);
		b.now_ms += 1;
		assert_int_equal(expire(&b), 1);
		assert_int_equal(expire(&b), 0);
		assert_int_equal(books_commit(&b, file, &response), OK);
		assert_int_equal(response.runs[0].batches[0].error, KAFKA_INVALID_PRODUCER_EPOCH);
		assert_false(books_marker(&b, t, 0, 2).is_commit);
		assert_int_equal(books_stable(&b, t, 0), 3);
		/* the producer learns of it, and may go on */
		if (!is_second)
			assert_int_equal(writer_end(&w, true), KAFKA_PRODUCER_FENCED);
		else
			assert_int_equal(writer_end(&w, true), KAFKA_INVALID_TXN_STATE);
		assert_int_equal(writer_init_as(&w, true, 5000), KAFKA_NONE);
		assert_int_equal(w.epoch, 1);
		assert_int_equal(writer_put(&w, t, "t", 0, 1), 3);
		assert_int_equal(writer_end(&w, true), KAFKA_NONE);
		books_close(&b);
	}
}

static void test_t2_what_is_late_of_the_second_protocol_never_touches_the_next_one(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer w = second(&b, "w");
	writer_init(&w);
	(void)writer_put(&w, t, "t", 0, 1);
	struct writer old = w;
	assert_int_equal(writer_end(&w, true), KAFKA_NONE);
	(void)writer_put(&w, t, "t", 0, 1);
	int64_t end = books_end(&b, t, 0);

	struct writer late = old;
	assert_int_equal(writer_write(&late, t, 0, 1).error, KAFKA_INVALID_PRODUCER_EPOCH);
	assert_int_equal(writer_end(&late, true), KAFKA_PRODUCER_FENCED);
	assert_int_equal(writer_end(&late, false), KAFKA_PRODUCER_FENCED);
	assert_int_equal(writer_add(&late, "t", 1), KAFKA_PRODUCER_FENCED);
	assert_int_equal(books_end(&b, t, 0), end);
	assert_int_equal(books_stable(&b, t, 0), end - 1);
	assert_int_equal(writer_end(&w, true), KAFKA_NONE);
	books_close(&b);
}

static void test_t2_what_is_late_on_an_old_connection_is_not_served(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer w = first(&b, "w");
	w.connection = 3;
	writer_init(&w);
	(void)writer_put(&w, t, "t", 0, 1);
	struct writer old = w; /* its EndTxn hangs somewhere; the client asks again: */
	w.connection = 8;
	assert_int_equal(writer_end(&w, true), KAFKA_NONE);
	(void)writer_put(&w, t, "t", 0, 1);

	assert_int_not_equal(writer_end(&old, true), KAFKA_NONE);
	assert_true(old.was_outdated);
	assert_int_not_equal(writer_add(&old, "t", 1), KAFKA_NONE);
	assert_true(old.was_outdated);
	assert_int_equal(books_stable(&b, t, 0), 2);
	assert_int_equal(writer_end(&w, false), KAFKA_NONE);
	assert_false(w.was_outdated);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM marker WHERE is_commit = 1"), 1);
	books_close(&b);
}

/* Admin.fenceProducers, on a connection that was there before the producer's. */
static void test_t9_who_begins_on_an_older_connection_fences_too(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer w = first(&b, "w"), other = first(&b, "w");
	w.connection = 8;
	writer_init(&w);
	(void)writer_put(&w, t, "t", 0, 1);
	other.connection = 3;
	writer_init(&other);
	assert_false(other.was_outdated);
	assert_int_equal(other.producer_id, w.producer_id);
	assert_true(other.epoch > w.epoch);
	assert_int_equal(writer_write(&w, t, 0, 1).error, KAFKA_INVALID_PRODUCER_EPOCH);
	assert_int_equal(writer_end(&w, true), KAFKA_PRODUCER_FENCED);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM marker WHERE is_commit = 0"), 1);

	(void)writer_put(&other, t, "t", 0, 1); /* and may go on there */
	struct writer late = other;
	other.connection = 5;
	assert_int_equal(writer_end(&other, true), KAFKA_NONE);
	(void)writer_put(&other, t, "t", 0, 1);
	assert_int_not_equal(writer_end(&late, true), KAFKA_NONE);
	assert_true(late.was_outdated);
	books_close(&b);
}

static void test_t3_the_same_end_again_gets_the_same_answer_the_opposite_none(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	for (int is_second = 0; is_second < 2; is_second++) {
		for (int commits = 0; commits < 2; commits++) {
			open_books(&b, &t);
			struct writer w = { .books = &b, .name = "w", .is_second = is_second };
			writer_init(&w);
			(void)writer_put(&w, t, "t", 0, 1);
			struct writer again = w, opposite = w;
			assert_int_equal(writer_end(&w, commits), KAFKA_NONE);
			assert_int_equal(writer_end(&again, commits), KAFKA_NONE);
			assert_int_equal(again.epoch, w.epoch);
			assert_int_equal(again.producer_id, w.producer_id);
			assert_int_equal(writer_end(&opposite, !commits), KAFKA_INVALID_TXN_STATE);
			assert_int_equal(books_end(&b, t, 0), 2);
			books_close(&b);
		}
	}
}

static void test_t3_an_abort_of_nothing_takes_the_next_epoch(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer w = second(&b, "w");
	writer_init(&w);
	assert_int_equal(writer_end(&w, true), KAFKA_INVALID_TXN_STATE);
	assert_int_equal(writer_end(&w, false), KAFKA_NONE);
	assert_int_equal(w.epoch, 1);
	assert_int_equal(writer_end(&w, false), KAFKA_NONE);
	assert_int_equal(w.epoch, 2);
	(void)writer_put(&w, t, "t", 0, 1);
	assert_int_equal(writer_end(&w, true), KAFKA_NONE);
	assert_int_equal(w.epoch, 3);
	books_close(&b);
}

static void test_t4_time_in_which_nobody_led_or_ran_is_not_counted(void **state)
{
	struct transaction_clock c;

	(void)state;
	transaction_clock_start(&c, 1000);
	assert_int_equal(transaction_clock_elapsed(&c, 1200, 1500), 300);
	assert_int_equal(transaction_clock_elapsed(&c, 10, 1500), 500); /* before we led */
	transaction_clock_pause(&c, 5000, 3000);
	assert_int_equal(transaction_clock_elapsed(&c, 1200, 5100), 900);
	assert_int_equal(transaction_clock_elapsed(&c, 5050, 5100), 50);
	for (int i = 0; i < TRANSACTION_PAUSES_MAX + 5; i++)
		transaction_clock_pause(&c, 6000 + i, 1);
	assert_int_equal(transaction_clock_elapsed(&c, 5500, 7000), 1500 - TRANSACTION_PAUSES_MAX);
}

static enum err add_offset(struct cell *cell, void *argument)
{
	struct transaction *t = argument;
	struct transaction_offset offset = { .group = SLICE("g"),
					     .topic = 1,
					     .partition = 2,
					     .committed_offset = 42,
					     .leader_epoch = -1,
					     .metadata = SLICE("note") };
	enum err err = transaction_add_group(cell, t, offset.group);

	for (int i = 0; i < 3 && !err; i++) /* the same again takes no more room */
		err = transaction_add_offset(cell, t, &offset);
	assert_int_equal(t->offset_bytes, TRANSACTION_OFFSET_BYTES + 5);
	return err ? err : transaction_save(cell, t);
}

static void test_t6_offsets_are_committed_with_the_data_or_not_at_all(void **state)
{
	struct transaction row;
	struct books b;
	struct uuid t;

	(void)state;
	for (int commits = 0; commits < 2; commits++) {
		open_books(&b, &t);
		struct writer w = first(&b, "w");
		writer_init(&w);
		(void)writer_put(&w, t, "t", 0, 1);
		assert_int_equal(transaction_find(&b.arena, b.cell, SLICE("w"), &row), OK);
		assert_int_equal(cell_run(b.cell, add_offset, &row), OK);
		assert_int_equal(books_number(&b, "SELECT count(*) FROM group_offset"), 0);
		assert_true(transaction_has_offset(b.cell, SLICE("g"), 1, 2));
		assert_int_equal(writer_end(&w, commits), KAFKA_NONE);
		assert_false(transaction_has_offset(b.cell, SLICE("g"), 1, 2));
		assert_int_equal(books_number(&b, "SELECT count(*) FROM group_offset WHERE"
						  " committed_offset = 42 AND partition = 2"),
				 commits);
		assert_int_equal(books_marker(&b, t, 0, 1).is_commit, commits);
		books_close(&b);
	}
}

static void test_t9_a_zombie_with_the_same_transactional_id_is_fenced(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	for (int is_second = 0; is_second < 2; is_second++) {
		open_books(&b, &t);
		struct writer zombie = { .books = &b, .name = "w", .is_second = is_second };
		writer_init(&zombie);
		(void)writer_put(&zombie, t, "t", 0, 1);
		struct writer w = zombie;
		writer_init(&w); /* ends what the zombie began */
		assert_int_equal(w.epoch, 1);
		assert_int_equal(books_stable(&b, t, 0), 2);
		assert_int_equal(writer_write(&zombie, t, 0, 1).error,
				 KAFKA_INVALID_PRODUCER_EPOCH);
		assert_int_equal(writer_add(&zombie, "t", 0), KAFKA_PRODUCER_FENCED);
		assert_int_equal(writer_end(&zombie, true), KAFKA_PRODUCER_FENCED);
		assert_int_equal(writer_end_as(&zombie, true, 1), KAFKA_INVALID_PRODUCER_EPOCH);
		assert_int_equal(writer_init_as(&zombie, true, 1000), KAFKA_PRODUCER_FENCED);
		(void)writer_put(&w, t, "t", 0, 1);
		assert_int_equal(writer_end(&w, true), KAFKA_NONE);
		books_close(&b);
	}
}

/* --- epochs ------------------------------------------------------------------------------------
 */

/* W9 */
static void test_after_the_last_epoch_comes_another_producer_id(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	for (int is_second = 0; is_second < 2; is_second++) {
		open_books(&b, &t);
		struct writer w = { .books = &b, .name = "w", .is_second = is_second };
		writer_init(&w);
		books_do(&b, "UPDATE transactional SET epoch = 32765");
		w.epoch = 32765;
		assert_int_equal(writer_init_as(&w, true, 1000), KAFKA_NONE);
		assert_int_equal(w.epoch, 32766);
		struct writer again = w;
		int64_t before = w.producer_id;
		(void)writer_put(&w, t, "t", 0, 1);
		if (is_second)
			assert_int_equal(writer_end(&w, true), KAFKA_NONE);
		else
			assert_int_equal(writer_init_as(&w, true, 1000), KAFKA_NONE);
		assert_int_not_equal(w.producer_id, before);
		assert_int_equal(w.epoch, 0);
		assert_int_equal(books_marker(&b, t, 0, 1).epoch, 32767);
		assert_int_equal(books_marker(&b, t, 0, 1).producer_id, before);
		if (is_second) /* its answer was lost */
			assert_int_equal(writer_end(&again, true), KAFKA_NONE);
		else
			assert_int_equal(writer_init_as(&again, true, 1000), KAFKA_NONE);
		assert_int_equal(again.producer_id, w.producer_id);
		assert_int_equal(again.epoch, 0);
		books_close(&b);
	}
}

static void test_an_answer_that_was_lost_does_not_cost_an_epoch(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer w = first(&b, "w");
	writer_init(&w);
	struct writer again = w;
	assert_int_equal(writer_init_as(&w, true, 1000), KAFKA_NONE);
	assert_int_equal(writer_init_as(&again, true, 1000), KAFKA_NONE);
	assert_int_equal(w.epoch, 1);
	assert_int_equal(again.epoch, 1);
	books_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_transaction_of_the_first_protocol),
		cmocka_unit_test(test_a_transaction_of_the_second_protocol),
		cmocka_unit_test(test_readers_stop_at_the_oldest_open_transaction),
		cmocka_unit_test(test_aborted_transactions_are_found_where_they_matter),
		cmocka_unit_test(test_what_nobody_may_say),
		cmocka_unit_test(test_one_unknown_partition_stops_the_others),
		cmocka_unit_test(test_brokers_may_add_and_verify_several_transactions),
		cmocka_unit_test(test_a_run_of_a_transaction_is_not_read_before_it_is_durable),
		cmocka_unit_test(test_a_partition_that_was_not_added_is_not_written_to),
		cmocka_unit_test(test_a_transaction_touches_no_more_than_its_end_can_do_at_once),
		cmocka_unit_test(test_p1_a_repeat_gets_the_original_offset_in_its_transaction),
		cmocka_unit_test(
			test_t2_sequences_of_an_ended_transaction_are_no_repeat_in_the_next),
		cmocka_unit_test(
			test_p3_data_of_a_zombie_in_a_file_is_refused_when_it_is_committed),
		cmocka_unit_test(test_t1_a_timeout_aborts_while_a_batch_is_on_its_way),
		cmocka_unit_test(
			test_t2_what_is_late_of_the_second_protocol_never_touches_the_next_one),
		cmocka_unit_test(test_t2_what_is_late_on_an_old_connection_is_not_served),
		cmocka_unit_test(test_t9_who_begins_on_an_older_connection_fences_too),
		cmocka_unit_test(test_t3_the_same_end_again_gets_the_same_answer_the_opposite_none),
		cmocka_unit_test(test_t3_an_abort_of_nothing_takes_the_next_epoch),
		cmocka_unit_test(test_t4_time_in_which_nobody_led_or_ran_is_not_counted),
		cmocka_unit_test(test_t6_offsets_are_committed_with_the_data_or_not_at_all),
		cmocka_unit_test(test_t9_a_zombie_with_the_same_transactional_id_is_fenced),
		cmocka_unit_test(test_after_the_last_epoch_comes_another_producer_id),
		cmocka_unit_test(test_an_answer_that_was_lost_does_not_cost_an_epoch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
