/* Deleting what nobody can need any more, one bucket after the other.
 *
 *     marks     of lower epochs.  Safe once our start record is on this bucket: everything below us
 *               is dead (journal_join.c), and a zombie that lists finds our mark, which stays.
 *     objects   records that an old enough snapshot covers, start records that nothing after the
 *               snapshot hangs on, everything of lower epochs that are not part of the log.
 *     fences    last, and only of epochs that have been dead for longer than any zombie lives:
 *               since a start record above them is that old.
 *
 * Where records were created (class cas), a name in a lower epoch may hold a seal and goes like a
 * fence; and of our own slots only those go that a floor on the same bucket covers
 * (journal_seal.c).
 *
 * A snapshot is "old enough" when the first record that carried its pointer is committed and was
 * written `record_grace_ms` ago, so that slow readers are not overtaken. */
#include <assert.h>
#include <stdio.h>

#include "cells/journal_state.h"

static void list_next(struct journal *j);

/* Remember when a snapshot pointer entered the log.  Old ones are what TRIM needs first, so when
 * there is no room, every second one is forgotten. */
void journal_announce(struct journal *j, uint64_t record_index)
{
	size_t n = j->announced_count;

	if (j->snapshot.index == 0 ||
	    (n && j->announced[n - 1].snapshot_index >= j->snapshot.index))
		return;
	if (n == ANNOUNCED_MAX) {
		for (n = 0; n < ANNOUNCED_MAX / 2; n++)
			j->announced[n] = j->announced[2 * n];
	}
	j->announced[n] = (struct announced) {
		.snapshot_index = j->snapshot.index,
		.record_index = record_index,
		.time_ms = j->now_ms,
	};
	j->announced_count = n + 1;
}

static bool is_older(const struct journal *j, uint64_t time_ms, uint64_t grace_ms)
{
	return j->now_ms >= time_ms && j->now_ms - time_ms >= grace_ms;
}

/* --- what may go ------------------------------------------------------------------------------ */
static bool fence_may_go(const struct journal *j, struct epoch e)
{
	uint64_t grace_ms = j->trim.fence_grace_ms;

#ifdef JOURNAL_BUG_GCFENCE
	grace_ms = 0; /* planted bug: while a zombie may be alive */
#endif
	if (is_older(j, j->leads_ms, grace_ms))
		return true;
	return epoch_compare(e, j->adopted_epoch) < 0 && is_older(j, j->adopted_ms, grace_ms);
}

/* False: the name must stay, whatever it is.  `may_be_seal`: a candidate may have put one there. */
static bool slot_may_go(const struct journal *j, const struct journal_name *name, bool may_be_seal)
{
	const struct lane *l = &j->lanes[j->trim.bucket];

	if (name->kind != JOURNAL_OBJECT_RECORD || name->is_copy)
		return true;
	if (epoch_compare(name->epoch, j->epoch) == 0) {
#ifdef JOURNAL_BUG_NOFLOOR
		return true; /* planted bug: whether a floor is on this bucket or not */
#endif
		return !l->dense || name->sequence <= l->floor;
	}
#ifdef JOURNAL_BUG_GCSEAL
	return true; /* planted bug: seals go with the records */
#endif
	return !may_be_seal || fence_may_go(j, name->epoch);
}

static bool object_may_go(const struct journal *j, const struct journal_name *name)
{
	const struct trim *t = &j->trim;
	const struct lane *l = &j->lanes[t->bucket];

	for (size_t i = 0; i < j->segment_count; i++) {
		const struct segment *s = &j->segments[i];
		if (epoch_compare(s->epoch, name->epoch) != 0)
			continue;
		/* On the only bucket a seal would have ended the log before it. */
		bool is_sure = j->config.bucket_count == 1 && name->sequence <= s->count;
		if (!slot_may_go(j, name, !is_sure && s->cas & bit(t->bucket)))
			return false;
		if (name->kind == JOURNAL_OBJECT_START)
			return i + 1 < j->segment_count && s->base + s->count <= t->index;
		if (name->kind == JOURNAL_OBJECT_FLOOR) /* the newest stays */
			return s->base + name->sequence < t->index &&
			       (!l->dense || i + 1 < j->segment_count || name->sequence < l->floor);
		if (name->sequence > s->count) /* was not adopted */
			return is_older(j, j->leads_ms, t->record_grace_ms);
		return s->base + name->sequence <= t->index;
	}
	return slot_may_go(j, name, j->config.classes[t->bucket] == JOURNAL_CAS) &&
	       is_older(j, j->leads_ms, t->record_grace_ms);
}

