/* Leading a journal.
 *
 * On a bucket that can only be trusted with read-after-write a record is *ok* on bucket k when its
 * PUT completed, and a GET of our own fence that was sent afterwards found none.  So whoever fences
 * us on k later will find the record there.  One GET confirms all PUTs that completed before it was
 * sent; at most one is under way on a lane.  A record is committed when it is ok on a quorum and
 * all earlier ones are committed.
 *
 * A fence may be deleted after days.  So that a leader which slept through that cannot take the
 * missing fence for a good sign, an ok counts only within an hour of our last look at the marks:
 * the highest mark is never deleted.
 *
 * On a bucket of class cas a create is an ok by itself, as journal_slot.c says. */
#include <assert.h>

#include "base/memory.h"
#include "cells/journal_state.h"

static struct flight *flight_of(struct journal *j, uint64_t index)
{
	return &j->flights[index % JOURNAL_IN_FLIGHT_MAX];
}

static void send_record(struct journal *j, unsigned k, uint64_t index)
{
	char key[JOURNAL_KEY_BYTES];
	uint64_t sequence = index - j->base_index;

	struct op *op = journal_op(j, OP_RECORD, k, j->epoch, sequence);

	journal_key_record(key, j->config.name, j->epoch, sequence);
	if (j->config.classes[k] == JOURNAL_CAS)
		journal_put_new(j, op, key, flight_of(j, index)->body);
	else
		journal_put(j, op, key, flight_of(j, index)->body);
}

/* --- becoming leader -------------------------------------------------------------------------- */
static void lead(struct journal *j)
{
	j->role = JOURNAL_LEADING;
	j->stage = STAGE_LEAD;
	j->committed = j->base_index;
	j->leads_ms = j->now_ms;
	j->announced_count = 0;
	if (j->snapshot.index)
		journal_announce(j, 0);
	if (j->segment_count == j->segment_capacity) {
		j->segment_capacity = j->segment_capacity ? 2 * j->segment_capacity : 8;
		j->segments = memory_grow(j->segments, j->segment_capacity * sizeof(*j->segments));
	}
	j->segments[j->segment_count++] = (struct segment) {
		.epoch = j->epoch,
		.base = j->base_index,
		.count = JOURNAL_SEQUENCE_MAX,
		.cas = 0, /* a seal there would have ended us */
		.start_checksum = j->checksum,
		.previous = j->adopted,
	};
	j->adopted_epoch = j->adopted;
	journal_recovery_clear(j);

	struct journal_effect *e = journal_emit(j, JOURNAL_LEADS);
	e->epoch = j->epoch;
	e->index = j->base_index;
	for (unsigned k = 0; k < j->config.bucket_count; k++)
		if (j->lanes[k].state == LANE_ACTIVE)
			journal_fill(j, k);
}

void journal_on_active(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];

	l->state = LANE_ACTIVE;
	l->retry_wait_ms = 0;
	l->counts = l->copied || j->config.bucket_count == 1;
	journal_slots_begin(j, k);
	if (j->role == JOURNAL_ELECTING) {
		if (bits_count(journal_lanes_at(j, LANE_ACTIVE)) >= journal_quorum(j))
			lead(j);
		return;
	}
	for (uint64_t i = j->committed + 1; i <= j->last_index; i++)
		send_record(j, k, i);
	journal_fill(j, k);
}

/* --- appending -------------------------------------------------------------------------------- */
void journal_flights_clear(struct journal *j)
{
	for (size_t i = 0; i < JOURNAL_IN_FLIGHT_MAX; i++) {
		blob_unref(&j->flights[i].body);
		j->flights[i] = (struct flight) { 0 };
	}
	j->flight_bytes = 0;
}

enum err journal_append(struct journal *j, const struct journal_event *event)
{
	struct slice payload = event->append.payload;

	if (j->role != JOURNAL_LEADING)
		return ERR_CONFLICT;
	if (payload.size > JOURNAL_PAYLOAD_BYTES_MAX)
		return ERR_TOO_BIG;
	if (journal_in_flight(j) == JOURNAL_IN_FLIGHT_MAX ||
	    (j->flight_bytes && j->flight_bytes + payload.size > JOURNAL_IN_FLIGHT_BYTES_MAX))
		return ERR_BUSY;

