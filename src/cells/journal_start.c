/* Winning: the part of an election that writes.
 *
 *     COPY      the start record and the uncommitted records of the adopted epoch, on every lane
 *     COPIED    on a quorum?  Only then:
 *     START     PUT e/<ours>/s
 *     CHECK     GET e/<ours>/fence
 *     ACTIVE    on a quorum: we lead, the adopted log is committed
 *
 * Records up to the watermark are on a quorum already.  Those above are written again even where
 * they were listed: to be listed is not to be durable.  Copies have names of their own, because the
 * name of the record may hold a seal. */
#include <assert.h>

#include "cells/journal_state.h"

void journal_recovery_clear(struct journal *j)
{
	for (unsigned i = 0; i < REPLAY_WINDOW; i++)
		blob_unref(&j->replay[i].body);
	while (j->kept_count)
		blob_unref(&j->kept[--j->kept_count]);
	blob_unref(&j->adopted_start);
	j->tail_count = 0;
	j->adopted = (struct epoch) { 0, 0 };
}

static void encode_start(struct journal *j)
{
	struct journal_object start = {
		.kind = JOURNAL_OBJECT_START,
		.epoch = j->epoch,
		.time_ms = journal_time(j),
		.previous_epoch = j->adopted,
		.previous_checksum = j->checksum,
		.base_index = j->last_index,
		.snapshot = j->snapshot,
		.bucket_count = j->config.bucket_count,
		.address = slice_from(j->address),
		.node = slice_from(j->node),
	};

	memcpy(start.classes, j->config.classes, sizeof(start.classes));
	if (j->segment_count) {
		const struct segment *adopted = &j->segments[j->segment_count - 1];
		start.previous_sequence = adopted->count;
		if (adopted->count == 0) { /* whoever wins and dies must not lengthen the chain */
			start.previous_epoch = adopted->previous;
			start.previous_sequence = adopted->previous_sequence;
			start.previous_checksum = adopted->previous_checksum;
		}
	}
	blob_unref(&j->start);
	j->start = journal_object_encode(&start);
	j->checksum = journal_object_checksum(j->start);
}

void journal_begin_start(struct journal *j)
{
	j->stage = STAGE_START;
	j->base_index = j->last_index;
	encode_start(j);
	for (unsigned k = 0; k < j->config.bucket_count; k++) {
#ifdef JOURNAL_BUG_NOJOIN
		if (j->lanes[k].state < LANE_JOINED)
			j->lanes[k].marks_ms = j->now_ms;
		journal_copy(j, k); /* planted bug: counts buckets it did not join */
#else
		if (j->lanes[k].state >= LANE_JOINED)
			journal_copy(j, k);
#endif
	}
}

static void copied(struct journal *j, unsigned k)
{
	j->lanes[k].state = LANE_COPIED;
	j->lanes[k].copied = true;
	if (j->copied) {
		journal_put_start(j, k);
		return;
	}
	if (bits_count(journal_lanes_at(j, LANE_COPIED)) < journal_quorum(j))
		return;
	j->copied = true;
	for (unsigned i = 0; i < j->config.bucket_count; i++)
		if (j->lanes[i].state == LANE_COPIED)
			journal_put_start(j, i);
}

void journal_copy(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];
	char key[JOURNAL_KEY_BYTES];

	l->state = LANE_COPY;
	l->pending = 0;
#ifndef JOURNAL_BUG_NOCOPY
	if (j->adopted_start) {
		journal_key_start(key, j->config.name, j->adopted);
		journal_put(j, journal_op(j, OP_COPY, k, j->adopted, 0), key, j->adopted_start);
		l->pending++;
	}
	for (unsigned i = 0; i < j->kept_count; i++) {
		const struct segment *adopted = &j->segments[j->segment_count - 1];
		uint64_t sequence = adopted->count - j->kept_count + 1 + i;
		journal_key_copy(key, j->config.name, j->adopted, sequence);
		journal_put(j, journal_op(j, OP_COPY, k, j->adopted, sequence), key, j->kept[i]);
		l->pending++;
	}
#else
	(void)key; /* planted bug: the start record comes before the tail is on a quorum */
#endif
	if (l->pending == 0)
		copied(j, k);
}

void journal_put_start(struct journal *j, unsigned k)
{
	char key[JOURNAL_KEY_BYTES];

	j->lanes[k].state = LANE_START;
	journal_key_start(key, j->config.name, j->epoch);
	journal_put(j, journal_op(j, OP_START, k, j->epoch, 0), key, j->start);
}

void journal_start_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	unsigned k = op->lane;
	struct lane *l = &j->lanes[k];
	char key[JOURNAL_KEY_BYTES];

	if (op->kind == OP_START_CHECK) {
		if (!journal_not_fenced(j, op, event->done.err))
			return;
		if (journal_marks_are_fresh(j, k))
			journal_on_active(j, k);
		else
			journal_lane_out(j, k); /* we slept; join it again */
		return;
	}
	if (event->done.err != OK) {
		journal_lane_out(j, k);
		return;
	}
	if (op->kind == OP_COPY) {
		if (--l->pending == 0)
			copied(j, k);
		return;
	}
	l->state = LANE_CHECK;
	journal_key_fence(key, j->config.name, j->epoch);
	journal_get(j, journal_op(j, OP_START_CHECK, k, j->epoch, 0), key);
}
