/* A data file goes one way:
 *
 *	open -> queued -> put -> stored -> commit -> gone
 *	                  ^ |      ^          |
 *	                  pause    +----------+  no answer: again
 *
 * `open` is the one that batches join (no task yet).  It is closed, which makes it a task of its
 * own, when it is full, or when flush() finds that it is time.  Puts overlap; a commit is sent when
 * every earlier file that matters to it (commit_order.h) has sent its own on the same link or is
 * gone. */
#include "streams/agent/file_writer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "loop/timer.h"
#include "peer_messages.h"
#include "streams/agent/agent.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/block_cache.h"
#include "streams/agent/commit_order.h"
#include "streams/agent/discard.h"
#include "streams/agent/file_commit.h"
#include "streams/agent/file_footer.h"
#include "streams/agent/flush_budget.h"
#include "streams/agent/health.h"
#include "streams/agent/replica.h"
#include "wire/kafka/errors.h"
#include "wire/peer/frame.h"
#include "wire/streams/data_file.h"

struct file_writer {
	struct agent *agent;
	struct data_file_job *open; /* NULL: none */
	struct list files;	    /* closed ones, by sequence */
	struct deferred flush;
	struct timer due; /* of the open file */
	struct flush_budget budget;
	bool is_far; /* the bucket: puts follow the budget */
	size_t uploads_max;
	size_t put_count;      /* files that hold one of the places for uploads */
	size_t unstored_count; /* closed, and not yet stored or failed */
	size_t buffered_bytes;
	int64_t incarnation; /* 0: none yet, or refused */
	int64_t next_sequence;
	uint64_t quiet_until_ms; /* no log line about failed puts before */
	uint64_t full_until_ms;	 /* the catalog was full: no batch is taken before */
	uint64_t full_quiet_until_ms;
	uint64_t lives_since_ms; /* the first of the lives that were taken over */
	int lives_lost;
};

struct data_file_job {
	struct task task;
	struct file_writer *writer;
	struct list link; /* in writer->files */
	struct data_file_writer data;
	uint64_t opened_ms;
	uint64_t since_us;		       /* of its state: clock_now_us() */
	struct file_write **writes;	       /* by arrival; NULL: nobody waits */
	struct file_transaction *transactions; /* the same */
	size_t write_count, write_capacity;
	size_t buffered_bytes;
	int64_t incarnation, sequence;
	struct commit_order order;
	char key[DATA_FILE_KEY_BYTES + 1];
	struct bucket_op put;
	struct sleep sleep;
	struct control_call call;
	int put_tries;
	bool is_asking;	  /* the bucket, which health knows */
	bool is_putting;  /* counted in put_count */
	bool is_unstored; /* counted in unstored_count */
	bool is_stored;
	bool is_sent;	 /* control may have seen its commit */
	bool is_resent;	 /* more than once: one of them may be read later */
	bool is_refused; /* of a dead incarnation */
};

/* --- the batches that wait ---------------------------------------------------------------------
 */

static void end_write(struct data_file_job *f, size_t arrival, enum err err)
{
	struct file_write *write = f->writes[arrival];

	if (!write)
		return;
	f->writes[arrival] = NULL;
	write->file = NULL;
	write->task.err = err;
	task_wake(&write->task);
}

static void fail_writes(struct data_file_job *f, enum err err)
{
	for (size_t i = 0; i < f->write_count; i++)
		end_write(f, i, err);
}

/* Clients would ask again after each code that says "later", until their time is over, and then
 * tell nobody why.  This one they tell at once to whoever can do something about it. */
static void refuse_full(struct file_write *write)
{
	write->ret_error = KAFKA_POLICY_VIOLATION;
	write->ret_why = "the catalog of the cluster is full; its operator has to delete topics";
	write->ret_base_offset = write->ret_log_append_time = write->ret_log_start_offset = -1;
}

static void free_file(struct data_file_job *f)
{
	f->writer->buffered_bytes -= f->buffered_bytes;
	data_file_writer_done(&f->data);
	memory_free(f->writes);
	memory_free(f->transactions);
	memory_free(f);
}

/* --- putting -----------------------------------------------------------------------------------
 */

static void wake_files(struct file_writer *w)
{
	LIST_EACH (&w->files, struct data_file_job, link, f)
		task_wake(&f->task);
}

