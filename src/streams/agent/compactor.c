#include "streams/agent/compactor.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "loop/timer.h"
#include "streams/agent/agent.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/compaction_copy.h"
#include "wire/peer/compaction.h"
#include "wire/peer/frame.h"

enum {
	READS_MAX = 4,		       /* at the same time */
	READ_BYTES_MAX = 4 << 20,      /* of one, unless a run is larger */
	READ_GAP_BYTES_MAX = 64 << 10, /* that are read along */
	TRIES_MAX = 3,
	RETRY_MS = 200,
	FINISH_PATIENCE_MS = 30000, /* without control; the lease ends soon after */
};

/* A run, where its bytes are. */
struct input {
	const struct peer_job_take_response_run *run;
	struct blob *holder; /* NULL until it is read */
	size_t at;	     /* in the holder */
};

/* Inputs that lie close together in one file. */
struct reading {
	struct bucket_op get;
	char key[DATA_FILE_KEY_BYTES + 1];
	size_t first, count; /* of c->by_place */
	int tries;
	bool is_busy;
};

struct compactor {
	struct task task;
	struct agent *agent;
	uint64_t idle_ms, failed_ms;
	uint64_t pause_ms;	 /* once the children have ended */
	uint64_t quiet_until_ms; /* no log line about failed jobs before */
	struct sleep sleep;
	bool is_waiting; /* for the sleep, before it asks again */
	struct control_call call;
	/* the job */
	struct arena arena;
	struct blob *job_bytes;
	struct peer_job_take_response job;
	bool is_dropped;      /* a group of it, which people were told */
	struct input *inputs; /* as in the job */
	struct input **by_place;
	size_t input_count;
	size_t next_read; /* of by_place */
	struct reading readings[READS_MAX];
	struct compaction_copy copy;
	size_t next_group, next_run, next_input; /* to be copied */
	char key[DATA_FILE_KEY_BYTES + 1];
	struct bucket_op put;
	int tries;
	uint64_t extended_ms, finish_until_ms;
	struct control_call extend;
	bool is_extending, is_lost; /* the lease */
};

/* --- the end of a job --------------------------------------------------------------------------
 */

static void forget_job(struct compactor *c)
{
	for (size_t i = 0; i < c->input_count; i++)
		blob_unref(&c->inputs[i].holder);
	for (size_t i = 0; i < READS_MAX; i++)
		c->readings[i] = (struct reading) { 0 };
	compaction_copy_done(&c->copy);
	compaction_copy_init(&c->copy);
	blob_unref(&c->call.ret_bytes);
	blob_unref(&c->extend.ret_bytes);
	blob_unref(&c->job_bytes);
	arena_reset(&c->arena);
	c->job = (struct peer_job_take_response) { 0 };
	c->inputs = NULL;
	c->by_place = NULL;
	c->input_count = c->next_read = 0;
	c->next_group = c->next_run = c->next_input = 0;
	c->tries = 0;
	c->is_extending = c->is_lost = c->is_dropped = false;
}

enum {
	COMPACTOR_LOOK,
	COMPACTOR_TAKEN,
	COMPACTOR_READING,
	COMPACTOR_COPYING,
	COMPACTOR_STORED,
	COMPACTOR_SWAPPED,
	COMPACTOR_ENDING,
};

/* An extension of the lease may be under way. */
static enum step rest(struct compactor *c, uint64_t pause_ms)
{
	if (c->task.children > 0) {
		c->pause_ms = pause_ms;
		return task_wait(&c->task, COMPACTOR_ENDING);
	}
	forget_job(c);
	sleep_start(&c->sleep, &c->task, loop_now_ms(c->agent->loop) + pause_ms);
	return task_wait(&c->task, COMPACTOR_LOOK);
}

static enum step fail(struct compactor *c, const char *what, enum err err, const char *why)
{
	uint64_t now_ms = loop_now_ms(c->agent->loop);

	c->agent->numbers->work.compactions[NUMBERS_MERGE].failures++;
	if (now_ms >= c->quiet_until_ms)
		log_warn("records were not compacted, %s: %s%s%s", what, err_name(err),
			 why && why[0] ? ": " : "", why ? why : "");
	c->quiet_until_ms = now_ms + COMPACTOR_QUIET_MS;
	return rest(c, c->failed_ms);
}

/* --- the lease ---------------------------------------------------------------------------------
 */

static enum err answer_error(struct control_call *call, const struct schema *schema, void *response)
{
	struct arena a;

