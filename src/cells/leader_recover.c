/* From an adopted journal to a cell that leads:
 *
 *	ADOPTED  -> load the snapshot (leader_load.c), or begin with an empty cell
 *	RECORD*  -> gather while that runs, then apply in order; each carries the hash after it
 *	LEADS    -> missing schema steps as the first record; when it is durable: on_leading
 *
 * A warm cell, that of a standby which read the journal ahead of us, may stand for the snapshot and
 * the records up to its own.  It is believed when the adopted log proves it: the record it ends
 * with is there, the same object by its checksum, and says the same sequence, time and content hash
 * after it as the cell has; at the snapshot's own index the manifest says so.  Until then nothing
 * adopted is dropped, so that without proof everything goes on as if there had been no warm cell.
 *
 * Nothing is ever skipped: what cannot be read or applied ends the term with a message that names
 * the object or the record, and a person is needed. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "cells/journal_format.h"
#include "cells/leader_private.h"

/* --- the snapshot ---------------------------------------------------------------------------- */

static void collect_load(struct leader *l)
{
	struct leader_load *load = &l->load;
	enum err err = load->task.err;

	if (!load->is_active || task_is_running(&load->task))
		return;
	if (l->is_adopted && err) {
		leader_give_up(l, err, "%s", load->task.why);
	} else if (l->is_adopted) {
		l->cell = load->cell;
		load->cell = NULL;
		leader_manifest_clear(&l->manifest);
		l->manifest = load->manifest;
		load->manifest = (struct leader_manifest) { 0 };
		l->image_bytes = l->manifest.manifest.image_bytes;
		l->is_loaded = l->cell != NULL;
		(void)leader_history_note(l, l->manifest.manifest.journal_index,
					  l->manifest.manifest.state.hash);
	}
	leader_load_done(load);
}

/* The snapshot, or of it what a leader with a warm cell needs: what chunks there are. */
static void begin_load(struct leader *l, bool is_manifest_only)
{
	if (l->adopted_snapshot.index > 0) {
		leader_load_start(&l->load, &l->root, &l->config, &l->adopted_snapshot,
				  is_manifest_only);
	} else if (!is_manifest_only) {
		l->cell = cell_new(l->config.cell_name);
		l->is_loaded = true;
	}
}

/* --- the warm cell --------------------------------------------------------------------------- */

void leader_warm_drop(struct leader *l)
{
	cell_free(l->warm.cell);
	l->warm = (struct leader_warm) { 0 };
	l->warm_record = NULL;
}

static void refute_warm(struct leader *l, const char *why)
{
	log_warn("journal %s: the warm cell of record %" PRIu64 " is of no use: %s",
		 l->config.journal, l->warm.index, why);
	leader_warm_drop(l);
}

static bool is_state_of(const struct cell *cell, struct cell_state state)
{
	struct cell_state own = cell_state(cell);

	return own.sequence == state.sequence && own.now_ms == state.now_ms &&
	       hash128_equal(own.hash, state.hash);
}

static bool is_warm_record(const struct leader *l, const struct leader_record *record)
{
	struct cell_record_header header;
	char why[CELL_WHY_BYTES];

	if (l->warm.checksum && l->warm.checksum != journal_object_checksum(record->body))
		return false;
	return !cell_record_read(record->payload, &header, why) &&
	       is_state_of(l->warm.cell, header.after);
}

static void note_skipped(struct leader *l, const struct leader_record *record)
{
	struct cell_record_header header;
	char why[CELL_WHY_BYTES];

	if (!cell_record_read(record->payload, &header, why))
		(void)leader_history_note(l, record->index, header.after.hash);
}

/* What the warm cell has in it need not be applied. */
static void skip_records(struct leader *l)
{
	while (!list_is_empty(&l->adopted)) {
		struct leader_record *record =
			CONTAINER(l->adopted.next, struct leader_record, link);

		if (record->index > l->warm.index)
			return;
		l->record_bytes += record->payload.size;
		l->record_count++;
		note_skipped(l, record);
		list_remove(&record->link);
		leader_record_free(record);
	}
}

static void believe_warm(struct leader *l)
{
	skip_records(l);
	log_info("journal %s: goes on with the warm cell of record %" PRIu64, l->config.journal,
		 l->warm.index);
	l->cell = l->warm.cell;
	l->replayed = l->warm_index = l->warm.index;
	l->warm.cell = NULL;
	leader_warm_drop(l);
	l->is_loaded = true;
}

/* As far as is known by now: more may follow. */
static void judge_warm(struct leader *l)
{
	if (!l->warm.cell || !l->is_adopted || l->load.is_active || l->wants_resign)
		return;
	if (l->warm.index == l->adopted_snapshot.index) {
		if (is_state_of(l->warm.cell, l->manifest.manifest.state))
			believe_warm(l);
		else
			refute_warm(l, "the snapshot has other contents");
	} else if (l->warm_record) {
		if (is_warm_record(l, l->warm_record))
			believe_warm(l);
		else
			refute_warm(l, "another record was adopted");
	} else if (l->is_elected) {
		refute_warm(l, "the record was not adopted");
	}
	if (!l->warm.cell && !l->is_loaded)
		begin_load(l, false);
}

