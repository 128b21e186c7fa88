/* The journal engine: events in, effects out, and how a candidacy ends.  The protocol itself is in
 * journal_join.c, journal_elect.c, journal_start.c and journal_lead.c; journal_state.h maps them.
 */
#include "cells/journal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "cells/journal_state.h"

enum { OP_SLOT_BITS = 16 };

/* --- effects ---------------------------------------------------------------------------------- */
void journal_effects_init(struct journal_effects *fx)
{
	*fx = (struct journal_effects) { 0 };
}

void journal_effects_clear(struct journal_effects *fx)
{
	for (size_t i = 0; i < fx->count; i++)
		blob_unref(&fx->items[i].body);
	fx->count = 0;
}

void journal_effects_done(struct journal_effects *fx)
{
	journal_effects_clear(fx);
	memory_free(fx->items);
	journal_effects_init(fx);
}

struct journal_effect *journal_emit(struct journal *j, enum journal_effect_kind kind)
{
	struct journal_effects *fx = j->fx;

	if (fx->count == fx->capacity) {
		fx->capacity = fx->capacity ? 2 * fx->capacity : 16;
		fx->items = memory_grow(fx->items, fx->capacity * sizeof(*fx->items));
	}
	struct journal_effect *e = &fx->items[fx->count++];
	*e = (struct journal_effect) { .kind = kind };
	return e;
}

/* --- operations ------------------------------------------------------------------------------- */
struct op *journal_op(struct journal *j, enum op_kind kind, unsigned lane, struct epoch epoch,
		      uint64_t sequence)
{
	size_t slot = 0;

	while (slot < j->ops_capacity && j->ops[slot].id)
		slot++;
	if (slot == j->ops_capacity) {
		size_t capacity = slot ? 2 * slot : 64;
		assert(capacity <= (size_t)1 << OP_SLOT_BITS);
		j->ops = memory_grow(j->ops, capacity * sizeof(*j->ops));
		memset(j->ops + slot, 0, (capacity - slot) * sizeof(*j->ops));
		j->ops_capacity = capacity;
	}
	j->ops[slot] = (struct op) {
		.id = ++j->ops_serial << OP_SLOT_BITS | slot,
		.candidacy = j->candidacy,
		.life = j->lanes[lane].life,
		.kind = kind,
		.lane = lane,
		.bucket = lane,
		.epoch = epoch,
		.sequence = sequence,
		.sent_ms = j->now_ms,
	};
	return &j->ops[slot];
}

static struct journal_effect *send(struct journal *j, const struct op *op,
				   enum journal_effect_kind kind, struct slice key)
{
	struct journal_effect *e = journal_emit(j, kind);

	assert(key.size < sizeof(e->key));
	e->op = op->id;
	e->bucket = op->bucket;
	memcpy(e->key, key.data, key.size);
	j->lanes[op->bucket].outstanding++;
	return e;
}

void journal_put(struct journal *j, const struct op *op, const char *key, struct blob *body)
{
	send(j, op, JOURNAL_IO_PUT, slice_from(key))->body = blob_ref(body);
}

void journal_put_new(struct journal *j, const struct op *op, const char *key, struct blob *body)
{
	send(j, op, JOURNAL_IO_PUT_NEW, slice_from(key))->body = blob_ref(body);
}

void journal_get(struct journal *j, const struct op *op, const char *key)
{
	send(j, op, JOURNAL_IO_GET, slice_from(key));
}

void journal_list(struct journal *j, const struct op *op, const char *prefix, const char *after)
{
	struct journal_effect *e = send(j, op, JOURNAL_IO_LIST, slice_from(prefix));

	snprintf(e->after, sizeof(e->after), "%s", after);
}

void journal_delete(struct journal *j, const struct op *op, struct slice key)
{
	send(j, op, JOURNAL_IO_DELETE, key);
}

bool journal_last_name(const struct journal_event *event, char ret[JOURNAL_KEY_BYTES])
{
	struct slice last = { 0 };

	if (event->done.name_count)
		last = event->done.names[event->done.name_count - 1];
	if (last.size == 0 || last.size >= JOURNAL_KEY_BYTES)
		return false;
	memcpy(ret, last.data, last.size);
	ret[last.size] = '\0';
	return true;
}

