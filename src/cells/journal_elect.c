/* What the log is: the part of an election between joining and writing.
 *
 *     JOIN    m = highest epoch with a start record on any joined bucket of a quorum;
 *             list the records of m on all of them, from the newest floor on
 *     TIP     its start record and its newest record: the newest snapshot pointer, and up to where
 *             the log is known to be on a quorum (the watermark)
 *     CHAIN   start records backwards until the snapshot covers what is before
 *     REPLAY  hand out the records after the snapshot; keep those above the watermark for copying
 *
 * The log of m ends before the first sequence that no voter listed; sequences at or below the
 * snapshot may have been trimmed and count as there.  An object that is corrupt or gone where it
 * should be is read from the other buckets.  If none has it, then the log may only be cut before it
 * when it cannot have been committed: too few buckets may hold it for a quorum.  Otherwise the
 * election fails and names the object; a committed tail is never dropped in silence.
 *
 * A candidate that slept may find a log that looks damaged only because a newer leader has trimmed
 * it meanwhile.  So before it raises the alarm it looks for marks above its own. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "cells/journal_state.h"

static void read_tip(struct journal *j);
static void walk_chain(struct journal *j);

/* --- damage, or only late? ---------------------------------------------------------------- */
static void PRINTF_LIKE(2, 3) doubt(struct journal *j, const char *format, ...)
{
	unsigned joined_lanes = journal_lanes_at(j, LANE_JOINED);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(j->doubt_why, sizeof(j->doubt_why), format, arguments);
	va_end(arguments);
	j->stage = STAGE_DOUBT;
	j->doubts = bits_count(joined_lanes);
	for (unsigned k = 0; k < j->config.bucket_count; k++)
		if (joined_lanes & bit(k))
			journal_look_above(j, k, OP_DOUBT);
	if (j->doubts == 0)
		journal_lose(j, ERR_CORRUPT, j->highest, "%s", j->doubt_why);
}

void journal_doubt_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	if (event->done.err == OK && journal_is_outdone(j, op, event))
		return;
	if (--j->doubts == 0)
		journal_lose(j, ERR_CORRUPT, j->highest, "%s", j->doubt_why);
}

/* --- choosing --------------------------------------------------------------------------------- */
static void list_tail(struct journal *j, unsigned k, enum op_kind kind, struct epoch e,
		      const char *after)
{
	char prefix[JOURNAL_KEY_BYTES];

	journal_key_epoch(prefix, j->config.name, e);
	journal_list(j, journal_op(j, kind, k, e, 0), prefix, after);
}

static void list_floors(struct journal *j, unsigned k, struct epoch e, const char *after)
{
	char prefix[JOURNAL_KEY_BYTES];

	journal_key_floors(prefix, j->config.name, e);
	journal_list(j, journal_op(j, OP_FLOORS, k, e, 0), prefix, after);
}

void journal_on_joined(struct journal *j, unsigned k)
{
	if (j->stage == STAGE_LEAD)
		journal_put_start(j, k);
	else if (j->stage == STAGE_START)
		journal_copy(j, k);
	else if (j->stage == STAGE_JOIN)
		journal_choose(j);
	/* between: journal_begin_start() takes it along */
}

#ifdef JOURNAL_BUG_NOREWRITE
/* Planted bug: the longest history instead of the highest epoch. */
static bool measure(struct journal *j, unsigned joined_lanes, struct epoch *ret)
{
	uint64_t longest = 0;
	bool all = true;

	*ret = (struct epoch) { 0, 0 };
	for (unsigned k = 0; k < j->config.bucket_count; k++) {
		struct lane *l = &j->lanes[k];
		if (!(joined_lanes & bit(k)) || epoch_is_none(l->top))
			continue;
		if (!l->measured)
			all = false;
		if (!l->measured && !l->pending) {
			l->pending = 1;
			list_tail(j, k, OP_MEASURE, l->top, "");
		}
		if (l->measured && l->top_base + l->top_count >= longest) {
			longest = l->top_base + l->top_count;
			*ret = l->top;
		}
	}
	return all;
}
#endif

/* What somebody knows to have been committed is not there: the buckets are older than they were. */
static bool is_known_lost(struct journal *j)
{
	if (j->last_index >= j->known_index)
		return false;
	doubt(j, "record %" PRIu64 " was committed, and the buckets end at record %" PRIu64,
	      j->known_index, j->last_index);
	return true;
}

