#include "streams/agent/orphan_scan.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "buckets/bucket.h"
#include "loop/timer.h"
#include "peer_messages.h"
#include "streams/agent/agent.h"
#include "streams/catalog/catalog.h"
#include "wire/peer/frame.h"
#include "wire/streams/data_file.h"

struct orphan_scan {
	struct task task;
	struct agent *agent;
	struct sleep sleep;
	struct arena arena; /* of one page */
	struct bucket_op list, uploads;
	int upload_looks; /* of this pass */
	uint64_t aborted; /* since the process began */
	struct control_call call;
	char after[BUCKET_KEY_BYTES_MAX + 1];
	uint64_t pause_ms;
	uint64_t foreign;     /* names of the pass, as far as this agent listed it */
	bool is_told;	      /* people, that the bucket does not list */
	bool is_told_uploads; /* or that uploads cannot be aborted there */
	bool is_told_foreign; /* and that there is what is not ours */
};

enum { SCAN_ASK, SCAN_ANSWERED, SCAN_ABORTED, SCAN_LISTED };

static enum step rest(struct orphan_scan *s, uint64_t ms)
{
	blob_unref(&s->call.ret_bytes);
	arena_reset(&s->arena);
	sleep_start(&s->sleep, &s->task, loop_now_ms(s->agent->loop) + ms);
	return task_wait(&s->task, SCAN_ASK);
}

static enum step tell(struct orphan_scan *s, const struct peer_orphans_request *request)
{
	control_call(&s->call, &s->task, s->agent->link, &peer_orphans_request_schema, request);
	return task_wait(&s->task, SCAN_ANSWERED);
}

static enum step ask(struct orphan_scan *s)
{
	struct peer_orphans_request request = { .listed_to = SLICE("") };

	if (!replica_cell(s->agent->replica) || !control_link_is_ready(s->agent->link))
		return rest(s, s->pause_ms);
	return tell(s, &request);
}

static enum step list(struct orphan_scan *s, struct slice after)
{
	if (after.size == 0)
		s->foreign = 0;
	snprintf(s->after, sizeof(s->after), "%.*s", SLICE_ARG(after));
	blob_unref(&s->call.ret_bytes);
	arena_reset(&s->arena);
	bucket_list(&s->list, &s->task, s->agent->config.bucket, &s->arena, SLICE(DATA_FILE_PREFIX),
		    slice_from(s->after));
	task_set_deadline(&s->list.task, loop_now_ms(s->agent->loop) + ORPHAN_SCAN_LIST_MS);
	return task_wait(&s->task, SCAN_LISTED);
}

static enum step abort_uploads(struct orphan_scan *s)
{
	s->upload_looks++;
	bucket_abort_uploads(&s->uploads, &s->task, s->agent->config.bucket, SLICE("v1/"),
			     ORPHAN_UPLOAD_AGE_MS);
	task_set_deadline(&s->uploads.task, loop_now_ms(s->agent->loop) + ORPHAN_UPLOADS_MS);
	return task_wait(&s->task, SCAN_ABORTED);
}

/* A store that has no such list, or does not let us, keeps nobody from listing objects. */
static enum step aborted(struct orphan_scan *s)
{
	const struct bucket_op *op = &s->uploads;

	s->aborted += op->ret_count;
	if (op->ret_count > 0)
		log_info("%zu uploads that nobody had ended for a day were aborted", op->ret_count);
	if (op->task.err && op->task.err != ERR_UNSUPPORTED && !s->is_told_uploads)
		log_warn("uploads that were cut off cannot be aborted: %s", op->task.why);
	s->is_told_uploads = op->task.err != OK;
	if (!op->task.err && op->ret_more && s->upload_looks < ORPHAN_UPLOADS_LOOKS_MAX)
		return abort_uploads(s);
	return list(s, SLICE(""));
}

static enum step answered(struct orphan_scan *s)
{
	struct peer_orphans_response response;

	if (s->call.task.err ||
	    schema_decode_all(&s->arena, &peer_orphans_response_schema, 0, s->call.ret_body,
			      &response) ||
	    response.error || response.wait_ms < 0 || response.wait_ms > ORPHAN_SCAN_WAIT_MS_MAX ||
	    response.after.size > BUCKET_KEY_BYTES_MAX)
		return rest(s, s->pause_ms);
	if (response.wait_ms)
		return rest(s, (uint64_t)response.wait_ms);
	if (response.after.size > 0)
		return list(s, response.after);
	s->upload_looks = 0;
	return abort_uploads(s);
}