/* --- reading one object from whoever has it --------------------------------------------------- */
static void object_key(const struct journal *j, const struct op *op, char *ret)
{
	if (op->sequence == 0)
		journal_key_start(ret, j->config.name, op->epoch);
	else if (op->copy)
		journal_key_copy(ret, j->config.name, op->epoch, op->sequence);
	else
		journal_key_record(ret, j->config.name, op->epoch, op->sequence);
}

static struct op *fetch_from(struct journal *j, const struct op *op, unsigned k, bool copy)
{
	struct op *next = journal_op(j, op->kind, op->lane, op->epoch, op->sequence);
	char key[JOURNAL_KEY_BYTES];

	next->bucket = k;
	next->copy = copy;
	next->tried = op->tried | bit(k);
	next->corrupt = op->corrupt;
	next->unavailable = op->unavailable;
	next->unsupported = op->unsupported;
	next->life = op->life;
	object_key(j, next, key);
	journal_get(j, next, key);
	return next;
}

/* Joined buckets first; which of them is spread by the sequence.  False: all were asked. */
static bool fetch_next(struct journal *j, struct op *op)
{
	unsigned n = j->config.bucket_count;
	unsigned joined = journal_lanes_at(j, LANE_JOINED);

	assert(n > 0);
	for (unsigned i = 0; i < 2 * n; i++) {
		unsigned k = (unsigned)((op->sequence + i) % n);
		bool wanted = i < n ? joined & bit(k) : true;
		if (!wanted || op->tried & bit(k))
			continue;
		fetch_from(j, op, k, false);
		return true;
	}
	return false;
}

void journal_fetch(struct journal *j, enum op_kind kind, unsigned lane, struct epoch epoch,
		   uint64_t sequence, unsigned avoid)
{
	struct op first = {
		.kind = kind,
		.lane = lane,
		.life = j->lanes[lane].life,
		.epoch = epoch,
		.sequence = sequence,
		.tried = avoid,
	};
	bool sent = fetch_next(j, &first);

	assert(sent);
}

const char *journal_fetch_why(const struct op *op)
{
	if (op->unsupported)
		return "has a newer format";
	if (op->corrupt)
		return "is corrupt";
	return op->unavailable ? "cannot be read now" : "is missing";
}

/* ERR_NOT_FOUND: there is a seal in the place of the record. */
static enum err decode_fetched(const struct op *op, struct slice bytes, struct journal_object *ret)
{
	enum err err =
		journal_object_decode(bytes,
				      op->sequence ? JOURNAL_OBJECT_RECORD : JOURNAL_OBJECT_START,
				      ret);
	bool is_seal = false;

	if (err == ERR_CORRUPT && op->sequence && !op->copy)
		is_seal = journal_object_decode(bytes, JOURNAL_OBJECT_SEAL, ret) == OK;
	if (err != OK && !is_seal)
		return err;
	if (epoch_compare(ret->epoch, op->epoch) != 0 || ret->sequence != op->sequence)
		return ERR_CORRUPT;
	return is_seal ? ERR_NOT_FOUND : OK;
}

void journal_fetch_done(struct journal *j, struct op *op, const struct journal_event *event)
{
	enum err err = event->done.err;
	struct journal_object object;
	bool sealed = false;

	if (err == OK) {
		err = decode_fetched(op, blob_slice(event->done.body), &object);
		sealed = err == ERR_NOT_FOUND;
		if (err == OK && op->kind == OP_FILL_GET)
			journal_fill_fetched(j, op, event->done.body);
		else if (err == OK)
			journal_recovery_fetched(j, op, event->done.body, &object);
		if (err == OK)
			return;
	}
	if (err == ERR_UNSUPPORTED)
		op->unsupported = true;
	else if (err == ERR_CORRUPT || err == ERR_TOO_BIG)
		op->corrupt = true;
	else if (err != ERR_NOT_FOUND)
		op->unavailable = true;
	if (op->sequence && !op->copy &&
	    (err == ERR_NOT_FOUND || err == ERR_CORRUPT || err == ERR_TOO_BIG)) {
		fetch_from(j, op, op->bucket, true)->sealed = sealed;
		return;
	}
	if (op->sealed && err == ERR_NOT_FOUND && op->kind != OP_FILL_GET)
		journal_on_seal(j, op);
	if (fetch_next(j, op))
		return;
	if (op->kind == OP_FILL_GET)
		journal_fill_failed(j, op);
	else
		journal_recovery_failed(j, op);
}

/* --- lanes and the end of a candidacy --------------------------------------------------------- */
unsigned journal_quorum(const struct journal *j)
{
	return j->config.bucket_count / 2 + 1;
}

