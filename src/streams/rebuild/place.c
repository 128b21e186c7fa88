#include "streams/rebuild/place_private.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "streams/catalog/producer.h"
#include "wire/kafka/record_batch.h"

int64_t place_behind(const struct place_batch *b)
{
	return b->offset + b->last_offset_delta + 1;
}

static int compare_numbers(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int first_of(const int *orders, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (orders[i])
			return orders[i];
	return 0;
}

/* --- the same batch ----------------------------------------------------------------------------
 */

/* A batch of an idempotent producer is known by its sequence, whatever compaction left in it. */
static int compare_identity(const struct place_batch *a, const struct place_batch *b)
{
	const int orders[] = {
		compare_numbers(a->producer_id, b->producer_id),
		compare_numbers(a->producer_epoch, b->producer_epoch),
		compare_numbers(a->base_sequence, b->base_sequence),
		compare_numbers(a->last_offset_delta, b->last_offset_delta),
	};
	const int plain[] = {
		compare_numbers(a->crc, b->crc),
		compare_numbers(a->size, b->size),
		compare_numbers(a->max_timestamp, b->max_timestamp),
	};
	int order = first_of(orders, sizeof(orders) / sizeof(orders[0]));

	if (order || (a->producer_id >= 0 && a->base_sequence >= 0))
		return order;
	return first_of(plain, sizeof(plain) / sizeof(plain[0]));
}

static int compare_by_identity(const void *left, const void *right)
{
	const struct place_batch *a = *(struct place_batch *const *)left;
	const struct place_batch *b = *(struct place_batch *const *)right;
	int order = compare_identity(a, b);

	return order ? order : compare_numbers(a->base_offset, b->base_offset);
}

static bool is_idempotent(const struct place_batch *b)
{
	return b->producer_id >= 0 && b->base_sequence >= 0;
}

static void form_groups(struct place *p)
{
	size_t count = p->final_count + p->other_count;
	struct place_batch **all = memory_take_array(count, sizeof(*all));
	uint32_t group = 0, stands = 0;

	for (size_t i = 0; i < count; i++)
		all[i] = &p->finals[i];
	qsort(all, count, sizeof(struct place_batch *), compare_by_identity);
	for (size_t i = 0; i < count; i++) {
		struct place_batch *b = all[i];
		if (i > 0 && compare_identity(all[i - 1], b) != 0)
			group++;
		struct group *g = &p->groups[group];
		if (i == 0 || compare_identity(all[i - 1], b) != 0)
			*g = (struct group) { .finals = stands, .next = stands, .behind = stands };
		b->group = group;
		g->left += !b->is_final;
		if (b->is_final && b->outcome != PLACE_COPY) {
			p->by_group[stands++] = b;
			g->behind = stands;
		}
	}
	memory_free(all);
}

/* --- those that know their offset --------------------------------------------------------------
 */

static int compare_order(const void *left, const void *right)
{
	const struct place_batch *a = left, *b = right;
	const int orders[] = {
		compare_numbers(!a->is_final, !b->is_final),
		compare_numbers(a->base_offset, b->base_offset),
		a->is_final ? compare_numbers(a->is_damaged, b->is_damaged) : 0,
		compare_numbers(a->incarnation, b->incarnation) * (a->is_final ? -1 : 1),
		compare_numbers(a->sequence, b->sequence) * (a->is_final ? -1 : 1),
		compare_numbers(a->position, b->position),
	};

	return first_of(orders, sizeof(orders) / sizeof(orders[0]));
}

static void stand_finals(struct place *p)
{
	int64_t next = 0;

	for (size_t i = 0; i < p->final_count; i++) {
		struct place_batch *b = &p->finals[i];
		b->offset = -1;
		b->outcome = PLACE_COPY;
		if (b->base_offset < next)
			continue;
		b->offset = b->base_offset;
		b->outcome = b->is_damaged ? PLACE_DAMAGED : PLACE_CERTAIN;
		next = place_behind(b);
		if (place_is_of_pass(b))
			p->pass_end = next;
	}
}

/* The batch that compaction wrote, and this one is what it was made of; NULL: none. */
static struct place_batch *find_original(struct place *p, const struct place_batch *b)
{
	struct group *g = &p->groups[b->group];
	uint32_t first = is_idempotent(b) ? g->finals : g->next, last = g->behind;

	while (first < last) { /* the first at or behind the least offset */
		uint32_t middle = first + (last - first) / 2;
		if (p->by_group[middle]->base_offset < b->base_offset)
			first = middle + 1;
		else
			last = middle;
	}
	if (first == g->behind)
		return NULL;
	g->next = first + 1; /* batches come by their least offset */
	return p->by_group[first];
}

/* Where a batch without an original would be in the log, by the one behind it in its file; what is
 * before the beginning went by age or was deleted. */
static bool is_gone(const struct place *p, int64_t offset)
{
	return offset >= 0 && offset < p->finals[0].base_offset;
}

/* Neighbours without sequences were accepted together, and are compacted together.  If one of them
 * was not, another one that looks like what was compacted is not that: somebody wrote the same
 * bytes before. */
static void forget_twins(struct place *p, size_t first, size_t end)
{
	bool is_whole = true;
	int64_t at = -1;

	for (size_t i = end; i-- > first;) {
		const struct place_batch *b = &p->others[i];
		if (p->originals[i])
			at = p->originals[i]->base_offset;
		else if (at >= 0)
			at -= (int64_t)b->last_offset_delta + 1;
		if (!p->originals[i])
			is_whole &= is_gone(p, at);
	}
	for (size_t i = end; i-- > first && !is_whole;) {
		struct place_batch *b = &p->others[i];
		if (!p->originals[i])
			continue;
		p->groups[b->group].next = (uint32_t)b->offset;
		p->originals[i] = NULL;
	}
}

/* A damaged batch has its offset from the copy that is whole, or the other way round. */
static void take_original(struct place *p, struct place_batch *b, struct place_batch *original)
{
	b->offset = -1;
	if (!original)
		return;
	p->groups[b->group].left--;
	b->outcome = PLACE_COPY;
	if (b->is_damaged || original->outcome != PLACE_DAMAGED)
		return;
	b->offset = original->offset;
	b->outcome = PLACE_CERTAIN;
	original->offset = -1;
	original->outcome = PLACE_COPY;
}

static void match_file(struct place *p, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++) {
		struct place_batch *b = &p->others[i];
		b->outcome = PLACE_LIKELY;
		b->offset = p->groups[b->group].next; /* for forget_twins() */
		p->originals[i] = find_original(p, b);
	}
	for (size_t i = first, from = first; p->pass_end == 0 && i <= end; i++)
		if (i == end || is_idempotent(&p->others[i])) {
			forget_twins(p, from, i);
			from = i + 1;
		}
	for (size_t i = first; i < end; i++)
		take_original(p, &p->others[i], p->originals[i]);
}

