#include "streams/coordinator/books_testing.h"

#include "base/random.h"
#include "streams/coordinator/sweep.h"

static void begin(struct books *b, struct uuid *topic)
{
	books_open(b);
	books_hello(b);
	*topic = books_topic(b, "t", 3);
}

/* --- offsets -----------------------------------------------------------------------------------
 */

static void test_offsets_are_given_one_after_the_other(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	struct batch batches[] = {
		{ t, 0, .records = 3 },
		{ t, 0, .records = 1 },
		{ t, 2, .records = 10 },
	};
	const struct peer_commit_file_response_batch *answers = books_file(&b, batches, 3);
	assert_int_equal(answers[0].base_offset, 0);
	assert_int_equal(answers[1].base_offset, 3);
	assert_int_equal(answers[2].base_offset, 0);
	assert_int_equal(answers[0].log_append_time, -1);
	assert_int_equal(answers[0].log_start_offset, 0);
	answers = books_file(&b, batches, 3);
	assert_int_equal(answers[0].base_offset, 4);
	assert_int_equal(answers[2].base_offset, 10);
	assert_int_equal(books_number(&b, "SELECT high_watermark FROM partition WHERE number = 0"),
			 8);
	assert_int_equal(books_number(&b, "SELECT high_watermark FROM partition WHERE number = 1"),
			 0);
	books_close(&b);
}

static void test_a_run_is_a_stretch_of_one_file(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	struct batch batches[] = {
		{ t, 0, .records = 3, .size = 70, .timestamp = 5 },
		{ t, 0, .records = 2, .size = 30, .timestamp = 9 },
		{ t, 0, .records = 1, .size = 11, .timestamp = 7 },
		{ t, 1, .records = 4, .size = 40, .timestamp = 1 },
	};
	(void)books_file(&b, batches, 4);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run"), 2);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run WHERE base_offset = 0 AND"
					  " last_offset = 5 AND position = 64 AND size = 111 AND"
					  " max_timestamp = 9"),
			 1);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run WHERE base_offset = 0 AND"
					  " last_offset = 3 AND position = 175 AND size = 40"),
			 1);
	assert_int_equal(books_number(&b, "SELECT run_count FROM file"), 2);
	assert_int_equal(books_number(&b, "SELECT dead_ms IS NULL FROM file"), 1);
	books_close(&b);
}

/* --- the same again ----------------------------------------------------------------------------
 */

