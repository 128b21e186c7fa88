#include "streams/agent/time_lookup.h"

#include <stdlib.h>

#include "base/memory.h"
#include "streams/agent/run_walk.h"
#include "wire/kafka/records.h"

static bool wants_latest(const struct time_lookup *l)
{
	return l->timestamp == TIME_LOOKUP_MAX_TIMESTAMP;
}

static enum err find_run(struct time_lookup *l)
{
	struct cell *cell = replica_cell(l->agent->replica);

	if (wants_latest(l))
		return catalog_run_of_max_timestamp(cell, l->found.id, &l->run);
	return catalog_run_by_timestamp(cell, l->found.id, l->timestamp, l->from, &l->run);
}

/* --- the batches of a run ----------------------------------------------------------------------
 */

/* Copy one batch out of its blocks and ask its records. */
static enum err ask_records(const struct time_lookup *l, const struct run_batch *found,
			    struct records_match *ret)
{
	int64_t deleted = l->found.log_start_offset;
	int32_t first_delta =
		deleted > found->base_offset ? (int32_t)(deleted - found->base_offset) : 0;
	struct blob *copy = blob_new(found->size);
	struct record_batch batch;

	block_range_copy(&l->range, found->position, found->size, copy->data);
	copy->size = found->size;
	struct slice bytes = blob_slice(copy);
	enum err err = record_batch_next(&bytes, &batch);
	if (!err && !record_batch_crc_matches(&batch))
		err = ERR_CORRUPT;
	if (!err)
		err = wants_latest(l)
			      ? records_find_max_timestamp(&batch, first_delta, ret)
			      : records_find_timestamp(&batch, first_delta, l->timestamp, ret);
	blob_unref(&copy);
	return err == ERR_INVALID ? ERR_CORRUPT : err;
}

/* Does this batch have to be looked into? */
static bool is_candidate(const struct time_lookup *l, const struct run_batch *batch)
{
	if (batch->last_offset < l->found.log_start_offset || batch->is_control)
		return false;
	return batch->max_timestamp >= (wants_latest(l) ? l->run.max_timestamp : l->timestamp);
}

/* ERR_NOT_FOUND: this run has no such record after all. */
static enum err search_run(struct time_lookup *l)
{
	struct run_walk walk;
	struct run_batch batch;
	struct records_match match;
	enum err err;

	run_walk_start(&walk, &l->run, &l->range, l->run.position, l->run.base_offset);
	for (;;) {
		err = run_walk_next(&walk, &batch);
		if (err)
			return err;
		if (!is_candidate(l, &batch))
			continue;
		err = ask_records(l, &batch, &match);
		if (err != ERR_NOT_FOUND)
			break;
	}
	if (!err && batch.base_offset + match.offset_delta < l->end) {
		l->ret_offset = batch.base_offset + match.offset_delta;
		l->ret_timestamp = match.timestamp_ms;
	}
	return err;
}

/* --- the steps ---------------------------------------------------------------------------------
 */

enum { TIME_LOOKUP_LOOK, TIME_LOOKUP_READ, TIME_LOOKUP_SYNCED };

static void let_go(struct time_lookup *l)
{
	block_range_done(&l->range);
	block_range_done(&l->read.ret);
	room_leave(&l->agent->answers, &l->wait);
	room_give_back(&l->agent->answers, l->room_bytes);
	l->room_bytes = 0;
}

static enum step end(struct time_lookup *l, enum err err)
{
	let_go(l);
	return task_done(&l->task, err);
}

/* Hold the blocks of the run; false when they have to be read, or room for them waited for. */
static bool hold_run(struct time_lookup *l)
{
	const struct catalog_run *run = &l->run;
	size_t size = (size_t)run->size;

	if (block_cache_peek(l->agent->cache, run->incarnation, run->sequence, run->position, size,
			     BLOCK_USED, &l->range))
		return true;
	if (!l->agent->is_stopping) {
		l->room_bytes = room_take(&l->agent->answers, &l->wait, &l->task, size, size);
		if (!l->room_bytes) {
			agent_watch_slow(l->agent);
			return false;
		}
	}
	block_read(&l->read, &l->task, l->agent->cache, run->incarnation, run->sequence,
		   run->position, size, BLOCK_USED);
	return false;
}

/* Search one run after the other, first the one that is held. */
static enum step look(struct time_lookup *l)
{
	for (;;) {
		enum err err = l->range.blocks ? OK : find_run(l);
		if (!err && !l->range.blocks && !hold_run(l))
			return task_wait(&l->task, l->task.children > 0 ? TIME_LOOKUP_READ
									: TIME_LOOKUP_LOOK);
		if (!err) {
			err = search_run(l);
			let_go(l);
			if (err == ERR_CORRUPT) /* the bucket may do better next time */
				block_cache_forget(l->agent->cache, l->run.incarnation,
						   l->run.sequence, l->run.position,
						   (size_t)l->run.size);
			if (err == ERR_NOT_FOUND && !wants_latest(l)) {
				l->from = l->run.last_offset + 1;
				continue;
			}
		}
		return end(l, err == ERR_NOT_FOUND ? OK : err);
	}
}

static enum step after_read(struct time_lookup *l)
{
	enum err err = l->read.task.err;

	if (err == ERR_NOT_FOUND && l->replans++ < TIME_LOOKUP_REPLANS_MAX) {
		let_go(l); /* compacted meanwhile: look for it where it is now */
		sync_start(&l->sync, &l->task, l->agent);
		return task_wait(&l->task, TIME_LOOKUP_SYNCED);
	}
	if (err)
		return end(l, err == ERR_NOT_FOUND ? ERR_IO : err);
	l->range = l->read.ret;
	l->read.ret = (struct block_range) { 0 };
	return look(l);
}

static enum step after_sync(struct time_lookup *l)
{
	if (l->sync.task.err)
		return end(l, ERR_UNAVAILABLE);
	enum err err = catalog_partition_find(replica_cell(l->agent->replica), l->found.topic,
					      l->found.partition, &l->found);
	return err ? end(l, err) : look(l);
}

static enum step time_lookup_step(struct task *t)
{
	struct time_lookup *l = CONTAINER(t, struct time_lookup, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t))
		return end(l, t->err);
	switch (t->at) {
	case TIME_LOOKUP_LOOK:
		return look(l);
	case TIME_LOOKUP_READ:
		return after_read(l);
	case TIME_LOOKUP_SYNCED:
		return after_sync(l);
	}
	abort();
}

static const char *const time_lookup_places[] = { "look", "read", "synced" };
static const struct task_kind time_lookup_kind = {
	.name = "time_lookup",
	.places = time_lookup_places,
	.place_count = 3,
	.step = time_lookup_step,
};

void time_lookup_start(struct time_lookup *l, struct task *parent, struct agent *agent,
		       const struct catalog_partition *partition, int64_t timestamp, int64_t end)
{
	*l = (struct time_lookup) {
		.agent = agent,
		.found = *partition,
		.timestamp = timestamp,
		.end = end,
		.from = partition->log_start_offset,
		.ret_offset = -1,
		.ret_timestamp = -1,
	};
	task_start(&l->task, &time_lookup_kind, parent);
}