static void match_copies(struct place *p)
{
	for (size_t first = 0, i = 1; i <= p->other_count; i++) {
		if (i < p->other_count && p->others[i].file == p->others[first].file)
			continue;
		match_file(p, first, i);
		first = i;
	}
}

/* --- producers ---------------------------------------------------------------------------------
 */

static int compare_producers(const void *left, const void *right)
{
	const struct place_producer *a = left, *b = right;

	return compare_numbers(a->producer_id, b->producer_id);
}

static void gather_producers(struct place *p)
{
	size_t count = p->final_count + p->other_count, kept = 0;

	for (size_t i = 0; i < count; i++)
		p->producers[i].producer_id = p->finals[i].producer_id;
	qsort(p->producers, count, sizeof(*p->producers), compare_producers);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || p->producers[i].producer_id != p->producers[kept - 1].producer_id)
			p->producers[kept++] = p->producers[i];
	p->producer_count = kept;
}

static struct place_producer *producer_of(const struct place *p, const struct place_batch *b)
{
	struct place_producer key = { .producer_id = b->producer_id };

	return bsearch(&key, p->producers, p->producer_count, sizeof(key), compare_producers);
}

/* Does control know better by then? */
static bool is_behind(int16_t epoch, int32_t last_sequence, const struct place_batch *b)
{
	return b->producer_epoch < epoch ||
	       (b->producer_epoch == epoch &&
		producer_sequence_is_behind(b->base_sequence, last_sequence));
}