unsigned journal_lanes_at(const struct journal *j, enum lane_state state)
{
	unsigned bits = 0;

	for (unsigned k = 0; k < j->config.bucket_count; k++)
		if (j->lanes[k].state >= state)
			bits |= bit(k);
	return bits;
}

uint64_t journal_time(struct journal *j)
{
	if (j->now_ms > j->last_ms)
		j->last_ms = j->now_ms;
	return j->last_ms;
}

static void lane_reset(struct lane *l)
{
	l->life++;
	l->state = LANE_OUT;
	l->pending = 0;
	l->counts = l->filled = l->copied = l->checking = l->dense = l->probing = false;
	l->sealing = l->sealed = l->sealed_floor = 0;
	l->marks_count = l->marks_left = 0;
	l->top = (struct epoch) { 0, 0 };
}

/* Back to IDLE; what is under way will be ignored when it returns. */
static void candidacy_end(struct journal *j)
{
	for (unsigned k = 0; k < j->config.bucket_count; k++) {
		journal_fill_stop(j, k);
		lane_reset(&j->lanes[k]);
		journal_slots_clear(&j->lanes[k]);
		j->lanes[k].retry_wait_ms = 0;
		j->lanes[k].token_asked = j->lanes[k].token_done = 0;
	}
	journal_recovery_clear(j);
	journal_flights_clear(j);
	j->role = JOURNAL_IDLE;
	j->candidacy++;
	j->chosen = j->copied = false;
	j->voters = 0;
	j->segment_count = 0;
	j->announced_count = 0;
	j->trim.active = false;
	j->token = j->token_told = 0;
}

void journal_lose(struct journal *j, enum err err, struct epoch higher, const char *format, ...)
{
	va_list arguments;
	bool leading = j->role == JOURNAL_LEADING;

	assert(j->role != JOURNAL_IDLE);
	j->reusable = j->stage < STAGE_START && err != ERR_CONFLICT && j->mark;
	if (epoch_compare(higher, j->highest) > 0)
		j->highest = higher;
	struct journal_effect *e = journal_emit(j, leading ? JOURNAL_LOST : JOURNAL_FAILED);
	e->err = err;
	if (epoch_compare(higher, j->epoch) > 0)
		e->epoch = higher;
	va_start(arguments, format);
	vsnprintf(e->why, sizeof(e->why), format, arguments);
	va_end(arguments);
	candidacy_end(j);
}

void journal_lane_out(struct journal *j, unsigned k)
{
	struct lane *l = &j->lanes[k];
	unsigned alive;

	if (l->state == LANE_OUT)
		return;
	journal_fill_stop(j, k);
	lane_reset(l);
	alive = bits_count(journal_lanes_at(j, LANE_LOOK));
	l->retry_wait_ms = l->retry_wait_ms ? 2 * l->retry_wait_ms : RETRY_MS_MIN;
	uint64_t wait_ms_max = alive < journal_quorum(j) ? RETRY_MS_URGENT : RETRY_MS_MAX;
	if (l->retry_wait_ms > wait_ms_max)
		l->retry_wait_ms = wait_ms_max;
	l->retry_ms = j->now_ms + l->retry_wait_ms;
	for (size_t i = 0; i < JOURNAL_IN_FLIGHT_MAX; i++) {
		j->flights[i].put &= ~bit(k);
		j->flights[i].asked &= ~bit(k);
		j->flights[i].ok_later &= ~bit(k);
	}
	if (j->role == JOURNAL_ELECTING && alive < journal_quorum(j))
		journal_lose(j, ERR_UNAVAILABLE, j->highest, "no quorum: %u of %u buckets answer",
			     alive, j->config.bucket_count);
}

/* --- events ----------------------------------------------------------------------------------- */
static enum err candidate(struct journal *j, const struct journal_event *event)
{
	size_t address_size = strlen(event->candidate.address);
	size_t node_size = strlen(event->candidate.node);

