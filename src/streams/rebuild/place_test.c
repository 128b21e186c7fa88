/* Random histories of one partition: agents that write side by side, files that are committed late,
 * in another order or never, repetitions of idempotent producers, and compaction that has come to
 * some place.  What place.h tells of it is compared with what was. */
#include "streams/rebuild/place.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
	HISTORIES = 300,
	AGENTS = 3,
	FILES = 40,
	BATCHES_MAX = 1000,
	PRODUCERS = 4,
	COMPACTION_INCARNATION = 100,
};

static uint64_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

struct file {
	int64_t incarnation, sequence;
	int64_t least; /* what its agent had heard of */
	size_t first, count;
	bool is_open, is_committed;
};

struct history {
	struct place_batch written[BATCHES_MAX]; /* as in producers' files */
	int64_t truth[BATCHES_MAX];		 /* offset; -1: was not accepted */
	size_t count;
	struct file files[FILES];
	size_t file_count;
	int64_t high_watermark;
	int32_t next_sequence[PRODUCERS], accepted[PRODUCERS];
	uint32_t next_crc;
};

/* A producer without sequences, or the next batch of one with, or again what it wrote last. */
static void write_batch(struct history *h, const struct file *f)
{
	struct place_batch *b = &h->written[h->count];
	uint32_t producer = below(PRODUCERS + 2);
	int32_t records = 1 + (int32_t)below(5);

	*b = (struct place_batch) {
		.file = f->incarnation * 1000 + f->sequence,
		.incarnation = f->incarnation,
		.sequence = f->sequence,
		.position = 64 + 100 * (int64_t)(h->count - f->first),
		.size = 100,
		.base_offset = f->least,
		.producer_id = -1,
		.base_sequence = -1,
		.crc = ++h->next_crc,
		.record_count = records,
		.last_offset_delta = records - 1,
	};
	h->truth[h->count++] = -1;
	if (producer >= PRODUCERS)
		return;
	b->producer_id = producer;
	b->base_sequence = h->next_sequence[producer];
	h->next_sequence[producer] += records;
}

/* Its agent never heard the answer: it puts the same batches into another file. */
static void repeat_batches(struct history *h, const struct file *f, const struct file *of)
{
	for (size_t i = of->first; i < of->first + of->count && h->count < BATCHES_MAX; i++) {
		if (h->written[i].producer_id < 0)
			continue;
		struct place_batch *b = &h->written[h->count];
		*b = h->written[i];
		b->file = f->incarnation * 1000 + f->sequence;
		b->incarnation = f->incarnation;
		b->sequence = f->sequence;
		b->position = 64 + 100 * (int64_t)(h->count - f->first);
		b->base_offset = f->least;
		h->truth[h->count++] = -1;
	}
}

static void close_file(struct history *h, uint32_t agents)
{
	struct file *f = &h->files[h->file_count++];

	*f = (struct file) {
		.incarnation = 1 + below(agents),
		.sequence = (int64_t)h->file_count,
		.least = h->high_watermark,
		.first = h->count,
		.is_open = true,
	};
	for (uint32_t n = 1 + below(4); n > 0; n--)
		write_batch(h, f);
	f->count = h->count - f->first;
}

/* As control does: what was accepted before is a repetition, what is ahead is refused. */
static void commit(struct history *h, struct file *f)
{
	f->is_open = false;
	f->is_committed = true;
	for (size_t i = f->first; i < f->first + f->count; i++) {
		const struct place_batch *b = &h->written[i];
		if (b->producer_id >= 0 && b->base_sequence != h->accepted[b->producer_id])
			continue;
		if (b->producer_id >= 0)
			h->accepted[b->producer_id] += b->record_count;
		h->truth[i] = h->high_watermark;
		h->high_watermark += b->last_offset_delta + 1;
	}
}

static bool has_sequences(const struct history *h, const struct file *f)
{
	for (size_t i = f->first; i < f->first + f->count; i++)
		if (h->written[i].producer_id >= 0)
			return true;
	return false;
}

/* Files with batches of one producer are committed in their order, others as they come. */
static struct file *next_open(struct history *h)
{
	struct file *found = NULL;
	bool is_bound = false; /* one before it has sequences */

	for (size_t i = 0; i < h->file_count; i++) {
		struct file *f = &h->files[i];
		bool has = has_sequences(h, f);
		if (f->is_open && !(is_bound && has) && (!found || below(2)))
			found = f;
		is_bound |= f->is_open && has;
	}
	return found;
}

static void make_history(struct history *h, uint32_t agents, uint32_t ahead)
{
	*h = (struct history) { .next_crc = 7 };
	while (h->file_count + 2 < FILES) {
		close_file(h, agents);
		struct file *f = &h->files[h->file_count - 1];
		if (ahead > 0 && below(8) == 0 && h->count + 10 < BATCHES_MAX) {
			struct file *again = &h->files[h->file_count++];
			*again = (struct file) { f->incarnation,
						 (int64_t)h->file_count,
						 h->high_watermark,
						 h->count,
						 0,
						 true,
						 false };
			repeat_batches(h, again, f);
			again->count = h->count - again->first;
		}
		if (ahead == 0 || below(ahead) == 0)
			while ((f = next_open(h)))
				commit(h, f);
	}
	struct file *f;
	while ((f = next_open(h)))
		commit(h, f);
}

