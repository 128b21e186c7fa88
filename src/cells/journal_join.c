/* Joining a bucket: after it, no lower epoch can write anything to this
 * bucket that would count.
 *
 *     LOOK      list marks                       once, to choose an epoch above all of them
 *     MARK      PUT epoch/<ours>
 *     MARKS     LIST epoch/                      a higher mark: refused, the candidacy ends
 *     FENCES    PUT e/<c>/fence for lower c      newest first, a batch at a time, until ...
 *     STARTS    GET e/<c>/s after the fences     ... one of the batch has a start record
 *     SEAL      close its slots, if its leader relied on creating them (journal_seal.c)
 *     JOINED
 *
 * Two candidates that join the same bucket both write their mark before they list, so either the
 * lower one sees the higher mark, or the higher one sees the lower mark and fences it.
 *
 * Why older marks need no fence: a start record of m is only written after m joined a quorum.  Any
 * epoch below m needs ok's from a quorum too; on a bucket of both quorums it either came before m,
 * and m read what it wrote, or it met m's fence or m's mark.  So everything below m has been dead
 * since then, and the work of a takeover is bounded by the candidacies since the last leader,
 * however many marks there are.  And an epoch whose start record was not there after its fence was
 * can not become active on this bucket any more, so only one ever needs a seal. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "cells/journal_state.h"

static void list_marks(struct journal *j, unsigned k, enum op_kind kind, const char *after)
{
	char prefix[JOURNAL_KEY_BYTES];

	journal_key_marks(prefix, j->config.name);
	journal_list(j, journal_op(j, kind, k, j->epoch, 0), prefix, after);
}

/* The next page.  False: the last name cannot be continued from. */
static bool list_more_marks(struct journal *j, unsigned k, enum op_kind kind,
			    const struct journal_event *event)
{
	char after[JOURNAL_KEY_BYTES];

	if (!journal_last_name(event, after))
		return false;
	list_marks(j, k, kind, after);
	return true;
}

/* --- choosing an epoch ------------------------------------------------------------------------ */
void journal_look(struct journal *j, unsigned k)
{
	char after[JOURNAL_KEY_BYTES] = "";

	j->lanes[k].state = LANE_LOOK;
	j->lanes[k].pending = 1;
	if (!epoch_is_none(j->highest))
		journal_key_mark(after, j->config.name, j->highest, JOURNAL_RAW);
	list_marks(j, k, OP_LOOK, after);
}

void journal_look_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	unsigned k = op->lane;
	struct journal_name name;

	if (event->done.err != OK) {
		journal_lane_out(j, k);
		return;
	}
	for (size_t i = 0; i < event->done.name_count; i++) {
		if (!journal_key_parse(event->done.names[i], j->config.name, &name))
			continue;
		if (name.epoch.counter > EPOCH_COUNTER_MAX) {
			journal_lose(j, ERR_CORRUPT, j->highest, "bucket %u: %.*s is no mark", k,
				     SLICE_ARG(event->done.names[i]));
			return;
		}
		if (epoch_compare(name.epoch, j->highest) > 0)
			j->highest = name.epoch;
	}
	if (event->done.more) {
		if (!list_more_marks(j, k, OP_LOOK, event))
			journal_lane_out(j, k);
		return;
	}
	j->lanes[k].pending = 0;
	journal_choose_epoch(j);
}

/* A quorum was looked at, or chosen earlier: lanes that have looked begin to join. */
void journal_choose_epoch(struct journal *j)
{
	unsigned looked = 0;

	for (unsigned k = 0; k < j->config.bucket_count; k++)
		looked += j->lanes[k].state == LANE_LOOK && j->lanes[k].pending == 0;
	if (j->stage == STAGE_LOOK) {
		if (looked < journal_quorum(j))
			return;
		j->stage = STAGE_JOIN;
		j->epoch.counter = j->highest.counter + 1;
		j->highest = j->epoch;
	}
	for (unsigned k = 0; k < j->config.bucket_count; k++)
		if (j->lanes[k].state == LANE_LOOK && j->lanes[k].pending == 0)
			journal_join(j, k);
}

/* --- joining ---------------------------------------------------------------------------------- */
void journal_join(struct journal *j, unsigned k)
{
	char key[JOURNAL_KEY_BYTES];

	if (!j->mark) {
		struct journal_object mark = {
			.kind = JOURNAL_OBJECT_MARK,
			.epoch = j->epoch,
			.time_ms = j->now_ms,
			.address = slice_from(j->address),
			.node = slice_from(j->node),
		};
		j->mark = journal_object_encode(&mark);
	}
	j->lanes[k].state = LANE_MARK;
	journal_key_mark(key, j->config.name, j->epoch, j->config.classes[k]);
	journal_put(j, journal_op(j, OP_MARK, k, j->epoch, 0), key, j->mark);
}

