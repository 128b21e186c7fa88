#include "streams/coordinator/key_job.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "streams/catalog/config.h"
#include "streams/coordinator/counter.h"
#include "streams/coordinator/expiry.h"
#include "streams/coordinator/key_compaction.h"
#include "streams/coordinator/runs.h"
#include "wire/peer/compaction.h"
#include "wire/streams/data_file.h"

struct key_job {
	struct list link;
	int64_t incarnation, agent;
	int64_t partition, end;
	struct key_job_place place;
	uint64_t until_ms; /* of the loop */
};

struct key_jobs {
	struct list jobs;
	struct key_compaction_place place;
	uint64_t look_ms; /* not before */
};

struct key_jobs *key_jobs_new(void)
{
	struct key_jobs *jobs = NEW(struct key_jobs);

	list_init(&jobs->jobs);
	return jobs;
}

static void end_job(struct key_job *job)
{
	list_remove(&job->link);
	memory_free(job);
}

void key_jobs_forget(struct key_jobs *jobs)
{
	LIST_EACH (&jobs->jobs, struct key_job, link, job)
		end_job(job);
	jobs->place = (struct key_compaction_place) { 0 };
	jobs->look_ms = 0;
}

void key_jobs_free(struct key_jobs *jobs)
{
	key_jobs_forget(jobs);
	memory_free(jobs);
}

bool key_jobs_has(const struct key_jobs *jobs, int64_t incarnation)
{
	LIST_EACH (&jobs->jobs, struct key_job, link, job)
		if (job->incarnation == incarnation)
			return true;
	return false;
}

size_t key_jobs_count(const struct key_jobs *jobs, uint64_t loop_ms)
{
	size_t ret = 0;

	LIST_EACH (&jobs->jobs, struct key_job, link, job)
		ret += loop_ms < job->until_ms;
	return ret;
}

/* --- granting ----------------------------------------------------------------------------------
 */

static void drop_jobs(struct key_jobs *jobs, int64_t agent, uint64_t now_ms)
{
	LIST_EACH (&jobs->jobs, struct key_job, link, job)
		if (job->agent == agent || now_ms >= job->until_ms)
			end_job(job);
}

static struct key_job *find_job(const struct key_jobs *jobs, int64_t incarnation, int64_t agent,
				uint64_t now_ms)
{
	LIST_EACH (&jobs->jobs, struct key_job, link, job)
		if (job->incarnation == incarnation && job->agent == agent &&
		    now_ms < job->until_ms)
			return job;
	return NULL;
}

static bool is_taken(const struct key_jobs *jobs, int64_t partition)
{
	LIST_EACH (&jobs->jobs, struct key_job, link, job)
		if (job->partition == partition)
			return true;
	return false;
}

/* HANSE_TEST_KEY_BACKOFF_MS is less, in tests. */
static uint64_t backoff_ms(struct cell *cell)
{
	const char *text = getenv("HANSE_TEST_KEY_BACKOFF_MS");
	uint64_t ms;

	if (text && !text_to_u64(slice_from(text), CONFIG_CLEANER_BACKOFF_MS, &ms))
		return ms;
	return (uint64_t)config_broker_number(cell, "log.cleaner.backoff.ms",
					      CONFIG_CLEANER_BACKOFF_MS);
}

/* Until it is worth asking again. */
static int32_t wait_ms(const struct key_jobs *jobs, uint64_t now_ms)
{
	uint64_t ms = jobs->look_ms > now_ms ? jobs->look_ms - now_ms : 0;

	if (ms > KEY_JOB_LEASE_MS)
		return KEY_JOB_LEASE_MS;
	return ms > KEY_JOB_AGAIN_MS ? (int32_t)ms : (int32_t)KEY_JOB_AGAIN_MS;
}

enum err key_job_look(struct key_job_call *call)
{
	struct coordinator *c = call->coordinator;
	struct key_jobs *jobs = call->jobs;
	uint64_t now_ms = loop_now_ms(c->loop);
	struct cell *cell = leader_cell(c->config.leader);
	struct key_compaction found;

	*call->response = (struct peer_key_job_response) { 0 };
	if (!cell || !call->agent)
		return ERR_UNAVAILABLE;
	drop_jobs(jobs, call->agent, now_ms);
	call->response->wait_ms = wait_ms(jobs, now_ms);
	if (now_ms < jobs->look_ms || expiry_now_ms(c) == 0)
		return ERR_NOT_FOUND;
	enum err err = key_compaction_find(cell, expiry_now_ms(c), &jobs->place, &found);
	if (err == ERR_NOT_FOUND && jobs->place.topic == 0) {
		jobs->look_ms = now_ms + backoff_ms(cell);
		call->response->wait_ms = wait_ms(jobs, now_ms);
	} else if (err == ERR_NOT_FOUND) {
		jobs->look_ms = now_ms + KEY_JOB_AGAIN_MS; /* whoever asks */
	}
	if (!err && is_taken(jobs, found.partition))
		return ERR_NOT_FOUND;
	if (!err)
		call->partition = found.partition;
	return err;
}

