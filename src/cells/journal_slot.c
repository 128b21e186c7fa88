/* What our creates tell us, on a bucket of class cas.
 *
 * A lane is *dense* while every record of ours up to the newest committed one was created on it, by
 * us, under its name.  Then a create that succeeds is an ok without a look for the fence, as soon
 * as those before it succeeded too: a candidate would have had to take one of these slots first
 * (journal_seal.c).  The same freshness is asked as of a fence check, because seals do not live for
 * ever either.
 *
 * A bucket that was away while the log went on has a gap, which may be trimmed elsewhere by now. It
 * is not dense again in this epoch; its records are confirmed by fence checks as on a raw bucket.
 */
#include <assert.h>

#include "cells/journal_state.h"

void journal_slots_clear(struct lane *l)
{
	memset(l->ahead, 0, sizeof(l->ahead));
	l->created = l->floor = l->probed = 0;
}

void journal_slots_begin(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];

	if (l->created < j->base_index)
		l->created = j->base_index;
	l->dense = j->config.classes[k] == JOURNAL_CAS && l->created >= j->committed;
#ifdef JOURNAL_BUG_NOGAP
	if (l->created < j->committed) /* planted bug: a bucket that was away has a gap */
		l->created = j->committed;
	l->dense = j->config.classes[k] == JOURNAL_CAS;
#endif
}

static bool take_next(struct lane *l)
{
	uint64_t at = (l->created + 1) % SLOTS_AHEAD_MAX;
	uint64_t mask = UINT64_C(1) << at % 64;

	if (!(l->ahead[at / 64] & mask))
		return false;
	l->ahead[at / 64] &= ~mask;
	l->created++;
	return true;
}

void journal_slot_taken(struct journal *j, unsigned k, uint64_t index, bool fresh)
{
	struct lane *l = &j->lanes[k];
	uint64_t at = index % SLOTS_AHEAD_MAX;

	if (index <= l->created) {
		if (fresh) /* met again, after the lane was away */
			journal_count(j, k, index);
		return;
	}
	if (index - l->created > SLOTS_AHEAD_MAX) {
		journal_lane_out(j, k); /* one create hangs */
		return;
	}
	l->ahead[at / 64] |= UINT64_C(1) << at % 64;
#ifdef JOURNAL_BUG_NOPREFIX
	journal_count(j, k, index); /* planted bug: also behind a slot that is not ours */
#endif
	while (take_next(l))
		if (fresh)
			journal_count(j, k, l->created);
}

void journal_slot_met(struct journal *j, unsigned k, uint64_t sequence)
{
	char key[JOURNAL_KEY_BYTES];

	journal_key_record(key, j->config.name, j->epoch, sequence);
	journal_get(j, journal_op(j, OP_SLOT, k, j->epoch, sequence), key);
}

void journal_slot_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	struct journal_object object;
	struct slice bytes;

	if (event->done.err != OK) {
		journal_lane_out(j, op->lane);
		return;
	}
	bytes = blob_slice(event->done.body);
	if (journal_object_decode(bytes, JOURNAL_OBJECT_SEAL, &object) == OK)
		journal_lose(j, ERR_CONFLICT, j->highest, "sealed on bucket %u", op->lane);
	else if (journal_object_decode(bytes, JOURNAL_OBJECT_RECORD, &object) == OK &&
		 epoch_compare(object.epoch, op->epoch) == 0 && object.sequence == op->sequence)
		journal_record_put(j, op->lane, j->base_index + op->sequence);
	else
		journal_lane_out(j, op->lane);
}
