/* A data file goes one way:
 *
 *	open -> queued -> put -> stored -> commit -> gone
 *	                  ^ |      ^          |
 *	                  pause    +----------+  no answer: again
 *
 * Puts overlap; a commit is sent when every earlier file that matters to it (commit_order.h) has
 * sent its own on the same link or is gone.
 *
 * Where control wants it, its commit is told as the put begins, as an announcement, and then only
 * confirmed (doc/decisions/0046-a-file-is-announced-while-it-is-put.md).  From then on somebody
 * else may settle what becomes of the file, and no more is known here than control says:
 *
 *	put --(failed)--> failed -> withdrawn -> gone
 *	                    ^           |
 *	                    +-----------+  no answer: again
 *
 * A put that ended with ERR_CONFLICT is withdrawn, too: a tombstone was there.  Only who saw its
 * put succeed may say so, with a confirmation or a commit. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "streams/agent/agent.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/block_cache.h"
#include "streams/agent/discard.h"
#include "streams/agent/file_writer_private.h"
#include "streams/agent/health.h"
#include "wire/kafka/errors.h"
#include "wire/peer/frame.h"

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

void data_file_job_fail(struct data_file_job *f, enum err err)
{
	for (size_t i = 0; i < f->write_count; i++)
		end_write(f, i, err);
}

/* Clients would ask again after each code that says "later", until their time is over, and then
 * tell nobody why.  This one they tell at once to whoever can do something about it. */
void file_write_refuse_full(struct file_write *write)
{
	write->ret_error = KAFKA_POLICY_VIOLATION;
	write->ret_why = "the catalog of the cluster is full; its operator has to delete topics";
	write->ret_base_offset = write->ret_log_append_time = write->ret_log_start_offset = -1;
}

struct data_file_job *data_file_job_new(struct file_writer *w)
{
	struct data_file_job *f = NEW(struct data_file_job);

	f->writer = w;
	f->opened_ms = loop_now_ms(w->agent->loop);
	f->since_us = clock_now_us();
	data_file_writer_init(&f->data);
	return f;
}

void data_file_job_free(struct data_file_job *f)
{
	f->writer->buffered_bytes -= f->buffered_bytes;
	data_file_writer_done(&f->data);
	memory_free(f->writes);
	memory_free(f->transactions);
	memory_free(f);
}

/* --- putting -----------------------------------------------------------------------------------
 */

static void end_put(struct data_file_job *f)
{
	if (!f->is_unstored)
		return;
	f->is_unstored = false;
	f->writer->unstored_count--;
	if (f->is_putting)
		f->writer->put_count--;
	f->is_putting = false;
	file_writer_wake_files(f->writer);
	file_writer_schedule_flush(f->writer);
}