	if (call->task.err)
		return call->task.err;
	arena_init(&a);
	enum err err = schema_decode_all(&a, schema, 0, call->ret_body, response);
	arena_done(&a);
	blob_unref(&call->ret_bytes);
	return err;
}

static void extend_lease(struct compactor *c)
{
	struct peer_job_take_request request = { .incarnation = c->job.incarnation };
	struct peer_job_take_response response = { 0 };
	uint64_t now_ms = loop_now_ms(c->agent->loop);

	if (c->is_extending && !task_is_running(&c->extend.task)) {
		enum err err = answer_error(&c->extend, &peer_job_take_response_schema, &response);
		c->is_extending = false;
		c->is_lost |= !err && peer_error_decode(response.error) == ERR_DENIED;
	}
	if (!c->job.incarnation || c->is_extending || c->is_lost ||
	    now_ms - c->extended_ms < COMPACTION_LEASE_MS / 4 ||
	    !control_link_is_ready(c->agent->link))
		return;
	c->extended_ms = now_ms;
	c->is_extending = true;
	control_call(&c->extend, &c->task, c->agent->link, &peer_job_take_request_schema, &request);
}

/* --- taking ------------------------------------------------------------------------------------
 */

static enum step look(struct compactor *c)
{
	struct peer_job_take_request request = { 0 };

	if (task_is_running(&c->sleep.task))
		return task_wait(&c->task, COMPACTOR_LOOK);
	if (!control_link_is_ready(c->agent->link) || !replica_cell(c->agent->replica))
		return rest(c, c->idle_ms);
	control_call(&c->call, &c->task, c->agent->link, &peer_job_take_request_schema, &request);
	return task_wait(&c->task, COMPACTOR_TAKEN);
}

static bool run_is_sound(const struct peer_job_take_response_run *run)
{
	return run->position >= DATA_FILE_HEADER_BYTES && run->position < DATA_FILE_BYTES_MAX &&
	       run->size > 0 && run->size <= COMPACTION_JOB_BYTES_MAX && run->base_offset >= 0 &&
	       run->last_offset >= run->base_offset;
}

static bool job_is_sound(const struct peer_job_take_response *job, size_t *ret_count)
{
	size_t count = 0;
	int64_t bytes = 0;

	for (size_t i = 0; i < job->groups_count; i++) {
		const struct peer_job_take_response_group *group = &job->groups[i];
		count += group->runs_count;
		if (group->runs_count == 0 || count > COMPACTION_JOB_RUNS_MAX ||
		    group->partition < 0 || group->markers_count > 4 * COMPACTION_JOB_RUNS_MAX)
			return false;
		for (size_t k = 0; k < group->runs_count; k++) {
			if (!run_is_sound(&group->runs[k]))
				return false;
			bytes += group->runs[k].size;
		}
	}
	*ret_count = count;
	return count > 0 && bytes <= COMPACTION_JOB_BYTES_MAX;
}

static int compare_place(const void *left, const void *right)
{
	const struct peer_job_take_response_run *a = (*(struct input *const *)left)->run;
	const struct peer_job_take_response_run *b = (*(struct input *const *)right)->run;

	if (a->incarnation != b->incarnation)
		return a->incarnation < b->incarnation ? -1 : 1;
	if (a->sequence != b->sequence)
		return a->sequence < b->sequence ? -1 : 1;
	return (a->position > b->position) - (a->position < b->position);
}

static void list_inputs(struct compactor *c)
{
	size_t at = 0;

	c->inputs = arena_take_array(&c->arena, c->input_count, sizeof(*c->inputs));
	c->by_place = arena_take_array(&c->arena, c->input_count, sizeof(*c->by_place));
	for (size_t i = 0; i < c->job.groups_count; i++)
		for (size_t k = 0; k < c->job.groups[i].runs_count; k++, at++) {
			c->inputs[at] = (struct input) { .run = &c->job.groups[i].runs[k] };
			c->by_place[at] = &c->inputs[at];
		}
	qsort(c->by_place, c->input_count, sizeof(*c->by_place), compare_place);
}

static enum step read_on(struct compactor *c);

static enum step taken(struct compactor *c)
{
	enum err err = c->call.task.err;