/* What is in the bucket: with compaction up to `compacted`, and some of what it read. */
static size_t make_bucket(const struct history *h, int64_t compacted, uint32_t kept,
			  struct place_batch *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < h->count; i++) {
		bool is_final = h->truth[i] >= 0 && h->truth[i] < compacted;
		if (is_final) {
			ret[count] = h->written[i];
			ret[count].file = ret[count].incarnation = COMPACTION_INCARNATION;
			ret[count].base_offset = h->truth[i];
			ret[count].position = 64 + 100 * h->truth[i];
			ret[count++].is_final = true;
		}
		/* a file of which something is read stays as a whole */
		bool is_read = false;
		for (size_t k = 0; k < h->count; k++)
			is_read |= h->written[k].file == h->written[i].file &&
				   h->truth[k] >= compacted;
		if (is_read || h->written[i].file % 4 < kept)
			ret[count++] = h->written[i];
	}
	return count;
}

static int64_t truth_of(const struct history *h, const struct place_batch *b)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->truth[i] >= 0 && h->written[i].crc == b->crc)
			return h->truth[i];
	return -1;
}

static void check_sound(const struct place_batch *b, size_t count, const struct place_end *end)
{
	int64_t next = end->log_start;

	for (size_t i = 0; i < count && b[i].offset >= 0; i++) {
		assert_true(b[i].offset >= next);
		next = place_behind(&b[i]);
	}
	assert_true(end->high_watermark >= next && end->last_placed == next);
}

/* Nothing that was accepted is missing, or there twice. */
static void check_whole(const struct history *h, const struct place_batch *b, size_t count)
{
	for (size_t i = 0; i < h->count; i++) {
		int found = 0;
		for (size_t k = 0; k < count; k++)
			found += b[k].offset >= 0 && b[k].crc == h->written[i].crc;
		if (h->truth[i] >= 0)
			assert_int_equal(found, 1);
	}
}

static size_t check_truth(const struct history *h, const struct place_batch *b, size_t count)
{
	size_t certain = 0;

	for (size_t i = 0; i < count; i++) {
		if (b[i].outcome != PLACE_CERTAIN)
			continue;
		certain++;
		assert_int_equal(b[i].offset, truth_of(h, &b[i]));
	}
	return certain;
}

static void test_nothing_is_lost_twice_or_called_certain_that_is_not(void **unused)
{
	static struct place_batch found[2 * BATCHES_MAX];
	static struct history h;
	size_t certain = 0, all = 0;
	struct place_end end;

	(void)unused;
	for (int n = 0; n < HISTORIES; n++) {
		make_history(&h, 1 + below(AGENTS), below(5));
		int64_t compacted = below((uint32_t)h.high_watermark + 1);
		size_t count = make_bucket(&h, compacted, below(5), found);
		place_batches(found, count, &end);
		check_sound(found, count, &end);
		check_whole(&h, found, count);
		certain += check_truth(&h, found, count);
		all += h.count;
		assert_true(end.high_watermark >= h.high_watermark);
	}
	assert_true(certain > all / 2);
}

static void test_what_one_agent_wrote_piece_by_piece_is_certain_but_the_end(void **unused)
{
	static struct place_batch found[2 * BATCHES_MAX];
	static struct history h;
	struct place_end end;

	(void)unused;
	for (int n = 0; n < HISTORIES / 10; n++) {
		make_history(&h, 1, 0);
		size_t count = make_bucket(&h, 0, 4, found);
		place_batches(found, count, &end);
		size_t last = h.files[h.file_count - 1].count;
		assert_int_equal(check_truth(&h, found, count), h.count - last);
		assert_int_equal(end.high_watermark, h.high_watermark);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(found[i].offset, truth_of(&h, &found[i]));
	}
}

/* --- cases -------------------------------------------------------------------------------------
 */

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

static void test_what_compaction_left_out_is_no_room(void **unused)
{
	struct place_batch b[] = { compacted_batch(9, 0, 1), compacted_batch(9, 30, 2),
				   producer_batch(5, 0, 3) };
	struct place_end end;

	(void)unused;
	place_batches(b, 3, &end);
	assert_int_equal(b[2].crc, 3);
	assert_int_equal(b[2].offset, 40);
	assert_int_equal(b[2].outcome, PLACE_LIKELY);
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
		cmocka_unit_test(test_nothing_is_lost_twice_or_called_certain_that_is_not),
		cmocka_unit_test(test_what_one_agent_wrote_piece_by_piece_is_certain_but_the_end),
		cmocka_unit_test(test_a_damaged_batch_keeps_its_offsets_free),
		cmocka_unit_test(test_a_file_that_is_gone_leaves_a_hole),
		cmocka_unit_test(test_a_whole_copy_takes_the_place_of_a_damaged_one),
		cmocka_unit_test(test_the_same_bytes_later_are_another_batch),
		cmocka_unit_test(test_of_two_compactions_the_newer_counts),
		cmocka_unit_test(test_what_compaction_left_out_is_no_room),
		cmocka_unit_test(test_between_two_compactions_there_is_room),
		cmocka_unit_test(test_each_copy_counts_once),
		cmocka_unit_test(test_what_came_too_early_waits_for_its_repetition),
		cmocka_unit_test(test_who_came_first_is_not_guessed_to_be_certain),
		cmocka_unit_test(test_nothing_is_an_empty_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