static void start_put(struct data_file_job *f)
{
	if (!f->is_putting) {
		f->is_putting = true;
		f->writer->put_count++;
	}
	if (f->put_tries++ == 0)
		data_file_announce(f);
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
			file_write_refuse_full(f->writes[i]);
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

/* Control has certainly not committed it and never will: its only commit was refused, or none was
 * sent, and nobody was told before that it might come. */
static bool is_certainly_refused(const struct data_file_job *f, enum err err)
{
	bool is_verdict =
		err == ERR_DENIED || err == ERR_FULL || err == ERR_INVALID || err == ERR_TOO_BIG;

	return f->is_stored && !f->is_resent && f->announcing == NOT_ANNOUNCED &&
	       (is_verdict || !f->is_sent);
}

/* What batches of a file are told that nobody decides any more. */
static enum err doubt_about(const struct data_file_job *f)
{
	return f->is_sent || f->announcing != NOT_ANNOUNCED ? ERR_UNKNOWN : ERR_UNAVAILABLE;
}

/* The file is decided: with OK every batch was told, otherwise they are told `err`.  Nobody waits
 * for its announcement. */
static enum step file_end(struct data_file_job *f, enum err err)
{
	blob_unref(&f->call.ret_bytes);
	data_file_job_fail(f, err ? err : ERR_CORRUPT);
	list_remove(&f->link);
	end_put(f);
	file_writer_wake_files(f->writer);
	f->is_over = true;
	f->verdict = err;
	if (f->task.children == 0)
		return task_done(&f->task, err);
	task_cancel(&f->announcement.task);
	return task_wait(&f->task, f->task.at);
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

/* Names that were announced are burnt when control lost sight of us; but not so many in a row. */
static void note_conflict(struct data_file_job *f)
{
	if (f->announcing == NOT_ANNOUNCED ||
	    ++f->writer->conflicts_in_a_row > FILE_WRITER_CONFLICTS_MAX)
		leave_names(f);
}

/* Nothing of it is to be committed.  Its batches are told `verdict` when control has agreed. */
static enum step file_fail(struct data_file_job *f, enum err verdict)
{
	struct task *t = &f->task;

	if (f->announcing == NOT_ANNOUNCED)
		return file_end(f, verdict);
	f->verdict = verdict;
	blob_unref(&f->call.ret_bytes);
	end_put(f);
	task_set_deadline(t, loop_now_ms(t->loop) + FILE_WRITER_COMMIT_PATIENCE_MS);
	task_wake(t);
	return task_wait(t, FILE_FAILED);
}

/* Once control has agreed that an announced file never comes, its outcome is known. */
static enum err settled_verdict(enum err err)
{
	switch (err) {
	case ERR_UNKNOWN:
	case ERR_TIMEOUT:
	case ERR_CONFLICT:
	case ERR_CANCELED:
		return ERR_UNAVAILABLE;
	case OK:
	case ERR_NOT_FOUND:
	case ERR_EXISTS:
	case ERR_DENIED:
	case ERR_INVALID:
	case ERR_TOO_BIG:
	case ERR_FULL:
	case ERR_BUSY:
	case ERR_UNAVAILABLE:
	case ERR_CORRUPT:
	case ERR_IO:
	case ERR_UNSUPPORTED:
	case ERR_COUNT:
		break;
	}
	return err;
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
			note_conflict(f);
		return file_fail(f, f->announcing == NOT_ANNOUNCED ? err : settled_verdict(err));
	}
	end_put(f);
	f->is_stored = true;
	f->writer->conflicts_in_a_row = 0;
	histogram_add(&numbers->put_took, &histogram_times, clock_now_us() - f->since_us);
	histogram_add(&numbers->file_bytes, &histogram_bytes, data_file_writer_size(&f->data));
	f->since_us = clock_now_us();
	block_cache_add_file(f->writer->agent->cache, f->incarnation, f->sequence, f->data.slices,
			     f->data.slice_count);
	task_set_deadline(t, loop_now_ms(loop) + FILE_WRITER_COMMIT_PATIENCE_MS);
	task_wake(t);
	return task_wait(t, FILE_STORED);
}

static bool can_ask_control(const struct data_file_job *f)
{
	return control_link_is_ready(f->writer->agent->link) &&
	       f->incarnation == f->writer->incarnation;
}

static enum step file_stored(struct data_file_job *f)
{
	struct task *t = &f->task;
	int64_t after_sequence;

	if (!data_file_is_turn(f, &after_sequence) || !can_ask_control(f))
		return task_wait(t, FILE_STORED);
	if (!f->is_sent)
		histogram_add(&f->writer->agent->numbers->turn_took, &histogram_times,
			      clock_now_us() - f->since_us);
	f->since_us = clock_now_us();
	data_file_send_commit(f, after_sequence);
	file_writer_wake_files(f->writer);
	return task_wait(t, FILE_COMMITTED);
}

/* Ask control once more: at once, where the link may stand again already; or in a while, when it
 * does not lead now or has too much to do. */
static enum step again(struct data_file_job *f, int at, bool at_once)
{
	struct task *t = &f->task;

	blob_unref(&f->call.ret_bytes);
	f->is_whole |= at_once && at == FILE_STORED;
	if (at_once)
		task_wake(t);
	else
		sleep_start(&f->sleep, t, loop_now_ms(t->loop) + FILE_WRITER_RETRY_MS);
	return task_wait(t, at);
}

static enum step file_accepted(struct data_file_job *f)
{
	histogram_add(&f->writer->agent->numbers->commit_took, &histogram_times,
		      clock_now_us() - f->since_us);
	return file_end(f, OK);
}

/* Control has said no.  What was announced could still be committed by who leads next. */
static enum step file_refused(struct data_file_job *f, enum err err)
{
	f->writer->agent->numbers->commits_refused++;
	if (err == ERR_NOT_FOUND) /* burnt, or withdrawn: its answer is that it is not there */
		return file_end(f, ERR_UNAVAILABLE);
	if (err != ERR_FULL)
		log_error("control did not accept data file %s: %s", f->key, err_name(err));
	if (f->announcing != NOT_ANNOUNCED && err != ERR_CORRUPT)
		return file_fail(f, err);
	if (err == ERR_FULL)
		take_full(f);
	return file_end(f, err);
}

static enum step file_committed(struct data_file_job *f)
{
	struct file_writer *w = f->writer;
	enum err err = f->call.task.err;

	if (!err)
		err = take_answer(f);
	else if (err == ERR_UNKNOWN || err == ERR_UNAVAILABLE)
		return again(f, FILE_STORED, true);
	if (err == ERR_UNKNOWN || err == ERR_UNAVAILABLE || err == ERR_BUSY)
		return again(f, FILE_STORED, false);
	if (err == ERR_NOT_FOUND && !f->is_whole)
		return again(f, FILE_STORED, true);
	if (is_certainly_refused(f, err))
		discard_file(w->agent, f->key);
	if (err == ERR_DENIED) {
		if (f->incarnation == w->incarnation)
			lose_life(w);
		return file_end(f, f->announcing == NOT_ANNOUNCED ? ERR_UNAVAILABLE : ERR_UNKNOWN);
	}
	if (err == ERR_CORRUPT && f->incarnation == w->incarnation)
		end_incarnation(w, err, "the answer to a commit makes no sense");
	return err ? file_refused(f, err) : file_accepted(f);
}

/* What became of the withdrawal. */
static enum err withdrawal_answer(struct data_file_job *f)
{
	struct peer_withdraw_file_response response;
	struct arena a;

	arena_init(&a);
	enum err err = ERR_CORRUPT;
	if (!schema_decode_all(&a, &peer_withdraw_file_response_schema, 0, f->call.ret_body,
			       &response))
		err = peer_error_decode(response.error);
	arena_done(&a);
	return err;
}

static enum step file_failed(struct data_file_job *f)
{
	if (!can_ask_control(f))
		return task_wait(&f->task, FILE_FAILED);
	data_file_send_withdrawal(f);
	return task_wait(&f->task, FILE_WITHDRAWN);
}

static enum step file_withdrawn(struct data_file_job *f)
{
	struct file_writer *w = f->writer;
	enum err err = f->call.task.err;

	if (err == ERR_UNKNOWN || err == ERR_UNAVAILABLE)
		return again(f, FILE_FAILED, true);
	if (!err)
		err = withdrawal_answer(f);
	if (err == ERR_UNKNOWN || err == ERR_UNAVAILABLE || err == ERR_BUSY)
		return again(f, FILE_FAILED, false);
	if (!err && f->verdict == ERR_FULL && f->is_stored)
		take_full(f);
	if (!err)
		return file_end(f, f->verdict);
	if (err == ERR_EXISTS && f->put.task.err != ERR_CONFLICT) {
		f->is_whole = true; /* it was stored after all, and settled: which offsets? */
		return again(f, FILE_STORED, false);
	}
	log_error("data file %s was not stored, and control does not withdraw it: %s", f->key,
		  err_name(err));
	if (err == ERR_DENIED && f->incarnation == w->incarnation)
		lose_life(w);
	else if (err != ERR_EXISTS && f->incarnation == w->incarnation)
		end_incarnation(w, err, "a data file could not be withdrawn");
	return file_end(f, ERR_UNKNOWN);
}

/* Out of patience: nobody knows what became of the commit, and nobody may commit it later. */
static enum step file_given_up(struct data_file_job *f)
{
	struct file_writer *w = f->writer;

	if (f->task.at == FILE_COMMITTED && !f->call.task.err)
		return file_committed(f);
	if (f->task.at == FILE_WITHDRAWN && !f->call.task.err)
		return file_withdrawn(f);
	log_warn("data file %s was not committed within %d ms", f->key,
		 FILE_WRITER_COMMIT_PATIENCE_MS);
	if (f->incarnation == w->incarnation)
		end_incarnation(w, ERR_TIMEOUT, "control did not answer a commit");
	if (is_certainly_refused(f, ERR_TIMEOUT))
		discard_file(w->agent, f->key);
	return file_end(f, doubt_about(f));
}

static bool is_waiting(const struct data_file_job *f)
{
	return task_is_running(&f->put.task) || task_is_running(&f->call.task) ||
	       task_is_running(&f->sleep.task);
}

static enum step file_step(struct task *t)
{
	struct data_file_job *f = CONTAINER(t, struct data_file_job, task);

	data_file_take_announcement(f);
	if (is_waiting(f) || (f->is_over && t->children > 0))
		return task_wait(t, t->at);
	if (f->is_over)
		return task_done(t, f->verdict);
	if (f->is_asking)
		health_end(f->writer->agent->health, HEALTH_PUT, f->put.task.err);
	f->is_asking = false;
	if (task_is_canceled(t))
		return file_given_up(f);
	if (f->is_refused && t->at != FILE_COMMITTED && t->at != FILE_WITHDRAWN) {
		if (is_certainly_refused(f, ERR_TIMEOUT))
			discard_file(f->writer->agent, f->key);
		return file_end(f, doubt_about(f));
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
	case FILE_FAILED:
		return file_failed(f);
	case FILE_WITHDRAWN:
		return file_withdrawn(f);
	}
	abort();
}

static void file_on_end(struct task *t)
{
	struct data_file_job *f = CONTAINER(t, struct data_file_job, task);
	struct agent *agent = f->writer->agent;

	f->writer->job_count--;
	data_file_job_free(f);
	if (agent->stop)
		task_wake(agent->stop);
}

static const char *const file_places[] = { "queued",	"put",	  "paused",   "stored",
					   "committed", "failed", "withdrawn" };
static const struct task_kind file_kind = {
	.name = "data_file",
	.places = file_places,
	.place_count = 7,
	.step = file_step,
	.on_end = file_on_end,
};

void data_file_job_start(struct data_file_job *f)
{
	struct file_writer *w = f->writer;

	w->job_count++;
	w->unstored_count++;
	f->is_unstored = true;
	list_add(&w->files, &f->link);
	task_start_root(&f->task, &file_kind, w->agent->loop);
}
