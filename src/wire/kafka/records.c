/* One record, after decompression; every integer is a zigzag varint unless a type is given:
 *
 *	length of what follows | attributes i8, unused | timestamp delta (64 bits) | offset delta
 *	key length, -1 null | key | value length, -1 null | value
 *	header count { key length | key | value length, -1 null | value }...
 *
 * A producer gives the i-th record the offset delta i; batches thinned by compaction have gaps. */
#include "wire/kafka/records.h"

#include <assert.h>

enum { NULL_LENGTH = -1, VARINT_BYTES_MAX = 10 };

/* 64 bits in at most 10 bytes; what does not fit is no varint. */
static bool take_varint(struct slice *in, int64_t *ret)
{
	uint64_t value = 0;
	size_t size_max = in->size < VARINT_BYTES_MAX ? in->size : VARINT_BYTES_MAX;

	for (size_t i = 0; i < size_max; i++) {
		uint64_t bits = in->data[i] & 0x7f;
		if (i == VARINT_BYTES_MAX - 1 && bits > 1)
			return false;
		value |= bits << (7 * i);
		if (!(in->data[i] & 0x80)) {
			*ret = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
			*in = slice_part(*in, i + 1, in->size);
			return true;
		}
	}
	return false;
}

static bool take_varint_i32(struct slice *in, int32_t *ret)
{
	int64_t value;

	if (!take_varint(in, &value) || value < INT32_MIN || value > INT32_MAX)
		return false;
	*ret = (int32_t)value;
	return true;
}

/* A length and that many bytes; -1 is null. */
static bool take_bytes(struct slice *in, struct slice *ret)
{
	int32_t size;

	if (!take_varint_i32(in, &size) || size < NULL_LENGTH)
		return false;
	if (size == NULL_LENGTH) {
		*ret = (struct slice) { 0 };
		return true;
	}
	if ((size_t)size > in->size)
		return false;
	*ret = slice_part(*in, 0, (size_t)size);
	*in = slice_part(*in, (size_t)size, in->size);
	return true;
}

static bool take_header(struct slice *in, struct record_header *ret)
{
	return take_bytes(in, &ret->key) && ret->key.data && take_bytes(in, &ret->value);
}

/* What follows the length, all of it. */
static bool parse_record(struct slice body, struct record *ret, int64_t *ret_timestamp_delta)
{
	struct record_header ignored;
	int32_t header_count;

	if (body.size < 1)
		return false;
	body = slice_part(body, 1, body.size);
	if (!take_varint(&body, ret_timestamp_delta) ||
	    !take_varint_i32(&body, &ret->offset_delta) || !take_bytes(&body, &ret->key) ||
	    !take_bytes(&body, &ret->value) || !take_varint_i32(&body, &header_count) ||
	    header_count < 0)
		return false;
	ret->header_count = (uint32_t)header_count;
	ret->headers = body;
	while (header_count--) /* each takes two bytes at least, so a wrong count ends soon */
		if (!take_header(&body, &ignored))
			return false;
	return body.size == 0;
}

enum err records_init(struct arena *a, const struct record_batch *b, struct records *ret)
{
	assert(b->bytes.size >= RECORD_BATCH_HEADER_BYTES);

	struct slice packed = slice_part(b->bytes, RECORD_BATCH_HEADER_BYTES, b->bytes.size);
	struct slice records;
	unsigned codec = record_batch_codec(b);
	if (codec >= COMPRESSION_COUNT || b->record_count < 0 || b->last_offset_delta < 0)
		return ERR_INVALID;
	if (b->record_count == 0 && packed.size == 0) { /* all compacted away */
		records = packed;
	} else {
		enum err err = compression_decompress(a, (enum compression)codec, packed,
						      RECORDS_BYTES_MAX, &records);
		if (err != OK)
			return err;
	}
	if ((size_t)b->record_count > records.size / RECORD_BATCH_RECORD_BYTES_MIN)
		return ERR_INVALID;
	*ret = (struct records) {
		.rest = records,
		.left = b->record_count,
		.last_offset_delta = b->last_offset_delta,
		.previous_offset_delta = -1,
		.base_timestamp = b->base_timestamp,
		.log_append_time = b->max_timestamp,
		.is_log_append_time = b->attributes & RECORD_BATCH_LOG_APPEND_TIME,
	};
	return OK;
}

enum err records_next(struct records *r, struct record *ret)
{
	struct slice in = r->rest, body;
	struct record record;
	int64_t timestamp_delta;

	if (r->left == 0)
		return in.size == 0 ? ERR_NOT_FOUND : ERR_INVALID;
	if (!take_bytes(&in, &body) || !parse_record(body, &record, &timestamp_delta))
		return ERR_INVALID;
	if (record.offset_delta <= r->previous_offset_delta ||
	    record.offset_delta > r->last_offset_delta)
		return ERR_INVALID;
	if (r->is_log_append_time)
		record.timestamp_ms = r->log_append_time;
	else if (__builtin_add_overflow(r->base_timestamp, timestamp_delta, &record.timestamp_ms))
		return ERR_INVALID;

	r->rest = in;
	r->left--;
	r->previous_offset_delta = record.offset_delta;
	*ret = record;
	return OK;
}

enum err record_header_next(struct slice *headers, struct record_header *ret)
{
	struct slice in = *headers;
	struct record_header header;

	if (in.size == 0)
		return ERR_NOT_FOUND;
	if (!take_header(&in, &header))
		return ERR_INVALID;
	*headers = in;
	*ret = header;
	return OK;
}

/* --- lookups by time ------------------------------------------------------------------------- */

/* A lookup ends at its first match, but a batch is believed whole or not at all. */
MUST_CHECK static enum err find(const struct record_batch *b, int32_t first_delta,
				int64_t at_least_ms, bool find_max, struct records_match *ret)
{
	struct arena arena;
	struct records records;
	struct record record;
	struct records_match match = { .offset_delta = -1 };

	arena_init(&arena);
	enum err err = records_init(&arena, b, &records);
	while (err == OK) {
		err = records_next(&records, &record);
		if (err != OK)
			break;
		if (record.offset_delta < first_delta)
			continue;
		bool is_better = find_max ? record.timestamp_ms > match.timestamp_ms
					  : record.timestamp_ms >= at_least_ms;
		if (match.offset_delta < 0 ? find_max || is_better : find_max && is_better)
			match = (struct records_match) { record.offset_delta, record.timestamp_ms };
	}
	arena_done(&arena);
	if (err != ERR_NOT_FOUND)
		return err;
	if (match.offset_delta < 0)
		return ERR_NOT_FOUND;
	*ret = match;
	return OK;
}

enum err records_find_timestamp(const struct record_batch *b, int32_t first_delta,
				int64_t timestamp_ms, struct records_match *ret)
{
	return find(b, first_delta, timestamp_ms, false, ret);
}

enum err records_find_max_timestamp(const struct record_batch *b, int32_t first_delta,
				    struct records_match *ret)
{
	return find(b, first_delta, 0, true, ret);
}

enum err records_repair_max_timestamp(uint8_t *batch, size_t size)
{
	struct slice in = { batch, size };
	struct record_batch b;
	struct records_match greatest;

	enum err err = record_batch_next(&in, &b);
	if (err == OK && in.size)
		err = ERR_INVALID;
	if (err == OK)
		err = records_find_max_timestamp(&b, 0, &greatest);
	if (err == OK)
		record_batch_set_max_timestamp(batch, size, greatest.timestamp_ms);
	return err == ERR_NOT_FOUND ? ERR_INVALID : err;
}
