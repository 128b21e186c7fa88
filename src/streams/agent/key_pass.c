#include "streams/agent/key_pass.h"

#include <assert.h>

void key_pass_init(struct key_pass *p, size_t keys_bytes, int64_t start, int64_t now_ms,
		   int64_t delete_retention_ms)
{
	*p = (struct key_pass) {
		.map = key_map_new(keys_bytes),
		.end = start,
		.now_ms = now_ms,
		.delete_retention_ms = delete_retention_ms,
	};
}

void key_pass_done(struct key_pass *p)
{
	key_map_free(p->map);
	p->map = NULL;
}

static int64_t next_offset(const struct record_batch *b)
{
	return b->base_offset + b->last_offset_delta + 1;
}

static bool is_aborted(const struct key_pass *p, const struct record_batch *b)
{
	if (!(b->attributes & RECORD_BATCH_TRANSACTIONAL))
		return false;
	for (size_t i = 0; i < p->aborted_count; i++) {
		const struct catalog_marker *m = &p->aborted[i];
		if (m->producer_id == b->producer_id && m->first_offset <= b->base_offset &&
		    b->base_offset < m->offset)
			return true;
	}
	return false;
}

/* A batch that breaks off in the middle stays, but its records are none to rely on: consumers may
 * not get to read even those before the break. */
static bool is_readable(struct records place)
{
	struct record record;
	enum err err;

	do {
		err = records_next(&place, &record);
	} while (!err);
	return err == ERR_NOT_FOUND;
}

/* False: the map is full.  What was noted of a batch that does not fit does no harm: its records
 * stay, so older ones with their keys may go. */
static bool note_records(struct key_pass *p, const struct record_batch *b)
{
	struct records place;
	struct record record;
	struct arena a;
	bool fits = true;

	arena_init(&a);
	bool is_noted = !records_init(&a, b, &place) && is_readable(place);
	while (is_noted && fits && !records_next(&place, &record))
		fits = !record.key.data ||
		       key_map_put(p->map, record.key, b->base_offset + record.offset_delta);
	arena_done(&a);
	return fits;
}

void key_pass_note(struct key_pass *p, const struct record_batch *b)
{
	if (p->is_full || next_offset(b) <= p->end)
		return;
	if (!(b->attributes & RECORD_BATCH_CONTROL) && !is_aborted(p, b) && !note_records(p, b)) {
		p->is_full = true;
		return;
	}
	p->end = next_offset(b);
}

static bool keeps(void *context, int64_t offset, const struct record *record)
{
	const struct key_pass *p = context;

	return record->key.data && key_map_find(p->map, record->key) <= offset;
}

static void add_same(const struct record_batch *b, struct buf *out)
{
	size_t start = out->size;

	buf_add_slice(out, b->bytes);
	record_batch_patch(out->data + start, b->base_offset, b->leader_epoch);
}

/* What the filter cannot read, no consumer can, mostly; it stays. */
static bool filter_data(struct key_pass *p, const struct record_batch *b, struct buf *out)
{
	struct record_filter f = { keeps, p, p->now_ms, p->delete_retention_ms };
	struct record_filter_result result;

	if (is_aborted(p, b)) {
		p->dropped += b->record_count;
		return true;
	}
	if (record_filter_batch(&f, b, out, &result)) {
		p->unreadable++;
		add_same(b, out);
		return false;
	}
	p->kept += result.kept;
	p->dropped += result.dropped;
	return result.kept == 0 || result.dropped > 0 ||
	       (result.delete_horizon_ms >= 0 && record_batch_delete_horizon(b) < 0);
}

bool key_pass_filter(struct key_pass *p, const struct record_batch *b, bool is_last,
		     struct buf *out)
{
	bool is_control = b->attributes & RECORD_BATCH_CONTROL;
	size_t start = out->size;

	if (b->base_offset >= p->end || (is_control && is_last)) {
		add_same(b, out);
		return false;
	}
	bool is_changed = is_control || filter_data(p, b, out);
	if (out->size > start || !is_last)
		return is_changed;
	record_filter_empty(b, out);
	return b->record_count > 0;
}