static void decide(struct journal *j)
{
	j->voters = journal_lanes_at(j, LANE_TAILED);
	for (unsigned k = 0; k < j->config.bucket_count; k++)
		if (j->lanes[k].state == LANE_TAIL)
			j->lanes[k].state = LANE_JOINED; /* too late to vote */
	if (epoch_is_none(j->adopted)) {
		if (is_known_lost(j))
			return;
		struct journal_effect *e = journal_emit(j, JOURNAL_ADOPTED);
		e->index = 0;
		journal_begin_start(j);
		return;
	}
	j->stage = STAGE_TIP;
	journal_fetch(j, OP_CHAIN, 0, j->adopted, 0, 0);
}

/* Called whenever a lane has joined or listed: goes on when a quorum did. */
void journal_choose(struct journal *j)
{
	unsigned joined_lanes = journal_lanes_at(j, LANE_JOINED);
	struct epoch highest = j->adopted;

	if (j->stage != STAGE_JOIN || bits_count(joined_lanes) < journal_quorum(j))
		return;
#ifdef JOURNAL_BUG_NOREWRITE
	if (!measure(j, joined_lanes, &highest))
		return;
#else
	for (unsigned k = 0; k < j->config.bucket_count; k++)
		if (joined_lanes & bit(k) && epoch_compare(j->lanes[k].top, highest) > 0)
			highest = j->lanes[k].top;
#endif
	if (!j->chosen || epoch_compare(highest, j->adopted) != 0) {
		j->chosen = true;
		j->adopted = highest;
		j->tail_count = 0;
		j->floor = 0;
		for (unsigned k = 0; k < j->config.bucket_count; k++)
			if (joined_lanes & bit(k))
				j->lanes[k].state = LANE_JOINED;
	}
	for (unsigned k = 0; k < j->config.bucket_count; k++) {
		if (j->lanes[k].state != LANE_JOINED)
			continue;
		j->lanes[k].state = epoch_is_none(highest) ? LANE_TAILED : LANE_TAIL;
		if (!epoch_is_none(highest))
			list_floors(j, k, highest, "");
	}
	if (bits_count(journal_lanes_at(j, LANE_TAILED)) >= journal_quorum(j))
		decide(j);
}

/* --- the tail of the chosen epoch ------------------------------------------------------------- */
/* Where `sequence` is in the tail, or would be. */
static size_t tail_find(const struct journal *j, uint64_t sequence)
{
	size_t low = 0, high = j->tail_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (j->tail[middle].sequence < sequence)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool tail_add(struct journal *j, uint64_t sequence, unsigned k)
{
	size_t at = tail_find(j, sequence);

	if (at == j->tail_count || j->tail[at].sequence != sequence) {
		if (j->tail_count == TAIL_RECORDS_MAX)
			return false;
		if (j->tail_count == j->tail_capacity) {
			j->tail_capacity = j->tail_capacity ? 2 * j->tail_capacity : 64;
			j->tail = memory_grow(j->tail, j->tail_capacity * sizeof(*j->tail));
		}
		memmove(j->tail + at + 1, j->tail + at, (j->tail_count - at) * sizeof(*j->tail));
		j->tail[at] = (struct tail_record) { .sequence = sequence };
		j->tail_count++;
	}
	j->tail[at].holders |= bit(k);
	return true;
}

#ifdef JOURNAL_BUG_NOREWRITE
static void measured(struct journal *j, struct lane *l, const struct journal_event *event)
{
	struct journal_name name;

	l->measured = true;
	l->pending = 0;
	l->top_count = 0;
	for (size_t i = 0; i < event->done.name_count; i++)
		if (journal_key_parse(event->done.names[i], j->config.name, &name))
			l->top_count += name.kind == JOURNAL_OBJECT_RECORD;
	journal_choose(j);
}
#endif

/* The record at the floor is wanted: it may be the newest there is. */
static void list_from_floor(struct journal *j, unsigned k, struct epoch e)
{
	char after[JOURNAL_KEY_BYTES] = "";

	if (j->floor > 1)
		journal_key_record(after, j->config.name, e, j->floor - 1);
	list_tail(j, k, OP_TAIL, e, after);
}

void journal_floors_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	char after[JOURNAL_KEY_BYTES];
	struct journal_name name;

	if (event->done.err != OK) {
		journal_lane_out(j, op->lane);
		return;
	}
	if (j->stage != STAGE_JOIN || epoch_compare(op->epoch, j->adopted) != 0)
		return;
	for (size_t i = 0; i < event->done.name_count; i++)
		if (journal_key_parse(event->done.names[i], j->config.name, &name) &&
		    name.kind == JOURNAL_OBJECT_FLOOR && name.sequence > j->floor)
			j->floor = name.sequence;
	if (event->done.more && journal_last_name(event, after))
		list_floors(j, op->lane, op->epoch, after);
	else
		list_from_floor(j, op->lane, op->epoch);
}

