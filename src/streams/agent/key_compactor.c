#include "streams/agent/key_compactor.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "buckets/bucket.h"
#include "peer_messages.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/file_footer.h"
#include "streams/agent/key_scan.h"
#include "streams/agent/replica.h"
#include "streams/agent/sync.h"
#include "wire/peer/compaction.h"
#include "wire/streams/data_file.h"

enum { STRETCH_RUNS_MAX = 1024 };

struct key_compactor {
	struct task task;
	struct agent *agent;
	struct arena arena; /* of a stretch */
	struct sleep sleep;
	struct sync sync;
	struct control_call call;
	struct key_scan scan;
	struct bucket_op put;
	/* the pass */
	struct peer_key_job_response job;
	struct catalog_topic topic; /* its name is not kept */
	int32_t partition;
	struct key_pass pass;
	bool has_pass, is_filtering, is_over;
	int64_t next; /* what comes before is done with */
	int64_t sequence;
	int tries;
	int64_t stretch_bytes;
	/* the stretch */
	int64_t base, last;
	bool has_file;
	struct data_file_writer file;
	struct buf offsets; /* int64_t of each batch in it */
	struct peer_key_swap_request_run *runs;
	size_t run_count;
	char key[DATA_FILE_KEY_BYTES + 1];
};

enum { KEYS_REST, KEYS_ASKED, KEYS_SYNCED, KEYS_SCANNED, KEYS_STORED, KEYS_SWAPPED };

/* --- ends --------------------------------------------------------------------------------------
 */

static void end_stretch(struct key_compactor *c)
{
	if (c->scan.agent)
		key_scan_done(&c->scan);
	if (c->has_file)
		data_file_writer_done(&c->file);
	c->has_file = false;
	c->run_count = 0;
	buf_clear(&c->offsets);
	arena_reset(&c->arena);
}

static void end_pass(struct key_compactor *c)
{
	end_stretch(c);
	if (c->has_pass)
		key_pass_done(&c->pass);
	c->has_pass = false;
}

static enum step rest(struct key_compactor *c, uint64_t ms)
{
	end_pass(c);
	sleep_start(&c->sleep, &c->task, loop_now_ms(c->agent->loop) + ms);
	return task_wait(&c->task, KEYS_REST);
}

static enum step fail(struct key_compactor *c, enum err err, const char *what)
{
	c->agent->numbers->work.compactions[NUMBERS_KEYS].failures++;
	log_warn("compaction of partition %lld by key is given up for now: %s: %s",
		 (long long)c->job.partition, what, err_name(err));
	return rest(c, KEY_COMPACTOR_FAILED_MS);
}

/* --- the job -----------------------------------------------------------------------------------
 */

static enum step ask(struct key_compactor *c)
{
	struct peer_key_job_request request = { 0 };

	if (!replica_cell(c->agent->replica) || !control_link_is_ready(c->agent->link))
		return rest(c, KEY_COMPACTOR_IDLE_MS);
	control_call(&c->call, &c->task, c->agent->link, &peer_key_job_request_schema, &request);
	return task_wait(&c->task, KEYS_ASKED);
}

static enum step begin(struct key_compactor *c)
{
	key_pass_init(&c->pass, KEY_MAP_BYTES_MAX, c->job.clean, c->job.now_ms,
		      c->job.delete_retention_ms);
	c->has_pass = true;
	c->is_filtering = c->is_over = false;
	c->next = c->job.clean;
	c->sequence = COMPACTION_SEQUENCE; /* its files say so that they are of a pass */
	c->tries = 0;
	c->stretch_bytes = KEY_COMPACTOR_STRETCH_BYTES;
	sync_start(&c->sync, &c->task, c->agent);
	return task_wait(&c->task, KEYS_SYNCED);
}

static enum step asked(struct key_compactor *c)
{
	struct peer_key_job_response response;
	enum err err = c->call.task.err;

	if (err)
		return rest(c, KEY_COMPACTOR_FAILED_MS);
	err = schema_decode_all(&c->arena, &peer_key_job_response_schema, c->call.ret_version,
				c->call.ret_body, &response);
	blob_unref(&c->call.ret_bytes);
	if (err || response.error)
		return rest(c, !err && response.error == ERR_NOT_FOUND && response.wait_ms > 0
				       ? (uint64_t)response.wait_ms
				       : (uint64_t)KEY_COMPACTOR_IDLE_MS);
	c->job = response;
	return begin(c);
}

/* --- stretches ---------------------------------------------------------------------------------
 */

/* Whole runs, and the markers between them, from `next` on. */
static enum err find_stretch(struct key_compactor *c, int64_t end)
{
	struct cell *cell = replica_cell(c->agent->replica);
	struct catalog_partition partition;
	struct catalog_run *runs;
	size_t count = 0;

