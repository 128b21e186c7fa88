/* What a durable command costs: a leader on one bucket, one command after the other, and many
 * callers that each wait for their own; on a directory and on a bucket that is 20 ms away.
 *
 *	leader_bench [DIRECTORY]        below which files go, by default build/bench
 *
 * The bound is bucket_put.c, or the 20 ms: a commit is one create on a bucket of class cas, one put
 * and one look at a name that is not there on a raw one. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cells/leader.h"

enum { ROUNDS = 500, CALLERS_MAX = 1000, CALLS = 100000, PATH_BYTES = 300 };

struct caller {
	struct task task;
	struct leader_call call;
	struct bench *bench;
	uint64_t started_us;
};

struct bench {
	struct loop *loop;
	struct leader *leader;
	struct leader_stop stop;
	struct task stopper;
	struct caller callers[CALLERS_MAX];
	uint64_t calls_left, ended;
	uint64_t *times_us;
};

static const struct cell_schema schema = { "bench", 1, "CREATE TABLE t(a INTEGER, b BLOB)" };

static enum err insert(struct cell *c, void *argument)
{
	static const uint8_t value[100];
	sqlite3_stmt *s = cell_statement(c, "INSERT INTO t(a, b) VALUES(?1, ?2)");

	(void)argument;
	cell_bind_int(s, 1, 1);
	cell_bind_blob(s, 2, (struct slice) { value, sizeof(value) });
	return cell_execute(c, s);
}

static enum step caller_step(struct task *t)
{
	struct caller *caller = CONTAINER(t, struct caller, task);
	struct bench *b = caller->bench;

	if (t->children > 0)
		return task_wait(t, 1);
	if (t->at == 1) {
		assert(!caller->call.task.err);
		b->times_us[b->ended++] = clock_now_us() - caller->started_us;
	}
	if (b->calls_left == 0)
		return task_done(t, OK);
	b->calls_left--;
	caller->started_us = clock_now_us();
	leader_run(&caller->call, t, b->leader, insert, NULL);
	return task_wait(t, 1);
}

static void on_caller_end(struct task *t)
{
	struct bench *b = CONTAINER(t, struct caller, task)->bench;

	for (size_t i = 0; i < CALLERS_MAX; i++)
		if (&b->callers[i].task != t && task_is_running(&b->callers[i].task))
			return;
	loop_stop(b->loop);
}

static const struct task_kind caller_kind = {
	.name = "caller",
	.step = caller_step,
	.on_end = on_caller_end,
};

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void measure(struct bench *b, size_t callers, uint64_t calls)
{
	uint64_t start_us = clock_now_us();

	b->calls_left = calls;
	b->ended = 0;
	for (size_t i = 0; i < callers; i++) {
		b->callers[i].bench = b;
		task_start_root(&b->callers[i].task, &caller_kind, b->loop);
	}
	loop_run(b->loop);
	double seconds = (double)(clock_now_us() - start_us) / 1e6;
	qsort(b->times_us, b->ended, sizeof(*b->times_us), compare_u64);
	printf("%5zu callers %10.0f commands/s  p50 %7.2f ms  p99 %7.2f ms\n", callers,
	       (double)calls / seconds, (double)b->times_us[b->ended / 2] / 1000,
	       (double)b->times_us[b->ended * 99 / 100] / 1000);
}

static void on_leading(void *context)
{
	loop_stop(((struct bench *)context)->loop);
}

static void on_lost(void *context, const char *why, const char *holder)
{
	(void)context;
	(void)holder;
	fprintf(stderr, "%s\n", why);
	abort();
}

static void on_committed(void *context, uint64_t index, struct slice record)
{
	(void)context;
	(void)index;
	(void)record;
}

static enum step stopper_step(struct task *t)
{
	struct bench *b = CONTAINER(t, struct bench, stopper);

	if (t->at == 0) {
		leader_stop(&b->stop, t, b->leader);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	loop_stop(t->loop);
	return task_done(t, OK);
}

static const struct task_kind stopper_kind = { .name = "stopper", .step = stopper_step };

/* A new leader on one bucket; `patience` divides the number of calls. */
static void run(const char *url, const char *what, uint64_t patience)
{
	static const struct leader_watcher watcher = { on_leading, on_lost, on_committed };
	static struct bench b;
	char why[TASK_WHY_BYTES];
	struct bucket *bucket;

	if (bucket_open(url, &bucket, why)) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
	printf("%s\n", what);
	b.loop = loop_new(0);
	b.times_us = memory_take_array(CALLS, sizeof(*b.times_us));
	b.leader = leader_new(b.loop, &(struct leader_config) {
					      .buckets = &bucket,
					      .bucket_count = 1,
					      .journal = "bench",
					      .node = "bench",
					      .address = "",
					      .schema = &schema,
					      .watcher = &watcher,
					      .context = &b,
				      });
	leader_campaign(b.leader);
	loop_run(b.loop);
	measure(&b, 1, ROUNDS / patience);
	measure(&b, 10, (uint64_t)10 * ROUNDS / patience);
	measure(&b, CALLERS_MAX, CALLS);

	task_start_root(&b.stopper, &stopper_kind, b.loop);
	loop_run(b.loop);
	leader_free(b.leader);
	loop_free(b.loop);
	bucket_close(bucket);
	memory_free(b.times_us);
	memset(&b, 0, sizeof(b));
}

int main(int argc, char **argv)
{
	char path[PATH_BYTES], url[PATH_BYTES + 32], command[PATH_BYTES + 16];

	mkdir(argc > 1 ? argv[1] : "build/bench", 0700);
	snprintf(path, sizeof(path), "%.200s/leader-%d", argc > 1 ? argv[1] : "build/bench",
		 (int)getpid());
	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	log_set_level(LOG_WARN);
	snprintf(url, sizeof(url), "file:%s?class=raw", path);
	run(url, "directory, class raw: put, then a look for the fence", 1);
	if (system(command) != 0)
		return 1;
	snprintf(url, sizeof(url), "file:%s?class=cas", path);
	run(url, "directory, class cas: create", 1);
	run("memory:?class=raw&latency_ms=20", "20 ms away, class raw", 10);
	run("memory:?class=cas&latency_ms=20", "20 ms away, class cas", 10);
	return system(command) == 0 ? 0 : 1;
}
