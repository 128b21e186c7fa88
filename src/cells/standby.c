/* One root task that reads, one object or a window of records at a time:
 *
 *	IDLE -> MAP (start records, newest first) -> [TIP -> LOAD] -> READ -> IDLE
 *
 * A failure, or a change of what is wanted, ends what is under way and begins again at MAP with
 * what the cell has by then. */
#include "cells/standby.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cells/journal_format.h"
#include "cells/leader_private.h"

enum { STANDBY_WHY_BYTES = 200 };

/* One object that is read, from whichever bucket has it whole. */
struct standby_get {
	struct bucket_op op;
	char key[JOURNAL_KEY_BYTES];
	struct epoch epoch;
	uint64_t sequence; /* 0: the start record */
	unsigned bucket, tries;
	bool is_active;		      /* started, outcome not taken */
	bool is_done;		      /* no bucket is asked any more */
	enum err err;		      /* why there is no body */
	struct blob *body;	      /* whole, and what it should be */
	struct journal_object object; /* points into the body */
};

/* A stretch of the log: the records of one epoch, base + 1 to end. */
struct segment {
	struct epoch epoch, previous;
	uint64_t base, end;
	uint64_t previous_sequence;
	uint32_t checksum, previous_checksum; /* of the start record and in it */
};

struct standby {
	struct task root;
	struct loop *loop;
	struct leader_config config; /* what leader_load.c needs of it */
	struct task *stop;
	bool is_ending;

	struct epoch epoch; /* what is wanted; {0, 0}: nothing */
	uint64_t committed;
	bool is_turned;	 /* something else is wanted now */
	bool is_failing; /* pause before the next attempt */
	uint64_t retry_ms, retry_ms_min;

	struct cell *cell;
	uint64_t index; /* of the last record in it, the object's checksum and epoch if known */
	uint32_t checksum;
	struct epoch record_epoch;
	uint64_t load_count;
	uint64_t failure_count;
	char why[STANDBY_WHY_BYTES]; /* of the last failure */

	struct segment *segments; /* newest first */
	size_t segment_count;
	bool is_mapped;			 /* the segments reach back to the cell */
	struct journal_snapshot pointer; /* the newest snapshot, while there is no cell */
	struct standby_get object;	 /* start records and the tip */
	struct standby_get records[STANDBY_WINDOW]; /* by index */
	uint64_t next;				    /* index of the next record to be asked for */
	struct timer turn;
	bool is_turn_over; /* the next records are for the next turn of the loop */
	struct leader_load load;
	struct sleep sleep;
};

enum { AT_IDLE, AT_MAP, AT_TIP, AT_LOAD, AT_READ, AT_PAUSE };

static const char *const standby_places[] = { "idle",	  "start records", "newest record",
					      "snapshot", "records",	   "pause" };

/* --- one object ------------------------------------------------------------------------------ */

static void ask_bucket(struct standby *s, struct standby_get *g)
{
	bucket_get(&g->op, &s->root, s->config.buckets[g->bucket], slice_from(g->key), 0,
		   JOURNAL_OBJECT_BYTES_MAX);
	task_set_deadline(&g->op.task, loop_now_ms(s->loop) + STANDBY_IO_MS);
}

static void get(struct standby *s, struct standby_get *g, struct epoch epoch, uint64_t sequence)
{
	*g = (struct standby_get) { .epoch = epoch, .sequence = sequence, .is_active = true };
	if (sequence)
		journal_key_record(g->key, s->config.journal, epoch, sequence);
	else
		journal_key_start(g->key, s->config.journal, epoch);
	g->bucket = (unsigned)(sequence % (unsigned)s->config.bucket_count);
	ask_bucket(s, g);
}

static enum err check_object(struct standby_get *g)
{
	enum journal_object_kind kind = g->sequence ? JOURNAL_OBJECT_RECORD : JOURNAL_OBJECT_START;

