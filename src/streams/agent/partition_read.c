#include "streams/agent/partition_read.h"

#include <assert.h>
#include <stdlib.h>

#include "streams/agent/early_runs.h"
#include "streams/agent/read_places.h"
#include "streams/agent/run_walk.h"
#include "wire/kafka/compression.h"
#include "wire/kafka/record_batch_build.h"
#include "wire/streams/data_file.h"

enum {
	PLAN_RUNS_MAX = 4 * CATALOG_RUNS_PER_READ_MAX,
	AHEAD_TIMES = 4, /* as many bytes as were read in a row are read ahead */
};

struct partition_run {
	struct catalog_run run;
	int64_t first_position, first_offset; /* of the batch where the search begins */
	struct block_range range;
	struct block_read read; /* was started when there is no range */
};

/* --- planning ----------------------------------------------------------------------------------
 */

/* Batches in a run have about one size. */
static int64_t run_bytes(const struct catalog_run *run, int64_t offset)
{
	if (offset <= run->base_offset)
		return run->size;
	double part = (double)(run->last_offset - offset + 1) /
		      (double)(run->last_offset - run->base_offset + 1);
	return (int64_t)((double)run->size * part) + 1;
}

int64_t partition_runs_bytes(const struct catalog_run *runs, size_t count, int64_t offset)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += run_bytes(&runs[i], offset);
	return bytes;
}

static enum err add_runs(struct partition_read *p, struct arena *a, int64_t partition,
			 int64_t offset)
{
	struct catalog_run *runs;
	size_t count;

	enum err err = early_runs_find(p->agent->early, a, partition, offset, p->end,
				       (int64_t)(p->limit - p->planned_bytes), &runs, &count);
	if (err)
		return err;
	if (count == 0)
		return ERR_NOT_FOUND;

	struct partition_run *all = arena_take_array(a, p->run_count + count, sizeof(*all));
	for (size_t i = 0; i < p->run_count; i++)
		all[i].run = p->runs[i].run;
	for (size_t i = 0; i < count; i++)
		all[p->run_count + i].run = runs[i];
	p->runs = all;
	p->run_count += count;
	p->planned_bytes += (size_t)partition_runs_bytes(runs, count, p->offset);
	return OK;
}

/* The first run is often half read already, so one look may find less than the limit.  There may be
 * none: then markers are all there is.  Where there are more runs than are planned, the read ends
 * with the last of these: a marker behind it would lead readers past those in between. */
static enum err find_runs(struct partition_read *p, struct arena *a, int64_t partition)
{
	int64_t offset = p->offset;

	do {
		enum err err = add_runs(p, a, partition, offset);
		if (err == ERR_NOT_FOUND)
			return OK;
		if (err)
			return err;
		offset = p->runs[p->run_count - 1].run.last_offset + 1;
	} while (offset < p->end && p->planned_bytes < p->limit && p->run_count < PLAN_RUNS_MAX);
	if (offset < p->end)
		p->end = offset;
	while (p->run_count > 0 && p->runs[p->run_count - 1].run.base_offset >= p->end)
		p->run_count--;
	return OK;
}

/* Where there are more markers than one read takes, it ends with the last one. */
static enum err find_markers(struct partition_read *p, struct arena *a, struct cell *cell,
			     int64_t partition)
{
	size_t count;
	enum err err = catalog_markers(a, cell, partition, p->offset, CATALOG_MARKERS_PER_READ_MAX,
				       &p->markers, &count);

	if (err)
		return err;
	while (count > 0 && p->markers[count - 1].offset >= p->end)
		count--;
	if (count == CATALOG_MARKERS_PER_READ_MAX)
		p->end = p->markers[count - 1].offset + 1;
	p->marker_count = count;
	p->planned_bytes += count * PARTITION_MARKER_BYTES;
	return OK;
}

/* Begin as near to the offset as is known. */
static void find_start(const struct partition_read *p, struct partition_run *r)
{
	const struct catalog_run *run = &r->run;
	int64_t position;

	r->first_position = run->position;
	r->first_offset = run->base_offset;
	if (p->offset > run->base_offset &&
	    read_places_find(p->agent->places, p->partition, p->offset, run, &position)) {
		r->first_position = position;
		r->first_offset = p->offset;
	}
}

/* Where the search has to walk, the whole run is needed; else no more than can be told, which is
 * the limit, or one batch that is larger, mostly (partition_read_extend). */
static size_t needed_bytes(const struct partition_read *p, const struct partition_run *r)
{
	size_t left = (size_t)(r->run.position + r->run.size - r->first_position);
	size_t enough = p->limit + AGENT_BATCH_BYTES_USUAL;

	return p->offset > r->first_offset || left < enough ? left : enough;
}

