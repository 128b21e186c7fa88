/* Any bytes as the records of a Produce request.  The checksum is put right on a copy, so that what
 * it guards is reached too.  Records that can be read must survive being built and read again.
 * seeds: test/corpus/kafka */
#include <assert.h>

#include "base/memory.h"
#include "wire/corpus_fuzz.h"
#include "wire/kafka/record_batch_build.h"

enum { FUZZ_RECORDS_BYTES_MAX = 1 << 20, FUZZ_RECORDS_MAX = 64 };

static void rebuild(const struct record_batch *b, const struct record *records, size_t count)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;
	struct record_batch again;
	struct records place;
	struct record record;
	struct arena a;
	struct buf built;

	arena_init(&a);
	buf_init(&built);
	plan.codec = (enum compression)record_batch_codec(b);
	record_batch_build(&built, &plan, records, count);
	struct slice in = buf_slice(&built);
	assert(record_batch_next(&in, &again) == OK && in.size == 0);
	assert(record_batch_crc_matches(&again));
	assert(records_init(&a, &again, &place) == OK);
	for (size_t i = 0; i < count; i++) {
		assert(records_next(&place, &record) == OK);
		assert(record.offset_delta == (int32_t)i);
		assert(record.timestamp_ms == records[i].timestamp_ms);
		assert(slice_equal(record.key, records[i].key));
		assert(slice_equal(record.value, records[i].value));
		assert(record.header_count == records[i].header_count);
		assert(slice_equal(record.headers, records[i].headers));
	}
	assert(records_next(&place, &record) == ERR_NOT_FOUND);
	buf_done(&built);
	arena_done(&a);
}

static void read_headers(const struct record *record)
{
	struct slice headers = record->headers;
	struct record_header header;
	uint32_t count = 0;

	while (record_header_next(&headers, &header) == OK)
		count++;
	assert(headers.size == 0 && count == record->header_count);
}

static void read_records(const struct record_batch *b)
{
	struct record records[FUZZ_RECORDS_MAX], record;
	struct records place;
	struct arena a;
	size_t count = 0;
	int64_t distance;
	bool can_rebuild = true;

	arena_init(&a);
	enum err err = records_init(&a, b, &place);
	while (err == OK) {
		err = records_next(&place, &record);
		if (err != OK)
			break;
		read_headers(&record);
		if (count < FUZZ_RECORDS_MAX)
			records[count] = record;
		if (__builtin_sub_overflow(record.timestamp_ms, records[0].timestamp_ms, &distance))
			can_rebuild = false;
		count++;
	}
	if (err == ERR_NOT_FOUND && count >= 1 && count <= FUZZ_RECORDS_MAX && can_rebuild)
		rebuild(b, records, count);
	arena_done(&a);
}

/* Bombs are tested elsewhere; here they would only take time. */
static bool can_be_unpacked(const struct record_batch *b)
{
	struct slice packed = slice_part(b->bytes, RECORD_BATCH_HEADER_BYTES, b->bytes.size);
	struct slice plain;
	struct arena a;

	if (record_batch_codec(b) >= COMPRESSION_COUNT)
		return false;
	arena_init(&a);
	enum err err = compression_decompress(&a, (enum compression)record_batch_codec(b), packed,
					      FUZZ_RECORDS_BYTES_MAX, &plain);
	arena_done(&a);
	return err == OK;
}

static void look_inside(struct slice bytes)
{
	struct record_batch_rules rules = { .size_max = bytes.size };
	struct record_batch b;
	struct records_match match, greatest;

	(void)record_batch_from_produce(bytes, &rules, &b);
	rules.transactional_allowed = rules.control_allowed = rules.timestamps_bounded = true;
	(void)record_batch_from_produce(bytes, &rules, &b);
	if (record_batch_next(&bytes, &b) != OK || !can_be_unpacked(&b))
		return;
	read_records(&b);
	if (records_find_max_timestamp(&b, 0, &greatest) == OK) {
		assert(records_find_timestamp(&b, 0, greatest.timestamp_ms, &match) == OK);
		assert(match.offset_delta == greatest.offset_delta);
		assert(greatest.timestamp_ms == INT64_MAX ||
		       records_find_timestamp(&b, 0, greatest.timestamp_ms + 1, &match) ==
			       ERR_NOT_FOUND);
	}
}

static void try_bytes(struct slice in)
{
	struct record_batch b;

	look_inside(in);
	while (in.size && record_batch_next(&in, &b) == OK) {
		size_t size = b.bytes.size;
		uint8_t *copy = memory_take(size);
		struct slice bytes = { copy, size };
		memcpy(copy, b.bytes.data, size);
		record_batch_set_crc(copy, size);
		look_inside(bytes);
		if (can_be_unpacked(&b) && records_repair_max_timestamp(copy, size) == OK)
			look_inside(bytes);
		record_batch_patch(copy, 5, 1);
		record_batch_set_log_append_time(copy, size, 1);
		look_inside(bytes);
		memory_free(copy);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = memory_take(size + 1);

	if (size)
		memcpy(copy, data, size);
	(void)corpus_fuzz_decode(copy, size, &size);
	try_bytes((struct slice) { copy, size });
	memory_free(copy);
	return 0;
}