/* C2 */
static void test_the_same_file_gets_the_same_answer(void **state)
{
	struct peer_commit_file_response first, second;
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	struct batch batches[] = { { t, 0, .records = 3 }, { t, 9, .records = 1 } };
	const struct peer_commit_file_request *request = books_request(&b, batches, 2);
	assert_int_equal(books_commit(&b, request, &first), OK);
	(void)books_batch(&b, (struct batch) { t, 0, .records = 5 });
	assert_int_equal(books_commit(&b, request, &second), OK);
	assert_int_equal(second.runs_count, 2);
	assert_int_equal(second.runs[0].batches[0].base_offset, 0);
	assert_int_equal(second.runs[1].batches[0].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(books_number(&b, "SELECT high_watermark FROM partition WHERE number = 0"),
			 8);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file"), 2);
	books_close(&b);
}

static void test_answers_that_were_seen_are_forgotten(void **state)
{
	struct peer_commit_file_response response;
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	struct batch batch = { t, 0, .records = 1 };
	struct peer_commit_file_request *requests[4];
	for (int i = 0; i < 4; i++)
		requests[i] = books_request(&b, &batch, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(books_commit(&b, requests[i], &response), OK);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file WHERE reply IS NOT NULL"), 3);
	requests[3]->low_sequence = 2;
	assert_int_equal(books_commit(&b, requests[3], &response), OK);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file WHERE reply IS NOT NULL"), 2);
	assert_int_equal(books_commit(&b, requests[2], &response), OK);
	assert_int_equal(books_commit(&b, requests[1], &response), ERR_INVALID);
	assert_int_equal(books_number(&b, "SELECT high_watermark FROM partition WHERE number = 0"),
			 4);
	books_close(&b);
}

/* --- who may commit ----------------------------------------------------------------------------
 */

static void test_files_are_committed_one_after_the_other(void **state)
{
	struct peer_commit_file_request *requests[3];
	struct peer_commit_file_response response;
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	struct batch batch = { t, 0, .records = 1 };
	for (int i = 0; i < 3; i++)
		requests[i] = books_request(&b, &batch, 1);
	requests[2]->after_sequence = requests[1]->sequence;
	assert_int_equal(books_commit(&b, requests[2], &response), ERR_BUSY);
	assert_int_equal(books_commit(&b, requests[1], &response), OK);
	assert_int_equal(books_commit(&b, requests[2], &response), OK);
	assert_int_equal(response.runs[0].batches[0].base_offset, 1);
	assert_int_equal(books_commit(&b, requests[2], &response), OK); /* again */
	assert_int_equal(response.runs[0].batches[0].base_offset, 1);
	requests[0]->after_sequence = requests[0]->sequence + 1;
	assert_int_equal(books_commit(&b, requests[0], &response), ERR_INVALID);
	books_close(&b);
}

/* C4 */
static void test_an_earlier_life_of_an_agent_is_refused(void **state)
{
	struct peer_commit_file_response response;
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	struct batch batch = { t, 0, .records = 1 };
	struct peer_commit_file_request *old = books_request(&b, &batch, 1);
	struct peer_commit_file_request *committed = books_request(&b, &batch, 1);
	assert_int_equal(books_commit(&b, committed, &response), OK);
	books_hello(&b);
	assert_int_equal(books_commit(&b, old, &response), ERR_DENIED);
	assert_int_equal(books_commit(&b, committed, &response), ERR_DENIED);
	(void)books_batch(&b, batch);
	assert_int_equal(books_number(&b, "SELECT high_watermark FROM partition WHERE number = 0"),
			 2);
	books_close(&b);
}

/* S2 */
static void test_a_request_that_breaks_the_contract_changes_nothing(void **state)
{
	struct peer_commit_file_response response;
	struct peer_commit_file_request *r;
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	struct batch batches[] = { { t, 0, .records = 1 }, { t, 1, .records = 1 } };
	for (int i = 0; i < 11; i++) {
		r = books_request(&b, batches, 2);
		struct peer_commit_file_request_batch *batch = &r->runs[1].batches[0];
		switch (i) {
		case 0:
			r->key = SLICE("v1/d/00/other");
			break;
		case 1:
			r->size = 0;
			break;
		case 2:
			r->size = 200;
			break; /* the batches do not fit */
		case 3:
			r->low_sequence = r->sequence + 1;
			break;
		case 4:
			r->runs[1].file_offset = -1;
			break;
		case 5:
			r->runs[1].batches_count = 0;
			break;
		case 6:
			batch->size = 0;
			break;
		case 7:
			batch->record_count = 0;
			break;
		case 8:
			batch->last_offset_delta = -1;
			break;
		case 9:
			r->runs[1].file_offset = INT64_MAX; /* its end would be before it */
			break;
		default:
			batch->producer_id = 7;
			break; /* without epoch and sequence */
		}
		assert_int_equal(books_commit(&b, r, &response), ERR_INVALID);
	}
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file"), 0);
	assert_int_equal(books_number(&b, "SELECT sum(high_watermark) FROM partition"), 0);
	books_close(&b);
}

/* --- parts of a file ---------------------------------------------------------------------------
 */

static void test_batches_of_unknown_partitions_are_refused_alone(void **state)
{
	struct books b;
	struct uuid t;
	struct uuid other = { { 1 } };

	(void)state;
	begin(&b, &t);
	struct batch batches[] = {
		{ other, 0, .records = 1 },
		{ t, 0, .records = 1 },
		{ t, 3, .records = 1 },
		{ t, -1, .records = 1 },
	};
	const struct peer_commit_file_response_batch *answers = books_file(&b, batches, 4);
	assert_int_equal(answers[0].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(answers[0].base_offset, -1);
	assert_int_equal(answers[1].error, KAFKA_NONE);
	assert_int_equal(answers[2].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(answers[3].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(books_number(&b, "SELECT position FROM run"), 164);
	books_close(&b);
}

static void test_a_file_nothing_of_which_is_accepted_is_dead(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	(void)books_batch(&b, (struct batch) { t, 5, .records = 1 });
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file WHERE run_count = 0 AND"
					  " dead_ms = 1000"),
			 1);
	books_close(&b);
}

/* C8 */
static void test_a_refused_batch_splits_the_run(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	struct batch batches[] = {
		{ t, 0, .records = 2, .size = 10 },
		{ t, 0, .records = 1, .size = 20, .producer_id = 7, .sequence = 0 },
		{ t, 0, .records = 1, .size = 30, .producer_id = 7, .sequence = 5 }, /* a gap */
		{ t, 0, .records = 1, .size = 40, .producer_id = 7, .sequence = 0 }, /* again */
		{ t, 0, .records = 1, .size = 50, .producer_id = 7, .sequence = 1 },
		{ t, 0, .records = 4, .size = 60 },
	};
	const struct peer_commit_file_response_batch *answers = books_file(&b, batches, 6);
	assert_int_equal(answers[1].base_offset, 2);
	assert_int_equal(answers[2].error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
	assert_int_equal(answers[3].error, KAFKA_NONE);
	assert_int_equal(answers[3].base_offset, 2);
	assert_int_equal(answers[4].base_offset, 3);
	assert_int_equal(answers[5].base_offset, 4);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run"), 2);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run WHERE base_offset = 0 AND"
					  " last_offset = 2 AND position = 64 AND size = 30"),
			 1);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run WHERE base_offset = 3 AND"
					  " last_offset = 7 AND position = 164 AND size = 110"),
			 1);
	assert_int_equal(books_number(&b, "SELECT run_count FROM file"), 2);
	assert_int_equal(books_number(&b, "SELECT bytes FROM partition WHERE number = 0"), 140);
	books_close(&b);
}

