/* Batches join the open file, which has no task yet.  It is closed, which makes it a task of its
 * own (data_file_job.c), when it is full, or when flush() finds that it is time. */
#include "streams/agent/file_writer.h"

#include <assert.h>

#include "base/clock.h"
#include "base/memory.h"
#include "streams/agent/agent.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/file_footer.h"
#include "streams/agent/file_writer_private.h"
#include "streams/agent/replica.h"

/* --- closing a file ----------------------------------------------------------------------------
 */

void file_writer_wake_files(struct file_writer *w)
{
	LIST_EACH (&w->files, struct data_file_job, link, f)
		task_wake(&f->task);
}

static void close_open_file(struct file_writer *w, enum flush_reason reason);

static void on_due(struct timer *t)
{
	file_writer_schedule_flush(CONTAINER(t, struct file_writer, due));
}

/* More files than can be put at a time would only wait with fewer batches in each. */
static void flush_by_budget(struct file_writer *w)
{
	uint64_t now_ms = loop_now_ms(w->agent->loop), due_ms;

	if (w->unstored_count >= w->uploads_max)
		return;
	due_ms =
		flush_budget_due_ms(&w->budget, now_ms, w->open->opened_ms, w->unstored_count == 0);
	if (due_ms <= now_ms)
		close_open_file(w, FLUSH_BUDGET);
	else
		timer_set(&w->due, w->agent->loop, due_ms, on_due);
}

/* Directories have no budget of requests: flush as soon as nothing is under way. */
static void flush(struct deferred *d)
{
	struct file_writer *w = CONTAINER(d, struct file_writer, flush);

	if (!w->open || !w->incarnation)
		return;
	if (w->is_far)
		flush_by_budget(w);
	else if (w->unstored_count == 0)
		close_open_file(w, FLUSH_IDLE);
}

void file_writer_schedule_flush(struct file_writer *w)
{
	deferred_set(&w->flush, w->agent->loop, flush);
}

/* The open file gets its name and becomes a task. */
static void close_open_file(struct file_writer *w, enum flush_reason reason)
{
	struct data_file_job *f = w->open;
	struct data_file_header header = { .created_ms = clock_wall_ms() };

	w->open = NULL;
	w->agent->numbers->flushes[reason]++;
	histogram_add(&w->agent->numbers->open_took, &histogram_times,
		      clock_now_us() - f->since_us);
	f->since_us = clock_now_us();
	timer_clear(&w->due);
	flush_budget_spend(&w->budget, loop_now_ms(w->agent->loop));
	f->incarnation = w->incarnation;
	f->sequence = w->next_sequence++;
	header.incarnation = (uint64_t)f->incarnation;
	header.sequence = (uint64_t)f->sequence;
	memcpy(header.cluster_id, w->agent->cluster_id.bytes, sizeof(header.cluster_id));
	data_file_key(f->key, header.incarnation, header.sequence);
	data_file_writer_arrange(&f->data);
	file_footer_tell(replica_cell(w->agent->replica), &f->data);
	data_file_writer_finish(&f->data, &header);
	data_file_job_start(f);
}

/* --- writing a batch ---------------------------------------------------------------------------
 */

static struct data_file_job *open_file(struct file_writer *w)
{
	if (!w->open)
		w->open = data_file_job_new(w);
	return w->open;
}

static void add_waiting(struct data_file_job *f, struct file_write *write,
			const struct file_transaction *transaction)
{
	if (f->write_count == f->write_capacity) {
		f->write_capacity = f->write_capacity ? 2 * f->write_capacity : 64;
		f->writes = memory_grow(f->writes, f->write_capacity * sizeof(*f->writes));
		f->transactions =
			memory_grow(f->transactions, f->write_capacity * sizeof(*f->transactions));
	}
	write->arrival = (uint32_t)f->write_count;
	write->file = f;
	f->transactions[f->write_count] = *transaction;
	f->writes[f->write_count++] = write;
}

static bool is_full(const struct data_file_job *f)
{
	return data_file_writer_size(&f->data) >= AGENT_FILE_BYTES_DEFAULT ||
	       f->data.batch_count >= FILE_WRITER_BATCHES_MAX;
}