	if (g->op.ret_size > JOURNAL_OBJECT_BYTES_MAX)
		return ERR_TOO_BIG;
	enum err err = journal_object_decode(blob_slice(g->op.ret_body), kind, &g->object);
	if (err)
		return err;
	if (epoch_compare(g->object.epoch, g->epoch) != 0 || g->object.sequence != g->sequence)
		return ERR_CORRUPT;
	return OK;
}

/* A read that failed for now says more than one that found nothing. */
static void note_error(struct standby_get *g, enum err err)
{
	if (!g->err || g->err == ERR_NOT_FOUND)
		g->err = err;
}

/* The answer of one bucket; then, if need be, the next one. */
static void advance(struct standby *s, struct standby_get *g)
{
	unsigned buckets = (unsigned)s->config.bucket_count;

	if (!g->is_active || g->is_done || task_is_running(&g->op.task))
		return;
	enum err err = g->op.task.err;
	if (!err)
		err = check_object(g);
	if (!err) {
		g->body = g->op.ret_body;
		g->op.ret_body = NULL;
		g->err = OK;
		g->is_done = true;
		return;
	}
	blob_unref(&g->op.ret_body);
	note_error(g, err);
	g->bucket = (g->bucket + 1) % (unsigned)s->config.bucket_count;
	if (++g->tries == buckets && g->sequence) /* perhaps a later leader made copies */
		journal_key_copy(g->key, s->config.journal, g->epoch, g->sequence);
	if (g->tries < (g->sequence ? 2 * buckets : buckets) && !s->is_turned && !s->is_failing &&
	    !s->is_ending)
		ask_bucket(s, g);
	else
		g->is_done = true;
}

static void get_done(struct standby_get *g)
{
	if (g->is_active)
		blob_unref(&g->op.ret_body);
	blob_unref(&g->body);
	*g = (struct standby_get) { 0 };
}

/* --- giving up and beginning again ------------------------------------------------------------ */

static void drop_cell(struct standby *s)
{
	cell_free(s->cell);
	s->cell = NULL;
	s->index = 0;
	s->checksum = 0;
	s->record_epoch = (struct epoch) { 0, 0 };
}

/* Once more after a pause, with the cell as it is. */
static void fail(struct standby *s, const char *format, ...) PRINTF_LIKE(2, 3);
static void fail(struct standby *s, const char *format, ...)
{
	va_list args;

	if (s->is_failing)
		return;
	va_start(args, format);
	vsnprintf(s->why, sizeof(s->why), format, args);
	va_end(args);
	log_warn("journal %s: does not follow for now: %s", s->config.journal, s->why);
	s->is_failing = true;
	s->failure_count++;
	task_wake(&s->root);
}

/* What the cell has, or the way on from there, is not what the journal says. */
static void fail_anew(struct standby *s, const char *what, uint64_t index, const char *why)
{
	fail(s, "%s %" PRIu64 " %s: begins anew with the newest snapshot", what, index, why);
	drop_cell(s);
}

static void fail_read(struct standby *s, const struct standby_get *g)
{
	if (g->err == ERR_NOT_FOUND || g->err == ERR_CORRUPT || g->err == ERR_TOO_BIG) {
		fail(s, "%s is %s: begins anew with the newest snapshot", g->key, err_name(g->err));
		drop_cell(s);
	} else {
		fail(s, "%s: %s", g->key, err_name(g->err));
	}
}

static void forget_work(struct standby *s)
{
	get_done(&s->object);
	for (size_t i = 0; i < STANDBY_WINDOW; i++)
		get_done(&s->records[i]);
	if (s->load.is_active)
		leader_load_done(&s->load);
	s->segment_count = 0;
	s->is_mapped = false;
}

static enum step begin(struct standby *s);

/* Everything under way has to end first. */
static enum step turn(struct standby *s)
{
	struct task *t = &s->root;

