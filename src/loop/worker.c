#include "loop/worker.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "loop/private.h"

enum { WORKER_START, WORKER_WORKING };
static const char *const worker_places[] = { "start", "working" };

/* What libuv keeps while a job is queued or under way; freed by the job's last step. */
struct worker_request {
	uv_work_t request; /* data: the job */
	bool is_over;
};

static void run_work(uv_work_t *request)
{
	struct worker_job *job = request->data;

	job->result = job->work(job);
}

static void on_worked(uv_work_t *request, int status)
{
	struct worker_job *job = request->data;
	struct worker_request *r = job->handle;

	r->is_over = true;
	if (status == UV_ECANCELED)
		job->result = ERR_CANCELED;
	task_wake(&job->task);
}

static enum step worker_step(struct task *t)
{
	struct worker_job *job = CONTAINER(t, struct worker_job, task);
	struct worker_request *r = job->handle;

	switch (t->at) {
	case WORKER_START:
		if (task_is_canceled(t))
			return task_done(t, ERR_CANCELED);
		job->handle = r = NEW(struct worker_request);
		r->request.data = job;
		t->loop->open_count++;
		int code = uv_queue_work(&t->loop->uv, &r->request, run_work, on_worked);
		assert(code == 0); /* it only fails without a work function */
		return task_wait(t, WORKER_WORKING);

	case WORKER_WORKING:
		if (!r->is_over)
			return task_wait(t, WORKER_WORKING);
		t->loop->open_count--;
		memory_free(r);
		job->handle = NULL;
		return task_done(t, job->result);
	}
	abort();
}

/* Work that has begun touches the owner's memory: the job waits for it even when canceled. */
static void cancel_work(struct task *t)
{
	struct worker_job *job = CONTAINER(t, struct worker_job, task);
	struct worker_request *r = job->handle;

	if (!r)
		task_wake(t);
	else
		uv_cancel((uv_req_t *)&r->request);
}

static const struct task_kind worker_kind = {
	.name = "worker job",
	.places = worker_places,
	.place_count = 2,
	.step = worker_step,
	.on_cancel = cancel_work,
};

void worker_start(struct worker_job *job, struct task *parent,
		  enum err (*work)(struct worker_job *job))
{
	assert(work);
	job->work = work;
	job->result = OK;
	job->handle = NULL;
	task_start(&job->task, &worker_kind, parent);
}