/* Others look like records until they are read. */
static bool is_known_seal(const struct lane *l, struct epoch e, const struct journal_name *name)
{
	return !name->is_copy && name->sequence == l->sealed && epoch_compare(l->top, e) == 0;
}

void journal_tail_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	struct lane *l = &j->lanes[op->lane];
	char after[JOURNAL_KEY_BYTES];
	struct journal_name name;

	if (event->done.err != OK) {
		journal_lane_out(j, op->lane);
		return;
	}
#ifdef JOURNAL_BUG_NOREWRITE
	if (op->kind == OP_MEASURE) {
		measured(j, l, event);
		return;
	}
#endif
	if (j->stage != STAGE_JOIN || epoch_compare(op->epoch, j->adopted) != 0)
		return; /* decided without it, or another epoch is being listed now */
	for (size_t i = 0; i < event->done.name_count; i++) {
		if (!journal_key_parse(event->done.names[i], j->config.name, &name) ||
		    name.kind != JOURNAL_OBJECT_RECORD)
			continue;
		if (is_known_seal(l, op->epoch, &name))
			continue;
		if (!tail_add(j, name.sequence, op->lane)) {
			journal_lose(j, ERR_TOO_BIG, j->highest, "more than %d records to recover",
				     TAIL_RECORDS_MAX);
			return;
		}
	}
	if (event->done.more) {
		if (journal_last_name(event, after))
			list_tail(j, op->lane, OP_TAIL, op->epoch, after);
		else
			journal_lane_out(j, op->lane);
		return;
	}
	l->state = LANE_TAILED;
	journal_choose(j);
}

/* --- start record and tip of the chosen epoch ------------------------------------------------- */
static unsigned created_on(const struct journal_object *start)
{
	unsigned bits = 0;

	for (unsigned k = 0; k < start->bucket_count; k++)
		bits |= start->classes[k] == JOURNAL_CAS ? bit(k) : 0;
	return bits;
}

static bool add_segment(struct journal *j, const struct journal_object *start, uint64_t count)
{
	if (j->segment_count == SEGMENTS_MAX)
		return false;
	if (j->segment_count == j->segment_capacity) {
		j->segment_capacity = j->segment_capacity ? 2 * j->segment_capacity : 8;
		j->segments = memory_grow(j->segments, j->segment_capacity * sizeof(*j->segments));
	}
	j->segments[j->segment_count++] = (struct segment) {
		.epoch = start->epoch,
		.base = start->base_index,
		.count = count,
		.cas = created_on(start),
		.start_checksum = start->checksum,
		.previous = start->previous_epoch,
		.previous_sequence = start->previous_sequence,
		.previous_checksum = start->previous_checksum,
	};
	return true;
}

static bool config_is_ours(const struct journal *j, const struct journal_object *start)
{
	return start->bucket_count == j->config.bucket_count;
}

static void on_adopted_start(struct journal *j, struct blob *body,
			     const struct journal_object *start)
{
	if (!config_is_ours(j, start)) {
		journal_lose(j, ERR_INVALID, j->highest,
			     "the journal is on %u buckets, %u are configured", start->bucket_count,
			     j->config.bucket_count);
		return;
	}
	j->adopted_start = blob_ref(body);
	j->adopted_ms = j->last_ms = start->time_ms;
	j->snapshot = start->snapshot;
	j->watermark = start->base_index + j->floor;
	add_segment(j, start, 0);
	read_tip(j);
}

static uint64_t contiguous_from(const struct journal *j, uint64_t sequence)
{
	for (size_t i = tail_find(j, sequence + 1);
	     i < j->tail_count && j->tail[i].sequence == sequence + 1; i++)
		sequence++;
	return sequence;
}

