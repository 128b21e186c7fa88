/* One batch, big-endian:
 *
 *	 0  base offset           i64	\
 *	 8  batch length          i32	 | not covered by the checksum, so that a broker
 *	12  partition leader epoch i32	 | may place a batch without touching the rest
 *	16  magic                  i8	 |
 *	17  crc                    u32	/
 *	21  attributes             i16	\   codec 0-2, log append time 3, transactional 4,
 *	23  last offset delta      i32	 |  control 5, delete horizon 6
 *	27  base timestamp         i64	 |
 *	35  max timestamp          i64	 |
 *	43  producer id            i64	 |  CRC-32C
 *	51  producer epoch         i16	 |
 *	53  base sequence          i32	 |
 *	57  record count           i32	 |
 *	61  records, one after the other, or all of them compressed with the codec
 *
 * The layout is that of the "Record Batch" section of the Kafka documentation. */
#include "wire/kafka/record_batch.h"

#include <assert.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "wire/kafka/compression.h"
#include "wire/kafka/errors.h"

enum {
	LENGTH_AT = 8,
	LENGTH_END = 12, /* batch_length counts from here */
	LEADER_EPOCH_AT = 12,
	MAGIC_AT = 16,
	CRC_AT = 17,
	ATTRIBUTES_AT = 21, /* the checksum covers from here on */
	LAST_OFFSET_DELTA_AT = 23,
	BASE_TIMESTAMP_AT = 27,
	MAX_TIMESTAMP_AT = 35,
	PRODUCER_ID_AT = 43,
	PRODUCER_EPOCH_AT = 51,
	BASE_SEQUENCE_AT = 53,
	RECORD_COUNT_AT = 57,
};

enum {
	NO_TIMESTAMP = -1,
	CLIENT_ATTRIBUTES = RECORD_BATCH_CODEC_MASK | RECORD_BATCH_TRANSACTIONAL
};

enum record_batch_fault record_batch_fault(struct slice in)
{
	if (in.size < LENGTH_END)
		return RECORD_BATCH_TRUNCATED;

	int32_t length = (int32_t)get_u32(in.data + LENGTH_AT);
	if (length < MAGIC_AT + 1 - LENGTH_END)
		return RECORD_BATCH_BAD_LENGTH;
	if (length > RECORD_BATCH_BYTES_MAX - LENGTH_END)
		return RECORD_BATCH_TOO_BIG;
	if (in.size <= MAGIC_AT)
		return RECORD_BATCH_TRUNCATED;
	if (in.data[MAGIC_AT] != RECORD_BATCH_MAGIC)
		return RECORD_BATCH_NOT_MAGIC_2;
	if (length < RECORD_BATCH_HEADER_BYTES - LENGTH_END)
		return RECORD_BATCH_BAD_LENGTH;
	if (in.size - LENGTH_END < (size_t)length)
		return RECORD_BATCH_TRUNCATED;
	return RECORD_BATCH_FINE;
}

enum err record_batch_next(struct slice *in, struct record_batch *ret)
{
	enum record_batch_fault fault = record_batch_fault(*in);

	if (fault == RECORD_BATCH_TOO_BIG)
		return ERR_TOO_BIG;
	if (fault != RECORD_BATCH_FINE)
		return ERR_INVALID;

