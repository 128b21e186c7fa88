#include "streams/agent/key_scan.h"

#include <assert.h>
#include <stdlib.h>

#include "streams/agent/agent_numbers.h"
#include "streams/agent/replica.h"

enum { SCAN_LOOK, SCAN_READ, SCAN_EXTENDED, SCAN_WORKED };

/* --- on another thread -------------------------------------------------------------------------
 */

static void look_at(struct key_scan *s, const struct record_batch *b)
{
	int64_t next = b->base_offset + b->last_offset_delta + 1;

	if (!s->is_filter)
		key_pass_note(s->pass, b);
	else
		s->is_changed |= key_pass_filter(s->pass, b, next == s->end, &s->output);
	s->offset = next;
}

static enum err scan_work(struct worker_job *job)
{
	struct key_scan *s = CONTAINER(job, struct key_scan, job);
	struct slice in = blob_slice(s->read.records);
	struct record_batch b;

	while (in.size > 0 && (s->is_filter || !s->pass->is_full)) {
		if (record_batch_next(&in, &b) || b.last_offset_delta < 0 ||
		    b.base_offset + b.last_offset_delta < s->offset)
			return ERR_CORRUPT;
		look_at(s, &b);
	}
	return OK;
}

/* --- on the loop -------------------------------------------------------------------------------
 */

static enum err plan(struct key_scan *s)
{
	struct cell *cell = replica_cell(s->agent->replica);
	struct catalog_partition partition;
	struct catalog_marker *aborted;

	if (!cell)
		return ERR_UNAVAILABLE;
	arena_reset(&s->arena);
	enum err err = catalog_partition_by_row(cell, s->partition, &partition);
	if (!err && partition.high_watermark < s->end)
		err = ERR_UNAVAILABLE; /* the replica began anew */
	if (!err)
		err = catalog_aborted(&s->arena, cell, s->partition, s->offset, s->end, &aborted,
				      &s->pass->aborted_count);
	if (err)
		return err;
	s->pass->aborted = aborted;
	return partition_read_plan_passing(&s->read, &s->arena, &s->task, s->agent, &partition,
					   s->offset, s->end, KEY_SCAN_BYTES);
}

static bool is_at_end(const struct key_scan *s)
{
	return s->offset >= s->end || (!s->is_filter && s->pass->is_full);
}

static enum step look(struct key_scan *s)
{
	if (is_at_end(s))
		return task_done(&s->task, OK);
	enum err err = plan(s);
	if (err)
		return task_done(&s->task, err);
	s->looked_ms = loop_now_ms(s->agent->loop);
	if (s->task.children == 0) /* all of it is in memory */
		task_wake(&s->task);
	return task_wait(&s->task, SCAN_READ);
}

static enum step work(struct key_scan *s)
{
	enum err err = partition_read_gather(&s->read, true, false);

	if (!err && (!s->read.records || s->read.records->size == 0))
		err = ERR_CORRUPT;
	if (err)
		return task_fail(&s->task, err, "%s %s", s->read.key, s->read.why);
	s->agent->numbers->work.compactions[NUMBERS_KEYS].read_bytes += s->read.records->size;
	worker_start(&s->job, &s->task, scan_work);
	return task_wait(&s->task, SCAN_WORKED);
}

static enum step worked(struct key_scan *s)
{
	uint64_t now_ms = loop_now_ms(s->agent->loop), rest_ms = now_ms - s->looked_ms;

	partition_read_done(&s->read);
	s->read = (struct partition_read) { 0 };
	if (s->job.task.err)
		return task_done(&s->task, s->job.task.err);
	if (s->output.size > 0 && !s->on_output(s))
		return task_done(&s->task, ERR_FULL);
	sleep_start(&s->sleep, &s->task,
		    now_ms + (rest_ms < KEY_SCAN_REST_MS_MAX ? rest_ms : KEY_SCAN_REST_MS_MAX));
	return task_wait(&s->task, SCAN_LOOK);
}

static enum step scan_step(struct task *t)
{
	struct key_scan *s = CONTAINER(t, struct key_scan, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t))
		return task_done(t, t->err);
	switch (t->at) {
	case SCAN_LOOK:
		return look(s);
	case SCAN_READ:
		if (partition_read_extend(&s->read, t))
			return task_wait(t, SCAN_EXTENDED);
		return work(s);
	case SCAN_EXTENDED:
		return work(s);
	case SCAN_WORKED:
		return worked(s);
	}
	abort();
}

static const char *const scan_places[] = { "look", "read", "extended", "worked" };
static const struct task_kind scan_kind = {
	.name = "key_scan",
	.places = scan_places,
	.place_count = 4,
	.step = scan_step,
};

void key_scan_start(struct key_scan *s, struct task *parent, struct agent *agent,
		    struct key_pass *pass, int64_t partition, int64_t offset, int64_t end,
		    bool (*on_output)(struct key_scan *s))
{
	*s = (struct key_scan) {
		.agent = agent,
		.pass = pass,
		.partition = partition,
		.offset = offset,
		.end = end,
		.is_filter = on_output != NULL,
		.on_output = on_output,
	};
	arena_init(&s->arena);
	buf_init(&s->output);
	task_start(&s->task, &scan_kind, parent);
}

void key_scan_done(struct key_scan *s)
{
	assert(!task_is_running(&s->task));
	partition_read_done(&s->read);
	buf_done(&s->output);
	arena_done(&s->arena);
	*s = (struct key_scan) { 0 };
}
