#include "streams/rebuild/plan_private.h"

#include <string.h>

#include "base/endian.h"
#include "base/list.h"
#include "base/map.h"
#include "cells/cell.h"
#include "streams/catalog/producer.h"
#include "streams/coordinator/compaction.h"
#include "streams/coordinator/producer_state.h"
#include "wire/kafka/record_batch.h"

/* A producer in this partition. */
struct walker {
	uint8_t key[8]; /* its id */
	int64_t producer_id;
	struct producer_state state;
	int64_t last_ms;
	/* what is open: several transactions, if an end may be missing between its batches */
	int64_t open_first;   /* offset of its first batch; -1: none */
	int64_t sure_first;   /* of those that are of the last transaction for sure; -1: none */
	int64_t sure_behind;  /* behind its last batch */
	int64_t sure_records; /* of the last transaction */
	int64_t unsure_records;
	int64_t hole; /* a free offset between the two kinds, for an end; -1: none */
	int16_t open_epoch;
	bool is_idempotent; /* state says something */
	struct list open;   /* in walking.open while it has one */
};

struct walking {
	struct plan_walk *w;
	struct arena arena;
	struct map producers;
	struct list open;		/* struct walker, the oldest transaction first */
	const struct place_batch *last; /* in the run that is open; NULL: none is */
	int64_t run_base, run_position, run_size, run_max_timestamp;
	int64_t next;	      /* the first offset that nothing holds yet */
	int64_t last_file;    /* of the batch that ends there */
	bool is_after_damage; /* a damaged one is behind it */
	int64_t bytes;
	int64_t doubt;		      /* before it, something may be missing; -1: nothing yet */
	int64_t free_first, free_end; /* the last free offsets that no run answers for */
};

/* --- rows --------------------------------------------------------------------------------------
 */

static void close_run(struct walking *k)
{
	sqlite3_stmt *st = plan_statement(
		k->w->plan, "INSERT INTO out_run (partition, last_offset, base_offset, file,"
			    " position, size, max_timestamp, level) VALUES (?1, ?2, ?3, ?4, ?5, ?6,"
			    " ?7, ?8)");
	const struct place_batch *b = k->last;

	if (!b)
		return;
	bool is_last = k->run_size >= COMPACTION_RUN_BYTES_LARGE || place_is_of_pass(b);
	cell_bind_int(st, 1, k->w->partition);
	cell_bind_int(st, 2, place_behind(b) - 1);
	cell_bind_int(st, 3, k->run_base);
	cell_bind_int(st, 4, b->file);
	cell_bind_int(st, 5, k->run_position);
	cell_bind_int(st, 6, k->run_size);
	cell_bind_int(st, 7, k->run_max_timestamp);
	cell_bind_int(st, 8, b->is_final ? (is_last ? COMPACTION_LEVEL_LAST : 1) : 0);
	plan_execute(k->w->plan, st);
	k->bytes += k->run_size;
	k->last = NULL;
}

struct marker {
	int64_t offset, producer_id, first_offset, stable_offset, written_ms;
	int16_t epoch;
	bool is_commit, is_in_run;
};