static void close_open_file(struct file_writer *w, enum flush_reason reason);

static void schedule_flush(struct file_writer *w);

static void on_due(struct timer *t)
{
	schedule_flush(CONTAINER(t, struct file_writer, due));
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

static void schedule_flush(struct file_writer *w)
{
	deferred_set(&w->flush, w->agent->loop, flush);
}

static void end_put(struct data_file_job *f)
{
	if (!f->is_unstored)
		return;
	f->is_unstored = false;
	f->writer->unstored_count--;
	if (f->is_putting)
		f->writer->put_count--;
	f->is_putting = false;
	wake_files(f->writer);
	schedule_flush(f->writer);
}

static void start_put(struct data_file_job *f)
{
	if (!f->is_putting) {
		f->is_putting = true;
		f->writer->put_count++;
	}
	f->put_tries++;
	f->is_asking = true;
	health_begin(f->writer->agent->health, HEALTH_PUT);
	bucket_put_pieces(&f->put, &f->task, f->writer->agent->config.bucket, slice_from(f->key),
			  f->data.slices, f->data.slice_count);
}

/* Worth trying again: the same key and bytes are harmless. */
static bool put_may_be_repeated(const struct data_file_job *f)
{
	enum err err = f->put.task.err;

	return f->put_tries < FILE_WRITER_PUTS_MAX &&
	       (err == ERR_UNKNOWN || err == ERR_UNAVAILABLE || err == ERR_BUSY ||
		err == ERR_TIMEOUT);
}

static void report_put(struct data_file_job *f)
{
	struct file_writer *w = f->writer;
	uint64_t now_ms = loop_now_ms(w->agent->loop);

	if (now_ms < w->quiet_until_ms)
		return;
	w->quiet_until_ms = now_ms + FILE_WRITER_QUIET_MS;
	log_error("data file %s was not stored in %s: %s (%s); producers are told to try again",
		  f->key, w->agent->config.bucket->url, err_name(f->put.task.err),
		  f->put.task.why[0] ? f->put.task.why : "no details");
}

/* --- committing --------------------------------------------------------------------------------
 */

/* Sent on the connection that stands, answered or not. */
static bool commit_is_on_its_way(const struct data_file_job *f)
{
	return f->call.link || f->call.ret_bytes;
}

/* May its commit be sent?  Then *ret_after is the sequence of the file that control must have
 * committed before, 0: none; control may refuse that one for now and would take this one. */
static bool is_turn(const struct data_file_job *f, int64_t *ret_after)
{
	struct commit_chain chain;

	*ret_after = 0;
	commit_chain_begin(&chain, &f->order);
	for (struct list *link = f->link.prev; link != &f->writer->files; link = link->prev) {
		const struct data_file_job *earlier = CONTAINER(link, struct data_file_job, link);

		if (earlier->incarnation != f->incarnation)
			return false; /* it will be gone in a moment */
		switch (commit_chain_look(&chain, &earlier->order)) {
		case COMMIT_FREE:
			break;
		case COMMIT_NEAREST:
			if (!commit_is_on_its_way(earlier))
				return false;
			*ret_after = earlier->sequence;
			break;
		case COMMIT_DECIDED:
			return false;
		}
	}
	return true;
}

/* The first file that is not decided; this one at the latest. */
static int64_t low_sequence(const struct data_file_job *f)
{
	LIST_EACH (&f->writer->files, struct data_file_job, link, earlier)
		if (earlier->incarnation == f->incarnation)
			return earlier->sequence;
	return f->sequence;
}

static void send_commit(struct data_file_job *f, int64_t after_sequence)
{
	struct peer_commit_file_request request = {
		.incarnation = f->incarnation,
		.sequence = f->sequence,
		.low_sequence = low_sequence(f),
		.after_sequence = after_sequence,
		.key = slice_from(f->key),
		.size = (int64_t)data_file_writer_size(&f->data),
	};
	struct arena a;

	arena_init(&a);
	file_commit_describe(&a, &f->data, f->transactions, &request);
	control_call(&f->call, &f->task, f->writer->agent->link, &peer_commit_file_request_schema,
		     &request);
	arena_done(&a);
	f->is_resent |= f->is_sent && f->call.link;
	f->is_sent |= f->call.link != NULL;
}

static bool answer_fits(const struct data_file_job *f,
			const struct peer_commit_file_response *response)
{
	size_t count = 0;

	for (size_t i = 0; i < response->runs_count; i++)
		count += response->runs[i].batches_count;
	return count == f->data.batch_count;
}

static void tell_offsets(struct data_file_job *f, const struct peer_commit_file_response *response)
{
	const struct data_file_entry *entry = f->data.entries;

	for (size_t i = 0; i < response->runs_count; i++) {
		for (size_t k = 0; k < response->runs[i].batches_count; k++, entry++) {
			const struct peer_commit_file_response_batch *batch =
				&response->runs[i].batches[k];
			struct file_write *write = f->writes[entry->arrival];
			if (!write)
				continue;
			write->ret_error = batch->error;
			write->ret_base_offset = batch->base_offset;
			write->ret_log_append_time = batch->log_append_time;
			write->ret_log_start_offset = batch->log_start_offset;
			end_write(f, entry->arrival, OK);
		}
	}
}

/* Nothing of this incarnation can be committed any more: ask for another one. */
static void end_incarnation(struct file_writer *w, enum err err, const char *why)
{
	w->incarnation = 0;
	control_link_set_incarnation(w->agent->link, 0);
	control_link_restart(w->agent->link, err, why);
}

/* Once is a restart that overtook the end of the life before. */
static void lose_life(struct file_writer *w)
{
	const struct agent_config *config = &w->agent->config;
	uint64_t now_ms = loop_now_ms(w->agent->loop);

	if (now_ms - w->lives_since_ms >= FILE_WRITER_TWIN_MS)
		w->lives_lost = 0;
	if (w->lives_lost++ == 0)
		w->lives_since_ms = now_ms;
	if (w->lives_lost == FILE_WRITER_TWIN_LIVES)
		log_error("another node says that it is %s:%u too, and each stops what the other "
			  "writes; give every node an --advertise of its own",
			  config->advertise_host, config->advertise_port);
	end_incarnation(w, ERR_DENIED, "control has a later incarnation of us");
}

bool file_writer_has_twin(const struct file_writer *w)
{
	return w->lives_lost >= FILE_WRITER_TWIN_LIVES;
}

/* What control said.  OK: the file is decided. */
static enum err take_answer(struct data_file_job *f)
{
	struct peer_commit_file_response response;
	struct arena a;

	arena_init(&a);
	enum err err = OK;
	/* What cannot be read is no verdict: the file may have been committed. */
	if (schema_decode_all(&a, &peer_commit_file_response_schema, 0, f->call.ret_body,
			      &response))
		err = ERR_CORRUPT;
	if (!err)
		err = peer_error_decode(response.error);
	if (!err && !answer_fits(f, &response))
		err = ERR_CORRUPT;
	if (!err)
		tell_offsets(f, &response);
	arena_done(&a);
	return err;
}

/* --- the way of a file -------------------------------------------------------------------------
 */

/* Control has no room for the rows of this file: the bucket has nothing to do with it. */
static void take_full(struct data_file_job *f)
{
	struct file_writer *w = f->writer;
	uint64_t now_ms = loop_now_ms(w->agent->loop);

	w->full_until_ms = now_ms + FILE_WRITER_FULL_MS;
	for (size_t i = 0; i < f->write_count; i++) {
		if (f->writes[i])
			refuse_full(f->writes[i]);
		end_write(f, i, OK);
	}
	if (now_ms < w->full_quiet_until_ms)
		return;
	w->full_quiet_until_ms = now_ms + FILE_WRITER_QUIET_MS;
	log_error("the catalog is full: control keeps at most %d MiB of topics, places of records, "
		  "producers and groups; producers are refused until topics are deleted, whose "
		  "rows go within seconds",
		  CELL_RUN_BYTES_MAX >> 20);
}

enum { FILE_QUEUED, FILE_PUT, FILE_PAUSED, FILE_STORED, FILE_COMMITTED };

/* Control has certainly not committed it and never will: its only commit was refused, or none was
 * sent. */
static bool is_certainly_refused(const struct data_file_job *f, enum err err)
{
	bool is_verdict =
		err == ERR_DENIED || err == ERR_FULL || err == ERR_INVALID || err == ERR_TOO_BIG;

	return f->is_stored && !f->is_resent && (is_verdict || !f->is_sent);
}

/* The file is decided: with OK every batch was told, otherwise they are told `err`. */
static enum step file_end(struct data_file_job *f, enum err err)
{
	blob_unref(&f->call.ret_bytes);
	fail_writes(f, err ? err : ERR_CORRUPT);
	list_remove(&f->link);
	end_put(f);
	wake_files(f->writer);
	return task_done(&f->task, err);
}

/* Somebody else wrote under names that control gave to us: an agent of a journal that was lost and
 * is older now.  Its files stay as they are; ours get other names. */
static void leave_names(struct data_file_job *f)
{
	struct agent *agent = f->writer->agent;

	if (f->incarnation != f->writer->incarnation || !control_link_is_ready(agent->link))
		return; /* it was noticed already */
	control_link_set_incarnation(agent->link, 0);
	control_link_restart(agent->link, ERR_CONFLICT,
			     "another agent used the names of our data files: taking new ones");
}

static enum step file_put(struct data_file_job *f)
{
	struct task *t = &f->task;
	struct loop *loop = f->writer->agent->loop;
	struct agent_numbers *numbers = f->writer->agent->numbers;

	if (f->put.task.err && put_may_be_repeated(f)) {
		sleep_start(&f->sleep, t,
			    loop_now_ms(loop) + (uint64_t)f->put_tries * FILE_WRITER_RETRY_MS);
		return task_wait(t, FILE_PAUSED);
	}
	if (f->put.task.err) {
		enum err err = f->put.task.err;

		report_put(f);
		numbers->puts_failed++;
		if (err == ERR_CONFLICT)
			leave_names(f);
		return file_end(f, err);
	}
	end_put(f);
	f->is_stored = true;
	histogram_add(&numbers->put_took, &histogram_times, clock_now_us() - f->since_us);
	histogram_add(&numbers->file_bytes, &histogram_bytes, data_file_writer_size(&f->data));
	f->since_us = clock_now_us();
	block_cache_add_file(f->writer->agent->cache, f->incarnation, f->sequence, f->data.slices,
			     f->data.slice_count);
	task_set_deadline(t, loop_now_ms(loop) + FILE_WRITER_COMMIT_PATIENCE_MS);
	task_wake(t);
	return task_wait(t, FILE_STORED);
}

static enum step file_stored(struct data_file_job *f)
{
	struct task *t = &f->task;
	int64_t after_sequence;

	if (!is_turn(f, &after_sequence) || !control_link_is_ready(f->writer->agent->link) ||
	    f->incarnation != f->writer->incarnation)
		return task_wait(t, FILE_STORED);
	if (!f->is_sent)
		histogram_add(&f->writer->agent->numbers->turn_took, &histogram_times,
			      clock_now_us() - f->since_us);
	f->since_us = clock_now_us();
	send_commit(f, after_sequence);
	wake_files(f->writer);
	return task_wait(t, FILE_COMMITTED);
}

static enum step file_committed(struct data_file_job *f)
{
	struct task *t = &f->task;
	struct file_writer *w = f->writer;
	enum err err = f->call.task.err;

	if (!err)
		err = take_answer(f);
	else if (err == ERR_UNKNOWN || err == ERR_UNAVAILABLE) {
		task_wake(t); /* the link may stand again already */
		return task_wait(t, FILE_STORED);
	}
	if (err == ERR_UNKNOWN || err == ERR_UNAVAILABLE || err == ERR_BUSY) {
		/* control does not lead now, or has too much to do */
		blob_unref(&f->call.ret_bytes);
		sleep_start(&f->sleep, t, loop_now_ms(w->agent->loop) + FILE_WRITER_RETRY_MS);
		return task_wait(t, FILE_STORED);
	}
	if (is_certainly_refused(f, err))
		discard_file(w->agent, f->key);
	if (err == ERR_DENIED) {
		if (f->incarnation == w->incarnation)
			lose_life(w);
		return file_end(f, ERR_UNAVAILABLE);
	}
	if (err)
		w->agent->numbers->commits_refused++;
	else
		histogram_add(&w->agent->numbers->commit_took, &histogram_times,
			      clock_now_us() - f->since_us);
	if (err == ERR_FULL)
		take_full(f);
	else if (err)
		log_error("control did not accept data file %s: %s", f->key, err_name(err));
	if (err == ERR_CORRUPT && f->incarnation == w->incarnation)
		end_incarnation(w, err, "the answer to a commit makes no sense");
	return file_end(f, err);
}

/* Out of patience: nobody knows what became of the commit, and nobody may commit it later. */
static enum step file_given_up(struct data_file_job *f)
{
	struct file_writer *w = f->writer;

	if (f->task.at == FILE_COMMITTED && !f->call.task.err)
		return file_committed(f);
	log_warn("data file %s was not committed within %d ms", f->key,
		 FILE_WRITER_COMMIT_PATIENCE_MS);
	if (f->incarnation == w->incarnation)
		end_incarnation(w, ERR_TIMEOUT, "control did not answer a commit");
	if (is_certainly_refused(f, ERR_TIMEOUT))
		discard_file(w->agent, f->key);
	return file_end(f, f->is_sent ? ERR_UNKNOWN : ERR_UNAVAILABLE);
}

static enum step file_step(struct task *t)
{
	struct data_file_job *f = CONTAINER(t, struct data_file_job, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (f->is_asking)
		health_end(f->writer->agent->health, HEALTH_PUT, f->put.task.err);
	f->is_asking = false;
	if (task_is_canceled(t))
		return file_given_up(f);
	if (f->is_refused && t->at != FILE_COMMITTED) {
		if (is_certainly_refused(f, ERR_TIMEOUT))
			discard_file(f->writer->agent, f->key);
		return file_end(f, f->is_sent ? ERR_UNKNOWN : ERR_UNAVAILABLE);
	}

	switch (t->at) {
	case FILE_QUEUED:
		if (f->writer->put_count >= f->writer->uploads_max)
			return task_wait(t, FILE_QUEUED);
		start_put(f);
		return task_wait(t, FILE_PUT);
	case FILE_PUT:
		return file_put(f);
	case FILE_PAUSED:
		start_put(f);
		return task_wait(t, FILE_PUT);
	case FILE_STORED:
		return file_stored(f);
	case FILE_COMMITTED:
		return file_committed(f);
	}
	abort();
}

static void file_on_end(struct task *t)
{
	struct data_file_job *f = CONTAINER(t, struct data_file_job, task);
	struct agent *agent = f->writer->agent;

	free_file(f);
	if (agent->stop)
		task_wake(agent->stop);
}

static const char *const file_places[] = { "queued", "put", "paused", "stored", "committed" };
static const struct task_kind file_kind = {
	.name = "data_file",
	.places = file_places,
	.place_count = 5,
	.step = file_step,
	.on_end = file_on_end,
};

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
	w->unstored_count++;
	f->is_unstored = true;
	f->incarnation = w->incarnation;
	f->sequence = w->next_sequence++;
	header.incarnation = (uint64_t)f->incarnation;
	header.sequence = (uint64_t)f->sequence;
	memcpy(header.cluster_id, w->agent->cluster_id.bytes, sizeof(header.cluster_id));
	data_file_key(f->key, header.incarnation, header.sequence);
	data_file_writer_arrange(&f->data);
	file_footer_tell(replica_cell(w->agent->replica), &f->data);
	data_file_writer_finish(&f->data, &header);
	list_add(&w->files, &f->link);
	task_start_root(&f->task, &file_kind, w->agent->loop);
}

/* --- writing a batch ---------------------------------------------------------------------------
 */

static struct data_file_job *open_file(struct file_writer *w)
{
	if (w->open)
		return w->open;
	struct data_file_job *f = NEW(struct data_file_job);
	f->writer = w;
	f->opened_ms = loop_now_ms(w->agent->loop);
	f->since_us = clock_now_us();
	data_file_writer_init(&f->data);
	w->open = f;
	return f;
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
		schedule_flush(w);
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
		refuse_full(write);
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
	assert(list_is_empty(&w->files));
	deferred_clear(&w->flush);
	timer_clear(&w->due);
	if (w->open) {
		fail_writes(w->open, ERR_CANCELED);
		free_file(w->open);
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

void file_writer_wake(struct file_writer *w)
{
	wake_files(w);
	schedule_flush(w);
}

bool file_writer_is_busy(const struct file_writer *w)
{
	bool can_flush = w->open && w->incarnation;

	return can_flush || !list_is_empty(&w->files);
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