	if (t->children > 0) {
		LIST_EACH (&t->children_list, struct task, siblings, child)
			task_cancel(child);
		return task_wait(t, t->at);
	}
	forget_work(s);
	if (s->is_ending)
		return task_done(t, OK);
	bool is_failing = s->is_failing && !s->is_turned;
	s->is_turned = s->is_failing = false;
	if (!is_failing)
		return begin(s);
	sleep_start(&s->sleep, t, loop_now_ms(s->loop) + s->retry_ms);
	s->retry_ms *= 2;
	if (s->retry_ms > STANDBY_RETRY_MS_MAX)
		s->retry_ms = STANDBY_RETRY_MS_MAX;
	return task_wait(t, AT_PAUSE);
}

/* --- which records there are ------------------------------------------------------------------ */

static const struct segment *segment_of(const struct standby *s, uint64_t index)
{
	for (size_t i = 0; i < s->segment_count; i++)
		if (s->segments[i].base < index)
			return index <= s->segments[i].end ? &s->segments[i] : NULL;
	return NULL;
}

static bool add_segment(struct standby *s, const struct journal_object *start)
{
	const struct segment *next = s->segment_count ? &s->segments[s->segment_count - 1] : NULL;

	if (s->segment_count == STANDBY_SEGMENTS_MAX ||
	    (next && start->base_index + next->previous_sequence != next->base))
		return false;
	s->segments[s->segment_count++] = (struct segment) {
		.epoch = start->epoch,
		.previous = start->previous_epoch,
		.base = start->base_index,
		.end = next ? next->base : UINT64_MAX,
		.previous_sequence = start->previous_sequence,
		.checksum = start->checksum,
		.previous_checksum = start->previous_checksum,
	};
	return true;
}

static bool differ(uint32_t checksum, uint32_t other)
{
	return checksum && other && checksum != other; /* 0: not known */
}

static enum step read_records(struct standby *s);

/* Is the last record in the cell a part of this log? */
static bool is_own_record_adopted(const struct standby *s)
{
	const struct segment *oldest = &s->segments[s->segment_count - 1];
	const struct segment *own = segment_of(s, s->index);

	if (!s->checksum) /* it came with a snapshot */
		return true;
	if (own)
		return epoch_compare(own->epoch, s->record_epoch) == 0;
	return oldest->previous_sequence == 0 || !differ(oldest->previous_checksum, s->checksum);
}

/* The segments reach back to the cell. */
static enum step mapped(struct standby *s)
{
	s->is_mapped = true;
	if (!is_own_record_adopted(s)) {
		fail_anew(s, "record", s->index, "was not adopted");
		return turn(s);
	}
	s->next = s->index + 1;
	return read_records(s);
}

static enum step load(struct standby *s)
{
	s->load_count++;
	if (s->pointer.index == 0) {
		s->cell = cell_new(s->config.cell_name);
		return mapped(s);
	}
	leader_load_start(&s->load, &s->root, &s->config, &s->pointer, false);
	return task_wait(&s->root, AT_LOAD);
}

/* Back until the epoch that follows what the cell has, or what the snapshot has. */
static enum step map_further(struct standby *s)
{
	const struct segment *oldest = &s->segments[s->segment_count - 1];
	uint64_t from = s->cell ? s->index : s->pointer.index;

	if (oldest->base <= from)
		return s->cell ? mapped(s) : load(s);
	get(s, &s->object, oldest->previous, 0);
	return task_wait(&s->root, AT_MAP);
}

static enum step got_start(struct standby *s)
{
	const struct journal_object *start = &s->object.object;
	bool is_newest = s->segment_count == 0;

	if (is_newest)
		s->pointer = start->snapshot;
	if (!add_segment(s, start)) {
		fail_anew(s, "the chain of epochs breaks at record", start->base_index, "");
		return turn(s);
	}
	get_done(&s->object);
	if (!is_newest || s->cell || s->committed <= s->segments[0].base)
		return map_further(s);
	get(s, &s->object, s->epoch, s->committed - s->segments[0].base);
	return task_wait(&s->root, AT_TIP);
}

static enum step got_tip(struct standby *s)
{
	const struct journal_object *tip = &s->object.object;