	struct journal_object record = {
		.kind = JOURNAL_OBJECT_RECORD,
		.epoch = j->epoch,
		.time_ms = journal_time(j),
		.previous_checksum = j->checksum,
		.snapshot = j->snapshot,
		.sequence = j->last_index + 1 - j->base_index,
		.index = j->last_index + 1,
		.committed = j->committed,
		.payload = payload,
	};
	struct flight *f = flight_of(j, record.index);
	assert(!f->body && record.sequence <= JOURNAL_SEQUENCE_MAX);
	*f = (struct flight) { .body = journal_object_encode(&record) };
	j->checksum = journal_object_checksum(f->body);
	j->flight_bytes += f->body->size;
	j->last_index++;
	journal_announce(j, record.index);
	for (unsigned k = 0; k < j->config.bucket_count; k++) {
		if (j->lanes[k].state != LANE_ACTIVE)
			continue;
		if (j->lanes[k].outstanding > LAG_OPERATIONS_MAX)
			journal_lane_out(j, k);
		else
			send_record(j, k, record.index);
	}
	return OK;
}

void journal_commit(struct journal *j)
{
	uint64_t before = j->committed;

	while (j->committed < j->last_index) {
		struct flight *f = flight_of(j, j->committed + 1);
		if (bits_count(f->ok) < journal_quorum(j))
			break;
		j->committed++;
		j->flight_bytes -= f->body->size;
		blob_unref(&f->body);
	}
	if (j->committed > before)
		journal_emit(j, JOURNAL_COMMITTED)->index = j->committed;
}

/* --- fence checks ----------------------------------------------------------------------------- */
static bool check_is_wanted(const struct journal *j, unsigned k)
{
	if (j->token > j->lanes[k].token_done || j->lanes[k].probing)
		return true;
	for (uint64_t i = j->committed + 1; i <= j->last_index; i++) {
		const struct flight *f = &j->flights[i % JOURNAL_IN_FLIGHT_MAX];
		if (f->put & ~(f->ok | f->ok_later) & bit(k))
			return true;
	}
	return false;
}

void journal_check(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];
	char key[JOURNAL_KEY_BYTES];

	if (l->checking || !check_is_wanted(j, k))
		return;
	l->checking = true;
	l->probing = false;
	l->token_asked = j->token;
	for (uint64_t i = j->committed + 1; i <= j->last_index; i++) {
		struct flight *f = flight_of(j, i);
		f->asked = (f->asked & ~bit(k)) | (f->put & bit(k));
	}
	journal_key_fence(key, j->config.name, j->epoch);
	journal_get(j, journal_op(j, OP_CHECK, k, j->epoch, 0), key);
}

bool journal_not_fenced(struct journal *j, const struct op *op, enum err err)
{
	if (err == ERR_NOT_FOUND)
		return true;
	if (err == OK || err == ERR_CORRUPT || err == ERR_TOO_BIG)
		journal_lose(j, ERR_CONFLICT, j->highest, "fenced on bucket %u", op->bucket);
	else
		journal_lane_out(j, op->lane);
	return false;
}

bool journal_marks_are_fresh(const struct journal *j, unsigned k)
{
	uint64_t looked_ms = j->lanes[k].marks_ms;

#ifdef JOURNAL_BUG_NOFRESH
	return true; /* planted bug: a leader may have slept longer than fences live */
#endif
	return j->now_ms >= looked_ms && j->now_ms - looked_ms <= MARKS_FRESH_MS;
}

/* CHECKED: the newest token that a quorum answered. */
static void tell_checked(struct journal *j)
{
	for (uint64_t best = j->token_told;;) {
		uint64_t next = UINT64_MAX; /* the next higher one that anybody answered */
		unsigned count = 0;
		for (unsigned k = 0; k < j->config.bucket_count; k++)
			if (j->lanes[k].token_done > best && j->lanes[k].token_done < next)
				next = j->lanes[k].token_done;
		for (unsigned k = 0; k < j->config.bucket_count; k++)
			count += j->lanes[k].token_done >= next;
		if (next < UINT64_MAX && count >= journal_quorum(j)) {
			best = next;
			continue;
		}
		if (best > j->token_told)
			journal_emit(j, JOURNAL_CHECKED)->token = best;
		j->token_told = best;
		return;
	}
}

void journal_look_above(struct journal *j, unsigned k, enum op_kind kind)
{
	char prefix[JOURNAL_KEY_BYTES], after[JOURNAL_KEY_BYTES];

	journal_key_marks(prefix, j->config.name);
	journal_key_mark(after, j->config.name, j->epoch, j->config.classes[k]);
	journal_list(j, journal_op(j, kind, k, j->epoch, 0), prefix, after);
}