/* What comes out of order takes nothing back. */
static void note_producer(struct place *p, struct place_batch *b)
{
	struct group *g = &p->groups[b->group];

	if (!is_idempotent(b))
		return;
	struct place_producer *producer = producer_of(p, b);
	int32_t last = producer_sequence_add(b->base_sequence, b->last_offset_delta);
	if (!producer->is_known || !is_behind(producer->epoch, producer->last_sequence, b)) {
		producer->epoch = b->producer_epoch;
		producer->last_sequence = last;
		producer->is_known = true;
	}
	if (b->is_final && (!producer->has_final ||
			    !is_behind(producer->final_epoch, producer->final_sequence, b))) {
		producer->final_epoch = b->producer_epoch;
		producer->final_sequence = last;
		producer->has_final = true;
	}
	g->is_placed = true;
	g->damaged = b->outcome == PLACE_DAMAGED ? b : NULL;
}

/* Control refuses a batch whose turn it is not, and the producer sends it again. */
static bool is_early(const struct place *p, const struct place_batch *b)
{
	const struct place_producer *producer = producer_of(p, b);

	if (p->groups[b->group].left == 0)
		return false;
	if (!producer->is_known) /* what came before may be gone */
		return false;
	if (producer->epoch != b->producer_epoch)
		return b->base_sequence != 0;
	return b->base_sequence != producer_sequence_add(producer->last_sequence, 1);
}

/* --- the log, from its beginning ---------------------------------------------------------------
 */

static void stand(struct place *p, struct place_batch *b)
{
	note_producer(p, b);
	p->next = place_behind(b);
}

static bool is_to_be_placed(const struct place_batch *b)
{
	return b->outcome == PLACE_LIKELY || b->outcome == PLACE_DOUBTFUL;
}

/* The same records came before; whole they take the place of damaged ones. */
static void place_repetition(struct group *g, struct place_batch *b)
{
	struct place_batch *damaged = g->damaged;

	b->outcome = PLACE_COPY;
	if (!damaged || b->is_damaged)
		return;
	b->offset = damaged->offset;
	b->outcome = damaged->is_final ? PLACE_CERTAIN : PLACE_LIKELY;
	damaged->offset = -1;
	damaged->outcome = PLACE_COPY;
	g->damaged = NULL;
}

/* Of a producer that control knew to be farther: one whose epoch was over by then, or, where a pass
 * was, a repetition of what it left out. */
static enum place_outcome judge_producer(const struct place *p, const struct place_batch *b,
					 int64_t offset)
{
	const struct place_producer *producer = producer_of(p, b);

	if (is_early(p, b))
		return PLACE_REFUSED;
	if (offset >= p->pass_end && p->pass_end > 0 && producer->has_final &&
	    is_behind(producer->final_epoch, producer->final_sequence, b))
		return PLACE_LEFT;
	if (producer->is_known && b->producer_epoch < producer->epoch)
		return PLACE_DOUBTFUL;
	return b->outcome;
}