	if (tip->snapshot.index > s->pointer.index)
		s->pointer = tip->snapshot;
	get_done(&s->object);
	return map_further(s);
}

static enum step loaded(struct standby *s)
{
	if (s->load.task.err) {
		fail(s, "%s", s->load.task.why);
		return turn(s);
	}
	s->cell = s->load.cell;
	s->load.cell = NULL;
	leader_load_done(&s->load);
	s->index = s->pointer.index;
	return mapped(s);
}

/* --- records ---------------------------------------------------------------------------------- */

static void ask_records(struct standby *s)
{
	while (s->next <= s->committed && s->next - s->index <= STANDBY_WINDOW) {
		const struct segment *segment = segment_of(s, s->next);

		if (!segment) {
			fail_anew(s, "record", s->next, "belongs to no epoch");
			return;
		}
		get(s, &s->records[s->next % STANDBY_WINDOW], segment->epoch,
		    s->next - segment->base);
		s->next++;
	}
}

/* Does it follow the last object of the log as the cell knows it? */
static bool follows(const struct standby *s, const struct segment *segment,
		    const struct journal_object *record)
{
	if (record->sequence > 1)
		return !differ(record->previous_checksum, s->checksum);
	return !differ(record->previous_checksum, segment->checksum);
}

static bool apply(struct standby *s, const struct standby_get *g)
{
	const struct journal_object *record = &g->object;
	const struct segment *segment = segment_of(s, s->index + 1);
	char why[CELL_WHY_BYTES] = "";

	if (!segment || record->index != s->index + 1 || !follows(s, segment, record)) {
		fail_anew(s, "record", s->index + 1, "does not follow the one before");
		return false;
	}
	enum err err = cell_apply(s->cell, record->payload, why);
	if (err) {
		fail_anew(s, "record", s->index + 1, why[0] ? why : err_name(err));
		return false;
	}
	s->index++;
	s->checksum = record->checksum;
	s->record_epoch = record->epoch;
	return true;
}

/* Heartbeats are asked between. */
static void on_next_turn(struct timer *timer)
{
	struct standby *s = CONTAINER(timer, struct standby, turn);

	s->is_turn_over = false;
	if (task_is_running(&s->root))
		task_wake(&s->root);
}

static enum step read_records(struct standby *s)
{
	size_t bytes = 0;

	for (;;) {
		struct standby_get *g = &s->records[(s->index + 1) % STANDBY_WINDOW];

		ask_records(s);
		if (s->is_failing)
			return turn(s);
		if (s->index >= s->committed)
			break;
		if (bytes > STANDBY_APPLY_BYTES && !s->is_turn_over) {
			s->is_turn_over = true;
			timer_set(&s->turn, s->loop, loop_now_ms(s->loop), on_next_turn);
		}
		if (!g->is_done || s->is_turn_over)
			return task_wait(&s->root, AT_READ);
		if (g->err)
			fail_read(s, g);
		else if (apply(s, g))
			bytes += g->object.payload.size;
		if (s->is_failing)
			return turn(s);
		get_done(g);
	}
	s->retry_ms = s->retry_ms_min;
	return task_wait(&s->root, AT_IDLE);
}

/* --- the root task ---------------------------------------------------------------------------- */

static enum step begin(struct standby *s)
{
	if (s->epoch.counter == 0 && s->epoch.nonce == 0)
		return task_wait(&s->root, AT_IDLE);
	if (s->is_mapped && s->cell)
		return read_records(s);
	get(s, &s->object, s->epoch, 0);
	return task_wait(&s->root, AT_MAP);
}

static enum step standby_step(struct task *t)
{
	struct standby *s = CONTAINER(t, struct standby, root);

