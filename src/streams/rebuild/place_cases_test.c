/* Cases of one rule each; random histories are in place_test.c. */
#include "streams/rebuild/place.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct place_batch producer_batch(int64_t sequence, int64_t least, uint32_t crc)
{
	return (struct place_batch) { .file = sequence,
				      .incarnation = 1,
				      .sequence = sequence,
				      .base_offset = least,
				      .producer_id = -1,
				      .base_sequence = -1,
				      .size = 100,
				      .crc = crc,
				      .record_count = 10,
				      .last_offset_delta = 9 };
}

static struct place_batch compacted_batch(int64_t incarnation, int64_t offset, uint32_t crc)
{
	struct place_batch b = producer_batch(1, offset, crc);

	b.file = b.incarnation = incarnation;
	b.is_final = true;
	return b;
}

/* Of compaction by key. */
static struct place_batch passed_batch(int64_t incarnation, int64_t offset, uint32_t crc)
{
	struct place_batch b = compacted_batch(incarnation, offset, crc);

	b.sequence = 2;
	return b;
}

static void test_a_damaged_batch_keeps_its_offsets_free(void **unused)
{
	struct place_batch b[] = { producer_batch(1, 0, 1), producer_batch(2, 10, 2),
				   producer_batch(3, 20, 3) };
	struct place_end end;

	(void)unused;
	b[1].is_damaged = true;
	place_batches(b, 3, &end);
	assert_int_equal(b[1].offset, 10);
	assert_int_equal(b[1].outcome, PLACE_DAMAGED);
	assert_int_equal(b[2].offset, 20);
	assert_int_equal(end.high_watermark, 30);
}

static void test_a_file_that_is_gone_leaves_a_hole(void **unused)
{
	struct place_batch b[] = { producer_batch(1, 0, 1), producer_batch(3, 20, 3) };
	struct place_end end;

	(void)unused;
	place_batches(b, 2, &end);
	assert_int_equal(b[1].offset, 20);
	assert_int_equal(end.high_watermark, 30);
}

static void test_a_whole_copy_takes_the_place_of_a_damaged_one(void **unused)
{
	struct place_batch b[] = { producer_batch(1, 0, 1), compacted_batch(9, 0, 1) };
	struct place_end end;

	(void)unused;
	b[1].is_damaged = true;
	place_batches(b, 2, &end);
	assert_false(b[0].is_final);
	assert_int_equal(b[0].offset, 0);
	assert_int_equal(b[0].outcome, PLACE_CERTAIN);
	assert_int_equal(b[1].outcome, PLACE_COPY);
	assert_int_equal(end.high_watermark, 10);
}

static void test_the_same_bytes_later_are_another_batch(void **unused)
{
	struct place_batch b[] = { producer_batch(5, 10, 1), compacted_batch(9, 0, 1) };
	struct place_end end;

	(void)unused;
	place_batches(b, 2, &end);
	assert_int_equal(b[0].offset, 0);
	assert_int_equal(b[1].offset, 10);
	assert_int_equal(end.high_watermark, 20);
}

static void test_of_two_compactions_the_newer_counts(void **unused)
{
	struct place_batch b[] = { compacted_batch(7, 0, 1), compacted_batch(9, 0, 2) };
	struct place_end end;

	(void)unused;
	place_batches(b, 2, &end);
	assert_int_equal(b[0].incarnation, 9);
	assert_int_equal(b[0].outcome, PLACE_CERTAIN);
	assert_int_equal(b[1].outcome, PLACE_COPY);
	assert_int_equal(end.high_watermark, 10);
}

static void test_what_compaction_by_key_left_out_does_not_come_back(void **unused)
{
	struct place_batch b[] = { passed_batch(9, 0, 1), passed_batch(9, 30, 2),
				   producer_batch(5, 0, 3) };
	struct place_end end;

	(void)unused;
	place_batches(b, 3, &end);
	assert_int_equal(b[2].crc, 3);
	assert_int_equal(b[2].offset, -1);
	assert_int_equal(b[2].outcome, PLACE_LEFT);
	assert_int_equal(end.high_watermark, 40);
}

static void test_records_that_a_pass_left_out_of_a_batch_do_not_come_back(void **unused)
{
	struct place_batch b[] = { passed_batch(9, 0, 1), passed_batch(9, 10, 2),
				   producer_batch(5, 0, 3), producer_batch(6, 20, 4) };
	struct place_end end;

	(void)unused;
	b[1].record_count = 4;
	place_batches(b, 4, &end);
	assert_int_equal(b[2].crc, 4);
	assert_int_equal(b[2].offset, 20);
	assert_int_equal(b[3].crc, 3);
	assert_int_equal(b[3].outcome, PLACE_LEFT);
}

