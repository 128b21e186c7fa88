/* Twice through the records: first which stay, since the horizon that follows from it is what the
 * times of all records are told relative to; then they are written.  What the first pass decided is
 * a bit each, so that `keeps` is asked once. */
#include "wire/kafka/record_filter.h"

#include <assert.h>

#include "wire/kafka/record_batch_build.h"

struct filtering {
	const struct record_filter *filter;
	const struct record_batch *batch;
	uint8_t *stays; /* a bit for each record */
	int64_t first_timestamp;
	struct record_filter_result result;
};

static bool record_is_tombstone(const struct record *record)
{
	return record->key.data && !record->value.data;
}

static bool record_stays(const struct filtering *g, const struct record *record)
{
	const struct record_filter *f = g->filter;
	int64_t horizon_ms = record_batch_delete_horizon(g->batch);
	bool is_kept = f->keeps(f->context, g->batch->base_offset + record->offset_delta, record);

	if (!is_kept || !record_is_tombstone(record))
		return is_kept;
	return horizon_ms < 0 || f->now_ms < horizon_ms;
}

static void note_kept(struct filtering *g, const struct record *record)
{
	struct record_filter_result *result = &g->result;

	if (result->kept++ == 0)
		g->first_timestamp = result->max_timestamp = record->timestamp_ms;
	if (record->timestamp_ms > result->max_timestamp)
		result->max_timestamp = record->timestamp_ms;
	result->tombstones += record_is_tombstone(record);
}

MUST_CHECK static enum err decide(struct filtering *g, struct records place)
{
	struct record record;
	enum err err;

	for (size_t i = 0; !(err = records_next(&place, &record)); i++) {
		if (!record_stays(g, &record)) {
			g->result.dropped++;
			continue;
		}
		g->stays[i / 8] |= (uint8_t)(1U << (i % 8));
		note_kept(g, &record);
	}
	return err == ERR_NOT_FOUND ? OK : err;
}

static int64_t new_horizon(const struct record_filter *f)
{
	int64_t horizon_ms;

	if (__builtin_add_overflow(f->now_ms, f->delete_retention_ms, &horizon_ms))
		return INT64_MAX;
	return horizon_ms;
}

MUST_CHECK static enum err encode_kept(const struct filtering *g, struct records place,
				       int64_t base_timestamp, struct buf *out)
{
	struct record record;
	struct buf scratch;
	int64_t distance;
	enum err err;

	buf_init(&scratch);
	for (size_t i = 0; !(err = records_next(&place, &record)); i++) {
		if (!(g->stays[i / 8] >> (i % 8) & 1))
			continue;
		err = ERR_INVALID;
		if (__builtin_sub_overflow(record.timestamp_ms, base_timestamp, &distance))
			break;
		record_batch_add_record(out, &scratch, &record, record.offset_delta,
					base_timestamp);
		err = ERR_TOO_BIG;
		if (out->size > RECORDS_BYTES_MAX)
			break;
	}
	buf_done(&scratch);
	return err == ERR_NOT_FOUND ? OK : err;
}

/* The header of `b` with other contents, in front of which there is room for it. */
static void finish(struct record_batch header, struct buf *out, size_t start)
{
	header.batch_length = (uint32_t)(out->size - start) - 12;
	record_batch_write_header(out->data + start, &header);
	record_batch_set_crc(out->data + start, out->size - start);
}

MUST_CHECK static enum err write_kept(const struct filtering *g, struct records place,
				      struct buf *out)
{
	struct record_batch header = *g->batch;
	size_t start = out->size;
	struct buf plain;

	header.attributes &= (uint16_t)~RECORD_BATCH_DELETE_HORIZON;
	header.base_timestamp = g->first_timestamp;
	header.record_count = g->result.kept;
	header.max_timestamp = g->result.max_timestamp;
	if (g->result.delete_horizon_ms >= 0) {
		header.attributes |= RECORD_BATCH_DELETE_HORIZON;
		header.base_timestamp = g->result.delete_horizon_ms;
	}
	buf_init(&plain);
	enum err err = encode_kept(g, place, header.base_timestamp, &plain);
	if (!err) {
		buf_add_zero(out, RECORD_BATCH_HEADER_BYTES);
		compression_compress(out, (enum compression)record_batch_codec(g->batch),
				     buf_slice(&plain));
		err = out->size - start > RECORD_BATCH_BYTES_MAX ? ERR_TOO_BIG : OK;
	}
	buf_done(&plain);
	if (err)
		out->size = start;
	else
		finish(header, out, start);
	return err;
}

static void write_same(const struct record_batch *b, struct buf *out)
{
	size_t start = out->size;

	buf_add_slice(out, b->bytes);
	record_batch_patch(out->data + start, b->base_offset, b->leader_epoch);
}

MUST_CHECK static enum err filter(struct arena *a, struct filtering *g, struct buf *out)
{
	struct record_filter_result *result = &g->result;
	struct records place;

	enum err err = records_init(a, g->batch, &place);
	if (err)
		return err;
	size_t bits_size = (size_t)g->batch->record_count / 8 + 1;
	g->stays = arena_take(a, bits_size);
	memset(g->stays, 0, bits_size);
	err = decide(g, place);
	if (err || result->kept == 0)
		return err;

	result->delete_horizon_ms = record_batch_delete_horizon(g->batch);
	bool needs_horizon = result->tombstones > 0 && result->delete_horizon_ms < 0;
	if (needs_horizon)
		result->delete_horizon_ms = new_horizon(g->filter);
	if (result->dropped > 0 || needs_horizon)
		return write_kept(g, place, out);
	write_same(g->batch, out);
	return OK;
}

enum err record_filter_batch(const struct record_filter *f, const struct record_batch *b,
			     struct buf *out, struct record_filter_result *ret)
{
	struct filtering g = { .filter = f,
			       .batch = b,
			       .result = { .delete_horizon_ms = -1, .max_timestamp = -1 } };
	struct arena a;

	assert(b->bytes.size >= RECORD_BATCH_HEADER_BYTES && b->base_offset >= 0);
	assert(!(b->attributes & RECORD_BATCH_CONTROL));
	assert(f->now_ms >= 0 && f->delete_retention_ms >= 0);
	if (b->base_offset > INT64_MAX - INT32_MAX)
		return ERR_INVALID;
	arena_init(&a);
	enum err err = filter(&a, &g, out);
	arena_done(&a);
	if (!err)
		*ret = g.result;
	return err;
}

void record_filter_empty(const struct record_batch *b, struct buf *out)
{
	struct record_batch header = *b;
	size_t start = out->size;

	/* compressed nothing is something: there is no codec either */
	header.attributes &= (uint16_t) ~(RECORD_BATCH_CODEC_MASK | RECORD_BATCH_DELETE_HORIZON);
	header.base_timestamp = -1;
	header.record_count = 0;
	buf_add_zero(out, RECORD_BATCH_HEADER_BYTES);
	finish(header, out, start);
}
