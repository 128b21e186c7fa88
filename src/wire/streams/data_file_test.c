#include "wire/streams/data_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/memory.h"
#include "base/random.h"
#include "wire/corpus_test.h"
#include "wire/kafka/record_batch_build.h"

static const uint8_t topic_a[16] = { 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
				     0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11 };
static const uint8_t topic_b[16] = { 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22,
				     0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x01 };

static const struct data_file_header header = {
	.cluster_id = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	.incarnation = 0x0102030405060708,
	.sequence = 42,
	.created_ms = 1700000000123,
};

static const uint32_t partition_counts[] = { 8, 2 };
static const char *const names[] = { "orders", "payments.of-2026_11" };

/* Of the golden files, by place. */
static const int64_t known_offsets[] = { 900, -1, -1, 41, 41 };
static const int64_t final_offsets[] = { 900, 70, 72, 41, 50 };

static void add(struct data_file_writer *w, const uint8_t topic_id[16], uint32_t partition,
		struct slice bytes)
{
	struct blob *holder = blob_from(bytes);
	struct slice in = blob_slice(holder);
	struct record_batch batch;

	assert_int_equal(record_batch_next(&in, &batch), OK);
	assert_int_equal(data_file_writer_add(w, topic_id, partition, &batch, holder), OK);
	blob_unref(&holder); /* the writer has its own */
}

/* The five batches of the golden files, in their order of arrival. */
static void add_five(struct data_file_writer *w, const int64_t *final_offsets_or_null)
{
	static const struct {
		const uint8_t *topic_id;
		uint32_t partition;
		const char *name;
		int place;
	} batches[] = {
		{ topic_b, 1, "kafka/batch_kcat_null.hex", 3 },
		{ topic_a, 7, "kafka/batch_java_idempotent.hex", 1 },
		{ topic_a, 2, "kafka/batch_java_transactional.hex", 0 },
		{ topic_b, 1, "kafka/batch_kcat_idempotent.hex", 4 },
		{ topic_a, 7, "kafka/batch_java_zstd.hex", 2 },
	};

	for (size_t i = 0; i < 5; i++) {
		struct buf bytes = corpus_read(batches[i].name);
		if (final_offsets_or_null)
			record_batch_patch(bytes.data, final_offsets_or_null[batches[i].place], 3);
		add(w, batches[i].topic_id, batches[i].partition, buf_slice(&bytes));
		buf_done(&bytes);
	}
}

static struct buf whole(const struct data_file_writer *w)
{
	struct buf file;

	buf_init(&file);
	for (size_t i = 0; i < w->slice_count; i++)
		buf_add_slice(&file, w->slices[i]);
	return file;
}

static void describe_five(struct data_file_writer *w, const int64_t offsets[5])
{
	struct data_file_topic topic;

	data_file_writer_arrange(w);
	for (size_t i = 0; i < 5; i++)
		w->entries[i].base_offset = offsets[i];
	for (size_t i = 0; i < 2; i++) {
		topic.partition_count = partition_counts[i];
		topic.name = slice_from(names[i]);
		memcpy(topic.topic_id, i ? topic_b : topic_a, 16);
		assert_int_equal(data_file_writer_name(w, &topic), OK);
	}
}

static void check_golden(const char *name, uint16_t flags, const int64_t offsets[5])
{
	static const uint32_t arrivals[] = { 2, 1, 4, 0, 3 };
	struct buf golden = corpus_read(name);
	struct data_file_header told = header;
	struct data_file_writer w;

	told.flags = flags;
	data_file_writer_init(&w);
	add_five(&w, flags & DATA_FILE_FINAL_OFFSETS ? offsets : NULL);
	describe_five(&w, offsets);
	data_file_writer_finish(&w, &told);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(w.entries[i].arrival, arrivals[i]);
	assert_int_equal(data_file_writer_size(&w), golden.size);
	struct buf file = whole(&w);
	assert_int_equal(file.size, golden.size);
	assert_memory_equal(file.data, golden.data, golden.size);
	buf_done(&file);
	data_file_writer_done(&w);
	buf_done(&golden);
}