	if (task_is_running(&c->call.task))
		return task_wait(&c->task, COMPACTOR_TAKEN);
	if (err)
		return rest(c, c->idle_ms);
	c->job_bytes = c->call.ret_bytes;
	c->call.ret_bytes = NULL;
	err = schema_decode_all(&c->arena, &peer_job_take_response_schema, 0, c->call.ret_body,
				&c->job);
	if (!err)
		err = peer_error_decode(c->job.error);
	if (!err && !c->job.incarnation)
		return rest(c, c->idle_ms);
	if (!err && !job_is_sound(&c->job, &c->input_count))
		err = ERR_INVALID;
	if (err) {
		c->input_count = 0;
		return err == ERR_UNAVAILABLE ? rest(c, c->idle_ms)
					      : fail(c, "the job cannot be", err, NULL);
	}
	c->extended_ms = loop_now_ms(c->agent->loop);
	list_inputs(c);
	return read_on(c);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static bool is_same_file(const struct input *a, const struct input *b)
{
	return a->run->incarnation == b->run->incarnation && a->run->sequence == b->run->sequence;
}

static int64_t reading_size(const struct compactor *c, const struct reading *r)
{
	const struct peer_job_take_response_run *last = c->by_place[r->first + r->count - 1]->run;

	return last->position + last->size - c->by_place[r->first]->run->position;
}

static void start_get(struct compactor *c, struct reading *r)
{
	r->tries++;
	bucket_get(&r->get, &c->task, c->agent->config.bucket, slice_from(r->key),
		   (uint64_t)c->by_place[r->first]->run->position, (size_t)reading_size(c, r));
}

/* What lies next to each other comes together. */
static void start_reading(struct compactor *c, struct reading *r)
{
	const struct input *first = c->by_place[c->next_read];
	int64_t end = first->run->position + first->run->size;

	*r = (struct reading) { .first = c->next_read, .is_busy = true };
	data_file_key(r->key, (uint64_t)first->run->incarnation, (uint64_t)first->run->sequence);
	do {
		r->count++;
		if (++c->next_read == c->input_count)
			break;
		const struct input *next = c->by_place[c->next_read];
		int64_t next_end = next->run->position + next->run->size;
		if (!is_same_file(first, next) || next->run->position < end ||
		    next->run->position - end > READ_GAP_BYTES_MAX ||
		    next_end - first->run->position > READ_BYTES_MAX)
			break;
		end = next_end;
	} while (true);
	start_get(c, r);
}

/* What cannot be read leaves its groups out. */
static void take_reading(struct compactor *c, struct reading *r)
{
	enum err err = r->get.task.err;

	if ((err == ERR_UNAVAILABLE || err == ERR_BUSY || err == ERR_TIMEOUT || err == ERR_IO) &&
	    r->tries < TRIES_MAX) {
		start_get(c, r);
		return;
	}
	r->is_busy = false;
	if (!err && r->get.ret_body->size != (size_t)reading_size(c, r))
		err = ERR_CORRUPT;
	for (size_t i = 0; i < r->count && !err; i++) {
		struct input *input = c->by_place[r->first + i];
		input->holder = blob_ref(r->get.ret_body);
		input->at = (size_t)(input->run->position - c->by_place[r->first]->run->position);
	}
	if (!r->get.task.err)
		blob_unref(&r->get.ret_body);
	if (err && !c->is_dropped)
		log_warn("data file %s cannot be compacted: %s", r->key, err_name(err));
	c->is_dropped |= err != OK;
}

static enum step copy_on(struct compactor *c);

static enum step read_on(struct compactor *c)
{
	bool is_busy = false;

	for (size_t i = 0; i < READS_MAX; i++) {
		struct reading *r = &c->readings[i];
		if (r->is_busy && !task_is_running(&r->get.task))
			take_reading(c, r);
		if (!r->is_busy && c->next_read < c->input_count && !c->is_lost)
			start_reading(c, r);
		is_busy |= r->is_busy;
	}
	if (is_busy)
		return task_wait(&c->task, COMPACTOR_READING);
	return copy_on(c);
}

/* --- copying -----------------------------------------------------------------------------------
 */

static void drop_group(struct compactor *c, enum err err)
{
	const struct peer_job_take_response_group *group = &c->job.groups[c->next_group];

	compaction_copy_drop(&c->copy);
	if (err != ERR_FULL && !c->is_dropped)
		log_warn("partition %d of a topic is not compacted at offset %lld: %s",
			 group->partition, (long long)group->base_offset, err_name(err));
	c->is_dropped |= err != ERR_FULL;
	c->next_input += group->runs_count - c->next_run;
	c->next_run = 0;
	c->next_group++;
}

/* One run; false: there is no other. */
static bool copy_run(struct compactor *c, size_t *bytes)
{
	if (c->next_group == c->job.groups_count)
		return false;
	const struct peer_job_take_response_group *group = &c->job.groups[c->next_group];
	struct input *input = &c->inputs[c->next_input];
	enum err err = ERR_NOT_FOUND;

	if (c->next_run == 0)
		compaction_copy_begin(&c->copy, (int32_t)c->next_group, group);
	if (input->holder)
		err = compaction_copy_run(&c->copy, input->run, input->holder, input->at);
	if (!err && c->next_run + 1 == group->runs_count)
		err = compaction_copy_end(&c->copy);
	if (err) {
		drop_group(c, err);
		return true;
	}
	*bytes += (size_t)input->run->size;
	blob_unref(&input->holder); /* the writer has its own */
	c->next_input++;
	if (++c->next_run == group->runs_count) {
		c->next_run = 0;
		c->next_group++;
	}
	return true;
}

static void start_put(struct compactor *c)
{
	c->tries++;
	bucket_put_pieces(&c->put, &c->task, c->agent->config.bucket, slice_from(c->key),
			  c->copy.data.slices, c->copy.data.slice_count);
}

static enum step copy_on(struct compactor *c)
{
	struct data_file_header header = {
		.flags = DATA_FILE_FINAL_OFFSETS,
		.incarnation = (uint64_t)c->job.incarnation,
		.sequence = COMPACTION_SEQUENCE,
		.created_ms = clock_wall_ms(),
	};
	size_t bytes = 0;