static void place_other(struct place *p, struct place_batch *b, int64_t offset)
{
	struct group *g = &p->groups[b->group];

	g->left--;
	b->offset = -1;
	if (is_idempotent(b) && g->is_placed) {
		place_repetition(g, b);
		return;
	}
	if (is_idempotent(b))
		b->outcome = judge_producer(p, b, offset);
	if (b->outcome == PLACE_REFUSED && !b->is_damaged)
		g->refused = b;
	if (!is_to_be_placed(b))
		return;
	if (b->is_damaged && g->refused) {
		b->outcome = PLACE_COPY;
		b = g->refused;
		b->outcome = PLACE_LIKELY;
	} else if (b->is_damaged) {
		b->outcome = PLACE_DAMAGED;
	}
	b->offset = offset;
	stand(p, b);
}

static struct place_batch *next_standing(struct place_batch **all, size_t count, size_t *i)
{
	return *i < count ? all[*i] : NULL;
}

/* Everything that has an offset already, in the order of offsets. */
static int compare_offsets(const void *left, const void *right)
{
	return compare_numbers((*(struct place_batch *const *)left)->offset,
			       (*(struct place_batch *const *)right)->offset);
}

static struct place_batch **gather_standing(struct place *p, size_t *ret_count)
{
	size_t all = p->final_count + p->other_count, count = 0;
	struct place_batch **standing = memory_take_array(all, sizeof(*standing));

	for (size_t i = 0; i < all; i++)
		if (p->finals[i].offset >= 0)
			standing[count++] = &p->finals[i];
	qsort(standing, count, sizeof(struct place_batch *), compare_offsets);
	*ret_count = count;
	return standing;
}

/* May it stand before `final`, NULL: behind all? */
static bool fits(const struct place *p, const struct place_batch *b, int64_t offset,
		 const struct place_batch *final)
{
	if (!final)
		return true;
	if (b->outcome == PLACE_DOUBTFUL ? b->offset != final->offset : final->offset < p->pass_end)
		return false; /* its room is another one */
	return place_is_room(p, p->standing, final) &&
	       offset <= final->offset - b->last_offset_delta - 1;
}

/* Others have its room, and behind it it must not come. */
static bool is_too_late(const struct place_batch *b, int64_t offset)
{
	return b->outcome == PLACE_DOUBTFUL && offset > b->offset - b->last_offset_delta - 1;
}

static void fill(struct place *p)
{
	size_t count, at = 0;
	struct place_batch **standing = gather_standing(p, &count);

	place_settle_passes(p, standing, count);
	for (size_t i = 0; i < p->other_count || at < count;) {
		struct place_batch *final = next_standing(standing, count, &at);
		struct place_batch *b = i < p->other_count ? &p->others[i] : NULL;
		if (b && !is_to_be_placed(b)) {
			i++;
			continue;
		}
		int64_t offset = b && b->base_offset > p->next ? b->base_offset : p->next;
		if (b && is_too_late(b, offset)) {
			place_leave(p, b);
		} else if (b && fits(p, b, offset, final)) {
			place_other(p, b, offset);
			i++;
		} else {
			stand(p, final);
			p->standing = final;
			at++;
		}
	}
	memory_free(standing);
}

/* --- what is certain ---------------------------------------------------------------------------
 */

static int compare_sorted(const void *left, const void *right)
{
	return compare_numbers(*(const int64_t *)left, *(const int64_t *)right);
}

/* Offsets at which a batch began or ended for sure. */
static int64_t *gather_marks(const struct place *p, size_t *ret_count)
{
	size_t all = p->final_count + p->other_count, count = 0;
	int64_t *marks = memory_take_array(2 * all, sizeof(*marks));

	for (size_t i = 0; i < all; i++) {
		const struct place_batch *b = &p->finals[i];
		if (b->base_offset < 0)
			continue;
		marks[count++] = b->base_offset;
		if (b->is_final)
			marks[count++] = b->base_offset + b->last_offset_delta + 1;
	}
	qsort(marks, count, sizeof(*marks), compare_sorted);
	*ret_count = count;
	return marks;
}

static bool is_placed_here(const struct place_batch *b)
{
	return is_to_be_placed(b) || (b->outcome == PLACE_DAMAGED && !b->is_final);
}