	if (!cell)
		return ERR_UNAVAILABLE;
	enum err err = catalog_partition_by_row(cell, c->job.partition, &partition);
	if (!err)
		err = catalog_topic_by_row(&c->arena, cell, partition.topic, &c->topic);
	if (!err)
		err = catalog_runs(&c->arena, cell, c->job.partition, c->next, c->stretch_bytes,
				   &runs, &count);
	while (!err && count > 1 && runs[count - 1].last_offset >= end)
		count--;
	if (err)
		return err;
	if (count == 0 || runs[count - 1].last_offset >= end)
		return ERR_NOT_FOUND;
	c->partition = partition.partition;
	c->base = runs[0].base_offset;
	c->last = runs[count - 1].last_offset;
	return OK;
}

static void note_run(struct key_compactor *c, const struct record_batch *b)
{
	int64_t size = (int64_t)b->bytes.size, last = b->base_offset + b->last_offset_delta;
	struct peer_key_swap_request_run *run = c->runs + c->run_count - 1;

	if (c->run_count == 0 || run->size + size > KEY_COMPACTOR_RUN_BYTES) {
		int64_t position =
			c->run_count ? run->position + run->size : (int64_t)DATA_FILE_HEADER_BYTES;
		int64_t base = c->run_count ? run->last_offset + 1 : c->base;
		run = &c->runs[c->run_count++];
		*run = (struct peer_key_swap_request_run) { .base_offset = base,
							    .position = position,
							    .max_timestamp = -1 };
	}
	run->last_offset = last;
	run->size += size;
	/* lookups by time believe it, and find records */
	if (b->record_count > 0 && !(b->attributes & RECORD_BATCH_CONTROL) &&
	    b->max_timestamp > run->max_timestamp)
		run->max_timestamp = b->max_timestamp;
}

static bool on_output(struct key_scan *s)
{
	struct key_compactor *c = CONTAINER(s, struct key_compactor, scan);
	struct blob *blob = blob_from(buf_slice(&s->output));
	struct slice in = blob_slice(blob);
	struct record_batch b;
	enum err err = OK;

	while (!err && in.size > 0) {
		err = record_batch_next(&in, &b);
		if (!err && c->run_count == STRETCH_RUNS_MAX)
			err = ERR_FULL;
		if (!err)
			err = data_file_writer_add(&c->file, c->topic.topic_id.bytes,
						   (uint32_t)c->partition, &b, blob);
		if (!err) {
			buf_add(&c->offsets, &b.base_offset, sizeof(b.base_offset));
			note_run(c, &b);
		}
	}
	blob_unref(&blob);
	buf_clear(&s->output);
	return !err;
}

static enum step scan(struct key_compactor *c, int64_t end)
{
	enum err err = find_stretch(c, end);

	if (err)
		return fail(c, err, "its records are not where they should be");
	if (c->is_filtering) {
		c->runs = arena_take_array(&c->arena, STRETCH_RUNS_MAX, sizeof(*c->runs));
		data_file_writer_init(&c->file);
		c->has_file = true;
	}
	key_scan_start(&c->scan, &c->task, c->agent, &c->pass, c->job.partition, c->base,
		       c->last + 1, c->is_filtering ? on_output : NULL);
	return task_wait(&c->task, KEYS_SCANNED);
}

/* Of a stretch that stays as it is, and while keys are noted: only that the pass goes on. */
static enum step swap(struct key_compactor *c)
{
	bool has_changed = !c->is_over && c->is_filtering && c->scan.is_changed;
	struct peer_key_swap_request request = {
		.job = c->job.job,
		.clean = c->is_over ? c->pass.end : 0,
	};

	if (has_changed) {
		request.sequence = c->sequence;
		request.size = (int64_t)data_file_writer_size(&c->file);
		request.base_offset = c->base;
		request.last_offset = c->last;
		request.markers_end = c->pass.end < c->last ? c->pass.end : c->last;
		request.runs = c->runs;
		request.runs_count = c->run_count;
	}
	control_call(&c->call, &c->task, c->agent->link, &peer_key_swap_request_schema, &request);
	return task_wait(&c->task, KEYS_SWAPPED);
}

/* The next stretch to be noted, or filtered, or the end of the pass. */
static enum step go_on(struct key_compactor *c)
{
	end_stretch(c);
	if (!c->is_filtering && (c->pass.is_full || c->next >= c->job.end)) {
		if (c->pass.end <= c->job.clean)
			return fail(c, ERR_FULL, "one batch has more keys than there is room for");
		c->is_filtering = true;
		c->next = c->job.start;
	}
	if (!c->is_filtering)
		return scan(c, c->job.end);
	if (c->next < c->pass.end)
		return scan(c, c->job.end);
	c->is_over = true;
	return swap(c);
}

static enum step put(struct key_compactor *c)
{
	struct data_file_header header = {
		.flags = DATA_FILE_FINAL_OFFSETS,
		.incarnation = (uint64_t)c->job.job,
		.sequence = (uint64_t)++c->sequence,
		.created_ms = clock_wall_ms(),
	};