static void test_the_golden_files_are_written_byte_for_byte(void **state)
{
	(void)state;
	check_golden("streams/data_file_v2.hex", 0, known_offsets);
	check_golden("streams/data_file_v2_final.hex", DATA_FILE_FINAL_OFFSETS, final_offsets);
}

static void check_is_read(const char *name, uint16_t version, uint16_t flags,
			  const int64_t offsets[5])
{
	struct buf golden = corpus_read(name);
	struct slice file = buf_slice(&golden);
	struct data_file f;
	struct arena a;

	arena_init(&a);
	assert_int_equal(data_file_decode(&a, file, &f), OK);
	assert_memory_equal(f.header.cluster_id, header.cluster_id, 16);
	assert_int_equal(f.header.version, version);
	assert_int_equal(f.header.flags, flags);
	assert_int_equal(f.header.incarnation, header.incarnation);
	assert_int_equal(f.header.sequence, 42);
	assert_int_equal(f.header.created_ms, 1700000000123);
	assert_int_equal(f.entry_count, 5);
	assert_int_equal(f.size, file.size);
	struct data_file_entry *e = &f.entries[1];
	assert_memory_equal(e->topic_id, topic_a, 16);
	assert_int_equal(e->partition, 7);
	assert_int_equal(e->offset, 64 + f.entries[0].size);
	assert_int_equal(e->size, 159);
	assert_int_equal(e->record_count, 2);
	assert_int_equal(e->last_offset_delta, 1);
	assert_int_equal(e->base_timestamp, 1700000000037);
	assert_int_equal(e->max_timestamp, 1700000000037);
	assert_int_equal(e->producer_id, 77);
	assert_int_equal(e->producer_epoch, 5);
	assert_int_equal(e->base_sequence, 123);
	assert_int_equal(e->attributes, 0);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(f.entries[i].base_offset, offsets ? offsets[i] : -1);
	assert_int_equal(f.topic_count, version == 1 ? 0 : 2);
	for (size_t i = 0; i < f.topic_count; i++) {
		assert_memory_equal(f.topics[i].topic_id, i ? topic_b : topic_a, 16);
		assert_int_equal(f.topics[i].partition_count, partition_counts[i]);
		assert_true(slice_equal(f.topics[i].name, slice_from(names[i])));
	}
	assert_int_equal(data_file_check_body(&f, file), OK);
	arena_done(&a);
	buf_done(&golden);
}

static void test_the_golden_files_are_read(void **state)
{
	(void)state;
	check_is_read("streams/data_file_v1.hex", 1, 0, NULL);
	check_is_read("streams/data_file_v2.hex", 2, 0, known_offsets);
	check_is_read("streams/data_file_v2_final.hex", 2, DATA_FILE_FINAL_OFFSETS, final_offsets);
}

static void check_parts(const char *name, uint16_t version, size_t topic_count)
{
	struct buf golden = corpus_read(name);
	struct slice file = buf_slice(&golden);
	struct data_file_trailer trailer;
	struct data_file_footer footer;
	struct arena a;

	arena_init(&a);
	struct slice tail = slice_part(file, file.size - DATA_FILE_TRAILER_BYTES, file.size);
	assert_int_equal(data_file_decode_trailer(tail, file.size, &trailer), OK);
	assert_int_equal(trailer.entry_count, 5);
	assert_int_equal(trailer.version, version);
	struct slice bytes = slice_part(file, trailer.footer_offset, file.size);
	assert_int_equal(data_file_decode_footer(&a, bytes, file.size, &footer), OK);
	assert_int_equal(footer.entry_count, 5);
	assert_int_equal(footer.topic_count, topic_count);
	assert_int_equal(data_file_decode_trailer(tail, file.size + 1, &trailer), ERR_CORRUPT);
	assert_int_equal(data_file_decode_footer(&a, bytes, file.size - 1, &footer), ERR_CORRUPT);
	arena_done(&a);
	buf_done(&golden);
}

static void test_a_file_is_read_in_parts(void **state)
{
	(void)state;
	check_parts("streams/data_file_v1.hex", 1, 0);
	check_parts("streams/data_file_v2.hex", 2, 2);
}