	if (j->role != JOURNAL_IDLE)
		return ERR_CONFLICT;
	if (address_size > JOURNAL_ADDRESS_BYTES_MAX || node_size > JOURNAL_NODE_BYTES_MAX)
		return ERR_TOO_BIG;
	memcpy(j->address, event->candidate.address, address_size + 1);
	memcpy(j->node, event->candidate.node, node_size + 1);
	j->known_index = event->candidate.known_index;
	j->role = JOURNAL_ELECTING;
	j->candidacy++;
	j->last_ms = 0;
	j->base_index = j->last_index = j->committed = j->watermark = 0;
	j->checksum = 0;
	j->snapshot = (struct journal_snapshot) { 0 };
	if (!j->reusable) {
		blob_unref(&j->mark);
		j->epoch = (struct epoch) { 0, event->candidate.nonce };
	}
	j->stage = j->reusable ? STAGE_JOIN : STAGE_LOOK;
	for (unsigned k = 0; k < j->config.bucket_count; k++) {
		if (j->reusable)
			journal_join(j, k);
		else
			journal_look(j, k);
	}
	return OK;
}

/* A candidate need not list records that a snapshot covers: otherwise a takeover would read the
 * names of everything since the records' grace.  Best effort: without one it lists more. */
static void put_floors(struct journal *j)
{
	char key[JOURNAL_KEY_BYTES];
	struct journal_object floor = {
		.kind = JOURNAL_OBJECT_FLOOR,
		.epoch = j->epoch,
		.time_ms = j->now_ms,
	};

	if (j->snapshot.index <= j->base_index)
		return;
	floor.sequence = j->snapshot.index - j->base_index;
	journal_key_floor(key, j->config.name, j->epoch, floor.sequence);
	struct blob *body = journal_object_encode(&floor);
	for (unsigned k = 0; k < j->config.bucket_count; k++) {
		const struct lane *l = &j->lanes[k];
		/* It says that the slots below are taken, and that must be so (journal_seal.c). */
		if (l->state == LANE_ACTIVE && (!l->dense || l->created >= j->snapshot.index))
			journal_put(j, journal_op(j, OP_FLOOR, k, j->epoch, floor.sequence), key,
				    body);
	}
	blob_unref(&body);
}

static void floor_done(struct journal *j, const struct op *op, const struct journal_event *event)
{
	struct lane *l = &j->lanes[op->lane];

	if (event->done.err == OK && op->sequence > l->floor)
		l->floor = op->sequence;
}

static enum err snapshot(struct journal *j, const struct journal_snapshot *given)
{
	if (j->role != JOURNAL_LEADING)
		return ERR_CONFLICT;
	if (given->size > JOURNAL_SNAPSHOT_BYTES_MAX)
		return ERR_TOO_BIG;
	if (given->index > j->committed || given->index <= j->snapshot.index)
		return ERR_INVALID;
	j->snapshot = *given;
	put_floors(j);
	return OK;
}

static enum err check(struct journal *j, uint64_t token)
{
	if (j->role != JOURNAL_LEADING)
		return ERR_CONFLICT;
	if (token <= j->token)
		return ERR_INVALID;
	j->token = token;
	for (unsigned k = 0; k < j->config.bucket_count; k++)
		if (j->lanes[k].state == LANE_ACTIVE)
			journal_check(j, k);
	return OK;
}

static void (*const done_of[OP_KINDS])(struct journal *j, const struct op *op,
				       const struct journal_event *event) = {
	[OP_LOOK] = journal_look_done,	       [OP_MARK] = journal_join_done,
	[OP_MARKS] = journal_join_done,	       [OP_FENCE] = journal_join_done,
	[OP_STARTS] = journal_join_done,       [OP_TAIL] = journal_tail_done,
	[OP_FLOORS] = journal_floors_done,     [OP_FLOOR] = floor_done,
	[OP_COPY] = journal_start_done,	       [OP_START] = journal_start_done,
	[OP_START_CHECK] = journal_start_done, [OP_RECORD] = journal_lead_done,
	[OP_CHECK] = journal_lead_done,	       [OP_REFRESH] = journal_lead_done,
	[OP_FILL_LIST] = journal_fill_done,    [OP_FILL_PUT] = journal_fill_done,
	[OP_TRIM_LIST] = journal_trim_done,    [OP_TRIM_DELETE] = journal_trim_done,
	[OP_SEAL_FLOORS] = journal_seal_done,  [OP_SEAL_LIST] = journal_seal_done,
	[OP_SEAL] = journal_seal_done,	       [OP_SLOT] = journal_slot_done,
	[OP_SEAL_LAST] = journal_seal_done,    [OP_MEASURE] = journal_tail_done,
};

static enum err done(struct journal *j, const struct journal_event *event)
{
	size_t slot = event->done.op & (((size_t)1 << OP_SLOT_BITS) - 1);

