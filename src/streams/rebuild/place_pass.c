/* Batches without an offset in a partition that was compacted by key.
 *
 * A pass left out whole batches, and records of others, whose old files may still be there.  Behind
 * the pass they would be the last of their key again.  So each batch that may have been at a place
 * before the end of the pass stays before it, or out. */
#include <stdlib.h>

#include "base/memory.h"
#include "streams/rebuild/place_private.h"
#include "wire/kafka/record_batch.h"
#include "wire/peer/compaction.h"

/* Free offsets before the end of the passes. */
struct hole {
	int64_t first, end;
	bool is_room;
};

struct filtered {
	int64_t delta, offset;
};

struct holes {
	struct hole *rows;
	size_t count;
	int64_t *largest; /* a tree: of each node's two halves */
	size_t leaves;
	struct filtered *filtered; /* batches that lost records, by size and offset */
	size_t filtered_count;
};

bool place_is_of_pass(const struct place_batch *b)
{
	return b->is_final && b->sequence > COMPACTION_SEQUENCE;
}

bool place_is_room(const struct place *p, const struct place_batch *before,
		   const struct place_batch *final)
{
	if (!before || final->offset >= p->pass_end)
		return true;
	if (!before->is_final || !final->is_final) /* a copy stands where one of a pass was */
		return false;
	return !place_is_of_pass(final) || before->file != final->file;
}

/* --- what is free ------------------------------------------------------------------------------
 */

static int compare_filtered(const void *left, const void *right)
{
	const struct filtered *a = left, *b = right;

	if (a->delta != b->delta)
		return a->delta < b->delta ? -1 : 1;
	return (a->offset > b->offset) - (a->offset < b->offset);
}

static void plant(struct holes *h)
{
	for (h->leaves = 1; h->leaves < h->count; h->leaves *= 2)
		;
	h->largest = memory_take_array(2 * h->leaves, sizeof(*h->largest));
	for (size_t i = 0; i < h->leaves; i++)
		h->largest[h->leaves + i] = i < h->count ? h->rows[i].end - h->rows[i].first : 0;
	for (size_t i = h->leaves - 1; i > 0; i--)
		h->largest[i] = h->largest[2 * i] > h->largest[2 * i + 1] ? h->largest[2 * i]
									  : h->largest[2 * i + 1];
}

static void find_holes(const struct place *p, struct place_batch *const *standing, size_t count,
		       struct holes *ret)
{
	int64_t next = 0;

	*ret = (struct holes) {
		.rows = memory_take_array(count, sizeof(*ret->rows)),
		.filtered = memory_take_array(count, sizeof(*ret->filtered)),
	};
	for (size_t i = 0; i < count && standing[i]->offset < p->pass_end; i++) {
		const struct place_batch *b = standing[i];
		if (b->offset > next)
			ret->rows[ret->count++] =
				(struct hole) { next, b->offset,
						place_is_room(p, i ? standing[i - 1] : NULL, b) };
		if (place_is_of_pass(b) && b->record_count <= b->last_offset_delta)
			ret->filtered[ret->filtered_count++] =
				(struct filtered) { b->last_offset_delta, b->offset };
		next = place_behind(b);
	}
	if (ret->filtered_count > 0)
		qsort(ret->filtered, ret->filtered_count, sizeof(*ret->filtered), compare_filtered);
	plant(ret);
}

/* The first hole from `from` on that has so many offsets; h->count: none. */
static size_t find_large(const struct holes *h, size_t from, int64_t size)
{
	size_t node = h->leaves + from;

	if (from >= h->count)
		return h->count;
	while (h->largest[node] < size) {
		while (node % 2 == 1) /* what is to the right of it */
			node /= 2;
		if (node == 0)
			return h->count;
		node++;
	}
	while (node < h->leaves)
		node = h->largest[2 * node] >= size ? 2 * node : 2 * node + 1;
	return node - h->leaves;
}

/* The first that the batch fits into, if nothing else is there; NULL: none. */
static const struct hole *find_hole(const struct holes *h, const struct place_batch *b)
{
	int64_t size = (int64_t)b->last_offset_delta + 1;
	size_t first = 0, last = h->count;

	while (first < last) {
		size_t middle = first + (last - first) / 2;
		if (h->rows[middle].end <= b->base_offset)
			first = middle + 1;
		else
			last = middle;
	}
	if (first < h->count && h->rows[first].first < b->base_offset &&
	    h->rows[first].end - b->base_offset < size)
		first++;
	first = find_large(h, first, size);
	return first < h->count ? &h->rows[first] : NULL;
}

/* A batch that lost records has another checksum; one with a sequence is known all the same. */
static bool may_be_filtered(const struct holes *h, const struct place_batch *b)
{
	size_t first = 0, last = h->filtered_count;

	if (b->producer_id >= 0 && b->base_sequence >= 0)
		return false;
	while (first < last) { /* behind the last of its size */
		size_t middle = first + (last - first) / 2;
		if (h->filtered[middle].delta <= b->last_offset_delta)
			first = middle + 1;
		else
			last = middle;
	}
	return first > 0 && h->filtered[first - 1].delta == b->last_offset_delta &&
	       h->filtered[first - 1].offset >= b->base_offset;
}

/* --- what becomes of a batch -------------------------------------------------------------------
 */

void place_leave(struct place *p, struct place_batch *b)
{
	b->outcome = PLACE_LEFT;
	b->offset = -1;
	p->groups[b->group].left--;
}

static void settle(struct place *p, const struct holes *h, struct place_batch *b)
{
	const struct hole *hole = find_hole(h, b);

	if (!hole && !may_be_filtered(h, b))
		return; /* it can only have been behind */
	if (!hole || !hole->is_room || may_be_filtered(h, b) ||
	    (b->attributes & RECORD_BATCH_TRANSACTIONAL)) {
		place_leave(p, b);
		return;
	}
	b->outcome = PLACE_DOUBTFUL;
	b->offset = hole->end;
}

/* Files are compacted as a whole: where one batch of them was tells where the others were. */
static void settle_file(struct place *p, const struct holes *h, size_t first, size_t end)
{
	int64_t at = -1;

	for (size_t i = first; i < end && at < 0; i++)
		if (p->originals[i] && p->originals[i]->base_offset < p->pass_end)
			at = 0;
	bool is_known = at == 0;
	for (size_t i = first; i < end; i++) {
		struct place_batch *b = &p->others[i];
		if (p->originals[i]) {
			at = p->originals[i]->base_offset + b->last_offset_delta + 1;
			continue;
		}
		if (b->outcome != PLACE_LIKELY || b->base_offset >= p->pass_end)
			continue;
		if (!is_known)
			settle(p, h, b);
		else if (at < p->pass_end)
			place_leave(p, b);
		at += (int64_t)b->last_offset_delta + 1;
	}
}

void place_settle_passes(struct place *p, struct place_batch *const *standing, size_t count)
{
	struct holes h;

	if (p->pass_end == 0)
		return;
	find_holes(p, standing, count, &h);
	for (size_t first = 0, i = 1; i <= p->other_count; i++) {
		if (i < p->other_count && p->others[i].file == p->others[first].file)
			continue;
		settle_file(p, &h, first, i);
		first = i;
	}
	memory_free(h.rows);
	memory_free(h.filtered);
	memory_free(h.largest);
}