static void check_cut_off(const char *name)
{
	struct buf golden = corpus_read(name);
	struct data_file f;
	struct arena a;

	arena_init(&a);
	for (size_t size = 0; size < golden.size; size++) {
		uint8_t *copy = memory_take(size ? size : 1);
		memcpy(copy, golden.data, size);
		assert_int_equal(data_file_decode(&a, (struct slice) { copy, size }, &f),
				 ERR_CORRUPT);
		memory_free(copy);
	}
	arena_done(&a);
	buf_done(&golden);
}

static void test_a_file_cut_off_at_any_byte_is_corrupt(void **state)
{
	(void)state;
	check_cut_off("streams/data_file_v1.hex");
	check_cut_off("streams/data_file_v2.hex");
}

/* Base offset and leader epoch of a batch: no checksum covers them, and they mean nothing yet.  Of
 * a compacted file the footer knows the offset. */
static bool is_place_of_a_batch(const struct data_file *f, size_t at)
{
	bool is_final = f->header.flags & DATA_FILE_FINAL_OFFSETS;

	for (size_t i = 0; i < f->entry_count; i++) {
		size_t start = f->entries[i].offset;
		if ((!is_final && at >= start && at < start + 8) ||
		    (at >= start + 12 && at < start + 16))
			return true;
	}
	return false;
}

static void flip_every_bit(const char *name)
{
	struct buf golden = corpus_read(name);
	struct slice file = buf_slice(&golden);
	struct data_file intact, flipped;
	struct arena a, scratch;

	arena_init(&a);
	arena_init(&scratch);
	assert_int_equal(data_file_decode(&a, file, &intact), OK);
	for (size_t at = 0; at < golden.size; at++) {
		for (int bit = 0; bit < 8; bit++) {
			golden.data[at] ^= (uint8_t)(1 << bit);
			enum err err = data_file_decode(&scratch, file, &flipped);
			if (err == OK)
				err = data_file_check_body(&flipped, file);
			golden.data[at] ^= (uint8_t)(1 << bit);
			if (is_place_of_a_batch(&intact, at))
				assert_int_equal(err, OK);
			else
				assert_true(err == ERR_CORRUPT || err == ERR_UNSUPPORTED ||
					    err == ERR_TOO_BIG);
			arena_reset(&scratch);
		}
	}
	arena_done(&scratch);
	arena_done(&a);
	buf_done(&golden);
}

static void test_every_flipped_bit_that_means_something_is_found(void **state)
{
	(void)state;
	flip_every_bit("streams/data_file_v1.hex");
	flip_every_bit("streams/data_file_v2.hex");
	flip_every_bit("streams/data_file_v2_final.hex");
}

/* Put the checksums of header and trailer right after a change. */
static void seal(struct buf *file, size_t footer_size)
{
	uint8_t *trailer = file->data + file->size - DATA_FILE_TRAILER_BYTES;
	uint8_t *footer = trailer - footer_size;

	put_u32(file->data + 60, crc32c((struct slice) { file->data, 60 }));
	put_u32(trailer + 20, crc32c((struct slice) { footer, footer_size + 20 }));
}

static enum err decode_after(const char *name, size_t from_end, size_t size, uint64_t value)
{
	struct buf file = corpus_read(name);
	struct data_file f;
	struct arena a;

	arena_init(&a);
	for (size_t i = 0; i < size; i++)
		file.data[file.size - from_end + i] = (uint8_t)(value >> (8 * (size - 1 - i)));
	uint32_t footer_size = get_u32(file.data + file.size - 24);
	if (footer_size > file.size)
		footer_size = 0;
	seal(&file, footer_size);
	enum err err = data_file_decode(&a, buf_slice(&file), &f);
	arena_done(&a);
	buf_done(&file);
	return err;
}