	if (c->is_lost)
		return fail(c, "another agent has the job", ERR_DENIED, NULL);
	while (bytes < COMPACTOR_STEP_BYTES)
		if (!copy_run(c, &bytes))
			break;
	if (c->next_group < c->job.groups_count) {
		task_wake(&c->task); /* others first */
		return task_wait(&c->task, COMPACTOR_COPYING);
	}
	memcpy(header.cluster_id, c->agent->cluster_id.bytes, sizeof(header.cluster_id));
	if (!compaction_copy_finish(&c->copy, replica_cell(c->agent->replica), &header))
		return fail(c, "nothing of the job can be", ERR_CORRUPT, NULL);
	data_file_key(c->key, header.incarnation, header.sequence);
	start_put(c);
	return task_wait(&c->task, COMPACTOR_STORED);
}

/* --- the swap ----------------------------------------------------------------------------------
 */

static struct peer_job_finish_request_group *tell_groups(struct compactor *c, size_t *ret_count)
{
	const struct compaction_output *outputs = (const void *)c->copy.outputs.data;
	size_t count = c->copy.outputs.size / sizeof(*outputs), n = 0;
	struct peer_job_finish_request_run *runs =
		arena_take_array(&c->arena, count, sizeof(*runs));
	struct peer_job_finish_request_group *groups =
		arena_take_array(&c->arena, count, sizeof(*groups));

	for (size_t i = 0; i < count; i++) {
		if (i == 0 || outputs[i - 1].group != outputs[i].group)
			groups[n++] = (struct peer_job_finish_request_group) {
				.number = outputs[i].group,
				.runs = &runs[i],
			};
		runs[i] = (struct peer_job_finish_request_run) {
			.base_offset = outputs[i].base_offset,
			.last_offset = outputs[i].last_offset,
			.position = outputs[i].position,
			.size = outputs[i].size,
			.max_timestamp = outputs[i].max_timestamp,
		};
		groups[n - 1].runs_count++;
	}
	*ret_count = n;
	return groups;
}

static enum step ask_swap(struct compactor *c)
{
	struct peer_job_finish_request request = {
		.incarnation = c->job.incarnation,
		.size = (int64_t)data_file_writer_size(&c->copy.data),
	};

	request.groups = tell_groups(c, &request.groups_count);
	control_call(&c->call, &c->task, c->agent->link, &peer_job_finish_request_schema, &request);
	return task_wait(&c->task, COMPACTOR_SWAPPED);
}

static enum step stored(struct compactor *c)
{
	enum err err = c->put.task.err;

