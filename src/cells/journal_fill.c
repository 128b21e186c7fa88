/* Filling a bucket: copying to it what it missed, from the newest snapshot on.
 *
 * A bucket that comes back while we lead is joined, gets our start record, takes new records, and
 * counts only after it was filled.  A bucket that took part in the election counts at once (the
 * adopted tail was copied to it) and is filled in the background: every committed record is on a
 * quorum anyway, this restores the copies beyond it.
 *
 * For each segment of the log: LIST what is there, GET what is missing from another bucket, PUT a
 * copy.  Where the leader of the segment created its records, a name may be a seal, so only copies
 * are known to be there. */
#include <assert.h>

#include "base/memory.h"
#include "cells/journal_state.h"

static void fill_segment(struct journal *j, unsigned k);

static void list_segment(struct journal *j, unsigned k, const char *after)
{
	const struct segment *s = &j->segments[j->lanes[k].fill.segment];
	char prefix[JOURNAL_KEY_BYTES];

	journal_key_epoch(prefix, j->config.name, s->epoch);
	journal_list(j, journal_op(j, OP_FILL_LIST, k, s->epoch, 0), prefix, after);
}

void journal_fill_stop(struct journal *j, unsigned k)
{
	struct fill *f = &j->lanes[k].fill;

	memory_free(f->present);
	*f = (struct fill) { 0 };
}

static void filled(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];
	bool failed = l->fill.failed;

	journal_fill_stop(j, k);
	if (failed) {
		l->retry_ms = j->now_ms + RETRY_MS_MAX;
		return;
	}
	l->filled = l->counts = true;
	for (size_t i = 0; i < JOURNAL_IN_FLIGHT_MAX; i++) {
		j->flights[i].ok |= j->flights[i].ok_later & bit(k);
		j->flights[i].ok_later &= ~bit(k);
	}
	journal_commit(j);
}

void journal_fill(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];

	assert(l->state == LANE_ACTIVE && !l->fill.active);
	l->fill = (struct fill) { .active = true, .upto = j->committed };
	if (j->config.bucket_count == 1)
		filled(j, k);
	else
		fill_segment(j, k);
}

/* The next stretch that the snapshot does not cover, or the end. */
static void fill_segment(struct journal *j, unsigned k)
{
	struct fill *f = &j->lanes[k].fill;
	char after[JOURNAL_KEY_BYTES] = "";

	if (f->done < j->snapshot.index)
		f->done = j->snapshot.index;
	while (f->segment < j->segment_count &&
	       j->segments[f->segment].base + j->segments[f->segment].count <= f->done)
		f->segment++;
	if (f->segment == j->segment_count || f->done >= f->upto) {
		filled(j, k);
		return;
	}
	const struct segment *s = &j->segments[f->segment];
	f->first = f->done > s->base ? f->done : s->base;
	f->end = s->base + s->count;
	if (f->end > f->upto)
		f->end = f->upto;
	if (f->end - f->first > FILL_RECORDS_MAX)
		f->end = f->first + FILL_RECORDS_MAX;
	f->next = f->first + 1;
	f->start_present = f->segment == j->segment_count - 1; /* ours: written before */
	memory_free(f->present);
	f->present = memory_take((size_t)(f->end - f->first) / 8 + 1);
	if (f->first > s->base)
		journal_key_record(after, j->config.name, s->epoch, f->first - s->base);
	list_segment(j, k, after);
}

static bool take_missing(struct journal *j, struct fill *f, const struct segment *s,
			 uint64_t *sequence)
{
	if (!f->start_present) {
		f->start_present = true;
		*sequence = 0;
		return true;
	}
	for (; f->next <= f->end; f->next++) {
		uint64_t i = f->next - f->first - 1;
		if (f->present[i / 8] & 1 << i % 8 || f->next <= j->snapshot.index)
			continue;
		*sequence = f->next - s->base;
		f->next++;
		return true;
	}
	return false;
}

static void copy_missing(struct journal *j, unsigned k)
{
	struct fill *f = &j->lanes[k].fill;
	const struct segment *s = &j->segments[f->segment];
	uint64_t sequence;

	while (f->pending < FILL_WINDOW && take_missing(j, f, s, &sequence)) {
		f->pending++;
		journal_fetch(j, OP_FILL_GET, k, s->epoch, sequence, bit(k));
	}
	if (f->pending == 0) {
		f->done = f->end;
		fill_segment(j, k);
	}
}

static void names_done(struct journal *j, unsigned k, const struct journal_event *event)
{
	struct fill *f = &j->lanes[k].fill;
	const struct segment *s = &j->segments[f->segment];
	char after[JOURNAL_KEY_BYTES];
	struct journal_name name;

	for (size_t i = 0; i < event->done.name_count; i++) {
		if (!journal_key_parse(event->done.names[i], j->config.name, &name))
			continue;
		if (name.kind == JOURNAL_OBJECT_START)
			f->start_present = true;
		uint64_t index = s->base + name.sequence;
		if (!name.is_copy && s->cas & bit(k))
			continue;
		if (name.kind == JOURNAL_OBJECT_RECORD && index > f->first && index <= f->end) {
			uint64_t at = index - f->first - 1;
			f->present[at / 8] |= (uint8_t)(1 << at % 8);
		}
	}
	if (!event->done.more)
		copy_missing(j, k);
	else if (journal_last_name(event, after))
		list_segment(j, k, after);
	else
		journal_lane_out(j, k);
}

void journal_fill_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	unsigned k = op->lane;

	if (event->done.err != OK) {
		journal_lane_out(j, k);
	} else if (op->kind == OP_FILL_LIST) {
		names_done(j, k, event);
	} else {
		j->lanes[k].fill.pending--;
		copy_missing(j, k);
	}
}

void journal_fill_fetched(struct journal *j, const struct op *op, struct blob *body)
{
	char key[JOURNAL_KEY_BYTES];

	if (op->sequence)
		journal_key_copy(key, j->config.name, op->epoch, op->sequence);
	else
		journal_key_start(key, j->config.name, op->epoch);
	journal_put(j, journal_op(j, OP_FILL_PUT, op->lane, op->epoch, op->sequence), key, body);
}

/* No other bucket has it now.  The rest is still worth copying; the lane tries again later, when
 * perhaps a snapshot covers the record. */
void journal_fill_failed(struct journal *j, const struct op *op)
{
	struct fill *f = &j->lanes[op->lane].fill;

	f->failed = true;
	f->pending--;
	copy_missing(j, op->lane);
}