/* From its first position on; false: a child reads it. */
static bool hold_bytes(struct partition_read *p, struct partition_run *r, size_t size,
		       struct task *parent)
{
	struct block_cache *cache = p->agent->cache;
	const struct catalog_run *run = &r->run;

	p->held_bytes += size;
	if (block_cache_peek(cache, run->incarnation, run->sequence, r->first_position, size,
			     p->use, &r->range)) {
		p->is_cold |= r->range.is_cold;
		return true;
	}
	p->is_cold = true;
	block_read(&r->read, parent, cache, run->incarnation, run->sequence, r->first_position,
		   size, p->use);
	return false;
}

static void hold_run(struct partition_read *p, struct partition_run *r, struct task *parent)
{
	find_start(p, r);
	(void)hold_bytes(p, r, needed_bytes(p, r), parent);
}

static bool run_is_sound(const struct catalog_run *run)
{
	return run->position >= 0 && run->size > 0 && run->position < DATA_FILE_BYTES_MAX &&
	       run->size <= DATA_FILE_BYTES_MAX - run->position;
}

/* Of what follows, more the more was read in a row: who looks at one place costs nothing more, and
 * who reads on soon has all under way that may be. */
static void read_ahead(struct partition_read *p, struct arena *a, struct cell *cell)
{
	struct block_cache *cache = p->agent->cache;
	int64_t left = PARTITION_AHEAD_BYTES_MAX;
	const struct partition_run *last = &p->runs[p->run_count - 1];
	int64_t end = last->run.position + last->run.size;
	int64_t held_end = last->first_position + (int64_t)needed_bytes(p, last);
	struct catalog_run *runs;
	size_t count;

	if (p->row_bytes < PARTITION_AHEAD_BYTES_MAX / AHEAD_TIMES)
		left = AHEAD_TIMES * (int64_t)p->row_bytes;
	if (held_end < end) {
		size_t size = (size_t)(end - held_end < left ? end - held_end : left);
		if (!block_cache_ahead(cache, last->run.incarnation, last->run.sequence, held_end,
				       size))
			return;
		left -= (int64_t)size;
	}
	if (left <= 0 ||
	    catalog_runs(a, cell, p->partition, last->run.last_offset + 1, left, &runs, &count))
		return;
	for (size_t i = 0; i < count && left > 0 && run_is_sound(&runs[i]); i++) {
		size_t size = (size_t)(runs[i].size < left ? runs[i].size : left);
		if (!block_cache_ahead(cache, runs[i].incarnation, runs[i].sequence,
				       runs[i].position, size))
			return;
		left -= (int64_t)size;
	}
}

static enum err plan(struct partition_read *p, struct arena *a, struct task *parent,
		     const struct catalog_partition *partition)
{
	struct cell *cell = replica_cell(p->agent->replica);

	p->leader_epoch = partition->leader_epoch;
	p->partition = partition->id;
	p->row_bytes = read_places_row_bytes(p->agent->places, p->partition, p->offset);
	if (p->offset >= p->end)
		return OK;
	enum err err = find_markers(p, a, cell, partition->id);
	if (!err)
		err = find_runs(p, a, partition->id);
	if (err)
		return err;
	if (p->run_count == 0 && p->marker_count == 0)
		return ERR_CORRUPT;
	for (size_t i = 0; i < p->run_count; i++)
		if (!run_is_sound(&p->runs[i].run))
			return ERR_CORRUPT;
	for (size_t i = 0; i < p->run_count; i++)
		hold_run(p, &p->runs[i], parent);
	if (p->is_cold && p->use == BLOCK_USED && p->row_bytes > 0 &&
	    bucket_is_far(p->agent->config.bucket))
		read_ahead(p, a, cell);
	if (p->planned_bytes > p->limit)
		p->planned_bytes = p->limit;
	return OK;
}

enum err partition_read_plan(struct partition_read *p, struct arena *a, struct task *parent,
			     struct agent *agent, const struct catalog_partition *partition,
			     int64_t offset, int64_t end, size_t limit)
{
	*p = (struct partition_read) {
		.agent = agent, .offset = offset, .end = end, .limit = limit
	};
	return plan(p, a, parent, partition);
}

enum err partition_read_plan_passing(struct partition_read *p, struct arena *a, struct task *parent,
				     struct agent *agent, const struct catalog_partition *partition,
				     int64_t offset, int64_t end, size_t limit)
{
	*p = (struct partition_read) {
		.agent = agent, .offset = offset, .end = end, .limit = limit, .use = BLOCK_PASSED
	};
	return plan(p, a, parent, partition);
}

/* --- gathering ---------------------------------------------------------------------------------
 */