static bool is_doubtful(const struct place_batch *b)
{
	return b->outcome == PLACE_DOUBTFUL || b->outcome == PLACE_LEFT;
}

/* Batches of one file from `first` on, without gaps; returns the index behind them, and the next
 * batch of a file that was placed the same way. */
static size_t find_stretch(const struct place *p, size_t first, int64_t *ret_end, size_t *ret_next)
{
	size_t i = first, last = first;

	for (; i < p->other_count && p->others[i].file == p->others[first].file; i++) {
		const struct place_batch *b = &p->others[i];
		if (!is_placed_here(b))
			continue;
		if (i > first && b->offset != place_behind(&p->others[last]))
			break;
		last = i;
	}
	*ret_end = place_behind(&p->others[last]);
	*ret_next = last + 1;
	while (*ret_next < p->other_count && !is_placed_here(&p->others[*ret_next]) &&
	       !is_doubtful(&p->others[*ret_next]))
		++*ret_next;
	return last + 1;
}

static void judge(struct place *p)
{
	size_t mark_count, next;
	int64_t *marks = gather_marks(p, &mark_count), end;

	/* who is not where it was may have been before any that comes later */
	for (size_t i = 0; i < p->other_count && !is_doubtful(&p->others[i]);) {
		struct place_batch *b = &p->others[i];
		if (!is_placed_here(b)) {
			i++;
			continue;
		}
		size_t behind = find_stretch(p, i, &end, &next);
		bool is_alone = next == p->other_count || p->others[next].base_offset >= end;
		if (b->offset == b->base_offset && is_alone &&
		    bsearch(&end, marks, mark_count, sizeof(*marks), compare_sorted))
			for (size_t k = i; k < behind; k++)
				if (p->others[k].outcome == PLACE_LIKELY)
					p->others[k].outcome = PLACE_CERTAIN;
		i = behind;
	}
	memory_free(marks);
}

/* --- all of it ---------------------------------------------------------------------------------
 */

static int compare_result(const void *left, const void *right)
{
	const struct place_batch *a = left, *b = right;
	int order = compare_numbers(a->offset < 0, b->offset < 0);

	return order ? order : compare_numbers(a->offset, b->offset);
}

static void find_end(const struct place *p, struct place_end *ret)
{
	*ret = (struct place_end) { .last_placed = p->next, .high_watermark = p->next };
	ret->log_start = INT64_MAX;
	for (size_t i = 0; i < p->final_count + p->other_count; i++) {
		const struct place_batch *b = &p->finals[i];
		if (b->offset >= 0 && b->offset < ret->log_start)
			ret->log_start = b->offset;
		if (b->base_offset > ret->high_watermark)
			ret->high_watermark = b->base_offset;
	}
	if (ret->log_start == INT64_MAX)
		ret->log_start = ret->last_placed = ret->high_watermark;
}

void place_batches(struct place_batch *batches, size_t count, struct place_end *ret)
{
	struct place p = {
		.finals = batches,
		.by_group = memory_take_array(count, sizeof(*p.by_group)),
		.originals = memory_take_array(count, sizeof(*p.originals)),
		.groups = memory_take_array(count, sizeof(*p.groups)),
		.producers = memory_take_array(count, sizeof(*p.producers)),
	};

	assert(count < UINT32_MAX);
	if (count > 0)
		qsort(batches, count, sizeof(*batches), compare_order);
	while (p.final_count < count && batches[p.final_count].is_final)
		p.final_count++;
	p.others = batches + p.final_count;
	p.other_count = count - p.final_count;
	stand_finals(&p);
	form_groups(&p);
	gather_producers(&p);
	match_copies(&p);
	fill(&p);
	judge(&p);
	find_end(&p, ret);
	if (count > 0)
		qsort(batches, count, sizeof(*batches), compare_result);
	memory_free(p.by_group);
	memory_free(p.originals);
	memory_free(p.groups);
	memory_free(p.producers);
}
