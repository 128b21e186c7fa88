/* Closing the slots of the last leader on a bucket where its creates were ok's.
 *
 * Such a leader takes the slots 1, 2, 3, ... of its epoch by create-if-absent, and a record counts
 * on this bucket when all slots up to it were created.  So a seal in the first free slot ends the
 * epoch here: whatever is created behind it does not count, and its leader meets it.
 *
 *     FLOORS    LIST e/<c>/at/        slots up to the newest floor are taken, if perhaps trimmed
 *     LIST      e/<c>/ after it       the first slot that is not there
 *     LAST      GET the one before    a seal already: another one would add nothing
 *     SEAL      create it             taken meanwhile: LIST again
 *     FLOORS    LIST e/<c>/at/        a floor at or above the seal: the slot was not free but
 *                                     trimmed, LIST again from there
 *
 * The second look is needed because a leader that is alive takes snapshots and trims.  It never
 * deletes a slot before a floor at or above it is on the bucket, nor that floor before a newer one,
 * and a floor is put only when all slots up to it were created.
 *
 * Without LAST, candidates that run every few seconds while there is no quorum would leave a seal
 * each time, for days, and the next recovery would have to read all of them.
 *
 * A seal is deleted like a fence, not like a record: a create that was under way when its leader
 * fell asleep must still find it (journal_trim.c). */
#include <assert.h>

#include "cells/journal_state.h"

static void list_floors(struct journal *j, unsigned k, const char *after)
{
	char prefix[JOURNAL_KEY_BYTES];

	journal_key_floors(prefix, j->config.name, j->lanes[k].top);
	journal_list(j, journal_op(j, OP_SEAL_FLOORS, k, j->lanes[k].top, 0), prefix, after);
}

static void list_slots(struct journal *j, unsigned k, const char *after)
{
	char prefix[JOURNAL_KEY_BYTES];

	journal_key_epoch(prefix, j->config.name, j->lanes[k].top);
	journal_list(j, journal_op(j, OP_SEAL_LIST, k, j->lanes[k].top, 0), prefix, after);
}

/* Look for a free slot from `sequence` on. */
static void look_from(struct journal *j, unsigned k, uint64_t sequence)
{
	char after[JOURNAL_KEY_BYTES] = "";

	j->lanes[k].sealing = sequence;
	if (sequence > 1)
		journal_key_record(after, j->config.name, j->lanes[k].top, sequence - 1);
	list_slots(j, k, after);
}

void journal_seal(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];

	l->state = LANE_SEAL;
	l->sealing = l->sealed = l->sealed_floor = 0;
	list_floors(j, k, "");
}

static void floors_done(struct journal *j, unsigned k, const struct journal_event *event)
{
	struct lane *l = &j->lanes[k];
	char after[JOURNAL_KEY_BYTES];
	struct journal_name name;

	for (size_t i = 0; i < event->done.name_count; i++)
		if (journal_key_parse(event->done.names[i], j->config.name, &name) &&
		    name.kind == JOURNAL_OBJECT_FLOOR && name.sequence > l->sealed_floor)
			l->sealed_floor = name.sequence;
	if (event->done.more) {
		if (journal_last_name(event, after))
			list_floors(j, k, after);
		else
			journal_lane_out(j, k);
		return;
	}
#ifdef JOURNAL_BUG_NOLOOK
	l->sealed_floor = l->sealing ? 0 : l->sealed_floor; /* planted bug: no second look */
#endif
	if (l->sealing > l->sealed_floor) {
		l->sealed = l->sealing;
		journal_joined(j, k);
	} else {
		look_from(j, k, l->sealed_floor + 1);
	}
}

static void create_seal(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];
	char key[JOURNAL_KEY_BYTES];
	struct journal_object seal = {
		.kind = JOURNAL_OBJECT_SEAL,
		.epoch = l->top,
		.time_ms = j->now_ms,
		.sequence = l->sealing,
	};

	if (l->sealing > JOURNAL_SEQUENCE_MAX) {
		journal_lane_out(j, k); /* full of names that no leader makes */
		return;
	}
	struct blob *body = journal_object_encode(&seal);
	journal_key_record(key, j->config.name, l->top, l->sealing);
	journal_put_new(j, journal_op(j, OP_SEAL, k, l->top, l->sealing), key, body);
	blob_unref(&body);
}

/* The slot before the free one, if it is above the floor. */
static void read_last(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];
	char key[JOURNAL_KEY_BYTES];

	if (l->sealing <= l->sealed_floor + 1) {
		create_seal(j, k);
		return;
	}
	journal_key_record(key, j->config.name, l->top, l->sealing - 1);
	journal_get(j, journal_op(j, OP_SEAL_LAST, k, l->top, l->sealing - 1), key);
}

static void last_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	enum err err = event->done.err;
	struct journal_object last;

	if (err == OK &&
	    journal_object_decode(blob_slice(event->done.body), JOURNAL_OBJECT_SEAL, &last) == OK &&
	    epoch_compare(last.epoch, op->epoch) == 0 && last.sequence == op->sequence) {
		j->lanes[op->lane].sealing = op->sequence;
		list_floors(j, op->lane, "");
	} else if (err == OK || err == ERR_NOT_FOUND || err == ERR_CORRUPT || err == ERR_TOO_BIG) {
		create_seal(j, op->lane);
	} else {
		journal_lane_out(j, op->lane);
	}
}

static void slots_done(struct journal *j, unsigned k, const struct journal_event *event)
{
	struct lane *l = &j->lanes[k];
	char after[JOURNAL_KEY_BYTES];
	struct journal_name name;
	bool found = false; /* names are in order: a greater one means that ours is free */

	for (size_t i = 0; i < event->done.name_count && !found; i++) {
		if (!journal_key_parse(event->done.names[i], j->config.name, &name) ||
		    name.kind != JOURNAL_OBJECT_RECORD || name.is_copy ||
		    name.sequence < l->sealing)
			continue;
		if (name.sequence == l->sealing)
			l->sealing++;
		else
			found = true;
	}
	if (found || !event->done.more)
		read_last(j, k);
	else if (journal_last_name(event, after))
		list_slots(j, k, after);
	else
		journal_lane_out(j, k);
}

static void seal_done(struct journal *j, const struct op *op, enum err err)
{
	char text[EPOCH_TEXT_BYTES];

	if (err == OK) {
		list_floors(j, op->lane, "");
	} else if (err == ERR_EXISTS) {
		look_from(j, op->lane, op->sequence + 1);
	} else if (err == ERR_UNSUPPORTED && j->role == JOURNAL_ELECTING) {
		epoch_text(text, op->epoch);
		journal_lose(j, ERR_INVALID, j->highest,
			     "epoch %s relies on create-if-absent in bucket %u, which is "
			     "configured here as class raw; use the same class on all nodes",
			     text, op->lane);
	} else {
		journal_lane_out(j, op->lane);
	}
}

void journal_seal_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	if (op->kind == OP_SEAL)
		seal_done(j, op, event->done.err);
	else if (op->kind == OP_SEAL_LAST)
		last_done(j, op, event);
	else if (event->done.err != OK)
		journal_lane_out(j, op->lane);
	else if (op->kind == OP_SEAL_FLOORS)
		floors_done(j, op->lane, event);
	else
		slots_done(j, op->lane, event);
}