static void check_lies(const char *name, size_t entry_size, size_t topics_size, uint16_t newer)
{
	const size_t entries = 5 * entry_size + topics_size + DATA_FILE_TRAILER_BYTES;
	const size_t last = entry_size + topics_size + DATA_FILE_TRAILER_BYTES;

	assert_int_equal(decode_after(name, 8, 1, 'H'), OK); /* nothing changed */
	assert_int_equal(decode_after(name, entries - 20, 8, 63), ERR_CORRUPT);
	assert_int_equal(decode_after(name, entries - 28, 4, UINT32_MAX), ERR_CORRUPT);
	assert_int_equal(decode_after(name, last - 28, 4, 81), ERR_CORRUPT); /* beyond the body */
	assert_int_equal(decode_after(name, last - 28, 4, 79), ERR_CORRUPT); /* a gap */
	assert_int_equal(decode_after(name, last - 16, 4, 0), ERR_CORRUPT);  /* not sorted */
	assert_int_equal(decode_after(name, last - 32, 4, UINT32_MAX), ERR_CORRUPT); /* count -1 */
	assert_int_equal(decode_after(name, 32, 8, UINT64_MAX), ERR_CORRUPT);
	assert_int_equal(decode_after(name, 24, 4, UINT32_MAX), ERR_CORRUPT);
	assert_int_equal(decode_after(name, 20, 4, 6), ERR_CORRUPT);
	assert_int_equal(decode_after(name, 20, 4, UINT32_MAX), ERR_TOO_BIG);
	assert_int_equal(decode_after(name, 16, 2, newer), ERR_UNSUPPORTED);
	assert_int_equal(decode_after(name, 16, 2, 0), ERR_CORRUPT);
	assert_int_equal(decode_after(name, 14, 2, 2), ERR_CORRUPT);
	assert_int_equal(decode_after(name, 14, 2, 1), ERR_CORRUPT); /* not as the header */
}

static void test_a_sealed_lie_is_still_found(void **state)
{
	/* 4 + 22 + orders + 22 + payments.of-2026_11 */
	const size_t topics = 4 + 22 + 6 + 22 + 19, end = DATA_FILE_TRAILER_BYTES;
	const size_t entry = topics + DATA_FILE_ENTRY_BYTES + end;
	const char *known = "streams/data_file_v2.hex", *final = "streams/data_file_v2_final.hex";

	(void)state;
	check_lies("streams/data_file_v1.hex", 76, 0, 3);
	check_lies(known, DATA_FILE_ENTRY_BYTES, topics, 3);
	assert_int_equal(decode_after(known, entry - 76, 8, UINT64_MAX - 1), ERR_CORRUPT);
	assert_int_equal(decode_after(known, entry - 76, 8, UINT64_MAX), OK);
	assert_int_equal(decode_after(final, entry - 76, 8, UINT64_MAX), ERR_CORRUPT);
	assert_int_equal(decode_after(final, entry - 76, 8, INT64_MAX), OK); /* one record */
	assert_int_equal(decode_after(final, entry - 76, 8, 41),
			 ERR_CORRUPT); /* as the one before */
	/* of the topics: their count, the second's id, name's length, the first's name's length */
	assert_int_equal(decode_after(known, topics + end, 4, 3), ERR_CORRUPT);
	assert_int_equal(decode_after(known, topics + end, 4, 1), ERR_CORRUPT);
	assert_int_equal(decode_after(known, topics + end, 4, 0), ERR_CORRUPT);
	assert_int_equal(decode_after(known, topics + end, 4, UINT32_MAX), ERR_TOO_BIG);
	assert_int_equal(decode_after(known, 41 + end, 1, 0x11), ERR_CORRUPT);
	assert_int_equal(decode_after(known, 41 + end, 1, 0x23), ERR_CORRUPT);
	assert_int_equal(decode_after(known, 21 + end, 2, 18), ERR_CORRUPT);
	assert_int_equal(decode_after(known, 21 + end, 2, 20), ERR_CORRUPT);
	assert_int_equal(decode_after(known, 21 + end, 2, 0), ERR_CORRUPT);
	assert_int_equal(decode_after(known, topics - 24 + end, 2, 5), ERR_CORRUPT);
	assert_int_equal(decode_after(known, topics - 24 + end, 2, UINT16_MAX), ERR_CORRUPT);
}