/* ERR_NOT_FOUND: it, or its topic, was deleted. */
static enum err find_place(struct cell *cell, int64_t row, struct key_job_place *ret)
{
	struct catalog_partition partition;
	struct catalog_topic topic;
	struct arena a;

	arena_init(&a);
	enum err err = catalog_partition_by_row(cell, row, &partition);
	if (!err)
		err = catalog_topic_by_row(&a, cell, partition.topic, &topic);
	if (!err)
		*ret = (struct key_job_place) { topic.topic_id, partition.partition };
	arena_done(&a);
	return err;
}

enum err key_job_run(struct cell *cell, void *argument)
{
	struct key_job_call *call = argument;
	struct peer_key_job_response *response = call->response;
	struct key_compaction found;

	int64_t now_ms = expiry_now_ms(call->coordinator);
	enum err err = key_compaction_check(cell, call->partition, now_ms, &found);
	if (!err)
		err = find_place(cell, call->partition, &call->place);
	if (err)
		return err;
	*response = (struct peer_key_job_response) {
		.partition = found.partition,
		.start = found.start,
		.clean = found.clean,
		.end = found.end,
		.now_ms = now_ms,
		.delete_retention_ms = found.delete_retention_ms,
	};
	return counter_next(cell, "incarnation", INCARNATION_FIRST, &response->job);
}

bool key_job_granted(struct key_job_call *call)
{
	if (is_taken(call->jobs, call->response->partition))
		return false;
	struct key_job *job = NEW(struct key_job);

	job->incarnation = call->response->job;
	job->agent = call->agent;
	job->partition = call->response->partition;
	job->place = call->place;
	job->end = call->response->end;
	job->until_ms = loop_now_ms(call->coordinator->loop) + KEY_JOB_LEASE_MS;
	list_add(&call->jobs->jobs, &job->link);
	return true;
}

/* --- the swap ----------------------------------------------------------------------------------
 */

struct swapping {
	struct cell *cell;
	const struct key_swap *swap;
	int64_t partition, now_ms;
	int64_t runs[KEY_JOB_SWAP_RUNS_MAX], files[KEY_JOB_SWAP_RUNS_MAX];
	size_t run_count;
	int64_t bytes;				      /* of those */
	struct runs_new added[KEY_JOB_SWAP_RUNS_MAX]; /* in their place */
};

/* They must be neighbours, one after the other, in the file and in the partition. */
static bool request_is_sound(const struct peer_key_swap_request *request)
{
	int64_t position = DATA_FILE_HEADER_BYTES, next = request->base_offset;

	if (request->sequence <= COMPACTION_SEQUENCE || request->size <= 0 ||
	    request->size > DATA_FILE_BYTES_MAX || request->base_offset < 0 ||
	    request->last_offset < request->base_offset ||
	    request->markers_end > request->last_offset ||
	    request->runs_count > KEY_JOB_SWAP_RUNS_MAX)
		return false;
	for (size_t i = 0; i < request->runs_count; i++) {
		const struct peer_key_swap_request_run *run = &request->runs[i];
		if (run->base_offset != next || run->last_offset < next ||
		    run->last_offset > request->last_offset || run->position != position ||
		    run->size <= 0 || run->size > request->size - position)
			return false;
		position += run->size;
		next = run->last_offset + 1;
	}
	return next == request->last_offset + 1;
}

/* The runs of the stretch; ERR_CONFLICT unless some begin and end with it. */
static enum err find_runs(struct swapping *s)
{
	const struct peer_key_swap_request *request = s->swap->request;
	int64_t first = -1, last = -1;

	sqlite3_stmt *st =
		cell_statement(s->cell,
			       "SELECT id, file, base_offset, last_offset, size FROM run"
			       " WHERE partition = ?1 AND last_offset >= ?2 AND base_offset <= ?3"
			       " ORDER BY last_offset LIMIT ?4");
	cell_bind_int(st, 1, s->partition);
	cell_bind_int(st, 2, request->base_offset);
	cell_bind_int(st, 3, request->last_offset);
	cell_bind_int(st, 4, KEY_JOB_SWAP_RUNS_MAX);
	while (cell_next(s->cell, st)) {
		s->runs[s->run_count] = sqlite3_column_int64(st, 0);
		s->files[s->run_count++] = sqlite3_column_int64(st, 1);
		if (first < 0)
			first = sqlite3_column_int64(st, 2);
		last = sqlite3_column_int64(st, 3);
		s->bytes += sqlite3_column_int64(st, 4);
	}
	sqlite3_reset(st);
	return first == request->base_offset && last == request->last_offset ? OK : ERR_CONFLICT;
}

static enum err remove_runs(struct swapping *s)
{
	enum err err = OK;

	for (size_t i = 0; i < s->run_count && !err; i++)
		err = runs_delete(s->cell, s->runs[i], s->files[i], s->now_ms);
	return err;
}