/* C8: a topic that was deleted, a batch out of sequence, and good ones around them. */
static void test_c8_each_batch_of_a_file_is_judged_alone(void **state)
{
	struct books b;
	struct uuid t, gone;

	(void)state;
	begin(&b, &t);
	gone = books_topic(&b, "gone", 1);
	books_do(&b, "UPDATE topic SET deleted_ms = 5 WHERE name = 'gone'");
	struct batch batches[] = {
		{ t, 0, .records = 2, .producer_id = 7, .sequence = 0 },
		{ gone, 0, .records = 1 },
		{ t, 1, .records = 1, .producer_id = 7, .sequence = 3 }, /* never seen there */
		{ t, 1, .records = 3 },
		{ t, 0, .records = 1, .producer_id = 7, .sequence = 9 }, /* a gap */
		{ t, 0, .records = 1, .producer_id = 7, .sequence = 2 },
	};
	const struct peer_commit_file_response_batch *answers = books_file(&b, batches, 6);
	const struct {
		int16_t error;
		int64_t offset;
	} wanted[] = {
		{ KAFKA_NONE, 0 },
		{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1 },
		{ KAFKA_UNKNOWN_PRODUCER_ID, -1 },
		{ KAFKA_NONE, 0 },
		{ KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, -1 },
		{ KAFKA_NONE, 2 },
	};
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(answers[i].error, wanted[i].error);
		assert_int_equal(answers[i].base_offset, wanted[i].offset);
	}
	assert_int_equal(books_number(&b, "SELECT sum(high_watermark) FROM partition"), 6);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run"), 3);
	assert_int_equal(books_number(&b, "SELECT run_count FROM file"), 3);
	assert_int_equal(books_number(&b, "SELECT sum(size) FROM run"), 300);
	books_close(&b);
}

/* --- idempotent producers ----------------------------------------------------------------------
 */

static struct peer_commit_file_response_batch produce(struct books *b, struct uuid t, int16_t epoch,
						      int32_t sequence, int32_t records)
{
	return books_batch(b, (struct batch) { t, 0, .records = records, .producer_id = 7,
					       .epoch = epoch, .sequence = sequence });
}

/* P1, P6 */
static void test_a_repeated_batch_gets_its_first_offset(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	for (int32_t i = 0; i < 7; i++)
		assert_int_equal(produce(&b, t, 0, 2 * i, 2).base_offset, 2 * i);
	for (int32_t i = 2; i < 7; i++) {
		struct peer_commit_file_response_batch answer = produce(&b, t, 0, 2 * i, 2);
		assert_int_equal(answer.error, KAFKA_NONE);
		assert_int_equal(answer.base_offset, 2 * i);
	}
	/* older than what is remembered */
	assert_int_equal(produce(&b, t, 0, 2, 2).error, KAFKA_DUPLICATE_SEQUENCE_NUMBER);
	assert_int_equal(books_number(&b, "SELECT high_watermark FROM partition WHERE number = 0"),
			 14);
	/* through another agent */
	(void)books_hello_as(&b, "other", 0);
	assert_int_equal(produce(&b, t, 0, 12, 2).base_offset, 12);
	books_close(&b);
}

