#include "wire/kafka/record_batch_build.h"

#include <assert.h>

#include "base/endian.h"

static void add_varint(struct buf *out, int64_t value)
{
	uint64_t zigzag = ((uint64_t)value << 1) ^ (0 - (uint64_t)(value < 0));

	while (zigzag >= 0x80) {
		buf_add_u8(out, (uint8_t)(zigzag | 0x80));
		zigzag >>= 7;
	}
	buf_add_u8(out, (uint8_t)zigzag);
}

static void add_bytes(struct buf *out, struct slice bytes)
{
	assert(bytes.size <= RECORDS_BYTES_MAX);
	add_varint(out, bytes.data ? (int64_t)bytes.size : -1);
	buf_add_slice(out, bytes);
}

struct slice record_headers_encode(struct arena *a, const struct record_header *headers,
				   size_t count)
{
	struct buf out;

	buf_init(&out);
	for (size_t i = 0; i < count; i++) {
		assert(headers[i].key.data);
		add_bytes(&out, headers[i].key);
		add_bytes(&out, headers[i].value);
	}
	struct slice encoded = arena_copy(a, buf_slice(&out));
	buf_done(&out);
	return encoded;
}

void record_batch_add_record(struct buf *out, struct buf *scratch, const struct record *record,
			     int32_t offset_delta, int64_t base_timestamp)
{
	int64_t timestamp_delta;

	assert(!__builtin_sub_overflow(record->timestamp_ms, base_timestamp, &timestamp_delta));
	buf_clear(scratch);
	buf_add_u8(scratch, 0);
	add_varint(scratch, timestamp_delta);
	add_varint(scratch, offset_delta);
	add_bytes(scratch, record->key);
	add_bytes(scratch, record->value);
	add_varint(scratch, record->header_count);
	buf_add_slice(scratch, record->headers);
	add_bytes(out, buf_slice(scratch));
}

static void add_records(struct buf *out, enum compression codec, const struct record *records,
			size_t count)
{
	struct buf plain, scratch;

	buf_init(&plain);
	buf_init(&scratch);
	for (size_t i = 0; i < count; i++)
		record_batch_add_record(&plain, &scratch, &records[i], (int32_t)i,
					records[0].timestamp_ms);
	compression_compress(out, codec, buf_slice(&plain));
	buf_done(&scratch);
	buf_done(&plain);
}

void record_batch_build(struct buf *out, const struct record_batch_plan *plan,
			const struct record *records, size_t count)
{
	assert(count >= 1 && count <= RECORDS_BYTES_MAX / RECORD_BATCH_RECORD_BYTES_MIN);
	assert((unsigned)plan->codec < COMPRESSION_COUNT);
	assert(!(plan->flags & RECORD_BATCH_CODEC_MASK));

	size_t start = out->size;
	buf_add_zero(out, RECORD_BATCH_HEADER_BYTES);
	add_records(out, plan->codec, records, count);

	struct record_batch batch = {
		.base_offset = plan->base_offset,
		.batch_length = (uint32_t)(out->size - start) - 12,
		.leader_epoch = plan->leader_epoch,
		.magic = RECORD_BATCH_MAGIC,
		.attributes = (uint16_t)(plan->flags | plan->codec),
		.last_offset_delta = (int32_t)count - 1,
		.base_timestamp = records[0].timestamp_ms,
		.max_timestamp = records[0].timestamp_ms,
		.producer_id = plan->producer_id,
		.producer_epoch = plan->producer_epoch,
		.base_sequence = plan->base_sequence,
		.record_count = (int32_t)count,
	};
	for (size_t i = 1; i < count; i++)
		if (records[i].timestamp_ms > batch.max_timestamp)
			batch.max_timestamp = records[i].timestamp_ms;
	record_batch_write_header(out->data + start, &batch);
	record_batch_set_crc(out->data + start, out->size - start);
}

/* The key says which kind of marker: version i16, type i16 (0 abort, 1 commit); the value: version
 * i16, coordinator epoch i32. */
void record_batch_build_end_marker(struct buf *out, int64_t producer_id, int16_t producer_epoch,
				   bool is_commit, int32_t coordinator_epoch, int64_t timestamp_ms)
{
	uint8_t key[4] = { 0 }, value[6] = { 0 };
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;

	put_u16(key + 2, is_commit);
	put_u32(value + 2, (uint32_t)coordinator_epoch);
	plan.flags = RECORD_BATCH_TRANSACTIONAL | RECORD_BATCH_CONTROL;
	plan.producer_id = producer_id;
	plan.producer_epoch = producer_epoch;

	struct record record = {
		.timestamp_ms = timestamp_ms,
		.key = { key, sizeof(key) },
		.value = { value, sizeof(value) },
	};
	record_batch_build(out, &plan, &record, 1);
}