static enum err insert_file(struct swapping *s, int64_t *ret_file)
{
	const struct peer_key_swap_request *request = s->swap->request;
	sqlite3_stmt *st = cell_statement(
		s->cell, "INSERT INTO file (incarnation, sequence, size, run_count, committed_ms,"
			 " level) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");

	cell_bind_int(st, 1, request->job);
	cell_bind_int(st, 2, request->sequence);
	cell_bind_int(st, 3, request->size);
	cell_bind_int(st, 4, (int64_t)request->runs_count);
	cell_bind_int(st, 5, s->now_ms);
	cell_bind_int(st, 6, KEY_JOB_LEVEL);
	enum err err = cell_execute(s->cell, st);
	*ret_file = sqlite3_last_insert_rowid(cell_database(s->cell));
	return err;
}

/* While the runs that they replace are there. */
static void prepare_runs(struct swapping *s)
{
	const struct peer_key_swap_request *request = s->swap->request;

	for (size_t i = 0; i < request->runs_count; i++) {
		const struct peer_key_swap_request_run *run = &request->runs[i];
		s->added[i] = (struct runs_new) {
			.partition = s->partition,
			.base_offset = run->base_offset,
			.last_offset = run->last_offset,
			.position = run->position,
			.size = run->size,
			.max_timestamp = run->max_timestamp,
			.level = KEY_JOB_LEVEL,
		};
		s->added[i].max_timestamp =
			runs_bound_timestamp(s->cell, &s->added[i], request->last_offset, false);
	}
}

static enum err insert_runs(struct swapping *s, int64_t file)
{
	int64_t bytes = 0;
	enum err err = OK;

	for (size_t i = 0; i < s->swap->request->runs_count && !err; i++) {
		s->added[i].file = file;
		err = runs_insert(s->cell, &s->added[i]);
		bytes += s->added[i].size;
	}
	if (err)
		return err;
	return cell_execute_sql(s->cell, "UPDATE partition SET bytes = bytes + ?2 WHERE id = ?1",
				s->partition, bytes - s->bytes);
}

static enum err execute_range(struct cell *cell, const char *sql, int64_t partition, int64_t begin,
			      int64_t end)
{
	sqlite3_stmt *st = cell_statement(cell, sql);

	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, begin);
	cell_bind_int(st, 3, end);
	return cell_execute(cell, st);
}

/* Those of which nothing is left go; the others are in the runs now. */
static enum err settle_markers(struct swapping *s)
{
	const struct peer_key_swap_request *request = s->swap->request;
	enum err err = execute_range(s->cell,
				     "DELETE FROM marker WHERE partition = ?1"
				     " AND marker_offset >= ?2 AND marker_offset < ?3",
				     s->partition, request->base_offset, request->markers_end);

	if (err)
		return err;
	return execute_range(s->cell,
			     "UPDATE marker SET is_in_run = 1 WHERE partition = ?1"
			     " AND marker_offset >= ?2 AND marker_offset <= ?3 AND is_in_run = 0",
			     s->partition, request->base_offset, request->last_offset);
}

static enum err replace(struct swapping *s)
{
	const struct peer_key_swap_request *request = s->swap->request;
	struct catalog_partition partition;
	int64_t file;

	if (!request_is_sound(request))
		return ERR_INVALID;
	enum err err = catalog_partition_by_row(s->cell, s->partition, &partition);
	if (!err && partition.log_start_offset > request->last_offset)
		err = ERR_CONFLICT; /* all of it was deleted */
	if (!err)
		err = find_runs(s);
	if (!err)
		prepare_runs(s);
	if (!err)
		err = remove_runs(s);
	if (!err)
		expiry_runs_deleted(s->swap->coordinator, s->cell);
	if (!err)
		err = insert_file(s, &file);
	if (!err)
		err = insert_runs(s, file);
	return err ? err : settle_markers(s);
}

enum err key_swap_run(struct cell *cell, void *argument)
{
	const struct key_swap *swap = argument;
	struct coordinator *c = swap->coordinator;
	const struct peer_key_swap_request *request = swap->request;
	uint64_t now_ms = loop_now_ms(c->loop);
	struct key_job *job = find_job(swap->jobs, request->job, swap->agent, now_ms);
	struct key_job_place place;

	if (!job)
		return ERR_DENIED;
	enum err err = find_place(cell, job->partition, &place);
	if (!err &&
	    (!uuid_equal(place.topic_id, job->place.topic_id) || place.number != job->place.number))
		err = ERR_NOT_FOUND;
	if (err)
		return err; /* deleted; the row may be another's by now */
	if (request->clean > job->end || request->last_offset >= job->end)
		return ERR_INVALID;
	job->until_ms = now_ms + KEY_JOB_LEASE_MS;
	if (request->runs_count > 0) {
		struct swapping *s = NEW(struct swapping);
		s->cell = cell;
		s->swap = swap;
		s->partition = job->partition;
		s->now_ms = (int64_t)leader_now_ms(c->config.leader);
		err = replace(s);
		memory_free(s);
	}
	if (!err && request->clean > 0)
		err = key_compaction_finish(cell, job->partition, request->clean);
	return err;
}
