/* What administrators and time do to transactions, and topics that go.  Names begin with the case
 * of the list of failures they are about. */
#include "streams/coordinator/transactions_testing.h"

#include "streams/coordinator/sweep.h"

static void test_t7_a_hanging_transaction_is_seen_and_aborted_by_an_administrator(void **state)
{
	int32_t zero = 0;
	struct kafka_describe_producers_request_topic asked = { SLICE("t"), &zero, 1 };
	struct kafka_write_txn_markers_request_topic in = { SLICE("t"), &zero, 1 };
	struct kafka_write_txn_markers_request_marker marker = { .topics = &in, .topics_count = 1 };
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer w = first(&b, "w");
	writer_init(&w);
	(void)books_batch(&b, (struct batch) { t, 0, .records = 4 });
	(void)writer_put(&w, t, "t", 0, 2);
	(void)writer_put(&w, t, "t", 1, 2);
	for (int ended = 0; ended < 2; ended++) {
		const struct kafka_describe_producers_response *r =
			writer_ask(&w, KAFKA_API_DESCRIBE_PRODUCERS, 0,
				   &(struct kafka_describe_producers_request) {
					   .topics = &asked, .topics_count = 1 });
		assert_int_equal(r->topics[0].partitions[0].active_producers_count, 1);
		const struct kafka_describe_producers_response_producer *p =
			r->topics[0].partitions[0].active_producers;
		assert_int_equal(p->producer_id, w.producer_id);
		assert_int_equal(p->last_sequence, 1);
		assert_int_equal(p->current_txn_start_offset, ended ? -1 : 4);
		marker.producer_id = p->producer_id;
		marker.producer_epoch = (int16_t)p->producer_epoch;
		const struct kafka_write_txn_markers_response *done =
			writer_ask(&w, KAFKA_API_WRITE_TXN_MARKERS, 1,
				   &(struct kafka_write_txn_markers_request) {
					   .markers = &marker, .markers_count = 1 });
		assert_int_equal(done->markers[0].topics[0].partitions[0].error_code, KAFKA_NONE);
		assert_int_equal(books_stable(&b, t, 0), 7);
		assert_int_equal(books_stable(&b, t, 1), 3); /* all of it */
	}
	assert_int_equal(writer_end(&w, true), KAFKA_PRODUCER_FENCED);
	books_close(&b);
}

static void test_t7_transactions_are_listed_and_described(void **state)
{
	struct slice states[] = { SLICE("Ongoing"), SLICE("Nonsense") };
	struct slice names[] = { SLICE("w"), SLICE("no") };
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer v = first(&b, "v"), w = second(&b, "w");
	writer_init(&v);
	writer_init(&w);
	(void)writer_put(&w, t, "t", 3, 1);
	(void)writer_put(&w, t, "t", 1, 1);
	b.now_ms += 100;
	const struct kafka_list_transactions_response *r =
		writer_ask(&w, KAFKA_API_LIST_TRANSACTIONS, 1,
			   &(struct kafka_list_transactions_request) { .duration_filter = -1 });
	assert_int_equal(r->transaction_states_count, 2);
	r = writer_ask(&w, KAFKA_API_LIST_TRANSACTIONS, 1,
		       &(struct kafka_list_transactions_request) { .duration_filter = 99,
								   .state_filters = states,
								   .state_filters_count = 2 });
	assert_int_equal(r->transaction_states_count, 1);
	assert_int_equal(r->transaction_states[0].producer_id, w.producer_id);
	assert_true(slice_equal(r->transaction_states[0].transaction_state, SLICE("Ongoing")));
	assert_int_equal(r->unknown_state_filters_count, 1);
	r = writer_ask(&w, KAFKA_API_LIST_TRANSACTIONS, 1,
		       &(struct kafka_list_transactions_request) {
			       .duration_filter = 100,
			       .producer_id_filters = &w.producer_id,
			       .producer_id_filters_count = 1 });
	assert_int_equal(r->transaction_states_count, 0);

	const struct kafka_describe_transactions_response *d =
		writer_ask(&w, KAFKA_API_DESCRIBE_TRANSACTIONS, 0,
			   &(struct kafka_describe_transactions_request) {
				   .transactional_ids = names, .transactional_ids_count = 2 });
	assert_int_equal(d->transaction_states[1].error_code, KAFKA_TRANSACTIONAL_ID_NOT_FOUND);
	assert_int_equal(d->transaction_states[0].transaction_start_time_ms, b.now_ms - 100);
	assert_int_equal(d->transaction_states[0].transaction_timeout_ms, 60000);
	assert_int_equal(d->transaction_states[0].topics_count, 1);
	assert_int_equal(d->transaction_states[0].topics[0].partitions_count, 2);
	assert_int_equal(d->transaction_states[0].topics[0].partitions[0], 1);
	assert_int_equal(d->transaction_states[0].topics[0].partitions[1], 3);
	books_close(&b);
}