static void test_a_file_of_which_a_pass_took_a_batch_was_taken_whole(void **unused)
{
	struct place_batch b[] = { passed_batch(9, 0, 1),    passed_batch(9, 20, 2),
				   producer_batch(5, 0, 1),  producer_batch(5, 0, 3),
				   producer_batch(6, 20, 2), producer_batch(6, 20, 4) };
	struct place_end end;

	(void)unused;
	b[3].position = b[5].position = 100;
	b[1].file = 10; /* there is room before it */
	place_batches(b, 6, &end);
	assert_int_equal(b[2].crc, 4); /* behind the end of the pass */
	assert_int_equal(b[2].offset, 30);
	assert_int_equal(end.last_placed, 40);
	for (size_t i = 3; i < 6; i++)
		assert_int_equal(b[i].outcome, b[i].crc == 3 ? PLACE_LEFT : PLACE_COPY);
}

static void test_what_was_behind_a_pass_takes_no_room_before_it(void **unused)
{
	struct place_batch b[] = { passed_batch(9, 10, 1), producer_batch(5, 0, 1),
				   producer_batch(5, 0, 2) };
	struct place_end end;

	(void)unused;
	b[2].position = 100;
	place_batches(b, 3, &end);
	assert_int_equal(b[0].offset, 10);
	assert_int_equal(b[1].crc, 2);
	assert_int_equal(b[1].offset, 20);
}

static void test_a_stretch_that_a_pass_did_not_change_is_doubtful(void **unused)
{
	struct place_batch b[] = { passed_batch(9, 0, 1), passed_batch(9, 30, 2),
				   producer_batch(5, 10, 3), producer_batch(6, 10, 4),
				   producer_batch(7, 10, 5) };
	struct place_end end;

	(void)unused;
	b[1].file = 10;
	place_batches(b, 5, &end);
	for (size_t i = 1; i < 3; i++) {
		assert_int_equal(b[i].offset, 10 * i);
		assert_int_equal(b[i].outcome, PLACE_DOUBTFUL);
	}
	assert_int_equal(b[4].crc, 5); /* there is no room for it, and behind would be wrong */
	assert_int_equal(b[4].outcome, PLACE_LEFT);
	assert_int_equal(end.last_placed, 40);
}

static void test_between_groups_of_one_job_there_is_room(void **unused)
{
	struct place_batch b[] = { compacted_batch(9, 0, 1), compacted_batch(9, 20, 2),
				   producer_batch(5, 10, 3) };
	struct place_end end;

	(void)unused;
	place_batches(b, 3, &end);
	assert_int_equal(b[1].crc, 3);
	assert_int_equal(b[1].offset, 10);
	assert_int_equal(b[1].outcome, PLACE_CERTAIN);
}

static void test_the_same_bytes_beside_what_was_not_compacted_are_no_copy(void **unused)
{
	struct place_batch b[] = { compacted_batch(9, 0, 1), producer_batch(5, 0, 1),
				   producer_batch(5, 0, 2) };
	struct place_end end;

	(void)unused;
	b[2].position = 100;
	place_batches(b, 3, &end);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(b[i].offset, 10 * i);
	assert_int_equal(end.high_watermark, 30);
}

static void test_between_two_compactions_there_is_room(void **unused)
{
	struct place_batch b[] = { compacted_batch(8, 0, 1), compacted_batch(9, 20, 2),
				   producer_batch(5, 10, 3) };
	struct place_end end;

	(void)unused;
	place_batches(b, 3, &end);
	assert_int_equal(b[1].crc, 3);
	assert_int_equal(b[1].offset, 10);
	assert_int_equal(b[1].outcome, PLACE_CERTAIN);
}

static void test_each_copy_counts_once(void **unused)
{
	struct place_batch b[] = { compacted_batch(9, 0, 1), compacted_batch(9, 10, 1),
				   producer_batch(1, 0, 1), producer_batch(2, 0, 1),
				   producer_batch(3, 0, 1) };
	struct place_end end;

	(void)unused;
	place_batches(b, 5, &end);
	assert_int_equal(b[2].sequence, 3);
	assert_int_equal(b[2].offset, 20);
	assert_int_equal(b[3].outcome, PLACE_COPY);
	assert_int_equal(b[4].outcome, PLACE_COPY);
	assert_int_equal(end.high_watermark, 30);
}

static struct place_batch of_producer(struct place_batch b, int16_t epoch, int32_t sequence)
{
	b.producer_id = 7;
	b.producer_epoch = epoch;
	b.base_sequence = sequence;
	return b;
}

static void test_a_whole_repetition_takes_the_place_of_a_damaged_batch(void **unused)
{
	(void)unused;
	for (int is_final = 0; is_final < 2; is_final++) {
		struct place_batch first =
			is_final ? compacted_batch(9, 0, 1) : producer_batch(1, 0, 1);
		struct place_batch b[] = { of_producer(first, 0, 0),
					   of_producer(producer_batch(2, 10, 1), 0, 0),
					   of_producer(producer_batch(3, 10, 2), 0, 10) };
		struct place_end end;
		b[0].is_damaged = true;
		place_batches(b, 3, &end);
		assert_int_equal(b[0].sequence, 2);
		assert_int_equal(b[0].offset, 0);
		assert_int_equal(b[0].outcome, is_final ? PLACE_CERTAIN : PLACE_LIKELY);
		assert_int_equal(b[1].offset, 10);
		assert_int_equal(b[2].outcome, PLACE_COPY);
		assert_int_equal(end.high_watermark, 20);
	}
}