static bool add_mark(struct lane *l, struct epoch e, enum journal_class class)
{
	struct mark *last = l->marks_count ? &l->marks[l->marks_count - 1] : NULL;

	if (last && epoch_compare(last->epoch, e) == 0) { /* of both classes: the stricter one */
		last->class = JOURNAL_CAS;
		return true;
	}
	if (last && epoch_compare(last->epoch, e) > 0)
		return false;
	if (l->marks_count == MARKS_MAX)
		return false;
	if (l->marks_count == l->marks_capacity) {
		l->marks_capacity = l->marks_capacity ? 2 * l->marks_capacity : 16;
		l->marks = memory_grow(l->marks, l->marks_capacity * sizeof(*l->marks));
	}
	l->marks[l->marks_count++] = (struct mark) { e, class };
	return true;
}

void journal_joined(struct journal *j, unsigned k)
{
	j->lanes[k].state = LANE_JOINED;
	journal_on_joined(j, k);
}

static void fence_batch(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];
	char key[JOURNAL_KEY_BYTES];

	if (l->marks_left == 0) {
		journal_joined(j, k);
		return;
	}
	l->state = LANE_FENCES;
	for (size_t i = 0; i < FENCE_BATCH_MAX && i < l->marks_left; i++) {
		struct epoch e = l->marks[l->marks_left - 1 - i].epoch;
		struct journal_object fence = { .kind = JOURNAL_OBJECT_FENCE, .epoch = e };
		struct blob *body = journal_object_encode(&fence);
		journal_key_fence(key, j->config.name, e);
		journal_put(j, journal_op(j, OP_FENCE, k, e, 0), key, body);
		blob_unref(&body);
		l->pending++;
	}
}

static void look_for_starts(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];
	char key[JOURNAL_KEY_BYTES];

	l->state = LANE_STARTS;
	for (size_t i = 0; i < FENCE_BATCH_MAX && l->marks_left; i++) {
		struct epoch e = l->marks[--l->marks_left].epoch;
		journal_key_start(key, j->config.name, e);
		journal_get(j, journal_op(j, OP_STARTS, k, e, 0), key);
		l->pending++;
	}
}

static void marks_done(struct journal *j, unsigned k, const struct journal_event *event)
{
	struct lane *l = &j->lanes[k];
	struct journal_name name;

	for (size_t i = 0; i < event->done.name_count; i++) {
		if (!journal_key_parse(event->done.names[i], j->config.name, &name))
			continue;
		int order = epoch_compare(name.epoch, j->epoch);
		if (order > 0) {
			journal_lose(j, ERR_CONFLICT, name.epoch,
				     "bucket %u has the mark of a higher epoch", k);
			return;
		}
		if (order < 0 && !add_mark(l, name.epoch, name.class)) {
			journal_lane_out(j, k); /* not sorted, or too many */
			return;
		}
	}
	if (event->done.more) {
		if (!list_more_marks(j, k, OP_MARKS, event))
			journal_lane_out(j, k);
		return;
	}
	l->marks_left = l->marks_count;
	fence_batch(j, k);
}

/* Whether it can be read matters later, and then other buckets may have it too. */
static void start_seen(struct journal *j, unsigned k, const struct op *op,
		       const struct journal_event *event)
{
	struct lane *l = &j->lanes[k];
	struct journal_object start;

	if (epoch_compare(op->epoch, l->top) > 0)
		l->top = op->epoch;
	if (event->done.err != OK || epoch_compare(op->epoch, j->holder_epoch) <= 0 ||
	    journal_object_decode(blob_slice(event->done.body), JOURNAL_OBJECT_START, &start) != OK)
		return;
	j->holder_epoch = op->epoch;
	snprintf(j->holder, sizeof(j->holder), "%.*s", SLICE_ARG(start.address));
}

/* Did the newest leader of this bucket rely on its creates? */
static bool top_created(const struct lane *l)
{
#ifdef JOURNAL_BUG_NOSEAL
	return false; /* planted bug: a fence is enough */
#endif
	for (size_t i = l->marks_count; i > 0; i--)
		if (epoch_compare(l->marks[i - 1].epoch, l->top) == 0)
			return l->marks[i - 1].class == JOURNAL_CAS;
	return false;
}

void journal_join_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	unsigned k = op->lane;
	struct lane *l = &j->lanes[k];
	enum err err = event->done.err;
	bool exists = err == OK || err == ERR_CORRUPT || err == ERR_TOO_BIG;

#ifdef JOURNAL_BUG_NOJOIN
	if (l->state >= LANE_COPY)
		return;
#endif
	if (op->kind == OP_STARTS) {
		if (exists)
			start_seen(j, k, op, event);
		else if (err != ERR_NOT_FOUND)
			journal_lane_out(j, k);
	} else if (err != OK) {
		journal_lane_out(j, k);
	}
	if (l->life != op->life)
		return;
	if (op->kind == OP_MARK) {
		l->state = LANE_MARKS;
		l->marks_count = l->marks_left = 0;
		l->marks_ms = j->now_ms;
		list_marks(j, k, OP_MARKS, "");
	} else if (op->kind == OP_MARKS) {
		marks_done(j, k, event);
	} else if (--l->pending == 0) {
		if (op->kind == OP_FENCE)
			look_for_starts(j, k);
		else if (epoch_is_none(l->top))
			fence_batch(j, k);
		else if (top_created(l))
			journal_seal(j, k);
		else
			journal_joined(j, k);
	}
}
