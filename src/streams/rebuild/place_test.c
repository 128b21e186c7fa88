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
	KEYS = 12, /* of compaction by key: each batch has one, crc % KEYS */
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
	bool is_large; /* jobs leave it alone */
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
			*again = (struct file) {
				.incarnation = f->incarnation,
				.sequence = (int64_t)h->file_count,
				.least = h->high_watermark,
				.first = h->count,
				.is_open = true,
			};
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

static const struct file *file_of(const struct history *h, size_t batch)
{
	size_t i = 0;

	while (batch < h->files[i].first || batch >= h->files[i].first + h->files[i].count)
		i++;
	return &h->files[i];
}

static bool is_compacted(const struct history *h, const struct file *f, int64_t compacted)
{
	for (size_t i = f->first; i < f->first + f->count; i++)
		if (h->truth[i] >= compacted)
			return false;
	return !f->is_large;
}

/* What is in the bucket: with compaction up to `compacted` but for large files, and some of what it
 * read. */
static size_t make_bucket(const struct history *h, int64_t compacted, uint32_t kept,
			  struct place_batch *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < h->count; i++) {
		const struct file *f = file_of(h, i);
		bool is_final = h->truth[i] >= 0 && is_compacted(h, f, compacted);
		if (is_final) {
			ret[count] = h->written[i];
			ret[count].file = ret[count].incarnation = COMPACTION_INCARNATION;
			ret[count].sequence = 1;
			ret[count].base_offset = h->truth[i];
			ret[count].position = 64 + 100 * h->truth[i];
			ret[count++].is_final = true;
		}
		if (!is_compacted(h, f, compacted) || h->written[i].file % 4 < kept)
			ret[count++] = h->written[i];
	}
	return count;
}

/* Of one that lost its records too. */
static int64_t truth_of(const struct history *h, const struct place_batch *b)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->truth[i] >= 0 && h->written[i].crc == b->crc % (BATCHES_MAX * KEYS))
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
		for (size_t i = 0; n % 2 && i < h.file_count; i++)
			h.files[i].is_large = below(6) == 0;
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

/* Of two of the same batch the whole one comes, whatever the other is. */
static void test_what_is_whole_anywhere_comes_whole_and_once(void **unused)
{
	static struct place_batch found[2 * BATCHES_MAX];
	static struct history h;
	struct place_end end;
	size_t saved = 0;

	(void)unused;
	for (int n = 0; n < HISTORIES; n++) {
		bool is_whole[BATCHES_MAX + 8] = { false };
		make_history(&h, 1 + below(AGENTS), below(5));
		size_t count = make_bucket(&h, below((uint32_t)h.high_watermark + 1), 4, found);
		for (size_t i = 0; i < count; i++) {
			found[i].is_damaged = below(8) == 0;
			is_whole[found[i].crc] |= !found[i].is_damaged;
		}
		place_batches(found, count, &end);
		check_sound(found, count, &end);
		(void)check_truth(&h, found, count);
		for (size_t i = 0; i < h.count; i++) {
			int whole = 0, damaged = 0;
			for (size_t k = 0; k < count; k++)
				if (found[k].crc == h.written[i].crc) {
					whole += found[k].offset >= 0 && !found[k].is_damaged;
					damaged += found[k].is_damaged;
				}
			if (h.truth[i] >= 0 && is_whole[h.written[i].crc])
				assert_int_equal(whole, 1);
			saved += whole > 0 && damaged > 0;
		}
	}
	assert_true(saved > HISTORIES);
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

/* --- compaction by key -------------------------------------------------------------------------
 */

enum { STRETCHES_MAX = 100, PASS_INCARNATION = 200 };

/* A pass over everything below `end`, a stretch at a time: the
 * last of each key stays, and a stretch of which nothing goes is not written. */
static size_t make_passed_bucket(const struct history *h, int64_t end, uint32_t kept,
				 struct place_batch *ret)
{
	bool changes[STRETCHES_MAX] = { false }, goes[BATCHES_MAX] = { false };
	int64_t stretch = 1 + below(40), last[STRETCHES_MAX] = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < h->count; i++) {
		if (h->truth[i] < 0 || h->truth[i] >= end)
			continue;
		int64_t at = h->truth[i] / stretch % STRETCHES_MAX;
		if (h->truth[i] > last[at])
			last[at] = h->truth[i];
		for (size_t k = 0; k < h->count; k++)
			goes[i] |= h->truth[k] > h->truth[i] && h->truth[k] < end &&
				   h->written[k].crc % KEYS == h->written[i].crc % KEYS;
		changes[at] |= goes[i];
	}
	for (size_t i = 0; i < h->count; i++) {
		bool is_in = h->truth[i] >= 0 && h->truth[i] < end;
		int64_t at = is_in ? h->truth[i] / stretch % STRETCHES_MAX : 0;
		bool is_empty = goes[i] && h->truth[i] == last[at];
		if (is_in && changes[at] && (!goes[i] || is_empty)) {
			struct place_batch *b = &ret[count++];
			*b = h->written[i];
			b->incarnation = PASS_INCARNATION;
			b->sequence = 2 + at;
			b->file = PASS_INCARNATION * 1000 + b->sequence;
			b->base_offset = h->truth[i];
			b->position = 64 + 100 * h->truth[i];
			b->is_final = true;
			b->record_count = is_empty ? 0 : b->record_count;
			b->crc += is_empty ? BATCHES_MAX * KEYS : 0;
		}
		const struct file *f = file_of(h, i);
		bool is_read = false;
		for (size_t k = f->first; k < f->first + f->count; k++)
			is_read |= h->truth[k] >= end ||
				   (h->truth[k] >= 0 &&
				    !changes[h->truth[k] / stretch % STRETCHES_MAX]);
		if (is_read || h->written[i].file % 4 < kept)
			ret[count++] = h->written[i];
	}
	return count;
}