static void test_a_newer_version_is_unsupported(void **state)
{
	struct buf file = corpus_read("streams/data_file_v2.hex");
	struct data_file_header h;

	(void)state;
	put_u16(file.data + 8, 3); /* its checksum may be anywhere */
	assert_int_equal(data_file_decode_header(buf_slice(&file), &h), ERR_UNSUPPORTED);
	put_u16(file.data + 8, 0);
	assert_int_equal(data_file_decode_header(buf_slice(&file), &h), ERR_CORRUPT);
	buf_done(&file);
}

static void test_as_many_topics_have_names_as_may(void **state)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct record record = { .value = SLICE("x") };
	struct data_file_topic topic = { .partition_count = 1, .name = SLICE("t") };
	struct data_file_writer w;
	struct data_file f;
	struct buf bytes;
	struct arena a;

	(void)state;
	arena_init(&a);
	buf_init(&bytes);
	record_batch_build(&bytes, &plan, &record, 1);
	data_file_writer_init(&w);
	for (uint32_t i = 0; i <= DATA_FILE_TOPICS_MAX; i++) {
		put_u32(topic.topic_id, i);
		add(&w, topic.topic_id, 0, buf_slice(&bytes));
	}
	data_file_writer_arrange(&w);
	for (uint32_t i = 0; i <= DATA_FILE_TOPICS_MAX; i++) {
		put_u32(topic.topic_id, i);
		assert_int_equal(data_file_writer_name(&w, &topic),
				 i < DATA_FILE_TOPICS_MAX ? OK : ERR_FULL);
	}
	data_file_writer_finish(&w, &header);
	struct buf file = whole(&w);
	assert_int_equal(data_file_decode(&a, buf_slice(&file), &f), OK);
	assert_int_equal(f.topic_count, DATA_FILE_TOPICS_MAX);
	buf_done(&file);
	data_file_writer_done(&w);
	buf_done(&bytes);
	arena_done(&a);
}

static void test_many_batches_are_sorted_and_keep_their_order(void **state)
{
	struct prng prng = { 5 };
	struct data_file_writer w;
	struct data_file f;
	struct arena a;

	(void)state;
	arena_init(&a);
	data_file_writer_init(&w);
	for (int32_t i = 0; i < 1000; i++) {
		struct record_batch_plan plan = RECORD_BATCH_PLAIN;
		struct record record = { .timestamp_ms = i, .value = SLICE("x") };
		struct buf bytes;
		buf_init(&bytes);
		plan.producer_id = plan.producer_epoch = 0;
		plan.base_sequence = i;
		record_batch_build(&bytes, &plan, &record, 1);
		add(&w, prng_below(&prng, 2) ? topic_a : topic_b, (uint32_t)prng_below(&prng, 3),
		    buf_slice(&bytes));
		buf_done(&bytes);
	}
	data_file_writer_finish(&w, &header);
	struct buf file = whole(&w);
	assert_int_equal(data_file_decode(&a, buf_slice(&file), &f), OK);
	assert_int_equal(data_file_check_body(&f, buf_slice(&file)), OK);
	assert_int_equal(f.entry_count, 1000);
	for (size_t i = 1; i < 1000; i++) {
		struct data_file_entry *left = &f.entries[i - 1], *right = &f.entries[i];
		int order = memcmp(left->topic_id, right->topic_id, 16);
		assert_true(order <= 0);
		if (order == 0)
			assert_true(left->partition <= right->partition);
		if (order == 0 && left->partition == right->partition)
			assert_true(left->base_sequence < right->base_sequence);
		assert_int_equal(w.entries[i].arrival, right->base_sequence);
	}
	buf_done(&file);
	data_file_writer_done(&w);
	arena_done(&a);
}

static void test_neighbours_in_memory_become_one_slice(void **state)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct record record = { .value = SLICE("x") };
	struct data_file_writer w;
	struct record_batch batch;
	struct buf bytes;

	(void)state;
	buf_init(&bytes);
	for (int i = 0; i < 3; i++)
		record_batch_build(&bytes, &plan, &record, 1);
	struct blob *holder = blob_from(buf_slice(&bytes));
	struct slice in = blob_slice(holder);
	data_file_writer_init(&w);
	while (in.size) {
		assert_int_equal(record_batch_next(&in, &batch), OK);
		assert_int_equal(data_file_writer_add(&w, topic_a, 0, &batch, holder), OK);
	}
	assert_int_equal(holder->refs, 4);
	data_file_writer_finish(&w, &header);
	assert_int_equal(w.slice_count, 3);
	assert_ptr_equal(w.slices[1].data, holder->data);
	data_file_writer_done(&w);
	assert_int_equal(holder->refs, 1);
	blob_unref(&holder);
	buf_done(&bytes);
}

