#include "streams/agent/run_walk.h"

#include "base/endian.h"
#include "wire/kafka/record_batch.h"

/* Of a batch's header; record_batch.c draws it all. */
enum {
	LENGTH_AT = 8,
	LENGTH_END = 12,
	MAGIC_AT = 16,
	ATTRIBUTES_AT = 21,
	LAST_OFFSET_DELTA_AT = 23,
	MAX_TIMESTAMP_AT = 35,
};

void run_walk_start(struct run_walk *w, const struct catalog_run *run,
		    const struct block_range *range, int64_t position, int64_t offset)
{
	*w = (struct run_walk) {
		.run = run,
		.range = range,
		.position = position,
		.offset = offset,
	};
}

/* The last batch was passed: is that the end of the run? */
static enum err end(const struct run_walk *w)
{
	int64_t end_offset = w->run->last_offset + 1;
	bool is_end = w->run->is_compacted ? w->offset <= end_offset : w->offset == end_offset;

	return is_end ? ERR_NOT_FOUND : ERR_CORRUPT;
}

/* Of a compacted run, after what was passed. */
static bool offsets_fit(const struct run_walk *w, int64_t base_offset, int32_t last_offset_delta)
{
	return base_offset >= w->offset && base_offset <= w->run->last_offset &&
	       w->run->last_offset - base_offset >= last_offset_delta;
}

enum err run_walk_next(struct run_walk *w, struct run_batch *ret)
{
	uint8_t gathered[RECORD_BATCH_HEADER_BYTES];
	int64_t left = w->run->position + w->run->size - w->position;

	if (left == 0)
		return end(w);
	if (left < RECORD_BATCH_HEADER_BYTES ||
	    w->position + RECORD_BATCH_HEADER_BYTES > w->range->position + (int64_t)w->range->size)
		return ERR_CORRUPT;

	struct slice header = block_range_part(w->range, w->position, sizeof(gathered));
	if (header.size < sizeof(gathered)) { /* it lies across two blocks */
		block_range_copy(w->range, w->position, sizeof(gathered), gathered);
		header = (struct slice) { gathered, sizeof(gathered) };
	}
	int64_t size = LENGTH_END + (int64_t)get_u32(header.data + LENGTH_AT);
	int32_t last_offset_delta = (int32_t)get_u32(header.data + LAST_OFFSET_DELTA_AT);
	if (header.data[MAGIC_AT] != RECORD_BATCH_MAGIC || size < RECORD_BATCH_HEADER_BYTES ||
	    size > left || last_offset_delta < 0)
		return ERR_CORRUPT;

	int64_t base_offset = w->run->is_compacted ? (int64_t)get_u64(header.data) : w->offset;
	if (w->run->is_compacted && !offsets_fit(w, base_offset, last_offset_delta))
		return ERR_CORRUPT;

	*ret = (struct run_batch) {
		.base_offset = base_offset,
		.last_offset = base_offset + last_offset_delta,
		.position = w->position,
		.size = (size_t)size,
		.max_timestamp = (int64_t)get_u64(header.data + MAX_TIMESTAMP_AT),
		.is_control = get_u16(header.data + ATTRIBUTES_AT) & RECORD_BATCH_CONTROL,
	};
	w->position += size;
	w->offset = ret->last_offset + 1;
	return OK;
}