/* The newest of a key is never before an older one, and is there, or counted.  Behind what the pass
 * wrote last is only what it did not touch, in the likely order. */
static void check_keys(const struct history *h, int64_t end, const struct place_batch *b,
		       size_t count)
{
	int64_t written = 0;

	for (size_t i = 0; i < count; i++)
		if (b[i].is_final && b[i].offset >= 0)
			written = place_behind(&b[i]);
	for (size_t i = 0; i < count && b[i].offset >= 0; i++) {
		int64_t truth = truth_of(h, &b[i]);
		for (size_t k = 0; k < i; k++)
			if (b[k].crc % KEYS == b[i].crc % KEYS && b[i].record_count > 0 &&
			    b[k].record_count > 0 && b[i].outcome != PLACE_DOUBTFUL &&
			    b[k].outcome != PLACE_DOUBTFUL && truth < written && truth >= 0)
				assert_true(truth_of(h, &b[k]) < truth);
	}
	for (size_t i = 0; i < h->count; i++) {
		bool is_found = false;
		for (size_t k = 0; k < count; k++)
			is_found |= b[k].crc == h->written[i].crc &&
				    (b[k].offset >= 0 || b[k].outcome == PLACE_LEFT);
		if (h->truth[i] >= end)
			assert_true(is_found);
	}
}

/* L7 */
static void test_old_records_do_not_come_behind_the_newest_of_their_key(void **unused)
{
	static struct place_batch found[2 * BATCHES_MAX];
	static struct history h;
	struct place_end end;
	size_t left = 0, all = 0;

	(void)unused;
	for (int n = 0; n < 4 * HISTORIES; n++) {
		make_history(&h, 1 + below(AGENTS), below(5));
		int64_t passed = below((uint32_t)h.high_watermark + 1);
		size_t count = make_passed_bucket(&h, passed, below(5), found);
		place_batches(found, count, &end);
		check_sound(found, count, &end);
		check_keys(&h, passed, found, count);
		(void)check_truth(&h, found, count);
		for (size_t i = 0; i < count; i++)
			left += found[i].outcome == PLACE_LEFT;
		all += count;
	}
	assert_true(left > 0 && left < all / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_lost_twice_or_called_certain_that_is_not),
		cmocka_unit_test(test_what_is_whole_anywhere_comes_whole_and_once),
		cmocka_unit_test(test_what_one_agent_wrote_piece_by_piece_is_certain_but_the_end),
		cmocka_unit_test(test_old_records_do_not_come_behind_the_newest_of_their_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