/* --- what the engine says ------------------------------------------------------------------- */

void leader_on_adopted(struct leader *l, const struct journal_effect *effect)
{
	assert(!l->cell && !l->load.is_active && !l->is_adopted);
	l->is_adopted = true;
	l->adopted_ms = clock_now_ms();
	l->adopted_snapshot = effect->snapshot;
	l->warm_index = 0;
	l->replayed = effect->snapshot.index;
	l->record_bytes = l->record_count = 0;
	if (l->warm.cell && l->warm.index < effect->snapshot.index)
		refute_warm(l, "there is a newer snapshot");
	else if (l->warm.cell && l->warm.index > effect->index)
		refute_warm(l, "the adopted journal ends before");
	begin_load(l, l->warm.cell != NULL);
}

void leader_on_record(struct leader *l, const struct journal_effect *effect)
{
	struct leader_record *record = NEW(struct leader_record);

	record->index = effect->index;
	record->body = blob_ref(effect->body);
	record->payload = effect->payload;
	list_add(&l->adopted, &record->link);
	if (l->warm.cell && record->index == l->warm.index)
		l->warm_record = record;
	leader_wake(l);
}

void leader_recover_drop(struct leader *l)
{
	struct list *node;

	while ((node = list_pop(&l->adopted)) != NULL)
		leader_record_free(CONTAINER(node, struct leader_record, link));
	timer_clear(&l->replay_turn);
	l->is_turn_over = false;
	l->is_adopted = l->is_loaded = l->is_elected = false;
	l->opening_index = 0;
}

/* --- replay and opening --------------------------------------------------------------------- */

static bool apply(struct leader *l, const struct leader_record *record)
{
	char why[CELL_WHY_BYTES] = "";

	if (record->index != l->replayed + 1) {
		leader_give_up(l, ERR_CORRUPT, "record %" PRIu64 " follows record %" PRIu64,
			       record->index, l->replayed);
		return false;
	}
	enum err err = cell_apply(l->cell, record->payload, why);
	if (err) {
		leader_give_up(l, err, "record %" PRIu64 " cannot be applied: %s", record->index,
			       why[0] ? why : err_name(err));
		return false;
	}
	l->replayed++;
	l->record_bytes += record->payload.size;
	l->record_count++;
	return leader_history_note(l, l->replayed, cell_hash(l->cell));
}

static void on_replay_turn(struct timer *timer)
{
	struct leader *l = CONTAINER(timer, struct leader, replay_turn);

	l->is_turn_over = false;
	leader_wake(l);
}

/* Some in a turn of the loop: heartbeats are answered between.  True when nothing is left. */
static bool replay(struct leader *l)
{
	size_t bytes = 0;

	if (l->is_turn_over)
		return false;
	while (!list_is_empty(&l->adopted)) {
		struct leader_record *record =
			CONTAINER(l->adopted.next, struct leader_record, link);

		if (bytes > LEADER_REPLAY_BYTES) {
			l->is_turn_over = true;
			timer_set(&l->replay_turn, l->loop, loop_now_ms(l->loop), on_replay_turn);
			return false;
		}
		bytes += record->payload.size;
		if (!apply(l, record))
			return false;
		list_remove(&record->link);
		leader_record_free(record);
	}
	return true;
}

/* True when the schema is as this program wants it, durably. */
static bool open_schema(struct leader *l)
{
	const struct leader_config *c = &l->config;
	char why[CELL_WHY_BYTES] = "";

	if (l->opening_index)
		return l->committed_index >= l->opening_index;
	if (!c->schema)
		return true;
	enum err err =
		cell_upgrade_schema(l->cell, c->schema, c->schema_count ? c->schema_count : 1, why);
	if (err) {
		leader_give_up(l, err, "schema: %s", why);
		return false;
	}
	if (!cell_has_changes(l->cell))
		return true;
	l->opening_index = l->last_index + 1;
	leader_append(l);
	return false;
}

void leader_recover(struct leader *l)
{
	collect_load(l);
	judge_warm(l);
	if (l->state != LEADER_CAMPAIGNING || !l->is_loaded || l->wants_resign)
		return;
	if (!replay(l) || !l->is_elected)
		return;
	if (!l->opening_index && l->replayed != l->last_index) {
		leader_give_up(l, ERR_CORRUPT,
			       "the journal ends at record %" PRIu64 ", its records at %" PRIu64,
			       l->last_index, l->replayed);
		return;
	}
	leader_history_committed(l, l->replayed);
	if (!open_schema(l) || l->state != LEADER_CAMPAIGNING)
		return;

	char epoch[EPOCH_TEXT_BYTES];
	epoch_text(epoch, journal_epoch(l->journal));
	log_info("journal %s: leading at record %" PRIu64 ", %" PRIu64
		 " ms after adoption, epoch %s",
		 l->config.journal, l->last_index, clock_now_ms() - l->adopted_ms, epoch);
	l->state = LEADER_LEADING;
	l->leading_since_ms = l->trimmed_ms = loop_now_ms(l->loop);
	l->numbers.terms++;
	if (l->config.watcher)
		l->config.watcher->on_leading(l->config.context);
}