static void test_a_batch_out_of_order_waits_for_the_one_before(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	assert_int_equal(produce(&b, t, 0, 0, 1).base_offset, 0);
	assert_int_equal(produce(&b, t, 0, 2, 1).error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
	assert_int_equal(produce(&b, t, 0, 1, 1).base_offset, 1);
	assert_int_equal(produce(&b, t, 0, 2, 1).base_offset, 2);
	books_close(&b);
}

/* P5: The file of the first batch failed, and that of the second one did not. */
static void test_a_new_producer_begins_at_the_beginning(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	struct peer_commit_file_response_batch second = produce(&b, t, 0, 5, 1);
	assert_int_equal(second.error, KAFKA_UNKNOWN_PRODUCER_ID);
	assert_int_equal(second.base_offset, -1);
	assert_int_equal(second.log_start_offset, 0); /* without it clients only repeat */
	assert_int_equal(produce(&b, t, 0, 0, 5).base_offset, 0);
	assert_int_equal(produce(&b, t, 0, 5, 1).base_offset, 5);
	books_close(&b);
}

/* P2: its leader moved with batches under way, and the agent that got the later ones was faster. */
static void test_p2_batches_that_two_agents_commit_out_of_order_are_all_there_once(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	assert_int_equal(produce(&b, t, 0, 0, 1).base_offset, 0);
	int64_t first = b.incarnation;
	(void)books_hello_as(&b, "other", 0);
	assert_int_equal(produce(&b, t, 0, 2, 1).error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
	assert_int_equal(produce(&b, t, 0, 3, 2).error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
	int64_t second = b.incarnation;
	b.incarnation = first;
	assert_int_equal(produce(&b, t, 0, 1, 1).base_offset, 1);
	b.incarnation = second;
	assert_int_equal(produce(&b, t, 0, 3, 2).error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
	assert_int_equal(produce(&b, t, 0, 1, 1).base_offset, 1); /* all from the first error on */
	assert_int_equal(produce(&b, t, 0, 2, 1).base_offset, 2);
	assert_int_equal(produce(&b, t, 0, 3, 2).base_offset, 3);
	b.incarnation = first;
	assert_int_equal(produce(&b, t, 0, 2, 1).base_offset, 2); /* what was late after all */
	assert_int_equal(books_number(&b, "SELECT high_watermark FROM partition WHERE number = 0"),
			 5);
	books_close(&b);
}

/* P5: what was known of a producer is gone, with the partition's older records or by its age.  The
 * error says where the log starts, and clients begin a new epoch: nothing is lost, nothing there
 * twice, and nobody continues in the old one. */
static void test_p5_a_producer_that_was_forgotten_begins_a_new_epoch(void **state)
{
	struct peer_commit_file_response_batch answer;
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	for (int32_t i = 0; i < 3; i++)
		assert_int_equal(produce(&b, t, 4, i, 1).base_offset, i);
	books_do(&b, "UPDATE partition SET log_start_offset = 2 WHERE number = 0");
	books_do(&b, "DELETE FROM producer");
	answer = produce(&b, t, 4, 3, 1);
	assert_int_equal(answer.error, KAFKA_UNKNOWN_PRODUCER_ID);
	assert_int_equal(answer.base_offset, -1);
	assert_int_equal(answer.log_start_offset, 2);
	assert_int_equal(produce(&b, t, 5, 0, 1).base_offset, 3);
	assert_int_equal(produce(&b, t, 5, 1, 1).base_offset, 4);
	assert_int_equal(produce(&b, t, 5, 0, 1).base_offset, 3); /* again */
	assert_int_equal(produce(&b, t, 4, 3, 1).error, KAFKA_INVALID_PRODUCER_EPOCH);
	assert_int_equal(books_number(&b, "SELECT high_watermark FROM partition WHERE number = 0"),
			 5);
	books_close(&b);
}

/* P3 */
static void test_an_older_epoch_is_fenced(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	assert_int_equal(produce(&b, t, 1, 0, 1).base_offset, 0);
	assert_int_equal(produce(&b, t, 0, 1, 1).error, KAFKA_INVALID_PRODUCER_EPOCH);
	assert_int_equal(produce(&b, t, 2, 1, 1).error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
	assert_int_equal(produce(&b, t, 2, 0, 1).base_offset, 1);
	assert_int_equal(produce(&b, t, 1, 1, 1).error, KAFKA_INVALID_PRODUCER_EPOCH);
	books_close(&b);
}

/* P4 */
static void test_sequences_wrap(void **state)
{
	struct books b;
	struct uuid t;

	(void)state;
	begin(&b, &t);
	int64_t many = INT32_MAX;
	assert_int_equal(produce(&b, t, 0, 0, INT32_MAX).base_offset, 0);
	assert_int_equal(produce(&b, t, 0, INT32_MAX, 3).base_offset, many);
	assert_int_equal(produce(&b, t, 0, 2, 1).base_offset, many + 3);
	assert_int_equal(produce(&b, t, 0, INT32_MAX, 3).base_offset, many);
	assert_int_equal(produce(&b, t, 0, 4, 1).error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
	books_close(&b);
}

/* --- whatever comes ----------------------------------------------------------------------------
 */

static struct batch draw_batch(struct prng *prng, struct uuid t, int32_t *next_sequence)
{
	struct batch batch = {
		.topic = t,
		.partition = (int32_t)prng_below(prng, 4), /* 3 of them are there */
		.records = (int32_t)prng_below(prng, 5) + 1,
		.size = (int32_t)prng_below(prng, 100) + 1,
	};

	if (prng_below(prng, 2)) {
		int32_t *next = &next_sequence[batch.partition];
		batch.producer_id = 7;
		batch.sequence = *next + (prng_below(prng, 4) == 0 ? 3 : 0);
		if (batch.sequence == *next)
			*next += batch.records;
	}
	return batch;
}

/* The runs of a partition cover its offsets, and each run's bytes are the accepted batches'. */
static void check_books(struct books *b, int64_t accepted_records, int64_t accepted_bytes)
{
	assert_int_equal(books_number(b, "SELECT sum(high_watermark) FROM partition"),
			 accepted_records);
	assert_int_equal(books_number(b, "SELECT sum(last_offset - base_offset + 1) FROM run"),
			 accepted_records);
	assert_int_equal(books_number(b, "SELECT sum(size) FROM run"), accepted_bytes);
	assert_int_equal(books_number(b, "SELECT sum(bytes) FROM partition"), accepted_bytes);
	assert_int_equal(books_number(b, "SELECT count(*) FROM run WHERE base_offset <> 0 AND"
					 " NOT EXISTS (SELECT 1 FROM run AS r WHERE r.partition ="
					 " run.partition AND r.last_offset = run.base_offset - 1)"),
			 0);
	assert_int_equal(books_number(b, "SELECT count(*) FROM file WHERE run_count <>"
					 " (SELECT count(*) FROM run WHERE run.file = file.id)"
					 " OR (run_count = 0) <> (dead_ms IS NOT NULL)"),
			 0);
}

static void test_runs_cover_every_offset_once(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct prng prng = { seed };
		int32_t next_sequence[4] = { 0 };
		int64_t records = 0, bytes = 0;
		struct books b;
		struct uuid t;

		begin(&b, &t);
		for (int i = 0; i < 60; i++) {
			struct batch batches[20];
			size_t count = prng_below(&prng, 20) + 1;
			for (size_t k = 0; k < count; k++)
				batches[k] = draw_batch(&prng, t, next_sequence);
			const struct peer_commit_file_response_batch *answers =
				books_file(&b, batches, count);
			for (size_t k = 0; k < count; k++) {
				if (answers[k].error)
					continue;
				records += batches[k].records;
				bytes += batches[k].size;
			}
			arena_reset(&b.arena);
		}
		check_books(&b, records, bytes);
		books_close(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets_are_given_one_after_the_other),
		cmocka_unit_test(test_a_run_is_a_stretch_of_one_file),
		cmocka_unit_test(test_the_same_file_gets_the_same_answer),
		cmocka_unit_test(test_answers_that_were_seen_are_forgotten),
		cmocka_unit_test(test_files_are_committed_one_after_the_other),
		cmocka_unit_test(test_an_earlier_life_of_an_agent_is_refused),
		cmocka_unit_test(test_a_request_that_breaks_the_contract_changes_nothing),
		cmocka_unit_test(test_batches_of_unknown_partitions_are_refused_alone),
		cmocka_unit_test(test_a_file_nothing_of_which_is_accepted_is_dead),
		cmocka_unit_test(test_a_refused_batch_splits_the_run),
		cmocka_unit_test(test_c8_each_batch_of_a_file_is_judged_alone),
		cmocka_unit_test(test_a_repeated_batch_gets_its_first_offset),
		cmocka_unit_test(test_a_batch_out_of_order_waits_for_the_one_before),
		cmocka_unit_test(test_a_new_producer_begins_at_the_beginning),
		cmocka_unit_test(
			test_p2_batches_that_two_agents_commit_out_of_order_are_all_there_once),
		cmocka_unit_test(test_p5_a_producer_that_was_forgotten_begins_a_new_epoch),
		cmocka_unit_test(test_an_older_epoch_is_fenced),
		cmocka_unit_test(test_sequences_wrap),
		cmocka_unit_test(test_runs_cover_every_offset_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