bool journal_is_outdone(struct journal *j, const struct op *op, const struct journal_event *event)
{
	struct journal_name name;

	for (size_t i = 0; i < event->done.name_count; i++) {
		if (!journal_key_parse(event->done.names[i], j->config.name, &name) ||
		    epoch_compare(name.epoch, j->epoch) <= 0)
			continue;
		journal_lose(j, ERR_CONFLICT, name.epoch,
			     "bucket %u has the mark of a higher epoch", op->bucket);
		return true;
	}
	return false;
}

void journal_count(struct journal *j, unsigned k, uint64_t index)
{
	struct flight *f = flight_of(j, index);

	if (index <= j->committed || index > j->last_index)
		return;
	if (j->lanes[k].counts)
		f->ok |= bit(k);
	else
		f->ok_later |= bit(k);
}

static void check_done(struct journal *j, const struct op *op, enum err err)
{
	unsigned k = op->lane;
	struct lane *l = &j->lanes[k];

	if (!journal_not_fenced(j, op, err))
		return;
	if (!journal_marks_are_fresh(j, k)) {
		journal_look_above(j, k, OP_REFRESH); /* then check again */
		return;
	}
	l->checking = false;
	l->token_done = l->token_asked;
	for (uint64_t i = j->committed + 1; i <= j->last_index; i++) {
		if (!(flight_of(j, i)->asked & bit(k)))
			continue;
		flight_of(j, i)->asked &= ~bit(k);
		journal_count(j, k, i);
	}
	journal_commit(j);
	tell_checked(j);
	journal_check(j, k);
}

static void refresh_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	if (event->done.err != OK) {
		journal_lane_out(j, op->lane);
		return;
	}
	if (journal_is_outdone(j, op, event))
		return;
	j->lanes[op->lane].marks_ms = op->sent_ms;
	j->lanes[op->lane].checking = false;
	journal_check(j, op->lane);
}

void journal_record_put(struct journal *j, unsigned k, uint64_t index)
{
	struct lane *l = &j->lanes[k];

	/* Also where a create is enough: one that has to wait for another, or for a look at the
	 * marks, is confirmed by the next fence check at the latest. */
	if (index > j->committed)
		flight_of(j, index)->put |= bit(k);
	if (l->dense) {
		bool fresh = journal_marks_are_fresh(j, k);
		journal_slot_taken(j, k, index, fresh);
		if (fresh)
			journal_commit(j);
		if (fresh || l->state != LANE_ACTIVE)
			return;
	}
	if (index <= j->committed)
		return;
#ifdef JOURNAL_BUG_NORECHK
	flight_of(j, index)->ok |= bit(k); /* planted bug: trusts an earlier check */
	journal_commit(j);
#else
	journal_check(j, k);
#endif
}

void journal_lead_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	unsigned k = op->lane;

	if (op->kind == OP_CHECK) {
		check_done(j, op, event->done.err);
	} else if (op->kind == OP_REFRESH) {
		refresh_done(j, op, event);
	} else if (event->done.err == OK) {
		journal_record_put(j, k, j->base_index + op->sequence);
	} else if (event->done.err == ERR_EXISTS) {
		journal_slot_met(j, k, op->sequence);
	} else {
		journal_lane_out(j, k);
	}
}

/* --- absent buckets --------------------------------------------------------------------------- */
/* A dense lane never looks for the fence, and a candidate that wants to seal the next slot could
 * run after us for ever: so now and then we look all the same. */
static void probe(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];

	if (!l->dense || l->probed == j->last_index)
		return;
	l->probed = j->last_index;
	l->probing = true;
	journal_check(j, k);
}

void journal_tick(struct journal *j)
{
	for (unsigned k = 0; k < j->config.bucket_count; k++) {
		struct lane *l = &j->lanes[k];
		bool due = j->now_ms >= l->retry_ms || l->retry_ms - j->now_ms > RETRY_MS_MAX;
		if (l->state == LANE_OUT && l->outstanding == 0 && due)
			journal_join(j, k);
		else if (l->state == LANE_ACTIVE && !l->filled && !l->fill.active && due)
			journal_fill(j, k);
		if (l->state == LANE_ACTIVE)
			probe(j, k);
	}
}