static const struct block_range *range_of(const struct partition_run *r)
{
	return r->range.blocks ? &r->range : &r->read.ret;
}

static size_t capacity_for(const struct partition_read *p)
{
	size_t size = p->marker_count * PARTITION_MARKER_BYTES;

	for (size_t i = 0; i < p->run_count && size < p->limit; i++)
		size += (size_t)p->runs[i].run.size;
	return size < p->limit ? size : p->limit;
}

/* To the batch that holds the offset, or in a compacted run the first one behind it; leaves it in
 * `ret`.  ERR_NOT_FOUND: compaction left nothing of what is at the offset and behind it. */
static enum err find_first(const struct partition_read *p, struct run_walk *w,
			   struct run_batch *ret)
{
	enum err err;

	do {
		err = run_walk_next(w, ret);
	} while (!err && ret->last_offset < p->offset);
	return err == ERR_NOT_FOUND && !w->run->is_compacted ? ERR_CORRUPT : err;
}

/* The first batch, if not all of it is held. */
static bool find_short(const struct partition_read *p, struct run_batch *ret)
{
	const struct partition_run *r = p->runs;
	struct run_walk walk;

	if (p->run_count == 0 || !range_of(r)->blocks)
		return false;
	const struct block_range *held = range_of(r);
	run_walk_start(&walk, &r->run, held, r->first_position, r->first_offset);
	return !find_first(p, &walk, ret) &&
	       ret->position + (int64_t)ret->size > held->position + (int64_t)held->size;
}

size_t partition_read_short_bytes(const struct partition_read *p)
{
	struct run_batch first;

	return find_short(p, &first) ? first.size : 0;
}

bool partition_read_extend(struct partition_read *p, struct task *parent)
{
	struct partition_run *r = p->runs;
	struct run_batch first;

	if (!find_short(p, &first))
		return false;
	struct block_range held = *range_of(r);
	r->first_position = first.position;
	r->first_offset = first.base_offset;
	r->range = r->read.ret = (struct block_range) { 0 };
	bool is_held = hold_bytes(p, r, first.size, parent);
	block_range_done(&held); /* not before: its blocks need not be read again */
	p->held_bytes -= held.size;
	return !is_held;
}

/* The place of a batch that follows `offset`: what the catalog says, or, compacted, what it says
 * itself.  ERR_NOT_FOUND: behind the end of the read. */
static enum err place_batch(struct partition_read *p, const struct catalog_run *run,
			    const struct record_batch *batch, int64_t *offset)
{
	if (run->is_compacted) {
		if (batch->base_offset < *offset || batch->base_offset > run->last_offset ||
		    run->last_offset - batch->base_offset < batch->last_offset_delta)
			return ERR_CORRUPT;
		*offset = batch->base_offset;
	}
	if (*offset >= p->end)
		return ERR_NOT_FOUND;
	record_batch_patch(p->records->data + p->records->size, *offset, p->leader_epoch);
	*offset += (int64_t)batch->last_offset_delta + 1;
	p->records->size += batch->bytes.size;
	return OK;
}

/* Whole batches at `offset` and following ones in the `size` bytes that were copied behind
 * p->records; each one is checked, and gets its place. */
static enum err take_batches(struct partition_read *p, const struct catalog_run *run, size_t size,
			     int64_t *offset, bool is_cold, bool no_zstd)
{
	enum err err = OK;

	struct slice copied = { p->records->data + p->records->size, size };
	struct record_batch batch;

	while (copied.size > 0 && *offset < p->end &&
	       record_batch_fault(copied) != RECORD_BATCH_TRUNCATED) {
		if (record_batch_next(&copied, &batch) || batch.last_offset_delta < 0)
			return ERR_CORRUPT;
		if (is_cold && !record_batch_crc_matches(&batch))
			return ERR_CORRUPT;
		if (no_zstd && record_batch_codec(&batch) == COMPRESSION_ZSTD)
			return ERR_UNSUPPORTED;
		err = place_batch(p, run, &batch, offset);
		if (err)
			break;
	}
	return err == ERR_NOT_FOUND ? OK : err;
}

/* Room for one batch that is larger than the limit, which comes alone. */
static bool make_room(struct partition_read *p, size_t size, bool may_exceed)
{
	if (size <= p->records->capacity - p->records->size)
		return true;
	if (!may_exceed || p->records->size > 0)
		return false;
	blob_unref(&p->records);
	p->records = blob_new(size);
	return true;
}