static void test_a_full_file_takes_no_more(void **state)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct data_file_writer w;
	struct record_batch batch;
	struct buf bytes;
	size_t size = 60 << 20;
	uint8_t *value = memory_take(size);

	(void)state;
	buf_init(&bytes);
	struct record record = { .value = { value, size } };
	record_batch_build(&bytes, &plan, &record, 1);
	struct blob *holder = blob_from(buf_slice(&bytes));
	struct slice in = blob_slice(holder);
	assert_int_equal(record_batch_next(&in, &batch), OK);
	data_file_writer_init(&w);
	assert_int_equal(data_file_writer_add(&w, topic_a, 0, &batch, holder), OK);
	assert_int_equal(data_file_writer_add(&w, topic_a, 0, &batch, holder), OK);
	assert_int_equal(data_file_writer_add(&w, topic_a, 0, &batch, holder), ERR_FULL);
	assert_int_equal(w.batch_count, 2);
	assert_int_equal(holder->refs, 3);
	data_file_writer_done(&w); /* never finished: an agent may give up */
	blob_unref(&holder);
	buf_done(&bytes);
	memory_free(value);
}

static void test_names_are_made_and_taken_apart(void **state)
{
	static const struct {
		uint64_t incarnation, sequence;
		const char *key;
	} cases[] = {
		{ 1, 1, "v1/d/78/0000000000000001-0000000000000001" },
		{ 0x0102030405060708, 42, "v1/d/5c/0102030405060708-000000000000002a" },
		{ UINT64_MAX, 0, "v1/d/ea/ffffffffffffffff-0000000000000000" },
	};
	char key[DATA_FILE_KEY_BYTES + 1];
	uint64_t incarnation, sequence;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		data_file_key(key, cases[i].incarnation, cases[i].sequence);
		assert_string_equal(key, cases[i].key);
		assert_int_equal(data_file_key_parse(slice_from(key), &incarnation, &sequence), OK);
		assert_int_equal(incarnation, cases[i].incarnation);
		assert_int_equal(sequence, cases[i].sequence);
		for (size_t at = 0; at < DATA_FILE_KEY_BYTES; at++) {
			key[at] = key[at] == '0' ? '1' : '0';
			assert_int_equal(data_file_key_parse(slice_from(key), &incarnation,
							     &sequence),
					 ERR_INVALID);
			data_file_key(key, cases[i].incarnation, cases[i].sequence);
		}
	}
	assert_int_equal(data_file_key_parse(SLICE("v1/d/"), &incarnation, &sequence), ERR_INVALID);
	assert_int_equal(data_file_key_parse(SLICE("v1/d/EA/FFFFFFFFFFFFFFFF-0000000000000000"),
					     &incarnation, &sequence),
			 ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_golden_files_are_written_byte_for_byte),
		cmocka_unit_test(test_the_golden_files_are_read),
		cmocka_unit_test(test_a_file_is_read_in_parts),
		cmocka_unit_test(test_a_file_cut_off_at_any_byte_is_corrupt),
		cmocka_unit_test(test_every_flipped_bit_that_means_something_is_found),
		cmocka_unit_test(test_a_sealed_lie_is_still_found),
		cmocka_unit_test(test_a_newer_version_is_unsupported),
		cmocka_unit_test(test_as_many_topics_have_names_as_may),
		cmocka_unit_test(test_many_batches_are_sorted_and_keep_their_order),
		cmocka_unit_test(test_neighbours_in_memory_become_one_slice),
		cmocka_unit_test(test_a_full_file_takes_no_more),
		cmocka_unit_test(test_names_are_made_and_taken_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