static void know_tip(struct journal *j)
{
	struct segment *adopted = &j->segments[0];
	uint64_t trimmed = 0;

	if (j->snapshot.index > adopted->base)
		trimmed = j->snapshot.index - adopted->base;
	if (j->floor > trimmed)
		trimmed = j->floor;
	adopted->count = contiguous_from(j, trimmed);
	j->last_index = adopted->base + adopted->count;
	if (j->last_index < j->watermark) {
		char text[EPOCH_TEXT_BYTES];
		epoch_text(text, adopted->epoch);
		doubt(j, "record %012" PRIx64 " of epoch %s is committed and missing",
		      adopted->count + 1, text);
		return;
	}
	if (is_known_lost(j))
		return;
	j->stage = STAGE_CHAIN;
	walk_chain(j);
}

static void read_tip(struct journal *j)
{
	if (j->tail_count)
		journal_fetch(j, OP_TIP, 0, j->adopted, j->tail[j->tail_count - 1].sequence, 0);
	else if (j->floor)
		journal_fetch(j, OP_TIP, 0, j->adopted, j->floor, 0);
	else
		know_tip(j);
}

static void on_tip(struct journal *j, const struct journal_object *tip)
{
	if (tip->index != j->segments[0].base + tip->sequence) {
		doubt(j, "record %012" PRIx64 " of the newest epoch has the wrong index",
		      tip->sequence);
		return;
	}
	if (tip->snapshot.index > j->snapshot.index)
		j->snapshot = tip->snapshot;
	if (tip->committed > j->watermark)
		j->watermark = tip->committed;
	know_tip(j);
}

/* --- the chain of epochs back to the snapshot ------------------------------------------------- */
static void begin_replay(struct journal *j);

/* Segments are gathered newest first and turned round at the end. */
static void walk_chain(struct journal *j)
{
	struct segment *oldest = &j->segments[j->segment_count - 1];

	if (oldest->base > j->snapshot.index) {
		journal_fetch(j, OP_CHAIN, 0, oldest->previous, 0, 0);
		return;
	}
	for (size_t i = 0; i < j->segment_count / 2; i++) {
		struct segment swap = j->segments[i];
		j->segments[i] = j->segments[j->segment_count - 1 - i];
		j->segments[j->segment_count - 1 - i] = swap;
	}
	begin_replay(j);
}

static void on_link(struct journal *j, const struct journal_object *start)
{
	struct segment *next = &j->segments[j->segment_count - 1];

	if (start->base_index + next->previous_sequence != next->base ||
	    !add_segment(j, start, next->previous_sequence)) {
		doubt(j, "the chain of epochs breaks at index %" PRIu64, next->base);
		return;
	}
	walk_chain(j);
}

/* --- replay ----------------------------------------------------------------------------------- */
static struct segment *segment_of(struct journal *j, uint64_t index)
{
	for (size_t i = j->segment_count; i > 0; i--)
		if (j->segments[i - 1].base < index)
			return &j->segments[i - 1];
	return NULL;
}

static void request_records(struct journal *j)
{
	while (j->replay_next <= j->last_index &&
	       j->replay_next - j->replay_done <= REPLAY_WINDOW) {
		struct segment *s = segment_of(j, j->replay_next);
		assert(s);
		journal_fetch(j, OP_REPLAY, 0, s->epoch, j->replay_next - s->base, 0);
		j->replay_next++;
	}
}

/* Hand out what is there in order. */
static void emit_records(struct journal *j)
{
	struct replay_slot *slot;

	while (slot = &j->replay[(j->replay_done + 1) % REPLAY_WINDOW],
	       j->replay_done < j->last_index && slot->body) {
		const struct journal_object *o = &slot->object;
		struct segment *s = segment_of(j, o->index);
		assert(s);
		uint32_t expected = o->sequence == 1 ? s->start_checksum : j->checksum;
		if ((expected && o->previous_checksum && expected != o->previous_checksum) ||
		    (o->index > j->watermark && j->kept_count == REPLAY_WINDOW * 4)) {
			doubt(j, "record %" PRIu64 " does not follow the one before it", o->index);
			return;
		}
		struct journal_effect *e = journal_emit(j, JOURNAL_RECORD);
		e->body = blob_ref(slot->body);
		e->payload = o->payload;
		e->index = o->index;
		e->time_ms = o->time_ms;
		j->checksum = o->checksum;
		if (o->time_ms > j->last_ms)
			j->last_ms = o->time_ms;
		if (o->index > j->watermark)
			j->kept[j->kept_count++] = blob_ref(slot->body);
		blob_unref(&slot->body);
		j->replay_done++;
	}
	if (j->replay_done == j->last_index)
		journal_begin_start(j);
	else
		request_records(j);
}

