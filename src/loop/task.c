#include "loop/task.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "loop/private.h"

enum { TASK_MAGIC = 0x5461736b, TASK_DUMP_DEPTH_MAX = 32 };

static void assert_running(const struct task *t)
{
	assert(t->magic == TASK_MAGIC);
	assert(t->is_running);
}

/* The outcome of a canceled task that says no more than that. */
static enum err cancel_outcome(const struct task *t, enum err err)
{
	return t->is_canceled && err == ERR_CANCELED ? t->err : err;
}

/* Take the ended task out of everything, then tell who waits for it. */
static void end_task(struct task *t)
{
	struct task *parent = t->parent;

	assert(t->children == 0 && list_is_empty(&t->children_list));
	deferred_clear(&t->ready);
	task_set_deadline(t, 0);
	list_remove(&t->all_link);
	list_remove(&t->siblings);
	t->is_running = false;

	if (!parent) {
		if (t->kind->on_end)
			t->kind->on_end(t); /* may free t */
		return;
	}
	assert_running(parent);
	assert(parent->children > 0);
	parent->children--;
	if (!parent->is_canceled || parent->children == 0)
		task_wake(parent);
}

static void run_step(struct deferred *d)
{
	struct task *t = CONTAINER(d, struct task, ready);
	struct loop *loop = t->loop;

	assert_running(t);
	assert(!loop->stepping); /* steps do not nest */
	if (t->is_canceled && t->children > 0)
		return; /* the last child's end makes it ready */

	loop->stepping = t;
	loop->is_step_answered = false;
	enum step outcome = t->kind->step(t);
	assert(loop->stepping == t);
	assert(loop->is_step_answered); /* by task_wait() or task_done() */
	loop->stepping = NULL;
	if (outcome == STEP_DONE)
		end_task(t);
}

static void start(struct task *t, const struct task_kind *kind, struct task *parent,
		  struct loop *loop)
{
	assert(loop->magic == LOOP_MAGIC);
	assert(kind && kind->step);
	assert(!(t->magic == TASK_MAGIC && t->is_running));

	*t = (struct task) {
		.magic = TASK_MAGIC,
		.kind = kind,
		.loop = loop,
		.parent = parent,
		.since_ms = loop_now_ms(loop),
		.is_running = true,
	};
	list_init(&t->children_list);
	list_add(&loop->tasks, &t->all_link);
	task_wake(t);
}

void task_start(struct task *t, const struct task_kind *kind, struct task *parent)
{
	assert_running(parent);
	assert(!kind->on_end); /* its parent hears of its end */

	start(t, kind, parent, parent->loop);
	list_add(&parent->children_list, &t->siblings);
	parent->children++;
	if (parent->is_canceled)
		task_cancel(t);
}

void task_start_root(struct task *t, const struct task_kind *kind, struct loop *loop)
{
	start(t, kind, NULL, loop);
}

static void answer_step(struct task *t)
{
	assert_running(t);
	assert(t->loop->stepping == t);
	assert(!t->loop->is_step_answered);
	t->loop->is_step_answered = true;
}

enum step task_wait(struct task *t, int at)
{
	answer_step(t);
	assert(at >= 0 && (at < t->kind->place_count || !t->kind->places));
	if (t->at != at)
		t->since_ms = loop_now_ms(t->loop);
	t->at = at;
	return STEP_WAIT;
}

enum step task_done(struct task *t, enum err err)
{
	answer_step(t);
	assert(t->children == 0); /* a parent outlives its children */
	t->err = cancel_outcome(t, err);
	return STEP_DONE;
}

enum step task_fail(struct task *t, enum err err, const char *format, ...)
{
	va_list args;

	assert(err != OK);
	/* The caller may wrap t->why itself, so the sentence is made aside. */
	char why[TASK_WHY_BYTES];
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	memcpy(t->why, why, sizeof(why));
	return task_done(t, err);
}

void task_wake(struct task *t)
{
	assert_running(t);
	deferred_set(&t->ready, t->loop, run_step);
}

static void cancel_with(struct task *t, enum err err)
{
	if (!t->is_running || t->is_canceled)
		return;
	assert(t->magic == TASK_MAGIC);
	t->is_canceled = true;
	t->err = err;
	task_set_deadline(t, 0);
	LIST_EACH (&t->children_list, struct task, siblings, child)
		cancel_with(child, ERR_CANCELED);
	if (t->kind->on_cancel)
		t->kind->on_cancel(t);
	else if (t->children == 0)
		task_wake(t);
}

void task_cancel(struct task *t)
{
	cancel_with(t, ERR_CANCELED);
}

void task_set_deadline(struct task *t, uint64_t at_ms)
{
	struct loop *loop = t->loop;

	assert_running(t);
	if (at_ms == 0 && t->deadline.index == 0)
		return;
	heap_remove(&loop->deadlines, &t->deadline);
	if (at_ms != 0 && !t->is_canceled)
		heap_add(&loop->deadlines, &t->deadline, at_ms);
	loop_arm_timer(loop);
}

void task_pass_deadline(struct task *t)
{
	cancel_with(t, ERR_TIMEOUT);
}

/* --- for people ----------------------------------------------------------------------------- */
static void dump_one(const struct task *t, int depth, FILE *out)
{
	uint64_t now_ms = loop_now_ms(t->loop);
	uint64_t age_ms = now_ms > t->since_ms ? now_ms - t->since_ms : 0;
	bool is_named = t->kind->places && t->at < t->kind->place_count;

	fprintf(out, "%*s%s at ", 2 * depth, "", t->kind->name ? t->kind->name : "task");
	if (is_named)
		fprintf(out, "%s", t->kind->places[t->at]);
	else
		fprintf(out, "place %d", t->at);
	fprintf(out, " for %" PRIu64 " ms, %d children%s%s%s", age_ms, t->children,
		list_is_linked(&t->ready.link) ? ", ready" : "", t->is_canceled ? ", canceled" : "",
		t->loop->stepping == t ? ", running" : "");
	if (t->deadline.index)
		fprintf(out, ", deadline in %" PRId64 " ms", (int64_t)(t->deadline.key - now_ms));
	fputc('\n', out);
}

static void dump_tree(struct task *t, int depth, int *lines, FILE *out)
{
	if (depth > TASK_DUMP_DEPTH_MAX || (*lines)++ > LOOP_DUMP_LINES_MAX)
		return;
	dump_one(t, depth, out);
	LIST_EACH (&t->children_list, struct task, siblings, child) {
		if (*lines > LOOP_DUMP_LINES_MAX)
			return;
		dump_tree(child, depth + 1, lines, out);
	}
}

void task_dump(struct loop *loop, FILE *out)
{
	int lines = 0;

	fprintf(out, "tasks of the loop, %zu ready:\n", loop->ready_count);
	LIST_EACH (&loop->tasks, struct task, all_link, t) {
		if (!t->parent)
			dump_tree(t, 1, &lines, out);
		if (lines > LOOP_DUMP_LINES_MAX)
			break;
	}
}