static enum err add_batch(struct file_writer *w, struct file_write *write, uint64_t connection_id,
			  struct uuid topic_id, int32_t partition, const struct record_batch *batch,
			  const struct file_transaction *transaction, struct blob *holder)
{
	if (w->buffered_bytes + batch->bytes.size > FILE_WRITER_BUFFERED_BYTES_MAX)
		return ERR_BUSY;
	if (w->open && is_full(w->open) && w->incarnation)
		close_open_file(w, FLUSH_FULL);

	struct data_file_job *f = open_file(w);
	if (f->data.batch_count >= FILE_WRITER_BATCHES_MAX) /* no incarnation to close it with */
		return ERR_BUSY;
	enum err err =
		data_file_writer_add(&f->data, topic_id.bytes, (uint32_t)partition, batch, holder);
	if (err)
		return ERR_BUSY;
	f->buffered_bytes += batch->bytes.size;
	w->buffered_bytes += batch->bytes.size;
	commit_order_add_connection(&f->order, connection_id);
	commit_order_add_producer(&f->order, batch->producer_id);
	add_waiting(f, write, transaction);
	if (is_full(f) && w->incarnation)
		close_open_file(w, FLUSH_FULL);
	else
		file_writer_schedule_flush(w);
	return OK;
}

enum { WRITE_START, WRITE_DECIDED };

static enum step write_step(struct task *t)
{
	struct file_write *write = CONTAINER(t, struct file_write, task);

	if (task_is_canceled(t)) {
		if (write->file)
			write->file->writes[write->arrival] = NULL;
		write->file = NULL;
		return task_done(t, t->err);
	}
	if (write->file)
		return task_wait(t, WRITE_DECIDED);
	return task_done(t, t->err);
}

static const char *const write_places[] = { "start", "decided" };
static const struct task_kind write_kind = {
	.name = "file_write",
	.places = write_places,
	.place_count = 2,
	.step = write_step,
};

void file_write(struct file_write *write, struct task *parent, struct file_writer *w,
		uint64_t connection_id, struct uuid topic_id, int32_t partition,
		const struct record_batch *batch, const struct file_transaction *transaction,
		struct blob *holder)
{
	*write = (struct file_write) { 0 };
	task_start(&write->task, &write_kind, parent);
	if (task_is_canceled(&write->task))
		return;
	if (loop_now_ms(w->agent->loop) < w->full_until_ms)
		file_write_refuse_full(write);
	else
		write->task.err = add_batch(w, write, connection_id, topic_id, partition, batch,
					    transaction, holder);
}

/* --- life --------------------------------------------------------------------------------------
 */

struct file_writer *file_writer_new(struct agent *agent)
{
	struct file_writer *w = NEW(struct file_writer);

	w->agent = agent;
	w->is_far = bucket_is_far(agent->config.bucket);
	w->uploads_max = w->is_far ? FILE_WRITER_UPLOADS_FAR_MAX : FILE_WRITER_UPLOADS_MAX;
	flush_budget_init(&w->budget,
			  agent->config.puts_per_s ? agent->config.puts_per_s : FLUSH_PUTS_PER_S,
			  loop_now_ms(agent->loop));
	list_init(&w->files);
	return w;
}

void file_writer_free(struct file_writer *w)
{
	assert(list_is_empty(&w->files) && w->job_count == 0);
	deferred_clear(&w->flush);
	timer_clear(&w->due);
	if (w->open) {
		data_file_job_fail(w->open, ERR_CANCELED);
		data_file_job_free(w->open);
	}
	memory_free(w);
}

void file_writer_set_incarnation(struct file_writer *w, int64_t incarnation)
{
	w->incarnation = incarnation;
	w->next_sequence = 1;
	LIST_EACH (&w->files, struct data_file_job, link, f)
		f->is_refused |= f->incarnation != incarnation;
	file_writer_wake(w);
}

bool file_writer_has_twin(const struct file_writer *w)
{
	return w->lives_lost >= FILE_WRITER_TWIN_LIVES;
}

void file_writer_wake(struct file_writer *w)
{
	file_writer_wake_files(w);
	file_writer_schedule_flush(w);
}

bool file_writer_is_busy(const struct file_writer *w)
{
	bool can_flush = w->open && w->incarnation;

	return can_flush || w->job_count > 0;
}

void file_writer_get_status(struct file_writer *w, struct file_writer_status *ret)
{
	*ret = (struct file_writer_status) {
		.buffered_bytes = w->buffered_bytes,
		.has_budget = w->is_far,
		.puts_left = flush_budget_left(&w->budget, loop_now_ms(w->agent->loop)),
	};
	LIST_EACH (&w->files, struct data_file_job, link, f)
		ret->files++;
}
