#include "loop/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/memory.h"
#include "loop/timer.h"

enum { JOBS = 12 };

struct jobs {
	struct task task;
	struct worker_job jobs[JOBS];
	struct timer timer;
	enum err (*work)(struct worker_job *job);
	int last;
};

static atomic_int work_count;
static atomic_bool may_go_on;

static enum step jobs_step(struct task *t)
{
	struct jobs *j = CONTAINER(t, struct jobs, task);

	if (task_is_canceled(t))
		return task_done(t, ERR_CANCELED);
	if (t->at == 0 && j->last == 0) {
		for (; j->last < JOBS; j->last++)
			worker_start(&j->jobs[j->last], t, j->work);
		return task_wait(t, 1);
	}
	return t->children > 0 ? task_wait(t, 1) : task_done(t, OK);
}

static const struct task_kind jobs_kind = { .name = "jobs", .step = jobs_step };

static enum err count_work(struct worker_job *job)
{
	(void)job;
	atomic_fetch_add(&work_count, 1);
	return ERR_FULL;
}

static enum err block_work(struct worker_job *job)
{
	(void)job;
	atomic_fetch_add(&work_count, 1);
	while (!atomic_load(&may_go_on))
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	return OK;
}

static void test_a_job_ends_with_what_its_work_returned(void **state)
{
	struct loop *loop = loop_new(3);
	struct jobs j = { .work = count_work };

	(void)state;
	atomic_store(&work_count, 0);
	task_start_root(&j.task, &jobs_kind, loop);
	loop_run(loop);
	assert_int_equal(j.task.err, OK);
	assert_int_equal(atomic_load(&work_count), JOBS);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(j.jobs[i].task.err, ERR_FULL);
	loop_free(loop);
}

static void release_jobs(struct timer *t)
{
	(void)t;
	atomic_store(&may_go_on, true);
}

static void cancel_jobs(struct timer *t)
{
	struct jobs *j = CONTAINER(t, struct jobs, timer);

	task_cancel(&j->task);
	assert_true(task_is_running(&j->task));
	timer_set(t, j->task.loop, loop_now_ms(j->task.loop) + 20, release_jobs);
}

static void test_cancel_removes_queued_jobs_and_waits_for_the_others(void **state)
{
	struct loop *loop = loop_new(0);
	struct jobs j = { .work = block_work };
	int canceled = 0;

	(void)state;
	atomic_store(&work_count, 0);
	atomic_store(&may_go_on, false);
	task_start_root(&j.task, &jobs_kind, loop);
	timer_set(&j.timer, loop, loop_now_ms(loop) + 50, cancel_jobs);
	loop_run(loop);
	assert_int_equal(j.task.err, ERR_CANCELED);
	for (int i = 0; i < JOBS; i++)
		canceled += j.jobs[i].task.err == ERR_CANCELED;
	assert_true(canceled > 0);
	assert_int_equal(canceled + atomic_load(&work_count), JOBS);
	loop_free(loop);
}

static void test_a_job_canceled_before_its_first_step_never_works(void **state)
{
	struct loop *loop = loop_new(0);
	struct jobs j = { .work = count_work };

	(void)state;
	atomic_store(&work_count, 0);
	task_start_root(&j.task, &jobs_kind, loop);
	task_cancel(&j.task); /* the family never starts its jobs */
	loop_run(loop);
	assert_int_equal(j.last, 0);

	task_start_root(&j.task, &jobs_kind, loop);
	worker_start(&j.jobs[0], &j.task, count_work);
	task_cancel(&j.task);
	loop_run(loop);
	assert_int_equal(j.jobs[0].task.err, ERR_CANCELED);
	assert_int_equal(atomic_load(&work_count), 0);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_job_ends_with_what_its_work_returned),
		cmocka_unit_test(test_cancel_removes_queued_jobs_and_waits_for_the_others),
		cmocka_unit_test(test_a_job_canceled_before_its_first_step_never_works),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
