/* Any bytes as a batch in a compacted partition: the first byte says which records stay.  What is
 * left can be read, holds what was to stay, and does not change when it is filtered again.
 * seeds: test/corpus/kafka */
#include <assert.h>

#include "base/memory.h"
#include "wire/corpus_fuzz.h"
#include "wire/kafka/record_filter.h"

enum { FUZZ_NOW_MS = 1000, FUZZ_RECORDS_BYTES_MAX = 1 << 20 };

struct choice {
	uint8_t bits;
	int32_t asked, kept;
};

static bool keeps(void *context, int64_t offset, const struct record *record)
{
	struct choice *choice = context;
	bool ret = choice->bits >> (offset % 8) & 1;

	(void)record;
	choice->asked++;
	choice->kept += ret;
	return ret;
}

static bool can_be_unpacked(const struct record_batch *b)
{
	struct slice packed = slice_part(b->bytes, RECORD_BATCH_HEADER_BYTES, b->bytes.size);
	struct slice plain;
	struct arena a;

	if (record_batch_codec(b) >= COMPRESSION_COUNT)
		return true;
	arena_init(&a);
	enum err err = compression_decompress(&a, (enum compression)record_batch_codec(b), packed,
					      FUZZ_RECORDS_BYTES_MAX, &plain);
	arena_done(&a);
	return err != ERR_TOO_BIG;
}

static void filter_again(const struct record_filter *f, struct slice bytes,
			 const struct record_filter_result *before)
{
	struct record_filter_result result;
	struct record_batch b;
	struct buf out;

	assert(record_batch_next(&bytes, &b) == OK && bytes.size == 0);
	assert(b.record_count == before->kept && b.max_timestamp == before->max_timestamp);
	buf_init(&out);
	assert(record_filter_batch(f, &b, &out, &result) == OK);
	assert(result.kept == before->kept && slice_equal(buf_slice(&out), b.bytes));
	buf_done(&out);
}

static void filter(struct record_batch *b, uint8_t bits)
{
	struct choice choice = { .bits = bits };
	struct record_filter f = { keeps, &choice, FUZZ_NOW_MS, 10 };
	struct record_filter_result result;
	struct buf out;

	if (b->attributes & RECORD_BATCH_CONTROL || !can_be_unpacked(b))
		return;
	buf_init(&out);
	b->base_offset &= INT64_MAX;
	enum err err = record_filter_batch(&f, b, &out, &result);
	if (err) {
		assert(out.size == 0);
	} else {
		assert(choice.asked == result.kept + result.dropped);
		assert(result.kept <= choice.kept && (result.kept > 0) == (out.size > 0));
		if (result.dropped > 0 && result.kept > 0)
			filter_again(&f, buf_slice(&out), &result);
	}
	buf_clear(&out);
	record_filter_empty(b, &out);
	assert(out.size == RECORD_BATCH_HEADER_BYTES);
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = memory_take(size + 1);
	struct record_batch b;

	if (size)
		memcpy(copy, data, size);
	uint8_t bits = size ? data[size - 1] : 0;
	(void)corpus_fuzz_decode(copy, size, &size);
	struct slice in = { copy, size };
	while (in.size && record_batch_next(&in, &b) == OK)
		filter(&b, bits);
	memory_free(copy);
	return 0;
}