static bool name_may_go(const struct journal *j, const struct journal_name *name)
{
	const struct trim *t = &j->trim;

	switch (name->kind) {
	case JOURNAL_OBJECT_MARK:
		return t->phase == TRIM_MARKS && epoch_compare(name->epoch, j->epoch) < 0 &&
		       is_older(j, j->leads_ms, t->record_grace_ms);
	case JOURNAL_OBJECT_RECORD:
	case JOURNAL_OBJECT_START:
	case JOURNAL_OBJECT_FLOOR:
		return t->phase == TRIM_OBJECTS && object_may_go(j, name);
	case JOURNAL_OBJECT_FENCE:
		return t->phase == TRIM_FENCES && epoch_compare(name->epoch, j->epoch) < 0 &&
		       fence_may_go(j, name->epoch);
	case JOURNAL_OBJECT_SEAL: /* its name is that of a record */
		break;
	}
	return false;
}

/* --- walking ---------------------------------------------------------------------------------- */
static void next_phase(struct journal *j)
{
	struct trim *t = &j->trim;

	t->after[0] = '\0';
	t->phase++;
	if (t->phase == TRIM_PHASES || t->failed) {
		t->phase = TRIM_MARKS;
		t->failed = false;
		t->bucket++;
	}
	list_next(j);
}

static void list_next(struct journal *j)
{
	struct trim *t = &j->trim;
	char prefix[JOURNAL_KEY_BYTES];

	while (t->bucket < j->config.bucket_count && j->lanes[t->bucket].state != LANE_ACTIVE) {
		t->bucket++;
		t->phase = TRIM_MARKS;
		t->after[0] = '\0';
	}
	if (t->bucket == j->config.bucket_count) {
		t->active = false;
		return;
	}
	if (t->phase == TRIM_MARKS)
		journal_key_marks(prefix, j->config.name);
	else
		journal_key_epochs(prefix, j->config.name);
	t->life = j->lanes[t->bucket].life;
	journal_list(j, journal_op(j, OP_TRIM_LIST, t->bucket, j->epoch, 0), prefix, t->after);
}

void journal_trim(struct journal *j, const struct journal_event *event)
{
	struct trim *t = &j->trim;

	if (t->active && j->lanes[t->bucket].life == t->life)
		return; /* the last one is still at it */
	*t = (struct trim) {
		.active = true,
		.record_grace_ms = event->trim.record_grace_ms,
		.fence_grace_ms = event->trim.fence_grace_ms,
	};
	for (size_t i = 0; i < j->announced_count; i++) {
		const struct announced *a = &j->announced[i];
		if (a->record_index <= j->committed && is_older(j, a->time_ms, t->record_grace_ms))
			t->index = a->snapshot_index;
	}
	list_next(j);
}

static void names_done(struct journal *j, const struct journal_event *event)
{
	struct trim *t = &j->trim;
	struct journal_name name;
	size_t i = 0;

	for (; i < event->done.name_count && t->pending < TRIM_BATCH; i++) {
		struct slice key = event->done.names[i];
		if (!journal_key_parse(key, j->config.name, &name))
			continue;
		if (epoch_compare(name.epoch, j->epoch) > 0) {
			journal_lose(j, ERR_CONFLICT, name.epoch,
				     "bucket %u has an object of a higher epoch", t->bucket);
			return;
		}
		if (!name_may_go(j, &name))
			continue;
		journal_delete(j, journal_op(j, OP_TRIM_DELETE, t->bucket, name.epoch, 0), key);
		t->pending++;
	}
	t->more = event->done.more || i < event->done.name_count;
	if (i && event->done.names[i - 1].size < sizeof(t->after)) {
		struct slice last = event->done.names[i - 1];
		memcpy(t->after, last.data, last.size);
		t->after[last.size] = '\0';
	} else {
		t->more = false;
	}
	if (t->pending == 0) {
		if (t->more)
			list_next(j);
		else
			next_phase(j);
	}
}

void journal_trim_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	struct trim *t = &j->trim;

	if (op->kind == OP_TRIM_LIST) {
		if (event->done.err != OK) {
			t->failed = true;
			next_phase(j);
			return;
		}
		names_done(j, event);
		return;
	}
	if (event->done.err != OK)
		t->failed = true;
	if (--t->pending)
		return;
	if (t->more && !t->failed)
		list_next(j);
	else
		next_phase(j);
}