	const uint8_t *p = in->data;
	uint32_t length = get_u32(p + LENGTH_AT);
	*ret = (struct record_batch) {
		.base_offset = (int64_t)get_u64(p),
		.batch_length = length,
		.leader_epoch = (int32_t)get_u32(p + LEADER_EPOCH_AT),
		.magic = p[MAGIC_AT],
		.crc = get_u32(p + CRC_AT),
		.attributes = get_u16(p + ATTRIBUTES_AT),
		.last_offset_delta = (int32_t)get_u32(p + LAST_OFFSET_DELTA_AT),
		.base_timestamp = (int64_t)get_u64(p + BASE_TIMESTAMP_AT),
		.max_timestamp = (int64_t)get_u64(p + MAX_TIMESTAMP_AT),
		.producer_id = (int64_t)get_u64(p + PRODUCER_ID_AT),
		.producer_epoch = (int16_t)get_u16(p + PRODUCER_EPOCH_AT),
		.base_sequence = (int32_t)get_u32(p + BASE_SEQUENCE_AT),
		.record_count = (int32_t)get_u32(p + RECORD_COUNT_AT),
		.bytes = { p, LENGTH_END + length },
	};
	*in = slice_part(*in, ret->bytes.size, in->size);
	return OK;
}

static uint32_t compute_crc(struct slice batch)
{
	return crc32c(slice_part(batch, ATTRIBUTES_AT, batch.size));
}

bool record_batch_crc_matches(const struct record_batch *b)
{
	assert(b->bytes.size >= RECORD_BATCH_HEADER_BYTES);
	return b->crc == compute_crc(b->bytes);
}

/* Offsets are given to records by position, so a producer's batch has one record for each. */
static bool count_is_possible(const struct record_batch *b)
{
	size_t records_size = b->bytes.size - RECORD_BATCH_HEADER_BYTES;
	size_t records_size_max =
		record_batch_codec(b) == COMPRESSION_NONE ? records_size : RECORDS_BYTES_MAX;

	return b->record_count >= 1 && b->last_offset_delta == b->record_count - 1 &&
	       (size_t)b->record_count <= records_size_max / RECORD_BATCH_RECORD_BYTES_MIN;
}

static bool producer_is_possible(const struct record_batch *b)
{
	if (b->producer_id < 0)
		return !(b->attributes & RECORD_BATCH_TRANSACTIONAL);
	if (b->attributes & RECORD_BATCH_CONTROL) /* markers carry no sequence */
		return b->producer_epoch >= 0;
	return b->producer_epoch >= 0 && b->base_sequence >= 0;
}

static bool flags_are_allowed(const struct record_batch *b, const struct record_batch_rules *rules)
{
	if (rules->control_allowed)
		return true;
	if ((b->attributes & RECORD_BATCH_TRANSACTIONAL) && !rules->transactional_allowed)
		return false;
	/* bits without a meaning today may get one that we would have let through */
	return !(b->attributes & ~(CLIENT_ATTRIBUTES | RECORD_BATCH_LOG_APPEND_TIME));
}

static bool timestamp_is_allowed(int64_t timestamp, const struct record_batch_rules *rules)
{
	int64_t distance;

	if (timestamp < NO_TIMESTAMP)
		return false;
	if (!rules->timestamps_bounded || timestamp == NO_TIMESTAMP)
		return true;
	if (__builtin_sub_overflow(timestamp, rules->now_ms, &distance))
		return false;
	return distance <= rules->timestamp_after_max_ms &&
	       distance >= -rules->timestamp_before_max_ms;
}

int16_t record_batch_check(const struct record_batch *b, const struct record_batch_rules *rules)
{
	assert(b->bytes.size >= RECORD_BATCH_HEADER_BYTES && b->magic == RECORD_BATCH_MAGIC);

	unsigned codec = record_batch_codec(b);
	if (b->bytes.size > rules->size_max)
		return KAFKA_MESSAGE_TOO_LARGE;
	if (!record_batch_crc_matches(b))
		return KAFKA_CORRUPT_MESSAGE;
	if (codec >= COMPRESSION_COUNT || (codec == COMPRESSION_ZSTD && rules->zstd_refused))
		return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
	if (!count_is_possible(b) || !producer_is_possible(b) || !flags_are_allowed(b, rules))
		return KAFKA_INVALID_RECORD;
	if ((b->attributes & RECORD_BATCH_LOG_APPEND_TIME) && !rules->control_allowed)
		return KAFKA_INVALID_TIMESTAMP; /* the broker's to say, not the producer's */
	if (!timestamp_is_allowed(b->base_timestamp, rules) ||
	    !timestamp_is_allowed(b->max_timestamp, rules))
		return KAFKA_INVALID_TIMESTAMP;
	return KAFKA_NONE;
}