static void add_marker(struct partition_read *p, const struct catalog_marker *marker)
{
	struct buf batch;

	buf_init(&batch);
	record_batch_build_end_marker(&batch, marker->producer_id, marker->epoch, marker->is_commit,
				      0, marker->written_ms);
	assert(batch.size == PARTITION_MARKER_BYTES);
	record_batch_patch(batch.data, marker->offset, p->leader_epoch);
	memcpy(p->records->data + p->records->size, batch.data, batch.size);
	p->records->size += batch.size;
	buf_done(&batch);
}

/* Those before `offset`; false: the limit is reached. */
static bool gather_markers(struct partition_read *p, int64_t offset, bool may_exceed)
{
	for (; p->markers_told < p->marker_count; p->markers_told++) {
		const struct catalog_marker *marker = &p->markers[p->markers_told];
		if (marker->offset >= offset)
			break;
		if (!make_room(p, PARTITION_MARKER_BYTES, may_exceed))
			return false;
		add_marker(p, marker);
	}
	return true;
}

/* ERR_NOT_FOUND: the limit is reached. */
static enum err gather_run(struct partition_read *p, const struct partition_run *r, bool may_exceed,
			   bool no_zstd)
{
	const struct block_range *range = range_of(r);
	struct run_walk walk;
	struct run_batch first;

	if (!range->blocks)
		return r->read.task.err;
	run_walk_start(&walk, &r->run, range, r->first_position, r->first_offset);
	enum err err = find_first(p, &walk, &first);
	if (err == ERR_NOT_FOUND) {
		p->hole_end = r->run.last_offset + 1;
		return OK; /* go on with the next run */
	}
	if (err)
		return err;
	if (first.base_offset >= p->end) {
		p->hole_end = first.base_offset;
		return ERR_NOT_FOUND;
	}
	if (!make_room(p, first.size, may_exceed))
		return ERR_NOT_FOUND;

	size_t room = p->records->capacity - p->records->size;
	size_t left = (size_t)(r->run.position + r->run.size - first.position);
	size_t held = (size_t)(range->position + (int64_t)range->size - first.position);
	size_t size = left < room ? left : room;
	if (size > held)
		size = held;
	size_t before = p->records->size;
	int64_t offset = first.base_offset;
	block_range_copy(range, first.position, size, p->records->data + before);
	err = take_batches(p, &r->run, size, &offset, range->is_cold, no_zstd);
	if (err)
		return err;
	size = p->records->size - before;
	if (size < left || r == &p->runs[p->run_count - 1])
		read_places_note(p->agent->places, p->partition, offset, &r->run,
				 first.position + (int64_t)size, p->row_bytes + p->records->size);
	if (size < left)
		return size > 0 ? ERR_NOT_FOUND : ERR_CORRUPT;
	return offset == r->run.last_offset + 1 || r->run.is_compacted ? OK : ERR_CORRUPT;
}

/* Names the file, and forgets what does not make sense: the bucket may do better next time. */
static void give_up_run(struct partition_read *p, const struct partition_run *r, enum err err)
{
	const struct catalog_run *run = &r->run;

	if (r->read.task.err)
		memcpy(p->why, r->read.task.why, sizeof(p->why));
	data_file_key(p->key, (uint64_t)run->incarnation, (uint64_t)run->sequence);
	if (err == ERR_CORRUPT)
		block_cache_forget(p->agent->cache, run->incarnation, run->sequence, run->position,
				   (size_t)run->size);
}

static enum err gather_runs(struct partition_read *p, bool may_exceed, bool no_zstd)
{
	enum err err = OK;

	p->records = blob_new(capacity_for(p));
	for (size_t i = 0; i < p->run_count; i++) {
		bool is_read_failure = !range_of(&p->runs[i])->blocks;
		if (!gather_markers(p, p->runs[i].run.base_offset, may_exceed))
			return OK;
		err = gather_run(p, &p->runs[i], may_exceed, no_zstd);
		if (err && (is_read_failure || err != ERR_NOT_FOUND)) {
			give_up_run(p, &p->runs[i], err);
			return p->records->size > 0 ? OK : err;
		}
		if (err)
			return OK;
	}
	(void)gather_markers(p, p->end, may_exceed); /* what is left comes with the next read */
	return OK;
}

static void let_go(struct partition_read *p)
{
	for (size_t i = 0; i < p->run_count; i++) {
		block_range_done(&p->runs[i].range);
		block_range_done(&p->runs[i].read.ret);
	}
	p->run_count = p->marker_count = 0;
}

enum err partition_read_gather(struct partition_read *p, bool may_exceed, bool no_zstd)
{
	if (p->run_count == 0 && p->marker_count == 0)
		return OK;
	enum err err = gather_runs(p, may_exceed, no_zstd);
	let_go(p);
	return err;
}

void partition_read_done(struct partition_read *p)
{
	let_go(p);
	blob_unref(&p->records);
}