	if (slot >= j->ops_capacity || j->ops[slot].id != event->done.op || !event->done.op)
		return ERR_INVALID;
	struct op op = j->ops[slot];
	j->ops[slot].id = 0;
	assert(j->lanes[op.bucket].outstanding > 0);
	j->lanes[op.bucket].outstanding--;
	if (op.candidacy != j->candidacy)
		return OK;
	/* The recovery reads serve the candidacy, everything else one life of one lane. */
	if (op.kind == OP_TIP || op.kind == OP_CHAIN || op.kind == OP_REPLAY)
		journal_fetch_done(j, &op, event);
	else if (op.kind == OP_DOUBT)
		journal_doubt_done(j, &op, event);
	else if (op.life != j->lanes[op.lane].life)
		return OK;
	else if (op.kind == OP_FILL_GET)
		journal_fetch_done(j, &op, event);
	else
		done_of[op.kind](j, &op, event);
	return OK;
}

static enum err resign(struct journal *j)
{
	if (j->role == JOURNAL_IDLE)
		return ERR_CONFLICT;
	j->role = JOURNAL_LEADING; /* so that it is called LOST, also during an election */
	journal_lose(j, ERR_CANCELED, (struct epoch) { 0, 0 }, "resigned");
	return OK;
}

enum err journal_step(struct journal *j, const struct journal_event *event,
		      struct journal_effects *fx)
{
	enum err err = OK;

	j->fx = fx;
	j->now_ms = event->now_ms;
	switch (event->kind) {
	case JOURNAL_CANDIDATE:
		err = candidate(j, event);
		break;
	case JOURNAL_DONE:
		err = done(j, event);
		break;
	case JOURNAL_APPEND:
		err = journal_append(j, event);
		break;
	case JOURNAL_CHECK:
		err = check(j, event->check.token);
		break;
	case JOURNAL_SNAPSHOT:
		err = snapshot(j, &event->snapshot);
		break;
	case JOURNAL_TRIM:
		if (j->role != JOURNAL_LEADING)
			err = ERR_CONFLICT;
		else
			journal_trim(j, event);
		break;
	case JOURNAL_TICK:
		if (j->role == JOURNAL_LEADING)
			journal_tick(j);
		break;
	case JOURNAL_RESIGN:
		err = resign(j);
		break;
	}
	j->fx = NULL;
	return err;
}

/* --- life and questions ----------------------------------------------------------------------- */
struct journal *journal_new(const struct journal_config *config)
{
	struct journal *j = NEW(struct journal);

	assert(config->bucket_count % 2 == 1 && config->bucket_count <= JOURNAL_BUCKETS_MAX);
	assert(config->name[0]);
	j->config = *config;
	return j;
}

void journal_free(struct journal *j)
{
	candidacy_end(j);
	for (unsigned k = 0; k < JOURNAL_BUCKETS_MAX; k++)
		memory_free(j->lanes[k].marks);
	blob_unref(&j->mark);
	blob_unref(&j->start);
	memory_free(j->tail);
	memory_free(j->segments);
	memory_free(j->ops);
	memory_free(j);
}

enum journal_role journal_role(const struct journal *j)
{
	return j->role;
}

struct epoch journal_epoch(const struct journal *j)
{
	return j->epoch;
}

uint64_t journal_last_index(const struct journal *j)
{
	return j->last_index;
}

uint64_t journal_committed(const struct journal *j)
{
	return j->committed;
}

size_t journal_in_flight(const struct journal *j)
{
	return (size_t)(j->last_index - j->committed);
}

uint64_t journal_retry_wait_ms(const struct journal *j)
{
	uint64_t least_ms = UINT64_MAX;

	for (unsigned k = 0; k < j->config.bucket_count && j->role == JOURNAL_LEADING; k++) {
		const struct lane *l = &j->lanes[k];
		uint64_t wait_ms = l->retry_ms > j->now_ms ? l->retry_ms - j->now_ms : 0;
		if (l->state == LANE_OUT && l->outstanding == 0 && wait_ms < least_ms)
			least_ms = wait_ms;
	}
	return least_ms;
}

unsigned journal_counting(const struct journal *j)
{
	unsigned bits = 0;

	for (unsigned k = 0; k < j->config.bucket_count; k++)
		if (j->lanes[k].state == LANE_ACTIVE && j->lanes[k].counts)
			bits |= bit(k);
	return bits;
}

struct journal_snapshot journal_newest_snapshot(const struct journal *j)
{
	return j->snapshot;
}

const char *journal_holder(const struct journal *j)
{
	return j->holder;
}