static int64_t sweep(struct books *b, int64_t idle_since_ms)
{
	struct sweep_step step = { .now_ms = b->now_ms,
				   .transactional_idle_since_ms = idle_since_ms };
	int64_t steps = 0;

	do {
		assert_int_equal(cell_run(b->cell, sweep_run, &step), OK);
		steps++;
	} while (step.is_more);
	return steps;
}

static void test_t8_a_transactional_id_that_nobody_uses_expires(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct writer idle = first(&b, "idle"), busy = first(&b, "busy");
	writer_init(&idle);
	writer_init(&busy);
	(void)writer_put(&idle, t, "t", 0, 1);
	assert_int_equal(writer_end(&idle, true), KAFKA_NONE);
	(void)writer_put(&busy, t, "t", 1, 1);
	b.now_ms += 1000;
	(void)sweep(&b, b.now_ms - 1000);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM transactional"), 2);
	(void)sweep(&b, b.now_ms);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM transactional"), 1);
	assert_int_equal(writer_add(&idle, "t", 0), KAFKA_INVALID_PRODUCER_ID_MAPPING);
	assert_int_equal(writer_write(&idle, t, 0, 1).error, KAFKA_INVALID_PRODUCER_ID_MAPPING);
	assert_int_equal(writer_end(&busy, true), KAFKA_NONE);
	int64_t before = idle.producer_id;
	assert_int_equal(writer_init_as(&idle, true, 1000), KAFKA_NONE);
	assert_int_not_equal(idle.producer_id, before);
	books_close(&b);
}

/* --- topics that go ----------------------------------------------------------------------------
 */

static void test_a_deleted_topic_takes_its_part_of_transactions_with_it(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	open_books(&b, &t);
	struct uuid u = books_topic(&b, "u", 1);
	struct writer w = first(&b, "w");
	writer_init(&w);
	(void)writer_put(&w, t, "t", 1, 1);
	(void)writer_put(&w, u, "u", 0, 1);
	assert_int_equal(writer_end(&w, true), KAFKA_NONE);
	(void)writer_put(&w, t, "t", 1, 1);
	(void)writer_put(&w, u, "u", 0, 1);
	books_do(&b, "UPDATE topic SET deleted_ms = 1 WHERE name = 'u'");
	assert_in_range(sweep(&b, 0), 2, 100);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM open_transaction"), 1);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM marker"), 1);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM transaction_partition"), 1);
	assert_int_equal(writer_end(&w, true), KAFKA_NONE);
	assert_int_equal(books_stable(&b, t, 1), 4);
	books_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_t7_a_hanging_transaction_is_seen_and_aborted_by_an_administrator),
		cmocka_unit_test(test_t7_transactions_are_listed_and_described),
		cmocka_unit_test(test_t8_a_transactional_id_that_nobody_uses_expires),
		cmocka_unit_test(test_a_deleted_topic_takes_its_part_of_transactions_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