	advance(s, &s->object);
	for (size_t i = 0; i < STANDBY_WINDOW; i++)
		advance(s, &s->records[i]);
	if (s->is_turned || s->is_failing || s->is_ending)
		return turn(s);
	switch (t->at) {
	case AT_MAP:
	case AT_TIP:
		if (!s->object.is_done)
			return task_wait(t, t->at);
		if (s->object.err) {
			fail_read(s, &s->object);
			return turn(s);
		}
		return t->at == AT_MAP ? got_start(s) : got_tip(s);
	case AT_LOAD:
		return t->children > 0 ? task_wait(t, AT_LOAD) : loaded(s);
	case AT_READ:
		return read_records(s);
	case AT_PAUSE:
		if (t->children > 0)
			return task_wait(t, AT_PAUSE);
		break;
	}
	return begin(s);
}

static void on_root_end(struct task *t)
{
	struct standby *s = CONTAINER(t, struct standby, root);

	if (s->stop)
		task_wake(s->stop);
}

static const struct task_kind standby_kind = {
	.name = "standby",
	.places = standby_places,
	.place_count = 6,
	.step = standby_step,
	.on_end = on_root_end,
};

/* --- for the owner ---------------------------------------------------------------------------- */

struct standby *standby_new(struct loop *loop, const struct standby_config *config)
{
	struct standby *s = NEW(struct standby);

	s->loop = loop;
	s->config = (struct leader_config) {
		.buckets = config->buckets,
		.bucket_count = config->bucket_count,
		.journal = config->journal,
		.cell_name = config->cell_name,
	};
	s->segments = memory_take_array(STANDBY_SEGMENTS_MAX, sizeof(*s->segments));
	s->retry_ms_min = config->retry_ms ? config->retry_ms : STANDBY_RETRY_MS_MIN;
	s->retry_ms = s->retry_ms_min;
	task_start_root(&s->root, &standby_kind, loop);
	return s;
}

void standby_free(struct standby *s)
{
	drop_cell(s);
	timer_clear(&s->turn);
	memory_free(s->segments);
	memory_free(s);
}

void standby_aim(struct standby *s, struct epoch epoch, uint64_t committed)
{
	int order = epoch_compare(epoch, s->epoch);

	if (s->is_ending || order < 0 || (order == 0 && committed <= s->committed))
		return;
	s->is_turned |= order > 0;
	s->epoch = epoch;
	s->committed = committed;
	task_wake(&s->root);
}

void standby_take(struct standby *s, struct leader_warm *ret)
{
	*ret = (struct leader_warm) { .cell = s->cell, .index = s->index, .checksum = s->checksum };
	if (s->index == 0) { /* nothing but a new one */
		cell_free(s->cell);
		ret->cell = NULL;
	}
	s->cell = NULL;
	drop_cell(s);
	s->epoch = (struct epoch) { 0, 0 };
	s->committed = 0;
	s->is_turned = true;
	if (task_is_running(&s->root))
		task_wake(&s->root);
}

struct cell *standby_cell(struct standby *s)
{
	return s->cell;
}

void standby_get_status(const struct standby *s, struct standby_status *ret)
{
	*ret = (struct standby_status) {
		.epoch = s->epoch,
		.index = s->index,
		.committed = s->committed,
		.load_count = s->load_count,
		.failure_count = s->failure_count,
		.why = s->why,
	};
	if (s->cell)
		ret->content_hash = cell_hash(s->cell);
}

static enum step stop_step(struct task *t)
{
	struct standby_stop *stop = CONTAINER(t, struct standby_stop, task);
	struct standby *s = stop->standby;

	if (!task_is_running(&s->root)) {
		s->stop = NULL;
		return task_done(t, OK);
	}
	if (!s->is_ending) {
		s->is_ending = true;
		s->stop = t;
		task_wake(&s->root);
	}
	return task_wait(t, 0);
}

static const char *const stop_places[] = { "stopping" };
static const struct task_kind stop_kind = {
	.name = "standby stop",
	.places = stop_places,
	.place_count = 1,
	.step = stop_step,
};

void standby_stop(struct standby_stop *stop, struct task *parent, struct standby *s)
{
	*stop = (struct standby_stop) { .standby = s };
	task_start(&stop->task, &stop_kind, parent);
}