static void begin_replay(struct journal *j)
{
	struct segment *oldest = &j->segments[0];
	struct journal_effect *e = journal_emit(j, JOURNAL_ADOPTED);

	e->snapshot = j->snapshot;
	e->index = j->last_index;
	j->stage = STAGE_REPLAY;
	j->replay_done = j->snapshot.index;
	j->replay_next = j->snapshot.index + 1;
	j->checksum = j->snapshot.index == oldest->base ? oldest->start_checksum : 0;
	emit_records(j);
}

static const struct segment *segment_asked(const struct journal *j, const struct op *op)
{
	size_t i = 0;

	while (i < j->segment_count && epoch_compare(j->segments[i].epoch, op->epoch) != 0)
		i++;
	assert(i < j->segment_count);
	return &j->segments[i];
}

/* The log was found to end before this record, after it was asked for. */
static bool is_cut_off(const struct journal *j, const struct op *op)
{
	return op->sequence > segment_asked(j, op)->count;
}

static void on_record(struct journal *j, const struct op *op, struct blob *body,
		      const struct journal_object *record)
{
	const struct segment *s = segment_asked(j, op);

	if (is_cut_off(j, op))
		return;
	if (s->base + op->sequence != record->index || record->index <= j->replay_done) {
		doubt(j, "record %" PRIu64 " has the wrong index", s->base + op->sequence);
		return;
	}
	struct replay_slot *slot = &j->replay[record->index % REPLAY_WINDOW];
	slot->body = blob_ref(body);
	slot->object = *record;
	emit_records(j);
}

/* --- answers ---------------------------------------------------------------------------------- */
void journal_recovery_fetched(struct journal *j, const struct op *op, struct blob *body,
			      const struct journal_object *object)
{
	if (j->stage < STAGE_TIP || j->stage > STAGE_REPLAY)
		return;
	if (op->kind == OP_TIP)
		on_tip(j, object);
	else if (op->kind == OP_REPLAY)
		on_record(j, op, body, object);
	else if (j->stage == STAGE_TIP)
		on_adopted_start(j, body, object);
	else
		on_link(j, object);
}

/* One that listed the record listed only a seal. */
void journal_on_seal(struct journal *j, const struct op *op)
{
	size_t at = tail_find(j, op->sequence);

	if (epoch_compare(op->epoch, j->adopted) == 0 && at < j->tail_count &&
	    j->tail[at].sequence == op->sequence)
		j->tail[at].holders &= ~bit(op->bucket);
}

/* Buckets that may hold a record of the adopted epoch are those that listed it and those that were
 * not asked; fewer than a quorum cannot have committed it. */
static bool may_be_committed(struct journal *j, const struct op *op)
{
	size_t at = tail_find(j, op->sequence);
	unsigned holders = bit(j->config.bucket_count) - 1;

	if (op->unsupported || epoch_compare(op->epoch, j->adopted) != 0 || op->sequence == 0 ||
	    j->segments[j->segment_count - 1].base + op->sequence <= j->watermark)
		return true;
	holders &= ~j->voters;
	if (at < j->tail_count && j->tail[at].sequence == op->sequence)
		holders |= j->tail[at].holders;
	return bits_count(holders) >= journal_quorum(j);
}

void journal_recovery_failed(struct journal *j, const struct op *op)
{
	char key[JOURNAL_KEY_BYTES];

	if (j->stage < STAGE_TIP || j->stage > STAGE_REPLAY ||
	    (op->kind == OP_REPLAY && is_cut_off(j, op)))
		return;
	if (!may_be_committed(j, op)) {
		if (op->kind == OP_TIP) {
			j->tail_count--;
			read_tip(j);
			return;
		}
		struct segment *adopted = &j->segments[j->segment_count - 1];
		adopted->count = op->sequence - 1;
		j->last_index = adopted->base + adopted->count;
		if (!is_known_lost(j))
			emit_records(j);
		return;
	}
	if (op->sequence)
		journal_key_record(key, j->config.name, op->epoch, op->sequence);
	else
		journal_key_start(key, j->config.name, op->epoch);
	if (!op->unsupported && !op->unavailable)
		doubt(j, "%s %s", key, journal_fetch_why(op));
	else
		journal_lose(j, op->unsupported ? ERR_UNSUPPORTED : ERR_UNAVAILABLE, j->highest,
			     "%s %s", key, journal_fetch_why(op));
}