static void test_a_producer_whose_epoch_is_over_is_doubtful(void **unused)
{
	struct place_batch b[] = { of_producer(producer_batch(1, 0, 1), 4, 0),
				   of_producer(producer_batch(2, 10, 2), 3, 70),
				   of_producer(producer_batch(3, 20, 3), 4, 10),
				   of_producer(producer_batch(4, 30, 3), 4, 10) };
	struct place_end end;

	(void)unused;
	place_batches(b, 4, &end);
	assert_int_equal(b[1].producer_epoch, 3);
	assert_int_equal(b[1].outcome, PLACE_DOUBTFUL);
	assert_int_equal(b[2].sequence, 3); /* it is not early: the epoch did not go down */
	assert_int_equal(b[2].offset, 20);
	assert_int_equal(b[3].outcome, PLACE_COPY);
}

static void test_a_repetition_of_what_a_pass_left_out_does_not_come(void **unused)
{
	struct place_batch b[] = { of_producer(passed_batch(9, 10, 2), 0, 10),
				   of_producer(producer_batch(5, 20, 1), 0, 0),
				   of_producer(producer_batch(6, 20, 3), 0, 20) };
	struct place_end end;

	(void)unused;
	place_batches(b, 3, &end);
	assert_int_equal(b[1].crc, 3);
	assert_int_equal(b[1].offset, 20);
	assert_int_equal(b[2].outcome, PLACE_LEFT);
}

static void test_what_came_too_early_waits_for_its_repetition(void **unused)
{
	struct place_batch b[] = { producer_batch(1, 0, 1), producer_batch(2, 0, 2),
				   producer_batch(3, 10, 3), producer_batch(4, 20, 2) };
	const int32_t sequences[] = { 0, 20, 10, 20 };
	struct place_end end;

	(void)unused;
	for (size_t i = 0; i < 4; i++) {
		b[i].producer_id = 7;
		b[i].base_sequence = sequences[i];
	}
	place_batches(b, 4, &end);
	for (int i = 0; i < 3; i++)
		assert_int_equal(b[i].base_sequence, 10 * i);
	assert_int_equal(b[2].sequence, 4);
	assert_int_equal(b[3].outcome, PLACE_REFUSED);
	assert_int_equal(end.high_watermark, 30);
}

static void test_who_came_first_is_not_guessed_to_be_certain(void **unused)
{
	struct place_batch b[] = { producer_batch(1, 0, 1), producer_batch(2, 0, 2),
				   producer_batch(3, 10, 3), producer_batch(4, 30, 4) };
	struct place_end end;

	(void)unused;
	place_batches(b, 4, &end);
	for (int i = 0; i < 4; i++)
		assert_int_equal(b[i].outcome, PLACE_LIKELY);
}

static void test_nothing_is_an_empty_log(void **unused)
{
	struct place_end end;

	(void)unused;
	place_batches(NULL, 0, &end);
	assert_int_equal(end.log_start, 0);
	assert_int_equal(end.high_watermark, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_damaged_batch_keeps_its_offsets_free),
		cmocka_unit_test(test_a_file_that_is_gone_leaves_a_hole),
		cmocka_unit_test(test_a_whole_copy_takes_the_place_of_a_damaged_one),
		cmocka_unit_test(test_the_same_bytes_later_are_another_batch),
		cmocka_unit_test(test_of_two_compactions_the_newer_counts),
		cmocka_unit_test(test_what_compaction_by_key_left_out_does_not_come_back),
		cmocka_unit_test(test_records_that_a_pass_left_out_of_a_batch_do_not_come_back),
		cmocka_unit_test(test_a_file_of_which_a_pass_took_a_batch_was_taken_whole),
		cmocka_unit_test(test_what_was_behind_a_pass_takes_no_room_before_it),
		cmocka_unit_test(test_a_stretch_that_a_pass_did_not_change_is_doubtful),
		cmocka_unit_test(test_between_groups_of_one_job_there_is_room),
		cmocka_unit_test(test_the_same_bytes_beside_what_was_not_compacted_are_no_copy),
		cmocka_unit_test(test_between_two_compactions_there_is_room),
		cmocka_unit_test(test_each_copy_counts_once),
		cmocka_unit_test(test_a_whole_repetition_takes_the_place_of_a_damaged_batch),
		cmocka_unit_test(test_a_producer_whose_epoch_is_over_is_doubtful),
		cmocka_unit_test(test_a_repetition_of_what_a_pass_left_out_does_not_come),
		cmocka_unit_test(test_what_came_too_early_waits_for_its_repetition),
		cmocka_unit_test(test_who_came_first_is_not_guessed_to_be_certain),
		cmocka_unit_test(test_nothing_is_an_empty_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