static uint64_t size_of(const struct bucket_op *list, size_t i)
{
	uint64_t size = list->ret_sizes ? list->ret_sizes[i] : BUCKET_SIZE_UNKNOWN;

	return size > BUCKET_OBJECT_BYTES_MAX ? 0 : size;
}

/* No name of ours: whatever it is, it stays. */
static void pass_over(struct orphan_scan *s, struct slice name)
{
	s->foreign++;
	if (!s->is_told_foreign)
		log_warn("%.*s is no data file of Hanse: it stays, and so does whatever else is"
			 " below " DATA_FILE_PREFIX " without a name of ours",
			 SLICE_ARG(name));
	s->is_told_foreign = true;
}

static enum step listed(struct orphan_scan *s)
{
	const struct bucket_op *op = &s->list;
	struct cell *cell = replica_cell(s->agent->replica);
	struct peer_orphans_request request = { .is_page = true };

	if (op->task.err) {
		if (!s->is_told)
			log_warn("objects of records cannot be listed: %s", op->task.why);
		s->is_told = true;
		return rest(s, s->pause_ms);
	}
	s->is_told = false;
	if (!cell)
		return rest(s, s->pause_ms);
	request.is_last = !op->ret_more || op->ret_count == 0;
	request.listed_to = op->ret_count ? op->ret_names[op->ret_count - 1] : slice_from(s->after);
	request.listed = (int32_t)op->ret_count;
	request.files = arena_take_array(&s->arena, op->ret_count + 1, sizeof(*request.files));
	for (size_t i = 0; i < op->ret_count; i++) {
		uint64_t incarnation, sequence;
		if (data_file_key_parse(op->ret_names[i], &incarnation, &sequence) ||
		    incarnation > INT64_MAX || sequence >= INT64_MAX) {
			pass_over(s, op->ret_names[i]);
			continue;
		}
		if (catalog_has_file(cell, (int64_t)incarnation, (int64_t)sequence))
			continue;
		request.files[request.files_count++] = (struct peer_orphans_request_file) {
			.incarnation = (int64_t)incarnation,
			.sequence = (int64_t)sequence,
			.size = (int64_t)size_of(op, i),
		};
	}
	return tell(s, &request);
}

static enum step scan_step(struct task *t)
{
	struct orphan_scan *s = CONTAINER(t, struct orphan_scan, task);

	if (task_is_canceled(t))
		return t->children > 0 ? task_wait(t, t->at) : task_done(t, t->err);
	switch (t->at) {
	case SCAN_ASK:
		return ask(s);
	case SCAN_ANSWERED:
		return answered(s);
	case SCAN_ABORTED:
		return aborted(s);
	case SCAN_LISTED:
		return listed(s);
	}
	abort();
}

static void scan_on_end(struct task *t)
{
	struct orphan_scan *s = CONTAINER(t, struct orphan_scan, task);
	struct agent *agent = s->agent;

	blob_unref(&s->call.ret_bytes);
	arena_done(&s->arena);
	memory_free(s);
	agent->orphan_scan = NULL;
	if (agent->stop)
		task_wake(agent->stop);
}

static const char *const scan_places[] = { "ask", "answered", "aborted", "listed" };
static const struct task_kind scan_kind = {
	.name = "orphan_scan",
	.places = scan_places,
	.place_count = 4,
	.step = scan_step,
	.on_end = scan_on_end,
};

/* The first step comes at once, when there is no link yet, and rests. */
struct orphan_scan *orphan_scan_start(struct agent *agent)
{
	struct orphan_scan *s = NEW(struct orphan_scan);
	const char *text = getenv("HANSE_TEST_ORPHANS_MS");
	uint64_t test_ms;

	s->agent = agent;
	s->pause_ms = ORPHAN_SCAN_PAUSE_MS;
	if (text && !text_to_u64(slice_from(text), ORPHAN_SCAN_PAUSE_MS, &test_ms))
		s->pause_ms = test_ms + 1;
	arena_init(&s->arena);
	task_start_root(&s->task, &scan_kind, agent->loop);
	return s;
}

uint64_t orphan_scan_uploads(const struct orphan_scan *s)
{
	return s->aborted;
}

uint64_t orphan_scan_foreign(const struct orphan_scan *s)
{
	return s->foreign;
}

void orphan_scan_stop(struct orphan_scan *s)
{
	task_cancel(&s->task);
}