int16_t record_batch_from_produce(struct slice records, const struct record_batch_rules *rules,
				  struct record_batch *ret)
{
	struct record_batch batch;

	switch (record_batch_fault(records)) {
	case RECORD_BATCH_FINE:
		break;
	case RECORD_BATCH_NOT_MAGIC_2:
		return KAFKA_INVALID_RECORD;
	case RECORD_BATCH_TOO_BIG:
		return KAFKA_MESSAGE_TOO_LARGE;
	case RECORD_BATCH_TRUNCATED:
	case RECORD_BATCH_BAD_LENGTH:
		return records.size ? KAFKA_CORRUPT_MESSAGE : KAFKA_INVALID_RECORD;
	}
	if (record_batch_next(&records, &batch) != OK)
		return KAFKA_CORRUPT_MESSAGE; /* not reached: no fault was found */
	if (records.size)
		return KAFKA_INVALID_RECORD;

	int16_t code = record_batch_check(&batch, rules);
	if (code == KAFKA_NONE)
		*ret = batch;
	return code;
}

void record_batch_patch(uint8_t *batch, int64_t base_offset, int32_t leader_epoch)
{
	assert(base_offset >= 0);
	put_u64(batch, (uint64_t)base_offset);
	put_u32(batch + LEADER_EPOCH_AT, (uint32_t)leader_epoch);
}

void record_batch_set_crc(uint8_t *batch, size_t size)
{
	assert(size >= RECORD_BATCH_HEADER_BYTES && size <= RECORD_BATCH_BYTES_MAX);
	put_u32(batch + CRC_AT, compute_crc((struct slice) { batch, size }));
}

void record_batch_set_max_timestamp(uint8_t *batch, size_t size, int64_t timestamp_ms)
{
	assert(size >= RECORD_BATCH_HEADER_BYTES);
	put_u64(batch + MAX_TIMESTAMP_AT, (uint64_t)timestamp_ms);
	record_batch_set_crc(batch, size);
}

void record_batch_set_log_append_time(uint8_t *batch, size_t size, int64_t now_ms)
{
	assert(size >= RECORD_BATCH_HEADER_BYTES && now_ms >= 0);

	uint16_t attributes = get_u16(batch + ATTRIBUTES_AT);
	put_u16(batch + ATTRIBUTES_AT, attributes | RECORD_BATCH_LOG_APPEND_TIME);
	record_batch_set_max_timestamp(batch, size, now_ms);
}

void record_batch_write_header(uint8_t *ret, const struct record_batch *b)
{
	put_u64(ret, (uint64_t)b->base_offset);
	put_u32(ret + LENGTH_AT, b->batch_length);
	put_u32(ret + LEADER_EPOCH_AT, (uint32_t)b->leader_epoch);
	ret[MAGIC_AT] = b->magic;
	put_u32(ret + CRC_AT, b->crc);
	put_u16(ret + ATTRIBUTES_AT, b->attributes);
	put_u32(ret + LAST_OFFSET_DELTA_AT, (uint32_t)b->last_offset_delta);
	put_u64(ret + BASE_TIMESTAMP_AT, (uint64_t)b->base_timestamp);
	put_u64(ret + MAX_TIMESTAMP_AT, (uint64_t)b->max_timestamp);
	put_u64(ret + PRODUCER_ID_AT, (uint64_t)b->producer_id);
	put_u16(ret + PRODUCER_EPOCH_AT, (uint16_t)b->producer_epoch);
	put_u32(ret + BASE_SEQUENCE_AT, (uint32_t)b->base_sequence);
	put_u32(ret + RECORD_COUNT_AT, (uint32_t)b->record_count);
}