	memcpy(header.cluster_id, c->agent->cluster_id.bytes, sizeof(header.cluster_id));
	data_file_key(c->key, header.incarnation, header.sequence);
	data_file_writer_arrange(&c->file);
	for (size_t i = 0; i < c->file.batch_count; i++)
		memcpy(&c->file.entries[i].base_offset, c->offsets.data + i * sizeof(int64_t),
		       sizeof(int64_t));
	file_footer_tell(replica_cell(c->agent->replica), &c->file);
	data_file_writer_finish(&c->file, &header);
	bucket_put_pieces(&c->put, &c->task, c->agent->config.bucket, slice_from(c->key),
			  c->file.slices, c->file.slice_count);
	return task_wait(&c->task, KEYS_STORED);
}

static enum step scanned(struct key_compactor *c)
{
	if (c->scan.task.err == ERR_FULL && c->stretch_bytes > KEY_COMPACTOR_STRETCH_BYTES_MIN) {
		c->stretch_bytes /= 2; /* of many small batches: fewer runs at a time */
		return go_on(c);
	}
	if (c->scan.task.err)
		return fail(c, c->scan.task.err, "its records cannot be read");
	return c->is_filtering && c->scan.is_changed ? put(c) : swap(c);
}

/* Who merged runs meanwhile is in the replica soon. */
static enum step try_again(struct key_compactor *c)
{
	if (c->tries++ == KEY_COMPACTOR_TRIES_MAX)
		return fail(c, ERR_CONFLICT, "its runs change all the time");
	end_stretch(c);
	sleep_start(&c->sleep, &c->task, loop_now_ms(c->agent->loop) + KEY_COMPACTOR_IDLE_MS);
	return task_wait(&c->task, KEYS_SYNCED);
}

static void tell_end(const struct key_compactor *c)
{
	struct work_numbers *work = &c->agent->numbers->work;

	work->compactions[NUMBERS_KEYS].jobs++;
	work->key_records_kept += (uint64_t)c->pass.kept;
	work->key_records_dropped += (uint64_t)c->pass.dropped;
	log_info("compacted partition %lld by key up to offset %lld: %lld records stay, %lld are"
		 " gone, %lld batches cannot be read",
		 (long long)c->job.partition, (long long)c->pass.end, (long long)c->pass.kept,
		 (long long)c->pass.dropped, (long long)c->pass.unreadable);
}

static enum step swapped(struct key_compactor *c)
{
	struct peer_key_swap_response response = { 0 };
	enum err err = c->call.task.err;

	if (!err) {
		err = schema_decode_all(&c->arena, &peer_key_swap_response_schema,
					c->call.ret_version, c->call.ret_body, &response);
		blob_unref(&c->call.ret_bytes);
	}
	if (!err && response.error == ERR_CONFLICT)
		return try_again(c);
	if (!err && response.error > 0 && response.error < ERR_COUNT)
		err = (enum err)response.error;
	if (err)
		return fail(c, err, "control does not take it");
	if (c->is_over) {
		tell_end(c);
		return rest(c, 0);
	}
	if (c->is_filtering && c->scan.is_changed)
		c->agent->numbers->work.compactions[NUMBERS_KEYS].written_bytes +=
			data_file_writer_size(&c->file);
	c->tries = 0;
	c->next = c->last + 1;
	return go_on(c);
}

/* --- the task ----------------------------------------------------------------------------------
 */

static enum step compactor_step(struct task *t)
{
	struct key_compactor *c = CONTAINER(t, struct key_compactor, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t))
		return task_done(t, t->err);
	switch (t->at) {
	case KEYS_REST:
		return ask(c);
	case KEYS_ASKED:
		return asked(c);
	case KEYS_SYNCED:
		if (c->sync.task.err)
			return fail(c, c->sync.task.err, "control does not answer");
		return go_on(c);
	case KEYS_SCANNED:
		return scanned(c);
	case KEYS_STORED:
		if (c->put.task.err)
			return fail(c, c->put.task.err, "its file cannot be stored");
		return swap(c);
	case KEYS_SWAPPED:
		return swapped(c);
	}
	abort();
}

static void compactor_on_end(struct task *t)
{
	struct key_compactor *c = CONTAINER(t, struct key_compactor, task);
	struct agent *agent = c->agent;

	end_pass(c);
	buf_done(&c->offsets);
	blob_unref(&c->call.ret_bytes);
	arena_done(&c->arena);
	memory_free(c);
	agent->key_compactor = NULL;
	if (agent->stop)
		task_wake(agent->stop);
}

static const char *const compactor_places[] = { "rest",	   "asked",  "synced",
						"scanned", "stored", "swapped" };
static const struct task_kind compactor_kind = {
	.name = "key_compactor",
	.places = compactor_places,
	.place_count = 6,
	.step = compactor_step,
	.on_end = compactor_on_end,
};

struct key_compactor *key_compactor_start(struct agent *agent)
{
	struct key_compactor *c = NEW(struct key_compactor);

	c->agent = agent;
	arena_init(&c->arena);
	buf_init(&c->offsets);
	task_start_root(&c->task, &compactor_kind, agent->loop);
	return c;
}

void key_compactor_stop(struct key_compactor *c)
{
	if (c)
		task_cancel(&c->task);
}
