#include "streams/agent/compaction_copy.h"

#include <assert.h>

#include "base/memory.h"
#include "streams/agent/file_footer.h"
#include "wire/kafka/record_batch_build.h"
#include "wire/peer/compaction.h"

void compaction_copy_init(struct compaction_copy *c)
{
	*c = (struct compaction_copy) { 0 };
	data_file_writer_init(&c->data);
	buf_init(&c->outputs);
	buf_init(&c->offsets);
}

void compaction_copy_done(struct compaction_copy *c)
{
	data_file_writer_done(&c->data);
	buf_done(&c->outputs);
	buf_done(&c->offsets);
}

/* --- runs of the file --------------------------------------------------------------------------
 */

/* Up to `last_offset`, which may lie behind its last batch. */
static void close_output(struct compaction_copy *c, int64_t last_offset)
{
	c->open.last_offset = last_offset;
	buf_add(&c->outputs, &c->open, sizeof(c->open));
	c->is_open = false;
}

static enum err write_batch(struct compaction_copy *c, const struct record_batch *batch,
			    struct blob *holder)
{
	const struct peer_job_take_response_group *group = c->group;
	int64_t size = (int64_t)batch->bytes.size, base_offset = c->group->base_offset;

	if (c->is_open && c->open.size + size > COMPACTION_RUN_BYTES_MAX)
		close_output(c, batch->base_offset - 1);
	if (!c->is_open) {
		if (c->outputs.size > c->outputs_before)
			base_offset = batch->base_offset;
		c->open = (struct compaction_output) {
			.group = c->open.group,
			.base_offset = base_offset,
			.first_arrival = (uint32_t)c->data.batch_count,
			.max_timestamp = -1,
		};
		c->is_open = true;
	}
	enum err err = data_file_writer_add(&c->data, group->topic_id.bytes,
					    (uint32_t)group->partition, batch, holder);
	if (err)
		return err;
	buf_add(&c->offsets, &batch->base_offset, sizeof(batch->base_offset));
	c->open.size += size;
	if (!(batch->attributes & RECORD_BATCH_CONTROL) &&
	    batch->max_timestamp > c->open.max_timestamp)
		c->open.max_timestamp = batch->max_timestamp;
	return OK;
}

/* Bytes that lie in no blob of their own. */
static enum err write_bytes(struct compaction_copy *c, struct slice bytes)
{
	struct blob *holder = blob_from(bytes);
	struct slice rest = blob_slice(holder);
	struct record_batch batch;
	enum err err = record_batch_next(&rest, &batch);

	if (!err)
		err = write_batch(c, &batch, holder);
	blob_unref(&holder);
	return err;
}

/* --- a group -----------------------------------------------------------------------------------
 */

void compaction_copy_begin(struct compaction_copy *c, int32_t number,
			   const struct peer_job_take_response_group *group)
{
	c->group = group;
	c->outputs_before = c->outputs.size;
	c->markers_written = c->runs_read = 0;
	c->next = group->base_offset;
	c->open = (struct compaction_output) { .group = number };
	c->is_open = false;
}

void compaction_copy_drop(struct compaction_copy *c)
{
	c->outputs.size = c->outputs_before;
	c->is_open = false;
}

/* Those at the next offset and right behind it. */
static enum err write_markers(struct compaction_copy *c)
{
	enum err err = OK;

	while (c->markers_written < c->group->markers_count && !err) {
		const struct peer_job_take_response_marker *marker =
			&c->group->markers[c->markers_written];
		struct buf bytes;
		if (marker->marker_offset != c->next)
			break;
		buf_init(&bytes);
		record_batch_build_end_marker(&bytes, marker->producer_id, marker->producer_epoch,
					      marker->is_commit, 0, marker->written_ms);
		record_batch_patch(bytes.data, marker->marker_offset, c->group->leader_epoch);
		err = write_bytes(c, buf_slice(&bytes));
		buf_done(&bytes);
		c->next++;
		c->markers_written++;
	}
	return err;
}

/* Where the batch belongs: behind the one before, or where it says. */
static enum err place_batch(struct compaction_copy *c, const struct peer_job_take_response_run *run,
			    uint8_t *bytes, struct record_batch *batch)
{
	if (!record_batch_crc_matches(batch) || batch->last_offset_delta < 0)
		return ERR_CORRUPT;
	if (!run->is_compacted) {
		batch->base_offset = c->next;
		batch->leader_epoch = c->group->leader_epoch;
		record_batch_patch(bytes, batch->base_offset, batch->leader_epoch);
	}
	if (batch->base_offset < c->next || batch->base_offset > run->last_offset ||
	    run->last_offset - batch->base_offset < batch->last_offset_delta)
		return ERR_CORRUPT;
	c->next = batch->base_offset + batch->last_offset_delta + 1;
	return OK;
}

enum err compaction_copy_run(struct compaction_copy *c,
			     const struct peer_job_take_response_run *run, struct blob *holder,
			     size_t at)
{
	struct slice rest = slice_part(blob_slice(holder), at, (size_t)run->size);
	struct record_batch batch;
	enum err err = OK;

	assert(c->runs_read < c->group->runs_count);
	if (c->next != run->base_offset || rest.size != (size_t)run->size)
		return ERR_CORRUPT;
	c->runs_read++;
	while (rest.size > 0 && !err) {
		uint8_t *bytes = holder->data + (rest.data - holder->data);
		if (record_batch_next(&rest, &batch))
			return ERR_CORRUPT;
		err = place_batch(c, run, bytes, &batch);
		if (!err)
			err = write_batch(c, &batch, holder);
	}
	if (err)
		return err;
	if (run->is_compacted && c->next <= run->last_offset)
		c->next = run->last_offset + 1; /* a hole at its end */
	return c->next == run->last_offset + 1 ? write_markers(c) : ERR_CORRUPT;
}

enum err compaction_copy_end(struct compaction_copy *c)
{
	if (c->runs_read != c->group->runs_count || c->markers_written != c->group->markers_count ||
	    c->next != c->group->last_offset + 1 || !c->is_open)
		return ERR_CORRUPT;
	close_output(c, c->group->last_offset);
	return OK;
}

/* --- the file ----------------------------------------------------------------------------------
 */

static void place_outputs(struct compaction_copy *c)
{
	uint64_t *positions = memory_take_array(c->data.batch_count, sizeof(*positions));
	struct compaction_output *outputs = (void *)c->outputs.data;
	const int64_t *offsets = (const void *)c->offsets.data;

	for (size_t i = 0; i < c->data.batch_count; i++) {
		struct data_file_entry *entry = &c->data.entries[i];
		entry->base_offset = offsets[entry->arrival];
		positions[entry->arrival] = entry->offset;
	}
	for (size_t i = 0; i < c->outputs.size / sizeof(*outputs); i++)
		outputs[i].position = (int64_t)positions[outputs[i].first_arrival];
	memory_free(positions);
}

bool compaction_copy_finish(struct compaction_copy *c, struct cell *cell,
			    const struct data_file_header *header)
{
	if (c->outputs.size == 0)
		return false;
	data_file_writer_arrange(&c->data);
	place_outputs(c);
	file_footer_tell(cell, &c->data);
	data_file_writer_finish(&c->data, header);
	return true;
}