static void add_marker(struct walking *k, const struct marker *m)
{
	const int64_t values[] = { k->w->partition,  m->offset,	    m->producer_id,
				   m->epoch,	     m->is_commit,  m->first_offset,
				   m->stable_offset, m->written_ms, m->is_in_run };
	sqlite3_stmt *st = plan_statement(
		k->w->plan, "INSERT INTO out_marker (partition, marker_offset, producer_id, epoch,"
			    " is_commit, first_offset, stable_offset, written_ms, is_in_run)"
			    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		cell_bind_int(st, (int)i + 1, values[i]);
	plan_execute(k->w->plan, st);
}

static void add_producer(struct walking *k, const struct walker *producer)
{
	struct buf recent;
	sqlite3_stmt *st =
		plan_statement(k->w->plan,
			       "INSERT INTO out_producer (partition, producer_id, epoch,"
			       " last_sequence, last_ms, recent) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");

	buf_init(&recent);
	producer_recent_encode(&producer->state, &recent);
	cell_bind_int(st, 1, k->w->partition);
	cell_bind_int(st, 2, producer->producer_id);
	cell_bind_int(st, 3, producer->state.epoch);
	cell_bind_int(st, 4, producer->state.last_sequence);
	cell_bind_int(st, 5, k->w->now_ms); /* it has a day from now on */
	cell_bind_blob(st, 6, buf_slice(&recent));
	plan_execute(k->w->plan, st);
	buf_done(&recent);
}

/* --- runs --------------------------------------------------------------------------------------
 */

static bool continues_run(const struct walking *k, const struct place_batch *b)
{
	const struct place_batch *last = k->last;

	return last && last->file == b->file &&
	       b->position == last->position + (int64_t)last->size &&
	       (b->offset == k->next || (place_is_of_pass(b) && !k->is_after_damage)) &&
	       k->run_size + (int64_t)b->size <= PLAN_RUN_BYTES_MAX;
}

/* Between two batches of a file of compaction by key nothing is missing: their run answers for it.
 * Between two files it is not known: the second may begin with what was left out, or a file that
 * did not have to be changed is gone.  Any other compaction leaves nothing out. */
static int64_t pass_hole(const struct walking *k, const struct place_batch *b, struct plan_sum *sum)
{
	if (!place_is_of_pass(b) || k->is_after_damage) {
		sum->hole_offsets += b->offset - k->next;
		return b->offset;
	}
	if (k->last_file != b->file)
		sum->doubtful_offsets += b->offset - k->next;
	return k->next;
}

static void add_to_run(struct walking *k, const struct place_batch *b, struct plan_sum *sum)
{
	if (!continues_run(k, b)) {
		bool is_one_file = place_is_of_pass(b) && k->last_file == b->file;
		int64_t base = pass_hole(k, b, sum);
		close_run(k);
		if (b->offset > k->next && (!is_one_file || k->is_after_damage))
			k->doubt = b->offset;
		if (base > k->next) {
			k->free_first = k->next;
			k->free_end = base;
		}
		k->run_base = base;
		k->run_position = b->position;
		k->run_size = 0;
		k->run_max_timestamp = b->max_timestamp;
	}
	k->run_size += b->size;
	if (b->max_timestamp > k->run_max_timestamp)
		k->run_max_timestamp = b->max_timestamp;
	k->last = b;
	k->next = place_behind(b);
	k->last_file = b->file;
	k->is_after_damage = false;
}

/* --- producers ---------------------------------------------------------------------------------
 */

static struct walker *walker_of(struct walking *k, const struct place_batch *b)
{
	uint8_t key[8];

	put_u64(key, (uint64_t)b->producer_id);
	struct walker *producer = map_get(&k->producers, (struct slice) { key, sizeof(key) });
	if (producer)
		return producer;
	producer = arena_take(&k->arena, sizeof(*producer));
	memcpy(producer->key, key, sizeof(key));
	producer->producer_id = b->producer_id;
	producer->open_first = -1;
	map_put(&k->producers, (struct slice) { producer->key, sizeof(producer->key) }, producer);
	return producer;
}

static void note_batch(struct walker *producer, const struct place_batch *b)
{
	const struct producer_state *state = &producer->state;

	if (b->base_sequence < 0)
		return;
	if (producer->is_idempotent &&
	    (b->producer_epoch < state->epoch ||
	     (b->producer_epoch == state->epoch &&
	      producer_sequence_is_behind(b->base_sequence, state->last_sequence))))
		return; /* a producer that is older is not let in again */
	if (!producer->is_idempotent)
		producer->state.epoch = b->producer_epoch;
	producer->is_idempotent = true;
	if (producer->last_ms < b->written_ms)
		producer->last_ms = b->written_ms;
	producer_remember(&producer->state, b->producer_epoch, b->base_sequence,
			  b->last_offset_delta + 1, b->offset);
}

static int64_t stable_offset(const struct walking *k, int64_t behind)
{
	if (list_is_empty(&k->open))
		return behind;
	return CONTAINER(k->open.next, struct walker, open)->open_first;
}

/* What came before the last doubtful place may have been ended there, by the row of an end that is
 * lost: nobody can tell how. */
static void part_doubtful(struct walking *k, struct walker *producer)
{
	if (producer->sure_first < 0 || k->doubt < producer->sure_behind)
		return;
	producer->unsure_records += producer->sure_records;
	producer->sure_records = 0;
	producer->sure_first = -1;
	producer->hole = -1;
	if (k->free_first >= producer->sure_behind && k->free_first < k->free_end)
		producer->hole = k->free_first++;
}

/* The end of another transaction of the same producer must not decide it.  A commit needs no row:
 * the list of aborted ones begins behind it. */
static void decide_unsure(struct walking *k, const struct walker *producer,
			  const struct place_batch *end, struct plan_sum *sum)
{
	int64_t offset = producer->hole;

	sum->undecided_records += producer->unsure_records;
	if (k->w->undecided != PLAN_UNDECIDED_ABORT || end->control == PLACE_ABORT)
		return;
	if (offset < 0) { /* it stays visible */
		sum->records[PLACE_DOUBTFUL] += producer->unsure_records;
		return;
	}
	int64_t stable = stable_offset(k, offset + 1);
	sum->hole_offsets--;
	add_marker(k, &(struct marker) {
			      .offset = offset,
			      .producer_id = producer->producer_id,
			      .epoch = producer->open_epoch,
			      .first_offset = producer->open_first,
			      .stable_offset = stable <= offset ? stable : offset + 1,
			      .written_ms = k->w->now_ms,
		      });
}

static void end_transaction(struct walking *k, struct walker *producer, const struct place_batch *b,
			    struct plan_sum *sum)
{
	int64_t first = b->offset;

	if (producer->open_first >= 0) {
		part_doubtful(k, producer);
		list_remove(&producer->open);
		first = producer->sure_first < 0 ? b->offset : producer->sure_first;
		if (producer->open_first != producer->sure_first) {
			decide_unsure(k, producer, b, sum);
			if (k->w->undecided == PLAN_UNDECIDED_ABORT)
				first = producer->open_first;
		}
	}
	producer->open_first = -1;
	if (b->control == PLACE_ABORT)
		add_marker(k, &(struct marker) {
				      .offset = b->offset,
				      .producer_id = b->producer_id,
				      .epoch = b->producer_epoch,
				      .first_offset = first,
				      .stable_offset = stable_offset(k, place_behind(b)),
				      .written_ms = b->max_timestamp,
				      .is_in_run = true,
			      });
}

static void add_to_transaction(struct walking *k, struct walker *producer,
			       const struct place_batch *b)
{
	if (producer->open_first < 0) {
		producer->open_first = b->offset;
		producer->sure_first = producer->hole = -1;
		producer->sure_records = producer->unsure_records = 0;
		list_add(&k->open, &producer->open);
	}
	part_doubtful(k, producer);
	if (producer->sure_first < 0)
		producer->sure_first = b->offset;
	producer->sure_behind = place_behind(b);
	producer->sure_records += b->record_count;
	producer->open_epoch = b->producer_epoch;
}

static void note_producer(struct walking *k, const struct place_batch *b, struct plan_sum *sum)
{
	if (b->producer_id < 0)
		return;
	struct walker *producer = walker_of(k, b);
	if (b->attributes & RECORD_BATCH_CONTROL) {
		if (b->outcome != PLACE_DAMAGED) /* else it does not say which end it is */
			end_transaction(k, producer, b, sum);
		return;
	}
	note_batch(producer, b);
	/* what compaction by key has left of transactions was committed */
	if ((b->attributes & RECORD_BATCH_TRANSACTIONAL) && !place_is_of_pass(b))
		add_to_transaction(k, producer, b);
}

/* --- the end -----------------------------------------------------------------------------------
 */

/* Each transaction that no file ends is ended behind everything else. */
static void decide_open(struct walking *k, struct plan_sum *sum)
{
	struct list *link;

	while ((link = list_pop(&k->open))) {
		struct walker *producer = CONTAINER(link, struct walker, open);
		sum->undecided_records += producer->sure_records + producer->unsure_records;
		if (k->w->undecided == PLAN_UNDECIDED_UNSAID)
			continue;
		add_marker(k, &(struct marker) {
				      .offset = k->next,
				      .producer_id = producer->producer_id,
				      .epoch = producer->open_epoch,
				      .is_commit = k->w->undecided == PLAN_UNDECIDED_COMMIT,
				      .first_offset = producer->open_first,
				      .stable_offset = stable_offset(k, k->next + 1),
				      .written_ms = k->w->now_ms,
			      });
		k->next++;
	}
}

/* Readers come to the high watermark only if something is before it. */
static void fill_end(struct walking *k, int64_t high_watermark, struct plan_sum *sum)
{
	if (k->next >= high_watermark || k->w->end.log_start >= high_watermark)
		return;
	sum->hole_offsets += high_watermark - 1 - k->next;
	k->next = high_watermark;
	add_marker(k, &(struct marker) {
			      .offset = high_watermark - 1,
			      .producer_id = k->w->filler_producer_id,
			      .is_commit = true,
			      .first_offset = high_watermark - 1,
			      .stable_offset = high_watermark,
			      .written_ms = k->w->now_ms,
		      });
}

static void keep_producers(struct walking *k)
{
	struct walker *producer;
	size_t cursor = 0;

	while ((producer = map_next(&k->producers, &cursor)))
		if (producer->is_idempotent && producer->last_ms >= k->w->producers_since_ms)
			add_producer(k, producer);
}

/* Who has to decide what becomes of it finds it there. */
static void name_left(struct plan *p, const struct place_batch *b)
{
	sqlite3_stmt *st =
		plan_statement(p, "INSERT INTO out_left (file, records) VALUES (?1, ?2) ON CONFLICT"
				  " (file) DO UPDATE SET records = records + excluded.records");

	cell_bind_int(st, 1, b->file);
	cell_bind_int(st, 2, b->record_count);
	plan_execute(p, st);
}

void plan_walk(struct plan_walk *w, int64_t *ret_high_watermark, int64_t *ret_bytes,
	       struct plan_sum *sum)
{
	struct walking k = { .w = w, .next = w->end.log_start, .last_file = -1, .doubt = -1 };

	arena_init(&k.arena);
	map_init(&k.producers);
	list_init(&k.open);
	for (size_t i = 0; i < w->count; i++) {
		const struct place_batch *b = &w->batches[i];
		sum->records[b->outcome] += b->control ? 0 : b->record_count;
		if (b->outcome == PLACE_LEFT)
			name_left(w->plan, b);
		if (b->offset < 0)
			continue;
		if (b->outcome == PLACE_DAMAGED)
			k.is_after_damage = true; /* a hole indeed */
		else
			add_to_run(&k, b, sum);
		note_producer(&k, b, sum);
		if (b->outcome != PLACE_CERTAIN)
			k.doubt = place_behind(b);
	}
	close_run(&k);
	fill_end(&k, w->end.high_watermark, sum);
	decide_open(&k, sum);
	keep_producers(&k);
	sum->bytes += k.bytes;
	*ret_high_watermark = k.next > w->end.high_watermark ? k.next : w->end.high_watermark;
	*ret_bytes = k.bytes;
	map_done(&k.producers);
	arena_done(&k.arena);
}