	if (task_is_running(&c->put.task) || task_is_running(&c->sleep.task))
		return task_wait(&c->task, COMPACTOR_STORED);
	if (c->is_waiting) {
		c->is_waiting = false;
		start_put(c);
		return task_wait(&c->task, COMPACTOR_STORED);
	}
	if ((err == ERR_UNKNOWN || err == ERR_UNAVAILABLE || err == ERR_BUSY ||
	     err == ERR_TIMEOUT) &&
	    c->tries < TRIES_MAX && !c->is_lost) {
		c->is_waiting = true;
		sleep_start(&c->sleep, &c->task, loop_now_ms(c->agent->loop) + RETRY_MS);
		return task_wait(&c->task, COMPACTOR_STORED);
	}
	if (err)
		return fail(c, "their file was not stored", err, c->put.task.why);
	c->finish_until_ms = loop_now_ms(c->agent->loop) + FINISH_PATIENCE_MS;
	return ask_swap(c);
}

static void count_job(struct compactor *c)
{
	struct work_numbers *work = &c->agent->numbers->work;

	work->compactions[NUMBERS_MERGE].jobs++;
	for (size_t i = 0; i < c->input_count; i++)
		work->compactions[NUMBERS_MERGE].read_bytes += (uint64_t)c->inputs[i].run->size;
	work->compactions[NUMBERS_MERGE].written_bytes += data_file_writer_size(&c->copy.data);
}

/* It is harmless to ask again: a file is swapped once. */
static enum step swapped(struct compactor *c)
{
	struct peer_job_finish_response response = { 0 };
	uint64_t now_ms = loop_now_ms(c->agent->loop);

	if (task_is_running(&c->call.task) || task_is_running(&c->sleep.task))
		return task_wait(&c->task, COMPACTOR_SWAPPED);
	if (c->is_waiting) {
		c->is_waiting = false;
		return ask_swap(c);
	}
	enum err err = answer_error(&c->call, &peer_job_finish_response_schema, &response);
	if (!err)
		err = peer_error_decode(response.error);
	if ((err == ERR_UNKNOWN || err == ERR_UNAVAILABLE || err == ERR_BUSY) &&
	    now_ms < c->finish_until_ms) {
		c->is_waiting = true;
		sleep_start(&c->sleep, &c->task, now_ms + RETRY_MS);
		return task_wait(&c->task, COMPACTOR_SWAPPED);
	}
	if (err)
		return fail(c, "control did not take them", err, NULL);
	count_job(c);
	log_debug("compacted %zu runs of %zu groups, %d swapped", c->input_count,
		  c->job.groups_count, response.swapped);
	return rest(c, c->is_dropped ? c->failed_ms : 0);
}

/* --- the task ----------------------------------------------------------------------------------
 */

static enum step compactor_step(struct task *t)
{
	struct compactor *c = CONTAINER(t, struct compactor, task);

	if (task_is_canceled(t))
		return task_done(t, t->err);
	extend_lease(c);
	switch (t->at) {
	case COMPACTOR_LOOK:
		return look(c);
	case COMPACTOR_TAKEN:
		return taken(c);
	case COMPACTOR_READING:
		return read_on(c);
	case COMPACTOR_COPYING:
		return copy_on(c);
	case COMPACTOR_STORED:
		return stored(c);
	case COMPACTOR_SWAPPED:
		return swapped(c);
	case COMPACTOR_ENDING:
		return rest(c, c->pause_ms);
	}
	abort();
}

static void compactor_on_end(struct task *t)
{
	struct compactor *c = CONTAINER(t, struct compactor, task);
	struct agent *agent = c->agent;

	for (size_t i = 0; i < READS_MAX; i++)
		if (c->readings[i].is_busy && !c->readings[i].get.task.err)
			blob_unref(&c->readings[i].get.ret_body);
	forget_job(c);
	compaction_copy_done(&c->copy);
	arena_done(&c->arena);
	memory_free(c);
	agent->compactor = NULL;
	if (agent->stop)
		task_wake(agent->stop);
}

static const char *const compactor_places[] = { "look",	  "taken",   "reading", "copying",
						"stored", "swapped", "ending" };
static const struct task_kind compactor_kind = {
	.name = "compactor",
	.places = compactor_places,
	.place_count = 7,
	.step = compactor_step,
	.on_end = compactor_on_end,
};

struct compactor *compactor_start(struct agent *agent)
{
	struct compactor *c = NEW(struct compactor);
	const char *idle = getenv("HANSE_TEST_COMPACTION_IDLE_MS");

	c->agent = agent;
	c->idle_ms = COMPACTOR_IDLE_MS;
	if (idle && text_to_u64(slice_from(idle), COMPACTOR_IDLE_MS, &c->idle_ms))
		c->idle_ms = COMPACTOR_IDLE_MS;
	c->failed_ms = c->idle_ms < COMPACTOR_FAILED_MS ? c->idle_ms : COMPACTOR_FAILED_MS;
	arena_init(&c->arena);
	compaction_copy_init(&c->copy);
	task_start_root(&c->task, &compactor_kind, agent->loop);
	return c;
}

void compactor_stop(struct compactor *c)
{
	task_cancel(&c->task);
}
